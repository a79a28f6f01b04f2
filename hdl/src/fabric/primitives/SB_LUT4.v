// Simulation model of Lattice iCE40's SB_LUT4; not for synthesis.
module SB_LUT4 #(
    parameter [15:0] LUT_INIT = 16'd0
) (
    input  wire I0,
    input  wire I1,
    input  wire I2,
    input  wire I3,
    output wire O
);
    wire [7:0] select_3 = I3 ? LUT_INIT[15:8] : LUT_INIT[7:0];
    wire [3:0] select_2 = I2 ? select_3[7:4] : select_3[3:0];
    wire [1:0] select_1 = I1 ? select_2[3:2] : select_2[1:0];
    assign O = I0 ? select_1[1] : select_1[0];
endmodule
