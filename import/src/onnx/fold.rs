//! Operators on constants: what exporters leave of the arithmetic of shapes and scales.
//!
//! Computed as ONNX does, in the type of the operands: 32-bit floats in 32 bits. Integers that overflow are an error,
//! as is a division of integers by zero. Numbers are counted before they are allocated.

use super::call::Call;
use super::element::{Element, F32, I64};
use super::elementwise::{binary_shape, bounds, cast_to, check_dropout};
use super::error::Fault;
use super::layout;
use super::numbers::{any_type, owned, reshape, same_type};
use super::shapes::{axes, axis, broadcast};
use super::tensor::{self, count, shaped};
use crate::graph::Array;
use ndarray::{ArcArray, Axis, IxDyn, Slice, Zip};
use num_traits::{AsPrimitive, Float};

/// A constant and its type in the file.
type Folded = Option<(Array, Element)>;

/// The node's result if it is a constant that can be computed here.
pub(super) fn fold(call: &mut Call) -> Result<Folded, Fault> {
    match call.operator() {
        "Constant" => return constant(call).map(Some),
        "Shape" | "Size" => return shape(call).map(Some),
        "CastLike" => return cast_like(call),
        _ => {}
    }
    let given = call.node.input.iter().filter(|name| !name.is_empty());
    let is_constant = given
        .clone()
        .all(|name| call.builder.graph.constants.contains_key(name));
    if !is_constant || given.count() == 0 {
        return Ok(None);
    }
    let element = call.element(call.needed(0, "data")?);
    let same = |array: Option<Array>| Ok(array.map(|array| (array, element)));
    match call.operator() {
        "Add" | "Sub" | "Mul" | "Div" | "Min" | "Max" => same(arithmetic(call)?),
        "Equal" => Ok(equal(call)?.map(|array| (array, Element::Bool))),
        "Where" => select(call),
        "Neg" | "Abs" | "Sqrt" | "Floor" | "Ceil" | "Round" | "Reciprocal" | "Sign" | "Relu" => {
            same(unary(call)?)
        }
        "Clip" => same(clip(call)?),
        "Cast" => cast(call),
        "Identity" => same(Some(operand(call, 0)?)),
        "Dropout" => {
            check_dropout(call)?;
            same(Some(operand(call, 0)?))
        }
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => same(regroup(call)?),
        "Transpose" => same(transpose(call)?),
        "Concat" => same(concat(call)?),
        "Gather" => same(gather(call)?),
        "Slice" => same(slice(call)?),
        "Expand" => same(expand(call)?),
        "Range" => same(range(call)?),
        "ConstantOfShape" => constant_of_shape(call).map(Some),
        _ => Ok(None),
    }
}

/// Input `index`, which is a constant.
fn operand(call: &Call, index: usize) -> Result<Array, Fault> {
    call.needed(index, "data")?;
    let missing = || call.wrong(index, "data", "it is no constant", "export the model again");
    call.fixed(index, "data")?.ok_or_else(missing)
}

/// An error if a result of these dimensions is too large.
fn allow(call: &mut Call, shape: &[usize]) -> Result<usize, Fault> {
    let count = count(shape).ok_or_else(|| {
        let problem = format!(
            "dimensions {shape:?} are more than {} numbers",
            crate::graph::NUMBERS_MAX
        );
        Fault::new("output 0", problem, "export the model again")
    })?;
    call.builder.folded.take(count)?;
    Ok(count)
}

fn constant(call: &mut Call) -> Result<(Array, Element), Fault> {
    let attributes = &call.attributes;
    if let Some(tensor) = attributes.tensor("value")? {
        let (element, array) = tensor::read(tensor, call.builder.folder, &mut call.builder.stored)
            .map_err(|fault| Fault {
                field: format!("value, {}", fault.field),
                ..fault
            })?;
        return Ok((array, element));
    }
    if let Some(value) = attributes.any_float("value_float")? {
        return Ok((Array::F32(shaped(&[], vec![value])?), F32));
    }
    if let Some(value) = attributes.int("value_int")? {
        return Ok((Array::I64(shaped(&[], vec![value])?), I64));
    }
    if let Some(values) = attributes.floats("value_floats")? {
        return Ok((Array::F32(shaped(&[values.len()], values.to_vec())?), F32));
    }
    if let Some(values) = attributes.ints("value_ints")? {
        return Ok((Array::I64(shaped(&[values.len()], values.to_vec())?), I64));
    }
    let problem = "it holds no dense numbers";
    Err(Fault::new(
        "value",
        problem,
        "strings and sparse tensors are not supported; use a dense tensor",
    ))
}

