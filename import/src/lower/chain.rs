//! Chains of operations on one number, per channel: exactly, and as a runtime computes them in 32-bit floats.
//!
//! Every operation is monotone, so that a chain that ends in integers is a staircase over the accumulators:
//! [`staircase`] finds its steps by bisection.

use super::number::{
    self, Enclosure, Fast, Interval, Numbers, Rational, exact, inverse_root, perfect_root, size,
    whole,
};
use super::work::Work;
use crate::graph::Round;
use num_traits::{One, Signed, Zero};
use std::rc::Rc;

/// Bits to which square roots are enclosed, one after the other, until a decision is proven.
const ROOT_BITS: [u64; 5] = [64, 128, 256, 512, 1024];
/// Bounds of an integer that nothing clamps; far past every accumulator, and floats hold them.
pub(crate) const UNBOUNDED: i64 = 1 << 60;

/// An operation on one number.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// `x * c`.
    Multiply(Numbers),
    /// `x / c`; no c is 0.
    Divide(Numbers),
    /// `x + c`.
    Add(Numbers),
    /// `-x`.
    Negate,
    /// `(x - mean) / sqrt(variance + epsilon) * scale + bias`; what the root is taken of is above 0.
    Normalize {
        /// Factor.
        scale: Numbers,
        /// Addend.
        bias: Numbers,
        /// Taken off first.
        mean: Numbers,
        /// Variance.
        variance: Numbers,
        /// Added to it.
        epsilon: f32,
    },
    /// `min(max(x, low), high)`, finite bounds.
    Clamp {
        /// Lower bound.
        low: Option<f32>,
        /// Upper bound.
        high: Option<f32>,
    },
    /// -1, 0 or 1.
    Sign,
    /// Clamps and rounds to an integer.
    Round {
        /// How.
        how: Round,
        /// Least integer.
        low: i64,
        /// Greatest integer.
        high: i64,
    },
    /// How many numbers of the channel's sorted list, or of the one list, x reaches.
    Count(Rc<[Vec<f32>]>),
}

impl Step {
    /// Whether it is the same for all channels.
    pub fn is_uniform(&self) -> bool {
        let is_one = |numbers: &Numbers| numbers.exact.len() == 1;
        match self {
            Step::Multiply(c) | Step::Divide(c) | Step::Add(c) => is_one(c),
            Step::Normalize {
                scale,
                bias,
                mean,
                variance,
                ..
            } => [scale, bias, mean, variance].into_iter().all(is_one),
            Step::Count(lists) => lists.len() == 1,
            Step::Negate | Step::Clamp { .. } | Step::Sign | Step::Round { .. } => true,
        }
    }

    /// The step in 32-bit floats, in the order of operations of onnxruntime and QONNX.
    fn float(&self, channel: usize, x: f32) -> f32 {
        match self {
            Step::Multiply(c) => x * c.float_at(channel),
            Step::Divide(c) => x / c.float_at(channel),
            Step::Add(c) => x + c.float_at(channel),
            Step::Negate => -x,
            Step::Normalize {
                scale,
                bias,
                mean,
                variance,
                epsilon,
            } => {
                // onnxruntime folds the constants first.
                let inverse = 1.0 / (variance.float_at(channel) + epsilon).sqrt();
                let factor = inverse * scale.float_at(channel);
                let addend = bias.float_at(channel) - mean.float_at(channel) * factor;
                x * factor + addend
            }
            Step::Clamp { low, high } => {
                let x = low.map_or(x, |bound| x.max(bound));
                high.map_or(x, |bound| x.min(bound))
            }
            Step::Sign if x == 0.0 => 0.0,
            Step::Sign => x.signum(),
            Step::Round { how, low, high } => {
                let x = x.max(*low as f32).min(*high as f32);
                how.apply(x.into()) as f32
            }
            Step::Count(lists) => {
                let list = number::at(lists, channel);
                list.partition_point(|t| *t <= x) as f32
            }
        }
    }

