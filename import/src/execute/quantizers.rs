//! Quantizers of QONNX and ONNX, in 32-bit floats.

use super::elementwise::spread;
use super::shapes::{along_axis, check_size, from_vec};
use super::{Problem, Tensor};
use crate::graph::{Levels, Round};
use ndarray::{ArrayD, Zip};

/// Rounds to an integer, with the formulas of QONNX (`resolve_rounding_mode`): `HalfAway` is `sign * floor(|x| + 0.5)` and
/// `HalfToZero` is `sign * ceil(|x| - 0.5)`, each step in 32 bits.
pub fn round(x: f32, mode: Round) -> f32 {
    match mode {
        Round::HalfEven => x.round_ties_even(),
        Round::HalfAway => x.signum() * (x.abs() + 0.5).floor(),
        Round::HalfToZero => x.signum() * (x.abs() - 0.5).ceil(),
        Round::Ceil => x.ceil(),
        Round::Floor => x.floor(),
        Round::AwayFromZero => x.signum() * x.abs().ceil(),
        Round::ToZero => x.trunc(),
    }
}

/// The integer of one number: `x / scale + zero_point`, clamped, then rounded. One signed bit means -1 and 1, as in QONNX.
pub fn integer(x: f32, scale: f32, zero_point: f32, levels: Levels, mode: Round) -> f32 {
    let y = x / scale + zero_point;
    if levels.bits == 1 && levels.signed {
        return if y >= 0.0 { 1.0 } else { -1.0 };
    }
    round(clamp(y, levels), mode)
}

/// Between the least and the greatest level; a number that is none (NaN) stays none.
fn clamp(y: f32, levels: Levels) -> f32 {
    let (low, high) = levels.range();
    let (low, high) = (low as f32, high as f32);
    if y > high {
        high
    } else if y < low {
        low
    } else {
        y
    }
}

/// QONNX `Quant`.
pub fn quant(
    x: &Tensor,
    scale: &Tensor,
    zero_point: &Tensor,
    levels: Levels,
    mode: Round,
) -> Result<ArrayD<f32>, Problem> {
    let scale = spread(scale, "scale", x)?;
    let zero_point = spread(zero_point, "zero point", x)?;
    Ok(Zip::from(x)
        .and(scale)
        .and(zero_point)
        .map_collect(|x, scale, zero| (integer(*x, *scale, *zero, levels, mode) - zero) * scale))
}

/// QONNX `BipolarQuant`; negative zero counts as zero.
pub fn bipolar_quant(x: &Tensor, scale: &Tensor) -> Result<ArrayD<f32>, Problem> {
    let scale = spread(scale, "scale", x)?;
    Ok(Zip::from(x)
        .and(scale)
        .map_collect(|x, scale| if *x >= 0.0 { *scale } else { -scale }))
}

/// QONNX `Trunc` of version 2. The shift is the nearest power of two of the quotient of the scales.
pub fn trunc(
    x: &Tensor,
    [scale, zero_point]: [&Tensor; 2],
    levels: Levels,
    output_scale: f32,
    mode: Round,
) -> Result<ArrayD<f32>, Problem> {
    let scale = spread(scale, "scale", x)?;
    let zero_point = spread(zero_point, "zero point", x)?;
    Ok(Zip::from(x)
        .and(scale)
        .and(zero_point)
        .map_collect(|x, scale, zero| {
            let integer = (x / scale + zero).round_ties_even();
            let divisor = (output_scale / scale).log2().round_ties_even().exp2();
            let truncated = round(clamp(integer / divisor, levels), mode);
            (truncated - zero / divisor) * output_scale
        }))
}

/// FINN/QONNX `MultiThreshold`, channels in dimension 1 (0 of a vector).
pub fn multi_threshold(
    x: &Tensor,
    thresholds: &Tensor,
    scale: f32,
    bias: f32,
) -> Result<ArrayD<f32>, Problem> {
    let axis = usize::from(x.ndim() > 1);
    let channels = x.shape().get(axis).copied().unwrap_or(1);
    let (rows, steps) = match *thresholds.shape() {
        [rows, steps] if rows == 1 || rows == channels => (rows, steps),
        _ => {
            return Err(Problem::Mismatch {
                what: "thresholds",
                shape: thresholds.shape().to_vec(),
                other: "its data",
                other_shape: x.shape().to_vec(),
                rule: "they are [channels or 1, steps], channels is dimension 1 of the data",
            });
        }
    };
    let thresholds: Vec<f32> = thresholds.iter().copied().collect();
    let inner: usize = x.shape().iter().skip(axis + 1).product();
    let count = |(position, v): (usize, &f32)| {
        let channel = position / inner.max(1) % channels.max(1);
        let row = if rows == 1 { 0 } else { channel };
        let reached = thresholds[row * steps..(row + 1) * steps]
            .iter()
            .filter(|t| v >= t);
        (f64::from(scale) * reached.count() as f64 + f64::from(bias)) as f32
    };
    check_size(x.shape())?;
    Ok(from_vec(
        x.shape(),
        x.iter().enumerate().map(count).collect(),
    ))
}

/// A scale or zero point of ONNX in a shape that broadcasts against the data: a scalar, or one number for each index of
/// dimension `axis`.
fn per_axis(
    parameter: &Tensor,
    what: &'static str,
    x: &Tensor,
    axis: usize,
) -> Result<Tensor, Problem> {
    let shape = match *parameter.shape() {
        [] | [1] => vec![],
        [length] if x.shape().get(axis) == Some(&length) => along_axis(length, axis, x.ndim()),
        _ => {
            return Err(Problem::Mismatch {
                what,
                shape: parameter.shape().to_vec(),
                other: "its data",
                other_shape: x.shape().to_vec(),
                rule: "it is one number, or one for each index of the data's dimension `axis`",
            });
        }
    };
    Ok(from_vec(&shape, parameter.iter().copied().collect()).into())
}

/// ONNX `QuantizeLinear`: rounds, ties to even, then adds the zero point, then saturates.
pub fn quantize_linear(
    x: &Tensor,
    scale: &Tensor,
    zero_point: Option<&Tensor>,
    levels: Levels,
    axis: usize,
) -> Result<ArrayD<f32>, Problem> {
    let scale = per_axis(scale, "scale", x, axis)?;
    let zero_point = zero_point_of(zero_point, x, axis)?;
    let scale = spread(&scale, "scale", x)?;
    let zero_point = spread(&zero_point, "zero point", x)?;
    Ok(Zip::from(x)
        .and(scale)
        .and(zero_point)
        .map_collect(|x, scale, zero| clamp((x / scale).round_ties_even() + zero, levels)))
}

/// ONNX `DequantizeLinear`.
pub fn dequantize_linear(
    x: &Tensor,
    scale: &Tensor,
    zero_point: Option<&Tensor>,
    axis: usize,
) -> Result<ArrayD<f32>, Problem> {
    let scale = per_axis(scale, "scale", x, axis)?;
    let zero_point = zero_point_of(zero_point, x, axis)?;
    let scale = spread(&scale, "scale", x)?;
    let zero_point = spread(&zero_point, "zero point", x)?;
    Ok(Zip::from(x)
        .and(scale)
        .and(zero_point)
        .map_collect(|x, scale, zero| (x - zero) * scale))
}

/// 0 if there is none, as the standard says.
fn zero_point_of(zero_point: Option<&Tensor>, x: &Tensor, axis: usize) -> Result<Tensor, Problem> {
    match zero_point {
        Some(zero_point) => per_axis(zero_point, "zero point", x, axis),
        None => Ok(from_vec(&[], vec![0.0]).into()),
    }
}
