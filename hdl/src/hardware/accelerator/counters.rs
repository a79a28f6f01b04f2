//! Performance counters.

use super::WordMemory;
use crate::accelerator::AcceleratorDesign;
use crate::accelerator::config::COUNTERS;
use crate::rtl::prelude::*;

/// Where the cycles of a run go: one counter of 32 bits for each layer and cause, in a memory. A count is read, raised and
/// written in three cycles; a count that the next cycle raises again is handed over beside the memory.
#[derive(Clone, Debug, LogicBlock)]
pub struct Counters {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Drops a clear that has begun. Counts stay.
    pub reset: Net<In>,
    /// A program runs: this cycle counts.
    pub counting: Net<In>,
    /// Descriptor field.
    pub layer: Net<In>,
    /// COMPUTE runs.
    pub state_compute: Net<In>,
    /// POOL runs.
    pub state_pool: Net<In>,
    /// INPUT runs.
    pub state_input: Net<In>,
    /// A descriptor goes as soon as the weight port does not work.
    pub state_weights: Net<In>,
    /// The weight port works.
    pub weights_busy: Net<In>,
    /// A beat stands at the array.
    pub operand_valid: Net<In>,
    /// No beat, for want of a patch.
    pub waiting: Net<In>,
    /// The array stands still.
    pub drain_stall: Net<In>,
    /// It does so because the result stream is not taken.
    pub output_stall: Net<In>,
    /// Clears all counters.
    pub counter_clear: Net<In>,
    /// They are being cleared; nothing counts.
    pub counter_clearing: Net<Out>,
    /// Which counter to read: layer * 8 + cause.
    pub counter_address: Net<In>,
    /// The counter at the address of the cycle before.
    pub counter_value: Net<Out>,
    counts: WordMemory,
    window: WordMemory,
    place: EnabledRegister,
    counted: ResetRegister,
    clearing: ResetRegister,
    write_place: EnabledRegister,
    writes: ResetRegister,
    erases: ResetRegister,
    repeats: ResetRegister,
    latest: EnabledRegister,
    cause: Net<Local>,
    before: Net<Local>,
    sum: Net<Local>,
    last_place: Net<Local>,
    one: Constant,
    no_place: Constant,
    one_place: Constant,
    no_count: Constant,
    layer_place: Constant,
    cause_busy: Constant,
    cause_load: Constant,
    cause_drain: Constant,
    cause_weights: Constant,
    cause_input: Constant,
    cause_control: Constant,
    cause_pool: Constant,
    cause_output: Constant,
    final_place: Constant,
    _address: usize,
    _count: usize,
}

impl Counters {
    /// The block of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let layer = d.layer_width;
        let address = layer + 3;
        Counters {
            shape: Shape::new(
                format!("counters_d{}", d.config().layers),
                "One counter for each layer and cause of a cycle.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            counting: Net::new(1),
            layer: Net::new(layer),
            state_compute: Net::new(1),
            state_pool: Net::new(1),
            state_input: Net::new(1),
            state_weights: Net::new(1),
            weights_busy: Net::new(1),
            operand_valid: Net::new(1),
            waiting: Net::new(1),
            drain_stall: Net::new(1),
            output_stall: Net::new(1),
            counter_clear: Net::new(1),
            counter_clearing: Net::new(1),
            counter_address: Net::new(address),
            counter_value: Net::new(32),
            counts: WordMemory::new(COUNTERS * d.config().layers, 32),
            window: WordMemory::keeping(COUNTERS * d.config().layers, 32),
            place: EnabledRegister::new(address),
            counted: ResetRegister::new(1),
            clearing: ResetRegister::new(1),
            write_place: EnabledRegister::new(address),
            writes: ResetRegister::new(1),
            erases: ResetRegister::new(1),
            repeats: ResetRegister::new(1),
            latest: EnabledRegister::new(32),
            cause: Net::new(3),
            before: Net::new(32),
            sum: Net::new(32),
            last_place: Net::new(1),
            one: Constant::new(1, 1),
            no_place: Constant::new(address, 0),
            one_place: Constant::new(address, 1),
            no_count: Constant::new(32, 0),
            layer_place: Constant::new(32, 3),
            cause_busy: Constant::new(3, 0),
            cause_load: Constant::new(3, 1),
            cause_drain: Constant::new(3, 2),
            cause_weights: Constant::new(3, 3),
            cause_input: Constant::new(3, 4),
            cause_control: Constant::new(3, 5),
            cause_pool: Constant::new(3, 6),
            cause_output: Constant::new(3, 7),
            final_place: Constant::new(address, (1u64 << address) - 1),
            _address: address as usize,
            _count: 32,
        }
    }
}

