// SPDX-License-Identifier: Apache-2.0 OR MIT
// Plays what a host does with an accelerator's core, cycle by cycle, and compares every output that is defined.
//
// `gen/tests/gates.rs` records the cycles from the cycle-accurate model and writes, into the folder the bench runs in:
//
//   core_tb.vh     `XNF_TOP`, widths and counts, `XNF_PINS` (the ports as parts of `in` and `out`), and `XNF_DEPOSITS`:
//                  what registers and memories hold when the power comes
//   cycles.bin     {which outputs count, outputs, inputs} of each cycle
//
// It prints one line, PASS or FAIL, and stops at the first difference; an X or Z where an output counts is one.
`timescale 1ns / 1ps
`include "core_tb.vh"
`default_nettype none

module core_tb;
    localparam INPUTS  = `XNF_INPUTS;
    localparam OUTPUTS = `XNF_OUTPUTS;
    localparam CYCLES  = `XNF_CYCLES;

    reg  [2*OUTPUTS+INPUTS-1:0] cycles [0:CYCLES-1];
    reg  [INPUTS-1:0]           in;
    wire [OUTPUTS-1:0]          out;
    reg  [OUTPUTS-1:0]          expected, counts;
    reg                         clock;
    integer                     cycle;

    `XNF_TOP dut (.clock(clock), `XNF_PINS);

    initial begin
        $readmemb("cycles.bin", cycles);
        clock = 0;
        #1;
        `XNF_DEPOSITS
        for (cycle = 0; cycle < CYCLES; cycle = cycle + 1) begin
            {counts, expected, in} = cycles[cycle];
            #4;
            if ((out & counts) !== (expected & counts)) begin
                $display("FAIL cycle %0d: expected %b, found %b, which count: %b", cycle, expected, out, counts);
                $finish;
            end
            #1 clock = 1;
            #5 clock = 0;
        end
        $display("PASS: %0d cycles", CYCLES);
        $finish;
    end
endmodule

`default_nettype wire
