// Simulation model of Lattice iCE40's SB_CARRY; not for synthesis.
module SB_CARRY (
    input  wire I0,
    input  wire I1,
    input  wire CI,
    output wire CO
);
    assign CO = (I0 & I1) | (CI & (I0 | I1));
endmodule
