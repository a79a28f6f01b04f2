//! One trait for everything that behaves like the accelerator's core, and two of them side by side.

use super::StreamBeat;
use super::lockstep::{Signals, agreed};
use crate::simulator::SimulatorError;
use std::fmt::Debug;

/// A start of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The first descriptor's word in the program memory.
    pub address: u32,
    /// How often the program is run.
    pub runs: u16,
}

/// The inputs of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreInputs<'a> {
    /// `reset`.
    pub reset: bool,
    /// `start` with its address and runs.
    pub start: Option<Start>,
    /// The word of a program packet that is offered, with TLAST.
    pub program: Option<(u32, bool)>,
    /// The beat of weights that is offered.
    pub weight: Option<StreamBeat<'a>>,
    /// The beat of a tensor that is offered.
    pub input: Option<StreamBeat<'a>>,
    /// `result_ready`.
    pub result_ready: bool,
    /// `counter_clear`.
    pub counter_clear: bool,
    /// `counter_address`.
    pub counter_address: u32,
}

/// A transfer of the result stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// One value for each drained column; none where `keep` is 0.
    pub values: Vec<Option<i32>>,
    /// TLAST.
    pub last: bool,
}

/// The outputs that stand during one cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreOutputs {
    /// `busy`.
    pub busy: bool,
    /// `done`.
    pub done: bool,
    /// `error`.
    pub error: u8,
    /// `layer`.
    pub layer: u8,
    /// `program_ready`.
    pub program_ready: bool,
    /// `weight_ready`.
    pub weight_ready: bool,
    /// `input_ready`.
    pub input_ready: bool,
    /// The transfer of results that is offered.
    pub result: Option<Transfer>,
    /// `counter_clearing`.
    pub counter_clearing: bool,
    /// `counter_value`.
    pub counter_value: u32,
}

/// The accelerator's core, cycle by cycle. Outputs are functions of registers alone.
pub trait Core {
    /// What it is, for messages: "model" or "RTL".
    fn name(&self) -> &str;

    /// One cycle: the outputs that stand in it, then the clock edge.
    ///
    /// # Errors
    /// [`SimulatorError`] when the simulation cannot go on.
    fn step(&mut self, inputs: &CoreInputs<'_>) -> Result<&CoreOutputs, SimulatorError>;

    /// Cycles stepped so far.
    fn cycle(&self) -> u64;
}

/// Two cores in lockstep: every output is compared in every cycle.
#[derive(Debug)]
pub struct CoreLockstep<A, B> {
    left: A,
    right: B,
    names: [String; 2],
}

impl<A: Core, B: Core> CoreLockstep<A, B> {
    /// Two cores that stand at the same cycle.
    pub fn new(left: A, right: B) -> Self {
        CoreLockstep {
            names: [left.name().to_owned(), right.name().to_owned()],
            left,
            right,
        }
    }
}

impl<A: Core, B: Core> Core for CoreLockstep<A, B> {
    fn name(&self) -> &str {
        "lockstep"
    }

    fn step(&mut self, inputs: &CoreInputs<'_>) -> Result<&CoreOutputs, SimulatorError> {
        let cycle = self.left.cycle();
        let left = self.left.step(inputs)?;
        agreed(cycle, &self.names, left, self.right.step(inputs)?)
    }

    fn cycle(&self) -> u64 {
        self.left.cycle()
    }
}

impl Signals for CoreOutputs {
    fn signals(&self) -> Vec<(&'static str, &dyn Debug)> {
        vec![
            ("busy", &self.busy),
            ("done", &self.done),
            ("error", &self.error),
            ("layer", &self.layer),
            ("program_ready", &self.program_ready),
            ("weight_ready", &self.weight_ready),
            ("input_ready", &self.input_ready),
            ("result", &self.result),
            ("counter_clearing", &self.counter_clearing),
            ("counter_value", &self.counter_value),
        ]
    }
}
