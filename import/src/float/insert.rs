//! Writes quantizers into a graph.

use super::names::Names;
use super::plan::{INPUT_LAYER, Plan, Weights};
use super::scale::{Grid, Sample, is_usable, shared_step, ternary_of_least_error};
use super::{Calibration, Encoding, QuantizeError, QuantizedTensor, Role};
use crate::execute::{Executor, Tensor};
use crate::graph::{Array, Graph, Node};
use ndarray::{ArcArray, ArrayD, Axis, IxDyn};
use std::collections::HashMap;

/// Channels of zeros get the largest step of the others times this: their numbers are then next to nothing in an encoding
/// without a zero.
const STEP_OF_ZEROS: f32 = 1.0 / 65_536.0;

/// Checks weights, before they are blamed on what they give.
///
/// # Errors
/// [`QuantizeError::NotFinite`] for weights that are infinite or none.
pub fn check_weights(
    float: &Graph,
    executor: &Executor<'_>,
    plan: &Plan,
) -> Result<(), QuantizeError> {
    for weights in &plan.weights {
        let node = &float.nodes[weights.node];
        let tensor = &node.inputs[weights.input];
        let values = executor.constant(tensor).into_iter().flatten();
        if let Some(value) = values.copied().find(|v| !v.is_finite()) {
            return Err(QuantizeError::NotFinite {
                layer: node.name.clone(),
                tensor: tensor.clone(),
                value,
                fix: "weights must be finite; check the training and the file",
            });
        }
    }
    Ok(())
}

/// The graph with quantizers, and what was quantized.
pub fn insert(
    float: &Graph,
    executor: &Executor<'_>,
    plan: &Plan,
    grids: &[(Grid, f32)],
) -> (Graph, Vec<QuantizedTensor>) {
    let activations = plan
        .activations
        .iter()
        .zip(grids)
        .map(|(activation, grid)| {
            let quantizer = (activation.layer.as_str(), *grid);
            (activation.tensor.as_str(), quantizer)
        });
    let mut writer = Writer {
        graph: Graph {
            nodes: Vec::with_capacity(float.nodes.len() * 2),
            ..float.clone()
        },
        names: Names::of(float),
        tensors: Vec::new(),
        activations: activations.collect(),
        renamed: HashMap::new(),
    };
    writer.graph.nodes.clear();
    writer.input();
    let weights: HashMap<usize, &Weights> = plan.weights.iter().map(|w| (w.node, w)).collect();
    for (index, node) in float.nodes.iter().enumerate() {
        let mut node = node.clone();
        for input in &mut node.inputs {
            if let Some(name) = writer.renamed.get(input) {
                input.clone_from(name);
            }
        }
        if let Some(weights) = weights.get(&index) {
            writer.weights(&mut node, weights, executor);
        }
        writer.node(node);
    }
    (writer.graph, writer.tensors)
}

struct Writer<'a> {
    graph: Graph,
    names: Names,
    tensors: Vec<QuantizedTensor>,
    /// Layer, grid and step by tensor.
    activations: HashMap<&'a str, (&'a str, (Grid, f32))>,
    /// Inputs of the graph keep their names, so what reads them is changed.
    renamed: HashMap<String, String>,
}

impl Writer<'_> {
    /// Quantizes the graph's input.
    fn input(&mut self) {
        let Some(input) = self.graph.inputs.first().cloned() else {
            return;
        };
        let Some((_, (grid, step))) = self.activations.get(input.as_str()).copied() else {
            return;
        };
        let quantized = self.names.fresh(&format!("{input}_quantized"));
        self.quantizer(&input, &quantized, grid, scalar(grid.scale(step)));
        self.record(
            INPUT_LAYER,
            Role::Input,
            &input,
            &quantized,
            grid,
            (step, step),
        );
        self.renamed.insert(input, quantized);
    }

    /// A node, and the quantizer of what it gives. The quantized tensor takes the name, so that its readers stay as they are.
    fn node(&mut self, mut node: Node) {
        let tensor = node.output.clone();
        let Some((layer, (grid, step))) = self.activations.get(tensor.as_str()).copied() else {
            self.graph.nodes.push(node);
            return;
        };
        let real = self.names.fresh(&format!("{tensor}_real"));
        if let Some(shape) = self.graph.shapes.get(&tensor).cloned() {
            self.graph.shapes.insert(real.clone(), shape);
        }
        node.output.clone_from(&real);
        self.graph.nodes.push(node);
        self.graph.datatypes.remove(&tensor);
        self.quantizer(&real, &tensor, grid, scalar(grid.scale(step)));
        self.record(
            layer,
            Role::Activations,
            &tensor,
            &tensor,
            grid,
            (step, step),
        );
    }

    /// Quantizes the weights of a node.
    fn weights(&mut self, node: &mut Node, weights: &Weights, executor: &Executor<'_>) {
        let name = node.inputs[weights.input].clone();
        let Some(value) = executor.constant(&name) else {
            return;
        };
        let grid = Grid::of_weights(weights.precision);
        let channels = Channels::new(value, weights);
        let steps = channels.steps(grid, weights.precision.calibration);
        let is_least_ternary = grid.encoding == Encoding::Ternary
            && weights.precision.calibration == Calibration::MeanSquaredError;
        let source = if is_least_ternary {
            let ternary = channels.ternary(&steps);
            self.constant(&format!("{name}_ternary"), ternary)
        } else {
            name.clone()
        };
        let quantized = self.names.fresh(&format!("{name}_quantized"));
        let scales = steps.iter().map(|step| grid.scale(*step)).collect();
        self.quantizer(&source, &quantized, grid, channels.parameter(scales));
        let least = steps.iter().copied().fold(f32::INFINITY, f32::min);
        let greatest = steps.iter().copied().fold(0.0, f32::max);
        self.record(
            &node.name,
            Role::Weights,
            &name,
            &quantized,
            grid,
            (least, greatest),
        );
        node.inputs[weights.input] = quantized;
    }

    fn quantizer(&mut self, source: &str, output: &str, grid: Grid, scale: ArrayD<f32>) {
        let scale = self.constant(&format!("{output}_scale"), scale);
        let mut inputs = vec![source.to_owned(), scale];
        if let Some(zero_point) = grid.zero_point() {
            inputs.push(self.constant(&format!("{output}_zero_point"), scalar(zero_point)));
        }
        if let Some(shape) = self.graph.shapes.get(source).cloned() {
            self.graph.shapes.insert(output.to_owned(), shape);
        }
        let op = grid.op();
        self.graph.nodes.push(Node {
            name: self.names.fresh(&format!("{output}_{}", op.name())),
            op,
            inputs,
            output: output.to_owned(),
        });
    }

    fn constant(&mut self, name: &str, value: ArrayD<f32>) -> String {
        let name = self.names.fresh(name);
        self.graph
            .shapes
            .insert(name.clone(), value.shape().to_vec());
        self.graph
            .constants
            .insert(name.clone(), Array::F32(value.into()));
        name
    }

    fn record(
        &mut self,
        layer: &str,
        role: Role,
        tensor: &str,
        quantized: &str,
        grid: Grid,
        (step_least, step_greatest): (f32, f32),
    ) {
        self.tensors.push(QuantizedTensor {
            layer: layer.to_owned(),
            role,
            tensor: tensor.to_owned(),
            quantized: quantized.to_owned(),
            encoding: grid.encoding,
            bits: grid.bits,
            step_least,
            step_greatest,
        });
    }
}

