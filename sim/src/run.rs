//! Whole products at the speed of the host: the model's results and cycle counts without its cycles.
//!
//! Results come from a packed kernel that counts pair bits of whole rows, branch pair by branch pair, at the
//! operands' own precisions; cycles come from the closed formulas. Tests hold both to the cycle-accurate model.
//!
//! With S_B the weighted pair bits, OA and OW the weighted numbers of differing pairs of a row and a column,
//! and v the stored values (`x = (v + z) / d`), a result is
//!
//! ```text
//! (4 * S_B + [z_w * sum v_x - 2 * Fw * OA] + [2 * Fx * OW - Fx*Fw*N + z_x * sum v_w + N*z_x*z_w]) / (d_x * d_w)
//! ```
//!
//! where the first bracket belongs to the row and the second, with bias and border, to the column.

use crate::cycles::CycleReport;
use crate::gemm::{BorderClasses, Gemm, Operand, Precision};
use crate::kernel::{
    ActivationGroup, BLOCK, GROUP, Significances, WeightPair, dispatched, sum_pairs,
};
use crate::lower::{LowerError, Plan};
use crate::packed::{BitPlanes, Padding, StoredForm, TapMask};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;
use xnorforge_hdl::Design;

/// Lanes that the kernel pairs: each word with the next one.
const LANES: usize = 128;
/// Rows that one thread packs and multiplies at a time.
const PANEL_ROWS: usize = 64;

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
    multiply_rows(&product, |rows| {
        Cow::Borrowed(&x.values()[rows.start * x.elements()..rows.end * x.elements()])
    })
}

/// A product whose rows of activations are made when they are needed.
pub(crate) struct Product<'a> {
    /// P.
    pub rows: usize,
    /// Encoding and bits of the activations.
    pub activation: Precision,
    /// Q vectors of N weights.
    pub weights: &'a Operand,
    /// Added to each column.
    pub bias: Option<&'a [i64]>,
    /// Border classes of the rows; only with `bipolar` activations.
    pub classes: Option<&'a BorderClasses>,
}

/// `P x Q` results, row by row. `panel` gives the activations of some neighbouring rows, N numbers each, all of which
/// have a code.
pub(crate) fn multiply_rows<'x>(
    product: &Product<'_>,
    panel: impl Fn(Range<usize>) -> Cow<'x, [i32]> + Sync,
) -> Vec<i64> {
    let (columns, elements) = (product.weights.vectors(), product.weights.elements());
    let activation = StoredForm::native(product.activation);
    let weights = PackedWeights::new(product, &activation);
    let masks: Option<Vec<TapMask>> = product.classes.map(|classes| {
        let pack = |valid: &Vec<bool>| TapMask::pack(valid, LANES);
        classes.valid.iter().map(pack).collect()
    });
    let mut results = vec![0; product.rows * columns];
    let panels = results.par_chunks_mut(PANEL_ROWS * columns).enumerate();
    panels.for_each(|(index, results)| {
        let first = index * PANEL_ROWS;
        let last = (first + PANEL_ROWS).min(product.rows);
        let values = panel(first..last);
        let mut planes =
            BitPlanes::pack_values(&values, elements, &activation, LANES, Padding::Zeros);
        let mut classes = vec![0; last - first];
        if let (Some(masks), Some(border)) = (&masks, product.classes) {
            classes.copy_from_slice(&border.of_row[first..last]);
            for (row, class) in classes.iter().enumerate() {
                planes.clear_invalid(row, &masks[*class as usize]);
            }
        }
        let panel = PackedRows::new(&planes, &activation, &weights, elements, classes);
        multiply_panel(&panel, &weights, results);
    });
    results
}

/// The weights of a product and all terms that belong to its columns.
struct PackedWeights {
    form: StoredForm,
    activation: StoredForm,
    columns: usize,
    /// Words of one plane.
    words: usize,
    /// `[block of columns][plane][word]`.
    pairs: Vec<WeightPair>,
    /// The column's bracket, class by class.
    terms: Vec<i64>,
}

impl PackedWeights {
    fn new(product: &Product<'_>, activation: &StoredForm) -> Self {
        let w = product.weights;
        let form = StoredForm::native(w.precision());
        let planes = BitPlanes::pack(w, &form, LANES, Padding::Ones);
        let (words, count) = (planes.chunks(), planes.planes());
        let blocks = w.vectors().div_ceil(BLOCK);
        let mut pairs = vec![[[0; BLOCK]; 2]; blocks * count * words];
        let mut odd = vec![0; w.vectors()];
        for (column, odd) in odd.iter_mut().enumerate() {
            for plane in 0..count {
                let start = (column / BLOCK * count + plane) * words;
                let halves = planes.plane(column, plane).chunks_exact(2);
                let mut differing = 0;
                for (pair, half) in pairs[start..start + words].iter_mut().zip(halves) {
                    pair[0][column % BLOCK] = !half[0];
                    pair[1][column % BLOCK] = half[0] ^ half[1];
                    differing += i64::from((half[0] ^ half[1]).count_ones());
                }
                *odd += differing << form.significance(plane as u32);
            }
        }
        PackedWeights {
            terms: column_terms(product, activation, &form, &odd),
            columns: w.vectors(),
            activation: activation.clone(),
            form,
            words,
            pairs,
        }
    }

    /// The words of one block of columns, plane by plane.
    fn block(&self, block: usize) -> &[WeightPair] {
        let words = self.form.planes() as usize * self.words;
        &self.pairs[block * words..][..words]
    }
}

