//! Quantized constants: the integers behind weights, found as QONNX computes them.

use super::Lowering;
use super::error::{Found, refuse, require};
use super::number::{Rational, exact, to_f64, whole};
use super::value::{Value, Weights, common_unit};
use super::work::{COPY_UNITS, EXACT_UNITS};
use crate::graph::{Array, Levels, Node, Op, Round};
use ndarray::{ArrayD, Axis as Dimension, IxDyn, Zip};
use num_traits::{One, Zero};
use xnorforge_sim::gemm::Operand;
use xnorforge_sim::{Encoding, Precision};

/// Largest magnitude of a constant: biases are declared with up to 32 bits, and their integers are what counts.
const CONSTANT_MAX: f32 = (1 << 28) as f32;
/// Largest magnitude of a weight: that of 8 bits of odd integers.
const MAGNITUDE_MAX: i32 = 255;

impl Lowering<'_> {
    /// A node all of whose inputs are constants, as integers and a scale.
    pub(super) fn constant_node(&self, node: &Node) -> Found<Weights> {
        match &node.op {
            Op::Quant { levels, round } => self.quant_constant(node, *levels, *round),
            Op::BipolarQuant => {
                let x = self.floats(node, 0, "x")?;
                let scale = self.scales(node, 1, x.shape(), None)?;
                Ok(Weights {
                    integers: x.mapv(|v| if v >= 0.0 { 1 } else { -1 }),
                    scale: scale.mapv(|s| exact(s).expect("a checked scale")),
                })
            }
            Op::QuantizeLinear { levels, axis } => self.quantize_constant(node, *levels, *axis),
            Op::DequantizeLinear { axis } => self.dequantize_constant(node, *axis),
            Op::Clip { low, high } => self.clip_constant(node, *low, *high),
            Op::Neg => {
                let mut weights = self.weights_of(node, 0)?;
                weights.scale.mapv_inplace(|s| -s);
                Ok(weights)
            }
            Op::Identity => self.weights_of(node, 0),
            Op::Transpose { order } => {
                let weights = self.weights_of(node, 0)?;
                require(
                    is_permutation(order, weights.integers.ndim()),
                    "perm",
                    || format!("{order:?} is no order of its dimensions"),
                    "list each dimension once",
                )?;
                Ok(Weights {
                    integers: weights.integers.permuted_axes(order.clone()),
                    scale: weights.scale.permuted_axes(order.clone()),
                })
            }
            Op::Reshape { shape } => reshaped(self.weights_of(node, 0)?, shape),
            _ => refuse(
                "inputs",
                "all are constants and the node is not folded",
                "fold constants when the model is exported",
            ),
        }
    }

    /// A float input.
    fn floats(&self, node: &Node, input: usize, field: &'static str) -> Found<ArrayD<f32>> {
        let name = node.inputs.get(input).map_or("", String::as_str);
        let array = self.graph.constants.get(name);
        self.spend(COPY_UNITS, array.map_or(0, Array::len))?;
        match array {
            Some(Array::F32(a)) if a.iter().all(|v| v.is_finite()) => Ok(a.to_owned()),
            Some(Array::F64(a)) if a.iter().all(|v| f64::from(*v as f32) == *v) => {
                Ok(a.mapv(|v| v as f32))
            }
            Some(Array::I8(a)) => Ok(a.mapv(f32::from)),
            Some(Array::U8(a)) => Ok(a.mapv(f32::from)),
            Some(Array::I32(a)) if a.iter().all(|v| v.unsigned_abs() <= 1 << 24) => {
                Ok(a.mapv(|v| v as f32))
            }
            Some(Array::I64(a)) if a.iter().all(|v| v.unsigned_abs() <= 1 << 24) => {
                Ok(a.mapv(|v| v as f32))
            }
            _ => refuse(
                field,
                format!("`{name}` is no constant of finite 32-bit floats"),
                "make it one",
            ),
        }
    }

    /// A scale or zero point, in a shape of the rank of what it belongs to; `axis` is where a list of them lies.
    fn parameters(
        &self,
        node: &Node,
        input: usize,
        field: &'static str,
        shape: &[usize],
        axis: Option<usize>,
    ) -> Found<ArrayD<f32>> {
        let found = self.floats(node, input, field)?;
        let mut wanted = vec![1; shape.len()];
        match axis {
            Some(axis) if found.len() > 1 && axis < shape.len() => wanted[axis] = found.len(),
            _ if found.len() == 1 => {}
            _ => {
                let skip = shape.len().checked_sub(found.ndim());
                let Some(skip) = skip else {
                    return refuse(
                        field,
                        format!("it has shape {:?} beside {shape:?}", found.shape()),
                        "give it no more dimensions",
                    );
                };
                wanted[skip..].copy_from_slice(found.shape());
            }
        }
        let fits = wanted.iter().zip(shape).all(|(w, s)| *w == 1 || w == s);
        let text = format!("it has shape {:?} beside {shape:?}", found.shape());
        match found.into_shape_with_order(IxDyn(&wanted)) {
            Ok(array) if fits => Ok(array),
            _ => refuse(field, text, "give one number, or one for each channel"),
        }
    }

    fn scales(
        &self,
        node: &Node,
        input: usize,
        shape: &[usize],
        axis: Option<usize>,
    ) -> Found<ArrayD<f32>> {
        let scale = self.parameters(node, input, "scale", shape, axis)?;
        // Each becomes an exact number.
        self.spend(EXACT_UNITS, scale.len())?;
        match scale.iter().find(|s| **s <= 0.0) {
            None => Ok(scale),
            Some(bad) => refuse(
                "scale",
                format!("{bad} is not above 0"),
                "give positive scales",
            ),
        }
    }

    /// `clamp(x / scale + zero_point)`, rounded, in 32-bit floats.
    fn quant_constant(&self, node: &Node, levels: Levels, round: Round) -> Found<Weights> {
        let x = self.floats(node, 0, "x")?;
        let scale = self.scales(node, 1, x.shape(), None)?;
        let zero = self.parameters(node, 2, "zero_point", x.shape(), None)?;
        let (low, high) = levels.range();
        let quantized = quantized(&x, &scale, &zero, |v, s, z| {
            let clamped = (v / s + z).max(low as f32).min(high as f32);
            round.apply(clamped.into()) as f32
        })?;
        centred(quantized, &zero, &scale)
    }

    fn quantize_constant(&self, node: &Node, levels: Levels, axis: usize) -> Found<Weights> {
        let x = self.floats(node, 0, "x")?;
        let scale = self.scales(node, 1, x.shape(), Some(axis))?;
        let zero = self.zero_point(node, x.shape(), axis)?;
        let (low, high) = levels.range();
        let integers = quantized(&x, &scale, &zero, |v, s, z| {
            ((v / s).round_ties_even() + z)
                .max(low as f32)
                .min(high as f32)
        })?;
        Ok(Weights {
            scale: unit(integers.ndim()),
            integers,
        })
    }

    fn zero_point(&self, node: &Node, shape: &[usize], axis: usize) -> Found<ArrayD<f32>> {
        if node.inputs.get(2).is_none_or(String::is_empty) {
            return Ok(ArrayD::zeros(IxDyn(&vec![1; shape.len()])));
        }
        self.parameters(node, 2, "zero_point", shape, Some(axis))
    }

    fn dequantize_constant(&self, node: &Node, axis: usize) -> Found<Weights> {
        let weights = self.weights_of(node, 0)?;
        require(
            weights.scale.iter().all(One::is_one),
            "x",
            || "it is no integer".to_owned(),
            "dequantize integers",
        )?;
        let scale = self.scales(node, 1, weights.integers.shape(), Some(axis))?;
        let zero = self.zero_point(node, weights.integers.shape(), axis)?;
        centred(weights.integers, &zero, &scale)
    }

    fn clip_constant(&self, node: &Node, low: Option<f32>, high: Option<f32>) -> Found<Weights> {
        let mut weights = self.weights_of(node, 0)?;
        require(
            weights.scale.iter().all(One::is_one),
            "x",
            || "constants of a scale are clipped".to_owned(),
            "clip the integers, between QuantizeLinear and DequantizeLinear",
        )?;
        weights.integers.mapv_inplace(|v| {
            let v = low.map_or(v as f32, |bound| bound.max(v as f32));
            high.map_or(v, |bound| bound.min(v)) as i32
        });
        Ok(weights)
    }

    /// A constant as integers of one scale, or of what its node found.
    pub(super) fn weights_of(&self, node: &Node, input: usize) -> Found<Weights> {
        let name = node.inputs.get(input).map_or("", String::as_str);
        if let Some(Value::Weights(weights)) = self.values.get(name) {
            self.spend(COPY_UNITS, weights.integers.len())?;
            self.spend(EXACT_UNITS, weights.scale.len())?;
            return Ok((**weights).clone());
        }
        let floats = self.floats(node, input, "weights")?;
        raw(floats)
    }
}

