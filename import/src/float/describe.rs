//! Float networks from arrays: a description in TOML, and an `.npz` or `.safetensors` file with the weights.
//!
//! The layers are those of a description without weights ([`crate::topology`]), and those that hold or need no integers:
//!
//! ```toml
//! [network]
//! name = "small"
//! input = [3, 32, 32]        # channels, height, width; or [features]
//!
//! [[layer]]
//! kind = "conv"              # weights `stem.weight` [O, C / groups, kh, kw], and `stem.bias` if there is one
//! name = "conv1"
//! weights = "stem"           # without it, the layer's name
//! stride = 2                 # 1 without it; out_channels and kernel may be given, and are checked
//! padding = 1
//!
//! [[layer]]
//! kind = "batch_norm"        # bn1.weight, bn1.bias, bn1.running_mean, bn1.running_var
//! name = "bn1"
//! epsilon = 1e-5
//!
//! [[layer]]
//! kind = "relu"              # or clip, with low and high
//!
//! [[layer]]
//! kind = "add"               # also: max_pool, average_pool, global_average_pool, flatten
//! inputs = ["relu3", "bn1"]
//!
//! [[layer]]
//! kind = "linear"            # fc.weight [out_features, in_features], fc.bias
//! name = "fc"
//! ```
//!
//! A layer reads the one before it if it says nothing else; "input" is the network's. Layers that no other one reads give
//! the network's outputs. Precisions stand in the precision file ([`super::options`]).

use super::arrays::{Arrays, ArraysError};
use crate::execute::floats;
use crate::graph::{Array, Graph, NODES_MAX, NUMBERS_MAX, Node, Op, Pair, Sweep};
use crate::sizes::Size;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;

/// Longest description in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 4 << 20;
/// The name by which layers read the network's input, and the name of that tensor.
const INPUT: &str = "input";
/// PyTorch's default.
const EPSILON: f32 = 1e-5;

/// A description that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{place}{problem}")]
pub struct DescribeError {
    /// Line and layer, followed by a colon; empty if it is about the whole file.
    pub place: String,
    /// What is wrong.
    pub problem: Box<DescribeProblem>,
}