    fn parts(&self, channel: usize, parts: &mut Vec<Part>) {
        match self {
            Step::Multiply(c) => affine(parts, c.at(channel).clone(), Rational::zero()),
            Step::Divide(c) => affine(parts, c.at(channel).recip(), Rational::zero()),
            Step::Add(c) => affine(parts, Rational::one(), c.at(channel).clone()),
            Step::Negate => affine(parts, -Rational::one(), Rational::zero()),
            Step::Normalize {
                scale,
                bias,
                mean,
                variance,
                epsilon,
            } => {
                affine(parts, Rational::one(), -mean.at(channel));
                let spread = variance.at(channel) + exact(*epsilon).unwrap_or_else(Rational::zero);
                match perfect_root(&spread) {
                    Some(root) => affine(parts, root.recip(), Rational::zero()),
                    None => parts.push(Part::OverRoot(spread)),
                }
                affine(parts, scale.at(channel).clone(), bias.at(channel).clone());
            }
            Step::Clamp { low, high } => {
                parts.push(Part::Clamp(low.and_then(exact), high.and_then(exact)))
            }
            Step::Sign => parts.push(Part::Sign),
            Step::Round { how, low, high } => parts.push(Part::Round(*how, *low, *high)),
            Step::Count(lists) => {
                let list = number::at(lists, channel);
                parts.push(Part::Count(list.iter().filter_map(|t| exact(*t)).collect()));
            }
        }
    }
}

/// The steps of one channel, affine ones joined.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Affine(Rational, Rational),
    /// Division by the square root.
    OverRoot(Rational),
    Clamp(Option<Rational>, Option<Rational>),
    Sign,
    Round(Round, i64, i64),
    Count(Vec<Rational>),
}

fn affine(parts: &mut Vec<Part>, factor: Rational, addend: Rational) {
    if let Some(Part::Affine(f, a)) = parts.last_mut() {
        *f *= &factor;
        *a = &*a * factor + addend;
    } else {
        parts.push(Part::Affine(factor, addend));
    }
}

fn parts(steps: &[Step], channel: usize, work: &Work) -> Vec<Part> {
    let mut parts = Vec::new();
    for step in steps {
        if work.is_spent() {
            break;
        }
        step.parts(channel, &mut parts);
        match parts.last() {
            Some(Part::Affine(factor, addend)) => {
                work.take_exact(factor);
                work.take_exact(addend);
            }
            Some(Part::Count(list)) => work.take(16 * list.len() as u64),
            _ => work.take(16),
        }
    }
    parts
}

/// Factor and addend of a channel's chain if that is affine and rational.
pub(crate) fn rational_line(
    steps: &[Step],
    channel: usize,
    work: &Work,
) -> Option<(Rational, Rational)> {
    match parts(steps, channel, work).as_slice() {
        [] => Some((Rational::one(), Rational::zero())),
        [Part::Affine(factor, addend)] => Some((factor.clone(), addend.clone())),
        _ => None,
    }
}

/// Factor and addend of a channel's chain if that is affine; square roots are taken to far more bits than a float has.
pub(crate) fn line(steps: &[Step], channel: usize, work: &Work) -> Option<(Rational, Rational)> {
    let (mut factor, mut addend) = (Rational::one(), Rational::zero());
    for part in parts(steps, channel, work) {
        work.take_exact(&factor);
        work.take_exact(&addend);
        match part {
            Part::Affine(f, a) => {
                addend = addend * &f + a;
                factor *= f;
            }
            Part::OverRoot(square) => {
                let (low, _) = inverse_root(&square, 192);
                addend *= &low;
                factor *= low;
            }
            _ => return None,
        }
    }
    Some((factor, addend))
}

