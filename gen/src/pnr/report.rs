//! nextpnr's JSON report: the part that says how fast, and why not faster.

use super::Run;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
struct Report {
    fmax: BTreeMap<String, Fmax>,
    critical_paths: Vec<CriticalPath>,
    utilization: BTreeMap<String, Usage>,
}

#[derive(Debug, Deserialize)]
struct Fmax {
    achieved: f64,
}

#[derive(Debug, Deserialize)]
struct CriticalPath {
    from: String,
    to: String,
    path: Vec<Segment>,
}

#[derive(Debug, Deserialize)]
struct Segment {
    delay: f64,
    from: Pin,
    to: Pin,
    net: Option<String>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Pin {
    cell: String,
    #[serde(default)]
    loc: Vec<i64>,
}

/// How many cells of a kind are used, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Used.
    pub used: u64,
    /// On the part.
    pub available: u64,
}

/// A path from a register to a register.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Path {
    /// The cell of the register that it starts from. Yosys names cells after nets, so that a register of the harness
    /// may have the name of the port that it feeds.
    pub from: String,
    /// The cell of the register that it ends at.
    pub to: String,
    /// Delay in cells, clock-to-output and setup included, in ns.
    pub logic_ns: f64,
    /// Delay on wires, in ns.
    pub routing_ns: f64,
    /// Its parts in order.
    pub steps: Vec<Step>,
}

/// A cell or a wire on a path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What it is.
    pub kind: StepKind,
    /// The cell it leads to.
    pub cell: String,
    /// The net, of a wire.
    pub net: Option<String>,
    /// Its delay in ns.
    pub delay_ns: f64,
    /// Tiles from one end of a wire to the other, columns and rows added.
    pub tiles: u64,
}

/// What part of a path a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// From the clock to a register's output.
    Launch,
    /// Through a cell.
    Logic,
    /// Along a wire.
    Wire,
    /// The setup time of a register.
    Setup,
}

impl Path {
    /// LUTs and carry chains that it goes through, each chain once.
    pub fn levels(&self) -> usize {
        // Within a chain, wires take no time.
        self.steps
            .iter()
            .filter(|step| step.kind == StepKind::Wire && step.delay_ns > 0.0)
            .count()
            .saturating_sub(1)
    }
}

/// Reads the run of the clock that comes in at the port `clock`.
pub(super) fn read(text: &[u8], seed: u32, clock: &str) -> Result<Run, String> {
    let report: Report = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let (name, fmax) = report
        .fmax
        .iter()
        .find(|(name, _)| name.contains(clock))
        .ok_or("it has no frequency of the measured clock; has the module any register, or path to one?")?;
    if !(fmax.achieved.is_finite() && fmax.achieved > 0.0) {
        return Err(format!("the frequency of `{name}` is {}", fmax.achieved));
    }
    let edge = format!("posedge {name}");
    let path = report
        .critical_paths
        .into_iter()
        .find(|path| path.from == edge && path.to == edge)
        .ok_or_else(|| format!("it has no path of `{name}`"))?;
    Ok(Run {
        seed,
        fmax_mhz: fmax.achieved,
        path: path.into(),
        used: report
            .utilization
            .into_iter()
            .filter(|(_, usage)| usage.used > 0)
            .collect(),
    })
}

impl From<CriticalPath> for Path {
    fn from(path: CriticalPath) -> Self {
        let name = |pin: Option<&Pin>| pin.map(|p| p.cell.clone()).unwrap_or_default();
        let (from, to) = (
            name(path.path.first().map(|s| &s.to)),
            name(path.path.last().map(|s| &s.to)),
        );
        let steps: Vec<Step> = path.path.into_iter().map(Step::from).collect();
        let sum = |wire: bool| {
            let chosen = steps.iter().filter(|s| (s.kind == StepKind::Wire) == wire);
            chosen.map(|s| s.delay_ns).sum()
        };
        Self {
            from,
            to,
            logic_ns: sum(false),
            routing_ns: sum(true),
            steps,
        }
    }
}

impl From<Segment> for Step {
    fn from(segment: Segment) -> Self {
        let ends = segment.from.loc.iter().zip(&segment.to.loc);
        Self {
            kind: match segment.kind.as_str() {
                "clk-to-q" | "source" => StepKind::Launch,
                "routing" => StepKind::Wire,
                "setup" => StepKind::Setup,
                _ => StepKind::Logic,
            },
            tiles: ends.map(|(a, b)| a.abs_diff(*b)).sum(),
            cell: segment.to.cell,
            net: segment.net,
            delay_ns: segment.delay,
        }
    }
}
