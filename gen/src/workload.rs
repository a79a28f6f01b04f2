//! The flags for what `simulate`, `cosim` and `explore` run, and its data: one product, or a network with its inputs.

use crate::failure::Failure;
use crate::imported::ImportArgs;
use crate::io::{Array, ArrayFile};
use crate::model::Override;
use crate::network::{self, Bits};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::{Path, PathBuf};
use xnorforge_hdl::ArrayConfig;
use xnorforge_hdl::config::BITS_MAX;
use xnorforge_sim::Encoding;
use xnorforge_sim::gemm::{Gemm, GemmShape, Operand, Precision};

/// Inputs of a network when neither a file nor a number is given.
pub const INPUTS_DEFAULT: usize = 16;

/// Flags that choose the work.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Work")]
#[group(skip)]
pub struct WorkArgs {
    /// A network: .onnx (QONNX, QDQ, or floats with --quantize); .npz with l1.weight_codes, l1.thresholds, l1.sign,
    /// l2.weight_codes, ... and meta.json beside it; or, with random weights, a topology (.toml, or .csv of SCALE-Sim) or a
    /// built-in network (resnet18, ...)
    #[arg(long, value_name = "FILE|NETWORK", conflicts_with = "gemm")]
    pub model: Option<PathBuf>,
    /// One product of P x N activations and N x Q weights
    #[arg(long, value_name = "PxNxQ")]
    pub gemm: Option<GemmSize>,
    /// Encoding of the activations of --gemm
    #[arg(long, value_parser = encoding_parser(), default_value = "bipolar", value_name = "ENCODING")]
    pub activation_encoding: Encoding,
    /// Encoding of the weights of --gemm
    #[arg(long, value_parser = encoding_parser(), default_value = "bipolar", value_name = "ENCODING")]
    pub weight_encoding: Encoding,
    /// Bits of activations and weights, 2x3 for example: of every layer of an .npz, of those of a topology that say
    /// nothing themselves
    #[arg(long, value_name = "MxK")]
    pub bits: Option<Bits>,
    /// Bits of the first layer's weights and of the last layer's activations and weights, of topologies
    #[arg(long, value_name = "BITS", conflicts_with = "gemm", value_parser = clap::value_parser!(u32).range(1..=i64::from(BITS_MAX)))]
    pub first_last_bits: Option<u32>,
    /// How models are imported.
    #[command(flatten)]
    pub import: ImportArgs,
}

/// Flags that choose the data.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Inputs, one row each: .npy, or .npz with the array named by --input-key; random without it. Integers are the
    /// network's codes; floats go through the quantizer of an .onnx
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Array of --input; without it `x`, else `x_codes`, else the only array that fits
    #[arg(long, value_name = "NAME", requires = "input")]
    pub input_key: Option<String>,
    /// How many inputs to run, from the first; all of --input, or 16 random ones, without it
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub inputs: Option<u32>,
    /// Seed of all that is random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Parses the name of an encoding.
pub fn encoding_parser() -> impl TypedValueParser<Value = Encoding> {
    PossibleValuesParser::new(Encoding::ALL.map(Encoding::name))
        .try_map(|name| name.parse::<Encoding>())
}

/// P, N and Q of `--gemm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GemmSize {
    /// Rows of the result.
    pub p: u64,
    /// Elements of the reduction.
    pub n: u64,
    /// Columns of the result.
    pub q: u64,
}

impl std::str::FromStr for GemmSize {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<u64>> = text.split(['x', 'X']).map(|n| n.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[p, n, q]) => Ok(GemmSize { p, n, q }),
            _ => Err(format!(
                "\"{text}\" is not PxNxQ (rows x reduction x columns), such as 64x512x128"
            )),
        }
    }
}

impl WorkArgs {
    /// What takes the place of a model's own bits.
    pub fn overrides(&self) -> Override {
        Override {
            bits: self.bits,
            ends: self.first_last_bits,
        }
    }

    /// The product that `--gemm` names. Without `--bits` it has the array's own.
    ///
    /// # Errors
    /// No product; a shape or precision that does not exist.
    pub fn product(&self, config: &ArrayConfig) -> Result<GemmShape, Failure> {
        let Some(GemmSize { p, n, q }) = self.gemm else {
            return Err(Failure::input(
                "there is no work: give --model FILE (a network) or --gemm PxNxQ (one product)",
            ));
        };
        let bits = |encoding, configured| match encoding {
            Encoding::Ternary => 2,
            _ => configured,
        };
        let bits = self.bits.unwrap_or(Bits {
            activation: bits(self.activation_encoding, config.activation_bits),
            weight: bits(self.weight_encoding, config.weight_bits),
        });
        let shape = GemmShape {
            rows: p,
            columns: q,
            elements: n,
            activation: Precision::new(self.activation_encoding, bits.activation),
            weight: Precision::new(self.weight_encoding, bits.weight),
            classes: 1,
        };
        shape
            .check()
            .map_err(|e| Failure::input(format!("--gemm {p}x{n}x{q}: {e}")))?;
        Ok(shape)
    }
}

