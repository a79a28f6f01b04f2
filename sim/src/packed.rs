//! Bit-planes packed into 64-bit words, and the stored form that an operand takes on the array.
//!
//! A [`StoredForm`] says which code a number is stored as after widening and re-encoding
//! (`docs/microarchitecture.md`, "Operands on the array"); [`BitPlanes`] holds the codes of an operand, plane
//! by plane and chunk by chunk, so that one beat's word is one slice.

use crate::encoder::Encoding;
use crate::gemm::{Operand, Precision};
use crate::kernel::dispatched;
use bitvec::prelude::{BitVec, Lsb0};
use xnorforge_hdl::schedule;

/// How an operand is stored: each number x as a code whose branches sum to the odd-weighted v = d * x - z.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredForm {
    encoding: Encoding,
    planes: u32,
}

impl StoredForm {
    /// The form without any change.
    pub fn native(precision: Precision) -> Self {
        StoredForm {
            encoding: precision.encoding,
            planes: precision.bits,
        }
    }

    /// The form for processing elements that take `branches` branches in a cycle: `ternary` becomes 2-bit
    /// `signed` unless branches come one at a time, and the planes are widened to a multiple of `branches`.
    pub fn for_branches(precision: Precision, branches: u32) -> Self {
        let encoding = match precision.encoding {
            Encoding::Ternary if branches > 1 => Encoding::Signed,
            encoding => encoding,
        };
        StoredForm {
            encoding,
            planes: precision.bits.next_multiple_of(branches),
        }
    }

    /// The encoding as stored.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Planes (branches), widened ones included.
    pub fn planes(&self) -> u32 {
        self.planes
    }

    /// Significance of a plane: the exponent of its power of two.
    pub fn significance(&self, plane: u32) -> u32 {
        if self.encoding == Encoding::Ternary {
            0
        } else {
            plane
        }
    }

    /// Significances of the groups of `branches` planes each.
    pub fn group_significances(&self, branches: u32) -> Vec<u32> {
        if self.encoding == Encoding::Ternary {
            vec![0; self.planes as usize]
        } else {
            schedule::binary_significances(self.planes / branches, branches)
        }
    }

    /// F: the sum of 2^significance over the planes.
    pub fn total(&self) -> i64 {
        (0..self.planes).map(|i| 1 << self.significance(i)).sum()
    }

    /// z in x = (v + z) / d.
    pub fn offset(&self) -> i64 {
        match self.encoding {
            Encoding::Bipolar | Encoding::Ternary => 0,
            Encoding::Unsigned => self.total(),
            Encoding::Signed => -1,
        }
    }

    /// log2(d) in x = (v + z) / d.
    pub fn divisor_log2(&self) -> u32 {
        u32::from(self.encoding != Encoding::Bipolar)
    }

    /// v of a number: what its branches sum to.
    pub fn stored_value(&self, value: i32) -> i64 {
        (i64::from(value) << self.divisor_log2()) - self.offset()
    }

    /// The code of a number: bit i is plane i.
    pub fn code(&self, value: i32) -> u32 {
        self.coder().code(value) as u32
    }

    fn coder(&self) -> Coder {
        let (add, shift, is_ternary) = match self.encoding {
            Encoding::Unsigned => (0, 0, false),
            Encoding::Signed => (1 << (self.planes - 1), 0, false),
            // Half of an odd number and of the odd bias 2^M - 1.
            Encoding::Bipolar => ((1 << self.planes) - 1, 1, false),
            // -1, 0, +1 as 00, 01, 11: 0, 1, 2 with the upper bit copied down.
            Encoding::Ternary => (1, 0, true),
        };
        Coder {
            add,
            shift,
            copied: u16::from(is_ternary),
        }
    }
}

/// The arithmetic of [`StoredForm::code`] without a branch.
#[derive(Clone, Copy)]
struct Coder {
    add: i32,
    shift: u32,
    copied: u16,
}

impl Coder {
    /// A code has at most 14 bits: 8 bits widened to a multiple of 7.
    #[inline(always)]
    fn code(self, value: i32) -> u16 {
        let code = ((value + self.add) >> self.shift) as u16;
        code | (code >> 1 & self.copied)
    }
}

/// What the bits of a plane hold where an operand has no element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Activations: 0 past the last element.
    Zeros,
    /// Weights: 1 from the last element to the last lane of the chunk.
    Ones,
}

