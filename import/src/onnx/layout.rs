//! Operators that move numbers: the same rules for activations and for constants.

use super::call::Call;
use super::error::{Fault, Name};
use super::shapes::{axes, axis};
use super::tensor::count;
use crate::graph::{Op, RANK_MAX};

/// Dimensions that Flatten, Reshape, Squeeze or Unsqueeze gives its input of dimensions `from`.
pub(super) fn target(call: &Call, from: &[usize]) -> Result<Option<Vec<usize>>, Fault> {
    let shape = match call.operator() {
        "Flatten" => {
            let axis = flatten_axis(call, from.len())?;
            vec![from[..axis].iter().product(), from[axis..].iter().product()]
        }
        "Reshape" => reshape(call, from)?,
        "Squeeze" => squeeze(call, from)?,
        "Unsqueeze" => unsqueeze(call, from)?,
        _ => return Ok(None),
    };
    Ok(Some(shape))
}

/// Flatten, Reshape, Squeeze or Unsqueeze of an activation.
pub(super) fn regroup(call: &mut Call) -> Result<(), Fault> {
    let x = call.needed(0, "data")?;
    let from = call.shape(x);
    let Some(shape) = target(call, &from)? else {
        return Ok(());
    };
    let op = match call.operator() {
        "Flatten" => Op::Flatten {
            axis: flatten_axis(call, from.len())?,
        },
        _ => Op::Reshape {
            shape: shape.clone(),
        },
    };
    call.emit(op, &[x], shape)
}

fn flatten_axis(call: &Call, rank: usize) -> Result<usize, Fault> {
    call.arity(1)?;
    axis(
        call.attributes.int("axis")?.unwrap_or(1),
        rank,
        rank + 1,
        "axis",
    )
}

/// 0 keeps a dimension, -1 is what is left.
fn reshape(call: &Call, from: &[usize]) -> Result<Vec<usize>, Fault> {
    call.arity(2)?;
    let keeps = !call.attributes.flag("allowzero")?.unwrap_or(false);
    let attribute = call.attributes.ints("shape")?.map(<[i64]>::to_vec);
    let missing = || Fault::new("shape", "it is missing", "export the model again");
    let target = call
        .integers(1, "shape")?
        .or(attribute)
        .ok_or_else(missing)?;
    if target.len() > RANK_MAX {
        let problem = format!("{} dimensions, more than {RANK_MAX}", target.len());
        return Err(Fault::new("shape", problem, "merge dimensions"));
    }
    let fault = |problem: String| {
        let fix = "export the model with the batch that its input declares";
        Fault::new(
            "shape",
            format!("{target:?} does not fit {from:?}{problem}"),
            fix,
        )
    };
    let mut shape = vec![1usize; target.len()];
    let mut rest = None;
    for (i, &dim) in target.iter().enumerate() {
        match dim {
            0 if keeps => {
                shape[i] = *from
                    .get(i)
                    .ok_or_else(|| fault(": 0 keeps a dimension".into()))?
            }
            -1 if rest.is_none() => rest = Some(i),
            -1 => return Err(fault(": -1 is there twice".to_owned())),
            _ => shape[i] = usize::try_from(dim).map_err(|_| fault(": negative".to_owned()))?,
        }
    }
    let total: usize = from.iter().product();
    let known = count(&shape).ok_or_else(|| fault(": too many numbers".to_owned()))?;
    if let Some(i) = rest {
        let left = total
            .checked_div(known)
            .filter(|left| left * known == total);
        shape[i] = left.ok_or_else(|| fault(": -1 would be a fraction".to_owned()))?;
    } else if known != total {
        return Err(fault(format!(": {known} numbers, not {total}")));
    }
    Ok(shape)
}

/// Axes of the second input, or of the attribute that it was before opset 13.
fn list(call: &Call) -> Result<Option<Vec<i64>>, Fault> {
    call.arity(2)?;
    let attribute = call.attributes.ints("axes")?.map(<[i64]>::to_vec);
    Ok(call.integers(1, "axes")?.or(attribute))
}

fn squeeze(call: &Call, from: &[usize]) -> Result<Vec<usize>, Fault> {
    let dropped = match list(call)? {
        Some(values) => axes(&values, from.len(), "axes")?,
        None => (0..from.len()).filter(|&axis| from[axis] == 1).collect(),
    };
    if let Some(&axis) = dropped.iter().find(|&&axis| from[axis] != 1) {
        let problem = format!("axis {axis} of {from:?} is not 1");
        return Err(Fault::new("axes", problem, "export the model again"));
    }
    let kept = from
        .iter()
        .enumerate()
        .filter(|(axis, _)| !dropped.contains(axis));
    Ok(kept.map(|(_, &dim)| dim).collect())
}

