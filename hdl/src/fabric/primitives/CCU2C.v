// Simulation model of Lattice ECP5's CCU2C; not for synthesis. Two carry positions: each generates its carry by the lowest
// four entries of its table.
module CCU2C #(
    parameter [15:0] INIT0 = 16'd0,
    parameter [15:0] INIT1 = 16'd0,
    parameter [23:0] INJECT1_0 = "YES",
    parameter [23:0] INJECT1_1 = "YES"
) (
    input  wire CIN,
    input  wire A0,
    input  wire B0,
    input  wire C0,
    input  wire D0,
    input  wire A1,
    input  wire B1,
    input  wire C1,
    input  wire D1,
    output wire S0,
    output wire S1,
    output wire COUT
);
    wire lut0 = INIT0[{D0, C0, B0, A0}];
    wire lut1 = INIT1[{D1, C1, B1, A1}];
    wire generate0 = (INJECT1_0 == "YES") ? 1'b0 : INIT0[{2'b00, B0, A0}];
    wire generate1 = (INJECT1_1 == "YES") ? 1'b0 : INIT1[{2'b00, B1, A1}];
    wire carry = lut0 ? CIN : generate0;
    assign S0 = lut0 ^ ((INJECT1_0 == "YES") ? 1'b0 : CIN);
    assign S1 = lut1 ^ ((INJECT1_1 == "YES") ? 1'b0 : carry);
    assign COUT = lut1 ? carry : generate1;
endmodule