fn shape(call: &mut Call) -> Result<(Array, Element), Fault> {
    call.arity(1)?;
    let shape = call.shape(call.needed(0, "data")?);
    let dims: Vec<i64> = shape.iter().map(|&dim| dim as i64).collect();
    let array = if call.operator() == "Size" {
        shaped(&[], vec![dims.iter().product()])?
    } else {
        // Unlike an axis, a bound may lie outside.
        let rank = dims.len() as i64;
        let bound = |value: i64| {
            (if value < 0 {
                value.saturating_add(rank)
            } else {
                value
            })
            .clamp(0, rank)
        };
        let start = bound(call.attributes.int("start")?.unwrap_or(0)) as usize;
        let end = bound(call.attributes.int("end")?.unwrap_or(rank)) as usize;
        let dims = dims.get(start..end).unwrap_or_default().to_vec();
        shaped(&[dims.len()], dims)?
    };
    Ok((Array::I64(array), I64))
}

/// An operator of two operands on floats.
fn on_floats<T: Float>(operator: &str, a: T, b: T) -> T {
    match operator {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Div" => a / b,
        // NaN is the result if one operand is NaN, unlike in `Float::min`.
        "Min" if a <= b || a.is_nan() => a,
        "Max" if a >= b || a.is_nan() => a,
        _ => b,
    }
}

/// An operator of two operands on integers, if the result has 64 bits.
fn on_integers(operator: &str, a: i64, b: i64) -> Option<i64> {
    match operator {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        "Min" => Some(a.min(b)),
        _ => Some(a.max(b)),
    }
}

/// A function on two operands that are broadcast to `shape`.
fn zip<A: Copy, B: Copy, R: Clone>(
    a: &ArcArray<A, IxDyn>,
    b: &ArcArray<B, IxDyn>,
    shape: &[usize],
    mut f: impl FnMut(A, B) -> Result<R, Fault>,
) -> Result<ArcArray<R, IxDyn>, Fault> {
    let misfit = || {
        Fault::new(
            "inputs",
            format!("they do not fit {shape:?}"),
            "export the model again",
        )
    };
    let a = a.broadcast(IxDyn(shape)).ok_or_else(misfit)?;
    let b = b.broadcast(IxDyn(shape)).ok_or_else(misfit)?;
    let data: Result<Vec<R>, Fault> = a.iter().zip(b.iter()).map(|(&a, &b)| f(a, b)).collect();
    shaped(shape, data?)
}

fn arithmetic(call: &mut Call) -> Result<Option<Array>, Fault> {
    let operator = call.operator();
    if call.node.input.len() == 1 && matches!(operator, "Min" | "Max") {
        return operand(call, 0).map(Some);
    }
    let shape = binary_shape(call)?;
    allow(call, &shape)?;
    macro_rules! integers {
        ($variant:ident, $a:expr, $b:expr) => {
            Array::$variant(zip($a, $b, &shape, |a, b| {
                let result = on_integers(operator, i64::from(a), i64::from(b));
                result
                    .and_then(|result| result.try_into().ok())
                    .ok_or_else(|| {
                        let problem = format!("{a} and {b} have no result in that type");
                        Fault::new("inputs", problem, "export the model again")
                    })
            })?)
        };
    }
    Ok(Some(match (&operand(call, 0)?, &operand(call, 1)?) {
        (Array::F32(a), Array::F32(b)) => {
            Array::F32(zip(a, b, &shape, |a, b| Ok(on_floats(operator, a, b)))?)
        }
        (Array::F64(a), Array::F64(b)) => {
            Array::F64(zip(a, b, &shape, |a, b| Ok(on_floats(operator, a, b)))?)
        }
        (Array::I8(a), Array::I8(b)) => integers!(I8, a, b),
        (Array::U8(a), Array::U8(b)) => integers!(U8, a, b),
        (Array::I32(a), Array::I32(b)) => integers!(I32, a, b),
        (Array::I64(a), Array::I64(b)) => integers!(I64, a, b),
        _ => return Err(mixed()),
    }))
}

