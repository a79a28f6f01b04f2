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
    wire [7:0] upper0 = D0 ? INIT0[15:8] : INIT0[7:0];
    wire [3:0] middle0 = C0 ? upper0[7:4] : upper0[3:0];
    wire [1:0] lower0 = B0 ? middle0[3:2] : middle0[1:0];
    wire lut0 = A0 ? lower0[1] : lower0[0];
    wire [1:0] half0 = B0 ? INIT0[3:2] : INIT0[1:0];
    wire [7:0] upper1 = D1 ? INIT1[15:8] : INIT1[7:0];
    wire [3:0] middle1 = C1 ? upper1[7:4] : upper1[3:0];
    wire [1:0] lower1 = B1 ? middle1[3:2] : middle1[1:0];
    wire lut1 = A1 ? lower1[1] : lower1[0];
    wire [1:0] half1 = B1 ? INIT1[3:2] : INIT1[1:0];
    // Strings of two lengths are compared.
    // verilator lint_off WIDTH
    wire generate0 = (INJECT1_0 == "YES") ? 1'b0 : (A0 ? half0[1] : half0[0]);
    wire generate1 = (INJECT1_1 == "YES") ? 1'b0 : (A1 ? half1[1] : half1[0]);
    wire carry = lut0 ? CIN : generate0;
    assign S0 = lut0 ^ ((INJECT1_0 == "YES") ? 1'b0 : CIN);
    assign S1 = lut1 ^ ((INJECT1_1 == "YES") ? 1'b0 : carry);
    // verilator lint_on WIDTH
    assign COUT = lut1 ? carry : generate1;
endmodule
