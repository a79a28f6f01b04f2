//! Graphs of operations on floats as networks of integers.
//!
//! A graph is walked in order with what is known about each tensor: constants, integers with a scale, accumulators with a
//! chain of operations behind them. A quantizer closes a chain. Every operation of a chain is monotone, so that the whole is a
//! staircase over the accumulators of each channel, whose steps are found in rational arithmetic and become thresholds (or a
//! multiplication and a shift that are proven to give the same everywhere).
//!
//! ```text
//! Conv(x: codes, w: integers * scale) -> accumulators * unit       a layer begins
//!   BatchNormalization, Relu, Mul ..  -> a chain, per channel
//!   Quant                             -> thresholds                the layer ends: codes again
//! ```
//!
//! What cannot be done exactly is refused by name, or approximated with the error counted in [`crate::model::Fold`]: that is
//! the case only for a residual whose unit is no multiple of the accumulator's.

mod chain;
mod close;
mod elementwise;
mod error;
mod number;
mod pool;
mod product;
mod residual;
mod value;
mod weights;
mod work;

use crate::graph::{Array, Graph, Node, Op};
use crate::model::{InputRule, Model, OutputRule, TensorRule};
pub use error::LowerError;
use error::{Found, Refusal, refuse, require};
use number::{Rational, exact, to_f64, zip};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use value::{Axis, Codes, Feature, Grid, Layout, Source, Value};
use work::{EXACT_UNITS, WORK_MAX, Work};
use xnorforge_sim::network::{
    Layer, NUMBERS_MAX, Network, NetworkError, Operation, SIZE_MAX, Shape, TensorId,
};
use xnorforge_sim::{Encoding, Precision};

/// How a graph is lowered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Refuse every fold that is not proven exact.
    pub exact: bool,
    /// Encoding and bits of an input that comes as integers, for graphs whose input has no quantizer. Without it, the
    /// input's annotated data type is taken.
    pub input: Option<Precision>,
}

/// Most operations between two layers.
const STEPS_MAX: usize = 256;
/// Most bits of a scale, as a quotient of integers.
const SCALE_BITS_MAX: u64 = 16_384;

/// Lowers a graph to a network of integers.
///
/// # Errors
/// The first node that has no place in such a network, by name; with [`Options::exact`] also the first fold that is not
/// exact.
pub fn lower(graph: &Graph, options: &Options) -> Result<Model, LowerError> {
    let mut lowering = Lowering::new(graph, options)?;
    for index in 0..graph.nodes.len() {
        let done = lowering.node(index);
        let done = lowering.check_work().and(done);
        done.map_err(|refusal| lowering.error(index, *refusal))?;
    }
    lowering.finish()
}

/// A layer that is made, and the node that it goes back to.
struct Made {
    layer: Layer,
    shape: Shape,
    node: usize,
    /// What a number 1 of its output stands for, in each channel or in all.
    scale: Vec<f64>,
}

