//! The activation memories and everything that reads and writes them.

use super::loader::LoaderWidths;
use super::{
    GranuleCopies, Loader, LoaderStatus, PixelWalker, PoolUnit, RowOrder, SliceMemory, WordPlanes,
};
use crate::accelerator::{AcceleratorDesign, Field};
use crate::hardware::grid;
use crate::rtl::prelude::*;

/// F activation memories that hold the same words, a loader for each, R patch buffers that the array reads, and the
/// max-pool unit.
///
/// Loader f fills the patch buffers of rows f, f + F, f + 2F and so on. What the input port and the back end write
/// stands in a register for one cycle before it enters the memories.
#[derive(Clone, Debug, LogicBlock)]
pub struct PatchSystem {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Drops everything but the memories' contents.
    pub reset: Net<In>,
    /// A COMPUTE begins.
    pub go_compute: Net<In>,
    /// A POOL begins.
    pub go_pool: Net<In>,
    /// The descriptor's field.
    pub in_base: Net<In>,
    /// The descriptor's field.
    pub in_pitch: Net<In>,
    /// The descriptor's field.
    pub in_last: Net<In>,
    /// The descriptor's field.
    pub image_pitch: Net<In>,
    /// The descriptor's field.
    pub line_granules: Net<In>,
    /// The descriptor's field.
    pub run_granules: Net<In>,
    /// The descriptor's field.
    pub runs: Net<In>,
    /// The descriptor's field.
    pub kernel_lines: Net<In>,
    /// The descriptor's field.
    pub origin_x: Net<In>,
    /// The descriptor's field.
    pub step_x: Net<In>,
    /// The descriptor's field.
    pub tap_x: Net<In>,
    /// The descriptor's field.
    pub out_width: Net<In>,
    /// The descriptor's field.
    pub out_height: Net<In>,
    /// The descriptor's field.
    pub pad_code: Net<In>,
    /// The descriptor's field.
    pub origin_line: Net<In>,
    /// The descriptor's field.
    pub step_line: Net<In>,
    /// The descriptor's field.
    pub tap_line: Net<In>,
    /// The descriptor's field.
    pub chunks: Net<In>,
    /// The descriptor's field.
    pub groups: Net<In>,
    /// The descriptor's field.
    pub row_tiles: Net<In>,
    /// The descriptor's field.
    pub last_rows: Net<In>,
    /// The descriptor's field.
    pub out_base: Net<In>,
    /// The descriptor's field.
    pub out_pitch: Net<In>,
    /// The descriptor's field.
    pub out_last: Net<In>,
    /// The descriptor's field.
    pub out_granule: Net<In>,
    /// The descriptor's field.
    pub out_pixel: Net<In>,
    /// The input port writes a word.
    pub input_write: Net<In>,
    /// Where.
    pub input_address: Net<In>,
    /// What.
    pub input_value: Net<In>,
    /// The back end writes these slices.
    pub back_write: Net<In>,
    /// Where.
    pub back_address: Net<In>,
    /// A granule of every plane: plane i, lane l of G at bit `i*G + l`.
    pub back_value: Net<In>,
    /// Bit h: half h of the patch buffers has been used.
    pub patch_release: Net<In>,
    /// The patch buffers read at this edge.
    pub patch_read: Net<In>,
    /// From where.
    pub patch_read_address: Net<In>,
    /// Bit h: half h of every patch buffer is filled.
    pub patch_full: Net<Out>,
    /// One word for each row and activation branch, as read last.
    pub activation: Vec<Vec<Net<Out>>>,
    /// The last word of a POOL is written.
    pub pool_finished: Net<Out>,
    /// 0, or the code of an error, from then on.
    pub patch_error: Net<Out>,
    walker: PixelWalker,
    pool_unit: PoolUnit,
    loader: Vec<Loader>,
    status: LoaderStatus,
    memory: Vec<SliceMemory>,
    patch: Vec<Vec<SliceMemory>>,
    order: RowOrder,
    input_planes: WordPlanes,
    back_planes: GranuleCopies,
    pooling: EnabledResetRegister,
    code: EnabledResetRegister,
    input_strobe: ResetRegister,
    input_where: ResetRegister,
    input_what: ResetRegister,
    back_strobe: ResetRegister,
    back_where: ResetRegister,
    back_what: ResetRegister,
    go: Net<Local>,
    input_idle: Net<Local>,
    back_any: Net<Local>,
    stop: Net<Local>,
    raised: Net<Local>,
    write: Net<Local>,
    input_slices: Net<Local>,
    address: Net<Local>,
    pool_address: Net<Local>,
    pool_next_valid: Vec<Net<Local>>,
    pool_next_first: Vec<Net<Local>>,
    pool_next_first_tap: Vec<Net<Local>>,
    pool_next_word: Vec<Net<Local>>,
    pool_tap_valid: Vec<Net<Local>>,
    pool_tap_last: Vec<Net<Local>>,
    pool_tap_final: Vec<Net<Local>>,
    pool_tap_mask: Vec<Net<Local>>,
    value: Vec<Net<Local>>,
    no_error: Constant,
    input_range: Constant,
    output_range: Constant,
    patch_range: Constant,
    zero: Constant,
    by_one: Constant,
    all_slices: Constant,
    no_slices: Constant,
    pool_port: Vec<Constant>,
    _ports: usize,
    _two: usize,
    _rounds: usize,
    _rows: usize,
    _branches: usize,
    _memory: usize,
}

