//! Executes a [`Graph`] in 32-bit floats: the oracle of imports, and what calibration observes.
//!
//! Every operation does what ONNX Runtime (standard operations) or QONNX's executor (its own ones) does, one node after
//! the other, each result rounded to 32 bits. One thing is better on purpose: sums of products and of windows are
//! accumulated in 64 bits and rounded once. ONNX Runtime accumulates in 32 bits in an order that depends on the machine,
//! so that no order is the right one; the sum in 64 bits is nearest to all of them, and is exact where the operands are
//! integers times one scale with few enough bits.
//!
//! A graph of batch B executes inputs of any multiple of B images, B at a time: this is right whatever its nodes do with
//! the batch (a `Reshape` that holds it, a `Transpose` that moves it). What depends on constants alone is computed once.

mod elementwise;
mod products;
pub mod quantizers;
mod shapes;
mod windows;

use crate::graph::{Array, Graph, NUMBERS_MAX, Node, Op};
use ndarray::{ArcArray, ArrayD, ArrayViewD, Axis, IxDyn, Slice};
use std::collections::{BTreeMap, HashMap};

/// A value of a tensor: 32-bit floats in C order. Clones share memory.
pub type Tensor = ArcArray<f32, IxDyn>;

/// A graph or an input that cannot be executed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExecuteError {
    /// A graph has one input.
    #[error(
        "the graph has {found} inputs ({names}), expected 1: make the others initializers or cut the graph behind them"
    )]
    Inputs {
        /// How many it has.
        found: usize,
        /// Their names.
        names: String,
    },
    /// The input has other dimensions than the graph's.
    #[error(
        "the input has shape {found:?}, `{tensor}` takes {expected:?} where the first dimension may be any multiple of {}",
        expected.first().copied().unwrap_or(1)
    )]
    InputShape {
        /// The graph's input.
        tensor: String,
        /// Shape that was given.
        found: Vec<usize>,
        /// Shape of the graph's input.
        expected: Vec<usize>,
    },
    /// A tensor that nothing gives.
    #[error(
        "{place} names the tensor `{tensor}`, which no node before it, input or constant gives"
    )]
    Missing {
        /// Who names it.
        place: String,
        /// The tensor.
        tensor: String,
    },
    /// A node whose operands do not fit it.
    #[error("node `{node}` ({op}): {problem}")]
    Node {
        /// Its name.
        node: String,
        /// Its operation.
        op: &'static str,
        /// What does not fit.
        problem: Box<Problem>,
    },
}

/// Why the operands of a node do not fit it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// Too few inputs.
    #[error("input {index} is missing: give it {expected} inputs")]
    Operand {
        /// Which one, from 0.
        index: usize,
        /// How many it takes at least.
        expected: usize,
    },
    /// An operand with a wrong number of dimensions.
    #[error("its {what} has shape {shape:?}, expected {expected}")]
    Rank {
        /// Which operand.
        what: &'static str,
        /// Its shape.
        shape: Vec<usize>,
        /// What is expected.
        expected: String,
    },
    /// Two shapes that do not fit each other.
    #[error("its {what} {shape:?} and {other} {other_shape:?} do not fit: {rule}")]
    Mismatch {
        /// Which operand.
        what: &'static str,
        /// Its shape.
        shape: Vec<usize>,
        /// The other operand.
        other: &'static str,
        /// The other's shape.
        other_shape: Vec<usize>,
        /// What holds for fitting shapes.
        rule: &'static str,
    },
    /// A kernel that does not fit into the padded feature map, or a stride or kernel of 0.
    #[error(
        "a kernel of {kernel:?} with stride {stride:?} and dilation {dilation:?} does not fit a feature map of {size:?} with padding {pads:?}"
    )]
    Window {
        /// Kernel.
        kernel: (u32, u32),
        /// Stride.
        stride: (u32, u32),
        /// Dilation.
        dilation: (u32, u32),
        /// Height and width of the feature map.
        size: (usize, usize),
        /// Padding: top, left, bottom, right.
        pads: [u32; 4],
    },
    /// A result past the limit.
    #[error(
        "its result of shape {shape:?} is past the limit of {NUMBERS_MAX} numbers: use a smaller batch"
    )]
    TooLarge {
        /// The shape.
        shape: Vec<usize>,
    },
}

