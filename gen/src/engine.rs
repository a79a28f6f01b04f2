//! Runs a product on a design and reports its cycles; checks integers against stored ones.

use crate::failure::Failure;
use crate::io::{ArrayFile, index_text};
use crate::terminal::{Terminal, percent, thousands};
use crate::wave::{ArrayWave, Recorded};
use serde::Serialize;
use xnorforge_hdl::Design;
use xnorforge_sim::{
    Bound, CycleReport, Gemm, GemmShape, LowerError, Lowered, Model, Precision, Simulator,
    StallPlan, drive,
};

/// How the model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Whole products at a time; cycles from the closed formulas.
    Run,
    /// Every cycle of every register; cycles counted.
    Step,
}

/// The name of the product that `--gemm` asks for, in reports, messages and arrays.
pub const PRODUCT: &str = "gemm";

/// Cycles of a product and how they are used.
#[derive(Clone, Debug, Serialize)]
pub struct LayerReport {
    /// The layer's name.
    pub name: String,
    /// P, N and Q.
    pub shape: [u64; 3],
    /// Encoding and bits of the activations.
    pub activation: Precision,
    /// Encoding and bits of the weights.
    pub weight: Precision,
    /// Clock cycles.
    pub cycles: u64,
    /// Share of the array's binary operation pairs in these cycles that the product needs, 0 to 1.
    pub utilization: f64,
    /// What holds the array back in the steady state.
    pub bound: Bound,
    /// Passes, each with constants of its own.
    pub passes: u64,
    /// Tiles.
    pub tiles: u64,
    /// Beats.
    pub beats: u64,
    /// Multiply-accumulates.
    pub macs: u128,
    /// Binary operation pairs: MACs x activation bits x weight bits.
    pub binary_operation_pairs: u128,
    /// Operations: 2 for each binary operation pair (xnor and add).
    pub operations: u128,
}

impl LayerReport {
    /// From a cycle report.
    pub fn new(shape: &GemmShape, report: &CycleReport) -> Self {
        LayerReport {
            name: PRODUCT.to_owned(),
            shape: [shape.rows, shape.elements, shape.columns],
            activation: shape.activation,
            weight: shape.weight,
            cycles: report.cycles,
            utilization: report.utilization,
            bound: report.bound,
            passes: report.passes,
            tiles: report.tiles,
            beats: report.beats,
            macs: shape.macs().into(),
            binary_operation_pairs: shape.binary_pairs().into(),
            operations: 2 * u128::from(shape.binary_pairs()),
        }
    }
}

/// Cycles and operations of all layers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Total {
    /// Clock cycles.
    pub cycles: u64,
    /// As in [`LayerReport`].
    pub utilization: f64,
    /// Multiply-accumulates.
    pub macs: u128,
    /// Operations: 2 for each binary operation pair.
    pub operations: u128,
}

impl From<&LayerReport> for Total {
    fn from(layer: &LayerReport) -> Self {
        Total {
            cycles: layer.cycles,
            utilization: layer.utilization,
            macs: layer.macs,
            operations: layer.operations,
        }
    }
}

/// A product that does not fit the design.
pub fn lower_error(error: LowerError) -> Failure {
    Failure::input(format!("layer `{PRODUCT}`: {error}"))
}

/// Runs a product on the model. `wave` gets the cycles of [`Mode::Step`].
///
/// # Errors
/// A product that does not fit the design; a model that disagrees with the closed formulas.
pub fn run(
    design: &Design,
    gemm: &Gemm,
    mode: Mode,
    wave: Option<&mut ArrayWave>,
) -> Result<(Vec<i64>, LayerReport), Failure> {
    let report = CycleReport::of_shape(design, &gemm.shape()).map_err(lower_error)?;
    let results = match mode {
        Mode::Run => {
            xnorforge_sim::run(design, gemm)
                .map_err(lower_error)?
                .results
        }
        Mode::Step => step(design, gemm, report.cycles, wave)?,
    };
    Ok((results, LayerReport::new(&gemm.shape(), &report)))
}

