//! A graph of typed operations, whatever file it came from.
//!
//! Tensors are named. The first dimension of an activation is the batch; a batch that the file leaves open is 1. Every
//! operation is checked when it is made: attributes are legal, constants that are part of an operation (the shape of a
//! [`Op::Reshape`], the bounds of a [`Op::Clip`]) are fields of it, and `auto_pad` is resolved.

use ndarray::ArcArray;
use ndarray::IxDyn;
use std::collections::BTreeMap;

/// Most dimensions of a tensor.
pub const RANK_MAX: usize = 8;
/// Most nodes of a graph.
pub const NODES_MAX: usize = 65_536;
/// Most numbers of one tensor.
pub const NUMBERS_MAX: usize = 1 << 28;

/// A constant tensor in the type of its file; 16-bit floats are widened to 32 bits, which is exact. Clones share memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// 32-bit floats.
    F32(ArcArray<f32, IxDyn>),
    /// 64-bit floats.
    F64(ArcArray<f64, IxDyn>),
    /// 8-bit signed integers.
    I8(ArcArray<i8, IxDyn>),
    /// 8-bit unsigned integers, and booleans.
    U8(ArcArray<u8, IxDyn>),
    /// 32-bit signed integers; 16-bit ones are widened.
    I32(ArcArray<i32, IxDyn>),
    /// 64-bit signed integers.
    I64(ArcArray<i64, IxDyn>),
}

impl Array {
    /// Its dimensions.
    pub fn shape(&self) -> &[usize] {
        match self {
            Array::F32(a) => a.shape(),
            Array::F64(a) => a.shape(),
            Array::I8(a) => a.shape(),
            Array::U8(a) => a.shape(),
            Array::I32(a) => a.shape(),
            Array::I64(a) => a.shape(),
        }
    }

    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A quantity in both directions of a feature map: height first.
pub type Pair = (u32, u32);

/// How a kernel moves over a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Size of the kernel; of one line for one-dimensional operations.
    pub kernel: Pair,
    /// Distance of neighbouring outputs.
    pub stride: Pair,
    /// Distance of neighbouring taps.
    pub dilation: Pair,
    /// Padding: top, left, bottom, right (ONNX's order).
    pub pads: [u32; 4],
}

/// How a quotient is rounded to an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// To the nearest, ties to even (`ROUND`, `HALF_EVEN`).
    HalfEven,
    /// To the nearest, ties away from zero (`HALF_UP` of QONNX).
    HalfAway,
    /// To the nearest, ties towards zero (`HALF_DOWN` of QONNX).
    HalfToZero,
    /// Towards plus infinity.
    Ceil,
    /// Towards minus infinity.
    Floor,
    /// Away from zero (`UP`).
    AwayFromZero,
    /// Towards zero (`DOWN`, `ROUND_TO_ZERO`).
    ToZero,
}

impl Round {
    /// The rounded number; exact, for 32-bit floats as well.
    pub fn apply(self, value: f64) -> f64 {
        match self {
            Round::HalfEven => value.round_ties_even(),
            Round::HalfAway => value.round(),
            Round::HalfToZero if (value - value.trunc()).abs() == 0.5 => value.trunc(),
            Round::HalfToZero => value.round(),
            Round::Ceil => value.ceil(),
            Round::Floor => value.floor(),
            Round::AwayFromZero => value.abs().ceil().copysign(value),
            Round::ToZero => value.trunc(),
        }
    }
}

/// The integers of a quantizer: `bits`, two's complement if `signed`, and symmetric or without the largest value if `narrow`,
/// as QONNX defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Bits, 1..=32.
    pub bits: u32,
    /// Whether negative integers exist.
    pub signed: bool,
    /// Whether one level is left out: -2^(bits-1) of signed, 2^bits - 1 of unsigned integers.
    pub narrow: bool,
}

impl Levels {
    /// Least and greatest integer.
    pub fn range(&self) -> (i64, i64) {
        let narrow = i64::from(self.narrow);
        if self.signed {
            let half = 1i64 << (self.bits - 1);
            (narrow - half, half - 1)
        } else {
            (0, (1i64 << self.bits) - 1 - narrow)
        }
    }
}