/// A part whose constants are enclosed.
#[derive(Clone, Debug)]
enum Enclosed<E> {
    Affine(E, E),
    Clamp(Option<E>, Option<E>),
    Sign,
    Round(Round, i64, i64),
    Count(Vec<E>),
}

fn enclose<E: Enclosure>(parts: &[Part], bits: u64) -> Vec<Enclosed<E>> {
    let enclose = |part: &Part| match part {
        Part::Affine(factor, addend) => Enclosed::Affine(E::of(factor), E::of(addend)),
        Part::OverRoot(square) => {
            let (low, high) = inverse_root(square, bits);
            Enclosed::Affine(E::between(&low, &high), E::of_integer(0))
        }
        Part::Clamp(low, high) => {
            Enclosed::Clamp(low.as_ref().map(E::of), high.as_ref().map(E::of))
        }
        Part::Sign => Enclosed::Sign,
        Part::Round(how, low, high) => Enclosed::Round(*how, *low, *high),
        Part::Count(list) => Enclosed::Count(list.iter().map(E::of).collect()),
    };
    parts.iter().map(enclose).collect()
}

/// Units of a quick evaluation of parts, with one of `steps` in floats beside it, and of an exact one.
fn units(parts: &[Part], steps: usize) -> (u64, u64) {
    let bits = |part: &Part| match part {
        Part::Affine(factor, addend) => size(factor) + size(addend),
        Part::OverRoot(square) => size(square) + ROOT_BITS[0],
        _ => 64,
    };
    let words = parts.iter().map(bits).sum::<u64>() / 64 + 1;
    let quick = 4 + (parts.len() + steps) as u64;
    (quick, quick + 16 * words.saturating_mul(words))
}

/// The integers between which a chain's result lies; none if that is not known.
fn run<E: Enclosure>(parts: &[Enclosed<E>], accumulator: i64) -> Option<(i64, i64)> {
    let mut value = E::of_integer(accumulator);
    let mut integers = (accumulator, accumulator);
    for (index, part) in parts.iter().enumerate() {
        let found = match part {
            Enclosed::Affine(factor, addend) => {
                value = value.affine(factor, addend);
                continue;
            }
            Enclosed::Clamp(low, high) => {
                value = value.clamp(low.as_ref(), high.as_ref());
                continue;
            }
            Enclosed::Sign => {
                let (positive, at_least) = value.reaches(&E::of_integer(0));
                let (negative, at_most) = E::of_integer(0).reaches(&value);
                match (positive, at_least, negative, at_most) {
                    (true, _, true, _) => (0, 0),
                    (true, _, false, false) => (1, 1),
                    (false, false, true, _) => (-1, -1),
                    _ => (-1, 1),
                }
            }
            Enclosed::Round(how, low, high) => value.round(*how, *low, *high)?,
            Enclosed::Count(list) => {
                let sure = list.partition_point(|t| value.reaches(t).0);
                let possible = list.partition_point(|t| value.reaches(t).1);
                (sure as i64, possible as i64)
            }
        };
        integers = found;
        if integers.0 != integers.1 && index + 1 < parts.len() {
            value = E::between(&whole(integers.0), &whole(integers.1));
        } else {
            value = E::of_integer(integers.0);
        }
    }
    Some(integers)
}

/// Evaluates one channel's chain, exactly, as long as there is work left.
pub(crate) struct Evaluator<'w> {
    work: &'w Work,
    parts: Vec<Part>,
    /// Units of one quick evaluation, and of one that is exact.
    units: (u64, u64),
    fast: Vec<Enclosed<Fast>>,
    /// By [`ROOT_BITS`]; made when they are needed.
    exact: Vec<Vec<Enclosed<Interval>>>,
    /// The widest result that could not be decided, in steps.
    pub undecided: i64,
}

impl<'w> Evaluator<'w> {
    /// For the chain of a channel.
    pub fn new(steps: &[Step], channel: usize, work: &'w Work) -> Self {
        let parts = parts(steps, channel, work);
        Evaluator {
            work,
            fast: enclose(&parts, 64),
            units: units(&parts, steps.len()),
            parts,
            exact: Vec::new(),
            undecided: 0,
        }
    }