fn mixed() -> Fault {
    Fault::new(
        "inputs",
        "they are of different types",
        "export the model again",
    )
}

fn equal(call: &mut Call) -> Result<Option<Array>, Fault> {
    let shape = binary_shape(call)?;
    allow(call, &shape)?;
    macro_rules! compare {
        ($($variant:ident),*) => {
            match (&operand(call, 0)?, &operand(call, 1)?) {
                $((Array::$variant(a), Array::$variant(b)) => zip(a, b, &shape, |a, b| Ok(u8::from(a == b)))?,)*
                _ => return Err(mixed()),
            }
        };
    }
    Ok(Some(Array::U8(compare!(F32, F64, I8, U8, I32, I64))))
}

/// Where: inputs condition, numbers where it holds, numbers where it does not.
fn select(call: &mut Call) -> Result<Folded, Fault> {
    call.arity(3)?;
    let Array::U8(condition) = operand(call, 0)? else {
        return Err(call.wrong(
            0,
            "condition",
            "it is not of type bool",
            "export the model again",
        ));
    };
    let element = call.element(call.needed(1, "X")?);
    let (x, y) = (operand(call, 1)?, operand(call, 2)?);
    let shape =
        broadcast(x.shape(), y.shape()).and_then(|shape| broadcast(&shape, condition.shape()));
    let misfit = || {
        Fault::new(
            "inputs",
            "their dimensions do not fit",
            "export the model again",
        )
    };
    let shape = shape.ok_or_else(misfit)?;
    allow(call, &shape)?;
    let condition = condition.broadcast(IxDyn(&shape)).ok_or_else(misfit)?;
    macro_rules! choose {
        ($($variant:ident),*) => {
            match (&x, &y) {
                $((Array::$variant(x), Array::$variant(y)) => {
                    let x = x.broadcast(IxDyn(&shape)).ok_or_else(misfit)?;
                    let y = y.broadcast(IxDyn(&shape)).ok_or_else(misfit)?;
                    let chosen = Zip::from(&condition).and(&x).and(&y);
                    let chosen = chosen.map_collect(|&condition, &x, &y| if condition != 0 { x } else { y });
                    Array::$variant(owned(chosen.view())?)
                })*
                _ => return Err(mixed()),
            }
        };
    }
    Ok(Some((choose!(F32, F64, I8, U8, I32, I64), element)))
}

/// An operator of one operand on floats.
fn float_function<T: Float>(operator: &str, x: T) -> T {
    match operator {
        "Neg" => -x,
        "Abs" => x.abs(),
        "Sqrt" => x.sqrt(),
        "Floor" => x.floor(),
        "Ceil" => x.ceil(),
        "Round" => half_even(x),
        "Reciprocal" => x.recip(),
        "Sign" if x == T::zero() => x,
        "Sign" => x.signum(),
        _ => x.max(T::zero()),
    }
}

fn half_even<T: Float>(x: T) -> T {
    let two = T::one() + T::one();
    let rounded = x.round();
    let is_tie = (x - x.trunc()).abs() * two == T::one();
    if is_tie && rounded % two != T::zero() {
        rounded - x.signum()
    } else {
        rounded
    }
}

fn unary(call: &mut Call) -> Result<Option<Array>, Fault> {
    call.arity(1)?;
    let (operator, x) = (call.operator(), operand(call, 0)?);
    allow(call, x.shape())?;
    macro_rules! integers {
        ($variant:ident, $x:expr) => {{
            let function = |&x: &_| {
                let x = i64::from(x);
                let result = match operator {
                    "Neg" => x.checked_neg(),
                    "Abs" => x.checked_abs(),
                    "Sign" => Some(x.signum()),
                    "Relu" => Some(x.max(0)),
                    _ => None,
                };
                result
                    .and_then(|result| result.try_into().ok())
                    .ok_or_else(|| {
                        let problem = format!("{x} has no result in its type");
                        Fault::new("input 0", problem, "cast it to float before")
                    })
            };
            let data: Result<Vec<_>, Fault> = $x.iter().map(function).collect();
            Array::$variant(shaped($x.shape(), data?)?)
        }};
    }
    Ok(Some(match &x {
        Array::F32(x) => Array::F32(x.mapv(|x| float_function(operator, x)).into_shared()),
        Array::F64(x) => Array::F64(x.mapv(|x| float_function(operator, x)).into_shared()),
        Array::I8(x) => integers!(I8, x),
        Array::U8(x) => integers!(U8, x),
        Array::I32(x) => integers!(I32, x),
        Array::I64(x) => integers!(I64, x),
    }))
}