struct Lowering<'a> {
    graph: &'a Graph,
    options: &'a Options,
    work: Work,
    /// How often each tensor is still to be read.
    uses: HashMap<&'a str, usize>,
    values: HashMap<&'a str, Value>,
    made: Vec<Made>,
    /// Weights of all layers.
    weights: u64,
    input_name: &'a str,
    /// Whether the channels are the last dimension of the input.
    channels_last: bool,
    input: Option<(InputRule, Precision)>,
    tensors: Vec<TensorRule>,
    /// Names in `tensors`.
    named: HashSet<String>,
    folds: Vec<crate::model::Fold>,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a Graph, options: &'a Options) -> Result<Self, LowerError> {
        let is_real = |name: &&String| !graph.constants.contains_key(*name);
        let inputs: Vec<&String> = graph.inputs.iter().filter(is_real).collect();
        let [input] = inputs[..] else {
            let name = inputs.get(1).map_or("", |name| name.as_str());
            return Err(ends(
                "input",
                name,
                format!("there are {} inputs", inputs.len()),
                "export a graph with one input",
            ));
        };
        let mut uses = HashMap::new();
        let read = graph.nodes.iter().flat_map(|node| &node.inputs);
        for name in read.chain(&graph.outputs) {
            *uses.entry(name.as_str()).or_insert(0) += 1;
        }
        let mut lowering = Lowering {
            graph,
            options,
            work: Work::new(WORK_MAX),
            uses,
            values: HashMap::new(),
            made: Vec::new(),
            weights: 0,
            input_name: input,
            channels_last: is_channels_last(graph, input),
            input: None,
            tensors: Vec::new(),
            named: HashSet::new(),
            folds: Vec::new(),
        };
        let feature = lowering.input_feature(input)?;
        lowering
            .values
            .insert(input, Value::Input(Box::new(feature)));
        Ok(lowering)
    }

    /// The graph's input as a feature map.
    fn input_feature(&self, name: &str) -> Result<Feature, LowerError> {
        let shape = self.graph.shapes.get(name).map_or(&[][..], Vec::as_slice);
        let is_small = |d: &usize| (1..=SIZE_MAX as usize).contains(d);
        if !(2..=4).contains(&shape.len()) || !shape[1..].iter().all(is_small) {
            return Err(ends(
                "input",
                name,
                format!("its shape is {shape:?}"),
                "give it 2 to 4 dimensions, the batch first, each of the others 1..=65535",
            ));
        }
        let is_last = shape.len() == 4 && self.channels_last;
        let size = |i: usize| shape.get(i).map_or(1, |d| *d as u32);
        let (axes, shape) = match shape.len() {
            4 if is_last => (
                &[Axis::Batch, Axis::Height, Axis::Width, Axis::Channel][..],
                Shape::new(size(1), size(2), size(3)),
            ),
            4 => (
                &[Axis::Batch, Axis::Channel, Axis::Height, Axis::Width][..],
                Shape::new(size(2), size(3), size(1)),
            ),
            3 => (
                &[Axis::Batch, Axis::Channel, Axis::Width][..],
                Shape::new(1, size(2), size(1)),
            ),
            _ => (&[Axis::Batch, Axis::Channel][..], Shape::new(1, 1, size(1))),
        };
        Ok(Feature {
            shape,
            layout: Layout::new(axes, shape),
            source: Source::Input(None, Vec::new()),
            grid: None,
            border: None,
        })
    }

    fn error(&self, index: usize, refusal: Refusal) -> LowerError {
        let node = &self.graph.nodes[refusal.node.unwrap_or(index)];
        let (name, operator) = (node.name.clone(), node.op.name());
        match refusal.inexact {
            Some((layer, steps, wrong)) => LowerError::Inexact {
                node: name,
                operator,
                layer,
                steps,
                wrong,
            },
            None => LowerError::Node {
                node: name,
                operator,
                field: refusal.field,
                reason: refusal.reason,
                fix: refusal.fix,
            },
        }
    }

    fn node(&mut self, index: usize) -> Found<()> {
        let graph = self.graph;
        let node = &graph.nodes[index];
        let is_constant = |name: &String| {
            name.is_empty()
                || graph.constants.contains_key(name)
                || matches!(self.values.get(name.as_str()), Some(Value::Weights(_)))
        };
        let value = if node.inputs.iter().all(is_constant) {
            match self.constant_node(node) {
                Ok(weights) => Some(Value::Weights(Rc::new(weights))),
                Err(_) if graph.constants.contains_key(&node.output) => None,
                Err(refusal) => return Err(refusal),
            }
        } else {
            let feature = self.feature_node(index, node)?;
            self.check_shape(node, &feature)?;
            Some(self.shared(index, node, feature)?)
        };
        for name in &node.inputs {
            if let Some(left) = self.uses.get_mut(name.as_str()) {
                *left -= 1;
                if *left == 0 {
                    self.values.remove(name.as_str());
                }
            }
        }
        let is_read = self.uses.contains_key(node.output.as_str());
        if let Some(value) = value.filter(|_| is_read) {
            self.values.insert(&node.output, value);
        }
        Ok(())
    }

    /// Checks a feature map against the dimensions of its tensor: operations on single numbers keep the feature map, and so
    /// must their constants, which may widen it where all of their numbers are one.
    fn check_shape(&self, node: &Node, feature: &Feature) -> Found<()> {
        let Some(expected) = self.graph.shapes.get(&node.output) else {
            return Ok(());
        };
        let batch = self.graph.shapes.get(self.input_name);
        let batch = batch.and_then(|shape| shape.first()).copied();
        let pads = feature.border.as_ref().map_or([0; 4], |border| border.pads);
        let size = |(dimension, held): (usize, &Vec<Axis>)| match held[..] {
            [Axis::Batch] => batch.unwrap_or(1),
            _ => {
                let size: usize = held
                    .iter()
                    .map(|a| value::length(*a, feature.shape))
                    .product();
                // A border stands around a feature map in the order of ONNX: width last, height before it.
                let padded = match feature.layout.0.len() - dimension {
                    1 => pads[1] + pads[3],
                    2 => pads[0] + pads[2],
                    _ => 0,
                };
                size + padded as usize
            }
        };
        let found: Vec<usize> = feature.layout.0.iter().enumerate().map(size).collect();
        require(
            found == *expected,
            "inputs",
            || format!("it makes {expected:?} of a feature map of {found:?}"),
            "give constants of one number, or of one for each channel",
        )
    }

    /// What is read by several nodes becomes codes at once, if it is quantized.
    fn shared(&mut self, index: usize, node: &Node, feature: Feature) -> Found<Value> {
        if matches!(feature.source, Source::Input(..)) && feature.grid.is_none() {
            return Ok(Value::Input(Box::new(feature)));
        }
        let mut feature = self.named(feature, &node.output);
        if feature.grid.is_some() && self.uses.get(node.output.as_str()).is_some_and(|n| *n > 1) {
            let border = feature.border.take();
            feature = self.close(index, feature)?;
            feature.border = border;
        }
        Ok(Value::Feature(Box::new(feature)))
    }

    /// Notes that a tensor of the file holds the integers of a feature.
    fn named(&mut self, mut feature: Feature, name: &str) -> Feature {
        if feature.border.is_some() {
            return feature;
        }
        match &mut feature.source {
            Source::Input(_, names) => names.push(name.to_owned()),
            Source::Codes(codes) => {
                let tensor = codes.tensor;
                self.rule(name, tensor, false);
            }
            Source::Chain(chain) if feature.grid.is_some() => chain.names.push(name.to_owned()),
            Source::Chain(chain) if chain.is_accumulator() => {
                chain.accumulators.push(name.to_owned());
            }
            Source::Chain(_) => {}
        }
        feature
    }

    fn rule(&mut self, name: &str, tensor: TensorId, is_accumulator: bool) {
        if !self.named.insert(name.to_owned()) {
            return;
        }
        self.tensors.push(TensorRule {
            name: name.to_owned(),
            tensor,
            is_accumulator,
        });
    }

    fn feature_node(&mut self, index: usize, node: &'a Node) -> Found<Feature> {
        match &node.op {
            Op::Conv { sweep, groups } => self.convolution(index, node, sweep, *groups),
            Op::Gemm { .. } | Op::MatMul => self.dense(index, node),
            Op::MaxPool(sweep) => self.max_pool(index, node, sweep),
            Op::AveragePool {
                sweep,
                count_include_pad,
            } => self.average_pool(index, node, sweep, *count_include_pad),
            Op::GlobalAveragePool => self.global_average_pool(index, node),
            Op::Flatten { .. } | Op::Reshape { .. } | Op::Transpose { .. } | Op::Identity => {
                self.renamed(node)
            }
            Op::Concat { .. } => refuse(
                "inputs",
                "activations of several tensors are put behind each other, which no layer of the accelerator does",
                "add them, or let one layer give all of the channels",
            ),
            Op::Pad { pads, value } => self.pad(index, node, pads, *value),
            Op::Add | Op::Sub if self.is_feature(node, 0) && self.is_feature(node, 1) => {
                self.sum(index, node)
            }
            _ => self.elementwise(index, node),
        }
    }

    /// Whether an input is an activation.
    fn is_feature(&self, node: &Node, input: usize) -> bool {
        let name = node.inputs.get(input).map_or("", String::as_str);
        matches!(
            self.values.get(name),
            Some(Value::Input(_) | Value::Feature(_))
        )
    }

    /// Takes units for so many numbers; refuses when none are left.
    fn spend(&self, units: u64, numbers: usize) -> Found<()> {
        self.work.take(units.saturating_mul(numbers as u64));
        self.check_work()
    }

    fn check_work(&self) -> Found<()> {
        require(
            !self.work.is_spent(),
            "graph",
            || {
                "folding the operations up to here takes more work than any known network"
                    .to_owned()
            },
            "fold constants when the model is exported, and take few channels or levels where many operations follow each other",
        )
    }

    /// An activation that a node reads; nothing is copied for the last one that does.
    fn feature(&mut self, node: &Node, input: usize) -> Found<Feature> {
        let name = node.inputs.get(input).map_or("", String::as_str);
        let is_last = self.uses.get(name) == Some(&1) && self.is_feature(node, input);
        if is_last
            && let Some(Value::Input(found) | Value::Feature(found)) = self.values.remove(name)
        {
            return Ok(*found);
        }
        match self.values.get(name) {
            Some(Value::Input(feature) | Value::Feature(feature)) => Ok((**feature).clone()),
            _ => refuse(
                "inputs",
                format!("input {input}, `{name}`, is a constant where an activation is needed"),
                "put the activation there",
            ),
        }
    }

    /// An activation as codes, with the border that no layer has taken in yet.
    fn codes(&mut self, index: usize, node: &Node, input: usize) -> Found<(Feature, Codes)> {
        let feature = self.feature(node, input)?;
        self.as_codes(index, node, input, feature)
    }

    /// As [`Lowering::codes`], of the activation that was read there.
    fn as_codes(
        &mut self,
        index: usize,
        node: &Node,
        input: usize,
        mut feature: Feature,
    ) -> Found<(Feature, Codes)> {
        let border = feature.border.take();
        if matches!(feature.source, Source::Input(..)) && feature.grid.is_none() {
            feature = self.integer_input(feature)?;
        }
        let mut feature = self.close(index, feature)?;
        feature.border = border;
        match &feature.source {
            Source::Codes(codes) => {
                let codes = *codes;
                let name = node.inputs.get(input).map_or("", String::as_str);
                if let Some(value) = self.values.get_mut(name) {
                    // Others that read the tensor need not close it again.
                    *value = Value::Feature(Box::new(feature.clone()));
                }
                Ok((feature, codes))
            }
            _ => refuse("inputs", "the input is not quantized", "quantize it"),
        }
    }

    /// The graph's input as integers, by the option or its annotated type.
    fn integer_input(&mut self, mut feature: Feature) -> Found<Feature> {
        let name = self.input_name;
        let annotated = self.graph.datatypes.get(name);
        let precision = self.options.input;
        let precision = precision.or_else(|| annotated.and_then(|t| precision_of(t)));
        let Some(precision) = precision else {
            return refuse(
                "inputs",
                format!("the graph's input `{name}` comes to it without a quantizer"),
                "put a Quant behind the input, or name the encoding and bits of its integers (`--input-precision unsigned:4` for example)",
            );
        };
        if precision.encoding.check_bits(precision.bits).is_err() {
            return refuse(
                "inputs",
                format!(
                    "the input's precision, `{}` of {} bits, does not exist",
                    precision.encoding, precision.bits
                ),
                "choose 1..=8 bits, 2 for ternary",
            );
        }
        let (low, high) = precision.encoding.range(precision.bits);
        self.input_rule(&feature, None, (1, 0), precision)?;
        feature.source = Source::Codes(Codes {
            tensor: TensorId::Input,
            precision,
        });
        feature.grid = Some(Grid {
            low,
            high,
            scale: vec![number::whole(1)],
            offset: vec![number::whole(0)],
        });
        self.rule(name, TensorId::Input, false);
        Ok(feature)
    }

    /// Sets how the network's input comes about, or checks that it is the same as before.
    fn input_rule(
        &mut self,
        feature: &Feature,
        quantizer: Option<crate::model::InputQuantizer>,
        (factor, offset): (i64, i64),
        precision: Precision,
    ) -> Found<()> {
        let dimensions = &self.graph.shapes[self.input_name][1..];
        let rule = InputRule {
            name: self.input_name.to_owned(),
            dimensions: dimensions.to_vec(),
            shape: feature.shape,
            quantizer,
            factor,
            offset,
            channels_last: dimensions.len() == 3 && self.channels_last,
        };
        match &self.input {
            Some((found, as_coded)) if *found != rule || *as_coded != precision => refuse(
                "inputs",
                format!(
                    "the graph's input `{}` is quantized in two ways",
                    self.input_name
                ),
                "quantize it once",
            ),
            _ => {
                self.input = Some((rule, precision));
                Ok(())
            }
        }
    }

    /// The numbers of a constant tensor, exactly.
    fn constant(&self, name: &str) -> Option<(Vec<usize>, Vec<Rational>, Vec<f32>)> {
        if let Some(Value::Weights(weights)) = self.values.get(name) {
            self.work
                .take(EXACT_UNITS.saturating_mul(weights.integers.len() as u64));
            if self.work.is_spent() {
                return None;
            }
            let scale = weights.scale.broadcast(weights.integers.raw_dim())?;
            let exact: Vec<Rational> = ndarray::Zip::from(&weights.integers)
                .and(&scale)
                .map_collect(|q, s| number::whole((*q).into()) * s)
                .into_iter()
                .collect();
            let float = exact.iter().map(number::to_f32).collect();
            return Some((weights.integers.shape().to_vec(), exact, float));
        }
        let array = self.graph.constants.get(name)?;
        self.work
            .take(EXACT_UNITS.saturating_mul(array.len() as u64));
        if self.work.is_spent() {
            return None;
        }
        let exact = rationals(array)?;
        let float = match array {
            Array::F32(a) => a.iter().copied().collect(),
            _ => exact.iter().map(number::to_f32).collect(),
        };
        Some((array.shape().to_vec(), exact, float))
    }

    /// A constant input as one number, or one for each channel of a feature with `rank` dimensions.
    fn numbers(
        &self,
        node: &Node,
        input: usize,
        field: &'static str,
        feature: &Feature,
    ) -> Found<number::Numbers> {
        let name = node.inputs.get(input).map_or("", String::as_str);
        let Some((shape, exact, float)) = self.constant(name) else {
            return refuse(
                field,
                format!("`{name}` is no constant of finite numbers"),
                "make it one",
            );
        };
        require(
            !exact.is_empty(),
            field,
            || format!("`{name}` is empty"),
            "give it numbers",
        )?;
        if exact.iter().all(|v| *v == exact[0]) {
            return Ok(number::Numbers {
                exact: exact[..1].into(),
                float: float[..1].into(),
            });
        }
        let rank = feature.layout.0.len();
        let wide = shape.iter().enumerate().filter(|(_, d)| **d > 1);
        let wide: Vec<usize> = wide
            .map(|(i, _)| i + rank - shape.len().min(rank))
            .collect();
        let is_channel = shape.len() <= rank
            && wide.len() == 1
            && feature.layout.is_channel(wide[0], feature.shape)
            && exact.len() == feature.shape.channels as usize;
        require(
            is_channel,
            field,
            || format!("`{name}` of shape {shape:?} has other numbers within a channel"),
            "give one number, or one for each channel",
        )?;
        Ok(number::Numbers {
            exact: exact.into(),
            float: float.into(),
        })
    }

    /// A list of one number for each channel, or one.
    fn channel_list(
        &self,
        node: &Node,
        input: usize,
        field: &'static str,
        channels: u32,
    ) -> Found<number::Numbers> {
        let name = node.inputs.get(input).map_or("", String::as_str);
        let Some((shape, mut exact, mut float)) = self.constant(name) else {
            return refuse(
                field,
                format!("`{name}` is no constant of finite numbers"),
                "make it one",
            );
        };
        require(
            exact.len() == channels as usize || exact.len() == 1,
            field,
            || format!("`{name}` has shape {shape:?} where there are {channels} channels"),
            "give one number for each channel",
        )?;
        if exact.iter().all(|v| *v == exact[0]) {
            exact.truncate(1);
            float.truncate(1);
        }
        Ok(number::Numbers {
            exact: exact.into(),
            float: float.into(),
        })
    }

    /// The same numbers under other dimensions.
    fn renamed(&mut self, node: &Node) -> Found<Feature> {
        let mut feature = self.feature(node, 0)?;
        let from = node.inputs.first().and_then(|n| self.graph.shapes.get(n));
        let from = from.map_or(&[][..], Vec::as_slice);
        let dimensions = match &node.op {
            Op::Flatten { axis } => {
                let axis = (*axis).min(from.len());
                vec![from[..axis].iter().product(), from[axis..].iter().product()]
            }
            Op::Reshape { shape } => shape.clone(),
            Op::Transpose { order } => {
                let Some(layout) = feature.layout.transposed(order) else {
                    return refuse(
                        "perm",
                        format!("{order:?} moves the batch"),
                        "keep the batch the first dimension",
                    );
                };
                feature.layout = layout;
                return Ok(feature);
            }
            _ => return Ok(feature),
        };
        let layout = feature.layout.reshaped(feature.shape, &dimensions);
        match layout.filter(|_| dimensions.first() == from.first()) {
            Some(layout) => {
                feature.layout = layout;
                Ok(feature)
            }
            None => refuse(
                "shape",
                format!(
                    "{from:?} to {dimensions:?} cuts a dimension of the feature map or the batch"
                ),
                "flatten whole dimensions and keep the batch",
            ),
        }
    }

    /// Adds a layer.
    fn push(
        &mut self,
        node: usize,
        layer: Layer,
        shape: Shape,
        scale: Vec<f64>,
    ) -> Found<TensorId> {
        if let Operation::Convolution(convolution) = &layer.operation {
            self.weights += convolution.weights.values().len() as u64;
        }
        require(
            self.weights <= NUMBERS_MAX && self.made.len() < xnorforge_sim::network::LAYERS_MAX,
            "layers",
            || format!("more than {NUMBERS_MAX} weights or 4096 layers in all"),
            "split the graph",
        )?;
        self.made.push(Made {
            layer,
            shape,
            node,
            scale,
        });
        Ok(TensorId::Layer(self.made.len() - 1))
    }

    fn finish(mut self) -> Result<Model, LowerError> {
        let mut outputs = Vec::new();
        let mut ids = Vec::new();
        let nodes = self.graph.nodes.iter().enumerate();
        let producers: HashMap<&str, usize> = nodes
            .map(|(index, node)| (node.output.as_str(), index))
            .collect();
        for name in &self.graph.outputs {
            let Some(node) = producers.get(name.as_str()).copied() else {
                return Err(ends(
                    "output",
                    name,
                    "no node gives it".to_owned(),
                    "name the output of a node",
                ));
            };
            let done = self.output(node, name);
            let (id, rule) = done.map_err(|refusal| self.error(node, *refusal))?;
            if ids.contains(&id) {
                return Err(ends(
                    "output",
                    name,
                    format!("it is {id}, as another output is"),
                    "list it once",
                ));
            }
            ids.push(id);
            outputs.push(rule);
        }
        let Some((input, precision)) = self.input.take() else {
            return Err(ends(
                "input",
                self.input_name,
                "no layer reads it".to_owned(),
                "connect it to the output",
            ));
        };
        let nodes: Vec<usize> = self.made.iter().map(|made| made.node).collect();
        let scales = self.made.iter().map(|made| made.scale.clone()).collect();
        let network = Network {
            name: self.graph.name.clone(),
            input: input.shape,
            precision,
            layers: self.made.into_iter().map(|made| made.layer).collect(),
            outputs: ids,
        };
        check(&network, &nodes, self.graph)?;
        Ok(Model {
            network,
            input,
            outputs,
            scales,
            tensors: self.tensors,
            folds: self.folds,
        })
    }

    /// An output of the network, codes or accumulators.
    fn output(&mut self, node: usize, name: &str) -> Found<(TensorId, OutputRule)> {
        let found = self.ended(node, name);
        self.check_work().and(found)
    }

    fn ended(&mut self, node: usize, name: &str) -> Found<(TensorId, OutputRule)> {
        let feature = match self.values.get(name) {
            Some(Value::Feature(feature)) => (**feature).clone(),
            _ => {
                return refuse(
                    "output",
                    format!("`{name}` does not come from a layer"),
                    "put a layer before the output",
                );
            }
        };
        if let Some(border) = &feature.border {
            return refuse(
                "output",
                format!(
                    "`{name}` is padded by `{}`",
                    self.graph.nodes[border.node].name
                ),
                "leave the padding to the layer that reads it",
            );
        }
        let (tensor, scale, offset) = if feature.grid.is_some() {
            let feature = self.close(node, feature)?;
            let (Source::Codes(codes), Some(grid)) = (&feature.source, &feature.grid) else {
                return refuse("output", "it is not quantized", "quantize it");
            };
            (codes.tensor, grid.scale.clone(), grid.offset.clone())
        } else {
            self.raw(node, feature)?
        };
        let scale = zip(&scale, &offset, |s, _| to_f64(s));
        let offset = offset.iter().map(to_f64).collect();
        Ok((
            tensor,
            OutputRule {
                name: name.to_owned(),
                scale,
                offset,
            },
        ))
    }
}

