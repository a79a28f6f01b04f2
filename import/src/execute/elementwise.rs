//! Operations on each number by itself.

use super::shapes::{along_axis, broadcast, check_size};
use super::{Problem, Tensor};
use crate::graph::Op;
use ndarray::{ArrayD, ArrayViewD, Zip};

/// Operations of one operand. A number that is none (NaN) stays none.
pub fn unary(op: &Op, x: &Tensor) -> ArrayD<f32> {
    match op {
        Op::Relu => x.mapv(|v| if v < 0.0 { 0.0 } else { v }),
        Op::Clip { low, high } => x.mapv(|v| clip(v, *low, *high)),
        Op::Sign => x.mapv(|v| {
            if v == 0.0 || v.is_nan() {
                v
            } else {
                v.signum()
            }
        }),
        Op::Neg => x.mapv(|v| -v),
        _ => x.to_owned(),
    }
}

fn clip(v: f32, low: Option<f32>, high: Option<f32>) -> f32 {
    let raised = low.filter(|low| v < *low).unwrap_or(v);
    high.filter(|high| raised > *high).unwrap_or(raised)
}

/// Operations of two operands, which are broadcast as NumPy does.
pub fn binary(a: &Tensor, b: &Tensor, f: impl Fn(f32, f32) -> f32) -> Result<ArrayD<f32>, Problem> {
    let mismatch = || Problem::Mismatch {
        what: "first operand",
        shape: a.shape().to_vec(),
        other: "its second",
        other_shape: b.shape().to_vec(),
        rule: "aligned at the last dimension, each pair is equal or one of them is 1",
    };
    let shape = broadcast(a.shape(), b.shape()).ok_or_else(mismatch)?;
    check_size(&shape)?;
    let a = a.broadcast(shape.as_slice()).ok_or_else(mismatch)?;
    let b = b.broadcast(shape.as_slice()).ok_or_else(mismatch)?;
    Ok(Zip::from(a).and(b).map_collect(|a, b| f(*a, *b)))
}

/// A parameter (a scale, a zero point) as a view of the data's shape.
pub fn spread<'a>(
    parameter: &'a Tensor,
    what: &'static str,
    x: &Tensor,
) -> Result<ArrayViewD<'a, f32>, Problem> {
    parameter
        .broadcast(x.shape())
        .ok_or_else(|| Problem::Mismatch {
            what,
            shape: parameter.shape().to_vec(),
            other: "its data",
            other_shape: x.shape().to_vec(),
            rule: "aligned at the last dimension, each of its dimensions is 1 or that of the data",
        })
}

/// `x * factor + addend` per channel with `factor = scale / sqrt(variance + epsilon)` and `addend = bias - mean * factor`,
/// each step rounded to 32 bits: the order in which ONNX Runtime computes it.
pub fn batch_normalization(
    x: &Tensor,
    parameters: [&Tensor; 4],
    epsilon: f32,
) -> Result<ArrayD<f32>, Problem> {
    let Some(&channels) = x.shape().get(1) else {
        return Err(Problem::Rank {
            what: "data",
            shape: x.shape().to_vec(),
            expected: "[N, C, ...]".to_owned(),
        });
    };
    for (parameter, what) in parameters.iter().zip(["scale", "bias", "mean", "variance"]) {
        if parameter.shape() != [channels] {
            return Err(Problem::Mismatch {
                what,
                shape: parameter.shape().to_vec(),
                other: "its data",
                other_shape: x.shape().to_vec(),
                rule: "it holds one number for each channel, which is dimension 1 of the data",
            });
        }
    }
    let [scale, bias, mean, variance] = parameters;
    let inverse = variance.mapv(|variance| 1.0 / (variance + epsilon).sqrt());
    let factor = &inverse * scale;
    let addend = bias - &(mean * &factor);
    let shape = along_axis(channels, 1, x.ndim());
    let factor = super::shapes::from_vec(&shape, factor.into_iter().collect());
    let addend = super::shapes::from_vec(&shape, addend.into_iter().collect());
    Ok(&(x * &factor) + &addend)
}
