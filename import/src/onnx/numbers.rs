//! Constants as numbers.

use super::error::Fault;
use super::tensor::shaped;
use crate::graph::Array;
use ndarray::{ArcArray, ArrayView, IxDyn};

/// The same expression for every type of [`Array`]; the result has the same type.
macro_rules! same_type {
    ($array:expr, $numbers:ident => $result:expr) => {
        match $array {
            Array::F32($numbers) => Array::F32($result),
            Array::F64($numbers) => Array::F64($result),
            Array::I8($numbers) => Array::I8($result),
            Array::U8($numbers) => Array::U8($result),
            Array::I32($numbers) => Array::I32($result),
            Array::I64($numbers) => Array::I64($result),
        }
    };
}
pub(super) use same_type;

/// The same expression for every type of [`Array`].
macro_rules! any_type {
    ($array:expr, $numbers:ident => $result:expr) => {
        match $array {
            Array::F32($numbers) => $result,
            Array::F64($numbers) => $result,
            Array::I8($numbers) => $result,
            Array::U8($numbers) => $result,
            Array::I32($numbers) => $result,
            Array::I64($numbers) => $result,
        }
    };
}
pub(super) use any_type;

/// Calls a function on every number; 64-bit integers are rounded to 53 bits.
pub(super) fn for_each(array: &Array, mut f: impl FnMut(f64)) {
    use num_traits::AsPrimitive;
    any_type!(array, numbers => numbers.iter().for_each(|&number| f(number.as_())));
}

/// The number of an array that holds one.
pub(super) fn only(array: &Array) -> Option<f64> {
    let mut number = None;
    if array.len() == 1 {
        for_each(array, |only| number = Some(only));
    }
    number
}

/// The same numbers in other dimensions, which must hold as many; nothing is copied.
pub(super) fn reshape(array: Array, shape: &[usize]) -> Result<Array, Fault> {
    let problem = format!("dimensions {:?} do not fit {shape:?}", array.shape());
    let fault = |_| Fault::new("shape", problem.clone(), "export the model again");
    Ok(same_type!(array, numbers => numbers.into_shape_with_order(IxDyn(shape)).map_err(fault)?))
}

/// A view as an array of its own, in row-major order.
pub(super) fn owned<T: Clone>(view: ArrayView<'_, T, IxDyn>) -> Result<ArcArray<T, IxDyn>, Fault> {
    let shape = view.shape().to_vec();
    shaped(&shape, view.iter().cloned().collect())
}
