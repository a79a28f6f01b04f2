//! The way from the array to the memories and the result stream.

use super::{
    BeatPipeline, ChannelCounter, EpilogueLane, PlanePacker, ResultPort, RowReader, RowTag,
    RowWalker, StepBuffer, TileDrain,
};
use crate::accelerator::config::RESULT_BITS;
use crate::accelerator::{AcceleratorDesign, Field};
use crate::hardware::{PeArray, grid};
use crate::rtl::prelude::*;

/// Stage of the epilogue in which v1 stands.
const VALUE_STAGE: u32 = 5;

/// The array with its control, the epilogue, and what writes codes and results (`docs/accelerator.md`). Ports that are
/// named like a field of a descriptor carry that field.
#[derive(Clone, Debug, LogicBlock)]
pub struct BackEnd {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, active high.
    pub reset: Net<In>,
    /// A COMPUTE descriptor begins.
    pub go_compute: Net<In>,
    /// Field of the descriptor.
    pub to_activation: Net<In>,
    /// Field of the descriptor.
    pub to_residual: Net<In>,
    /// Field of the descriptor.
    pub to_stream: Net<In>,
    /// Field of the descriptor.
    pub mode: Net<In>,
    /// Field of the descriptor.
    pub residual_before: Net<In>,
    /// Field of the descriptor.
    pub residual_after: Net<In>,
    /// Field of the descriptor.
    pub round_even: Net<In>,
    /// Field of the descriptor.
    pub stream_last: Net<In>,
    /// Field of the descriptor.
    pub out_width: Net<In>,
    /// Field of the descriptor.
    pub out_height: Net<In>,
    /// Field of the descriptor.
    pub last_rows: Net<In>,
    /// Field of the descriptor.
    pub align: Net<In>,
    /// Field of the descriptor.
    pub result_shift: Net<In>,
    /// Field of the descriptor.
    pub levels: Net<In>,
    /// Field of the descriptor.
    pub shift: Net<In>,
    /// Field of the descriptor.
    pub constant_base: Net<In>,
    /// Field of the descriptor.
    pub class_x_pitch: Net<In>,
    /// Field of the descriptor.
    pub class_y_pitch: Net<In>,
    /// Field of the descriptor.
    pub y_lead: Net<In>,
    /// Field of the descriptor.
    pub y_trail: Net<In>,
    /// Field of the descriptor.
    pub x_lead: Net<In>,
    /// Field of the descriptor.
    pub x_trail: Net<In>,
    /// Field of the descriptor.
    pub channel_base: Net<In>,
    /// Field of the descriptor.
    pub table_base: Net<In>,
    /// Field of the descriptor.
    pub offset: Net<In>,
    /// Field of the descriptor.
    pub code_min: Net<In>,
    /// Field of the descriptor.
    pub code_max: Net<In>,
    /// Field of the descriptor.
    pub out_groups: Net<In>,
    /// Field of the descriptor.
    pub out_base: Net<In>,
    /// Field of the descriptor.
    pub out_pitch: Net<In>,
    /// Field of the descriptor.
    pub out_last: Net<In>,
    /// Field of the descriptor.
    pub out_granule: Net<In>,
    /// Field of the descriptor.
    pub out_pixel: Net<In>,
    /// Field of the descriptor.
    pub residual_base: Net<In>,
    /// Field of the descriptor.
    pub residual_pitch: Net<In>,
    /// Field of the descriptor.
    pub residual_groups: Net<In>,
    /// Field of the descriptor.
    pub last_columns: Net<In>,
    /// Writes a column constant of lane `load_lane`.
    pub constant_write: Net<In>,
    /// Writes a threshold of level `load_level` of that lane.
    pub threshold_write: Net<In>,
    /// Writes an affine word of that lane.
    pub affine_write: Net<In>,
    /// Writes a table entry of all lanes.
    pub table_write: Net<In>,
    /// Threshold level.
    pub load_level: Net<In>,
    /// Lane: a column modulo `drain_columns`.
    pub load_lane: Net<In>,
    /// Address in the memory that is written.
    pub load_address: Net<In>,
    /// Value, as wide as an affine word.
    pub load_value: Net<In>,
    /// A beat stands at the array; it is taken if `advance`.
    pub operand_valid: Net<In>,
    /// First beat of a tile.
    pub operand_first: Net<In>,
    /// Last beat of a tile.
    pub operand_last: Net<In>,
    /// Shift before this beat, one-hot.
    pub operand_shift: Net<In>,
    /// What the row units count.
    pub operand_row_mode: Net<In>,
    /// The tile is of the last column tile; taken with `operand_last`.
    pub operand_last_column: Net<In>,
    /// The tile is of the last row tile; taken with `operand_last`.
    pub operand_last_row: Net<In>,
    /// One word for each row and activation branch.
    pub activation: Vec<Vec<Net<In>>>,
    /// One word for each column and weight branch.
    pub weight: Vec<Vec<Net<In>>>,
    /// The result stream takes what stands.
    pub result_ready: Net<In>,
    /// The array moves.
    pub advance: Net<Out>,
    /// Writes these slices of a word of the activation memory.
    pub back_write: Net<Out>,
    /// Which word.
    pub back_address: Net<Out>,
    /// One slice of each plane.
    pub back_value: Net<Out>,
    /// A transfer of results stands.
    pub result_valid: Net<Out>,
    /// Its values.
    pub result_data: Vec<Net<Out>>,
    /// Which of them are valid.
    pub result_keep: Vec<Net<Out>>,
    /// It is the last one that the descriptor marks.
    pub result_last: Net<Out>,
    /// The array stands still.
    pub drain_stall: Net<Out>,
    /// It does so because the result stream is not ready.
    pub output_stall: Net<Out>,
    /// Every result of the descriptor is written or taken.
    pub compute_finished: Net<Out>,
    /// Error code, or 0.
    pub back_error: Net<Out>,
    beats: BeatPipeline,
    array: PeArray,
    drain: TileDrain,
    buffer: Vec<StepBuffer>,
    walker: RowWalker,
    reader: RowReader,
    channels: ChannelCounter,
    lane: Vec<EpilogueLane>,
    packer: PlanePacker,
    results: ResultPort,
    valid_line: Vec<EnabledResetRegister>,
    row_end_line: Vec<EnabledResetRegister>,
    tile_end_line: Vec<EnabledRegister>,
    column_end_line: Vec<EnabledRegister>,
    final_end_line: Vec<EnabledRegister>,
    final_value_line: Vec<EnabledRegister>,
    tag: Vec<RowTag>,
    last_tag: EnabledRegister,
    channel_line: Vec<EnabledRegister>,
    finishing: ResetRegister,
    finished: ResetRegister,
    range_error: ResetRegister,
    table_error: ResetRegister,
    /// What the descriptor does not ask for; registers, because they reset others.
    no_thresholds: ResetRegister,
    no_affine: ResetRegister,
    no_early: ResetRegister,
    no_late: ResetRegister,
    flow: Net<Local>,
    restart: Net<Local>,
    doubled: Net<Local>,
    accumulates: Net<Local>,
    raw: Net<Local>,
    adds_early: Net<Local>,
    value_valid: Net<Local>,
    value_last: Net<Local>,
    code_valid: Net<Local>,
    code_row_end: Net<Local>,
    code_last: Net<Local>,
    code_final: Net<Local>,
    row_end_at: Vec<Net<Local>>,
    granule_at: Vec<Net<Local>>,
    offers: Net<Local>,
    is_last: Net<Local>,
    some_keep: Net<Local>,
    lane_write: Vec<Net<Local>>,
    level_write: Vec<Net<Local>>,
    level_used: Vec<Net<Local>>,
    channel_at: Vec<Net<Local>>,
    table_past: Net<Local>,
    early_valid: Net<Local>,
    late_valid: Net<Local>,
    channel_valid: Net<Local>,
    past_constant: Net<Local>,
    past_channel: Net<Local>,
    past_table: Net<Local>,
    finishes: Net<Local>,
    level_number: Vec<Constant>,
    lane_number: Vec<Constant>,
    range_code: Constant,
    table_code: Constant,
    no_error: Constant,
    constant_top: Constant,
    channel_top: Constant,
    one_place: Constant,
    zero: Constant,
    one_bit: Constant,
    _one: usize,
    _serial: usize,
    _parallel: usize,
    _rows: usize,
    _columns: usize,
    _activation_branches: usize,
    _weight_branches: usize,
    _stepwise: usize,
    _spaced: usize,
    _direct: usize,
    _buffered: usize,
    _lanes: usize,
    _levels: usize,
    _last_level: usize,
    _stages: usize,
    _last_stage: usize,
    _early: usize,
    _early_end: usize,
    _channel_stages: usize,
    _last_channel_stage: usize,
    _value: usize,
    _value_end: usize,
    _late: usize,
    _late_end: usize,
    _tags: usize,
    _tags_end: usize,
    _one_width: usize,
    _constant_address: usize,
    _channel_address: usize,
}

