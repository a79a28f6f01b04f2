//! Operations that move numbers, and checks of shapes.

use super::{Problem, Tensor};
use crate::graph::NUMBERS_MAX;
use ndarray::{ArcArray, ArrayD, ArrayViewD, Axis, Dimension, IxDyn, Slice};

/// Checks that a result is within the limit, before it is allocated.
pub fn check_size(shape: &[usize]) -> Result<usize, Problem> {
    shape
        .iter()
        .try_fold(1usize, |product, &dimension| product.checked_mul(dimension))
        .filter(|&numbers| numbers <= NUMBERS_MAX && shape.iter().all(|&d| d <= NUMBERS_MAX))
        .ok_or_else(|| Problem::TooLarge {
            shape: shape.to_vec(),
        })
}

/// An array of these numbers.
///
/// # Panics
/// If there are not as many as the shape says: the caller counted them.
pub fn from_vec(shape: &[usize], numbers: Vec<f32>) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(shape), numbers).expect("as many numbers as the shape says")
}

/// The array in C order.
pub fn standard<D: Dimension, S>(array: ndarray::ArrayBase<S, D>) -> Tensor
where
    S: ndarray::DataOwned<Elem = f32> + ndarray::RawDataClone,
    ArcArray<f32, IxDyn>: From<ArrayD<f32>>,
{
    let array = array.into_owned().into_dyn();
    if array.is_standard_layout() {
        return array.into();
    }
    array.as_standard_layout().into_owned().into()
}

/// The shape that two shapes are broadcast to, as NumPy does.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at =
        |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}

/// A per-channel operand as a shape that broadcasts along `axis` of an array of `rank` dimensions.
pub fn along_axis(length: usize, axis: usize, rank: usize) -> Vec<usize> {
    (0..rank)
        .map(|i| if i == axis { length } else { 1 })
        .collect()
}

pub fn flatten(x: &Tensor, axis: usize) -> Result<ArrayD<f32>, Problem> {
    if axis > x.ndim() {
        return Err(Problem::Rank {
            what: "data",
            shape: x.shape().to_vec(),
            expected: format!("at least {axis} dimensions (its axis)"),
        });
    }
    let (before, after) = x.shape().split_at(axis);
    let shape = [before.iter().product(), after.iter().product()];
    Ok(from_vec(&shape, x.iter().copied().collect()))
}

pub fn reshape(x: &Tensor, shape: &[usize]) -> Result<ArrayD<f32>, Problem> {
    if check_size(shape)? != x.len() {
        return Err(Problem::Mismatch {
            what: "data",
            shape: x.shape().to_vec(),
            other: "its new shape",
            other_shape: shape.to_vec(),
            rule: "both hold the same number of numbers",
        });
    }
    Ok(from_vec(shape, x.iter().copied().collect()))
}

pub fn transpose(x: &Tensor, order: &[usize]) -> Result<ArrayD<f32>, Problem> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..x.ndim()) {
        return Err(Problem::Rank {
            what: "data",
            shape: x.shape().to_vec(),
            expected: format!("as many dimensions as its order {order:?} names once each"),
        });
    }
    Ok(x.view().permuted_axes(order.to_vec()).to_owned())
}

pub fn concat(parts: &[ArrayViewD<'_, f32>], axis: usize) -> Result<ArrayD<f32>, Problem> {
    let first = &parts[0];
    if axis >= first.ndim() {
        return Err(Problem::Rank {
            what: "data",
            shape: first.shape().to_vec(),
            expected: format!("more than {axis} dimensions (its axis)"),
        });
    }
    let mut shape = first.shape().to_vec();
    for part in &parts[1..] {
        let fits = part.ndim() == first.ndim()
            && (0..first.ndim()).all(|i| i == axis || part.shape()[i] == first.shape()[i]);
        if !fits {
            return Err(Problem::Mismatch {
                what: "input",
                shape: part.shape().to_vec(),
                other: "its first input",
                other_shape: first.shape().to_vec(),
                rule: "all dimensions but the one of its axis are equal",
            });
        }
        shape[axis] = shape[axis].saturating_add(part.shape()[axis]);
    }
    check_size(&shape)?;
    let mut result = ArrayD::zeros(shape);
    let mut start = 0;
    for part in parts {
        let end = start + part.shape()[axis];
        result
            .slice_axis_mut(Axis(axis), Slice::from(start..end))
            .assign(part);
        start = end;
    }
    Ok(result)
}

pub fn pad(x: &Tensor, pads: &[(usize, usize)], value: f32) -> Result<ArrayD<f32>, Problem> {
    if pads.len() != x.ndim() {
        return Err(Problem::Rank {
            what: "data",
            shape: x.shape().to_vec(),
            expected: format!("{} dimensions (pairs of pads)", pads.len()),
        });
    }
    let sizes = x.shape().iter().zip(pads);
    let shape: Vec<usize> = sizes
        .map(|(size, (before, after))| size.saturating_add(*before).saturating_add(*after))
        .collect();
    check_size(&shape)?;
    let mut result = ArrayD::from_elem(shape, value);
    let mut inner = result.view_mut();
    for (axis, (before, _)) in pads.iter().enumerate() {
        let slice = Slice::from(*before..before + x.shape()[axis]);
        inner.slice_axis_inplace(Axis(axis), slice);
    }
    inner.assign(x);
    Ok(result)
}