/// Whether an order names each of so many dimensions once.
pub(super) fn is_permutation(order: &[usize], rank: usize) -> bool {
    order.len() == rank && (0..rank).all(|d| order.contains(&d))
}

/// A scale of 1.
fn unit(rank: usize) -> ArrayD<Rational> {
    ArrayD::from_elem(IxDyn(&vec![1; rank]), Rational::one())
}

fn quantized(
    x: &ArrayD<f32>,
    scale: &ArrayD<f32>,
    zero: &ArrayD<f32>,
    rule: impl Fn(f32, f32, f32) -> f32,
) -> Found<ArrayD<i32>> {
    let scale = scale.broadcast(x.raw_dim()).expect("a checked shape");
    let zero = zero.broadcast(x.raw_dim()).expect("a checked shape");
    let integers = Zip::from(x)
        .and(scale)
        .and(zero)
        .map_collect(|v, s, z| rule(*v, *s, *z));
    match integers.iter().find(|q| q.abs() > CONSTANT_MAX) {
        None => Ok(integers.mapv(|q| q as i32)),
        Some(bad) => refuse(
            "x",
            format!("the integer {bad} of a constant is past {CONSTANT_MAX}"),
            "choose a larger scale",
        ),
    }
}

/// Takes zero points off: whole ones, or the half ones of odd integers, which are doubled.
fn centred(mut integers: ArrayD<i32>, zero: &ArrayD<f32>, scale: &ArrayD<f32>) -> Found<Weights> {
    let mut scale = scale.mapv(|s| exact(s).expect("a checked scale"));
    let is_near = zero.iter().all(|z| z.abs() <= 65_536.0);
    let is_whole = zero.iter().all(|z| z.fract() == 0.0);
    let is_half = zero.iter().all(|z| (2.0 * z).fract() == 0.0);
    require(
        is_near && is_half,
        "zero_point",
        || {
            let bad = zero.iter().find(|z| (2.0 * **z).fract() != 0.0);
            format!(
                "{} of weights is no small multiple of 1/2",
                bad.or(zero.first()).unwrap_or(&0.0)
            )
        },
        "quantize the weights with whole zero points, or half ones for odd integers",
    )?;
    let factor = if is_whole { 1 } else { 2 };
    if !is_whole {
        scale.mapv_inplace(|s| s / whole(2));
    }
    let zero = zero.broadcast(integers.raw_dim()).expect("a checked shape");
    Zip::from(&mut integers)
        .and(zero)
        .for_each(|q, z| *q = factor * *q - (factor as f32 * z) as i32);
    Ok(Weights { integers, scale })
}

