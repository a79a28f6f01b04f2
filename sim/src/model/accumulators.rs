//! The accumulators of the model: one for each processing element and one for each row unit.

use super::operands::{Geometry, Stage};
use crate::kernel::{ActivationGroup, ActivationPair, BLOCK, GROUP, Tile, add_pairs};
use crate::packed::low_mask;
use crate::simulator::RowMode;

/// Accumulators as `{high, low}`.
///
/// A sum may carry bits past its width for a while; whoever reads it drops them, as the RTL never had them.
#[derive(Clone, Debug)]
pub(crate) struct Accumulators {
    /// `[block of columns][group of rows]`.
    pub elements: Vec<Tile>,
    /// `[group of rows]`.
    pub rows: Vec<[u64; GROUP]>,
}

impl Accumulators {
    pub fn new(g: &Geometry) -> Self {
        Accumulators {
            elements: vec![[[0; BLOCK]; GROUP]; g.blocks * g.groups],
            rows: vec![[0; GROUP]; g.groups],
        }
    }

    /// Adds the beat of stage D.
    #[inline(always)]
    pub fn add(&mut self, beat: &Stage, g: &Geometry) {
        if beat.first || beat.shift > 0 {
            let low = low_mask(g.low_width as usize);
            let keep = if beat.first { low } else { u64::MAX };
            let elements = self.elements.as_flattened_mut().as_flattened_mut();
            shift_all(elements, beat.shift, g.sum_mask, keep);
            let rows = self.rows.as_flattened_mut();
            shift_all(rows, beat.shift, g.row_sum_mask, keep);
        }
        self.add_element_counts(beat, g);
        self.add_row_counts(beat, g);
        debug_assert!(
            self.fits(g),
            "an accumulator overflows: the beats are no tile of a lowered GEMM"
        );
    }

    #[inline(always)]
    fn add_element_counts(&mut self, beat: &Stage, g: &Geometry) {
        for block in 0..g.blocks {
            let tiles = &mut self.elements[block * g.groups..][..g.groups];
            for (group, sums) in tiles.iter_mut().enumerate() {
                for m in 0..g.activation_branches {
                    let rows = beat.activation(g, group, m);
                    for k in 0..g.weight_branches {
                        // Branch m of a group weighs 2^m; the group's significance is in the shifts.
                        let shift = g.low_width + (m + k) as u32;
                        add_pairs(sums, rows, beat.weight(g, block, k), shift);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn add_row_counts(&mut self, beat: &Stage, g: &Geometry) {
        for (group, sums) in self.rows.iter_mut().enumerate() {
            for m in 0..g.activation_branches {
                let counts = row_counts(beat.activation(g, group, m), beat.row_mode, g);
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum = sum.wrapping_add(count << (g.low_width + m as u32));
                }
            }
        }
    }

    fn fits(&self, g: &Geometry) -> bool {
        let elements = self.elements.as_flattened().as_flattened();
        let rows = self.rows.as_flattened();
        elements.iter().all(|sum| sum & !g.sum_mask == 0)
            && rows.iter().all(|sum| sum & !g.row_sum_mask == 0)
    }
}

/// `{high, low} >> shift`, and `high` cleared where `keep` says so.
#[inline(always)]
fn shift_all(sums: &mut [u64], shift: u32, width_mask: u64, keep: u64) {
    for sum in sums {
        *sum = (*sum & width_mask) >> shift & keep;
    }
}

/// What four row units make of one activation branch.
#[inline(always)]
fn row_counts(branch: &[ActivationGroup], mode: RowMode, g: &Geometry) -> [u64; GROUP] {
    let odd = || count_rows(branch, |[_, differ]| differ.count_ones());
    let weights = (1u64 << g.weight_branches) - 1;
    match mode {
        RowMode::Odd => odd().map(|odd| weights * odd),
        RowMode::OddAndSum => {
            let ones = count_rows(branch, |[a1, differ]| {
                a1.count_ones() + (a1 ^ differ).count_ones()
            });
            let odd = odd();
            std::array::from_fn(|row| weights * odd[row] + ones[row])
        }
        RowMode::NotBoth => {
            let both = count_rows(branch, |[a1, differ]| (a1 & !differ).count_ones());
            both.map(|both| 2 * weights * (g.split.half as u64 - both))
        }
    }
}

/// Sums a count over the words of four rows.
#[inline(always)]
fn count_rows(branch: &[ActivationGroup], count: impl Fn(&ActivationPair) -> u32) -> [u64; GROUP] {
    let mut counts = [0; GROUP];
    for group in branch {
        for (sum, pair) in counts.iter_mut().zip(group) {
            *sum += u64::from(count(pair));
        }
    }
    counts
}
