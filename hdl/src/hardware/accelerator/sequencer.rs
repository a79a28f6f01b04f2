//! Fetches descriptors, checks them, and starts the engines one after the other.

use super::descriptor_registers::FIELD_WORDS;
use super::{DescriptorCheck, WordMemory};
use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// Cycles of a fetch that the chain follows: one for each word that is read, and one for the last to arrive.
const CHAIN: u32 = FIELD_WORDS + 1;

/// The program memory and the control over it. The descriptor's registers stand beside it
/// ([`DescriptorRegisters`](super::DescriptorRegisters)): `fetch_select` and `fetch_word` fill them.
#[derive(Clone, Debug, LogicBlock)]
pub struct Sequencer {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Stops everything and clears the error.
    pub reset: Net<In>,
    /// Starts a program, if none runs.
    pub start: Net<In>,
    /// Its first descriptor.
    pub start_address: Net<In>,
    /// How often it is run.
    pub runs: Net<In>,
    /// Writes a word of the program.
    pub program_write: Net<In>,
    /// Where.
    pub program_address: Net<In>,
    /// What.
    pub program_value: Net<In>,
    /// Descriptor field.
    pub opcode: Net<In>,
    /// Descriptor field.
    pub wait_weights: Net<In>,
    /// Descriptor field.
    pub to_activation: Net<In>,
    /// Descriptor field.
    pub to_residual: Net<In>,
    /// Descriptor field.
    pub mode: Net<In>,
    /// Descriptor field.
    pub residual_before: Net<In>,
    /// Descriptor field.
    pub residual_after: Net<In>,
    /// Descriptor field.
    pub in_base: Net<In>,
    /// Descriptor field.
    pub in_last: Net<In>,
    /// Descriptor field.
    pub out_base: Net<In>,
    /// Descriptor field.
    pub out_last: Net<In>,
    /// COMPUTE is done.
    pub compute_finished: Net<In>,
    /// POOL is done.
    pub pool_finished: Net<In>,
    /// INPUT is done.
    pub input_finished: Net<In>,
    /// The weight port works.
    pub weights_busy: Net<In>,
    /// Error code of the compute engine.
    pub compute_error: Net<In>,
    /// Error code of what stands behind the array.
    pub back_error: Net<In>,
    /// Error code of the patch system.
    pub patch_error: Net<In>,
    /// Error code of the input port.
    pub input_error: Net<In>,
    /// Error code of the weight port.
    pub weight_error: Net<In>,
    /// Error code of the program port.
    pub load_error: Net<In>,
    /// The word of a descriptor that is there, one-hot.
    pub fetch_select: Net<Out>,
    /// The word.
    pub fetch_word: Net<Out>,
    /// Starts COMPUTE.
    pub go_compute: Net<Out>,
    /// Starts POOL.
    pub go_pool: Net<Out>,
    /// Starts INPUT.
    pub go_input: Net<Out>,
    /// Starts WEIGHTS.
    pub go_weights: Net<Out>,
    /// Resets every engine after an error.
    pub flush: Net<Out>,
    /// A program runs.
    pub busy: Net<Out>,
    /// The last run has ended.
    pub done: Net<Out>,
    /// The first error since the last start, or 0.
    pub error: Net<Out>,
    /// COMPUTE runs.
    pub state_compute: Net<Out>,
    /// POOL runs.
    pub state_pool: Net<Out>,
    /// INPUT runs.
    pub state_input: Net<Out>,
    /// A descriptor goes as soon as the weight port does not work.
    pub state_weights: Net<Out>,
    memory: WordMemory,
    check: DescriptorCheck,
    busy_r: ResetRegister,
    done_r: ResetRegister,
    first_address: EnabledRegister,
    runs_wanted: EnabledRegister,
    runs_done: EnabledResetRegister,
    rewind: ResetRegister,
    address: EnabledRegister,
    chain: ResetRegister,
    reading: ResetRegister,
    arriving: ResetRegister,
    index: ResetRegister,
    refused: EnabledResetRegister,
    past: EnabledRegister,
    pending: ResetRegister,
    go_compute_r: ResetRegister,
    go_pool_r: ResetRegister,
    go_input_r: ResetRegister,
    go_weights_r: ResetRegister,
    compute_r: ResetRegister,
    pool_r: ResetRegister,
    input_r: ResetRegister,
    error_r: EnabledResetRegister,
    flush_r: ResetRegister,
    one_engine: Assertion,
    one_word: Assertion,
    one_fetch: Assertion,
    clear: Net<Local>,
    starts: Net<Local>,
    fetches: Net<Local>,
    last_read: Net<Local>,
    next_address: Net<Local>,
    no_runs: Net<Local>,
    is_end: Net<Local>,
    is_compute: Net<Local>,
    is_pool: Net<Local>,
    is_input: Net<Local>,
    is_weights: Net<Local>,
    is_unknown: Net<Local>,
    for_weights: Net<Local>,
    blocked: Net<Local>,
    goes: Net<Local>,
    ends: Net<Local>,
    overlaps: Net<Local>,
    beyond_activation: Net<Local>,
    beyond_residual: Net<Local>,
    own_error: Net<Local>,
    found_error: Net<Local>,
    has_error: Net<Local>,
    keeps_error: Net<Local>,
    takes_error: Net<Local>,
    one_in_chain: Constant,
    zero: Constant,
    one_bit: Constant,
    run: Constant,
    one_index: Constant,
    jump_bit: Constant,
    address_bits: Constant,
    activation_bits: Constant,
    residual_bits: Constant,
    opcode_end: Constant,
    opcode_compute: Constant,
    opcode_pool: Constant,
    opcode_input: Constant,
    opcode_weights: Constant,
    thresholds: Constant,
    no_error: Constant,
    error_opcode: Constant,
    error_program: Constant,
    error_field: Constant,
    error_overlap: Constant,
    error_output: Constant,
    _fields: usize,
    _chain: usize,
    _address: usize,
    _read: usize,
    _output: usize,
    _error: usize,
    _activation_past: usize,
    _activation_fits: usize,
    _residual_past: usize,
    _residual_fits: usize,
}

