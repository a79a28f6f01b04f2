//! From a schedule to cells.

use super::accumulator::Controls;
use super::chain::{Chain, Fresh, Guest, majority, parity, table};
use super::schedule::{Finish, Plan, Segment, Stage, Token, plan};
use crate::fabric::{Bit, Counted, Heap, Netlist, Source};

/// Positions after which a stage's next segment starts a chain of its own.
const CHAIN_POSITIONS: usize = 12;

/// Counts a heap of one group and one plane; the count is registered.
///
/// # Panics
/// If `heap` has more than one group or plane, or no pair.
pub fn count(net: &mut Netlist, source: &Source, heap: &Heap, advance: Bit) -> Counted {
    check(heap);
    let plan = plan(heap.pairs, Finish::Count);
    let mut builder = Builder::new(net, source, &plan, advance);
    builder.stages();
    let sums = builder.last_adder(&[], None);
    builder.remaining_guests();
    let arrival = builder.arrival();
    Counted {
        count: net.register("count", &sums, advance, Bit::ZERO),
        arrival,
        latency: plan.depth() + 1,
    }
}

/// Counts and adds to an accumulator that never shifts; gives its bits, the arrivals, and the cycles from a beat's entry to
/// its `accumulate`.
pub(super) fn count_onto(
    net: &mut Netlist,
    source: &Source,
    heap: &Heap,
    controls: &Controls,
    width: u32,
) -> (Vec<Bit>, Vec<u32>, u32) {
    check(heap);
    let plan = plan(heap.pairs, Finish::Accumulate { width });
    let mut builder = Builder::new(net, source, &plan, controls.advance);
    builder.stages();
    let state = builder.net.wires("high", width as usize);
    let sums = builder.last_adder(&state, Some(controls.first));
    builder.remaining_guests();
    let arrival = builder.arrival();
    let loaded = plan.last_sites.guests_from as usize;
    let (low, high) = sums.split_at(loaded);
    net.register_onto(low, &state[..loaded], controls.accumulate, Bit::ZERO);
    if !high.is_empty() {
        net.register_onto(high, &state[loaded..], controls.accumulate, controls.clear);
    }
    (state, arrival, plan.depth())
}

fn check(heap: &Heap) {
    assert!(
        heap.groups == 1 && heap.planes == 1 && heap.pairs >= 1,
        "one group and one plane of at least one pair, not {heap:?}"
    );
}

struct Builder<'a> {
    net: &'a mut Netlist,
    source: &'a Source<'a>,
    plan: &'a Plan,
    advance: Bit,
    /// The net of each token that is registered by now.
    bits: Vec<Option<Bit>>,
    /// Which tokens anything takes; others are carries that are always 0.
    used: Vec<bool>,
    /// What the guests' LUTs drive.
    guest_nets: Vec<Bit>,
    guests_done: usize,
    absorbed_at: Vec<u32>,
    /// Barriers that are there only because their guests need a site.
    optional_barriers: u32,
}

impl<'a> Builder<'a> {
    fn new(net: &'a mut Netlist, source: &'a Source<'a>, plan: &'a Plan, advance: Bit) -> Self {
        let guest_nets = net.wires("guest", plan.guests as usize);
        let registered = net.register("pair", &guest_nets, advance, Bit::ZERO);
        let mut bits: Vec<Option<Bit>> = registered.into_iter().map(Some).collect();
        bits.resize(plan.tokens as usize, None);
        let mut used = vec![false; plan.tokens as usize];
        for stage in &plan.stages {
            let segments = stage.segments.iter();
            let waits = stage.waits.iter().map(|(before, _)| *before);
            for token in segments.flat_map(Segment::inputs).chain(waits) {
                used[token as usize] = true;
            }
        }
        plan.last
            .iter()
            .flatten()
            .for_each(|t| used[*t as usize] = true);
        Builder {
            net,
            source,
            plan,
            advance,
            bits,
            used,
            guest_nets,
            guests_done: 0,
            absorbed_at: Vec::new(),
            optional_barriers: plan.guests.saturating_sub(plan.guest_places_min()),
        }
    }

