// The accumulator holds the weighted sum of its counts as an integer: after beats of rising significance,
// `sum >> (finished bits - total shift)` is the sum of `count << significance`.
//
// The sum is kept here as one plain number that never shifts. Given are what the design guarantees (checked where widths
// are derived): shifts are one-hot or none, none comes with a tile's first beat, their total is at most the finished
// bits, and the sum fits.

`default_nettype none

module accumulator (
    input wire                clock,
    input wire                accumulate,
    input wire                first,
    input wire [`AMOUNTS-1:0] shift,
    input wire [`COUNT-1:0]   count
);
    localparam WIDTH = `HIGH + `LOW;

    wire [WIDTH-1:0] sum;

    `DUT dut (
        .clock      (clock),
        .accumulate (accumulate),
        .first      (first),
        .shift      (shift),
        .count      (count),
        .sum        (sum)
    );

    // The distance that the shift asks for; `DISTANCES` holds 8 bits for each.
    wire [8*`AMOUNTS-1:0] distances = `DISTANCES;
    reg [7:0] distance;
    integer i;
    always @* begin
        distance = 8'd0;
        for (i = 0; i < `AMOUNTS; i = i + 1) begin
            if (shift[i]) distance = distances[8*i +: 8];
        end
    end

    reg               started;
    reg [7:0]         significance;
    reg [WIDTH+7:0]   total;
    initial started = 1'b0;

    wire [7:0]        significance_next = first ? 8'd0 : significance + distance;
    wire [WIDTH+7:0]  total_next        = (first ? {(WIDTH+8){1'b0}} : total) + (count << significance_next);

    always @(posedge clock) begin
        if (accumulate) begin
            started      <= started | first;
            significance <= significance_next;
            total        <= total_next;
        end
    end

    always @* begin
        assume ((shift & (shift - 1'b1)) == 0);
        if (accumulate) begin
            assume (first | started);
            if (first) assume (shift == 0);
            assume (significance_next <= `LOW);
            assume ((total_next >> significance_next) < (1 << `HIGH));
        end
        if (started) begin
            assert (significance <= `LOW);
`ifdef WRONG
            assert (sum == total);
`else
            assert ((sum >> (`LOW - significance)) == total);
`endif
            cover (significance == `LOW);
            cover ((total >> significance) == (1 << `HIGH) - 1);
        end
    end
endmodule

`default_nettype wire
