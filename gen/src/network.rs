//! Low-bit networks: fully connected layers with thresholds between them, read from the `.npz` layout of
//! `testbenches/cases`.
//!
//! Activations and weights are `bipolar` (odd integers; Sun et al., arXiv 1905.13389). A layer is a GEMM; the
//! host turns its accumulators into the next layer's codes by counting thresholds:
//! `-n + 2 * #(acc >= threshold)`, or `n - 2 * #(...)` where the sign is -1, with n = 2^M - 1.

use crate::config::read_text;
use crate::failure::Failure;
use crate::io::{Array, ArrayFile, index_text};
use serde::Deserialize;
use std::path::Path;
use xnorforge_sim::Encoding;
use xnorforge_sim::gemm::{GemmShape, Operand, Precision};

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

impl Requantize {
    /// The code of one output's accumulator.
    pub fn apply(&self, output: usize, accumulator: i64) -> i64 {
        let passed = self.thresholds[output]
            .iter()
            .filter(|threshold| accumulator >= **threshold)
            .count() as i64;
        let code = 2 * passed - ((1 << self.bits) - 1);
        if self.rising[output] { code } else { -code }
    }
}

/// One fully connected layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its name in the file: `l1`, `l2`, ...
    pub name: String,
    /// Encoding and bits of its activations.
    pub activation: Precision,
    /// `outputs` vectors of `inputs` codes.
    pub weights: Operand,
    /// What follows; none after the last layer.
    pub requantize: Option<Requantize>,
}

impl Layer {
    /// Elements of the reduction.
    pub fn inputs(&self) -> usize {
        self.weights.elements()
    }

    /// Columns of the result.
    pub fn outputs(&self) -> usize {
        self.weights.vectors()
    }

    /// The layer's GEMM for `rows` inputs.
    pub fn shape(&self, rows: u64) -> GemmShape {
        GemmShape {
            rows,
            columns: self.outputs() as u64,
            elements: self.inputs() as u64,
            activation: self.activation,
            weight: self.weights.precision(),
            classes: 1,
        }
    }

    /// Bytes of the packed parameters: weight bits, thresholds in 32 bits each, a sign bit for each output.
    pub fn parameter_bytes(&self) -> u64 {
        let weights = self.weights.values().len() as u64 * u64::from(self.weights.bits());
        let requantize = self.requantize.as_ref().map_or(0, |r| {
            let thresholds: usize = r.thresholds.iter().map(Vec::len).sum();
            32 * thresholds as u64 + self.outputs() as u64
        });
        (weights + requantize).div_ceil(8)
    }

    /// Bytes of the same weights as float32.
    pub fn float_bytes(&self) -> u64 {
        4 * self.weights.values().len() as u64
    }
}

/// A network.
#[derive(Clone, Debug)]
pub struct Network {
    /// The file it came from.
    pub name: String,
    /// Its layers in order; at least one.
    pub layers: Vec<Layer>,
}

impl Network {
    /// Elements of one input.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs()
    }

    /// Name and shape of every layer, for `rows` inputs.
    pub fn shapes(&self, rows: u64) -> Vec<(String, GemmShape)> {
        self.layers
            .iter()
            .map(|layer| (layer.name.clone(), layer.shape(rows)))
            .collect()
    }

    /// Encoding and bits of the input.
    pub fn input_precision(&self) -> Precision {
        self.layers[0].activation
    }
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

/// What is read of a `meta.json`.
#[derive(Debug, Deserialize)]
struct Meta {
    encoding: Option<String>,
    layers: Vec<MetaLayer>,
}

#[derive(Debug, Deserialize)]
struct MetaLayer {
    kind: Option<String>,
    weight_bits: u32,
    act_in_bits: u32,
}

/// Reads a model and the `meta.json` beside it. `bits` takes the place of a missing one and overrides it.
///
/// # Errors
/// A file that cannot be read, layers that are not supported (by name), shapes that do not follow each other,
/// values outside the encoding.
pub fn load(path: &Path, bits: Option<Bits>) -> Result<Network, Failure> {
    let file = ArrayFile::open(path)?;
    let meta_path = path.with_file_name("meta.json");
    let meta = match bits {
        None if meta_path.exists() => Some(read_text(&meta_path, META_BYTES_MAX)?),
        _ => None,
    };
    from_file(
        &file,
        meta.as_deref()
            .map(|text| (meta_path.display().to_string(), text)),
        bits,
    )
}

