//! Networks of `--model` with what their files say about inputs and outputs: `.npz` with `meta.json`, quantized `.onnx`, and
//! `.onnx` of floats that are quantized here.
//!
//! An imported model brings its own view of both ends: floats go through its input quantizer, and classes are compared after
//! its output scales.

use crate::accelerate;
use crate::config::read_text;
use crate::failure::Failure;
use crate::graph;
use crate::model;
use crate::network::Bits;
use crate::terminal::{Terminal, thousands};
use crate::workload::{DataArgs, WorkArgs, first_largest, read_inputs, rows_of};
use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use xnorforge_import::float::arrays::Arrays;
use xnorforge_import::float::describe::{DESCRIPTION_BYTES_MAX, describe};
use xnorforge_import::float::{self, ErrorReport, Quantization, Quantized};
use xnorforge_import::model::Fold;
use xnorforge_import::npy::{Array, Elements};
use xnorforge_import::onnx::{self, OnnxError};
use xnorforge_import::{Graph, Model, Op, Options, lower};
use xnorforge_sim::network::reference::Trace;
use xnorforge_sim::network::{Network, Tensor, TensorId};
use xnorforge_sim::{Encoding, Precision};

/// Longest file of `--quantize`, in bytes.
const QUANTIZE_BYTES_MAX: u64 = 1 << 20;

/// Flags of models that are imported.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Import")]
#[group(skip)]
pub struct ImportArgs {
    /// Refuse a model whose scales, biases or normalizations do not fold exactly
    #[arg(long, requires = "model")]
    pub exact: bool,
    /// Encoding and bits of the integers that the model takes, bipolar:2 for example, where its file does not say
    #[arg(long, requires = "model", value_name = "ENCODING:BITS", value_parser = parse_precision)]
    pub input_precision: Option<Precision>,
    /// Quantize a model of floats: bits of activations (the input too) and weights, 4x4 for example, or a .toml or .json file
    /// with the precision of each layer
    #[arg(long, requires = "model", value_name = "MxK|FILE")]
    pub quantize: Option<PathBuf>,
    /// Sample inputs that the scales of --quantize are found with: .npy, or .npz as of --input; --input without it
    #[arg(long, requires = "model", value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// The floats of a model that is described in .toml: .npz or .safetensors
    #[arg(long, requires = "model", value_name = "FILE")]
    pub weights: Option<PathBuf>,
}

fn parse_precision(text: &str) -> Result<Precision, String> {
    let wrong =
        || format!("`{text}` is no precision; give an encoding and bits, bipolar:2 for example");
    let (encoding, bits) = text.split_once(':').ok_or_else(wrong)?;
    let encoding: Encoding = encoding.parse().map_err(|_| wrong())?;
    let bits = bits.parse().map_err(|_| wrong())?;
    encoding.check_bits(bits).map_err(|e| e.to_string())?;
    Ok(Precision::new(encoding, bits))
}

/// A network with what its file says about inputs and outputs.
#[derive(Debug)]
pub struct LoadedModel {
    /// What the accelerator runs.
    pub network: Network,
    /// What an import found; none for a `.npz`, whose arrays are integers already.
    pub import: Option<Import>,
}

/// What an import found.
#[derive(Debug)]
pub struct Import {
    /// Rules of inputs and outputs, and how exact the import is.
    pub model: Model,
    /// The float graph and its quantized form, if it was quantized here.
    pub quantized: Option<Quantized>,
}

/// What a JSON report says about an import.
#[derive(Debug, Serialize)]
pub struct ImportReport<'a> {
    folds: &'a [Fold],
    #[serde(skip_serializing_if = "Option::is_none")]
    float: Option<&'a ErrorReport>,
}

impl LoadedModel {
    /// Reads a model file, or takes a built-in network; one without weights gets random ones.
    ///
    /// # Errors
    /// A file that cannot be read, or a network that the accelerator cannot compute.
    pub fn load(path: &Path, work: &WorkArgs, data: &DataArgs) -> Result<Self, Failure> {
        let input = data.input.as_deref();
        let samples = input.map(|input| (input, data.input_key.as_deref()));
        match model::Model::load(path, work.overrides(), &work.import, samples)? {
            model::Model::Imported(import) => Ok(LoadedModel {
                network: import.model.network.clone(),
                import: Some(*import),
            }),
            other => Ok(LoadedModel {
                network: other.network(data.seed)?,
                import: None,
            }),
        }
    }

