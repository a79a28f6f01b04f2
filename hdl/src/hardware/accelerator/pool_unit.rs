//! Max-pool on bit-planes.

use super::loader::LoaderWidths;
use super::{PlaneMaximum, PlaneStore};
use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// Keeps the larger one of two codes in every lane, plane by plane from the most significant one.
///
/// Each lane holds whether all planes were equal so far, and which code was the larger one in the plane that decided. What
/// was kept of a pixel's taps stands in a memory with a word for each plane group; it gives 0 for the first one. A tap
/// outside the feature map comes as code 0, which is never the larger one.
///
/// The unit also finds the address of the first group that is read: `in_base`, or for max-pool that of the most
/// significant group, by adding the pitch while `hold`, and the base when the walk begins.
#[derive(Clone, Debug, LogicBlock)]
pub struct PoolUnit {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Drops everything.
    pub reset: Net<In>,
    /// A COMPUTE begins: the first group is that at `in_base`.
    pub go_compute: Net<In>,
    /// A POOL begins: the first group is the most significant one.
    pub go_pool: Net<In>,
    /// The walk begins: one cycle without `hold`.
    pub begins: Net<In>,
    /// A POOL runs. From the cycle after `go_pool`.
    pub pool: Net<In>,
    /// The descriptor's field.
    pub groups: Net<In>,
    /// The descriptor's field.
    pub in_base: Net<In>,
    /// The descriptor's field.
    pub in_pitch: Net<In>,
    /// The descriptor's field.
    pub out_base: Net<In>,
    /// The descriptor's field.
    pub out_pitch: Net<In>,
    /// The descriptor's field.
    pub out_last: Net<In>,
    /// A group of a tap comes in the next cycle.
    pub next_valid: Net<In>,
    /// It is the tap's first.
    pub next_first: Net<In>,
    /// It belongs to the pixel's first tap.
    pub next_first_tap: Net<In>,
    /// The word of the output that it belongs to, without the base.
    pub next_word: Net<In>,
    /// `tap_value` holds a group of a tap.
    pub tap_valid: Net<In>,
    /// It belongs to the pixel's last tap.
    pub tap_last: Net<In>,
    /// It is the very last group.
    pub tap_final: Net<In>,
    /// The slices that the tap fills.
    pub tap_mask: Net<In>,
    /// Its planes.
    pub tap_value: Vec<Net<In>>,
    /// What others write to the activation memory; 0 while a POOL runs.
    pub other_value: Vec<Net<In>>,
    /// The address of the first group is not ready yet.
    pub hold: Net<Out>,
    /// The address of the first group that is read.
    pub in_top: Net<Out>,
    /// Slices that are written to the activation memory.
    pub write: Net<Out>,
    /// Where.
    pub write_address: Net<Out>,
    /// What: the larger code while a POOL runs, and `other_value` otherwise.
    pub write_value: Vec<Net<Out>>,
    /// The last word is written.
    pub finished: Net<Out>,
    /// A write is past `out_last` or the memory; it is not done.
    pub output_error: Net<Out>,
    climb: EnabledResetRegister,
    in_address: EnabledResetRegister,
    out_top: EnabledResetRegister,
    out_address: EnabledRegister,
    group: EnabledRegister,
    store_group: EnabledRegister,
    finished_r: ResetRegister,
    store: PlaneStore,
    maximum: PlaneMaximum,
    climbing: Net<Local>,
    go: Net<Local>,
    climb_base: Net<Local>,
    climb_step: Net<Local>,
    in_step: Net<Local>,
    out_step: Net<Local>,
    address_base: Net<Local>,
    address_step: Net<Local>,
    address_carry: Net<Local>,
    read_group: Net<Local>,
    writes: Net<Local>,
    outside: Net<Local>,
    beyond: Net<Local>,
    address_sum: Net<Local>,
    groups_sign: Constant,
    groups_minus_1: Constant,
    groups_minus_2: Constant,
    groups_zero: Constant,
    group_zero: Constant,
    group_one: Constant,
    memory_shift: Constant,
    by_one: Constant,
    one: Constant,
    zero: Constant,
    no_slices: Constant,
    _branches: usize,
    _groups: usize,
    _top: usize,
    _out: usize,
    _address: usize,
    _sum: usize,
    _memory: usize,
}

