//! Takes a tensor from the input stream.

use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// Writes the words `out_base..=out_last` of the activation memory from the input stream, each in as many beats as it
/// needs, least significant first.
///
/// `address` and the last beat's TLAST are judged in the cycle after a beat, before the next one is taken.
#[derive(Clone, Debug, LogicBlock)]
pub struct InputPort {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Stops it.
    pub reset: Net<In>,
    /// Begins with `out_base`.
    pub go_input: Net<In>,
    /// Descriptor field.
    pub out_base: Net<In>,
    /// Descriptor field.
    pub out_last: Net<In>,
    /// A beat is offered.
    pub input_valid: Net<In>,
    /// A beat is taken if it is offered.
    pub input_ready: Net<Out>,
    /// The beat.
    pub input_data: Net<In>,
    /// It is the packet's last.
    pub input_last: Net<In>,
    /// Writes a word.
    pub input_write: Net<Out>,
    /// Where.
    pub input_write_address: Net<Out>,
    /// What.
    pub input_write_value: Net<Out>,
    /// The last word has been written.
    pub input_finished: Net<Out>,
    /// An error code, for one cycle.
    pub input_error: Net<Out>,
    active: ResetRegister,
    begun: ResetRegister,
    ended: EnabledResetRegister,
    address: EnabledRegister,
    beat: EnabledResetRegister,
    value: EnabledRegister,
    write: ResetRegister,
    write_address: EnabledRegister,
    finished: ResetRegister,
    error: ResetRegister,
    in_range: Net<Local>,
    last_beat: Net<Local>,
    ready: Net<Local>,
    takes: Net<Local>,
    completes: Net<Local>,
    early: Net<Local>,
    late: Net<Local>,
    never: Net<Local>,
    assembled: Net<Local>,
    one_address: Constant,
    one_beat: Constant,
    final_beat: Constant,
    no_beat: Constant,
    stream_bits: Constant,
    top_bits: Constant,
    no_error: Constant,
    error_range: Constant,
    error_early: Constant,
    error_late: Constant,
    _range: usize,
    _address: usize,
    _total: usize,
    _width: usize,
    _single: usize,
    _several: usize,
}

impl InputPort {
    /// The port of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let (width, stream) = (d.word_width, d.config().stream_bits);
        let beats = width.div_ceil(stream);
        let total = beats * stream;
        let counter = crate::config::bits_for((beats - 1).into());
        let (address, range) = (d.activation_address_width, d.output_address_width + 1);
        let code = |value| Constant::new(4, value);
        InputPort {
            shape: Shape::new(
                format!("input_port_w{width}_s{stream}"),
                "Writes a tensor from the input stream to the activation memory.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            go_input: Net::new(1),
            out_base: Net::new(Field::OutBase.width(d)),
            out_last: Net::new(Field::OutLast.width(d)),
            input_valid: Net::new(1),
            input_ready: Net::new(1),
            input_data: Net::new(stream),
            input_last: Net::new(1),
            input_write: Net::new(1),
            input_write_address: Net::new(address),
            input_write_value: Net::new(width),
            input_finished: Net::new(1),
            input_error: Net::new(4),
            active: ResetRegister::new(1),
            begun: ResetRegister::new(1),
            ended: EnabledResetRegister::new(1),
            address: EnabledRegister::new(range),
            beat: EnabledResetRegister::new(counter),
            value: EnabledRegister::new(total),
            write: ResetRegister::new(1),
            write_address: EnabledRegister::new(address),
            finished: ResetRegister::new(1),
            error: ResetRegister::new(4),
            in_range: Net::new(1),
            last_beat: Net::new(1),
            ready: Net::new(1),
            takes: Net::new(1),
            completes: Net::new(1),
            early: Net::new(1),
            late: Net::new(1),
            never: Net::new(1),
            assembled: Net::partly_unused(
                total,
                "the last beat of a word may be wider than what is left",
            ),
            one_address: Constant::new(range, 1),
            one_beat: Constant::new(counter, 1),
            final_beat: Constant::new(counter, (beats - 1).into()),
            no_beat: Constant::new(counter, 0),
            stream_bits: Constant::new(32, stream.into()),
            top_bits: Constant::new(32, (total - stream).into()),
            no_error: code(0),
            error_range: code(6),
            error_early: code(10),
            error_late: code(11),
            _range: range as usize,
            _address: address as usize,
            _total: total as usize,
            _width: width as usize,
            _single: (beats == 1).into(),
            _several: (beats > 1).into(),
        }
    }
}

