//! Integer matrix products as the array takes them: `P x N` activations by `Q x N` weights.

use crate::encoder::{EncodeError, Encoding};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use xnorforge_hdl::config::REDUCTION_MAX;

/// Largest number of values of one operand, and of results, that a GEMM with data may have.
pub const VALUES_MAX: u64 = 1 << 28;
/// Largest number of results (P x Q) that a [`GemmShape`] may have.
pub const RESULTS_MAX: u64 = 1 << 36;

/// An encoding at a number of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Precision {
    /// The encoding.
    pub encoding: Encoding,
    /// Bits (branches) of a number.
    pub bits: u32,
}

impl Precision {
    /// An encoding at a number of bits; checked where it is used.
    pub fn new(encoding: Encoding, bits: u32) -> Self {
        Precision { encoding, bits }
    }
}

/// What is wrong with a GEMM. Each message names the field, the value, the limit and the fix.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GemmError {
    /// A dimension is zero or too large.
    #[error("{field} = {value} is out of range: 1..={max}; choose a value in that range")]
    Dimension {
        /// Which dimension.
        field: &'static str,
        /// What was given.
        value: u64,
        /// Largest value.
        max: u64,
    },
    /// More numbers than this program takes in one product.
    #[error("{field} = {value} is past the limit of {max}; split the product")]
    TooLarge {
        /// Which count.
        field: &'static str,
        /// What was given.
        value: u64,
        /// Largest value.
        max: u64,
    },
    /// A list has the wrong length.
    #[error("{field} has {found} entries where {expected} are needed ({why}); give that many")]
    Length {
        /// Which list.
        field: &'static str,
        /// What was given.
        found: u64,
        /// What is needed.
        expected: u64,
        /// How that number comes about.
        why: &'static str,
    },
    /// A value has no code.
    #[error("{operand}, vector {vector}, element {element}: {source}")]
    Value {
        /// `activations` or `weights`.
        operand: &'static str,
        /// Which vector.
        vector: usize,
        /// Which element of it.
        element: usize,
        /// Why not.
        source: EncodeError,
    },
    /// The encoding does not exist at that precision.
    #[error("{operand}: {source}")]
    Precision {
        /// `activations` or `weights`.
        operand: &'static str,
        /// Why not.
        source: EncodeError,
    },
    /// Border classes without `bipolar` activations.
    #[error(
        "border classes are given for `{0}` activations, but only `bipolar` has no zero of its own; write 0 into the padded taps and leave the classes out"
    )]
    ClassesNeedBipolar(Encoding),
    /// A row names a border class that does not exist.
    #[error("row {row} has border class {class}, but there are {classes}; choose 0..{classes}")]
    UnknownClass {
        /// The row.
        row: usize,
        /// What was given.
        class: u32,
        /// Classes there are.
        classes: usize,
    },
}

/// One operand: `vectors` vectors of `elements` numbers each, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    precision: Precision,
    vectors: usize,
    elements: usize,
    values: Vec<i32>,
}

impl Operand {
    /// An operand of activations or weights (`name`, for messages), checked.
    ///
    /// # Errors
    /// A [`GemmError`] for a dimension, a length, a precision or a value that is not legal.
    pub fn new(
        name: &'static str,
        precision: Precision,
        vectors: usize,
        elements: usize,
        values: Vec<i32>,
    ) -> Result<Self, GemmError> {
        let Precision { encoding, bits } = precision;
        check_operand(name, precision, vectors as u64, elements as u64)?;
        let expected = vectors as u64 * elements as u64;
        check_length(name, values.len() as u64, expected, "vectors x elements")?;
        let bad = values
            .iter()
            .position(|v| !encoding.contains(bits, i64::from(*v)));
        if let Some(index) = bad {
            let source = encoding
                .encode(bits, i64::from(values[index]))
                .expect_err("a value that is not contained has no code");
            return Err(GemmError::Value {
                operand: name,
                vector: index / elements,
                element: index % elements,
                source,
            });
        }
        Ok(Operand {
            precision,
            vectors,
            elements,
            values,
        })
    }

    /// An operand of uniformly random numbers.
    ///
    /// # Errors
    /// As [`Operand::new`].
    pub fn random(
        name: &'static str,
        precision: Precision,
        vectors: usize,
        elements: usize,
        rng: &mut impl Rng,
    ) -> Result<Self, GemmError> {
        let Precision { encoding, bits } = precision;
        check_operand(name, precision, vectors as u64, elements as u64)?;
        let (min, max) = encoding.range(bits);
        let step = if encoding == Encoding::Bipolar { 2 } else { 1 };
        let steps = (max - min) / step;
        let values = (0..vectors * elements)
            .map(|_| (min + step * rng.random_range(0..=steps)) as i32)
            .collect();
        Ok(Operand {
            precision,
            vectors,
            elements,
            values,
        })
    }

