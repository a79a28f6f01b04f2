//! The last part: a plan becomes cells and registers.

use super::plan::{Accumulator, Column, Id, PairBit, Placed, Plan, Role};
use crate::fabric::Controls;
use crate::fabric::seven_series::chain::{Chain, Fresh, Guest, majority, parity, table};
use crate::fabric::{Bit, Netlist, Source};
use std::collections::HashMap;

/// Adds the plan's cells to `net`. Gives the result, least significant bit first.
pub(super) fn emit(
    net: &mut Netlist,
    plan: &Plan,
    source: &Source,
    advance: Bit,
    controls: Option<&Controls>,
) -> Vec<Bit> {
    let mut emitter = Emitter {
        net,
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

struct Emitter<'a, 'b> {
    net: &'a mut Netlist,
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

impl Emitter<'_, '_> {
    /// Nets of all registered bits.
    fn name_registers(&mut self) {
        let bits = self.plan.bits.iter().enumerate();
        let hosted: Vec<(Id, PairBit)> = bits
            .filter_map(|(id, bit)| Some((id, bit.hosted?)))
            .collect();
        let made = self.net.wires("pair_bit", hosted.len());
        let held = self
            .net
            .register("pair_bit_held", &made, self.advance, Bit::ZERO);
        for (((id, bit), onto), q) in hosted.into_iter().zip(made).zip(held) {
            self.nets[id] = q;
            let fresh = self.fresh(bit);
            self.guests.push(Guest { fresh, onto });
        }
        // The first ones first: hosts come in the order of their cycles, too.
        self.guests.reverse();
        for adder in &self.plan.adders {
            self.name_sums("total", adder.registered());
        }
        if let Some(accumulator) = &self.plan.accumulator {
            self.name_sums("high", accumulator.adder.registered());
        }
    }

    fn name_sums(&mut self, name: &str, ids: impl Iterator<Item = Id>) {
        let ids: Vec<Id> = ids.collect();
        let nets = self.net.wires(name, ids.len());
        for (id, bit) in ids.into_iter().zip(nets) {
            self.nets[id] = bit;
        }
    }

    /// A registered bit in a cycle in which it is used.
    fn at(&mut self, id: Id, time: u32) -> Bit {
        let mut bit = self.nets[id];
        for t in self.plan.bits[id].time + 1..=time {
            bit = match self.delayed.get(&(id, t)) {
                Some(bit) => *bit,
                None => {
                    let q = self
                        .net
                        .register("delayed", &[bit], self.advance, Bit::ZERO)[0];
                    self.delayed.insert((id, t), q);
                    q
                }
            };
        }
        bit
    }

    fn carry_in(&mut self, placed: &Placed) -> Option<Bit> {
        let adder = &self.plan.adders[placed.adder];
        adder.carry_in.map(|id| self.at(id, adder.time))
    }

    /// One row of carry cells with its adders' registers.
    fn run(&mut self, run: &[Placed]) {
        let first = run.first().and_then(|placed| self.carry_in(placed));
        let mut chain = match first {
            Some(bit) if run[0].barrier => {
                let mut chain = Chain::new(Bit::ZERO);
                let guest = self.guests.pop();
                chain.start(self.net, bit, guest);
                chain
            }
            first => Chain::new(first.unwrap_or(Bit::ZERO)),
        };
        for (i, placed) in run.iter().enumerate() {
            let next = run.get(i + 1).and_then(|placed| self.carry_in(placed));
            self.adder(placed.adder, &mut chain, next.unwrap_or(Bit::ZERO));
        }
        chain.finish(self.net);
    }

    /// One adder; `next` goes into the carry of the one above.
    fn adder(&mut self, number: usize, chain: &mut Chain, next: Bit) {
        let plan = self.plan;
        let adder = &plan.adders[number];
        let mut over = adder.extra.map(|id| self.at(id, adder.time));
        let mut sums = Vec::with_capacity(adder.columns.len() + 1);
        let mut spilled = None;
        for (i, (column, role)) in adder.columns.iter().zip(adder.roles()).enumerate() {
            let addends: Vec<Bit> = column
                .addends
                .iter()
                .map(|id| self.at(*id, adder.time))
                .collect();
            let top = i + 1 == adder.columns.len();
            let inject = if top { next } else { Bit::ZERO };
            let (sum, majority) = self.position(chain, column, role, &addends, over, inject);
            sums.push(sum);
            over = majority;
            if adder.spill.is_some_and(|(at, _)| at == i) {
                spilled = over.take();
            }
        }
        sums.extend(spilled);
        let held: Vec<Bit> = adder.registered().map(|id| self.nets[id]).collect();
        self.net
            .register_onto(&sums, &held, self.advance, Bit::ZERO);
    }

    /// Sum of a position, and its majority for the next one.
    fn position(
        &mut self,
        chain: &mut Chain,
        column: &Column,
        role: Role,
        addends: &[Bit],
        over: Option<Bit>,
        inject: Bit,
    ) -> (Bit, Option<Bit>) {
        let first = addends.first().copied();
        if let Some(bit) = column.absorbed {
            let fresh = self.fresh(bit);
            let sum = match first {
                Some(y) => chain.absorb(self.net, &fresh, y),
                None => chain.select_by(self.net, &fresh.pins, fresh.table.into(), Bit::ZERO),
            };
            return (sum, None);
        }
        match role {
            Role::Pass => {
                let guest = self.guests.pop();
                let sum = match first.or(over) {
                    Some(x) => chain.host(self.net, x, guest),
                    None => chain.barrier(self.net, inject, guest),
                };
                (sum, None)
            }
            Role::Three => {
                // Without a majority from below the carry's data is 0.
                let bits: Vec<Bit> = addends
                    .iter()
                    .copied()
                    .chain([over.unwrap_or(Bit::ZERO)])
                    .collect();
                chain.compress(self.net, &bits)
            }
            _ => {
                let bits: Vec<Bit> = addends.iter().copied().chain(over).collect();
                chain.compress(self.net, &bits)
            }
        }
    }

    fn accumulator(&mut self, accumulator: &Accumulator, controls: &Controls) {
        let adder = &accumulator.adder;
        let roles = adder.roles();
        let hosts: Vec<bool> = accumulator.hosts(&roles).collect();
        let mut chain = Chain::new(Bit::ZERO);
        for _ in 0..accumulator.padding() {
            let guest = self.guests.pop();
            chain.start(self.net, Bit::ZERO, guest);
        }
        let mut over = None;
        let mut sums = Vec::with_capacity(adder.columns.len());
        for (column, hosts) in adder.columns.iter().zip(hosts) {
            let state = self.nets[column.sum];
            if hosts {
                let guest = self.guests.pop();
                sums.push(chain.host(self.net, state, guest));
                continue;
            }
            let addends: Vec<Bit> = column
                .addends
                .iter()
                .map(|id| self.at(*id, adder.time))
                .collect();
            let (sum, majority) = self.cleared(&mut chain, [controls.first, state], &addends, over);
            sums.push(sum);
            over = majority;
        }
        chain.finish(self.net);
        let held: Vec<Bit> = adder.registered().map(|id| self.nets[id]).collect();
        let (low, high) = held.split_at(accumulator.cleared);
        let (low_next, high_next) = sums.split_at(accumulator.cleared);
        self.net
            .register_onto(low_next, low, controls.accumulate, Bit::ZERO);
        if !high.is_empty() {
            self.net
                .register_onto(high_next, high, controls.accumulate, controls.clear);
        }
    }

    /// Sum and majority of a position whose accumulator bit `first` clears.
    fn cleared(
        &mut self,
        chain: &mut Chain,
        [first, state]: [Bit; 2],
        addends: &[Bit],
        over: Option<Bit>,
    ) -> (Bit, Option<Bit>) {
        let pins: Vec<Bit> = [first, state]
            .into_iter()
            .chain(addends.iter().copied())
            .chain(over)
            .collect();
        // Bit 0 the accumulator's, then the addends, then the majority from below.
        let values = |v: u32| (v & !v << 1 & 2 | v & !3) >> 1;
        let (count, size) = (1 + addends.len(), pins.len());
        let below = (1u32 << count) - 1;
        let upper = table(size, |v| parity(values(v)));
        if size >= 4 {
            let lower = table(size, |v| majority(values(v) & below));
            let data = Some(over.unwrap_or(Bit::ZERO));
            let (sum, majority) = chain.position(self.net, &pins, (upper, lower), None, data);
            return (sum, Some(majority));
        }
        // At most two operands: the data is the second one, if there is one.
        let lower = table(size, |v| values(v) >> 1 & 1 == 1);
        let (sum, _) = chain.position(self.net, &pins, (upper, lower), None, None);
        (sum, None)
    }

    /// Pair bits that nothing hosts.
    fn remaining_guests(&mut self) {
        while let Some(Guest { fresh, onto }) = self.guests.pop() {
            self.net.cell(crate::fabric::Cell::Lut {
                inputs: fresh.pins.to_vec(),
                table: fresh.table.into(),
                output: onto,
            });
        }
    }

    fn fresh(&self, bit: PairBit) -> Fresh {
        Fresh {
            pins: (self.source.pins)(bit.group, bit.plane, bit.pair),
            table: self.source.tables[bit.plane as usize],
        }
    }
}
