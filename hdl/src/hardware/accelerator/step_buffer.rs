//! Between the drain of a grid behind broadcast registers and the epilogue: what leaves the drain waits here until the
//! epilogue moves.

use super::WordMemory;
use crate::accelerator::{AcceleratorDesign, Field};
use crate::hardware::broadcast::{BUFFER_WORDS, BufferControl, Credits, DelayLine};
use crate::rtl::prelude::*;

/// One of the columns that leave the drain together.
#[derive(Clone, Debug, LogicBlock)]
pub struct StepLane {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The epilogue moves.
    pub flow: Net<In>,
    /// Writes what comes.
    pub write: Net<In>,
    /// Where.
    pub write_address: Net<In>,
    /// Reads what goes.
    pub read: Net<In>,
    /// From where.
    pub read_address: Net<In>,
    /// The column is valid.
    pub keep: Net<In>,
    /// Its residual code, a cycle later.
    pub code: Net<In>,
    /// Its sum, as many cycles later as there are broadcast stages.
    pub sum: Net<In>,
    /// The column that goes is valid.
    pub out_keep: Net<Out>,
    /// The residual code of the one that went with the last step.
    pub out_code: Net<Out>,
    /// Its sum.
    pub out_sum: Net<Out>,
    memory: WordMemory,
    keep_line: DelayLine,
    code_line: DelayLine,
    code_r: EnabledRegister,
    place_code: Constant,
    place_sum: Constant,
    _lane: usize,
    _one: usize,
    _code: usize,
    _sum: usize,
}

impl StepLane {
    /// A lane of a design with broadcast stages.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let stages = d.design().broadcast_stages();
        let (sum, code) = (d.design().sum_width(), d.code_planes);
        let lane = 1 + code + sum;
        let address = BUFFER_WORDS.ilog2();
        StepLane {
            shape: Shape::new(
                format!("step_lane_w{lane}_b{stages}"),
                "Holds one of the columns that leave the drain until the epilogue moves.",
            ),
            clock: Signal::default(),
            flow: Net::new(1),
            write: Net::new(1),
            write_address: Net::new(address),
            read: Net::new(1),
            read_address: Net::new(address),
            keep: Net::new(1),
            code: Net::new(code),
            sum: Net::new(sum),
            out_keep: Net::new(1),
            out_code: Net::new(code),
            out_sum: Net::new(sum),
            memory: WordMemory::new(BUFFER_WORDS, lane),
            keep_line: DelayLine::new(stages, 1),
            code_line: DelayLine::new(stages - 1, code),
            code_r: EnabledRegister::new(code),
            place_code: Constant::new(32, 1),
            place_sum: Constant::new(32, (1 + code).into()),
            _lane: lane as usize,
            _one: 1,
            _code: code as usize,
            _sum: sum as usize,
        }
    }
}

impl Logic for StepLane {
    #[hdl_gen]
    fn update(&mut self) {
        self.keep_line.clock.next = self.clock.val();
        self.keep_line.word.next = self.keep.val();
        self.code_line.clock.next = self.clock.val();
        self.code_line.word.next = self.code.val();
        self.memory.clock.next = self.clock.val();
        self.memory.write.next = self.write.val();
        self.memory.write_address.next = self.write_address.val();
        self.memory.write_value.next = bits_resize(self.keep_line.delayed.val(), self._lane)
            | ((bits_resize(self.code_line.delayed.val(), self._lane) << self.place_code.val())
                | (bits_resize(self.sum.val(), self._lane) << self.place_sum.val()));
        self.memory.read.next = self.read.val();
        self.memory.read_address.next = self.read_address.val();
        self.out_keep.next = bits_resize(self.memory.value.val(), self._one);
        self.code_r.clock.next = self.clock.val();
        self.code_r.enable.next = self.flow.val();
        self.code_r.d.next =
            bits_resize(self.memory.value.val() >> self.place_code.val(), self._code);
        self.out_code.next = self.code_r.q.val();
        self.out_sum.next = bits_resize(self.memory.value.val() >> self.place_sum.val(), self._sum);
    }
}

