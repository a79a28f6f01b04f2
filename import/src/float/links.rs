//! What reads and gives the tensors of a graph, and what kind of step each node is.

use super::QuantizeError;
use crate::execute::Executor;
use crate::graph::{Graph, Node, Op};
use std::collections::HashMap;

/// Readers and givers of tensors.
pub struct Links<'g> {
    /// The node that gives a tensor.
    pub producers: HashMap<&'g str, usize>,
    /// The nodes that read a tensor, one entry for each of their inputs.
    pub consumers: HashMap<&'g str, Vec<usize>>,
}

impl<'g> Links<'g> {
    /// Those of a graph.
    pub fn new(graph: &'g Graph) -> Self {
        let mut producers = HashMap::new();
        let mut consumers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            producers.insert(node.output.as_str(), index);
            for input in node.inputs.iter().filter(|input| !input.is_empty()) {
                consumers.entry(input).or_default().push(index);
            }
        }
        Links {
            producers,
            consumers,
        }
    }

    /// The nodes that read a tensor.
    pub fn readers(&self, tensor: &str) -> &[usize] {
        self.consumers.get(tensor).map_or(&[], Vec::as_slice)
    }
}

/// What a node is to quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Depends on constants alone.
    Constant,
    /// Multiplies by weights: reads codes, gives accumulators. The input with this index holds the weights.
    Product {
        /// Which input.
        weights: usize,
    },
    /// Changes each number by itself, perhaps with constants: is folded into the requantization behind it.
    Elementwise,
    /// Changes no numbers, only where they are; a maximum counts as well. Reads and gives codes.
    Movement,
    /// Adds two activations: reads codes of one step, gives their sums.
    Join,
    /// Puts activations side by side: reads codes of one grid and step and gives them.
    Concat,
    /// A mean of codes.
    Pool,
}

/// The kind of every node.
///
/// # Errors
/// [`QuantizeError`] for graphs that quantize already, and for products of two activations.
pub fn kinds(graph: &Graph, executor: &Executor<'_>) -> Result<Vec<Kind>, QuantizeError> {
    graph
        .nodes
        .iter()
        .map(|node| kind(node, executor))
        .collect()
}

fn kind(node: &Node, executor: &Executor<'_>) -> Result<Kind, QuantizeError> {
    if executor.is_constant(&node.output) {
        return Ok(Kind::Constant);
    }
    let is_activation = |index: usize| {
        let name = node.inputs.get(index).filter(|name| !name.is_empty());
        name.is_some_and(|name| !executor.is_constant(name))
    };
    let unsupported = |reason| {
        Err(QuantizeError::Operation {
            node: node.name.clone(),
            op: node.op.name(),
            reason,
        })
    };
    Ok(match node.op {
        Op::Conv { .. } | Op::Gemm { .. } | Op::MatMul => {
            match (is_activation(0), is_activation(1)) {
                (true, false) => Kind::Product { weights: 1 },
                (false, true) if node.op == Op::MatMul => Kind::Product { weights: 0 },
                _ => {
                    return unsupported(
                        "one operand must be a constant (the weights): products of two activations are not computed",
                    );
                }
            }
        }
        Op::Add | Op::Sub if is_activation(0) && is_activation(1) => Kind::Join,
        Op::Mul | Op::Div if is_activation(0) && is_activation(1) => {
            return unsupported(
                "one operand must be a constant: products and quotients of two activations are not computed",
            );
        }
        Op::Add | Op::Sub | Op::Mul | Op::Div => Kind::Elementwise,
        Op::BatchNormalization { .. } | Op::Relu | Op::Clip { .. } => Kind::Elementwise,
        Op::Sign | Op::Neg | Op::Identity => Kind::Elementwise,
        Op::MaxPool(_) | Op::Flatten { .. } | Op::Reshape { .. } => Kind::Movement,
        Op::Transpose { .. } | Op::Pad { .. } => Kind::Movement,
        Op::Concat { .. } => Kind::Concat,
        Op::AveragePool { .. } | Op::GlobalAveragePool => Kind::Pool,
        Op::Quant { .. } | Op::BipolarQuant | Op::Trunc { .. } | Op::MultiThreshold { .. } => {
            return Err(quantized(node));
        }
        Op::QuantizeLinear { .. } | Op::DequantizeLinear { .. } => return Err(quantized(node)),
    })
}

fn quantized(node: &Node) -> QuantizeError {
    QuantizeError::Quantized {
        node: node.name.clone(),
        op: node.op.name(),
    }
}
