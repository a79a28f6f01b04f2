//! How far a quantized graph is from the float one.

use super::{Quantized, Role};
use crate::execute::{ExecuteError, Executor, Tensor};
use crate::graph::Graph;
use ndarray::ArrayD;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The error of one tensor against the float graph.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerError {
    /// The layer that it belongs to; `output` of the graph's outputs.
    pub layer: String,
    /// What it is; none of the graph's outputs.
    pub role: Option<Role>,
    /// Its name in the float graph.
    pub tensor: String,
    /// Bits; none of the graph's outputs.
    pub bits: Option<u32>,
    /// Mean of the squared differences.
    pub mean_squared_error: f64,
    /// Signal-to-quantization-noise ratio in decibel: 10 log10 (mean square of the float values / mean squared error);
    /// none if there is no error.
    pub sqnr_db: Option<f64>,
    /// Cosine of the angle between both; none if one of them is 0 throughout.
    pub cosine: Option<f64>,
}

/// How many images are classified as their labels say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Accuracy {
    /// Images.
    pub images: usize,
    /// Right in the float graph.
    pub float_correct: usize,
    /// Right in the quantized graph.
    pub quantized_correct: usize,
    /// Classified as in the float graph.
    pub same: usize,
}

/// The quantized graph against the float one on the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorReport {
    /// Every quantized tensor, then the graph's outputs. Errors of activations hold those of all layers before.
    pub layers: Vec<LayerError>,
    /// If there are labels.
    pub accuracy: Option<Accuracy>,
}

/// A report that cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReportError {
    /// A graph cannot be executed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// Not one label for each image.
    #[error(
        "there are {labels} labels for {images} images: give one for each image, in the same order"
    )]
    Labels {
        /// Labels.
        labels: usize,
        /// Images.
        images: usize,
    },
    /// The output is no list of scores.
    #[error(
        "`{output}` holds {numbers} numbers for {images} images, which is not the same number for each: give no labels"
    )]
    Scores {
        /// The graph's output.
        output: String,
        /// Its numbers.
        numbers: usize,
        /// Images.
        images: usize,
    },
}

/// Compares a quantized graph with the float one on `input` (`[images, ...]`). With labels, one class number for each image,
/// the class of an image is the first one with the greatest score of the graph's first output.
///
/// # Errors
/// [`ReportError`]: an input of another shape, labels that are not one for each image.
pub fn error_report(
    quantized: &Quantized,
    input: &ArrayD<f32>,
    labels: Option<&[usize]>,
) -> Result<ErrorReport, ReportError> {
    let images = input.shape().first().copied().unwrap_or(0);
    if let Some(labels) = labels.filter(|labels| labels.len() != images) {
        return Err(ReportError::Labels {
            labels: labels.len(),
            images,
        });
    }
    let float = Executor::new(&quantized.float)?;
    let integer = Executor::new(&quantized.graph)?;
    let (pairs, scores) = compare(quantized, (&float, &integer), input)?;
    let mut layers = Vec::new();
    for tensor in &quantized.tensors {
        let pair = (tensor.tensor.as_str(), tensor.quantized.as_str());
        let mut sums = pairs.get(&pair).copied().unwrap_or_default();
        if let (Some(a), Some(b)) = (float.constant(pair.0), integer.constant(pair.1)) {
            sums.add(a, b);
        }
        layers.push(sums.error(
            &tensor.layer,
            Some((tensor.role, tensor.bits)),
            &tensor.tensor,
        ));
    }
    for output in &quantized.graph.outputs {
        let sums = pairs
            .get(&(output.as_str(), output.as_str()))
            .copied()
            .unwrap_or_default();
        layers.push(sums.error("output", None, output));
    }
    let accuracy = labels
        .map(|labels| accuracy(&quantized.graph, &scores, labels))
        .transpose()?;
    Ok(ErrorReport { layers, accuracy })
}

/// Sums over pairs of values.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: u64,
    float: f64,
    quantized: f64,
    product: f64,
    difference: f64,
}