fn clip(call: &mut Call) -> Result<Option<Array>, Fault> {
    let (low, high) = bounds(call)?;
    let x = operand(call, 0)?;
    allow(call, x.shape())?;
    fn clamp<T>(x: T, low: Option<f32>, high: Option<f32>) -> T
    where
        T: AsPrimitive<f64>,
        f32: AsPrimitive<T>,
    {
        match (low, high) {
            (Some(low), _) if x.as_() < f64::from(low) => low.as_(),
            (_, Some(high)) if x.as_() > f64::from(high) => high.as_(),
            _ => x,
        }
    }
    Ok(Some(
        same_type!(&x, x => x.mapv(|x| clamp(x, low, high)).into_shared()),
    ))
}

fn cast(call: &mut Call) -> Result<Folded, Fault> {
    let (to, x) = (cast_to(call)?, operand(call, 0)?);
    convert(call, &x, to).map(Some)
}

/// CastLike needs a constant and the type of another tensor, which may be an activation.
fn cast_like(call: &mut Call) -> Result<Folded, Fault> {
    call.arity(2)?;
    call.attributes.ignore(&["saturate", "round_mode"]);
    let Some(x) = call.constant(call.needed(0, "data")?) else {
        return Ok(None);
    };
    let to = call.element(call.needed(1, "target")?);
    convert(call, &x, to).map(Some)
}

/// Numbers in another type; what that type cannot hold is an error.
fn convert(call: &mut Call, x: &Array, to: Element) -> Result<(Array, Element), Fault> {
    allow(call, x.shape())?;
    let shape = x.shape().to_vec();
    // Every type here but int64 fits into 64-bit floats, and int64 is handled before.
    let integer = |low: i64, high: i64| -> Result<Vec<i64>, Fault> {
        any_type!(x, numbers => numbers.iter().map(|&number| {
            let (exact, near): (i64, f64) = (number.as_(), number.as_());
            let is_exact = exact as f64 == near.trunc() && (low..=high).contains(&exact);
            if is_exact { Ok(exact) } else { Err(outside(near, to)) }
        }).collect())
    };
    macro_rules! integers {
        ($variant:ident, $type:ty) => {{
            let numbers = integer(<$type>::MIN.into(), <$type>::MAX.into())?;
            let numbers = numbers.into_iter().map(|number| (number as $type).into());
            Array::$variant(shaped(&shape, numbers.collect())?)
        }};
    }
    macro_rules! floats {
        ($variant:ident, $round:expr) => {{
            let round = $round;
            Array::$variant(any_type!(x, x => x.mapv(|x| round(x.as_())).into_shared()))
        }};
    }
    let array = match to {
        Element::F32 => floats!(F32, |x: f32| x),
        Element::F64 => floats!(F64, |x: f64| x),
        Element::F16 => floats!(F32, |x: f32| half::f16::from_f32(x).to_f32()),
        Element::Bf16 => floats!(F32, |x: f32| half::bf16::from_f32(x).to_f32()),
        Element::Bool => floats!(U8, |x: f64| u8::from(x != 0.0)),
        Element::Int {
            bits: 8,
            signed: true,
        } => integers!(I8, i8),
        Element::Int {
            bits: 8,
            signed: false,
        } => integers!(U8, u8),
        Element::Int {
            bits: 16,
            signed: true,
        } => integers!(I32, i16),
        Element::Int {
            bits: 16,
            signed: false,
        } => integers!(I32, u16),
        Element::Int {
            bits: 32,
            signed: true,
        } => integers!(I32, i32),
        Element::Int {
            bits: 32,
            signed: false,
        } => integers!(I64, u32),
        Element::Int {
            bits: 64,
            signed: true,
        } => integers!(I64, i64),
        _ => {
            let problem = format!("{to} of constants is not supported");
            return Err(Fault::new("to", problem, "cast to int8 or int64"));
        }
    };
    Ok((array, to))
}

fn outside(number: f64, to: Element) -> Fault {
    Fault::new(
        "to",
        format!("{number} is out of range for {to}"),
        "cast to a wider type",
    )
}

