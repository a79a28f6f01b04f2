//! Runs a netlist, 64 independent stimuli at a time.

use super::netlist::{Bit, Cell, Item, Netlist, NetlistError};

/// A netlist that runs. Each net holds a word: bit t of every word belongs to stimulus t.
#[derive(Clone, Debug)]
pub struct Simulation {
    cells: Vec<Cell>,
    registers: Vec<(Bit, Bit, Bit, Bit)>,
    value: Vec<u64>,
}

impl Simulation {
    /// Prepares `netlist`; all registers hold 0.
    ///
    /// # Errors
    /// [`NetlistError`] for a net without exactly one driver, or combinational feedback.
    pub fn new(netlist: &Netlist) -> Result<Self, NetlistError> {
        let mut drivers = vec![0usize; netlist.nets()];
        let mut registers = Vec::new();
        let mut known = vec![false; netlist.nets()];
        known[..2].fill(true);
        drivers[..2].fill(1);
        for bit in netlist.inputs().iter().flat_map(|p| &p.bits) {
            drivers[bit.index()] += 1;
            known[bit.index()] = true;
        }
        for item in netlist.items() {
            match item {
                Item::Cell(cell) => cell.outputs().iter().for_each(|o| drivers[o.index()] += 1),
                Item::Register {
                    d,
                    q,
                    enable,
                    reset,
                } => {
                    for (d, q) in d.iter().zip(q) {
                        drivers[q.index()] += 1;
                        known[q.index()] = true;
                        registers.push((*d, *q, *enable, *reset));
                    }
                }
                Item::Comment(_) => {}
            }
        }
        if let Some(net) = drivers.iter().position(|n| *n != 1) {
            return Err(NetlistError::Drivers {
                name: netlist.name(Bit(net as u32)),
                drivers: drivers[net],
            });
        }
        Ok(Simulation {
            cells: in_order(netlist, known)?,
            registers,
            value: std::iter::once(0)
                .chain(std::iter::once(!0))
                .chain(std::iter::repeat_n(0, netlist.nets() - 2))
                .collect(),
        })
    }

    /// Sets a net, an input's bit, for all 64 stimuli.
    pub fn set(&mut self, bit: Bit, value: u64) {
        self.value[bit.index()] = value;
    }

    /// A net's value in all 64 stimuli.
    pub fn get(&self, bit: Bit) -> u64 {
        self.value[bit.index()]
    }

    /// The number that `bits` hold in stimulus `t`.
    pub fn number(&self, bits: &[Bit], t: u32) -> u64 {
        bits.iter()
            .enumerate()
            .map(|(i, bit)| (self.get(*bit) >> t & 1) << i)
            .sum()
    }

    /// Lets the inputs' values reach every net.
    pub fn settle(&mut self) {
        for cell in &self.cells {
            evaluate(cell, &mut self.value);
        }
    }

    /// A clock edge, after [`Simulation::settle`]; then the nets settle again.
    pub fn clock(&mut self) {
        let value = &self.value;
        let next: Vec<u64> = self
            .registers
            .iter()
            .map(|(d, q, enable, reset)| {
                let [d, q, enable, reset] = [d, q, enable, reset].map(|b| value[b.index()]);
                ((d & enable) | (q & !enable)) & !reset
            })
            .collect();
        for ((_, q, _, _), next) in self.registers.iter().zip(next) {
            self.value[q.index()] = next;
        }
        self.settle();
    }
}

/// The cells, each after those that drive it.
fn in_order(netlist: &Netlist, mut known: Vec<bool>) -> Result<Vec<Cell>, NetlistError> {
    let mut waiting: Vec<&Cell> = netlist.cells().collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|cell| {
            let ready = cell.inputs().iter().all(|b| known[b.index()]);
            if ready {
                cell.outputs().iter().for_each(|o| known[o.index()] = true);
                ordered.push((*cell).clone());
            }
            !ready
        });
        if waiting.len() == before {
            return Err(NetlistError::Loop {
                name: netlist.name(waiting[0].outputs()[0]),
            });
        }
    }
    Ok(ordered)
}

/// A truth table on words: Shannon's expansion, the last input first.
fn lut(table: u64, inputs: &[Bit], value: &[u64]) -> u64 {
    match inputs.split_last() {
        None => 0u64.wrapping_sub(table & 1),
        Some((last, rest)) => {
            let half = 1u32 << rest.len();
            let low = table & (u64::MAX >> (64 - half));
            let select = value[last.index()];
            (lut(low, rest, value) & !select) | (lut(table >> half, rest, value) & select)
        }
    }
}

fn evaluate(cell: &Cell, value: &mut [u64]) {
    match cell {
        Cell::Lut {
            inputs,
            table,
            output,
        } => value[output.index()] = lut(*table, inputs, value),
        Cell::DualLut {
            inputs,
            upper,
            lower,
            o6,
            o5,
        } => {
            let (high, low) = (
                lut((*upper).into(), inputs, value),
                lut((*lower).into(), inputs, value),
            );
            value[o6.index()] = high;
            value[o5.index()] = low;
        }
        Cell::Carry {
            carry_in,
            select,
            data,
            sum,
            carry,
        } => {
            let mut c = value[carry_in.index()];
            for i in 0..select.len() {
                let (s, d) = (value[select[i].index()], value[data[i].index()]);
                if let Some(sum) = sum[i] {
                    value[sum.index()] = s ^ c;
                }
                c = (s & c) | (!s & d);
                if let Some(carry) = carry[i] {
                    value[carry.index()] = c;
                }
            }
        }
        Cell::Ccu2c {
            carry_in,
            inputs,
            tables,
            sum,
            carry_out,
        } => {
            let mut c = value[carry_in.index()];
            for i in 0..2 {
                let s = lut(tables[i].into(), &inputs[i], value);
                let d = lut((tables[i] & 15).into(), &inputs[i][..2], value);
                if let Some(sum) = sum[i] {
                    value[sum.index()] = s ^ c;
                }
                c = (s & c) | (!s & d);
            }
            if let Some(carry) = carry_out {
                value[carry.index()] = c;
            }
        }
        Cell::SbCarry {
            addends,
            carry_in,
            carry_out,
        } => {
            let [a, b, c] = [addends[0], addends[1], *carry_in].map(|b| value[b.index()]);
            value[carry_out.index()] = (a & b) | (c & (a | b));
        }
        Cell::FullAdder { inputs, sum, carry } => {
            let [a, b, c] = inputs.map(|b| value[b.index()]);
            value[sum.index()] = a ^ b ^ c;
            value[carry.index()] = (a & b) | (c & (a | b));
        }
        Cell::HalfAdder { inputs, sum, carry } => {
            let [a, b] = inputs.map(|b| value[b.index()]);
            value[sum.index()] = a ^ b;
            value[carry.index()] = a & b;
        }
    }
}