/// Floats as integers of one unit.
fn raw(floats: ArrayD<f32>) -> Found<Weights> {
    let is_integer = floats.iter().all(|v| v.fract() == 0.0 && v.abs() < 1e9);
    if is_integer {
        return Ok(Weights {
            scale: unit(floats.ndim()),
            integers: floats.mapv(|v| v as i32),
        });
    }
    match common_float(&floats) {
        // A quotient of two floats of 24 bits that is an integer is one in 53 bits too.
        Some(unit_found) => Ok(Weights {
            scale: unit(floats.ndim()).mapv(|_| unit_found.clone()),
            integers: floats.mapv(|v| (f64::from(v) / to_f64(&unit_found)) as i32),
        }),
        None => refuse(
            "weights",
            "they are floats without a quantizer",
            "put a Quant behind them, or quantize the model after training",
        ),
    }
}

/// The largest unit of which all floats are multiples, if those are small.
fn common_float(floats: &ArrayD<f32>) -> Option<Rational> {
    let (mut unit, mut greatest) = (Rational::zero(), 0.0f32);
    let (mut quick, most) = (0.0f64, f64::from(MAGNITUDE_MAX));
    for value in floats.iter().filter(|v| **v != 0.0) {
        greatest = greatest.max(value.abs());
        if quick == 0.0 || (f64::from(*value) / quick).fract() != 0.0 {
            unit = common_unit([&unit, &exact(*value)?]);
            quick = to_f64(&unit);
        }
        if f64::from(greatest) / quick > most {
            return None;
        }
    }
    (!unit.is_zero()).then_some(unit)
}

