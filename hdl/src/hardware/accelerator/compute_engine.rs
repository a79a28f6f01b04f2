//! Issues the array's beats.

use super::WordMemory;
use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// Walks row tiles, column tiles, schedule steps and chunks: one beat of the array in each cycle in which it moves.
///
/// An entry of the schedule is read a step ahead, so that steps of a single chunk follow each other without a gap.
/// Counters begin at 1 and are compared with the fields: bit 0 is held inverted, so that a reset makes them 1.
#[derive(Clone, Debug, LogicBlock)]
pub struct ComputeEngine {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Stops it.
    pub reset: Net<In>,
    /// Begins.
    pub go_compute: Net<In>,
    /// Descriptor field.
    pub chunks: Net<In>,
    /// Descriptor field.
    pub row_tiles: Net<In>,
    /// Descriptor field.
    pub column_tiles: Net<In>,
    /// Descriptor field.
    pub schedule_base: Net<In>,
    /// Descriptor field.
    pub schedule_steps: Net<In>,
    /// Descriptor field.
    pub weight_base: Net<In>,
    /// Descriptor field.
    pub weight_tile: Net<In>,
    /// Descriptor field.
    pub weight_last: Net<In>,
    /// Writes an entry of the schedule.
    pub schedule_write: Net<In>,
    /// Where.
    pub load_address: Net<In>,
    /// What.
    pub load_value: Net<In>,
    /// All loaders have filled this half.
    pub patch_full: Net<In>,
    /// The array moves. Gates registers only.
    pub advance: Net<In>,
    /// This half is free again, for one cycle.
    pub patch_release: Net<Out>,
    /// Address of the patch buffers, to be read with `advance`.
    pub patch_read_address: Net<Out>,
    /// Address of the weight banks, to be read with `advance`.
    pub weight_read_address: Net<Out>,
    /// A beat's operands are at the memories' outputs.
    pub operand_valid: Net<Out>,
    /// It is its tile's first.
    pub operand_first: Net<Out>,
    /// It is its tile's last.
    pub operand_last: Net<Out>,
    /// With `operand_last`: the tile is of the last column tile.
    pub operand_last_column: Net<Out>,
    /// With `operand_last`: the tile is of the last row tile.
    pub operand_last_row: Net<Out>,
    /// Shift before it, one-hot.
    pub operand_shift: Net<Out>,
    /// What the row units count.
    pub operand_row_mode: Net<Out>,
    /// No beat, for want of a patch.
    pub waiting: Net<Out>,
    /// An error code.
    pub compute_error: Net<Out>,
    memory: WordMemory,
    active: EnabledResetRegister,
    filled: EnabledResetRegister,
    entry_address: EnabledRegister,
    steps_r: EnabledResetRegister,
    next_first: EnabledRegister,
    entry_first: EnabledRegister,
    entry_last: EnabledRegister,
    columns_r: EnabledResetRegister,
    rows_r: EnabledResetRegister,
    tile_base: EnabledRegister,
    fresh: EnabledRegister,
    half: EnabledResetRegister,
    beat: EnabledResetRegister,
    chunks_r: EnabledResetRegister,
    patch: EnabledRegister,
    weight: EnabledRegister,
    beat_half: EnabledRegister,
    first: EnabledRegister,
    step_last: EnabledRegister,
    column_last: EnabledRegister,
    row_last: EnabledRegister,
    shift: EnabledRegister,
    row_mode: EnabledRegister,
    released: ResetRegister,
    valid_r: EnabledResetRegister,
    waiting_r: EnabledResetRegister,
    first_r: EnabledRegister,
    last_r: EnabledRegister,
    column_last_r: EnabledRegister,
    row_last_r: EnabledRegister,
    shift_r: EnabledRegister,
    row_mode_r: EnabledRegister,
    error: ResetRegister,
    entry: Net<Local>,
    entry_shift: Net<Local>,
    entry_row_mode: Net<Local>,
    entry_weight: Net<Local>,
    entry_patch: Net<Local>,
    usable: Net<Local>,
    available: Net<Local>,
    ready: Net<Local>,
    takes: Net<Local>,
    reads: Net<Local>,
    continues: Net<Local>,
    last_chunk: Net<Local>,
    last_step: Net<Local>,
    last_column: Net<Local>,
    last_row: Net<Local>,
    ends_tile: Net<Local>,
    ends_row: Net<Local>,
    turns: Net<Local>,
    step: Net<Local>,
    column: Net<Local>,
    row: Net<Local>,
    chunk: Net<Local>,
    wraps: Net<Local>,
    next_base: Net<Local>,
    weight_from: Net<Local>,
    weight_by: Net<Local>,
    leaves_row: Net<Local>,
    patch_past: Net<Local>,
    weight_past: Net<Local>,
    entry_past: Net<Local>,
    patch_word: Net<Local>,
    zero: Constant,
    one: Constant,
    no_shift: Constant,
    one_entry: Constant,
    one_step: Constant,
    one_column: Constant,
    one_row: Constant,
    one_chunk: Constant,
    one_patch: Constant,
    one_word: Constant,
    shift_place: Constant,
    mode_place: Constant,
    weight_place: Constant,
    half_place: Constant,
    entry_bits: Constant,
    one_place: Constant,
    no_error: Constant,
    error_weight: Constant,
    error_patch: Constant,
    error_table: Constant,
    _shifts: usize,
    _mode: usize,
    _weight: usize,
    _base: usize,
    _range: usize,
    _patch: usize,
    _half: usize,
    _entry: usize,
    _schedule: usize,
    _pair: usize,
}

