//! Reads what a row needs before it leaves the drain: its place and its residual codes.

use super::WordMemory;
use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// The residual planes of one plane group: of the row that is being read, and of the row in the drain.
#[derive(Clone, Debug, LogicBlock)]
pub struct PlaneLatch {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets an arrival.
    pub reset: Net<In>,
    /// Clears the planes of the row that is being read.
    pub clear: Net<In>,
    /// The planes arrive.
    pub arrives: Net<In>,
    /// This is the last group.
    pub is_last: Net<In>,
    /// A granule's codes, one word of columns for each plane.
    pub value: Net<In>,
    /// The row that was read goes to the drain.
    pub take: Net<In>,
    /// The first column that leaves the drain.
    pub column: Net<In>,
    /// The next group arrives.
    pub next_arrives: Net<Out>,
    /// The last group arrives, and is this one.
    pub completes: Net<Out>,
    /// The group's bits of each of the columns that leave.
    pub code: Vec<Net<Out>>,
    arrived: ResetRegister,
    read: EnabledResetRegister,
    taken: EnabledRegister,
    shifted: Vec<Net<Local>>,
    plane_place: Vec<Constant>,
    bit: Vec<Constant>,
    none: Constant,
    _lanes: usize,
    _branches: usize,
}

impl PlaneLatch {
    /// A latch of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let c = d.design().config();
        let (branches, columns) = (c.activation_branches, c.columns);
        let (lanes, planes) = (d.config().drain_columns, d.code_planes);
        PlaneLatch {
            shape: Shape::new(
                format!("plane_latch_a{branches}_c{columns}"),
                "Residual planes of one plane group: of the row that is read, and of the row in the drain.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            clear: Net::new(1),
            arrives: Net::new(1),
            is_last: Net::new(1),
            value: Net::new(d.granule_width()),
            take: Net::new(1),
            column: Net::new(d.column_width()),
            next_arrives: Net::partly_unused(1, "nothing follows the last plane group"),
            completes: Net::new(1),
            code: (0..lanes)
                .map(|_| Net::partly_unused(planes, "a group has only some of the planes"))
                .collect(),
            arrived: ResetRegister::new(1),
            read: EnabledResetRegister::new(d.granule_width()),
            taken: EnabledRegister::new(d.granule_width()),
            shifted: (0..branches)
                .map(|_| {
                    Net::partly_unused(d.granule_width(), "only the columns of a step are taken")
                })
                .collect(),
            plane_place: (0..branches)
                .map(|p| Constant::new(32, (p * d.granule_lanes).into()))
                .collect(),
            bit: (0..branches)
                .map(|p| Constant::new(planes, 1 << p))
                .collect(),
            none: Constant::new(planes, 0),
            _lanes: lanes as usize,
            _branches: branches as usize,
        }
    }
}

impl Logic for PlaneLatch {
    #[hdl_gen]
    fn update(&mut self) {
        self.arrived.clock.next = self.clock.val();
        self.arrived.reset.next = self.reset.val();
        self.arrived.d.next = self.arrives.val() & (!self.is_last.val());
        self.next_arrives.next = self.arrived.q.val();
        self.completes.next = self.arrives.val() & self.is_last.val();
        self.read.clock.next = self.clock.val();
        self.read.reset.next = self.clear.val();
        self.read.enable.next = self.arrives.val();
        self.read.d.next = self.value.val();
        self.taken.clock.next = self.clock.val();
        self.taken.enable.next = self.take.val();
        self.taken.d.next = self.read.q.val();

        for p in 0..self._branches {
            self.shifted[p].next =
                (self.taken.q.val() >> self.plane_place[p].val()) >> self.column.val();
        }
        for e in 0..self._lanes {
            self.code[e].next = self.none.val();
            for p in 0..self._branches {
                if self.shifted[p].val().get_bit(e) {
                    self.code[e].next = self.code[e].val() | self.bit[p].val();
                }
            }
        }
    }
}

