//! Every point of a sweep, or its front without looking at every point.
//!
//! **Exhaustive**: all points.
//!
//! **Guided**: branch and bound over boxes of the axes, for the front of cycles and binary operation pairs per cycle. A box
//! is a range of each axis. No point of it is smaller than its least rows x columns x lanes x branches, and none is faster
//! than the greatest of three lower bounds, taken with its largest values (for each layer, then summed):
//!
//! - beats of the array: `ceil(P / R) * ceil(Q / C) * ceil(N / L) * ceil(M / PM) * ceil(K / PK)`;
//! - steps of the drain: `P * Q / E`;
//! - pieces of the loaders: `max(2, ceil(M / PM)) * P * ceil(N / L) / F`.
//!
//! A box that a point found before beats, or that no point keeping the constraints can lie in, is left alone; any other is
//! halved, the most promising first, down to single points; those whose sizes do not divide as they must are passed over. What is left in the end is the whole front, exactly. If the
//! search is stopped after a number of points, the bounds of the boxes that are left say how much better than what was
//! found anything else can be.

use super::metric::{Constraint, Metric, keep, mark_front};
use super::point::{Layer, Point, Surroundings, Work};
use super::sweep::{AXES, Axes};
use crate::failure::Failure;
use crate::terminal::{Terminal, thousands};
use rayon::prelude::*;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Mutex;
use xnorforge_hdl::ArrayConfig;
use xnorforge_sim::forecast::Memo;

/// How points are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// Every point, up to a number of them; more are searched by bounds.
    #[default]
    Auto,
    /// Every point.
    Exhaustive,
    /// By bounds: the front of cycles and size, exactly, without looking at every point.
    Guided,
}

/// What a search says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Searched {
    /// `exhaustive` or `guided`.
    pub method: &'static str,
    /// Points of the sweep.
    pub points: u64,
    /// Points that were looked at.
    pub evaluated: u64,
    /// What is known about the result.
    pub guarantee: String,
}

/// What points are made of.
#[derive(Clone, Copy, Debug)]
pub struct Space<'a> {
    /// What the axes do not say.
    pub base: &'a ArrayConfig,
    /// The axes.
    pub axes: &'a Axes,
    /// What is run.
    pub work: &'a Work,
    /// What is outside.
    pub around: &'a Surroundings,
}

/// Points, or why each of them cannot be built.
pub type Results = Vec<Result<Point, String>>;

/// Points that one thread looks at in a row: neighbours have much in common.
const CHUNK: usize = 256;
/// Points that a guided search looks at before it compares again; not by the number of threads, on which nothing depends.
const BATCH: usize = 1024;

/// Memos that threads take and give back.
struct Memos<'w> {
    work: &'w Work,
    idle: Mutex<Vec<Vec<Memo>>>,
}

impl Memos<'_> {
    fn with<T>(&self, run: impl FnOnce(&mut [Memo]) -> T) -> T {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut memos = idle.unwrap_or_else(|| self.work.memos());
        let result = run(&mut memos);
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(memos);
        }
        result
    }
}

impl Space<'_> {
    /// The points of some indices of the sweep, in their order; the result does not depend on the number of threads.
    pub fn evaluate(&self, indices: &[u64], done: impl Fn(u64) + Sync) -> Results {
        let memos = Memos {
            work: self.work,
            idle: Mutex::new(Vec::new()),
        };
        let chunks: Vec<Results> = indices
            .par_chunks(CHUNK)
            .map(|indices| {
                let points = memos.with(|memos| {
                    let point = |index: &u64| {
                        let config = self.axes.config(self.base, *index);
                        self.work.point(memos, config, self.around)
                    };
                    indices.iter().map(point).collect::<Results>()
                });
                done(indices.len() as u64);
                points
            })
            .collect();
        chunks.into_iter().flatten().collect()
    }
}

