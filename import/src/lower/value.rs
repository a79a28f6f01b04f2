//! What is known about a tensor while a graph is lowered.

use super::chain::{Lattice, Step};
use super::number::{Numbers, Rational, at, whole, zip};
use crate::model::InputQuantizer;
use ndarray::ArrayD;
use num_traits::{One, Signed, Zero};
use std::rc::Rc;
use xnorforge_sim::network::{Operation, Residual, Shape, TensorId, Window};
use xnorforge_sim::{Encoding, Precision};

/// A direction of a batch of feature maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Batch,
    Channel,
    Height,
    Width,
}

/// Which directions each dimension of a tensor of the file holds, slowest first. Directions of size 1 are left out, but for
/// the batch, which is always the first dimension alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout(pub Vec<Vec<Axis>>);

impl Layout {
    /// Directions in this order, one for each dimension.
    pub fn new(axes: &[Axis], shape: Shape) -> Self {
        let is_kept = |axis: &Axis| *axis == Axis::Batch || length(*axis, shape) != 1;
        let dimension = |axis: &Axis| Some(*axis).filter(is_kept).into_iter().collect();
        Layout(axes.iter().map(dimension).collect())
    }

    /// As ONNX orders them, for a tensor of 2, 3 or 4 dimensions.
    pub fn channels_first(rank: usize, shape: Shape) -> Option<Self> {
        let axes: &[Axis] = match rank {
            2 => &[Axis::Batch, Axis::Channel],
            3 => &[Axis::Batch, Axis::Channel, Axis::Width],
            4 => &[Axis::Batch, Axis::Channel, Axis::Height, Axis::Width],
            _ => return None,
        };
        Some(Self::new(axes, shape))
    }

    /// The same numbers in other dimensions, of which the first is the batch still; none if a direction would be cut.
    pub fn reshaped(&self, shape: Shape, dimensions: &[usize]) -> Option<Self> {
        let mut axes = self.0[1..].iter().flatten();
        let mut result = vec![vec![Axis::Batch]];
        for dimension in dimensions.get(1..)? {
            let (mut held, mut size) = (Vec::new(), 1);
            while size < *dimension {
                let axis = axes.next()?;
                size *= length(*axis, shape);
                held.push(*axis);
            }
            if size != *dimension {
                return None;
            }
            result.push(held);
        }
        axes.next().is_none().then_some(Layout(result))
    }

    /// Dimensions in another order; none if the batch moves.
    pub fn transposed(&self, order: &[usize]) -> Option<Self> {
        let is_legal =
            super::weights::is_permutation(order, self.0.len()) && order.first() == Some(&0);
        let dimensions = order.iter().map(|i| self.0.get(*i).cloned());
        dimensions
            .collect::<Option<_>>()
            .filter(|_| is_legal)
            .map(Layout)
    }

    /// Whether a dimension is the channels.
    pub fn is_channel(&self, dimension: usize, shape: Shape) -> bool {
        self.0.get(dimension).is_some_and(|held| {
            *held == [Axis::Channel] || (held.is_empty() && shape.channels == 1)
        })
    }
}

/// Size of a feature map in a direction; 1 for the batch.
pub(crate) fn length(axis: Axis, shape: Shape) -> usize {
    match axis {
        Axis::Batch => 1,
        Axis::Channel => shape.channels as usize,
        Axis::Height => shape.height as usize,
        Axis::Width => shape.width as usize,
    }
}

/// Integers that stand for reals: `real = scale * (integer + offset)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grid {
    /// Least integer that occurs.
    pub low: i64,
    /// Greatest one.
    pub high: i64,
    /// Of one entry, or one for each channel; never 0.
    pub scale: Vec<Rational>,
    /// Likewise.
    pub offset: Vec<Rational>,
}

impl Grid {
    /// What an integer stands for in a channel.
    pub fn real(&self, channel: usize, integer: i64) -> Rational {
        at(&self.scale, channel) * (whole(integer) + at(&self.offset, channel))
    }

    /// Entries of the longer list.
    pub fn channels(&self) -> usize {
        self.scale.len().max(self.offset.len())
    }

    /// Takes an affine step in; false if it is none, or a product with 0.
    pub fn absorb(&mut self, step: &Step) -> bool {
        match step {
            Step::Multiply(c) if c.exact.iter().all(|v| !v.is_zero()) => {
                self.scale = zip(&self.scale, &c.exact, |s, c| s * c);
            }
            Step::Divide(c) => self.scale = zip(&self.scale, &c.exact, |s, c| s / c),
            Step::Add(c) => {
                let added = zip(&c.exact, &self.scale, |c, s| c / s);
                self.offset = zip(&self.offset, &added, |o, a| o + a);
            }
            Step::Negate => self.scale.iter_mut().for_each(|s| *s = -&*s),
            _ => return false,
        }
        true
    }

