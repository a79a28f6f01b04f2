//! Descriptions in TOML.
//!
//! ```toml
//! [network]
//! name = "small"
//! input = [3, 32, 32]        # channels, height, width; or [features]
//! activation_bits = 2        # these are the values that are taken without them:
//! weight_bits = 2
//! activation_encoding = "unsigned"
//! weight_encoding = "signed" # `encoding` sets both
//! input_bits = 8             # without it, activation_bits
//! first_last_bits = 8        # weights of the first and the last layer, activations of the last; without it, as all
//!
//! [[layer]]
//! name = "conv1"             # without a name, its kind and number
//! kind = "conv"
//! out_channels = 16
//! kernel = 3                 # or [y, x]
//! stride = 2                 # 1 without it, the kernel for pools
//! padding = 1                # 0 without it; or [y, x], or [top, left, bottom, right]
//! dilation = 1
//! groups = 1                 # as many as input channels for a depthwise convolution
//! weight_bits = 4            # bits and encodings of this layer alone
//!
//! [[layer]]
//! kind = "conv"
//! out_channels = 16
//! kernel = 3
//! padding = 1
//! input = "conv1"            # the layer before without it; "input" is the network's
//! name = "conv2"
//!
//! [[layer]]
//! kind = "add"
//! inputs = ["conv2", "conv1"]
//!
//! [[layer]]
//! kind = "global_average_pool" # also: max_pool, average_pool, flatten
//!
//! [[layer]]
//! kind = "linear"
//! out_features = 10
//! ```

use super::{BITS_DEFAULT, Input, Kind, Layer, Problem, Source, Topology, TopologyError, Widths};
use crate::sizes::Size;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;
use xnorforge_sim::network::{Padding, Shape, Window};
use xnorforge_sim::{Encoding, Precision};

/// The name by which layers read the network's input.
const INPUT: &str = "input";

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
    input: Vec<u32>,
    input_bits: Option<u32>,
    input_encoding: Option<Encoding>,
    first_last_bits: Option<u32>,
    activation_bits: Option<u32>,
    weight_bits: Option<u32>,
    encoding: Option<Encoding>,
    activation_encoding: Option<Encoding>,
    weight_encoding: Option<Encoding>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLayer {
    name: Option<String>,
    kind: RawKind,
    input: Option<String>,
    inputs: Option<Vec<String>>,
    out_channels: Option<u32>,
    out_features: Option<u32>,
    kernel: Option<Size>,
    stride: Option<Size>,
    padding: Option<Size>,
    dilation: Option<Size>,
    groups: Option<u32>,
    activation_bits: Option<u32>,
    weight_bits: Option<u32>,
    encoding: Option<Encoding>,
    activation_encoding: Option<Encoding>,
    weight_encoding: Option<Encoding>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum RawKind {
    Conv,
    Linear,
    MaxPool,
    AveragePool,
    GlobalAveragePool,
    Add,
    Flatten,
}

impl RawKind {
    fn name(self) -> &'static str {
        match self {
            RawKind::Conv => "conv",
            RawKind::Linear => "linear",
            RawKind::MaxPool => "max_pool",
            RawKind::AveragePool => "average_pool",
            RawKind::GlobalAveragePool => "global_average_pool",
            RawKind::Add => "add",
            RawKind::Flatten => "flatten",
        }
    }
}

/// Reads the text of a description.
///
/// # Errors
/// A [`TopologyError`] with the line.
pub fn parse(text: &str, widths: &Widths) -> Result<Topology, TopologyError> {
    let line_of = |offset: usize| 1 + text[..offset.min(text.len())].matches('\n').count();
    let file: File = toml::from_str(text).map_err(|e| {
        let message = e.message().replace('\n', " ");
        let line = e.span().map_or(1, |span| line_of(span.start));
        TopologyError::from(Problem::Syntax(message)).at_line(line)
    })?;
    let lines: Vec<usize> = file.layer.iter().map(|l| line_of(l.span().start)).collect();
    let layers: Vec<&RawLayer> = file.layer.iter().map(|layer| layer.as_ref()).collect();
    let topology = build(&file.network, &layers, widths);
    let topology = topology.and_then(|topology| topology.outlines().map(|_| topology));
    topology.map_err(|error| match &error.layer {
        Some((index, _)) => {
            let line = lines[*index];
            error.at_line(line)
        }
        None => error,
    })
}