    /// The integer for an accumulator. Where a square root leaves it open to the last bit, the lower of the possible ones,
    /// and `undecided` says how far they are apart.
    pub fn integer(&mut self, accumulator: i64) -> i64 {
        if self.work.is_spent() {
            return 0;
        }
        self.work.take(self.units.0);
        if let Some((low, high)) = run(&self.fast, accumulator)
            && low == high
        {
            return low;
        }
        let mut open = (0, 0);
        for (index, bits) in ROOT_BITS.into_iter().enumerate() {
            self.work.take(self.units.1);
            if self.exact.len() == index {
                self.exact.push(enclose(&self.parts, bits));
            }
            open = run(&self.exact[index], accumulator).expect("rationals always decide");
            if open.0 == open.1 {
                return open.0;
            }
        }
        self.undecided = self.undecided.max(open.1 - open.0);
        open.0
    }
}

/// The result of a channel's chain in 32-bit floats, begun with the float nearest to accumulator times unit.
pub(crate) fn float(steps: &[Step], channel: usize, accumulator: i64) -> f32 {
    let mut steps = steps.iter();
    // The first step of a product's chain is its unit; a runtime has summed products of floats there.
    let mut x = match steps.as_slice().first() {
        Some(Step::Multiply(unit)) => {
            steps.next();
            (accumulator as f64 * number::to_f64(unit.at(channel))) as f32
        }
        _ => accumulator as f32,
    };
    for step in steps {
        x = step.float(channel, x);
    }
    x
}

/// The accumulators that a channel can have: `base + step * k` for k below `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lattice {
    /// The least one.
    pub base: i64,
    /// Their distance, at least 1.
    pub step: i64,
    /// How many, at least 1.
    pub count: i64,
}

impl Lattice {
    /// From the least to the greatest number in steps; the greatest is met exactly.
    pub fn new(low: i64, high: i64, step: i64) -> Self {
        let step = step.max(1);
        Lattice {
            base: low,
            step,
            count: (high - low) / step + 1,
        }
    }

    /// The accumulator of an index.
    pub fn at(&self, index: i64) -> i64 {
        self.base + self.step * index
    }

    /// The greatest accumulator.
    pub fn last(&self) -> i64 {
        self.at(self.count - 1)
    }
}

/// A monotone function over `0..count` as the places where it changes: index and value from there on. The first is at 0.
pub(crate) type Staircase = Vec<(i64, i64)>;

/// Finds the steps of a monotone function by bisection.
pub(crate) fn staircase(count: i64, mut value: impl FnMut(i64) -> i64) -> Staircase {
    let first = value(0);
    let mut stairs = vec![(0, first)];
    let mut open = vec![((0, first), (count - 1, value(count - 1)))];
    while let Some((low, high)) = open.pop() {
        if low.1 == high.1 {
            continue;
        }
        if low.0 + 1 == high.0 {
            stairs.push(high);
            continue;
        }
        let middle = low.0 + (high.0 - low.0) / 2;
        let middle = (middle, value(middle));
        // The left half is done first, so that the steps come in order.
        open.push((middle, high));
        open.push((low, middle));
    }
    stairs
}

/// In how many of `count` indices two staircases differ, and by how much at most.
pub(crate) fn difference(count: i64, a: &Staircase, b: &Staircase) -> (u64, i64) {
    let (mut wrong, mut most) = (0, 0);
    let (mut i, mut j, mut at) = (0, 0, 0);
    while at < count {
        let end = |stairs: &Staircase, i: usize| stairs.get(i + 1).map_or(count, |s| s.0);
        let next = end(a, i).min(end(b, j));
        let apart = (a[i].1 - b[j].1).abs();
        if apart != 0 {
            wrong += (next - at) as u64;
            most = most.max(apart);
        }
        i += usize::from(end(a, i) == next && next < count);
        j += usize::from(end(b, j) == next && next < count);
        at = next;
    }
    (wrong, most)
}

