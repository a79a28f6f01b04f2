//! Random weights, thresholds and scales for networks that are described without any.

use super::error::check_range;
use super::{Problem, Topology, TopologyError, WEIGHTS_MAX};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_sim::network::{
    Convolution, Layer, LayerOutline, Network, NetworkError, Operation, Outline, Output,
    Requantize, Rescale, Residual, Rounding, Rule, Work, number_of_step, steps,
};
use xnorforge_sim::{Operand, Precision};

/// Largest shift of a multiplication. Addends stay far inside of their 46 bits with it.
const SHIFT_MAX: u32 = 20;
/// Largest multiplier.
const MULTIPLIER_MAX: i64 = (1 << 15) - 1;

impl Topology {
    /// The network with random weights, and thresholds or scales that spread its sums over all numbers. The same seed
    /// gives the same network on every machine.
    ///
    /// # Errors
    /// A topology that is not legal, that has more than one input, or more than [`WEIGHTS_MAX`] weights.
    pub fn network(&self, seed: u64) -> Result<Network, TopologyError> {
        let mut networks = self.networks(seed)?;
        match networks.len() {
            1 => Ok(networks.remove(0)),
            count => Err(Problem::NotOneNetwork(count).into()),
        }
    }

    /// A network for each input, as [`Topology::network`]: one for each layer, where layers stand alone.
    ///
    /// # Errors
    /// As [`Topology::network`].
    pub fn networks(&self, seed: u64) -> Result<Vec<Network>, TopologyError> {
        let outlines = self.outlines()?;
        let layers = outlines.iter().flat_map(|outline| &outline.layers);
        let weights = layers.map(LayerOutline::weights).sum();
        check_range("the number of weights", weights, 0, WEIGHTS_MAX)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let networks = outlines.iter().map(|outline| fill(outline, &mut rng));
        let networks: Result<Vec<Network>, NetworkError> = networks.collect();
        networks.map_err(|e| Problem::from(e).into())
    }
}

/// Gives an outline numbers.
fn fill(outline: &Outline, rng: &mut ChaCha8Rng) -> Result<Network, NetworkError> {
    let mut layers = Vec::with_capacity(outline.layers.len());
    for (index, layer) in outline.layers.iter().enumerate() {
        let filled = fill_layer(outline, layer, rng);
        layers.push(filled.map_err(|source| NetworkError::Layer {
            index,
            name: layer.name.clone(),
            source: Box::new(source.into()),
        })?);
    }
    let network = Network {
        name: outline.name.clone(),
        input: outline.input,
        precision: outline.precision,
        layers,
        outputs: outline.outputs.clone(),
    };
    network.check()?;
    Ok(network)
}

fn fill_layer(
    outline: &Outline,
    layer: &LayerOutline,
    rng: &mut ChaCha8Rng,
) -> Result<Layer, xnorforge_sim::GemmError> {
    let operation = match layer.work {
        Work::SumPool(window) => Operation::SumPool(window),
        Work::MaxPool(window) => Operation::MaxPool(window),
        Work::Convolution {
            window,
            groups,
            weight,
            pad,
            ..
        } => {
            let [_, elements, outputs] = layer.gemm().map(|size| size as usize);
            Operation::Convolution(Convolution {
                window,
                groups,
                weights: Operand::random("weights", weight, outputs, elements, rng)?,
                bias: None,
                pad,
            })
        }
    };
    let spread = Spread::of(layer);
    let residual = layer.residual.map(|(tensor, place)| {
        let precision = outline.tensor_precision(tensor);
        let precision = precision.expect("a residual is made of numbers");
        Residual {
            tensor,
            table: spread.table(precision),
            place,
        }
    });
    Ok(Layer {
        name: layer.name.clone(),
        input: layer.input,
        operation,
        output: spread.output(layer, residual.as_ref(), rng),
        residual,
    })
}

/// Where the sums of a layer lie, if weights and activations are uniformly distributed: about two standard deviations
/// around the mean, but not past what is possible.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    low: i64,
    high: i64,
}

impl Spread {
    fn of(layer: &LayerOutline) -> Self {
        let elements = layer.gemm()[1] as f64;
        let (mean, square) = moments(layer.activation);
        let (least, greatest) = layer.activation.encoding.range(layer.activation.bits);
        let Some(weight) = layer.weight() else {
            // A sum of a feature map's own numbers, which neighbours share: all that is possible.
            let taps = layer.gemm()[1] as i64;
            return Spread {
                low: least * taps,
                high: greatest * taps,
            };
        };
        let (weight_mean, weight_square) = moments(weight);
        let product = mean * weight_mean;
        let center = elements * product;
        let deviation = (elements * (square * weight_square - product * product)).sqrt();
        let (weight_least, weight_greatest) = weight.encoding.range(weight.bits);
        let corners = [least, greatest].map(|a| [weight_least, weight_greatest].map(|w| a * w));
        let corners = corners.as_flattened().iter().map(|v| *v as f64 * elements);
        let (bottom, top) = corners.fold((f64::MAX, f64::MIN), |(b, t), v| (b.min(v), t.max(v)));
        let low = (center - 2.0 * deviation).max(bottom).floor() as i64;
        let high = (center + 2.0 * deviation).min(top).ceil() as i64;
        Spread {
            low,
            high: high.max(low + 1),
        }
    }

    /// What numbers add to the sums: they have half of their weight.
    fn table(self, precision: Precision) -> Vec<i64> {
        let (least, greatest) = precision.encoding.range(precision.bits);
        let largest = least.abs().max(greatest);
        let half = (self.high - self.low) / 2;
        (0..steps(precision))
            .map(|step| number_of_step(precision, step) * half / largest)
            .collect()
    }

    fn output(
        self,
        layer: &LayerOutline,
        residual: Option<&Residual>,
        rng: &mut ChaCha8Rng,
    ) -> Output {
        let added = |pick: fn(i64, i64) -> i64| {
            residual.map_or(0, |residual| residual.table.iter().copied().fold(0, pick))
        };
        let (low, high) = (self.low + added(i64::min), self.high + added(i64::max));
        let channels = layer.output_shape.channels as usize;
        match layer.rule {
            Rule::Raw => Output::Raw,
            Rule::Thresholds { precision, count } => {
                let mut list = || {
                    let mut list: Vec<i64> =
                        (0..count).map(|_| rng.random_range(low..=high)).collect();
                    list.sort_unstable();
                    list
                };
                let rescale = Rescale::Thresholds {
                    thresholds: (0..channels).map(|_| list()).collect(),
                    falling: vec![false; channels],
                };
                Output::Codes(Requantize::new(precision, rescale))
            }
            Rule::Affine { precision } => {
                let top = steps(precision) - 1;
                let mut shift = SHIFT_MAX;
                while shift > 0 && (top << shift) / (high - low) > MULTIPLIER_MAX {
                    shift -= 1;
                }
                let multiplier = ((top << shift) / (high - low)).clamp(1, MULTIPLIER_MAX);
                let rescale = Rescale::Affine {
                    multipliers: vec![multiplier; channels],
                    addends: vec![-low * multiplier; channels],
                    shift,
                    rounding: Rounding::HalfUp,
                };
                Output::Codes(Requantize::new(precision, rescale))
            }
        }
    }
}

/// Mean, and mean of the squares, of the numbers of a precision.
fn moments(precision: Precision) -> (f64, f64) {
    let count = steps(precision);
    let numbers = (0..count).map(|step| number_of_step(precision, step) as f64);
    let (sum, squares) = numbers.fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
    (sum / count as f64, squares / count as f64)
}
