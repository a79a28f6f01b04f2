//! The tile in vector instructions of x86-64.
//!
//! Compilers do not find these by themselves: they vectorize over words, which takes gathers, and spill the sums
//! (`docs/adr/0011-packed-products.md` has the numbers).

#![allow(unsafe_code)] // only to load and store vectors through references to arrays of their size

use super::panel::Panel;
use super::product::Integer;
use super::tile::{COLUMNS, ColumnGroup, LANES, ROWS, TOGETHER, Tile, Words};
use crate::kernel::ActivationGroup;
use std::arch::x86_64::*;

/// Whether the machine has what [`multiply_avx512`] is compiled for.
pub(super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vpopcntdq")
}

/// Whether the machine has what [`multiply_avx2`] is compiled for.
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
}

/// A panel by all columns.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
pub(super) fn multiply_avx512<T: Integer>(panel: &Panel<'_, T>, results: &mut [T]) {
    panel.multiply(
        results,
        |words, tiles| count_avx512::<1>(words, tiles),
        |words, tiles| count_avx512::<2>(words, tiles),
    );
}

/// A panel by all columns.
#[target_feature(enable = "avx2")]
pub(super) fn multiply_avx2<T: Integer>(panel: &Panel<'_, T>, results: &mut [T]) {
    panel.multiply(
        results,
        |words, tiles| count_avx2::<1>(words, tiles),
        |words, tiles| count_avx2::<2>(words, tiles),
    );
}

