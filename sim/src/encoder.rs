//! The reference encoder: numbers as sums of weighted {-1, +1} branches, in plain loops.
//!
//! This is the oracle of every test. It follows Sun et al. (arXiv 1905.13389, 2106.09886) literally, one bit
//! at a time, and shares no arithmetic with the packed code, the lowering or the hardware.
//!
//! A branch is one bit of a code; bit 1 means +1 and bit 0 means -1. Branch i has the significance 2^s_i, so
//! that a code holds the integer `v = sum_i 2^s_i * (2 * bit_i - 1)`, and the number that it stands for is
//! `x = (v + z) / d`:
//!
//! | encoding | numbers of M bits | s_i | z | d |
//! |---|---|---|---|---|
//! | `bipolar` | odd, -(2^M - 1) ..= 2^M - 1 | i | 0 | 1 |
//! | `unsigned` | 0 ..= 2^M - 1 | i | 2^M - 1 | 2 |
//! | `signed` | -2^(M-1) ..= 2^(M-1) - 1 | i | -1 | 2 |
//! | `ternary` | -1, 0, +1 (two branches: 00, 01, 11) | 0 | 0 | 2 |
//!
//! ```
//! use xnorforge_sim::Encoding;
//! let branches = Encoding::Bipolar.encode(2, -1).unwrap();
//! assert_eq!(branches, [true, false]); // -1 = 1*(+1) + 2*(-1), least significant branch first
//! assert_eq!(Encoding::Bipolar.decode(2, &branches).unwrap(), -1);
//! ```

use crate::gemm::Gemm;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use xnorforge_hdl::config::BITS_MAX;

/// How the bits of a code stand for a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Odd numbers, symmetric about zero: every branch is -1 or +1.
    Bipolar,
    /// 0 and up.
    Unsigned,
    /// Two's complement.
    Signed,
    /// -1, 0 and +1, as two branches of equal significance.
    Ternary,
}

/// Why a number has no code, or a code no number. Each message names the encoding, the bits, the value, what
/// is legal and the fix.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The encoding does not exist at this precision.
    #[error("`{encoding}` of {bits} bits does not exist: {legal} are legal; choose that")]
    Bits {
        /// The encoding.
        encoding: Encoding,
        /// What was given.
        bits: u32,
        /// What is legal.
        legal: &'static str,
    },
    /// The value is past the smallest or the largest number.
    #[error(
        "{value} is out of range for `{encoding}` of {bits} bits: {min}..={max} is legal; clip the value or raise the bits"
    )]
    Range {
        /// The encoding.
        encoding: Encoding,
        /// Bits of the code.
        bits: u32,
        /// What was given.
        value: i64,
        /// Smallest number.
        min: i64,
        /// Largest number.
        max: i64,
    },
    /// An even number in `bipolar`.
    #[error(
        "{value} is even, and `bipolar` of {bits} bits holds odd numbers only, {min}..={max}; quantize to odd numbers or choose `signed`"
    )]
    Even {
        /// Bits of the code.
        bits: u32,
        /// What was given.
        value: i64,
        /// Smallest number.
        min: i64,
        /// Largest number.
        max: i64,
    },
    /// A code with the wrong number of branches, or the unused code 10 of `ternary`.
    #[error(
        "{branches:?} (least significant first) is no code of `{encoding}` of {bits} bits: {legal} are legal; encode the number again"
    )]
    Code {
        /// The encoding.
        encoding: Encoding,
        /// Bits of the code.
        bits: u32,
        /// What was given.
        branches: Vec<bool>,
        /// What is legal.
        legal: &'static str,
    },
    /// A value that is not a number.
    #[error("element {index} is {value}: only finite numbers can be quantized; clean the tensor")]
    NotFinite {
        /// Where in the tensor.
        index: usize,
        /// What was given.
        value: f64,
    },
    /// A name that is no encoding.
    #[error("encoding \"{0}\" is unknown; choose one of bipolar, unsigned, signed, ternary")]
    UnknownEncoding(String),
}

