//! Fills patch buffers from the activation memory: im2col on the fly.

use super::slice_rotator::{SliceRotator, rotation_widths};
use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// The slice enables of one patch buffer: a register that is cleared where the buffer is not selected, which costs no
/// LUT.
#[derive(Clone, Debug, LogicBlock)]
struct BufferEnable {
    shape: Shape,
    pub clock: Signal<In, Clock>,
    pub clear: Net<In>,
    pub mask: Net<In>,
    pub enable: Net<Out>,
    register: ResetRegister,
}

impl BufferEnable {
    fn new(slices: u32) -> Self {
        BufferEnable {
            shape: Shape::new(
                format!("buffer_enable_s{slices}"),
                "The slice enables of one patch buffer.",
            ),
            clock: Signal::default(),
            clear: Net::new(1),
            mask: Net::new(slices),
            enable: Net::new(slices),
            register: ResetRegister::new(slices),
        }
    }
}

impl Logic for BufferEnable {
    #[hdl_gen]
    fn update(&mut self) {
        self.register.clock.next = self.clock.val();
        self.register.reset.next = self.clear.val();
        self.register.d.next = self.mask.val();
        self.enable.next = self.register.q.val();
    }
}

/// Loads one row after the other. A row's taps are cut into pieces of at most one word of the memory and of the
/// patch buffer.
///
/// A piece is planned in one cycle and issued in the next one that is free; then it is read, group after group, and
/// each word is rotated and written three cycles after its address. The next piece is planned meanwhile.
#[derive(Clone, Debug, LogicBlock)]
pub struct Loader {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Drops everything.
    pub reset: Net<In>,
    /// No further piece is issued.
    pub stop: Net<In>,
    /// Max-pool: pieces are taps, groups fall, nothing is written to patch buffers.
    pub pool: Net<In>,
    /// Bit h: half h has been used.
    pub patch_release: Net<In>,
    /// A row is offered.
    pub row_valid: Net<In>,
    /// Granule position in its line of the row's first run.
    pub row_gx: Net<In>,
    /// First granule of kernel line 0, counted from the image's.
    pub row_line: Net<In>,
    /// First granule of the image.
    pub row_image: Net<In>,
    /// Granule in the patch (or, for max-pool, in the output) of the row's first piece.
    pub row_granule: Net<In>,
    /// Which patch buffer, one-hot.
    pub row_select: Net<In>,
    /// Which half.
    pub row_half: Net<In>,
    /// The last row of the half.
    pub row_last: Net<In>,
    /// The row has no pieces.
    pub row_empty: Net<In>,
    /// The last row of all.
    pub row_final: Net<In>,
    /// Word address of the first group that is read, without the granule's.
    pub in_top: Net<In>,
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
    pub tap_x: Net<In>,
    /// The descriptor's field.
    pub tap_line: Net<In>,
    /// The descriptor's field.
    pub pad_code: Net<In>,
    /// The descriptor's field.
    pub chunks: Net<In>,
    /// The descriptor's field.
    pub groups: Net<In>,
    /// The word that was read last.
    pub value: Vec<Net<In>>,
    /// The row is taken at this edge.
    pub taken: Net<Out>,
    /// The memory reads.
    pub read: Net<Out>,
    /// From where.
    pub read_address: Net<Out>,
    /// Slice enables of each patch buffer.
    pub patch_write: Vec<Net<Out>>,
    /// Where.
    pub patch_address: Net<Out>,
    /// What; for max-pool the tap's planes.
    pub patch_value: Vec<Net<Out>>,
    /// Half 0 is filled.
    pub full_0: Net<Out>,
    /// Half 1 is filled.
    pub full_1: Net<Out>,
    /// Max-pool, the cycle before `tap_valid`: a group of a tap comes.
    pub next_valid: Net<Out>,
    /// It is the tap's first.
    pub next_first: Net<Out>,
    /// It belongs to the pixel's first tap.
    pub next_first_tap: Net<Out>,
    /// The word of the output that it belongs to, without the base.
    pub next_word: Net<Out>,
    /// Max-pool: `patch_value` holds a group of a tap.
    pub tap_valid: Net<Out>,
    /// It belongs to the pixel's last tap.
    pub tap_last: Net<Out>,
    /// It is the very last group.
    pub tap_final: Net<Out>,
    /// The slices that the tap fills.
    pub tap_mask: Net<Out>,
    /// A read is past `in_last`.
    pub input_error: Net<Out>,
    /// A word is past the half.
    pub patch_error: Net<Out>,
    active: ResetRegister,
    planned: ResetRegister,
    claimed: ResetRegister,
    filled: ResetRegister,
    first_gx: EnabledRegister,
    image: EnabledRegister,
    select: EnabledRegister,
    half: EnabledRegister,
    last_row: EnabledRegister,
    empty: EnabledRegister,
    final_row: EnabledRegister,
    gx: EnabledRegister,
    run_gx: EnabledRegister,
    line: EnabledRegister,
    // Granules that are left of the run after the first one, inverted.
    done: EnabledRegister,
    // Runs begun of the line, lines of the row: bit 0 inverted, so that a reset makes it 1.
    runs_r: EnabledResetRegister,
    lines_r: EnabledResetRegister,
    place: EnabledRegister,
    first_tap: EnabledRegister,
    // The planned piece: granules less one, granules, where they begin, whether they lie in the feature map.
    plan_less: EnabledRegister,
    plan_count: EnabledRegister,
    plan_granule: EnabledRegister,
    plan_inside: EnabledRegister,
    // The issued piece.
    issue_valid: ResetRegister,
    issue_first: ResetRegister,
    issue_left: EnabledRegister,
    issue_address: EnabledRegister,
    issue_pad: EnabledRegister,
    issue_inside: EnabledRegister,
    issue_rotate: EnabledRegister,
    issue_begin: EnabledRegister,
    issue_end: EnabledRegister,
    issue_word: EnabledRegister,
    issue_select: EnabledRegister,
    issue_half: EnabledRegister,
    issue_closes: EnabledRegister,
    issue_fills: EnabledRegister,
    issue_first_tap: EnabledRegister,
    issue_final: EnabledRegister,
    // Its words, one and two cycles later.
    read_valid: ResetRegister,
    read_first: ResetRegister,
    read_last: EnabledRegister,
    read_inside: EnabledRegister,
    read_rotate_1: EnabledRegister,
    read_pad: EnabledRegister,
    turn_valid: ResetRegister,
    turn_first: ResetRegister,
    turn_last: EnabledRegister,
    turn_rotate: EnabledRegister,
    turn_pad: EnabledRegister,
    turn_begin: EnabledRegister,
    turn_end: EnabledRegister,
    turn_word: EnabledRegister,
    turn_select: EnabledRegister,
    turn_half: EnabledRegister,
    turn_closes: EnabledRegister,
    turn_fills: EnabledRegister,
    turn_first_tap: EnabledRegister,
    turn_final: EnabledRegister,
    // The word that is written.
    write_valid: ResetRegister,
    write_last: EnabledRegister,
    buffer_enable: Vec<BufferEnable>,
    buffer_clear: Vec<Net<Local>>,
    write_mask: EnabledRegister,
    write_address: EnabledRegister,
    write_half: EnabledRegister,
    write_closes: EnabledRegister,
    write_fills: EnabledRegister,
    write_final: EnabledRegister,
    rotator: SliceRotator,
    slot: Net<Local>,
    line_granule: Net<Local>,
    granule: Net<Local>,
    to_end: Net<Local>,
    before: Net<Local>,
    after: Net<Local>,
    in_line: Net<Local>,
    inside: Net<Local>,
    to_edge: Net<Local>,
    edge_is_far: Net<Local>,
    end_is_far: Net<Local>,
    limit_slot: Net<Local>,
    limit_word: Net<Local>,
    limit_edge: Net<Local>,
    limit_run: Net<Local>,
    limit_words: Net<Local>,
    limit_taps: Net<Local>,
    less: Net<Local>,
    free: Net<Local>,
    issue_is_last: Net<Local>,
    issue: Net<Local>,
    run_ends: Net<Local>,
    line_ends: Net<Local>,
    row_ends: Net<Local>,
    may_take: Net<Local>,
    takes: Net<Local>,
    push_when_full: Assertion,
    pop_when_empty: Assertion,
    claim: Net<Local>,
    fill: Net<Local>,
    writes: Net<Local>,
    gx_base: Net<Local>,
    gx_step: Net<Local>,
    gx_sum: Net<Local>,
    gx_next: Net<Local>,
    line_base: Net<Local>,
    line_step: Net<Local>,
    load_run: Net<Local>,
    left: Net<Local>,
    done_base: Net<Local>,
    done_step: Net<Local>,
    runs_now: Net<Local>,
    lines_now: Net<Local>,
    place_base: Net<Local>,
    place_step: Net<Local>,
    groups_base: Net<Local>,
    groups_step: Net<Local>,
    pitch: Net<Local>,
    address_base: Net<Local>,
    address_step: Net<Local>,
    address_carry: Net<Local>,
    address_sum: Net<Local>,
    issue_moves: Net<Local>,
    above_end: Net<Local>,
    from_begin: Net<Local>,
    mask: Net<Local>,
    patch_base: Net<Local>,
    patch_step: Net<Local>,
    slice_mask: Constant,
    slice_shift: Constant,
    slice_one: Constant,
    position_sign: Constant,
    position_zero: Constant,
    one_granule: Constant,
    one_run: Constant,
    one_line: Constant,
    groups_minus_1: Constant,
    groups_minus_2: Constant,
    groups_sign: Constant,
    place_zero: Constant,
    branches: Constant,
    stage_1: Constant,
    slices: Constant,
    slices_but_first: Constant,
    patch_zero: Constant,
    half_shift: Constant,
    half_0: Constant,
    half_1: Constant,
    no_half: Constant,
    by_one: Constant,
    one: Constant,
    zero: Constant,
    _granule: usize,
    _count: usize,
    _position: usize,
    _slice: usize,
    _run: usize,
    _groups: usize,
    _place: usize,
    _word: usize,
    _address: usize,
    _sum: usize,
    _memory: usize,
    _branches: usize,
    _rotate_1: usize,
    _rotate_2: usize,
    _patch: usize,
    _half: usize,
    _patch_address: usize,
    _rounds: usize,
}

