//! From codes back to bit-planes.

use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// One plane of a row: the columns shift in with the codes, `drain_columns` to a step.
#[derive(Clone, Debug, LogicBlock)]
pub struct PlaneShift {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Shifts at this edge.
    pub take: Net<In>,
    /// What enters, at the places of the last columns.
    pub entering: Vec<Net<In>>,
    /// The plane, at the place of the first slice of a granule.
    pub slice: Net<Out>,
    plane: EnabledRegister,
    placed: Vec<Net<Local>>,
    entered: Net<Local>,
    no_columns: Net<Local>,
    first_column: Net<Local>,
    step_columns: Constant,
    lane_place: Vec<Constant>,
    none: Constant,
    one: Constant,
    _lanes: usize,
    _columns: usize,
    _width: usize,
}

impl PlaneShift {
    /// A plane of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let c = d.design().config();
        let (columns, lanes) = (c.columns, d.config().drain_columns);
        let width = d.granule_width();
        PlaneShift {
            shape: Shape::new(
                format!("plane_shift_c{columns}_e{lanes}"),
                "One plane of a row; the columns shift in with the codes.",
            ),
            clock: Signal::default(),
            take: Net::new(1),
            entering: Net::vector(lanes, 1),
            slice: Net::partly_unused(width, "a plane has its slice at the bottom"),
            plane: EnabledRegister::new(columns),
            placed: Net::vector(lanes, columns),
            entered: Net::new(columns),
            no_columns: Net::new(columns),
            first_column: Net::partly_unused(columns, "a single bit"),
            step_columns: Constant::new(32, lanes.into()),
            lane_place: (0..lanes)
                .map(|e| Constant::new(32, (columns - lanes + e).into()))
                .collect(),
            none: Constant::new(1, 0),
            one: Constant::new(1, 1),
            _lanes: lanes as usize,
            _columns: columns as usize,
            _width: width as usize,
        }
    }
}

impl Logic for PlaneShift {
    #[hdl_gen]
    fn update(&mut self) {
        self.plane.clock.next = self.clock.val();
        self.plane.enable.next = self.take.val();
        self.no_columns.next = bits_resize(self.none.val(), self._columns);
        self.first_column.next = bits_resize(self.one.val(), self._columns);
        // A net for each lane: the text of a chain of conditions would double with each of them.
        for e in 0..self._lanes {
            if self.entering[e].val().any() {
                self.placed[e].next = self.first_column.val() << self.lane_place[e].val();
            } else {
                self.placed[e].next = self.no_columns.val();
            }
        }
        self.entered.next = self.no_columns.val();
        for e in 0..self._lanes {
            self.entered.next = self.entered.val() | self.placed[e].val();
        }
        self.plane.d.next = (self.plane.q.val() >> self.step_columns.val()) | self.entered.val();
        self.slice.next = bits_resize(self.plane.q.val(), self._width);
    }
}

/// Why nothing reads what the last group passes on.
const LAST_GROUP: &str = "nothing follows the last plane group";

/// The planes of one plane group of a row: they shift in with the codes, `drain_columns` columns to a step.
///
/// Each group works one cycle later than the one before it, so that the groups of a row are complete one after another
/// and can be written in turn without being copied.
#[derive(Clone, Debug, LogicBlock)]
pub struct PlaneGroup {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets what is under way.
    pub reset: Net<In>,
    /// Lets the group move.
    pub flow: Net<In>,
    /// Codes are there.
    pub valid: Net<In>,
    /// They complete a row whose planes of this group are wanted.
    pub row_end: Net<In>,
    /// The planes of the next group are wanted too.
    pub next_wanted: Net<In>,
    /// The codes, without the planes of the groups before.
    pub code: Vec<Net<In>>,
    /// As `valid`, for the next group.
    pub next_valid: Net<Out>,
    /// As `row_end`, for the next group.
    pub next_row_end: Net<Out>,
    /// As `code`, for the next group.
    pub next_code: Vec<Net<Out>>,
    /// The planes are complete, and to be written now.
    pub complete: Net<Out>,
    /// Then the planes, slice by slice; else 0.
    pub value: Net<Out>,
    valid_r: EnabledResetRegister,
    complete_r: EnabledResetRegister,
    code_r: Vec<EnabledRegister>,
    plane: Vec<PlaneShift>,
    joined: Net<Local>,
    takes: Net<Local>,
    group_bits: Constant,
    slice_place: Vec<Constant>,
    none: Constant,
    _lanes: usize,
    _branches: usize,
    _value_width: usize,
}

