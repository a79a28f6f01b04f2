//! What points are compared by: metrics, constraints on them, and the front.

use super::point::Point;
use crate::failure::Failure;
use crate::terminal::thousands;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A number of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Cycles, with the bandwidth if one was given.
    Cycles,
    /// Binary operation pairs per cycle: the size of the array.
    PairsPerCycle,
    /// Share of the array's binary operation pairs that the work needs.
    Utilization,
    /// Bits of on-chip memory.
    MemoryBits,
    /// Bytes on the streams for each cycle.
    BytesPerCycle,
    /// Inputs in a second.
    FramesPerSecond,
    /// Lookup tables, of a model.
    Luts,
    /// Flip-flops, of a model.
    FlipFlops,
    /// Memory blocks, of a model.
    BlockRams,
    /// Area of standard cells in the library's unit, of a model; memories are not in it.
    CellArea,
    /// Changes of nets for all inputs, scaled from a run that was counted.
    Toggles,
    /// Energy of them in microjoule, where that run has coefficients.
    EnergyUj,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 12] = [
        Metric::Cycles,
        Metric::PairsPerCycle,
        Metric::Utilization,
        Metric::MemoryBits,
        Metric::BytesPerCycle,
        Metric::FramesPerSecond,
        Metric::Luts,
        Metric::FlipFlops,
        Metric::BlockRams,
        Metric::CellArea,
        Metric::Toggles,
        Metric::EnergyUj,
    ];

    /// Its name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Cycles => "cycles",
            Metric::PairsPerCycle => "pairs_per_cycle",
            Metric::Utilization => "utilization",
            Metric::MemoryBits => "memory_bits",
            Metric::BytesPerCycle => "bytes_per_cycle",
            Metric::FramesPerSecond => "frames_per_second",
            Metric::Luts => "luts",
            Metric::FlipFlops => "flip_flops",
            Metric::BlockRams => "block_rams",
            Metric::CellArea => "cell_area",
            Metric::Toggles => "toggles",
            Metric::EnergyUj => "energy_uj",
        }
    }

    /// Whether more is better.
    pub fn is_more_better(self) -> bool {
        matches!(self, Metric::Utilization | Metric::FramesPerSecond)
    }

    /// Whether a model of the target gives it.
    pub fn is_estimated(self) -> bool {
        matches!(
            self,
            Metric::Luts | Metric::FlipFlops | Metric::BlockRams | Metric::CellArea
        )
    }

    /// Its value at a point; none where nothing gives it.
    pub fn of(self, point: &Point) -> Option<f64> {
        let estimate = point.estimate.as_ref();
        match self {
            Metric::Cycles => Some(point.bounded_cycles() as f64),
            Metric::PairsPerCycle => Some(point.binary_operation_pairs_per_cycle as f64),
            Metric::Utilization => Some(point.utilization),
            Metric::MemoryBits => point.memory_bits.map(|bits| bits as f64),
            Metric::BytesPerCycle => {
                Some(point.stream_bytes as f64 / point.bounded_cycles().max(1) as f64)
            }
            Metric::FramesPerSecond => point.frames_per_second,
            Metric::Luts => estimate.map(|e| e.luts),
            Metric::FlipFlops => estimate.map(|e| e.flip_flops),
            Metric::BlockRams => estimate.map(|e| e.block_rams),
            Metric::CellArea => estimate.and_then(|e| e.cell_area),
            Metric::Toggles => point.switching.map(|s| s.toggles),
            Metric::EnergyUj => point.switching.and_then(|s| s.energy_uj),
        }
    }

    /// The value such that less is better.
    fn cost(self, point: &Point) -> Option<f64> {
        let value = self.of(point)?;
        Some(if self.is_more_better() { -value } else { value })
    }

    /// Refuses a metric that nothing gives; `what` it is for begins the message.
    ///
    /// # Errors
    /// Estimates without a model of the target, frames without a clock, memories of an array alone.
    pub fn check(self, what: &str, given: &Given<'_>) -> Result<(), Failure> {
        if self.is_estimated() && !given.has_model {
            return Err(Failure::input(format!(
                "{what}: there is no model of the target `{}` that estimates {self}, and none is made up; leave it out, or take pairs_per_cycle and memory_bits, which are exact",
                given.target
            )));
        }
        if self == Metric::Toggles && !given.has_activity {
            return Err(Failure::input(format!(
                "{what}: toggles are scaled from a run that was counted; add --activity FILE, a report of `xnorforge activity --json`"
            )));
        }
        if self == Metric::EnergyUj && !given.has_energy {
            return Err(Failure::input(format!(
                "{what}: there are no coefficients of energy, and none are made up; add --activity FILE, a report of `xnorforge activity --coefficients`, or take toggles"
            )));
        }
        if self == Metric::FramesPerSecond && !given.has_clock {
            return Err(Failure::input(format!(
                "{what}: frames per second need a clock; add --clock-mhz"
            )));
        }
        if self == Metric::MemoryBits && !given.has_memories {
            return Err(Failure::input(format!(
                "{what}: a product runs on an array alone, which has no memories; leave memory_bits out, or take pairs_per_cycle, or a network with --model"
            )));
        }
        Ok(())
    }
}

