//! The way out of the model: `done`, the drain, the epilogue and the skid buffer at the result port.

use super::accumulators::Accumulators;
use super::operands::{Geometry, Stage};
use crate::kernel::{BLOCK, GROUP, Tile};
use crate::simulator::ConstantWrite;

/// A row of words, in blocks of eight columns; the last block is padded.
pub(super) type Row = Vec<[i64; BLOCK]>;

/// `done` and the registers beside it.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub valid: bool,
    align: u32,
    result_shift: u32,
    entry: Vec<u32>,
}

impl Done {
    pub fn new(g: &Geometry) -> Self {
        Done {
            valid: false,
            align: 0,
            result_shift: 0,
            entry: vec![0; g.rows],
        }
    }

    #[inline(always)]
    pub fn edge(&mut self, beat: &Stage) {
        self.valid = beat.valid && beat.last;
        if self.valid {
            self.align = beat.align;
            self.result_shift = beat.result_shift;
            self.entry.copy_from_slice(&beat.entry);
        }
    }
}

/// The drain. Rows stay where they are; `remaining` says which one is at its head.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    pub busy: bool,
    pub remaining: usize,
    align: u32,
    result_shift: u32,
    entry: Vec<u32>,
    elements: Vec<Tile>,
    rows: Vec<[u64; GROUP]>,
}

impl Drain {
    pub fn new(g: &Geometry) -> Self {
        let Accumulators { elements, rows } = Accumulators::new(g);
        Drain {
            busy: false,
            remaining: 0,
            align: 0,
            result_shift: 0,
            entry: vec![0; g.rows],
            elements,
            rows,
        }
    }

    /// Takes all rows from the accumulators.
    #[inline(always)]
    pub fn load(&mut self, done: &Done, sums: &Accumulators, g: &Geometry) {
        self.busy = true;
        self.remaining = g.rows;
        self.align = done.align;
        self.result_shift = done.result_shift;
        self.entry.copy_from_slice(&done.entry);
        self.elements.copy_from_slice(&sums.elements);
        self.rows.copy_from_slice(&sums.rows);
    }

    /// The aligned sums of the row at the head; gives that of its row unit.
    #[inline(always)]
    pub fn head(&self, sums: &mut Row, g: &Geometry) -> i64 {
        let row = g.rows - self.remaining;
        let tiles = self.elements[row / GROUP..].iter().step_by(g.groups);
        for (sum, tile) in sums.iter_mut().zip(tiles) {
            *sum = tile[row % GROUP].map(|sum| ((sum & g.sum_mask) >> self.align) as i64);
        }
        let row_sum = self.rows[row / GROUP][row % GROUP] & g.row_sum_mask;
        (row_sum >> self.align) as i64
    }

    /// The constant entry of the row at the head.
    #[inline(always)]
    pub fn entry(&self, g: &Geometry) -> u32 {
        self.entry[g.rows - self.remaining] & g.entry_mask
    }

    /// log2(d_x * d_w) of the tile.
    pub fn result_shift(&self) -> u32 {
        self.result_shift
    }

    /// Moves down by one row.
    #[inline(always)]
    pub fn row_leaves(&mut self) {
        self.remaining -= 1;
        self.busy = self.remaining > 0;
    }
}

/// The column-constant memory.
#[derive(Clone, Debug)]
pub(super) struct ConstantMemory {
    blocks: usize,
    entries: Row,
}

impl ConstantMemory {
    pub fn new(entries: usize, g: &Geometry) -> Self {
        ConstantMemory {
            blocks: g.blocks,
            entries: vec![[0; BLOCK]; entries * g.blocks],
        }
    }

    pub fn write(&mut self, write: &ConstantWrite, g: &Geometry) {
        assert_eq!(write.value.len(), g.columns, "columns of a constant");
        let entry = (write.entry & g.entry_mask) as usize;
        let blocks = &mut self.entries[entry * self.blocks..][..self.blocks];
        blocks.as_flattened_mut()[..g.columns].copy_from_slice(&write.value);
    }

