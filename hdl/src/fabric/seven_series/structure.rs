//! From a schedule to cells.

use super::chain::{Chain, Fresh, Guest, majority, parity, table};
use super::schedule::{Finish, Plan, Segment, Token, plan};
use crate::fabric::Controls;
use crate::fabric::{Bit, Counted, Heap, Netlist, Source};
use std::collections::VecDeque;

/// Positions of a slice of the 7 series; UltraScale's hold two of them.
const SLICE: usize = 4;
/// A chain ends with the first full slice from here on. Carries stop at barriers, but timing analysis may not know it.
const CHAIN_POSITIONS: usize = 16;

/// Counts a heap of one group and one plane; the count is registered.
///
/// # Panics
/// If `heap` has more than one group or plane, or no pair.
pub fn count(net: &mut Netlist, source: &Source, heap: &Heap, advance: Bit) -> Counted {
    check(heap);
    let plan = plan(heap.pairs, Finish::Count);
    let fresh = |pair| fresh_from(source, pair);
    let mut builder = Builder::new(net, &fresh, &plan, advance);
    builder.guests(0);
    let sums = builder.all();
    let arrival = builder.arrival();
    Counted {
        count: net.register("count", &sums, advance, Bit::ZERO),
        arrival,
        latency: plan.depth() + 1,
    }
}

/// Counts what a plan without pair bits of its own starts with; the count is registered.
pub(super) fn count_bits(net: &mut Netlist, plan: &Plan, bits: &[Bit], advance: Bit) -> Vec<Bit> {
    let none = |_| unreachable!("the plan has no pair bits");
    let mut builder = Builder::new(net, &none, plan, advance);
    for (known, bit) in builder.bits.iter_mut().zip(bits) {
        *known = Some(*bit);
    }
    let sums = builder.all();
    net.register("count", &sums, advance, Bit::ZERO)
}

