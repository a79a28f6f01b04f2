// What the sums of an element and of its row unit and the column's constant make of a result: three cycles after the sums,
// two after the constant, `4 * (sum >> align) - 2 * (row_sum >> align) + constant` leaves.

`default_nettype none

module aligned_bracket (
    input wire               clock,
    input wire [`SUM-1:0]    sum,
    input wire [`ROW-1:0]    row_sum,
    input wire [`RESULT-1:0] constant
);
    (* anyconst *) wire [`ALIGN-1:0] align;
    wire [`RESULT-1:0] value;

    `DUT dut (
        .clock    (clock),
        .enable   (1'b1),
        .sum      (sum),
        .row_sum  (row_sum),
        .align    (align),
        .constant (constant),
        .value    (value)
    );

    wire [31:0] whole     = {{(32 - `SUM){1'b0}}, sum >> align};
    wire [31:0] whole_row = {{(32 - `ROW){1'b0}}, row_sum >> align};
    reg [31:0] part_1, wanted_2, wanted_3;
    reg [1:0]  moves;
    initial moves = 2'd0;
    always @(posedge clock) begin
        part_1   <= (whole << 2) - (whole_row << 1);
`ifdef WRONG
        wanted_2 <= part_1 - {{(32 - `RESULT){1'b0}}, constant};
`else
        wanted_2 <= part_1 + {{(32 - `RESULT){1'b0}}, constant};
`endif
        wanted_3 <= wanted_2;
        if (moves != 2'd3) moves <= moves + 2'd1;
    end

    always @* begin
        if (moves == 2'd3) assert (value == wanted_3[`RESULT-1:0]);
    end
endmodule

`default_nettype wire
