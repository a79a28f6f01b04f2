//! The top module: the grid behind streams.

use super::control_stage::entry_word_width;
use super::{ControlStage, DrainControl, Epilogue, PeArray, SkidBuffer, grid};
use crate::config::Design;
use crate::rtl::prelude::*;

/// The array with its control: operands in, results out, both with valid and ready. Ports, registers and timing are
/// those of `docs/microarchitecture.md`.
#[derive(Clone, Debug, LogicBlock)]
pub struct StreamArray {
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
    stage: Vec<ControlStage>,
    array: PeArray,
    drain: DrainControl,
    epilogue: Epilogue,
    skid: SkidBuffer,
    doubled: Net<Local>,
    leaves_valid: Net<Local>,
    leaves_first: Net<Local>,
    leaves_shift: Net<Local>,
    leaves_twice: Net<Local>,
    zero: Constant,
    _one: usize,
    _stages: usize,
    _last_stage: usize,
    _rows: usize,
    _columns: usize,
    _activation_branches: usize,
    _weight_branches: usize,
    _serial: usize,
    _parallel: usize,
}

impl StreamArray {
    /// The top module of a design.
    pub fn new(design: &Design) -> Self {
        let c = design.config();
        let shift = design.shift_amounts.len() as u32;
        let width = design.result_width;
        let serial = usize::from(design.row_planes == 1);
        StreamArray {
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
            stage: (0..design.latency())
                .map(|_| ControlStage::new(design))
                .collect(),
            array: PeArray::new(design),
            drain: DrainControl::new(design),
            epilogue: Epilogue::new(design),
            skid: SkidBuffer::new(design),
            doubled: Net::new(1),
            leaves_valid: Net::new(1),
            leaves_first: Net::new(1),
            leaves_shift: Net::new(shift),
            leaves_twice: Net::new(1),
            zero: Constant::new(1, 0),
            _one: 1,
            _stages: design.latency() as usize,
            _last_stage: design.latency() as usize - 1,
            _rows: c.rows as usize,
            _columns: c.columns as usize,
            _activation_branches: c.activation_branches as usize,
            _weight_branches: c.weight_branches as usize,
            _serial: serial,
            _parallel: 1 - serial,
        }
    }
}

impl Logic for StreamArray {
    #[hdl_gen]
    fn update(&mut self) {
        self.operand_ready.next = self.drain.advance.val();

        for _i in 0..self._serial {
            self.doubled.next = self.operand_row_mode.val().any().into();
        }
        for _i in 0..self._parallel {
            self.doubled.next = self.zero.val();
        }
        for s in 0..self._one {
            self.stage[s].valid.next = self.operand_valid.val();
            self.stage[s].first.next = self.operand_first.val();
            self.stage[s].last.next = self.operand_last.val();
            self.stage[s].shift.next = self.operand_shift.val();
            self.stage[s].twice.next = self.doubled.val();
            self.stage[s].align.next = self.operand_align.val();
            self.stage[s].result_shift.next = self.operand_result_shift.val();
            self.stage[s].entry.next = self.operand_entry.val();
        }
        for s in 0..self._stages {
            self.stage[s].clock.next = self.clock.val();
            self.stage[s].reset.next = self.reset.val();
            self.stage[s].advance.next = self.drain.advance.val();
        }
        for s in 0..self._last_stage {
            self.stage[s + 1].valid.next = self.stage[s].stage_valid.val();
            self.stage[s + 1].first.next = self.stage[s].stage_first.val();
            self.stage[s + 1].last.next = self.stage[s].stage_last.val();
            self.stage[s + 1].shift.next = self.stage[s].stage_shift.val();
            self.stage[s + 1].twice.next = self.stage[s].stage_twice.val();
            self.stage[s + 1].align.next = self.stage[s].stage_align.val();
            self.stage[s + 1].result_shift.next = self.stage[s].stage_result_shift.val();
            self.stage[s + 1].entry.next = self.stage[s].stage_entry.val();
        }
        for s in self._last_stage..self._stages {
            self.leaves_valid.next = self.stage[s].stage_valid.val();
            self.leaves_first.next = self.stage[s].stage_first.val();
            self.leaves_shift.next = self.stage[s].stage_shift.val();
            self.leaves_twice.next = self.stage[s].stage_twice.val();
            self.drain.last.next = self.stage[s].stage_last.val();
            self.drain.align.next = self.stage[s].stage_align.val();
            self.drain.result_shift.next = self.stage[s].stage_result_shift.val();
            self.drain.entry.next = self.stage[s].stage_entry.val();
        }

        self.array.clock.next = self.clock.val();
        self.array.advance.next = self.drain.advance.val();
        self.array.accumulate.next = self.drain.advance.val() & self.leaves_valid.val();
        self.array.first.next = self.leaves_first.val();
        self.array.shift.next = self.leaves_shift.val();
        self.array.twice.next = self.leaves_twice.val();
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
        self.drain.valid.next = self.leaves_valid.val();
        self.drain.epilogue_ready.next = self.epilogue.ready.val();

        self.epilogue.clock.next = self.clock.val();
        self.epilogue.reset.next = self.reset.val();
        self.epilogue.row_leaves.next = self.drain.row_leaves.val();
        self.epilogue.last_row.next = self.drain.last_row.val();
        self.epilogue.align.next = self.drain.row_align.val();
        self.epilogue.result_shift.next = self.drain.row_result_shift.val();
        self.epilogue.entry.next = self.drain.row_entry.val();
        self.epilogue.row_sum.next = self.array.row_drained.val();
        self.epilogue.constant_write.next = self.constant_write.val();
        self.epilogue.constant_entry.next = self.constant_entry.val();
        self.epilogue.out_ready.next = self.skid.in_ready.val();

        self.skid.clock.next = self.clock.val();
        self.skid.reset.next = self.reset.val();
        self.skid.in_valid.next = self.epilogue.out_valid.val();
        self.skid.in_last.next = self.epilogue.out_last.val();
        self.skid.out_ready.next = self.result_ready.val();
        for c in 0..self._columns {
            self.epilogue.sum[c].next = self.array.drained[c].val();
            self.epilogue.constant_value[c].next = self.constant_value[c].val();
            self.skid.in_value[c].next = self.epilogue.out_value[c].val();
            self.result_value[c].next = self.skid.out_value[c].val();
        }
        self.result_valid.next = self.skid.out_valid.val();
        self.result_last.next = self.skid.out_last.val();
    }
}