/// Which tensors [`execute`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observe<'a> {
    /// The graph's outputs.
    Outputs,
    /// These.
    Chosen(&'a [&'a str]),
    /// The input and the output of every node.
    All,
}

/// Values by the names of tensors.
pub type Values = BTreeMap<String, ArrayD<f32>>;

/// Executes a graph on a batch of inputs; `input` has the shape of the graph's input but for the batch.
///
/// The values of activations stand one batch behind the other in the first dimension; what depends on constants alone has
/// its own shape.
///
/// # Errors
/// [`ExecuteError`]: several inputs, an input of another shape, tensors that do not exist, nodes whose operands do not fit.
pub fn execute(
    graph: &Graph,
    input: &ArrayD<f32>,
    observe: Observe<'_>,
) -> Result<Values, ExecuteError> {
    let executor = Executor::new(graph)?;
    let is_chosen = |name: &str| match observe {
        Observe::Outputs => graph.outputs.iter().any(|output| output == name),
        Observe::Chosen(names) => names.contains(&name),
        Observe::All => true,
    };
    let mut gathered: BTreeMap<String, Gathered> = BTreeMap::new();
    executor.run(input, |name, value| {
        if is_chosen(name) {
            gathered.entry(name.to_owned()).or_default().push(value);
        }
    })?;
    let mut values: Values = gathered
        .into_iter()
        .map(|(name, gathered)| (name, gathered.finish()))
        .collect();
    let constants: Vec<&str> = match observe {
        Observe::Outputs => graph.outputs.iter().map(String::as_str).collect(),
        Observe::Chosen(names) => names.to_vec(),
        Observe::All => graph
            .nodes
            .iter()
            .map(|node| node.output.as_str())
            .collect(),
    };
    for name in constants {
        if values.contains_key(name) {
            continue;
        }
        let value = executor
            .constant(name)
            .ok_or_else(|| missing("the caller", name))?;
        values.insert(name.to_owned(), value.to_owned());
    }
    Ok(values)
}

/// The values of one tensor, batch by batch.
#[derive(Default)]
struct Gathered {
    shape: Vec<usize>,
    numbers: Vec<f32>,
    batches: usize,
}

impl Gathered {
    fn push(&mut self, value: &Tensor) {
        self.shape = value.shape().to_vec();
        self.numbers.extend(value.iter());
        self.batches += 1;
    }

    fn finish(mut self) -> ArrayD<f32> {
        match self.shape.first_mut() {
            Some(first) => *first *= self.batches,
            None => self.shape.push(self.batches),
        }
        shapes::from_vec(&self.shape, self.numbers)
    }
}

/// A graph that is ready to execute: what depends on constants alone is computed.
#[derive(Clone, Debug)]
pub struct Executor<'g> {
    graph: &'g Graph,
    input: &'g str,
    /// Constants, and what depends on them alone.
    constants: HashMap<&'g str, Tensor>,
    /// Nodes that depend on the input, in order.
    steps: Vec<&'g Node>,
    /// The last step that reads a tensor.
    last_reads: HashMap<&'g str, usize>,
}

impl<'g> Executor<'g> {
    /// Prepares a graph.
    ///
    /// # Errors
    /// [`ExecuteError`]: several inputs, or nodes on constants whose operands do not fit.
    pub fn new(graph: &'g Graph) -> Result<Self, ExecuteError> {
        let [input] = graph.inputs.as_slice() else {
            return Err(ExecuteError::Inputs {
                found: graph.inputs.len(),
                names: graph.inputs.join(", "),
            });
        };
        let mut constants: HashMap<&str, Tensor> = graph
            .constants
            .iter()
            .map(|(name, array)| (name.as_str(), floats(array)))
            .collect();
        let mut steps = Vec::new();
        let mut last_reads = HashMap::new();
        for node in &graph.nodes {
            let mut names = node.inputs.iter().filter(|name| !name.is_empty());
            if names.all(|name| constants.contains_key(name.as_str())) {
                let value = evaluate(node, |name| constants.get(name))?;
                constants.insert(&node.output, value);
                continue;
            }
            last_reads.extend(node.inputs.iter().map(|name| (name.as_str(), steps.len())));
            steps.push(node);
        }
        Ok(Executor {
            graph,
            input,
            constants,
            steps,
            last_reads,
        })
    }

