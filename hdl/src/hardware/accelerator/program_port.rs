//! Loads programs and parameters from the program stream.

use crate::accelerator::AcceleratorDesign;
use crate::rtl::prelude::*;

/// Turns packets of the program stream into writes of the memories: a header, an address, then words of the memory in
/// rising order, each in one or two words of the stream. A packet that is wrong is dropped up to its TLAST.
#[derive(Clone, Debug, LogicBlock)]
pub struct ProgramPort {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets a packet that has begun. A flush after an error does not.
    pub reset: Net<In>,
    /// Nothing runs: words may be taken.
    pub accept: Net<In>,
    /// A word is offered.
    pub program_valid: Net<In>,
    /// A word is taken if it is offered.
    pub program_ready: Net<Out>,
    /// The word.
    pub program_data: Net<In>,
    /// It is the packet's last.
    pub program_last: Net<In>,
    /// Writes `load_value` to the program memory.
    pub program_write: Net<Out>,
    /// The same for the schedule memory.
    pub schedule_write: Net<Out>,
    /// The same for the constants of `load_lane`.
    pub constant_write: Net<Out>,
    /// The same for the thresholds of `load_level` and `load_lane`.
    pub threshold_write: Net<Out>,
    /// The same for the affine parameters of `load_lane`.
    pub affine_write: Net<Out>,
    /// The same for the residual tables of all lanes.
    pub table_write: Net<Out>,
    /// Threshold level.
    pub load_level: Net<Out>,
    /// Drained column.
    pub load_lane: Net<Out>,
    /// Address in the memory.
    pub load_address: Net<Out>,
    /// What is written, in its low bits.
    pub load_value: Net<Out>,
    /// An error code, for one cycle.
    pub load_error: Net<Out>,
    addressing: ResetRegister,
    loading: ResetRegister,
    skipping: ResetRegister,
    second: ResetRegister,
    target: EnabledRegister,
    level: EnabledRegister,
    lane: EnabledRegister,
    far: EnabledRegister,
    address: EnabledRegister,
    write_address: EnabledRegister,
    low: EnabledRegister,
    high: EnabledRegister,
    write: ResetRegister,
    error: ResetRegister,
    ready: Net<Local>,
    takes: Net<Local>,
    is_header: Net<Local>,
    header_target: Net<Local>,
    header_level: Net<Local>,
    header_lane: Net<Local>,
    bad_header: Net<Local>,
    bad_level: Net<Local>,
    bad_lane: Net<Local>,
    last_part: Net<Local>,
    past: Net<Local>,
    is_program: Net<Local>,
    is_schedule: Net<Local>,
    is_constant: Net<Local>,
    is_threshold: Net<Local>,
    is_parameter: Net<Local>,
    is_table: Net<Local>,
    level_past: Net<Local>,
    completes: Net<Local>,
    commits: Net<Local>,
    fails: Net<Local>,
    next_address: Net<Local>,
    assembled: Net<Local>,
    one_target: Constant,
    last_target: Constant,
    max_level: Constant,
    max_lane: Constant,
    wide_targets: Constant,
    target_bits: Constant,
    level_bits: Constant,
    lane_bits: Constant,
    part_bits: Constant,
    kept_bits: Constant,
    far_bits: Constant,
    program_bits: Constant,
    schedule_bits: Constant,
    constant_bits: Constant,
    channel_bits: Constant,
    table_bits: Constant,
    one_address: Constant,
    error_load: Constant,
    no_error: Constant,
    _kept: usize,
    _address: usize,
    _value: usize,
    _byte: usize,
    _nibble: usize,
    _long: usize,
}

