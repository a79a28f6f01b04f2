//! Products of packed operands: what belongs to rows and columns, and the spread over threads.
//!
//! With S_B the weighted pair bits, OA and OW the weighted numbers of differing pairs of a row and a column,
//! and v the stored values (`x = (v + z) / d`), a result is
//!
//! ```text
//! (4 * S_B + [z_w * sum v_x - 2 * Fw * OA] + [2 * Fx * OW - Fx*Fw*N + z_x * sum v_w + N*z_x*z_w]) / (d_x * d_w)
//! ```
//!
//! where the first bracket belongs to the row and the second, with bias and border, to the column. The divisor is 1, 2
//! or 4 and the division exact for every row and column, so all brackets of rows leave the same remainder, and those of
//! columns what is missing to the divisor: each bracket is divided by itself, and S_B only shifted.

use super::operands::{PAIRED, PackedActivations, PackedWeights};
use super::panel::{PANEL_ROWS, Panel};
use super::tile::{ROWS, steps};
use super::{Level, MultiplyError, level::Checked};
use crate::gemm::{self, BorderClasses, GemmError, Operand, Precision};
use crate::packed::{BitPlanes, StoredForm, TapMask};
use rayon::prelude::*;
use std::ops::Range;

/// Integers that results are written as: `i32` and `i64`. Results are known to fit; what they are added up from may not, so
/// sums go past the ends, as the hardware's do.
pub trait Integer: Copy + Default + Send + Sync + sealed::Sealed {
    /// Its name.
    const NAME: &'static str;
    /// The largest one.
    const MAX: i64;
    /// The lowest bits of a number.
    fn of(value: i64) -> Self;
    /// The lowest bits of a sum.
    fn plus(self, other: Self) -> Self;
    /// The lowest bits of a number times 2^shift.
    fn times_power_of_two(self, shift: u32) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
}

