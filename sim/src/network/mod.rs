//! Quantized networks as data: feature maps of integers and the layers between them.
//!
//! A [`Network`] is a list of layers; each one reads tensors that stand before it. A layer is a product (a convolution
//! or a sum over windows) with the requantization that follows it, or a max-pool:
//!
//! ```text
//! accumulator = sum of activation * weight, + bias
//! v1 = accumulator + (residual before: table[step of the residual's number])
//! v2 = thresholds: how many of the channel's thresholds v1 reaches, or their number minus that where the channel falls
//!      affine:     v1 * multiplier + addend
//! v3 = v2 + (residual after: table[..])
//! step = clamp((v3 >> shift, rounded) + offset, low, high)
//! number = least number of the encoding, `step` numbers up
//! ```
//!
//! A fully connected layer is a convolution whose kernel is the whole feature map ([`Convolution::dense`]); an average
//! pool is a [`Operation::SumPool`] whose requantization divides.
//!
//! [`mod@reference`] executes a network in plain loops and gives the integers of every layer; [`crate::program`] compiles it
//! for an accelerator.

mod check;
pub mod execute;
pub mod outline;
mod patches;
pub mod reduced;
pub mod reference;

use crate::encoder::Encoding;
use crate::gemm::{Operand, Precision};
pub use check::{LayerError, NetworkError, TensorType};
pub use outline::{LayerOutline, Outline, Rule, Work};
use serde::{Deserialize, Serialize};

/// Largest height, width and number of channels of a feature map.
pub const SIZE_MAX: u32 = 65_535;
/// Largest stride, dilation and padding.
pub const WINDOW_MAX: u32 = 255;
/// Most numbers of a feature map, and of those of all images.
pub const NUMBERS_MAX: u64 = 1 << 28;
/// Most layers of a network.
pub const LAYERS_MAX: usize = 4096;

/// Size of a feature map of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Lines.
    pub height: u32,
    /// Pixels of a line.
    pub width: u32,
    /// Channels of a pixel.
    pub channels: u32,
}

impl Shape {
    /// A shape; checked where it is used.
    pub fn new(height: u32, width: u32, channels: u32) -> Self {
        Shape {
            height,
            width,
            channels,
        }
    }

    /// Numbers of one image.
    pub fn len(&self) -> usize {
        self.height as usize * self.width as usize * self.channels as usize
    }

    /// Whether it holds no number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {} x {}", self.height, self.width, self.channels)
    }
}

/// Integers of `images` feature maps, in the order image, line, pixel, channel (channel fastest).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Images.
    pub images: usize,
    /// Size of each one.
    pub shape: Shape,
    /// `images * shape.len()` numbers.
    pub values: Vec<i64>,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn zeros(images: usize, shape: Shape) -> Self {
        Tensor {
            images,
            shape,
            values: vec![0; images * shape.len()],
        }
    }

    /// Where a number stands.
    pub fn index(&self, image: usize, y: usize, x: usize, channel: usize) -> usize {
        let (height, width) = (self.shape.height as usize, self.shape.width as usize);
        ((image * height + y) * width + x) * self.shape.channels as usize + channel
    }

    /// A number.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn at(&self, image: usize, y: usize, x: usize, channel: usize) -> i64 {
        self.values[self.index(image, y, x, channel)]
    }
}

/// A tensor of a network: its input, or what a layer gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TensorId {
    /// The network's input.
    Input,
    /// The output of the layer of this index.
    Layer(usize),
}

impl std::fmt::Display for TensorId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TensorId::Input => f.write_str("the network's input"),
            TensorId::Layer(index) => write!(f, "the output of layer {index}"),
        }
    }
}

/// A tensor as a layer reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Which tensor.
    pub tensor: TensorId,
    /// Read only so many of its most significant branches: the same tensor at a lower precision. All if none.
    pub bits: Option<u32>,
}

impl From<TensorId> for Read {
    fn from(tensor: TensorId) -> Self {
        Read { tensor, bits: None }
    }
}

/// Elements of zero or a code around a feature map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Padding {
    /// Lines above.
    pub top: u32,
    /// Pixels to the left.
    pub left: u32,
    /// Lines below.
    pub bottom: u32,
    /// Pixels to the right.
    pub right: u32,
}

impl Padding {
    /// The same on every side.
    pub fn all(size: u32) -> Self {
        Padding {
            top: size,
            left: size,
            bottom: size,
            right: size,
        }
    }
}

/// How a kernel moves over a feature map; pairs are (y, x).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Size of the kernel.
    pub kernel: (u32, u32),
    /// Distance of neighbouring outputs.
    pub stride: (u32, u32),
    /// Distance of neighbouring taps.
    pub dilation: (u32, u32),
    /// What surrounds the feature map.
    pub padding: Padding,
}

impl Window {
    /// A square kernel with equal strides, no dilation and equal padding on all sides.
    pub fn square(kernel: u32, stride: u32, padding: u32) -> Self {
        Window {
            kernel: (kernel, kernel),
            stride: (stride, stride),
            dilation: (1, 1),
            padding: Padding::all(padding),
        }
    }