/// No number is copied, so none is counted.
fn regroup(call: &mut Call) -> Result<Option<Array>, Fault> {
    let x = operand(call, 0)?;
    match layout::target(call, x.shape())? {
        Some(shape) => reshape(x, &shape).map(Some),
        None => Ok(None),
    }
}

fn transpose(call: &mut Call) -> Result<Option<Array>, Fault> {
    let x = operand(call, 0)?;
    let order = layout::order(call, x.shape().len())?;
    allow(call, x.shape())?;
    Ok(Some(
        same_type!(&x, x => owned(x.view().permuted_axes(IxDyn(&order)))?),
    ))
}

fn concat(call: &mut Call) -> Result<Option<Array>, Fault> {
    let (axis, shape) = layout::concat_shape(call)?;
    allow(call, &shape)?;
    let arrays: Result<Vec<Array>, Fault> = (0..call.node.input.len())
        .map(|index| operand(call, index))
        .collect();
    let arrays = arrays?;
    macro_rules! join {
        ($($variant:ident),*) => {
            match &arrays[0] {
                $(Array::$variant(_) => {
                    let views: Option<Vec<_>> = arrays.iter().map(|array| match array {
                        Array::$variant(array) => Some(array.view()),
                        _ => None,
                    }).collect();
                    let joined = ndarray::concatenate(Axis(axis), &views.ok_or_else(mixed)?);
                    Array::$variant(owned(joined.map_err(|_| mixed())?.view())?)
                })*
            }
        };
    }
    Ok(Some(join!(F32, F64, I8, U8, I32, I64)))
}

fn gather(call: &mut Call) -> Result<Option<Array>, Fault> {
    call.arity(2)?;
    let (x, indices) = (operand(call, 0)?, operand(call, 1)?);
    let from = x.shape().to_vec();
    let axis = axis(
        call.attributes.int("axis")?.unwrap_or(0),
        from.len(),
        from.len(),
        "axis",
    )?;
    let shape = [&from[..axis], indices.shape(), &from[axis + 1..]].concat();
    allow(call, &shape)?;
    let wanted: Vec<i64> = match &indices {
        Array::I64(indices) => indices.iter().copied().collect(),
        Array::I32(indices) => indices.iter().map(|&index| index.into()).collect(),
        _ => {
            return Err(call.wrong(
                1,
                "indices",
                "they are not of type int64",
                "export the model again",
            ));
        }
    };
    let size = from[axis] as i64;
    let index = |&index: &i64| match index {
        0.. if index < size => Ok(index as usize),
        ..0 if index >= -size => Ok((index + size) as usize),
        _ => {
            let problem = format!("{index} is out of range: {}..={}", -size, size - 1);
            Err(call.wrong(1, "indices", problem, "export the model again"))
        }
    };
    let indices: Result<Vec<usize>, Fault> = wanted.iter().map(index).collect();
    let indices = indices?;
    let x = same_type!(&x, x => owned(x.select(Axis(axis), &indices).view())?);
    reshape(x, &shape).map(Some)
}

/// Slice: inputs data, starts, ends, \[axes\], \[steps\]; attributes before opset 10.
fn slice(call: &mut Call) -> Result<Option<Array>, Fault> {
    call.arity(5)?;
    let mut x = operand(call, 0)?;
    let list = |call: &Call, index, name: &'static str| -> Result<Option<Vec<i64>>, Fault> {
        let attribute = call.attributes.ints(name)?.map(<[i64]>::to_vec);
        Ok(call.integers(index, name)?.or(attribute))
    };
    let missing = || Fault::new("starts", "they are missing", "export the model again");
    let starts = list(call, 1, "starts")?.ok_or_else(missing)?;
    let ends = list(call, 2, "ends")?.ok_or_else(missing)?;
    let rank = x.shape().len();
    let along = list(call, 3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let along = axes(&along, rank, "axes")?;
    let steps = call
        .integers(4, "steps")?
        .unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), along.len(), steps.len()] != [starts.len(); 3] {
        let problem = "starts, ends, axes and steps are not of one length";
        return Err(Fault::new("starts", problem, "export the model again"));
    }
    for (i, &axis) in along.iter().enumerate() {
        let slice = part(starts[i], ends[i], steps[i], x.shape()[axis])?;
        x = same_type!(&x, x => {
            let view = x.slice_axis(Axis(axis), slice);
            allow(call, view.shape())?;
            owned(view)?
        });
    }
    Ok(Some(x))
}