impl PatchSystem {
    /// The patch system of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let field = |field: Field| Net::new(field.width(design));
        let c = design.design().config();
        let (ports, rounds) = (design.config().load_ports, design.rows_per_port);
        let slices = design.slices;
        let (memory, word) = (design.activation_address_width, design.word_width);
        let granule = design.granule_lanes * c.activation_branches;
        let w = LoaderWidths::new(design);
        let of_first = |width: u32| {
            (0..ports)
                .map(|_| Net::partly_unused(width, "max-pool works with loader 0 alone"))
                .collect()
        };
        PatchSystem {
            shape: Shape::new(
                format!("patch_system_r{}_l{}", c.rows, c.lanes),
                "Activation memories, loaders, patch buffers and the max-pool unit.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            go_compute: Net::new(1),
            go_pool: Net::new(1),
            in_base: field(Field::InBase),
            in_pitch: field(Field::InPitch),
            in_last: field(Field::InLast),
            image_pitch: field(Field::ImagePitch),
            line_granules: field(Field::LineGranules),
            run_granules: field(Field::RunGranules),
            runs: field(Field::Runs),
            kernel_lines: field(Field::KernelLines),
            origin_x: field(Field::OriginX),
            step_x: field(Field::StepX),
            tap_x: field(Field::TapX),
            out_width: field(Field::OutWidth),
            out_height: field(Field::OutHeight),
            pad_code: field(Field::PadCode),
            origin_line: field(Field::OriginLine),
            step_line: field(Field::StepLine),
            tap_line: field(Field::TapLine),
            chunks: field(Field::Chunks),
            groups: field(Field::Groups),
            row_tiles: field(Field::RowTiles),
            last_rows: field(Field::LastRows),
            out_base: field(Field::OutBase),
            out_pitch: field(Field::OutPitch),
            out_last: field(Field::OutLast),
            out_granule: field(Field::OutGranule),
            out_pixel: field(Field::OutPixel),
            input_write: Net::new(1),
            input_address: Net::new(memory),
            input_value: Net::new(word),
            back_write: Net::new(slices),
            back_address: Net::new(memory),
            back_value: Net::new(granule),
            patch_release: Net::new(2),
            patch_read: Net::new(1),
            patch_read_address: Net::new(design.patch_address_width),
            patch_full: Net::new(2),
            activation: grid(c.rows, c.activation_branches, c.lanes),
            pool_finished: Net::new(1),
            patch_error: Net::new(4),
            walker: PixelWalker::new(design),
            pool_unit: PoolUnit::new(design),
            loader: (0..ports).map(|_| Loader::new(design)).collect(),
            status: LoaderStatus::new(ports),
            memory: (0..ports)
                .map(|_| SliceMemory::new(design, design.config().activation_words))
                .collect(),
            patch: (0..rounds)
                .map(|_| {
                    (0..ports)
                        .map(|_| SliceMemory::new(design, design.config().patch_words))
                        .collect()
                })
                .collect(),
            order: RowOrder::new(design),
            input_planes: WordPlanes::new(c.activation_branches, c.lanes),
            back_planes: GranuleCopies::new(design),
            pooling: EnabledResetRegister::new(1),
            code: EnabledResetRegister::new(4),
            input_strobe: ResetRegister::new(1),
            input_where: ResetRegister::new(memory),
            input_what: ResetRegister::new(word),
            back_strobe: ResetRegister::new(slices),
            back_where: ResetRegister::new(memory),
            back_what: ResetRegister::new(granule),
            go: Net::new(1),
            input_idle: Net::new(1),
            back_any: Net::new(1),
            stop: Net::new(1),
            raised: Net::new(4),
            write: Net::new(slices),
            input_slices: Net::new(slices),
            address: Net::new(memory),
            pool_address: Net::new(memory),
            pool_next_valid: of_first(1),
            pool_next_first: of_first(1),
            pool_next_first_tap: of_first(1),
            pool_next_word: of_first(w.word),
            pool_tap_valid: of_first(1),
            pool_tap_last: of_first(1),
            pool_tap_final: of_first(1),
            pool_tap_mask: of_first(slices),
            value: Net::vector(c.activation_branches, c.lanes),
            no_error: Constant::new(4, 0),
            input_range: Constant::new(4, 5),
            output_range: Constant::new(4, 6),
            patch_range: Constant::new(4, 8),
            zero: Constant::new(1, 0),
            by_one: Constant::new(32, 1),
            all_slices: Constant::new(slices, u64::MAX >> (64 - slices)),
            no_slices: Constant::new(slices, 0),
            pool_port: (0..ports)
                .map(|port| Constant::new(1, (port == 0).into()))
                .collect(),
            _ports: ports as usize,
            _two: 2,
            _rounds: rounds as usize,
            _rows: c.rows as usize,
            _branches: c.activation_branches as usize,
            _memory: memory as usize,
        }
    }
}

