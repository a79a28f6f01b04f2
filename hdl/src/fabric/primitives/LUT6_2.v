// Simulation model of Xilinx' LUT6_2: O6 is a function of all inputs, O5 of the first five by the lower half of INIT.
module LUT6_2 #(
    parameter [63:0] INIT = 64'd0
) (
    output O6, O5,
    input  I0, I1, I2, I3, I4, I5
);
    assign O6 = INIT[{I5, I4, I3, I2, I1, I0}];
    assign O5 = INIT[{1'b0, I4, I3, I2, I1, I0}];
endmodule
