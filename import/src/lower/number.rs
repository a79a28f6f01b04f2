//! Exact numbers: rationals of any size, and intervals that enclose what no rational can be.

use crate::graph::Round;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::rc::Rc;

/// A quotient of integers of any size.
pub(crate) type Rational = BigRational;

/// The rational that a float is; none if it is infinite or not a number.
pub(crate) fn exact(value: f32) -> Option<Rational> {
    Rational::from_float(value)
}

/// An integer as a rational.
pub(crate) fn whole(value: i64) -> Rational {
    Rational::from_integer(value.into())
}

/// The nearest 64-bit float, infinite where there is none.
pub(crate) fn to_f64(value: &Rational) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}

/// The nearest 32-bit float.
pub(crate) fn to_f32(value: &Rational) -> f32 {
    to_f64(value) as f32
}

/// The integer that a rational is, if it is one of 64 bits.
pub(crate) fn integer(value: &Rational) -> Option<i64> {
    if value.is_integer() {
        value.numer().to_i64()
    } else {
        None
    }
}

/// Bits that a rational takes.
pub(crate) fn size(value: &Rational) -> u64 {
    value.numer().bits() + value.denom().bits()
}

/// One number for all channels, or one for each; with the 32-bit floats that a runtime would use. Copies share them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numbers {
    /// Exactly.
    pub exact: Rc<[Rational]>,
    /// In 32 bits.
    pub float: Rc<[f32]>,
}

impl Numbers {
    /// Floats, all finite; the index of the first that is not otherwise.
    pub fn of_floats(values: &[f32]) -> Result<Self, usize> {
        let exact: Vec<Rational> = values.iter().map_while(|v| exact(*v)).collect();
        if exact.len() < values.len() {
            return Err(exact.len());
        }
        Ok(Numbers {
            exact: exact.into(),
            float: values.into(),
        })
    }

    /// Rationals and the floats nearest to them.
    pub fn of_rationals(values: Vec<Rational>) -> Self {
        Numbers {
            float: values.iter().map(to_f32).collect(),
            exact: values.into(),
        }
    }

    /// The exact number of a channel.
    pub fn at(&self, channel: usize) -> &Rational {
        at(&self.exact, channel)
    }

    /// The float of a channel.
    pub fn float_at(&self, channel: usize) -> f32 {
        *at(&self.float, channel)
    }
}

/// The entry of a channel of a list that has one for each channel, or one for all.
pub(crate) fn at<T>(list: &[T], channel: usize) -> &T {
    if list.len() == 1 {
        &list[0]
    } else {
        &list[channel]
    }
}

/// Joins two lists of one entry for all or one for each channel.
pub(crate) fn zip<A, B, C>(a: &[A], b: &[B], join: impl Fn(&A, &B) -> C) -> Vec<C> {
    (0..a.len().max(b.len()))
        .map(|c| join(at(a, c), at(b, c)))
        .collect()
}

/// Rounds to an integer after clamping to `low..=high`.
pub(crate) fn round(value: &Rational, how: Round, low: i64, high: i64) -> i64 {
    if *value <= whole(low) {
        return low;
    }
    if *value >= whole(high) {
        return high;
    }
    let floor = value.floor().to_integer();
    let rest = value - Rational::from_integer(floor.clone());
    let floor = floor.to_i64().expect("between two integers of 64 bits");
    if rest.is_zero() {
        return floor;
    }
    let half = Rational::new(BigInt::one(), 2.into());
    let is_negative = value.is_negative();
    let is_up = match how {
        Round::Floor => false,
        Round::Ceil => true,
        Round::AwayFromZero => !is_negative,
        Round::ToZero => is_negative,
        Round::HalfEven if rest == half => floor % 2 != 0,
        Round::HalfAway if rest == half => !is_negative,
        Round::HalfToZero if rest == half => is_negative,
        Round::HalfEven | Round::HalfAway | Round::HalfToZero => rest > half,
    };
    floor + i64::from(is_up)
}

/// The square root of a rational, if that is a rational.
pub(crate) fn perfect_root(value: &Rational) -> Option<Rational> {
    let (n, d) = (value.numer().sqrt(), value.denom().sqrt());
    let is_perfect = &n * &n == *value.numer() && &d * &d == *value.denom();
    is_perfect.then(|| Rational::new(n, d))
}

