//! Counts of heaps with several groups or planes for Xilinx 7 and UltraScale+: pair rows.
//!
//! A LUT6_2 has five pins for two functions. A pair bit takes four of them, and everything here is about the fifth and
//! about the second output:
//! - *absorb*: the LUT of a carry position makes a pair bit B and adds it to a registered bit y: S = B ^ y on O6, DI = y
//!   on O5. The bits of one weight after another along a chain are a row; a row is added to the chain's last sum.
//! - *host*: a position above the row only passes a carry (S = y or 0), so its O5 makes another pair bit. That bit is
//!   registered and added later: as the first sum of a chain, as a carry in, or by a merging adder. A hosted bit need
//!   not belong to the cycle of the position that hosts it.
//! - *barrier*: S = 0 and DI = z puts z into the carry; its O5 hosts.
//!
//! All sums are registered, one adder deep each, so the XOR goes into the position's own flip-flop and O5 leaves by AMUX
//! or through the second flip-flop. Pairs enter in successive cycles (`arrival`): all chains run side by side and
//! add one row in each cycle. What they leave, ternary adders merge: three bits of a weight become parity (added by
//! the chain) and majority (added by the next position), one site for each weight. An accumulator without shifts is the
//! third addend of the last of them.
//!
//! Which weights a chain spans, how many rows it adds and how the merging goes is chosen by computed cost among a fixed
//! list of candidates; [`Choice`] says what was chosen and what the others would have cost.

mod choose;
mod emit;
mod feed;
mod merge;
mod plan;

pub use choose::{Alternative, Choice, Finish};

use super::{Bit, Counted, Heap, Netlist, Source};

/// What an accumulator without shifts is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccumulatorControls {
    /// Adds the count at this edge.
    pub accumulate: Bit,
    /// From zero. It may be 1 without `accumulate`.
    pub first: Bit,
    /// `accumulate & first`.
    pub clear: Bit,
}

/// Counts `heap`; every register takes `advance` as its enable.
pub fn pair_rows(netlist: &mut Netlist, heap: &Heap, source: &Source, advance: Bit) -> Counted {
    let chosen = choose::chosen(heap, Finish::Count);
    let count = emit::emit(netlist, &chosen.plan, source, advance, None);
    counted(&chosen.plan, count)
}

/// Counts `heap` and accumulates: gives the accumulator of `width` bits (at least the count's), which adds the count of
/// the beat that entered `latency` cycles before: `sum' = (first ? 0 : sum) + count`, if `accumulate`.
pub fn pair_rows_accumulated(
    netlist: &mut Netlist,
    heap: &Heap,
    source: &Source,
    advance: Bit,
    controls: &AccumulatorControls,
    width: u32,
) -> Counted {
    let chosen = choose::chosen(heap, Finish::Accumulate { width });
    let sum = emit::emit(netlist, &chosen.plan, source, advance, Some(controls));
    counted(&chosen.plan, sum)
}

/// What is chosen for `heap`, and why.
pub fn pair_rows_choice(heap: &Heap, finish: Finish) -> Choice {
    choose::chosen(heap, finish).choice.clone()
}

fn counted(plan: &plan::Plan, count: Vec<Bit>) -> Counted {
    Counted {
        count,
        arrival: plan.arrival.clone(),
        latency: plan.latency,
    }
}