/// Holds the drain's steps. The drain takes a credit for each (`step`); the sums come as many cycles later as there are
/// broadcast stages, all that goes with them is delayed by as many registers, and both wait in a memory. `out_step` gives
/// the oldest to the epilogue when that moves, and the credit back.
///
/// Where rows must keep a distance, so that their plane groups find their turn, they keep it at the output too.
#[derive(Clone, Debug, LogicBlock)]
pub struct StepBuffer {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties it.
    pub reset: Net<In>,
    /// The epilogue moves.
    pub flow: Net<In>,
    /// Columns leave the drain, as far as its control knows.
    pub step: Net<In>,
    /// They are their row's last.
    pub row_end: Net<In>,
    /// They are their tile's last.
    pub tile_end: Net<In>,
    /// They are the last of their row tile.
    pub column_end: Net<In>,
    /// They are the last of all.
    pub final_end: Net<In>,
    /// With them the last valid value of all leaves.
    pub final_value: Net<In>,
    /// Address of their constants.
    pub constant: Net<In>,
    /// Their row's granule.
    pub granule: Net<In>,
    /// Which of them are valid.
    pub keep: Vec<Net<In>>,
    /// Their residual codes, a cycle after `step`.
    pub code: Vec<Net<In>>,
    /// Their sums, as many cycles after `step` as there are broadcast stages.
    pub sum: Vec<Net<In>>,
    /// The row unit's sum, at the same time.
    pub row_sum: Net<In>,
    /// Plane groups that are written for each row. Absent where they are never more than the steps of a row.
    pub out_groups: Vec<Net<In>>,
    /// The drain may step; a function of registers.
    pub credit: Net<Out>,
    /// Columns go to the epilogue.
    pub out_step: Net<Out>,
    /// They are their row's last.
    pub out_row_end: Net<Out>,
    /// They are their tile's last.
    pub out_tile_end: Net<Out>,
    /// They are the last of their row tile.
    pub out_column_end: Net<Out>,
    /// They are the last of all.
    pub out_final_end: Net<Out>,
    /// With them goes the last valid value of all.
    pub out_final_value: Net<Out>,
    /// Address of their constants, without the bit that shows that it is past the memory.
    pub out_constant: Net<Out>,
    /// It is past the memory.
    pub out_past: Net<Out>,
    /// Their row's granule.
    pub out_granule: Net<Out>,
    /// Which of them are valid.
    pub out_keep: Vec<Net<Out>>,
    /// Residual codes of the columns that went with the last step.
    pub out_code: Vec<Net<Out>>,
    /// Their sums.
    pub out_sum: Vec<Net<Out>>,
    /// The row unit's sum.
    pub out_row_sum: Net<Out>,
    credits: Credits,
    control: BufferControl,
    step_line: Vec<ResetRegister>,
    place_line: DelayLine,
    places: WordMemory,
    row_sums: WordMemory,
    lane: Vec<StepLane>,
    in_row: Vec<EnabledResetRegister>,
    gap: Vec<EnabledResetRegister>,
    flags: Net<Local>,
    place: Net<Local>,
    write: Net<Local>,
    gap_rest: Net<Local>,
    may_start: Net<Local>,
    starts: Net<Local>,
    out: Net<Local>,
    ends: Net<Local>,
    place_tile: Constant,
    place_column: Constant,
    place_end: Constant,
    place_value: Constant,
    place_constant: Constant,
    place_granule: Constant,
    constant_top: Constant,
    one_group: Constant,
    one_place: Constant,
    zero: Constant,
    one: Constant,
    _one: usize,
    _steps: usize,
    _last_step: usize,
    _place: usize,
    _flags: usize,
    _address: usize,
    _granule: usize,
    _lanes: usize,
    _spaced: usize,
    _close: usize,
}

/// Bits of the ends: of a row, a tile, a row tile, of all, and of all values.
const FLAGS: u32 = 5;