/// What is wrong with a description.
#[derive(Debug, thiserror::Error)]
pub enum DescribeProblem {
    /// No TOML, or other fields than there are.
    #[error("{0}")]
    Syntax(String),
    /// A number out of range.
    #[error("{field} is {value}: {rule}")]
    Value {
        /// The field.
        field: &'static str,
        /// What was found.
        value: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// A field that means nothing here.
    #[error("`{field}` means nothing for a layer of kind \"{kind}\": remove it")]
    Foreign {
        /// The field.
        field: &'static str,
        /// The layer's kind.
        kind: &'static str,
    },
    /// A field that is needed.
    #[error("`{field}` is missing: {fix}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What to write.
        fix: &'static str,
    },
    /// An input that no layer before gives.
    #[error("there is no layer `{0}` before it: name one, or \"input\"")]
    NoSuchInput(String),
    /// A name that exists.
    #[error("the name is that of the input or of a layer before it: choose another")]
    NameTaken,
    /// The data do not fit the layer.
    #[error("its input has shape {found:?} (without the batch), {rule}")]
    Input {
        /// Shape of the data, without the batch.
        found: Vec<usize>,
        /// What holds for fitting data.
        rule: String,
    },
    /// An array of a wrong shape.
    #[error("array `{array}` has shape {found:?}, expected {expected}")]
    Shape {
        /// The array.
        array: String,
        /// Its shape.
        found: Vec<usize>,
        /// What is expected.
        expected: String,
    },
    /// An array that cannot be read.
    #[error(transparent)]
    Array(#[from] ArraysError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    network: RawNetwork,
    #[serde(default)]
    layer: Vec<Spanned<RawLayer>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNetwork {
    name: String,
    input: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLayer {
    name: Option<String>,
    kind: Kind,
    input: Option<String>,
    inputs: Option<Vec<String>>,
    weights: Option<String>,
    out_channels: Option<usize>,
    out_features: Option<usize>,
    kernel: Option<Size>,
    stride: Option<Size>,
    padding: Option<Size>,
    dilation: Option<Size>,
    groups: Option<u32>,
    epsilon: Option<f32>,
    low: Option<f32>,
    high: Option<f32>,
    count_include_pad: Option<bool>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Conv,
    Linear,
    BatchNorm,
    Relu,
    Clip,
    MaxPool,
    AveragePool,
    GlobalAveragePool,
    Add,
    Flatten,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Conv => "conv",
            Kind::Linear => "linear",
            Kind::BatchNorm => "batch_norm",
            Kind::Relu => "relu",
            Kind::Clip => "clip",
            Kind::MaxPool => "max_pool",
            Kind::AveragePool => "average_pool",
            Kind::GlobalAveragePool => "global_average_pool",
            Kind::Add => "add",
            Kind::Flatten => "flatten",
        }
    }
}

/// Reads a description and the arrays that it names as a graph of batch 1. 64-bit floats are rounded to 32 bits.
///
/// # Errors
/// [`DescribeError`] with line and layer: another syntax, layers that do not fit, arrays that are missing or of a wrong shape.
pub fn describe(text: &str, arrays: &Arrays) -> Result<Graph, DescribeError> {
    let whole = |problem| DescribeError {
        place: String::new(),
        problem: Box::new(problem),
    };
    if text.len() > DESCRIPTION_BYTES_MAX {
        let text = format!(
            "it has {} bytes, the limit is {DESCRIPTION_BYTES_MAX}",
            text.len()
        );
        return Err(whole(DescribeProblem::Syntax(text)));
    }
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count();
    let file: File = toml::from_str(text).map_err(|e| DescribeError {
        place: e.span().map_or(String::new(), |span| {
            format!("line {}: ", line_of(span.start))
        }),
        problem: Box::new(DescribeProblem::Syntax(e.message().replace('\n', " "))),
    })?;
    let mut describer = Describer::new(&file.network, arrays).map_err(whole)?;
    if file.layer.len() > NODES_MAX / 2 {
        return Err(whole(DescribeProblem::Value {
            field: "the number of layers",
            value: file.layer.len().to_string(),
            rule: "it is at most 32768",
        }));
    }
    for (index, layer) in file.layer.iter().enumerate() {
        let line = line_of(layer.span().start);
        let layer = layer.as_ref();
        let name = layer
            .name
            .clone()
            .unwrap_or_else(|| format!("{}{}", layer.kind.name(), index + 1));
        describer
            .layer(layer, &name)
            .map_err(|problem| DescribeError {
                place: format!("line {line}, layer `{name}`: "),
                problem: Box::new(problem),
            })?;
    }
    Ok(describer.finish())
}

struct Describer<'a> {
    arrays: &'a Arrays,
    graph: Graph,
    /// Tensor of each layer.
    tensors: BTreeMap<String, String>,
    read: BTreeSet<String>,
    last: String,
}

impl<'a> Describer<'a> {
    fn new(network: &RawNetwork, arrays: &'a Arrays) -> Result<Self, DescribeProblem> {
        if !matches!(network.input.len(), 1 | 3) {
            return Err(DescribeProblem::Value {
                field: "network.input",
                value: format!("{:?}", network.input),
                rule: "give [channels, height, width] or [features]",
            });
        }
        let mut graph = Graph {
            name: network.name.clone(),
            inputs: vec![INPUT.to_owned()],
            ..Graph::default()
        };
        let shape = [&[1], network.input.as_slice()].concat();
        check_size("network.input", &shape)?;
        graph.shapes.insert(INPUT.to_owned(), shape);
        Ok(Describer {
            arrays,
            graph,
            tensors: BTreeMap::from([(INPUT.to_owned(), INPUT.to_owned())]),
            read: BTreeSet::new(),
            last: INPUT.to_owned(),
        })
    }