/// A range of positions on each axis, and what bounds its points.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    /// Fewest cycles and smallest size of a point in it; the order of the search.
    cycles: u64,
    size: u64,
    low: [usize; AXES],
    /// Included.
    high: [usize; AXES],
}

/// Lower bounds of cycles.
struct Bounds<'a> {
    axes: &'a Axes,
    layers: Vec<LayerShape>,
    is_network: bool,
}

/// What a layer's bounds follow from.
struct LayerShape {
    shape: [u64; 3],
    bits: [u64; 2],
}

impl<'a> Bounds<'a> {
    fn new(axes: &'a Axes, layers: &[Layer], is_network: bool) -> Self {
        let with_weights = layers.iter().filter_map(|layer| {
            Some(LayerShape {
                shape: layer.shape,
                bits: [layer.activation.bits.into(), layer.weight?.bits.into()],
            })
        });
        Bounds {
            axes,
            layers: with_weights.collect(),
            is_network,
        }
    }

    fn part(&self, low: [usize; AXES], high: [usize; AXES]) -> Part {
        let least = self.axes.values(&low).map(u64::from);
        let most = self.axes.values(&high).map(u64::from);
        let size = least[..5].iter().fold(1u64, |a, b| a.saturating_mul(*b));
        let cycles = self.layers.iter().map(|layer| self.layer(layer, &most));
        Part {
            cycles: cycles.fold(0, u64::saturating_add),
            size,
            low,
            high,
        }
    }

    fn layer(&self, layer: &LayerShape, most: &[u64; AXES]) -> u64 {
        let [p, n, q] = layer.shape;
        let [rows, columns, lanes, pm, pk, drain, ports] = most.map(|value| value.max(1));
        let groups = layer.bits[0].div_ceil(pm);
        let steps = groups * layer.bits[1].div_ceil(pk);
        let product = |factors: &[u64]| factors.iter().fold(1u64, |a, b| a.saturating_mul(*b));
        let beats = product(&[
            p.div_ceil(rows),
            q.div_ceil(columns),
            n.div_ceil(lanes),
            steps,
        ]);
        if !self.is_network {
            return beats;
        }
        let drained = product(&[p, q]).div_ceil(drain);
        let loaded = product(&[groups.max(2), p, n.div_ceil(lanes)]).div_ceil(ports);
        beats.max(drained).max(loaded)
    }

    /// Whether a single point passes what is quickly said of its sizes; what does not is no accelerator.
    fn can_be_built(&self, part: &Part) -> bool {
        let [rows, columns, lanes, _, _, drain, ports] = self.axes.values(&part.low);
        let divides = |a: u32, b: u32| a > 0 && b.is_multiple_of(a);
        !self.is_network || (divides(drain, columns) && divides(ports, rows) && columns <= lanes)
    }

    /// The two halves of a part along its longest axis.
    fn halves(&self, part: &Part) -> [Part; 2] {
        let length = |axis: &usize| part.high[*axis] - part.low[*axis];
        let axis = (0..AXES).max_by_key(length).unwrap_or(0);
        let middle = part.low[axis].midpoint(part.high[axis]);
        let (mut high, mut low) = (part.high, part.low);
        high[axis] = middle;
        low[axis] = middle + 1;
        [self.part(part.low, high), self.part(low, part.high)]
    }
}

/// The points of the front that a search has found.
#[derive(Default)]
struct Front {
    points: Vec<(u64, u64)>,
}

impl Front {
    /// Whether a point of at least so many cycles and such a size is certainly beaten.
    fn beats(&self, cycles: u64, size: u64) -> bool {
        let beats = |&(c, s): &(u64, u64)| c <= cycles && s <= size && (c < cycles || s < size);
        self.points.iter().any(beats)
    }

    fn add(&mut self, cycles: u64, size: u64) {
        if !self.beats(cycles, size) && !self.points.contains(&(cycles, size)) {
            self.points.retain(|&(c, s)| c < cycles || s < size);
            self.points.push((cycles, size));
        }
    }
}

