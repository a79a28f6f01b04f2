//! Post-training quantization: a float [`Graph`] becomes one with quantizers, which the one lowering takes.
//!
//! ```text
//! float graph -- prepare --> plan (which tensors, which share a step) -- calibrate on sample inputs --> steps -- insert --> Graph
//! ```
//!
//! - Weights get a `Quant` or `BipolarQuant` with a scale for each output channel.
//! - What a convolution, a product, a sum or a mean gives is quantized behind the bias, batch norm and activation function
//!   that follow it, so that the lowering folds those into thresholds without rounding. They stay floats.
//! - Numbers that are added share their step, so that the sum of two codes is exact; numbers side by side in one tensor
//!   (`Concat`) share encoding and bits as well.
//! - What leads to the graph's outputs alone is not quantized: logits are accumulators.
//!
//! The grids are those of Sun et al. (arXiv 1905.13389, 2106.09886), M-bit odd integers times a step, and unsigned, signed
//! and ternary ones; see [`scale::Grid`] for their form in QONNX's terms.

pub mod arrays;
mod calibrate;
pub mod describe;
mod insert;
mod links;
mod names;
pub mod options;
mod plan;
mod prepare;
pub mod report;
pub mod scale;

use crate::execute::{ExecuteError, Executor};
use crate::graph::Graph;
pub use arrays::{Arrays, ArraysError};
pub use describe::{DescribeError, describe};
use ndarray::ArrayD;
pub use options::{Calibration, Encoding, OptionsError, Quantization};
pub use report::{Accuracy, ErrorReport, LayerError, error_report};
use serde::Serialize;

/// A graph that cannot be quantized.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QuantizeError {
    /// The float graph cannot be executed on the calibration inputs.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The graph is quantized already.
    #[error(
        "node `{node}` ({op}) quantizes already: import the graph without post-training quantization"
    )]
    Quantized {
        /// The node.
        node: String,
        /// Its operation.
        op: &'static str,
    },
    /// An operation that has no quantized form.
    #[error("node `{node}` ({op}): {reason}")]
    Operation {
        /// The node.
        node: String,
        /// Its operation.
        op: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A number that no scale fits.
    #[error("`{tensor}` of layer `{layer}` holds {value}: {fix}")]
    NotFinite {
        /// Layer.
        layer: String,
        /// Tensor.
        tensor: String,
        /// What it holds.
        value: f32,
        /// What to do.
        fix: &'static str,
    },
}

/// What a quantized tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The graph's input.
    Input,
    /// Weights of a layer.
    Weights,
    /// What a layer gives.
    Activations,
}

/// A tensor that was quantized.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantizedTensor {
    /// The layer that it belongs to; `input` of the graph's input.
    pub layer: String,
    /// What it is.
    pub role: Role,
    /// Its name in the float graph.
    pub tensor: String,
    /// Name of the quantized values in the quantized graph.
    pub quantized: String,
    /// Encoding of its numbers; never automatic.
    pub encoding: Encoding,
    /// Bits.
    pub bits: u32,
    /// Least step of its channels (a number is an integer times the step).
    pub step_least: f32,
    /// Greatest step of its channels.
    pub step_greatest: f32,
}

/// A quantized graph.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The graph with quantizers. Its inputs and outputs have the names of the float graph; other tensors as well, but for
    /// those that moved.
    pub graph: Graph,
    /// The float graph that it is compared with: the same function as the one that was given, with activation functions
    /// before the pools that they followed.
    pub float: Graph,
    /// What was quantized: the input, then weights and activations in the order of the nodes.
    pub tensors: Vec<QuantizedTensor>,
}

/// Quantizes a float graph. `calibration` holds sample inputs `[images, ...]`; more of them, and typical ones, give better
/// scales: some hundred are enough.
///
/// # Errors
/// [`QuantizeError`]: a graph that quantizes already, an operation without a quantized form, rules for layers that do not
/// exist, inputs of another shape, numbers that are infinite or none.
pub fn quantize(
    graph: &Graph,
    options: &Quantization,
    calibration: &ArrayD<f32>,
) -> Result<Quantized, QuantizeError> {
    options.validate()?;
    let float = prepare::prepare(graph);
    let (quantized, tensors) = {
        let executor = Executor::new(&float)?;
        let plan = plan::Plan::new(&float, &executor, options)?;
        insert::check_weights(&float, &executor, &plan)?;
        let grids = calibrate::activations(&float, &executor, &plan, calibration)?;
        insert::insert(&float, &executor, &plan, &grids)
    };
    Ok(Quantized {
        graph: quantized,
        float,
        tensors,
    })
}