macro_rules! integers {
    ($($integer:ident)*) => {$(
        impl Integer for $integer {
            const NAME: &'static str = stringify!($integer);
            const MAX: i64 = $integer::MAX as i64;
            #[inline(always)]
            fn of(value: i64) -> Self {
                value as $integer
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn times_power_of_two(self, shift: u32) -> Self {
                self.wrapping_shl(shift)
            }
        }
    )*};
}

integers!(i32 i64);

/// The product of packed operands: `result[p][q] = sum_n x[p][n] * w[q][n]`, P x Q numbers, row by row, by the widest
/// instructions that this machine has.
///
/// Rows are spread over the threads of the current rayon pool; nothing depends on how many there are.
///
/// # Errors
/// As [`multiply_into`].
pub fn multiply<T: Integer>(
    x: &PackedActivations,
    w: &PackedWeights,
) -> Result<Vec<T>, MultiplyError> {
    let count = results_count(x, w)?;
    let mut results = vec![T::default(); count];
    multiply_into(x, w, Level::best(), &mut results)?;
    Ok(results)
}

/// As [`multiply`], at a level of instructions and into memory that is there already.
///
/// # Errors
/// [`MultiplyError`]: vectors of different lengths, too many results or not as many as there is memory for, results that
/// may be past what `T` holds, or a level that this machine does not have. Nothing is written then.
pub fn multiply_into<T: Integer>(
    x: &PackedActivations,
    w: &PackedWeights,
    level: Level,
    results: &mut [T],
) -> Result<(), MultiplyError> {
    let level = level.check()?;
    let count = results_count(x, w)?;
    gemm::check_length(
        "the memory for the results",
        results.len() as u64,
        count as u64,
        "rows x columns",
    )?;
    let bound = largest(x.precision) * largest(w.precision) * x.elements as i64;
    if bound > T::MAX {
        return Err(MultiplyError::Narrow {
            bound,
            integer: T::NAME,
            max: T::MAX,
        });
    }
    let terms = ColumnTerms::new(&x.form, w, |_, _| 0, 1);
    let multiplier = Multiplier::new(&x.form, w, &terms, level);
    let panel_rows = panel_rows(x.rows);
    let panels = results.par_chunks_mut(panel_rows * w.columns).enumerate();
    panels.for_each(|(index, results)| {
        let first = index * panel_rows;
        let rows = first..(first + panel_rows).min(x.rows);
        let classes = [0; PANEL_ROWS];
        multiplier.panel(x, rows, &classes, results);
    });
    Ok(())
}

/// The largest magnitude of a number.
fn largest(precision: Precision) -> i64 {
    let (min, max) = precision.encoding.range(precision.bits);
    max.max(-min)
}

fn results_count(x: &PackedActivations, w: &PackedWeights) -> Result<usize, GemmError> {
    gemm::results_count([x.rows, x.elements], [w.columns, w.elements])
}

/// Rows of a panel: many, so that weights are read seldom, but some for each thread.
fn panel_rows(rows: usize) -> usize {
    let share = rows.div_ceil(2 * rayon::current_num_threads());
    share.next_multiple_of(ROWS).clamp(ROWS, PANEL_ROWS)
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

/// `P x Q` results, row by row. `panel` gives the planes of some neighbouring rows, N elements each in chunks of
/// [`PAIRED`], padded with zeros.
pub(crate) fn multiply_rows(
    product: &Product<'_>,
    panel: impl Fn(Range<usize>) -> BitPlanes + Sync,
) -> Vec<i64> {
    let (columns, elements) = (product.weights.vectors(), product.weights.elements());
    let form = StoredForm::native(product.activation);
    let weights = PackedWeights::pack(product.weights);
    let terms = product_terms(product, &form, &weights);
    let multiplier = Multiplier::new(&form, &weights, &terms, Level::best_checked());
    let masks: Option<Vec<TapMask>> = product.classes.map(|classes| {
        let pack = |valid: &Vec<bool>| TapMask::pack(valid, PAIRED);
        classes.valid.iter().map(pack).collect()
    });
    let mut results = vec![0; product.rows * columns];
    let panel_rows = panel_rows(product.rows);
    let panels = results.par_chunks_mut(panel_rows * columns).enumerate();
    panels.for_each(|(index, results)| {
        let first = index * panel_rows;
        let count = panel_rows.min(product.rows - first);
        let mut planes = panel(first..first + count);
        let mut classes = [0; PANEL_ROWS];
        if let (Some(masks), Some(border)) = (&masks, product.classes) {
            classes[..count].copy_from_slice(&border.of_row[first..first + count]);
            for (row, class) in classes[..count].iter().enumerate() {
                planes.clear_invalid(row, &masks[*class as usize]);
            }
        }
        let x = PackedActivations::from_planes(&planes, product.activation, count, elements);
        multiplier.panel(&x, 0..count, &classes, results);
    });
    results
}

/// The columns' terms with bias and border.
fn product_terms(product: &Product<'_>, form: &StoredForm, w: &PackedWeights) -> ColumnTerms<i64> {
    let bias = |q: usize| product.bias.map_or(0, |bias| bias[q]);
    match product.classes {
        None => ColumnTerms::new(form, w, |_, q| bias(q), 1),
        Some(classes) => {
            let added = |class: usize, q: usize| {
                // Invalid taps are fed as -Fx.
                let taps = product.weights.vector(q).iter().zip(&classes.valid[class]);
                let invalid = taps.map(|(w, valid)| if *valid { 0 } else { i64::from(*w) });
                bias(q) + form.total() * invalid.sum::<i64>()
            };
            ColumnTerms::new(form, w, added, classes.valid.len())
        }
    }
}

/// What is added to the results of each column, class by class.
pub(super) struct ColumnTerms<T> {
    columns: usize,
    /// What a row's bracket leaves when it is divided.
    remainder: i64,
    terms: Vec<T>,
}

impl<T: Integer> ColumnTerms<T> {
    /// `added(class, column)` is added to the results.
    fn new(
        activation: &StoredForm,
        w: &PackedWeights,
        added: impl Fn(usize, usize) -> i64,
        classes: usize,
    ) -> Self {
        let n = w.elements as i64;
        let (fx, fw) = (activation.total(), w.form.total());
        let (zx, zw) = (activation.offset(), w.form.offset());
        let divisor = activation.divisor_log2() + w.form.divisor_log2();
        let brackets: Vec<i64> = w
            .sums
            .iter()
            .map(|sums| 2 * fx * sums.odd - fx * fw * n + zx * sums.stored + n * zx * zw)
            .collect();
        let remainder = -brackets[0] & ((1 << divisor) - 1);
        let mut terms = Vec::with_capacity(classes * brackets.len());
        for class in 0..classes {
            let columns = brackets.iter().enumerate();
            terms.extend(
                columns.map(|(q, bracket)| {
                    T::of(((bracket + remainder) >> divisor) + added(class, q))
                }),
            );
        }
        ColumnTerms {
            columns: w.columns,
            remainder,
            terms,
        }
    }

    /// The terms of all columns for the rows of one class.
    #[inline(always)]
    pub fn of_class(&self, class: u32) -> &[T] {
        &self.terms[class as usize * self.columns..][..self.columns]
    }
}

/// All that the panels of a product share.
struct Multiplier<'a, T> {
    weights: &'a PackedWeights,
    terms: &'a ColumnTerms<T>,
    level: Checked,
    steps: Vec<super::tile::Step>,
    divisor: u32,
    shift: u32,
}

impl<'a, T: Integer> Multiplier<'a, T> {
    fn new(
        activation: &StoredForm,
        weights: &'a PackedWeights,
        terms: &'a ColumnTerms<T>,
        level: Checked,
    ) -> Self {
        let significances = |form: &StoredForm| -> Vec<u32> {
            (0..form.planes()).map(|i| form.significance(i)).collect()
        };
        let (steps, last) = steps(&significances(activation), &significances(&weights.form));
        let divisor = activation.divisor_log2() + weights.form.divisor_log2();
        Multiplier {
            weights,
            terms,
            level,
            steps,
            divisor,
            shift: last + 2 - divisor,
        }
    }

    /// Multiplies some rows.
    fn panel(
        &self,
        x: &PackedActivations,
        rows: Range<usize>,
        classes: &[u32; PANEL_ROWS],
        results: &mut [T],
    ) {
        let form = &self.weights.form;
        let mut row_terms = [T::default(); PANEL_ROWS];
        for (term, sums) in row_terms.iter_mut().zip(&x.sums[rows.clone()]) {
            let bracket = form.offset() * sums.stored - 2 * form.total() * sums.odd;
            *term = T::of((bracket - self.terms.remainder) >> self.divisor);
        }
        let panel = Panel {
            x,
            w: self.weights,
            rows,
            steps: &self.steps,
            shift: self.shift,
            terms: self.terms,
            row_terms: &row_terms,
            classes,
        };
        self.level.multiply(&panel, results);
    }
}
