// The adder tree counts: its output is the weighted number of ones among the bits that entered `DEPTH moves before,
// whatever its registers held. Plane p of group m weighs 2^(m + p).

`default_nettype none

module popcount (
    input wire clock,
    input wire advance,
    input wire [`GROUPS*`PLANES*`PAIRS-1:0] plane
);
    wire [`COUNT-1:0] count;

    `DUT dut (
        .clock   (clock),
        .advance (advance),
        .plane   (plane),
        .count   (count)
    );

    // The specification.
    reg [31:0] ones;
    integer i;
    always @* begin
        ones = 32'd0;
        for (i = 0; i < `GROUPS*`PLANES*`PAIRS; i = i + 1) begin
            ones = ones + ({31'd0, plane[i]} << (i / (`PAIRS*`PLANES) + (i / `PAIRS) % `PLANES));
        end
    end

    reg [32*`DEPTH-1:0] line;
    reg [7:0]           moves;
    initial moves = 8'd0;
    always @(posedge clock) begin
        if (advance) begin
            line <= {line, ones};
            if (moves != `DEPTH) moves <= moves + 8'd1;
        end
    end

    always @* begin
        if (moves == `DEPTH) begin
`ifdef WRONG
            assert (count != line[32*`DEPTH-1 -: 32]);
`else
            assert ({{(32-`COUNT){1'b0}}, count} == line[32*`DEPTH-1 -: 32]);
`endif
            cover (count != 0 & !advance);
        end
    end
endmodule

`default_nettype wire