/// Greatest common divisor.
pub(crate) fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a as i64
}

/// Whether every channel's factor is positive, as far as the chain is affine, clamps, rounds or counts; for one channel:
/// -1 falling, 0 constant, 1 rising.
pub(crate) fn direction(steps: &[Step], channel: usize) -> i64 {
    let sign = |v: &Rational| i64::from(v.is_positive()) - i64::from(v.is_negative());
    steps.iter().fold(1, |direction, step| match step {
        Step::Multiply(c) | Step::Divide(c) => direction * sign(c.at(channel)),
        Step::Normalize { scale, .. } => direction * sign(scale.at(channel)),
        Step::Negate => -direction,
        _ => direction,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[f32]) -> Numbers {
        Numbers::of_floats(values).unwrap()
    }

    #[test]
    fn stairs_are_found_wherever_they_are() {
        for count in 1..40 {
            for a in 0..count {
                for b in a..count {
                    let f = |i: i64| i64::from(i >= a) + 3 * i64::from(i >= b);
                    let stairs = staircase(count, f);
                    let value = |i| stairs.iter().rev().find(|s| s.0 <= i).unwrap().1;
                    assert!((0..count).all(|i| value(i) == f(i)), "{count} {a} {b}");
                    assert!(stairs.windows(2).all(|w| w[0].0 < w[1].0));
                }
            }
        }
    }

    #[test]
    fn differences_are_counted() {
        let a = vec![(0, 0), (3, 1), (7, 2)];
        let b = vec![(0, 0), (5, 2)];
        // 3, 4: 1 against 0; 5, 6: 1 against 2.
        assert_eq!(difference(10, &a, &b), (4, 1));
        assert_eq!(difference(10, &a, &a), (0, 0));
        assert_eq!(difference(4, &vec![(0, -2)], &vec![(0, 1)]), (4, 3));
    }

    #[test]
    fn a_tie_on_a_square_root_is_decided_exactly() {
        // (x - 3) / sqrt(2) * 5 + 0.5 at x = 3 is a tie: 0, to even. At 4 it is 4.03.
        let steps = [
            Step::Normalize {
                scale: numbers(&[5.0]),
                bias: numbers(&[0.5]),
                mean: numbers(&[3.0]),
                variance: numbers(&[1.0]),
                epsilon: 1.0,
            },
            Step::Round {
                how: Round::HalfEven,
                low: -8,
                high: 7,
            },
        ];
        let work = Work::new(1 << 20);
        let mut evaluator = Evaluator::new(&steps, 0, &work);
        let found: Vec<i64> = (1..6).map(|x| evaluator.integer(x)).collect();
        assert_eq!(found, [-7, -3, 0, 4, 7]);
        assert_eq!(evaluator.undecided, 0);
    }

    #[test]
    fn what_two_roots_leave_open_is_said() {
        // x / sqrt(2) / sqrt(2) * 2 + 0.5 is x + 0.5 in truth: a tie that no enclosure decides.
        let root = Step::Normalize {
            scale: numbers(&[1.0]),
            bias: numbers(&[0.0]),
            mean: numbers(&[0.0]),
            variance: numbers(&[2.0]),
            epsilon: 0.0,
        };
        let steps = [
            root.clone(),
            root,
            Step::Multiply(numbers(&[2.0])),
            Step::Add(numbers(&[0.5])),
            Step::Round {
                how: Round::HalfEven,
                low: -8,
                high: 7,
            },
        ];
        let work = Work::new(1 << 20);
        let mut evaluator = Evaluator::new(&steps, 0, &work);
        evaluator.integer(1);
        assert_eq!(evaluator.undecided, 1);
    }
}