    fn bit(&self, token: Token) -> Bit {
        self.bits[token as usize].expect("a token is registered before it is taken")
    }

    fn fresh(&self, pair: u32) -> Fresh {
        Fresh {
            pins: (self.source.pins)(0, 0, pair),
            table: self.source.tables[0],
        }
    }

    fn guest(&mut self) -> Option<Guest> {
        let onto = *self.guest_nets.get(self.guests_done)?;
        let fresh = self.fresh(self.guests_done as u32);
        self.guests_done += 1;
        Some(Guest { fresh, onto })
    }

    fn stages(&mut self) {
        for (i, stage) in self.plan.stages.iter().enumerate() {
            self.net.comment(format!("stage {}", i + 1));
            let mut made = self.stage(stage, i as u32 + 1);
            let waits = stage.waits.iter();
            made.extend(waits.map(|(before, after)| (*after, self.bit(*before))));
            made.retain(|(token, _)| self.used[*token as usize]);
            let nets: Vec<Bit> = made.iter().map(|(_, net)| *net).collect();
            let name = format!("stage_{}", i + 1);
            let held = self.net.register(&name, &nets, self.advance, Bit::ZERO);
            for ((token, _), q) in made.iter().zip(held) {
                self.bits[*token as usize] = Some(q);
            }
        }
    }

    /// The chains of a stage; gives what they make.
    fn stage(&mut self, stage: &Stage, number: u32) -> Vec<(Token, Bit)> {
        let mut made = Vec::new();
        let order = in_order(stage);
        let mut chain = Chain::new(Bit::ZERO);
        for (i, segment) in order.iter().enumerate() {
            if chain.is_empty() {
                chain = self.start(segment);
            }
            self.segment(segment, &mut chain, number, &mut made);
            let next = order.get(i + 1);
            let must = segment.ends_closed() || next.is_some_and(|next| next.absorb.is_none());
            if must || self.optional_barriers > 0 {
                if !segment.ends_closed() {
                    self.optional_barriers = self.optional_barriers.saturating_sub(1);
                }
                let goes_on =
                    next.filter(|next| next.absorb.is_none() || chain.len() + 1 < CHAIN_POSITIONS);
                let inject = goes_on.map_or(Bit::ZERO, |next| self.bit(next.inject));
                let guest = self.guest();
                made.push((segment.carry, chain.barrier(self.net, inject, guest)));
                if goes_on.is_some() {
                    continue;
                }
            } else {
                made.push((segment.carry, chain.carry_out(self.net)));
            }
            std::mem::replace(&mut chain, Chain::new(Bit::ZERO)).finish(self.net);
        }
        made
    }

    fn start(&mut self, segment: &Segment) -> Chain {
        let inject = self.bit(segment.inject);
        if segment.absorb.is_some() {
            return Chain::new(inject);
        }
        let mut chain = Chain::new(Bit::ZERO);
        let guest = self.guest();
        chain.start(self.net, inject, guest);
        chain
    }

    fn segment(
        &mut self,
        segment: &Segment,
        chain: &mut Chain,
        stage: u32,
        made: &mut Vec<(Token, Bit)>,
    ) {
        if let Some((y, sum)) = segment.absorb {
            let pair = self.plan.guests + self.absorbed_at.len() as u32;
            self.absorbed_at.push(stage);
            let (fresh, y) = (self.fresh(pair), self.bit(y));
            made.push((sum, chain.absorb(self.net, &fresh, y)));
        }
        for step in &segment.steps {
            let bits: Vec<Bit> = step.bits.iter().map(|t| self.bit(*t)).collect();
            if let [x] = bits[..] {
                let guest = self.guest();
                made.push((step.sum, chain.host(self.net, x, guest)));
                continue;
            }
            let (sum, second) = chain.compress(self.net, &bits);
            made.push((step.sum, sum));
            made.extend(step.second.zip(second));
        }
    }