    fn finish(mut self) -> Graph {
        let names = self.graph.nodes.iter().map(|node| node.output.clone());
        self.graph.outputs = names.filter(|name| !self.read.contains(name)).collect();
        if self.graph.outputs.is_empty() {
            self.graph.outputs = self.graph.inputs.clone();
        }
        self.graph
    }

    fn layer(&mut self, layer: &RawLayer, name: &str) -> Result<(), DescribeProblem> {
        check_fields(layer)?;
        if self.tensors.contains_key(name) {
            return Err(DescribeProblem::NameTaken);
        }
        let inputs = self.inputs(layer)?;
        let shape = self.graph.shapes[&inputs[0]].clone();
        let prefix = layer.weights.as_deref().unwrap_or(name);
        match layer.kind {
            Kind::Conv => self.convolution(layer, name, prefix, (&inputs[0], &shape))?,
            Kind::Linear => self.linear(layer, name, prefix, (&inputs[0], &shape))?,
            Kind::BatchNorm => self.batch_norm(layer, name, prefix, (&inputs[0], &shape))?,
            Kind::Relu => self.node(name, Op::Relu, inputs, shape)?,
            Kind::Clip => {
                let (low, high) = (layer.low, layer.high);
                if low.zip(high).is_some_and(|(low, high)| low > high)
                    || [low, high].iter().flatten().any(|b| b.is_nan())
                {
                    return Err(DescribeProblem::Value {
                        field: "low, high",
                        value: format!(
                            "{}, {}",
                            low.unwrap_or(f32::NEG_INFINITY),
                            high.unwrap_or(f32::INFINITY)
                        ),
                        rule: "they are numbers, and low is at most high",
                    });
                }
                self.node(name, Op::Clip { low, high }, inputs, shape)?;
            }
            Kind::MaxPool | Kind::AveragePool => {
                let kernel = layer.kernel.ok_or(DescribeProblem::Missing {
                    field: "kernel",
                    fix: "give a whole number or [y, x]",
                })?;
                let kernel = pair_of(kernel, "kernel")?;
                let sweep = sweep(layer, kernel, kernel)?;
                let shape = swept(&shape, &sweep, None)?;
                let op = match layer.kind {
                    Kind::MaxPool => Op::MaxPool(sweep),
                    _ => Op::AveragePool {
                        sweep,
                        count_include_pad: layer.count_include_pad.unwrap_or(true),
                    },
                };
                self.node(name, op, inputs, shape)?;
            }
            Kind::GlobalAveragePool => {
                let channels = channels_of_map(&shape)?;
                self.node(name, Op::GlobalAveragePool, inputs, vec![1, channels, 1, 1])?;
            }
            Kind::Add => {
                let other = &self.graph.shapes[&inputs[1]];
                if *other != shape {
                    return Err(DescribeProblem::Input {
                        found: shape[1..].to_vec(),
                        rule: format!("the other one {:?}: both must be equal", &other[1..]),
                    });
                }
                self.node(name, Op::Add, inputs, shape)?;
            }
            Kind::Flatten => self.flatten(name, &inputs[0], &shape)?,
        }
        self.tensors.insert(name.to_owned(), name.to_owned());
        self.last = name.to_owned();
        Ok(())
    }