fn build(
    network: &RawNetwork,
    raw: &[&RawLayer],
    widths: &Widths,
) -> Result<Topology, TopologyError> {
    let defaults = Defaults::new(network, widths);
    let mut topology = Topology {
        name: network.name.clone(),
        inputs: vec![Input {
            shape: input_shape(&network.input)?,
            precision: defaults.input,
        }],
        layers: Vec::new(),
    };
    let mut names = BTreeMap::from([(INPUT.to_owned(), Source::Input(0))]);
    for (index, layer) in raw.iter().enumerate() {
        let name = layer_name(layer, index);
        let made = read_layer(layer, name.clone(), &topology, &names, &defaults);
        topology
            .layers
            .push(made.map_err(|problem| problem.in_layer(index, &name))?);
        if names.insert(name.clone(), Source::Layer(index)).is_some() {
            let problem = Problem::NameTaken("the input or of a layer before it".to_owned());
            return Err(problem.in_layer(index, &name));
        }
    }
    if let Some(bits) = widths.ends.or(network.first_last_bits) {
        topology.widen_ends(bits);
    }
    for (layer, raw) in topology.layers.iter_mut().zip(raw) {
        override_precisions(layer, raw);
    }
    Ok(topology)
}

/// Precisions of layers that say nothing of their own.
struct Defaults {
    input: Precision,
    activation: Precision,
    weight: Precision,
}

impl Defaults {
    fn new(network: &RawNetwork, widths: &Widths) -> Self {
        let precision = |own: Option<Encoding>, usual, bits: Option<u32>| {
            let encoding = own.or(network.encoding).unwrap_or(usual);
            Precision::new(encoding, bits.unwrap_or(BITS_DEFAULT))
        };
        let activation = precision(
            network.activation_encoding,
            Encoding::Unsigned,
            widths.activation.or(network.activation_bits),
        );
        Defaults {
            input: Precision {
                encoding: network.input_encoding.unwrap_or(activation.encoding),
                bits: network.input_bits.unwrap_or(activation.bits),
            },
            activation,
            weight: precision(
                network.weight_encoding,
                Encoding::Signed,
                widths.weight.or(network.weight_bits),
            ),
        }
    }
}

fn input_shape(input: &[u32]) -> Result<Shape, Problem> {
    match *input {
        [channels, height, width] => Ok(Shape::new(height, width, channels)),
        [features] => Ok(Shape::new(1, 1, features)),
        _ => Err(Problem::Syntax(format!(
            "network.input has {} numbers; give [channels, height, width] or [features]",
            input.len()
        ))),
    }
}

fn layer_name(layer: &RawLayer, index: usize) -> String {
    match &layer.name {
        Some(name) => name.clone(),
        None => format!("{}{}", layer.kind.name(), index + 1),
    }
}

fn read_layer(
    raw: &RawLayer,
    name: String,
    topology: &Topology,
    names: &BTreeMap<String, Source>,
    defaults: &Defaults,
) -> Result<Layer, Problem> {
    check_fields(raw)?;
    let sources = sources(raw, topology, names)?;
    let activation = match sources.as_slice() {
        [Source::Input(_)] => defaults.input,
        _ => defaults.activation,
    };
    Ok(Layer {
        name,
        kind: kind(raw)?,
        sources,
        activation,
        weight: defaults.weight,
    })
}

/// Refuses fields that mean nothing for the layer's kind.
fn check_fields(raw: &RawLayer) -> Result<(), Problem> {
    use RawKind::{Add, AveragePool, Conv, Linear, MaxPool};
    let windows: &[RawKind] = &[Conv, MaxPool, AveragePool];
    let weights: &[RawKind] = &[Conv, Linear];
    let has_encoding = raw.weight_encoding.is_some();
    for (field, is_given, kinds) in [
        ("out_channels", raw.out_channels.is_some(), &[Conv][..]),
        ("out_features", raw.out_features.is_some(), &[Linear]),
        ("kernel", raw.kernel.is_some(), windows),
        ("stride", raw.stride.is_some(), windows),
        ("padding", raw.padding.is_some(), windows),
        ("dilation", raw.dilation.is_some(), windows),
        ("groups", raw.groups.is_some(), &[Conv]),
        ("weight_bits", raw.weight_bits.is_some(), weights),
        ("weight_encoding", has_encoding, weights),
        ("inputs", raw.inputs.is_some(), &[Add]),
    ] {
        if is_given && !kinds.contains(&raw.kind) {
            let kind = raw.kind.name();
            return Err(Problem::Foreign { field, kind });
        }
    }
    Ok(())
}