impl StepBuffer {
    /// The buffer of a design with broadcast stages.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let design = d.design();
        let (lanes, stages) = (d.config().drain_columns, design.broadcast_stages());
        let (sum, row_sum, code) = (design.sum_width(), design.row_sum_width(), d.code_planes);
        let (constant, granule) = (d.constant_address_width + 1, d.granule_address_width);
        let place = FLAGS + constant + granule;
        let groups = Field::OutGroups.width(d);
        let spaced = d.rows_are_spaced();
        StepBuffer {
            shape: Shape::new(
                format!("step_buffer_e{lanes}_b{stages}"),
                "Holds what leaves the drain until the epilogue moves.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            flow: Net::new(1),
            step: Net::new(1),
            row_end: Net::new(1),
            tile_end: Net::new(1),
            column_end: Net::new(1),
            final_end: Net::new(1),
            final_value: Net::new(1),
            constant: Net::new(constant),
            granule: Net::new(granule),
            keep: Net::vector(lanes, 1),
            code: Net::vector(lanes, code),
            sum: Net::vector(lanes, sum),
            row_sum: Net::new(row_sum),
            out_groups: Net::vector(spaced.into(), groups),
            credit: Net::new(1),
            out_step: Net::new(1),
            out_row_end: Net::new(1),
            out_tile_end: Net::new(1),
            out_column_end: Net::new(1),
            out_final_end: Net::new(1),
            out_final_value: Net::new(1),
            out_constant: Net::new(constant - 1),
            out_past: Net::new(1),
            out_granule: Net::new(granule),
            out_keep: Net::vector(lanes, 1),
            out_code: Net::vector(lanes, code),
            out_sum: Net::vector(lanes, sum),
            out_row_sum: Net::new(row_sum),
            credits: Credits::new(d.step_credits()),
            control: BufferControl::default(),
            step_line: ResetRegister::vector(stages, 1),
            place_line: DelayLine::new(stages, place),
            places: WordMemory::new(BUFFER_WORDS, place),
            row_sums: WordMemory::new(BUFFER_WORDS, row_sum),
            lane: (0..lanes).map(|_| StepLane::new(d)).collect(),
            in_row: EnabledResetRegister::vector(spaced.into(), 1),
            gap: EnabledResetRegister::vector(spaced.into(), groups),
            flags: Net::new(FLAGS),
            place: Net::new(place),
            write: Net::new(1),
            gap_rest: Net::new(1),
            may_start: Net::new(1),
            starts: Net::new(1),
            out: Net::new(1),
            ends: Net::new(1),
            place_tile: Constant::new(32, 1),
            place_column: Constant::new(32, 2),
            place_end: Constant::new(32, 3),
            place_value: Constant::new(32, 4),
            place_constant: Constant::new(32, FLAGS.into()),
            place_granule: Constant::new(32, (FLAGS + constant).into()),
            constant_top: Constant::new(32, (FLAGS + constant - 1).into()),
            one_group: Constant::new(groups, 1),
            one_place: Constant::new(32, 1),
            zero: Constant::new(1, 0),
            one: Constant::new(1, 1),
            _one: 1,
            _steps: stages as usize,
            _last_step: stages as usize - 1,
            _place: place as usize,
            _flags: FLAGS as usize,
            _address: constant as usize - 1,
            _granule: granule as usize,
            _lanes: lanes as usize,
            _spaced: spaced.into(),
            _close: (!spaced).into(),
        }
    }
}