/// Widths that follow from a design and that only loaders (and the max-pool unit) need.
pub(super) struct LoaderWidths {
    /// A granule's position in its line, signed, and a line's place in its image.
    pub position: u32,
    /// A granule's place in a patch or in the output.
    pub place: u32,
    /// The word of that place.
    pub word: u32,
    /// A base address with up to seven pitches.
    pub top: u32,
}

impl LoaderWidths {
    /// The widths of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let slice_bits = design.slices.ilog2();
        let place = design
            .granule_address_width
            .max(design.patch_half_width + 1 + slice_bits);
        LoaderWidths {
            position: design.granule_address_width + 1,
            place,
            word: place - slice_bits,
            top: design.activation_address_width + 3,
        }
    }
}

impl Loader {
    /// A loader of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let field = |field: Field| Net::new(field.width(design));
        let minus = |width: u32, n: u64| Constant::new(width, (1 << width) - n);
        let number = |n: u32| Constant::new(32, n.into());
        let w = LoaderWidths::new(design);
        let (slices, slice, slice_bits) =
            (design.slices, design.slice_width, design.slices.ilog2());
        let (granule, position, rounds) = (
            design.granule_address_width,
            w.position,
            design.rows_per_port,
        );
        let c = design.design().config();
        let (branches, lanes) = (c.activation_branches, c.lanes);
        let (runs, lines) = (Field::Runs.width(design), Field::KernelLines.width(design));
        let (run, pad) = (
            Field::RunGranules.width(design),
            Field::PadCode.width(design),
        );
        let (groups, address) = (Field::Groups.width(design) + 1, w.top + 1);
        let patch = design.patch_half_width + 2;
        let (rotate_1, rotate_2) = rotation_widths(design);
        Loader {
            shape: Shape::new(
                format!(
                    "loader_f{}_r{}",
                    design.config().load_ports,
                    design.rows_per_port
                ),
                "Fills patch buffers from the activation memory.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            stop: Net::new(1),
            pool: Net::new(1),
            patch_release: Net::new(2),
            row_valid: Net::new(1),
            row_gx: Net::new(position),
            row_line: Net::new(position),
            row_image: Net::new(granule),
            row_granule: Net::new(granule),
            row_select: Net::new(rounds),
            row_half: Net::new(1),
            row_last: Net::new(1),
            row_empty: Net::new(1),
            row_final: Net::new(1),
            in_top: Net::new(w.top),
            in_pitch: field(Field::InPitch),
            in_last: field(Field::InLast),
            image_pitch: field(Field::ImagePitch),
            line_granules: field(Field::LineGranules),
            run_granules: field(Field::RunGranules),
            runs: field(Field::Runs),
            kernel_lines: field(Field::KernelLines),
            tap_x: field(Field::TapX),
            tap_line: field(Field::TapLine),
            pad_code: field(Field::PadCode),
            chunks: field(Field::Chunks),
            groups: field(Field::Groups),
            value: Net::vector(branches, lanes),
            taken: Net::new(1),
            read: Net::new(1),
            read_address: Net::new(design.activation_address_width),
            patch_write: Net::vector(rounds, slices),
            patch_address: Net::new(design.patch_address_width),
            patch_value: Net::vector(branches, lanes),
            full_0: Net::new(1),
            full_1: Net::new(1),
            next_valid: Net::new(1),
            next_first: Net::new(1),
            next_first_tap: Net::new(1),
            next_word: Net::new(w.word),
            tap_valid: Net::new(1),
            tap_last: Net::new(1),
            tap_final: Net::new(1),
            tap_mask: Net::new(slices),
            input_error: Net::new(1),
            patch_error: Net::new(1),
            active: ResetRegister::new(1),
            planned: ResetRegister::new(1),
            claimed: ResetRegister::new(2),
            filled: ResetRegister::new(2),
            first_gx: EnabledRegister::new(position),
            image: EnabledRegister::new(granule),
            select: EnabledRegister::new(rounds),
            half: EnabledRegister::new(1),
            last_row: EnabledRegister::new(1),
            empty: EnabledRegister::new(1),
            final_row: EnabledRegister::new(1),
            gx: EnabledRegister::new(position),
            run_gx: EnabledRegister::new(position),
            line: EnabledRegister::new(position),
            done: EnabledRegister::new(run),
            runs_r: EnabledResetRegister::new(runs),
            lines_r: EnabledResetRegister::new(lines),
            place: EnabledRegister::new(w.place),
            first_tap: EnabledRegister::new(1),
            plan_less: EnabledRegister::new(slice),
            plan_count: EnabledRegister::new(slice + 1),
            plan_granule: EnabledRegister::new(granule),
            plan_inside: EnabledRegister::new(1),
            issue_valid: ResetRegister::new(1),
            issue_first: ResetRegister::new(1),
            issue_left: EnabledRegister::new(groups),
            issue_address: EnabledRegister::new(address),
            issue_pad: EnabledRegister::new(pad),
            issue_inside: EnabledRegister::new(1),
            issue_rotate: EnabledRegister::new(slice),
            issue_begin: EnabledRegister::new(slice),
            issue_end: EnabledRegister::new(slice),
            issue_word: EnabledRegister::new(w.word),
            issue_select: EnabledRegister::new(rounds),
            issue_half: EnabledRegister::new(1),
            issue_closes: EnabledRegister::new(1),
            issue_fills: EnabledRegister::new(1),
            issue_first_tap: EnabledRegister::new(1),
            issue_final: EnabledRegister::new(1),
            read_valid: ResetRegister::new(1),
            read_first: ResetRegister::new(1),
            read_last: EnabledRegister::new(1),
            read_inside: EnabledRegister::new(1),
            read_rotate_1: EnabledRegister::new(rotate_1),
            read_pad: EnabledRegister::new(branches),
            turn_valid: ResetRegister::new(1),
            turn_first: ResetRegister::new(1),
            turn_last: EnabledRegister::new(1),
            turn_rotate: EnabledRegister::new(rotate_2),
            turn_pad: EnabledRegister::new(branches),
            turn_begin: EnabledRegister::new(slice),
            turn_end: EnabledRegister::new(slice),
            turn_word: EnabledRegister::new(w.word),
            turn_select: EnabledRegister::new(rounds),
            turn_half: EnabledRegister::new(1),
            turn_closes: EnabledRegister::new(1),
            turn_fills: EnabledRegister::new(1),
            turn_first_tap: EnabledRegister::new(1),
            turn_final: EnabledRegister::new(1),
            write_valid: ResetRegister::new(1),
            write_last: EnabledRegister::new(1),
            buffer_enable: (0..rounds).map(|_| BufferEnable::new(slices)).collect(),
            buffer_clear: Net::vector(rounds, 1),
            write_mask: EnabledRegister::new(slices),
            write_address: EnabledRegister::new(patch),
            write_half: EnabledRegister::new(1),
            write_closes: EnabledRegister::new(1),
            write_fills: EnabledRegister::new(1),
            write_final: EnabledRegister::new(1),
            rotator: SliceRotator::new(design),
            slot: Net::new(slice),
            line_granule: Net::new(granule),
            granule: Net::new(granule),
            to_end: Net::new(position),
            before: Net::new(1),
            after: Net::new(1),
            in_line: Net::new(1),
            inside: Net::new(1),
            to_edge: Net::new(position),
            edge_is_far: Net::new(1),
            end_is_far: Net::new(1),
            limit_slot: Net::new(slice),
            limit_word: Net::new(slice),
            limit_edge: Net::new(slice),
            limit_run: Net::new(slice),
            limit_words: Net::new(slice),
            limit_taps: Net::new(slice),
            less: Net::new(slice),
            free: Net::new(1),
            issue_is_last: Net::new(1),
            issue: Net::new(1),
            run_ends: Net::new(1),
            line_ends: Net::new(1),
            row_ends: Net::new(1),
            may_take: Net::new(1),
            takes: Net::new(1),
            push_when_full: Assertion::new("patch_push_when_full"),
            pop_when_empty: Assertion::new("patch_pop_when_empty"),
            claim: Net::new(2),
            fill: Net::new(2),
            writes: Net::new(1),
            gx_base: Net::new(position),
            gx_step: Net::new(position),
            gx_sum: Net::new(position),
            gx_next: Net::new(position),
            line_base: Net::new(position),
            line_step: Net::new(position),
            load_run: Net::new(1),
            left: Net::new(run),
            done_base: Net::new(run),
            done_step: Net::new(run),
            runs_now: Net::new(runs),
            lines_now: Net::new(lines),
            place_base: Net::new(w.place),
            place_step: Net::new(w.place),
            groups_base: Net::new(groups),
            groups_step: Net::new(groups),
            pitch: Net::new(address),
            address_base: Net::new(address),
            address_step: Net::new(address),
            address_carry: Net::new(1),
            address_sum: Net::partly_unused(address + 1, "bit 0 takes the carry in"),
            issue_moves: Net::new(1),
            above_end: Net::new(slices),
            from_begin: Net::new(slices),
            mask: Net::new(slices),
            patch_base: Net::new(patch),
            patch_step: Net::new(patch),
            slice_mask: Constant::new(slice, (slices - 1).into()),
            slice_shift: number(slice_bits),
            slice_one: Constant::new(slice + 1, 1),
            position_sign: number(position - 1),
            position_zero: Constant::new(position, 0),
            one_granule: Constant::new(run, 1),
            one_run: Constant::new(runs, 1),
            one_line: Constant::new(lines, 1),
            groups_minus_1: minus(groups, 1),
            groups_minus_2: minus(groups, 2),
            groups_sign: number(groups - 1),
            place_zero: Constant::new(w.place, 0),
            branches: number(branches),
            stage_1: number(2),
            slices: Constant::new(slices, u64::MAX >> (64 - slices)),
            slices_but_first: Constant::new(slices, (u64::MAX >> (64 - slices)) & !1),
            patch_zero: Constant::new(patch, 0),
            half_shift: number(design.patch_half_width),
            half_0: Constant::new(2, 1),
            half_1: Constant::new(2, 2),
            no_half: Constant::new(2, 0),
            by_one: number(1),
            one: Constant::new(1, 1),
            zero: Constant::new(1, 0),
            _granule: granule as usize,
            _count: (slice + 1) as usize,
            _position: position as usize,
            _slice: slice as usize,
            _run: run as usize,
            _groups: groups as usize,
            _place: w.place as usize,
            _word: w.word as usize,
            _address: address as usize,
            _sum: (address + 1) as usize,
            _memory: design.activation_address_width as usize,
            _branches: branches as usize,
            _rotate_1: rotate_1 as usize,
            _rotate_2: rotate_2 as usize,
            _patch: patch as usize,
            _half: design.patch_half_width as usize,
            _patch_address: design.patch_address_width as usize,
            _rounds: rounds as usize,
        }
    }
}

