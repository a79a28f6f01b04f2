//! The top module with AMBA ports.

use super::{Accelerator, AxiLite, ResultHold};
use crate::accelerator::AcceleratorDesign;
use crate::accelerator::config::RESULT_BITS;
use crate::regmap::{ADDRESS_BITS, REGISTER_BITS};
use crate::rtl::prelude::*;

/// The accelerator behind AXI4-Lite registers and AXI4-Stream ports (`docs/accelerator.md`, "Host interface").
#[derive(Clone, Debug, LogicBlock)]
pub struct AxiAccelerator {
    shape: Shape,
    /// Clock of all ports.
    pub aclk: Signal<In, Clock>,
    /// Reset, active low, taken at a clock edge.
    pub aresetn: Net<In>,
    /// Registers: a write's address is offered.
    pub s_axil_awvalid: Net<In>,
    /// It is taken.
    pub s_axil_awready: Net<Out>,
    /// The address in bytes.
    pub s_axil_awaddr: Net<In>,
    /// Protection, of no meaning here.
    pub s_axil_awprot: Net<In>,
    /// A write's data are offered.
    pub s_axil_wvalid: Net<In>,
    /// They are taken.
    pub s_axil_wready: Net<Out>,
    /// The data.
    pub s_axil_wdata: Net<In>,
    /// Which bytes are written.
    pub s_axil_wstrb: Net<In>,
    /// A write is answered.
    pub s_axil_bvalid: Net<Out>,
    /// The answer is taken.
    pub s_axil_bready: Net<In>,
    /// OKAY or SLVERR.
    pub s_axil_bresp: Net<Out>,
    /// A read's address is offered.
    pub s_axil_arvalid: Net<In>,
    /// It is taken.
    pub s_axil_arready: Net<Out>,
    /// The address in bytes.
    pub s_axil_araddr: Net<In>,
    /// Protection, of no meaning here.
    pub s_axil_arprot: Net<In>,
    /// A read is answered.
    pub s_axil_rvalid: Net<Out>,
    /// The answer is taken.
    pub s_axil_rready: Net<In>,
    /// The data.
    pub s_axil_rdata: Net<Out>,
    /// OKAY or SLVERR.
    pub s_axil_rresp: Net<Out>,
    /// Program stream: a word is offered.
    pub s_axis_program_tvalid: Net<In>,
    /// It is taken.
    pub s_axis_program_tready: Net<Out>,
    /// The word.
    pub s_axis_program_tdata: Net<In>,
    /// It ends a packet.
    pub s_axis_program_tlast: Net<In>,
    /// Weight stream: a beat is offered.
    pub s_axis_weight_tvalid: Net<In>,
    /// It is taken.
    pub s_axis_weight_tready: Net<Out>,
    /// The beat.
    pub s_axis_weight_tdata: Net<In>,
    /// It ends a packet.
    pub s_axis_weight_tlast: Net<In>,
    /// Input stream: a beat is offered.
    pub s_axis_input_tvalid: Net<In>,
    /// It is taken.
    pub s_axis_input_tready: Net<Out>,
    /// The beat.
    pub s_axis_input_tdata: Net<In>,
    /// It ends a packet.
    pub s_axis_input_tlast: Net<In>,
    /// Result stream: values are offered.
    pub m_axis_result_tvalid: Net<Out>,
    /// They are taken.
    pub m_axis_result_tready: Net<In>,
    /// The values.
    pub m_axis_result_tdata: Vec<Net<Out>>,
    /// Which of their bytes are valid.
    pub m_axis_result_tkeep: Vec<Net<Out>>,
    /// They end a packet.
    pub m_axis_result_tlast: Net<Out>,
    /// Interrupt: level, active high.
    pub irq: Net<Out>,
    registers: AxiLite,
    core: Accelerator,
    result: ResultHold,
    reset: Net<Local>,
    _values: usize,
}

