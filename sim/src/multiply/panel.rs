//! Cache blocking: a panel of rows by all columns, sixteen columns and some words of them at a time.
//!
//! A block of weights stays in the first-level cache while all rows of the panel pass by it; the panel itself, which is
//! read once for each block, in the second-level cache.

use super::operands::{PackedActivations, PackedWeights};
use super::product::{ColumnTerms, Integer};
use super::tile::{COLUMNS, LANES, ROWS, Step, TOGETHER, Tile, Words};
use std::ops::Range;

/// Most rows of a panel.
pub(super) const PANEL_ROWS: usize = 48;
/// Words of sixteen weights that are read for all rows before the next ones: 16 KiB.
const BLOCK_WORDS: usize = 64;
/// Fewest words of a plane in a block, whatever the number of planes.
const BLOCK_WORDS_MIN: usize = 8;

/// Sums of all rows of a panel by some columns, aligned as vectors are.
#[repr(align(64))]
struct Tiles([Tile; PANEL_ROWS / ROWS]);

/// Some rows of a product.
pub(super) struct Panel<'a, T> {
    pub x: &'a PackedActivations,
    pub w: &'a PackedWeights,
    /// Which rows of `x`; from a multiple of four on, at most [`PANEL_ROWS`].
    pub rows: Range<usize>,
    /// All pairs of planes.
    pub steps: &'a [Step],
    /// By how much sums are shifted left at last.
    pub shift: u32,
    /// What is added to each result of a column.
    pub terms: &'a ColumnTerms<T>,
    /// What is added to each result of a row.
    pub row_terms: &'a [T],
    /// Border class of each row.
    pub classes: &'a [u32],
}

impl<T: Integer> Panel<'_, T> {
    /// Multiplies by all columns. `one` and `two` are kernels for eight and for sixteen columns, of one or two tiles.
    #[inline(always)]
    pub fn multiply(
        &self,
        results: &mut [T],
        one: impl Fn(Words<'_>, &mut [Tile]),
        two: impl Fn(Words<'_>, &mut [Tile]),
    ) {
        let plane = self.x.words;
        let block_words = (BLOCK_WORDS / self.w.form.planes() as usize).max(BLOCK_WORDS_MIN);
        let groups = self.rows.len().div_ceil(ROWS);
        let blocks = self.w.columns.div_ceil(COLUMNS);
        // Short vectors: several blocks of columns fit, so that results are written in longer pieces.
        let together = (block_words / plane).max(1);
        let Tiles(tiles) = &mut Tiles([[[[0; LANES]; 2]; ROWS]; PANEL_ROWS / ROWS]);
        for first in (0..blocks).step_by(together) {
            for from in (0..plane).step_by(block_words) {
                let to = plane.min(from + block_words);
                for (index, tiles) in tiles[..groups].chunks_mut(TOGETHER).enumerate() {
                    let group = TOGETHER * index;
                    let rows = |tile| self.x.group(self.rows.start / ROWS + group + tile);
                    let rows = [rows(0), rows(tiles.len() - 1)];
                    for block in first..blocks.min(first + together) {
                        let words = Words {
                            rows,
                            columns: self.w.group(block),
                            plane,
                            from,
                            to,
                            steps: self.steps,
                        };
                        if self.w.columns - block * COLUMNS > LANES {
                            two(words, tiles);
                        } else {
                            one(words, tiles);
                        }
                        if to == plane {
                            for (tile, group) in tiles.iter().zip(group..) {
                                self.finish(group, block, tile, results);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Makes results of the sums of a tile.
    #[inline(always)]
    fn finish(&self, group: usize, block: usize, tile: &Tile, results: &mut [T]) {
        let columns = self.w.columns;
        let first = block * COLUMNS;
        let rows = group * ROWS..self.rows.len().min((group + 1) * ROWS);
        let results = results[rows.start * columns..].chunks_mut(columns);
        let of_rows = self.row_terms[rows.clone()].iter().zip(&self.classes[rows]);
        for (((added, class), results), sums) in of_rows.zip(results).zip(tile) {
            let terms = &self.terms.of_class(*class)[first..];
            let results = &mut results[first..];
            let sums = sums.as_flattened();
            if let (Some(results), Some(terms)) = (
                results.first_chunk_mut::<COLUMNS>(),
                terms.first_chunk::<COLUMNS>(),
            ) {
                for i in 0..COLUMNS {
                    results[i] = self.result(sums[i], *added, terms[i]);
                }
                continue;
            }
            for ((result, sum), term) in results.iter_mut().zip(sums).zip(terms) {
                *result = self.result(*sum, *added, *term);
            }
        }
    }

    #[inline(always)]
    fn result(&self, sum: u64, row_term: T, column_term: T) -> T {
        let sum = T::of(sum as i64).times_power_of_two(self.shift);
        sum.plus(row_term.plus(column_term))
    }
}
