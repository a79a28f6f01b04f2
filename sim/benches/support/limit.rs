//! How many bits the machine can count in a second: the limit of every kernel that counts each bit of a product.

use multiversion::multiversion;
use std::hint::black_box;

/// Data of the limit: 16 KiB, well inside a first-level cache.
pub const WORDS: usize = 2048;
/// Words counted by one call of [`Limit::count`].
pub const COUNTED: u64 = REPEATS * WORDS as u64;
/// Enough for some milliseconds, as a product takes: the clock of a processor changes from one to the next.
const REPEATS: u64 = 40_000;

/// Both ways to measure it; the faster one is the limit.
pub struct Limit {
    words: Vec<u64>,
}

impl Limit {
    pub fn new() -> Self {
        let words = (1..=WORDS as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Limit {
            words: words.collect(),
        }
    }

    /// Counts and adds up words of the first-level cache.
    pub fn count(&self) {
        for _ in 0..REPEATS {
            black_box(count_bits(black_box(&self.words)));
        }
    }

    /// As [`Limit::count`], once over the data.
    pub fn count_once(&self) -> u64 {
        count_bits(black_box(&self.words))
    }

    /// Counts registers, as many words, without loading or adding anything: what the popcount's ports do at most.
    pub fn ports(&self) {
        black_box(ports(black_box(COUNTED)));
    }
}

/// Bits of first-level-cache data counted as fast as the machine can.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx512vpopcntdq+bmi1+bmi2+popcnt",
    "x86_64+avx2+bmi1+bmi2+popcnt",
    "x86_64+popcnt",
))]
fn count_bits(words: &[u64]) -> u64 {
    const SUMS: usize = 64;
    let mut sums = [0; SUMS];
    for block in words.chunks_exact(SUMS) {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum += u64::from(word.count_ones());
        }
    }
    sums.iter().sum()
}

/// Counts `words` words of registers.
fn ports(words: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq") {
        #[allow(unsafe_code)]
        // SAFETY: the machine has what the function is compiled for.
        return unsafe { ports_avx512(words) };
    }
    // Scalar registers, eight chains.
    let mut chains: [u64; 8] = std::array::from_fn(|i| i as u64 + 77);
    for _ in 0..words / 8 {
        for chain in &mut chains {
            *chain = scalar_popcount(black_box(*chain));
        }
    }
    chains.iter().sum()
}

#[multiversion(targets("x86_64+popcnt"))]
fn scalar_popcount(word: u64) -> u64 {
    u64::from(word.count_ones())
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn ports_avx512(words: u64) -> u64 {
    use std::arch::x86_64::*;
    const CHAINS: usize = 16;
    let mut chains = [_mm512_set1_epi64(0x0123_4567_89ab_cdef); CHAINS];
    for _ in 0..words / (8 * CHAINS as u64) {
        for chain in &mut chains {
            *chain = _mm512_popcnt_epi64(*chain);
        }
    }
    let sum = |sum: i64, chain: &__m512i| sum.wrapping_add(_mm512_reduce_add_epi64(*chain));
    chains.iter().fold(0, sum) as u64
}