    /// A kernel that covers a whole feature map.
    pub fn whole(shape: Shape) -> Self {
        Window {
            kernel: (shape.height, shape.width),
            ..Window::square(1, 1, 0)
        }
    }

    /// Height and width of the output, or nothing if the kernel is empty or larger than the padded input, or the stride 0.
    pub fn output(&self, shape: Shape) -> Option<(u32, u32)> {
        let size = |input: u32, padding: [u32; 2], kernel: u32, stride: u32, dilation: u32| {
            let [before, after] = padding.map(u64::from);
            let extent = u64::from(dilation) * u64::from(kernel.checked_sub(1)?) + 1;
            let room = (u64::from(input) + before + after).checked_sub(extent)?;
            u32::try_from(room.checked_div(stride.into())? + 1).ok()
        };
        let p = self.padding;
        let (kernel, stride, dilation) = (self.kernel, self.stride, self.dilation);
        Some((
            size(
                shape.height,
                [p.top, p.bottom],
                kernel.0,
                stride.0,
                dilation.0,
            )?,
            size(
                shape.width,
                [p.left, p.right],
                kernel.1,
                stride.1,
                dilation.1,
            )?,
        ))
    }

    /// An output (y, x) whose window lies in the padding altogether, if there is one.
    pub fn empty_output(&self, shape: Shape) -> Option<(u32, u32)> {
        let has_tap = |count: u32, size: u32, at: &dyn Fn(u32) -> i64| {
            (0..count).any(|k| (0..i64::from(size)).contains(&at(k)))
        };
        let (height, width) = self.output(shape)?;
        let y = (0..height).find(|y| !has_tap(self.kernel.0, shape.height, &|k| self.line(*y, k)));
        let x = (0..width).find(|x| !has_tap(self.kernel.1, shape.width, &|k| self.pixel(*x, k)));
        match (y, x) {
            (None, None) => None,
            (y, x) => Some((y.unwrap_or(0), x.unwrap_or(0))),
        }
    }

    /// The input line of kernel line `ky` at output line `oy`; negative or past the end in the padding.
    pub fn line(&self, oy: u32, ky: u32) -> i64 {
        tap(oy, self.stride.0, ky, self.dilation.0, self.padding.top)
    }

    /// As [`Window::line`], in x.
    pub fn pixel(&self, ox: u32, kx: u32) -> i64 {
        tap(ox, self.stride.1, kx, self.dilation.1, self.padding.left)
    }
}

fn tap(output: u32, stride: u32, kernel: u32, dilation: u32, padding: u32) -> i64 {
    let position = i64::from(output) * i64::from(stride) + i64::from(kernel) * i64::from(dilation);
    position - i64::from(padding)
}

/// What a padded tap of a convolution holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pad {
    /// Zero, also where the encoding has none: the tap adds nothing.
    Zero,
    /// A number of the input's encoding.
    Number(i64),
}

/// A convolution's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// How the kernel moves.
    pub window: Window,
    /// Groups: output channel o reads the input channels of group `o * groups / outputs`.
    pub groups: u32,
    /// One vector for each output channel, its elements in the order `[input channel of the group][ky][kx]`.
    pub weights: Operand,
    /// Added to each output channel.
    pub bias: Option<Vec<i64>>,
    /// What padded taps hold.
    pub pad: Pad,
}

impl Convolution {
    /// A fully connected layer on a feature map: weights in the order `[output][channel][y][x]`.
    pub fn dense(input: Shape, weights: Operand) -> Self {
        Convolution {
            window: Window::whole(input),
            groups: 1,
            weights,
            bias: None,
            pad: Pad::Zero,
        }
    }

    /// Output channels.
    pub fn outputs(&self) -> u32 {
        self.weights.vectors() as u32
    }

    /// The weight of one tap.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn weight(&self, output: usize, channel: usize, ky: u32, kx: u32) -> i32 {
        let (kh, kw) = self.window.kernel;
        let tap = (channel * kh as usize + ky as usize) * kw as usize + kx as usize;
        self.weights.vector(output)[tap]
    }

    /// The same with the `bits` most significant branches of every weight.
    ///
    /// # Errors
    /// Those of [`truncate`] for a precision that cannot be cut.
    pub fn truncated(&self, bits: u32) -> Result<Self, LayerError> {
        let precision = self.weights.precision();
        let narrow = truncated_precision(precision, bits)?;
        let values = self.weights.values().iter();
        let values = values
            .map(|v| truncate(precision, i64::from(*v), bits) as i32)
            .collect();
        let (vectors, elements) = (self.weights.vectors(), self.weights.elements());
        let weights = Operand::new("weights", narrow, vectors, elements, values)?;
        Ok(Convolution {
            weights,
            ..self.clone()
        })
    }
}

/// What a layer computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A convolution or a fully connected layer.
    Convolution(Convolution),
    /// The sum of each channel over a window; padded taps add 0. With a window of one pixel it is the tensor itself.
    SumPool(Window),
    /// The largest number of each channel in a window; padded taps do not take part.
    MaxPool(Window),
}

