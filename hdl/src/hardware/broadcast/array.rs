//! The top module of a design with broadcast stages.

use super::beats::BeatLine;
use super::buffer::ResultBuffer;
use super::drain::CreditDrain;
use super::epilogue::FlowEpilogue;
use super::tiles::TileQueue;
use crate::config::Design;
use crate::hardware::control_stage::entry_word_width;
use crate::hardware::{PeArray, grid};
use crate::rtl::prelude::*;

/// The array with its control, as `StreamArray`: the same ports, but the grid does everything as many cycles later as there
/// are broadcast stages, and rows of results wait in a buffer behind credits (`docs/microarchitecture.md`).
#[derive(Clone, Debug, LogicBlock)]
pub struct BroadcastArray {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, active high.
    pub reset: Net<In>,
    /// A beat is offered.
    pub operand_valid: Net<In>,
    /// A beat is taken if it is offered.
    pub operand_ready: Net<Out>,
    /// First beat of a tile.
    pub operand_first: Net<In>,
    /// Last beat of a tile.
    pub operand_last: Net<In>,
    /// Shift before this beat, one-hot.
    pub operand_shift: Net<In>,
    /// What the row units count.
    pub operand_row_mode: Net<In>,
    /// One word for each row and activation branch.
    pub operand_activation: Vec<Vec<Net<In>>>,
    /// One word for each column and weight branch.
    pub operand_weight: Vec<Vec<Net<In>>>,
    /// Alignment of the tile's sums.
    pub operand_align: Net<In>,
    /// log2(d_x * d_w).
    pub operand_result_shift: Net<In>,
    /// Constant entries, one for each row.
    pub operand_entry: Net<In>,
    /// Writes the constants of one entry.
    pub constant_write: Net<In>,
    /// Which entry.
    pub constant_entry: Net<In>,
    /// One constant for each column.
    pub constant_value: Vec<Net<In>>,
    /// A row of results is offered.
    pub result_valid: Net<Out>,
    /// A row of results is taken if it is offered.
    pub result_ready: Net<In>,
    /// It is its tile's last.
    pub result_last: Net<Out>,
    /// One result for each column, in two's complement.
    pub result_value: Vec<Net<Out>>,
    beats: BeatLine,
    tiles: TileQueue,
    array: PeArray,
    drain: CreditDrain,
    epilogue: FlowEpilogue,
    buffer: ResultBuffer,
    doubled: Net<Local>,
    zero: Constant,
    _rows: usize,
    _columns: usize,
    _activation_branches: usize,
    _weight_branches: usize,
    _serial: usize,
    _parallel: usize,
}