/// Whether the first thing that moves the input's dimensions says that the channels are last.
fn is_channels_last(graph: &Graph, name: &str) -> bool {
    let mut tensor = name;
    for node in &graph.nodes {
        if node.inputs.first().map(String::as_str) != Some(tensor) {
            continue;
        }
        match &node.op {
            Op::Transpose { order } => return order[..] == [0, 3, 1, 2],
            Op::Identity
            | Op::Quant { .. }
            | Op::BipolarQuant
            | Op::QuantizeLinear { .. }
            | Op::DequantizeLinear { .. }
            | Op::Clip { .. }
            | Op::Add
            | Op::Sub
            | Op::Mul
            | Op::Div => tensor = &node.output,
            _ => return false,
        }
    }
    false
}

/// Checks the network; what is wrong with a layer is said with its node.
fn check(network: &Network, nodes: &[usize], graph: &Graph) -> Result<(), LowerError> {
    let Err(source) = network.check() else {
        return Ok(());
    };
    match &source {
        NetworkError::Layer { index, .. } => {
            let node = &graph.nodes[nodes[*index]];
            Err(LowerError::Network {
                node: node.name.clone(),
                operator: node.op.name(),
                source: Box::new(source),
            })
        }
        NetworkError::Ends(_) => Err(LowerError::NetworkEnds(Box::new(source))),
    }
}

