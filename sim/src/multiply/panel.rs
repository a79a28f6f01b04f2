//! Cache blocking: a panel of rows by all columns, sixteen columns and some words of them at a time.
//!
//! A block of weights stays in the first-level cache while all rows of the panel pass by it; the panel itself, which is
//! read once for each block, in the second-level cache.

use super::operands::{PackedActivations, PackedWeights};
use super::product::{ColumnTerms, Integer};
use super::tile::{COLUMNS, LANES, ROWS, Step, Tile, Words};
use std::ops::Range;

/// Most rows of a panel.
pub(super) const PANEL_ROWS: usize = 64;
/// Words of sixteen weights that are read for all rows before the next ones: 16 KiB.
const BLOCK_WORDS: usize = 64;
/// Fewest words of a plane in a block, whatever the number of planes.
const BLOCK_WORDS_MIN: usize = 8;

/// Some rows of a product.
pub(super) struct Panel<'a> {
    pub x: &'a PackedActivations,
    pub w: &'a PackedWeights,
    /// Which rows of `x`; from a multiple of four on, at most [`PANEL_ROWS`].
    pub rows: Range<usize>,
    /// All pairs of planes.
    pub steps: &'a [Step],
    /// By how much sums are shifted left at last.
    pub shift: u32,
    /// What is added to each result of a column.
    pub terms: &'a ColumnTerms,
    /// What is added to each result of a row.
    pub row_terms: &'a [i64],
    /// Border class of each row.
    pub classes: &'a [u32],
}

impl Panel<'_> {
    /// Multiplies by all columns. `one` and `two` are kernels for eight and for sixteen columns.
    #[inline(always)]
    pub fn multiply<T: Integer>(
        &self,
        results: &mut [T],
        one: impl Fn(Words<'_>, &mut Tile),
        two: impl Fn(Words<'_>, &mut Tile),
    ) {
        let plane = self.x.words;
        let block_words = (BLOCK_WORDS / self.w.form.planes() as usize).max(BLOCK_WORDS_MIN);
        let groups = self.rows.len().div_ceil(ROWS);
        let blocks = self.w.columns.div_ceil(COLUMNS);
        // Short vectors: several blocks of columns fit, so that results are written in longer pieces.
        let together = (block_words / plane).max(1);
        let mut tiles = [[[[0; LANES]; 2]; ROWS]; PANEL_ROWS / ROWS];
        for first in (0..blocks).step_by(together) {
            for from in (0..plane).step_by(block_words) {
                let to = plane.min(from + block_words);
                for (group, tile) in tiles[..groups].iter_mut().enumerate() {
                    let rows = self.x.group(self.rows.start / ROWS + group);
                    for block in first..blocks.min(first + together) {
                        let words = Words {
                            rows,
                            columns: self.w.group(block),
                            plane,
                            from,
                            to,
                            steps: self.steps,
                        };
                        if from == 0 {
                            *tile = [[[0; LANES]; 2]; ROWS];
                        }
                        if self.w.columns - block * COLUMNS > LANES {
                            two(words, tile);
                        } else {
                            one(words, tile);
                        }
                        if to == plane {
                            self.finish(group, block, tile, results);
                        }
                    }
                }
            }
        }
    }

    /// Makes results of the sums of a tile.
    #[inline(always)]
    fn finish<T: Integer>(&self, group: usize, block: usize, tile: &Tile, results: &mut [T]) {
        let columns = self.w.columns;
        let first = block * COLUMNS;
        let count = COLUMNS.min(columns - first);
        let rows = self.rows.len().min((group + 1) * ROWS);
        for (row, sums) in (group * ROWS..rows).zip(tile) {
            let terms = &self.terms.of_class(self.classes[row])[first..][..count];
            let results = &mut results[row * columns + first..][..count];
            let sums = sums.as_flattened();
            let added = self.row_terms[row];
            if let (Ok(results), Ok(terms)) = (
                <&mut [T; COLUMNS]>::try_from(&mut *results),
                <&[i64; COLUMNS]>::try_from(terms),
            ) {
                for i in 0..COLUMNS {
                    results[i] = T::of(((sums[i] << self.shift) as i64) + added + terms[i]);
                }
                continue;
            }
            for ((result, sum), term) in results.iter_mut().zip(sums).zip(terms) {
                *result = T::of(((sum << self.shift) as i64) + added + term);
            }
        }
    }
}
