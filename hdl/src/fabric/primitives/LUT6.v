// Simulation model of Xilinx' LUT6: the bit of INIT that the inputs choose.
module LUT6 #(
    parameter [63:0] INIT = 64'd0
) (
    output O,
    input  I0, I1, I2, I3, I4, I5
);
    wire [31:0] select_5 = I5 ? INIT[63:32] : INIT[31:0];
    wire [15:0] select_4 = I4 ? select_5[31:16] : select_5[15:0];
    wire [7:0] select_3 = I3 ? select_4[15:8] : select_4[7:0];
    wire [3:0] select_2 = I2 ? select_3[7:4] : select_3[3:0];
    wire [1:0] select_1 = I1 ? select_2[3:2] : select_2[1:0];
    assign O = I0 ? select_1[1] : select_1[0];
endmodule