impl BackEnd {
    /// The back end of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let (design, array) = (d.design(), d.design().config());
        let field = |f: Field| Net::new(f.width(d));
        let (lanes, levels) = (d.config().drain_columns, d.config().threshold_bits);
        let stages = d.epilogue_stages();
        // Stages 2 and Q - 2: the table's address stands there.
        let (early, late) = (1, d.requantization_stages() as usize + 2);
        let tags = stages.div_ceil(d.drain_steps) - 1;
        let serial = usize::from(design.row_planes == 1);
        let buffered = usize::from(design.broadcast_stages() > 0);
        let error = 4;
        BackEnd {
            shape: Shape::new(
                format!("back_end_r{}_c{}_e{lanes}", array.rows, array.columns),
                "From the array to the memories and the result stream. Timing: docs/accelerator.md of XnorForge.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            go_compute: Net::new(1),
            to_activation: field(Field::ToActivation),
            to_residual: field(Field::ToResidual),
            to_stream: field(Field::ToStream),
            mode: field(Field::Mode),
            residual_before: field(Field::ResidualBefore),
            residual_after: field(Field::ResidualAfter),
            round_even: field(Field::RoundEven),
            stream_last: field(Field::StreamLast),
            out_width: field(Field::OutWidth),
            out_height: field(Field::OutHeight),
            last_rows: field(Field::LastRows),
            align: field(Field::Align),
            result_shift: field(Field::ResultShift),
            levels: field(Field::Levels),
            shift: field(Field::Shift),
            constant_base: field(Field::ConstantBase),
            class_x_pitch: field(Field::ClassXPitch),
            class_y_pitch: field(Field::ClassYPitch),
            y_lead: field(Field::YLead),
            y_trail: field(Field::YTrail),
            x_lead: field(Field::XLead),
            x_trail: field(Field::XTrail),
            channel_base: field(Field::ChannelBase),
            table_base: field(Field::TableBase),
            offset: field(Field::Offset),
            code_min: field(Field::CodeMin),
            code_max: field(Field::CodeMax),
            out_groups: field(Field::OutGroups),
            out_base: field(Field::OutBase),
            out_pitch: field(Field::OutPitch),
            out_last: field(Field::OutLast),
            out_granule: field(Field::OutGranule),
            out_pixel: field(Field::OutPixel),
            residual_base: field(Field::ResidualBase),
            residual_pitch: field(Field::ResidualPitch),
            residual_groups: field(Field::ResidualGroups),
            last_columns: field(Field::LastColumns),
            constant_write: Net::new(1),
            threshold_write: Net::new(1),
            affine_write: Net::new(1),
            table_write: Net::new(1),
            load_level: Net::new(4),
            load_lane: Net::new(8),
            load_address: Net::new(d.lane_address_width()),
            load_value: Net::new(d.affine_width),
            operand_valid: Net::new(1),
            operand_first: Net::new(1),
            operand_last: Net::new(1),
            operand_shift: Net::new(design.shift_amounts.len() as u32),
            operand_row_mode: Net::new(2),
            operand_last_column: Net::new(1),
            operand_last_row: Net::new(1),
            activation: grid(array.rows, array.activation_branches, array.lanes),
            weight: grid(array.columns, array.weight_branches, array.lanes),
            result_ready: Net::new(1),
            advance: Net::new(1),
            back_write: Net::new(d.slices),
            back_address: Net::new(d.activation_address_width),
            back_value: Net::new(d.granule_width()),
            result_valid: Net::new(1),
            result_data: Net::vector(lanes, RESULT_BITS),
            result_keep: Net::vector(lanes, 1),
            result_last: Net::new(1),
            drain_stall: Net::new(1),
            output_stall: Net::new(1),
            compute_finished: Net::new(1),
            back_error: Net::new(error),
            beats: BeatPipeline::new(design),
            array: PeArray::draining(design, lanes),
            drain: TileDrain::new(d),
            buffer: (0..buffered).map(|_| StepBuffer::new(d)).collect(),
            walker: RowWalker::new(d),
            reader: RowReader::new(d),
            channels: ChannelCounter::new(d),
            lane: (0..lanes).map(|_| EpilogueLane::new(d)).collect(),
            packer: PlanePacker::new(d),
            results: ResultPort::new(d),
            valid_line: EnabledResetRegister::vector(stages, 1),
            row_end_line: EnabledResetRegister::vector(stages, 1),
            tile_end_line: EnabledRegister::vector(VALUE_STAGE - 1, 1),
            column_end_line: EnabledRegister::vector(VALUE_STAGE - 1, 1),
            final_end_line: EnabledRegister::vector(stages, 1),
            final_value_line: EnabledRegister::vector(stages, 1),
            tag: (0..tags).map(|_| RowTag::new(d)).collect(),
            last_tag: EnabledRegister::new(d.granule_address_width),
            channel_line: EnabledRegister::vector(levels - 1, d.channel_address_width),
            finishing: ResetRegister::new(1),
            finished: ResetRegister::new(1),
            range_error: ResetRegister::new(1),
            table_error: ResetRegister::new(1),
            no_thresholds: ResetRegister::new(1),
            no_affine: ResetRegister::new(1),
            no_early: ResetRegister::new(1),
            no_late: ResetRegister::new(1),
            flow: Net::new(1),
            restart: Net::new(1),
            doubled: Net::new(1),
            accumulates: Net::new(1),
            raw: Net::new(1),
            adds_early: Net::new(1),
            value_valid: Net::new(1),
            value_last: Net::new(1),
            code_valid: Net::new(1),
            code_row_end: Net::new(1),
            code_last: Net::new(1),
            code_final: Net::new(1),
            row_end_at: Net::vector(tags + 1, 1),
            granule_at: Net::vector(tags + 1, d.granule_address_width),
            offers: Net::new(1),
            is_last: Net::new(1),
            some_keep: Net::new(1),
            lane_write: Net::vector(lanes, 1),
            level_write: Net::vector(levels, 1),
            level_used: Net::vector(levels, 1),
            channel_at: Net::vector(levels, d.channel_address_width),
            table_past: Net::new(1),
            early_valid: Net::new(1),
            late_valid: Net::new(1),
            channel_valid: Net::new(1),
            past_constant: Net::new(1),
            past_channel: Net::new(1),
            past_table: Net::new(1),
            finishes: Net::new(1),
            level_number: (0..levels).map(|b| Constant::new(4, b.into())).collect(),
            lane_number: (0..lanes).map(|e| Constant::new(8, e.into())).collect(),
            range_code: Constant::new(error, 6),
            table_code: Constant::new(error, 9),
            no_error: Constant::new(error, 0),
            constant_top: Constant::new(32, d.constant_address_width.into()),
            channel_top: Constant::new(32, d.channel_address_width.into()),
            one_place: Constant::new(32, 1),
            zero: Constant::new(1, 0),
            one_bit: Constant::new(1, 1),
            _one: 1,
            _serial: serial,
            _parallel: 1 - serial,
            _rows: array.rows as usize,
            _columns: array.columns as usize,
            _activation_branches: array.activation_branches as usize,
            _weight_branches: array.weight_branches as usize,
            _spaced: usize::from(d.rows_are_spaced()),
            _direct: 1 - buffered,
            _buffered: buffered,
            _stepwise: usize::from(lanes < array.columns),
            _lanes: lanes as usize,
            _levels: levels as usize,
            _last_level: levels as usize - 1,
            _stages: stages as usize,
            _last_stage: stages as usize - 1,
            _early: early,
            _early_end: early + 1,
            _channel_stages: VALUE_STAGE as usize - 1,
            _last_channel_stage: VALUE_STAGE as usize - 2,
            _value: VALUE_STAGE as usize - 1,
            _value_end: VALUE_STAGE as usize,
            _late: late,
            _late_end: late + 1,
            _tags: tags as usize,
            _tags_end: tags as usize + 1,
            _one_width: 1,
            _constant_address: d.constant_address_width as usize,
            _channel_address: d.channel_address_width as usize,
        }
    }
}