/// The bit-planes of an operand, cut into chunks of `lanes` elements.
///
/// A chunk of one plane is `lanes.div_ceil(64)` words, element 0 of the chunk in bit 0 of the first word;
/// bits past the lanes are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitPlanes {
    planes: usize,
    chunks: usize,
    chunk_words: usize,
    words: Vec<u64>,
}

impl BitPlanes {
    /// Packs an operand.
    ///
    /// # Panics
    /// If `lanes` is 0.
    pub fn pack(operand: &Operand, form: &StoredForm, lanes: usize, padding: Padding) -> Self {
        Self::pack_values(operand.values(), operand.elements(), form, lanes, padding)
    }

    /// Packs vectors of `elements` numbers each, one after the other, all of which have a code.
    pub(crate) fn pack_values(
        values: &[i32],
        elements: usize,
        form: &StoredForm,
        lanes: usize,
        padding: Padding,
    ) -> Self {
        let mut packed = Self::empty(values.len() / elements, elements, form, lanes);
        pack_dispatched(&mut packed, values, elements, form, lanes, padding);
        packed
    }

    /// Planes of zeros.
    pub(crate) fn empty(vectors: usize, elements: usize, form: &StoredForm, lanes: usize) -> Self {
        let planes = form.planes() as usize;
        let chunks = elements.div_ceil(lanes);
        let chunk_words = lanes.div_ceil(64);
        BitPlanes {
            planes,
            chunks,
            chunk_words,
            words: vec![0; vectors * planes * chunks * chunk_words],
        }
    }

    /// Packs the word at `at` of every plane from `first` on, up to eight of them: bits of up to 64 `codes`,
    /// and `fill` after them.
    #[inline(always)]
    fn pack_word(&mut self, at: usize, first: usize, codes: &[u8], fill: u64) {
        let stride = self.chunks * self.chunk_words;
        let mut padded = [0; 64];
        let codes = codes.try_into().unwrap_or_else(|_| {
            padded[..codes.len()].copy_from_slice(codes);
            &padded
        });
        for plane in first..self.planes.min(first + 8) {
            self.words[at + plane * stride] = gather_plane(codes, plane - first) | fill;
        }
    }

    /// Clears, in every plane of one vector, the elements that `valid` does not hold: their code becomes 0.
    pub fn clear_invalid(&mut self, vector: usize, valid: &TapMask) {
        let plane_words = self.chunks * self.chunk_words;
        let start = vector * self.planes * plane_words;
        for plane in self.words[start..][..self.planes * plane_words].chunks_exact_mut(plane_words)
        {
            for (word, mask) in plane.iter_mut().zip(&valid.words) {
                *word &= mask;
            }
        }
    }

    /// Planes of each vector.
    pub fn planes(&self) -> usize {
        self.planes
    }

    /// Chunks of each plane.
    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// Words of one chunk of one plane.
    pub fn chunk_words(&self) -> usize {
        self.chunk_words
    }

    /// All words of one plane of one vector, chunk by chunk.
    pub fn plane(&self, vector: usize, plane: usize) -> &[u64] {
        let plane_words = self.chunks * self.chunk_words;
        &self.words[(vector * self.planes + plane) * plane_words..][..plane_words]
    }

    /// All words of one plane of one vector, to be filled.
    pub(crate) fn plane_mut(&mut self, vector: usize, plane: usize) -> &mut [u64] {
        let plane_words = self.chunks * self.chunk_words;
        &mut self.words[(vector * self.planes + plane) * plane_words..][..plane_words]
    }

    /// The words of one chunk of one plane of one vector.
    pub fn chunk(&self, vector: usize, plane: usize, chunk: usize) -> &[u64] {
        &self.plane(vector, plane)[chunk * self.chunk_words..][..self.chunk_words]
    }
}

/// Which elements of a vector are valid, in the layout of one plane of [`BitPlanes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapMask {
    words: Vec<u64>,
}

impl TapMask {
    /// Packs one flag for each element into chunks of `lanes`.
    pub fn pack(valid: &[bool], lanes: usize) -> Self {
        let words = valid
            .chunks(lanes)
            .flat_map(|chunk| {
                let mut bits: BitVec<u64, Lsb0> = chunk.iter().collect();
                bits.resize(lanes.next_multiple_of(64), false);
                bits.into_vec()
            })
            .collect();
        TapMask { words }
    }
}

