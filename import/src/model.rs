//! What an import gives.

use crate::graph::Round;
use serde::Serialize;
use xnorforge_sim::network::{Network, Shape, Tensor, TensorId};

/// A network of integers with its ties to the floats that it stands for.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the accelerator runs.
    pub network: Network,
    /// How the file's input becomes the network's.
    pub input: InputRule,
    /// What each of the network's outputs stands for; as many as `network.outputs`.
    pub outputs: Vec<OutputRule>,
    /// What a number 1 of each layer's output stands for: one entry, or one for each channel.
    pub scales: Vec<Vec<f64>>,
    /// Where the integers of the file's tensors are found.
    pub tensors: Vec<TensorRule>,
    /// How exact every folded chain of operations is, in the order of the layers.
    pub folds: Vec<Fold>,
}

/// How the file's input becomes numbers of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct InputRule {
    /// The tensor's name in the file.
    pub name: String,
    /// Its dimensions without the batch: `[C, H, W]` or `[features]`.
    pub dimensions: Vec<usize>,
    /// The feature map that it becomes.
    pub shape: Shape,
    /// Whether `dimensions` are `[H, W, C]` instead.
    pub channels_last: bool,
    /// The quantizer, if the file's input is real: `clamp(x / scale + zero_point)`, rounded, in 32-bit floats.
    pub quantizer: Option<InputQuantizer>,
    /// A number of the network is `factor * q + offset`, where q is the quantizer's integer, or the file's number itself
    /// without a quantizer: 2 and -(2^M - 1) for `bipolar` numbers behind an unsigned quantizer of M bits.
    pub factor: i64,
    /// See `factor`.
    pub offset: i64,
}

/// A float that is no input.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum InputError {
    /// Not a number.
    #[error("NaN has no code; give finite numbers")]
    Nan,
    /// A fraction where the model takes integers.
    #[error("the model takes integers here, and {0} is none; round or scale the array")]
    Fraction(f32),
    /// Images that are not whole.
    #[error("{found} numbers are no whole images of {numbers} numbers each; give all of them")]
    Images {
        /// Numbers given.
        found: usize,
        /// Numbers of an image.
        numbers: usize,
    },
}

impl InputRule {
    /// What a number 1 of the network's input stands for.
    pub fn scale(&self) -> f64 {
        let step = self.quantizer.map_or(1.0, |q| f64::from(q.scale));
        step / self.factor as f64
    }

    /// The network's number of one number of the file's input.
    ///
    /// # Errors
    /// [`InputError`]: NaN, or a fraction where there is no quantizer.
    pub fn number(&self, value: f32) -> Result<i64, InputError> {
        if value.is_nan() {
            return Err(InputError::Nan);
        }
        let integer = match &self.quantizer {
            Some(quantizer) => quantizer.integer(value),
            None if value.fract() == 0.0 => value as i64,
            None => return Err(InputError::Fraction(value)),
        };
        Ok(self
            .factor
            .saturating_mul(integer)
            .saturating_add(self.offset))
    }

    /// The network's input for images one behind the other, each in the order of `dimensions`.
    ///
    /// # Errors
    /// [`InputError`]: a number that is no input, or images that are not whole.
    pub fn tensor(&self, values: &[f32]) -> Result<Tensor, InputError> {
        let numbers = self.shape.len();
        if !values.len().is_multiple_of(numbers) {
            return Err(InputError::Images {
                found: values.len(),
                numbers,
            });
        }
        let mut tensor = Tensor::zeros(values.len() / numbers, self.shape);
        let channels = self.shape.channels as usize;
        let pixels = numbers / channels;
        for (index, number) in tensor.values.iter_mut().enumerate() {
            let (image, place) = (index / numbers * numbers, index % numbers);
            let from = if self.channels_last {
                place
            } else {
                place % channels * pixels + place / channels
            };
            *number = self.number(values[image + from])?;
        }
        Ok(tensor)
    }
}

/// The quantizer of an input, in 32-bit floats as QONNX defines it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputQuantizer {
    /// Scale.
    pub scale: f32,
    /// Zero point.
    pub zero_point: f32,
    /// Least integer.
    pub low: i64,
    /// Greatest integer.
    pub high: i64,
    /// Rounding.
    pub round: Round,
}

