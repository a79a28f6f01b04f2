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
use xnorforge_hdl::config::{BINARY_OPS_PER_CYCLE_MAX, DIMENSION_MAX, PORT_BITS_MAX};
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
    /// Whether points that were not looked at are known to be no better.
    #[serde(skip)]
    pub is_complete: bool,
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Points that can be built.
    pub points: Vec<Point>,
    /// How many of those that were looked at cannot, and why the first cannot.
    pub left_out: Option<(u64, String)>,
    /// What the search says about itself.
    pub searched: Searched,
}

impl Found {
    /// The points of `results`.
    pub fn new(results: Results, searched: Searched) -> Self {
        let mut found = Found {
            points: Vec::new(),
            left_out: None,
            searched,
        };
        results.into_iter().for_each(|result| found.add(result));
        found
    }

    fn add(&mut self, result: Result<Point, String>) {
        match result {
            Ok(point) => self.points.push(point),
            Err(reason) => self.left_out.get_or_insert((0, reason)).0 += 1,
        }
    }
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

/// Boxes that a guided search has in mind: about 256 MiB.
const PARTS_MAX: usize = 1 << 21;
/// Boxes that it looks at.
const STEPS_MAX: u64 = 1 << 26;
/// Points that it tries in vain, as they cannot be built.
const FAILURES_MAX: u64 = 1 << 20;

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
        // No array is larger than this, whatever its sizes are.
        let pairs = [p, q, n, layer.bits[0], layer.bits[1]];
        let pairs = pairs
            .iter()
            .fold(1u128, |a, b| a.saturating_mul((*b).into()));
        let at_most = pairs.div_ceil(BINARY_OPS_PER_CYCLE_MAX.into());
        let beats = beats.max(u64::try_from(at_most).unwrap_or(u64::MAX));
        if !self.is_network {
            return beats;
        }
        let drained = product(&[p, q]).div_ceil(drain);
        let loaded = product(&[groups.max(2), p, n.div_ceil(lanes)]).div_ceil(ports);
        beats.max(drained).max(loaded)
    }

    /// Whether the smallest point of a part is within the limits of arrays: if not, none is.
    fn is_within_limits(&self, part: &Part) -> bool {
        let [rows, columns, lanes, pm, pk, ..] = self.axes.values(&part.low);
        let port = |size: u32, branches: u32| {
            [size, branches, lanes]
                .iter()
                .fold(1, |a, b| u64::saturating_mul(a, (*b).into()))
        };
        part.size <= BINARY_OPS_PER_CYCLE_MAX
            && [rows, columns, lanes]
                .iter()
                .all(|size| *size <= DIMENSION_MAX)
            && port(rows, pm) <= PORT_BITS_MAX
            && port(columns, pk) <= PORT_BITS_MAX
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

/// Finds the front by bounds. At most `evaluations_max` points that can be built are looked at.
///
/// # Errors
/// Metrics other than cycles and size.
pub fn guided(
    space: &Space<'_>,
    metrics: &[Metric],
    constraints: &[Constraint],
    evaluations_max: u64,
    terminal: &Terminal,
) -> Result<Found, Failure> {
    let mut sorted = metrics.to_vec();
    sorted.sort_unstable();
    if sorted != [Metric::Cycles, Metric::PairsPerCycle] {
        return Err(Failure::input(
            "a guided search finds the front of cycles and pairs_per_cycle alone; take --search exhaustive (with fewer points, or a higher --points-max), or leave --front out",
        ));
    }
    let is_network = matches!(space.work, Work::Networks(_));
    let bounds = Bounds::new(space.axes, &space.work.layers(), is_network);
    let cycles_max = limit(constraints, Metric::Cycles);
    let size_max = limit(constraints, Metric::PairsPerCycle);
    let mut front = Front::default();
    let mut found = Found::new(
        Vec::new(),
        Searched {
            method: "guided",
            points: u64::try_from(space.axes.count()).unwrap_or(u64::MAX),
            evaluated: 0,
            guarantee: String::new(),
            is_complete: true,
        },
    );
    let mut heap = BinaryHeap::from([Reverse(bounds.part([0; AXES], space.axes.last()))]);
    let progress = terminal.progress(evaluations_max, "points");
    let mut steps = 0;
    let is_too_much = |heap: &BinaryHeap<_>, steps| heap.len() > PARTS_MAX || steps > STEPS_MAX;
    while !heap.is_empty() && !is_too_much(&heap, steps) {
        let left = evaluations_max.saturating_sub(found.points.len() as u64);
        let failures = found.left_out.as_ref().map_or(0, |(count, _)| *count);
        if left == 0 || failures > FAILURES_MAX {
            break;
        }
        let most = BATCH.min(usize::try_from(left).unwrap_or(BATCH));
        let mut singles = Vec::new();
        while singles.len() < most && !is_too_much(&heap, steps) {
            let Some(Reverse(part)) = heap.pop() else {
                break;
            };
            steps += 1;
            let is_allowed = part.cycles as f64 <= cycles_max && part.size as f64 <= size_max;
            let is_open = is_allowed && bounds.is_within_limits(&part);
            if !is_open || front.beats(part.cycles, part.size) {
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
        for result in space.evaluate(&singles, |_| ()) {
            if let Ok(point) = &result {
                progress.advance(1);
                if constraints
                    .iter()
                    .all(|constraint| constraint.is_met(point))
                {
                    front.add(
                        point.bounded_cycles(),
                        point.binary_operation_pairs_per_cycle,
                    );
                }
            }
            found.add(result);
        }
    }
    drop(progress);
    let open = heap.iter().filter(|Reverse(part)| {
        bounds.is_within_limits(part) && !front.beats(part.cycles, part.size)
    });
    let best = open.map(|Reverse(part)| part.cycles).min();
    found.searched.evaluated = found.points.len() as u64;
    found.searched.is_complete = best.is_none();
    found.searched.guarantee = match best {
        None => "the front is complete and exact: every point that was not looked at has a lower bound of its cycles and a size that a point of the front beats, or cannot be built".to_owned(),
        Some(cycles) => format!(
            "the search was stopped: points that were not looked at take at least {} cycles, and may belong to the front",
            thousands(cycles.into())
        ),
    };
    Ok(found)
}

fn limit(constraints: &[Constraint], metric: Metric) -> f64 {
    let limits = constraints.iter().filter(|c| c.metric == metric);
    limits.map(|c| c.limit).fold(f64::INFINITY, f64::min)
}

/// The points that can be built and keep the constraints, the front marked, smallest arrays first.
///
/// # Errors
/// As [`keep`] and [`mark_front`].
pub fn sorted(
    points: Vec<Point>,
    metrics: &[Metric],
    constraints: &[Constraint],
) -> Result<(Vec<Point>, u64), Failure> {
    let (mut points, dropped) = keep(points, constraints)?;
    points.sort_by_key(|p| (p.binary_operation_pairs_per_cycle, p.bounded_cycles()));
    mark_front(&mut points, metrics)?;
    Ok((points, dropped))
}
