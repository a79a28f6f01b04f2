//! Grids of quantized numbers, and the search for their step.
//!
//! A quantized number is an integer of its encoding times the step. In QONNX's terms a grid of `bipolar` numbers of M bits
//! is an unsigned `Quant` with the scale 2 * step and the half-integer zero point (2^M - 1) / 2, so that its values are
//! the odd integers times the step; with one bit it is a `BipolarQuant`.

use super::options::{Calibration, Encoding, Precision};
use crate::execute::quantizers::integer;
use crate::graph::{Levels, Op, Round};

/// How many steps between 0 and that of the extremes the search for the least error tries.
const COARSE_STEPS: u32 = 64;
/// How many it tries between two of those.
const FINE_STEPS: u32 = 16;

/// Which numbers there are, but for the step. The encoding is not automatic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Encoding.
    pub encoding: Encoding,
    /// Bits.
    pub bits: u32,
    /// Whether signed numbers are symmetric: weights are.
    pub is_narrow: bool,
}

impl Grid {
    /// The grid of weights.
    pub fn of_weights(precision: Precision) -> Self {
        Grid {
            encoding: precision.encoding,
            bits: precision.bits,
            is_narrow: true,
        }
    }

    /// The grid of activations whose least value is known.
    pub fn of_activations(precision: Precision, least: f32) -> Self {
        let encoding = match precision.encoding {
            Encoding::Auto if least >= 0.0 => Encoding::Unsigned,
            Encoding::Auto => Encoding::Bipolar,
            encoding => encoding,
        };
        Grid {
            encoding,
            bits: precision.bits,
            is_narrow: false,
        }
    }

    /// Least and greatest integer.
    pub fn range(self) -> (i64, i64) {
        let most = (1i64 << self.bits) - 1;
        match self.encoding {
            Encoding::Auto | Encoding::Bipolar => (-most, most),
            Encoding::Unsigned => (0, most),
            Encoding::Signed | Encoding::Ternary => self.levels().range(),
        }
    }

    fn levels(self) -> Levels {
        let is_signed = matches!(self.encoding, Encoding::Signed | Encoding::Ternary);
        Levels {
            bits: self.bits,
            signed: is_signed,
            narrow: self.encoding == Encoding::Ternary || (is_signed && self.is_narrow),
        }
    }

    fn is_one_bit_bipolar(self) -> bool {
        self.encoding == Encoding::Bipolar && self.bits == 1
    }

    /// The operation that quantizes to this grid.
    pub fn op(self) -> Op {
        if self.is_one_bit_bipolar() {
            return Op::BipolarQuant;
        }
        Op::Quant {
            levels: self.levels(),
            round: Round::HalfEven,
        }
    }

    /// Scale of the operation for a step.
    pub fn scale(self, step: f32) -> f32 {
        if self.encoding == Encoding::Bipolar && self.bits > 1 {
            2.0 * step
        } else {
            step
        }
    }

    /// Zero point of the operation; none for one that has no such input.
    pub fn zero_point(self) -> Option<f32> {
        match self.encoding {
            _ if self.is_one_bit_bipolar() => None,
            Encoding::Bipolar => Some(((1u32 << self.bits) - 1) as f32 / 2.0),
            _ => Some(0.0),
        }
    }

    /// The quantized number, as the operation computes it.
    pub fn quantize(self, x: f32, step: f32) -> f32 {
        let Some(zero_point) = self.zero_point() else {
            return if x >= 0.0 { step } else { -step };
        };
        let scale = self.scale(step);
        (integer(x, scale, zero_point, self.levels(), Round::HalfEven) - zero_point) * scale
    }

    /// The least step with which no number between these two is clipped.
    pub fn step_of_extremes(self, least: f32, greatest: f32) -> f32 {
        let (low, high) = self.range();
        let above = if high > 0 {
            greatest.max(0.0) / high as f32
        } else {
            0.0
        };
        let below = if low < 0 {
            least.min(0.0) / low as f32
        } else {
            0.0
        };
        above.max(below)
    }
}

/// Numbers that a grid is for: all of them, or a sample, with the extremes of all.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The numbers.
    pub values: &'a [f32],
    /// Least of all numbers.
    pub least: f32,
    /// Greatest of all numbers.
    pub greatest: f32,
}

impl<'a> Sample<'a> {
    /// All numbers there are.
    pub fn of_all(values: &'a [f32]) -> Self {
        Sample {
            values,
            least: values.iter().copied().fold(f32::INFINITY, f32::min),
            greatest: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        }
    }

