// The emitted array computes dot products: one tile of bipolar numbers of 2 bits, any values, without stalls
// (what stalls change is proven apart: the buffers and the drain's control).
//
// x = (2 x1 - 1) * 2 + (2 x0 - 1), w likewise; the result must be the sum of x * w as a plain signed integer.

`default_nettype none

module array_dot_product (
    input wire clock
);
    wire operand_offered = 1'b1;
    wire result_ready    = 1'b1;

    (* anyconst *) wire [`LANES-1:0] x0, x1, w0, w1;

    // Cycle 0 resets, cycle 1 writes the column's constant, then come the four beats.
    reg       reset;
    reg       writes;
    reg [2:0] beat;
    initial begin
        reset  = 1'b1;
        writes = 1'b1;
        beat   = 3'd0;
    end
    wire operand_ready;
    wire operand_valid = operand_offered & ~reset & ~writes & (beat < 3'd4);
    always @(posedge clock) begin
        reset <= 1'b0;
        if (!reset) writes <= 1'b0;
        if (operand_valid & operand_ready) beat <= beat + 3'd1;
    end

    // Pairs of lanes whose bits differ; a lane without a partner has the weight 1 beside it.
    localparam PAIRS = (`LANES + 1) / 2;
    integer i;
    reg signed [11:0] odd, dot;
    reg signed [5:0]  x, w;
    reg [2*PAIRS-1:0] p0, p1;
    always @* begin
        p0 = {2*PAIRS{1'b1}};
        p1 = {2*PAIRS{1'b1}};
        p0[`LANES-1:0] = w0;
        p1[`LANES-1:0] = w1;
        odd = 0;
        for (i = 0; i < PAIRS; i = i + 1) begin
            odd = odd + (p0[i] != p0[i + PAIRS] ? 1 : 0) + (p1[i] != p1[i + PAIRS] ? 2 : 0);
        end
        dot = 0;
        for (i = 0; i < `LANES; i = i + 1) begin
            x = (x1[i] ? 6'sd2 : -6'sd2) + (x0[i] ? 6'sd1 : -6'sd1);
            w = (w1[i] ? 6'sd2 : -6'sd2) + (w0[i] ? 6'sd1 : -6'sd1);
            dot = dot + x * w;
        end
    end
    wire signed [11:0] constant = 2 * 3 * odd - 9 * `LANES;

    wire                result_valid, result_last;
    wire [`RESULT-1:0]  result_value;

    `DUT dut (
        .clock                (clock),
        .reset                (reset),
        .operand_valid        (operand_valid),
        .operand_ready        (operand_ready),
        .operand_first        (beat == 3'd0),
        .operand_last         (beat == 3'd3),
        .operand_shift        (beat[0]),  // before significance 1 and 2
        .operand_row_mode     (2'd0),
        .operand_activation   (beat[1] ? x1 : x0),
        .operand_weight       (beat[0] ? w1 : w0),
        .operand_align        (`ALIGN),
        .operand_result_shift (2'd0),
        .operand_entry        (1'b0),
        .constant_write       (writes & ~reset),
        .constant_entry       (1'b0),
        .constant_value       (constant[`RESULT-1:0]),
        .result_valid         (result_valid),
        .result_ready         (result_ready),
        .result_last          (result_last),
        .result_value         (result_value)
    );

    reg taken;
    initial taken = 1'b0;
    always @(posedge clock) if (result_valid & result_ready & ~reset) taken <= 1'b1;

    always @* begin
        if (result_valid & !reset) begin
            assert (beat == 3'd4);
            assert (!taken);
            assert (result_last);
`ifdef WRONG
            assert ($signed(result_value) != dot);
`else
            assert ($signed(result_value) == dot);
`endif
            cover (dot == 9 * `LANES);
        end
    end
endmodule

`default_nettype wire