/// What gives metrics their values.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The target.
    pub target: &'a str,
    /// Whether there is a model of it.
    pub has_model: bool,
    /// Whether a clock was given.
    pub has_clock: bool,
    /// Whether points are accelerators, with memories.
    pub has_memories: bool,
    /// Whether a run was counted.
    pub has_activity: bool,
    /// Whether it has coefficients of energy.
    pub has_energy: bool,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let found = Metric::ALL.into_iter().find(|metric| metric.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
            format!(
                "\"{name}\" is no metric; choose one of {}",
                names.join(", ")
            )
        })
    }
}

/// A limit that points must keep: at most, or at least where more is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Constraint {
    /// Of what.
    pub metric: Metric,
    /// The limit.
    pub limit: f64,
}

impl Constraint {
    /// A limit on a metric.
    ///
    /// # Errors
    /// A limit that is no positive number.
    pub fn new(metric: Metric, limit: f64) -> Result<Self, String> {
        if limit > 0.0 && limit.is_finite() {
            return Ok(Constraint { metric, limit });
        }
        Err(format!(
            "{metric}: the limit {limit} is no positive number; give one"
        ))
    }

    /// How far a point is past the limit: 0 where it keeps it, 0.5 where its value is half as much again as allowed.
    pub fn excess(&self, point: &Point) -> f64 {
        let Some(value) = self.metric.of(point) else {
            return f64::INFINITY;
        };
        let ratio = if self.metric.is_more_better() {
            self.limit / value
        } else {
            value / self.limit
        };
        (ratio - 1.0).max(0.0)
    }

    /// Whether a point keeps it.
    pub fn is_met(&self, point: &Point) -> bool {
        self.excess(point) == 0.0
    }

    /// Refuses a limit on what nothing gives.
    ///
    /// # Errors
    /// As [`Metric::check`].
    pub fn check(&self, given: &Given<'_>) -> Result<(), Failure> {
        self.metric.check(&format!("constraint {self}"), given)
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = if self.metric.is_more_better() {
            ">="
        } else {
            "<="
        };
        write!(f, "{} {relation} {}", self.metric, number(self.limit))
    }
}

impl FromStr for Constraint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("\"{text}\" is no constraint; write METRIC=LIMIT, cycles=1000000 for example")
        };
        let (metric, limit) = text.split_once('=').ok_or_else(wrong)?;
        let limit = limit.trim().replace('_', "");
        let limit = limit.parse().map_err(|_| wrong())?;
        Constraint::new(metric.trim().parse()?, limit)
    }
}

/// A value of a metric as text.
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        thousands(value as u128)
    } else {
        match value.abs() < 0.01 {
            true => format!("{value:.3e}"),
            false => format!("{value:.4}"),
        }
    }
}