impl Logic for Counters {
    #[hdl_gen]
    fn update(&mut self) {
        if (self.state_weights.val() & self.weights_busy.val()).any() {
            self.cause.next = self.cause_weights.val();
        } else if self.state_input.val().any() {
            self.cause.next = self.cause_input.val();
        } else if self.state_pool.val().any() {
            self.cause.next = self.cause_pool.val();
        } else if !self.state_compute.val().any() {
            self.cause.next = self.cause_control.val();
        } else if self.output_stall.val().any() {
            self.cause.next = self.cause_output.val();
        } else if self.drain_stall.val().any() {
            self.cause.next = self.cause_drain.val();
        } else if self.operand_valid.val().any() {
            self.cause.next = self.cause_busy.val();
        } else if self.waiting.val().any() {
            self.cause.next = self.cause_load.val();
        } else {
            self.cause.next = self.cause_control.val();
        }

        // Read.
        self.last_place.next = (self.place.q.val() == self.final_place.val()).into();
        self.clearing.clock.next = self.clock.val();
        self.clearing.reset.next = self.reset.val();
        self.clearing.d.next =
            self.counter_clear.val() | (self.clearing.q.val() & (!self.last_place.val()));
        self.counted.clock.next = self.clock.val();
        self.counted.reset.next =
            self.reset.val() | self.counter_clear.val() | self.clearing.q.val();
        self.counted.d.next = self.counting.val();
        self.place.clock.next = self.clock.val();
        self.place.enable.next = self.one.val();
        if self.counter_clear.val().any() {
            self.place.d.next = self.no_place.val();
        } else if self.clearing.q.val().any() {
            self.place.d.next = self.place.q.val() + self.one_place.val();
        } else {
            self.place.d.next = bits_resize(self.cause.val(), self._address)
                | (bits_resize(self.layer.val(), self._address) << self.layer_place.val());
        }

        // Add one and write; what the cycle before has written is not read yet.
        if self.erases.q.val().any() {
            self.before.next = self.no_count.val();
        } else if self.repeats.q.val().any() {
            self.before.next = self.latest.q.val();
        } else {
            self.before.next = self.counts.value.val();
        }
        self.sum.next = self.before.val() + bits_resize(!self.erases.q.val(), self._count);
        self.writes.clock.next = self.clock.val();
        self.writes.reset.next = self.reset.val();
        self.writes.d.next = self.counted.q.val() | self.clearing.q.val();
        self.erases.clock.next = self.clock.val();
        self.erases.reset.next = self.reset.val();
        self.erases.d.next = self.clearing.q.val();
        self.write_place.clock.next = self.clock.val();
        self.write_place.enable.next = self.one.val();
        self.write_place.d.next = self.place.q.val();
        self.repeats.clock.next = self.clock.val();
        self.repeats.reset.next = self.reset.val();
        self.repeats.d.next =
            self.writes.q.val() & (self.place.q.val() == self.write_place.q.val()).into();
        self.latest.clock.next = self.clock.val();
        self.latest.enable.next = self.writes.q.val();
        self.latest.d.next = self.sum.val();
        self.counts.clock.next = self.clock.val();
        self.counts.read.next = self.one.val();
        self.counts.read_address.next = self.place.q.val();
        self.counts.write.next = self.writes.q.val();
        self.counts.write_address.next = self.write_place.q.val();
        self.counts.write_value.next = self.sum.val();

        // A copy for the host, so that reading never disturbs counting.
        self.window.clock.next = self.clock.val();
        self.window.read.next = self.one.val();
        self.window.read_address.next = self.counter_address.val();
        self.window.write.next = self.writes.q.val();
        self.window.write_address.next = self.write_place.q.val();
        self.window.write_value.next = self.sum.val();
        self.counter_value.next = self.window.value.val();
        self.counter_clearing.next = self.clearing.q.val();
    }
}
