//! CCU2C chains and the accumulator of ECP5.

use super::accumulator::State;
use super::{Other, Slot};
use crate::fabric::netlist::{Bit, Cell, Netlist};

/// One position of a CCU2C. The carry that it generates is the table's lowest four entries, over A and B: where that
/// must differ from its sum, D is tied to 1 and the sum is in the upper half.
#[derive(Clone, Copy)]
struct Place {
    inputs: [Bit; 4],
    table: u16,
    sum: Option<Bit>,
}

/// Sum 0, generate A: puts A into the carry.
const BARRIER: u16 = 0x000a;
/// Sum A ^ B, generate A.
const ADD: u16 = 0x660a;
/// Sum A, generate 0.
const PASS: u16 = 0xaa00;
/// Sum A ^ majority(B, C, D), generate A: at C = D = 0 they are the same.
const ADD_MAJORITY: u16 = 0x566a;
/// Sum A ^ (B & ~C), generate A.
const ADD_UNLESS: u16 = 0xa60a;
/// Sum A & ~C, generate 0.
const PASS_UNLESS: u16 = 0x0a00;
/// Sum C ? B : A, generate 0.
const CHOOSE: u16 = 0xca00;

/// Chains back to back.
pub(super) fn chain(netlist: &mut Netlist, slots: &[Slot]) {
    let places: Vec<Place> = slots
        .iter()
        .map(|slot| match *slot {
            Slot::Barrier { inject, export } => barrier(inject, export),
            Slot::Add { plain, other, sum } => {
                let (table, [b, c, d]) = match other {
                    Other::Nothing => (PASS, [Bit::ZERO, Bit::ZERO, Bit::ONE]),
                    Other::Plain(bit) => (ADD, [bit, Bit::ZERO, Bit::ONE]),
                    Other::Majority(bits) => (ADD_MAJORITY, bits),
                };
                Place {
                    inputs: [plain, b, c, d],
                    table,
                    sum: Some(sum),
                }
            }
        })
        .collect();
    place(netlist, places);
}

fn barrier(inject: Option<Bit>, export: Option<Bit>) -> Place {
    let bit = inject.unwrap_or(Bit::ZERO);
    Place {
        inputs: [bit, Bit::ZERO, Bit::ZERO, Bit::ONE],
        table: BARRIER,
        sum: export,
    }
}

/// CCU2Cs of positions in order. An odd one is made even at the bottom where that spares the constant carry, which
/// costs a router a position.
fn place(netlist: &mut Netlist, mut places: Vec<Place>) {
    if places.len() % 2 == 1 {
        let nothing = barrier(None, None);
        if places[0].table == BARRIER {
            places.push(nothing);
        } else {
            places.insert(0, nothing);
        }
    }
    let cells = places.len() / 2;
    let carries = netlist.wires("carry", cells - 1);
    for (k, two) in places.chunks_exact(2).enumerate() {
        netlist.cell(Cell::Ccu2c {
            carry_in: k.checked_sub(1).map_or(Bit::ZERO, |below| carries[below]),
            inputs: [two[0].inputs, two[1].inputs],
            tables: [two[0].table, two[1].table],
            sum: [two[0].sum, two[1].sum],
            carry_out: carries.get(k).copied(),
        });
    }
}

/// The accumulator. Where nothing shifts, every position masks its old value with `first` in a pin that it has to spare.
/// Where something shifts, a LUT in front of a position of the count shifts and masks; a position above shifts itself and
/// is cleared by its reset, because with `first` nothing below carries. Both registers of a slice have the same reset, so
/// a lone position above the count beside one of the count is like that one.
pub(super) fn accumulate(netlist: &mut Netlist, state: &State) {
    let (controls, high) = (state.controls, state.high().to_vec());
    let sums = netlist.wires("next_high", high.len());
    let mut places = Vec::new();
    if state.spare.is_some() {
        places.push(barrier(state.spare, None));
    } else if high.len() % 2 == 1 {
        places.push(barrier(None, None));
    }
    let counted = state.count.len();
    let masked = match state.shape.amounts.as_slice() {
        [] => high.len(),
        _ => counted + (places.len() + counted) % 2,
    };
    for (i, sum) in sums.iter().enumerate() {
        let (inputs, table) = match (state.count.get(i), state.shape.amounts.last()) {
            (Some(count), None) => ([*count, high[i], controls.first, Bit::ONE], ADD_UNLESS),
            (Some(count), Some(_)) => {
                let base = state.base(netlist, i);
                ([*count, base, Bit::ZERO, Bit::ONE], ADD)
            }
            (None, None) if i < masked => {
                let inputs = [high[i], Bit::ZERO, controls.first, Bit::ONE];
                (inputs, PASS_UNLESS)
            }
            (None, None) => ([high[i], Bit::ZERO, Bit::ZERO, Bit::ONE], PASS),
            (None, Some(_)) if i < masked => {
                let base = state.base(netlist, i);
                ([base, Bit::ZERO, Bit::ZERO, Bit::ONE], PASS)
            }
            (None, Some(distance)) => {
                let (at, last) = (i + state.low().len(), controls.shift.len() - 1);
                let bit = state.chosen(netlist, at, last);
                let other = state.shifted(at, *distance);
                ([bit, other, controls.shift[last], Bit::ONE], CHOOSE)
            }
        };
        places.push(Place {
            inputs,
            table,
            sum: Some(*sum),
        });
    }
    place(netlist, places);
    let masked = masked.min(high.len());
    let enable = controls.accumulate;
    netlist.register_onto(&sums[..masked], &high[..masked], enable, Bit::ZERO);
    if masked < high.len() {
        netlist.register_onto(&sums[masked..], &high[masked..], enable, controls.clear);
    }
    state.finish_low(netlist);
}
