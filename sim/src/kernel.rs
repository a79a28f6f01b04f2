//! The inner loop that everything fast here shares: counting pair bits of a few rows by eight columns.
//!
//! Columns lie side by side in a word vector and activations are broadcast to them, so that no count ever
//! has to be added across a vector. The code is plain integer arithmetic; [`dispatched`] compiles its callers
//! for AVX-512 VPOPCNTDQ, AVX2 and POPCNT and picks one at run time.

/// Columns counted side by side: eight 64-bit words fill a 512-bit register.
pub(crate) const BLOCK: usize = 8;

/// One word of an activation, split in pairs of lanes: a1, a2, a1 ^ a2.
pub(crate) type ActivationPair = [u64; 3];

/// One word of eight weights, split in pairs of lanes: not w1 of each, then w1 ^ w2 of each.
pub(crate) type WeightPair = [[u64; BLOCK]; 2];

/// Compiles a function once for each instruction set that counts bits at a different width, and picks the
/// widest that the machine has at the first call. What it inlines is compiled along with it.
macro_rules! dispatched {
    ($function:item) => {
        #[multiversion::multiversion(targets(
            "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx512vpopcntdq+bmi1+bmi2+popcnt",
            "x86_64+avx2+bmi1+bmi2+popcnt",
            "x86_64+popcnt",
        ))]
        $function
    };
}
pub(crate) use dispatched;

/// The pair bits of 64 pairs: `majority(x1, x2, a1 ^ a2)`, x = xnor(a, w).
///
/// x1 and x2 agree where the differences a1 ^ a2 and w1 ^ w2 do, and the majority is then x1; elsewhere it is
/// a1 ^ a2 = x1 ^ (a2 ^ not w1). In this form it is one xor and two functions of three inputs, which is what
/// AVX-512 has instructions for.
#[inline(always)]
pub(crate) fn pair_bits([a1, a2, oa]: ActivationPair, not_w1: u64, ow: u64) -> u64 {
    (a1 ^ not_w1) ^ ((oa ^ ow) & (a2 ^ not_w1))
}

/// Counts of `ROWS` rows by eight columns over all words of `weights`.
#[inline(always)]
pub(crate) fn count_pairs<const ROWS: usize>(
    activations: [&[ActivationPair]; ROWS],
    weights: &[WeightPair],
) -> [[u64; BLOCK]; ROWS] {
    let activations = activations.map(|row| &row[..weights.len()]);
    let mut counts = [[0; BLOCK]; ROWS];
    for (j, [not_w1, ow]) in weights.iter().enumerate() {
        for (row, counts) in activations.iter().zip(&mut counts) {
            for c in 0..BLOCK {
                counts[c] += u64::from(pair_bits(row[j], not_w1[c], ow[c]).count_ones());
            }
        }
    }
    counts
}