impl Encoding {
    /// Every encoding, in the order of the documentation.
    pub const ALL: [Encoding; 4] = [
        Encoding::Bipolar,
        Encoding::Unsigned,
        Encoding::Signed,
        Encoding::Ternary,
    ];

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Bipolar => "bipolar",
            Encoding::Unsigned => "unsigned",
            Encoding::Signed => "signed",
            Encoding::Ternary => "ternary",
        }
    }

    /// Whether the encoding exists at a precision.
    ///
    /// # Errors
    /// [`EncodeError::Bits`]: `ternary` has exactly 2 bits, all others 1 to 8.
    pub fn check_bits(self, bits: u32) -> Result<(), EncodeError> {
        let (is_legal, legal) = match self {
            Encoding::Ternary => (bits == 2, "exactly 2 bits"),
            _ => ((1..=BITS_MAX).contains(&bits), "1 to 8 bits"),
        };
        if is_legal {
            return Ok(());
        }
        Err(EncodeError::Bits {
            encoding: self,
            bits,
            legal,
        })
    }

    /// The significance s_i of each branch, least significant first.
    pub fn significances(self, bits: u32) -> Vec<u32> {
        match self {
            Encoding::Ternary => vec![0; bits as usize],
            _ => (0..bits).collect(),
        }
    }

    /// z in x = (v + z) / d.
    pub fn z(self, bits: u32) -> i64 {
        match self {
            Encoding::Bipolar | Encoding::Ternary => 0,
            Encoding::Unsigned => (1 << bits) - 1,
            Encoding::Signed => -1,
        }
    }

    /// d in x = (v + z) / d.
    pub fn d(self) -> i64 {
        match self {
            Encoding::Bipolar => 1,
            Encoding::Unsigned | Encoding::Signed | Encoding::Ternary => 2,
        }
    }

    /// Smallest and largest number.
    pub fn range(self, bits: u32) -> (i64, i64) {
        match self {
            Encoding::Bipolar => (1 - (1 << bits), (1 << bits) - 1),
            Encoding::Unsigned => (0, (1 << bits) - 1),
            Encoding::Signed => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            Encoding::Ternary => (-1, 1),
        }
    }

    /// Whether a number has a code.
    pub fn contains(self, bits: u32, value: i64) -> bool {
        let (min, max) = self.range(bits);
        (min..=max).contains(&value) && (self != Encoding::Bipolar || value % 2 != 0)
    }

    /// The branches of a number, least significant first.
    ///
    /// # Errors
    /// [`EncodeError::Bits`], [`EncodeError::Range`] and [`EncodeError::Even`].
    pub fn encode(self, bits: u32, value: i64) -> Result<Vec<bool>, EncodeError> {
        self.check_bits(bits)?;
        let (min, max) = self.range(bits);
        if value < min || value > max {
            return Err(EncodeError::Range {
                encoding: self,
                bits,
                value,
                min,
                max,
            });
        }
        if !self.contains(bits, value) {
            return Err(EncodeError::Even {
                bits,
                value,
                min,
                max,
            });
        }
        if self == Encoding::Ternary {
            return Ok(vec![value >= 0, value > 0]);
        }
        // Greedy from the most significant branch: what is left always has the sign of the branch taken.
        let mut left = self.d() * value - self.z(bits);
        let mut branches = vec![false; bits as usize];
        for (i, branch) in branches.iter_mut().enumerate().rev() {
            *branch = left > 0;
            left -= if *branch { 1 << i } else { -(1 << i) };
        }
        assert_eq!(left, 0, "{self} of {bits} bits: {value} left a remainder");
        Ok(branches)
    }

    /// The number of a code, by the formula x = (v + z) / d.
    ///
    /// # Errors
    /// [`EncodeError::Bits`] and [`EncodeError::Code`].
    pub fn decode(self, bits: u32, branches: &[bool]) -> Result<i64, EncodeError> {
        self.check_bits(bits)?;
        let legal = match self {
            Encoding::Ternary if branches == [false, true] => Some("00, 01 and 11"),
            _ if branches.len() != bits as usize => Some("one branch for each bit"),
            _ => None,
        };
        if let Some(legal) = legal {
            return Err(EncodeError::Code {
                encoding: self,
                bits,
                branches: branches.to_vec(),
                legal,
            });
        }
        let v: i64 = self
            .significances(bits)
            .iter()
            .zip(branches)
            .map(|(s, branch)| if *branch { 1 << s } else { -(1 << s) })
            .sum();
        Ok((v + self.z(bits)) / self.d())
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Encoding {
    type Err = EncodeError;
    fn from_str(name: &str) -> Result<Self, EncodeError> {
        Encoding::ALL
            .into_iter()
            .find(|e| e.name() == name)
            .ok_or_else(|| EncodeError::UnknownEncoding(name.to_owned()))
    }
}

/// A vector of numbers as branches: `planes[branch][element]`, least significant branch first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branches {
    /// The encoding.
    pub encoding: Encoding,
    /// Bits of a code.
    pub bits: u32,
    /// One plane of bits for each branch.
    pub planes: Vec<Vec<bool>>,
}

