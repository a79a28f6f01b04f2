//! The compute engine.

use std::sync::Arc;
use xnorforge_hdl::AcceleratorDesign;

/// Descriptor fields and other inputs of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComputeInputs {
    /// `reset`.
    pub reset: bool,
    /// `go_compute`.
    pub go: bool,
    /// Descriptor field.
    pub chunks: u32,
    /// Descriptor field.
    pub row_tiles: u32,
    /// Descriptor field.
    pub column_tiles: u32,
    /// Descriptor field.
    pub schedule_base: u32,
    /// Descriptor field.
    pub schedule_steps: u32,
    /// Descriptor field.
    pub weight_base: u32,
    /// Descriptor field.
    pub weight_tile: u32,
    /// Descriptor field.
    pub weight_last: u32,
    /// An entry that is written to the schedule memory: address, value.
    pub schedule: Option<(u32, u64)>,
    /// `patch_full`: halves that all loaders have filled.
    pub patch_full: [bool; 2],
    /// `advance`.
    pub advance: bool,
}

/// What stands beside a beat's operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperandControl {
    /// First beat of its tile.
    pub first: bool,
    /// Last beat of its tile.
    pub last: bool,
    /// The tile is of the last column tile.
    pub last_column: bool,
    /// The tile is of the last row tile.
    pub last_row: bool,
    /// Shift before it, one-hot.
    pub shift: u32,
    /// What the row units count.
    pub row_mode: u32,
}

/// The outputs that stand during one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComputeOutputs {
    /// `patch_release`.
    pub release: [bool; 2],
    /// `patch_read_address` and `weight_read_address`, where a beat is issued.
    pub read: Option<(u32, u32)>,
    /// What goes with the operands, where there are some.
    pub operand: Option<OperandControl>,
    /// `waiting`.
    pub waiting: bool,
    /// `compute_error`.
    pub error: u8,
}

/// An entry of the schedule at the memory's output.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    value: u64,
    first: bool,
    last: bool,
}

/// A beat whose addresses stand at the memories.
#[derive(Clone, Copy, Debug, Default)]
struct Beat {
    half: u32,
    patch: u32,
    weight: u32,
    chunks_left: u32,
    first: bool,
    step_last: bool,
    column_last: bool,
    row_last: bool,
    shift: u32,
    row_mode: u32,
}

impl Beat {
    fn last_chunk(&self) -> bool {
        self.chunks_left == 1
    }

    fn ends_row(&self) -> bool {
        self.last_chunk() && self.step_last && self.column_last
    }
}

/// Walks row tiles, column tiles, steps and chunks.
#[derive(Clone, Debug)]
pub struct ComputeEngineModel {
    design: Arc<AcceleratorDesign>,
    memory: Vec<u64>,
    active: bool,
    entry: Option<Entry>,
    entry_address: u32,
    steps_left: u32,
    next_first: bool,
    columns_left: u32,
    rows_left: u32,
    tile_base: u32,
    fresh: bool,
    half: u32,
    beat: Option<Beat>,
    release: [bool; 2],
    operand: Option<OperandControl>,
    waiting: bool,
    error: u8,
}

impl ComputeEngineModel {
    /// The engine after reset. Its schedule memory, which reset leaves alone, holds 0.
    pub fn new(design: &Arc<AcceleratorDesign>) -> Self {
        ComputeEngineModel {
            memory: vec![0; design.config().schedule_words as usize],
            design: design.clone(),
            active: false,
            entry: None,
            entry_address: 0,
            steps_left: 0,
            next_first: false,
            columns_left: 0,
            rows_left: 0,
            tile_base: 0,
            fresh: false,
            half: 0,
            beat: None,
            release: [false; 2],
            operand: None,
            waiting: false,
            error: 0,
        }
    }

    /// What stands in this cycle.
    pub fn outputs(&self) -> ComputeOutputs {
        let (half_words, weight_words) = (
            self.design.patch_half_words(),
            self.design.config().weight_words,
        );
        ComputeOutputs {
            release: self.release,
            read: self.beat.map(|beat| {
                let patch = beat.half * half_words + beat.patch % half_words;
                (patch, beat.weight % weight_words)
            }),
            operand: self.operand,
            waiting: self.waiting,
            error: self.error,
        }
    }