impl PlaneGroup {
    /// A group of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let c = d.design().config();
        let (branches, columns, lanes) =
            (c.activation_branches, c.columns, d.config().drain_columns);
        let value = d.granule_width();
        PlaneGroup {
            shape: Shape::new(
                format!("plane_group_a{branches}_c{columns}_e{lanes}"),
                "The planes of one plane group of a row; they shift in with the codes.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            flow: Net::new(1),
            valid: Net::new(1),
            row_end: Net::new(1),
            next_wanted: Net::new(1),
            code: Net::vector(lanes, d.code_planes),
            next_valid: Net::partly_unused(1, LAST_GROUP),
            next_row_end: Net::partly_unused(1, LAST_GROUP),
            next_code: (0..lanes)
                .map(|_| Net::partly_unused(d.code_planes, LAST_GROUP))
                .collect(),
            complete: Net::new(1),
            value: Net::new(value),
            valid_r: EnabledResetRegister::new(1),
            complete_r: EnabledResetRegister::new(1),
            code_r: EnabledRegister::vector(lanes, d.code_planes),
            plane: (0..branches).map(|_| PlaneShift::new(d)).collect(),
            joined: Net::new(value),
            takes: Net::new(1),
            group_bits: Constant::new(32, branches.into()),
            slice_place: (0..branches)
                .map(|p| Constant::new(32, (p * d.granule_lanes).into()))
                .collect(),
            none: Constant::new(1, 0),
            _lanes: lanes as usize,
            _branches: branches as usize,
            _value_width: value as usize,
        }
    }
}

impl Logic for PlaneGroup {
    #[hdl_gen]
    fn update(&mut self) {
        self.valid_r.clock.next = self.clock.val();
        self.valid_r.reset.next = self.reset.val();
        self.valid_r.enable.next = self.flow.val();
        self.valid_r.d.next = self.valid.val();
        self.next_valid.next = self.valid_r.q.val();
        self.complete_r.clock.next = self.clock.val();
        self.complete_r.reset.next = self.reset.val();
        self.complete_r.enable.next = self.flow.val();
        self.complete_r.d.next = self.row_end.val();
        self.complete.next = self.complete_r.q.val();
        self.next_row_end.next = self.complete_r.q.val() & self.next_wanted.val();
        for e in 0..self._lanes {
            self.code_r[e].clock.next = self.clock.val();
            self.code_r[e].enable.next = self.flow.val();
            self.code_r[e].d.next = self.code[e].val() >> self.group_bits.val();
            self.next_code[e].next = self.code_r[e].q.val();
        }
        self.takes.next = self.flow.val() & self.valid.val();
        for p in 0..self._branches {
            self.plane[p].clock.next = self.clock.val();
            self.plane[p].take.next = self.takes.val();
            for e in 0..self._lanes {
                self.plane[p].entering[e].next = self.code[e].val().get_bit(p).into();
            }
        }
        self.joined.next = bits_resize(self.none.val(), self._value_width);
        for p in 0..self._branches {
            self.joined.next =
                self.joined.val() | (self.plane[p].slice.val() << self.slice_place[p].val());
        }
        if self.complete_r.q.val().any() {
            self.value.next = self.joined.val();
        } else {
            self.value.next = bits_resize(self.none.val(), self._value_width);
        }
    }
}

