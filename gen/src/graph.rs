//! Networks of convolutions, max-pools and fully connected layers for the accelerator, read from the `.npz` layout of
//! `testbenches/cases` (`b_cnn_odd_mixed`) and the `meta.json` beside it.
//!
//! Everything is `bipolar` (odd integers; Sun et al., arXiv 1905.13389). Arrays are `l1.weight_codes` of shape
//! `[outputs, inputs, kernel height, kernel width]` or `[outputs, inputs]`, `l1.thresholds` and `l1.sign` as in
//! [`crate::network`]; tensors of numbers are `[images, channels, height, width]` and change to the accelerator's order
//! by [`images`].

use crate::config::read_text;
use crate::failure::Failure;
use crate::io::{Array, ArrayFile};
use crate::network::{Bits, META_BYTES_MAX, layer_count, operand, read_requantize};
use serde::Deserialize;
use std::path::Path;
use xnorforge_sim::network::{
    Convolution, Layer, Network, Operation, Output, Pad, Read, Requantize, Rescale, Shape, Tensor,
    TensorId, Window,
};
use xnorforge_sim::{Encoding, Precision};

/// What is read of a `meta.json`.
#[derive(Debug, Deserialize)]
struct Meta {
    #[serde(default = "odd_integers")]
    encoding: String,
    input: Option<MetaInput>,
    layers: Vec<MetaLayer>,
}

#[derive(Debug, Deserialize)]
struct MetaInput {
    shape: Vec<u32>,
    bits: u32,
}

#[derive(Debug, Deserialize)]
struct MetaLayer {
    #[serde(default = "linear")]
    kind: String,
    weight_bits: u32,
    act_in_bits: u32,
    out_bits: Option<u32>,
    #[serde(default = "one")]
    stride: u32,
    #[serde(default)]
    pad: u32,
    #[serde(default)]
    pad_code: i64,
    #[serde(default)]
    pad_is_true_zero: bool,
    #[serde(default)]
    maxpool_after: u32,
}

fn odd_integers() -> String {
    "odd integer".to_owned()
}

fn linear() -> String {
    "linear".to_owned()
}

fn one() -> u32 {
    1
}

/// Reads a network and the `meta.json` beside it. `bits` takes the place of those of every layer; without a `meta.json`
/// all layers are fully connected.
///
/// # Errors
/// A file that cannot be read, layers of an unknown kind, shapes and bits that do not follow each other, values outside
/// the encoding.
pub fn load(path: &Path, bits: Option<Bits>) -> Result<Network, Failure> {
    let file = ArrayFile::open(path)?;
    let meta_path = path.with_file_name("meta.json");
    let meta = match meta_path.exists() {
        true => Some(read_text(&meta_path, META_BYTES_MAX)?),
        false => None,
    };
    let meta = meta.as_deref();
    from_file(
        &file,
        meta.map(|text| (meta_path.display().to_string(), text)),
        bits,
    )
}

/// A network from an open file, and name and text of its `meta.json`.
///
/// # Errors
/// As [`load`].
pub fn from_file(
    file: &ArrayFile,
    meta: Option<(String, &str)>,
    bits: Option<Bits>,
) -> Result<Network, Failure> {
    let (name, mut meta) = match (meta, bits) {
        (Some((name, text)), _) => {
            let meta = serde_json::from_str(text).map_err(|e| {
                Failure::input(format!("`{name}` does not describe a network: {e}"))
            })?;
            (name, meta)
        }
        (None, Some(bits)) => (file.name().to_owned(), fully_connected(file, bits)?),
        (None, None) => {
            return Err(Failure::input(format!(
                "`{}` has no meta.json beside it that gives the bits of its layers; add --bits MxK, --bits 2x2 for example",
                file.name()
            )));
        }
    };
    if let Some(bits) = bits {
        override_bits(&mut meta, bits);
    }
    Loader {
        file,
        meta_name: &name,
        meta: &meta,
    }
    .network()
}

fn override_bits(meta: &mut Meta, bits: Bits) {
    if let Some(input) = &mut meta.input {
        input.bits = bits.activation;
    }
    for layer in &mut meta.layers {
        layer.act_in_bits = bits.activation;
        layer.weight_bits = bits.weight;
        layer.out_bits = None;
    }
}

/// What a `meta.json` would say of fully connected layers.
fn fully_connected(file: &ArrayFile, bits: Bits) -> Result<Meta, Failure> {
    let layer = || MetaLayer {
        kind: linear(),
        weight_bits: bits.weight,
        act_in_bits: bits.activation,
        out_bits: None,
        stride: 1,
        pad: 0,
        pad_code: 0,
        pad_is_true_zero: false,
        maxpool_after: 0,
    };
    Ok(Meta {
        encoding: odd_integers(),
        input: None,
        layers: (0..layer_count(file)?).map(|_| layer()).collect(),
    })
}

