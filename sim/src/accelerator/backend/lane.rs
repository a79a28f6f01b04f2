//! The arithmetic of one drained column, and the memories that it needs.

use super::fields::{BackFields, Mode};
use super::{BackLoad, BackMemory};
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::config::MULTIPLIER_BITS;

/// The lowest `width` bits of a number (at most 64), as two's complement.
pub(super) fn wrap(value: i64, width: u32) -> i64 {
    let unused = 64 - width;
    value << unused >> unused
}

/// What a lane makes of one sum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LaneResult {
    /// v1.
    pub value: i64,
    /// The code, 0 where the column is not valid.
    pub code: u8,
    /// The table's address lies past the table.
    pub table_past: bool,
}

/// What a lane needs to know about one sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneInput {
    /// Drained sums of the element and of the row unit, not aligned.
    pub sum: u64,
    pub row_sum: u64,
    /// Addresses.
    pub constant: u32,
    pub channel: u32,
    pub residual: u32,
    pub keep: bool,
}

/// The memories of one drained column.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    constants: Vec<u64>,
    thresholds: Vec<Vec<i64>>,
    affine: Vec<u64>,
    table: Vec<i64>,
    result_width: u32,
    product_width: u32,
}

impl Lane {
    pub fn new(d: &AcceleratorDesign) -> Self {
        let c = d.config();
        let channels = c.channel_words as usize;
        Lane {
            constants: vec![0; c.constant_words as usize],
            thresholds: (0..c.threshold_bits)
                .map(|level| vec![0; channels << level])
                .collect(),
            affine: vec![0; channels],
            table: vec![0; c.table_words as usize],
            result_width: d.design().result_width,
            product_width: d.product_width,
        }
    }

    pub fn load(&mut self, load: &BackLoad) {
        let address = load.address as usize;
        let (result, product) = (self.result_width, self.product_width);
        let signed = |width| wrap(load.value as i64, width);
        match load.memory {
            BackMemory::Constant => put(&mut self.constants, address, load.value),
            BackMemory::Threshold => {
                if let Some(level) = self.thresholds.get_mut(load.level as usize) {
                    put(level, address, signed(result));
                }
            }
            BackMemory::Affine => put(&mut self.affine, address, load.value),
            BackMemory::Table => put(&mut self.table, address, signed(product)),
        }
    }

    /// From a sum to v1 and the code.
    pub fn result(&self, input: &LaneInput, f: &BackFields) -> LaneResult {
        let constant = at(&self.constants, u64::from(input.constant));
        let fall = constant >> self.result_width & 1 == 1;
        let sum = (input.sum >> f.align) as i64;
        let row = (input.row_sum >> f.align) as i64;
        let bracket = wrap(
            sum.wrapping_mul(4)
                .wrapping_sub(row.wrapping_mul(2))
                .wrapping_add(constant as i64),
            self.result_width,
        );
        let entry = u64::from(f.table_base) + u64::from(input.residual);
        let table = at(&self.table, entry);
        let early = if f.adds_early { table } else { 0 };
        let value = wrap(
            (bracket >> f.result_shift).wrapping_add(early),
            self.result_width,
        );
        let requantized = match f.mode {
            Mode::Raw => 0,
            Mode::Thresholds => self.count(value, input.channel, fall, f),
            Mode::Affine => self.affine(value, input.channel),
        };
        let late = if f.adds_late { table } else { 0 };
        let summed = wrap(requantized.wrapping_add(late), self.product_width);
        let shifted = shift_right(summed, f.shift, f.round_even) + i64::from(f.offset);
        let code = if shifted < i64::from(f.code_min) {
            f.code_min
        } else {
            shifted.min(f.code_max.into()) as u8
        };
        LaneResult {
            value,
            code: if input.keep { code } else { 0 },
            table_past: entry >= self.table.len() as u64,
        }
    }

    /// How many thresholds the value reaches, found by bisection.
    fn count(&self, value: i64, channel: u32, fall: bool, f: &BackFields) -> i64 {
        let levels = self.thresholds.len().min(f.levels as usize);
        let mut found = 0u64;
        for (b, level) in self.thresholds[..levels].iter().enumerate() {
            let threshold = at(level, u64::from(channel) << b | found);
            found = 2 * found + u64::from(value >= threshold);
        }
        let all = (1 << levels) - 1;
        (if fall { all - found } else { found }) as i64
    }

    fn affine(&self, value: i64, channel: u32) -> i64 {
        let word = at(&self.affine, channel.into());
        let multiplier = wrap(word as i64, MULTIPLIER_BITS);
        value
            .wrapping_mul(multiplier)
            .wrapping_add((word >> MULTIPLIER_BITS) as i64)
    }
}

/// Floor, or to the nearest and ties to even.
fn shift_right(value: i64, distance: u32, round_even: bool) -> i64 {
    let floor = value >> distance;
    if !round_even || distance == 0 {
        return floor;
    }
    let rest = value - (floor << distance);
    let half = 1i64 << (distance - 1);
    floor + i64::from(rest > half || (rest == half && floor & 1 == 1))
}

/// Addresses past a memory come round.
fn at<T: Copy>(memory: &[T], address: u64) -> T {
    memory[(address % memory.len() as u64) as usize]
}

fn put<T>(memory: &mut [T], address: usize, value: T) {
    let words = memory.len();
    memory[address % words] = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_neighbour() {
        for (value, distance, rounded) in [
            (2, 2, 0),
            (6, 2, 2),
            (10, 2, 2),
            (-2, 2, 0),
            (-6, 2, -2),
            (7, 2, 2),
            (5, 0, 5),
            (-1, 40, 0),
            (-1, 63, 0),
        ] {
            assert_eq!(shift_right(value, distance, true), rounded, "{value}");
        }
        assert_eq!(shift_right(-1, 40, false), -1);
    }
}