    /// The tensors that a layer reads.
    fn inputs(&mut self, layer: &RawLayer) -> Result<Vec<String>, DescribeProblem> {
        let named: Vec<&str> = match (&layer.input, &layer.inputs) {
            (Some(input), None) => vec![input],
            (None, Some(inputs)) => inputs.iter().map(String::as_str).collect(),
            (None, None) => vec![&self.last],
            (Some(_), Some(_)) => {
                return Err(DescribeProblem::Foreign {
                    field: "input",
                    kind: layer.kind.name(),
                });
            }
        };
        if layer.kind == Kind::Add && named.len() != 2 {
            return Err(DescribeProblem::Missing {
                field: "inputs",
                fix: "name the two layers that are added",
            });
        }
        let find = |name: &&str| {
            let tensor = self.tensors.get(*name).cloned();
            tensor.ok_or_else(|| DescribeProblem::NoSuchInput((*name).to_owned()))
        };
        let inputs: Vec<String> = named.iter().map(find).collect::<Result<_, _>>()?;
        self.read.extend(inputs.iter().cloned());
        Ok(inputs)
    }

    fn convolution(
        &mut self,
        layer: &RawLayer,
        name: &str,
        prefix: &str,
        (input, shape): (&str, &[usize]),
    ) -> Result<(), DescribeProblem> {
        let channels = channels_of_map(shape)?;
        let weights = format!("{prefix}.weight");
        let dimensions = self.array(&weights)?;
        let groups = layer.groups.unwrap_or(1);
        let of_group = (channels as u32)
            .checked_div(groups)
            .filter(|c| c * groups == channels as u32);
        let of_group = of_group.ok_or(DescribeProblem::Value {
            field: "groups",
            value: groups.to_string(),
            rule: "it divides the input's channels",
        })?;
        let wrong = |expected: String| DescribeProblem::Shape {
            array: weights.clone(),
            found: dimensions.clone(),
            expected,
        };
        let kernel = match *dimensions {
            [outputs, c, h, w]
                if c == of_group as usize && outputs.is_multiple_of(groups as usize) =>
            {
                (narrow(h), narrow(w))
            }
            _ => {
                return Err(wrong(format!(
                    "[out_channels, {of_group}, kernel, kernel]: the input has {channels} channels in {groups} group(s)"
                )));
            }
        };
        if let Some(given) = layer
            .kernel
            .map(|k| pair_of(k, "kernel"))
            .transpose()?
            .filter(|k| *k != kernel)
        {
            return Err(wrong(format!(
                "a kernel of {given:?} as the description says"
            )));
        }
        if let Some(given) = layer.out_channels.filter(|given| *given != dimensions[0]) {
            return Err(wrong(format!(
                "{given} output channels as the description says"
            )));
        }
        let sweep = sweep(layer, kernel, (1, 1))?;
        let shape = swept(shape, &sweep, Some(dimensions[0]))?;
        let mut inputs = vec![input.to_owned(), weights.clone()];
        inputs.extend(self.bias(prefix, dimensions[0])?);
        self.node(name, Op::Conv { sweep, groups }, inputs, shape)
    }

    fn linear(
        &mut self,
        layer: &RawLayer,
        name: &str,
        prefix: &str,
        (input, shape): (&str, &[usize]),
    ) -> Result<(), DescribeProblem> {
        let features: usize = shape[1..].iter().product();
        let weights = format!("{prefix}.weight");
        let dimensions = self.array(&weights)?;
        let fits = matches!(*dimensions, [outputs, inputs]
            if inputs == features && layer.out_features.is_none_or(|given| given == outputs));
        if !fits {
            let outputs = layer
                .out_features
                .map_or("out_features".to_owned(), |given| given.to_string());
            return Err(DescribeProblem::Shape {
                array: weights,
                found: dimensions,
                expected: format!("[{outputs}, {features}]: the input has {features} features"),
            });
        }
        let mut input = input.to_owned();
        if shape.len() > 2 {
            let flat = format!("{name}.flatten");
            self.flatten(&flat, &input, shape)?;
            self.read.insert(flat.clone());
            input = flat;
        }
        let mut inputs = vec![input, weights];
        inputs.extend(self.bias(prefix, dimensions[0])?);
        let op = Op::Gemm {
            alpha: 1.0,
            beta: 1.0,
            transpose_a: false,
            transpose_b: true,
        };
        self.node(name, op, inputs, vec![1, dimensions[0]])
    }

