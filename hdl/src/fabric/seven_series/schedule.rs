//! What a popcount of pair bits is made of, and when.
//!
//! Every full adder takes one bit out of a heap, so `pairs` bits that end as a number of W bits beside an accumulator of W
//! bits need `pairs` full adders. A site that absorbs makes one pair bit and is one full adder; all full adders of weight 1
//! can be of that kind, so half of the pair bits are absorbed and the other half are guests of barriers and hosts. A
//! compressing position is two full adders and makes no pair bit. That leaves one question for each weight: how many
//! compressors of which size, and how many bits for the last adder (`balance`, exact for this library). The second
//! step (`arrange`) gives each its stage, the carries their positions and the bits their places.

mod balance;

use balance::{Level, Recipe, recipe_of_bits, recipes};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

/// What the last adder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// The count leaves: a ternary adder.
    Count,
    /// The count is added to an accumulator of so many bits, which never shifts: with it three numbers.
    Accumulate {
        /// Width of the accumulator.
        width: u32,
    },
}

/// No arrangement needs as many stages; one that does is given up.
const STAGES_MAX: u32 = 64;

/// A bit of the schedule. The first `guests` of them are the pair bits that are not absorbed.
pub type Token = u32;

/// One position above the start of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The bits that it adds to the carry; 1 to 4. One bit is a host.
    pub bits: Vec<Token>,
    /// Its sum.
    pub sum: Token,
    /// Its second carry, from three bits up.
    pub second: Option<Token>,
}

/// Positions between two barriers: a carry runs through them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The bit that is its lowest position's carry in.
    pub inject: Token,
    /// If it starts with an absorbing position: the fifth pin and the sum.
    pub absorb: Option<(Token, Token)>,
    /// The positions above.
    pub steps: Vec<Step>,
    /// Its last carry.
    pub carry: Token,
}

/// What happens in one cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// Its segments.
    pub segments: Vec<Segment>,
    /// Bits that wait for a later stage: before and after this one.
    pub waits: Vec<(Token, Token)>,
}

/// A schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Stages 1, 2, ...: those before the last adder's.
    pub stages: Vec<Stage>,
    /// What the last adder takes of each weight.
    pub last: Vec<Vec<Token>>,
    /// Pair bits that are absorbed.
    pub absorbed: u32,
    /// Pair bits that are guests: tokens `0..guests`.
    pub guests: u32,
    /// When each guest's operands arrive.
    pub guest_arrival: Vec<u32>,
    /// Tokens in all.
    pub tokens: u32,
    /// Positions that make no pair bit.
    pub compressors: u32,
    /// Positions of the last adder that can have no guest, and its start barrier among those that can.
    pub last_sites: LastSites,
}

/// Sites of the last adder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastSites {
    /// Width of the count.
    pub count_width: u32,
    /// A barrier below its lowest position, to inject one more bit.
    pub start_barrier: bool,
    /// Positions from here on can have guests.
    pub guests_from: u32,
    /// Positions.
    pub width: u32,
}

impl LastSites {
    fn new(finish: Finish, last: &[u32]) -> Self {
        let count_width = last.len() as u32;
        let start_barrier = last[0] > finish.capacity(0, false);
        let (guests_from, width) = match finish {
            Finish::Count => {
                // From the first position on that adds one bit or none.
                let guests_from = (0..last.len())
                    .rev()
                    .take_while(|&i| {
                        let second = i > 0 && second_carry(finish, last, i - 1);
                        last[i] + u32::from(second) <= 1
                    })
                    .last();
                (guests_from.unwrap_or(last.len()) as u32, count_width)
            }
            // Positions above the count are cleared by their registers, and all registers of a slice share the reset.
            Finish::Accumulate { width } => {
                let below = count_width + u32::from(start_barrier);
                let aligned = below.next_multiple_of(4) - u32::from(start_barrier);
                (aligned.min(width), width)
            }
        };
        LastSites {
            count_width,
            start_barrier,
            guests_from,
            width,
        }
    }

    /// Positions without a guest.
    pub fn closed(&self) -> u32 {
        self.guests_from
    }

    /// Positions that can have one.
    pub fn open(&self) -> u32 {
        self.width - self.guests_from + u32::from(self.start_barrier)
    }
}

/// Whether position `i` of the last adder gives a second carry to the next one.
fn second_carry(finish: Finish, last: &[u32], i: usize) -> bool {
    let own = last[i].min(finish.capacity(i, false)) + u32::from(finish != Finish::Count);
    let below = i > 0 && second_carry(finish, last, i - 1);
    own + u32::from(below) >= 3
}