    /// The value of a constant, or of what depends on constants alone.
    pub fn constant(&self, name: &str) -> Option<&Tensor> {
        self.constants.get(name)
    }

    /// Whether a tensor depends on constants alone.
    pub fn is_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
    }

    /// Executes the graph, one batch of its own size after the other, and shows every tensor that depends on the input
    /// as soon as it is there.
    ///
    /// # Errors
    /// [`ExecuteError`]: an input of another shape, tensors that do not exist, nodes whose operands do not fit.
    pub fn run(
        &self,
        input: &ArrayD<f32>,
        mut visit: impl FnMut(&str, &Tensor),
    ) -> Result<(), ExecuteError> {
        let batch = self.batch(input.shape())?;
        for start in (0..input.shape()[0]).step_by(batch) {
            let slice = Slice::from(start..start + batch);
            self.run_batch(input.slice_axis(Axis(0), slice), &mut visit)?;
        }
        Ok(())
    }

    /// The graph's own batch, after a check of the input's shape against it.
    fn batch(&self, found: &[usize]) -> Result<usize, ExecuteError> {
        let expected = self
            .graph
            .shapes
            .get(self.input)
            .ok_or_else(|| missing("the graph's list of shapes", self.input))?;
        let fits = match (expected.as_slice(), found) {
            ([batch, expected @ ..], [images, found @ ..]) => {
                expected == found && *images > 0 && images.checked_rem(*batch) == Some(0)
            }
            _ => false,
        };
        if fits {
            return Ok(expected[0]);
        }
        Err(ExecuteError::InputShape {
            tensor: self.input.to_owned(),
            found: found.to_vec(),
            expected: expected.clone(),
        })
    }

    fn run_batch(
        &self,
        input: ArrayViewD<'_, f32>,
        visit: &mut impl FnMut(&str, &Tensor),
    ) -> Result<(), ExecuteError> {
        let input = shapes::standard(input.to_owned());
        visit(self.input, &input);
        let mut values = HashMap::from([(self.input, input)]);
        for (index, node) in self.steps.iter().enumerate() {
            let value = evaluate(node, |name| {
                values.get(name).or_else(|| self.constants.get(name))
            })?;
            visit(&node.output, &value);
            values.insert(&node.output, value);
            for name in &node.inputs {
                if self.last_reads.get(name.as_str()) == Some(&index) {
                    values.remove(name.as_str());
                }
            }
        }
        Ok(())
    }
}

fn missing(place: &str, tensor: &str) -> ExecuteError {
    ExecuteError::Missing {
        place: place.to_owned(),
        tensor: tensor.to_owned(),
    }
}

/// A constant as 32-bit floats; integers past 2^24 and 64-bit floats are rounded, as a `Cast` rounds them.
pub fn floats(array: &Array) -> Tensor {
    match array {
        Array::F32(a) if a.is_standard_layout() => a.clone(),
        Array::F32(a) => shapes::standard(a.to_owned()),
        Array::F64(a) => shapes::standard(a.mapv(|v| v as f32)),
        Array::I8(a) => shapes::standard(a.mapv(f32::from)),
        Array::U8(a) => shapes::standard(a.mapv(f32::from)),
        Array::I32(a) => shapes::standard(a.mapv(|v| v as f32)),
        Array::I64(a) => shapes::standard(a.mapv(|v| v as f32)),
    }
}

/// The operands of a node, in its order.
struct Operands<'a> {
    values: Vec<Option<&'a Tensor>>,
    /// How many are needed.
    expected: usize,
}

impl<'a> Operands<'a> {
    fn get(&self, index: usize) -> Result<&'a Tensor, Problem> {
        self.optional(index).ok_or(Problem::Operand {
            index,
            expected: self.expected,
        })
    }

    fn optional(&self, index: usize) -> Option<&'a Tensor> {
        self.values.get(index).copied().flatten()
    }
}

