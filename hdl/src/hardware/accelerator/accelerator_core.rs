//! The whole accelerator.

use super::{
    BackEnd, ComputeEngine, Counters, DescriptorRegisters, InputPort, PatchSystem, ProgramPort,
    Sequencer, WeightBanks, WeightPort,
};
use crate::accelerator::AcceleratorDesign;
use crate::accelerator::config::RESULT_BITS;
use crate::rtl::prelude::*;

/// The core: the array with its memories and control behind streams. Ports and timing are those of
/// `docs/accelerator.md`.
#[derive(Clone, Debug, LogicBlock)]
pub struct Accelerator {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, active high. Memories keep their contents.
    pub reset: Net<In>,
    /// Starts the program at `start_address`, if none runs.
    pub start: Net<In>,
    /// Its first descriptor's word in the program memory.
    pub start_address: Net<In>,
    /// How often it is run.
    pub runs: Net<In>,
    /// A program runs.
    pub busy: Net<Out>,
    /// The last run has ended, for one cycle.
    pub done: Net<Out>,
    /// The first error since the last start (`docs/accelerator.md`), or 0.
    pub error: Net<Out>,
    /// Counter set of the descriptor at hand.
    pub layer: Net<Out>,
    /// A word of a program packet is offered.
    pub program_valid: Net<In>,
    /// It is taken if it is offered.
    pub program_ready: Net<Out>,
    /// The word.
    pub program_data: Net<In>,
    /// It is the packet's last.
    pub program_last: Net<In>,
    /// A beat of weights is offered.
    pub weight_valid: Net<In>,
    /// It is taken if it is offered.
    pub weight_ready: Net<Out>,
    /// The beat.
    pub weight_data: Net<In>,
    /// It is the packet's last.
    pub weight_last: Net<In>,
    /// A beat of a tensor is offered.
    pub input_valid: Net<In>,
    /// It is taken if it is offered.
    pub input_ready: Net<Out>,
    /// The beat.
    pub input_data: Net<In>,
    /// It is the packet's last.
    pub input_last: Net<In>,
    /// A transfer of results is offered.
    pub result_valid: Net<Out>,
    /// It is taken if it is offered.
    pub result_ready: Net<In>,
    /// One value for each drained column.
    pub result_data: Vec<Net<Out>>,
    /// Which of them are valid.
    pub result_keep: Vec<Net<Out>>,
    /// It is the last one that the descriptor marks.
    pub result_last: Net<Out>,
    /// Clears the performance counters.
    pub counter_clear: Net<In>,
    /// They are being cleared.
    pub counter_clearing: Net<Out>,
    /// A counter: layer * 8 + cause.
    pub counter_address: Net<In>,
    /// The counter at the address of the cycle before.
    pub counter_value: Net<Out>,
    sequencer: Sequencer,
    fields: DescriptorRegisters,
    program_port: ProgramPort,
    weight_port: WeightPort,
    input_port: InputPort,
    banks: WeightBanks,
    engine: ComputeEngine,
    patches: PatchSystem,
    back: BackEnd,
    counters: Counters,
    engine_reset: Net<Local>,
    _schedule_address: usize,
    _schedule_value: usize,
    _program_address: usize,
    _program_value: usize,
    _lane_address: usize,
    _lane_value: usize,
    _lanes: usize,
    _rows: usize,
    _columns: usize,
    _activation_branches: usize,
    _weight_branches: usize,
}

impl Accelerator {
    /// The accelerator of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let (array, c) = (d.design().config(), d.config());
        let (stream, lanes) = (c.stream_bits, c.drain_columns);
        Accelerator {
            shape: Shape::new(
                d.top_name().trim_start_matches("xnf_"),
                "The accelerator's core. Ports and timing: docs/accelerator.md of XnorForge.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            start: Net::new(1),
            start_address: Net::new(d.program_address_width),
            runs: Net::new(16),
            busy: Net::new(1),
            done: Net::new(1),
            error: Net::new(8),
            layer: Net::new(d.layer_width),
            program_valid: Net::new(1),
            program_ready: Net::new(1),
            program_data: Net::new(32),
            program_last: Net::new(1),
            weight_valid: Net::new(1),
            weight_ready: Net::new(1),
            weight_data: Net::new(stream),
            weight_last: Net::new(1),
            input_valid: Net::new(1),
            input_ready: Net::new(1),
            input_data: Net::new(stream),
            input_last: Net::new(1),
            result_valid: Net::new(1),
            result_ready: Net::new(1),
            result_data: Net::vector(lanes, RESULT_BITS),
            result_keep: Net::vector(lanes, 1),
            result_last: Net::new(1),
            counter_clear: Net::new(1),
            counter_clearing: Net::new(1),
            counter_address: Net::new(d.layer_width + 3),
            counter_value: Net::new(32),
            sequencer: Sequencer::new(d),
            fields: DescriptorRegisters::new(d),
            program_port: ProgramPort::new(d),
            weight_port: WeightPort::new(d),
            input_port: InputPort::new(d),
            banks: WeightBanks::new(d),
            engine: ComputeEngine::new(d),
            patches: PatchSystem::new(d),
            back: BackEnd::new(d),
            counters: Counters::new(d),
            engine_reset: Net::new(1),
            _schedule_address: d.schedule_address_width as usize,
            _schedule_value: d.schedule_width as usize,
            _program_address: d.program_address_width as usize,
            _program_value: 32,
            _lane_address: d.lane_address_width() as usize,
            _lane_value: d.affine_width as usize,
            _lanes: lanes as usize,
            _rows: array.rows as usize,
            _columns: array.columns as usize,
            _activation_branches: array.activation_branches as usize,
            _weight_branches: array.weight_branches as usize,
        }
    }
}

