//! Column constants for each border class: everything about a result that is known before the data.
//!
//! The array counts all lanes of all chunks as elements. What the lanes without an element and the padded taps
//! contribute to that depends on which taps lie outside the feature map; output pixels with the same taps outside form a
//! border class, and the constant of the class takes the contribution out.

use super::weights::ColumnSums;
use crate::encoder::Encoding;
use crate::network::{Shape, Window};
use crate::packed::StoredForm;
use xnorforge_hdl::Design;

/// Border classes along one dimension: the class rises after output `i` where `i + 1 <= lead` or `i + 1 >= trail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Classes {
    pub lead: u32,
    /// At least 1: in a descriptor 0 is never.
    pub trail: u32,
    /// For each class, which taps lie inside.
    pub inside: Vec<Vec<bool>>,
}

impl Classes {
    /// The classes of `outputs` outputs, of which tap `k` of output `o` is input `at(o, k)` of `inputs`.
    fn new(outputs: u32, taps: u32, inputs: u32, at: impl Fn(u32, u32) -> i64) -> Self {
        let starts_inside = |o: &u32| at(*o, 0) >= 0;
        let ends_outside = |o: &u32| at(*o, taps - 1) >= i64::from(inputs);
        let mut classes = Classes {
            lead: (0..outputs).find(starts_inside).unwrap_or(outputs),
            // 1 says the same as 0 would here.
            trail: (0..outputs).find(ends_outside).unwrap_or(outputs).max(1),
            inside: Vec::new(),
        };
        let inside = |o: u32| {
            (0..taps)
                .map(|k| (0..i64::from(inputs)).contains(&at(o, k)))
                .collect()
        };
        for o in 0..outputs {
            if o == 0 || classes.rises_after(o - 1) {
                classes.inside.push(inside(o));
            }
        }
        classes
    }

    /// The classes in y and in x.
    pub fn of_window(window: &Window, input: Shape, output: Shape) -> [Self; 2] {
        let (kh, kw) = window.kernel;
        [
            Classes::new(output.height, kh, input.height, |o, k| window.line(o, k)),
            Classes::new(output.width, kw, input.width, |o, k| window.pixel(o, k)),
        ]
    }

    /// All outputs in one class.
    fn merged(&self, outputs: u32) -> Self {
        Classes {
            lead: 0,
            trail: outputs,
            inside: vec![self.inside[0].clone()],
        }
    }

    fn rises_after(&self, output: u32) -> bool {
        output < self.lead || output + 1 >= self.trail
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inside.len()
    }
}

/// A layer's constants.
#[derive(Clone, Debug)]
pub(crate) struct Constants {
    /// Classes in y and in x.
    pub classes: [Classes; 2],
    /// `[class y][class x][channel]`, modulo 2^`result_width`, two's complement.
    pub values: Vec<i64>,
}

/// What constants follow from, beside a column's weights.
#[derive(Clone, Debug)]
pub(crate) struct Terms<'a> {
    pub activation: &'a StoredForm,
    pub weight: &'a StoredForm,
    /// Lanes of all chunks.
    pub lanes: u64,
    /// Pairs of lanes of all chunks.
    pub pairs: u64,
    /// What a padded tap is worth, and what it holds.
    pub pad: (i64, i64),
}

impl Terms<'_> {
    /// log2(d_x * d_w).
    pub fn result_shift(&self) -> u32 {
        self.activation.divisor_log2() + self.weight.divisor_log2()
    }

    /// The number of activation code 0.
    fn code_zero(&self) -> i64 {
        (self.activation.offset() - self.activation.total()) >> self.activation.divisor_log2()
    }

    /// The constant of a column without borders and without lanes that hold no element.
    fn base(&self, column: &ColumnSums, bias: i64) -> i128 {
        let (x, w) = (self.activation, self.weight);
        let n = i128::from(self.lanes);
        let (fx, fw) = (i128::from(x.total()), i128::from(w.total()));
        let (zx, zw) = (i128::from(x.offset()), i128::from(w.offset()));
        let both = if w.encoding() == Encoding::Unsigned {
            4 * fx * fw * i128::from(self.pairs)
        } else {
            0
        };
        2 * fx * i128::from(column.odd) - fx * fw * n - zw * fx * n
            + n * zx * zw
            + both
            + zx * i128::from(column.stored)
            + (i128::from(bias) << self.result_shift())
    }

    /// What the column's sum lacks in a border class.
    fn correction(&self, column: &ColumnSums, inside: impl Fn(usize) -> bool) -> i64 {
        let (worth, held) = self.pad;
        let mut missing = -self.code_zero() * column.tail;
        for (tap, (own, empty)) in column.taps.iter().enumerate() {
            missing += if inside(tap) {
                -self.code_zero() * empty
            } else {
                (worth - held) * own - held * empty
            };
        }
        missing
    }
}

impl Constants {
    /// The constants of a layer whose channels have `columns`.
    pub fn new<'c>(
        design: &Design,
        classes: [Classes; 2],
        output: Shape,
        columns: &[(&'c ColumnSums, Terms<'c>)],
        bias: Option<&[i64]>,
    ) -> Self {
        let [y, x] = &classes;
        let kw = x.inside[0].len();
        let mut values = Vec::new();
        for inside_y in &y.inside {
            for inside_x in &x.inside {
                for (channel, (column, terms)) in columns.iter().enumerate() {
                    let inside = |tap: usize| inside_y[tap / kw] && inside_x[tap % kw];
                    let bias = bias.map_or(0, |bias| bias[channel]);
                    let correction = i128::from(terms.correction(column, inside));
                    let value = terms.base(column, bias) + (correction << terms.result_shift());
                    values.push(wrap(value, design.result_width));
                }
            }
        }
        let channels = columns.len();
        let is_uniform = values
            .chunks(channels)
            .all(|class| class == &values[..channels]);
        if is_uniform {
            values.truncate(channels);
            let classes = [y.merged(output.height), x.merged(output.width)];
            return Constants { classes, values };
        }
        Constants { classes, values }
    }
}

/// A number modulo 2^`width`, as two's complement of that width.
fn wrap(value: i128, width: u32) -> i64 {
    let unused = 128 - width;
    (value << unused >> unused) as i64
}
