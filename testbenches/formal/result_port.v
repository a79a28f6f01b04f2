// The buffer at the result stream of the accelerator's core is a queue of two; values leave with their sign extended.

`default_nettype none

module result_port (
    input wire              clock,
    input wire              reset,
    input wire              in_valid,
    input wire              in_last,
    input wire              in_keep,
    input wire [`WIDTH-1:0] in_value,
    input wire              out_ready
);
    wire        in_ready, out_valid, out_last, out_keep;
    wire [31:0] out_value;
    wire [31:0] in_extended = {{(32 - `WIDTH){in_value[`WIDTH-1]}}, in_value};

    `DUT dut (
        .clock     (clock),
        .reset     (reset),
        .in_valid  (in_valid),
        .in_last   (in_last),
        .in_keep   (in_keep),
        .in_value  (in_value),
        .out_ready (out_ready),
        .in_ready  (in_ready),
        .out_valid (out_valid),
        .out_last  (out_last),
        .out_keep  (out_keep),
        .out_value (out_value)
    );

    fifo_rules #(.WIDTH(34), .DEPTH(2)) rules (
        .clock     (clock),
        .reset     (reset),
        .in_valid  (in_valid),
        .in_ready  (in_ready),
        .in_data   ({in_last, in_keep, in_extended}),
        .out_valid (out_valid),
        .out_ready (out_ready),
        .out_data  ({out_last, out_keep, out_value})
    );
endmodule

`default_nettype wire