impl InputQuantizer {
    /// `clamp(value / scale + zero_point, low, high)`, rounded, in 32-bit floats.
    pub fn integer(&self, value: f32) -> i64 {
        let clamped =
            (value / self.scale + self.zero_point).clamp(self.low as f32, self.high as f32);
        self.round.apply(clamped.into()) as i64
    }
}

/// What an output of the network stands for: `real = (integer + offset[channel]) * scale[channel]`.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputRule {
    /// The tensor's name in the file.
    pub name: String,
    /// Per channel, or one entry for all.
    pub scale: Vec<f64>,
    /// Per channel, or one entry for all.
    pub offset: Vec<f64>,
}

impl OutputRule {
    /// The real that an integer of a channel stands for.
    pub fn real(&self, channel: usize, integer: i64) -> f64 {
        let of = |list: &[f64]| list[if list.len() == 1 { 0 } else { channel }];
        (integer as f64 + of(&self.offset)) * of(&self.scale)
    }

    /// The reals of one image of `channels` channels, channel fastest, in the file's order: channel, line, pixel.
    pub fn reals(&self, integers: &[i64], channels: usize) -> Vec<f64> {
        let plane = |channel: usize| integers.iter().skip(channel).step_by(channels);
        (0..channels)
            .flat_map(|channel| plane(channel).map(move |integer| self.real(channel, *integer)))
            .collect()
    }
}

/// A tensor of the file whose integers the network holds.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorRule {
    /// Its name in the file.
    pub name: String,
    /// Where it is.
    pub tensor: TensorId,
    /// Whether it is the accumulator of that layer and not its output.
    pub is_accumulator: bool,
}

/// How exact the folding of one chain of operations into a layer is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fold {
    /// The layer.
    pub layer: String,
    /// Names of the nodes that were folded.
    pub nodes: Vec<String>,
    /// Whether every output integer is proven to be the one that the operations give in real arithmetic.
    pub is_exact: bool,
    /// The largest error of an output integer, in steps; 0 if exact.
    pub steps_max: i64,
    /// How many accumulators of the possible ones (over all channels) give another integer than in real arithmetic.
    pub accumulators_wrong: u64,
    /// How many accumulators give another integer when the same operations are done one by one in 32-bit floats.
    pub accumulators_f32: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bipolar_input() -> InputRule {
        // 2 bits in [-1, 1]: scale 2/3, zero point 3/2, numbers 2q - 3.
        InputRule {
            name: "x".into(),
            dimensions: vec![1],
            shape: Shape::new(1, 1, 1),
            channels_last: false,
            quantizer: Some(InputQuantizer {
                scale: 2.0 / 3.0,
                zero_point: 1.5,
                low: 0,
                high: 3,
                round: Round::HalfEven,
            }),
            factor: 2,
            offset: -3,
        }
    }

    #[test]
    fn floats_become_odd_numbers() {
        let rule = bipolar_input();
        let numbers = [-9.0, -1.0, -0.4, 0.4, 1.0, f32::INFINITY].map(|x| rule.number(x).unwrap());
        assert_eq!(numbers, [-3, -3, -1, 1, 3, 3]);
        assert_eq!(rule.number(f32::NAN), Err(InputError::Nan));
    }

    #[test]
    fn without_quantizer_only_integers_are_taken() {
        let rule = InputRule {
            quantizer: None,
            factor: 1,
            offset: 0,
            ..bipolar_input()
        };
        assert_eq!(rule.number(-3.0), Ok(-3));
        assert_eq!(rule.number(0.5), Err(InputError::Fraction(0.5)));
    }

    #[test]
    fn outputs_have_a_scale_for_each_channel() {
        let rule = OutputRule {
            name: "y".into(),
            scale: vec![1.0, 0.5],
            offset: vec![2.0],
        };
        assert_eq!(rule.reals(&[1, 2, 3, 4], 2), [3.0, 5.0, 2.0, 3.0]);
    }
}
