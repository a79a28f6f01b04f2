// One cycle of reset brings the accelerator's core to rest from any state whatever: every register begins with any value.

`default_nettype none

module core_reset (
    input wire               clock,
    input wire [`ADDRESS-1:0] start_address,
    input wire [15:0]        runs,
    input wire               program_valid,
    input wire [31:0]        program_data,
    input wire               program_last,
    input wire               weight_valid,
    input wire [`STREAM-1:0] weight_data,
    input wire               weight_last,
    input wire               input_valid,
    input wire [`STREAM-1:0] input_data,
    input wire               input_last,
    input wire               result_ready
);
    reg [1:0] cycle;
    initial cycle = 2'd0;
    always @(posedge clock) if (cycle != 2'd3) cycle <= cycle + 2'd1;

    wire       busy, done, program_ready, weight_ready, input_ready, result_valid, counter_clearing;
    wire [7:0] error;

    `DUT dut (
        .clock            (clock),
`ifdef WRONG
        .reset            (1'b0),
`else
        .reset            (cycle == 2'd0),
`endif
        .start            (1'b0),
        .start_address    (start_address),
        .runs             (runs),
        .busy             (busy),
        .done             (done),
        .error            (error),
        .program_valid    (program_valid & (cycle > 2'd1)),
        .program_ready    (program_ready),
        .program_data     (program_data),
        .program_last     (program_last),
        .weight_valid     (weight_valid),
        .weight_ready     (weight_ready),
        .weight_data      (weight_data),
        .weight_last      (weight_last),
        .input_valid      (input_valid),
        .input_ready      (input_ready),
        .input_data       (input_data),
        .input_last       (input_last),
        .result_valid     (result_valid),
        .result_ready     (result_ready),
        .counter_clear    (1'b0),
        .counter_clearing (counter_clearing)
    );

    always @* begin
        if (cycle != 2'd0) begin
            assert (!busy);
            assert (!done);
            assert (!weight_ready);
            assert (!input_ready);
            assert (!result_valid);
        end
        // A program packet can be loaded at once.
        if (cycle == 2'd1) begin
            assert (error == 8'd0);
            assert (program_ready);
        end
    end
endmodule

`default_nettype wire
