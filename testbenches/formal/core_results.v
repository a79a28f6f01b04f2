// The result stream of the accelerator's core: what is offered stays, unchanged, until it is taken, unless the core raises an
// error or is reset. (Behind AXI, a register in front of this port keeps it even then: `axi_top.v`.)

`default_nettype none

module core_results (
    input wire                clock,
    input wire                reset,
    input wire                start,
    input wire [`ADDRESS-1:0] start_address,
    input wire [15:0]         runs,
    input wire                program_valid,
    input wire [31:0]         program_data,
    input wire                program_last,
    input wire                weight_valid,
    input wire [`STREAM-1:0]  weight_data,
    input wire                weight_last,
    input wire                input_valid,
    input wire [`STREAM-1:0]  input_data,
    input wire                input_last,
    input wire                result_ready
);
    wire                  result_valid, result_last;
    wire [32*`VALUES-1:0] result_data;
    wire [`VALUES-1:0]    result_keep;
    wire [7:0]            error;

    `DUT dut (
        .clock         (clock),
        .reset         (reset),
        .start         (start),
        .start_address (start_address),
        .runs          (runs),
        .error         (error),
        .program_valid (program_valid),
        .program_data  (program_data),
        .program_last  (program_last),
        .weight_valid  (weight_valid),
        .weight_data   (weight_data),
        .weight_last   (weight_last),
        .input_valid   (input_valid),
        .input_data    (input_data),
        .input_last    (input_last),
        .result_valid  (result_valid),
        .result_ready  (result_ready),
        .result_data   (result_data),
        .result_keep   (result_keep),
        .result_last   (result_last),
        .counter_clear (1'b0)
    );

    // The first cycle in which an error shows.
    reg had_error;
    always @(posedge clock) had_error <= ~reset & (error != 8'd0);

    axi_stream_rules #(.WIDTH(33 * `VALUES + 1)) results (
        .clock     (clock),
        .reset     (reset),
        .withdraws ((error != 8'd0) & ~had_error),
        .valid     (result_valid),
        .ready     (result_ready),
        .data      ({result_last, result_keep, result_data})
    );
endmodule

`default_nettype wire
