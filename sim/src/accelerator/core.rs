//! One trait for everything that behaves like the accelerator's core, and two of them side by side.

use super::StreamBeat;
use crate::simulator::{Divergence, SimulatorError};
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
    outputs: CoreOutputs,
}

impl<A: Core, B: Core> CoreLockstep<A, B> {
    /// Two cores that stand at the same cycle.
    pub fn new(left: A, right: B) -> Self {
        CoreLockstep {
            left,
            right,
            outputs: CoreOutputs::default(),
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
        let right = self.right.step(inputs)?;
        if left != right {
            let (left, right) = (left.clone(), right.clone());
            let names = (self.left.name(), self.right.name());
            return Err(SimulatorError::Divergence(Box::new(divergence(
                cycle, names, &left, &right,
            ))));
        }
        self.outputs.clone_from(left);
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.left.cycle()
    }
}

/// The first output that differs.
fn divergence(
    cycle: u64,
    names: (&str, &str),
    left: &CoreOutputs,
    right: &CoreOutputs,
) -> Divergence {
    let pairs: [(&str, &dyn Debug, &dyn Debug); 9] = [
        ("busy", &left.busy, &right.busy),
        ("done", &left.done, &right.done),
        ("error", &left.error, &right.error),
        ("program_ready", &left.program_ready, &right.program_ready),
        ("weight_ready", &left.weight_ready, &right.weight_ready),
        ("input_ready", &left.input_ready, &right.input_ready),
        ("result", &left.result, &right.result),
        (
            "counter_clearing",
            &left.counter_clearing,
            &right.counter_clearing,
        ),
        ("counter_value", &left.counter_value, &right.counter_value),
    ];
    difference(cycle, names, &pairs)
}

/// The first of the outputs whose values differ.
pub(super) fn difference(
    cycle: u64,
    names: (&str, &str),
    outputs: &[(&str, &dyn Debug, &dyn Debug)],
) -> Divergence {
    let (signal, left, right) = outputs
        .iter()
        .map(|(signal, left, right)| (*signal, format!("{left:?}"), format!("{right:?}")))
        .find(|(_, left, right)| left != right)
        .unwrap_or(("outputs", String::new(), String::new()));
    Divergence {
        cycle,
        signal: signal.to_owned(),
        left: (names.0.to_owned(), left),
        right: (names.1.to_owned(), right),
    }
}