impl BroadcastArray {
    /// The top module of a design with broadcast stages.
    pub fn new(design: &Design) -> Self {
        let c = design.config();
        let shift = design.shift_amounts.len() as u32;
        let width = design.result_width;
        let serial = usize::from(design.row_planes == 1);
        BroadcastArray {
            shape: Shape::new(
                design.top_name().trim_start_matches("xnf_"),
                "Top module: the array behind valid/ready streams. Ports and timing: docs/microarchitecture.md of XnorForge.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            operand_valid: Net::new(1),
            operand_ready: Net::new(1),
            operand_first: Net::new(1),
            operand_last: Net::new(1),
            operand_shift: Net::new(shift),
            operand_row_mode: Net::new(2),
            operand_activation: grid(c.rows, c.activation_branches, c.lanes),
            operand_weight: grid(c.columns, c.weight_branches, c.lanes),
            operand_align: Net::new(design.align_width),
            operand_result_shift: Net::new(2),
            operand_entry: Net::new(entry_word_width(design)),
            constant_write: Net::new(1),
            constant_entry: Net::new(design.entry_width),
            constant_value: Net::vector(c.columns, width),
            result_valid: Net::new(1),
            result_ready: Net::new(1),
            result_last: Net::new(1),
            result_value: Net::vector(c.columns, width),
            beats: BeatLine::new(design),
            tiles: TileQueue::new(design),
            array: PeArray::new(design),
            drain: CreditDrain::new(design),
            epilogue: FlowEpilogue::new(design),
            buffer: ResultBuffer::new(design),
            doubled: Net::new(1),
            zero: Constant::new(1, 0),
            _rows: c.rows as usize,
            _columns: c.columns as usize,
            _activation_branches: c.activation_branches as usize,
            _weight_branches: c.weight_branches as usize,
            _serial: serial,
            _parallel: 1 - serial,
        }
    }
}

impl Logic for BroadcastArray {
    #[hdl_gen]
    fn update(&mut self) {
        self.operand_ready.next = self.drain.advance.val();

        for _i in 0..self._serial {
            self.doubled.next = self.operand_row_mode.val().any().into();
        }
        for _i in 0..self._parallel {
            self.doubled.next = self.zero.val();
        }
        self.beats.clock.next = self.clock.val();
        self.beats.reset.next = self.reset.val();
        self.beats.advance.next = self.drain.advance.val();
        self.beats.valid.next = self.operand_valid.val();
        self.beats.first.next = self.operand_first.val();
        self.beats.last.next = self.operand_last.val();
        self.beats.shift.next = self.operand_shift.val();
        self.beats.twice.next = self.doubled.val();

        self.tiles.clock.next = self.clock.val();
        self.tiles.reset.next = self.reset.val();
        self.tiles.accept.next =
            (self.operand_valid.val() & self.operand_last.val()) & self.drain.advance.val();
        self.tiles.align.next = self.operand_align.val();
        self.tiles.result_shift.next = self.operand_result_shift.val();
        self.tiles.entry.next = self.operand_entry.val();
        self.tiles.load.next = self.drain.load.val();
        self.tiles.move_drain.next = self.drain.move_drain.val();

        self.array.clock.next = self.clock.val();
        self.array.advance.next = self.drain.advance.val();
        self.array.accumulate.next = self.drain.advance.val() & self.beats.leaves_valid.val();
        self.array.first.next = self.beats.leaves_first.val();
        self.array.shift.next = self.beats.leaves_shift.val();
        self.array.twice.next = self.beats.leaves_twice.val();
        self.array.mode.next = self.operand_row_mode.val();
        self.array.load.next = self.drain.load.val();
        self.array.move_drain.next = self.drain.move_drain.val();
        for r in 0..self._rows {
            for m in 0..self._activation_branches {
                self.array.activation[r][m].next = self.operand_activation[r][m].val();
            }
        }
        for c in 0..self._columns {
            for k in 0..self._weight_branches {
                self.array.weight[c][k].next = self.operand_weight[c][k].val();
            }
        }

        self.drain.clock.next = self.clock.val();
        self.drain.reset.next = self.reset.val();
        self.drain.valid.next = self.beats.leaves_valid.val();
        self.drain.last.next = self.beats.leaves_last.val();
        self.drain.taken.next = self.buffer.out_valid.val() & self.result_ready.val();

        self.epilogue.clock.next = self.clock.val();
        self.epilogue.reset.next = self.reset.val();
        self.epilogue.row_leaves.next = self.drain.row_leaves.val();
        self.epilogue.last_row.next = self.drain.last_row.val();
        self.epilogue.align.next = self.tiles.row_align.val();
        self.epilogue.result_shift.next = self.tiles.row_result_shift.val();
        self.epilogue.entry.next = self.tiles.row_entry.val();
        self.epilogue.row_sum.next = self.array.row_drained.val();
        self.epilogue.constant_write.next = self.constant_write.val();
        self.epilogue.constant_entry.next = self.constant_entry.val();

        self.buffer.clock.next = self.clock.val();
        self.buffer.reset.next = self.reset.val();
        self.buffer.in_valid.next = self.epilogue.out_valid.val();
        self.buffer.in_last.next = self.epilogue.out_last.val();
        self.buffer.out_ready.next = self.result_ready.val();
        for c in 0..self._columns {
            self.epilogue.sum[c].next = self.array.drained[c].val();
            self.epilogue.constant_value[c].next = self.constant_value[c].val();
            self.buffer.in_value[c].next = self.epilogue.out_value[c].val();
            self.result_value[c].next = self.buffer.out_value[c].val();
        }
        self.result_valid.next = self.buffer.out_valid.val();
        self.result_last.next = self.buffer.out_last.val();
    }
}
