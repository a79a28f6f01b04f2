//! The last part: a plan becomes cells and registers.

use super::AccumulatorControls;
use super::plan::{Accumulator, Column, Id, PairBit, Placed, Plan, Role};
use crate::fabric::{Bit, Cell, Netlist, Source};
use std::collections::HashMap;

/// Adds the plan's cells to `netlist`. Gives the result, least significant bit first.
pub(super) fn emit(
    netlist: &mut Netlist,
    plan: &Plan,
    source: &Source,
    advance: Bit,
    controls: Option<&AccumulatorControls>,
) -> Vec<Bit> {
    let mut emitter = Emitter {
        netlist,
        plan,
        source,
        advance,
        nets: vec![Bit::ZERO; plan.bits.len()],
        delayed: HashMap::new(),
        guests: Vec::new(),
    };
    emitter.name_registers();
    for run in plan.runs() {
        emitter.run(&run);
    }
    if let (Some(accumulator), Some(controls)) = (&plan.accumulator, controls) {
        emitter.accumulator(accumulator, controls);
    }
    emitter.remaining_guests();
    plan.result
        .iter()
        .map(|id| id.map_or(Bit::ZERO, |id| emitter.at(id, plan.latency)))
        .collect()
}

/// A pair bit that wants a LUT output, and the net that it drives.
struct Guest {
    bit: PairBit,
    net: Bit,
}

struct Emitter<'a, 'b> {
    netlist: &'a mut Netlist,
    plan: &'a Plan,
    source: &'a Source<'b>,
    advance: Bit,
    /// Each registered bit's net.
    nets: Vec<Bit>,
    /// A bit in later cycles.
    delayed: HashMap<(Id, u32), Bit>,
    /// Pair bits without a site yet; the next one to place last.
    guests: Vec<Guest>,
}

/// What one position of a carry chain takes and gives.
struct Position {
    select: Bit,
    data: Bit,
    sum: Option<Bit>,
}

impl Emitter<'_, '_> {
    /// Nets of all registered bits. Pair bits that LUTs make for registers come cycle by cycle, so that they and their hosts
    /// belong to neighbouring cycles.
    fn name_registers(&mut self) {
        let mut hosted: Vec<(Id, PairBit)> = Vec::new();
        for (id, bit) in self.plan.bits.iter().enumerate() {
            hosted.extend(bit.hosted.map(|pair_bit| (id, pair_bit)));
        }
        let made = self.netlist.wires("pair_bit", hosted.len());
        let held = self
            .netlist
            .register("pair_bit_held", &made, self.advance, Bit::ZERO);
        for (((id, bit), net), q) in hosted.into_iter().zip(made).zip(held) {
            self.nets[id] = q;
            self.guests.push(Guest { bit, net });
        }
        self.guests.reverse();
        for (number, adder) in self.plan.all_adders().enumerate() {
            let name = match self.plan.accumulator {
                Some(_) if number == self.plan.adders.len() => "accumulator".to_owned(),
                _ => format!("sum_{number}"),
            };
            let spilled = adder.spill.map(|(_, id)| id);
            let ids: Vec<Id> = adder.columns.iter().map(|c| c.sum).chain(spilled).collect();
            let nets = self.netlist.wires(&name, ids.len());
            for (id, net) in ids.into_iter().zip(nets) {
                self.nets[id] = net;
            }
        }
    }

    /// A registered bit in a cycle in which it is used.
    fn at(&mut self, id: Id, time: u32) -> Bit {
        let mut net = self.nets[id];
        for t in self.plan.bits[id].time + 1..=time {
            net = match self.delayed.get(&(id, t)) {
                Some(net) => *net,
                None => {
                    let name = format!("held_{id}_{t}");
                    let q = self
                        .netlist
                        .register(&name, &[net], self.advance, Bit::ZERO)[0];
                    self.delayed.insert((id, t), q);
                    q
                }
            };
        }
        net
    }

    /// One row of carry cells with its adders' registers.
    fn run(&mut self, run: &[Placed]) {
        let mut positions: Vec<Position> = Vec::new();
        let mut carry_in = Bit::ZERO;
        for Placed { adder, barrier } in run {
            let injected = self.plan.adders[*adder].carry_in;
            if let Some(id) = injected {
                let bit = self.at(id, self.plan.adders[*adder].time);
                if *barrier {
                    positions.push(Position {
                        select: self.pass(None),
                        data: bit,
                        sum: None,
                    });
                } else if let Some(below) = positions.last_mut() {
                    below.data = bit;
                } else {
                    carry_in = bit;
                }
            }
            self.adder(*adder, &mut positions);
        }
        self.chain(carry_in, &positions);
    }

