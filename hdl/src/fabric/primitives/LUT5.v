// Simulation model of Xilinx' LUT5: the bit of INIT that the inputs choose.
module LUT5 #(
    parameter [31:0] INIT = 32'd0
) (
    output O,
    input  I0, I1, I2, I3, I4
);
    wire [15:0] select_4 = I4 ? INIT[31:16] : INIT[15:0];
    wire [7:0] select_3 = I3 ? select_4[15:8] : select_4[7:0];
    wire [3:0] select_2 = I2 ? select_3[7:4] : select_3[3:0];
    wire [1:0] select_1 = I1 ? select_2[3:2] : select_2[1:0];
    assign O = I0 ? select_1[1] : select_1[0];
endmodule
