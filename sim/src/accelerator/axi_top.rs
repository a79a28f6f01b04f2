//! The whole accelerator behind AXI4-Lite and AXI4-Stream, cycle by cycle: the trait, the model, and two in lockstep.

use super::lockstep::{Signals, agreed};
use super::{
    AcceleratorModel, AxiLiteInputs, AxiLiteModel, Core, CoreInputs, ResultHoldModel,
    ResultTransfer, Start, StreamBeat,
};
use crate::simulator::SimulatorError;
use std::fmt::Debug;
use xnorforge_hdl::AcceleratorDesign;

/// The inputs of one cycle. What is not offered has no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AxiInputs<'a> {
    /// `aresetn` is low.
    pub reset: bool,
    /// The write address that is offered.
    pub write_address: Option<u32>,
    /// The write data and strobes that are offered.
    pub write_data: Option<(u32, u8)>,
    /// `s_axil_bready`.
    pub bready: bool,
    /// The read address that is offered.
    pub read_address: Option<u32>,
    /// `s_axil_rready`.
    pub rready: bool,
    /// The word of a program packet that is offered, with TLAST.
    pub program: Option<(u32, bool)>,
    /// The beat of weights that is offered.
    pub weight: Option<StreamBeat<'a>>,
    /// The beat of a tensor that is offered.
    pub input: Option<StreamBeat<'a>>,
    /// `m_axis_result_tready`.
    pub result_ready: bool,
}

/// The outputs that stand during one cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AxiOutputs {
    /// `s_axil_awready`.
    pub awready: bool,
    /// `s_axil_wready`.
    pub wready: bool,
    /// `s_axil_bresp`, where `s_axil_bvalid`.
    pub write_response: Option<u8>,
    /// `s_axil_arready`.
    pub arready: bool,
    /// `s_axil_rdata` and `s_axil_rresp`, where `s_axil_rvalid`.
    pub read_response: Option<(u32, u8)>,
    /// `irq`.
    pub irq: bool,
    /// `s_axis_program_tready`.
    pub program_ready: bool,
    /// `s_axis_weight_tready`.
    pub weight_ready: bool,
    /// `s_axis_input_tready`.
    pub input_ready: bool,
    /// The transfer of results that is offered. Values whose bytes TKEEP leaves out are 0.
    pub result: Option<ResultTransfer>,
}

/// The top module with AMBA ports, cycle by cycle. Outputs are functions of registers alone.
pub trait AxiTop {
    /// What it is, for messages: "model" or "RTL".
    fn name(&self) -> &str;

    /// One cycle: the outputs that stand in it, then the clock edge.
    ///
    /// # Errors
    /// [`SimulatorError`] when the simulation cannot go on.
    fn step(&mut self, inputs: &AxiInputs<'_>) -> Result<&AxiOutputs, SimulatorError>;

    /// Cycles stepped so far.
    fn cycle(&self) -> u64;
}

/// The cycle-accurate model: the registers, the core and what holds its results.
#[derive(Clone, Debug)]
pub struct AxiModel {
    registers: AxiLiteModel,
    core: AcceleratorModel,
    hold: ResultHoldModel,
    outputs: AxiOutputs,
}

impl AxiModel {
    /// The top module of a design, as after reset; its memories hold 0.
    pub fn new(design: &AcceleratorDesign) -> Self {
        AxiModel {
            registers: AxiLiteModel::new(design),
            core: AcceleratorModel::new(design),
            hold: ResultHoldModel::new(),
            outputs: AxiOutputs::default(),
        }
    }
}

impl AxiTop for AxiModel {
    fn name(&self) -> &str {
        "model"
    }

    /// One cycle; never fails.
    fn step(&mut self, inputs: &AxiInputs<'_>) -> Result<&AxiOutputs, SimulatorError> {
        let registers = self.registers.outputs();
        let core = self.core.step(&CoreInputs {
            reset: inputs.reset || registers.soft_reset,
            start: registers.start.then_some(Start {
                address: registers.start_address,
                runs: registers.runs,
            }),
            program: inputs.program,
            weight: inputs.weight,
            input: inputs.input,
            result_ready: self.hold.in_ready(inputs.result_ready),
            counter_clear: registers.counter_clear,
            counter_address: registers.counter_address,
        })?;
        self.outputs = AxiOutputs {
            awready: registers.awready,
            wready: registers.wready,
            write_response: registers.write_response,
            arready: registers.arready,
            read_response: registers.read_response,
            irq: registers.irq,
            program_ready: core.program_ready,
            weight_ready: core.weight_ready,
            input_ready: core.input_ready,
            result: self.hold.offered().cloned(),
        };
        self.registers.edge(&AxiLiteInputs {
            reset: inputs.reset,
            write_address: inputs.write_address,
            write_data: inputs.write_data,
            bready: inputs.bready,
            read_address: inputs.read_address,
            rready: inputs.rready,
            busy: core.busy,
            done: core.done,
            error: core.error,
            layer: core.layer,
            counter_clearing: core.counter_clearing,
            counter_value: core.counter_value,
        });
        let transfer = core.result.as_ref().map(|transfer| ResultTransfer {
            values: transfer
                .values
                .iter()
                .map(|v| v.unwrap_or(0) as u32)
                .collect(),
            keep: transfer.values.iter().map(Option::is_some).collect(),
            last: transfer.last,
        });
        self.hold
            .edge(inputs.reset, transfer.as_ref(), inputs.result_ready);
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.core.cycle()
    }
}

/// Two top modules in lockstep: every output is compared in every cycle.
#[derive(Debug)]
pub struct AxiLockstep<A, B> {
    left: A,
    right: B,
    names: [String; 2],
}

impl<A: AxiTop, B: AxiTop> AxiLockstep<A, B> {
    /// Two top modules that stand at the same cycle.
    pub fn new(left: A, right: B) -> Self {
        AxiLockstep {
            names: [left.name().to_owned(), right.name().to_owned()],
            left,
            right,
        }
    }
}

impl<A: AxiTop, B: AxiTop> AxiTop for AxiLockstep<A, B> {
    fn name(&self) -> &str {
        "lockstep"
    }

    fn step(&mut self, inputs: &AxiInputs<'_>) -> Result<&AxiOutputs, SimulatorError> {
        let cycle = self.left.cycle();
        let left = self.left.step(inputs)?;
        agreed(cycle, &self.names, left, self.right.step(inputs)?)
    }

    fn cycle(&self) -> u64 {
        self.left.cycle()
    }
}

impl Signals for AxiOutputs {
    fn signals(&self) -> Vec<(&'static str, &dyn Debug)> {
        vec![
            ("s_axil_awready", &self.awready),
            ("s_axil_wready", &self.wready),
            ("s_axil_b", &self.write_response),
            ("s_axil_arready", &self.arready),
            ("s_axil_r", &self.read_response),
            ("irq", &self.irq),
            ("s_axis_program_tready", &self.program_ready),
            ("s_axis_weight_tready", &self.weight_ready),
            ("s_axis_input_tready", &self.input_ready),
            ("m_axis_result", &self.result),
        ]
    }
}