impl Logic for PatchSystem {
    #[hdl_gen]
    fn update(&mut self) {
        self.go.next = self.go_compute.val() | self.go_pool.val();
        self.stop.next = self.code.q.val().any().into();
        self.pooling.clock.next = self.clock.val();
        self.pooling.reset.next = self.reset.val();
        self.pooling.enable.next = self.go.val() | self.pool_unit.finished.val();
        self.pooling.d.next = self.go_pool.val();

        self.walker.clock.next = self.clock.val();
        self.walker.reset.next = self.reset.val();
        self.walker.go.next = self.go.val();
        self.walker.hold.next = self.pool_unit.hold.val();
        self.walker.pool.next = self.pooling.q.val();
        self.walker.taken.next = self.status.any_taken.val();
        self.walker.origin_x.next = self.origin_x.val();
        self.walker.step_x.next = self.step_x.val();
        self.walker.origin_line.next = self.origin_line.val();
        self.walker.step_line.next = self.step_line.val();
        self.walker.image_pitch.next = self.image_pitch.val();
        self.walker.out_width.next = self.out_width.val();
        self.walker.out_height.next = self.out_height.val();
        self.walker.row_tiles.next = self.row_tiles.val();
        self.walker.last_rows.next = self.last_rows.val();
        self.walker.out_granule.next = self.out_granule.val();
        self.walker.out_pixel.next = self.out_pixel.val();

        self.back_any.next = self.back_write.val().any().into();
        // One of the input port, the back end and the max-pool unit writes; the others are 0, so that an OR selects.
        self.input_strobe.clock.next = self.clock.val();
        self.input_strobe.reset.next = self.reset.val();
        self.input_strobe.d.next = self.input_write.val();
        self.input_where.clock.next = self.clock.val();
        // With the reset, so that no inverter stands before every register.
        self.input_idle.next = (!self.input_write.val()) | self.reset.val();
        self.input_where.reset.next = self.input_idle.val();
        self.input_where.d.next = self.input_address.val();
        self.input_what.clock.next = self.clock.val();
        self.input_what.reset.next = self.input_idle.val();
        self.input_what.d.next = self.input_value.val();
        self.back_strobe.clock.next = self.clock.val();
        self.back_strobe.reset.next = self.reset.val();
        self.back_strobe.d.next = self.back_write.val();
        self.back_where.clock.next = self.clock.val();
        self.back_where.reset.next = !self.back_any.val();
        self.back_where.d.next = self.back_address.val();
        self.back_what.clock.next = self.clock.val();
        self.back_what.reset.next = !self.back_any.val();
        self.back_what.d.next = self.back_value.val();
        if self.input_strobe.q.val().any() {
            self.input_slices.next = self.all_slices.val();
        } else {
            self.input_slices.next = self.no_slices.val();
        }
        self.write.next =
            (self.input_slices.val() | self.back_strobe.q.val()) | self.pool_unit.write.val();
        if self.pooling.q.val().any() {
            self.pool_address.next = self.pool_unit.write_address.val();
        } else {
            self.pool_address.next = bits_resize(self.zero.val(), self._memory);
        }
        self.address.next =
            (self.input_where.q.val() | self.back_where.q.val()) | self.pool_address.val();
        self.input_planes.word.next = self.input_what.q.val();
        self.back_planes.granule.next = self.back_what.q.val();
        for m in 0..self._branches {
            self.pool_unit.other_value[m].next =
                self.input_planes.plane[m].val() | self.back_planes.plane[m].val();
            self.value[m].next = self.pool_unit.write_value[m].val();
        }

        for f in 0..self._ports {
            self.loader[f].clock.next = self.clock.val();
            self.loader[f].reset.next = self.reset.val();
            self.loader[f].stop.next = self.stop.val();
            self.loader[f].pool.next = self.pooling.q.val() & self.pool_port[f].val();
            self.loader[f].patch_release.next = self.patch_release.val();
            if self.walker.turn.val().get_bit(f) {
                self.loader[f].row_valid.next = self.walker.valid.val();
            } else {
                self.loader[f].row_valid.next = self.zero.val();
            }
            self.loader[f].row_gx.next = self.walker.gx.val();
            self.loader[f].row_line.next = self.walker.line.val();
            self.loader[f].row_image.next = self.walker.image.val();
            self.loader[f].row_granule.next = self.walker.granule.val();
            self.loader[f].row_select.next = self.walker.select.val();
            self.loader[f].row_half.next = self.walker.half.val();
            self.loader[f].row_last.next = self.walker.last.val();
            self.loader[f].row_empty.next = self.walker.empty.val();
            self.loader[f].row_final.next = self.walker.final_pixel.val();
            self.loader[f].in_top.next = self.pool_unit.in_top.val();
            self.loader[f].in_pitch.next = self.in_pitch.val();
            self.loader[f].in_last.next = self.in_last.val();
            self.loader[f].image_pitch.next = self.image_pitch.val();
            self.loader[f].line_granules.next = self.line_granules.val();
            self.loader[f].run_granules.next = self.run_granules.val();
            self.loader[f].runs.next = self.runs.val();
            self.loader[f].kernel_lines.next = self.kernel_lines.val();
            self.loader[f].tap_x.next = self.tap_x.val();
            self.loader[f].tap_line.next = self.tap_line.val();
            self.loader[f].pad_code.next = self.pad_code.val();
            self.loader[f].chunks.next = self.chunks.val();
            self.loader[f].groups.next = self.groups.val();
            for m in 0..self._branches {
                self.loader[f].value[m].next = self.memory[f].value[m].val();
                self.memory[f].write_value[m].next = self.value[m].val();
            }

            self.memory[f].clock.next = self.clock.val();
            self.memory[f].write.next = self.write.val();
            self.memory[f].write_address.next = self.address.val();
            self.memory[f].read.next = self.loader[f].read.val();
            self.memory[f].read_address.next = self.loader[f].read_address.val();
        }
        for k in 0..self._rounds {
            for f in 0..self._ports {
                self.patch[k][f].clock.next = self.clock.val();
                self.patch[k][f].write.next = self.loader[f].patch_write[k].val();
                self.patch[k][f].write_address.next = self.loader[f].patch_address.val();
                self.patch[k][f].read.next = self.patch_read.val();
                self.patch[k][f].read_address.next = self.patch_read_address.val();
                for m in 0..self._branches {
                    self.patch[k][f].write_value[m].next = self.loader[f].patch_value[m].val();
                    self.order.buffer[k][f][m].next = self.patch[k][f].value[m].val();
                }
            }
        }
        for r in 0..self._rows {
            for m in 0..self._branches {
                self.activation[r][m].next = self.order.row[r][m].val();
            }
        }
        for f in 0..self._ports {
            self.status.taken[f].next = self.loader[f].taken.val();
            self.status.full_0[f].next = self.loader[f].full_0.val();
            self.status.full_1[f].next = self.loader[f].full_1.val();
            self.status.input_error[f].next = self.loader[f].input_error.val();
            self.status.patch_error[f].next = self.loader[f].patch_error.val();
        }
        self.patch_full.next = bits_resize(self.status.all_full_0.val(), self._two)
            | (bits_resize(self.status.all_full_1.val(), self._two) << self.by_one.val());

        self.pool_unit.clock.next = self.clock.val();
        self.pool_unit.reset.next = self.reset.val();
        self.pool_unit.go_compute.next = self.go_compute.val();
        self.pool_unit.go_pool.next = self.go_pool.val();
        self.pool_unit.begins.next = self.walker.begins.val();
        self.pool_unit.pool.next = self.pooling.q.val();
        self.pool_unit.groups.next = self.groups.val();
        self.pool_unit.in_base.next = self.in_base.val();
        self.pool_unit.in_pitch.next = self.in_pitch.val();
        self.pool_unit.out_base.next = self.out_base.val();
        self.pool_unit.out_pitch.next = self.out_pitch.val();
        self.pool_unit.out_last.next = self.out_last.val();
        for f in 0..self._ports {
            self.pool_next_valid[f].next = self.loader[f].next_valid.val();
            self.pool_next_first[f].next = self.loader[f].next_first.val();
            self.pool_next_first_tap[f].next = self.loader[f].next_first_tap.val();
            self.pool_next_word[f].next = self.loader[f].next_word.val();
            self.pool_tap_valid[f].next = self.loader[f].tap_valid.val();
            self.pool_tap_last[f].next = self.loader[f].tap_last.val();
            self.pool_tap_final[f].next = self.loader[f].tap_final.val();
            self.pool_tap_mask[f].next = self.loader[f].tap_mask.val();
        }
        self.pool_unit.next_valid.next = self.pool_next_valid[0].val();
        self.pool_unit.next_first.next = self.pool_next_first[0].val();
        self.pool_unit.next_first_tap.next = self.pool_next_first_tap[0].val();
        self.pool_unit.next_word.next = self.pool_next_word[0].val();
        self.pool_unit.tap_valid.next = self.pool_tap_valid[0].val();
        self.pool_unit.tap_last.next = self.pool_tap_last[0].val();
        self.pool_unit.tap_final.next = self.pool_tap_final[0].val();
        self.pool_unit.tap_mask.next = self.pool_tap_mask[0].val();
        for m in 0..self._branches {
            self.pool_unit.tap_value[m].next = self.loader[0].patch_value[m].val();
        }
        self.pool_finished.next = self.pool_unit.finished.val();

        // The first error stays.
        if self.status.any_input_error.val().any() {
            self.raised.next = self.input_range.val();
        } else if self.status.any_patch_error.val().any() {
            self.raised.next = self.patch_range.val();
        } else if self.pool_unit.output_error.val().any() {
            self.raised.next = self.output_range.val();
        } else {
            self.raised.next = self.no_error.val();
        }
        self.code.clock.next = self.clock.val();
        self.code.reset.next = self.reset.val();
        self.code.enable.next = !self.stop.val();
        self.code.d.next = self.raised.val();
        self.patch_error.next = self.code.q.val();
    }
}