impl Logic for StepBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        // In: what goes with a step waits for its sums in registers.
        for s in 0..self._steps {
            self.step_line[s].clock.next = self.clock.val();
            self.step_line[s].reset.next = self.reset.val();
        }
        for s in 0..self._one {
            self.step_line[s].d.next = self.step.val();
        }
        for s in 0..self._last_step {
            self.step_line[s + 1].d.next = self.step_line[s].q.val();
        }
        for s in self._last_step..self._steps {
            self.write.next = self.step_line[s].q.val();
        }
        self.flags.next = ((bits_resize(self.row_end.val(), self._flags)
            | (bits_resize(self.tile_end.val(), self._flags) << self.place_tile.val()))
            | (bits_resize(self.column_end.val(), self._flags) << self.place_column.val()))
            | ((bits_resize(self.final_end.val(), self._flags) << self.place_end.val())
                | (bits_resize(self.final_value.val(), self._flags) << self.place_value.val()));
        self.place.next = bits_resize(self.flags.val(), self._place)
            | ((bits_resize(self.constant.val(), self._place) << self.place_constant.val())
                | (bits_resize(self.granule.val(), self._place) << self.place_granule.val()));
        self.place_line.clock.next = self.clock.val();
        self.place_line.word.next = self.place.val();

        // Out: rows that must keep a distance keep it.
        for i in 0..self._spaced {
            self.gap_rest.next = (self.gap[i].q.val() >> self.one_place.val()).any().into();
            self.starts.next = !self.in_row[i].q.val();
            self.may_start.next = self.in_row[i].q.val() | (!self.gap_rest.val());
        }
        for _i in 0..self._close {
            self.starts.next = self.one.val();
            self.gap_rest.next = self.zero.val();
            self.may_start.next = self.one.val();
        }
        self.out.next = (self.control.out_valid.val() & self.flow.val()) & self.may_start.val();
        for i in 0..self._spaced {
            self.gap[i].clock.next = self.clock.val();
            self.gap[i].reset.next = self.reset.val();
            self.gap[i].enable.next = self.flow.val();
            if (self.out.val() & self.starts.val()).any() {
                self.gap[i].d.next = self.out_groups[i].val();
            } else if self.gap_rest.val().any() {
                self.gap[i].d.next = self.gap[i].q.val() - self.one_group.val();
            } else {
                self.gap[i].d.next = self.gap[i].q.val();
            }
        }
        self.credits.clock.next = self.clock.val();
        self.credits.reset.next = self.reset.val();
        self.credits.take.next = self.step.val();
        self.credits.give.next = self.out.val();
        self.credit.next = self.credits.credit.val();
        self.ends.next = bits_resize(self.places.value.val(), self._one);
        for i in 0..self._spaced {
            self.in_row[i].clock.next = self.clock.val();
            self.in_row[i].reset.next = self.reset.val();
            self.in_row[i].enable.next = self.out.val();
            self.in_row[i].d.next = !self.ends.val();
        }

        self.control.clock.next = self.clock.val();
        self.control.reset.next = self.reset.val();
        self.control.write.next = self.write.val();
        self.control.out_ready.next = self.flow.val() & self.may_start.val();
        self.places.clock.next = self.clock.val();
        self.places.write.next = self.write.val();
        self.places.write_address.next = self.control.write_address.val();
        self.places.write_value.next = self.place_line.delayed.val();
        self.places.read.next = self.control.read.val();
        self.places.read_address.next = self.control.read_address.val();
        self.row_sums.clock.next = self.clock.val();
        self.row_sums.write.next = self.write.val();
        self.row_sums.write_address.next = self.control.write_address.val();
        self.row_sums.write_value.next = self.row_sum.val();
        self.row_sums.read.next = self.control.read.val();
        self.row_sums.read_address.next = self.control.read_address.val();
        for e in 0..self._lanes {
            self.lane[e].clock.next = self.clock.val();
            self.lane[e].flow.next = self.flow.val();
            self.lane[e].write.next = self.write.val();
            self.lane[e].write_address.next = self.control.write_address.val();
            self.lane[e].read.next = self.control.read.val();
            self.lane[e].read_address.next = self.control.read_address.val();
            self.lane[e].keep.next = self.keep[e].val();
            self.lane[e].code.next = self.code[e].val();
            self.lane[e].sum.next = self.sum[e].val();
            self.out_keep[e].next = self.lane[e].out_keep.val();
            self.out_code[e].next = self.lane[e].out_code.val();
            self.out_sum[e].next = self.lane[e].out_sum.val();
        }

        self.out_step.next = self.out.val();
        self.out_row_end.next = self.out.val() & self.ends.val();
        self.out_tile_end.next = self.out.val()
            & bits_resize(self.places.value.val() >> self.place_tile.val(), self._one);
        self.out_column_end.next = self.out.val()
            & bits_resize(
                self.places.value.val() >> self.place_column.val(),
                self._one,
            );
        self.out_final_end.next = self.out.val()
            & bits_resize(self.places.value.val() >> self.place_end.val(), self._one);
        self.out_final_value.next =
            bits_resize(self.places.value.val() >> self.place_value.val(), self._one);
        self.out_constant.next = bits_resize(
            self.places.value.val() >> self.place_constant.val(),
            self._address,
        );
        self.out_past.next = bits_resize(
            self.places.value.val() >> self.constant_top.val(),
            self._one,
        );
        self.out_granule.next = bits_resize(
            self.places.value.val() >> self.place_granule.val(),
            self._granule,
        );
        self.out_row_sum.next = self.row_sums.value.val();
    }
}
