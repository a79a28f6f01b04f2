//! Quantizers of QONNX and FINN, and ONNX's own pair of QuantizeLinear and DequantizeLinear.

use super::call::Call;
use super::element::{Element, F32, U8};
use super::error::{Fault, Name};
use super::shapes::{axis, broadcast};
use crate::graph::{Array, Levels, Op, Round};
use ndarray::{ArcArray, IxDyn};

/// Most bits of any quantizer.
const BITS_MAX: u32 = 32;

/// The modes of QONNX, in either case.
fn round(call: &Call, default: &str) -> Result<Round, Fault> {
    let mode = call.attributes.string("rounding_mode")?.unwrap_or(default);
    Ok(match mode.to_ascii_uppercase().as_str() {
        "ROUND" | "HALF_EVEN" => Round::HalfEven,
        "HALF_UP" => Round::HalfAway,
        "HALF_DOWN" => Round::HalfToZero,
        "CEIL" => Round::Ceil,
        "FLOOR" => Round::Floor,
        "UP" => Round::AwayFromZero,
        "DOWN" | "ROUND_TO_ZERO" => Round::ToZero,
        _ => {
            let problem = format!("`{}` is unknown", Name::new(mode));
            let modes =
                "ROUND, HALF_EVEN, CEIL, FLOOR, UP, DOWN, HALF_UP, HALF_DOWN or ROUND_TO_ZERO";
            return Err(Fault::new("rounding_mode", problem, format!("use {modes}")));
        }
    })
}

/// A bit-width that is a float tensor.
fn bits(call: &Call, index: usize, what: &str) -> Result<u32, Fault> {
    call.needed(index, what)?;
    let value = call.scalar(index, what)?.unwrap_or(f64::NAN);
    if value.fract() == 0.0 && value >= 1.0 && value <= f64::from(BITS_MAX) {
        return Ok(value as u32);
    }
    let problem = format!("{value} is no whole number of bits: 1..={BITS_MAX}");
    Err(call.wrong(index, what, problem, "choose a whole number in that range"))
}

/// A flag that decides which integers there are, so none is assumed.
fn flag(call: &Call, name: &'static str) -> Result<bool, Fault> {
    let missing = || Fault::new(name, "it is missing", "export the model again, with 0 or 1");
    call.attributes.flag(name)?.ok_or_else(missing)
}

/// An error unless input `index` is broadcast to the dimensions of the data and not the other way round.
fn per_channel(call: &Call, index: usize, what: &str) -> Result<(), Fault> {
    let name = call.needed(index, what)?;
    call.fixed(index, what)?;
    let (data, found) = (call.shape(call.needed(0, "data")?), call.shape(name));
    if broadcast(&found, &data).as_deref() == Some(&data[..]) {
        return Ok(());
    }
    let problem = format!("dimensions {found:?} do not fit {data:?} of input 0");
    Err(call.wrong(
        index,
        what,
        problem,
        "give one number, or one for each channel with the others 1",
    ))
}

/// Scale and zero point of a quantizer of QONNX.
fn grid(call: &mut Call) -> Result<[String; 3], Fault> {
    per_channel(call, 1, "scale")?;
    call.check_positive(1, "scale")?;
    per_channel(call, 2, "zero_point")?;
    call.check_finite(2, "zero_point")?;
    call.check_finite(0, "data")?;
    let name = |index, what| call.needed(index, what).map(str::to_owned);
    Ok([name(0, "data")?, name(1, "scale")?, name(2, "zero_point")?])
}

/// Quant: inputs data, scale, zero point, bit-width.
pub(super) fn quant(call: &mut Call) -> Result<(), Fault> {
    call.arity(4)?;
    let [x, scale, zero_point] = grid(call)?;
    let bits = bits(call, 3, "bit_width")?;
    let (signed, narrow) = (flag(call, "signed")?, flag(call, "narrow")?);
    let round = round(call, "ROUND")?;
    let shape = call.shape(&x);
    if bits == 1 && signed {
        // QONNX defines one signed bit as the sign of the quotient, -1 or 1, instead of -1 or 0.
        let is_zero = call
            .summary(2)
            .is_some_and(|s| s.min == 0.0 && s.max == 0.0);
        if !is_zero {
            let problem = "a zero point beside one signed bit, which stands for -1 and 1";
            return Err(call.wrong(2, "zero_point", problem, "use 0"));
        }
        return call.emit(Op::BipolarQuant, &[&x, &scale], shape);
    }
    let levels = Levels {
        bits,
        signed,
        narrow,
    };
    if levels.range().0 == levels.range().1 {
        let problem = format!("{bits} bit leaves one level alone");
        return Err(Fault::new(
            "narrow",
            problem,
            "set narrow = 0, or use more bits",
        ));
    }
    call.emit(
        Op::Quant { levels, round },
        &[&x, &scale, &zero_point],
        shape,
    )
}

