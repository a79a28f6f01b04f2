//! The accumulator of a processing element, in LUTs.

use super::UnitShape;
use super::ports::ElementPorts;
use super::staircase::add;
use crate::fabric::{Bit, Netlist};

/// Adds `count` as [`crate::hardware::BranchAccumulator`] does; gives `{high, low}`, least significant bit first.
pub(super) fn accumulate(
    netlist: &mut Netlist,
    shape: &UnitShape,
    ports: &ElementPorts,
    count: &[Bit],
) -> Vec<Bit> {
    let (low, high) = (shape.low_width as usize, shape.high_width as usize);
    if !shape.shifts {
        let state = netlist.wires("high", high);
        let keep: Vec<Bit> = state
            .iter()
            .map(|bit| netlist.lut("keep", &[*bit, ports.first], 0b0010))
            .collect();
        let sum = add(netlist, columns(&keep, count));
        netlist.register_onto(&sum, &state, ports.accumulate, Bit::ZERO);
        return [vec![Bit::ZERO; low], state].concat();
    }
    let low_state = netlist.wires("low", low);
    let high_state = netlist.wires("high", high);
    let state = [low_state.clone(), high_state.clone()].concat();
    let mut shifted = state.clone();
    for (select, amount) in ports.shift.iter().zip(&shape.shift_amounts) {
        for (i, bit) in shifted.iter_mut().enumerate() {
            let from = state.get(i + *amount as usize).copied();
            *bit = match from {
                Some(from) => netlist.lut("shifted", &[*bit, from, *select], 0b1100_1010),
                None => netlist.lut("shifted", &[*bit, *select], 0b0010),
            };
        }
    }
    let base: Vec<Bit> = shifted[low..]
        .iter()
        .map(|bit| netlist.lut("base", &[*bit, ports.first], 0b0010))
        .collect();
    let sum = add(netlist, columns(&base, count));
    netlist.register_onto(&sum, &high_state, ports.accumulate, Bit::ZERO);
    netlist.register_onto(&shifted[..low], &low_state, ports.accumulate, Bit::ZERO);
    state
}

/// Two numbers as columns, as wide as the first.
fn columns(wide: &[Bit], narrow: &[Bit]) -> Vec<Vec<Bit>> {
    wide.iter()
        .enumerate()
        .map(|(i, bit)| {
            std::iter::once(*bit)
                .chain(narrow.get(i).copied())
                .collect()
        })
        .collect()
}