impl Sequencer {
    /// The sequencer of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let field = |f: Field| Net::new(f.width(d));
        let address = d.program_address_width;
        let activation_past = d.output_address_width > d.activation_address_width;
        let residual_past = d.output_address_width > d.residual_address_width;
        let code = |value| Constant::new(4, value);
        Sequencer {
            shape: Shape::new(
                format!("sequencer_d{}", d.config().program_words),
                "Fetches descriptors, checks them and starts the engines.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            start: Net::new(1),
            start_address: Net::new(address),
            runs: Net::new(16),
            program_write: Net::new(1),
            program_address: Net::new(address),
            program_value: Net::new(32),
            opcode: field(Field::Opcode),
            wait_weights: field(Field::WaitWeights),
            to_activation: field(Field::ToActivation),
            to_residual: field(Field::ToResidual),
            mode: field(Field::Mode),
            residual_before: field(Field::ResidualBefore),
            residual_after: field(Field::ResidualAfter),
            in_base: field(Field::InBase),
            in_last: field(Field::InLast),
            out_base: field(Field::OutBase),
            out_last: field(Field::OutLast),
            compute_finished: Net::new(1),
            pool_finished: Net::new(1),
            input_finished: Net::new(1),
            weights_busy: Net::new(1),
            compute_error: Net::new(4),
            back_error: Net::new(4),
            patch_error: Net::new(4),
            input_error: Net::new(4),
            weight_error: Net::new(4),
            load_error: Net::new(4),
            fetch_select: Net::new(FIELD_WORDS),
            fetch_word: Net::new(32),
            go_compute: Net::new(1),
            go_pool: Net::new(1),
            go_input: Net::new(1),
            go_weights: Net::new(1),
            flush: Net::new(1),
            busy: Net::new(1),
            done: Net::new(1),
            error: Net::new(8),
            state_compute: Net::new(1),
            state_pool: Net::new(1),
            state_input: Net::new(1),
            state_weights: Net::new(1),
            memory: WordMemory::new(d.config().program_words, 32),
            check: DescriptorCheck::new(d),
            busy_r: ResetRegister::new(1),
            done_r: ResetRegister::new(1),
            first_address: EnabledRegister::new(address),
            runs_wanted: EnabledRegister::new(16),
            runs_done: EnabledResetRegister::new(16),
            rewind: ResetRegister::new(1),
            address: EnabledRegister::new(address + 1),
            chain: ResetRegister::new(CHAIN),
            reading: ResetRegister::new(1),
            arriving: ResetRegister::new(1),
            index: ResetRegister::new(6),
            refused: EnabledResetRegister::new(1),
            past: EnabledRegister::new(1),
            pending: ResetRegister::new(1),
            go_compute_r: ResetRegister::new(1),
            go_pool_r: ResetRegister::new(1),
            go_input_r: ResetRegister::new(1),
            go_weights_r: ResetRegister::new(1),
            compute_r: ResetRegister::new(1),
            pool_r: ResetRegister::new(1),
            input_r: ResetRegister::new(1),
            error_r: EnabledResetRegister::new(4),
            flush_r: ResetRegister::new(1),
            one_engine: Assertion::new("one_engine"),
            one_word: Assertion::new("one_word"),
            one_fetch: Assertion::new("one_fetch"),
            clear: Net::new(1),
            starts: Net::new(1),
            fetches: Net::new(1),
            last_read: Net::new(1),
            next_address: Net::new(address + 1),
            no_runs: Net::new(1),
            is_end: Net::new(1),
            is_compute: Net::new(1),
            is_pool: Net::new(1),
            is_input: Net::new(1),
            is_weights: Net::new(1),
            is_unknown: Net::new(1),
            for_weights: Net::new(1),
            blocked: Net::new(1),
            goes: Net::new(1),
            ends: Net::new(1),
            overlaps: Net::new(1),
            beyond_activation: Net::new(1),
            beyond_residual: Net::new(1),
            own_error: Net::new(4),
            found_error: Net::new(4),
            has_error: Net::new(1),
            keeps_error: Net::new(1),
            takes_error: Net::new(1),
            one_in_chain: Constant::new(CHAIN, 1),
            zero: Constant::new(1, 0),
            one_bit: Constant::new(32, 1),
            run: Constant::new(16, 1),
            one_index: Constant::new(6, 1),
            jump_bit: Constant::new(32, 3),
            address_bits: Constant::new(32, address.into()),
            activation_bits: Constant::new(32, d.activation_address_width.into()),
            residual_bits: Constant::new(32, d.residual_address_width.into()),
            opcode_end: code(0),
            opcode_compute: code(1),
            opcode_pool: code(2),
            opcode_input: code(3),
            opcode_weights: code(4),
            thresholds: Constant::new(2, 1),
            no_error: code(0),
            error_opcode: code(1),
            error_program: code(2),
            error_field: code(3),
            error_overlap: code(4),
            error_output: code(6),
            _fields: FIELD_WORDS as usize,
            _chain: CHAIN as usize,
            _address: address as usize + 1,
            _read: address as usize,
            _output: d.output_address_width as usize,
            _error: 8,
            _activation_past: activation_past.into(),
            _activation_fits: (!activation_past).into(),
            _residual_past: residual_past.into(),
            _residual_fits: (!residual_past).into(),
        }
    }
}