    #[inline(always)]
    pub fn read(&self, entry: u32) -> &[[i64; BLOCK]] {
        &self.entries[entry as usize * self.blocks..][..self.blocks]
    }
}

/// First register of the epilogue.
#[derive(Clone, Debug)]
pub(super) struct Epilogue1 {
    pub valid: bool,
    last: bool,
    shift: u32,
    row: i64,
    sum: Row,
    constant: Row,
}

impl Epilogue1 {
    pub fn new(g: &Geometry) -> Self {
        Epilogue1 {
            valid: false,
            last: false,
            shift: 0,
            row: 0,
            sum: vec![[0; BLOCK]; g.blocks],
            constant: vec![[0; BLOCK]; g.blocks],
        }
    }

    /// Takes the drain's head.
    #[inline(always)]
    pub fn take(&mut self, drain: &Drain, memory: &ConstantMemory, g: &Geometry) {
        self.row = drain.head(&mut self.sum, g);
        self.constant.copy_from_slice(memory.read(drain.entry(g)));
        self.shift = drain.result_shift;
        self.last = drain.remaining == 1;
    }
}

/// Second register of the epilogue.
#[derive(Clone, Debug)]
pub(super) struct Epilogue2 {
    pub valid: bool,
    last: bool,
    shift: u32,
    value: Row,
}

impl Epilogue2 {
    pub fn new(g: &Geometry) -> Self {
        Epilogue2 {
            valid: false,
            last: false,
            shift: 0,
            value: vec![[0; BLOCK]; g.blocks],
        }
    }

    #[inline(always)]
    pub fn edge(&mut self, e1: &Epilogue1, g: &Geometry) {
        self.valid = e1.valid;
        if !e1.valid {
            return;
        }
        self.shift = e1.shift;
        self.last = e1.last;
        // Wrapping at 64 bits changes nothing: the value is cut to E bits, and E is less.
        let row = e1.row.wrapping_mul(2);
        for ((value, sum), constant) in self.value.iter_mut().zip(&e1.sum).zip(&e1.constant) {
            for c in 0..BLOCK {
                let bracket = sum[c].wrapping_mul(4).wrapping_add(constant[c]);
                value[c] = g.wrap(bracket.wrapping_sub(row));
            }
        }
    }
}

/// The skid buffer at the result port.
#[derive(Clone, Debug)]
pub(super) struct Skid {
    pub main_valid: bool,
    pub main_last: bool,
    main: Row,
    pub spill_valid: bool,
    spill_last: bool,
    spill: Row,
}

impl Skid {
    pub fn new(g: &Geometry) -> Self {
        Skid {
            main_valid: false,
            main_last: false,
            main: vec![[0; BLOCK]; g.blocks],
            spill_valid: false,
            spill_last: false,
            spill: vec![[0; BLOCK]; g.blocks],
        }
    }

    /// What stands at the result port.
    pub fn main(&self, g: &Geometry) -> &[i64] {
        &self.main.as_flattened()[..g.columns]
    }

    #[inline(always)]
    pub fn edge(&mut self, e2: &Epilogue2, result_ready: bool) {
        let main_ready = !self.main_valid || result_ready;
        let has_input = self.spill_valid || e2.valid;
        if main_ready {
            self.main_valid = has_input;
            if self.spill_valid {
                std::mem::swap(&mut self.main, &mut self.spill);
                self.main_last = self.spill_last;
            } else if e2.valid {
                shift_right(&mut self.main, e2);
                self.main_last = e2.last;
            }
        } else if !self.spill_valid && e2.valid {
            shift_right(&mut self.spill, e2);
            self.spill_last = e2.last;
        }
        self.spill_valid = has_input && !main_ready;
    }
}

#[inline(always)]
fn shift_right(taken: &mut Row, e2: &Epilogue2) {
    for (taken, value) in taken.iter_mut().zip(&e2.value) {
        *taken = value.map(|value| value >> e2.shift);
    }
}