/// The points that keep all constraints, and how many do not.
///
/// # Errors
/// No point does: the constraint that the fewest keep, and the point that is nearest to all of them.
pub fn keep(points: Vec<Point>, constraints: &[Constraint]) -> Result<(Vec<Point>, u64), Failure> {
    let meets = |p: &Point| constraints.iter().all(|constraint| constraint.is_met(p));
    if points.iter().any(meets) {
        let before = points.len();
        let kept: Vec<Point> = points.into_iter().filter(meets).collect();
        let dropped = (before - kept.len()) as u64;
        return Ok((kept, dropped));
    }
    Err(Failure::input(nothing_meets(&points, constraints)))
}

fn nothing_meets(points: &[Point], constraints: &[Constraint]) -> String {
    let met = |c: &Constraint| points.iter().filter(|p| c.is_met(p)).count();
    let least = |c: &Constraint| {
        let excesses = points.iter().map(|p| c.excess(p));
        excesses.fold(f64::INFINITY, f64::min)
    };
    // Of constraints that equally few points keep, the one that even the best point is farthest from.
    let tightest = constraints
        .iter()
        .min_by(|a, b| met(a).cmp(&met(b)).then(least(b).total_cmp(&least(a))));
    let worst = |p: &Point| {
        let excesses = constraints.iter().map(|c| c.excess(p));
        excesses.fold(0.0, f64::max)
    };
    let nearest = points.iter().min_by(|a, b| worst(a).total_cmp(&worst(b)));
    let (Some(tightest), Some(nearest)) = (tightest, nearest) else {
        return "there are no points to choose from".to_owned();
    };
    let values: Vec<String> = constraints
        .iter()
        .filter_map(|c| Some(format!("{} = {}", c.metric, number(c.metric.of(nearest)?))))
        .collect();
    format!(
        "none of the {} points keeps all constraints; the tightest is {tightest}, which {} of them keep; the nearest point is {} with {}; relax the constraint or widen the sweep",
        thousands(points.len() as u128),
        thousands(met(tightest) as u128),
        nearest.label(),
        values.join(", ")
    )
}

/// Marks the points that no other beats: is no worse in all metrics and better in one. Points of which a metric is not
/// known are not compared, and not marked.
///
/// # Errors
/// A metric that is known of no point.
pub fn mark_front(points: &mut [Point], metrics: &[Metric]) -> Result<(), Failure> {
    let is_unknown = |metric: &&Metric| points.iter().all(|point| metric.of(point).is_none());
    if let (false, Some(metric)) = (points.is_empty(), metrics.iter().find(is_unknown)) {
        return Err(Failure::input(format!(
            "--front: no point has a value of {metric}; leave it out"
        )));
    }
    points.iter_mut().for_each(|point| point.is_pareto = false);
    let costs: Vec<Option<Vec<f64>>> = points
        .iter()
        .map(|point| metrics.iter().map(|metric| metric.cost(point)).collect())
        .collect();
    let known = |index: &usize| costs[*index].is_some();
    let mut order: Vec<usize> = (0..points.len()).filter(known).collect();
    let costs: Vec<Vec<f64>> = costs.into_iter().map(Option::unwrap_or_default).collect();
    let in_order = |a: &[f64], b: &[f64]| {
        let pairs = a.iter().zip(b).map(|(a, b)| a.total_cmp(b));
        pairs.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    };
    order.sort_by(|a, b| in_order(&costs[*a], &costs[*b]));
    // In this order a point is beaten only by one that stands before it, so by one of the front so far.
    let mut front: Vec<usize> = Vec::new();
    for index in order {
        let mine = &costs[index];
        let is_beaten = front.iter().any(|other| {
            let theirs = &costs[*other];
            theirs != mine && theirs.iter().zip(mine).all(|(a, b)| a <= b)
        });
        points[index].is_pareto = !is_beaten;
        if !is_beaten {
            front.push(index);
        }
    }
    Ok(())
}
