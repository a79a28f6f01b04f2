//! How much a graph may ask of the lowering.

use super::number::{Rational, size};
use std::cell::Cell;

/// Units that the lowering of a graph may take: eight times what ResNet-50 of 8 bits needs, some seconds.
pub(super) const WORK_MAX: u64 = 1 << 31;
/// Units of an exact number that is made from a float and kept: it takes some hundred bytes.
pub(super) const EXACT_UNITS: u64 = 256;
/// Units of a constant integer that is copied.
pub(super) const COPY_UNITS: u64 = 2;

/// What is left. A unit is one operation on a float, some nanoseconds.
///
/// Everything that a small file can make large is counted here: channels times operations that follow each other, exact
/// numbers of thousands of bits, copies of shared constants. When nothing is left, results are of no meaning, and the node
/// is refused; whoever counts in a loop ends it early.
#[derive(Debug)]
pub(crate) struct Work(Cell<u64>);

impl Work {
    /// As much as a graph may take.
    pub fn new(units: u64) -> Self {
        Work(Cell::new(units))
    }

    /// Takes units off.
    pub fn take(&self, units: u64) {
        self.0.set(self.0.get().saturating_sub(units));
    }

    /// Takes off what one operation on an exact number costs: its reduction grows with the square of its bits.
    pub fn take_exact(&self, value: &Rational) {
        let words = size(value) / 64 + 1;
        self.take(16 * words.saturating_mul(words));
    }

    /// Whether nothing is left.
    pub fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}
