//! The same network at fewer bits: hot swap.
//!
//! Read from its most significant branch down, an M-branch tensor is its own lower-precision version (Sun et al., arXiv
//! 1905.13389, section 3). Weights and feature maps stay as they are stored; only the rules that requantize follow the
//! coarser sums. With d branches of the activations and e of the weights left out, `x = 2^d * x' + r`, and the sum of
//! `x * w` is near `2^(d+e) * sum(x' * w') + c`, where c holds the mean of what is left out: nothing for `bipolar`.

use super::{
    Convolution, Layer, LayerError, Network, NetworkError, Operation, Output, Pad, Read, Rescale,
    truncate,
};
use crate::encoder::Encoding;
use crate::gemm::Precision;

/// How the sums of a reduced layer stand for those of the full one: `full = reduced * 2^shift + rest / 2`.
struct Scale {
    shift: u32,
    /// Twice what is missing on average, for each output channel.
    rest: Vec<i64>,
}

impl Network {
    /// The network with at most `activation_bits` and `weight_bits` branches read in every product. `ternary` operands
    /// stay as they are, and so do pools and residuals.
    ///
    /// # Errors
    /// A network that is not legal; bits that are 0.
    pub fn reduced(&self, activation_bits: u32, weight_bits: u32) -> Result<Self, NetworkError> {
        let types = self.check()?;
        let mut network = self.clone();
        for (index, layer) in network.layers.iter_mut().enumerate() {
            let precision = self.tensor_type(layer.input.tensor, &types);
            let precision = precision.and_then(|found| found.precision);
            let precision = precision.expect("a checked network reads numbers only");
            reduce(layer, precision, activation_bits, weight_bits).map_err(|source| {
                NetworkError::Layer {
                    index,
                    name: layer.name.clone(),
                    source: Box::new(source),
                }
            })?;
        }
        network.name = format!("{}-a{activation_bits}w{weight_bits}", self.name);
        network.check()?;
        Ok(network)
    }
}

fn reduce(
    layer: &mut Layer,
    stored: Precision,
    activation_bits: u32,
    weight_bits: u32,
) -> Result<(), LayerError> {
    let Operation::Convolution(convolution) = &layer.operation else {
        return Ok(());
    };
    let full = layer.input.bits.unwrap_or(stored.bits);
    let activation = Precision {
        bits: full,
        ..stored
    };
    let read = kept(activation, activation_bits);
    let weights = kept(convolution.weights.precision(), weight_bits);
    let scale = Scale {
        shift: (full - read) + (convolution.weights.bits() - weights),
        rest: rest(convolution, activation, full - read),
    };
    let pad = match convolution.pad {
        Pad::Number(number) => Pad::Number(truncate(activation, number, read)),
        Pad::Zero => Pad::Zero,
    };
    layer.operation = Operation::Convolution(Convolution {
        pad,
        ..convolution.truncated(weights)?
    });
    layer.input = Read {
        bits: (read < stored.bits).then_some(read),
        ..layer.input
    };
    if let Operation::Convolution(Convolution {
        bias: Some(bias), ..
    }) = &mut layer.operation
    {
        for bias in bias {
            *bias = shifted(*bias, scale.shift);
        }
    }
    if let Some(residual) = &mut layer.residual
        && residual.place == super::Place::Before
    {
        for entry in &mut residual.table {
            *entry = shifted(*entry, scale.shift);
        }
    }
    if let Output::Codes(requantize) = &mut layer.output {
        rescale(&mut requantize.rescale, &scale);
    }
    Ok(())
}

fn kept(precision: Precision, bits: u32) -> u32 {
    match precision.encoding {
        Encoding::Ternary => precision.bits,
        _ => precision.bits.min(bits),
    }
}

/// Twice what the sums of a reduced layer miss on average.
fn rest(convolution: &Convolution, activation: Precision, left_out: u32) -> Vec<i64> {
    let mean = match activation.encoding {
        Encoding::Bipolar | Encoding::Ternary => 0,
        Encoding::Unsigned | Encoding::Signed => (1 << left_out) - 1,
    };
    (0..convolution.weights.vectors())
        .map(|output| {
            let weights = convolution.weights.vector(output).iter();
            mean * weights.map(|w| i64::from(*w)).sum::<i64>()
        })
        .collect()
}