    fn batch_norm(
        &mut self,
        layer: &RawLayer,
        name: &str,
        prefix: &str,
        (input, shape): (&str, &[usize]),
    ) -> Result<(), DescribeProblem> {
        let epsilon = layer.epsilon.unwrap_or(EPSILON);
        if !(epsilon >= 0.0 && epsilon.is_finite()) {
            return Err(DescribeProblem::Value {
                field: "epsilon",
                value: epsilon.to_string(),
                rule: "it is a finite number of at least 0; 1e-5 is PyTorch's",
            });
        }
        let mut inputs = vec![input.to_owned()];
        for part in ["weight", "bias", "running_mean", "running_var"] {
            let array = format!("{prefix}.{part}");
            self.vector(&array, shape[1])?;
            inputs.push(array);
        }
        self.node(
            name,
            Op::BatchNormalization { epsilon },
            inputs,
            shape.to_vec(),
        )
    }

    fn flatten(&mut self, name: &str, input: &str, shape: &[usize]) -> Result<(), DescribeProblem> {
        let features = shape[1..].iter().product();
        self.node(
            name,
            Op::Flatten { axis: 1 },
            vec![input.to_owned()],
            vec![1, features],
        )
    }

    /// The bias of a layer, if the file has one.
    fn bias(&mut self, prefix: &str, outputs: usize) -> Result<Option<String>, DescribeProblem> {
        let name = format!("{prefix}.bias");
        if !self.arrays.has(&name) {
            return Ok(None);
        }
        self.vector(&name, outputs)?;
        Ok(Some(name))
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<(), DescribeProblem> {
        let found = self.array(name)?;
        if found == [length] {
            return Ok(());
        }
        Err(DescribeProblem::Shape {
            array: name.to_owned(),
            found,
            expected: format!("[{length}]: one number for each channel"),
        })
    }

    /// Makes an array a constant of the graph, and gives its shape.
    fn array(&mut self, name: &str) -> Result<Vec<usize>, DescribeProblem> {
        if !self.graph.constants.contains_key(name) {
            let value = floats(&self.arrays.read(name)?);
            let shape = value.shape().to_vec();
            self.graph.shapes.insert(name.to_owned(), shape);
            self.graph
                .constants
                .insert(name.to_owned(), Array::F32(value));
        }
        Ok(self.graph.shapes[name].clone())
    }

    fn node(
        &mut self,
        name: &str,
        op: Op,
        inputs: Vec<String>,
        shape: Vec<usize>,
    ) -> Result<(), DescribeProblem> {
        check_size("the size of its output", &shape)?;
        // An array may have the name of a layer: tensors have one name space.
        if self.graph.shapes.insert(name.to_owned(), shape).is_some() {
            return Err(DescribeProblem::NameTaken);
        }
        self.graph.nodes.push(Node {
            name: name.to_owned(),
            op,
            inputs,
            output: name.to_owned(),
        });
        Ok(())
    }
}

/// Refuses fields that mean nothing for the layer's kind.
fn check_fields(layer: &RawLayer) -> Result<(), DescribeProblem> {
    use Kind::{Add, AveragePool, BatchNorm, Clip, Conv, Linear, MaxPool};
    let windows: &[Kind] = &[Conv, MaxPool, AveragePool];
    let fields = [
        ("out_channels", layer.out_channels.is_some(), &[Conv][..]),
        ("out_features", layer.out_features.is_some(), &[Linear]),
        ("kernel", layer.kernel.is_some(), windows),
        ("stride", layer.stride.is_some(), windows),
        ("padding", layer.padding.is_some(), windows),
        ("dilation", layer.dilation.is_some(), windows),
        ("groups", layer.groups.is_some(), &[Conv]),
        (
            "weights",
            layer.weights.is_some(),
            &[Conv, Linear, BatchNorm],
        ),
        ("epsilon", layer.epsilon.is_some(), &[BatchNorm]),
        ("low", layer.low.is_some(), &[Clip]),
        ("high", layer.high.is_some(), &[Clip]),
        (
            "count_include_pad",
            layer.count_include_pad.is_some(),
            &[AveragePool],
        ),
        ("inputs", layer.inputs.is_some(), &[Add]),
    ];
    let kind = layer.kind;
    let foreign = fields
        .into_iter()
        .find(|(_, is_given, kinds)| *is_given && !kinds.contains(&kind));
    match foreign {
        Some((field, ..)) => Err(DescribeProblem::Foreign {
            field,
            kind: kind.name(),
        }),
        None => Ok(()),
    }
}

fn check_size(field: &'static str, shape: &[usize]) -> Result<(), DescribeProblem> {
    let count = shape
        .iter()
        .try_fold(1usize, |product, &d| product.checked_mul(d));
    if count.is_some_and(|count| (1..=NUMBERS_MAX).contains(&count)) {
        return Ok(());
    }
    Err(DescribeProblem::Value {
        field,
        value: format!("{shape:?}"),
        rule: "dimensions are at least 1, and their product at most 2^28",
    })
}

fn channels_of_map(shape: &[usize]) -> Result<usize, DescribeProblem> {
    match *shape {
        [_, channels, _, _] => Ok(channels),
        _ => Err(DescribeProblem::Input {
            found: shape[1..].to_vec(),
            rule: "a feature map [channels, height, width] is needed".to_owned(),
        }),
    }
}

fn sweep(layer: &RawLayer, kernel: Pair, stride: Pair) -> Result<Sweep, DescribeProblem> {
    let pair = |field, size: Option<Size>, otherwise| match size {
        Some(size) => pair_of(size, field),
        None => Ok(otherwise),
    };
    Ok(Sweep {
        kernel,
        stride: pair("stride", layer.stride, stride)?,
        dilation: pair("dilation", layer.dilation, (1, 1))?,
        pads: layer.padding.map_or([0; 4], Size::sides),
    })
}

fn pair_of(size: Size, field: &'static str) -> Result<Pair, DescribeProblem> {
    size.pair().map_err(|sides| DescribeProblem::Value {
        field,
        value: format!("{sides:?}"),
        rule: "give one number, or [y, x]",
    })
}

/// Shape of what a sweep gives, with other channels if they are given.
fn swept(
    shape: &[usize],
    sweep: &Sweep,
    channels: Option<usize>,
) -> Result<Vec<usize>, DescribeProblem> {
    let own = channels_of_map(shape)?;
    let size = |input: usize, pads: [u32; 2], kernel: u32, stride: u32, dilation: u32| {
        let extent = u64::from(dilation) * u64::from(kernel.checked_sub(1)?) + 1;
        let room = (input as u64 + u64::from(pads[0]) + u64::from(pads[1])).checked_sub(extent)?;
        (dilation > 0).then_some(())?;
        usize::try_from(room.checked_div(stride.into())? + 1).ok()
    };
    let [top, left, bottom, right] = sweep.pads;
    let (kernel, stride, dilation) = (sweep.kernel, sweep.stride, sweep.dilation);
    let height = size(shape[2], [top, bottom], kernel.0, stride.0, dilation.0);
    let width = size(shape[3], [left, right], kernel.1, stride.1, dilation.1);
    match height.zip(width) {
        Some((height, width)) => Ok(vec![1, channels.unwrap_or(own), height, width]),
        None => Err(DescribeProblem::Input {
            found: shape[1..].to_vec(),
            rule: format!(
                "a kernel of {kernel:?} with stride {stride:?} and dilation {dilation:?} does not fit into it: padding is {:?}",
                sweep.pads
            ),
        }),
    }
}

/// A kernel's size; one past 32 bits fits no feature map.
fn narrow(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
