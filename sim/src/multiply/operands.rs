//! Operands packed for the kernels: bits in the order in which tiles read them, and the sums that belong to each vector.

use super::tile::{COLUMNS, ColumnGroup, LANES, ROWS};
use crate::gemm::{Operand, Precision};
use crate::kernel::{ActivationGroup, dispatched};
use crate::packed::{BitPlanes, Padding, StoredForm};
use rayon::prelude::*;

/// Lanes that the kernels pair: each 64-bit word with the next one.
pub(crate) const PAIRED: usize = 128;
/// Vectors that one thread packs at a time; a multiple of the rows and of the columns of a tile.
const PACKED_TOGETHER: usize = 64;

/// Activations, packed: as many bits as the numbers have, rounded up to 128 elements and four rows.
#[derive(Clone, Debug)]
pub struct PackedActivations {
    pub(super) precision: Precision,
    pub(super) form: StoredForm,
    pub(super) rows: usize,
    pub(super) elements: usize,
    /// Words of one plane.
    pub(super) words: usize,
    /// `[group of four rows][plane][word]`; rows past the last one are 0.
    pairs: Vec<ActivationGroup>,
    /// Of each row.
    pub(super) sums: Vec<Sums>,
}

/// Weights, packed: as many bits as the numbers have, rounded up to 128 elements and sixteen columns.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    pub(super) precision: Precision,
    pub(super) form: StoredForm,
    pub(super) columns: usize,
    pub(super) elements: usize,
    /// Words of one plane.
    words: usize,
    /// `[group of sixteen columns][plane][word]`; columns past the last one are 0.
    pairs: Vec<ColumnGroup>,
    /// Of each column.
    pub(super) sums: Vec<Sums>,
}

/// What a result takes of one vector besides the pair bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// The sum of the stored values v.
    pub stored: i64,
    /// The weighted number of pairs of lanes that differ.
    pub odd: i64,
}

impl PackedActivations {
    /// Packs the P vectors of an operand, on the threads of the current rayon pool.
    pub fn pack(operand: &Operand) -> Self {
        let form = StoredForm::native(operand.precision());
        let (rows, elements) = (operand.vectors(), operand.elements());
        let mut packed = Self::zeros(operand.precision(), rows, elements);
        let group_words = form.planes() as usize * packed.words;
        let panels = packed
            .pairs
            .par_chunks_mut(PACKED_TOGETHER / ROWS * group_words);
        let sums = packed.sums.par_chunks_mut(PACKED_TOGETHER);
        let values = operand.values().par_chunks(PACKED_TOGETHER * elements);
        panels
            .zip(sums)
            .zip(values)
            .for_each(|((pairs, sums), values)| {
                let planes =
                    BitPlanes::pack_values(values, elements, &form, PAIRED, Padding::Zeros);
                split_rows(&planes, &form, elements, pairs, sums);
            });
        packed
    }

    /// Of planes in chunks of 128 lanes, padded with zeros.
    pub(super) fn from_planes(
        planes: &BitPlanes,
        precision: Precision,
        rows: usize,
        elements: usize,
    ) -> Self {
        let mut packed = Self::zeros(precision, rows, elements);
        let (pairs, sums) = (&mut packed.pairs, &mut packed.sums);
        split_rows(planes, &packed.form, elements, pairs, sums);
        packed
    }

    fn zeros(precision: Precision, rows: usize, elements: usize) -> Self {
        let form = StoredForm::native(precision);
        let words = elements.div_ceil(PAIRED);
        let groups = rows.div_ceil(ROWS);
        PackedActivations {
            precision,
            rows,
            elements,
            words,
            pairs: vec![[[0; 2]; ROWS]; groups * form.planes() as usize * words],
            sums: vec![Sums::default(); rows],
            form,
        }
    }

    /// P.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// N.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Bytes of memory, the sums of each row included.
    pub fn bytes(&self) -> usize {
        size_of_val(self.pairs.as_slice()) + size_of_val(self.sums.as_slice())
    }

    /// The words of one group of rows, plane by plane.
    #[inline]
    pub(super) fn group(&self, group: usize) -> &[ActivationGroup] {
        let words = self.form.planes() as usize * self.words;
        &self.pairs[group * words..][..words]
    }
}

