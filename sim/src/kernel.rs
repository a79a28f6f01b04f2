//! The inner loop that everything fast here shares: counting pair bits of a few rows by eight columns.
//!
//! Columns lie side by side in a word vector and activations are broadcast to them, so that no count ever
//! has to be added across a vector. [`multiversion`] compiles the callers for AVX-512 VPOPCNTDQ, AVX2 and
//! POPCNT and picks one at run time; the code itself is plain integer arithmetic.

/// Columns counted side by side: eight 64-bit words fill a 512-bit register.
pub(crate) const BLOCK: usize = 8;

/// One word of an activation, split in pairs: (a1, a1 ^ a2).
pub(crate) type ActivationPair = [u64; 2];

/// One word of eight weights, split in pairs: w1 of each, then w1 ^ w2 of each.
pub(crate) type WeightPair = [[u64; BLOCK]; 2];

/// The pair bits of 64 pairs: `majority(x1, x2, a1 ^ a2)` as x1 where the two differences agree and as
/// `a1 ^ a2` where they do not.
#[inline(always)]
pub(crate) fn pair_bits(a1: u64, oa: u64, w1: u64, ow: u64) -> u64 {
    let differ = oa ^ ow;
    (differ & oa) | !(differ | (a1 ^ w1))
}

/// Counts of `ROWS` rows by eight columns over all words of `weights`.
#[inline(always)]
pub(crate) fn count_pairs<const ROWS: usize>(
    activations: [&[ActivationPair]; ROWS],
    weights: &[WeightPair],
) -> [[u64; BLOCK]; ROWS] {
    let activations = activations.map(|row| &row[..weights.len()]);
    let mut counts = [[0; BLOCK]; ROWS];
    for (j, [w1, ow]) in weights.iter().enumerate() {
        for (row, counts) in activations.iter().zip(&mut counts) {
            let [a1, oa] = row[j];
            for c in 0..BLOCK {
                counts[c] += u64::from(pair_bits(a1, oa, w1[c], ow[c]).count_ones());
            }
        }
    }
    counts
}
