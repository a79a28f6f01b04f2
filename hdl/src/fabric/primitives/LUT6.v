// Simulation model of Xilinx' LUT6: the bit of INIT that the inputs choose.
module LUT6 #(
    parameter [63:0] INIT = 64'd0
) (
    output O,
    input  I0, I1, I2, I3, I4, I5
);
    assign O = INIT[{I5, I4, I3, I2, I1, I0}];
endmodule