    /// Some of the same numbers as `vectors` vectors of the same length, in another order; they need no second check.
    pub(crate) fn rearranged(&self, vectors: usize, values: Vec<i32>) -> Self {
        debug_assert_eq!(values.len(), vectors * self.elements);
        Operand {
            vectors,
            values,
            ..*self
        }
    }

    /// Encoding and bits.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The encoding.
    pub fn encoding(&self) -> Encoding {
        self.precision.encoding
    }

    /// Bits (branches) of a number.
    pub fn bits(&self) -> u32 {
        self.precision.bits
    }

    /// Vectors: P for activations, Q for weights.
    pub fn vectors(&self) -> usize {
        self.vectors
    }

    /// Elements of a vector: N.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// All numbers, vector by vector.
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// The numbers of one vector.
    ///
    /// # Panics
    /// If there is no such vector.
    pub fn vector(&self, index: usize) -> &[i32] {
        &self.values[index * self.elements..][..self.elements]
    }
}

fn check_dimension(field: &'static str, value: u64, max: u64) -> Result<(), GemmError> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(GemmError::Dimension { field, value, max })
}

fn check_count(field: &'static str, value: u64, max: u64) -> Result<(), GemmError> {
    if value <= max {
        return Ok(());
    }
    Err(GemmError::TooLarge { field, value, max })
}

/// Whether a list is as long as it must be; `why` says where that length comes from.
pub(crate) fn check_length(
    field: &'static str,
    found: u64,
    expected: u64,
    why: &'static str,
) -> Result<(), GemmError> {
    if found == expected {
        return Ok(());
    }
    Err(GemmError::Length {
        field,
        found,
        expected,
        why,
    })
}

/// The number of results of a product of P x N activations and Q x N weights.
///
/// # Errors
/// [`GemmError::Length`] for vectors of different lengths, [`GemmError::TooLarge`] for too many results.
pub(crate) fn results_count(
    [rows, elements]: [usize; 2],
    [columns, weight_elements]: [usize; 2],
) -> Result<usize, GemmError> {
    check_length(
        "a vector of weights",
        weight_elements as u64,
        elements as u64,
        "the elements of a vector of activations",
    )?;
    let count = rows as u64 * columns as u64;
    check_count("results (P x Q)", count, VALUES_MAX)?;
    Ok(count as usize)
}

fn check_operand(
    name: &'static str,
    precision: Precision,
    vectors: u64,
    elements: u64,
) -> Result<(), GemmError> {
    check_dimension(
        "elements of the reduction (N)",
        elements,
        REDUCTION_MAX.into(),
    )?;
    let field = if name == "weights" {
        "columns (Q)"
    } else {
        "rows (P)"
    };
    check_dimension(field, vectors, VALUES_MAX)?;
    check_count(name, vectors * elements, VALUES_MAX)?;
    precision
        .encoding
        .check_bits(precision.bits)
        .map_err(|source| GemmError::Precision {
            operand: name,
            source,
        })
}

/// Which taps of each row lie inside the feature map: rows share a few classes.
///
/// Only `bipolar` activations need this; the other encodings hold a true zero. An invalid tap contributes 0,
/// whatever value the activations hold there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BorderClasses {
    /// The class of each of the P rows.
    pub of_row: Vec<u32>,
    /// For each class, which of the N taps are inside the feature map.
    pub valid: Vec<Vec<bool>>,
}

/// A product `result[p][q] = sum_n x[p][n] * w[q][n] + bias[q]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gemm {
    activations: Operand,
    weights: Operand,
    bias: Option<Vec<i64>>,
    classes: Option<BorderClasses>,
}

impl Gemm {
    /// A product of two operands with equally long vectors.
    ///
    /// # Errors
    /// [`GemmError::Length`] and [`GemmError::TooLarge`].
    pub fn new(activations: Operand, weights: Operand) -> Result<Self, GemmError> {
        results_count(
            [activations.vectors, activations.elements],
            [weights.vectors, weights.elements],
        )?;
        Ok(Gemm {
            activations,
            weights,
            bias: None,
            classes: None,
        })
    }

    /// Adds a bias to each column.
    ///
    /// # Errors
    /// [`GemmError::Length`] unless there is one bias for each column.
    pub fn with_bias(mut self, bias: Vec<i64>) -> Result<Self, GemmError> {
        check_length(
            "the bias",
            bias.len() as u64,
            self.weights.vectors as u64,
            "one for each column",
        )?;
        self.bias = Some(bias);
        Ok(self)
    }