impl DataArgs {
    /// The data of a product: activations from a file, or random from the seed, as the weights are.
    ///
    /// # Errors
    /// Files that cannot be read or do not fit; sizes past the limits of a product with data.
    pub fn operands(&self, mut shape: GemmShape) -> Result<Gemm, Failure> {
        if let Some(rows) = self.inputs {
            shape.rows = shape.rows.min(rows.into());
        }
        let random = Gemm::random(&shape, self.seed).map_err(Failure::input)?;
        let Some(path) = &self.input else {
            return Ok(random);
        };
        let elements = random.activations().elements();
        let array = read_inputs(path, self.input_key.as_deref(), elements)?;
        let rows = shape.rows as usize;
        let activations = input_operand(&array, shape.activation, elements, rows)?;
        if activations.vectors() < rows {
            return Err(array
                .shape_error(format!("[{rows}, {}], as --gemm says", shape.elements))
                .into());
        }
        Gemm::new(activations, random.weights().clone()).map_err(Failure::input)
    }
}

/// Reads `--input` by the rules of `--input-key`.
///
/// # Errors
/// A file that cannot be read; no array, or several, that could be meant.
pub fn read_inputs(path: &Path, key: Option<&str>, elements: usize) -> Result<Array, Failure> {
    let file = ArrayFile::open(path)?;
    Ok(file.read(&input_name(&file, key, elements)?)?)
}

/// The array that `--input` means: the one named, else `x`, else `x_codes`, else the only one that fits.
///
/// # Errors
/// None, or several, that fit.
pub fn input_name(file: &ArrayFile, key: Option<&str>, elements: usize) -> Result<String, Failure> {
    if let Some(key) = key {
        return Ok(key.to_owned());
    }
    let names = file.names();
    if let Some(name) = ["", "x", "x_codes"].into_iter().find(|n| names.contains(n)) {
        return Ok(name.to_owned());
    }
    let fitting: Vec<&str> = names
        .into_iter()
        .filter(|name| {
            file.shape(name)
                .is_ok_and(|shape| rows_of(&shape, elements).is_some())
        })
        .collect();
    match fitting.as_slice() {
        [name] => Ok((*name).to_owned()),
        [] => Err(Failure::input(format!(
            "`{}` holds no array of {elements} elements per input; name one with --input-key",
            file.name()
        ))),
        several => Err(Failure::input(format!(
            "`{}` holds several arrays that could be the input ({}); name one with --input-key",
            file.name(),
            several.join(", ")
        ))),
    }
}

/// Inputs in an array of this shape: the first dimension, if the others make up one input; 1 for a single one.
pub(crate) fn rows_of(shape: &[usize], elements: usize) -> Option<usize> {
    let (first, rest) = shape.split_first()?;
    if *first > 0 && !rest.is_empty() && rest.iter().product::<usize>() == elements {
        return Some(*first);
    }
    (shape.iter().product::<usize>() == elements).then_some(1)
}

/// Input codes as an operand, the first `limit` of them.
fn input_operand(
    array: &Array,
    precision: Precision,
    elements: usize,
    limit: usize,
) -> Result<Operand, Failure> {
    let rows = rows_of(&array.shape, elements).ok_or_else(|| {
        array.shape_error(format!(
            "[inputs, {elements}] ({elements} elements per input)"
        ))
    })?;
    let operand = network::operand(array, "activations", precision, rows, elements)?;
    if limit >= rows {
        return Ok(operand);
    }
    let values = operand.values()[..limit * elements].to_vec();
    Operand::new("activations", precision, limit, elements, values).map_err(Failure::input)
}

/// Integer class labels, one for each input.
///
/// # Errors
/// A file that cannot be read, fewer labels than inputs, no integers.
pub fn read_labels(path: &Path, inputs: usize) -> Result<Vec<i64>, Failure> {
    let file = ArrayFile::open(path)?;
    labels_from(&file, inputs)
}

/// As [`read_labels`], from an open file.
///
/// # Errors
/// As [`read_labels`].
pub fn labels_from(file: &ArrayFile, inputs: usize) -> Result<Vec<i64>, Failure> {
    let name = if file.has("") { "" } else { "labels" };
    let array = file.read(name)?;
    match array.shape.as_slice() {
        [count] if *count >= inputs => Ok(array.ints()?[..inputs].to_vec()),
        _ => Err(array
            .shape_error(format!("[{inputs}] (one label for each input)"))
            .into()),
    }
}

/// Where the largest value stands, the first of equals.
pub(crate) fn first_largest<T: PartialOrd>(scores: &[T]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gemm_sizes() {
        let size = GemmSize { p: 1, n: 2, q: 3 };
        assert_eq!("1x2x3".parse(), Ok(size));
        for wrong in ["", "1x2", "1x2x3x4", "-1x2x3", "1*2*3"] {
            assert!(wrong.parse::<GemmSize>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_input_is_all_dimensions_but_the_first() {
        assert_eq!(rows_of(&[200, 8, 8], 64), Some(200));
        assert_eq!(rows_of(&[64], 64), Some(1));
        assert_eq!(rows_of(&[1, 64], 64), Some(1));
        assert_eq!(rows_of(&[0, 64], 64), None);
        assert_eq!(rows_of(&[200], 64), None);
        assert_eq!(rows_of(&[], 1), None);
    }

    #[test]
    fn the_first_of_equal_outputs_wins() {
        assert_eq!(first_largest(&[1, 5, 5]), 1);
    }
}
