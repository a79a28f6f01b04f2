//! What an import gives.

use crate::graph::Round;
use serde::Serialize;
use xnorforge_sim::network::{Network, Shape, Tensor, TensorId};

/// A network of integers with its ties to the floats that it stands for.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the accelerator runs.
    pub network: Network,
    /// How the file's input becomes the network's.
    pub input: InputRule,
    /// What each of the network's outputs stands for; as many as `network.outputs`.
    pub outputs: Vec<OutputRule>,
    /// Where the integers of the file's tensors are found.
    pub tensors: Vec<TensorRule>,
    /// How exact every folded chain of operations is, in the order of the layers.
    pub folds: Vec<Fold>,
}

/// How the file's input becomes numbers of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct InputRule {
    /// The tensor's name in the file.
    pub name: String,
    /// Its dimensions without the batch: `[C, H, W]` or `[features]`.
    pub dimensions: Vec<usize>,
    /// The feature map that it becomes.
    pub shape: Shape,
    /// Whether `dimensions` are `[H, W, C]` instead.
    pub channels_last: bool,
    /// The quantizer, if the file's input is real: `clamp(x / scale + zero_point)`, rounded, in 32-bit floats.
    pub quantizer: Option<InputQuantizer>,
    /// A number of the network is `factor * q + offset`, where q is the quantizer's integer, or the file's number itself
    /// without a quantizer: 2 and -(2^M - 1) for `bipolar` numbers behind an unsigned quantizer of M bits.
    pub factor: i64,
    /// See `factor`.
    pub offset: i64,
}

impl InputRule {
    /// The network's number for a number of the file's input.
    pub fn number(&self, x: f32) -> i64 {
        let integer = match &self.quantizer {
            None => x.round_ties_even() as i64,
            Some(quantizer) => quantizer.integer(x),
        };
        self.factor * integer + self.offset
    }

    /// The network's input for images one behind the other, each in the order of `dimensions`; none if they do not fill
    /// whole images.
    pub fn tensor(&self, values: &[f32]) -> Option<Tensor> {
        let numbers = self.shape.len();
        if !values.len().is_multiple_of(numbers) {
            return None;
        }
        let mut tensor = Tensor::zeros(values.len() / numbers, self.shape);
        let (channels, pixels) = (
            self.shape.channels as usize,
            (self.shape.height * self.shape.width) as usize,
        );
        for (index, number) in tensor.values.iter_mut().enumerate() {
            let (image, place) = (index / numbers * numbers, index % numbers);
            let from = if self.channels_last {
                place
            } else {
                place % channels * pixels + place / channels
            };
            *number = self.number(values[image + from]);
        }
        Some(tensor)
    }
}

/// The quantizer of an input, in 32-bit floats as QONNX defines it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputQuantizer {
    /// Scale.
    pub scale: f32,
    /// Zero point.
    pub zero_point: f32,
    /// Least integer.
    pub low: i64,
    /// Greatest integer.
    pub high: i64,
    /// Rounding.
    pub round: Round,
}

impl InputQuantizer {
    /// The integer of a number; 0, clamped, for one that is none.
    pub fn integer(&self, x: f32) -> i64 {
        let (low, high) = (self.low as f32, self.high as f32);
        let x = (x / self.scale + self.zero_point).max(low).min(high);
        let rounded = match self.round {
            Round::HalfEven => x.round_ties_even(),
            Round::HalfAway => x.round(),
            Round::HalfToZero if (x - x.trunc()).abs() == 0.5 => x.trunc(),
            Round::HalfToZero => x.round(),
            Round::Ceil => x.ceil(),
            Round::Floor => x.floor(),
            Round::AwayFromZero => x.abs().ceil().copysign(x),
            Round::ToZero => x.trunc(),
        };
        rounded as i64
    }
}

/// What an output of the network stands for: `real = (integer + offset[channel]) * scale[channel]`.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputRule {
    /// The tensor's name in the file.
    pub name: String,
    /// Per channel, or one entry for all.
    pub scale: Vec<f64>,
    /// Per channel, or one entry for all.
    pub offset: Vec<f64>,
}

impl OutputRule {
    /// The real that an integer of a channel stands for.
    pub fn real(&self, channel: usize, integer: i64) -> f64 {
        let of = |list: &[f64]| list[if list.len() == 1 { 0 } else { channel }];
        (integer as f64 + of(&self.offset)) * of(&self.scale)
    }
}

/// A tensor of the file whose integers the network holds.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorRule {
    /// Its name in the file.
    pub name: String,
    /// Where it is.
    pub tensor: TensorId,
    /// Whether it is the accumulator of that layer and not its output.
    pub is_accumulator: bool,
}

/// How exact the folding of one chain of operations into a layer is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fold {
    /// The layer.
    pub layer: String,
    /// Names of the nodes that were folded.
    pub nodes: Vec<String>,
    /// Whether every output integer is proven to be the one that the operations give in real arithmetic.
    pub is_exact: bool,
    /// The largest error of an output integer, in steps; 0 if exact.
    pub steps_max: i64,
    /// How many accumulators of the possible ones (over all channels) give another integer than in real arithmetic.
    pub accumulators_wrong: u64,
    /// How many accumulators give another integer when the same operations are done one by one in 32-bit floats.
    pub accumulators_f32: u64,
}
