// The sequencer never stands still, whatever the program says: while a program runs, a descriptor is fetched, an engine is
// started, the run ends or an error is raised, again and again, each within a bound of cycles.
//
// The program memory and the descriptor's fields give any value in any cycle (`free_memory.v`), so this holds for programs
// that make no sense as well. Given is only what the engines promise: who was started finishes, and only then, within
// `PATIENCE cycles; the weight port works for at most `PATIENCE cycles at a time.

`default_nettype none

module sequencer (
    input wire        clock,
    input wire        reset,
    input wire        start,
    input wire [15:0] runs,
    input wire        compute_finished,
    input wire        pool_finished,
    input wire        input_finished,
    input wire        weights_busy
);
    (* anyseq *) wire [3:0] opcode;
    (* anyseq *) wire [1:0] mode;
    (* anyseq *) wire       wait_weights, to_activation, to_residual, residual_before, residual_after;
    (* anyseq *) wire [`ACTIVATION-1:0] in_base, in_last;
    (* anyseq *) wire [`OUTPUT-1:0]     out_base, out_last;
    (* anyseq *) wire [3:0] some_error;

    wire [`FIELDS-1:0] fetch_select;
    wire [31:0] fetch_word;
    wire [7:0]  error;
    wire        go_compute, go_pool, go_input, go_weights, flush, busy, done;
    wire        state_compute, state_pool, state_input, state_weights;

    `DUT dut (
        .clock            (clock),
        .reset            (reset),
        .start            (start),
        .start_address    ({`ADDRESS{1'b0}}),
        .runs             (runs),
        .program_write    (1'b0),
        .program_address  ({`ADDRESS{1'b0}}),
        .program_value    (32'd0),
        .opcode           (opcode),
        .wait_weights     (wait_weights),
        .to_activation    (to_activation),
        .to_residual      (to_residual),
        .mode             (mode),
        .residual_before  (residual_before),
        .residual_after   (residual_after),
        .in_base          (in_base),
        .in_last          (in_last),
        .out_base         (out_base),
        .out_last         (out_last),
        .compute_finished (compute_finished),
        .pool_finished    (pool_finished),
        .input_finished   (input_finished),
        .weights_busy     (weights_busy),
        .compute_error    (some_error),
        .back_error       (4'd0),
        .patch_error      (4'd0),
        .input_error      (4'd0),
        .weight_error     (4'd0),
        .load_error       (4'd0),
        .fetch_select     (fetch_select),
        .fetch_word       (fetch_word),
        .go_compute       (go_compute),
        .go_pool          (go_pool),
        .go_input         (go_input),
        .go_weights       (go_weights),
        .flush            (flush),
        .busy             (busy),
        .done             (done),
        .error            (error),
        .state_compute    (state_compute),
        .state_pool       (state_pool),
        .state_input      (state_input),
        .state_weights    (state_weights)
    );

    wire running = state_compute | state_pool | state_input;

    // How long an engine has been at work, and the weight port.
    reg [7:0] works, weights, still;
    reg       started;
    initial started = 1'b0;
    wire progress = fetch_select[0] | go_compute | go_pool | go_input | go_weights | done | flush;
    always @(posedge clock) begin
        started <= 1'b1;
        works   <= running & ~(compute_finished | pool_finished | input_finished) ? works + 8'd1 : 8'd0;
        weights <= weights_busy ? weights + 8'd1 : 8'd0;
        still   <= busy & ~progress ? still + 8'd1 : 8'd0;
        if (reset) begin
            works   <= 8'd0;
            weights <= 8'd0;
            still   <= 8'd0;
        end
    end

    always @* begin
        if (!started) assume (reset);
        // What the engines promise.
        if (compute_finished) assume (state_compute & ~go_compute);
        if (pool_finished) assume (state_pool & ~go_pool);
        if (input_finished) assume (state_input & ~go_input);
        if (running & (works >= `PATIENCE)) assume (compute_finished | pool_finished | input_finished);
        assume (weights <= `PATIENCE);
        if (weights == `PATIENCE) assume (!weights_busy);
        if (started & !reset) begin
            // One engine at a time, one word of a descriptor at a time.
            assert (state_compute + state_pool + state_input <= 2'd1);
            assert (go_compute + go_pool + go_input + go_weights <= 3'd1);
            assert ((fetch_select & (fetch_select - 1'b1)) == 0);
            // An engine is only started while a program runs.
            if (go_compute | go_pool | go_input | go_weights) assert (busy);
`ifdef WRONG
            assert (still <= `FIELDS);
`else
            assert (still <= `FIELDS + `PATIENCE + 4);
`endif
            cover (done);
            cover (go_compute);
            cover (flush);
        end
    end
endmodule

`default_nettype wire