fn ends(field: &'static str, tensor: &str, reason: String, fix: &str) -> LowerError {
    LowerError::Ends {
        field,
        tensor: tensor.to_owned(),
        reason,
        fix: fix.to_owned(),
    }
}

/// The numbers of an array; none if one is not finite.
fn rationals(array: &Array) -> Option<Vec<Rational>> {
    let whole = |v: i64| Some(number::whole(v));
    match array {
        Array::F32(a) => a.iter().map(|v| exact(*v)).collect(),
        Array::F64(a) => a.iter().map(|v| Rational::from_float(*v)).collect(),
        Array::I8(a) => a.iter().map(|v| whole((*v).into())).collect(),
        Array::U8(a) => a.iter().map(|v| whole((*v).into())).collect(),
        Array::I32(a) => a.iter().map(|v| whole((*v).into())).collect(),
        Array::I64(a) => a.iter().map(|v| whole(*v)).collect(),
    }
}

/// The precision of a data type of FINN.
fn precision_of(datatype: &str) -> Option<Precision> {
    let bits = |prefix: &str| datatype.strip_prefix(prefix)?.parse::<u32>().ok();
    match datatype {
        "BIPOLAR" => Some(Precision::new(Encoding::Bipolar, 1)),
        "TERNARY" => Some(Precision::new(Encoding::Ternary, 2)),
        "BINARY" => Some(Precision::new(Encoding::Unsigned, 1)),
        _ => bits("UINT")
            .map(|b| Precision::new(Encoding::Unsigned, b))
            .or_else(|| bits("INT").map(|b| Precision::new(Encoding::Signed, b))),
    }
}
