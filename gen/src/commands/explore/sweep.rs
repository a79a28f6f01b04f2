//! The axes of a sweep: lists and ranges from flags or a TOML file.

use super::POINTS_MAX;
use crate::config::read_text;
use crate::failure::Failure;
use crate::terminal::thousands;
use serde::Deserialize;
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
}

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
                    "\"{item}\" is no number and no range; write 8, 4..16 (counts), 8..64+8 (adds) or 8..64x2 (multiplies), at most {POINTS_MAX} values"
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
        if values.len() as u64 > POINTS_MAX {
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
}

impl SweepArgs {
    /// The axes: what the flags say, else the file, else half, once and twice the base; for the branches 1 and as
    /// many as the work has: `bits` of activations and weights.
    ///
    /// # Errors
    /// A file that cannot be read or is no sweep; more than [`POINTS_MAX`] points.
    pub fn axes(&self, base: &ArrayConfig, bits: (u32, u32)) -> Result<Axes, Failure> {
        let file = self.read_file()?;
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
        let axes = Axes {
            rows: axis("rows", &self.sweep_rows, file.rows, around(base.rows))?,
            columns: axis(
                "columns",
                &self.sweep_columns,
                file.columns,
                around(base.columns),
            )?,
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
        };
        axes.check()?;
        Ok(axes)
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
                "`{}` is no sweep: line {line}: {}; the keys are rows, columns, lanes, activation_branches, weight_branches",
                path.display(),
                e.message().replace('\n', " ")
            ))
        })
    }
}

impl Axes {
    fn all(&self) -> [&Vec<u32>; 5] {
        [
            &self.rows,
            &self.columns,
            &self.lanes,
            &self.activation_branches,
            &self.weight_branches,
        ]
    }

    fn check(&self) -> Result<(), Failure> {
        let count: u128 = self.all().iter().map(|axis| axis.len() as u128).product();
        if count <= POINTS_MAX.into() {
            return Ok(());
        }
        let sizes: Vec<String> = self.all().iter().map(|a| a.len().to_string()).collect();
        Err(Failure::input(format!(
            "the sweep has {} = {} points (rows x columns x lanes x activation branches x weight branches), the limit is {}; take fewer values",
            sizes.join(" x "),
            thousands(count),
            thousands(POINTS_MAX.into())
        )))
    }

    /// Every combination, in the order of the axes.
    pub fn configs(&self, base: &ArrayConfig) -> Vec<ArrayConfig> {
        let mut configs = vec![base.clone()];
        type Set = fn(&mut ArrayConfig, u32);
        let setters: [Set; 5] = [
            |c, v| c.rows = v,
            |c, v| c.columns = v,
            |c, v| c.lanes = v,
            |c, v| c.activation_branches = v,
            |c, v| c.weight_branches = v,
        ];
        for (axis, set) in self.all().into_iter().zip(setters) {
            configs = configs
                .iter()
                .flat_map(|config| {
                    axis.iter().map(move |value| {
                        let mut config = config.clone();
                        set(&mut config, *value);
                        config
                    })
                })
                .collect();
        }
        configs
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
        };
        let configs = axes.configs(&ArrayConfig::default());
        assert_eq!(configs.len(), 12);
        assert_eq!((configs[11].rows, configs[11].lanes), (2, 6));
    }
}
