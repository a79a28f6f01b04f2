// Simulation model of Lattice ECP5's LUT4; not for synthesis.
module LUT4 #(
    parameter [15:0] INIT = 16'd0
) (
    input  wire A,
    input  wire B,
    input  wire C,
    input  wire D,
    output wire Z
);
    assign Z = INIT[{D, C, B, A}];
endmodule
