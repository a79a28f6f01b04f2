// The buffer at the array's result port is a queue of two.

`default_nettype none

module skid_buffer (
    input wire                  clock,
    input wire                  reset,
    input wire                  in_valid,
    input wire                  in_last,
    input wire [`WIDTH-1:0]     in_value,
    input wire                  out_ready
);
    wire              in_ready, out_valid, out_last;
    wire [`WIDTH-1:0] out_value;

    `DUT dut (
        .clock     (clock),
        .reset     (reset),
        .in_valid  (in_valid),
        .in_last   (in_last),
        .in_value  (in_value),
        .out_ready (out_ready),
        .in_ready  (in_ready),
        .out_valid (out_valid),
        .out_last  (out_last),
        .out_value (out_value)
    );

    fifo_rules #(.WIDTH(`WIDTH + 1), .DEPTH(2)) rules (
        .clock     (clock),
        .reset     (reset),
        .in_valid  (in_valid),
        .in_ready  (in_ready),
        .in_data   ({in_last, in_value}),
        .out_valid (out_valid),
        .out_ready (out_ready),
        .out_data  ({out_last, out_value})
    );
endmodule

`default_nettype wire