impl Operation {
    /// Its window.
    pub fn window(&self) -> &Window {
        match self {
            Operation::Convolution(convolution) => &convolution.window,
            Operation::SumPool(window) | Operation::MaxPool(window) => window,
        }
    }
}

/// Where a residual is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// To the accumulator.
    Before,
    /// After thresholds or multiplication, before the shift.
    After,
}

/// A tensor that is added, number by number, through a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residual {
    /// Which tensor; it has the shape of the layer's output.
    pub tensor: TensorId,
    /// What each of its numbers adds, from the least number up.
    pub table: Vec<i64>,
    /// Where.
    pub place: Place,
}

/// How a shift rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards minus infinity.
    Floor,
    /// To the nearest, ties up.
    HalfUp,
    /// To the nearest, ties to even.
    HalfEven,
}

impl Rounding {
    /// `value / 2^shift`, rounded.
    pub fn shift(self, value: i64, shift: u32) -> i64 {
        if shift == 0 {
            return value;
        }
        let half = 1 << (shift - 1);
        match self {
            Rounding::Floor => value >> shift,
            Rounding::HalfUp => (value + half) >> shift,
            Rounding::HalfEven => {
                let is_tie = value & ((1 << shift) - 1) == half;
                let up = (value + half) >> shift;
                if is_tie { up & !1 } else { up }
            }
        }
    }
}

/// How accumulators become steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rescale {
    /// By counting thresholds.
    Thresholds {
        /// Of each channel equally many, none smaller than the one before.
        thresholds: Vec<Vec<i64>>,
        /// Channels whose step falls as the accumulator rises.
        falling: Vec<bool>,
    },
    /// By a multiplication and an addition for each channel, and a shift.
    Affine {
        /// Multipliers, 16 bits signed.
        multipliers: Vec<i64>,
        /// Addends.
        addends: Vec<i64>,
        /// Right shift.
        shift: u32,
        /// How it rounds.
        rounding: Rounding,
    },
}

/// Requantization to numbers of an encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requantize {
    /// Encoding and bits of the numbers.
    pub precision: Precision,
    /// The rule.
    pub rescale: Rescale,
    /// Added to the step.
    pub offset: i64,
    /// Least step.
    pub low: i64,
    /// Greatest step.
    pub high: i64,
}

impl Requantize {
    /// A rule with all steps of a precision.
    pub fn new(precision: Precision, rescale: Rescale) -> Self {
        Requantize {
            precision,
            rescale,
            offset: 0,
            low: 0,
            high: steps(precision) - 1,
        }
    }
}

/// What leaves a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The accumulators: only as an output of the network.
    Raw,
    /// Numbers.
    Codes(Requantize),
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name, for messages and reports.
    pub name: String,
    /// What it reads.
    pub input: Read,
    /// What it computes.
    pub operation: Operation,
    /// What is added to a product; none for a max-pool.
    pub residual: Option<Residual>,
    /// What becomes of a product's accumulators; a max-pool keeps its numbers as they are, and this is ignored.
    pub output: Output,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Size of an input image.
    pub input: Shape,
    /// Encoding and bits of the input.
    pub precision: Precision,
    /// Its layers, each after those whose outputs it reads.
    pub layers: Vec<Layer>,
    /// What the network gives.
    pub outputs: Vec<TensorId>,
}

/// How many numbers a precision has.
pub fn steps(precision: Precision) -> i64 {
    match precision.encoding {
        Encoding::Ternary => 3,
        _ => 1 << precision.bits,
    }
}

/// The number of a step: step 0 is the least number.
pub fn number_of_step(precision: Precision, step: i64) -> i64 {
    let (least, _) = precision.encoding.range(precision.bits);
    least + step * distance(precision)
}

/// The step of a number.
pub fn step_of_number(precision: Precision, number: i64) -> i64 {
    let (least, _) = precision.encoding.range(precision.bits);
    (number - least) / distance(precision)
}

fn distance(precision: Precision) -> i64 {
    if precision.encoding == Encoding::Bipolar {
        2
    } else {
        1
    }
}

/// The precision that the `bits` most significant branches of a number have.
///
/// # Errors
/// [`LayerError::Truncate`]: more bits than there are, none, or fewer of `ternary`.
pub fn truncated_precision(precision: Precision, bits: u32) -> Result<Precision, LayerError> {
    let is_whole = bits == precision.bits;
    let can_be_cut = precision.encoding != Encoding::Ternary;
    if is_whole || (can_be_cut && (1..precision.bits).contains(&bits)) {
        return Ok(Precision { bits, ..precision });
    }
    Err(LayerError::Truncate {
        encoding: precision.encoding,
        of: precision.bits,
        bits,
    })
}

/// The number that the `bits` most significant branches of a number are.
pub fn truncate(precision: Precision, number: i64, bits: u32) -> i64 {
    let narrow = Precision { bits, ..precision };
    let step = step_of_number(precision, number) >> (precision.bits - bits);
    number_of_step(narrow, step)
}