/// Packs the codes of a row into words of planes and says where they are written, plane group by plane group.
#[derive(Clone, Debug, LogicBlock)]
pub struct PlanePacker {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets what is under way.
    pub reset: Net<In>,
    /// Lets it move.
    pub flow: Net<In>,
    /// Codes are there.
    pub valid: Net<In>,
    /// They complete a row.
    pub row_end: Net<In>,
    /// The codes of the columns of a step.
    pub code: Vec<Net<In>>,
    /// The row's granule.
    pub granule: Net<In>,
    /// Field of the descriptor.
    pub to_activation: Net<In>,
    /// Field of the descriptor.
    pub to_residual: Net<In>,
    /// Field of the descriptor.
    pub out_groups: Net<In>,
    /// Field of the descriptor.
    pub out_base: Net<In>,
    /// Field of the descriptor.
    pub out_pitch: Net<In>,
    /// Field of the descriptor.
    pub out_last: Net<In>,
    /// Writes these slices of a word of the activation memory.
    pub back_write: Net<Out>,
    /// Which word.
    pub back_address: Net<Out>,
    /// One slice of each plane.
    pub back_value: Net<Out>,
    /// Writes a granule of the residual memory.
    pub residual_write: Net<Out>,
    /// Which one: word and slice. It gets the same value.
    pub residual_address: Net<Out>,
    /// Something is still to be written.
    pub pending: Net<Out>,
    /// A word lies past the range; it is not written.
    pub past: Net<Out>,
    group: Vec<PlaneGroup>,
    address: EnabledRegister,
    slice: EnabledRegister,
    busy: Net<Local>,
    starts: Net<Local>,
    address_before: Net<Local>,
    address_step: Net<Local>,
    is_past: Net<Local>,
    past_last: Net<Local>,
    past_activation: Net<Local>,
    past_residual: Net<Local>,
    writes: Net<Local>,
    group_number: Vec<Constant>,
    slice_bits: Constant,
    activation_top: Constant,
    residual_top: Constant,
    first_slice: Constant,
    none: Constant,
    no_slice: Constant,
    _one: usize,
    _lanes: usize,
    _groups: usize,
    _last_group: usize,
    _many_slices: usize,
    _one_slice: usize,
    _slice_width: usize,
    _sum_width: usize,
    _address_width: usize,
    _value_width: usize,
    _residual_address: usize,
}

impl PlanePacker {
    /// The packer of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let c = d.design().config();
        let groups = d.design().activation_groups;
        let (branches, columns) = (c.activation_branches, c.columns);
        let (lanes, value) = (d.config().drain_columns, d.granule_width());
        let field = |f: Field| Net::new(f.width(d));
        let address = d.output_address_width;
        // Room for base + granule / slices, which tells every address past the memory.
        let sum = address + 2;
        let residual = (d.residual_granules()).ilog2();
        PlanePacker {
            shape: Shape::new(
                format!("plane_packer_g{groups}_a{branches}_c{columns}"),
                "Packs the codes of a row into words of planes and says where they are written.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            flow: Net::new(1),
            valid: Net::new(1),
            row_end: Net::new(1),
            code: Net::vector(lanes, d.code_planes),
            granule: Net::new(d.granule_address_width),
            to_activation: Net::new(1),
            to_residual: Net::new(1),
            out_groups: field(Field::OutGroups),
            out_base: field(Field::OutBase),
            out_pitch: field(Field::OutPitch),
            out_last: field(Field::OutLast),
            back_write: Net::new(d.slices),
            back_address: Net::new(d.activation_address_width),
            back_value: Net::new(value),
            residual_write: Net::new(1),
            residual_address: Net::new(residual),
            pending: Net::new(1),
            past: Net::new(1),
            group: (0..groups).map(|_| PlaneGroup::new(d)).collect(),
            address: EnabledRegister::new(sum),
            slice: EnabledRegister::new(d.slice_width),
            busy: Net::new(1),
            starts: Net::new(1),
            address_before: Net::new(sum),
            address_step: Net::new(sum),
            is_past: Net::new(1),
            past_last: Net::new(1),
            past_activation: Net::new(1),
            past_residual: Net::new(1),
            writes: Net::new(1),
            group_number: (1..=groups)
                .map(|g| Constant::new(Field::OutGroups.width(d), g.into()))
                .collect(),
            slice_bits: Constant::new(32, d.slices.ilog2().into()),
            activation_top: Constant::new(32, d.activation_address_width.into()),
            residual_top: Constant::new(32, d.residual_address_width.into()),
            first_slice: Constant::new(d.slices, 1),
            none: Constant::new(1, 0),
            no_slice: Constant::new(d.slices, 0),
            _one: 1,
            _lanes: lanes as usize,
            _groups: groups as usize,
            _last_group: groups as usize - 1,
            _many_slices: usize::from(d.slices > 1),
            _one_slice: usize::from(d.slices == 1),
            _slice_width: d.slice_width as usize,
            _sum_width: sum as usize,
            _address_width: d.activation_address_width as usize,
            _value_width: value as usize,
            _residual_address: residual as usize,
        }
    }
}

