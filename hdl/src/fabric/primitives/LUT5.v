// Simulation model of Xilinx' LUT5: the bit of INIT that the inputs choose.
module LUT5 #(
    parameter [31:0] INIT = 32'd0
) (
    output O,
    input  I0, I1, I2, I3, I4
);
    assign O = INIT[{I4, I3, I2, I1, I0}];
endmodule