impl Finish {
    /// Bits of weight `2^level` that the last adder takes; one more at level 0 behind a start barrier.
    fn capacity(self, level: usize, barrier: bool) -> u32 {
        let upper = match self {
            Finish::Count => 3,
            Finish::Accumulate { .. } => 2,
        };
        // The lowest position has no second carry from below.
        upper + u32::from(level == 0) + u32::from(barrier)
    }
}

/// Puts one recipe into stages.
struct Arrangement<'r> {
    recipe: &'r Recipe,
    plan: Plan,
    /// Registered bits by weight.
    pool: Vec<VecDeque<Token>>,
    /// What becomes available in the next stage.
    next: Vec<VecDeque<Token>>,
    /// Steps still to be placed, by weight.
    left: Vec<[u32; 4]>,
    absorb_left: u32,
    guests_left: u32,
    /// Bits from elsewhere: stage, level, token.
    outside: &'r [(u32, usize, Token)],
}

impl<'r> Arrangement<'r> {
    fn new(recipe: &'r Recipe, guests: u32, outside: &'r [(u32, usize, Token)]) -> Self {
        let width = recipe.levels.len();
        Arrangement {
            recipe,
            plan: Plan {
                absorbed: recipe.absorbed,
                guests,
                tokens: guests + outside.len() as u32,
                ..Plan::default()
            },
            pool: vec![VecDeque::new(); width],
            next: vec![VecDeque::new(); width + 1],
            left: recipe.levels.iter().map(|l| l.steps).collect(),
            absorb_left: recipe.absorbed,
            guests_left: guests,
            outside,
        }
    }

    /// Takes in what comes from elsewhere in time for a stage.
    fn arrive(&mut self, number: u32) {
        for (_, level, token) in self.outside.iter().filter(|(stage, ..)| *stage == number) {
            // Bits of weights above the largest count are always 0.
            if let Some(pool) = self.pool.get_mut(*level) {
                pool.push_back(*token);
            }
        }
    }

    fn token(&mut self, level: usize) -> Token {
        let token = self.plan.tokens;
        self.plan.tokens += 1;
        if let Some(next) = self.next.get_mut(level) {
            next.push_back(token);
        }
        token
    }

    /// A bit that is available in stage `stage`: registered, or of weight 1 a guest.
    fn take(&mut self, level: usize, stage: u32) -> Token {
        if let Some(token) = self.pool[level].pop_front() {
            return token;
        }
        debug_assert!(level == 0 && self.guests_left > 0);
        self.guests_left -= 1;
        self.plan.guest_arrival.push(stage - 1);
        self.plan.guest_arrival.len() as Token - 1
    }

    fn available(&self, level: usize) -> u32 {
        self.pool[level].len() as u32 + if level == 0 { self.guests_left } else { 0 }
    }

    fn finished(&self) -> bool {
        self.absorb_left == 0 && self.left.iter().flatten().all(|n| *n == 0)
    }

    /// Puts as much as it can into one stage; at most `absorb_max` absorbing positions.
    fn stage(&mut self, number: u32, absorb_max: u32) {
        let mut done: Vec<Segment> = Vec::new();
        // Segments whose carry has the weight that is looked at.
        let mut open: VecDeque<Segment> = VecDeque::new();
        for level in 0..self.pool.len() {
            let mut above = VecDeque::new();
            for size in (1..=4u32).rev() {
                while self.left[level][size as usize - 1] > 0 {
                    let needed = size + u32::from(open.is_empty());
                    if self.available(level) < needed {
                        break;
                    }
                    let segment = match open.pop_front() {
                        Some(segment) => segment,
                        None => self.new_segment(level, number),
                    };
                    above.push_back(self.step(segment, level, size, number));
                }
            }
            if level == 0 {
                let absorbing = (self.available(0) / 2)
                    .min(self.absorb_left)
                    .min(absorb_max);
                for _ in 0..absorbing {
                    let mut segment = self.new_segment(0, number);
                    let y = self.take(0, number);
                    segment.absorb = Some((y, self.token(0)));
                    above.push_back(segment);
                }
                self.absorb_left -= absorbing;
            }
            for mut segment in open {
                segment.carry = self.token(level);
                done.push(segment);
            }
            open = above;
        }
        for mut segment in open {
            // A carry of a weight above the largest count: always 0.
            segment.carry = self.token(usize::MAX);
            done.push(segment);
        }
        let mut stage = Stage {
            segments: done,
            waits: Vec::new(),
        };
        for level in 0..self.pool.len() {
            for waiting in std::mem::take(&mut self.pool[level]) {
                let token = self.token(level);
                stage.waits.push((waiting, token));
            }
        }
        self.next.resize_with(self.pool.len() + 1, VecDeque::new);
        self.pool = std::mem::take(&mut self.next);
        self.pool.truncate(self.recipe.levels.len());
        self.next = vec![VecDeque::new(); self.pool.len() + 1];
        self.plan.stages.push(stage);
    }

