//! Takes weights from the weight stream, beside everything else.

use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// Writes the addresses `weight_base..=weight_last` of the weight banks from the weight stream: for each address the
/// words of columns 0..C, each in as many beats as it needs, least significant first.
///
/// The descriptor's fields are copied with `go_weights`: the next descriptor may take their place.
#[derive(Clone, Debug, LogicBlock)]
pub struct WeightPort {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Stops it.
    pub reset: Net<In>,
    /// Begins with `weight_base`.
    pub go_weights: Net<In>,
    /// Descriptor field.
    pub weight_base: Net<In>,
    /// Descriptor field.
    pub weight_last: Net<In>,
    /// A beat is offered.
    pub weight_valid: Net<In>,
    /// A beat is taken if it is offered.
    pub weight_ready: Net<Out>,
    /// The beat.
    pub weight_data: Net<In>,
    /// It is the packet's last. (The descriptor's `weight_last` is an address.)
    pub weight_end: Net<In>,
    /// Writes a word, one bit for each column.
    pub weight_write: Net<Out>,
    /// Where.
    pub weight_write_address: Net<Out>,
    /// What.
    pub weight_write_value: Net<Out>,
    /// It works.
    pub weights_busy: Net<Out>,
    /// An error code, for one cycle.
    pub weight_error: Net<Out>,
    active: ResetRegister,
    begun: ResetRegister,
    ended: EnabledResetRegister,
    last_address: EnabledRegister,
    address: EnabledRegister,
    beat: EnabledResetRegister,
    column: EnabledResetRegister,
    value: EnabledRegister,
    write: ResetRegister,
    write_address: EnabledRegister,
    error: ResetRegister,
    in_range: Net<Local>,
    last_beat: Net<Local>,
    ready: Net<Local>,
    takes: Net<Local>,
    completes: Net<Local>,
    early: Net<Local>,
    late: Net<Local>,
    never: Net<Local>,
    columns: Net<Local>,
    next_columns: Net<Local>,
    assembled: Net<Local>,
    one_address: Constant,
    one_beat: Constant,
    one_bit: Constant,
    final_beat: Constant,
    no_beat: Constant,
    last_column: Constant,
    stream_bits: Constant,
    top_bits: Constant,
    no_error: Constant,
    error_range: Constant,
    error_early: Constant,
    error_late: Constant,
    one: Constant,
    _range: usize,
    _address: usize,
    _total: usize,
    _width: usize,
    _columns: usize,
    _single: usize,
    _several: usize,
}

impl WeightPort {
    /// The port of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let (width, stream) = (d.weight_width, d.config().stream_bits);
        let columns = d.design().config().columns;
        let beats = width.div_ceil(stream);
        let total = beats * stream;
        let counter = crate::config::bits_for((beats - 1).into());
        let (address, range) = (d.weight_address_width, d.weight_address_width + 1);
        let code = |value| Constant::new(4, value);
        WeightPort {
            shape: Shape::new(
                format!("weight_port_c{columns}_w{width}_s{stream}"),
                "Writes weights from the weight stream to the columns' banks.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            go_weights: Net::new(1),
            weight_base: Net::new(Field::WeightBase.width(d)),
            weight_last: Net::new(Field::WeightLast.width(d)),
            weight_valid: Net::new(1),
            weight_ready: Net::new(1),
            weight_data: Net::new(stream),
            weight_end: Net::new(1),
            weight_write: Net::new(columns),
            weight_write_address: Net::new(address),
            weight_write_value: Net::new(width),
            weights_busy: Net::new(1),
            weight_error: Net::new(4),
            active: ResetRegister::new(1),
            begun: ResetRegister::new(1),
            ended: EnabledResetRegister::new(1),
            last_address: EnabledRegister::new(address),
            address: EnabledRegister::new(range),
            beat: EnabledResetRegister::new(counter),
            column: EnabledResetRegister::new(columns),
            value: EnabledRegister::new(total),
            write: ResetRegister::new(columns),
            write_address: EnabledRegister::new(address),
            error: ResetRegister::new(4),
            in_range: Net::new(1),
            last_beat: Net::new(1),
            ready: Net::new(1),
            takes: Net::new(1),
            completes: Net::new(1),
            early: Net::new(1),
            late: Net::new(1),
            never: Net::new(1),
            columns: Net::new(columns),
            next_columns: Net::new(columns),
            assembled: Net::partly_unused(
                total,
                "the last beat of a word may be wider than what is left",
            ),
            one_address: Constant::new(range, 1),
            one_beat: Constant::new(counter, 1),
            one_bit: Constant::new(32, 1),
            final_beat: Constant::new(counter, (beats - 1).into()),
            no_beat: Constant::new(counter, 0),
            last_column: Constant::new(32, (columns - 1).into()),
            stream_bits: Constant::new(32, stream.into()),
            top_bits: Constant::new(32, (total - stream).into()),
            no_error: code(0),
            error_range: code(7),
            error_early: code(12),
            error_late: code(13),
            one: Constant::new(1, 1),
            _range: range as usize,
            _address: address as usize,
            _total: total as usize,
            _width: width as usize,
            _columns: columns as usize,
            _single: (beats == 1).into(),
            _several: (beats > 1).into(),
        }
    }
}

