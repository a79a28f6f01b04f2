//! Accumulators, and a whole unit: count and accumulator.

use super::chain::{Chain, parity, table};
use super::structure::{count, count_onto};
use crate::fabric::{Accumulator, Bit, Cell, Controls, Counted, Heap, Netlist, Source, Unit};

/// Counts a heap of one group and one plane and adds the counts up.
///
/// # Panics
/// If `heap` has more than one group or plane, or no pair, or if `controls.shift` is not one for each distance.
pub fn unit(
    net: &mut Netlist,
    source: &Source,
    heap: &Heap,
    controls: &Controls,
    accumulator: &Accumulator,
) -> Unit {
    if accumulator.amounts.is_empty() {
        let width = accumulator.high_width;
        let (high, arrival, latency) = count_onto(net, source, heap, controls, width);
        let low = vec![Bit::ZERO; accumulator.low_width as usize];
        return Unit {
            sum: low.into_iter().chain(high).collect(),
            arrival,
            latency,
        };
    }
    let Counted {
        count,
        arrival,
        latency,
    } = count(net, source, heap, controls.advance);
    Unit {
        sum: accumulate(net, &count, controls, accumulator),
        arrival,
        latency,
    }
}

/// The accumulator alone, of a count in registers: one site for each bit of the adding part with one distance or none, and
/// one more level of LUTs in front of them with several. Gives the sum.
///
/// # Panics
/// If `controls.shift` is not one for each distance.
pub fn accumulate(
    net: &mut Netlist,
    count: &[Bit],
    controls: &Controls,
    accumulator: &Accumulator,
) -> Vec<Bit> {
    assert_eq!(controls.shift.len(), accumulator.amounts.len());
    net.comment("accumulator");
    let (low_width, high_width) = (
        accumulator.low_width as usize,
        accumulator.high_width as usize,
    );
    let state = net.wires("state", low_width + high_width);
    let (low, high) = state.split_at(low_width);
    let shifting = any(net, &controls.shift);
    let mut chain = Chain::new(Bit::ZERO);
    let mut sums = Vec::with_capacity(high_width);
    for (i, held) in high.iter().enumerate() {
        let moved = moved(controls, accumulator, &state, low_width + i);
        let base = base(net, controls, shifting, *held, &moved);
        sums.push(position(
            net,
            &mut chain,
            &base,
            controls,
            count.get(i).copied(),
        ));
    }
    chain.finish(net);
    net.register_onto(&sums, high, controls.accumulate, Bit::ZERO);
    if accumulator.amounts.is_empty() {
        net.register_onto(&vec![Bit::ZERO; low_width], low, Bit::ONE, Bit::ZERO);
        return state;
    }
    let d: Vec<Bit> = (0..low_width)
        .map(|i| {
            let moved = moved(controls, accumulator, &state, i);
            match moved[..] {
                [(_, x)] if accumulator.amounts.len() == 1 => x,
                _ => select_any(net, &moved),
            }
        })
        .collect();
    net.register_onto(&d, low, shifting, Bit::ZERO);
    state
}

/// For each distance that reaches a bit of the state, its select and that bit.
fn moved(
    controls: &Controls,
    accumulator: &Accumulator,
    state: &[Bit],
    to: usize,
) -> Vec<(Bit, Bit)> {
    let amounts = accumulator.amounts.iter().zip(&controls.shift);
    amounts
        .filter_map(|(amount, select)| Some((*select, *state.get(to + *amount as usize)?)))
        .collect()
}

/// What an accumulator's position adds to its count, as pins and a function of them.
enum Base {
    /// Held, or by one distance from above: up to four pins (first, shift, held, moved) inside of the position's own LUT.
    Near {
        held: Bit,
        shift: Option<(Bit, Option<Bit>)>,
    },
    /// Made by LUTs in front; `first` still to come.
    Made(Bit),
}

fn base(
    net: &mut Netlist,
    controls: &Controls,
    shifting: Bit,
    held: Bit,
    moved: &[(Bit, Bit)],
) -> Base {
    match (&controls.shift[..], moved) {
        ([], _) => Base::Near { held, shift: None },
        ([select], _) => Base::Near {
            held,
            shift: Some((*select, moved.first().map(|(_, x)| *x))),
        },
        ([_, _], [(s1, x1), (s2, x2)]) => {
            let inputs = [*s1, *x1, *s2, *x2, held];
            let stays = |v: u32| v & 0b101 == 0 && v >> 4 == 1;
            let all = table(5, |v| v & v >> 1 & 0b101 != 0 || stays(v));
            Base::Made(net.lut("base", &inputs, all.into()))
        }
        _ => {
            let mut terms = moved.to_vec();
            let stays = net.lut("stays", &[shifting, held], 0b0100);
            terms.push((Bit::ONE, stays));
            Base::Made(select_any(net, &terms))
        }
    }
}

/// One position: base, 0 with `first`, and the count's bit.
fn position(
    net: &mut Netlist,
    chain: &mut Chain,
    base: &Base,
    controls: &Controls,
    count: Option<Bit>,
) -> Bit {
    let (mut inputs, base): (Vec<Bit>, Box<dyn Fn(u32) -> bool>) = match base {
        Base::Near { held, shift: None } => (vec![controls.first, *held], Box::new(|v| v & 3 == 2)),
        Base::Near {
            held,
            shift: Some((select, None)),
        } => (
            vec![controls.first, *held, *select],
            Box::new(|v| v & 7 == 2),
        ),
        Base::Near {
            held,
            shift: Some((select, Some(moved))),
        } => (
            vec![controls.first, *held, *select, *moved],
            Box::new(|v| v & 1 == 0 && (if v >> 2 & 1 == 1 { v >> 3 } else { v >> 1 }) & 1 == 1),
        ),
        Base::Made(bit) => (vec![controls.first, *bit], Box::new(|v| v & 3 == 2)),
    };
    let at = inputs.len();
    inputs.extend(count);
    let size = inputs.len();
    let counted = |v: u32| v >> at & 1 == 1;
    let upper = table(size, |v| {
        parity(u32::from(base(v)) | u32::from(counted(v)) << 1)
    });
    let lower = table(size, |v| count.is_some() && counted(v));
    chain.position(net, &inputs, (upper, lower), None, None).0
}

/// OR of all.
fn any(net: &mut Netlist, bits: &[Bit]) -> Bit {
    let mut level = bits.to_vec();
    while level.len() > 1 {
        level = level
            .chunks(6)
            .map(|chunk| match chunk {
                [one] => *one,
                _ => {
                    let entries = 1u32 << chunk.len();
                    net.lut("any", chunk, u64::MAX >> (64 - entries) & !1)
                }
            })
            .collect();
    }
    level.first().copied().unwrap_or(Bit::ZERO)
}

/// OR of (select and bit) over all terms.
fn select_any(net: &mut Netlist, terms: &[(Bit, Bit)]) -> Bit {
    let parts: Vec<Bit> = terms
        .chunks(3)
        .map(|chunk| {
            let inputs: Vec<Bit> = chunk.iter().flat_map(|(s, x)| [*s, *x]).collect();
            let table = (0..1u64 << inputs.len())
                .filter(|v| v & v >> 1 & 0b01_0101 != 0)
                .fold(0u64, |table, at| table | 1 << at);
            let output = net.wire("moved");
            net.cell(Cell::Lut {
                inputs,
                table,
                output,
            });
            output
        })
        .collect();
    any(net, &parts)
}
