// A host that writes `soft_reset` to the control register again and again gets it within eight cycles, whatever state the
// registers are in and whatever the core does: not even a running or hanging program locks it out. (What a reset then does to
// the core: `core_reset.v`.)

`default_nettype none

module soft_reset (
    input wire       clock,
    input wire       busy,
    input wire       done,
    input wire [7:0] error,
    input wire       counter_clearing
);
    wire [11:0] control = `CONTROL;
    wire        resets;

    `DUT dut (
        .clock            (clock),
        .reset            (1'b0),
        .awvalid          (1'b1),
        .awaddr           (control),
        .wvalid           (1'b1),
`ifdef WRONG
        .wdata            (32'd1 << (`BIT - 1)),
`else
        .wdata            (32'd1 << `BIT),
`endif
        .wstrb            (4'b1111),
        .bready           (1'b1),
        .arvalid          (1'b0),
        .araddr           (12'd0),
        .rready           (1'b1),
        .soft_reset       (resets),
        .busy             (busy),
        .done             (done),
        .error            (error),
        .counter_clearing (counter_clearing)
    );

    reg [3:0] cycle;
    reg       seen;
    initial begin
        cycle = 4'd0;
        seen  = 1'b0;
    end
    always @(posedge clock) begin
        cycle <= cycle + 4'd1;
        // The first cycles may hold what the state held before.
        seen  <= seen | (resets & (cycle > 4'd1));
    end

    always @* if (cycle == 4'd9) assert (seen);
endmodule

`default_nettype wire