impl Logic for BackEnd {
    #[hdl_gen]
    fn update(&mut self) {
        self.flow.next = self.results.in_ready.val();
        self.restart.next = self.reset.val() | self.go_compute.val();
        if self.mode.val().any() {
            self.raw.next = self.zero.val();
        } else {
            self.raw.next = self.one_bit.val();
        }
        self.adds_early.next = self.residual_before.val() & (!self.residual_after.val());

        self.no_thresholds.clock.next = self.clock.val();
        self.no_thresholds.reset.next = self.reset.val();
        self.no_thresholds.d.next = !(bits_resize(self.mode.val(), self._one_width));
        self.no_affine.clock.next = self.clock.val();
        self.no_affine.reset.next = self.reset.val();
        self.no_affine.d.next =
            !(bits_resize(self.mode.val() >> self.one_place.val(), self._one_width));
        self.no_early.clock.next = self.clock.val();
        self.no_early.reset.next = self.reset.val();
        self.no_early.d.next = !self.adds_early.val();
        self.no_late.clock.next = self.clock.val();
        self.no_late.reset.next = self.reset.val();
        self.no_late.d.next = !self.residual_after.val();

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
        self.beats.last_column.next = self.operand_last_column.val();
        self.beats.last_row.next = self.operand_last_row.val();

        self.accumulates.next = self.drain.advance.val() & self.beats.leaves_valid.val();
        self.array.clock.next = self.clock.val();
        self.array.advance.next = self.drain.advance.val();
        self.array.accumulate.next = self.accumulates.val();
        self.array.first.next = self.beats.leaves_first.val();
        self.array.shift.next = self.beats.leaves_shift.val();
        self.array.twice.next = self.beats.leaves_twice.val();
        self.array.mode.next = self.operand_row_mode.val();
        self.array.load.next = self.drain.load.val();
        self.array.move_drain.next = self.drain.move_drain.val();
        for i in 0..self._stepwise {
            self.array.move_row[i].next = self.drain.move_row.val();
        }
        for r in 0..self._rows {
            for m in 0..self._activation_branches {
                self.array.activation[r][m].next = self.activation[r][m].val();
            }
        }
        for c in 0..self._columns {
            for k in 0..self._weight_branches {
                self.array.weight[c][k].next = self.weight[c][k].val();
            }
        }

        self.drain.clock.next = self.clock.val();
        self.drain.reset.next = self.reset.val();
        self.drain.valid.next = self.beats.leaves_valid.val();
        self.drain.last.next = self.beats.leaves_last.val();
        self.drain.last_column.next = self.beats.leaves_last_column.val();
        self.drain.last_row.next = self.beats.leaves_last_row.val();
        for _i in 0..self._direct {
            self.drain.flow.next = self.flow.val();
        }
        for b in 0..self._buffered {
            self.drain.flow.next = self.buffer[b].credit.val();
        }
        self.drain.row_ready.next = self.reader.row_ready.val();
        self.drain.last_rows.next = self.last_rows.val();
        self.drain.last_columns.next = self.last_columns.val();
        for i in 0..self._spaced {
            self.drain.out_groups[i].next = self.out_groups.val();
        }

        self.walker.clock.next = self.clock.val();
        self.walker.reset.next = self.reset.val();
        self.walker.go.next = self.go_compute.val();
        self.walker.load.next = self.drain.load.val();
        self.walker.ready.next = self.reader.ready.val();
        self.walker.tile_rows.next = self.drain.tile_rows.val();
        self.walker.tile_last_column.next = self.drain.tile_last_column.val();
        self.walker.out_width.next = self.out_width.val();
        self.walker.out_height.next = self.out_height.val();
        self.walker.x_lead.next = self.x_lead.val();
        self.walker.x_trail.next = self.x_trail.val();
        self.walker.y_lead.next = self.y_lead.val();
        self.walker.y_trail.next = self.y_trail.val();
        self.walker.constant_base.next = self.constant_base.val();
        self.walker.class_x_pitch.next = self.class_x_pitch.val();
        self.walker.class_y_pitch.next = self.class_y_pitch.val();
        self.walker.out_granule.next = self.out_granule.val();
        self.walker.out_pixel.next = self.out_pixel.val();

        self.reader.clock.next = self.clock.val();
        self.reader.reset.next = self.restart.val();
        self.reader.gives.next = self.walker.gives.val();
        self.reader.granule.next = self.walker.granule.val();
        self.reader.constant.next = self.walker.constant.val();
        self.reader.step.next = self.drain.step.val();
        self.reader.row_end.next = self.drain.row_end.val();
        self.reader.column.next = self.drain.column.val();
        for _i in 0..self._direct {
            self.reader.flow.next = self.flow.val();
        }
        for _b in 0..self._buffered {
            self.reader.flow.next = self.one_bit.val();
        }
        self.reader.uses_residual.next = self.residual_before.val() | self.residual_after.val();
        self.reader.residual_base.next = self.residual_base.val();
        self.reader.residual_pitch.next = self.residual_pitch.val();
        self.reader.residual_groups.next = self.residual_groups.val();
        self.reader.write.next = self.packer.residual_write.val();
        self.reader.write_address.next = self.packer.residual_address.val();
        self.reader.write_value.next = self.packer.back_value.val();

        for b in 0..self._buffered {
            self.buffer[b].clock.next = self.clock.val();
            self.buffer[b].reset.next = self.reset.val();
            self.buffer[b].flow.next = self.flow.val();
            self.buffer[b].step.next = self.drain.step.val();
            self.buffer[b].row_end.next = self.drain.row_end.val();
            self.buffer[b].tile_end.next = self.drain.tile_end.val();
            self.buffer[b].column_end.next = self.drain.column_end.val();
            self.buffer[b].final_end.next = self.drain.final_end.val();
            self.buffer[b].final_value.next = self.drain.final_value.val();
            self.buffer[b].constant.next = self.reader.row_constant.val();
            self.buffer[b].granule.next = self.reader.row_granule.val();
            self.buffer[b].row_sum.next = self.array.row_drained.val();
            for i in 0..self._spaced {
                self.buffer[b].out_groups[i].next = self.out_groups.val();
            }
            for e in 0..self._lanes {
                self.buffer[b].keep[e].next = self.drain.keep[e].val();
                self.buffer[b].code[e].next = self.reader.code[e].val();
                self.buffer[b].sum[e].next = self.array.drained[e].val();
            }
        }

        // What travels beside the values: line[i] stands in stage i + 1.
        for s in 0..self._stages {
            self.valid_line[s].clock.next = self.clock.val();
            self.valid_line[s].reset.next = self.reset.val();
            self.valid_line[s].enable.next = self.flow.val();
            self.row_end_line[s].clock.next = self.clock.val();
            self.row_end_line[s].reset.next = self.reset.val();
            self.row_end_line[s].enable.next = self.flow.val();
            self.final_end_line[s].clock.next = self.clock.val();
            self.final_end_line[s].enable.next = self.flow.val();
            self.final_value_line[s].clock.next = self.clock.val();
            self.final_value_line[s].enable.next = self.flow.val();
        }
        for s in 0..self._channel_stages {
            self.tile_end_line[s].clock.next = self.clock.val();
            self.tile_end_line[s].enable.next = self.flow.val();
            self.column_end_line[s].clock.next = self.clock.val();
            self.column_end_line[s].enable.next = self.flow.val();
        }
        for s in 0..self._one {
            for _i in 0..self._direct {
                self.valid_line[s].d.next = self.drain.step.val();
                self.row_end_line[s].d.next = self.drain.row_end.val();
                self.final_end_line[s].d.next = self.drain.final_end.val();
                self.final_value_line[s].d.next = self.drain.final_value.val();
                self.tile_end_line[s].d.next = self.drain.tile_end.val();
                self.column_end_line[s].d.next = self.drain.column_end.val();
            }
            for b in 0..self._buffered {
                self.valid_line[s].d.next = self.buffer[b].out_step.val();
                self.row_end_line[s].d.next = self.buffer[b].out_row_end.val();
                self.final_end_line[s].d.next = self.buffer[b].out_final_end.val();
                self.final_value_line[s].d.next = self.buffer[b].out_final_value.val();
                self.tile_end_line[s].d.next = self.buffer[b].out_tile_end.val();
                self.column_end_line[s].d.next = self.buffer[b].out_column_end.val();
            }
        }
        for s in 0..self._last_stage {
            self.valid_line[s + 1].d.next = self.valid_line[s].q.val();
            self.row_end_line[s + 1].d.next = self.row_end_line[s].q.val();
            self.final_end_line[s + 1].d.next = self.final_end_line[s].q.val();
            self.final_value_line[s + 1].d.next = self.final_value_line[s].q.val();
        }
        for s in 0..self._last_channel_stage {
            self.tile_end_line[s + 1].d.next = self.tile_end_line[s].q.val();
            self.column_end_line[s + 1].d.next = self.column_end_line[s].q.val();
        }
        for s in self._early..self._early_end {
            self.early_valid.next = self.valid_line[s].q.val();
        }
        for s in self._last_channel_stage..self._channel_stages {
            self.channel_valid.next = self.valid_line[s].q.val();
            self.channels.row_end.next = self.row_end_line[s].q.val();
            self.channels.tile_end.next = self.tile_end_line[s].q.val();
            self.channels.column_end.next = self.column_end_line[s].q.val();
        }
        for s in self._value..self._value_end {
            self.value_valid.next = self.valid_line[s].q.val();
            self.value_last.next = self.final_value_line[s].q.val();
        }
        for s in self._late..self._late_end {
            self.late_valid.next = self.valid_line[s].q.val();
        }
        for s in self._last_stage..self._stages {
            self.code_valid.next = self.valid_line[s].q.val();
            self.code_row_end.next = self.row_end_line[s].q.val();
            self.code_last.next = self.final_value_line[s].q.val();
            self.code_final.next = self.final_end_line[s].q.val();
        }
        for t in 0..self._one {
            for _i in 0..self._direct {
                self.row_end_at[t].next = self.drain.row_end.val();
                self.granule_at[t].next = self.reader.row_granule.val();
            }
            for b in 0..self._buffered {
                self.row_end_at[t].next = self.buffer[b].out_row_end.val();
                self.granule_at[t].next = self.buffer[b].out_granule.val();
            }
        }
        for t in 0..self._tags {
            self.tag[t].clock.next = self.clock.val();
            self.tag[t].reset.next = self.reset.val();
            self.tag[t].flow.next = self.flow.val();
            self.tag[t].row_end.next = self.row_end_at[t].val();
            self.tag[t].granule.next = self.granule_at[t].val();
            self.row_end_at[t + 1].next = self.tag[t].next_row_end.val();
            self.granule_at[t + 1].next = self.tag[t].next_granule.val();
        }
        for t in self._tags..self._tags_end {
            self.last_tag.clock.next = self.clock.val();
            self.last_tag.enable.next = self.flow.val() & self.row_end_at[t].val();
            self.last_tag.d.next = self.granule_at[t].val();
        }

        self.channels.clock.next = self.clock.val();
        self.channels.go.next = self.go_compute.val();
        self.channels.step.next = self.flow.val() & self.channel_valid.val();
        self.channels.channel_base.next = self.channel_base.val();
        for b in 0..self._one {
            self.channel_at[b].next =
                bits_resize(self.channels.channel.val(), self._channel_address);
        }
        for b in 0..self._last_level {
            self.channel_line[b].clock.next = self.clock.val();
            self.channel_line[b].enable.next = self.flow.val();
            self.channel_line[b].d.next = self.channel_at[b].val();
            self.channel_at[b + 1].next = self.channel_line[b].q.val();
        }
        for b in 0..self._levels {
            self.level_used[b].next = (self.levels.val() > self.level_number[b].val()).into();
            if self.load_level.val() == self.level_number[b].val() {
                self.level_write[b].next = self.threshold_write.val();
            } else {
                self.level_write[b].next = self.zero.val();
            }
        }

        for e in 0..self._lanes {
            self.lane_write[e].next = (self.load_lane.val() == self.lane_number[e].val()).into();
            self.lane[e].clock.next = self.clock.val();
            self.lane[e].flow.next = self.flow.val();
            for _i in 0..self._direct {
                self.lane[e].sum.next = self.array.drained[e].val();
                self.lane[e].keep.next = self.drain.keep[e].val();
                self.lane[e].constant.next =
                    bits_resize(self.reader.row_constant.val(), self._constant_address);
                self.lane[e].row_sum.next = self.array.row_drained.val();
                self.lane[e].residual.next = self.reader.code[e].val();
            }
            for b in 0..self._buffered {
                self.lane[e].sum.next = self.buffer[b].out_sum[e].val();
                self.lane[e].keep.next = self.buffer[b].out_keep[e].val();
                self.lane[e].constant.next = self.buffer[b].out_constant.val();
                self.lane[e].row_sum.next = self.buffer[b].out_row_sum.val();
                self.lane[e].residual.next = self.buffer[b].out_code[e].val();
            }
            for b in 0..self._levels {
                self.lane[e].channel[b].next = self.channel_at[b].val();
                self.lane[e].level_used[b].next = self.level_used[b].val();
                self.lane[e].threshold_write[b].next =
                    self.level_write[b].val() & self.lane_write[e].val();
            }
            self.lane[e].raw.next = self.raw.val();
            self.lane[e].no_thresholds.next = self.no_thresholds.q.val();
            self.lane[e].no_affine.next = self.no_affine.q.val();
            self.lane[e].no_early.next = self.no_early.q.val();
            self.lane[e].no_late.next = self.no_late.q.val();
            self.lane[e].adds_late.next = self.residual_after.val();
            self.lane[e].align.next = self.align.val();
            self.lane[e].result_shift.next = self.result_shift.val();
            self.lane[e].table_base.next = self.table_base.val();
            self.lane[e].shift.next = self.shift.val();
            self.lane[e].round_even.next = self.round_even.val();
            self.lane[e].offset.next = self.offset.val();
            self.lane[e].code_min.next = self.code_min.val();
            self.lane[e].code_max.next = self.code_max.val();
            self.lane[e].constant_write.next = self.constant_write.val() & self.lane_write[e].val();
            self.lane[e].affine_write.next = self.affine_write.val() & self.lane_write[e].val();
            self.lane[e].table_write.next = self.table_write.val();
            self.lane[e].load_address.next = self.load_address.val();
            self.lane[e].load_value.next = self.load_value.val();
        }

        self.packer.clock.next = self.clock.val();
        self.packer.reset.next = self.reset.val();
        self.packer.flow.next = self.flow.val();
        self.packer.valid.next = self.code_valid.val();
        self.packer.row_end.next = self.code_row_end.val();
        self.packer.granule.next = self.last_tag.q.val();
        self.packer.to_activation.next = self.to_activation.val();
        self.packer.to_residual.next = self.to_residual.val();
        self.packer.out_groups.next = self.out_groups.val();
        self.packer.out_base.next = self.out_base.val();
        self.packer.out_pitch.next = self.out_pitch.val();
        self.packer.out_last.next = self.out_last.val();
        for e in 0..self._lanes {
            self.packer.code[e].next = self.lane[e].planes.val();
        }
        self.back_write.next = self.packer.back_write.val();
        self.back_address.next = self.packer.back_address.val();
        self.back_value.next = self.packer.back_value.val();

        for e in 0..self._lanes {
            self.results.in_keep[e].next = self.lane[e].stream_keep.val();
            self.results.in_value[e].next = self.lane[e].stream_value.val();
            self.result_keep[e].next = self.results.out_keep[e].val();
            self.result_data[e].next = self.results.out_value[e].val();
        }
        for e in 0..self._one {
            self.some_keep.next = self.lane[e].stream_keep.val();
        }
        if self.raw.val().any() {
            self.offers.next = self.value_valid.val();
            self.is_last.next = self.value_last.val();
        } else {
            self.offers.next = self.code_valid.val();
            self.is_last.next = self.code_last.val();
        }
        self.results.clock.next = self.clock.val();
        self.results.reset.next = self.reset.val();
        self.results.in_valid.next =
            ((self.offers.val() & self.some_keep.val()) & self.to_stream.val()) & self.flow.val();
        self.results.in_last.next = self.is_last.val() & self.stream_last.val();
        self.results.out_ready.next = self.result_ready.val();
        self.result_valid.next = self.results.out_valid.val();
        self.result_last.next = self.results.out_last.val();

        self.table_past.next = self.zero.val();
        for e in 0..self._lanes {
            self.table_past.next = self.table_past.val() | self.lane[e].table_past.val();
        }
        for _i in 0..self._direct {
            self.past_constant.next = self.drain.step.val()
                & bits_resize(
                    self.reader.row_constant.val() >> self.constant_top.val(),
                    self._one_width,
                );
        }
        for b in 0..self._buffered {
            self.past_constant.next = self.buffer[b].out_step.val() & self.buffer[b].out_past.val();
        }
        self.past_channel.next = (self.channel_valid.val() & (!self.raw.val()))
            & bits_resize(
                self.channels.channel.val() >> self.channel_top.val(),
                self._one_width,
            );
        self.past_table.next = self.table_past.val()
            & ((self.adds_early.val() & self.early_valid.val())
                | (self.residual_after.val() & self.late_valid.val()));
        self.range_error.clock.next = self.clock.val();
        self.range_error.reset.next = self.reset.val();
        self.range_error.d.next =
            self.range_error.q.val() | (self.packer.past.val() & (!self.table_error.q.val()));
        self.table_error.clock.next = self.clock.val();
        self.table_error.reset.next = self.reset.val();
        self.table_error.d.next = self.table_error.q.val()
            | (((self.past_constant.val() | self.past_channel.val()) | self.past_table.val())
                & (!(self.range_error.q.val() | self.packer.past.val())));
        if self.range_error.q.val().any() {
            self.back_error.next = self.range_code.val();
        } else if self.table_error.q.val().any() {
            self.back_error.next = self.table_code.val();
        } else {
            self.back_error.next = self.no_error.val();
        }

        self.finishes.next =
            self.finishing.q.val() & (!(self.packer.pending.val() | self.results.out_valid.val()));
        self.finishing.clock.next = self.clock.val();
        self.finishing.reset.next = self.reset.val();
        self.finishing.d.next = (self.finishing.q.val() & (!self.finishes.val()))
            | ((self.code_valid.val() & self.code_final.val()) & self.flow.val());
        self.finished.clock.next = self.clock.val();
        self.finished.reset.next = self.reset.val();
        self.finished.d.next = self.finishes.val();
        self.compute_finished.next = self.finished.q.val();

        self.advance.next = self.drain.advance.val();
        self.drain_stall.next = !self.drain.advance.val();
        for _i in 0..self._direct {
            self.output_stall.next = !(self.drain.advance.val() | self.flow.val());
        }
        for b in 0..self._buffered {
            self.output_stall.next = !(self.drain.advance.val() | self.buffer[b].credit.val());
        }
    }
}