impl AxiAccelerator {
    /// The top module of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let (stream, values) = (design.config().stream_bits, design.config().drain_columns);
        let protection = || Net::partly_unused(3, "all accesses are alike");
        AxiAccelerator {
            shape: Shape::new(
                format!("axi_{}", design.top_name().trim_start_matches("xnf_")),
                "Top module: the accelerator behind AXI4-Lite and AXI4-Stream. Registers: docs/registers.md of XnorForge.",
            ),
            aclk: Signal::default(),
            aresetn: Net::new(1),
            s_axil_awvalid: Net::new(1),
            s_axil_awready: Net::new(1),
            s_axil_awaddr: Net::new(ADDRESS_BITS),
            s_axil_awprot: protection(),
            s_axil_wvalid: Net::new(1),
            s_axil_wready: Net::new(1),
            s_axil_wdata: Net::new(REGISTER_BITS),
            s_axil_wstrb: Net::new(REGISTER_BITS / 8),
            s_axil_bvalid: Net::new(1),
            s_axil_bready: Net::new(1),
            s_axil_bresp: Net::new(2),
            s_axil_arvalid: Net::new(1),
            s_axil_arready: Net::new(1),
            s_axil_araddr: Net::new(ADDRESS_BITS),
            s_axil_arprot: protection(),
            s_axil_rvalid: Net::new(1),
            s_axil_rready: Net::new(1),
            s_axil_rdata: Net::new(REGISTER_BITS),
            s_axil_rresp: Net::new(2),
            s_axis_program_tvalid: Net::new(1),
            s_axis_program_tready: Net::new(1),
            s_axis_program_tdata: Net::new(32),
            s_axis_program_tlast: Net::new(1),
            s_axis_weight_tvalid: Net::new(1),
            s_axis_weight_tready: Net::new(1),
            s_axis_weight_tdata: Net::new(stream),
            s_axis_weight_tlast: Net::new(1),
            s_axis_input_tvalid: Net::new(1),
            s_axis_input_tready: Net::new(1),
            s_axis_input_tdata: Net::new(stream),
            s_axis_input_tlast: Net::new(1),
            m_axis_result_tvalid: Net::new(1),
            m_axis_result_tready: Net::new(1),
            m_axis_result_tdata: Net::vector(values, RESULT_BITS),
            m_axis_result_tkeep: Net::vector(values, RESULT_BITS / 8),
            m_axis_result_tlast: Net::new(1),
            irq: Net::new(1),
            registers: AxiLite::new(design),
            core: Accelerator::new(design),
            result: ResultHold::new(design),
            reset: Net::new(1),
            _values: values as usize,
        }
    }
}

impl Logic for AxiAccelerator {
    #[hdl_gen]
    fn update(&mut self) {
        self.reset.next = !self.aresetn.val();
        self.registers.clock.next = self.aclk.val();
        self.registers.reset.next = self.reset.val();
        self.registers.awvalid.next = self.s_axil_awvalid.val();
        self.registers.awaddr.next = self.s_axil_awaddr.val();
        self.registers.wvalid.next = self.s_axil_wvalid.val();
        self.registers.wdata.next = self.s_axil_wdata.val();
        self.registers.wstrb.next = self.s_axil_wstrb.val();
        self.registers.bready.next = self.s_axil_bready.val();
        self.registers.arvalid.next = self.s_axil_arvalid.val();
        self.registers.araddr.next = self.s_axil_araddr.val();
        self.registers.rready.next = self.s_axil_rready.val();
        self.s_axil_awready.next = self.registers.awready.val();
        self.s_axil_wready.next = self.registers.wready.val();
        self.s_axil_bvalid.next = self.registers.bvalid.val();
        self.s_axil_bresp.next = self.registers.bresp.val();
        self.s_axil_arready.next = self.registers.arready.val();
        self.s_axil_rvalid.next = self.registers.rvalid.val();
        self.s_axil_rdata.next = self.registers.rdata.val();
        self.s_axil_rresp.next = self.registers.rresp.val();
        self.irq.next = self.registers.irq.val();

        self.core.clock.next = self.aclk.val();
        self.core.reset.next = self.reset.val() | self.registers.soft_reset.val();
        self.core.start.next = self.registers.start.val();
        self.core.start_address.next = self.registers.start_address.val();
        self.core.runs.next = self.registers.runs.val();
        self.core.counter_clear.next = self.registers.counter_clear.val();
        self.core.counter_address.next = self.registers.counter_address.val();
        self.registers.busy.next = self.core.busy.val();
        self.registers.done.next = self.core.done.val();
        self.registers.error.next = self.core.error.val();
        self.registers.layer.next = self.core.layer.val();
        self.registers.counter_clearing.next = self.core.counter_clearing.val();
        self.registers.counter_value.next = self.core.counter_value.val();

        self.core.program_valid.next = self.s_axis_program_tvalid.val();
        self.core.program_data.next = self.s_axis_program_tdata.val();
        self.core.program_last.next = self.s_axis_program_tlast.val();
        self.s_axis_program_tready.next = self.core.program_ready.val();
        self.core.weight_valid.next = self.s_axis_weight_tvalid.val();
        self.core.weight_data.next = self.s_axis_weight_tdata.val();
        self.core.weight_last.next = self.s_axis_weight_tlast.val();
        self.s_axis_weight_tready.next = self.core.weight_ready.val();
        self.core.input_valid.next = self.s_axis_input_tvalid.val();
        self.core.input_data.next = self.s_axis_input_tdata.val();
        self.core.input_last.next = self.s_axis_input_tlast.val();
        self.s_axis_input_tready.next = self.core.input_ready.val();

        self.result.clock.next = self.aclk.val();
        self.result.reset.next = self.reset.val();
        self.result.in_valid.next = self.core.result_valid.val();
        self.result.in_last.next = self.core.result_last.val();
        self.core.result_ready.next = self.result.in_ready.val();
        self.m_axis_result_tvalid.next = self.result.out_valid.val();
        self.result.out_ready.next = self.m_axis_result_tready.val();
        for e in 0..self._values {
            self.result.in_data[e].next = self.core.result_data[e].val();
            self.result.in_keep[e].next = self.core.result_keep[e].val();
            self.m_axis_result_tdata[e].next = self.result.out_data[e].val();
            self.m_axis_result_tkeep[e].next = self.result.out_keep[e].val();
        }
        self.m_axis_result_tlast.next = self.result.out_last.val();
    }
}