impl Logic for Sequencer {
    #[hdl_gen]
    fn update(&mut self) {
        self.clear.next = self.reset.val() | self.flush_r.q.val();

        // The descriptor that has been fetched, and whether it goes.
        self.no_runs.next = (self.runs_done.q.val() == self.runs_wanted.q.val()).into();
        self.is_end.next = (self.opcode.val() == self.opcode_end.val()).into();
        self.is_compute.next = (self.opcode.val() == self.opcode_compute.val()).into();
        self.is_pool.next = (self.opcode.val() == self.opcode_pool.val()).into();
        self.is_input.next = (self.opcode.val() == self.opcode_input.val()).into();
        self.is_weights.next = (self.opcode.val() == self.opcode_weights.val()).into();
        self.is_unknown.next = (self.opcode.val() > self.opcode_weights.val()).into();
        self.for_weights.next =
            self.pending.q.val() & (self.wait_weights.val() | self.is_weights.val());
        self.blocked.next = self.for_weights.val() & self.weights_busy.val();
        self.goes.next = self.pending.q.val() & (!self.blocked.val());
        self.ends.next = self.goes.val() & self.is_end.val();

        // What is wrong with it.
        self.overlaps.next = (self.is_compute.val() | self.is_pool.val())
            & self.to_activation.val()
            & (bits_resize(self.in_base.val(), self._output) <= self.out_last.val()).into()
            & (self.out_base.val() <= bits_resize(self.in_last.val(), self._output)).into();
        for _i in 0..self._activation_past {
            self.beyond_activation.next = (self.to_activation.val() | self.is_input.val())
                & (self.out_last.val() >> self.activation_bits.val())
                    .any()
                    .into();
        }
        for _i in 0..self._activation_fits {
            self.beyond_activation.next = self.zero.val();
        }
        for _i in 0..self._residual_past {
            self.beyond_residual.next = self.to_residual.val()
                & (self.out_last.val() >> self.residual_bits.val())
                    .any()
                    .into();
        }
        for _i in 0..self._residual_fits {
            self.beyond_residual.next = self.zero.val();
        }
        if (self.rewind.q.val() & self.no_runs.val()).any() {
            self.own_error.next = self.error_field.val();
        } else if !self.pending.q.val().any() {
            self.own_error.next = self.no_error.val();
        } else if self.past.q.val().any() {
            self.own_error.next = self.error_program.val();
        } else if self.is_unknown.val().any() {
            self.own_error.next = self.error_opcode.val();
        } else if self.refused.q.val().any() {
            self.own_error.next = self.error_field.val();
        } else if self.overlaps.val().any() {
            self.own_error.next = self.error_overlap.val();
        } else if (self.beyond_activation.val() | self.beyond_residual.val()).any() {
            self.own_error.next = self.error_output.val();
        } else {
            self.own_error.next = self.no_error.val();
        }

        // The first error stays until the next start, and wins over a start in the same cycle.
        if self.own_error.val().any() {
            self.found_error.next = self.own_error.val();
        } else if self.compute_error.val().any() {
            self.found_error.next = self.compute_error.val();
        } else if self.back_error.val().any() {
            self.found_error.next = self.back_error.val();
        } else if self.patch_error.val().any() {
            self.found_error.next = self.patch_error.val();
        } else if self.input_error.val().any() {
            self.found_error.next = self.input_error.val();
        } else if self.weight_error.val().any() {
            self.found_error.next = self.weight_error.val();
        } else {
            self.found_error.next = self.load_error.val();
        }
        self.has_error.next = self.found_error.val().any().into();
        self.keeps_error.next = self.error_r.q.val().any().into();
        self.takes_error.next = self.has_error.val() & (!self.keeps_error.val());
        self.starts.next = self.start.val()
            & (!self.busy_r.q.val())
            & (!self.flush_r.q.val())
            & (!self.has_error.val());

        // Words 0..=40 are read one after the other; each stands at the memory's output a cycle later.
        self.fetches.next = self.rewind.q.val()
            | self.compute_finished.val()
            | self.pool_finished.val()
            | self.input_finished.val()
            | (self.goes.val() & self.is_weights.val());
        self.chain.clock.next = self.clock.val();
        self.chain.reset.next = self.clear.val();
        self.chain.d.next = (self.chain.q.val() << self.one_bit.val())
            | bits_resize(self.fetches.val(), self._chain);
        self.last_read.next = self.chain.q.val().get_bit(40).into();
        self.reading.clock.next = self.clock.val();
        self.reading.reset.next = self.clear.val();
        self.reading.d.next = self.fetches.val() | (self.reading.q.val() & (!self.last_read.val()));
        self.arriving.clock.next = self.clock.val();
        self.arriving.reset.next = self.clear.val();
        self.arriving.d.next = self.reading.q.val();
        self.index.clock.next = self.clock.val();
        self.index.reset.next = self.chain.q.val().get_bit(0).into();
        self.index.d.next = self.index.q.val() + self.one_index.val();
        self.fetch_select.next =
            bits_resize(self.chain.q.val() >> self.one_bit.val(), self._fields);
        self.fetch_word.next = self.memory.value.val();

        // The last of them is followed by the next descriptor's first: 8 words on.
        self.next_address.next = self.address.q.val()
            + (bits_resize(!self.last_read.val(), self._address)
                | (bits_resize(self.last_read.val(), self._address) << self.jump_bit.val()));
        self.first_address.clock.next = self.clock.val();
        self.first_address.enable.next = self.starts.val();
        self.first_address.d.next = self.start_address.val();
        self.address.clock.next = self.clock.val();
        self.address.enable.next = self.rewind.q.val() | self.reading.q.val();
        if self.rewind.q.val().any() {
            self.address.d.next = bits_resize(self.first_address.q.val(), self._address);
        } else {
            self.address.d.next = self.next_address.val();
        }
        self.memory.clock.next = self.clock.val();
        self.memory.write.next = self.program_write.val();
        self.memory.write_address.next = self.program_address.val();
        self.memory.write_value.next = self.program_value.val();
        self.memory.read.next = self.reading.q.val();
        self.memory.read_address.next = bits_resize(self.address.q.val(), self._read);

        // What is wrong with the descriptor.
        self.check.index.next = self.index.q.val();
        self.check.select.next = self.fetch_select.val();
        self.check.word.next = self.memory.value.val();
        self.check.is_compute.next = self.is_compute.val();
        self.check.is_patches.next = self.is_compute.val() | self.is_pool.val();
        self.check.is_thresholds.next = (self.mode.val() == self.thresholds.val()).into();
        self.check.has_codes.next = self.to_activation.val() | self.to_residual.val();
        self.check.has_residual.next = self.residual_before.val() | self.residual_after.val();
        self.refused.clock.next = self.clock.val();
        self.refused.reset.next = self.chain.q.val().get_bit(0).into();
        self.refused.enable.next = self.arriving.q.val();
        self.refused.d.next = self.refused.q.val() | self.check.refused.val();
        self.past.clock.next = self.clock.val();
        self.past.enable.next = self.last_read.val();
        self.past.d.next = (self.address.q.val() >> self.address_bits.val())
            .any()
            .into();

        // The descriptor is there.
        self.pending.clock.next = self.clock.val();
        self.pending.reset.next = self.clear.val();
        self.pending.d.next = self.blocked.val() | self.chain.q.val().get_bit(41).into();
        self.go_compute_r.clock.next = self.clock.val();
        self.go_compute_r.reset.next = self.clear.val() | self.takes_error.val();
        self.go_compute_r.d.next = self.goes.val() & self.is_compute.val();
        self.go_pool_r.clock.next = self.clock.val();
        self.go_pool_r.reset.next = self.clear.val() | self.takes_error.val();
        self.go_pool_r.d.next = self.goes.val() & self.is_pool.val();
        self.go_input_r.clock.next = self.clock.val();
        self.go_input_r.reset.next = self.clear.val() | self.takes_error.val();
        self.go_input_r.d.next = self.goes.val() & self.is_input.val();
        self.go_weights_r.clock.next = self.clock.val();
        self.go_weights_r.reset.next = self.clear.val() | self.takes_error.val();
        self.go_weights_r.d.next = self.goes.val() & self.is_weights.val();
        self.compute_r.clock.next = self.clock.val();
        self.compute_r.reset.next = self.clear.val() | self.compute_finished.val();
        self.compute_r.d.next = self.compute_r.q.val() | (self.goes.val() & self.is_compute.val());
        self.pool_r.clock.next = self.clock.val();
        self.pool_r.reset.next = self.clear.val() | self.pool_finished.val();
        self.pool_r.d.next = self.pool_r.q.val() | (self.goes.val() & self.is_pool.val());
        self.input_r.clock.next = self.clock.val();
        self.input_r.reset.next = self.clear.val() | self.input_finished.val();
        self.input_r.d.next = self.input_r.q.val() | (self.goes.val() & self.is_input.val());

        // Runs that have begun.
        self.runs_wanted.clock.next = self.clock.val();
        self.runs_wanted.enable.next = self.starts.val();
        self.runs_wanted.d.next = self.runs.val();
        self.runs_done.clock.next = self.clock.val();
        self.runs_done.reset.next = self.starts.val();
        self.runs_done.enable.next = self.rewind.q.val();
        self.runs_done.d.next = self.runs_done.q.val() + self.run.val();
        self.rewind.clock.next = self.clock.val();
        self.rewind.reset.next = self.clear.val();
        self.rewind.d.next = self.starts.val() | (self.ends.val() & (!self.no_runs.val()));
        self.done_r.clock.next = self.clock.val();
        self.done_r.reset.next = self.clear.val() | self.takes_error.val();
        self.done_r.d.next = self.ends.val() & self.no_runs.val();
        self.busy_r.clock.next = self.clock.val();
        self.busy_r.reset.next = self.clear.val();
        self.busy_r.d.next =
            self.starts.val() | (self.busy_r.q.val() & (!(self.ends.val() & self.no_runs.val())));

        self.error_r.clock.next = self.clock.val();
        self.error_r.reset.next = self.reset.val() | self.starts.val();
        self.error_r.enable.next = self.takes_error.val();
        self.error_r.d.next = self.found_error.val();
        self.flush_r.clock.next = self.clock.val();
        self.flush_r.reset.next = self.reset.val();
        self.flush_r.d.next = self.takes_error.val();

        self.go_compute.next = self.go_compute_r.q.val();
        self.go_pool.next = self.go_pool_r.q.val();
        self.go_input.next = self.go_input_r.q.val();
        self.go_weights.next = self.go_weights_r.q.val();
        self.flush.next = self.flush_r.q.val();
        self.busy.next = self.busy_r.q.val();
        self.done.next = self.done_r.q.val();
        self.error.next = bits_resize(self.error_r.q.val(), self._error);
        self.state_compute.next = self.compute_r.q.val();
        self.state_pool.next = self.pool_r.q.val();
        self.state_input.next = self.input_r.q.val();
        self.state_weights.next = self.for_weights.val();

        // One engine works at a time; one descriptor is fetched at a time, word by word.
        self.one_engine.clock.next = self.clock.val();
        self.one_engine.start.next = self.reset.val();
        self.one_engine.fails.next = (self.compute_r.q.val() & self.pool_r.q.val())
            | ((self.compute_r.q.val() | self.pool_r.q.val()) & self.input_r.q.val());
        self.one_word.clock.next = self.clock.val();
        self.one_word.start.next = self.reset.val();
        self.one_word.fails.next = (self.chain.q.val()
            & (self.chain.q.val() - self.one_in_chain.val()))
        .any()
        .into();
        self.one_fetch.clock.next = self.clock.val();
        self.one_fetch.start.next = self.reset.val();
        self.one_fetch.fails.next = self.fetches.val() & self.reading.q.val();
    }
}