    /// The grid after `min(max(real, low), high)`, if that keeps to it, and cuts all channels alike.
    pub fn clamped(&self, low: Option<&Rational>, high: Option<&Rational>) -> Option<Grid> {
        let mut bounds = None;
        for channel in 0..self.channels() {
            let found = self.clamped_channel(channel, low, high)?;
            if *bounds.get_or_insert(found) != found {
                return None;
            }
        }
        let (low, high) = bounds?;
        Some(Grid {
            low,
            high,
            ..self.clone()
        })
    }

    fn clamped_channel(
        &self,
        channel: usize,
        low: Option<&Rational>,
        high: Option<&Rational>,
    ) -> Option<(i64, i64)> {
        let scale = at(&self.scale, channel);
        let integer = |real: &Rational| real / scale - at(&self.offset, channel);
        let (mut bottom, mut top) = (low.map(integer), high.map(integer));
        if scale.is_negative() {
            std::mem::swap(&mut bottom, &mut top);
        }
        let (mut least, mut greatest) = (self.low, self.high);
        if let Some(bound) = bottom.filter(|b| *b > whole(self.low)) {
            least = super::number::integer(&bound)?;
        }
        if let Some(bound) = top.filter(|b| *b < whole(self.high)) {
            greatest = super::number::integer(&bound)?;
        }
        (least <= greatest && least <= self.high && greatest >= self.low)
            .then_some((least, greatest))
    }
}

/// A tensor of codes that the network holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Codes {
    /// Which one.
    pub tensor: TensorId,
    /// Encoding and bits; the grid's integers are its numbers.
    pub precision: Precision,
}

/// Distance of neighbouring numbers.
pub(crate) fn distance(precision: Precision) -> i64 {
    if precision.encoding == Encoding::Bipolar {
        2
    } else {
        1
    }
}

/// The part of a layer that gives accumulators.
#[derive(Debug)]
pub(crate) struct Product {
    /// Index of its node.
    pub node: usize,
    /// What it reads.
    pub input: TensorId,
    /// What it computes.
    pub operation: Operation,
    /// Shape of its accumulators.
    pub shape: Shape,
    /// Codes and grid of the input where the product is the input itself.
    pub identity: Option<(Codes, Grid)>,
}

/// A max-pool that is done after the quantizer that follows it.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    /// Its window.
    pub window: Window,
    /// How many steps of the chain come before it.
    pub at: usize,
    /// Its node.
    pub node: usize,
}

/// A residual that is added to integers of a quantizer: `repeat * clamp(integer, low, high) + table[number]`.
#[derive(Clone, Debug)]
pub(crate) struct After {
    /// Factor of the integer.
    pub repeat: i64,
    /// Least integer.
    pub low: i64,
    /// Greatest integer.
    pub high: i64,
    /// The residual's tensor.
    pub tensor: TensorId,
    /// What each of its numbers adds.
    pub table: Vec<i64>,
}

/// A residual whose unit is no multiple of the accumulator's: reals that are added behind the steps before it.
#[derive(Clone, Debug)]
pub(crate) struct Mixed {
    /// The residual's tensor.
    pub tensor: TensorId,
    /// What each of its numbers adds.
    pub reals: Vec<Rational>,
    /// How many steps of the chain come before it.
    pub at: usize,
}

/// Accumulators and what is done with each one, not yet a layer.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    /// Where the accumulators come from.
    pub product: Rc<Product>,
    /// The accumulators that each channel can have, residual included.
    pub lattices: Rc<Vec<Lattice>>,
    /// Names of the file's tensors that hold the accumulators.
    pub accumulators: Vec<String>,
    /// Added to the accumulator.
    pub before: Option<Residual>,
    /// Operations; up to and with the quantizer if the feature has a grid.
    pub steps: Vec<Step>,
    /// Nodes that were folded.
    pub nodes: Vec<usize>,
    /// Added in other units.
    pub mixed: Option<Mixed>,
    /// Added to the integers.
    pub after: Option<After>,
    /// Max-pools on the way.
    pub pools: Vec<Pool>,
    /// Names of the file's tensors that hold the grid's integers.
    pub names: Vec<String>,
}

impl Chain {
    /// The accumulators of a product, and operations that make reals of them.
    pub fn new(product: Product, lattices: Vec<Lattice>, steps: Vec<Step>) -> Self {
        Chain {
            nodes: vec![product.node],
            product: Rc::new(product),
            lattices: Rc::new(lattices),
            accumulators: Vec::new(),
            before: None,
            steps,
            mixed: None,
            after: None,
            pools: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Whether it stands for the accumulators themselves still.
    pub fn is_accumulator(&self) -> bool {
        self.nodes.len() == 1
            && self.product.identity.is_none()
            && self.before.is_none()
            && self.mixed.is_none()
            && self.pools.is_empty()
    }

    /// Whether other numbers than the accumulators' take part.
    pub fn has_residual(&self) -> bool {
        self.before.is_some() || self.mixed.is_some() || self.after.is_some()
    }
}

/// What a feature map is.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The network's input, with its quantizer, before its encoding is chosen; none if it comes as integers.
    Input(Option<InputQuantizer>, Vec<String>),
    /// Codes.
    Codes(Codes),
    /// Accumulators and a chain.
    Chain(Box<Chain>),
}

/// Constant padding that no layer has taken in yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Border {
    /// Top, left, bottom, right.
    pub pads: [u32; 4],
    /// What is there.
    pub value: Rational,
    /// The node that pads.
    pub node: usize,
}

