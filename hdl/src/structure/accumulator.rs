//! Accumulators of processing elements whose structure counts only.

use super::UnitShape;
use super::ports::ElementPorts;
use crate::fabric::{Bit, Cell, Netlist};

/// Adds `count` in a carry chain of Xilinx', as [`crate::hardware::BranchAccumulator`] does: one site for each position of
/// the adding part, whose LUT selects, clears and adds. Gives `{high, low}`, least significant bit first, and the sites.
pub(super) fn in_carry_chain(
    netlist: &mut Netlist,
    shape: &UnitShape,
    ports: &ElementPorts,
    count: &[Bit],
) -> (Vec<Bit>, u32) {
    netlist.comment("The accumulator.");
    let (low, high) = (shape.low_width as usize, shape.high_width as usize);
    let low_state = match shape.shifts {
        true => netlist.wires("low", low),
        false => vec![Bit::ZERO; low],
    };
    let high_state = netlist.wires("high", high);
    let state = [low_state.clone(), high_state.clone()].concat();
    let mut sites = high as u32;
    let distances = if shape.shifts {
        shape.shift_amounts.len()
    } else {
        0
    };
    // With one distance, the shift's selection is in the adder's LUT, and finished bits move with the shift as enable.
    let moved: Vec<Bit> = match distances {
        0 => state.clone(),
        1 => from_above(&state, shape.shift_amounts[0]),
        _ => (0..state.len())
            .map(|i| {
                sites += 1;
                select(netlist, &state, i, shape, &ports.shift)
            })
            .collect(),
    };
    let (mut selects, mut data) = (Vec::new(), Vec::new());
    for i in 0..high {
        let addend = count.get(i).copied();
        let mut inputs = vec![high_state[i], ports.first];
        // The state, cleared by `first`.
        let mut table: u64 = 0b0010;
        if distances == 1 {
            inputs.extend([moved[low + i], ports.shift[0]]);
            table = (0..16)
                .filter(|at| {
                    let bit = if at >> 3 & 1 == 1 { at >> 2 } else { *at };
                    bit & 1 == 1 && at >> 1 & 1 == 0
                })
                .fold(0, |table, at: u64| table | 1 << at);
        } else if distances > 1 {
            inputs[0] = moved[low + i];
        }
        if let Some(bit) = addend {
            let size = 1u64 << inputs.len();
            table |= (!table & ((1 << size) - 1)) << size;
            inputs.push(bit);
        }
        selects.push(netlist.lut("select", &inputs, table));
        data.push(addend.unwrap_or(Bit::ZERO));
    }
    let sum = netlist.wires("total", high);
    netlist.cell(Cell::Carry {
        carry_in: Bit::ZERO,
        select: selects,
        data,
        sum: sum.iter().copied().map(Some).collect(),
        carry: vec![None; high],
    });
    netlist.register_onto(&sum, &high_state, ports.accumulate, Bit::ZERO);
    if distances > 0 {
        let enable = match distances {
            1 => ports.shift[0],
            _ => {
                sites += 1;
                any(netlist, &ports.shift)
            }
        };
        netlist.register_onto(&moved[..low], &low_state, enable, Bit::ZERO);
    }
    (state, sites)
}

/// Bits from `distance` places above; 0 from above the top.
fn from_above(state: &[Bit], distance: u32) -> Vec<Bit> {
    let above = state.iter().skip(distance as usize).copied();
    let zeros = std::iter::repeat(Bit::ZERO);
    above.chain(zeros).take(state.len()).collect()
}

/// Bit `i` of the state, or of the state shifted by the distance that is selected.
fn select(netlist: &mut Netlist, state: &[Bit], i: usize, shape: &UnitShape, shift: &[Bit]) -> Bit {
    let mut bit = state[i];
    for (select, distance) in shift.iter().zip(&shape.shift_amounts) {
        bit = match state.get(i + *distance as usize) {
            Some(from) => netlist.lut("shifted", &[bit, *from, *select], 0b1100_1010),
            None => netlist.lut("shifted", &[bit, *select], 0b0010),
        };
    }
    bit
}

/// Whether any of up to six bits is 1; of more, of all of them.
fn any(netlist: &mut Netlist, bits: &[Bit]) -> Bit {
    let mut bits = bits.to_vec();
    while bits.len() > 1 {
        let taken: Vec<Bit> = bits.drain(..bits.len().min(6)).collect();
        let ones = u64::MAX >> (64 - (1u32 << taken.len()));
        bits.push(netlist.lut("any", &taken, ones & !1));
    }
    bits[0]
}
