//! Which structure: candidates, their costs, the choice.

use super::feed::{self, Feeding, Span};
use super::merge::{self, Merging};
use super::plan::Plan;
use crate::fabric::Heap;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

/// What follows the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// The count in registers.
    Count,
    /// An accumulator without shifts.
    Accumulate {
        /// Its width in bits, at least the count's.
        width: u32,
    },
}

/// A structure that could be taken, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Alternative {
    /// Name of the kind of structure.
    pub name: String,
    /// LUT6_2 sites; carry positions with nothing in their LUT are counted.
    pub sites: u64,
    /// Sites that hold flip-flops only, about.
    pub register_sites: u64,
    /// Cycles from a beat's entry to its count.
    pub latency: u32,
}

/// What was chosen for a heap.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Choice {
    /// The structure that is built.
    pub chosen: Alternative,
    /// The best of every kind, the chosen one among them.
    pub alternatives: Vec<Alternative>,
}

/// A choice with its plan.
pub(super) struct Chosen {
    pub(super) choice: Choice,
    pub(super) plan: Plan,
}

/// Rows in one chain at most; the first row is registered bits.
const DEPTH_MAX: u32 = 8;
/// Heap bits times steps of the search at most: bounds the time of a choice.
const WORK_MAX: u64 = 1_000_000;
/// Steps of the search at least, for the largest heaps.
const EFFORT_MIN: u64 = 24;
/// Steps of the search at most.
const EFFORT_MAX: u64 = 6000;
/// The search ends after this many steps without a better structure.
const PATIENCE: usize = 300;
/// Steps for each beginning of the search, and beginnings at most.
const EFFORT_OF_START: usize = 500;
const STARTS_MAX: usize = 6;

/// Kinds of structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Chains span the planes of one group.
    PlaneRows,
    /// Chains span the groups of one plane.
    GroupRows,
    /// Chains span as many weights as have bits left.
    LongRows,
    /// No chains: every bit is made by itself and merged.
    Heap,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::LongRows, Kind::PlaneRows, Kind::GroupRows, Kind::Heap];

    fn name(self) -> &'static str {
        match self {
            Kind::PlaneRows => "pair_rows_by_plane",
            Kind::GroupRows => "pair_rows_by_group",
            Kind::LongRows => "pair_rows_across_groups",
            Kind::Heap => "merged_heap",
        }
    }
}

type Memo = Mutex<HashMap<(Heap, Finish), Arc<Chosen>>>;

static MEMO: LazyLock<Memo> = LazyLock::new(Memo::default);

/// The choice for a heap, computed once.
pub(super) fn chosen(heap: &Heap, finish: Finish) -> Arc<Chosen> {
    let mut memo = MEMO.lock().unwrap_or_else(|e| e.into_inner());
    memo.entry((*heap, finish))
        .or_insert_with(|| Arc::new(choose(heap, finish)))
        .clone()
}

/// One way to count a heap.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    feeding: Feeding,
    merging: Merging,
}

/// A candidate, what it gives and what it costs.
struct Evaluated {
    candidate: Candidate,
    plan: Plan,
    sites: u64,
    /// Sites, those that hold nothing but registers included.
    charged: u64,
}

impl Evaluated {
    fn new(heap: &Heap, finish: Finish, candidate: Candidate) -> Self {
        let plan = plan(heap, &candidate, finish);
        let sites = plan.sites();
        Evaluated {
            candidate,
            charged: sites + plan.register_sites(),
            plan,
            sites,
        }
    }

    /// Sites first; then latency, then registered bits.
    fn cost(&self) -> (u64, u32, usize) {
        (self.charged, self.plan.latency, self.plan.bits.len())
    }

    fn alternative(&self, kind: Kind) -> Alternative {
        Alternative {
            name: kind.name().into(),
            sites: self.sites,
            register_sites: self.charged - self.sites,
            latency: self.plan.latency,
        }
    }
}