    /// One clock edge.
    pub fn edge(&mut self, inputs: &ComputeInputs) {
        let continues = self.beat.is_some_and(|beat| !beat.last_chunk());
        let half = self.half as usize;
        let available = inputs.patch_full[half] && !self.release[half];
        let ready = self.active && self.entry.is_some() && !continues && (!self.fresh || available);
        let reads = self.active && inputs.advance && (self.entry.is_none() || ready);

        let error = self.range_error(inputs, reads);
        let leaves = self.beat.filter(|beat| inputs.advance && beat.ends_row());
        self.release = [0, 1].map(|half| leaves.is_some_and(|beat| beat.half == half));
        if inputs.advance {
            self.edge_operand();
            self.edge_beat(inputs, continues, ready);
        }
        if reads {
            self.read_entry(inputs);
        }
        self.error = error;
        if let Some((address, value)) = inputs.schedule {
            self.memory[address as usize] = value;
        }
        if inputs.go {
            self.go(inputs);
        }
        if inputs.reset {
            self.active = false;
            self.entry = None;
            self.beat = None;
            self.operand = None;
            self.waiting = false;
            self.release = [false; 2];
            self.error = 0;
        }
    }

    fn go(&mut self, inputs: &ComputeInputs) {
        self.active = true;
        self.entry = None;
        self.entry_address = inputs.schedule_base;
        self.steps_left = inputs.schedule_steps;
        self.next_first = true;
        self.columns_left = inputs.column_tiles;
        self.rows_left = inputs.row_tiles;
        self.tile_base = inputs.weight_base;
        self.fresh = true;
        self.half = 0;
    }

    fn range_error(&self, inputs: &ComputeInputs, reads: bool) -> u8 {
        let half_words = self.design.patch_half_words();
        match self.beat {
            Some(beat) if beat.weight > inputs.weight_last => 7,
            Some(beat) if beat.patch >= half_words => 8,
            _ if reads && self.entry_address >= self.memory.len() as u32 => 9,
            _ => 0,
        }
    }

    fn edge_operand(&mut self) {
        self.operand = self.beat.map(|beat| OperandControl {
            first: beat.first,
            last: beat.step_last && beat.last_chunk(),
            last_column: beat.column_last,
            last_row: beat.row_last,
            shift: beat.shift,
            row_mode: beat.row_mode,
        });
        self.waiting = self.active && self.fresh && self.beat.is_none();
    }

    fn edge_beat(&mut self, inputs: &ComputeInputs, continues: bool, ready: bool) {
        if let Some(beat) = self.beat.as_mut().filter(|_| continues) {
            beat.patch += 1;
            beat.weight += 1;
            beat.chunks_left -= 1;
            beat.first = false;
            beat.shift = 0;
            return;
        }
        self.beat = self.entry.filter(|_| ready).map(|e| self.take(inputs, &e));
    }

    /// The first beat of a step, and on to the tile that follows its last.
    fn take(&mut self, inputs: &ComputeInputs, entry: &Entry) -> Beat {
        let d = &self.design;
        let (patch, weight) = (d.patch_address_width, d.weight_address_width);
        let part = |low: u32, width: u32| ((entry.value >> low) & ((1 << width) - 1)) as u32;
        let ends_row = entry.last && self.columns_left == 1;
        let shifts = d.design().shift_amounts.len() as u32;
        let beat = Beat {
            half: self.half,
            patch: part(0, patch),
            weight: self.tile_base + part(patch, weight),
            chunks_left: inputs.chunks,
            first: entry.first,
            step_last: entry.last,
            column_last: self.columns_left == 1,
            row_last: self.rows_left == 1,
            shift: part(patch + weight + 2, shifts),
            row_mode: part(patch + weight, 2),
        };
        self.fresh = ends_row;
        if ends_row {
            self.columns_left = inputs.column_tiles;
            self.tile_base = inputs.weight_base;
            self.half ^= 1;
            self.active = self.rows_left != 1;
            self.rows_left = self.rows_left.wrapping_sub(1);
        } else if entry.last {
            self.columns_left = self.columns_left.wrapping_sub(1);
            self.tile_base += inputs.weight_tile;
            self.tile_base %= 2 * self.design.config().weight_words;
        }
        beat
    }

    fn read_entry(&mut self, inputs: &ComputeInputs) {
        let last = self.steps_left == 1;
        let words = self.memory.len() as u32;
        self.entry = Some(Entry {
            value: self.memory[(self.entry_address % words) as usize],
            first: self.next_first,
            last,
        });
        self.next_first = last;
        if last {
            self.entry_address = inputs.schedule_base;
            self.steps_left = inputs.schedule_steps;
        } else {
            self.entry_address = (self.entry_address + 1) % (2 * words);
            self.steps_left = self.steps_left.wrapping_sub(1);
        }
    }
}
