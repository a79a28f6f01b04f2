// What a first-in first-out buffer must do, whatever it holds: it never loses, doubles, changes or reorders an element.
//
// One element, chosen freely when it enters, is followed to the exit: its place in the queue is counted from outside, so
// the buffer's own registers are nowhere trusted. Since the choice is free, what holds for it holds for all.

`default_nettype none

module fifo_rules #(
    parameter WIDTH    = 1,  // bits of an element
    parameter DEPTH    = 1,  // most elements that are inside at once
    parameter EAGER    = 1,  // offers what it holds, and takes while there is room, in every cycle
    parameter PATIENCE = 1   // cycles within which it offers what it holds
) (
    input wire             clock,
    input wire             reset,
    input wire             in_valid,
    input wire             in_ready,
    input wire [WIDTH-1:0] in_data,
    input wire             out_valid,
    input wire             out_ready,
    input wire [WIDTH-1:0] out_data
);
    (* anyseq *) wire chosen;

    wire push = in_valid & in_ready;
    wire pop  = out_valid & out_ready;

    // Elements inside; the followed one, and how many stand before it; cycles in which none was offered.
    reg [7:0]       count;
    reg             followed;
    reg [7:0]       before;
    reg [WIDTH-1:0] element;
    reg [7:0]       hidden;
    reg             was_reset;
    reg             started;
    initial started = 1'b0;

    wire [7:0] count_next = count + {7'd0, push} - {7'd0, pop};

    always @(posedge clock) begin
        started   <= 1'b1;
        was_reset <= reset;
        if (reset) begin
            count    <= 8'd0;
            hidden   <= 8'd0;
            followed <= 1'b0;
        end else begin
            count  <= count_next;
            hidden <= (count != 8'd0) & ~out_valid ? hidden + 8'd1 : 8'd0;
            if (!followed) begin
                if (push & chosen) begin
                    followed <= 1'b1;
                    before   <= count - {7'd0, pop};
                    element  <= in_data;
                end
            end else if (pop) begin
                followed <= before != 8'd0;
                before   <= before - 8'd1;
            end
        end
    end

    // The last offer, for stability.
    reg             offered;
    reg [WIDTH-1:0] offer;
    always @(posedge clock) begin
        offered <= out_valid & ~out_ready & ~reset;
        offer   <= out_data;
    end

    always @* begin
        if (!started) assume (reset);
        if (started & !reset) begin
            // Nothing comes out that did not go in, and nothing that is inside is hidden.
            if (out_valid) assert (count != 8'd0);
            if (EAGER) assert (out_valid == (count != 8'd0));
            assert (hidden < PATIENCE);
            assert (count <= DEPTH);
            // It takes an element while there is room; a reset may cost one cycle, in which nothing may be offered then:
            // the assertion `offer_after_reset` in the design, proven on the whole of it.
            if (EAGER & !was_reset) assert (in_ready | (count == DEPTH));
            if (was_reset & !in_ready) assume (!in_valid);
            if (followed) begin
                assert (before < count);
`ifdef WRONG
                if (pop & (before == 8'd0)) assert (out_data != element);
`else
                if (pop & (before == 8'd0)) assert (out_data == element);
`endif
            end
            if (offered) begin
                assert (out_valid);
                assert (out_data == offer);
            end
            // Reached: full, then empty again with the followed element out.
            cover (count == DEPTH);
            cover (followed & pop & (before == 8'd0));
        end
    end
endmodule

`default_nettype wire