impl PoolUnit {
    /// The unit of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let field = |field: Field| Net::new(field.width(design));
        let minus = |width: u32, n: u64| Constant::new(width, (1 << width) - n);
        let number = |n: u32| Constant::new(32, n.into());
        let w = LoaderWidths::new(design);
        let c = design.design().config();
        let (lanes, branches) = (c.lanes, c.activation_branches);
        let (groups, memory) = (
            Field::Groups.width(design) + 1,
            design.activation_address_width,
        );
        let out = design.output_address_width + 3;
        let address = out + 1;
        let store = design
            .design()
            .activation_groups
            .next_power_of_two()
            .ilog2()
            .max(1);
        PoolUnit {
            shape: Shape::new(
                format!("pool_unit_l{lanes}_p{branches}"),
                "Keeps the larger code of every lane, plane by plane from the most significant one.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            go_compute: Net::new(1),
            go_pool: Net::new(1),
            begins: Net::new(1),
            pool: Net::new(1),
            groups: field(Field::Groups),
            in_base: field(Field::InBase),
            in_pitch: field(Field::InPitch),
            out_base: field(Field::OutBase),
            out_pitch: field(Field::OutPitch),
            out_last: field(Field::OutLast),
            next_valid: Net::new(1),
            next_first: Net::new(1),
            next_first_tap: Net::new(1),
            next_word: Net::new(w.word),
            tap_valid: Net::new(1),
            tap_last: Net::new(1),
            tap_final: Net::new(1),
            tap_mask: Net::new(design.slices),
            tap_value: Net::vector(branches, lanes),
            other_value: Net::vector(branches, lanes),
            hold: Net::new(1),
            in_top: Net::new(w.top),
            write: Net::new(design.slices),
            write_address: Net::new(design.activation_address_width),
            write_value: Net::vector(branches, lanes),
            finished: Net::new(1),
            output_error: Net::new(1),
            climb: EnabledResetRegister::new(groups),
            in_address: EnabledResetRegister::new(w.top),
            out_top: EnabledResetRegister::new(out),
            out_address: EnabledRegister::new(address),
            group: EnabledRegister::new(store),
            store_group: EnabledRegister::new(store),
            finished_r: ResetRegister::new(1),
            store: PlaneStore::new(design, 1 << store),
            maximum: PlaneMaximum::new(design),
            climbing: Net::new(1),
            go: Net::new(1),
            climb_base: Net::new(groups),
            climb_step: Net::new(groups),
            in_step: Net::new(w.top),
            out_step: Net::new(out),
            address_base: Net::new(address),
            address_step: Net::new(address),
            address_carry: Net::new(1),
            read_group: Net::new(store),
            writes: Net::new(1),
            outside: Net::new(1),
            beyond: Net::new(1),
            address_sum: Net::partly_unused(address + 1, "bit 0 takes the carry in"),
            groups_sign: number(groups - 1),
            groups_minus_1: minus(groups, 1),
            groups_minus_2: minus(groups, 2),
            groups_zero: Constant::new(groups, 0),
            group_zero: Constant::new(store, 0),
            group_one: Constant::new(store, 1),
            memory_shift: number(memory),
            by_one: number(1),
            one: Constant::new(1, 1),
            zero: Constant::new(1, 0),
            no_slices: Constant::new(design.slices, 0),
            _branches: branches as usize,
            _groups: groups as usize,
            _top: w.top as usize,
            _out: out as usize,
            _address: address as usize,
            _sum: (address + 1) as usize,
            _memory: memory as usize,
        }
    }
}