    /// The last adder: up to three bits of each weight, or two and a bit of the accumulator `state`, which counts as 0 with
    /// `first` in the positions that are loaded. Its second carries run from site to site in the same cycle.
    fn last_adder(&mut self, state: &[Bit], first: Option<Bit>) -> Vec<Bit> {
        self.net.comment("last adder");
        let sites = self.plan.last_sites;
        let mut chain = Chain::new(Bit::ZERO);
        let mut sums = Vec::new();
        let mut second = None;
        for i in 0..sites.width as usize {
            let tokens = self.plan.last.get(i).map_or(&[][..], Vec::as_slice);
            let mut bits: Vec<Bit> = tokens.iter().map(|t| self.bit(*t)).collect();
            if i == 0 && sites.start_barrier {
                let inject = bits.remove(0);
                let guest = self.guest();
                chain.start(self.net, inject, guest);
            }
            bits.extend(second);
            let loaded = i < sites.guests_from as usize;
            let operand = state.get(i).copied();
            let (sum, next) = match (operand, first) {
                (Some(held), Some(first)) if loaded => {
                    gated_position(self.net, &mut chain, held, first, &bits)
                }
                _ => {
                    bits.extend(operand);
                    self.plain_position(&mut chain, &bits, !loaded)
                }
            };
            sums.push(sum);
            second = next;
        }
        chain.finish(self.net);
        sums
    }

    fn plain_position(
        &mut self,
        chain: &mut Chain,
        bits: &[Bit],
        open: bool,
    ) -> (Bit, Option<Bit>) {
        let guest = if open { self.guest() } else { None };
        match bits {
            [] => (chain.barrier(self.net, Bit::ZERO, guest), None),
            [x] => (chain.host(self.net, *x, guest), None),
            _ => chain.compress(self.net, bits),
        }
    }

    /// Guests for which no chain has a place, each in a site of its own.
    fn remaining_guests(&mut self) {
        self.net.comment("pair bits beside the chains");
        while let Some(Guest { fresh, onto }) = self.guest() {
            self.net.cell(crate::fabric::Cell::Lut {
                inputs: fresh.pins.to_vec(),
                table: fresh.table.into(),
                output: onto,
            });
        }
    }

    fn arrival(&self) -> Vec<u32> {
        let guests = self.plan.guest_arrival.iter();
        guests.chain(&self.absorbed_at).copied().collect()
    }
}

/// A position of the last adder that adds up to three bits to `held & ~first`.
fn gated_position(
    net: &mut Netlist,
    chain: &mut Chain,
    held: Bit,
    first: Bit,
    bits: &[Bit],
) -> (Bit, Option<Bit>) {
    let inputs: Vec<Bit> = [held, first].iter().chain(bits).copied().collect();
    let size = inputs.len();
    // The held bit, gated, in bit 0; the others above.
    let gated = |v: u32| v >> 2 << 1 | u32::from(v & 3 == 1);
    let upper = table(size, |v| parity(gated(v)));
    match bits.split_last() {
        None => (chain.position(net, &inputs, (upper, 0), None, None).0, None),
        Some((_, [])) => {
            let luts = (upper, table(size, |v| v >> 2 == 1));
            (chain.position(net, &inputs, luts, None, None).0, None)
        }
        Some((last, rest)) => {
            let below = (2u32 << rest.len()) - 1;
            let lower = table(size, |v| majority(gated(v) & below));
            let (sum, second) = chain.position(net, &inputs, (upper, lower), None, Some(*last));
            (sum, Some(second))
        }
    }
}

/// Segments in the order in which they stand on their chains: one that a slice can start with, then those that no slice
/// can start with, and last those whose carry can leave without a barrier.
fn in_order(stage: &Stage) -> Vec<&Segment> {
    let rank = |s: &&Segment| match (s.absorb.is_some(), s.ends_closed()) {
        (true, true) => 0,
        (false, _) => 1,
        (true, false) => 2,
    };
    let mut order: Vec<&Segment> = stage.segments.iter().collect();
    order.sort_by_key(rank);
    if order.iter().any(|s| rank(s) == 1) && order.iter().all(|s| rank(s) != 0) {
        // The last one can start a slice, if any can.
        let shift = order.last().map_or(0, |s| usize::from(rank(s) == 2));
        order.rotate_right(shift);
    }
    order
}