/// Steps the model through a product and holds its cycles to the closed formula.
fn step(
    design: &Design,
    gemm: &Gemm,
    expected: u64,
    wave: Option<&mut ArrayWave>,
) -> Result<Vec<i64>, Failure> {
    let lowered = Lowered::new(design, gemm).map_err(lower_error)?;
    let mut model: Box<dyn Simulator + '_> = match wave {
        Some(wave) => Box::new(Recorded::new(design, wave)),
        None => Box::new(Model::new(design)),
    };
    let driven = drive(model.as_mut(), &lowered, &StallPlan::NONE)
        .map_err(|e| Failure::Check(format!("layer `{PRODUCT}`: {e}")))?;
    if driven.cycles() != expected {
        return Err(Failure::Check(format!(
            "layer `{PRODUCT}`: the model took {} cycles, the closed formula says {expected}; please report this as a bug with the configuration ({})",
            driven.cycles(),
            design.config().command_flags()
        )));
    }
    Ok(driven.results)
}

/// Prints the table of a product.
pub fn print(terminal: &Terminal, layer: &LayerReport) {
    let [p, n, q] = layer.shape;
    let row = vec![
        layer.name.clone(),
        format!("{p}x{n}x{q}"),
        format!("{} {}", layer.activation.encoding, layer.activation.bits),
        format!("{} {}", layer.weight.encoding, layer.weight.bits),
        thousands(layer.cycles.into()),
        percent(layer.utilization),
        layer.bound.to_string(),
        thousands(layer.operations),
    ];
    terminal.table(
        &[
            "layer",
            "PxNxQ",
            "activations",
            "weights",
            ">cycles",
            ">utilization",
            "bound",
            ">operations",
        ],
        &[row],
    );
}

/// One comparison of integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The array that was compared, `l1_acc` for example.
    pub array: String,
    /// Integers compared.
    pub compared: u64,
    /// How many differ.
    pub different: u64,
    /// The first difference in words, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<String>,
}

impl Check {
    /// Compares `P x Q` integers.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn new(array: &str, columns: usize, found: &[i64], expected: &[i64]) -> Self {
        assert_eq!(
            found.len(),
            expected.len(),
            "equally many integers are compared"
        );
        let pairs = || found.iter().zip(expected).enumerate();
        let rows = found.len() / columns.max(1);
        Check {
            array: array.to_owned(),
            compared: found.len() as u64,
            different: pairs().filter(|(_, (f, e))| f != e).count() as u64,
            first_difference: pairs().find(|(_, (f, e))| f != e).map(|(flat, (f, e))| {
                let index = index_text(flat, &[rows, columns]);
                format!("{array}[{index}] is {f}, expected {e}")
            }),
        }
    }
}

/// Fails if any comparison found a difference.
///
/// # Errors
/// [`Failure::Check`] with the first one.
pub fn require_equal(checks: &[Check], against: &str) -> Result<(), Failure> {
    let Some(failed) = checks.iter().find(|check| check.different > 0) else {
        return Ok(());
    };
    Err(Failure::Check(format!(
        "the integers differ from {against}: {}; {} of {} in `{}` differ",
        failed.first_difference.as_deref().unwrap_or_default(),
        failed.different,
        failed.compared,
        failed.array
    )))
}

/// Compares a product's results, `columns` of them in a row, with the array `gemm_acc` of a file.
///
/// # Errors
/// A file that does not hold it, or has it in a shape that does not fit.
pub fn check_expected(file: &ArrayFile, columns: usize, found: &[i64]) -> Result<Check, Failure> {
    let name = format!("{PRODUCT}_acc");
    if !file.has(&name) {
        return Err(Failure::input(format!(
            "`{}` holds nothing to check: expected an array `{name}`",
            file.name()
        )));
    }
    let array = file.read(&name)?;
    let rows = found.len() / columns;
    match array.shape.as_slice() {
        &[r, c] if r >= rows && c == columns => {}
        _ => {
            let expected = format!("[{rows} or more, {columns}]");
            return Err(array.shape_error(expected).into());
        }
    }
    let expected = &array.ints()?[..found.len()];
    Ok(Check::new(&name, columns, found, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted_and_the_first_is_named() {
        let check = Check::new("l1_acc", 2, &[1, 2, 3, 4], &[1, 2, 0, 0]);
        assert_eq!((check.compared, check.different), (4, 2));
        let message = require_equal(&[check], "the file").unwrap_err().to_string();
        assert_eq!(
            message,
            "the integers differ from the file: l1_acc[1, 0] is 3, expected 0; 2 of 4 in `l1_acc` differ"
        );
    }
}