impl Logic for PlanePacker {
    #[hdl_gen]
    fn update(&mut self) {
        for g in 0..self._groups {
            self.group[g].clock.next = self.clock.val();
            self.group[g].reset.next = self.reset.val();
            self.group[g].flow.next = self.flow.val();
            self.group[g].next_wanted.next =
                (self.out_groups.val() > self.group_number[g].val()).into();
        }
        for g in 0..self._one {
            self.group[g].valid.next = self.valid.val();
            self.group[g].row_end.next = self.valid.val() & self.row_end.val();
            for e in 0..self._lanes {
                self.group[g].code[e].next = self.code[e].val();
            }
        }
        for g in 0..self._last_group {
            self.group[g + 1].valid.next = self.group[g].next_valid.val();
            self.group[g + 1].row_end.next = self.group[g].next_row_end.val();
            for e in 0..self._lanes {
                self.group[g + 1].code[e].next = self.group[g].next_code[e].val();
            }
        }
        // One group at most has something to be written.
        self.busy.next = self.none.val();
        self.back_value.next = bits_resize(self.none.val(), self._value_width);
        for g in 0..self._groups {
            self.busy.next = self.busy.val() | self.group[g].complete.val();
            self.back_value.next = self.back_value.val() | self.group[g].value.val();
        }

        // The address of the first group, then from group to group.
        self.starts.next = self.valid.val() & self.row_end.val();
        if self.starts.val().any() {
            self.address_before.next = bits_resize(self.out_base.val(), self._sum_width);
            self.address_step.next =
                bits_resize(self.granule.val() >> self.slice_bits.val(), self._sum_width);
        } else {
            self.address_before.next = self.address.q.val();
            self.address_step.next = bits_resize(self.out_pitch.val(), self._sum_width);
        }
        self.address.clock.next = self.clock.val();
        self.address.enable.next = self.flow.val() & (self.starts.val() | self.busy.val());
        self.address.d.next = self.address_before.val() + self.address_step.val();

        for _i in 0..self._many_slices {
            self.slice.clock.next = self.clock.val();
            self.slice.enable.next = self.flow.val() & self.starts.val();
            self.slice.d.next = bits_resize(self.granule.val(), self._slice_width);
        }
        for _i in 0..self._one_slice {
            self.slice.clock.next = self.clock.val();
            self.slice.enable.next = self.flow.val();
            self.slice.d.next = bits_resize(self.none.val(), self._slice_width);
        }

        self.past_last.next =
            (self.address.q.val() > bits_resize(self.out_last.val(), self._sum_width)).into();
        self.past_activation.next = (self.address.q.val() >> self.activation_top.val())
            .any()
            .into();
        self.past_residual.next = (self.address.q.val() >> self.residual_top.val())
            .any()
            .into();
        self.is_past.next = self.past_last.val()
            | ((self.to_activation.val() & self.past_activation.val())
                | (self.to_residual.val() & self.past_residual.val()));
        self.writes.next = (self.busy.val() & self.flow.val()) & (!self.is_past.val());
        if (self.writes.val() & self.to_activation.val()).any() {
            self.back_write.next = self.first_slice.val() << self.slice.q.val();
        } else {
            self.back_write.next = self.no_slice.val();
        }
        self.back_address.next = bits_resize(self.address.q.val(), self._address_width);
        self.residual_write.next = self.writes.val() & self.to_residual.val();
        self.residual_address.next = (bits_resize(self.address.q.val(), self._residual_address)
            << self.slice_bits.val())
            | bits_resize(self.slice.q.val(), self._residual_address);
        self.pending.next = self.busy.val();
        self.past.next = (self.busy.val() & self.is_past.val())
            & (self.to_activation.val() | self.to_residual.val());
    }
}