    fn new_segment(&mut self, level: usize, stage: u32) -> Segment {
        Segment {
            inject: self.take(level, stage),
            absorb: None,
            steps: Vec::new(),
            carry: 0,
        }
    }

    fn step(&mut self, mut segment: Segment, level: usize, size: u32, stage: u32) -> Segment {
        let bits = (0..size).map(|_| self.take(level, stage)).collect();
        let sum = self.token(level);
        let second = (size >= 3).then(|| self.token(level + 1));
        self.left[level][size as usize - 1] -= 1;
        segment.steps.push(Step { bits, sum, second });
        segment
    }

    /// The last adder's bits.
    fn finish(mut self, finish: Finish) -> Plan {
        let stage = self.plan.stages.len() as u32 + 1;
        self.plan.last = (0..self.pool.len())
            .map(|level| {
                (0..self.available(level))
                    .map(|_| self.take(level, stage))
                    .collect()
            })
            .collect();
        let last: Vec<u32> = self
            .plan
            .last
            .iter()
            .map(|bits| bits.len() as u32)
            .collect();
        debug_assert!(
            last.iter()
                .zip(&self.recipe.levels)
                .all(|(have, level)| *have == level.keep)
        );
        self.plan.last_sites = LastSites::new(finish, &last);
        self.plan.compressors = self.recipe.levels.iter().map(Level::compressors).sum();
        self.plan
    }
}

/// Puts a recipe into stages; nothing if it cannot be done in a reasonable number of them. The first two stages absorb
/// `absorb_less` fewer bits than they could, so that those bits wait less later.
fn arrange(
    recipe: &Recipe,
    (guests, outside): (u32, &[(u32, usize, Token)]),
    finish: Finish,
    absorb_less: [u32; 2],
) -> Option<Plan> {
    let mut work = Arrangement::new(recipe, guests, outside);
    let last_arrival = outside.iter().map(|(stage, ..)| *stage).max().unwrap_or(0);
    let mut number = 1;
    loop {
        work.arrive(number);
        if work.finished() && number >= last_arrival {
            return Some(work.finish(finish));
        }
        if number > STAGES_MAX {
            return None;
        }
        let most = work.available(0) / 2;
        let less = absorb_less.get(number as usize - 1).unwrap_or(&0);
        let absorb_max = most.saturating_sub(*less);
        work.stage(number, absorb_max);
        number += 1;
    }
}

impl Plan {
    /// Segments of all stages.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.stages.iter().flat_map(|stage| &stage.segments)
    }

    /// Barriers that must be there: those that take the carry of a segment whose last site has no output to spare, and
    /// those in front of segments that a slice cannot start with.
    fn barriers_min(&self) -> u32 {
        let closed = |s: &&Segment| s.ends_closed();
        self.segments().filter(closed).count() as u32 + u32::from(self.starts_with_barrier())
    }

    /// Whether it has segments that cannot stand at the bottom of a slice, and none to put in front of them that a
    /// barrier follows anyway.
    fn starts_with_barrier(&self) -> bool {
        self.segments().any(|s| s.absorb.is_none())
            && !self
                .segments()
                .any(|s| s.absorb.is_some() && s.ends_closed())
    }

    /// Which tokens anything takes; the others are carries that are always 0.
    pub fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.tokens as usize];
        let waits = self.stages.iter().flat_map(|stage| &stage.waits);
        let taken = self.segments().flat_map(Segment::inputs);
        let taken = taken.chain(waits.map(|(before, _)| *before));
        for token in taken.chain(self.last.iter().flatten().copied()) {
            used[token as usize] = true;
        }
        used
    }

    fn hosts(&self) -> u32 {
        let steps = self.segments().flat_map(|s| &s.steps);
        steps.filter(|step| step.bits.len() == 1).count() as u32
    }

    /// Places for guests outside of barriers that can be left out.
    pub fn guest_places_min(&self) -> u32 {
        self.barriers_min() + self.hosts() + self.last_sites.open()
    }

    /// Sites in all.
    pub fn sites(&self) -> u32 {
        self.absorbed
            + self.compressors
            + self.last_sites.closed()
            + self.guests.max(self.guest_places_min())
    }

    /// Cycles from a beat's entry until the last adder has its bits in registers.
    pub fn depth(&self) -> u32 {
        self.stages.len() as u32 + 1
    }

    /// Flip-flops that a bypass pin must reach: bits that wait, and carries and guests whose own site has no flip-flop for
    /// them.
    fn bypassed(&self) -> u32 {
        let waits: usize = self.stages.iter().map(|stage| stage.waits.len()).sum();
        let beside = self.guests.saturating_sub(self.guest_places_min());
        let leaving = self.segments().filter(|s| !s.ends_closed()).count() as u32;
        waits as u32 + leaving.saturating_sub(beside)
    }

    fn order(&self) -> (u32, u32, u32, u32) {
        let late = self.guest_arrival.iter().sum();
        (self.sites(), self.bypassed(), self.depth(), late)
    }
}

