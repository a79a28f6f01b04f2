// The ports of the whole accelerator behind AXI, every input free: AXI4-Lite registers, AXI4-Stream of results.

`default_nettype none

module axi_top (
    input wire         aclk,
    input wire         aresetn,
    input wire         awvalid,
    input wire [11:0]  awaddr,
    input wire         wvalid,
    input wire [31:0]  wdata,
    input wire [3:0]   wstrb,
    input wire         bready,
    input wire         arvalid,
    input wire [11:0]  araddr,
    input wire         rready,
    input wire         program_valid,
    input wire [31:0]  program_data,
    input wire         program_last,
    input wire         weight_valid,
    input wire [`STREAM-1:0] weight_data,
    input wire         weight_last,
    input wire         input_valid,
    input wire [`STREAM-1:0] input_data,
    input wire         input_last,
    input wire         result_ready
);
    wire        awready, wready, bvalid, arready, rvalid;
    wire [1:0]  bresp, rresp;
    wire [31:0] rdata;
    wire        result_valid, result_last;
    wire [32*`VALUES-1:0] result_data;
    wire [4*`VALUES-1:0]  result_keep;

    `DUT dut (
        .aclk                  (aclk),
        .aresetn               (aresetn),
        .s_axil_awvalid        (awvalid),
        .s_axil_awready        (awready),
        .s_axil_awaddr         (awaddr),
        .s_axil_awprot         (3'd0),
        .s_axil_wvalid         (wvalid),
        .s_axil_wready         (wready),
        .s_axil_wdata          (wdata),
        .s_axil_wstrb          (wstrb),
        .s_axil_bvalid         (bvalid),
        .s_axil_bready         (bready),
        .s_axil_bresp          (bresp),
        .s_axil_arvalid        (arvalid),
        .s_axil_arready        (arready),
        .s_axil_araddr         (araddr),
        .s_axil_arprot         (3'd0),
        .s_axil_rvalid         (rvalid),
        .s_axil_rready         (rready),
        .s_axil_rdata          (rdata),
        .s_axil_rresp          (rresp),
        .s_axis_program_tvalid (program_valid),
        .s_axis_program_tdata  (program_data),
        .s_axis_program_tlast  (program_last),
        .s_axis_weight_tvalid  (weight_valid),
        .s_axis_weight_tdata   (weight_data),
        .s_axis_weight_tlast   (weight_last),
        .s_axis_input_tvalid   (input_valid),
        .s_axis_input_tdata    (input_data),
        .s_axis_input_tlast    (input_last),
        .m_axis_result_tvalid  (result_valid),
        .m_axis_result_tready  (result_ready),
        .m_axis_result_tdata   (result_data),
        .m_axis_result_tkeep   (result_keep),
        .m_axis_result_tlast   (result_last)
    );

`ifdef LITE
    axi_lite_rules registers (
        .clock   (aclk),
        .reset   (~aresetn),
        .awvalid (awvalid),
        .awready (awready),
        .awaddr  (awaddr),
        .wvalid  (wvalid),
        .wready  (wready),
        .wdata   (wdata),
        .wstrb   (wstrb),
        .bvalid  (bvalid),
        .bready  (bready),
        .bresp   (bresp),
        .arvalid (arvalid),
        .arready (arready),
        .araddr  (araddr),
        .rvalid  (rvalid),
        .rready  (rready),
        .rdata   (rdata),
        .rresp   (rresp)
    );
`endif
`ifdef RESULTS
    axi_stream_rules #(.WIDTH(36 * `VALUES + 1)) results (
        .clock     (aclk),
        .reset     (~aresetn),
        .withdraws (1'b0),
        .valid     (result_valid),
        .ready     (result_ready),
        .data      ({result_last, result_keep, result_data})
    );
`endif
endmodule

`default_nettype wire
