//! The first part: carry chains that make pair bits and add them to their own last sum.

use super::plan::{Adder, Column, Id, PairBit, Plan};
use crate::fabric::Heap;
use std::collections::VecDeque;

/// One chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    /// The lowest weight in which it absorbs.
    pub(super) low: u32,
    /// The highest one.
    pub(super) high: u32,
    /// The first cycle in which it adds; at least 1.
    pub(super) start: u32,
}

/// Which chains run, and how many pairs enter in each cycle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Feeding {
    /// One for each chain.
    pub(super) spans: Vec<Span>,
    /// Pairs that enter in cycle 0, 1, ...
    pub(super) entering: Vec<u32>,
}

/// A chain between two of its adders.
struct Chain {
    span: Span,
    sum: Vec<Id>,
    max: u64,
    carry_in: Option<Id>,
}

/// Registered bits that nothing has added yet, for each weight; the first one first.
type Pending = Vec<VecDeque<Id>>;

/// Makes all pair bits. Gives, for each weight, the registered bits that are left to add.
pub(super) fn feed(plan: &mut Plan, heap: &Heap, feeding: &Feeding) -> Vec<Vec<Id>> {
    let weights = (heap.groups + heap.planes - 1) as usize;
    let mut pending: Pending = vec![VecDeque::new(); weights];
    let mut chains: Vec<Chain> = feeding
        .spans
        .iter()
        .map(|span| Chain {
            span: *span,
            sum: Vec::new(),
            max: 0,
            carry_in: None,
        })
        .collect();
    let mut pair = 0;
    for (time, entering) in (0..).zip(&feeding.entering) {
        let mut arriving = vec![VecDeque::new(); weights];
        for _ in 0..*entering {
            plan.arrival.push(time);
            for (group, plane) in
                (0..heap.groups).flat_map(|m| (0..heap.planes).map(move |p| (m, p)))
            {
                arriving[(group + plane) as usize].push_back(PairBit { group, plane, pair });
            }
            pair += 1;
        }
        let running: Vec<&mut Chain> = chains
            .iter_mut()
            .filter(|chain| chain.span.start <= time)
            .collect();
        step(plan, running, &mut pending, &mut arriving, time);
        for (waiting, new) in pending.iter_mut().zip(arriving) {
            waiting.extend(new.into_iter().map(|bit| plan.bit(time + 1, Some(bit))));
        }
    }
    let mut left: Vec<Vec<Id>> = pending.into_iter().map(Vec::from).collect();
    for chain in chains {
        for (weight, bit) in (chain.span.low as usize..).zip(chain.sum) {
            if left.len() <= weight {
                left.resize(weight + 1, Vec::new());
            }
            left[weight].push(bit);
        }
    }
    left
}

/// One cycle of the chains that run.
fn step(
    plan: &mut Plan,
    mut chains: Vec<&mut Chain>,
    pending: &mut Pending,
    arriving: &mut [VecDeque<PairBit>],
    time: u32,
) {
    // A chain's first sum is registered bits: all chains get theirs before any bit becomes a carry.
    let mut starts: Vec<Vec<Option<Id>>> = Vec::with_capacity(chains.len());
    for chain in chains.iter() {
        let Span { low, high, .. } = chain.span;
        starts.push(if chain.sum.is_empty() {
            (low..=high)
                .map(|w| pending[w as usize].pop_front())
                .collect()
        } else {
            chain.sum.iter().map(|id| Some(*id)).collect()
        });
    }
    for chain in chains.iter_mut() {
        chain.carry_in = pending[chain.span.low as usize].pop_front();
    }
    for (chain, start) in chains.iter_mut().zip(starts) {
        let Span { low, high, .. } = chain.span;
        let fresh = chain.sum.is_empty();
        let absorbed: Vec<Option<PairBit>> = (low..=high)
            .map(|w| arriving[w as usize].pop_front())
            .collect();
        let used = |bits: &[bool]| -> u64 {
            bits.iter()
                .enumerate()
                .map(|(i, used)| u64::from(*used) << i)
                .sum()
        };
        let added = used(&absorbed.iter().map(Option::is_some).collect::<Vec<_>>());
        if fresh {
            chain.max = used(&start.iter().map(Option::is_some).collect::<Vec<_>>());
        }
        let max = chain.max + added + u64::from(chain.carry_in.is_some());
        if max == chain.max {
            // Nothing to add: a chain that has not begun gives its bits back.
            if fresh {
                for (weight, id) in (low..).zip(start) {
                    id.into_iter()
                        .for_each(|id| pending[weight as usize].push_front(id));
                }
                chain.max = 0;
            }
            continue;
        }
        let width = crate::config::bits_for(max.into()) as usize;
        let columns: Vec<Column> = (0..width)
            .map(|i| Column {
                absorbed: absorbed.get(i).copied().flatten(),
                addends: start.get(i).copied().flatten().into_iter().collect(),
                state: false,
                sum: plan.bit(time + 1, None),
            })
            .collect();
        chain.sum = columns.iter().map(|c| c.sum).collect();
        chain.max = max;
        plan.adders.push(Adder {
            time,
            carry_in: chain.carry_in,
            extra: None,
            columns,
            spill: None,
        });
    }
}

/// How many pairs enter in each of `depth + 1` cycles, the last at the rate `last` of the others.
pub(super) fn spread(pairs: u32, depth: u32, last: f64) -> Vec<u32> {
    let rate = f64::from(pairs) / (f64::from(depth) + if depth == 0 { 1.0 } else { last });
    let mut entered = 0;
    (0..=depth)
        .map(|t| {
            let until = if t == depth {
                pairs
            } else {
                ((f64::from(t + 1) * rate).round() as u32).min(pairs)
            };
            let now = until - entered;
            entered = until;
            now
        })
        .collect()
}

/// Pair bits of each weight in one pair of lanes.
pub(super) fn heights(heap: &Heap) -> Vec<u32> {
    (0..heap.groups + heap.planes - 1)
        .map(|w| {
            let first = w.saturating_sub(heap.planes - 1);
            let last = w.min(heap.groups - 1);
            last - first + 1
        })
        .collect()
}
