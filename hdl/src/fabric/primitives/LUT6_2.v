// Simulation model of Xilinx' LUT6_2: O6 is a function of all inputs, O5 of the first five by the lower half of INIT.
module LUT6_2 #(
    parameter [63:0] INIT = 64'd0
) (
    output O6, O5,
    input  I0, I1, I2, I3, I4, I5
);
    wire [31:0] select_5 = I5 ? INIT[63:32] : INIT[31:0];
    wire [15:0] o6_4 = I4 ? select_5[31:16] : select_5[15:0];
    wire [7:0] o6_3 = I3 ? o6_4[15:8] : o6_4[7:0];
    wire [3:0] o6_2 = I2 ? o6_3[7:4] : o6_3[3:0];
    wire [1:0] o6_1 = I1 ? o6_2[3:2] : o6_2[1:0];
    assign O6 = I0 ? o6_1[1] : o6_1[0];
    wire [15:0] o5_4 = I4 ? INIT[31:16] : INIT[15:0];
    wire [7:0] o5_3 = I3 ? o5_4[15:8] : o5_4[7:0];
    wire [3:0] o5_2 = I2 ? o5_3[7:4] : o5_3[3:0];
    wire [1:0] o5_1 = I1 ? o5_2[3:2] : o5_2[1:0];
    assign O5 = I0 ? o5_1[1] : o5_1[0];
endmodule