impl ComputeEngine {
    /// The block of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let shifts = d.design().shift_amounts.len() as u32;
        let (patch, weight) = (d.patch_address_width, d.weight_address_width);
        let schedule = d.schedule_address_width;
        let columns = Field::ColumnTiles.width(d);
        let (steps, chunks, rows) = (
            Field::ScheduleSteps.width(d),
            Field::Chunks.width(d),
            Field::RowTiles.width(d),
        );
        ComputeEngine {
            shape: Shape::new(
                format!(
                    "compute_engine_d{}_w{}",
                    d.config().schedule_words,
                    d.schedule_width
                ),
                "Walks tiles, schedule steps and chunks: one beat in each cycle.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            go_compute: Net::new(1),
            chunks: Net::new(Field::Chunks.width(d)),
            row_tiles: Net::new(Field::RowTiles.width(d)),
            column_tiles: Net::new(Field::ColumnTiles.width(d)),
            schedule_base: Net::new(Field::ScheduleBase.width(d)),
            schedule_steps: Net::new(Field::ScheduleSteps.width(d)),
            weight_base: Net::new(Field::WeightBase.width(d)),
            weight_tile: Net::new(Field::WeightTile.width(d)),
            weight_last: Net::new(Field::WeightLast.width(d)),
            schedule_write: Net::new(1),
            load_address: Net::new(d.schedule_address_width),
            load_value: Net::new(d.schedule_width),
            patch_full: Net::new(2),
            advance: Net::new(1),
            patch_release: Net::new(2),
            patch_read_address: Net::new(d.patch_address_width),
            weight_read_address: Net::new(d.weight_address_width),
            operand_valid: Net::new(1),
            operand_first: Net::new(1),
            operand_last: Net::new(1),
            operand_last_column: Net::new(1),
            operand_last_row: Net::new(1),
            operand_shift: Net::new(shifts),
            operand_row_mode: Net::new(2),
            waiting: Net::new(1),
            compute_error: Net::new(4),
            memory: WordMemory::new(d.config().schedule_words, d.schedule_width),
            active: EnabledResetRegister::new(1),
            filled: EnabledResetRegister::new(1),
            entry_address: EnabledRegister::new(schedule + 1),
            steps_r: EnabledResetRegister::new(steps),
            next_first: EnabledRegister::new(1),
            entry_first: EnabledRegister::new(1),
            entry_last: EnabledRegister::new(1),
            columns_r: EnabledResetRegister::new(columns),
            rows_r: EnabledResetRegister::new(rows),
            tile_base: EnabledRegister::new(weight + 1),
            fresh: EnabledRegister::new(1),
            half: EnabledResetRegister::new(1),
            beat: EnabledResetRegister::new(1),
            chunks_r: EnabledResetRegister::new(chunks),
            patch: EnabledRegister::new(patch),
            weight: EnabledRegister::new(weight + 2),
            beat_half: EnabledRegister::new(1),
            first: EnabledRegister::new(1),
            step_last: EnabledRegister::new(1),
            column_last: EnabledRegister::new(1),
            row_last: EnabledRegister::new(1),
            shift: EnabledRegister::new(shifts),
            row_mode: EnabledRegister::new(2),
            released: ResetRegister::new(2),
            valid_r: EnabledResetRegister::new(1),
            waiting_r: EnabledResetRegister::new(1),
            first_r: EnabledRegister::new(1),
            last_r: EnabledRegister::new(1),
            column_last_r: EnabledRegister::new(1),
            row_last_r: EnabledRegister::new(1),
            shift_r: EnabledRegister::new(shifts),
            row_mode_r: EnabledRegister::new(2),
            error: ResetRegister::new(4),
            entry: Net::new(d.schedule_width),
            entry_shift: Net::new(shifts),
            entry_row_mode: Net::new(2),
            entry_weight: Net::new(weight),
            entry_patch: Net::new(patch),
            usable: Net::new(2),
            available: Net::new(1),
            ready: Net::new(1),
            takes: Net::new(1),
            reads: Net::new(1),
            continues: Net::new(1),
            last_chunk: Net::new(1),
            last_step: Net::new(1),
            last_column: Net::new(1),
            last_row: Net::new(1),
            ends_tile: Net::new(1),
            ends_row: Net::new(1),
            turns: Net::new(1),
            step: Net::new(steps),
            column: Net::new(columns),
            row: Net::new(rows),
            chunk: Net::new(chunks),
            wraps: Net::new(1),
            next_base: Net::new(weight + 1),
            weight_from: Net::new(weight + 2),
            weight_by: Net::new(weight + 2),
            leaves_row: Net::new(1),
            patch_past: Net::new(1),
            weight_past: Net::new(1),
            entry_past: Net::new(1),
            patch_word: Net::new(patch),
            zero: Constant::new(1, 0),
            one: Constant::new(1, 1),
            no_shift: Constant::new(shifts, 0),
            one_entry: Constant::new(schedule + 1, 1),
            one_step: Constant::new(steps, 1),
            one_column: Constant::new(columns, 1),
            one_row: Constant::new(rows, 1),
            one_chunk: Constant::new(chunks, 1),
            one_patch: Constant::new(patch, 1),
            one_word: Constant::new(weight + 2, 1),
            shift_place: Constant::new(32, (patch + weight + 2).into()),
            mode_place: Constant::new(32, (patch + weight).into()),
            weight_place: Constant::new(32, patch.into()),
            half_place: Constant::new(32, (patch - 1).into()),
            entry_bits: Constant::new(32, schedule.into()),
            one_place: Constant::new(32, 1),
            no_error: Constant::new(4, 0),
            error_weight: Constant::new(4, 7),
            error_patch: Constant::new(4, 8),
            error_table: Constant::new(4, 9),
            _shifts: shifts as usize,
            _mode: 2,
            _weight: weight as usize,
            _base: weight as usize + 1,
            _range: weight as usize + 2,
            _patch: patch as usize,
            _half: patch as usize - 1,
            _entry: schedule as usize + 1,
            _schedule: schedule as usize,
            _pair: 2,
        }
    }
}

