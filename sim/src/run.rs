//! Whole products at the speed of the host: the model's results and cycle counts without its cycles.
//!
//! Results come from the packed kernels of [`crate::multiply`], at the operands' own precisions; cycles come from the
//! closed formulas. Tests hold both to the cycle-accurate model.

use crate::cycles::CycleReport;
use crate::gemm::Gemm;
use crate::lower::{LowerError, Plan};
use crate::multiply::{PAIRED, Product, multiply_rows};
use crate::packed::{BitPlanes, Padding, StoredForm};
use xnorforge_hdl::Design;

/// Results and cycles of a product.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// `P x Q` results, row by row.
    pub results: Vec<i64>,
    /// Cycles and utilization.
    pub cycles: CycleReport,
}

/// Runs a product on a design: the results and the cycle count that [`crate::drive`] gives for the
/// cycle-accurate model without stalls.
///
/// Rows are spread over the threads of the current rayon pool; nothing depends on how many there are.
///
/// # Errors
/// As [`crate::Lowered::new`].
pub fn run(design: &Design, gemm: &Gemm) -> Result<RunReport, LowerError> {
    let plan = Plan::of_gemm(design, gemm)?;
    Ok(RunReport {
        results: multiply(gemm),
        cycles: CycleReport::of_plan(design, &plan),
    })
}

/// The product alone, by the packed kernel.
fn multiply(gemm: &Gemm) -> Vec<i64> {
    let x = gemm.activations();
    let product = Product {
        rows: x.vectors(),
        activation: x.precision(),
        weights: gemm.weights(),
        bias: gemm.bias(),
        classes: gemm.classes(),
    };
    let form = StoredForm::native(x.precision());
    multiply_rows(&product, |rows| {
        let values = &x.values()[rows.start * x.elements()..rows.end * x.elements()];
        BitPlanes::pack_values(values, x.elements(), &form, PAIRED, Padding::Zeros)
    })
}
