//! Lanes in pairs: how an operand word is split so that pair bits can be counted 64 at a time.
//!
//! Lane i is paired with lane H + i. With `a1, a2` and `w1, w2` the bits of a pair, the pair bit is
//! `B = majority(x1, x2, a1 ^ a2)`, x = xnor(a, w). Since `x1 ^ x2 = (a1 ^ a2) ^ (w1 ^ w2)`, that is x1 where
//! `a1 ^ a2 == w1 ^ w2` and `a1 ^ a2` elsewhere, so each operand is split once into its first half and its
//! differences, and a pair bit costs one xor and one three-input function.

use crate::packed::low_mask;

/// The split of words of `lanes` lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PairSplit {
    /// H: pairs.
    pub half: usize,
    /// Words of one half.
    pub words: usize,
    has_padding_lane: bool,
}

impl PairSplit {
    pub fn new(lanes: usize) -> Self {
        let half = lanes.div_ceil(2);
        PairSplit {
            half,
            words: half.div_ceil(64),
            has_padding_lane: lanes % 2 == 1,
        }
    }

    /// Word `j` of an activation: (a1, a1 ^ a2); 0 past the last pair.
    #[inline(always)]
    pub fn activation(&self, word: &[u64], j: usize) -> [u64; 2] {
        let a1 = word[j] & self.mask(j);
        [a1, a1 ^ self.second(word, j)]
    }

    /// Word `j` of a weight: (w1, w1 ^ w2). Past the last pair w1 is 1, so that with activations of 0 the
    /// pair bits there are 0.
    #[inline(always)]
    pub fn weight(&self, word: &[u64], j: usize) -> [u64; 2] {
        let w1 = word[j] & self.mask(j);
        let mut w2 = self.second(word, j);
        if self.has_padding_lane && j + 1 == self.words {
            w2 |= 1 << ((self.half - 1) % 64);
        }
        [w1 | !self.mask(j), w1 ^ w2]
    }

    /// Lanes H.. of a word; lanes past the last one, and so the padding lane, are 0.
    #[inline(always)]
    fn second(&self, word: &[u64], j: usize) -> u64 {
        let (index, shift) = (self.half / 64 + j, self.half % 64);
        let low = word.get(index).map_or(0, |w| w >> shift);
        if shift == 0 {
            return low;
        }
        low | word.get(index + 1).map_or(0, |w| w << (64 - shift))
    }

    #[inline(always)]
    fn mask(&self, j: usize) -> u64 {
        low_mask((self.half - 64 * j).min(64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    #[test]
    fn split_words_count_the_pair_bits() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
        for lanes in (1..=70).chain([127, 128, 129, 191, 256, 1023, 1024]) {
            let split = PairSplit::new(lanes);
            let bit = |word: &[u64], lane: usize, padding: u64| {
                if lane < lanes {
                    word[lane / 64] >> (lane % 64) & 1
                } else {
                    padding
                }
            };
            let mut word = || -> Vec<u64> {
                (0..lanes.div_ceil(64))
                    .map(|i| rng.random::<u64>() & low_mask((lanes - 64 * i).min(64)))
                    .collect()
            };
            let (a, w) = (word(), word());
            let expected: u64 = (0..split.half)
                .map(|i| {
                    let (a1, a2) = (bit(&a, i, 0), bit(&a, split.half + i, 0));
                    let (w1, w2) = (bit(&w, i, 1), bit(&w, split.half + i, 1));
                    let (x1, x2) = (1 ^ a1 ^ w1, 1 ^ a2 ^ w2);
                    u64::from(x1 + x2 + (a1 ^ a2) >= 2)
                })
                .sum();
            let counted: u32 = (0..split.words)
                .map(|j| {
                    let ([a1, oa], [w1, ow]) = (split.activation(&a, j), split.weight(&w, j));
                    crate::kernel::pair_bits(a1, oa, w1, ow).count_ones()
                })
                .sum();
            assert_eq!(u64::from(counted), expected, "{lanes} lanes");
        }
    }
}
