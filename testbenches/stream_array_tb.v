// SPDX-License-Identifier: Apache-2.0 OR MIT
// Self-checking test bench of an emitted array (top module, ports as in docs/microarchitecture.md), for a four-state
// simulator. testbenches/README.md says how to run it.
//
// It reads, from the folder it runs in, what `sim/tests/icarus.rs` writes:
//
//   stream_array_tb.vh  widths and counts, as macros (at compile time)
//   passes.hex          {constant writes, beats, rows of results} of each pass, 32 bits each
//   writes.hex          {entry, value} of each constant write
//   beats.hex           {first, last, shift, row_mode, align, result_shift, entry, weight, activation} of each beat
//   expected.hex        {columns that count, value} of each row of results
//
// Nothing is initialized: every register of the array is X until reset, and so is every payload that is not offered.
//
// Plusargs: +seed=N (stalls; 1 unless given), +stalls=0 (none), +vcd=FILE (a waveform).
// It prints one line, PASS or FAIL, and stops at the first difference.
`include "stream_array_tb.vh"
`default_nettype none

// What stands on a payload that is not offered: unknown, so that nothing depends on it. Gates whose models are more
// pessimistic than the device are run with zeros.
`ifdef XNF_KNOWN_IDLE
`define XNF_IDLE 1'b0
`else
`define XNF_IDLE 1'bx
`endif

module stream_array_tb;
    localparam ROWS         = `XNF_ROWS;
    localparam COLUMNS      = `XNF_COLUMNS;
    localparam RESULT       = `XNF_RESULT;
    localparam SHIFT        = `XNF_SHIFT;
    localparam ALIGN        = `XNF_ALIGN;
    localparam ENTRY        = `XNF_ENTRY;
    localparam ACTIVATION   = `XNF_ACTIVATION;
    localparam WEIGHT       = `XNF_WEIGHT;
    localparam PASSES       = `XNF_PASSES;
    localparam WRITES       = `XNF_WRITES;
    localparam BEATS        = `XNF_BEATS;
    localparam RESULTS      = `XNF_RESULTS;
    // Cycles without progress, not counting those that the bench stalls, in which a working array has moved.
    localparam HANG         = `XNF_HANG;
    localparam VALUE        = COLUMNS * RESULT;
    localparam BEAT         = 2 + SHIFT + 2 + ALIGN + 2 + ROWS * ENTRY + WEIGHT + ACTIVATION;

    reg  [95:0]              passes   [0:PASSES-1];
    reg  [ENTRY+VALUE-1:0]   writes   [0:WRITES-1];
    reg  [BEAT-1:0]          beats    [0:BEATS-1];
    reg  [COLUMNS+VALUE-1:0] expected [0:RESULTS-1];

    reg                      clock, reset;
    reg                      operand_valid, constant_write, result_ready;
    reg  [BEAT-1:0]          operand;
    reg  [ENTRY+VALUE-1:0]   constant;
    wire                     operand_ready, result_valid, result_last;
    wire [VALUE-1:0]         result_value;

    wire                     operand_first, operand_last;
    wire [SHIFT-1:0]         operand_shift;
    wire [1:0]               operand_row_mode, operand_result_shift;
    wire [ALIGN-1:0]         operand_align;
    wire [ROWS*ENTRY-1:0]    operand_entry;
    wire [WEIGHT-1:0]        operand_weight;
    wire [ACTIVATION-1:0]    operand_activation;
    wire [ENTRY-1:0]         constant_entry;
    wire [VALUE-1:0]         constant_value;

    assign {operand_first, operand_last, operand_shift, operand_row_mode, operand_align, operand_result_shift,
            operand_entry, operand_weight, operand_activation} = operand;
    assign {constant_entry, constant_value} = constant;

    `XNF_TOP dut (
        .clock                (clock),
        .reset                (reset),
        .operand_valid        (operand_valid),
        .operand_ready        (operand_ready),
        .operand_first        (operand_first),
        .operand_last         (operand_last),
        .operand_shift        (operand_shift),
        .operand_row_mode     (operand_row_mode),
        .operand_activation   (operand_activation),
        .operand_weight       (operand_weight),
        .operand_align        (operand_align),
        .operand_result_shift (operand_result_shift),
        .operand_entry        (operand_entry),
        .constant_write       (constant_write),
        .constant_entry       (constant_entry),
        .constant_value       (constant_value),
        .result_valid         (result_valid),
        .result_ready         (result_ready),
        .result_last          (result_last),
        .result_value         (result_value)
    );

    integer        seed, stalls, cycle, run_cycles, idle, pass, pass_start, column;
    // Written, sent and taken so far; where the pass ends; rows whose tile was sent whole; values compared.
    integer        written, sent, taken, writes_end, beats_end, results_end, due, compared;
    integer        constant_stall, operand_stall, result_stall;
    reg            failed;
    // The outputs before the inputs of a cycle change, and whether the last cycle left a result waiting.
    reg            stood_ready, stood_valid, stood_last, waiting;
    reg  [VALUE-1:0] stood_value, held_value;
    reg            held_last;
    reg  [8*256-1:0] vcd;

    // 1 in `percent` of 100 calls.
    function chance(input integer percent);
        chance = {$random(seed)} % 100 < percent;
    endfunction

    // How often a port stalls in this pass: never, seldom, often, nearly always.
    function integer draw_level(input integer unused);
        case ({$random(seed)} % 4)
            0: draw_level = 0;
            1: draw_level = 10;
            2: draw_level = 50;
            default: draw_level = 90;
        endcase
    endfunction

    // The first difference; what comes after it says nothing.
    task fail_bit(input [8*20-1:0] signal, input expects, input found, input [8*60-1:0] reason);
        if (!failed) begin
            failed = 1;
            $display("FAIL cycle %0d: %0s: expected %b, found %b: %0s", cycle, signal, expects, found, reason);
            $finish;
        end
    endtask

    task fail_unknown(input [8*20-1:0] signal, input found);
        if (!failed) begin
            failed = 1;
            $display("FAIL cycle %0d: %0s: expected 0 or 1, found %b", cycle, signal, found);
            $finish;
        end
    endtask

    task fail_value(input [VALUE-1:0] expects, input [8*60-1:0] reason);
        if (!failed) begin
            failed = 1;
            $display("FAIL cycle %0d: result_value: expected %h, found %h: %0s", cycle, expects, result_value, reason);
            $finish;
        end
    endtask

    task fail_column(input signed [RESULT-1:0] expects, input signed [RESULT-1:0] found);
        if (!failed) begin
            failed = 1;
            $display("FAIL cycle %0d: result_value[%0d +: %0d]: expected %0d (%h), found %0d (%h) in result %0d, column %0d",
                     cycle, column * RESULT, RESULT, expects, expects, found, found, taken, column);
            $finish;
        end
    endtask

    task fail_file(input [8*20-1:0] file, input integer line);
        if (!failed) begin
            failed = 1;
            $display("FAIL cycle %0d: %0s: expected a number, found none: line %0d", cycle, file, line);
            $finish;
        end
    endtask

    task check_known;
        begin
            if (^operand_ready === 1'bx) fail_unknown("operand_ready", operand_ready);
            if (^result_valid === 1'bx) fail_unknown("result_valid", result_valid);
            if (result_valid === 1'b1 && taken >= due) fail_bit("result_valid", 1'b0, 1'b1, "a result of no tile");
            if (result_valid === 1'b1) begin
                if (^result_last === 1'bx) fail_unknown("result_last", result_last);
                if (^result_value === 1'bx) fail_value(expected[taken][VALUE-1:0], "bits that are not 0 or 1");
            end
        end
    endtask

    // No output depends on an input of the same cycle.
    task check_standing;
        begin
            if (operand_ready !== stood_ready)
                fail_bit("operand_ready", stood_ready, operand_ready, "moved with an input");
            if (result_valid !== stood_valid) fail_bit("result_valid", stood_valid, result_valid, "moved with an input");
            if (result_last !== stood_last) fail_bit("result_last", stood_last, result_last, "moved with an input");
            if (result_value !== stood_value) fail_value(stood_value, "moved with an input");
        end
    endtask

    // A result that was not taken stays as it is.
    task check_waiting;
        if (waiting) begin
            if (result_valid !== 1'b1) fail_bit("result_valid", 1'b1, result_valid, "fell before result_ready");
            if (result_last !== held_last)
                fail_bit("result_last", held_last, result_last, "changed before result_ready");
            if (result_value !== held_value) fail_value(held_value, "changed before result_ready");
        end
    endtask

    task check_result;
        if (result_valid === 1'b1) begin
            if (^expected[taken] === 1'bx) fail_file("expected.hex", taken + 1);
            if (result_last !== (taken % ROWS == ROWS - 1))
                fail_bit("result_last", taken % ROWS == ROWS - 1, result_last, "in the wrong row");
            for (column = 0; column < COLUMNS; column = column + 1)
                if (expected[taken][VALUE + column] &&
                    result_value[column*RESULT +: RESULT] !== expected[taken][column*RESULT +: RESULT])
                    fail_column(expected[taken][column*RESULT +: RESULT], result_value[column*RESULT +: RESULT]);
        end
    endtask

    task check_progress(input moved, input could_move);
        begin
            if (moved) idle = 0;
            else if (could_move) idle = idle + 1;
            if (idle > HANG) begin
                if (sent < beats_end) fail_bit("operand_ready", 1'b1, operand_ready, "the array hangs");
                fail_bit("result_valid", 1'b1, result_valid, "the array hangs");
            end
        end
    endtask

    // Counts what the clock edge will move.
    task account;
        begin
            if (constant_write) written = written + 1;
            if (operand_valid && operand_ready) begin
                sent = sent + 1;
                if (operand_last) due = due + ROWS;
            end
            if (result_valid && result_ready) begin
                for (column = 0; column < COLUMNS; column = column + 1)
                    if (expected[taken][VALUE + column]) compared = compared + 1;
                taken = taken + 1;
            end
            waiting = result_valid && !result_ready;
            held_last = result_last;
            held_value = result_value;
        end
    endtask

    task edge_of_clock;
        begin
            #1 clock = 1;
            #5 clock = 0;
            #1 cycle = cycle + 1;
        end
    endtask

    // One cycle after reset: offers, checks, clock edge.
    task step(input writes_constant, input offers, input takes);
        begin
            stood_ready = operand_ready;
            stood_valid = result_valid;
            stood_last = result_last;
            stood_value = result_value;
            constant_write = writes_constant;
            constant = {(ENTRY + VALUE){`XNF_IDLE}};
            if (writes_constant) begin
                constant = writes[written];
                if (^constant === 1'bx) fail_file("writes.hex", written + 1);
            end
            operand_valid = offers;
            operand = {BEAT{`XNF_IDLE}};
            if (offers) begin
                operand = beats[sent];
                if (^operand === 1'bx) fail_file("beats.hex", sent + 1);
            end
            result_ready = takes;
            #3;
            check_known;
            check_standing;
            check_waiting;
            check_result;
            check_progress(writes_constant || (offers && operand_ready) || (takes && result_valid),
                           takes && taken < results_end && (offers || sent == beats_end));
            account;
            edge_of_clock;
        end
    endtask

    // One clock edge in reset. Nothing else has a value, only no constant is written.
    task reset_array;
        begin
            clock = 0;
            reset = 1;
            constant_write = 0;
            #3 edge_of_clock;
            reset = 0;
            operand_valid = 0;
            result_ready = 0;
            #1 cycle = 0;
        end
    endtask

    task begin_pass;
        begin
            if (^passes[pass] === 1'bx) fail_file("passes.hex", pass + 1);
            writes_end = writes_end + passes[pass][95:64];
            beats_end = beats_end + passes[pass][63:32];
            results_end = results_end + passes[pass][31:0];
            constant_stall = stalls ? draw_level(0) : 0;
            operand_stall = stalls ? draw_level(0) : 0;
            result_stall = stalls ? draw_level(0) : 0;
            pass_start = cycle;
        end
    endtask

    initial begin
        $readmemh("passes.hex", passes);
        $readmemh("writes.hex", writes);
        $readmemh("beats.hex", beats);
        $readmemh("expected.hex", expected);
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        if (!$value$plusargs("stalls=%d", stalls)) stalls = 1;
        if ($value$plusargs("vcd=%s", vcd)) begin
            $dumpfile(vcd);
            $dumpvars(0, stream_array_tb);
        end
        {failed, waiting} = 0;
        written = 0; sent = 0; taken = 0; due = 0; compared = 0; idle = 0;
        writes_end = 0; beats_end = 0; results_end = 0; run_cycles = 0; cycle = 0;
        reset_array;
        for (pass = 0; pass < PASSES && !failed; pass = pass + 1) begin
            begin_pass;
            while (written < writes_end && !failed) step(!chance(constant_stall), 1'b0, !chance(result_stall));
            while (taken < results_end && !failed)
                step(1'b0, sent < beats_end && !chance(operand_stall), !chance(result_stall));
            run_cycles = run_cycles + cycle - pass_start;
        end
        // The array is empty: nothing may come any more, and it takes beats.
        repeat (2 * ROWS + 16) if (!failed) step(1'b0, 1'b0, 1'b1);
        if (operand_ready !== 1'b1) fail_bit("operand_ready", 1'b1, operand_ready, "with an empty array");
        if (written != WRITES) fail_file("passes.hex", written);
        if (sent != BEATS) fail_file("passes.hex", sent);
        if (taken != RESULTS) fail_file("passes.hex", taken);
        if (!failed)
            $display("PASS: %0d passes, %0d writes, %0d beats, %0d results, %0d values, %0d cycles",
                     PASSES, written, sent, taken, compared, run_cycles);
        $finish;
    end
endmodule

`default_nettype wire
