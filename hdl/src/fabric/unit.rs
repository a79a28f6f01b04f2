//! A unit: a counting structure and its accumulator.

use super::netlist::Bit;

/// The controls of a unit, in time with the count that leaves its structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Lets the structure's registers move.
    pub advance: Bit,
    /// The count that leaves belongs to a beat, and the pipeline moves.
    pub accumulate: Bit,
    /// That beat is its tile's first.
    pub first: Bit,
    /// `accumulate & first`, made once for the whole array.
    pub clear: Bit,
    /// By which of the accumulator's distances to shift first: one-hot or none, and only with `accumulate`.
    pub shift: Vec<Bit>,
}

/// What adds the counts up; the function of [`BranchAccumulator`](crate::hardware::BranchAccumulator).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accumulator {
    /// Width of the part that adds; at least that of the count.
    pub high_width: u32,
    /// Width of the part below it that holds finished bits.
    pub low_width: u32,
    /// Distances of shifts, one for each bit of [`Controls::shift`]; none where nothing ever shifts, and then the finished
    /// bits stay 0.
    pub amounts: Vec<u32>,
}

/// A finished unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The accumulator, the finished bits at the bottom.
    pub sum: Vec<Bit>,
    /// For each pair of lanes, how many cycles after the beat enters its pins must carry it; each below `latency`.
    pub arrival: Vec<u32>,
    /// Cycles (with `advance`) from a beat's entry to the cycle in which its count is added; at least 1.
    pub latency: u32,
}
