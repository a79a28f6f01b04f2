//! What whole arrays take, edges included, module by module: the hierarchy is kept, each module is synthesized once and
//! counted as often as it stands in the array.

use super::report::ratio;
use super::split::{self, Split};
use super::units::configuration;
use super::{Area, AreaError};
use crate::tools::Found;
use rayon::prelude::*;
use std::fmt::Write as _;
use xnorforge_hdl::{ArrayConfig, ConfigError, Design, Target, generate};

/// Begins the name of the module that is one processing element.
const ELEMENT: &str = "xnf_processing_element";
/// Begins the name of the module that is one row unit.
const ROW_UNIT: &str = "xnf_row_sum";

/// What an array takes: with its streams, skew registers, row units, drain, epilogue and control.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayArea {
    /// The array.
    pub design: Design,
    /// All processing elements.
    pub elements: Part,
    /// All row units.
    pub row_units: Part,
    /// Everything.
    pub whole: Part,
}

/// A part of an array, all instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// As in [`Area`].
    pub sites: u64,
    /// As in [`Area`].
    pub sites_max: u64,
    /// Flip-flops.
    pub ff: u64,
    /// Block memories.
    pub bram: u64,
    /// Multiplier blocks.
    pub dsp: u64,
}

impl Part {
    fn new(split: &Split, choose: impl Fn(&str) -> bool) -> Self {
        let sum = |count: fn(&Area) -> u64| split.sum(|module| choose(&module.name), count);
        Part {
            sites: sum(|a| a.sites),
            sites_max: sum(|a| a.sites_max),
            ff: sum(|a| a.ff),
            bram: sum(|a| a.bram),
            dsp: sum(|a| a.dsp),
        }
    }
}

impl ArrayArea {
    /// Synthesizes the array of a design.
    ///
    /// # Errors
    /// As [`super::measure`].
    pub fn measure(yosys: &Found, design: &Design) -> Result<Self, AreaError> {
        let package = generate(design)?;
        let below = |prefix: &str| -> Vec<&str> {
            let mut names = package.modules.iter().map(|module| module.name.as_str());
            let root = names.find(|name| name.starts_with(prefix));
            root.map_or(Vec::new(), |root| split::descendants(&package, root))
        };
        let (elements, row_units) = (below(ELEMENT), below(ROW_UNIT));
        let split = split::split(yosys, &package, &package.top, design.config().target)?;
        Ok(Self {
            design: design.clone(),
            elements: Part::new(&split, |name| elements.contains(&name)),
            row_units: Part::new(&split, |name| {
                row_units.contains(&name) && !elements.contains(&name)
            }),
            whole: Part::new(&split, |_| true),
        })
    }

    /// Binary operation pairs in one cycle.
    pub fn operations(&self) -> u64 {
        self.design.config().binary_pairs_per_cycle()
    }

    /// Sites of the whole array for each operation pair.
    pub fn sites_per_operation(&self) -> f64 {
        self.whole.sites as f64 / self.operations() as f64
    }
}

/// The arrays of `docs/area.md`, square.
///
/// # Errors
/// A configuration that is not valid; this would be a bug.
pub fn standard_arrays() -> Result<Vec<Design>, ConfigError> {
    let mut shapes = Vec::new();
    for lanes in [64, 256] {
        for bits in [4, 1] {
            shapes.extend([4, 8, 16].map(|side| (Target::Xilinx, side, lanes, bits, 1)));
        }
    }
    shapes.extend([2, 4, 8].map(|branches| (Target::Xilinx, 8, 64, branches, branches)));
    for target in [Target::Ecp5, Target::Ice40] {
        shapes.extend([(target, 8, 64, 4, 1), (target, 8, 64, 1, 1)]);
        shapes.push((target, 8, 64, 2, 2));
    }
    let design = |(target, side, lanes, bits, branches)| {
        ArrayConfig {
            rows: side,
            columns: side,
            ..configuration(target, lanes, bits, branches)?
        }
        .validate()
    };
    shapes.into_iter().map(design).collect()
}

/// The section of `docs/area.md` about whole arrays.
///
/// # Errors
/// The first array's that failed.
pub fn report(yosys: &Found) -> Result<String, AreaError> {
    let designs = standard_arrays()?;
    let areas = designs
        .par_iter()
        .map(|design| {
            tracing::info!(array = %design.top_name(), target = %design.config().target, "measuring");
            ArrayArea::measure(yosys, design)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{INTRODUCTION}{}", table(&areas)))
}

const INTRODUCTION: &str = "
## Whole arrays

Arrays behind streams (`generate --interface array`), all included. Each module is synthesized once, with the hierarchy kept, and
counted as often as it stands in the array, so nothing is shared across modules. *Around*: the drain, the skew registers at the edge,
epilogue, constants and control. Sites, as above; multiplier blocks align the sums where the target has them.

";

/// The Markdown table: a heading, and one row for each array.
pub fn table(areas: &[ArrayArea]) -> String {
    let mut text = String::from(
        "| array | structure | bits | pairs | elements | row units | around | all | at most | FF | BRAM | DSP | elements per operation | all per operation |\n\
         |---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for area in areas {
        let c = area.design.config();
        let (elements, row_units, whole) = (area.elements, area.row_units, area.whole);
        let _ = writeln!(
            text,
            "| {} {} x {} x {} | `{}` | {} x {} | {} x {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            c.target,
            c.rows,
            c.columns,
            c.lanes,
            area.design.structure(),
            c.activation_bits,
            c.weight_bits,
            c.activation_branches,
            c.weight_branches,
            elements.sites,
            row_units.sites,
            whole.sites - elements.sites - row_units.sites,
            whole.sites,
            whole.sites_max,
            whole.ff,
            whole.bram,
            whole.dsp,
            ratio(elements.sites as f64, area.operations()),
            ratio(whole.sites as f64, area.operations()),
        );
    }
    text
}