impl ProgramPort {
    /// The block of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let widths = [
            32,
            d.schedule_width,
            d.constant_width,
            d.design().result_width,
            d.affine_width,
            d.product_width,
        ];
        let wide = widths
            .iter()
            .enumerate()
            .map(|(target, width)| u64::from(*width > 32) << target)
            .sum();
        let kept = d.load_address_width();
        ProgramPort {
            shape: Shape::new(
                "program_port",
                "Turns packets of the program stream into writes of the memories.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            accept: Net::new(1),
            program_valid: Net::new(1),
            program_ready: Net::new(1),
            program_data: Net::new(32),
            program_last: Net::new(1),
            program_write: Net::new(1),
            schedule_write: Net::new(1),
            constant_write: Net::new(1),
            threshold_write: Net::new(1),
            affine_write: Net::new(1),
            table_write: Net::new(1),
            load_level: Net::new(4),
            load_lane: Net::new(8),
            load_address: Net::new(kept),
            load_value: Net::new(d.load_value_width()),
            load_error: Net::new(4),
            addressing: ResetRegister::new(1),
            loading: ResetRegister::new(1),
            skipping: ResetRegister::new(1),
            second: ResetRegister::new(1),
            target: EnabledRegister::new(6),
            level: EnabledRegister::new(4),
            lane: EnabledRegister::new(8),
            far: EnabledRegister::new(1),
            address: EnabledRegister::new(kept + 1),
            write_address: EnabledRegister::new(kept),
            low: EnabledRegister::new(32),
            high: EnabledRegister::new(32),
            write: ResetRegister::new(6),
            error: ResetRegister::new(4),
            ready: Net::new(1),
            takes: Net::new(1),
            is_header: Net::new(1),
            header_target: Net::new(4),
            header_level: Net::new(4),
            header_lane: Net::new(8),
            bad_header: Net::new(1),
            bad_level: Net::new(1),
            bad_lane: Net::new(1),
            last_part: Net::new(1),
            past: Net::new(1),
            is_program: Net::new(1),
            is_schedule: Net::new(1),
            is_constant: Net::new(1),
            is_threshold: Net::new(1),
            is_parameter: Net::new(1),
            is_table: Net::new(1),
            level_past: Net::new(1),
            completes: Net::new(1),
            commits: Net::new(1),
            fails: Net::new(1),
            next_address: Net::new(kept + 1),
            assembled: Net::partly_unused(64, "no memory has words as wide as two of the stream"),
            one_target: Constant::new(6, 1),
            last_target: Constant::new(4, 5),
            max_level: Constant::new(4, u64::from(d.config().threshold_bits - 1)),
            max_lane: Constant::new(8, u64::from(d.config().drain_columns - 1).min(255)),
            wide_targets: Constant::new(6, wide),
            target_bits: Constant::new(32, 28),
            level_bits: Constant::new(32, 24),
            lane_bits: Constant::new(32, 16),
            part_bits: Constant::new(32, 32),
            kept_bits: Constant::new(32, kept.into()),
            far_bits: Constant::new(32, (kept + 1).into()),
            program_bits: Constant::new(32, d.program_address_width.into()),
            schedule_bits: Constant::new(32, d.schedule_address_width.into()),
            constant_bits: Constant::new(32, d.constant_address_width.into()),
            channel_bits: Constant::new(32, d.channel_address_width.into()),
            table_bits: Constant::new(32, d.table_address_width.into()),
            one_address: Constant::new(kept + 1, 1),
            error_load: Constant::new(4, 14),
            no_error: Constant::new(4, 0),
            _kept: kept as usize,
            _address: kept as usize + 1,
            _value: d.load_value_width() as usize,
            _byte: 8,
            _nibble: 4,
            _long: 64,
        }
    }
}