/// `value / 2^shift`, to the nearest.
fn shifted(value: i64, shift: u32) -> i64 {
    match shift {
        0 => value,
        _ => (value + (1 << (shift - 1))) >> shift,
    }
}

fn rescale(rescale: &mut Rescale, scale: &Scale) {
    match rescale {
        Rescale::Thresholds { thresholds, .. } => {
            for (thresholds, rest) in thresholds.iter_mut().zip(&scale.rest) {
                for threshold in thresholds {
                    // The least sum whose full counterpart reaches the threshold: a ceiling.
                    *threshold = -((rest - 2 * *threshold) >> (scale.shift + 1));
                }
            }
        }
        Rescale::Affine {
            multipliers,
            addends,
            shift,
            ..
        } => {
            for ((multiplier, addend), rest) in multipliers.iter().zip(addends).zip(&scale.rest) {
                *addend += (multiplier * rest) >> 1;
                *addend = shifted(*addend, scale.shift.min(*shift));
            }
            let missing = scale.shift.saturating_sub(*shift);
            for multiplier in multipliers {
                *multiplier <<= missing;
            }
            *shift -= scale.shift.min(*shift);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Requantize, Shape, TensorId, Window};
    use super::*;
    use crate::gemm::Operand;

    fn network(encoding: Encoding, bits: u32, threshold: i64) -> Network {
        let precision = Precision::new(encoding, bits);
        let weights = Precision::new(Encoding::Bipolar, 2);
        let weights = Operand::new("weights", weights, 1, 2, vec![3, 1]).unwrap();
        let requantize = Requantize::new(
            Precision::new(Encoding::Unsigned, 1),
            Rescale::Thresholds {
                thresholds: vec![vec![threshold]],
                falling: vec![false],
            },
        );
        Network {
            name: "n".to_owned(),
            input: Shape::new(1, 1, 2),
            precision,
            layers: vec![Layer {
                name: "l".to_owned(),
                input: TensorId::Input.into(),
                operation: Operation::Convolution(Convolution {
                    window: Window::square(1, 1, 0),
                    groups: 1,
                    weights,
                    bias: None,
                    pad: Pad::Zero,
                }),
                residual: None,
                output: Output::Codes(requantize),
            }],
            outputs: vec![TensorId::Layer(0)],
        }
    }

    fn threshold(network: &Network) -> i64 {
        match &network.layers[0].output {
            Output::Codes(requantize) => match &requantize.rescale {
                Rescale::Thresholds { thresholds, .. } => thresholds[0][0],
                Rescale::Affine { .. } => unreachable!("the network has thresholds"),
            },
            Output::Raw => unreachable!("the network requantizes"),
        }
    }

    #[test]
    fn all_bits_change_nothing_but_the_name() {
        let full = network(Encoding::Unsigned, 3, 5);
        let reduced = full.reduced(8, 8).unwrap();
        assert_eq!(reduced.layers, full.layers);
        assert_eq!(reduced.name, "n-a8w8");
    }

    #[test]
    fn thresholds_follow_the_coarser_sums_and_round_up() {
        // Two branches of the activations and one of the weights left out: sums are eighths.
        for (full, expected) in [(16, 2), (17, 3), (-16, -2), (-15, -1)] {
            let reduced = network(Encoding::Bipolar, 3, full).reduced(1, 1).unwrap();
            assert_eq!(threshold(&reduced), expected, "{full}");
        }
        // unsigned: two branches stand for 1.5 on average, times weights that sum to 4.
        let reduced = network(Encoding::Unsigned, 3, 14).reduced(1, 2).unwrap();
        assert_eq!(threshold(&reduced), 2);
    }

    #[test]
    fn zero_bits_are_refused() {
        assert!(network(Encoding::Unsigned, 3, 5).reduced(0, 1).is_err());
    }
}