fn reshaped(weights: Weights, shape: &[usize]) -> Found<Weights> {
    let scale = if weights.scale.len() == 1 {
        weights
            .scale
            .into_shape_with_order(IxDyn(&vec![1; shape.len()]))
    } else {
        // A scale for each entry of the first dimension stays one if that dimension stays.
        let first = weights.scale.shape()[0];
        let is_kept = weights.scale.len() == first && shape.first() == Some(&first);
        let mut wanted = vec![1; shape.len()];
        if is_kept {
            wanted[0] = first;
        }
        weights.scale.into_shape_with_order(IxDyn(&wanted))
    };
    let integers = weights.integers.as_standard_layout().into_owned();
    match (integers.into_shape_with_order(IxDyn(shape)), scale) {
        (Ok(integers), Ok(scale)) => Ok(Weights { integers, scale }),
        _ => refuse(
            "shape",
            "quantized constants of several scales are reshaped",
            "quantize them in the shape that the product reads",
        ),
    }
}

/// Weights of a product, output channels first, and the scale of each one or of all.
pub(super) fn operand(weights: &Weights, axis: usize) -> Found<(Vec<i32>, Vec<Rational>)> {
    let mut integers = weights.integers.view();
    let mut scale = weights.scale.view();
    // Output channels become the slowest dimension; the others keep their order.
    let order = std::iter::once(axis).chain((0..integers.ndim()).filter(|d| *d != axis));
    let order: Vec<usize> = order.collect();
    integers = integers.permuted_axes(order.clone());
    scale = scale.permuted_axes(order);
    let is_per_channel = (1..scale.ndim()).all(|d| scale.len_of(Dimension(d)) == 1);
    require(
        is_per_channel,
        "weights",
        || "their scale differs within an output channel".to_owned(),
        "quantize weights with one scale for each output channel",
    )?;
    Ok((
        integers.iter().copied().collect(),
        scale.iter().cloned().collect(),
    ))
}

/// Weights in the smallest encoding that holds all of them.
pub(super) fn encoded(values: Vec<i32>, vectors: usize, elements: usize) -> Found<Operand> {
    let bad = values.iter().find(|v| v.abs() > MAGNITUDE_MAX);
    let precision = bad.is_none().then(|| smallest(&values)).flatten();
    let Some(precision) = precision else {
        let (least, greatest) = (values.iter().min(), values.iter().max());
        return refuse(
            "weights",
            format!(
                "integers {}..={} need more than 8 bits",
                least.copied().unwrap_or(0),
                greatest.copied().unwrap_or(0)
            ),
            "quantize to at most 8 bits, with a zero point that keeps the range",
        );
    };
    match Operand::new("weights", precision, vectors, elements, values) {
        Ok(operand) => Ok(operand),
        Err(error) => refuse("weights", error.to_string(), "choose a smaller layer"),
    }
}

fn smallest(values: &[i32]) -> Option<Precision> {
    // In the order of what they cost at equal bits: `signed` alone needs a sum over each row.
    let encodings = [
        Encoding::Bipolar,
        Encoding::Ternary,
        Encoding::Unsigned,
        Encoding::Signed,
    ];
    let holds = |precision: &Precision| {
        let Precision { encoding, bits } = *precision;
        encoding.check_bits(bits).is_ok()
            && values.iter().all(|v| encoding.contains(bits, (*v).into()))
    };
    (1..=8).find_map(|bits| {
        let all = encodings.into_iter().map(|e| Precision::new(e, bits));
        all.into_iter().find(holds)
    })
}
