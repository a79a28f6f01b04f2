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
    /// Words of all lanes, as they stand on a port.
    pub port_words: usize,
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
            port_words: lanes.div_ceil(64),
            last_mask: low_mask(last_pair + 1),
            padding: if lanes % 2 == 1 { 1 << last_pair } else { 0 },
        }
    }

    /// Word `j` of the split of several activations: a1 and a1 ^ a2 of each; 0 past the last pair.
    ///
    /// `word(i)` is word i of each, `i < self.port_words`.
    #[inline(always)]
    pub fn activation<const N: usize>(
        &self,
        j: usize,
        word: impl Fn(usize) -> [u64; N],
    ) -> [ActivationPair; N] {
        let [first, second] = self.halves(j, word);
        std::array::from_fn(|i| [first[i], first[i] ^ second[i]])
    }

    /// Word `j` of the split of several weights: not w1 of each, then w1 ^ w2 of each; 0 past the last pair, so
    /// that with activations of 0 the pair bits there are 0.
    #[inline(always)]
    pub fn weight<const N: usize>(
        &self,
        j: usize,
        word: impl Fn(usize) -> [u64; N],
    ) -> [[u64; N]; 2] {
        let [first, second] = self.halves(j, word);
        let (mask, padding) = self.edges(j);
        [
            first.map(|w1| !w1 & mask),
            std::array::from_fn(|i| first[i] ^ (second[i] | padding)),
        ]
    }

    /// Word `j` of both halves of several operands, side by side so that vectors hold them.
    ///
    /// Lanes past the last one, and so the padding lane, are 0.
    #[inline(always)]
    fn halves<const N: usize>(&self, j: usize, word: impl Fn(usize) -> [u64; N]) -> [[u64; N]; 2] {
        let (mask, _) = self.edges(j);
        let first = word(j).map(|word| word & mask);
        let (index, shift) = (self.half / 64 + j, self.half % 64);
        let mut second = word(index).map(|word| word >> shift);
        if shift > 0 && index + 1 < self.port_words {
            let next = word(index + 1);
            second = std::array::from_fn(|i| second[i] | next[i] << (64 - shift));
        }
        [first, second]
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
            let counted: u32 = (0..split.words)
                .map(|j| {
                    let [a] = split.activation(j, |i| [a[i]]);
                    let [[not_w1], [ow]] = split.weight(j, |i| [w[i]]);
                    crate::kernel::pair_bits(a, not_w1, ow).count_ones()
                })
                .sum();
            assert_eq!(u64::from(counted), expected, "{lanes} lanes");
        }
    }
}