/// Rationals below and above `1 / sqrt(value)`, some 2^-bits of it apart.
pub(crate) fn inverse_root(value: &Rational, bits: u64) -> (Rational, Rational) {
    // 1 / sqrt(n / d) = sqrt(d / n) = sqrt(d * n) / n, with d * n scaled by a power of four.
    let product = value.numer() * value.denom();
    let shift = (bits + 2).saturating_sub(product.bits() / 2);
    let root = (&product << (2 * shift)).sqrt();
    let divisor = value.numer() << shift;
    (
        Rational::new(root.clone(), divisor.clone()),
        Rational::new(root + 1, divisor),
    )
}

/// A set of numbers between two bounds in which arithmetic keeps the truth enclosed.
pub(crate) trait Enclosure: Clone {
    /// A rational.
    fn of(value: &Rational) -> Self;
    /// Everything between two rationals.
    fn between(low: &Rational, high: &Rational) -> Self;
    /// An integer.
    fn of_integer(value: i64) -> Self;
    /// `self * factor + addend`.
    fn affine(&self, factor: &Self, addend: &Self) -> Self;
    /// `min(max(self, low), high)`.
    fn clamp(&self, low: Option<&Self>, high: Option<&Self>) -> Self;
    /// The integers between which the rounded number lies; none if it is not known.
    fn round(&self, how: Round, low: i64, high: i64) -> Option<(i64, i64)>;
    /// Whether the number is at least another: for sure, and possibly.
    fn reaches(&self, other: &Self) -> (bool, bool);
}

/// Bounds as 64-bit floats, rounded outwards: quick, and right where it decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fast {
    low: f64,
    high: f64,
}

impl Enclosure for Fast {
    fn of(value: &Rational) -> Self {
        let near = to_f64(value);
        Fast {
            low: near.next_down(),
            high: near.next_up(),
        }
    }

    fn between(low: &Rational, high: &Rational) -> Self {
        Fast {
            low: to_f64(low).next_down(),
            high: to_f64(high).next_up(),
        }
    }

    fn of_integer(value: i64) -> Self {
        // Accumulators have at most 2^46; wider integers are enclosed.
        let near = value as f64;
        if near as i64 == value && value.unsigned_abs() <= 1 << 53 {
            return Fast {
                low: near,
                high: near,
            };
        }
        Fast {
            low: near.next_down(),
            high: near.next_up(),
        }
    }

    fn affine(&self, factor: &Self, addend: &Self) -> Self {
        let products = [
            self.low * factor.low,
            self.low * factor.high,
            self.high * factor.low,
            self.high * factor.high,
        ];
        let low = products.into_iter().fold(f64::INFINITY, f64::min);
        let high = products.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let is_known = products.iter().all(|p| p.is_finite());
        if !is_known {
            return Fast {
                low: f64::NEG_INFINITY,
                high: f64::INFINITY,
            };
        }
        Fast {
            low: (low.next_down() + addend.low).next_down(),
            high: (high.next_up() + addend.high).next_up(),
        }
    }

    fn clamp(&self, low: Option<&Self>, high: Option<&Self>) -> Self {
        let mut result = *self;
        if let Some(bound) = low {
            result.low = result.low.max(bound.low);
            result.high = result.high.max(bound.high);
        }
        if let Some(bound) = high {
            result.low = result.low.min(bound.low);
            result.high = result.high.min(bound.high);
        }
        result
    }

    fn round(&self, how: Round, low: i64, high: i64) -> Option<(i64, i64)> {
        if self.low.is_nan() || self.high.is_nan() {
            return None;
        }
        // A cast saturates, which the clamp would do anyway.
        let side = |value: f64| (how.apply(value) as i64).clamp(low, high);
        Some((side(self.low), side(self.high)))
    }

    fn reaches(&self, other: &Self) -> (bool, bool) {
        (self.low >= other.high, self.high >= other.low)
    }
}

/// Bounds as rationals.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    low: Rational,
    /// None if the interval is the one number.
    high: Option<Rational>,
}

impl Interval {
    fn high(&self) -> &Rational {
        self.high.as_ref().unwrap_or(&self.low)
    }
}

impl Enclosure for Interval {
    fn of(value: &Rational) -> Self {
        Interval {
            low: value.clone(),
            high: None,
        }
    }

    fn between(low: &Rational, high: &Rational) -> Self {
        Interval {
            low: low.clone(),
            high: (low != high).then(|| high.clone()),
        }
    }

    fn of_integer(value: i64) -> Self {
        Self::of(&whole(value))
    }