dispatched! {
    fn pack_dispatched(
        packed: &mut BitPlanes,
        values: &[i32],
        elements: usize,
        form: &StoredForm,
        lanes: usize,
        padding: Padding,
    ) {
        let coder = form.coder();
        let ones = if padding == Padding::Ones { u64::MAX } else { 0 };
        let vector_words = packed.planes * packed.chunks * packed.chunk_words;
        let mut codes = vec![0; elements];
        for (v, vector) in values.chunks_exact(elements).enumerate() {
            for first in (0..packed.planes).step_by(8) {
                for (code, value) in codes.iter_mut().zip(vector) {
                    *code = (coder.code(*value) >> first) as u8;
                }
                for (chunk, codes) in codes.chunks(lanes).enumerate() {
                    let at = v * vector_words + chunk * packed.chunk_words;
                    for word in 0..packed.chunk_words {
                        let from = (word * 64).min(codes.len());
                        let codes = &codes[from..(from + 64).min(codes.len())];
                        let lanes_here = (lanes - word * 64).min(64);
                        let tail = low_mask(lanes_here) & !low_mask(codes.len());
                        packed.pack_word(at + word, first, codes, tail & ones);
                    }
                }
            }
        }
    }
}

/// One plane of 64 codes of eight bits: bit i is bit `plane` of code i.
///
/// Of eight codes in a word, one bit each is kept, at bits 0, 8, .., 56; the product moves bit 8 * b to
/// 56 + b, and no two of its terms meet.
#[inline(always)]
fn gather_plane(codes: &[u8; 64], plane: usize) -> u64 {
    const KEPT: u64 = 0x0101_0101_0101_0101;
    const MOVES: u64 = 0x0102_0408_1020_4080;
    let mut word = 0;
    for (i, eight) in codes.as_chunks().0.iter().enumerate() {
        let bits = u64::from_le_bytes(*eight) >> plane & KEPT;
        word |= bits.wrapping_mul(MOVES) >> 56 << (8 * i);
    }
    word
}

/// The lowest `bits` bits set; `bits` is at most 64.
pub(crate) fn low_mask(bits: usize) -> u64 {
    match bits {
        0 => 0,
        bits => u64::MAX >> (64 - bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn ternary_stays_where_branches_come_one_at_a_time() {
        let ternary = Precision::new(Encoding::Ternary, 2);
        let stored = |branches| StoredForm::for_branches(ternary, branches);
        assert_eq!(stored(1), StoredForm::native(ternary));
        assert_eq!(stored(2).encoding(), Encoding::Signed);
    }

    #[test]
    fn every_code_sums_to_its_stored_value() {
        for encoding in Encoding::ALL {
            for bits in (1..=8).filter(|b| encoding.check_bits(*b).is_ok()) {
                for branches in 1..=bits {
                    let form = StoredForm::for_branches(Precision::new(encoding, bits), branches);
                    let (min, max) = encoding.range(bits);
                    for value in (min..=max).filter(|v| encoding.contains(bits, *v)) {
                        let code = form.code(value as i32);
                        let v: i64 = (0..form.planes())
                            .map(|i| (2 * i64::from(code >> i & 1) - 1) << form.significance(i))
                            .sum();
                        assert_eq!(v, form.stored_value(value as i32), "{form:?} {value}");
                        assert_eq!((v + form.offset()) >> form.divisor_log2(), value);
                    }
                }
            }
        }
    }

    #[test]
    fn packed_bits_are_the_codes_and_tails_are_padding() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let precision = Precision::new(Encoding::Unsigned, 3);
        for (lanes, elements) in [(1, 3), (5, 12), (64, 64), (64, 65), (70, 100), (130, 1)] {
            let operand = Operand::random("weights", precision, 2, elements, &mut rng).unwrap();
            let form = StoredForm::native(precision);
            for (padding, fill) in [(Padding::Zeros, 0), (Padding::Ones, 1)] {
                let packed = BitPlanes::pack(&operand, &form, lanes, padding);
                assert_eq!(packed.chunk_words(), lanes.div_ceil(64));
                for (vector, plane) in (0..2).flat_map(|v| (0..3).map(move |p| (v, p))) {
                    for chunk in 0..packed.chunks() {
                        let words = packed.chunk(vector, plane, chunk);
                        for lane in 0..words.len() * 64 {
                            let bit = words[lane / 64] >> (lane % 64) & 1;
                            let element = chunk * lanes + lane;
                            let expected = match lane {
                                _ if lane >= lanes => 0,
                                _ if element >= elements => fill,
                                _ => operand.vector(vector)[element] as u64 >> plane & 1,
                            };
                            assert_eq!(bit, expected, "{lanes} {elements} {padding:?}");
                        }
                    }
                }
            }
        }
    }
}