/// A model from an open file, and name and text of its `meta.json`.
///
/// # Errors
/// As [`load`].
pub fn from_file(
    file: &ArrayFile,
    meta: Option<(String, &str)>,
    bits: Option<Bits>,
) -> Result<Network, Failure> {
    let count = layer_count(file)?;
    let precisions = match (bits, meta) {
        (Some(bits), _) => vec![bits; count],
        (None, Some((name, text))) => meta_bits(&name, text, count)?,
        (None, None) => {
            return Err(Failure::input(format!(
                "`{}` has no meta.json beside it that gives the bits of its layers; add --bits MxK, --bits 2x2 for example",
                file.name()
            )));
        }
    };
    let mut layers = Vec::with_capacity(count);
    for (index, bits) in precisions.iter().enumerate() {
        let next = precisions.get(index + 1);
        layers.push(read_layer(file, index + 1, *bits, next.copied())?);
    }
    check_chain(file, &layers)?;
    Ok(Network {
        name: file.name().to_owned(),
        layers,
    })
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

fn meta_bits(name: &str, text: &str, count: usize) -> Result<Vec<Bits>, Failure> {
    let meta: Meta = serde_json::from_str(text)
        .map_err(|e| Failure::input(format!("`{name}` does not describe a model: {e}")))?;
    if let Some(encoding) = meta.encoding.filter(|e| !e.starts_with("odd integer")) {
        return Err(Failure::input(format!(
            "`{name}`: the encoding \"{encoding}\" is not supported in a model; odd integers ({{-1,+1}} decomposition) are"
        )));
    }
    if meta.layers.len() != count {
        return Err(Failure::input(format!(
            "`{name}` describes {} layers, but the model has {count}; they must be equal",
            meta.layers.len()
        )));
    }
    for (index, layer) in meta.layers.iter().enumerate() {
        if let Some(kind) = layer.kind.as_deref().filter(|kind| *kind != "linear") {
            return Err(unsupported(name, index + 1, kind));
        }
        for (field, bits) in [
            ("act_in_bits", layer.act_in_bits),
            ("weight_bits", layer.weight_bits),
        ] {
            Encoding::Bipolar
                .check_bits(bits)
                .map_err(|e| Failure::input(format!("`{name}`: layers[{index}].{field}: {e}")))?;
        }
    }
    Ok(meta
        .layers
        .iter()
        .map(|layer| Bits {
            activation: layer.act_in_bits,
            weight: layer.weight_bits,
        })
        .collect())
}

fn unsupported(file: &str, number: usize, kind: &str) -> Failure {
    Failure::input(format!(
        "`{file}`: layer `l{number}` is a layer of kind `{kind}`, which is not supported yet; fully connected (`linear`) layers are"
    ))
}

fn read_layer(
    file: &ArrayFile,
    number: usize,
    bits: Bits,
    next: Option<Bits>,
) -> Result<Layer, Failure> {
    let codes = file.read(&format!("l{number}.weight_codes"))?;
    let &[outputs, inputs] = codes.shape.as_slice() else {
        if codes.shape.len() == 4 {
            return Err(unsupported(file.name(), number, "convolution"));
        }
        return Err(codes
            .shape_error("[outputs, inputs] (a fully connected layer)")
            .into());
    };
    let precision = |bits| Precision::new(Encoding::Bipolar, bits);
    let weights = operand(&codes, "weights", precision(bits.weight), outputs, inputs)?;
    let requantize = read_requantize(file, number, outputs, next.map(|n| n.activation))?;
    Ok(Layer {
        name: format!("l{number}"),
        activation: precision(bits.activation),
        weights,
        requantize,
    })
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

fn check_chain(file: &ArrayFile, layers: &[Layer]) -> Result<(), Failure> {
    for pair in layers.windows(2) {
        if pair[0].outputs() != pair[1].inputs() {
            return Err(Failure::input(format!(
                "`{}`: `{}` has {} outputs, but `{}` takes {} inputs; they must be equal",
                file.name(),
                pair[0].name,
                pair[0].outputs(),
                pair[1].name,
                pair[1].inputs()
            )));
        }
    }
    Ok(())
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
    fn thresholds_are_counted_upwards_and_downwards() {
        let requantize = Requantize {
            bits: 2,
            thresholds: vec![vec![-10, 0, 10]; 2],
            rising: vec![true, false],
        };
        let codes = |output| [-11, -10, 0, 10].map(|acc| requantize.apply(output, acc));
        assert_eq!(codes(0), [-3, -1, 1, 3]);
        assert_eq!(codes(1), [3, 1, -1, -3]);
    }

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