impl PackedWeights {
    /// Packs the Q vectors of an operand, on the threads of the current rayon pool.
    pub fn pack(operand: &Operand) -> Self {
        let form = StoredForm::native(operand.precision());
        let (columns, elements) = (operand.vectors(), operand.elements());
        let words = elements.div_ceil(PAIRED);
        let group_words = form.planes() as usize * words;
        let zeros = ColumnGroup([[[0; LANES]; 2]; 2]);
        let mut pairs = vec![zeros; columns.div_ceil(COLUMNS) * group_words];
        let mut sums = vec![Sums::default(); columns];
        pairs
            .par_chunks_mut(PACKED_TOGETHER / COLUMNS * group_words)
            .zip(sums.par_chunks_mut(PACKED_TOGETHER))
            .zip(operand.values().par_chunks(PACKED_TOGETHER * elements))
            .for_each(|((pairs, sums), values)| {
                let planes = BitPlanes::pack_values(values, elements, &form, PAIRED, Padding::Ones);
                split_columns(&planes, &form, pairs, sums);
                for (sums, vector) in sums.iter_mut().zip(values.chunks_exact(elements)) {
                    let sum: i64 = vector.iter().map(|v| i64::from(*v)).sum();
                    sums.stored = (sum << form.divisor_log2()) - elements as i64 * form.offset();
                }
            });
        PackedWeights {
            precision: operand.precision(),
            form,
            columns,
            elements,
            words,
            pairs,
            sums,
        }
    }

    /// Q.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// N.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Bytes of memory, the sums of each column included.
    pub fn bytes(&self) -> usize {
        size_of_val(self.pairs.as_slice()) + size_of_val(self.sums.as_slice())
    }

    /// The words of one group of columns, plane by plane.
    #[inline]
    pub(super) fn group(&self, group: usize) -> &[ColumnGroup] {
        let words = self.form.planes() as usize * self.words;
        &self.pairs[group * words..][..words]
    }
}

/// Orders the planes of some rows as tiles read them, and sums them up.
fn split_rows(
    planes: &BitPlanes,
    form: &StoredForm,
    elements: usize,
    pairs: &mut [ActivationGroup],
    sums: &mut [Sums],
) {
    let (count, words) = (planes.planes(), planes.chunks());
    for (row, sums) in sums.iter_mut().enumerate() {
        let (mut ones, mut odd) = (0, 0);
        for plane in 0..count {
            let pairs = &mut pairs[(row / ROWS * count + plane) * words..][..words];
            let counts = split_plane(planes.plane(row, plane), pairs, row % ROWS);
            ones += (counts[0] as i64) << form.significance(plane as u32);
            odd += (counts[1] as i64) << form.significance(plane as u32);
        }
        *sums = Sums {
            stored: 2 * ones - form.total() * elements as i64,
            odd,
        };
    }
}

dispatched! {
    /// Pairs each word of a row's plane with the next one; gives how many bits are 1 and how many pairs differ.
    fn split_plane(plane: &[u64], pairs: &mut [ActivationGroup], row: usize) -> [u64; 2] {
        let (mut ones, mut odd) = (0, 0);
        for (pair, [first, second]) in pairs.iter_mut().zip(plane.as_chunks().0) {
            let differ = first ^ second;
            pair[row] = [*first, differ];
            ones += u64::from(first.count_ones() + second.count_ones());
            odd += u64::from(differ.count_ones());
        }
        [ones, odd]
    }
}

/// Orders the planes of some columns as tiles read them, and counts the pairs that differ.
fn split_columns(
    planes: &BitPlanes,
    form: &StoredForm,
    pairs: &mut [ColumnGroup],
    sums: &mut [Sums],
) {
    let (count, words) = (planes.planes(), planes.chunks());
    for (column, sums) in sums.iter_mut().enumerate() {
        let (group, half, lane) = (column / COLUMNS, column % COLUMNS / LANES, column % LANES);
        for plane in 0..count {
            let pairs = &mut pairs[(group * count + plane) * words..][..words];
            let mut differing = 0;
            for (pair, [first, second]) in pairs
                .iter_mut()
                .zip(planes.plane(column, plane).as_chunks().0)
            {
                let [w1, ow] = &mut pair.0[half];
                w1[lane] = !first;
                ow[lane] = first ^ second;
                differing += i64::from(ow[lane].count_ones());
            }
            sums.odd += differing << form.significance(plane as u32);
        }
    }
}
