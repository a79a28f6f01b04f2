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
//! Which weights a chain spans, how many rows it adds and how the merging goes is chosen by computed cost: among a fixed
//! list of candidates, then by small changes of the best of them, as many as the heap's size allows and the same on every
//! machine. [`Choice`] says what was chosen and what the other kinds would have cost.

mod choose;
mod emit;
mod feed;
mod merge;
mod plan;

pub use choose::{Alternative, Choice, Finish};

use super::seven_series;
use super::{Accumulator, Controls, Unit};
use super::{Bit, Counted, Heap, Netlist, Source};

/// Counts `heap`; the count is registered, and every register takes `advance` as its enable.
///
/// # Panics
/// If `heap` has no group, plane or pair, or `source` not one table for each plane.
pub fn count(net: &mut Netlist, source: &Source, heap: &Heap, advance: Bit) -> Counted {
    check(source, heap);
    let chosen = choose::chosen(heap, Finish::Count);
    Counted {
        count: emit::emit(net, &chosen.plan, source, advance, None),
        arrival: chosen.plan.arrival.clone(),
        latency: chosen.plan.latency,
    }
}

/// Counts `heap` and adds the counts up. An accumulator that never shifts is the last adder's third addend; the others
/// stand behind the count.
///
/// # Panics
/// As [`count`], and if `controls.shift` is not one for each of the accumulator's distances.
pub fn unit(
    net: &mut Netlist,
    source: &Source,
    heap: &Heap,
    controls: &Controls,
    accumulator: &Accumulator,
) -> Unit {
    if !accumulator.amounts.is_empty() {
        let counted = count(net, source, heap, controls.advance);
        return Unit {
            sum: seven_series::accumulate(net, &counted.count, controls, accumulator),
            arrival: counted.arrival,
            latency: counted.latency,
        };
    }
    check(source, heap);
    let width = accumulator.high_width;
    let chosen = choose::chosen(heap, Finish::Accumulate { width });
    let high = emit::emit(net, &chosen.plan, source, controls.advance, Some(controls));
    let low = std::iter::repeat_n(Bit::ZERO, accumulator.low_width as usize);
    Unit {
        sum: low.chain(high).collect(),
        arrival: chosen.plan.arrival.clone(),
        latency: chosen.plan.latency,
    }
}

/// What is built for `heap`, and what the alternatives would have cost.
pub fn choice(heap: &Heap, finish: Finish) -> Choice {
    choose::chosen(heap, finish).choice.clone()
}

fn check(source: &Source, heap: &Heap) {
    assert!(
        heap.bits() > 0 && source.tables.len() == heap.planes as usize,
        "an empty heap, or planes without a table: {heap:?}"
    );
}
