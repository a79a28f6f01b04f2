// SPDX-License-Identifier: Apache-2.0 OR MIT
// A multi-bit processing element as it is most often written: products with `*`, their sum in a loop, and an
// accumulator that clears. Numbers are unsigned. Operands and the sum are registered, as in the generated one.
// It is here to be measured beside that (`make area`), not to be used.
`default_nettype none

module naive_multibit_pe #(
    parameter LANES = 64,
    parameter ACTIVATION_BITS = 2,
    parameter WEIGHT_BITS = 2,
    parameter ACCUMULATOR_WIDTH = 24
) (
    input  wire                             clock,
    input  wire                             enable,
    input  wire                             first,  // this sum starts a new dot product
    input  wire [LANES*ACTIVATION_BITS-1:0] activation,  // lane i at i*ACTIVATION_BITS
    input  wire [LANES*WEIGHT_BITS-1:0]     weight,
    output reg  [ACCUMULATOR_WIDTH-1:0]     accumulator
);
    localparam PRODUCT_WIDTH = ACTIVATION_BITS + WEIGHT_BITS;
    localparam SUM_WIDTH = PRODUCT_WIDTH + $clog2(LANES);

    reg [LANES*ACTIVATION_BITS-1:0] a;
    reg [LANES*WEIGHT_BITS-1:0]     w;
    reg [PRODUCT_WIDTH-1:0]         product;
    reg [SUM_WIDTH-1:0]             sum, sum_q;
    integer i;

    always @* begin
        sum = {SUM_WIDTH{1'b0}};
        product = {PRODUCT_WIDTH{1'b0}};
        for (i = 0; i < LANES; i = i + 1) begin
            product = a[i*ACTIVATION_BITS+:ACTIVATION_BITS] * w[i*WEIGHT_BITS+:WEIGHT_BITS];
            sum = sum + {{(SUM_WIDTH - PRODUCT_WIDTH){1'b0}}, product};
        end
    end

    always @(posedge clock) begin
        a <= activation;
        w <= weight;
        if (enable) begin
            sum_q       <= sum;
            accumulator <= (first ? {ACCUMULATOR_WIDTH{1'b0}} : accumulator)
                         + {{(ACCUMULATOR_WIDTH - SUM_WIDTH){1'b0}}, sum_q};
        end
    end
endmodule

`default_nettype wire