/// Numbers `[images, channels, height, width]`, or `[images, features]`, as a tensor of the accelerator.
///
/// # Errors
/// An array of another number of dimensions, or of no integers.
pub fn images(array: &Array) -> Result<Tensor, Failure> {
    let (count, channels, height, width) = match *array.shape.as_slice() {
        [images, channels, height, width] => (images, channels, height, width),
        [images, features] => (images, features, 1, 1),
        _ => {
            return Err(array
                .shape_error("[images, channels, height, width] or [images, features]")
                .into());
        }
    };
    let size = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let shape = Shape::new(size(height), size(width), size(channels));
    Ok(from_planes(count, shape, array.ints()?))
}

/// Numbers of one image in the order channel, line, pixel, as files have them, from the accelerator's.
pub(crate) fn planes(image: &[i64], channels: usize) -> Vec<i64> {
    (0..channels)
        .flat_map(|channel| image.iter().skip(channel).step_by(channels).copied())
        .collect()
}

/// A tensor from its numbers in the order image, channel, line, pixel.
///
/// # Panics
/// If there are numbers, but not `images * shape.len()` of them.
pub(crate) fn from_planes(images: usize, shape: Shape, values: &[i64]) -> Tensor {
    if values.is_empty() {
        // A shape without numbers may have sizes whose product is none.
        let values = Vec::new();
        return Tensor {
            images,
            shape,
            values,
        };
    }
    assert_eq!(values.len(), images * shape.len(), "as many as there are");
    let (height, width) = (shape.height as usize, shape.width as usize);
    let channels = shape.channels as usize;
    let mut tensor = Tensor::zeros(images, shape);
    for (index, value) in values.iter().enumerate() {
        let (x, y) = (index % width, index / width % height);
        let (channel, image) = (index / width / height % channels, index / shape.len());
        let place = tensor.index(image, y, x, channel);
        tensor.values[place] = *value;
    }
    tensor
}

struct Loader<'a> {
    file: &'a ArrayFile,
    meta_name: &'a str,
    meta: &'a Meta,
}

