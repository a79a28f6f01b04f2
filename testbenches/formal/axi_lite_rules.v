// What AXI4-Lite asks of a slave (AMBA AXI, IHI 0022, chapters A3 and B1), and what it may assume of its master.
//
// - an answer that is offered stays, unchanged, until it is taken;
// - no answer without a request: `bvalid` only for an address and data that were both taken, `rvalid` only for an address;
// - every request is answered, within `BOUND cycles in which its answers could leave.

`default_nettype none

module axi_lite_rules #(
    parameter BOUND = 3  // cycles from a whole request to its answer, while answers are taken
) (
    input wire        clock,
    input wire        reset,
    input wire        awvalid,
    input wire        awready,
    input wire [11:0] awaddr,
    input wire        wvalid,
    input wire        wready,
    input wire [31:0] wdata,
    input wire [3:0]  wstrb,
    input wire        bvalid,
    input wire        bready,
    input wire [1:0]  bresp,
    input wire        arvalid,
    input wire        arready,
    input wire [11:0] araddr,
    input wire        rvalid,
    input wire        rready,
    input wire [31:0] rdata,
    input wire [1:0]  rresp
);
    // Requests that were taken and not answered yet.
    reg [3:0] addresses, data, reads;
    // Cycles for which an answer to a whole request could have been offered, and was not.
    reg [3:0] write_wait, read_wait;
    // What was offered in the cycle before and not taken.
    reg        aw_offered, w_offered, b_offered, ar_offered, r_offered;
    reg [11:0] awaddr_before, araddr_before;
    reg [31:0] wdata_before, rdata_before;
    reg [3:0]  wstrb_before;
    reg [1:0]  bresp_before, rresp_before;
    reg        started;
    initial started = 1'b0;

    wire aw = awvalid & awready;
    wire w  = wvalid & wready;
    wire b  = bvalid & bready;
    wire ar = arvalid & arready;
    wire r  = rvalid & rready;

    always @(posedge clock) begin
        started    <= 1'b1;
        addresses  <= addresses + aw - b;
        data       <= data + w - b;
        reads      <= reads + ar - r;
        write_wait <= (addresses != 0) & (data != 0) & ~bvalid ? write_wait + 4'd1 : 4'd0;
        read_wait  <= (reads != 0) & ~rvalid ? read_wait + 4'd1 : 4'd0;
        aw_offered <= awvalid & ~awready;
        w_offered  <= wvalid & ~wready;
        b_offered  <= bvalid & ~bready;
        ar_offered <= arvalid & ~arready;
        r_offered  <= rvalid & ~rready;
        if (reset) begin
            {addresses, data, reads, write_wait, read_wait} <= 20'd0;
            {aw_offered, w_offered, b_offered, ar_offered, r_offered} <= 5'd0;
        end
        awaddr_before <= awaddr;
        wdata_before  <= wdata;
        wstrb_before  <= wstrb;
        bresp_before  <= bresp;
        araddr_before <= araddr;
        rdata_before  <= rdata;
        rresp_before  <= rresp;
    end

    always @* begin
        if (!started) assume (reset);
        if (started & !reset) begin
            // The master.
            if (aw_offered) assume (awvalid & (awaddr == awaddr_before));
            if (w_offered) assume (wvalid & (wdata == wdata_before) & (wstrb == wstrb_before));
            if (ar_offered) assume (arvalid & (araddr == araddr_before));
            // Stable answers.
            if (b_offered) assert (bvalid & (bresp == bresp_before));
            if (r_offered) assert (rvalid & (rresp == rresp_before) & (rdata == rdata_before));
            // OKAY or SLVERR; the others have no place here.
            if (bvalid) assert (!bresp[0]);
            if (rvalid) assert (!rresp[0]);
            // No answer without its request.
`ifdef WRONG
            if (bvalid) assert (addresses > 4'd1);
`else
            if (bvalid) assert ((addresses != 0) & (data != 0));
`endif
            if (rvalid) assert (reads != 0);
            // Two requests can be under way on each channel: one answered, one taken.
            assert (addresses <= 4'd2);
            assert (data <= 4'd2);
            assert (reads <= 4'd2);
            // Every request is answered.
            assert (write_wait < BOUND);
            assert (read_wait < BOUND);
            // Never stuck: what can be taken is taken.
            assert (awready | (addresses != 0));
            assert (wready | (data != 0));
            assert (arready | (reads != 0));
            cover (b & (bresp == 2'd0));
            cover (b & (bresp == 2'd2));
            cover (r & (rresp == 2'd0));
            cover (r & (rresp == 2'd2));
            cover (b & (addresses == 4'd2));
        end
    end
endmodule

`default_nettype wire