impl Logic for WeightPort {
    #[hdl_gen]
    fn update(&mut self) {
        self.in_range.next =
            (self.address.q.val() <= bits_resize(self.last_address.q.val(), self._range)).into();
        self.ready.next = self.active.q.val() & self.in_range.val() & (!self.ended.q.val());
        self.takes.next = self.ready.val() & self.weight_valid.val();
        self.last_beat.next = (self.beat.q.val() == self.final_beat.val()).into();
        self.completes.next = self.takes.val() & self.last_beat.val();

        // How the packet ends.
        self.early.next = self.active.q.val() & self.in_range.val() & self.ended.q.val();
        self.late.next = self.active.q.val() & (!self.in_range.val()) & (!self.ended.q.val());
        self.never.next = self.late.val() & (!self.begun.q.val());
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
        self.active.d.next = self.go_weights.val()
            | (self.active.q.val() & self.in_range.val() & (!self.ended.q.val()));
        self.begun.clock.next = self.clock.val();
        self.begun.reset.next = self.go_weights.val();
        self.begun.d.next = self.begun.q.val() | self.takes.val();
        self.ended.clock.next = self.clock.val();
        self.ended.reset.next = self.go_weights.val();
        self.ended.enable.next = self.takes.val();
        self.ended.d.next = self.weight_end.val();

        // Columns: one-hot, with the first column's bit inverted so that 0 means the first.
        self.columns.next = self.column.q.val() ^ bits_resize(self.one.val(), self._columns);
        self.next_columns.next = (self.columns.val() << self.one_bit.val())
            | (self.columns.val() >> self.last_column.val());
        self.column.clock.next = self.clock.val();
        self.column.reset.next = self.go_weights.val();
        self.column.enable.next = self.completes.val();
        self.column.d.next = self.next_columns.val() ^ bits_resize(self.one.val(), self._columns);
        self.write.clock.next = self.clock.val();
        self.write.reset.next = self.reset.val() | (!self.completes.val());
        self.write.d.next = self.columns.val();

        // Addresses count words of the last column; a word's own goes along with it.
        self.last_address.clock.next = self.clock.val();
        self.last_address.enable.next = self.go_weights.val();
        self.last_address.d.next = self.weight_last.val();
        self.address.clock.next = self.clock.val();
        self.address.enable.next = self.go_weights.val()
            | (self.completes.val() & (self.columns.val() >> self.last_column.val()).any().into());
        if self.go_weights.val().any() {
            self.address.d.next = bits_resize(self.weight_base.val(), self._range);
        } else {
            self.address.d.next = self.address.q.val() + self.one_address.val();
        }
        self.write_address.clock.next = self.clock.val();
        self.write_address.enable.next = self.takes.val();
        self.write_address.d.next = bits_resize(self.address.q.val(), self._address);

        // Beats of a word.
        self.beat.clock.next = self.clock.val();
        self.beat.reset.next = self.go_weights.val();
        self.beat.enable.next = self.takes.val();
        if self.last_beat.val().any() {
            self.beat.d.next = self.no_beat.val();
        } else {
            self.beat.d.next = self.beat.q.val() + self.one_beat.val();
        }
        self.value.clock.next = self.clock.val();
        self.value.enable.next = self.takes.val();
        for _i in 0..self._single {
            self.value.d.next = self.weight_data.val();
        }
        for _i in 0..self._several {
            self.value.d.next = (self.value.q.val() >> self.stream_bits.val())
                | (bits_resize(self.weight_data.val(), self._total) << self.top_bits.val());
        }
        self.assembled.next = self.value.q.val();

        self.weight_ready.next = self.ready.val();
        self.weight_write.next = self.write.q.val();
        self.weight_write_address.next = self.write_address.q.val();
        self.weight_write_value.next = bits_resize(self.assembled.val(), self._width);
        self.weights_busy.next = self.active.q.val();
        self.weight_error.next = self.error.q.val();
    }
}