    /// Adds border classes.
    ///
    /// # Errors
    /// [`GemmError::ClassesNeedBipolar`], [`GemmError::Length`] and [`GemmError::UnknownClass`].
    pub fn with_classes(mut self, classes: BorderClasses) -> Result<Self, GemmError> {
        let x = &self.activations;
        if x.encoding() != Encoding::Bipolar {
            return Err(GemmError::ClassesNeedBipolar(x.encoding()));
        }
        check_length(
            "the border classes of the rows",
            classes.of_row.len() as u64,
            x.vectors as u64,
            "one for each row",
        )?;
        for taps in &classes.valid {
            check_length(
                "the taps of a border class",
                taps.len() as u64,
                x.elements as u64,
                "one for each element of the reduction",
            )?;
        }
        let known = classes.valid.len();
        let unknown = classes.of_row.iter().position(|c| *c as usize >= known);
        if let Some(row) = unknown {
            return Err(GemmError::UnknownClass {
                row,
                class: classes.of_row[row],
                classes: known,
            });
        }
        self.classes = Some(classes);
        Ok(self)
    }

    /// A product of random numbers; the same seed gives the same numbers on every machine.
    ///
    /// # Errors
    /// Those of [`GemmShape::check`] and the limits of a product with data. The shape's border classes are
    /// not filled in.
    pub fn random(shape: &GemmShape, seed: u64) -> Result<Self, GemmError> {
        shape.check()?;
        check_count("rows (P)", shape.rows, VALUES_MAX)?;
        check_count("columns (Q)", shape.columns, VALUES_MAX)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let elements = shape.elements as usize;
        let activations = Operand::random(
            "activations",
            shape.activation,
            shape.rows as usize,
            elements,
            &mut rng,
        )?;
        let weights = Operand::random(
            "weights",
            shape.weight,
            shape.columns as usize,
            elements,
            &mut rng,
        )?;
        Gemm::new(activations, weights)
    }

    /// The `P x N` activations.
    pub fn activations(&self) -> &Operand {
        &self.activations
    }

    /// The `Q x N` weights.
    pub fn weights(&self) -> &Operand {
        &self.weights
    }

    /// The bias of each column, if any.
    pub fn bias(&self) -> Option<&[i64]> {
        self.bias.as_deref()
    }

    /// The border classes, if any.
    pub fn classes(&self) -> Option<&BorderClasses> {
        self.classes.as_ref()
    }

    /// Whether tap `element` of row `row` takes part.
    pub fn is_valid_tap(&self, row: usize, element: usize) -> bool {
        self.classes
            .as_ref()
            .is_none_or(|c| c.valid[c.of_row[row] as usize][element])
    }

    /// The shape without the data.
    pub fn shape(&self) -> GemmShape {
        GemmShape {
            rows: self.activations.vectors as u64,
            columns: self.weights.vectors as u64,
            elements: self.activations.elements as u64,
            activation: self.activations.precision,
            weight: self.weights.precision,
            classes: self.classes.as_ref().map_or(1, |c| c.valid.len() as u32),
        }
    }
}

/// The shape of a product, all that its cycles depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GemmShape {
    /// P: rows of the result.
    pub rows: u64,
    /// Q: columns of the result.
    pub columns: u64,
    /// N: elements of the reduction.
    pub elements: u64,
    /// Encoding and bits of an activation.
    pub activation: Precision,
    /// Encoding and bits of a weight.
    pub weight: Precision,
    /// Border classes; 1 where there is no border.
    pub classes: u32,
}

impl GemmShape {
    /// Checks every dimension and both precisions.
    ///
    /// # Errors
    /// [`GemmError::Dimension`], [`GemmError::TooLarge`] and [`GemmError::Precision`].
    pub fn check(&self) -> Result<(), GemmError> {
        check_dimension("rows (P)", self.rows, RESULTS_MAX)?;
        check_dimension("columns (Q)", self.columns, RESULTS_MAX)?;
        check_dimension(
            "elements of the reduction (N)",
            self.elements,
            REDUCTION_MAX.into(),
        )?;
        check_dimension("border classes", self.classes.into(), u32::MAX.into())?;
        let results = self.rows.saturating_mul(self.columns);
        check_count("results (P x Q)", results, RESULTS_MAX)?;
        for (operand, precision) in [("activations", self.activation), ("weights", self.weight)] {
            precision
                .encoding
                .check_bits(precision.bits)
                .map_err(|source| GemmError::Precision { operand, source })?;
        }
        Ok(())
    }

    /// Multiply-accumulates of the product.
    ///
    /// A checked shape has at most 2^56 of them, and 2^62 binary operation pairs.
    pub fn macs(&self) -> u64 {
        self.rows * self.columns * self.elements
    }

    /// Binary operation pairs (one xnor, one add) of the product: MACs x branches x branches.
    pub fn binary_pairs(&self) -> u64 {
        self.macs() * u64::from(self.activation.bits) * u64::from(self.weight.bits)
    }
}