    /// Inputs from a file, or random from the seed.
    ///
    /// # Errors
    /// Files that cannot be read or do not fit the network.
    pub fn inputs(&self, data: &DataArgs) -> Result<Tensor, Failure> {
        let limit = data.inputs.map(|count| count as usize);
        let Some(path) = &data.input else {
            return Ok(accelerate::random_inputs(&self.network, limit, data.seed));
        };
        let key = data.input_key.as_deref();
        let mut array = read_inputs(path, key, self.network.input.len())?;
        if let Some(import) = &self.import {
            array = import.numbers(array)?;
        }
        accelerate::input_tensor(&array, &self.network, limit)
    }

    /// The integers of every layer with the names under which files store them: those of the tensors of an import.
    pub fn stored<'t>(&self, inputs: &'t Tensor, trace: &'t Trace) -> Vec<(String, &'t Tensor)> {
        let Some(import) = &self.import else {
            return accelerate::stored(&self.network, trace);
        };
        let tensors = import.model.tensors.iter();
        tensors
            .map(|rule| {
                let tensor = match rule.tensor {
                    TensorId::Input => inputs,
                    TensorId::Layer(index) if rule.is_accumulator => &trace.accumulators[index],
                    TensorId::Layer(index) => &trace.outputs[index],
                };
                (rule.name.clone(), tensor)
            })
            .collect()
    }

    /// The share of images whose largest output (the first of equals) is the label. An imported model's outputs are
    /// compared after their scales and offsets.
    pub fn accuracy(&self, scores: &Tensor, labels: &[i64]) -> f64 {
        let rule = self.import.as_ref().and_then(|i| i.model.outputs.last());
        let channels = scores.shape.channels as usize;
        accelerate::accuracy(scores, labels, |scores| match rule {
            Some(rule) => first_largest(&rule.reals(scores, channels)),
            None => first_largest(&graph::planes(scores, channels)),
        })
    }
}

impl Import {
    /// Imports an `.onnx`, or a description in TOML with the arrays of `--weights`. `samples` are the inputs that scales
    /// are found with where `--calibration` names none: a file and the array in it.
    ///
    /// # Errors
    /// A file that cannot be read; a network that the accelerator cannot compute, or not exactly where that is asked for.
    pub fn read(
        path: &Path,
        args: &ImportArgs,
        samples: Option<(&Path, Option<&str>)>,
    ) -> Result<Self, Failure> {
        let named = |error: &dyn Display| Failure::input(format!("`{}`: {error}", path.display()));
        let graph = read_graph(path, args)?;
        let quantized = match &args.quantize {
            None => None,
            Some(options) => {
                let options = read_quantization(options)?;
                let samples = calibration(&graph, args, samples)?;
                let quantized = float::quantize(&graph, &options, &samples);
                Some(quantized.map_err(|e| named(&e))?)
            }
        };
        let options = Options {
            exact: args.exact,
            input: args.input_precision,
        };
        let lowered = quantized.as_ref().map_or(&graph, |q| &q.graph);
        let model = lower(lowered, &options).map_err(|error| match is_float(lowered) {
            true => named(&format_args!(
                "{error} (nothing in this model is quantized: add --quantize 4x4 and --calibration FILE with sample inputs)"
            )),
            false => named(&error),
        })?;
        Ok(Import { model, quantized })
    }