    fn adder(&mut self, number: usize, positions: &mut Vec<Position>) {
        let plan = self.plan;
        let adder = &plan.adders[number];
        let mut over = adder.extra.map(|id| self.at(id, adder.time));
        let mut added = self
            .netlist
            .wires(&format!("sum_{number}_next"), adder.columns.len());
        let mut held: Vec<Bit> = adder.columns.iter().map(|c| self.nets[c.sum]).collect();
        for (i, (column, role)) in adder.columns.iter().zip(adder.roles()).enumerate() {
            let addends: Vec<Bit> = column
                .addends
                .iter()
                .map(|id| self.at(*id, adder.time))
                .collect();
            let (select, data, next) = self.position(column, role, &addends, over);
            positions.push(Position {
                select,
                data,
                sum: Some(added[i]),
            });
            over = next;
            if let (Some((at, id)), Some(majority)) = (adder.spill, over) {
                if at == i {
                    added.push(majority);
                    held.push(self.nets[id]);
                    over = None;
                }
            }
        }
        self.netlist
            .register_onto(&added, &held, self.advance, Bit::ZERO);
    }

    fn accumulator(&mut self, accumulator: &Accumulator, controls: &AccumulatorControls) {
        let adder = &accumulator.adder;
        let roles = adder.roles();
        let hosts: Vec<bool> = accumulator.hosts(&roles).collect();
        let added = self.netlist.wires("accumulator_next", adder.columns.len());
        let mut over = None;
        let mut positions: Vec<Position> = (0..accumulator.padding())
            .map(|_| Position {
                select: self.pass(None),
                data: Bit::ZERO,
                sum: None,
            })
            .collect();
        for (i, column) in adder.columns.iter().enumerate() {
            let state = self.nets[column.sum];
            let (select, data, next) = if hosts[i] {
                (self.pass(Some(state)), Bit::ZERO, None)
            } else {
                let mut addends: Vec<Bit> = column
                    .addends
                    .iter()
                    .map(|id| self.at(*id, adder.time))
                    .collect();
                addends.push(state);
                self.cleared(&addends, over, controls.first)
            };
            positions.push(Position {
                select,
                data,
                sum: Some(added[i]),
            });
            over = next;
        }
        self.chain(Bit::ZERO, &positions);
        let held: Vec<Bit> = adder.columns.iter().map(|c| self.nets[c.sum]).collect();
        let (low, high) = held.split_at(accumulator.cleared);
        let (low_next, high_next) = added.split_at(accumulator.cleared);
        self.netlist
            .register_onto(low_next, low, controls.accumulate, Bit::ZERO);
        if !high.is_empty() {
            self.netlist
                .register_onto(high_next, high, controls.accumulate, controls.clear);
        }
    }

    fn chain(&mut self, carry_in: Bit, positions: &[Position]) {
        self.netlist.cell(Cell::Carry {
            carry_in,
            select: positions.iter().map(|p| p.select).collect(),
            data: positions.iter().map(|p| p.data).collect(),
            sum: positions.iter().map(|p| p.sum).collect(),
            carry: vec![None; positions.len()],
        });
    }

    /// Select and data of a position, and the majority for the next.
    fn position(
        &mut self,
        column: &Column,
        role: Role,
        addends: &[Bit],
        over: Option<Bit>,
    ) -> (Bit, Bit, Option<Bit>) {
        match (role, column.absorbed) {
            (Role::Absorb, Some(bit)) => {
                let (select, data) = self.absorb(bit, addends.first().copied());
                (select, data, None)
            }
            (Role::Two, _) => {
                let (o6, o5) = self.dual(addends, &|v| v[0] ^ v[1], &|v| v[0]);
                (o6, o5, None)
            }
            (Role::Three, _) => {
                let count = addends.len();
                let pins: Vec<Bit> = addends.iter().copied().chain(over).collect();
                let (o6, o5) = self.dual(&pins, &parity, &|v| at_least_two(&v[..count]));
                (o6, over.unwrap_or(Bit::ZERO), Some(o5))
            }
            (Role::Over, _) => {
                let over = over.unwrap_or(Bit::ZERO);
                let select = self.netlist.lut("select", &[addends[0], over], 0b0110);
                (select, over, None)
            }
            _ => (
                self.pass(addends.first().copied().or(over)),
                Bit::ZERO,
                None,
            ),
        }
    }