    /// Sum of the squared errors.
    pub fn error(&self, grid: Grid, step: f32) -> f64 {
        let error = |&x: &f32| (f64::from(grid.quantize(x, step)) - f64::from(x)).powi(2);
        self.values.iter().map(error).sum()
    }

    /// The magnitude that so many percent of the numbers do not exceed.
    fn percentile(&self, percent: f64) -> f32 {
        let mut magnitudes: Vec<f32> = self.values.iter().map(|v| v.abs()).collect();
        if magnitudes.is_empty() {
            return 0.0;
        }
        let rank = (percent / 100.0 * magnitudes.len() as f64).ceil() as usize;
        let index = rank.clamp(1, magnitudes.len()) - 1;
        *magnitudes.select_nth_unstable_by(index, f32::total_cmp).1
    }

    fn step_of_percentile(&self, grid: Grid, percent: f64) -> f32 {
        let limit = self.percentile(percent);
        grid.step_of_extremes(self.least.max(-limit), self.greatest.min(limit))
    }
}

/// Whether a step can be a scale: positive, and far enough from the least floats that quotients are exact to rounding.
pub fn is_usable(step: f32) -> bool {
    step.is_finite() && step >= f32::MIN_POSITIVE
}

/// The step that several samples with their grids share; nothing if all of their numbers are 0.
pub fn shared_step(members: &[(Sample<'_>, Grid)], calibration: Calibration) -> Option<f32> {
    let largest = |step: &dyn Fn(&Sample<'_>, Grid) -> f32| {
        let steps = members.iter().map(|(sample, grid)| step(sample, *grid));
        steps.fold(0.0, f32::max)
    };
    let extremes = largest(&|sample, grid| grid.step_of_extremes(sample.least, sample.greatest));
    let step = match calibration {
        Calibration::MinMax => extremes,
        // Where nearly all numbers are 0, so may be the percentile: then the extremes are what is left to go by.
        Calibration::Percentile(percent) => Some(largest(&|sample, grid| {
            sample.step_of_percentile(grid, percent)
        }))
        .filter(|step| is_usable(*step))
        .unwrap_or(extremes),
        Calibration::MeanSquaredError => least_error(members, extremes),
    };
    Some(step).filter(|step| is_usable(*step))
}

/// The step with the least error among those up to that of the extremes, that one first: it stays if no other is better.
fn least_error(members: &[(Sample<'_>, Grid)], extremes: f32) -> f32 {
    let mut best = (extremes, f64::INFINITY);
    let mut consider = |step: f32| {
        if is_usable(step) && best.1 > 0.0 {
            let error = members
                .iter()
                .map(|(sample, grid)| sample.error(*grid, step))
                .sum();
            if error < best.1 {
                best = (step, error);
            }
        }
        best.0
    };
    consider(extremes);
    // Numbers that are on a grid already: its step is the quotient of two rounded numbers, or a neighbour of that.
    consider(extremes.next_up());
    consider(extremes.next_down());
    if let [(sample, grid)] = members
        && grid.is_one_bit_bipolar()
    {
        // The least error of one bit is known: the mean magnitude (Rastegari et al., XNOR-Net, arXiv 1603.05279).
        let magnitudes: f64 = sample.values.iter().map(|v| f64::from(v.abs())).sum();
        return consider((magnitudes / sample.values.len().max(1) as f64) as f32);
    }
    let mut coarse = extremes;
    for i in (1..COARSE_STEPS).rev() {
        coarse = consider(extremes * i as f32 / COARSE_STEPS as f32);
    }
    for i in 1..2 * FINE_STEPS {
        let offset = (i as f32 / FINE_STEPS as f32 - 1.0) / COARSE_STEPS as f32;
        consider(coarse + extremes * offset);
    }
    consider(extremes)
}

/// Ternary numbers with the least error: the step and the least magnitude that is not 0.
///
/// With the k largest magnitudes at 1, the best step is their mean and the error is the sum of all squares minus
/// (their sum)^2 / k: the best k is found by trying each one.
pub fn ternary_of_least_error(values: &[f32]) -> Option<(f32, f32)> {
    let mut magnitudes: Vec<f32> = values.iter().map(|v| v.abs()).collect();
    magnitudes.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut best = None;
    let mut most = 0.0;
    let mut sum = 0.0;
    for (index, magnitude) in magnitudes.iter().enumerate() {
        sum += f64::from(*magnitude);
        let count = (index + 1) as f64;
        if sum * sum / count > most {
            most = sum * sum / count;
            best = Some(((sum / count) as f32, *magnitude));
        }
    }
    best.filter(|(step, _)| is_usable(*step))
}
