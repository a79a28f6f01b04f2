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
    assign O = LUT_INIT[{I3, I2, I1, I0}];
endmodule