fn choose(heap: &Heap, finish: Finish) -> Chosen {
    let effort = (WORK_MAX / heap.bits()).clamp(EFFORT_MIN, EFFORT_MAX) as usize;
    // The best of every kind and depth, the cheapest first.
    let mut found: BTreeMap<(Kind, usize), Evaluated> = BTreeMap::new();
    for kind in Kind::ALL {
        for candidate in candidates(heap, kind, effort / 8) {
            let key = (kind, candidate.feeding.entering.len());
            let evaluated = Evaluated::new(heap, finish, candidate);
            if found.get(&key).is_none_or(|f| evaluated.cost() < f.cost()) {
                found.insert(key, evaluated);
            }
        }
    }
    let mut found: Vec<(Kind, Evaluated)> = found.into_iter().map(|((k, _), e)| (k, e)).collect();
    found.sort_by_key(|(_, evaluated)| evaluated.cost());
    // Changes rarely lead from one depth to another: the search begins several times.
    let starts = (effort / EFFORT_OF_START).clamp(1, found.len().min(STARTS_MAX));
    for (_, evaluated) in &mut found[..starts] {
        improve(heap, finish, evaluated, effort / starts);
    }
    found.sort_by_key(|(_, evaluated)| evaluated.cost());
    let mut alternatives: Vec<Alternative> = Vec::new();
    for (kind, evaluated) in &found {
        if alternatives.iter().all(|a| a.name != kind.name()) {
            alternatives.push(evaluated.alternative(*kind));
        }
    }
    Chosen {
        choice: Choice {
            chosen: alternatives[0].clone(),
            alternatives,
        },
        plan: found.swap_remove(0).1.plan,
    }
}

fn plan(heap: &Heap, candidate: &Candidate, finish: Finish) -> Plan {
    let mut plan = Plan::default();
    let left = feed::feed(&mut plan, heap, &candidate.feeding);
    let width = heap.count_width() as usize;
    match finish {
        Finish::Count => {
            let (columns, time) = merge::merge(&mut plan, left, width, 1, candidate.merging);
            plan.result = columns.iter().map(|c| c.first().copied()).collect();
            plan.latency = time;
        }
        Finish::Accumulate { width: sum } => {
            let (columns, time) = merge::merge(&mut plan, left, width, 2, candidate.merging);
            merge::accumulate(&mut plan, columns, width, sum as usize, time);
        }
    }
    plan
}

/// A small generator of numbers (xorshift): the search must take the same steps on every machine.
struct Steps(u64);

