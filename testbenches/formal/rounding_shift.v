// The last steps of requantization as arithmetic: shift right (floor, or to the nearest with ties to even), add the offset,
// clamp. Four cycles after a value entered its code leaves, whatever the registers held before.

`default_nettype none

module rounding_shift (
    input wire              clock,
    input wire [`WIDTH-1:0] value,
    input wire              keep
);
    (* anyconst *) wire [`SHIFT-1:0] shift;
    (* anyconst *) wire              round_even;
    (* anyconst *) wire [15:0]       offset;
    (* anyconst *) wire [7:0]        code_min, code_max;
    wire [7:0] code;

    `DUT dut (
        .clock      (clock),
        .enable     (1'b1),
        .value      (value),
        .shift      (shift),
        .round_even (round_even),
        .offset     (offset),
        .code_min   (code_min),
        .code_max   (code_max),
        .keep       (keep),
        .code       (code)
    );

    // The specification, on numbers wide enough that nothing wraps.
    localparam WIDE = 2 * `WIDTH + 20;
    wire signed [WIDE-1:0] exact  = {{(WIDE - `WIDTH){value[`WIDTH-1]}}, value};
    wire signed [WIDE-1:0] unit   = {{(WIDE - 1){1'b0}}, 1'b1} << shift;
    wire signed [WIDE-1:0] half   = unit >>> 1;
    wire signed [WIDE-1:0] below  = exact >>> shift;
    wire signed [WIDE-1:0] rest   = exact - (below << shift);
`ifdef WRONG
    wire ties_up = 1'b1;
`else
    wire ties_up = below[0];
`endif
    wire signed [WIDE-1:0] even   = below + ((rest > half) | ((rest == half) & (shift != 0) & ties_up) ? 1 : 0);
    wire signed [WIDE-1:0] moved  = (round_even ? even : below) + {{(WIDE - 16){offset[15]}}, offset};
    wire signed [WIDE-1:0] lowest  = {{(WIDE - 8){1'b0}}, code_min};
    wire signed [WIDE-1:0] highest = {{(WIDE - 8){1'b0}}, code_max};
    wire [7:0] wanted = moved < lowest ? code_min : (moved > highest ? code_max : moved[7:0]);

    reg [7:0] wanted_1, wanted_2, wanted_3, wanted_4;
    reg [2:0] moves;
    initial moves = 3'd0;
    always @(posedge clock) begin
        wanted_1 <= wanted;
        wanted_2 <= wanted_1;
        wanted_3 <= wanted_2;
        wanted_4 <= keep ? wanted_3 : 8'd0;
        if (moves != 3'd4) moves <= moves + 3'd1;
    end

    always @* begin
        assume (code_min <= code_max);
        if (moves == 3'd4) begin
            assert (code == wanted_4);
        end
    end
endmodule

`default_nettype wire