/// `oa ^ ow ? oa : x`, the pair bit, as a table of three inputs x, oa, ow.
const PAIR_BIT: i32 = 0b1101_0100;

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[u64; LANES]) -> __m512i {
    // SAFETY: the reference is to 64 readable bytes, and the instruction takes any alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(words: &mut [u64; LANES], value: __m512i) {
    // SAFETY: the reference is to 64 writable bytes, and the instruction takes any alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}

/// As [`super::tile::count`]: four instructions count 1,024 operation pairs, one of them on the popcount's port.
///
/// The sums of two tiles stay in registers together: weights are loaded once for both, and what stands between the
/// loops is paid once.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
pub(super) fn count_avx512<const HALVES: usize>(words: Words<'_>, tiles: &mut [Tile]) {
    match tiles {
        [upper, lower] => count_pair::<HALVES>(words, upper, lower),
        tiles => count_one::<HALVES>(words, &mut tiles[0]),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn count_one<const HALVES: usize>(words: Words<'_>, tile: &mut Tile) {
    let mut sums = [[_mm512_setzero_si512(); HALVES]; ROWS];
    for step in words.steps {
        shift(&mut sums, step.shift);
        let (rows, columns) = (words.rows_of(*step, 0), words.columns_of(*step));
        for (rows, columns) in rows.iter().zip(columns) {
            count_group(rows, &load_weights(columns), &mut sums);
        }
    }
    put(&sums, words.from == 0, tile);
}

#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn count_pair<const HALVES: usize>(words: Words<'_>, upper: &mut Tile, lower: &mut Tile) {
    let mut sums = [[[_mm512_setzero_si512(); HALVES]; ROWS]; TOGETHER];
    for step in words.steps {
        for sums in &mut sums {
            shift(sums, step.shift);
        }
        let (upper, lower) = (words.rows_of(*step, 0), words.rows_of(*step, 1));
        let columns = words.columns_of(*step);
        for ((upper, lower), columns) in upper.iter().zip(lower).zip(columns) {
            let weights = load_weights(columns);
            // An array by value: over a slice the loop is not unrolled, and the sums leave the registers.
            for (rows, sums) in [upper, lower].into_iter().zip(&mut sums) {
                count_group(rows, &weights, sums);
            }
        }
    }
    for (tile, sums) in [upper, lower].into_iter().zip(&sums) {
        put(sums, words.from == 0, tile);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn shift<const HALVES: usize>(sums: &mut [[__m512i; HALVES]; ROWS], by: u32) {
    if by > 0 {
        let by = _mm_cvtsi32_si128(by as i32);
        for sum in sums.as_flattened_mut() {
            *sum = _mm512_sll_epi64(*sum, by);
        }
    }
}

/// Adds sums to a tile, or writes the first ones.
#[inline]
#[target_feature(enable = "avx512f")]
fn put<const HALVES: usize>(sums: &[[__m512i; HALVES]; ROWS], is_first: bool, tile: &mut Tile) {
    for (tile, sums) in tile.iter_mut().zip(sums) {
        for (tile, sum) in tile.iter_mut().zip(sums) {
            let sum = match is_first {
                true => *sum,
                false => _mm512_add_epi64(load(tile), *sum),
            };
            store(tile, sum);
        }
    }
}

/// Weights of eight columns: w1 and w1 ^ w2.
type Weights<const HALVES: usize> = [[__m512i; 2]; HALVES];

#[inline]
#[target_feature(enable = "avx512f")]
fn load_weights<const HALVES: usize>(columns: &ColumnGroup) -> Weights<HALVES> {
    std::array::from_fn(|half| [load(&columns.0[half][0]), load(&columns.0[half][1])])
}

/// Counts one word of four rows.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn count_group<const HALVES: usize>(
    rows: &ActivationGroup,
    weights: &Weights<HALVES>,
    sums: &mut [[__m512i; HALVES]; ROWS],
) {
    for (row, sums) in rows.iter().zip(sums) {
        let a1 = _mm512_set1_epi64(row[0] as i64);
        let oa = _mm512_set1_epi64(row[1] as i64);
        for ([w1, ow], sum) in weights.iter().zip(sums) {
            let differs = _mm512_xor_si512(a1, *w1);
            let bits = _mm512_ternarylogic_epi64::<PAIR_BIT>(differs, oa, *ow);
            *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(bits));
        }
    }
}

/// 64-bit numbers in a vector of AVX2.
const QUAD: usize = 4;

#[inline]
#[target_feature(enable = "avx2")]
fn load_quad(words: &[u64; QUAD]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes, and the instruction takes any alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_quad(words: &mut [u64; QUAD], value: __m256i) {
    // SAFETY: the reference is to 32 writable bytes, and the instruction takes any alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) }
}

/// As [`super::tile::count`], four columns at a time.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn count_avx2<const HALVES: usize>(words: Words<'_>, tiles: &mut [Tile]) {
    for (place, tile) in tiles.iter_mut().enumerate() {
        count_tile_avx2::<HALVES>(words, place, tile);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn count_tile_avx2<const HALVES: usize>(words: Words<'_>, place: usize, tile: &mut Tile) {
    for quad in 0..HALVES * LANES / QUAD {
        let mut sums = [_mm256_setzero_si256(); ROWS];
        for step in words.steps {
            let shift = _mm_cvtsi32_si128(step.shift as i32);
            let (rows, columns) = (words.rows_of(*step, place), words.columns_of(*step));
            for sum in &mut sums {
                *sum = _mm256_sll_epi64(*sum, shift);
            }
            // A byte holds the counts of 31 bytes: 31 * 8 < 256.
            for (rows, columns) in rows.chunks(31).zip(columns.chunks(31)) {
                let counts = count_bytes(rows, columns, quad);
                for (sum, count) in sums.iter_mut().zip(counts) {
                    let count = _mm256_sad_epu8(count, _mm256_setzero_si256());
                    *sum = _mm256_add_epi64(*sum, count);
                }
            }
        }
        for (tile, sum) in tile.iter_mut().zip(&sums) {
            let tile = &mut quads_mut(tile)[quad];
            let sum = match words.from {
                0 => *sum,
                _ => _mm256_add_epi64(load_quad(tile), *sum),
            };
            store_quad(tile, sum);
        }
    }
}

/// The numbers of a row of a tile, four by four.
#[inline]
fn quads_mut(row: &mut [[u64; LANES]; 2]) -> &mut [[u64; QUAD]] {
    row.as_flattened_mut().as_chunks_mut().0
}

/// Counts of each byte, of four rows by four columns, over at most 31 words.
#[inline]
#[target_feature(enable = "avx2")]
fn count_bytes(rows: &[ActivationGroup], columns: &[ColumnGroup], quad: usize) -> [__m256i; ROWS] {
    let nibble = _mm256_set1_epi8(15);
    let table = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    ));
    let (half, at) = (quad / (LANES / QUAD), quad % (LANES / QUAD));
    let mut counts = [_mm256_setzero_si256(); ROWS];
    for (rows, columns) in rows.iter().zip(columns) {
        let [w1, ow] = &columns.0[half];
        let w1 = load_quad(&w1.as_chunks().0[at]);
        let ow = load_quad(&ow.as_chunks().0[at]);
        for (row, count) in rows.iter().zip(&mut counts) {
            let oa = _mm256_set1_epi64x(row[1] as i64);
            let differs = _mm256_xor_si256(_mm256_set1_epi64x(row[0] as i64), w1);
            let choice = _mm256_xor_si256(oa, ow);
            let bits = _mm256_or_si256(
                _mm256_and_si256(choice, oa),
                _mm256_andnot_si256(choice, differs),
            );
            let low = _mm256_and_si256(bits, nibble);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bits), nibble);
            *count = _mm256_add_epi8(*count, _mm256_shuffle_epi8(table, low));
            *count = _mm256_add_epi8(*count, _mm256_shuffle_epi8(table, high));
        }
    }
    counts
}

const _: () = assert!(COLUMNS == 2 * LANES && LANES.is_multiple_of(QUAD));