impl Steps {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Changes a candidate step by step and keeps what costs no more.
fn improve(heap: &Heap, finish: Finish, best: &mut Evaluated, effort: usize) {
    let mut steps = Steps(0x9e37_79b9_7f4a_7c15);
    let mut current = best.candidate.clone();
    let mut least = best.charged;
    let mut idle = 0;
    for _ in 0..effort {
        idle += 1;
        if idle > PATIENCE {
            break;
        }
        let Some(candidate) = changed(heap, &current, &mut steps) else {
            continue;
        };
        let evaluated = Evaluated::new(heap, finish, candidate);
        if evaluated.charged <= least {
            least = evaluated.charged;
            current = evaluated.candidate.clone();
            if evaluated.cost() < best.cost() {
                *best = evaluated;
                idle = 0;
            }
        }
    }
}

/// One or two changes of a candidate.
fn changed(heap: &Heap, candidate: &Candidate, steps: &mut Steps) -> Option<Candidate> {
    let mut next = candidate.clone();
    for _ in 0..=steps.below(2) {
        change(heap, &mut next, steps);
    }
    (next != *candidate).then_some(next)
}

/// One change: how adders merge, where a pair enters, or which chains there are.
fn change(heap: &Heap, candidate: &mut Candidate, steps: &mut Steps) {
    let Feeding { spans, entering } = &mut candidate.feeding;
    let highest = heap.groups + heap.planes - 2;
    match steps.below(6) {
        0 => {
            candidate.merging = MERGINGS[steps.below(MERGINGS.len())];
        }
        1 => {
            let (from, to) = (
                steps.below(entering.len()),
                steps.below((entering.len() + 1).min(DEPTH_MAX as usize)),
            );
            if entering[from] > 0 {
                entering[from] -= 1;
                if to == entering.len() {
                    entering.push(0);
                }
                entering[to] += 1;
                while entering.last() == Some(&0) {
                    entering.pop();
                }
            }
        }
        2 => {
            let low = steps.below(highest as usize + 1) as u32;
            let high = low + steps.below((highest - low) as usize + 1) as u32;
            let start = 1 + steps.below(entering.len().saturating_sub(1)) as u32;
            spans.push(Span { low, high, start });
        }
        3 if !spans.is_empty() => {
            spans.swap_remove(steps.below(spans.len()));
        }
        4 | 5 if !spans.is_empty() => {
            let at = steps.below(spans.len());
            let span = &mut spans[at];
            match steps.below(6) {
                0 => span.low = span.low.saturating_sub(1),
                1 => span.low = (span.low + 1).min(span.high),
                2 => span.high = (span.high + 1).min(highest),
                3 => span.high = (span.high - u32::from(span.high > 0)).max(span.low),
                4 => span.start += 1,
                _ => span.start = (span.start - 1).max(1),
            }
        }
        _ => {}
    }
}

/// Ways to merge, the one that is best most often first.
const MERGINGS: [Merging; 8] = {
    const fn merging(eager: bool, ratio: u32, spill: bool) -> Merging {
        Merging {
            eager,
            ratio,
            spill,
        }
    }
    [
        merging(true, 6, true),
        merging(true, 6, false),
        merging(false, 6, true),
        merging(true, 4, true),
        merging(false, 4, true),
        merging(false, 6, false),
        merging(true, 4, false),
        merging(false, 4, false),
    ]
};

/// At most about `most` candidates of a kind, in a fixed order.
fn candidates(heap: &Heap, kind: Kind, most: usize) -> Vec<Candidate> {
    let mut feedings: Vec<Feeding> = Vec::new();
    let depths = match kind {
        Kind::Heap => 0..=0,
        _ => 1..=DEPTH_MAX - 1,
    };
    for (depth, last) in depths.flat_map(|depth| [0.5, 0.75, 1.0].map(|last| (depth, last))) {
        for bias in [0.5, 0.25, 0.75, 0.999] {
            let entering = feed::spread(heap.pairs, depth, last);
            let rate = f64::from(heap.pairs) / (f64::from(depth) + last);
            let spans = match kind {
                Kind::Heap => Vec::new(),
                Kind::LongRows => long_rows(heap, rate, bias),
                Kind::PlaneRows => rows(heap.groups, heap.planes, rate, bias),
                Kind::GroupRows => rows(heap.planes, heap.groups, rate, bias),
            };
            let feeding = Feeding { spans, entering };
            if (kind == Kind::Heap || !feeding.spans.is_empty()) && !feedings.contains(&feeding) {
                feedings.push(feeding);
            }
        }
    }
    let ways = most
        .div_ceil(feedings.len().max(1))
        .clamp(1, MERGINGS.len());
    let step = (feedings.len() * ways).div_ceil(most.max(4)).max(1);
    feedings
        .iter()
        .step_by(step)
        .flat_map(|feeding| {
            MERGINGS[..ways].iter().map(|merging| Candidate {
                feeding: feeding.clone(),
                merging: *merging,
            })
        })
        .collect()
}

/// Chains of equal spans, one offset for each of `offsets`; `rate` pairs enter in each cycle.
fn rows(offsets: u32, length: u32, rate: f64, bias: f64) -> Vec<Span> {
    // Of the lowest weight a chain takes two bits in each cycle, one of them as its carry in.
    let share = f64::from(length) / f64::from(length + 1);
    let chains = (rate * share + bias).floor() as u32;
    let span = |low| Span {
        low,
        high: low + length - 1,
        start: 1,
    };
    (0..offsets)
        .flat_map(|low| (0..chains).map(move |_| span(low)))
        .collect()
}

/// Chains that begin where weights have bits to spare and end where bits get fewer.
fn long_rows(heap: &Heap, rate: f64, bias: f64) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut open: Vec<u32> = Vec::new();
    let heights = feed::heights(heap);
    let start = 1;
    for (weight, height) in (0..).zip(heights) {
        let bits = rate * f64::from(height);
        let most = (bits + bias).floor() as usize;
        // Those that began lowest end first.
        while open.len() > most {
            let low = open.remove(0);
            spans.push(Span {
                low,
                high: weight - 1,
                start,
            });
        }
        let begun = ((bits - open.len() as f64) / 2.0 + bias).floor().max(0.0) as usize;
        open.extend(std::iter::repeat_n(weight, begun));
    }
    let high = heap.groups + heap.planes - 2;
    spans.extend(open.into_iter().map(|low| Span { low, high, start }));
    spans
}