    /// As [`Emitter::position`] for a position whose last addend `first` clears.
    fn cleared(
        &mut self,
        addends: &[Bit],
        over: Option<Bit>,
        first: Bit,
    ) -> (Bit, Bit, Option<Bit>) {
        let count = addends.len();
        let pins: Vec<Bit> = addends.iter().copied().chain([first]).chain(over).collect();
        // The addends with the last one cleared, then the majority from below.
        let clear = move |v: &[bool]| -> Vec<bool> {
            let mut v = v.to_vec();
            v[count - 1] &= !v[count];
            v.remove(count);
            v
        };
        if count + usize::from(over.is_some()) >= 3 {
            let (o6, o5) = self.dual(&pins, &|v| parity(&clear(v)), &|v| {
                at_least_two(&clear(v)[..count])
            });
            (o6, over.unwrap_or(Bit::ZERO), Some(o5))
        } else {
            // At most two operands: the carry's data is one of them.
            let (o6, o5) = self.dual(&pins, &|v| parity(&clear(v)), &|v| {
                let v = clear(v);
                if v.len() == 1 { false } else { v[0] }
            });
            (o6, o5, None)
        }
    }

    /// A position that adds at most one bit. Its LUT hosts a pair bit if one is left; otherwise the bit itself is the
    /// select.
    fn pass(&mut self, addend: Option<Bit>) -> Bit {
        let Some(guest) = self.guests.pop() else {
            return addend.unwrap_or(Bit::ZERO);
        };
        let (mut inputs, table) = self.pair_bit(guest.bit);
        let (upper, lower) = match addend {
            Some(addend) => {
                inputs.push(addend);
                (0xffff_0000, u32::from(table) * 0x1_0001)
            }
            None => (0, table.into()),
        };
        let o6 = self.netlist.wire(&self.local("select"));
        self.netlist.cell(Cell::DualLut {
            inputs,
            upper,
            lower,
            o6,
            o5: guest.net,
        });
        o6
    }

    /// A position that makes a pair bit and adds it.
    fn absorb(&mut self, bit: PairBit, addend: Option<Bit>) -> (Bit, Bit) {
        let (mut inputs, table) = self.pair_bit(bit);
        let Some(addend) = addend else {
            let name = self.local("select");
            return (self.netlist.lut(&name, &inputs, table.into()), Bit::ZERO);
        };
        inputs.push(addend);
        let names = [self.local("select"), self.local("data")];
        let (o6, o5) = (self.netlist.wire(&names[0]), self.netlist.wire(&names[1]));
        self.netlist.cell(Cell::DualLut {
            inputs,
            upper: u32::from(table) | u32::from(!table) << 16,
            lower: 0xffff_0000,
            o6,
            o5,
        });
        (o6, o5)
    }

    /// Pair bits that nothing hosts.
    fn remaining_guests(&mut self) {
        while let Some(guest) = self.guests.pop() {
            let (inputs, table) = self.pair_bit(guest.bit);
            self.netlist.cell(Cell::Lut {
                inputs,
                table: table.into(),
                output: guest.net,
            });
        }
    }

    fn pair_bit(&self, bit: PairBit) -> (Vec<Bit>, u16) {
        (
            (self.source.pins)(bit.group, bit.plane, bit.pair).to_vec(),
            self.source.tables[bit.plane as usize],
        )
    }

    /// Both halves of a LUT6_2, as functions of its pins.
    fn dual(
        &mut self,
        pins: &[Bit],
        upper: &dyn Fn(&[bool]) -> bool,
        lower: &dyn Fn(&[bool]) -> bool,
    ) -> (Bit, Bit) {
        let table = |function: &dyn Fn(&[bool]) -> bool| -> u32 {
            (0..1u32 << pins.len())
                .map(|at| {
                    let values: Vec<bool> = (0..pins.len()).map(|i| at >> i & 1 == 1).collect();
                    u32::from(function(&values)) << at
                })
                .sum()
        };
        let (upper, lower) = (table(upper), table(lower));
        let names = [self.local("select"), self.local("data")];
        let (o6, o5) = (self.netlist.wire(&names[0]), self.netlist.wire(&names[1]));
        self.netlist.cell(Cell::DualLut {
            inputs: pins.to_vec(),
            upper,
            lower,
            o6,
            o5,
        });
        (o6, o5)
    }

    /// A name that nothing else in the netlist has.
    fn local(&self, name: &str) -> String {
        format!("{name}_{}", self.netlist.nets())
    }
}

fn parity(values: &[bool]) -> bool {
    values.iter().fold(false, |p, v| p ^ v)
}

fn at_least_two(values: &[bool]) -> bool {
    values.iter().filter(|v| **v).count() >= 2
}