/// BipolarQuant: inputs data, scale.
pub(super) fn bipolar(call: &mut Call) -> Result<(), Fault> {
    call.arity(2)?;
    per_channel(call, 1, "scale")?;
    call.check_positive(1, "scale")?;
    call.check_finite(0, "data")?;
    let (x, scale) = (call.needed(0, "data")?, call.needed(1, "scale")?);
    let shape = call.shape(x);
    call.emit(Op::BipolarQuant, &[x, scale], shape)
}

/// Trunc of version 2: inputs data, scale, zero point, bit-width, output scale, output bit-width.
pub(super) fn trunc(call: &mut Call) -> Result<(), Fault> {
    if call.node.input.len() == 5 {
        let problem =
            "5 of them: this is version 1 of Trunc, whose result is not defined for all scales";
        return Err(Fault::new(
            "inputs",
            problem,
            "export again with Brevitas 0.12 or later (version 2)",
        ));
    }
    call.arity(6)?;
    let [x, scale, zero_point] = grid(call)?;
    let input_bits = bits(call, 3, "input_bit_width")?;
    call.needed(4, "output_scale")?;
    call.check_positive(4, "output_scale")?;
    let output_scale = call.scalar(4, "output_scale")?.unwrap_or(1.0) as f32;
    let levels = Levels {
        bits: bits(call, 5, "output_bit_width")?,
        signed: call.attributes.flag("signed")?.unwrap_or(true),
        narrow: call.attributes.flag("narrow")?.unwrap_or(false),
    };
    let round = round(call, "FLOOR")?;
    let shape = call.shape(&x);
    let op = Op::Trunc {
        input_bits,
        levels,
        output_scale,
        round,
    };
    call.emit(op, &[&x, &scale, &zero_point], shape)
}

/// MultiThreshold: inputs data `[N, C]` or `[N, C, H, W]`, thresholds `[C or 1, steps]`.
pub(super) fn multi_threshold(call: &mut Call) -> Result<(), Fault> {
    call.arity(2)?;
    let (x, thresholds) = (call.needed(0, "data")?, call.needed(1, "thresholds")?);
    let scale = call.attributes.float("out_scale")?.unwrap_or(1.0);
    let bias = call.attributes.float("out_bias")?.unwrap_or(0.0);
    let data_type = call
        .attributes
        .string("out_dtype")?
        .filter(|name| !name.is_empty());
    let layout = call.attributes.string("data_layout")?.unwrap_or("NCHW");
    let shape = call.shape(x);
    match (layout, shape.len()) {
        // Without height and width both orders are one.
        ("NHWC" | "NCHW" | "NC" | "", 2) | ("NCHW" | "", 4) => {}
        _ => {
            let problem = format!(
                "`{}` of dimensions {shape:?} is not supported",
                Name::new(layout)
            );
            return Err(Fault::new("data_layout", problem, "use NCHW or NC"));
        }
    }
    call.fixed(1, "thresholds")?;
    let found = call.shape(thresholds);
    if !matches!(*found, [channels, steps] if steps > 0 && (channels == 1 || channels == shape[1]))
    {
        let problem = format!(
            "dimensions {found:?} do not fit {} channels of {shape:?}",
            shape[1]
        );
        return Err(call.wrong(1, "thresholds", problem, "give [channels or 1, steps]"));
    }
    call.check_finite(1, "thresholds")?;
    let output = call.output()?;
    if let Some(name) = data_type {
        let datatypes = &mut call.builder.graph.datatypes;
        datatypes
            .entry(output.to_owned())
            .or_insert_with(|| name.to_owned());
    }
    call.emit_as(
        Op::MultiThreshold { scale, bias },
        &[x, thresholds],
        output,
        shape,
        F32,
    )
}

