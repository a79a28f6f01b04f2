//! The arrays of the `.npz` layout of `testbenches/cases`: weights, thresholds and signs of numbered layers.
//!
//! Thresholds turn accumulators into the next layer's codes by counting: `-n + 2 * #(acc >= threshold)`, or
//! `n - 2 * #(...)` where the sign is -1, with n = 2^M - 1.

use crate::failure::Failure;
use crate::io::{Array, ArrayFile, index_text};
use xnorforge_sim::Encoding;
use xnorforge_sim::gemm::{Operand, Precision};

/// Largest `meta.json` in bytes.
pub(crate) const META_BYTES_MAX: u64 = 1 << 20;
/// Most layers of a model.
const LAYERS_MAX: usize = 1024;

/// How accumulators become codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requantize {
    /// M, bits of the codes.
    pub bits: u32,
    /// For each output, 2^M - 1 thresholds.
    pub thresholds: Vec<Vec<i64>>,
    /// For each output, whether a larger accumulator gives a larger code.
    pub rising: Vec<bool>,
}

/// Bits of activations and of weights, as `--bits MxK` gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// M.
    pub activation: u32,
    /// K.
    pub weight: u32,
}

impl std::str::FromStr for Bits {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not MxK, such as 2x3, with M and K in 1..=8");
        let (activation, weight) = text.split_once(['x', 'X']).ok_or_else(wrong)?;
        let parse = |bits: &str| {
            bits.parse()
                .ok()
                .filter(|bits| (1..=xnorforge_hdl::config::BITS_MAX).contains(bits))
                .ok_or_else(wrong)
        };
        Ok(Bits {
            activation: parse(activation)?,
            weight: parse(weight)?,
        })
    }
}

pub(crate) fn layer_count(file: &ArrayFile) -> Result<usize, Failure> {
    let mut numbers: Vec<usize> = file
        .names()
        .iter()
        .filter_map(|name| name.strip_prefix('l')?.strip_suffix(".weight_codes"))
        .filter_map(|number| number.parse().ok())
        .collect();
    numbers.sort_unstable();
    if numbers.is_empty() {
        return Err(Failure::input(format!(
            "`{}` holds no array `l1.weight_codes`, so it is no model of the supported layout (l1.weight_codes, l1.thresholds, l1.sign, l2.weight_codes, ...); see testbenches/cases for one",
            file.name()
        )));
    }
    let expected = 1..=numbers.len();
    if numbers.len() > LAYERS_MAX || !numbers.iter().copied().eq(expected) {
        return Err(Failure::input(format!(
            "`{}` has weight codes for the layers {numbers:?}; number them from 1 without gaps, {LAYERS_MAX} at most",
            file.name()
        )));
    }
    Ok(numbers.len())
}

pub(crate) fn read_requantize(
    file: &ArrayFile,
    number: usize,
    outputs: usize,
    next_bits: Option<u32>,
) -> Result<Option<Requantize>, Failure> {
    let name = format!("l{number}.thresholds");
    if !file.has(&name) {
        return match next_bits {
            None => Ok(None),
            // Reading it makes the message that lists what there is.
            Some(_) => Err(file.read(&name).expect_err("it is not there").into()),
        };
    }
    let thresholds = file.read(&name)?;
    let per_output = thresholds.shape.last().copied().unwrap_or(0);
    // After the last layer nothing but the thresholds themselves says how many bits they make.
    let bits = next_bits.unwrap_or((per_output + 1).ilog2());
    Encoding::Bipolar
        .check_bits(bits)
        .map_err(|e| Failure::input(format!("{}: {e}", thresholds.place)))?;
    let expected = [outputs, (1 << bits) - 1];
    let why = format!("{outputs} outputs, 2^{bits} - 1 thresholds each");
    thresholds.expect_shape(&expected, &why)?;
    let values = thresholds.ints()?;
    Ok(Some(Requantize {
        bits,
        thresholds: values.chunks(expected[1]).map(<[_]>::to_vec).collect(),
        rising: read_signs(file, number, outputs)?,
    }))
}

fn read_signs(file: &ArrayFile, number: usize, outputs: usize) -> Result<Vec<bool>, Failure> {
    let name = format!("l{number}.sign");
    if !file.has(&name) {
        return Ok(vec![true; outputs]);
    }
    let signs = file.read(&name)?;
    signs.expect_shape(&[outputs], "one for each output")?;
    let values = signs.ints()?;
    if let Some(bad) = values.iter().position(|sign| ![-1, 1].contains(sign)) {
        return Err(signs.value_error(bad, "a sign is -1 or 1").into());
    }
    Ok(values.iter().map(|sign| *sign == 1).collect())
}

/// An operand from an array: `vectors` vectors of `elements` integers.
///
/// # Errors
/// A type that is no integer; a value without a code, named by file, array and index.
pub fn operand(
    array: &Array,
    name: &'static str,
    precision: Precision,
    vectors: usize,
    elements: usize,
) -> Result<Operand, Failure> {
    let values = array.ints()?;
    let Precision { encoding, bits } = precision;
    encoding
        .check_bits(bits)
        .map_err(|e| Failure::input(format!("{}: {e}", array.place)))?;
    for (flat, value) in values.iter().enumerate() {
        if let Err(e) = encoding.encode(bits, *value) {
            return Err(Failure::input(format!(
                "{}[{}]: {e}",
                array.place,
                index_text(flat, &array.shape)
            )));
        }
    }
    let values = values.iter().map(|value| *value as i32).collect();
    Operand::new(name, precision, vectors, elements, values)
        .map_err(|e| Failure::input(format!("{}: {e}", array.place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_two_small_numbers() {
        let bits = Bits {
            activation: 2,
            weight: 3,
        };
        assert_eq!("2x3".parse(), Ok(bits));
        for wrong in ["2", "2x", "0x1", "9x1", "axb", "2x3x4"] {
            assert!(wrong.parse::<Bits>().is_err(), "{wrong}");
        }
    }
}
