//! One trait for everything that behaves like the array's top module, cycle by cycle: the cycle-accurate
//! model, the Verilated RTL, and both of them in lockstep.

use std::fmt;

/// What the row units count in a beat (`operand_row_mode`; `docs/microarchitecture.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RowMode {
    /// Weights `bipolar` or `ternary`, and `signed` outside weight group 0.
    #[default]
    Odd = 0,
    /// Weights `signed`, weight group 0.
    OddAndSum = 1,
    /// Weights `unsigned`.
    NotBoth = 2,
}

/// One beat at the operand port.
///
/// `activation` holds, for each row and each activation branch of the group, `lanes.div_ceil(64)` words, lane 0
/// in bit 0 of the first, row-major: word `((row * branches) + branch) * words + word`. `weight` likewise for
/// columns. Bits past the lanes are 0 in `activation` and in `weight`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// First beat of a tile.
    pub first: bool,
    /// Last beat of a tile.
    pub last: bool,
    /// Index into `Design::shift_amounts`, or none.
    pub shift: Option<u32>,
    /// What the row units count.
    pub row_mode: RowMode,
    /// Activation words.
    pub activation: Vec<u64>,
    /// Weight words.
    pub weight: Vec<u64>,
    /// Right shift that aligns the tile's sums.
    pub align: u32,
    /// log2(d_x * d_w).
    pub result_shift: u32,
    /// Column-constant entry of each row.
    pub entry: Vec<u32>,
}

/// One write to the column-constant memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConstantWrite {
    /// Which entry.
    pub entry: u32,
    /// One constant for each column; each fits `result_width` bits in two's complement.
    pub value: Vec<i64>,
}

/// The inputs of one cycle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs<'a> {
    /// `reset`.
    pub reset: bool,
    /// The operand offered in this cycle (`operand_valid`), if any.
    pub operand: Option<&'a Beat>,
    /// The constant written in this cycle, if any.
    pub constant: Option<&'a ConstantWrite>,
    /// `result_ready`.
    pub result_ready: bool,
}

/// The outputs that stand during one cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// `operand_ready`.
    pub operand_ready: bool,
    /// `result_valid`.
    pub result_valid: bool,
    /// `result_last`; false when no result is valid.
    pub result_last: bool,
    /// One result for each column; empty when no result is valid.
    pub result: Vec<i64>,
}

/// Why a simulation stopped.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// Two simulators in lockstep disagree.
    #[error("{0}")]
    Divergence(Box<Divergence>),
    /// No progress for so many cycles.
    #[error("no operand was taken and no result given for {cycles} cycles: the array hangs")]
    Hang {
        /// Cycles without progress.
        cycles: u64,
    },
    /// The Verilated model called `$stop`, `$finish` or `$fatal`, or failed otherwise.
    #[error("the Verilated model stopped: {0}")]
    Rtl(String),
}

/// The first difference between two simulators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Cycle, counted from 0 after reset.
    pub cycle: u64,
    /// The signal that differs.
    pub signal: String,
    /// Name and value of the first simulator.
    pub left: (String, String),
    /// Name and value of the second one.
    pub right: (String, String),
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "divergence in cycle {}: `{}` is {} in the {} and {} in the {}",
            self.cycle, self.signal, self.left.1, self.left.0, self.right.1, self.right.0
        )
    }
}

/// The array's top module, cycle by cycle.
///
/// Outputs are functions of registers alone, so [`Simulator::step`] gives those that stand before the clock
/// edge and then lets the edge happen with the inputs given.
pub trait Simulator {
    /// What it is, for messages: "model" or "RTL".
    fn name(&self) -> &str;

    /// One cycle: the outputs that stand in it, then the clock edge.
    ///
    /// # Errors
    /// [`SimulatorError`] when the simulation cannot go on.
    fn step(&mut self, inputs: &Inputs<'_>) -> Result<&Outputs, SimulatorError>;

    /// Cycles stepped so far.
    fn cycle(&self) -> u64;
}