/// A part of a dimension as ndarray has it; bounds outside of the dimension are moved to its ends.
fn part(start: i64, end: i64, step: i64, size: usize) -> Result<Slice, Fault> {
    let size = size as i64;
    let counted = |value: i64| {
        if value < 0 {
            value.saturating_add(size)
        } else {
            value
        }
    };
    let (start, end) = (counted(start), counted(end));
    // A longer step than the dimension is as good as one of that length.
    let step = step.clamp(-size.max(1), size.max(1));
    let (low, high) = match step {
        0 => {
            return Err(Fault::new(
                "steps",
                "0 gives no slice",
                "choose another step",
            ));
        }
        1.. => (start.clamp(0, size), end.clamp(0, size)),
        // Backwards from `start`, `end` excluded.
        _ => (end.clamp(-1, size - 1) + 1, start.clamp(-1, size - 1) + 1),
    };
    Ok(Slice::new(
        low as isize,
        Some(high.max(low) as isize),
        step as isize,
    ))
}

fn expand(call: &mut Call) -> Result<Option<Array>, Fault> {
    call.arity(2)?;
    let x = operand(call, 0)?;
    let dims = call.integers(1, "shape")?.unwrap_or_default();
    let target = tensor::dimensions(&dims)?;
    let misfit = || {
        let problem = format!("{target:?} does not fit {:?}", x.shape());
        Fault::new("shape", problem, "export the model again")
    };
    let shape = broadcast(x.shape(), &target).ok_or_else(misfit)?;
    allow(call, &shape)?;
    Ok(Some(
        same_type!(&x, x => owned(x.broadcast(IxDyn(&shape)).ok_or_else(misfit)?)?),
    ))
}

/// Range: inputs start, limit, delta.
fn range(call: &mut Call) -> Result<Option<Array>, Fault> {
    call.arity(3)?;
    let scalar = |index| {
        call.scalar(index, "bound")?
            .filter(|bound| bound.is_finite())
            .ok_or_else(|| {
                call.wrong(
                    index,
                    "bound",
                    "it is no finite number",
                    "export the model again",
                )
            })
    };
    let (start, limit, delta) = (scalar(0)?, scalar(1)?, scalar(2)?);
    if delta == 0.0 {
        return Err(call.wrong(2, "delta", "it is 0", "export the model again"));
    }
    let count = ((limit - start) / delta).ceil().max(0.0);
    // The conversion stops at the largest integer, which is refused.
    let count = allow(call, &[count as usize])?;
    let numbers = (0..count).map(|index| start + index as f64 * delta);
    Ok(Some(match operand(call, 0)? {
        Array::F32(_) => Array::F32(shaped(
            &[count],
            numbers.map(|number| number as f32).collect(),
        )?),
        Array::F64(_) => Array::F64(shaped(&[count], numbers.collect())?),
        Array::I32(_) => Array::I32(shaped(
            &[count],
            numbers.map(|number| number as i32).collect(),
        )?),
        Array::I64(_) => Array::I64(shaped(
            &[count],
            numbers.map(|number| number as i64).collect(),
        )?),
        _ => return Err(mixed()),
    }))
}

fn constant_of_shape(call: &mut Call) -> Result<(Array, Element), Fault> {
    call.arity(1)?;
    let dims = call.integers(0, "shape")?.unwrap_or_default();
    let shape = tensor::dimensions(&dims)?;
    let (element, value) = match call.attributes.tensor("value")? {
        None => (F32, Array::F32(shaped(&[], vec![0.0])?)),
        Some(value) => tensor::read(value, None, &mut call.builder.stored)?,
    };
    if value.len() != 1 {
        let problem = format!("dimensions {:?}, but one number is needed", value.shape());
        return Err(Fault::new("value", problem, "export the model again"));
    }
    allow(call, &shape)?;
    let value = reshape(value, &[])?;
    let misfit = || Fault::new("shape", "it is too large", "export the model again");
    let array = same_type!(&value, x => owned(x.broadcast(IxDyn(&shape)).ok_or_else(misfit)?)?);
    Ok((array, element))
}
