// What AXI4-Stream asks of a master (AMBA, IHI 0051, section 2.2): what is offered stays, unchanged, until it is taken.

`default_nettype none

module axi_stream_rules #(
    parameter WIDTH = 1  // bits of a transfer: data, keep, last
) (
    input wire             clock,
    input wire             reset,
    input wire             withdraws,  // what is offered may be taken back
    input wire             valid,
    input wire             ready,
    input wire [WIDTH-1:0] data
);
    reg             started;
    reg             offered;
    reg [WIDTH-1:0] data_before;
    initial started = 1'b0;

    always @(posedge clock) begin
        started     <= 1'b1;
        offered     <= valid & ~ready & ~reset & ~withdraws;
        data_before <= data;
    end

    always @* begin
        if (!started) assume (reset);
        if (started & !reset & offered) begin
`ifdef WRONG
            assert (!valid);
`else
            assert (valid);
`endif
            assert (data == data_before);
        end
        cover (started & offered);
    end
endmodule

`default_nettype wire