impl Logic for ProgramPort {
    #[hdl_gen]
    fn update(&mut self) {
        self.ready.next = self.accept.val();
        self.takes.next = self.ready.val() & self.program_valid.val();
        self.is_header.next =
            !((self.addressing.q.val() | self.loading.q.val()) | self.skipping.q.val());
        self.last_part.next = !((!self.second.q.val())
            & (self.target.q.val() & self.wide_targets.val()).any().into());
        self.completes.next = self.loading.q.val() & self.last_part.val();

        // The header.
        self.header_target.next = bits_resize(
            self.program_data.val() >> self.target_bits.val(),
            self._nibble,
        );
        self.header_level.next = bits_resize(
            self.program_data.val() >> self.level_bits.val(),
            self._nibble,
        );
        self.header_lane.next =
            bits_resize(self.program_data.val() >> self.lane_bits.val(), self._byte);
        self.bad_level.next = (self.header_level.val() > self.max_level.val()).into();
        self.bad_lane.next = (self.header_lane.val() > self.max_lane.val()).into();
        self.bad_header.next = self.bad_level.val()
            | self.bad_lane.val()
            | (self.header_target.val() > self.last_target.val()).into();
        self.target.clock.next = self.clock.val();
        self.target.enable.next = self.takes.val() & self.is_header.val();
        self.target.d.next = self.one_target.val() << self.header_target.val();
        self.level.clock.next = self.clock.val();
        self.level.enable.next = self.takes.val() & self.is_header.val();
        self.level.d.next = self.header_level.val();
        self.lane.clock.next = self.clock.val();
        self.lane.enable.next = self.takes.val() & self.is_header.val();
        self.lane.d.next = self.header_lane.val();

        // The address: bits that no memory has are refused with the first word.
        self.next_address.next = self.address.q.val() + self.one_address.val();
        self.far.clock.next = self.clock.val();
        self.far.enable.next = self.takes.val() & self.addressing.q.val();
        self.far.d.next = (self.program_data.val() >> self.far_bits.val())
            .any()
            .into();
        self.address.clock.next = self.clock.val();
        self.address.enable.next =
            self.takes.val() & (self.addressing.q.val() | self.completes.val());
        if self.addressing.q.val().any() {
            self.address.d.next = bits_resize(self.program_data.val(), self._address);
        } else {
            self.address.d.next = self.next_address.val();
        }
        self.is_program.next = self.target.q.val().get_bit(0).into();
        self.is_schedule.next = self.target.q.val().get_bit(1).into();
        self.is_constant.next = self.target.q.val().get_bit(2).into();
        self.is_threshold.next = self.target.q.val().get_bit(3).into();
        self.is_parameter.next = self.target.q.val().get_bit(4).into();
        self.is_table.next = self.target.q.val().get_bit(5).into();
        // The memory of level b holds 2^b times as many words as that of level 0.
        self.level_past.next = ((self.address.q.val() >> self.channel_bits.val())
            >> self.level.q.val())
        .any()
        .into();
        self.past.next = self.far.q.val()
            | (self.address.q.val() >> self.kept_bits.val()).any().into()
            | (self.is_program.val()
                & (self.address.q.val() >> self.program_bits.val())
                    .any()
                    .into())
            | (self.is_schedule.val()
                & (self.address.q.val() >> self.schedule_bits.val())
                    .any()
                    .into())
            | (self.is_constant.val()
                & (self.address.q.val() >> self.constant_bits.val())
                    .any()
                    .into())
            | (self.is_threshold.val() & self.level_past.val())
            | (self.is_parameter.val()
                & (self.address.q.val() >> self.channel_bits.val())
                    .any()
                    .into())
            | (self.is_table.val() & (self.address.q.val() >> self.table_bits.val()).any().into());

        // Data: one or two words for each word of the memory.
        self.commits.next = self.takes.val() & self.completes.val() & (!self.past.val());
        self.second.clock.next = self.clock.val();
        self.second.reset.next = self.reset.val();
        self.second.d.next = self.loading.q.val()
            & ((self.second.q.val() & (!self.takes.val()))
                | (self.takes.val() & (!self.last_part.val())));
        self.low.clock.next = self.clock.val();
        self.low.enable.next = self.takes.val() & (!self.second.q.val());
        self.low.d.next = self.program_data.val();
        self.high.clock.next = self.clock.val();
        self.high.enable.next = self.takes.val();
        self.high.d.next = self.program_data.val();
        self.write.clock.next = self.clock.val();
        self.write.reset.next = self.reset.val() | (!self.commits.val());
        self.write.d.next = self.target.q.val();
        self.write_address.clock.next = self.clock.val();
        self.write_address.enable.next = self.takes.val();
        self.write_address.d.next = bits_resize(self.address.q.val(), self._kept);

        // What is wrong: what follows in the packet is dropped.
        self.fails.next = self.takes.val()
            & ((self.is_header.val() & self.bad_header.val())
                | (self.completes.val() & self.past.val())
                | (self.program_last.val() & (!self.completes.val()) & (!self.skipping.q.val())));
        self.error.clock.next = self.clock.val();
        self.error.reset.next = self.reset.val();
        if self.fails.val().any() {
            self.error.d.next = self.error_load.val();
        } else {
            self.error.d.next = self.no_error.val();
        }
        self.addressing.clock.next = self.clock.val();
        self.addressing.reset.next = self.reset.val();
        self.addressing.d.next = (!self.fails.val())
            & ((self.takes.val() & self.is_header.val())
                | (self.addressing.q.val() & (!self.takes.val())));
        self.loading.clock.next = self.clock.val();
        self.loading.reset.next = self.reset.val();
        self.loading.d.next = (!self.fails.val())
            & (!(self.takes.val() & self.program_last.val()))
            & ((self.takes.val() & self.addressing.q.val()) | self.loading.q.val());
        self.skipping.clock.next = self.clock.val();
        self.skipping.reset.next = self.reset.val();
        self.skipping.d.next = (self.fails.val() | self.skipping.q.val())
            & (!(self.takes.val() & self.program_last.val()));

        self.assembled.next = bits_resize(self.low.q.val(), self._long)
            | (bits_resize(self.high.q.val(), self._long) << self.part_bits.val());
        self.program_ready.next = self.ready.val();
        self.program_write.next = self.write.q.val().get_bit(0).into();
        self.schedule_write.next = self.write.q.val().get_bit(1).into();
        self.constant_write.next = self.write.q.val().get_bit(2).into();
        self.threshold_write.next = self.write.q.val().get_bit(3).into();
        self.affine_write.next = self.write.q.val().get_bit(4).into();
        self.table_write.next = self.write.q.val().get_bit(5).into();
        self.load_level.next = self.level.q.val();
        self.load_lane.next = self.lane.q.val();
        self.load_address.next = self.write_address.q.val();
        self.load_value.next = bits_resize(self.assembled.val(), self._value);
        self.load_error.next = self.error.q.val();
    }
}