/// Finds the front by bounds. At most `evaluations_max` points are looked at.
///
/// # Errors
/// Metrics other than cycles and size; no point that can be built, or that keeps the constraints.
pub fn guided(
    space: &Space<'_>,
    metrics: &[Metric],
    constraints: &[Constraint],
    evaluations_max: u64,
    terminal: &Terminal,
) -> Result<(Results, Searched), Failure> {
    let mut sorted = metrics.to_vec();
    sorted.sort_unstable();
    if sorted != [Metric::Cycles, Metric::PairsPerCycle] {
        return Err(Failure::input(
            "a guided search finds the front of cycles and pairs_per_cycle alone; take fewer points for an exhaustive one, or leave --front out",
        ));
    }
    let is_network = matches!(space.work, Work::Networks(_));
    let bounds = Bounds::new(space.axes, &space.work.layers(), is_network);
    let cycles_max = limit(constraints, Metric::Cycles);
    let size_max = limit(constraints, Metric::PairsPerCycle);
    let mut front = Front::default();
    let mut results: Results = Vec::new();
    let mut heap = BinaryHeap::from([Reverse(bounds.part([0; AXES], space.axes.last()))]);
    let progress = terminal.progress(evaluations_max, "points");
    while !heap.is_empty() && (results.len() as u64) < evaluations_max {
        let mut singles = Vec::new();
        while singles.len() < BATCH {
            let Some(Reverse(part)) = heap.pop() else {
                break;
            };
            let is_allowed = part.cycles as f64 <= cycles_max && part.size as f64 <= size_max;
            if !is_allowed || front.beats(part.cycles, part.size) {
                continue;
            }
            if part.low == part.high {
                if bounds.can_be_built(&part) {
                    singles.push(space.axes.index(&part.low));
                }
            } else {
                heap.extend(bounds.halves(&part).map(Reverse));
            }
        }
        let left = (evaluations_max - results.len() as u64) as usize;
        for index in singles.drain(left.min(singles.len())..) {
            let at = space.axes.positions(index);
            heap.push(Reverse(bounds.part(at, at)));
        }
        for result in space.evaluate(&singles, |count| progress.advance(count)) {
            if let Ok(point) = &result
                && constraints
                    .iter()
                    .all(|constraint| constraint.is_met(point))
            {
                front.add(
                    point.bounded_cycles(),
                    point.binary_operation_pairs_per_cycle,
                );
            }
            results.push(result);
        }
    }
    drop(progress);
    let best = heap
        .iter()
        .filter(|Reverse(part)| !front.beats(part.cycles, part.size));
    let best = best.map(|Reverse(part)| part.cycles).min();
    let searched = Searched {
        method: "guided",
        points: space.axes.count() as u64,
        evaluated: results.len() as u64,
        guarantee: match best {
            None => "the front is complete and exact: every point that was not looked at has a lower bound of its cycles and a size that a point of the front beats".to_owned(),
            Some(cycles) => format!(
                "the search was stopped: points that were not looked at take at least {} cycles, and may belong to the front",
                thousands(cycles.into())
            ),
        },
    };
    Ok((results, searched))
}

fn limit(constraints: &[Constraint], metric: Metric) -> f64 {
    let limits = constraints.iter().filter(|c| c.metric == metric);
    limits.map(|c| c.limit).fold(f64::INFINITY, f64::min)
}

/// The points that can be built and keep the constraints, the front marked, smallest arrays first.
///
/// # Errors
/// There are none.
pub fn sorted(
    points: Vec<Point>,
    metrics: &[Metric],
    constraints: &[Constraint],
) -> Result<(Vec<Point>, u64), Failure> {
    let (mut points, dropped) = keep(points, constraints)?;
    points.sort_by_key(|p| (p.binary_operation_pairs_per_cycle, p.bounded_cycles()));
    mark_front(&mut points, metrics);
    Ok((points, dropped))
}
