//! Lanes in pairs: how an operand word is split so that pair bits can be counted 64 at a time.
//!
//! Lane i is paired with lane H + i. With `a1, a2` and `w1, w2` the bits of a pair, the pair bit is
//! `B = majority(x1, x2, a1 ^ a2)`, x = xnor(a, w). Each operand is split once, into its two halves and their
//! differences; [`crate::kernel::pair_bits`] does the rest.

use crate::kernel::ActivationPair;
use crate::packed::low_mask;

/// The split of words of `lanes` lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PairSplit {
    /// H: pairs.
    pub half: usize,
    /// Words of one half.
    pub words: usize,
    /// Pairs in the last word.
    last_mask: u64,
    /// The padding lane of an odd number of lanes, as a bit of the last word of the second half.
    padding: u64,
}

impl PairSplit {
    pub fn new(lanes: usize) -> Self {
        let half = lanes.div_ceil(2);
        let last_pair = (half - 1) % 64;
        PairSplit {
            half,
            words: half.div_ceil(64),
            last_mask: low_mask(last_pair + 1),
            padding: if lanes % 2 == 1 { 1 << last_pair } else { 0 },
        }
    }

    /// Splits the words of an activation: a1, a2 and a1 ^ a2; 0 past the last pair.
    #[inline(always)]
    pub fn activation(&self, word: &[u64], mut put: impl FnMut(usize, ActivationPair)) {
        self.halves(word, |j, a1, a2| put(j, [a1, a2, a1 ^ a2]));
    }

    /// Splits the words of a weight: not w1 and w1 ^ w2; 0 past the last pair, so that with activations of 0
    /// the pair bits there are 0.
    #[inline(always)]
    pub fn weight(&self, word: &[u64], mut put: impl FnMut(usize, [u64; 2])) {
        self.halves(word, |j, w1, w2| {
            let (mask, padding) = self.edges(j);
            put(j, [!w1 & mask, w1 ^ (w2 | padding)]);
        });
    }

    /// Calls `put` with the words of both halves.
    #[inline(always)]
    fn halves(&self, word: &[u64], mut put: impl FnMut(usize, u64, u64)) {
        if self.half.is_multiple_of(64) {
            let (first, second) = word.split_at(self.words);
            for (j, (first, second)) in first.iter().zip(second).enumerate() {
                put(j, *first, *second);
            }
        } else {
            for (j, first) in word[..self.words].iter().enumerate() {
                put(j, first & self.edges(j).0, self.second(word, j));
            }
        }
    }

    /// Lanes H.. of a word; lanes past the last one, and so the padding lane, are 0.
    #[inline(always)]
    fn second(&self, word: &[u64], j: usize) -> u64 {
        let (index, shift) = (self.half / 64 + j, self.half % 64);
        let low = word[index] >> shift;
        match word.get(index + 1) {
            // In two steps: a shift by 64 is none.
            Some(next) => low | next << 1 << (63 - shift),
            None => low,
        }
    }

    /// The pairs of word `j` and its padding lane.
    #[inline(always)]
    fn edges(&self, j: usize) -> (u64, u64) {
        if j + 1 == self.words {
            (self.last_mask, self.padding)
        } else {
            (u64::MAX, 0)
        }
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
            let (mut a_pairs, mut w_pairs) = (Vec::new(), Vec::new());
            split.activation(&a, |_, pair| a_pairs.push(pair));
            split.weight(&w, |_, pair| w_pairs.push(pair));
            assert_eq!((a_pairs.len(), w_pairs.len()), (split.words, split.words));
            let pairs = a_pairs.into_iter().zip(w_pairs);
            let counted: u32 = pairs
                .map(|(a, [not_w1, ow])| crate::kernel::pair_bits(a, not_w1, ow).count_ones())
                .sum();
            assert_eq!(u64::from(counted), expected, "{lanes} lanes");
        }
    }
}
