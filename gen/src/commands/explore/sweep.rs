//! A sweep: axes, constraints and surroundings, from flags or a TOML file.

use super::metric::{Constraint, Metric};
use super::point::Surroundings;
use super::precision::Limits;
use crate::config::{ConfigArgs, read_text};
use crate::estimate;
use crate::failure::Failure;
use crate::terminal::thousands;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use xnorforge_hdl::ArrayConfig;
use xnorforge_hdl::config::CONFIG_BYTES_MAX;

/// Flags that span the sweep.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Sweep")]
pub struct SweepArgs {
    /// A sweep in TOML; the flags below override it
    #[arg(long, value_name = "FILE")]
    sweep: Option<PathBuf>,
    /// Rows to try
    #[arg(long, value_name = "RANGE")]
    sweep_rows: Option<Values>,
    /// Columns to try
    #[arg(long, value_name = "RANGE")]
    sweep_columns: Option<Values>,
    /// Lanes to try
    #[arg(long, value_name = "RANGE")]
    sweep_lanes: Option<Values>,
    /// Activation branches in one cycle to try
    #[arg(long, value_name = "RANGE")]
    sweep_activation_branches: Option<Values>,
    /// Weight branches in one cycle to try
    #[arg(long, value_name = "RANGE")]
    sweep_weight_branches: Option<Values>,
    /// Columns that leave the drain in one cycle to try, of networks
    #[arg(long, value_name = "RANGE")]
    sweep_drain_columns: Option<Values>,
    /// Load ports to try, of networks
    #[arg(long, value_name = "RANGE")]
    sweep_load_ports: Option<Values>,
    /// A limit that points must keep, cycles=1000000 for example; may be repeated. At most: cycles, pairs_per_cycle,
    /// memory_bits, bytes_per_cycle; at least: utilization, frames_per_second
    #[arg(long = "constraint", value_name = "METRIC=LIMIT")]
    constraints: Vec<Constraint>,
    /// What the front is made of: metrics, separated by commas
    #[arg(long, value_name = "METRICS", value_delimiter = ',')]
    front: Vec<Metric>,
    /// Clock in MHz, for frames per second; none is made up
    #[arg(long, value_name = "MHZ", value_parser = positive)]
    clock_mhz: Option<f64>,
    /// Bytes from and to the outside in a cycle: layers whose streams need more are bound by bandwidth
    #[arg(long, value_name = "BYTES", value_parser = positive)]
    bytes_per_cycle: Option<f64>,
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "give a number".to_owned())?;
    match number > 0.0 && number.is_finite() {
        true => Ok(number),
        false => Err("give a number above 0".to_owned()),
    }
}

/// Most values of an axis.
pub const VALUES_MAX: usize = 100_000;

/// The values of one axis, rising, without repetitions; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values(Vec<u32>);

impl Values {
    fn new(mut values: Vec<u32>) -> Result<Self, String> {
        values.sort_unstable();
        values.dedup();
        if values.is_empty() {
            return Err("the list of values is empty; give at least one number".to_owned());
        }
        Ok(Values(values))
    }
}

impl FromStr for Values {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut values = Vec::new();
        for item in text.split(',') {
            expand(item.trim(), &mut values).ok_or_else(|| {
                format!(
                    "\"{item}\" is no number and no range; write 8, 4..16 (counts), 8..64+8 (adds) or 8..64x2 (multiplies), at most {VALUES_MAX} values"
                )
            })?;
        }
        Values::new(values)
    }
}

/// Appends the values of one item; none if it is not well formed or too long.
fn expand(item: &str, values: &mut Vec<u32>) -> Option<()> {
    let Some((first, rest)) = item.split_once("..") else {
        values.push(item.parse().ok()?);
        return Some(());
    };
    let first: u32 = first.parse().ok()?;
    let (last, step, is_product) = if let Some((last, factor)) = rest.split_once('x') {
        (last, factor.parse().ok()?, true)
    } else if let Some((last, step)) = rest.split_once('+') {
        (last, step.parse().ok()?, false)
    } else {
        (rest, 1u32, false)
    };
    let last: u32 = last.parse().ok()?;
    let moves = if is_product {
        step > 1 && first > 0
    } else {
        step > 0
    };
    if !moves || first > last {
        return None;
    }
    let mut value = Some(first);
    while let Some(v) = value.filter(|v| *v <= last) {
        values.push(v);
        if values.len() > VALUES_MAX {
            return None;
        }
        value = if is_product {
            v.checked_mul(step)
        } else {
            v.checked_add(step)
        };
    }
    Some(())
}

/// A sweep file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepFile {
    rows: Option<FileValues>,
    columns: Option<FileValues>,
    lanes: Option<FileValues>,
    activation_branches: Option<FileValues>,
    weight_branches: Option<FileValues>,
    drain_columns: Option<FileValues>,
    load_ports: Option<FileValues>,
    clock_mhz: Option<f64>,
    bytes_per_cycle: Option<f64>,
    front: Option<Vec<Metric>>,
    #[serde(default)]
    constraints: BTreeMap<Metric, f64>,
    precision: Option<Limits>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a number, a list of numbers, or a text such as \"8..64x2\""
)]
enum FileValues {
    One(u32),
    List(Vec<u32>),
    Text(String),
}

