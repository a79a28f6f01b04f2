// SPDX-License-Identifier: Apache-2.0 OR MIT
// Checks both naive elements against sums made element by element, on random operands. Prints PASS, or the first
// difference and FAIL.
`timescale 1ns / 1ps
`default_nettype none

module naive_tb;
    localparam LANES = 37;
    localparam BITS = 3;
    localparam WIDTH = 24;
    localparam ROUNDS = 200;
    localparam BEATS = 4;

    reg                   clock = 0;
    reg                   enable = 1, first = 0, shift = 0;
    reg  [LANES-1:0]      a1, w1;
    reg  [LANES*BITS-1:0] an, wn;
    wire [WIDTH-1:0]      serial, parallel;

    naive_bit_serial_pe #(.LANES(LANES), .ACCUMULATOR_WIDTH(WIDTH)) dut_serial (
        .clock(clock), .enable(enable), .first(first), .shift(shift),
        .activation(a1), .weight(w1), .accumulator(serial)
    );
    naive_multibit_pe #(
        .LANES(LANES), .ACTIVATION_BITS(BITS), .WEIGHT_BITS(BITS), .ACCUMULATOR_WIDTH(WIDTH)
    ) dut_parallel (
        .clock(clock), .enable(enable), .first(first),
        .activation(an), .weight(wn), .accumulator(parallel)
    );

    always #1 clock = ~clock;

    integer           round, beat, lane, seed;
    reg [WIDTH-1:0]   sum_serial, sum_parallel, count, products;

    initial begin
        seed = 1;
        for (round = 0; round < ROUNDS; round = round + 1) begin
            sum_serial = 0;
            sum_parallel = 0;
            // Operands enter in beat b, are counted in b + 1 and accumulated in b + 2, where their controls apply.
            for (beat = 0; beat < BEATS + 2; beat = beat + 1) begin
                @(negedge clock);
                first = beat == 2;
                shift = beat % 2 == 1;
                for (lane = 0; lane < LANES; lane = lane + 1) begin
                    a1[lane] = $random(seed);
                    w1[lane] = $random(seed);
                    an[lane*BITS+:BITS] = $random(seed);
                    wn[lane*BITS+:BITS] = $random(seed);
                end
                if (beat < BEATS) begin
                    count = 0;
                    products = 0;
                    for (lane = 0; lane < LANES; lane = lane + 1) begin
                        if (a1[lane] == w1[lane]) count = count + 1;
                        products = products + an[lane*BITS+:BITS] * wn[lane*BITS+:BITS];
                    end
                    sum_serial = (beat % 2 == 1 ? 2 * sum_serial : sum_serial) + count;
                    sum_parallel = sum_parallel + products;
                end
            end
            @(posedge clock);
            #0.5;
            if (serial !== sum_serial || parallel !== sum_parallel) begin
                $display("FAIL round %0d: %0d, expected %0d; %0d, expected %0d",
                         round, serial, sum_serial, parallel, sum_parallel);
                $finish;
            end
        end
        $display("PASS");
        $finish;
    end
endmodule

`default_nettype wire