    fn affine(&self, factor: &Self, addend: &Self) -> Self {
        if self.high.is_none() && factor.high.is_none() && addend.high.is_none() {
            return Self::of(&(&self.low * &factor.low + &addend.low));
        }
        let products = [
            &self.low * &factor.low,
            &self.low * factor.high(),
            self.high() * &factor.low,
            self.high() * factor.high(),
        ];
        let least = products.iter().min().expect("four numbers");
        let greatest = products.iter().max().expect("four numbers");
        Self::between(&(least + &addend.low), &(greatest + addend.high()))
    }

    fn clamp(&self, low: Option<&Self>, high: Option<&Self>) -> Self {
        let side = |value: &Rational, low: Option<&Rational>, high: Option<&Rational>| {
            let value = low.map_or(value, |bound| value.max(bound));
            high.map_or(value, |bound| value.min(bound)).clone()
        };
        Self::between(
            &side(&self.low, low.map(|b| &b.low), high.map(|b| &b.low)),
            &side(self.high(), low.map(Self::high), high.map(Self::high)),
        )
    }

    fn round(&self, how: Round, low: i64, high: i64) -> Option<(i64, i64)> {
        let first = round(&self.low, how, low, high);
        let last = self.high.as_ref();
        Some((first, last.map_or(first, |v| round(v, how, low, high))))
    }

    fn reaches(&self, other: &Self) -> (bool, bool) {
        (self.low >= *other.high(), *self.high() >= other.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(n: i64, d: i64) -> Rational {
        Rational::new(n.into(), d.into())
    }

    #[test]
    fn rounding_follows_each_mode_on_ties_and_beside_them() {
        // -2.5, -1.5, -0.75, -0.5, 0, 0.5, 1.25, 1.5, 2.5
        let values = [-10, -6, -3, -2, 0, 2, 5, 6, 10].map(|n| ratio(n, 4));
        for (how, expected) in [
            (Round::HalfEven, [-2, -2, -1, 0, 0, 0, 1, 2, 2]),
            (Round::HalfAway, [-3, -2, -1, -1, 0, 1, 1, 2, 3]),
            (Round::HalfToZero, [-2, -1, -1, 0, 0, 0, 1, 1, 2]),
            (Round::Ceil, [-2, -1, 0, 0, 0, 1, 2, 2, 3]),
            (Round::Floor, [-3, -2, -1, -1, 0, 0, 1, 1, 2]),
            (Round::AwayFromZero, [-3, -2, -1, -1, 0, 1, 2, 2, 3]),
            (Round::ToZero, [-2, -1, 0, 0, 0, 0, 1, 1, 2]),
        ] {
            for (value, expected) in values.iter().zip(expected) {
                assert_eq!(round(value, how, -9, 9), expected, "{value} {how:?}");
                let float = how.apply(to_f64(value));
                assert_eq!(float, expected as f64, "{value} {how:?}");
            }
        }
        assert_eq!(round(&ratio(100, 3), Round::Ceil, -9, 9), 9);
        assert_eq!(round(&ratio(-100, 3), Round::Ceil, -9, 9), -9);
    }

    #[test]
    fn roots_are_enclosed_as_tightly_as_asked() {
        for value in [
            ratio(2, 1),
            ratio(1, 3),
            ratio(7, 1 << 40),
            ratio(1 << 50, 11),
        ] {
            for bits in [8, 64, 300] {
                let (low, high) = inverse_root(&value, bits);
                assert!(&low * &low * &value <= Rational::one());
                assert!(&high * &high * &value > Rational::one());
                let width = (&high - &low) / &low;
                assert!(width <= Rational::new(BigInt::one(), BigInt::one() << bits));
            }
        }
        assert_eq!(perfect_root(&ratio(9, 16)), Some(ratio(3, 4)));
        assert_eq!(perfect_root(&ratio(2, 1)), None);
    }

    #[test]
    fn quick_bounds_hold_the_exact_number() {
        let (a, b, c) = (ratio(1, 3), ratio(-22, 7), ratio(5, 9));
        let fast = Fast::of(&a).affine(&Fast::of(&b), &Fast::of(&c));
        let value = to_f64(&(a * b + c));
        assert!(fast.low < value && value < fast.high);
        assert!(fast.high - fast.low < 1e-14);
        let wide = Fast::of_integer(i64::MAX);
        assert!(wide.low < i64::MAX as f64);
    }
}