/// Holds the place of the row in the drain, and reads the one after it ahead: with residual codes from the residual
/// memory, which only the back end reads and writes, granule by granule.
#[derive(Clone, Debug, LogicBlock)]
pub struct RowReader {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets all rows.
    pub reset: Net<In>,
    /// The walker gives a place.
    pub gives: Net<In>,
    /// The row's granule.
    pub granule: Net<In>,
    /// Address of its first constant.
    pub constant: Net<In>,
    /// Columns leave the drain.
    pub step: Net<In>,
    /// They are their row's last.
    pub row_end: Net<In>,
    /// The first of them.
    pub column: Net<In>,
    /// The epilogue moves.
    pub flow: Net<In>,
    /// Residual codes are needed.
    pub uses_residual: Net<In>,
    /// Field of the descriptor.
    pub residual_base: Net<In>,
    /// Field of the descriptor.
    pub residual_pitch: Net<In>,
    /// Field of the descriptor.
    pub residual_groups: Net<In>,
    /// Writes a granule of residual codes.
    pub write: Net<In>,
    /// Where: word and slice.
    pub write_address: Net<In>,
    /// One word of columns for each plane of a group.
    pub write_value: Net<In>,
    /// A place can be taken.
    pub ready: Net<Out>,
    /// The row in the drain has all it needs.
    pub row_ready: Net<Out>,
    /// Its granule.
    pub row_granule: Net<Out>,
    /// Address of the constants of the columns that leave.
    pub row_constant: Net<Out>,
    /// Residual codes of the columns that left with the last step.
    pub code: Vec<Net<Out>>,
    memory: WordMemory,
    latch: Vec<PlaneLatch>,
    held: ResetRegister,
    read: ResetRegister,
    issued: ResetRegister,
    arrives: ResetRegister,
    next_granule: EnabledRegister,
    next_constant: EnabledRegister,
    address: EnabledRegister,
    current: ResetRegister,
    current_granule: EnabledRegister,
    current_constant: EnabledRegister,
    code_r: Vec<EnabledRegister>,
    completes: Net<Local>,
    code_now: Vec<Net<Local>>,
    push_when_full: Assertion,
    takes: Net<Local>,
    constant_before: Net<Local>,
    constant_step: Net<Local>,
    read_base: Net<Local>,
    read_address: Net<Local>,
    group_number: Vec<Constant>,
    group_place: Vec<Constant>,
    slice_bits: Constant,
    no_constant: Constant,
    one_constant: Constant,
    no_code: Constant,
    zero: Constant,
    _one: usize,
    _groups: usize,
    _last_group: usize,
    _lanes: usize,
    _address_width: usize,
}

impl RowReader {
    /// The reader of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let c = d.design().config();
        let groups = d.design().activation_groups;
        let (columns, lanes) = (c.columns, d.config().drain_columns);
        let granule = d.granule_address_width;
        let constant = d.constant_address_width + 1;
        let memory = WordMemory::new(d.residual_granules(), d.granule_width());
        let address = memory.read_address.val().bits() as u32;
        let number = Field::ResidualGroups.width(d);
        let planes = d.code_planes;
        RowReader {
            shape: Shape::new(
                format!("row_reader_c{columns}_e{lanes}"),
                "Holds the place and the residual codes of the row in the drain; reads the next row ahead.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            gives: Net::new(1),
            granule: Net::new(granule),
            constant: Net::new(constant),
            step: Net::new(1),
            row_end: Net::new(1),
            column: Net::new(d.column_width()),
            flow: Net::new(1),
            uses_residual: Net::new(1),
            residual_base: Net::new(Field::ResidualBase.width(d)),
            residual_pitch: Net::new(Field::ResidualPitch.width(d)),
            residual_groups: Net::new(number),
            write: Net::new(1),
            write_address: Net::new(address),
            write_value: Net::new(d.granule_width()),
            ready: Net::new(1),
            row_ready: Net::new(1),
            row_granule: Net::new(granule),
            row_constant: Net::new(constant),
            code: Net::vector(lanes, planes),
            memory,
            latch: (0..groups).map(|_| PlaneLatch::new(d)).collect(),
            held: ResetRegister::new(1),
            read: ResetRegister::new(1),
            issued: ResetRegister::new(1),
            arrives: ResetRegister::new(1),
            next_granule: EnabledRegister::new(granule),
            next_constant: EnabledRegister::new(constant),
            address: EnabledRegister::new(address),
            current: ResetRegister::new(1),
            current_granule: EnabledRegister::new(granule),
            current_constant: EnabledRegister::new(constant),
            code_r: EnabledRegister::vector(lanes, planes),
            completes: Net::new(1),
            code_now: Net::vector(lanes, planes),
            push_when_full: Assertion::new("row_push_when_full"),
            takes: Net::new(1),
            constant_before: Net::new(constant),
            constant_step: Net::new(constant),
            read_base: Net::new(address),
            read_address: Net::new(address),
            group_place: (0..groups)
                .map(|g| Constant::new(32, (g * c.activation_branches).into()))
                .collect(),
            group_number: (1..=groups)
                .map(|g| Constant::new(number, g.into()))
                .collect(),
            slice_bits: Constant::new(32, d.slices.ilog2().into()),
            no_constant: Constant::new(constant, 0),
            one_constant: Constant::new(constant, 1),
            no_code: Constant::new(planes, 0),
            zero: Constant::new(1, 0),
            _one: 1,
            _groups: groups as usize,
            _last_group: groups as usize - 1,
            _lanes: lanes as usize,
            _address_width: address as usize,
        }
    }
}

