// The register in front of the AXI4-Stream of results is a queue of one, which passes a transfer in every cycle.

`default_nettype none

module result_hold (
    input wire        clock,
    input wire        reset,
    input wire        in_valid,
    input wire [31:0] in_data,
    input wire        in_keep,
    input wire        in_last,
    input wire        out_ready
);
    wire        in_ready, out_valid, out_last;
    wire [31:0] out_data;
    wire [3:0]  out_keep;

    `DUT dut (
        .clock     (clock),
        .reset     (reset),
        .in_valid  (in_valid),
        .in_ready  (in_ready),
        .in_data   (in_data),
        .in_keep   (in_keep),
        .in_last   (in_last),
        .out_valid (out_valid),
        .out_ready (out_ready),
        .out_data  (out_data),
        .out_keep  (out_keep),
        .out_last  (out_last)
    );

    fifo_rules #(.WIDTH(37), .DEPTH(1)) rules (
        .clock     (clock),
        .reset     (reset),
        .in_valid  (in_valid),
        .in_ready  (in_ready),
        .in_data   ({in_last, {4{in_keep}}, in_data}),
        .out_valid (out_valid),
        .out_ready (out_ready),
        .out_data  ({out_last, out_keep, out_data})
    );
endmodule

`default_nettype wire