/// An activation.
#[derive(Clone, Debug)]
pub(crate) struct Feature {
    /// Size of an image, without the border.
    pub shape: Shape,
    /// Its dimensions in the file.
    pub layout: Layout,
    /// What it is.
    pub source: Source,
    /// Its integers, if it is quantized.
    pub grid: Option<Grid>,
    /// Padding around it.
    pub border: Option<Border>,
}

/// Constant integers: `real = integer * scale`.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// The integers.
    pub integers: ArrayD<i32>,
    /// Of the same rank; a dimension is 1 or that of the integers.
    pub scale: ArrayD<Rational>,
}

/// A tensor of the file.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// The input as floats, before a quantizer.
    Input(Box<Feature>),
    /// An activation.
    Feature(Box<Feature>),
    /// Quantized constants.
    Weights(Rc<Weights>),
}

/// The encoding of a grid's integers, and how they become its numbers: `number = factor * integer + addend`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Coded {
    /// Encoding and bits.
    pub precision: Precision,
    /// 2 for `bipolar`.
    pub factor: i64,
    /// See above.
    pub addend: i64,
}

impl Coded {
    /// The encoding of a grid; none if it has more than 8 bits.
    pub fn of(grid: &Grid) -> Option<Self> {
        let first = &grid.offset[0];
        let doubled = super::number::integer(&(first * whole(2)));
        if let Some(doubled) = doubled.filter(|d| d % 2 != 0)
            && grid.offset.iter().all(|o| o == first)
        {
            let (low, high) = (2 * grid.low + doubled, 2 * grid.high + doubled);
            if let Some(bits) = (1..=8).find(|b| low.abs().max(high.abs()) < 1 << b) {
                return Some(Coded {
                    precision: Precision::new(Encoding::Bipolar, bits),
                    factor: 2,
                    addend: doubled,
                });
            }
        }
        let plain = |low: i64, high: i64| {
            let encoding = if low < 0 {
                Encoding::Signed
            } else {
                Encoding::Unsigned
            };
            let bits = (1..=8).find(|b| encoding.contains(*b, low) && encoding.contains(*b, high));
            bits.map(|bits| Precision::new(encoding, bits))
        };
        let shift = if grid.high - grid.low < 256 {
            [0, -grid.low]
        } else {
            [0, 0]
        };
        shift.into_iter().find_map(|addend| {
            let precision = plain(grid.low + addend, grid.high + addend)?;
            Some(Coded {
                precision,
                factor: 1,
                addend,
            })
        })
    }

    /// The number of an integer.
    pub fn number(&self, integer: i64) -> i64 {
        self.factor * integer + self.addend
    }

    /// The grid of the numbers.
    pub fn grid(&self, grid: &Grid) -> Grid {
        let (factor, addend) = (whole(self.factor), whole(self.addend));
        Grid {
            low: self.number(grid.low),
            high: self.number(grid.high),
            scale: grid.scale.iter().map(|s| s / &factor).collect(),
            offset: grid.offset.iter().map(|o| o * &factor - &addend).collect(),
        }
    }
}

/// The greatest common divisor of rationals: the largest unit of which all are multiples. 0 if all are.
pub(crate) fn common_unit<'a>(values: impl IntoIterator<Item = &'a Rational>) -> Rational {
    values.into_iter().fold(Rational::zero(), |unit, value| {
        // gcd(a / b, c / d) = gcd(a * d, c * b) / (b * d).
        let (mut a, mut b) = (
            unit.numer() * value.denom(),
            (value.numer() * unit.denom()).abs(),
        );
        while !b.is_zero() {
            let rest = &a % &b;
            (a, b) = (b, rest);
        }
        Rational::new(a, unit.denom() * value.denom())
    })
}

/// Steps that make reals of a grid's integers again.
pub(crate) fn reals_of(grid: &Grid) -> Vec<Step> {
    let mut steps = Vec::new();
    if !grid.offset.iter().all(Zero::is_zero) {
        steps.push(Step::Add(Numbers::of_rationals(grid.offset.clone())));
    }
    if !grid.scale.iter().all(One::is_one) {
        steps.push(Step::Multiply(Numbers::of_rationals(grid.scale.clone())));
    }
    steps
}