/// What a layer reads: what it names, else the layer before.
fn sources(
    raw: &RawLayer,
    topology: &Topology,
    names: &BTreeMap<String, Source>,
) -> Result<Vec<Source>, Problem> {
    let find = |name: &String| {
        let source = names.get(name).copied();
        source.ok_or_else(|| Problem::NoSuchInput(name.clone()))
    };
    match (&raw.input, &raw.inputs) {
        (Some(_), Some(_)) => Err(Problem::Foreign {
            field: "input",
            kind: raw.kind.name(),
        }),
        (Some(name), None) => Ok(vec![find(name)?]),
        (None, Some(list)) => list.iter().map(find).collect(),
        (None, None) => Ok(vec![match topology.layers.len() {
            0 => Source::Input(0),
            count => Source::Layer(count - 1),
        }]),
    }
}

fn kind(raw: &RawLayer) -> Result<Kind, Problem> {
    Ok(match raw.kind {
        RawKind::Conv => Kind::Conv {
            outputs: needed("out_channels", raw.out_channels)?,
            window: window(raw, (1, 1))?,
            groups: raw.groups.unwrap_or(1),
        },
        RawKind::Linear => Kind::Linear {
            outputs: needed("out_features", raw.out_features)?,
        },
        RawKind::MaxPool => Kind::MaxPool(pool_window(raw)?),
        RawKind::AveragePool => Kind::AveragePool(pool_window(raw)?),
        RawKind::GlobalAveragePool => Kind::GlobalAveragePool,
        RawKind::Add => Kind::Add,
        RawKind::Flatten => Kind::Flatten,
    })
}

fn needed(field: &'static str, value: Option<u32>) -> Result<u32, Problem> {
    value.ok_or(Problem::Missing {
        field,
        fix: "give a whole number",
    })
}

/// A window whose stride is the kernel if nothing else is said.
fn pool_window(raw: &RawLayer) -> Result<Window, Problem> {
    window(raw, kernel(raw)?)
}

fn kernel(raw: &RawLayer) -> Result<(u32, u32), Problem> {
    let kernel = raw.kernel.ok_or(Problem::Missing {
        field: "kernel",
        fix: "give a whole number or [y, x]",
    })?;
    pair_of(kernel, "kernel")
}

fn window(raw: &RawLayer, stride: (u32, u32)) -> Result<Window, Problem> {
    let pair = |field, size: Option<Size>, otherwise| match size {
        Some(size) => pair_of(size, field),
        None => Ok(otherwise),
    };
    Ok(Window {
        kernel: kernel(raw)?,
        stride: pair("stride", raw.stride, stride)?,
        dilation: pair("dilation", raw.dilation, (1, 1))?,
        padding: raw.padding.map_or(Padding::default(), padding_of),
    })
}

fn pair_of(size: Size, field: &str) -> Result<(u32, u32), Problem> {
    size.pair()
        .map_err(|_| Problem::Syntax(format!("`{field}` has 4 numbers; give one, or [y, x]")))
}

fn padding_of(size: Size) -> Padding {
    let [top, left, bottom, right] = size.sides();
    Padding {
        top,
        left,
        bottom,
        right,
    }
}

/// What a layer says of its own bits and encodings.
fn override_precisions(layer: &mut Layer, raw: &RawLayer) {
    for (precision, encoding, bits) in [
        (
            &mut layer.activation,
            raw.activation_encoding,
            raw.activation_bits,
        ),
        (&mut layer.weight, raw.weight_encoding, raw.weight_bits),
    ] {
        precision.encoding = encoding.or(raw.encoding).unwrap_or(precision.encoding);
        precision.bits = bits.unwrap_or(precision.bits);
    }
}
