//! Rules for dimensions and axes.

use super::error::Fault;

/// Dimensions of a result whose operands are broadcast as NumPy does, if they can be.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim =
        |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}

/// An axis, counted from the end if negative; `limit` is the first that is too large.
pub(super) fn axis(value: i64, rank: usize, limit: usize, field: &str) -> Result<usize, Fault> {
    let counted = if value < 0 {
        value.checked_add(rank as i64)
    } else {
        Some(value)
    };
    let axis = counted.and_then(|axis| usize::try_from(axis).ok());
    axis.filter(|&axis| axis < limit).ok_or_else(|| {
        let problem = format!("{value} is no axis of {rank} dimensions");
        Fault::new(field, problem, "export the model again")
    })
}

/// Different axes.
pub(super) fn axes(values: &[i64], rank: usize, field: &str) -> Result<Vec<usize>, Fault> {
    if values.len() > rank {
        let problem = format!("{} axes for {rank} dimensions", values.len());
        return Err(Fault::new(field, problem, "export the model again"));
    }
    let mut axes = Vec::new();
    for &value in values {
        let axis = axis(value, rank, rank, field)?;
        if axes.contains(&axis) {
            let problem = format!("{values:?} names axis {axis} twice");
            return Err(Fault::new(field, problem, "export the model again"));
        }
        axes.push(axis);
    }
    Ok(axes)
}
