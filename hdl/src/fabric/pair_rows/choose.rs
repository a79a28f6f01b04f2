//! Which structure: candidates, their costs, the choice.

use super::feed::{self, Feeding, Span};
use super::merge::{self, Merging};
use super::plan::Plan;
use crate::fabric::Heap;
use std::collections::HashMap;
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
/// Heap bits times candidates at most: bounds the time of a choice.
const WORK_MAX: u64 = 4_000_000;

/// Kinds of structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

fn choose(heap: &Heap, finish: Finish) -> Chosen {
    let mut best: Option<(Kind, Plan, u64)> = None;
    let mut alternatives: Vec<Alternative> = Vec::new();
    for kind in Kind::ALL {
        let mut best_of_kind: Option<(Plan, u64)> = None;
        for (feeding, merging) in candidates(heap, kind) {
            let plan = plan(heap, &feeding, merging, finish);
            let sites = plan.sites();
            let better = best_of_kind
                .as_ref()
                .is_none_or(|(other, least)| (sites, plan.latency) < (*least, other.latency));
            if better {
                best_of_kind = Some((plan, sites));
            }
        }
        if let Some((plan, sites)) = best_of_kind {
            alternatives.push(Alternative {
                name: kind.name().into(),
                sites,
                latency: plan.latency,
            });
            let better = best
                .as_ref()
                .is_none_or(|(_, other, least)| (sites, plan.latency) < (*least, other.latency));
            if better {
                best = Some((kind, plan, sites));
            }
        }
    }
    let (kind, plan, sites) = best.expect("a merged heap is always among the candidates");
    Chosen {
        choice: Choice {
            chosen: Alternative {
                name: kind.name().into(),
                sites,
                latency: plan.latency,
            },
            alternatives,
        },
        plan,
    }
}

fn plan(heap: &Heap, feeding: &Feeding, merging: Merging, finish: Finish) -> Plan {
    let mut plan = Plan::default();
    let left = feed::feed(&mut plan, heap, feeding);
    let width = heap.count_width() as usize;
    match finish {
        Finish::Count => {
            let (columns, time) = merge::merge(&mut plan, left, width, 1, merging);
            plan.result = columns.iter().map(|c| c.first().copied()).collect();
            plan.latency = time;
        }
        Finish::Accumulate { width: sum } => {
            let (columns, time) = merge::merge(&mut plan, left, width, 2, merging);
            merge::accumulate(&mut plan, columns, width, sum as usize, time);
        }
    }
    plan
}

/// The candidates of a kind, in a fixed order, as many as the heap's size allows.
fn candidates(heap: &Heap, kind: Kind) -> Vec<(Feeding, Merging)> {
    let mut feedings: Vec<Feeding> = Vec::new();
    let depths = if kind == Kind::Heap {
        0..=0
    } else {
        1..=DEPTH_MAX - 1
    };
    for depth in depths {
        for last in [0.5, 0.75, 1.0] {
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
                if (kind == Kind::Heap || !feeding.spans.is_empty()) && !feedings.contains(&feeding)
                {
                    feedings.push(feeding);
                }
            }
        }
    }
    let mergings = [(true, 6), (false, 6), (true, 4), (false, 4)];
    let most = (WORK_MAX / heap.bits() / 3).max(4) as usize;
    let merged = mergings.len().min(most.div_ceil(feedings.len().max(1)));
    let step = (feedings.len() * merged).div_ceil(most);
    feedings
        .iter()
        .step_by(step)
        .flat_map(|feeding| {
            mergings[..merged].iter().map(|(eager, ratio)| {
                (
                    feeding.clone(),
                    Merging {
                        eager: *eager,
                        ratio: *ratio,
                    },
                )
            })
        })
        .collect()
}

/// Chains of equal spans, one offset for each of `offsets`; `rate` pairs enter in each cycle.
fn rows(offsets: u32, length: u32, rate: f64, bias: f64) -> Vec<Span> {
    // Of the lowest weight a chain takes two bits in each cycle, one of them as its carry in.
    let share = f64::from(length) / f64::from(length + 1);
    let chains = (rate * share + bias).floor() as u32;
    (0..offsets)
        .flat_map(|low| {
            (0..chains).map(move |_| Span {
                low,
                high: low + length - 1,
            })
        })
        .collect()
}

/// Chains that begin where weights have bits to spare and end where bits get fewer.
fn long_rows(heap: &Heap, rate: f64, bias: f64) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut open: Vec<u32> = Vec::new();
    let heights = feed::heights(heap);
    for (weight, height) in (0..).zip(heights) {
        let bits = rate * f64::from(height);
        let most = (bits + bias).floor() as usize;
        // Those that began lowest end first.
        while open.len() > most {
            let low = open.remove(0);
            spans.push(Span {
                low,
                high: weight - 1,
            });
        }
        let begun = ((bits - open.len() as f64) / 2.0 + bias).floor().max(0.0) as usize;
        open.extend(std::iter::repeat_n(weight, begun));
    }
    let last = heap.groups + heap.planes - 2;
    spans.extend(open.into_iter().map(|low| Span { low, high: last }));
    spans
}