impl Logic for Loader {
    #[hdl_gen]
    fn update(&mut self) {
        // Where the next piece begins, and how many granules end it, less one: the end of the patch's word, of the
        // memory's word, of the run, of the line.
        self.slot.next = bits_resize(self.place.q.val(), self._slice) & self.slice_mask.val();
        self.line_granule.next = self.image.q.val() + bits_resize(self.line.q.val(), self._granule);
        self.granule.next = self.line_granule.val() + bits_resize(self.gx.q.val(), self._granule);
        self.to_end.next =
            bits_resize(self.line_granules.val(), self._position) + (!self.gx.q.val());
        self.before.next = bits_resize(self.gx.q.val() >> self.position_sign.val(), 1);
        self.after.next = bits_resize(self.to_end.val() >> self.position_sign.val(), 1);
        self.in_line.next =
            (self.line.q.val() < bits_resize(self.image_pitch.val(), self._position)).into();
        self.inside.next = ((self.in_line.val() & (!self.before.val())) & (!self.after.val()))
            & (!self.empty.q.val());
        if self.before.val().any() {
            self.to_edge.next = !self.gx.q.val();
        } else {
            self.to_edge.next = self.to_end.val();
        }
        self.edge_is_far.next =
            (!self.in_line.val()) | (self.to_edge.val() >> self.slice_shift.val()).any().into();
        self.left.next = !self.done.q.val();
        self.end_is_far.next = (self.left.val() >> self.slice_shift.val()).any().into();
        self.limit_slot.next = (!self.slot.val()) & self.slice_mask.val();
        if self.inside.val().any() {
            self.limit_word.next =
                (!bits_resize(self.granule.val(), self._slice)) & self.slice_mask.val();
        } else {
            self.limit_word.next = self.slice_mask.val();
        }
        if self.edge_is_far.val().any() {
            self.limit_edge.next = self.slice_mask.val();
        } else {
            self.limit_edge.next =
                bits_resize(self.to_edge.val(), self._slice) & self.slice_mask.val();
        }
        if self.end_is_far.val().any() {
            self.limit_run.next = self.slice_mask.val();
        } else {
            self.limit_run.next = bits_resize(self.left.val(), self._slice) & self.slice_mask.val();
        }
        if self.limit_slot.val() < self.limit_word.val() {
            self.limit_words.next = self.limit_slot.val();
        } else {
            self.limit_words.next = self.limit_word.val();
        }
        if self.limit_edge.val() < self.limit_run.val() {
            self.limit_taps.next = self.limit_edge.val();
        } else {
            self.limit_taps.next = self.limit_run.val();
        }
        if self.limit_words.val() < self.limit_taps.val() {
            self.less.next = self.limit_words.val();
        } else {
            self.less.next = self.limit_taps.val();
        }
        self.plan_less.clock.next = self.clock.val();
        self.plan_less.enable.next = self.active.q.val() & (!self.planned.q.val());
        self.plan_less.d.next = self.less.val();
        self.plan_count.clock.next = self.clock.val();
        self.plan_count.enable.next = self.active.q.val() & (!self.planned.q.val());
        self.plan_count.d.next = bits_resize(self.less.val(), self._count) + self.slice_one.val();
        self.plan_granule.clock.next = self.clock.val();
        self.plan_granule.enable.next = self.active.q.val() & (!self.planned.q.val());
        self.plan_granule.d.next = self.granule.val();
        self.plan_inside.clock.next = self.clock.val();
        self.plan_inside.enable.next = self.active.q.val() & (!self.planned.q.val());
        self.plan_inside.d.next = self.inside.val();

        // The piece is issued; where it ends a row, the next one is taken.
        self.issue_is_last.next = bits_resize(self.issue_left.q.val() >> self.groups_sign.val(), 1);
        self.free.next = (!self.issue_valid.q.val()) | self.issue_is_last.val();
        self.issue.next = (self.planned.q.val() & self.free.val()) & (!self.stop.val());
        self.run_ends.next = self.empty.q.val()
            | (self.left.val() == bits_resize(self.plan_less.q.val(), self._run)).into();
        self.runs_now.next = self.runs_r.q.val() ^ self.one_run.val();
        self.line_ends.next = self.empty.q.val()
            | (self.run_ends.val() & (self.runs_now.val() == self.runs.val()).into());
        self.lines_now.next = self.lines_r.q.val() ^ self.one_line.val();
        self.row_ends.next = self.empty.q.val()
            | (self.line_ends.val() & (self.lines_now.val() == self.kernel_lines.val()).into());
        if self.row_half.val().any() {
            self.claim.next = self.half_1.val();
        } else {
            self.claim.next = self.half_0.val();
        }
        self.may_take.next = self.row_valid.val()
            & (self.pool.val() | (!((self.claimed.q.val() & self.claim.val()).any())).into());
        self.takes.next = self.may_take.val()
            & ((!self.active.q.val()) | (self.issue.val() & self.row_ends.val()));
        self.taken.next = self.takes.val();
        self.active.clock.next = self.clock.val();
        self.active.reset.next = self.reset.val();
        self.active.d.next =
            self.takes.val() | (self.active.q.val() & (!(self.issue.val() & self.row_ends.val())));
        self.planned.clock.next = self.clock.val();
        self.planned.reset.next = self.reset.val();
        self.planned.d.next = self.active.q.val() & (!self.issue.val());
        self.claimed.clock.next = self.clock.val();
        self.claimed.reset.next = self.reset.val();
        if ((self.takes.val() & self.row_last.val()) & (!self.pool.val())).any() {
            self.claimed.d.next =
                (self.claimed.q.val() | self.claim.val()) & (!self.patch_release.val());
        } else {
            self.claimed.d.next = self.claimed.q.val() & (!self.patch_release.val());
        }
        self.first_gx.clock.next = self.clock.val();
        self.first_gx.enable.next = self.takes.val();
        self.first_gx.d.next = self.row_gx.val();
        self.image.clock.next = self.clock.val();
        self.image.enable.next = self.takes.val();
        self.image.d.next = self.row_image.val();
        self.select.clock.next = self.clock.val();
        self.select.enable.next = self.takes.val();
        self.select.d.next = self.row_select.val();
        self.half.clock.next = self.clock.val();
        self.half.enable.next = self.takes.val();
        self.half.d.next = self.row_half.val();
        self.last_row.clock.next = self.clock.val();
        self.last_row.enable.next = self.takes.val();
        self.last_row.d.next = self.row_last.val();
        self.empty.clock.next = self.clock.val();
        self.empty.enable.next = self.takes.val();
        self.empty.d.next = self.row_empty.val();
        self.final_row.clock.next = self.clock.val();
        self.final_row.enable.next = self.takes.val();
        self.final_row.d.next = self.row_final.val();

        // Counters and places. A selection before an adder costs no LUT of its own.
        if self.run_ends.val().any() {
            self.gx_base.next = self.run_gx.q.val();
            self.gx_step.next = bits_resize(self.tap_x.val(), self._position);
        } else {
            self.gx_base.next = self.gx.q.val();
            self.gx_step.next = bits_resize(self.plan_count.q.val(), self._position);
        }
        self.gx_sum.next = self.gx_base.val() + self.gx_step.val();
        if self.takes.val().any() {
            self.gx_next.next = self.row_gx.val();
        } else if self.line_ends.val().any() {
            self.gx_next.next = self.first_gx.q.val();
        } else {
            self.gx_next.next = self.gx_sum.val();
        }
        self.gx.clock.next = self.clock.val();
        self.gx.enable.next = self.takes.val() | self.issue.val();
        self.gx.d.next = self.gx_next.val();
        self.run_gx.clock.next = self.clock.val();
        self.run_gx.enable.next = self.takes.val() | (self.issue.val() & self.run_ends.val());
        self.run_gx.d.next = self.gx_next.val();
        if self.takes.val().any() {
            self.line_base.next = self.row_line.val();
            self.line_step.next = self.position_zero.val();
            self.place_base.next = bits_resize(self.row_granule.val(), self._place);
            self.place_step.next = self.place_zero.val();
        } else {
            self.line_base.next = self.line.q.val();
            self.line_step.next = bits_resize(self.tap_line.val(), self._position);
            self.place_base.next = self.place.q.val();
            self.place_step.next = bits_resize(self.plan_count.q.val(), self._place);
        }
        self.line.clock.next = self.clock.val();
        self.line.enable.next = self.takes.val() | (self.issue.val() & self.line_ends.val());
        self.line.d.next = self.line_base.val() + self.line_step.val();
        self.lines_r.clock.next = self.clock.val();
        self.lines_r.reset.next = self.takes.val();
        self.lines_r.enable.next = self.issue.val() & self.line_ends.val();
        self.lines_r.d.next = (self.lines_now.val() + self.one_line.val()) ^ self.one_line.val();
        self.place.clock.next = self.clock.val();
        self.place.enable.next = self.takes.val() | (self.issue.val() & (!self.pool.val()));
        self.place.d.next = self.place_base.val() + self.place_step.val();
        self.load_run.next = self.takes.val() | self.run_ends.val();
        if self.load_run.val().any() {
            self.done_base.next = !self.run_granules.val();
            self.done_step.next = self.one_granule.val();
        } else {
            self.done_base.next = self.done.q.val();
            self.done_step.next = bits_resize(self.plan_count.q.val(), self._run);
        }
        self.done.clock.next = self.clock.val();
        self.done.enable.next = self.takes.val() | self.issue.val();
        self.done.d.next = self.done_base.val() + self.done_step.val();
        self.runs_r.clock.next = self.clock.val();
        self.runs_r.reset.next = self.takes.val() | (self.issue.val() & self.line_ends.val());
        self.runs_r.enable.next = self.issue.val() & self.run_ends.val();
        self.runs_r.d.next = (self.runs_now.val() + self.one_run.val()) ^ self.one_run.val();
        self.first_tap.clock.next = self.clock.val();
        self.first_tap.enable.next = self.takes.val() | self.issue.val();
        self.first_tap.d.next = self.takes.val();

        // One address for each group; max-pool's fall.
        self.issue_valid.clock.next = self.clock.val();
        self.issue_valid.reset.next = self.reset.val();
        self.issue_valid.d.next =
            self.issue.val() | (self.issue_valid.q.val() & (!self.issue_is_last.val()));
        self.issue_first.clock.next = self.clock.val();
        self.issue_first.reset.next = self.reset.val();
        self.issue_first.d.next = self.issue.val();
        self.issue_moves.next = self.issue.val() | self.issue_valid.q.val();
        if self.pool.val().any() {
            self.pitch.next = !bits_resize(self.in_pitch.val(), self._address);
        } else {
            self.pitch.next = bits_resize(self.in_pitch.val(), self._address);
        }
        if self.issue.val().any() {
            self.groups_base.next = bits_resize(self.groups.val(), self._groups);
            self.groups_step.next = self.groups_minus_2.val();
            self.address_base.next = bits_resize(self.in_top.val(), self._address);
            self.address_step.next = bits_resize(
                self.plan_granule.q.val() >> self.slice_shift.val(),
                self._address,
            );
            self.address_carry.next = self.zero.val();
            self.issue_pad.d.next = self.pad_code.val();
        } else {
            self.groups_base.next = self.issue_left.q.val();
            self.groups_step.next = self.groups_minus_1.val();
            self.address_base.next = self.issue_address.q.val();
            self.address_step.next = self.pitch.val();
            self.address_carry.next = self.pool.val();
            self.issue_pad.d.next = self.issue_pad.q.val() >> self.branches.val();
        }
        self.address_sum.next = ((bits_resize(self.address_base.val(), self._sum)
            << self.by_one.val())
            | bits_resize(self.one.val(), self._sum))
            + ((bits_resize(self.address_step.val(), self._sum) << self.by_one.val())
                | bits_resize(self.address_carry.val(), self._sum));
        self.issue_left.clock.next = self.clock.val();
        self.issue_left.enable.next = self.issue_moves.val();
        self.issue_left.d.next = self.groups_base.val() + self.groups_step.val();
        self.issue_address.clock.next = self.clock.val();
        self.issue_address.enable.next = self.issue_moves.val();
        self.issue_address.d.next =
            bits_resize(self.address_sum.val() >> self.by_one.val(), self._address);
        self.issue_pad.clock.next = self.clock.val();
        self.issue_pad.enable.next = self.issue_moves.val();
        self.issue_inside.clock.next = self.clock.val();
        self.issue_inside.enable.next = self.issue.val();
        self.issue_inside.d.next = self.plan_inside.q.val();
        self.issue_rotate.clock.next = self.clock.val();
        self.issue_rotate.enable.next = self.issue.val();
        self.issue_rotate.d.next = (self.slot.val()
            - (bits_resize(self.plan_granule.q.val(), self._slice) & self.slice_mask.val()))
            & self.slice_mask.val();
        self.issue_begin.clock.next = self.clock.val();
        self.issue_begin.enable.next = self.issue.val();
        self.issue_begin.d.next = self.slot.val();
        self.issue_end.clock.next = self.clock.val();
        self.issue_end.enable.next = self.issue.val();
        self.issue_end.d.next = (self.slot.val() + self.plan_less.q.val()) & self.slice_mask.val();
        self.issue_word.clock.next = self.clock.val();
        self.issue_word.enable.next = self.issue.val();
        self.issue_word.d.next =
            bits_resize(self.place.q.val() >> self.slice_shift.val(), self._word);
        self.issue_select.clock.next = self.clock.val();
        self.issue_select.enable.next = self.issue.val();
        self.issue_select.d.next = self.select.q.val();
        self.issue_half.clock.next = self.clock.val();
        self.issue_half.enable.next = self.issue.val();
        self.issue_half.d.next = self.half.q.val();
        self.issue_closes.clock.next = self.clock.val();
        self.issue_closes.enable.next = self.issue.val();
        self.issue_closes.d.next = self.row_ends.val();
        self.issue_fills.clock.next = self.clock.val();
        self.issue_fills.enable.next = self.issue.val();
        self.issue_fills.d.next =
            (self.row_ends.val() & self.last_row.q.val()) & (!self.pool.val());
        self.issue_first_tap.clock.next = self.clock.val();
        self.issue_first_tap.enable.next = self.issue.val();
        self.issue_first_tap.d.next = self.first_tap.q.val();
        self.issue_final.clock.next = self.clock.val();
        self.issue_final.enable.next = self.issue.val();
        self.issue_final.d.next = self.final_row.q.val();
        self.read.next = self.issue_valid.q.val() & self.issue_inside.q.val();
        self.read_address.next = bits_resize(self.issue_address.q.val(), self._memory);
        self.input_error.next = (self.issue_valid.q.val() & self.issue_inside.q.val())
            & (self.issue_address.q.val() > bits_resize(self.in_last.val(), self._address)).into();

        // The word is read, turned, and written.
        self.read_valid.clock.next = self.clock.val();
        self.read_valid.reset.next = self.reset.val();
        self.read_valid.d.next = self.issue_valid.q.val();
        self.read_first.clock.next = self.clock.val();
        self.read_first.reset.next = self.reset.val();
        self.read_first.d.next = self.issue_first.q.val();
        self.read_last.clock.next = self.clock.val();
        self.read_last.enable.next = self.issue_valid.q.val();
        self.read_last.d.next = self.issue_is_last.val();
        self.read_inside.clock.next = self.clock.val();
        self.read_inside.enable.next = self.issue_valid.q.val();
        self.read_inside.d.next = self.issue_inside.q.val();
        self.read_rotate_1.clock.next = self.clock.val();
        self.read_rotate_1.enable.next = self.issue_valid.q.val();
        self.read_rotate_1.d.next = bits_resize(self.issue_rotate.q.val(), self._rotate_1);
        self.read_pad.clock.next = self.clock.val();
        self.read_pad.enable.next = self.issue_valid.q.val();
        self.read_pad.d.next = bits_resize(self.issue_pad.q.val(), self._branches);
        self.turn_valid.clock.next = self.clock.val();
        self.turn_valid.reset.next = self.reset.val();
        self.turn_valid.d.next = self.read_valid.q.val();
        self.turn_first.clock.next = self.clock.val();
        self.turn_first.reset.next = self.reset.val();
        self.turn_first.d.next = self.read_first.q.val();
        self.turn_last.clock.next = self.clock.val();
        self.turn_last.enable.next = self.read_valid.q.val();
        self.turn_last.d.next = self.read_last.q.val();
        self.turn_pad.clock.next = self.clock.val();
        self.turn_pad.enable.next = self.read_valid.q.val();
        if (self.read_inside.q.val() | self.pool.val()).any() {
            self.turn_pad.d.next = bits_resize(self.zero.val(), self._branches);
        } else {
            self.turn_pad.d.next = self.read_pad.q.val();
        }
        self.turn_rotate.clock.next = self.clock.val();
        self.turn_rotate.enable.next = self.read_first.q.val();
        self.turn_rotate.d.next = bits_resize(
            self.issue_rotate.q.val() >> self.stage_1.val(),
            self._rotate_2,
        );
        self.turn_begin.clock.next = self.clock.val();
        self.turn_begin.enable.next = self.read_first.q.val();
        self.turn_begin.d.next = self.issue_begin.q.val();
        self.turn_end.clock.next = self.clock.val();
        self.turn_end.enable.next = self.read_first.q.val();
        self.turn_end.d.next = self.issue_end.q.val();
        self.turn_word.clock.next = self.clock.val();
        self.turn_word.enable.next = self.read_first.q.val();
        self.turn_word.d.next = self.issue_word.q.val();
        self.turn_select.clock.next = self.clock.val();
        self.turn_select.enable.next = self.read_first.q.val();
        self.turn_select.d.next = self.issue_select.q.val();
        self.turn_half.clock.next = self.clock.val();
        self.turn_half.enable.next = self.read_first.q.val();
        self.turn_half.d.next = self.issue_half.q.val();
        self.turn_closes.clock.next = self.clock.val();
        self.turn_closes.enable.next = self.read_first.q.val();
        self.turn_closes.d.next = self.issue_closes.q.val();
        self.turn_fills.clock.next = self.clock.val();
        self.turn_fills.enable.next = self.read_first.q.val();
        self.turn_fills.d.next = self.issue_fills.q.val();
        self.turn_first_tap.clock.next = self.clock.val();
        self.turn_first_tap.enable.next = self.read_first.q.val();
        self.turn_first_tap.d.next = self.issue_first_tap.q.val();
        self.turn_final.clock.next = self.clock.val();
        self.turn_final.enable.next = self.read_first.q.val();
        self.turn_final.d.next = self.issue_final.q.val();
        self.rotator.clock.next = self.clock.val();
        for m in 0..self._branches {
            self.rotator.value[m].next = self.value[m].val();
            self.patch_value[m].next = self.rotator.rotated[m].val();
        }
        self.rotator.rotate_1.next = self.read_rotate_1.q.val();
        self.rotator.clear.next = !self.read_inside.q.val();
        self.rotator.rotate_2.next = self.turn_rotate.q.val();
        self.rotator.pad.next = self.turn_pad.q.val();
        self.above_end.next = self.slices_but_first.val() << self.turn_end.q.val();
        self.rotator.zero.next = self.above_end.val();
        self.from_begin.next = self.slices.val() << self.turn_begin.q.val();
        // A row's last piece clears what is left of its word.
        if (self.turn_closes.q.val() & (!self.pool.val())).any() {
            self.mask.next = self.from_begin.val();
        } else {
            self.mask.next = self.from_begin.val() & (!self.above_end.val());
        }
        self.write_valid.clock.next = self.clock.val();
        self.write_valid.reset.next = self.reset.val();
        self.write_valid.d.next = self.turn_valid.q.val();
        self.write_last.clock.next = self.clock.val();
        self.write_last.enable.next = self.turn_valid.q.val();
        self.write_last.d.next = self.turn_last.q.val();
        if self.turn_first.q.val().any() {
            self.patch_base.next = bits_resize(self.turn_word.q.val(), self._patch);
            self.patch_step.next = self.patch_zero.val();
        } else {
            self.patch_base.next = self.write_address.q.val();
            self.patch_step.next = bits_resize(self.chunks.val(), self._patch);
        }
        self.write_address.clock.next = self.clock.val();
        self.write_address.enable.next = self.turn_valid.q.val();
        self.write_address.d.next = self.patch_base.val() + self.patch_step.val();
        self.write_mask.clock.next = self.clock.val();
        self.write_mask.enable.next = self.turn_first.q.val();
        self.write_mask.d.next = self.mask.val();
        self.write_half.clock.next = self.clock.val();
        self.write_half.enable.next = self.turn_first.q.val();
        self.write_half.d.next = self.turn_half.q.val();
        self.write_closes.clock.next = self.clock.val();
        self.write_closes.enable.next = self.turn_first.q.val();
        self.write_closes.d.next = self.turn_closes.q.val();
        self.write_fills.clock.next = self.clock.val();
        self.write_fills.enable.next = self.turn_first.q.val();
        self.write_fills.d.next = self.turn_fills.q.val();
        self.write_final.clock.next = self.clock.val();
        self.write_final.enable.next = self.turn_first.q.val();
        self.write_final.d.next = self.turn_final.q.val();
        self.writes.next = self.turn_valid.q.val() & (!self.pool.val());
        for r in 0..self._rounds {
            if self.turn_select.q.val().get_bit(r) {
                self.buffer_clear[r].next = self.reset.val() | (!self.writes.val());
            } else {
                self.buffer_clear[r].next = self.one.val();
            }
            self.buffer_enable[r].clock.next = self.clock.val();
            self.buffer_enable[r].clear.next = self.buffer_clear[r].val();
            self.buffer_enable[r].mask.next = self.mask.val();
            self.patch_write[r].next = self.buffer_enable[r].enable.val();
        }
        self.patch_address.next = (bits_resize(self.write_half.q.val(), self._patch_address)
            << self.half_shift.val())
            | bits_resize(
                bits_resize(self.write_address.q.val(), self._half),
                self._patch_address,
            );
        self.patch_error.next = (self.write_valid.q.val() & (!self.pool.val()))
            & (self.write_address.q.val() >> self.half_shift.val())
                .any()
                .into();
        if (!((self.write_valid.q.val() & self.write_last.q.val()) & self.write_fills.q.val()))
            .any()
        {
            self.fill.next = self.no_half.val();
        } else if self.write_half.q.val().any() {
            self.fill.next = self.half_1.val();
        } else {
            self.fill.next = self.half_0.val();
        }
        self.filled.clock.next = self.clock.val();
        self.filled.reset.next = self.reset.val();
        self.filled.d.next = (self.filled.q.val() | self.fill.val()) & (!self.patch_release.val());
        self.full_0.next = bits_resize(self.filled.q.val(), 1);
        self.full_1.next = bits_resize(self.filled.q.val() >> self.by_one.val(), 1);

        self.next_valid.next = self.turn_valid.q.val() & self.pool.val();
        self.next_first.next = self.turn_first.q.val();
        self.next_first_tap.next = self.turn_first_tap.q.val();
        self.next_word.next = self.turn_word.q.val();
        self.tap_valid.next = self.write_valid.q.val() & self.pool.val();
        self.tap_last.next = self.write_closes.q.val();
        self.tap_final.next =
            (self.write_last.q.val() & self.write_closes.q.val()) & self.write_final.q.val();
        self.tap_mask.next = self.write_mask.q.val();

        // The two halves of the patch buffers are a queue of two row tiles.
        self.push_when_full.clock.next = self.clock.val();
        self.push_when_full.start.next = self.reset.val();
        self.push_when_full.fails.next = (self.filled.q.val() & self.fill.val()).any().into();
        self.pop_when_empty.clock.next = self.clock.val();
        self.pop_when_empty.start.next = self.reset.val();
        self.pop_when_empty.fails.next = (self.patch_release.val() & (!self.filled.q.val()))
            .any()
            .into();
    }
}
