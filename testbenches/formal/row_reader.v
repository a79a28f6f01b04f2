// The row reader is a queue of two places: the row in the drain, and the next one, whose residual codes are read ahead. The
// residual memory gives anything (it is cut).
//
// Given is what its neighbours promise: a place comes only when there is room, a row ends only when it is there, and the
// descriptor stands still.

`default_nettype none

module row_reader (
    input wire                 clock,
    input wire                 reset,
    input wire                 gives,
    input wire [`GRANULE-1:0]  granule,
    input wire [`CONSTANT-1:0] constant,
    input wire                 row_end,
    input wire                 step
);
    (* anyconst *) wire                uses_residual;
    (* anyconst *) wire [`GROUPS-1:0]  residual_groups;
    (* anyseq *)   wire [`COLUMN-1:0]  column;
    (* anyseq *)   wire                flow;
    wire                ready, row_ready;
    wire [`GRANULE-1:0] row_granule;

    `DUT dut (
        .clock           (clock),
        .reset           (reset),
        .gives           (gives),
        .granule         (granule),
        .constant        (constant),
        .uses_residual   (uses_residual),
        .residual_groups (residual_groups),
        .column          (column),
        .step            (step),
        .flow            (flow),
        .row_end         (row_end),
        .write           (1'b0),
        .ready           (ready),
        .row_ready       (row_ready),
        .row_granule     (row_granule)
    );

    fifo_rules #(.WIDTH(`GRANULE), .DEPTH(2), .EAGER(0), .PATIENCE(`PLANES + 3)) rules (
        .clock     (clock),
        .reset     (reset),
        .in_valid  (gives),
        .in_ready  (ready),
        .in_data   (granule),
        .out_valid (row_ready),
        .out_ready (row_end),
        .out_data  (row_granule)
    );

    always @* begin
        if (gives) assume (ready);
        if (row_end) assume (row_ready);
        assume ((residual_groups != 0) & (residual_groups <= `PLANES));
    end
endmodule

`default_nettype wire