fn fresh_from(source: &Source, pair: u32) -> Fresh {
    Fresh {
        pins: (source.pins)(0, 0, pair),
        table: source.tables[0],
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
    let fresh = |pair| fresh_from(source, pair);
    let mut builder = Builder::new(net, &fresh, &plan, controls.advance);
    // A guest of the last adder could only be registered elsewhere: those registers' enable and reset are not its own. So
    // it goes where it is used in the same cycle, by a way that is no longer than the last adder's own second carries.
    let early = plan.guest_arrival.iter();
    let early = early.filter(|a| **a + 1 < plan.depth()).count();
    builder.guests(early.min(plan.last_sites.open() as usize));
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
    fresh: &'a dyn Fn(u32) -> Fresh,
    plan: &'a Plan,
    advance: Bit,
    /// What holds each token: the guests' and the stages' registers.
    bits: Vec<Option<Bit>>,
    /// The registers of each stage: tokens and what holds them.
    stages: Vec<Vec<(Token, Bit)>>,
    /// What each token's register takes.
    made: Vec<Option<Bit>>,
    /// What the guests' LUTs drive.
    guest_nets: Vec<Bit>,
    /// The first so many guests are the last adder's and not registered; how many of them it has made.
    direct: usize,
    direct_done: usize,
    /// The next of the others.
    guests_done: usize,
    absorbed_at: Vec<u32>,
}

impl<'a> Builder<'a> {
    fn new(
        net: &'a mut Netlist,
        fresh: &'a dyn Fn(u32) -> Fresh,
        plan: &'a Plan,
        advance: Bit,
    ) -> Self {
        let mut bits = vec![None; plan.tokens as usize];
        let used = plan.used();
        let mut stages = Vec::new();
        for (i, stage) in plan.stages.iter().enumerate() {
            let tokens: Vec<Token> = stage.outputs().filter(|t| used[*t as usize]).collect();
            let held = net.wires(&format!("stage_{}", i + 1), tokens.len());
            let registers: Vec<(Token, Bit)> = tokens.into_iter().zip(held).collect();
            for (token, q) in &registers {
                bits[*token as usize] = Some(*q);
            }
            stages.push(registers);
        }
        Builder {
            net,
            fresh,
            plan,
            advance,
            made: vec![None; bits.len()],
            bits,
            stages,
            guest_nets: Vec::new(),
            direct: 0,
            direct_done: 0,
            guests_done: 0,
            absorbed_at: Vec::new(),
        }
    }

    /// The guests' nets, and the registers of all but the first `direct`.
    fn guests(&mut self, direct: usize) {
        self.guest_nets = self.net.wires("guest", self.plan.guests as usize);
        (self.direct, self.guests_done) = (direct, direct);
        let (now, registered) = self.guest_nets.split_at(direct);
        let held = self
            .net
            .register("pair", registered, self.advance, Bit::ZERO);
        let all = now.iter().copied().chain(held);
        for (known, bit) in self.bits.iter_mut().zip(all) {
            *known = Some(bit);
        }
    }

    /// Everything, without an accumulator; gives the last adder's sums.
    fn all(&mut self) -> Vec<Bit> {
        self.stages();
        let sums = self.last_adder(&[], None);
        self.remaining_guests();
        sums
    }

    fn bit(&self, token: Token) -> Bit {
        self.bits[token as usize].expect("a token is registered before it is taken")
    }

    fn guest(&mut self) -> Option<Guest> {
        let guest = self.guest_at(self.guests_done)?;
        self.guests_done += 1;
        Some(guest)
    }

    /// One for the last adder.
    fn last_guest(&mut self) -> Option<Guest> {
        if self.direct_done == self.direct {
            return self.guest();
        }
        self.direct_done += 1;
        self.guest_at(self.direct_done - 1)
    }

    fn guest_at(&self, number: usize) -> Option<Guest> {
        Some(Guest {
            onto: *self.guest_nets.get(number)?,
            fresh: (self.fresh)(number as u32),
        })
    }

    /// All chains but the last adder's, and the registers of all stages. Segments of different stages share chains, since a
    /// barrier parts them all the same.
    fn stages(&mut self) {
        self.net.comment("carry chains");
        let mut waiting = Waiting::new(self.plan);
        let mut chain = Chain::new(Bit::ZERO);
        let mut next = waiting.next(0);
        while let Some(placed) = next {
            if chain.is_empty() {
                chain = self.start(placed.segment);
            }
            self.segment(&placed, &mut chain);
            let carry = placed.segment.carry;
            if placed.leaves {
                self.made[carry as usize] = Some(chain.carry_out(self.net));
                next = waiting.next(0);
            } else {
                let length = chain.len() + 1;
                let full = length.is_multiple_of(SLICE) && length >= CHAIN_POSITIONS;
                next = waiting.next(if full { 0 } else { length });
                let goes_on = next
                    .as_ref()
                    .filter(|n| !full || n.segment.absorb.is_none());
                let inject = goes_on.map_or(Bit::ZERO, |n| self.bit(n.segment.inject));
                let guest = self.guest();
                self.made[carry as usize] = Some(chain.barrier(self.net, inject, guest));
                if goes_on.is_some() {
                    continue;
                }
            }
            std::mem::replace(&mut chain, Chain::new(Bit::ZERO)).finish(self.net);
        }
        for (before, after) in self.plan.stages.iter().flat_map(|stage| &stage.waits) {
            self.made[*after as usize] = self.bits[*before as usize];
        }
        for registers in std::mem::take(&mut self.stages) {
            let (d, q): (Vec<Bit>, Vec<Bit>) = registers
                .iter()
                .map(|(token, q)| (self.made[*token as usize].expect("it is made"), *q))
                .unzip();
            self.net.register_onto(&d, &q, self.advance, Bit::ZERO);
        }
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

    fn segment(&mut self, placed: &Placed, chain: &mut Chain) {
        if let Some((y, sum)) = placed.segment.absorb {
            let pair = self.plan.guests + self.absorbed_at.len() as u32;
            self.absorbed_at.push(placed.stage);
            let (fresh, y) = ((self.fresh)(pair), self.bit(y));
            self.made[sum as usize] = Some(chain.absorb(self.net, &fresh, y));
        }
        for step in &placed.segment.steps {
            let bits: Vec<Bit> = step.bits.iter().map(|t| self.bit(*t)).collect();
            let (sum, second) = match bits[..] {
                [x] => {
                    let guest = self.guest();
                    (chain.host(self.net, x, guest), None)
                }
                _ => chain.compress(self.net, &bits),
            };
            self.made[step.sum as usize] = Some(sum);
            if let Some(token) = step.second {
                self.made[token as usize] = second;
            }
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
                let guest = self.last_guest();
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
        let guest = if open { self.last_guest() } else { None };
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
        let guests = self.plan.guest_arrival.iter().zip(0..);
        let guests = guests.map(|(arrival, i)| arrival + u32::from(i < self.direct));
        guests.chain(self.absorbed_at.iter().copied()).collect()
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

/// A segment and its place.
struct Placed<'a> {
    segment: &'a Segment,
    stage: u32,
    /// Its carry leaves through its site's multiplexer output, and its chain ends.
    leaves: bool,
}

/// The segments that are not placed yet.
struct Waiting<'a> {
    /// Those that a barrier follows.
    barred: VecDeque<Placed<'a>>,
    /// Those that have none: there are fewer guests than places for them.
    leaving: VecDeque<Placed<'a>>,
}

impl<'a> Waiting<'a> {
    fn new(plan: &'a Plan) -> Self {
        // Barriers that are there only because their guests need a site.
        let mut optional = plan.guests.saturating_sub(plan.guest_places_min());
        let (mut barred, mut leaving) = (VecDeque::new(), VecDeque::new());
        for (stage, segments) in (1..).zip(plan.stages.iter().map(|s| &s.segments)) {
            for segment in segments {
                let leaves = !segment.ends_closed() && optional == 0;
                optional -= u32::from(!segment.ends_closed() && !leaves);
                let placed = Placed {
                    segment,
                    stage,
                    leaves,
                };
                (if leaves { &mut leaving } else { &mut barred }).push_back(placed);
            }
        }
        Waiting { barred, leaving }
    }

    /// What stands best at position `at` of a chain: at 0 what a slice can start with, and what ends a chain where a slice
    /// ends.
    fn next(&mut self, at: usize) -> Option<Placed<'a>> {
        // Those that no slice can start with follow while the chain goes on.
        let stranded = self.barred.iter().all(|p| p.segment.absorb.is_none());
        let ends_well = at > 0 && at % SLICE >= 2 && (!stranded || self.barred.is_empty());
        if ends_well && !self.leaving.is_empty() {
            return self.leaving.pop_front();
        }
        let starts = |placed: &Placed| at > 0 || placed.segment.absorb.is_some();
        let first = self.barred.iter().position(starts);
        match first {
            Some(first) => self.barred.remove(first),
            None if self.leaving.front().is_some_and(starts) => self.leaving.pop_front(),
            None => self.barred.pop_front().or_else(|| self.leaving.pop_front()),
        }
    }
}
