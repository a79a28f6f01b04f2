//! Adders and the accumulator of standard cells.
//!
//! All bits of the heap are inverted: the inverted pair bit is smaller (a NAND, an inverter and four and-or gates in the OSU
//! library, 141 um2 against 157), and a full adder of inverted bits is the same full adder.

use super::accumulator::State;
use super::{Builder, PARITY};
use crate::fabric::netlist::{Bit, Cell, Netlist};
use crate::fabric::schedule::{Node, Operation};
use std::collections::HashMap;

/// The inverted sum of two inverted bits.
const HALF_SUM: u64 = 0b1001;
/// The inverted carry of two inverted bits.
const HALF_CARRY: u64 = 0b1110;
/// `x & ~y`.
const UNLESS: u64 = 0b0010;

/// The adders of a stage. A parity and a majority of the same bits are one full adder.
pub(super) fn counters(builder: &mut Builder, stage: u32) {
    let schedule = builder.schedule;
    let carries: HashMap<&[Node], Node> = schedule
        .operations
        .iter()
        .filter_map(|(_, operation)| match operation {
            Operation::Majority { inputs, output } => Some((inputs.as_slice(), *output)),
            _ => None,
        })
        .collect();
    for (level, operation) in &schedule.operations {
        let Operation::Parity { inputs, output } = operation else {
            continue;
        };
        if builder.timing.stage(*level) != stage {
            continue;
        }
        let bits: Vec<Bit> = inputs
            .iter()
            .map(|node| builder.net(*node, stage))
            .collect();
        let sum = builder.nets[output.index()][0];
        let carry = carries
            .get(inputs.as_slice())
            .map(|node| builder.nets[node.index()][0]);
        add(builder.netlist, &bits, sum, carry);
    }
}

fn add(netlist: &mut Netlist, bits: &[Bit], sum: Bit, carry: Option<Bit>) {
    let mut lut = |table, output| {
        netlist.cell(Cell::Lut {
            inputs: bits.to_vec(),
            table,
            output,
        });
    };
    match (bits, carry) {
        (&[a, b, c], Some(carry)) => netlist.cell(Cell::FullAdder {
            inputs: [a, b, c],
            sum,
            carry,
        }),
        ([_, _, _], None) => lut(PARITY, sum),
        (_, carry) => {
            lut(HALF_SUM, sum);
            if let Some(carry) = carry {
                lut(HALF_CARRY, carry);
            }
        }
    }
}

/// A bit inverted.
pub(super) fn inverted(netlist: &mut Netlist, bit: Bit) -> Bit {
    if bit == Bit::ZERO {
        return bit;
    }
    netlist.lut("inverted", &[bit], 0b01)
}

/// The accumulator: full adders where a count comes in, half adders above.
pub(super) fn accumulate(netlist: &mut Netlist, state: &State) {
    let (controls, high) = (state.controls, state.high().to_vec());
    let mut carry = state.spare;
    let mut sums = Vec::with_capacity(high.len());
    for (i, old) in high.iter().enumerate() {
        let base = if state.shape.amounts.is_empty() {
            netlist.lut("base", &[*old, controls.first], UNLESS)
        } else {
            state.base(netlist, i)
        };
        let count = state.count.get(i).copied().filter(|bit| *bit != Bit::ZERO);
        let (sum, out) = match (count, carry) {
            (None, None) => (base, None),
            // Nothing takes the highest carry.
            (Some(one), None) | (None, Some(one)) if i + 1 == high.len() => {
                (netlist.lut("top", &[base, one], PARITY & 0xf), None)
            }
            (Some(one), Some(two)) if i + 1 == high.len() => {
                (netlist.lut("top", &[base, one, two], PARITY), None)
            }
            (Some(other), None) | (None, Some(other)) => {
                let two = netlist.wires("half", 2);
                netlist.cell(Cell::HalfAdder {
                    inputs: [base, other],
                    sum: two[0],
                    carry: two[1],
                });
                (two[0], Some(two[1]))
            }
            (Some(count), Some(carry)) => {
                let two = netlist.wires("full", 2);
                netlist.cell(Cell::FullAdder {
                    inputs: [base, count, carry],
                    sum: two[0],
                    carry: two[1],
                });
                (two[0], Some(two[1]))
            }
        };
        sums.push(sum);
        carry = out;
    }
    netlist.register_onto(&sums, &high, controls.accumulate, Bit::ZERO);
    state.finish_low(netlist);
}