impl Logic for InputPort {
    #[hdl_gen]
    fn update(&mut self) {
        self.in_range.next =
            (self.address.q.val() <= bits_resize(self.out_last.val(), self._range)).into();
        self.ready.next = self.active.q.val() & self.in_range.val() & (!self.ended.q.val());
        self.takes.next = self.ready.val() & self.input_valid.val();
        self.last_beat.next = (self.beat.q.val() == self.final_beat.val()).into();
        self.completes.next = self.takes.val() & self.last_beat.val();

        // How the packet ends.
        self.early.next = self.active.q.val() & self.in_range.val() & self.ended.q.val();
        self.late.next = self.active.q.val() & (!self.in_range.val()) & (!self.ended.q.val());
        self.never.next = self.late.val() & (!self.begun.q.val());
        self.finished.clock.next = self.clock.val();
        self.finished.reset.next = self.reset.val();
        self.finished.d.next = self.active.q.val() & (!self.in_range.val()) & self.ended.q.val();
        self.error.clock.next = self.clock.val();
        self.error.reset.next = self.reset.val();
        if self.early.val().any() {
            self.error.d.next = self.error_early.val();
        } else if self.never.val().any() {
            self.error.d.next = self.error_range.val();
        } else if self.late.val().any() {
            self.error.d.next = self.error_late.val();
        } else {
            self.error.d.next = self.no_error.val();
        }
        self.active.clock.next = self.clock.val();
        self.active.reset.next = self.reset.val();
        self.active.d.next = self.go_input.val()
            | (self.active.q.val() & self.in_range.val() & (!self.ended.q.val()));
        self.begun.clock.next = self.clock.val();
        self.begun.reset.next = self.go_input.val();
        self.begun.d.next = self.begun.q.val() | self.takes.val();
        self.ended.clock.next = self.clock.val();
        self.ended.reset.next = self.go_input.val();
        self.ended.enable.next = self.takes.val();
        self.ended.d.next = self.input_last.val();

        // Addresses count words; a word's own goes along with it.
        self.address.clock.next = self.clock.val();
        self.address.enable.next = self.go_input.val() | self.completes.val();
        if self.go_input.val().any() {
            self.address.d.next = bits_resize(self.out_base.val(), self._range);
        } else {
            self.address.d.next = self.address.q.val() + self.one_address.val();
        }
        self.write.clock.next = self.clock.val();
        self.write.reset.next = self.reset.val();
        self.write.d.next = self.completes.val();
        self.write_address.clock.next = self.clock.val();
        self.write_address.enable.next = self.takes.val();
        self.write_address.d.next = bits_resize(self.address.q.val(), self._address);

        // Beats of a word.
        self.beat.clock.next = self.clock.val();
        self.beat.reset.next = self.go_input.val();
        self.beat.enable.next = self.takes.val();
        if self.last_beat.val().any() {
            self.beat.d.next = self.no_beat.val();
        } else {
            self.beat.d.next = self.beat.q.val() + self.one_beat.val();
        }
        self.value.clock.next = self.clock.val();
        self.value.enable.next = self.takes.val();
        for _i in 0..self._single {
            self.value.d.next = self.input_data.val();
        }
        for _i in 0..self._several {
            self.value.d.next = (self.value.q.val() >> self.stream_bits.val())
                | (bits_resize(self.input_data.val(), self._total) << self.top_bits.val());
        }
        self.assembled.next = self.value.q.val();

        self.input_ready.next = self.ready.val();
        self.input_write.next = self.write.q.val();
        self.input_write_address.next = self.write_address.q.val();
        self.input_write_value.next = bits_resize(self.assembled.val(), self._width);
        self.input_finished.next = self.finished.q.val();
        self.input_error.next = self.error.q.val();
    }
}