impl Logic for Accelerator {
    #[hdl_gen]
    fn update(&mut self) {
        // An error stops the engines; the sequencer stops itself, and the program port has its own way.
        self.engine_reset.next = self.reset.val() | self.sequencer.flush.val();

        self.sequencer.clock.next = self.clock.val();
        self.sequencer.reset.next = self.reset.val();
        self.sequencer.opcode.next = self.fields.opcode.val();
        self.sequencer.wait_weights.next = self.fields.wait_weights.val();
        self.sequencer.to_activation.next = self.fields.to_activation.val();
        self.sequencer.to_residual.next = self.fields.to_residual.val();
        self.sequencer.mode.next = self.fields.mode.val();
        self.sequencer.residual_before.next = self.fields.residual_before.val();
        self.sequencer.residual_after.next = self.fields.residual_after.val();
        self.sequencer.in_base.next = self.fields.in_base.val();
        self.sequencer.in_last.next = self.fields.in_last.val();
        self.sequencer.out_base.next = self.fields.out_base.val();
        self.sequencer.out_last.next = self.fields.out_last.val();
        self.sequencer.start.next = self.start.val();
        self.sequencer.start_address.next = self.start_address.val();
        self.sequencer.runs.next = self.runs.val();
        self.sequencer.program_write.next = self.program_port.program_write.val();
        self.sequencer.program_address.next =
            bits_resize(self.program_port.load_address.val(), self._program_address);
        self.sequencer.program_value.next =
            bits_resize(self.program_port.load_value.val(), self._program_value);
        self.sequencer.compute_finished.next = self.back.compute_finished.val();
        self.sequencer.pool_finished.next = self.patches.pool_finished.val();
        self.sequencer.input_finished.next = self.input_port.input_finished.val();
        self.sequencer.weights_busy.next = self.weight_port.weights_busy.val();
        self.sequencer.compute_error.next = self.engine.compute_error.val();
        self.sequencer.back_error.next = self.back.back_error.val();
        self.sequencer.patch_error.next = self.patches.patch_error.val();
        self.sequencer.input_error.next = self.input_port.input_error.val();
        self.sequencer.weight_error.next = self.weight_port.weight_error.val();
        self.sequencer.load_error.next = self.program_port.load_error.val();

        self.fields.clock.next = self.clock.val();
        self.fields.reset.next = self.reset.val();
        self.fields.select.next = self.sequencer.fetch_select.val();
        self.fields.word.next = self.sequencer.fetch_word.val();

        self.program_port.clock.next = self.clock.val();
        self.program_port.reset.next = self.reset.val();
        self.program_port.accept.next = !self.sequencer.busy.val();
        self.program_port.program_valid.next = self.program_valid.val();
        self.program_port.program_data.next = self.program_data.val();
        self.program_port.program_last.next = self.program_last.val();

        self.weight_port.clock.next = self.clock.val();
        self.weight_port.reset.next = self.engine_reset.val();
        self.weight_port.weight_base.next = self.fields.weight_base.val();
        self.weight_port.weight_last.next = self.fields.weight_last.val();
        self.weight_port.go_weights.next = self.sequencer.go_weights.val();
        self.weight_port.weight_valid.next = self.weight_valid.val();
        self.weight_port.weight_data.next = self.weight_data.val();
        self.weight_port.weight_end.next = self.weight_last.val();

        self.input_port.clock.next = self.clock.val();
        self.input_port.reset.next = self.engine_reset.val();
        self.input_port.out_base.next = self.fields.out_base.val();
        self.input_port.out_last.next = self.fields.out_last.val();
        self.input_port.go_input.next = self.sequencer.go_input.val();
        self.input_port.input_valid.next = self.input_valid.val();
        self.input_port.input_data.next = self.input_data.val();
        self.input_port.input_last.next = self.input_last.val();

        self.banks.clock.next = self.clock.val();
        self.banks.write.next = self.weight_port.weight_write.val();
        self.banks.write_address.next = self.weight_port.weight_write_address.val();
        self.banks.write_value.next = self.weight_port.weight_write_value.val();
        self.banks.read.next = self.back.advance.val();
        self.banks.read_address.next = self.engine.weight_read_address.val();

        self.engine.clock.next = self.clock.val();
        self.engine.reset.next = self.engine_reset.val();
        self.engine.chunks.next = self.fields.chunks.val();
        self.engine.row_tiles.next = self.fields.row_tiles.val();
        self.engine.column_tiles.next = self.fields.column_tiles.val();
        self.engine.schedule_base.next = self.fields.schedule_base.val();
        self.engine.schedule_steps.next = self.fields.schedule_steps.val();
        self.engine.weight_base.next = self.fields.weight_base.val();
        self.engine.weight_tile.next = self.fields.weight_tile.val();
        self.engine.weight_last.next = self.fields.weight_last.val();
        self.engine.go_compute.next = self.sequencer.go_compute.val();
        self.engine.schedule_write.next = self.program_port.schedule_write.val();
        self.engine.load_address.next =
            bits_resize(self.program_port.load_address.val(), self._schedule_address);
        self.engine.load_value.next =
            bits_resize(self.program_port.load_value.val(), self._schedule_value);
        self.engine.patch_full.next = self.patches.patch_full.val();
        self.engine.advance.next = self.back.advance.val();

        self.patches.clock.next = self.clock.val();
        self.patches.reset.next = self.engine_reset.val();
        self.patches.in_base.next = self.fields.in_base.val();
        self.patches.in_pitch.next = self.fields.in_pitch.val();
        self.patches.in_last.next = self.fields.in_last.val();
        self.patches.image_pitch.next = self.fields.image_pitch.val();
        self.patches.line_granules.next = self.fields.line_granules.val();
        self.patches.run_granules.next = self.fields.run_granules.val();
        self.patches.runs.next = self.fields.runs.val();
        self.patches.kernel_lines.next = self.fields.kernel_lines.val();
        self.patches.origin_x.next = self.fields.origin_x.val();
        self.patches.step_x.next = self.fields.step_x.val();
        self.patches.tap_x.next = self.fields.tap_x.val();
        self.patches.out_width.next = self.fields.out_width.val();
        self.patches.out_height.next = self.fields.out_height.val();
        self.patches.pad_code.next = self.fields.pad_code.val();
        self.patches.origin_line.next = self.fields.origin_line.val();
        self.patches.step_line.next = self.fields.step_line.val();
        self.patches.tap_line.next = self.fields.tap_line.val();
        self.patches.chunks.next = self.fields.chunks.val();
        self.patches.groups.next = self.fields.groups.val();
        self.patches.row_tiles.next = self.fields.row_tiles.val();
        self.patches.last_rows.next = self.fields.last_rows.val();
        self.patches.out_base.next = self.fields.out_base.val();
        self.patches.out_pitch.next = self.fields.out_pitch.val();
        self.patches.out_last.next = self.fields.out_last.val();
        self.patches.out_granule.next = self.fields.out_granule.val();
        self.patches.out_pixel.next = self.fields.out_pixel.val();
        self.patches.go_compute.next = self.sequencer.go_compute.val();
        self.patches.go_pool.next = self.sequencer.go_pool.val();
        self.patches.input_write.next = self.input_port.input_write.val();
        self.patches.input_address.next = self.input_port.input_write_address.val();
        self.patches.input_value.next = self.input_port.input_write_value.val();
        self.patches.back_write.next = self.back.back_write.val();
        self.patches.back_address.next = self.back.back_address.val();
        self.patches.back_value.next = self.back.back_value.val();
        self.patches.patch_release.next = self.engine.patch_release.val();
        self.patches.patch_read.next = self.back.advance.val();
        self.patches.patch_read_address.next = self.engine.patch_read_address.val();

        self.back.clock.next = self.clock.val();
        self.back.reset.next = self.engine_reset.val();
        self.back.to_activation.next = self.fields.to_activation.val();
        self.back.to_residual.next = self.fields.to_residual.val();
        self.back.to_stream.next = self.fields.to_stream.val();
        self.back.mode.next = self.fields.mode.val();
        self.back.residual_before.next = self.fields.residual_before.val();
        self.back.residual_after.next = self.fields.residual_after.val();
        self.back.round_even.next = self.fields.round_even.val();
        self.back.stream_last.next = self.fields.stream_last.val();
        self.back.out_width.next = self.fields.out_width.val();
        self.back.out_height.next = self.fields.out_height.val();
        self.back.last_rows.next = self.fields.last_rows.val();
        self.back.align.next = self.fields.align.val();
        self.back.result_shift.next = self.fields.result_shift.val();
        self.back.levels.next = self.fields.levels.val();
        self.back.shift.next = self.fields.shift.val();
        self.back.constant_base.next = self.fields.constant_base.val();
        self.back.class_x_pitch.next = self.fields.class_x_pitch.val();
        self.back.class_y_pitch.next = self.fields.class_y_pitch.val();
        self.back.y_lead.next = self.fields.y_lead.val();
        self.back.y_trail.next = self.fields.y_trail.val();
        self.back.x_lead.next = self.fields.x_lead.val();
        self.back.x_trail.next = self.fields.x_trail.val();
        self.back.channel_base.next = self.fields.channel_base.val();
        self.back.table_base.next = self.fields.table_base.val();
        self.back.offset.next = self.fields.offset.val();
        self.back.code_min.next = self.fields.code_min.val();
        self.back.code_max.next = self.fields.code_max.val();
        self.back.out_groups.next = self.fields.out_groups.val();
        self.back.out_base.next = self.fields.out_base.val();
        self.back.out_pitch.next = self.fields.out_pitch.val();
        self.back.out_last.next = self.fields.out_last.val();
        self.back.out_granule.next = self.fields.out_granule.val();
        self.back.out_pixel.next = self.fields.out_pixel.val();
        self.back.residual_base.next = self.fields.residual_base.val();
        self.back.residual_pitch.next = self.fields.residual_pitch.val();
        self.back.residual_groups.next = self.fields.residual_groups.val();
        self.back.last_columns.next = self.fields.last_columns.val();
        self.back.go_compute.next = self.sequencer.go_compute.val();
        self.back.constant_write.next = self.program_port.constant_write.val();
        self.back.threshold_write.next = self.program_port.threshold_write.val();
        self.back.affine_write.next = self.program_port.affine_write.val();
        self.back.table_write.next = self.program_port.table_write.val();
        self.back.load_level.next = self.program_port.load_level.val();
        self.back.load_lane.next = self.program_port.load_lane.val();
        self.back.load_address.next =
            bits_resize(self.program_port.load_address.val(), self._lane_address);
        self.back.load_value.next =
            bits_resize(self.program_port.load_value.val(), self._lane_value);
        self.back.operand_valid.next = self.engine.operand_valid.val();
        self.back.operand_first.next = self.engine.operand_first.val();
        self.back.operand_last.next = self.engine.operand_last.val();
        self.back.operand_last_column.next = self.engine.operand_last_column.val();
        self.back.operand_last_row.next = self.engine.operand_last_row.val();
        self.back.operand_shift.next = self.engine.operand_shift.val();
        self.back.operand_row_mode.next = self.engine.operand_row_mode.val();
        self.back.result_ready.next = self.result_ready.val();
        for r in 0..self._rows {
            for m in 0..self._activation_branches {
                self.back.activation[r][m].next = self.patches.activation[r][m].val();
            }
        }
        for c in 0..self._columns {
            for k in 0..self._weight_branches {
                self.back.weight[c][k].next = self.banks.weight[c][k].val();
            }
        }

        self.counters.clock.next = self.clock.val();
        self.counters.reset.next = self.reset.val();
        self.counters.layer.next = self.fields.layer.val();
        self.counters.counting.next = self.sequencer.busy.val();
        self.counters.state_compute.next = self.sequencer.state_compute.val();
        self.counters.state_pool.next = self.sequencer.state_pool.val();
        self.counters.state_input.next = self.sequencer.state_input.val();
        self.counters.state_weights.next = self.sequencer.state_weights.val();
        self.counters.weights_busy.next = self.weight_port.weights_busy.val();
        self.counters.operand_valid.next = self.engine.operand_valid.val();
        self.counters.waiting.next = self.engine.waiting.val();
        self.counters.drain_stall.next = self.back.drain_stall.val();
        self.counters.output_stall.next = self.back.output_stall.val();
        self.counters.counter_clear.next = self.counter_clear.val();
        self.counters.counter_address.next = self.counter_address.val();

        self.busy.next = self.sequencer.busy.val();
        self.done.next = self.sequencer.done.val();
        self.error.next = self.sequencer.error.val();
        self.layer.next = self.fields.layer.val();
        self.program_ready.next = self.program_port.program_ready.val();
        self.weight_ready.next = self.weight_port.weight_ready.val();
        self.input_ready.next = self.input_port.input_ready.val();
        self.result_valid.next = self.back.result_valid.val();
        self.result_last.next = self.back.result_last.val();
        self.counter_clearing.next = self.counters.counter_clearing.val();
        self.counter_value.next = self.counters.counter_value.val();
        for e in 0..self._lanes {
            self.result_data[e].next = self.back.result_data[e].val();
            self.result_keep[e].next = self.back.result_keep[e].val();
        }
    }
}