/// What a node computes. Inputs are named in the order that each variant gives; those in brackets may be missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Convolution. Inputs: data `[N, C, H, W]`, weights `[O, C / groups, kh, kw]`, \[bias `[O]`\].
    Conv {
        /// How the kernel moves.
        sweep: Sweep,
        /// Groups.
        groups: u32,
    },
    /// `alpha * A' * B' + beta * C`, where a dash may mean transposed. Inputs: A, B, \[C\].
    Gemm {
        /// Factor of the product.
        alpha: f32,
        /// Factor of C.
        beta: f32,
        /// Whether A is transposed.
        transpose_a: bool,
        /// Whether B is transposed.
        transpose_b: bool,
    },
    /// Matrix product. Inputs: A, B.
    MatMul,
    /// `(x - mean) / sqrt(variance + epsilon) * scale + bias` per channel. Inputs: x, scale, bias, mean, variance.
    BatchNormalization {
        /// Added to the variance.
        epsilon: f32,
    },
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, low), high)`.
    Clip {
        /// Lower bound.
        low: Option<f32>,
        /// Upper bound.
        high: Option<f32>,
    },
    /// -1, 0 or 1.
    Sign,
    /// Negation.
    Neg,
    /// Sum. Inputs: two, broadcast as NumPy does. So are the next three.
    Add,
    /// Difference.
    Sub,
    /// Product, element by element.
    Mul,
    /// Quotient.
    Div,
    /// Largest number of a window; padded taps do not take part.
    MaxPool(Sweep),
    /// Mean of a window.
    AveragePool {
        /// The window.
        sweep: Sweep,
        /// Whether padded taps count in the divisor.
        count_include_pad: bool,
    },
    /// Mean of a whole channel, `[N, C, H, W]` to `[N, C, 1, 1]`.
    GlobalAveragePool,
    /// Dimensions before `axis` become one, those from it on another.
    Flatten {
        /// The first dimension of the second group.
        axis: usize,
    },
    /// Same numbers, other dimensions. Resolved: no 0 and no -1.
    Reshape {
        /// The new dimensions.
        shape: Vec<usize>,
    },
    /// Dimensions in another order.
    Transpose {
        /// Dimension i of the result is dimension `order[i]` of the input.
        order: Vec<usize>,
    },
    /// Inputs one behind the other.
    Concat {
        /// Along which dimension.
        axis: usize,
    },
    /// Constant padding.
    Pad {
        /// Numbers before and after, for each dimension.
        pads: Vec<(usize, usize)>,
        /// What is put there.
        value: f32,
    },
    /// The input itself. Casts between number types that hold every value that occurs are this as well.
    Identity,
    /// QONNX `Quant`: `(clamp(x / scale + zero_point, least, greatest), rounded) - zero_point) * scale`, in 32-bit floats,
    /// clamped before it is rounded, as QONNX does. Inputs: x, scale, zero_point.
    Quant {
        /// Integers.
        levels: Levels,
        /// Rounding.
        round: Round,
    },
    /// QONNX `BipolarQuant`: `scale` where x >= 0, else `-scale`. Inputs: x, scale.
    BipolarQuant,
    /// QONNX `Trunc`, version 2. With `s = 2^round(log2(output_scale / scale))`:
    /// `(rounded(clamp(round_half_even(x / scale + zero_point) / s)) - zero_point / s) * output_scale`, clamped to the range of
    /// `levels` before it is rounded. Inputs: x, scale, zero_point.
    Trunc {
        /// Bits of the integer before; informative, the scales say by how much it is divided.
        input_bits: u32,
        /// Integers after.
        levels: Levels,
        /// Scale after.
        output_scale: f32,
        /// Rounding of the quotient.
        round: Round,
    },
    /// FINN/QONNX `MultiThreshold`: `scale * (how many thresholds of the channel x reaches) + bias`. Inputs: x, thresholds
    /// `[C or 1, steps]`.
    MultiThreshold {
        /// Factor of the count.
        scale: f32,
        /// Added to it.
        bias: f32,
    },
    /// ONNX `QuantizeLinear`: `saturate(round_half_even(x / scale) + zero_point)`. Inputs: x, scale, zero_point.
    QuantizeLinear {
        /// Integers of the output's type.
        levels: Levels,
        /// Dimension of per-channel scales.
        axis: usize,
    },
    /// ONNX `DequantizeLinear`: `(x - zero_point) * scale`. Inputs: x, scale, zero_point.
    DequantizeLinear {
        /// Dimension of per-channel scales.
        axis: usize,
    },
}

impl Op {
    /// Its name in ONNX or QONNX.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Conv { .. } => "Conv",
            Op::Gemm { .. } => "Gemm",
            Op::MatMul => "MatMul",
            Op::BatchNormalization { .. } => "BatchNormalization",
            Op::Relu => "Relu",
            Op::Clip { .. } => "Clip",
            Op::Sign => "Sign",
            Op::Neg => "Neg",
            Op::Add => "Add",
            Op::Sub => "Sub",
            Op::Mul => "Mul",
            Op::Div => "Div",
            Op::MaxPool(_) => "MaxPool",
            Op::AveragePool { .. } => "AveragePool",
            Op::GlobalAveragePool => "GlobalAveragePool",
            Op::Flatten { .. } => "Flatten",
            Op::Reshape { .. } => "Reshape",
            Op::Transpose { .. } => "Transpose",
            Op::Concat { .. } => "Concat",
            Op::Pad { .. } => "Pad",
            Op::Identity => "Identity",
            Op::Quant { .. } => "Quant",
            Op::BipolarQuant => "BipolarQuant",
            Op::Trunc { .. } => "Trunc",
            Op::MultiThreshold { .. } => "MultiThreshold",
            Op::QuantizeLinear { .. } => "QuantizeLinear",
            Op::DequantizeLinear { .. } => "DequantizeLinear",
        }
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name; made from operation and index where the file has none.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Names of the tensors that it reads; a missing optional one in the middle is empty.
    pub inputs: Vec<String>,
    /// Name of the tensor that it gives.
    pub output: String,
}

/// A graph. Nodes stand after those whose outputs they read; every tensor is an input, a constant or the output of one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Its name.
    pub name: String,
    /// Inputs that are no constants.
    pub inputs: Vec<String>,
    /// Outputs.
    pub outputs: Vec<String>,
    /// Nodes, in an order in which they can be computed.
    pub nodes: Vec<Node>,
    /// Constants. What depends on constants alone is a constant; the original operations of weights (their `Quant`) are nodes
    /// still, so that the integers behind them can be found.
    pub constants: BTreeMap<String, Array>,
    /// Dimensions of every tensor, constants included.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// Annotated data types of FINN (`finn_datatype`), `INT2` or `BIPOLAR` for example.
    pub datatypes: BTreeMap<String, String>,
}

impl Graph {
    /// Index of the node that gives a tensor, if one does.
    pub fn producer(&self, tensor: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.output == tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_and_directions() {
        let values = [-1.5, -0.5, -0.25, 0.25, 0.5, 1.5, 2.5];
        for (round, expected) in [
            (Round::HalfEven, [-2.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0]),
            (Round::HalfAway, [-2.0, -1.0, 0.0, 0.0, 1.0, 2.0, 3.0]),
            (Round::HalfToZero, [-1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0]),
            (Round::Ceil, [-1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0]),
            (Round::Floor, [-2.0, -1.0, -1.0, 0.0, 0.0, 1.0, 2.0]),
            (Round::AwayFromZero, [-2.0, -1.0, -1.0, 1.0, 1.0, 2.0, 3.0]),
            (Round::ToZero, [-1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0]),
        ] {
            assert_eq!(values.map(|v| round.apply(v)), expected, "{round:?}");
        }
        assert_eq!(Round::HalfToZero.apply(0.1), 0.0);
        assert_eq!(Round::HalfToZero.apply(0.75), 1.0);
    }

    #[test]
    fn narrow_levels_leave_one_out() {
        let levels = |signed, narrow| {
            Levels {
                bits: 3,
                signed,
                narrow,
            }
            .range()
        };
        assert_eq!(levels(true, false), (-4, 3));
        assert_eq!(levels(true, true), (-3, 3));
        assert_eq!(levels(false, false), (0, 7));
        assert_eq!(levels(false, true), (0, 6));
    }
}
