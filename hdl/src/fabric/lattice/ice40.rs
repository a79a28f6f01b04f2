//! SB_CARRY chains and the accumulator of iCE40.

use super::accumulator::State;
use super::{Other, Slot};
use crate::fabric::netlist::{Bit, Cell, Netlist};

/// Truth table over I1, I2, I3: their parity.
const PARITY: u64 = 0xc33c;
/// Shows I3, the carry.
const CARRY: u64 = 0xff00;
/// I0 ? I2 : parity of I1, I2, I3.
const ADD_UNLESS: u64 = 0xe1b4;
/// I0 ? 0 : I1 ^ I3.
const PASS_UNLESS: u64 = 0x1144;

/// A logic cell of a chain: its carry, and its LUT over (I0, addends, carry in).
#[derive(Clone, Copy)]
struct Place {
    addends: [Bit; 2],
    lut: Option<(Bit, u64, Bit)>,
}

/// Chains back to back.
pub(super) fn chain(netlist: &mut Netlist, slots: &[Slot]) {
    let places: Vec<Place> = slots
        .iter()
        .map(|slot| match *slot {
            // Both addends the same: the carry out is that bit, whatever came in.
            Slot::Barrier { inject, export } => Place {
                addends: [inject.unwrap_or(Bit::ZERO); 2],
                lut: export.map(|export| (Bit::ZERO, CARRY, export)),
            },
            Slot::Add { plain, other, sum } => Place {
                addends: [
                    plain,
                    match other {
                        Other::Plain(bit) => bit,
                        _ => Bit::ZERO,
                    },
                ],
                lut: Some((Bit::ZERO, PARITY, sum)),
            },
        })
        .collect();
    place(netlist, &places);
}

fn place(netlist: &mut Netlist, places: &[Place]) {
    let carries = netlist.wires("carry", places.len().saturating_sub(1));
    for (k, place) in places.iter().enumerate() {
        let carry_in = k.checked_sub(1).map_or(Bit::ZERO, |below| carries[below]);
        let [a, b] = place.addends;
        if let Some((i0, table, output)) = place.lut {
            netlist.cell(Cell::Lut {
                inputs: vec![i0, a, b, carry_in],
                table,
                output,
            });
        }
        if let Some(carry) = carries.get(k) {
            netlist.cell(Cell::SbCarry {
                addends: place.addends,
                carry_in,
                carry_out: *carry,
            });
        }
    }
}

/// The accumulator. Without shifts each position's LUT masks the old value with `first`; its carry does not, so that with
/// `first` no LUT looks at a carry. With shifts a LUT in front of each position shifts and masks.
pub(super) fn accumulate(netlist: &mut Netlist, state: &State) {
    let (controls, high) = (state.controls, state.high().to_vec());
    let sums = netlist.wires("next_high", high.len());
    let mut places = Vec::new();
    if let Some(spare) = state.spare {
        places.push(Place {
            addends: [spare; 2],
            lut: None,
        });
    }
    for (i, sum) in sums.iter().enumerate() {
        let count = state.count.get(i);
        places.push(if state.shape.amounts.is_empty() {
            let table = if count.is_some() {
                ADD_UNLESS
            } else {
                PASS_UNLESS
            };
            Place {
                addends: [high[i], count.copied().unwrap_or(Bit::ZERO)],
                lut: Some((controls.first, table, *sum)),
            }
        } else {
            Place {
                addends: [state.base(netlist, i), count.copied().unwrap_or(Bit::ZERO)],
                lut: Some((Bit::ZERO, PARITY, *sum)),
            }
        });
    }
    place(netlist, &places);
    netlist.register_onto(&sums, &high, controls.accumulate, Bit::ZERO);
    state.finish_low(netlist);
}