fn unsqueeze(call: &Call, from: &[usize]) -> Result<Vec<usize>, Fault> {
    let missing = || Fault::new("axes", "they are missing", "export the model again");
    let values = list(call)?.ok_or_else(missing)?;
    let rank = from.len() + values.len();
    if rank > RANK_MAX {
        let problem = format!("the result has {rank} dimensions, more than {RANK_MAX}");
        return Err(Fault::new("axes", problem, "drop dimensions of size 1"));
    }
    let added = axes(&values, rank, "axes")?;
    let mut old = from.iter().copied();
    let dim = |axis: usize| {
        if added.contains(&axis) {
            Some(1)
        } else {
            old.next()
        }
    };
    Ok((0..rank).filter_map(dim).collect())
}

/// The order of a Transpose.
pub(super) fn order(call: &Call, rank: usize) -> Result<Vec<usize>, Fault> {
    call.arity(1)?;
    let Some(perm) = call.attributes.ints("perm")? else {
        return Ok((0..rank).rev().collect());
    };
    if perm.len() != rank {
        let problem = format!("{} axes for {rank} dimensions", perm.len());
        return Err(Fault::new("perm", problem, "name every axis once"));
    }
    axes(perm, rank, "perm")
}

pub(super) fn transpose(call: &mut Call) -> Result<(), Fault> {
    let x = call.needed(0, "data")?;
    let from = call.shape(x);
    let order = order(call, from.len())?;
    let shape = order.iter().map(|&axis| from[axis]).collect();
    call.emit(Op::Transpose { order }, &[x], shape)
}

/// Axis and dimensions of a Concat.
pub(super) fn concat_shape(call: &Call) -> Result<(usize, Vec<usize>), Fault> {
    let first = call.shape(call.needed(0, "data")?);
    // It was 1 before opset 4.
    let axis = axis(
        call.attributes.int("axis")?.unwrap_or(1),
        first.len(),
        first.len(),
        "axis",
    )?;
    let mut shape = first.clone();
    for index in 1..call.node.input.len() {
        let other = call.shape(call.needed(index, "data")?);
        let fits = other.len() == first.len()
            && (0..first.len()).all(|i| i == axis || other[i] == first[i]);
        if !fits {
            let problem = format!("{other:?} does not fit {first:?} of input 0 along axis {axis}");
            return Err(call.wrong(index, "data", problem, "make all other dimensions equal"));
        }
        let sum = shape[axis].checked_add(other[axis]);
        shape[axis] =
            sum.ok_or_else(|| call.wrong(index, "data", "it is too large", "split it"))?;
    }
    Ok((axis, shape))
}

pub(super) fn concat(call: &mut Call) -> Result<(), Fault> {
    let (axis, shape) = concat_shape(call)?;
    let inputs: Vec<&str> = call.node.input.iter().map(String::as_str).collect();
    call.emit(Op::Concat { axis }, &inputs, shape)
}

/// Pad by a constant. Amounts were attributes before opset 11, and `paddings` in opset 1.
pub(super) fn pad(call: &mut Call) -> Result<(), Fault> {
    call.arity(4)?;
    let x = call.needed(0, "data")?;
    let from = call.shape(x);
    let rank = from.len();
    match call.attributes.string("mode")? {
        None | Some("constant") => {}
        Some(mode) => {
            let problem = format!("`{}` is not supported", Name::new(mode));
            return Err(Fault::new("mode", problem, "pad by a constant"));
        }
    }
    let attribute = match call.attributes.ints("pads")? {
        Some(pads) => Some(pads),
        None => call.attributes.ints("paddings")?,
    };
    let missing = || Fault::new("pads", "they are missing", "export the model again");
    let amounts = call
        .integers(1, "pads")?
        .or(attribute.map(<[i64]>::to_vec))
        .ok_or_else(missing)?;
    let axes = match call.integers(3, "axes")? {
        Some(values) => axes(&values, rank, "axes")?,
        None => (0..rank).collect(),
    };
    if amounts.len() != 2 * axes.len() {
        let problem = format!(
            "{} of them, but {} axes need two each",
            amounts.len(),
            axes.len()
        );
        return Err(Fault::new("pads", problem, "export the model again"));
    }
    let mut pads = vec![(0, 0); rank];
    let mut shape = from.clone();
    for (i, &axis) in axes.iter().enumerate() {
        let amount = |amount: i64| {
            u32::try_from(amount)
                .map(|amount| amount as usize)
                .map_err(|_| {
                    let problem = format!("{amount} is out of range: 0..={}", u32::MAX);
                    Fault::new("pads", problem, "crop by other means than padding")
                })
        };
        pads[axis] = (amount(amounts[i])?, amount(amounts[i + axes.len()])?);
        shape[axis] = shape[axis]
            .saturating_add(pads[axis].0)
            .saturating_add(pads[axis].1);
    }
    let value = match call.scalar(2, "constant_value")? {
        Some(value) => value as f32,
        None => call.attributes.any_float("value")?.unwrap_or(0.0),
    };
    if value.is_nan() {
        return Err(Fault::new("constant_value", "it is NaN", "choose a number"));
    }
    call.emit(Op::Pad { pads, value }, &[x], shape)
}