impl Sums {
    fn add(&mut self, float: &Tensor, quantized: &Tensor) {
        for (a, b) in float.iter().zip(quantized) {
            let (a, b) = (f64::from(*a), f64::from(*b));
            self.float += a * a;
            self.quantized += b * b;
            self.product += a * b;
            self.difference += (a - b) * (a - b);
        }
        self.count += float.len() as u64;
    }

    fn error(&self, layer: &str, kind: Option<(Role, u32)>, tensor: &str) -> LayerError {
        let norms = (self.float * self.quantized).sqrt();
        LayerError {
            layer: layer.to_owned(),
            role: kind.map(|(role, _)| role),
            tensor: tensor.to_owned(),
            bits: kind.map(|(_, bits)| bits),
            mean_squared_error: self.difference / self.count.max(1) as f64,
            sqnr_db: (self.difference > 0.0).then(|| 10.0 * (self.float / self.difference).log10()),
            cosine: (norms > 0.0).then(|| (self.product / norms).clamp(-1.0, 1.0)),
        }
    }
}

type Pairs<'a> = BTreeMap<(&'a str, &'a str), Sums>;

/// Numbers of the first output: of the float graph, of the quantized one.
type Scores = [Vec<f32>; 2];

/// Runs both graphs one batch after the other, so that no more than one batch is kept.
fn compare<'a>(
    quantized: &'a Quantized,
    (float, integer): (&Executor<'_>, &Executor<'_>),
    input: &ArrayD<f32>,
) -> Result<(Pairs<'a>, Scores), ReportError> {
    let tensors = quantized
        .tensors
        .iter()
        .map(|t| (t.tensor.as_str(), t.quantized.as_str()));
    let outputs = quantized
        .graph
        .outputs
        .iter()
        .map(|output| (output.as_str(), output.as_str()));
    let wanted: BTreeSet<(&str, &str)> = tensors.chain(outputs).collect();
    let names: BTreeSet<&str> = wanted.iter().flat_map(|(a, b)| [*a, *b]).collect();
    let first_output = quantized.graph.outputs.first();
    let mut pairs = Pairs::new();
    let mut scores = Scores::default();
    for batch in input.axis_chunks_iter(ndarray::Axis(0), batch_size(&quantized.float)) {
        let batch = batch.to_owned();
        let mut values: [BTreeMap<String, Tensor>; 2] = Default::default();
        for ((executor, values), scores) in [float, integer]
            .into_iter()
            .zip(&mut values)
            .zip(&mut scores)
        {
            executor.run(&batch, |name, value| {
                if names.contains(name) {
                    values.insert(name.to_owned(), value.clone());
                }
                if first_output.is_some_and(|output| output == name) {
                    scores.extend(value.iter());
                }
            })?;
        }
        for pair in &wanted {
            if let (Some(a), Some(b)) = (values[0].get(pair.0), values[1].get(pair.1)) {
                pairs.entry(*pair).or_default().add(a, b);
            }
        }
    }
    Ok((pairs, scores))
}

fn batch_size(graph: &Graph) -> usize {
    let shape = graph
        .inputs
        .first()
        .and_then(|input| graph.shapes.get(input));
    shape
        .and_then(|shape| shape.first())
        .copied()
        .unwrap_or(1)
        .max(1)
}

fn accuracy(
    graph: &Graph,
    [float, quantized]: &Scores,
    labels: &[usize],
) -> Result<Accuracy, ReportError> {
    let images = labels.len();
    let classes = float.len() / images.max(1);
    if classes == 0 || classes * images != float.len() || float.len() != quantized.len() {
        return Err(ReportError::Scores {
            output: graph.outputs.first().cloned().unwrap_or_default(),
            numbers: float.len(),
            images,
        });
    }
    let mut result = Accuracy {
        images,
        float_correct: 0,
        quantized_correct: 0,
        same: 0,
    };
    for ((a, b), label) in float
        .chunks(classes)
        .zip(quantized.chunks(classes))
        .zip(labels)
    {
        let (a, b) = (class(a), class(b));
        result.float_correct += usize::from(a == *label);
        result.quantized_correct += usize::from(b == *label);
        result.same += usize::from(a == b);
    }
    Ok(result)
}

/// The first place of the greatest score.
fn class(scores: &[f32]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best
}
