//! The inner loop that everything fast here shares: counting pair bits of four rows by eight columns.
//!
//! Columns lie side by side in a word vector and activations are broadcast to them, so that no count ever
//! has to be added across a vector. The code is plain integer arithmetic; [`dispatched`] compiles its callers
//! for AVX-512 VPOPCNTDQ, AVX2 and POPCNT and picks one at run time.

use std::hint::black_box;

/// Columns counted side by side: eight 64-bit words fill a 512-bit register.
pub(crate) const BLOCK: usize = 8;

/// Rows counted together: each word of weights that is loaded serves all of them.
pub(crate) const GROUP: usize = 4;

/// One word of an activation, split in pairs of lanes: a1, then a1 ^ a2.
pub(crate) type ActivationPair = [u64; 2];

/// One word of four activations of neighbouring rows.
pub(crate) type ActivationGroup = [ActivationPair; GROUP];

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
/// x1 and x2 agree where the differences a1 ^ a2 and w1 ^ w2 do, and the majority is then x1; elsewhere x1 and x2
/// cancel and it is a1 ^ a2. In this form it is one xor and one choice, a function of three inputs, which is what
/// AVX-512 has an instruction for.
#[inline(always)]
pub(crate) fn pair_bits([a1, oa]: ActivationPair, not_w1: u64, ow: u64) -> u64 {
    let choice = oa ^ ow;
    (choice & oa) | (!choice & (a1 ^ not_w1))
}

/// Sums of four rows by eight columns.
pub(crate) type Tile = [[u64; BLOCK]; GROUP];

/// Adds `counts << shift` of one plane of each operand to sums.
#[inline(always)]
pub(crate) fn add_pairs(
    sums: &mut Tile,
    rows: &[ActivationGroup],
    columns: &[WeightPair],
    shift: u32,
) {
    let counts = count_pairs(rows, columns);
    for (sums, counts) in sums.iter_mut().zip(&counts) {
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum = sum.wrapping_add(count << shift);
        }
    }
}

/// Counts of four rows by eight columns over all words of one plane of each.
#[inline(always)]
fn count_pairs(rows: &[ActivationGroup], columns: &[WeightPair]) -> Tile {
    let mut counts = [[0; BLOCK]; GROUP];
    for (j, [not_w1, ow]) in columns.iter().enumerate() {
        // An index that LLVM cannot follow keeps it from vectorizing over words, which takes gathers and is
        // four times slower, and leaves it the vectors that lie here in memory, over columns.
        let rows = &rows[black_box(j)];
        for (row, counts) in rows.iter().zip(&mut counts) {
            for c in 0..BLOCK {
                counts[c] += u64::from(pair_bits(*row, not_w1[c], ow[c]).count_ones());
            }
        }
    }
    counts
}
