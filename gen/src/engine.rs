//! Runs work on a design and reports the cycles of every layer; checks integers against stored ones.

use crate::failure::Failure;
use crate::io::{ArrayFile, index_text};
use crate::terminal::{Terminal, percent, thousands};
use crate::wave::{ArrayWave, Recorded};
use crate::workload::{LayerIntegers, Loaded};
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

/// Cycles of one layer and how they are used.
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
    pub fn new(name: &str, shape: &GemmShape, report: &CycleReport) -> Self {
        LayerReport {
            name: name.to_owned(),
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
    /// Clock cycles, one layer after the other.
    pub cycles: u64,
    /// As in [`LayerReport`].
    pub utilization: f64,
    /// Multiply-accumulates.
    pub macs: u128,
    /// Operations: 2 for each binary operation pair.
    pub operations: u128,
}

impl Total {
    /// Sums layers that ran on `design`.
    pub fn of(design: &Design, layers: &[LayerReport]) -> Self {
        let cycles = layers.iter().map(|layer| layer.cycles).sum();
        let pairs: u128 = layers
            .iter()
            .map(|layer| layer.binary_operation_pairs)
            .sum();
        Total {
            cycles,
            utilization: pairs as f64 / (pairs_per_cycle(design) as f64 * cycles as f64),
            macs: layers.iter().map(|layer| layer.macs).sum(),
            operations: 2 * pairs,
        }
    }
}

/// Binary operation pairs that a design can do in one cycle.
pub fn pairs_per_cycle(design: &Design) -> u64 {
    design.config().binary_pairs_per_cycle()
}

/// A layer that does not fit the design.
pub fn lower_error(layer: &str, error: &LowerError) -> Failure {
    Failure::input(format!("layer `{layer}`: {error}"))
}

/// Runs every layer on the model. `wave` gets the cycles of [`Mode::Step`].
///
/// # Errors
/// A layer that does not fit the design; a model that disagrees with the closed formulas.
pub fn run(
    design: &Design,
    work: &Loaded,
    mode: Mode,
    mut wave: Option<&mut ArrayWave>,
    terminal: &Terminal,
) -> Result<(Vec<LayerIntegers>, Vec<LayerReport>), Failure> {
    let mut reports = Vec::new();
    let layers = work.shapes().len() as u64;
    let progress = terminal.progress(layers, "layers");
    let integers = work.forward(|name, gemm| {
        let report =
            CycleReport::of_shape(design, &gemm.shape()).map_err(|e| lower_error(name, &e))?;
        reports.push(LayerReport::new(name, &gemm.shape(), &report));
        let results = match mode {
            Mode::Run => {
                let run = xnorforge_sim::run(design, gemm).map_err(|e| lower_error(name, &e))?;
                run.results
            }
            Mode::Step => step(design, name, gemm, report.cycles, wave.as_deref_mut())?,
        };
        progress.advance(1);
        Ok::<_, Failure>(results)
    })?;
    Ok((integers, reports))
}

/// Steps the model through a product and holds its cycles to the closed formula.
fn step(
    design: &Design,
    name: &str,
    gemm: &Gemm,
    expected: u64,
    wave: Option<&mut ArrayWave>,
) -> Result<Vec<i64>, Failure> {
    let lowered = Lowered::new(design, gemm).map_err(|e| lower_error(name, &e))?;
    let mut model: Box<dyn Simulator + '_> = match wave {
        Some(wave) => Box::new(Recorded::new(design, wave)),
        None => Box::new(Model::new(design)),
    };
    let driven = drive(model.as_mut(), &lowered, &StallPlan::NONE)
        .map_err(|e| Failure::Check(format!("layer `{name}`: {e}")))?;
    if driven.cycles() != expected {
        return Err(Failure::Check(format!(
            "layer `{name}`: the model took {} cycles, the closed formula says {expected}; please report this as a bug with the configuration ({})",
            driven.cycles(),
            design.config().command_flags()
        )));
    }
    Ok(driven.results)
}

/// Prints the table of layers and their sum.
pub fn print_layers(terminal: &Terminal, layers: &[LayerReport], total: &Total) {
    let mut rows: Vec<Vec<String>> = layers
        .iter()
        .map(|layer| {
            let [p, n, q] = layer.shape;
            vec![
                layer.name.clone(),
                format!("{p}x{n}x{q}"),
                format!("{} {}", layer.activation.encoding, layer.activation.bits),
                format!("{} {}", layer.weight.encoding, layer.weight.bits),
                thousands(layer.cycles.into()),
                percent(layer.utilization),
                layer.bound.to_string(),
                thousands(layer.operations),
            ]
        })
        .collect();
    if layers.len() > 1 {
        let mut row = vec!["total".to_owned()];
        row.resize(4, String::new());
        row.extend([
            thousands(total.cycles.into()),
            percent(total.utilization),
            String::new(),
            thousands(total.operations),
        ]);
        rows.push(row);
    }
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
        &rows,
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

/// Compares integers with the arrays `<layer>_acc` and `<layer>_act` of a file, as far as it has them.
///
/// # Errors
/// A file that holds none of them, or has them in a shape that does not fit.
pub fn check_expected(file: &ArrayFile, layers: &[LayerIntegers]) -> Result<Vec<Check>, Failure> {
    let mut checks = Vec::new();
    for layer in layers {
        let columns = layer.shape.columns as usize;
        let kinds = [
            ("acc", Some(&layer.accumulators)),
            ("act", layer.codes.as_ref()),
        ];
        for (suffix, found) in kinds {
            let name = format!("{}_{suffix}", layer.name);
            let Some(found) = found.filter(|_| file.has(&name)) else {
                continue;
            };
            let array = file.read(&name)?;
            let rows = found.len() / columns;
            match array.shape.as_slice() {
                &[r, c] if r >= rows && c == columns => {}
                _ => {
                    let expected = format!("[{rows} or more, {columns}]");
                    return Err(array.shape_error(expected).into());
                }
            }
            checks.push(Check::new(
                &name,
                columns,
                found,
                &array.ints()?[..found.len()],
            ));
        }
    }
    if checks.is_empty() {
        let names: Vec<String> = layers.iter().map(|l| format!("`{}_acc`", l.name)).collect();
        return Err(Failure::input(format!(
            "`{}` holds nothing to check: expected an array {}",
            file.name(),
            names.join(" or ")
        )));
    }
    Ok(checks)
}

/// Compares the accumulators of every layer with other ones of the same work.
pub fn compare(found: &[LayerIntegers], expected: &[LayerIntegers]) -> Vec<Check> {
    found
        .iter()
        .zip(expected)
        .map(|(f, e)| {
            let name = format!("{}_acc", f.name);
            Check::new(
                &name,
                f.shape.columns as usize,
                &f.accumulators,
                &e.accumulators,
            )
        })
        .collect()
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
