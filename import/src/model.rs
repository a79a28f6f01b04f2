//! What an import gives.

use crate::graph::Round;
use serde::Serialize;
use xnorforge_sim::network::{Network, Shape, TensorId};

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