impl Loader<'_> {
    fn failure(&self, message: impl std::fmt::Display) -> Failure {
        Failure::input(format!("`{}`: {message}", self.meta_name))
    }

    fn network(&self) -> Result<Network, Failure> {
        let count = layer_count(self.file)?;
        if !self.meta.encoding.starts_with("odd integer") {
            return Err(self.failure(format!(
                "the encoding \"{}\" is not supported in a network; odd integers ({{-1,+1}} decomposition) are",
                self.meta.encoding
            )));
        }
        if self.meta.layers.len() != count {
            return Err(self.failure(format!(
                "{} layers are described, but `{}` has {count}; they must be equal",
                self.meta.layers.len(),
                self.file.name()
            )));
        }
        let (shape, bits) = self.input()?;
        let mut network = Network {
            name: self.file.name().to_owned(),
            input: shape,
            precision: self.precision("input.bits", bits)?,
            layers: Vec::new(),
            outputs: vec![TensorId::Input],
        };
        for (index, meta) in self.meta.layers.iter().enumerate() {
            self.add_layer(&mut network, index, meta)?;
        }
        network.outputs = vec![TensorId::Layer(network.layers.len() - 1)];
        self.check(&network)?;
        Ok(network)
    }

    /// Shape and bits of the input: those described, or those that a fully connected first layer takes.
    fn input(&self) -> Result<(Shape, u32), Failure> {
        if let Some(input) = &self.meta.input {
            return match *input.shape.as_slice() {
                [channels, height, width] => Ok((Shape::new(height, width, channels), input.bits)),
                [features] => Ok((Shape::new(1, 1, features), input.bits)),
                _ => Err(self.failure(format!(
                    "input.shape is {:?}; give [channels, height, width] or [features]",
                    input.shape
                ))),
            };
        }
        let codes = self.file.read("l1.weight_codes")?;
        match *codes.shape.as_slice() {
            [_, inputs] => {
                let features = u32::try_from(inputs).unwrap_or(u32::MAX);
                Ok((Shape::new(1, 1, features), self.meta.layers[0].act_in_bits))
            }
            [_, _, _, _] => Err(self.failure(
                "`l1` is a convolution, but nothing says how large the input is; give a meta.json with input.shape = [channels, height, width] (testbenches/cases has examples)",
            )),
            _ => Err(codes
                .shape_error("[outputs, inputs] or [outputs, inputs, kernel height, kernel width]")
                .into()),
        }
    }

    fn check(&self, network: &Network) -> Result<Vec<Shape>, Failure> {
        let types = network.check().map_err(|e| self.failure(e))?;
        Ok(types.iter().map(|t| t.shape).collect())
    }

    fn precision(&self, field: &str, bits: u32) -> Result<Precision, Failure> {
        Encoding::Bipolar
            .check_bits(bits)
            .map_err(|e| self.failure(format!("{field}: {e}")))?;
        Ok(Precision::new(Encoding::Bipolar, bits))
    }

    /// The tensor that the next layer reads, and its shape.
    fn last(&self, network: &Network) -> Result<(TensorId, Shape), Failure> {
        if network.layers.is_empty() {
            return Ok((TensorId::Input, network.input));
        }
        let shapes = self.check(network)?;
        Ok((TensorId::Layer(shapes.len() - 1), shapes[shapes.len() - 1]))
    }

    fn add_layer(
        &self,
        network: &mut Network,
        index: usize,
        meta: &MetaLayer,
    ) -> Result<(), Failure> {
        let number = index + 1;
        let (input, shape) = self.last(network)?;
        let is_last = number == self.meta.layers.len();
        let convolution = self.convolution(number, meta, shape)?;
        let outputs = convolution.weights.vectors();
        let bits = match (meta.out_bits, self.meta.layers.get(number)) {
            (bits, None) => bits,
            (None, Some(next)) => Some(next.act_in_bits),
            (Some(bits), Some(next)) if bits == next.act_in_bits => Some(bits),
            (Some(bits), Some(next)) => {
                return Err(self.failure(format!(
                    "layers[{index}].out_bits = {bits}, but layers[{number}].act_in_bits = {}; they must be equal",
                    next.act_in_bits
                )));
            }
        };
        let has_thresholds = self.file.has(&format!("l{number}.thresholds"));
        let output = if is_last && !has_thresholds {
            Output::Raw
        } else {
            let requantize = read_requantize_of(self.file, number, outputs, bits)?;
            Output::Codes(requantize)
        };
        network.layers.push(Layer {
            name: format!("l{number}"),
            input: Read::from(input),
            operation: Operation::Convolution(convolution),
            residual: None,
            output,
        });
        if meta.maxpool_after > 0 {
            let (input, _) = self.last(network)?;
            network.layers.push(Layer {
                name: format!("l{number}.pool"),
                input: Read::from(input),
                operation: Operation::MaxPool(Window::square(
                    meta.maxpool_after,
                    meta.maxpool_after,
                    0,
                )),
                residual: None,
                output: Output::Raw,
            });
        }
        Ok(())
    }

    fn convolution(
        &self,
        number: usize,
        meta: &MetaLayer,
        input: Shape,
    ) -> Result<Convolution, Failure> {
        let index = number - 1;
        let precision =
            self.precision(&format!("layers[{index}].weight_bits"), meta.weight_bits)?;
        let codes = self.file.read(&format!("l{number}.weight_codes"))?;
        let pad = if meta.pad_is_true_zero || meta.pad == 0 {
            Pad::Zero
        } else {
            Pad::Number(meta.pad_code)
        };
        match (meta.kind.as_str(), codes.shape.as_slice()) {
            ("linear", &[outputs, inputs]) => {
                let weights = operand(&codes, "weights", precision, outputs, inputs)?;
                Ok(Convolution::dense(input, weights))
            }
            ("conv", &[outputs, inputs, height, width]) => {
                let elements = inputs * height * width;
                let weights = operand(&codes, "weights", precision, outputs, elements)?;
                let size = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
                Ok(Convolution {
                    window: Window {
                        kernel: (size(height), size(width)),
                        ..Window::square(1, meta.stride, meta.pad)
                    },
                    groups: 1,
                    weights,
                    bias: None,
                    pad,
                })
            }
            ("linear", _) => Err(codes.shape_error("[outputs, inputs] (`linear`)").into()),
            ("conv", _) => Err(codes
                .shape_error("[outputs, inputs, kernel height, kernel width] (`conv`)")
                .into()),
            (kind, _) => Err(self.failure(format!(
                "layers[{index}].kind is \"{kind}\"; `conv` and `linear` are supported"
            ))),
        }
    }
}

/// Thresholds and signs of a layer as a requantization.
fn read_requantize_of(
    file: &ArrayFile,
    number: usize,
    outputs: usize,
    bits: Option<u32>,
) -> Result<Requantize, Failure> {
    let read = read_requantize(file, number, outputs, bits)?.ok_or_else(|| {
        Failure::input(format!(
            "`{}`: `l{number}` has no thresholds; only the last layer may go without",
            file.name()
        ))
    })?;
    let mut thresholds = read.thresholds;
    // They are counted, so their order says nothing.
    thresholds.iter_mut().for_each(|list| list.sort_unstable());
    Ok(Requantize::new(
        Precision::new(Encoding::Bipolar, read.bits),
        Rescale::Thresholds {
            thresholds,
            falling: read.rising.iter().map(|rising| !rising).collect(),
        },
    ))
}