impl Logic for RowReader {
    #[hdl_gen]
    fn update(&mut self) {
        self.takes.next = self.read.q.val() & ((!self.current.q.val()) | self.row_end.val());
        self.ready.next = (!self.held.q.val()) | self.takes.val();

        self.held.clock.next = self.clock.val();
        self.held.reset.next = self.reset.val();
        self.held.d.next = self.gives.val() | (self.held.q.val() & (!self.takes.val()));
        self.read.clock.next = self.clock.val();
        self.read.reset.next = self.reset.val();
        self.current.clock.next = self.clock.val();
        self.current.reset.next = self.reset.val();
        self.current.d.next = self.takes.val() | (self.current.q.val() & (!self.row_end.val()));
        self.next_granule.clock.next = self.clock.val();
        self.next_granule.enable.next = self.gives.val();
        self.next_granule.d.next = self.granule.val();
        self.next_constant.clock.next = self.clock.val();
        self.next_constant.enable.next = self.gives.val();
        self.next_constant.d.next = self.constant.val();

        self.current_granule.clock.next = self.clock.val();
        self.current_granule.enable.next = self.takes.val();
        self.current_granule.d.next = self.next_granule.q.val();
        if self.takes.val().any() {
            self.constant_before.next = self.next_constant.q.val();
            self.constant_step.next = self.no_constant.val();
        } else {
            self.constant_before.next = self.current_constant.q.val();
            self.constant_step.next = self.one_constant.val();
        }
        self.current_constant.clock.next = self.clock.val();
        self.current_constant.enable.next = self.takes.val() | self.step.val();
        self.current_constant.d.next = self.constant_before.val() + self.constant_step.val();

        // One plane group is read in each cycle after a place was given, and arrives one cycle later.
        self.issued.clock.next = self.clock.val();
        self.issued.reset.next = self.reset.val();
        self.issued.d.next = self.gives.val() & self.uses_residual.val();
        self.arrives.clock.next = self.clock.val();
        self.arrives.reset.next = self.reset.val();
        self.arrives.d.next = self.issued.q.val();
        self.address.clock.next = self.clock.val();
        self.address.enable.next = self.gives.val() | self.held.q.val();
        if self.gives.val().any() {
            self.address.d.next = bits_resize(self.granule.val(), self._address_width);
        } else {
            self.address.d.next = self.address.q.val()
                + (bits_resize(self.residual_pitch.val(), self._address_width)
                    << self.slice_bits.val());
        }
        self.read_base.next =
            bits_resize(self.residual_base.val(), self._address_width) << self.slice_bits.val();
        self.read_address.next = self.address.q.val() + self.read_base.val();
        self.memory.clock.next = self.clock.val();
        self.memory.read.next = self.held.q.val();
        self.memory.read_address.next = self.read_address.val();
        self.memory.write.next = self.write.val();
        self.memory.write_address.next = self.write_address.val();
        self.memory.write_value.next = self.write_value.val();

        for g in 0..self._groups {
            self.latch[g].clock.next = self.clock.val();
            self.latch[g].reset.next = self.reset.val();
            self.latch[g].clear.next = self.gives.val();
            self.latch[g].is_last.next =
                (self.residual_groups.val() == self.group_number[g].val()).into();
            self.latch[g].value.next = self.memory.value.val();
            self.latch[g].take.next = self.takes.val();
            self.latch[g].column.next = self.column.val();
        }
        for g in 0..self._one {
            self.latch[g].arrives.next = self.arrives.q.val();
        }
        for g in 0..self._last_group {
            self.latch[g + 1].arrives.next = self.latch[g].next_arrives.val();
        }
        self.completes.next = self.zero.val();
        for g in 0..self._groups {
            self.completes.next = self.completes.val() | self.latch[g].completes.val();
        }
        self.read.d.next = (self.gives.val() & (!self.uses_residual.val()))
            | ((!self.gives.val())
                & ((self.read.q.val() & (!self.takes.val())) | self.completes.val()));

        self.push_when_full.clock.next = self.clock.val();
        self.push_when_full.start.next = self.reset.val();
        self.push_when_full.fails.next =
            (self.gives.val() & self.held.q.val()) & (!self.takes.val());
        self.row_ready.next = self.current.q.val();
        self.row_granule.next = self.current_granule.q.val();
        self.row_constant.next = self.current_constant.q.val();
        for e in 0..self._lanes {
            self.code_now[e].next = self.no_code.val();
            for g in 0..self._groups {
                self.code_now[e].next = self.code_now[e].val()
                    | (self.latch[g].code[e].val() << self.group_place[g].val());
            }
            self.code_r[e].clock.next = self.clock.val();
            self.code_r[e].enable.next = self.flow.val();
            self.code_r[e].d.next = self.code_now[e].val();
            self.code[e].next = self.code_r[e].q.val();
        }
    }
}