impl FileValues {
    fn values(self) -> Result<Values, String> {
        match self {
            FileValues::One(value) => Values::new(vec![value]),
            FileValues::List(values) => Values::new(values),
            FileValues::Text(text) => text.parse(),
        }
    }
}

/// Axes of a sweep.
pub const AXES: usize = 7;

/// The values of every axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axes {
    /// Rows.
    pub rows: Vec<u32>,
    /// Columns.
    pub columns: Vec<u32>,
    /// Lanes.
    pub lanes: Vec<u32>,
    /// Activation branches in one cycle.
    pub activation_branches: Vec<u32>,
    /// Weight branches in one cycle.
    pub weight_branches: Vec<u32>,
    /// Columns that leave the drain in one cycle.
    pub drain_columns: Vec<u32>,
    /// Load ports.
    pub load_ports: Vec<u32>,
}

/// What is explored and how points are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The axes.
    pub axes: Axes,
    /// Limits that points must keep.
    pub constraints: Vec<Constraint>,
    /// What the front is made of.
    pub front: Vec<Metric>,
    /// What is outside.
    pub around: Surroundings,
    /// Limits on the choice of bits.
    pub precision: Option<Limits>,
}

impl SweepArgs {
    /// The sweep: what the flags say, else the file, else half, once and twice the base; for the branches 1 and as many
    /// as the work has: `bits` of activations and weights. Constraints of both hold. Ports of a preset fit all rows and
    /// columns of the sweep.
    ///
    /// # Errors
    /// A file that cannot be read or is no sweep.
    pub fn sweep(
        &self,
        config: &ConfigArgs,
        base: &ArrayConfig,
        bits: (u32, u32),
    ) -> Result<Sweep, Failure> {
        let file = self.read_file()?;
        let constraints = file.constraints.into_iter();
        let constraints: Result<Vec<Constraint>, String> = constraints
            .map(|(metric, limit)| Constraint::new(metric, limit))
            .collect();
        let mut constraints =
            constraints.map_err(|e| Failure::input(format!("--sweep: constraints: {e}")))?;
        constraints.extend(&self.constraints);
        for (name, value) in [
            ("clock_mhz", file.clock_mhz),
            ("bytes_per_cycle", file.bytes_per_cycle),
        ] {
            if value.is_some_and(|value| !(value > 0.0 && value.is_finite())) {
                return Err(Failure::input(format!(
                    "--sweep: `{name}` is no number above 0; give one"
                )));
            }
        }
        let mut front = match self.front.is_empty() {
            true => file.front.unwrap_or_default(),
            false => self.front.clone(),
        };
        if front.is_empty() {
            front = vec![Metric::Cycles, Metric::PairsPerCycle];
        }
        let axis = |name: &str,
                    flag: &Option<Values>,
                    file: Option<FileValues>,
                    default: Vec<u32>| {
            match (flag, file) {
                (Some(values), _) => Ok(values.0.clone()),
                (None, Some(values)) => values
                    .values()
                    .map(|v| v.0)
                    .map_err(|e| Failure::input(format!("--sweep: `{name}`: {e}"))),
                (None, None) => Ok(default),
            }
        };
        let around = |v: u32| vec![v.div_ceil(2), v, v.saturating_mul(2)];
        let one_and_all = |bits: u32, limit: u32| {
            let all = bits.min(limit);
            if all > 1 { vec![1, all] } else { vec![1] }
        };
        let rows = axis("rows", &self.sweep_rows, file.rows, around(base.rows))?;
        let columns = axis(
            "columns",
            &self.sweep_columns,
            file.columns,
            around(base.columns),
        )?;
        let (drain_columns, load_ports) = config.fitted_ports(base, &columns, &rows);
        let axes = Axes {
            rows,
            columns,
            lanes: axis("lanes", &self.sweep_lanes, file.lanes, around(base.lanes))?,
            activation_branches: axis(
                "activation_branches",
                &self.sweep_activation_branches,
                file.activation_branches,
                one_and_all(bits.0, base.activation_bits),
            )?,
            weight_branches: axis(
                "weight_branches",
                &self.sweep_weight_branches,
                file.weight_branches,
                one_and_all(bits.1, base.weight_bits),
            )?,
            drain_columns: axis(
                "drain_columns",
                &self.sweep_drain_columns,
                file.drain_columns,
                vec![drain_columns],
            )?,
            load_ports: axis(
                "load_ports",
                &self.sweep_load_ports,
                file.load_ports,
                vec![load_ports],
            )?,
        };
        Ok(Sweep {
            axes,
            constraints,
            front,
            around: Surroundings {
                clock_mhz: self.clock_mhz.or(file.clock_mhz),
                bytes_per_cycle: self.bytes_per_cycle.or(file.bytes_per_cycle),
                model: estimate::model(base.target),
                activity: None,
            },
            precision: file.precision,
        })
    }

