//! The way out of an array with broadcast stages: an epilogue that never stalls, and a buffer of rows behind credits.

use super::drain::{ConstantMemory, Drain, Row};
use super::operands::Geometry;
use crate::kernel::BLOCK;
use std::collections::VecDeque;
use xnorforge_hdl::{Design, timing};

/// The constant memory is read in the third stage of the epilogue, the first one after the sums that gives it an address.
const CONSTANT_STAGE: u64 = 2;

/// A row that has left the drain.
#[derive(Clone, Debug)]
struct Leaving {
    /// The cycle in which it left.
    cycle: u64,
    last: bool,
    shift: u32,
    entry: u32,
    row: i64,
    /// Aligned sums, and results once the constants are read.
    value: Row,
}

/// Rows between the drain and the result port, the oldest first; the one at the port among them.
#[derive(Clone, Debug)]
pub(super) struct RowBuffer {
    rows: VecDeque<Leaving>,
    /// Buffers of rows that are not under way.
    free: Vec<Leaving>,
    pub main_valid: bool,
    credits: usize,
    /// Cycles from leaving the drain to reading the constants.
    constants: u64,
    /// Cycles from leaving the drain to the one in which the result port can take the row.
    arrival: u64,
}

impl RowBuffer {
    pub fn new(design: &Design, g: &Geometry) -> Self {
        let credits = timing::row_credits(design) as usize;
        let stages = u64::from(design.broadcast_stages());
        let empty = Leaving {
            cycle: 0,
            last: false,
            shift: 0,
            entry: 0,
            row: 0,
            value: vec![[0; BLOCK]; g.blocks],
        };
        RowBuffer {
            rows: VecDeque::with_capacity(credits),
            free: vec![empty; credits],
            main_valid: false,
            credits,
            constants: stages + CONSTANT_STAGE,
            arrival: stages + u64::from(timing::FLOW_STAGES + timing::BUFFER_STAGES) - 1,
        }
    }

    /// A row may leave the drain.
    pub fn has_credit(&self) -> bool {
        self.rows.len() < self.credits
    }

    /// Rows under way.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// What stands at the result port, and whether it is its tile's last.
    pub fn main(&self, g: &Geometry) -> Option<(&[i64], bool)> {
        let row = self.rows.front().filter(|_| self.main_valid)?;
        Some((&row.value.as_flattened()[..g.columns], row.last))
    }

    /// The clock edge of `cycle`, in which a row leaves the drain or none.
    #[inline(always)]
    pub fn edge(
        &mut self,
        cycle: u64,
        leaving: Option<&Drain>,
        memory: &ConstantMemory,
        result_ready: bool,
        g: &Geometry,
    ) {
        if !self.main_valid || result_ready {
            if self.main_valid {
                self.free.extend(self.rows.pop_front());
            }
            let next = self.rows.front();
            self.main_valid = next.is_some_and(|row| cycle - row.cycle >= self.arrival);
        }
        for row in &mut self.rows {
            if cycle - row.cycle == self.constants {
                row.finish(memory, g);
            }
        }
        if let Some(drain) = leaving
            && let Some(mut row) = self.free.pop()
        {
            row.cycle = cycle;
            row.take(drain, g);
            self.rows.push_back(row);
        }
    }

    pub fn reset(&mut self) {
        self.free.extend(self.rows.drain(..));
        self.main_valid = false;
    }
}

impl Leaving {
    #[inline(always)]
    fn take(&mut self, drain: &Drain, g: &Geometry) {
        self.row = drain.head(&mut self.value, g);
        self.entry = drain.entry(g);
        self.shift = drain.result_shift();
        self.last = drain.remaining == 1;
    }

    /// From aligned sums to results.
    #[inline(always)]
    fn finish(&mut self, memory: &ConstantMemory, g: &Geometry) {
        // Wrapping at 64 bits changes nothing: the value is cut to E bits, and E is less.
        let row = self.row.wrapping_mul(2);
        for (value, constant) in self.value.iter_mut().zip(memory.read(self.entry)) {
            for c in 0..BLOCK {
                let bracket = value[c].wrapping_mul(4).wrapping_add(constant[c]);
                value[c] = g.wrap(bracket.wrapping_sub(row)) >> self.shift;
            }
        }
    }
}
