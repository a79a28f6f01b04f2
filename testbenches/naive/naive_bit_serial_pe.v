// SPDX-License-Identifier: Apache-2.0 OR MIT
// A bit-serial XNOR-popcount processing element as it is most often written: the sum of the matches in a loop,
// most significant branch pair first, and an accumulator that shifts left and clears. Operands and the count are
// registered. It is here to be measured beside the generated one (`make area`), not to be used.
`default_nettype none

module naive_bit_serial_pe #(
    parameter LANES = 64,
    parameter ACCUMULATOR_WIDTH = 24
) (
    input  wire                         clock,
    input  wire                         enable,
    input  wire                         first,  // this count starts a new sum
    input  wire                         shift,  // this count starts the next lower significance
    input  wire [LANES-1:0]             activation,
    input  wire [LANES-1:0]             weight,
    output reg  [ACCUMULATOR_WIDTH-1:0] accumulator
);
    localparam COUNT_WIDTH = $clog2(LANES + 1);

    reg [LANES-1:0]       a, w;
    reg [COUNT_WIDTH-1:0] count, count_q;
    integer i;

    always @* begin
        count = {COUNT_WIDTH{1'b0}};
        for (i = 0; i < LANES; i = i + 1)
            count = count + {{(COUNT_WIDTH - 1){1'b0}}, a[i] ~^ w[i]};
    end

    wire [ACCUMULATOR_WIDTH-1:0] shifted =
        first ? {ACCUMULATOR_WIDTH{1'b0}} : shift ? {accumulator[ACCUMULATOR_WIDTH-2:0], 1'b0} : accumulator;

    always @(posedge clock) begin
        a <= activation;
        w <= weight;
        if (enable) begin
            count_q     <= count;
            accumulator <= shifted + {{(ACCUMULATOR_WIDTH - COUNT_WIDTH){1'b0}}, count_q};
        end
    end
endmodule

`default_nettype wire
