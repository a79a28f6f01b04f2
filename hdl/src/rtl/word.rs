//! A bit vector that knows its width at run time.

use std::fmt;
use std::ops::{Add, BitAnd, BitOr, BitXor, Not, Shl, Shr, Sub};

/// A bit vector of a width chosen at run time, with the operators that RustHDL kernels use.
///
/// Arithmetic is modulo 2^width. Operands of different widths are a bug in a kernel, and panic.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Word {
    width: usize,
    words: Vec<u64>,
}

impl Word {
    /// The number `value` in `width` bits. Bits of `value` past the width are a bug, and panic.
    pub fn new(width: usize, value: u64) -> Self {
        assert!(width > 0, "a word has at least one bit");
        assert!(
            width >= 64 || value >> width == 0,
            "{value} does not fit {width} bits"
        );
        let mut word = Word::zero(width);
        word.words[0] = value;
        word
    }

    /// All zeros.
    pub fn zero(width: usize) -> Self {
        Word {
            width,
            words: vec![0; width.div_ceil(64)],
        }
    }

    /// The bits given, bit 0 first.
    pub fn from_bits(bits: impl IntoIterator<Item = bool>) -> Self {
        let (mut words, mut width) = (Vec::new(), 0usize);
        for bit in bits {
            if width.is_multiple_of(64) {
                words.push(0);
            }
            words[width / 64] |= u64::from(bit) << (width % 64);
            width += 1;
        }
        assert!(width > 0, "a word has at least one bit");
        Word { width, words }
    }

    /// The width. The name is what RustHDL's macros call on a cast.
    pub fn bits(&self) -> usize {
        self.width
    }

    /// Bit `index`.
    pub fn get_bit(&self, index: usize) -> bool {
        assert!(
            index < self.width,
            "bit {index} of a {}-bit word",
            self.width
        );
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// Sets bit `index`.
    pub fn set_bit(&mut self, index: usize, value: bool) {
        assert!(
            index < self.width,
            "bit {index} of a {}-bit word",
            self.width
        );
        let mask = 1 << (index % 64);
        if value {
            self.words[index / 64] |= mask;
        } else {
            self.words[index / 64] &= !mask;
        }
    }

    /// Whether any bit is 1.
    pub fn any(&self) -> bool {
        self.words.iter().any(|w| *w != 0)
    }

    /// The value of a word of up to 64 bits.
    pub fn to_u64(&self) -> u64 {
        assert!(
            self.words[1..].iter().all(|w| *w == 0),
            "the value does not fit 64 bits"
        );
        self.words[0]
    }

    /// The value in `width` bits: zero-extended or truncated.
    pub fn resize(&self, width: usize) -> Self {
        let mut words = self.words.clone();
        words.resize(width.div_ceil(64), 0);
        Word { width, words }.trim()
    }

    fn trim(mut self) -> Self {
        if !self.width.is_multiple_of(64) {
            *self.words.last_mut().expect("never empty") &= (1 << (self.width % 64)) - 1;
        }
        self
    }

    fn zip(self, other: Word, f: impl Fn(u64, u64) -> u64) -> Word {
        assert_eq!(self.width, other.width, "operands of different widths");
        let words = self.words.iter().zip(&other.words);
        Word {
            width: self.width,
            words: words.map(|(a, b)| f(*a, *b)).collect(),
        }
    }
}

/// `word` in `width` bits. In a kernel this is a width cast: RustHDL's macros take a call of a function whose name
/// begins with `bits` for one.
pub fn bits_resize(word: Word, width: usize) -> Word {
    word.resize(width)
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'h", self.width)?;
        let mut leading = true;
        for word in self.words.iter().rev() {
            if leading {
                write!(f, "{word:x}")?;
            } else {
                write!(f, "{word:016x}")?;
            }
            leading = false;
        }
        Ok(())
    }
}

impl From<bool> for Word {
    fn from(bit: bool) -> Self {
        Word::new(1, bit.into())
    }
}

impl BitAnd for Word {
    type Output = Word;
    fn bitand(self, other: Word) -> Word {
        self.zip(other, |a, b| a & b)
    }
}

impl BitOr for Word {
    type Output = Word;
    fn bitor(self, other: Word) -> Word {
        self.zip(other, |a, b| a | b)
    }
}

impl BitXor for Word {
    type Output = Word;
    fn bitxor(self, other: Word) -> Word {
        self.zip(other, |a, b| a ^ b)
    }
}

impl Not for Word {
    type Output = Word;
    fn not(mut self) -> Word {
        for word in &mut self.words {
            *word = !*word;
        }
        self.trim()
    }
}

impl Add for Word {
    type Output = Word;
    fn add(mut self, other: Word) -> Word {
        assert_eq!(self.width, other.width, "operands of different widths");
        let mut carry = false;
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            let (sum, c1) = a.overflowing_add(*b);
            let (sum, c2) = sum.overflowing_add(carry.into());
            (*a, carry) = (sum, c1 || c2);
        }
        self.trim()
    }
}

impl Sub for Word {
    type Output = Word;
    fn sub(self, other: Word) -> Word {
        let one = Word::new(self.width, 1);
        self + (!other + one)
    }
}

impl Shl for Word {
    type Output = Word;
    fn shl(self, distance: Word) -> Word {
        let n = usize::try_from(distance.to_u64()).unwrap_or(usize::MAX);
        Word::from_bits((0..self.width).map(|i| i >= n && self.get_bit(i - n)))
    }
}

impl Shr for Word {
    type Output = Word;
    fn shr(self, distance: Word) -> Word {
        let n = usize::try_from(distance.to_u64()).unwrap_or(usize::MAX);
        Word::from_bits((0..self.width).map(|i| {
            i.checked_add(n)
                .is_some_and(|j| j < self.width && self.get_bit(j))
        }))
    }
}

impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self.width == other.width).then(|| self.words.iter().rev().cmp(other.words.iter().rev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_modulo_the_width() {
        for width in [1, 7, 63, 64, 65, 130] {
            let zero = Word::zero(width);
            let ones = !zero.clone();
            let one = Word::new(width, 1);
            assert_eq!(ones.clone() + one.clone(), zero);
            assert_eq!(zero.clone() - one, ones.clone());
            assert_eq!(ones.clone() ^ ones.clone(), zero);
            assert!((0..width).all(|i| ones.get_bit(i)));
        }
    }

    #[test]
    fn shifts_and_casts_move_across_words() {
        let word = Word::new(130, 0b101) << Word::new(8, 63);
        assert!(word.get_bit(63) && !word.get_bit(64) && word.get_bit(65));
        assert_eq!((word.clone() >> Word::new(8, 63)).to_u64(), 0b101);
        assert_eq!((word.clone() << Word::new(8, 200)), Word::zero(130));
        assert_eq!(word.resize(64).to_u64(), 1 << 63);
        assert!(word > Word::zero(130));
    }
}