impl Logic for PoolUnit {
    #[hdl_gen]
    fn update(&mut self) {
        // One pitch for each group above the least one, then the base: what is added is selected, not the register, and
        // so the selection costs no LUT before the adder.
        self.go.next = self.go_compute.val() | self.go_pool.val();
        self.climbing.next = !bits_resize(self.climb.q.val() >> self.groups_sign.val(), 1);
        if self.go_pool.val().any() {
            self.climb_base.next = bits_resize(self.groups.val(), self._groups);
            self.climb_step.next = self.groups_minus_2.val();
        } else if self.go_compute.val().any() {
            self.climb_base.next = self.groups_zero.val();
            self.climb_step.next = self.groups_minus_1.val();
        } else {
            self.climb_base.next = self.climb.q.val();
            self.climb_step.next = self.groups_minus_1.val();
        }
        self.climb.clock.next = self.clock.val();
        self.climb.reset.next = self.reset.val();
        self.climb.enable.next = self.go.val() | self.climbing.val();
        self.climb.d.next = self.climb_base.val() + self.climb_step.val();
        if self.begins.val().any() {
            self.in_step.next = bits_resize(self.in_base.val(), self._top);
            self.out_step.next = bits_resize(self.out_base.val(), self._out);
        } else {
            self.in_step.next = bits_resize(self.in_pitch.val(), self._top);
            self.out_step.next = bits_resize(self.out_pitch.val(), self._out);
        }
        self.in_address.clock.next = self.clock.val();
        self.in_address.reset.next = self.go.val();
        self.in_address.enable.next = self.begins.val() | self.climbing.val();
        self.in_address.d.next = self.in_address.q.val() + self.in_step.val();
        self.out_top.clock.next = self.clock.val();
        self.out_top.reset.next = self.go.val();
        self.out_top.enable.next = self.begins.val() | self.climbing.val();
        self.out_top.d.next = self.out_top.q.val() + self.out_step.val();
        self.hold.next = self.climbing.val();
        self.in_top.next = self.in_address.q.val();

        // Where the next group goes, and what is kept of it.
        if self.next_first.val().any() {
            self.address_base.next = bits_resize(self.out_top.q.val(), self._address);
            self.address_step.next = bits_resize(self.next_word.val(), self._address);
            self.address_carry.next = self.zero.val();
            self.read_group.next = self.group_zero.val();
        } else {
            self.address_base.next = self.out_address.q.val();
            self.address_step.next = !bits_resize(self.out_pitch.val(), self._address);
            self.address_carry.next = self.one.val();
            self.read_group.next = self.group.q.val();
        }
        self.address_sum.next = ((bits_resize(self.address_base.val(), self._sum)
            << self.by_one.val())
            | bits_resize(self.one.val(), self._sum))
            + ((bits_resize(self.address_step.val(), self._sum) << self.by_one.val())
                | bits_resize(self.address_carry.val(), self._sum));
        self.out_address.clock.next = self.clock.val();
        self.out_address.enable.next = self.next_valid.val();
        self.out_address.d.next =
            bits_resize(self.address_sum.val() >> self.by_one.val(), self._address);
        self.group.clock.next = self.clock.val();
        self.group.enable.next = self.next_valid.val();
        self.group.d.next = self.read_group.val() + self.group_one.val();
        self.store_group.clock.next = self.clock.val();
        self.store_group.enable.next = self.next_valid.val();
        self.store_group.d.next = self.read_group.val();
        self.store.clock.next = self.clock.val();
        self.store.read.next = self.next_valid.val();
        self.store.read_address.next = self.read_group.val();
        self.store.write_address.next = self.store_group.q.val();
        self.store.write.next = self.tap_valid.val();
        // A pixel's first tap has no old code, and without a POOL there is none.
        self.store.clear.next = (!self.pool.val()) | self.next_first_tap.val();
        self.maximum.clock.next = self.clock.val();
        // With the reset, so that no inverter stands before the registers of all lanes.
        self.maximum.idle.next = (!self.pool.val()) | self.reset.val();
        self.maximum.first.next = self.next_first.val();
        for m in 0..self._branches {
            self.maximum.new_code[m].next = self.tap_value[m].val();
            self.maximum.old_code[m].next = self.store.value[m].val();
            self.maximum.other[m].next = self.other_value[m].val();
            self.store.write_value[m].next = self.maximum.larger[m].val();
            self.write_value[m].next = self.maximum.larger[m].val();
        }

        // The last tap's planes are written.
        self.writes.next = self.tap_valid.val() & self.tap_last.val();
        self.outside.next =
            (self.out_address.q.val() > bits_resize(self.out_last.val(), self._address)).into();
        self.beyond.next = (self.out_address.q.val() >> self.memory_shift.val())
            .any()
            .into();
        self.write_address.next = bits_resize(self.out_address.q.val(), self._memory);
        if (self.writes.val() & (!(self.outside.val() | self.beyond.val()))).any() {
            self.write.next = self.tap_mask.val();
        } else {
            self.write.next = self.no_slices.val();
        }
        self.output_error.next = self.writes.val() & (self.outside.val() | self.beyond.val());
        self.finished_r.clock.next = self.clock.val();
        self.finished_r.reset.next = self.reset.val();
        self.finished_r.d.next =
            (self.tap_valid.val() & self.tap_last.val()) & self.tap_final.val();
        self.finished.next = self.finished_r.q.val();
    }
}