impl Logic for ComputeEngine {
    #[hdl_gen]
    fn update(&mut self) {
        // A step is taken when the one before it has its last chunk, and the patch is there if it is a row tile's first.
        // A half that is being released still looks full.
        self.usable.next = self.patch_full.val() & (!self.released.q.val());
        if self.half.q.val().any() {
            self.available.next = self.usable.val().get_bit(1).into();
        } else {
            self.available.next = self.usable.val().get_bit(0).into();
        }
        self.chunk.next = self.chunks_r.q.val() ^ self.one_chunk.val();
        self.last_chunk.next = (self.chunk.val() == self.chunks.val()).into();
        self.continues.next = self.beat.q.val() & (!self.last_chunk.val());
        self.ready.next = self.active.q.val()
            & self.filled.q.val()
            & (!self.continues.val())
            & ((!self.fresh.q.val()) | self.available.val());
        self.takes.next = self.ready.val() & self.advance.val();

        // The entry that comes next stands at the schedule memory's output.
        self.entry.next = self.memory.value.val();
        self.entry_shift.next =
            bits_resize(self.entry.val() >> self.shift_place.val(), self._shifts);
        self.entry_row_mode.next =
            bits_resize(self.entry.val() >> self.mode_place.val(), self._mode);
        self.entry_weight.next =
            bits_resize(self.entry.val() >> self.weight_place.val(), self._weight);
        self.entry_patch.next = bits_resize(self.entry.val(), self._patch);
        self.reads.next =
            self.active.q.val() & self.advance.val() & ((!self.filled.q.val()) | self.ready.val());
        self.step.next = self.steps_r.q.val() ^ self.one_step.val();
        self.last_step.next = (self.step.val() == self.schedule_steps.val()).into();
        self.wraps.next = self.go_compute.val() | self.last_step.val();
        self.memory.clock.next = self.clock.val();
        self.memory.write.next = self.schedule_write.val();
        self.memory.write_address.next = self.load_address.val();
        self.memory.write_value.next = self.load_value.val();
        self.memory.read.next = self.reads.val();
        self.memory.read_address.next = bits_resize(self.entry_address.q.val(), self._schedule);
        self.filled.clock.next = self.clock.val();
        self.filled.reset.next = self.reset.val() | self.go_compute.val();
        self.filled.enable.next = self.reads.val();
        self.filled.d.next = self.reads.val();
        self.entry_address.clock.next = self.clock.val();
        self.entry_address.enable.next = self.go_compute.val() | self.reads.val();
        self.steps_r.clock.next = self.clock.val();
        self.steps_r.reset.next = self.go_compute.val() | (self.reads.val() & self.last_step.val());
        self.steps_r.enable.next = self.reads.val();
        self.steps_r.d.next = (self.step.val() + self.one_step.val()) ^ self.one_step.val();
        if self.wraps.val().any() {
            self.entry_address.d.next = bits_resize(self.schedule_base.val(), self._entry);
        } else {
            self.entry_address.d.next = self.entry_address.q.val() + self.one_entry.val();
        }
        self.next_first.clock.next = self.clock.val();
        self.next_first.enable.next = self.go_compute.val() | self.reads.val();
        self.next_first.d.next = self.wraps.val();
        self.entry_first.clock.next = self.clock.val();
        self.entry_first.enable.next = self.reads.val();
        self.entry_first.d.next = self.next_first.q.val();
        self.entry_last.clock.next = self.clock.val();
        self.entry_last.enable.next = self.reads.val();
        self.entry_last.d.next = self.last_step.val();

        // Tiles.
        self.column.next = self.columns_r.q.val() ^ self.one_column.val();
        self.row.next = self.rows_r.q.val() ^ self.one_row.val();
        self.last_column.next = (self.column.val() == self.column_tiles.val()).into();
        self.last_row.next = (self.row.val() == self.row_tiles.val()).into();
        self.ends_tile.next = self.takes.val() & self.entry_last.q.val();
        self.ends_row.next = self.ends_tile.val() & self.last_column.val();
        self.turns.next = self.go_compute.val() | self.last_column.val();
        self.next_base.next =
            self.tile_base.q.val() + bits_resize(self.weight_tile.val(), self._base);
        self.columns_r.clock.next = self.clock.val();
        self.columns_r.reset.next = self.go_compute.val() | self.ends_row.val();
        self.columns_r.enable.next = self.ends_tile.val();
        self.columns_r.d.next = (self.column.val() + self.one_column.val()) ^ self.one_column.val();
        self.tile_base.clock.next = self.clock.val();
        self.tile_base.enable.next = self.go_compute.val() | self.ends_tile.val();
        if self.turns.val().any() {
            self.tile_base.d.next = bits_resize(self.weight_base.val(), self._base);
        } else {
            self.tile_base.d.next = self.next_base.val();
        }
        self.rows_r.clock.next = self.clock.val();
        self.rows_r.reset.next = self.go_compute.val();
        self.rows_r.enable.next = self.ends_row.val();
        self.rows_r.d.next = (self.row.val() + self.one_row.val()) ^ self.one_row.val();
        self.half.clock.next = self.clock.val();
        self.half.reset.next = self.go_compute.val();
        self.half.enable.next = self.ends_row.val();
        self.half.d.next = !self.half.q.val();
        self.fresh.clock.next = self.clock.val();
        self.fresh.enable.next = self.go_compute.val() | self.takes.val();
        self.fresh.d.next = self.go_compute.val() | self.ends_row.val();
        self.active.clock.next = self.clock.val();
        self.active.reset.next = self.reset.val();
        self.active.enable.next =
            self.go_compute.val() | (self.ends_row.val() & self.last_row.val());
        self.active.d.next = self.go_compute.val();

        // The beat whose addresses are at the memories.
        if self.continues.val().any() {
            self.patch.d.next = self.patch.q.val() + self.one_patch.val();
            self.weight_from.next = self.weight.q.val();
            self.weight_by.next = self.one_word.val();
            self.shift.d.next = self.no_shift.val();
        } else {
            self.patch.d.next = self.entry_patch.val();
            self.weight_from.next = bits_resize(self.tile_base.q.val(), self._range);
            self.weight_by.next = bits_resize(self.entry_weight.val(), self._range);
            self.shift.d.next = self.entry_shift.val();
        }
        self.beat.clock.next = self.clock.val();
        self.beat.reset.next = self.reset.val();
        self.beat.enable.next = self.advance.val();
        self.beat.d.next = self.continues.val() | self.ready.val();
        self.chunks_r.clock.next = self.clock.val();
        self.chunks_r.reset.next = self.advance.val() & (!self.continues.val());
        self.chunks_r.enable.next = self.advance.val();
        self.chunks_r.d.next = (self.chunk.val() + self.one_chunk.val()) ^ self.one_chunk.val();
        self.patch.clock.next = self.clock.val();
        self.patch.enable.next = self.advance.val();
        self.weight.clock.next = self.clock.val();
        self.weight.enable.next = self.advance.val();
        self.weight.d.next = self.weight_from.val() + self.weight_by.val();
        self.shift.clock.next = self.clock.val();
        self.shift.enable.next = self.advance.val();
        self.first.clock.next = self.clock.val();
        self.first.enable.next = self.advance.val();
        self.first.d.next = self.entry_first.q.val() & (!self.continues.val());
        self.step_last.clock.next = self.clock.val();
        self.step_last.enable.next = self.takes.val();
        self.step_last.d.next = self.entry_last.q.val();
        self.row_last.clock.next = self.clock.val();
        self.row_last.enable.next = self.takes.val();
        self.row_last.d.next = self.last_row.val();
        self.column_last.clock.next = self.clock.val();
        self.column_last.enable.next = self.takes.val();
        self.column_last.d.next = self.last_column.val();
        self.beat_half.clock.next = self.clock.val();
        self.beat_half.enable.next = self.takes.val();
        self.beat_half.d.next = self.half.q.val();
        self.row_mode.clock.next = self.clock.val();
        self.row_mode.enable.next = self.takes.val();
        self.row_mode.d.next = self.entry_row_mode.val();
        self.patch_word.next =
            bits_resize(bits_resize(self.patch.q.val(), self._half), self._patch)
                | (bits_resize(self.beat_half.q.val(), self._patch) << self.half_place.val());
        self.leaves_row.next = self.advance.val()
            & self.beat.q.val()
            & self.last_chunk.val()
            & self.step_last.q.val()
            & self.column_last.q.val();
        self.released.clock.next = self.clock.val();
        self.released.reset.next = self.reset.val();
        self.released.d.next =
            bits_resize(
                self.leaves_row.val() & (!self.beat_half.q.val()),
                self._pair,
            ) | (bits_resize(self.leaves_row.val() & self.beat_half.q.val(), self._pair)
                << self.one_place.val());

        // Addresses past their ends.
        self.entry_past.next = self.reads.val()
            & (self.entry_address.q.val() >> self.entry_bits.val())
                .any()
                .into();
        self.patch_past.next =
            self.beat.q.val() & (self.patch.q.val() >> self.half_place.val()).any().into();
        self.weight_past.next = self.beat.q.val()
            & (self.weight.q.val() > bits_resize(self.weight_last.val(), self._range)).into();
        self.error.clock.next = self.clock.val();
        self.error.reset.next = self.reset.val();
        if self.weight_past.val().any() {
            self.error.d.next = self.error_weight.val();
        } else if self.patch_past.val().any() {
            self.error.d.next = self.error_patch.val();
        } else if self.entry_past.val().any() {
            self.error.d.next = self.error_table.val();
        } else {
            self.error.d.next = self.no_error.val();
        }

        // The beat whose operands are at the memories' outputs.
        self.valid_r.clock.next = self.clock.val();
        self.valid_r.reset.next = self.reset.val();
        self.valid_r.enable.next = self.advance.val();
        self.valid_r.d.next = self.beat.q.val();
        self.waiting_r.clock.next = self.clock.val();
        self.waiting_r.reset.next = self.reset.val();
        self.waiting_r.enable.next = self.advance.val();
        self.waiting_r.d.next = self.active.q.val() & self.fresh.q.val() & (!self.beat.q.val());
        self.first_r.clock.next = self.clock.val();
        self.first_r.enable.next = self.advance.val();
        self.first_r.d.next = self.first.q.val();
        self.last_r.clock.next = self.clock.val();
        self.last_r.enable.next = self.advance.val();
        self.last_r.d.next = self.step_last.q.val() & self.last_chunk.val();
        self.column_last_r.clock.next = self.clock.val();
        self.column_last_r.enable.next = self.advance.val();
        self.column_last_r.d.next = self.column_last.q.val();
        self.row_last_r.clock.next = self.clock.val();
        self.row_last_r.enable.next = self.advance.val();
        self.row_last_r.d.next = self.row_last.q.val();
        self.shift_r.clock.next = self.clock.val();
        self.shift_r.enable.next = self.advance.val();
        self.shift_r.d.next = self.shift.q.val();
        self.row_mode_r.clock.next = self.clock.val();
        self.row_mode_r.enable.next = self.advance.val();
        self.row_mode_r.d.next = self.row_mode.q.val();

        self.patch_release.next = self.released.q.val();
        self.patch_read_address.next = self.patch_word.val();
        self.weight_read_address.next = bits_resize(self.weight.q.val(), self._weight);
        self.operand_valid.next = self.valid_r.q.val();
        self.operand_first.next = self.first_r.q.val();
        self.operand_last.next = self.last_r.q.val();
        self.operand_last_column.next = self.column_last_r.q.val();
        self.operand_last_row.next = self.row_last_r.q.val();
        self.operand_shift.next = self.shift_r.q.val();
        self.operand_row_mode.next = self.row_mode_r.q.val();
        self.waiting.next = self.waiting_r.q.val();
        self.compute_error.next = self.error.q.val();
    }
}