    /// Inputs as numbers of the network in the order channel, line, pixel. Floats go through the quantizer of the model's
    /// input; integers are numbers already, unless the model was quantized here: it takes real values only.
    fn numbers(&self, mut array: Array) -> Result<Array, Failure> {
        let rule = &self.model.input;
        let values: Option<Vec<f32>> = match &array.elements {
            Elements::Float(values) => Some(values.iter().map(|v| *v as f32).collect()),
            Elements::Int(values) if self.quantized.is_some() => {
                Some(values.iter().map(|v| *v as f32).collect())
            }
            Elements::Int(_) => None,
        };
        if let Some(values) = values {
            let numbers: Result<Vec<i64>, Failure> = values
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    let number = rule.number(*value);
                    number.map_err(|why| array.value_error(index, why.to_string()).into())
                })
                .collect();
            array.elements = Elements::Int(numbers?);
        }
        if rule.channels_last && rows_of(&array.shape, rule.shape.len()).is_some() {
            let images = array.ints()?.chunks_exact(rule.shape.len());
            let channels = rule.shape.channels as usize;
            let planes = images.flat_map(|image| graph::planes(image, channels));
            array.elements = Elements::Int(planes.collect());
        }
        Ok(array)
    }

    /// How far the quantized model is from the float one, on the first `images` inputs.
    ///
    /// # Errors
    /// Inputs that cannot be read; labels that are no class numbers.
    pub fn float_report(
        &self,
        data: &DataArgs,
        images: usize,
        labels: Option<&[i64]>,
    ) -> Result<Option<ErrorReport>, Failure> {
        let (Some(quantized), Some(path)) = (&self.quantized, &data.input) else {
            return Ok(None);
        };
        let samples = read_samples(&quantized.graph, path, data.input_key.as_deref(), images)?;
        let labels: Option<Vec<usize>> = labels
            .map(|labels| labels.iter().map(|l| usize::try_from(*l)).collect())
            .transpose()
            .map_err(|_| {
                Failure::input("--labels holds a negative number; classes count from 0")
            })?;
        let report = float::error_report(quantized, &samples, labels.as_deref());
        report.map(Some).map_err(Failure::input)
    }

    /// What a JSON report says.
    pub fn report<'a>(&'a self, float: Option<&'a ErrorReport>) -> ImportReport<'a> {
        ImportReport {
            folds: &self.model.folds,
            float,
        }
    }

    /// Says how exact the import is.
    pub fn print(&self, terminal: &Terminal) {
        let folds = &self.model.folds;
        let rounded: Vec<&Fold> = folds.iter().filter(|fold| !fold.is_exact).collect();
        terminal.line(format!(
            "imported {} layers; {} of {} folds proven exact",
            self.model.network.layers.len(),
            folds.len() - rounded.len(),
            folds.len()
        ));
        if rounded.is_empty() {
            return;
        }
        let row = |fold: &&Fold| {
            vec![
                fold.layer.clone(),
                fold.nodes.join(", "),
                thousands(fold.accumulators_wrong.into()),
                fold.steps_max.to_string(),
            ]
        };
        let rows: Vec<Vec<String>> = rounded.iter().map(row).collect();
        terminal.table(
            &[
                "not exact",
                "nodes",
                ">accumulators that differ",
                ">steps at most",
            ],
            &rows,
        );
    }
}

/// Prints the error against the float model, layer by layer.
pub fn print_errors(terminal: &Terminal, report: &ErrorReport) {
    let row = |layer: &float::LayerError| {
        let role = match layer.role {
            Some(float::Role::Input) => "input",
            Some(float::Role::Weights) => "weights",
            Some(float::Role::Activations) => "activations",
            None => "output",
        };
        vec![
            layer.layer.clone(),
            role.to_owned(),
            layer.bits.map_or("-".to_owned(), |bits| bits.to_string()),
            layer
                .sqnr_db
                .map_or("exact".to_owned(), |sqnr| format!("{sqnr:.1} dB")),
            layer
                .cosine
                .map_or("-".to_owned(), |cosine| format!("{cosine:.4}")),
        ]
    };
    let rows: Vec<Vec<String>> = report.layers.iter().map(row).collect();
    terminal.table(
        &[
            "against floats",
            "tensor",
            ">bits",
            ">signal to noise",
            ">cosine",
        ],
        &rows,
    );
    if let Some(accuracy) = report.accuracy {
        let share = |correct: usize| correct as f64 / accuracy.images.max(1) as f64;
        terminal.line(format!(
            "accuracy in floats {:.4}, quantized {:.4}; {} of {} inputs classified alike",
            share(accuracy.float_correct),
            share(accuracy.quantized_correct),
            thousands(accuracy.same as u128),
            thousands(accuracy.images as u128)
        ));
    }
}

/// The operations of an `.onnx`, or of a description in TOML with the arrays of `--weights`.
fn read_graph(path: &Path, args: &ImportArgs) -> Result<Graph, Failure> {
    let named = |error: &dyn Display| Failure::input(format!("`{}`: {error}", path.display()));
    match &args.weights {
        Some(weights) => {
            let text = read_text(path, DESCRIPTION_BYTES_MAX as u64)?;
            let arrays = Arrays::open(weights).map_err(Failure::input)?;
            describe(&text, &arrays).map_err(|e| named(&e))
        }
        None => onnx::read(path, &onnx::Limits::default()).map_err(|error| match error {
            // It names the file itself.
            OnnxError::File { .. } => Failure::input(error),
            error => named(&error),
        }),
    }
}