fn scalar(value: f32) -> ArrayD<f32> {
    ArrayD::from_elem(IxDyn(&[]), value)
}

/// Weights by output channel; one channel if all share a scale.
struct Channels<'a> {
    value: &'a Tensor,
    axis: Option<usize>,
}

impl<'a> Channels<'a> {
    fn new(value: &'a Tensor, weights: &Weights) -> Self {
        let is_per_channel = weights.precision.per_channel && value.ndim() > 1;
        Channels {
            value,
            axis: Some(weights.axis).filter(|axis| is_per_channel && *axis < value.ndim()),
        }
    }

    fn views(&self) -> Vec<ndarray::ArrayViewD<'_, f32>> {
        match self.axis {
            Some(axis) => self.value.axis_iter(Axis(axis)).collect(),
            None => vec![self.value.view()],
        }
    }

    /// The step of each channel.
    fn steps(&self, grid: Grid, calibration: Calibration) -> Vec<f32> {
        let step = |view: ndarray::ArrayViewD<'_, f32>| {
            let values: Vec<f32> = view.iter().copied().collect();
            if grid.encoding == Encoding::Ternary && calibration == Calibration::MeanSquaredError {
                return ternary_of_least_error(&values).map(|(step, _)| step);
            }
            shared_step(&[(Sample::of_all(&values), grid)], calibration)
        };
        let steps: Vec<Option<f32>> = self.views().into_iter().map(step).collect();
        let largest = steps.iter().flatten().copied().fold(0.0, f32::max);
        let of_zeros = Some(largest * STEP_OF_ZEROS)
            .filter(|step| is_usable(*step))
            .unwrap_or(1.0);
        steps
            .into_iter()
            .map(|step| step.unwrap_or(of_zeros))
            .collect()
    }

    /// The weights as -1, 0 and 1 times the step of their channel. The threshold of the least error is not the middle
    /// between 0 and the step, where a quantizer's is, so it is applied here.
    fn ternary(&self, steps: &[f32]) -> ArrayD<f32> {
        let mut result: ArcArray<f32, IxDyn> = self.value.clone();
        let apply = |mut view: ndarray::ArrayViewMutD<'_, f32>, step: f32| {
            let values: Vec<f32> = view.iter().copied().collect();
            let least = ternary_of_least_error(&values).map_or(f32::INFINITY, |(_, least)| least);
            view.mapv_inplace(|v| {
                if v.abs() >= least {
                    step.copysign(v)
                } else {
                    0.0
                }
            });
        };
        match self.axis {
            Some(axis) => {
                for (view, step) in result.axis_iter_mut(Axis(axis)).zip(steps) {
                    apply(view, *step);
                }
            }
            None => apply(result.view_mut(), steps[0]),
        }
        result.into_owned()
    }

    /// One number for each channel in a shape that broadcasts against the weights.
    fn parameter(&self, numbers: Vec<f32>) -> ArrayD<f32> {
        let shape: Vec<usize> = match self.axis {
            Some(axis) => (0..self.value.ndim())
                .map(|i| if i == axis { numbers.len() } else { 1 })
                .collect(),
            None => vec![],
        };
        ArrayD::from_shape_vec(shape, numbers).expect("one number for each channel")
    }
}