fn evaluate<'a>(
    node: &Node,
    value: impl Fn(&str) -> Option<&'a Tensor>,
) -> Result<Tensor, ExecuteError> {
    let operand = |name: &String| match name.as_str() {
        "" => Ok(None),
        name => {
            let place = || missing(&format!("node `{}`", node.name), name);
            value(name).map(Some).ok_or_else(place)
        }
    };
    let operands = Operands {
        values: node.inputs.iter().map(operand).collect::<Result<_, _>>()?,
        expected: operands_least(&node.op),
    };
    let result = apply(&node.op, &operands).map_err(|problem| ExecuteError::Node {
        node: node.name.clone(),
        op: node.op.name(),
        problem: Box::new(problem),
    })?;
    Ok(shapes::standard(result))
}

/// How many inputs an operation needs.
fn operands_least(op: &Op) -> usize {
    match op {
        Op::BatchNormalization { .. } => 5,
        Op::Quant { .. } | Op::Trunc { .. } => 3,
        Op::Conv { .. } | Op::Gemm { .. } | Op::MatMul | Op::Add | Op::Sub | Op::Mul | Op::Div => 2,
        Op::BipolarQuant | Op::MultiThreshold { .. } => 2,
        Op::QuantizeLinear { .. } | Op::DequantizeLinear { .. } => 2,
        _ => 1,
    }
}

fn apply(op: &Op, operands: &Operands<'_>) -> Result<ArrayD<f32>, Problem> {
    let x = operands.get(0)?;
    match op {
        Op::Conv { sweep, groups } => {
            products::convolution(x, operands.get(1)?, operands.optional(2), sweep, *groups)
        }
        Op::Gemm {
            alpha,
            beta,
            transpose_a,
            transpose_b,
        } => {
            let product = products::Gemm {
                alpha: f64::from(*alpha),
                beta: f64::from(*beta),
                transpose_a: *transpose_a,
                transpose_b: *transpose_b,
            };
            product.apply(x, operands.get(1)?, operands.optional(2))
        }
        Op::MatMul => products::matrix_product(x, operands.get(1)?),
        Op::BatchNormalization { epsilon } => {
            let parameters = [
                operands.get(1)?,
                operands.get(2)?,
                operands.get(3)?,
                operands.get(4)?,
            ];
            elementwise::batch_normalization(x, parameters, *epsilon)
        }
        Op::Add => elementwise::binary(x, operands.get(1)?, |a, b| a + b),
        Op::Sub => elementwise::binary(x, operands.get(1)?, |a, b| a - b),
        Op::Mul => elementwise::binary(x, operands.get(1)?, |a, b| a * b),
        Op::Div => elementwise::binary(x, operands.get(1)?, |a, b| a / b),
        Op::MaxPool(sweep) => windows::max_pool(x, sweep),
        Op::AveragePool {
            sweep,
            count_include_pad,
        } => windows::average_pool(x, sweep, *count_include_pad),
        Op::GlobalAveragePool => windows::global_average_pool(x),
        Op::Flatten { axis } => shapes::flatten(x, *axis),
        Op::Reshape { shape } => shapes::reshape(x, shape),
        Op::Transpose { order } => shapes::transpose(x, order),
        Op::Concat { axis } => {
            let parts: Vec<_> = operands
                .values
                .iter()
                .flatten()
                .map(|part| part.view())
                .collect();
            shapes::concat(&parts, *axis)
        }
        Op::Pad { pads, value } => shapes::pad(x, pads, *value),
        Op::Quant { levels, round } => {
            quantizers::quant(x, operands.get(1)?, operands.get(2)?, *levels, *round)
        }
        Op::BipolarQuant => quantizers::bipolar_quant(x, operands.get(1)?),
        Op::Trunc {
            levels,
            output_scale,
            round,
            ..
        } => quantizers::trunc(
            x,
            [operands.get(1)?, operands.get(2)?],
            *levels,
            *output_scale,
            *round,
        ),
        Op::MultiThreshold { scale, bias } => {
            quantizers::multi_threshold(x, operands.get(1)?, *scale, *bias)
        }
        Op::QuantizeLinear { levels, axis } => {
            quantizers::quantize_linear(x, operands.get(1)?, operands.optional(2), *levels, *axis)
        }
        Op::DequantizeLinear { axis } => {
            quantizers::dequantize_linear(x, operands.get(1)?, operands.optional(2), *axis)
        }
        Op::Relu | Op::Clip { .. } | Op::Sign | Op::Neg | Op::Identity => {
            Ok(elementwise::unary(op, x))
        }
    }
}
