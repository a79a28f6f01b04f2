//! Operators that work number by number.

use super::call::Call;
use super::element::Element;
use super::error::{Fault, Name};
use super::shapes::broadcast;
use crate::graph::Op;

/// Operators of one operand without attributes.
pub(super) fn unary(call: &mut Call, op: Op) -> Result<(), Fault> {
    call.arity(1)?;
    call.attributes.ignore(&["consumed_inputs"]);
    let x = call.needed(0, "data")?;
    let shape = call.shape(x);
    call.emit(op, &[x], shape)
}

/// Dimensions of Add, Sub, Mul, Div or any other operator of two operands.
pub(super) fn binary_shape(call: &Call) -> Result<Vec<usize>, Fault> {
    call.arity(2)?;
    call.attributes.ignore(&["consumed_inputs", "broadcast"]);
    if call.attributes.has("axis") {
        let problem = "broadcasting along an axis ended with opset 6";
        return Err(Fault::new(
            "axis",
            problem,
            "convert the model to opset 13 (onnx.version_converter)",
        ));
    }
    let (a, b) = (
        call.shape(call.needed(0, "A")?),
        call.shape(call.needed(1, "B")?),
    );
    broadcast(&a, &b).ok_or_else(|| {
        let problem = format!("dimensions {b:?} do not fit {a:?} of input 0");
        call.wrong(
            1,
            "B",
            problem,
            "give it one number for each channel, or the same dimensions",
        )
    })
}

pub(super) fn binary(call: &mut Call, op: Op) -> Result<(), Fault> {
    let shape = binary_shape(call)?;
    call.check_finite(0, "A")?;
    call.check_finite(1, "B")?;
    if op == Op::Div && call.summary(1).is_some_and(|summary| summary.has_zero) {
        return Err(call.first_wrong(1, "B", "cannot divide", |number| number == 0.0));
    }
    let (a, b) = (call.needed(0, "A")?, call.needed(1, "B")?);
    let element = call.element(a);
    if matches!(element, Element::Int { .. } | Element::Bool) {
        let problem = format!("type {element}, whose results overflow");
        return Err(call.wrong(0, "A", problem, "cast it to float before"));
    }
    call.emit(op, &[a, b], shape)
}

/// Sum of two; the operator allows any number.
pub(super) fn sum(call: &mut Call) -> Result<(), Fault> {
    match call.node.input.len() {
        1 => unary(call, Op::Identity),
        2 => binary(call, Op::Add),
        count => {
            let problem = format!("{count} of them are not supported, only 1 or 2 are");
            Err(Fault::new(
                "inputs",
                problem,
                "add them one by one with Add",
            ))
        }
    }
}

/// Bounds of a Clip; attributes before opset 11. An infinite bound is none.
pub(super) fn bounds(call: &Call) -> Result<(Option<f32>, Option<f32>), Fault> {
    call.arity(3)?;
    call.attributes.ignore(&["consumed_inputs"]);
    let bound = |index: usize, name: &'static str, open: f32| -> Result<Option<f32>, Fault> {
        let value = match call.scalar(index, name)? {
            Some(value) => Some(value as f32),
            None => call.attributes.any_float(name)?,
        };
        if value.is_some_and(f32::is_nan) {
            return Err(Fault::new(name, "it is NaN", "choose a number"));
        }
        Ok(value.filter(|&value| value != open))
    };
    let low = bound(1, "min", f32::NEG_INFINITY)?;
    let high = bound(2, "max", f32::INFINITY)?;
    if let (Some(low), Some(high)) = (low, high)
        && low > high
    {
        let problem = format!("{low} is above max = {high}");
        return Err(Fault::new("min", problem, "swap the bounds"));
    }
    Ok((low, high))
}

pub(super) fn clip(call: &mut Call) -> Result<(), Fault> {
    let (low, high) = bounds(call)?;
    let x = call.needed(0, "data")?;
    let shape = call.shape(x);
    call.emit(Op::Clip { low, high }, &[x], shape)
}

/// Dropout does nothing in inference.
pub(super) fn check_dropout(call: &Call) -> Result<(), Fault> {
    call.arity(3)?;
    call.attributes
        .ignore(&["ratio", "seed", "is_test", "consumed_inputs"]);
    match call.scalar(2, "training_mode")? {
        Some(mode) if mode != 0.0 => {
            let problem = "the model is in training mode";
            Err(call.wrong(2, "training_mode", problem, "export it after model.eval()"))
        }
        _ => Ok(()),
    }
}

pub(super) fn dropout(call: &mut Call) -> Result<(), Fault> {
    check_dropout(call)?;
    let x = call.needed(0, "data")?;
    let shape = call.shape(x);
    call.emit(Op::Identity, &[x], shape)
}

/// The type that a Cast gives.
pub(super) fn cast_to(call: &Call) -> Result<Element, Fault> {
    call.arity(1)?;
    // They matter for 8-bit floats only, which are refused.
    call.attributes.ignore(&["saturate", "round_mode"]);
    let missing = || Fault::new("to", "it is missing", "export the model again");
    let to = call.attributes.int("to")?.ok_or_else(missing)?;
    Element::of(i32::try_from(to).unwrap_or(-1)).map_err(|name| {
        Fault::new(
            "to",
            format!("type {name} is not supported"),
            "cast to float",
        )
    })
}

pub(super) fn cast(call: &mut Call) -> Result<(), Fault> {
    let to = cast_to(call)?;
    let x = call.needed(0, "data")?;
    let from = call.element(x);
    if !to.holds(from) {
        let problem = format!("{to} does not hold every {from} of `{}`", Name::new(x));
        return Err(Fault::new(
            "to",
            problem,
            "cast to float or double, or quantize by Quant",
        ));
    }
    let (shape, output) = (call.shape(x), call.output()?);
    call.emit_as(Op::Identity, &[x], output, shape, to)
}

/// Max or Min with one number is a Clip; relu6 is exported like that.
pub(super) fn extreme(call: &mut Call) -> Result<(), Fault> {
    let shape = binary_shape(call)?;
    let is_fixed = |index| {
        call.input(index)
            .is_some_and(|name| call.constant(name).is_some())
    };
    let (x, bound) = if is_fixed(0) { (1, 0) } else { (0, 1) };
    let value = call.scalar(bound, "bound")?.unwrap_or(f64::NAN) as f32;
    let data = call.needed(x, "data")?;
    if value.is_nan() || shape != call.shape(data) {
        let problem =
            format!("{value} of dimensions {shape:?} is no bound for all numbers of input {x}");
        return Err(call.wrong(bound, "bound", problem, "use one number that is not NaN"));
    }
    let op = match call.operator() {
        "Max" => Op::Clip {
            low: Some(value),
            high: None,
        },
        _ => Op::Clip {
            low: None,
            high: Some(value),
        },
    };
    call.emit(op, &[data], shape)
}
