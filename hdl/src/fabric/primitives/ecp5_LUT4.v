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
    wire [7:0] select_3 = D ? INIT[15:8] : INIT[7:0];
    wire [3:0] select_2 = C ? select_3[7:4] : select_3[3:0];
    wire [1:0] select_1 = B ? select_2[3:2] : select_2[1:0];
    assign Z = A ? select_1[1] : select_1[0];
endmodule