/// The bracket of each column, with its bias, for each border class.
fn column_terms(
    product: &Product<'_>,
    activation: &StoredForm,
    weight: &StoredForm,
    odd: &[i64],
) -> Vec<i64> {
    let w = product.weights;
    let n = w.elements() as i64;
    let (fx, fw) = (activation.total(), weight.total());
    let (zx, zw) = (activation.offset(), weight.offset());
    let divisor = activation.divisor_log2() + weight.divisor_log2();
    let term = |q: usize, valid: Option<&[bool]>| {
        let values = w.vector(q);
        // At most 2^20 numbers of at most 8 bits: the sum fits.
        let sum = i64::from(values.iter().sum::<i32>());
        let stored = (sum << weight.divisor_log2()) - n * zw;
        // Invalid taps are fed as -Fx.
        let invalid: i64 = valid.map_or(0, |valid| {
            let taps = values.iter().zip(valid);
            taps.map(|(w, v)| if *v { 0 } else { i64::from(*w) }).sum()
        });
        let bias = product.bias.map_or(0, |bias| bias[q]);
        2 * fx * odd[q] - fx * fw * n
            + zx * stored
            + n * zx * zw
            + ((bias + fx * invalid) << divisor)
    };
    let columns = 0..w.vectors();
    match product.classes {
        None => columns.map(|q| term(q, None)).collect(),
        Some(classes) => classes
            .valid
            .iter()
            .flat_map(|valid| columns.clone().map(|q| term(q, Some(valid))))
            .collect(),
    }
}

/// A panel of rows and all terms that belong to them.
struct PackedRows {
    planes: usize,
    words: usize,
    /// `[group of rows][plane][word]`; rows past the last one are 0.
    pairs: Vec<ActivationGroup>,
    /// The row's bracket.
    terms: Vec<i64>,
    /// Border class of each row.
    classes: Vec<u32>,
}

impl PackedRows {
    fn new(
        planes: &BitPlanes,
        form: &StoredForm,
        weights: &PackedWeights,
        elements: usize,
        classes: Vec<u32>,
    ) -> Self {
        let (count, words) = (planes.planes(), planes.chunks());
        let mut rows = PackedRows {
            planes: count,
            words,
            pairs: vec![[[0; 3]; GROUP]; classes.len().div_ceil(GROUP) * count * words],
            terms: vec![0; classes.len()],
            classes,
        };
        for row in 0..rows.classes.len() {
            let (mut ones, mut odd) = (0, 0);
            for plane in 0..count {
                let pairs = &mut rows.pairs[(row / GROUP * count + plane) * words..][..words];
                let counts = split_plane(planes.plane(row, plane), pairs, row % GROUP);
                ones += (counts[0] as i64) << form.significance(plane as u32);
                odd += (counts[1] as i64) << form.significance(plane as u32);
            }
            let stored = 2 * ones - form.total() * elements as i64;
            rows.terms[row] = weights.form.offset() * stored - 2 * weights.form.total() * odd;
        }
        rows
    }

    /// The words of one group of rows, plane by plane.
    fn group(&self, group: usize) -> &[ActivationGroup] {
        &self.pairs[group * self.planes * self.words..][..self.planes * self.words]
    }
}

dispatched! {
    /// Pairs each word of a row's plane with the next one; gives how many bits are 1 and how many pairs differ.
    fn split_plane(plane: &[u64], pairs: &mut [ActivationGroup], row: usize) -> [u64; 2] {
        let (mut ones, mut odd) = (0, 0);
        for (pair, [first, second]) in pairs.iter_mut().zip(plane.as_chunks().0) {
            let differ = first ^ second;
            pair[row] = [*first, *second, differ];
            ones += u64::from(first.count_ones() + second.count_ones());
            odd += u64::from(differ.count_ones());
        }
        [ones, odd]
    }
}

/// Multiplies a panel of rows by all columns.
fn multiply_panel(panel: &PackedRows, weights: &PackedWeights, results: &mut [i64]) {
    let significances = |form: &StoredForm| -> Vec<u32> {
        (0..form.planes()).map(|i| form.significance(i)).collect()
    };
    let (activation, weight) = (
        significances(&weights.activation),
        significances(&weights.form),
    );
    let significances = Significances {
        activation: &activation,
        weight: &weight,
    };
    let mut sums = [[0; BLOCK]; GROUP];
    for block in 0..weights.columns.div_ceil(BLOCK) {
        for group in 0..panel.classes.len().div_ceil(GROUP) {
            sum_pairs(
                panel.group(group),
                weights.block(block),
                significances,
                &mut sums,
            );
            let rows = panel.classes.len().min((group + 1) * GROUP);
            for (row, sums) in (group * GROUP..rows).zip(&sums) {
                store_row(panel, weights, results, row, block, sums);
            }
        }
    }
}

/// Makes results of one row's sums: the brackets of row and column, and the division.
fn store_row(
    panel: &PackedRows,
    weights: &PackedWeights,
    results: &mut [i64],
    row: usize,
    block: usize,
    sums: &[u64; BLOCK],
) {
    let divisor = weights.activation.divisor_log2() + weights.form.divisor_log2();
    let first = block * BLOCK;
    let count = BLOCK.min(weights.columns - first);
    let class = panel.classes[row] as usize;
    let terms = &weights.terms[class * weights.columns + first..][..count];
    let results = &mut results[row * weights.columns + first..][..count];
    for ((result, sum), term) in results.iter_mut().zip(sums).zip(terms) {
        *result = (4 * *sum as i64 + panel.terms[row] + term) >> divisor;
    }
}