    fn read_file(&self) -> Result<SweepFile, Failure> {
        let Some(path) = &self.sweep else {
            return Ok(SweepFile::default());
        };
        let text = read_text(path, CONFIG_BYTES_MAX)?;
        toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or(1, |span| {
                1 + text[..span.start.min(text.len())].matches('\n').count()
            });
            Failure::input(format!(
                "`{}` is no sweep: line {line}: {}; the keys are rows, columns, lanes, activation_branches, weight_branches, drain_columns, load_ports, clock_mhz, bytes_per_cycle, front and the tables constraints and precision",
                path.display(),
                e.message().replace('\n', " ")
            ))
        })
    }
}

impl Axes {
    fn all(&self) -> [&Vec<u32>; AXES] {
        [
            &self.rows,
            &self.columns,
            &self.lanes,
            &self.activation_branches,
            &self.weight_branches,
            &self.drain_columns,
            &self.load_ports,
        ]
    }

    /// Points of the sweep.
    pub fn count(&self) -> u128 {
        self.all().iter().map(|axis| axis.len() as u128).product()
    }

    /// Refuses more points than `limit`.
    ///
    /// # Errors
    /// Too many points: how many, and how the limit is raised.
    pub fn check(&self, limit: u64) -> Result<(), Failure> {
        let count = self.count();
        if count <= limit.into() {
            return Ok(());
        }
        let names = [
            "rows",
            "columns",
            "lanes",
            "activation branches",
            "weight branches",
            "drain columns",
            "load ports",
        ];
        let axes = self.all().into_iter().zip(names);
        let (sizes, names): (Vec<String>, Vec<&str>) = axes
            .filter(|(axis, _)| axis.len() > 1)
            .map(|(axis, name)| (axis.len().to_string(), name))
            .unzip();
        Err(Failure::input(format!(
            "the sweep has {} = {} points ({}), the limit is {}; take fewer values, or raise the limit with --points-max",
            sizes.join(" x "),
            thousands(count),
            names.join(" x "),
            thousands(limit.into())
        )))
    }

    /// The position of a point on each axis. Rows move fastest: points that differ in them alone have most in common.
    pub fn positions(&self, mut index: u64) -> [usize; AXES] {
        self.all().map(|axis| {
            let position = index % axis.len() as u64;
            index /= axis.len() as u64;
            position as usize
        })
    }

    /// The number of a point.
    pub fn index(&self, positions: &[usize; AXES]) -> u64 {
        let axes = self.all().into_iter().zip(positions).rev();
        axes.fold(0, |index, (axis, at)| {
            index * axis.len() as u64 + *at as u64
        })
    }

    /// The last position on each axis.
    pub fn last(&self) -> [usize; AXES] {
        self.all().map(|axis| axis.len() - 1)
    }

    /// The values at positions.
    pub fn values(&self, positions: &[usize; AXES]) -> [u32; AXES] {
        let all = self.all();
        std::array::from_fn(|axis| all[axis][positions[axis]])
    }

    /// A point's configuration.
    pub fn config(&self, base: &ArrayConfig, index: u64) -> ArrayConfig {
        let [
            rows,
            columns,
            lanes,
            activation_branches,
            weight_branches,
            drain,
            ports,
        ] = self.values(&self.positions(index));
        let mut config = ArrayConfig {
            rows,
            columns,
            lanes,
            activation_branches,
            weight_branches,
            ..base.clone()
        };
        config.accelerator.drain_columns = drain;
        config.accelerator.load_ports = ports;
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges() {
        let values = |text: &str| text.parse::<Values>().map(|v| v.0);
        assert_eq!(values("8,4,4"), Ok(vec![4, 8]));
        assert_eq!(values("1..4"), Ok(vec![1, 2, 3, 4]));
        assert_eq!(values("8..32+8"), Ok(vec![8, 16, 24, 32]));
        assert_eq!(values("3..30x2, 1"), Ok(vec![1, 3, 6, 12, 24]));
        for wrong in [
            "",
            "a",
            "4..",
            "8..4",
            "0..8x2",
            "1..8+0",
            "1..8x1",
            "0..4294967295",
        ] {
            assert!(values(wrong).is_err(), "{wrong}");
        }
        assert_eq!(values("4294967295..4294967295"), Ok(vec![u32::MAX]));
    }

    #[test]
    fn every_combination_comes_once() {
        let axes = Axes {
            rows: vec![1, 2],
            columns: vec![3],
            lanes: vec![4, 5, 6],
            activation_branches: vec![1],
            weight_branches: vec![1, 2],
            drain_columns: vec![1],
            load_ports: vec![1, 2],
        };
        assert_eq!(axes.count(), 24);
        let all: std::collections::HashSet<[u32; AXES]> = (0..24)
            .map(|index| axes.values(&axes.positions(index)))
            .collect();
        assert_eq!(all.len(), 24);
        for index in 0..24 {
            assert_eq!(axes.index(&axes.positions(index)), index);
        }
        let config = axes.config(&ArrayConfig::default(), 23);
        assert_eq!((config.rows, config.lanes), (2, 6));
        assert_eq!(config.accelerator.load_ports, 2);
        assert!(axes.check(24).is_ok() && axes.check(23).is_err());
    }
}