/// Attributes that both QuantizeLinear and DequantizeLinear have, and the axis of per-channel scales.
fn linear_axis(call: &mut Call) -> Result<usize, Fault> {
    call.arity(3)?;
    call.attributes.ignore(&["precision"]);
    call.attributes
        .only("block_size", 0, "quantize per tensor or per channel")?;
    call.fixed(1, "scale")?;
    call.check_positive(1, "scale")?;
    let data = call.shape(call.needed(0, "data")?);
    let given = call.attributes.int("axis")?;
    let scale = call.shape(call.needed(1, "scale")?);
    match *scale {
        [] | [1] => Ok(axis(given.unwrap_or(0), data.len(), data.len(), "axis").unwrap_or(0)),
        [channels] => {
            let axis = axis(given.unwrap_or(1), data.len(), data.len(), "axis")?;
            if data[axis] == channels {
                return Ok(axis);
            }
            let problem =
                format!("dimensions {scale:?} do not fit axis {axis} of {data:?} of input 0");
            Err(call.wrong(1, "scale", problem, format!("give {} numbers", data[axis])))
        }
        _ => {
            let problem = format!("dimensions {scale:?} are not those of one number or a list");
            Err(call.wrong(1, "scale", problem, "quantize per tensor or per channel"))
        }
    }
}

/// The zero point; zeros of a type where the file has none.
fn zero_point(call: &mut Call, element: Element) -> Result<(String, Element), Fault> {
    let scale = call.shape(call.needed(1, "scale")?);
    let Some(name) = call.input(2) else {
        let zeros = |shape: &[usize]| IxDyn(shape);
        let array = match element.levels() {
            Some(levels) if levels.bits <= 8 && levels.signed => {
                Array::I8(ArcArray::zeros(zeros(&scale)))
            }
            Some(levels) if levels.bits <= 8 => Array::U8(ArcArray::zeros(zeros(&scale))),
            _ => Array::I32(ArcArray::zeros(zeros(&scale))),
        };
        let base = format!("{}/zero_point", call.name);
        return Ok((call.add_constant(&base, array, element)?, element));
    };
    call.fixed(2, "zero_point")?;
    let found = call.shape(name);
    let count = |shape: &[usize]| shape.iter().product::<usize>();
    if found != scale && (count(&found) != 1 || count(&scale) != 1) {
        let problem = format!("dimensions {found:?} do not fit {scale:?} of the scale");
        return Err(call.wrong(2, "zero_point", problem, "give as many as scales"));
    }
    Ok((name.to_owned(), call.element(name)))
}

/// QuantizeLinear: inputs data, scale, \[zero point\], whose type is that of the result.
pub(super) fn quantize_linear(call: &mut Call) -> Result<(), Fault> {
    // It is about 8-bit floats, which are refused.
    call.attributes.ignore(&["saturate"]);
    let axis = linear_axis(call)?;
    call.check_finite(0, "data")?;
    let wanted = match call.attributes.int("output_dtype")? {
        None | Some(0) => U8,
        Some(value) => Element::of(i32::try_from(value).unwrap_or(-1)).map_err(|name| {
            let problem = format!("type {name} is not supported");
            Fault::new("output_dtype", problem, "use int8, uint8 or fewer bits")
        })?,
    };
    let (zero_point, element) = zero_point(call, wanted)?;
    let levels = element.levels().ok_or_else(|| {
        let problem = format!("type {element} is not supported");
        call.wrong(2, "zero_point", problem, "use int8, uint8 or fewer bits")
    })?;
    let (x, scale) = (call.needed(0, "data")?, call.needed(1, "scale")?);
    let (shape, output) = (call.shape(x), call.output()?);
    let op = Op::QuantizeLinear { levels, axis };
    call.emit_as(op, &[x, scale, &zero_point], output, shape, element)
}

/// DequantizeLinear: inputs data, scale, \[zero point\].
pub(super) fn dequantize_linear(call: &mut Call) -> Result<(), Fault> {
    call.attributes.ignore(&["output_dtype"]);
    let axis = linear_axis(call)?;
    let (x, scale) = (call.needed(0, "data")?, call.needed(1, "scale")?);
    let from = call.element(x);
    if !matches!(from, Element::Int { bits: ..=32, .. }) {
        let problem = format!("type {from}, but integers are needed");
        return Err(call.wrong(0, "data", problem, "put QuantizeLinear before it"));
    }
    let (zero_point, element) = zero_point(call, from)?;
    if element != from {
        let problem = format!("type {element}, but the data are {from}");
        return Err(call.wrong(2, "zero_point", problem, "use the same type for both"));
    }
    let (shape, output, element) = (call.shape(x), call.output()?, call.element(scale));
    call.emit_as(
        Op::DequantizeLinear { axis },
        &[x, scale, &zero_point],
        output,
        shape,
        element,
    )
}