/// A model of floats with how it is to be quantized, for those who quantize it in several ways.
#[derive(Debug)]
pub struct FloatModel {
    /// Its operations.
    pub graph: Graph,
    /// What `--quantize` says.
    pub options: Quantization,
    /// Sample inputs.
    pub samples: ArrayD<f32>,
}

impl FloatModel {
    /// Reads a model with `--quantize` and `--calibration`.
    ///
    /// # Errors
    /// Files that cannot be read; a flag that is missing.
    pub fn read(path: &Path, args: &ImportArgs) -> Result<Self, Failure> {
        let Some(options) = &args.quantize else {
            return Err(Failure::input(
                "what layers lose is measured by quantizing a model of floats: add --quantize and --calibration, or give a table",
            ));
        };
        let graph = read_graph(path, args)?;
        Ok(FloatModel {
            options: read_quantization(options)?,
            samples: calibration(&graph, args, None)?,
            graph,
        })
    }
}

/// Whether no operation of a graph makes integers of floats.
fn is_float(graph: &Graph) -> bool {
    !graph.nodes.iter().any(|node| {
        matches!(
            node.op,
            Op::Quant { .. }
                | Op::BipolarQuant
                | Op::MultiThreshold { .. }
                | Op::QuantizeLinear { .. }
                | Op::Sign
        )
    })
}

/// What `--quantize` says: bits for all layers, or a file.
fn read_quantization(text: &Path) -> Result<Quantization, Failure> {
    let parse = match text.extension().and_then(|e| e.to_str()) {
        Some("toml") => Quantization::from_toml,
        Some("json") => Quantization::from_json,
        _ => {
            let bits: Bits = text.to_string_lossy().parse().map_err(|e| {
                Failure::input(format!(
                    "--quantize: {e}; or give a .toml or .json file with the precision of each layer"
                ))
            })?;
            let mut options = Quantization::default();
            options.input.bits = Some(bits.activation);
            options.activations.bits = Some(bits.activation);
            options.weights.bits = Some(bits.weight);
            return Ok(options);
        }
    };
    let content = read_text(text, QUANTIZE_BYTES_MAX)?;
    parse(&content).map_err(|e| Failure::input(format!("`{}`: {e}", text.display())))
}

/// The sample inputs of `--calibration`, or else those given.
fn calibration(
    graph: &Graph,
    args: &ImportArgs,
    samples: Option<(&Path, Option<&str>)>,
) -> Result<ArrayD<f32>, Failure> {
    let calibration = args.calibration.as_deref().map(|path| (path, None));
    let (path, key) = calibration.or(samples).ok_or_else(|| {
        Failure::input("--quantize needs sample inputs; give --calibration FILE, or --input FILE")
    })?;
    read_samples(graph, path, key, usize::MAX)
}

/// Real inputs `[images, ...]` of a graph, the first `images` of them.
fn read_samples(
    graph: &Graph,
    path: &Path,
    key: Option<&str>,
    images: usize,
) -> Result<ArrayD<f32>, Failure> {
    let input = graph.inputs.first().and_then(|name| graph.shapes.get(name));
    let dimensions = input.and_then(|shape| shape.get(1..)).unwrap_or_default();
    let elements = dimensions.iter().product();
    let array = read_inputs(path, key, elements)?;
    let rows = rows_of(&array.shape, elements).ok_or_else(|| {
        array.shape_error(format!(
            "[inputs, ...] with {dimensions:?} numbers per input"
        ))
    })?;
    let rows = rows.min(images);
    let values: Vec<f32> = match &array.elements {
        Elements::Float(values) => values[..rows * elements]
            .iter()
            .map(|v| *v as f32)
            .collect(),
        Elements::Int(values) => values[..rows * elements]
            .iter()
            .map(|v| *v as f32)
            .collect(),
    };
    let shape: Vec<usize> = std::iter::once(rows)
        .chain(dimensions.iter().copied())
        .collect();
    ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(Failure::input)
}