impl Branches {
    /// Encodes a vector.
    ///
    /// # Errors
    /// Those of [`Encoding::encode`], for the first element that has no code.
    pub fn encode(encoding: Encoding, bits: u32, values: &[i32]) -> Result<Self, EncodeError> {
        encoding.check_bits(bits)?;
        let mut planes = vec![Vec::with_capacity(values.len()); bits as usize];
        for value in values {
            let code = encoding.encode(bits, i64::from(*value))?;
            for (plane, branch) in planes.iter_mut().zip(code) {
                plane.push(branch);
            }
        }
        Ok(Branches {
            encoding,
            bits,
            planes,
        })
    }

    /// The numbers again.
    ///
    /// # Errors
    /// Those of [`Encoding::decode`].
    pub fn decode(&self) -> Result<Vec<i64>, EncodeError> {
        (0..self.len())
            .map(|i| {
                let code: Vec<bool> = self.planes.iter().map(|plane| plane[i]).collect();
                self.encoding.decode(self.bits, &code)
            })
            .collect()
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.planes.first().map_or(0, Vec::len)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn weights(&self) -> Vec<i64> {
        self.encoding
            .significances(self.bits)
            .iter()
            .map(|s| 1 << s)
            .collect()
    }
}

/// The dot product of two vectors of equal length, by branches: for every branch pair the number of elements
/// in which the two bits agree, then the terms of z and d.
///
/// # Panics
/// If the lengths differ.
pub fn dot(x: &Branches, w: &Branches) -> i64 {
    assert_eq!(
        x.len(),
        w.len(),
        "vectors of a dot product are equally long"
    );
    let n = x.len() as i64;
    let (x_weights, w_weights) = (x.weights(), w.weights());
    let fx: i64 = x_weights.iter().sum();
    let fw: i64 = w_weights.iter().sum();

    let mut s = 0;
    for (x_weight, a) in x_weights.iter().zip(&x.planes) {
        for (w_weight, b) in w_weights.iter().zip(&w.planes) {
            let mut agree = 0;
            for i in 0..a.len() {
                if a[i] == b[i] {
                    agree += 1;
                }
            }
            s += x_weight * w_weight * agree;
        }
    }
    // sum v = 2 * (weighted number of ones) - F * N, for either operand.
    let sum_v_x = 2 * weighted_ones(&x_weights, &x.planes) - fx * n;
    let sum_v_w = 2 * weighted_ones(&w_weights, &w.planes) - fw * n;
    let (z_x, z_w) = (x.encoding.z(x.bits), w.encoding.z(w.bits));
    let bracket = (2 * s - fx * fw * n) + z_w * sum_v_x + z_x * sum_v_w + n * z_x * z_w;
    let divisor = x.encoding.d() * w.encoding.d();
    assert_eq!(bracket % divisor, 0, "the bracket is always divisible");
    bracket / divisor
}

fn weighted_ones(weights: &[i64], planes: &[Vec<bool>]) -> i64 {
    let mut sum = 0;
    for (weight, plane) in weights.iter().zip(planes) {
        for bit in plane {
            if *bit {
                sum += weight;
            }
        }
    }
    sum
}

/// The product of a GEMM by branch decomposition: `P x Q` numbers, row by row.
///
/// Taps that a border class calls invalid take no part in the dot product; the bias is added last.
///
/// # Panics
/// Never for a [`Gemm`], whose values are checked when it is made.
pub fn gemm(gemm: &Gemm) -> Vec<i64> {
    let (x, w) = (gemm.activations(), gemm.weights());
    let encode = |encoding, bits, values: &[i32]| {
        Branches::encode(encoding, bits, values).expect("an operand's values are checked")
    };
    let mut results = Vec::new();
    for p in 0..x.vectors() {
        for q in 0..w.vectors() {
            let (mut x_values, mut w_values) = (Vec::new(), Vec::new());
            for i in 0..x.elements() {
                if gemm.is_valid_tap(p, i) {
                    x_values.push(x.vector(p)[i]);
                    w_values.push(w.vector(q)[i]);
                }
            }
            let product = dot(
                &encode(x.encoding(), x.bits(), &x_values),
                &encode(w.encoding(), w.bits(), &w_values),
            );
            results.push(product + gemm.bias().map_or(0, |bias| bias[q]));
        }
    }
    results
}

/// The paper's linear quantizer: clips to [-1, 1] and gives the odd integer v of `bits` bits whose quotient
/// `v / (2^bits - 1)` is nearest, in code order half to even.
///
/// The rounding is exact for every finite `f64`: the code is `round((2^M - 1) * (x + 1) / 2)`, and a rounding
/// error of the product cannot move a value across a tie.
///
/// # Errors
/// [`EncodeError::Bits`] and [`EncodeError::NotFinite`].
pub fn quantize(values: &[f64], bits: u32) -> Result<Vec<i32>, EncodeError> {
    Encoding::Bipolar.check_bits(bits)?;
    values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            if !value.is_finite() {
                return Err(EncodeError::NotFinite {
                    index,
                    value: *value,
                });
            }
            Ok(quantize_one(*value, bits))
        })
        .collect()
}

/// What a code of [`quantize`] stands for: `v / (2^bits - 1)`.
pub fn dequantize(value: i32, bits: u32) -> f64 {
    f64::from(value) / f64::from((1 << bits) - 1)
}

fn quantize_one(value: f64, bits: u32) -> i32 {
    let steps = f64::from((1 << bits) - 1);
    let clipped = value.clamp(-1.0, 1.0);
    // product + error is exactly steps * clipped; a product that is no integer lies between the same two
    // integers as the exact value, so only an integral product needs its error looked at.
    let product = steps * clipped;
    let error = steps.mul_add(clipped, -product);
    let mut below = product.floor();
    let mut is_between = product != below;
    if !is_between && error != 0.0 {
        is_between = true;
        below -= if error < 0.0 { 1.0 } else { 0.0 };
    }
    // The code is (below + fraction + steps) / 2, rounded half to even, with 0 <= fraction < 1.
    let doubled = below as i32 + steps as i32;
    let (half, is_odd) = (doubled.div_euclid(2), doubled.rem_euclid(2) == 1);
    let round_up = is_odd && (is_between || half % 2 != 0);
    let code = half + i32::from(round_up);
    2 * code - steps as i32
}