impl Segment {
    /// The bits that it takes.
    pub fn inputs(&self) -> impl Iterator<Item = Token> {
        let steps = self.steps.iter().flat_map(|step| &step.bits).copied();
        std::iter::once(self.inject)
            .chain(self.absorb.map(|(y, _)| y))
            .chain(steps)
    }

    /// The bits that it makes.
    pub fn outputs(&self) -> impl Iterator<Item = Token> {
        let steps = self.steps.iter();
        let steps = steps.flat_map(|step| std::iter::once(step.sum).chain(step.second));
        let absorbed = self.absorb.map(|(_, sum)| sum);
        absorbed.into_iter().chain(steps).chain([self.carry])
    }

    /// Whether a barrier must take its carry: its last site has no output to spare, or no slice can start with it, so
    /// that others must stand around it.
    pub fn ends_closed(&self) -> bool {
        self.absorb.is_none() || self.steps.last().is_some_and(|step| step.bits.len() != 2)
    }
}

impl Stage {
    /// The bits that it makes.
    pub fn outputs(&self) -> impl Iterator<Item = Token> {
        let segments = self.segments.iter().flat_map(Segment::outputs);
        segments.chain(self.waits.iter().map(|(_, after)| *after))
    }
}

/// The best schedule for a count of `pairs` bits; computed once for each shape.
pub fn plan(pairs: u32, finish: Finish) -> Arc<Plan> {
    type Known = Mutex<HashMap<(u32, Finish), Arc<Plan>>>;
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let known = KNOWN.get_or_init(Known::default);
    let lock = || {
        known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    };
    if let Some(plan) = lock().get(&(pairs, finish)) {
        return plan.clone();
    }
    let plan = Arc::new(search(pairs, finish));
    lock().insert((pairs, finish), plan.clone());
    plan
}

fn search(pairs: u32, finish: Finish) -> Plan {
    let mut best: Option<Plan> = None;
    for recipe in recipes(pairs, finish) {
        let guests = pairs - recipe.absorbed;
        for less in (0..32).map(|k| [k % 8, k / 8]) {
            let Some(plan) = arrange(&recipe, (guests, &[]), finish, less) else {
                continue;
            };
            if best.as_ref().is_none_or(|b| plan.order() < b.order()) {
                best = Some(plan);
            }
        }
    }
    best.expect("every count has a schedule")
}

/// The schedule behind ripples of full adders, which count two bits each: tokens `0..bits.len()` are their outputs, with the
/// stage at which each is registered and its level, 0 (sums) or 1 (carries). `max` is the largest count.
pub fn plan_ripples(bits: &[(u32, usize)], max: u32) -> Plan {
    let of_level = |level| bits.iter().filter(|(_, l)| *l == level).count() as u32;
    let recipe = recipe_of_bits(Finish::Count, of_level(0), of_level(1), max);
    let tokens = bits.iter().zip(0..);
    let outside: Vec<(u32, usize, Token)> = tokens
        .map(|((stage, level), token)| (*stage, *level, token))
        .collect();
    arrange(&recipe, (0, &outside), Finish::Count, [0; 2]).expect("every count has a schedule")
}

/// A lower bound of the sites of a plan in this library, for any number of stages: each pair bit takes four of the five
/// pins of a site, absorbing sites are one full adder of weight 1 each, all others without a pair bit at most two.
pub fn bound(pairs: u32, finish: Finish) -> u32 {
    match finish {
        // pairs - (bits that leave) full adders, less those that are absorbed
        Finish::Count => {
            let leave = crate::config::bits_for(pairs.into());
            pairs + (pairs / 2).saturating_sub(leave).div_ceil(2)
        }
        Finish::Accumulate { width } => (pairs + (pairs / 2).div_ceil(2)).max(width),
    }
}
