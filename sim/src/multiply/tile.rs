//! The innermost kernel: counts of four rows by sixteen columns, in plain integer arithmetic.
//!
//! A *tile* is four rows by sixteen columns; a *word* is 128 lanes, split in 64 pairs. Columns lie side by side so that
//! a vector holds eight of them and no count has to be added across a vector; activations are broadcast to them.
//! [`super::x86`] has the same tile in vector instructions.

use crate::kernel::{ActivationGroup, pair_bits};

pub(super) use crate::kernel::GROUP as ROWS;

/// Columns whose words lie side by side.
pub(super) const LANES: usize = 8;
/// Columns of a tile: two times eight.
pub(super) const COLUMNS: usize = 2 * LANES;

/// Most tiles that a kernel counts in one call: their sums fill half of the 32 registers of AVX-512.
pub(super) const TOGETHER: usize = 2;

/// One word of sixteen weights: w1 of eight columns and their w1 ^ w2, then of the other eight.
///
/// Aligned, as a vector that is part of two cache lines takes two reads.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct ColumnGroup(pub [[[u64; LANES]; 2]; 2]);

/// Counts or results of a tile, row by row, eight columns and the other eight.
pub(super) type Tile = [[[u64; LANES]; 2]; ROWS];

/// One pair of planes. Steps go from the most significant pair down, so that the sums are only ever shifted left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// By how many bits the sums are shifted before this pair of planes is counted.
    pub shift: u32,
    /// Plane of the activations.
    pub activation: usize,
    /// Plane of the weights.
    pub weight: usize,
}

/// The steps of two lists of significances, and the shift that is left after the last of them.
pub(super) fn steps(activation: &[u32], weight: &[u32]) -> (Vec<Step>, u32) {
    let mut pairs: Vec<(u32, usize, usize)> = Vec::new();
    for (m, s) in activation.iter().enumerate() {
        pairs.extend(weight.iter().enumerate().map(|(k, t)| (s + t, m, k)));
    }
    pairs.sort_by_key(|(significance, m, k)| (std::cmp::Reverse(*significance), *k, *m));
    let mut above = pairs.first().map_or(0, |first| first.0);
    let steps = pairs.iter().map(|(significance, activation, weight)| {
        let shift = above - significance;
        above = *significance;
        Step {
            shift,
            activation: *activation,
            weight: *weight,
        }
    });
    let steps = steps.collect();
    (steps, above)
}

/// What one call of a kernel counts: some words of every plane of one or two tiles, one below the other.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    /// Four rows each, plane after plane; with one tile the first counts alone.
    pub rows: [&'a [ActivationGroup]; TOGETHER],
    /// Sixteen columns, plane after plane.
    pub columns: &'a [ColumnGroup],
    /// Words of one plane.
    pub plane: usize,
    /// First word counted.
    pub from: usize,
    /// First word that is not.
    pub to: usize,
    /// All pairs of planes.
    pub steps: &'a [Step],
}

impl<'a> Words<'a> {
    /// The words of a step's plane of the rows of a tile.
    #[inline(always)]
    pub fn rows_of(&self, step: Step, tile: usize) -> &'a [ActivationGroup] {
        &self.rows[tile][step.activation * self.plane..][self.from..self.to]
    }

    /// The words of a step's plane of the columns, as many.
    #[inline(always)]
    pub fn columns_of(&self, step: Step) -> &'a [ColumnGroup] {
        &self.columns[step.weight * self.plane..][self.from..self.to]
    }
}

/// Adds weighted counts to one or two tiles, or writes the first ones; of their `HALVES` times eight columns only.
pub(super) fn count<const HALVES: usize>(words: Words<'_>, tiles: &mut [Tile]) {
    for (place, tile) in tiles.iter_mut().enumerate() {
        let mut sums = [[[0; LANES]; HALVES]; ROWS];
        for step in words.steps {
            for sum in sums.as_flattened_mut().as_flattened_mut() {
                *sum <<= step.shift;
            }
            let (rows, columns) = (words.rows_of(*step, place), words.columns_of(*step));
            for (rows, columns) in rows.iter().zip(columns) {
                count_word(rows, columns, &mut sums);
            }
        }
        for (tile, sums) in tile.iter_mut().zip(&sums) {
            for (tile, sum) in tile.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
                *tile = if words.from == 0 { *sum } else { *tile + sum };
            }
        }
    }
}

#[inline(always)]
fn count_word<const HALVES: usize>(
    rows: &ActivationGroup,
    columns: &ColumnGroup,
    sums: &mut [[[u64; LANES]; HALVES]; ROWS],
) {
    for (row, sums) in rows.iter().zip(sums) {
        for ([w1, ow], sums) in columns.0.iter().zip(sums) {
            for c in 0..LANES {
                sums[c] += u64::from(pair_bits(*row, w1[c], ow[c]).count_ones());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_add_up_to_the_significances() {
        let lists: [&[u32]; 4] = [&[0], &[0, 0], &[0, 1, 2], &[0, 1, 2, 3, 4, 5, 6, 7]];
        for activation in lists {
            for weight in lists {
                let (steps, last) = steps(activation, weight);
                assert_eq!(steps.len(), activation.len() * weight.len());
                for (i, step) in steps.iter().enumerate() {
                    let later: u32 = steps[i + 1..].iter().map(|step| step.shift).sum();
                    let significance = activation[step.activation] + weight[step.weight];
                    assert_eq!(later + last, significance);
                }
            }
        }
    }
}
