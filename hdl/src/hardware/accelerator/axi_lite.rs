//! The registers of the AXI4-Lite port.

use super::RegisterRom;
use crate::accelerator::AcceleratorDesign;
use crate::accelerator::config::COUNTERS;
use crate::regmap::{self, ADDRESS_BITS, REGISTER_BITS};
use crate::rtl::prelude::*;

/// Bits of an error code.
pub(super) const ERROR_BITS: u32 = 8;
/// Bits of the number of runs.
pub(super) const RUN_BITS: u32 = 16;
/// Words of 32 bits that an address tells apart.
const WORD_BITS: u32 = ADDRESS_BITS - 2;
/// Where the registers begin that are no constants, all but `control`.
const INDEXED_WORD: u32 = 32;
/// Bits that tell them apart.
const INDEX_BITS: u32 = 3;

/// An AXI4-Lite slave (AMBA IHI 0022, B1) with the registers of [`regmap`].
///
/// The five channels are independent: address and data of a write are taken in any order, reads beside writes. One
/// write and one read are under way at a time. Every output is a register or a function of registers, so no `ready`
/// follows a `valid` and no `valid` waits for a `ready` in the same cycle.
#[derive(Clone, Debug, LogicBlock)]
pub struct AxiLite {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets accesses that are under way and resets the registers.
    pub reset: Net<In>,
    /// A write's address is offered.
    pub awvalid: Net<In>,
    /// It is taken.
    pub awready: Net<Out>,
    /// The address in bytes.
    pub awaddr: Net<In>,
    /// A write's data are offered.
    pub wvalid: Net<In>,
    /// They are taken.
    pub wready: Net<Out>,
    /// The data.
    pub wdata: Net<In>,
    /// Which bytes are written: all, or it is an error.
    pub wstrb: Net<In>,
    /// A write is answered.
    pub bvalid: Net<Out>,
    /// The answer is taken.
    pub bready: Net<In>,
    /// OKAY or SLVERR.
    pub bresp: Net<Out>,
    /// A read's address is offered.
    pub arvalid: Net<In>,
    /// It is taken.
    pub arready: Net<Out>,
    /// The address in bytes.
    pub araddr: Net<In>,
    /// A read is answered.
    pub rvalid: Net<Out>,
    /// The answer is taken.
    pub rready: Net<In>,
    /// The data.
    pub rdata: Net<Out>,
    /// OKAY or SLVERR.
    pub rresp: Net<Out>,
    /// An enabled interrupt stands.
    pub irq: Net<Out>,
    /// Starts the program: one cycle.
    pub start: Net<Out>,
    /// Resets the core: one cycle.
    pub soft_reset: Net<Out>,
    /// Clears the performance counters: one cycle.
    pub counter_clear: Net<Out>,
    /// Where the program starts.
    pub start_address: Net<Out>,
    /// How often it runs.
    pub runs: Net<Out>,
    /// The performance counter that is shown: layer, then cause in the lowest bits.
    pub counter_address: Net<Out>,
    /// A program runs.
    pub busy: Net<In>,
    /// It has ended well: one cycle.
    pub done: Net<In>,
    /// Code of the error that has ended it.
    pub error: Net<In>,
    /// Performance-counter set of the descriptor at hand.
    pub layer: Net<In>,
    /// The performance counters are being cleared.
    pub counter_clearing: Net<In>,
    /// The performance counter at `counter_address`.
    pub counter_value: Net<In>,

    rom: RegisterRom,
    // The channels.
    aw_taken: EnabledResetRegister,
    aw_index: EnabledRegister,
    aw_is_indexed: EnabledRegister,
    aw_is_control: EnabledRegister,
    w_taken: EnabledResetRegister,
    w_data: EnabledRegister,
    w_whole: EnabledRegister,
    b_waits: EnabledResetRegister,
    b_error: EnabledRegister,
    ar_taken: EnabledResetRegister,
    ar_word: EnabledRegister,
    r_waits: EnabledResetRegister,
    r_error: EnabledRegister,
    r_data: EnabledResetRegister,
    // The registers.
    start_r: ResetRegister,
    soft_reset_r: ResetRegister,
    counter_clear_r: ResetRegister,
    start_address_r: EnabledResetRegister,
    /// The number of runs with bit 0 inverted, so that it resets to one run.
    runs_flipped: EnabledResetRegister,
    counter_select: EnabledResetRegister,
    enable_done: EnabledResetRegister,
    enable_error: EnabledResetRegister,
    has_ended: ResetRegister,
    had_error: ResetRegister,
    interrupt_done: ResetRegister,
    interrupt_error: ResetRegister,
    interrupt_r: ResetRegister,
    bus_error: Vec<ResetRegister>,

    write_word: Net<Local>,
    write_now: Net<Local>,
    read_now: Net<Local>,
    commit: Net<Local>,
    starts: Net<Local>,
    is_busy: Net<Local>,
    locked: Net<Local>,
    writable: Net<Local>,
    has_error: Net<Local>,
    at_control: Net<Local>,
    at_start_address: Net<Local>,
    at_runs: Net<Local>,
    at_enable: Net<Local>,
    at_interrupt: Net<Local>,
    at_bus_error: Net<Local>,
    at_select: Net<Local>,
    clear_interrupts: Net<Local>,
    clear_bus_errors: Net<Local>,
    bus_fault: Vec<Net<Local>>,
    status: Net<Local>,
    runs_value: Net<Local>,
    enables: Net<Local>,
    interrupts: Net<Local>,
    bus_errors: Net<Local>,
    read_index: Net<Local>,
    read_value: Net<Local>,

    control_word: Constant,
    indexed_block: Constant,
    status_index: Constant,
    start_address_index: Constant,
    runs_index: Constant,
    enable_index: Constant,
    interrupt_index: Constant,
    bus_error_index: Constant,
    select_index: Constant,
    error_at: Constant,
    layer_at: Constant,
    one_at: Constant,
    two_at: Constant,
    three_at: Constant,
    one_run: Constant,
    whole_word: Constant,
    one: Constant,
    zero: Constant,
    _word_width: usize,
    _index_width: usize,
    _data_width: usize,
    _register_width: usize,
    _run_width: usize,
    _address_width: usize,
    _select_width: usize,
    _response_width: usize,
    _faults: usize,
}

impl AxiLite {
    /// The registers of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let select = design.layer_width + COUNTERS.ilog2();
        let start = design.program_address_width;
        let data = RUN_BITS.max(start).max(select);
        let status = regmap::register("status");
        let faults = regmap::register("bus_error").fields.len() as u32;
        let index = |name| Constant::new(INDEX_BITS, (regmap::register(name).word() % 8).into());
        let address = || Net::partly_unused(ADDRESS_BITS, "bytes of a register");
        AxiLite {
            shape: Shape::new("axi_lite", "The registers of the AXI4-Lite port."),
            clock: Signal::default(),
            reset: Net::new(1),
            awvalid: Net::new(1),
            awready: Net::new(1),
            awaddr: address(),
            wvalid: Net::new(1),
            wready: Net::new(1),
            wdata: Net::partly_unused(REGISTER_BITS, "bits past every writable field"),
            wstrb: Net::new(REGISTER_BITS / 8),
            bvalid: Net::new(1),
            bready: Net::new(1),
            bresp: Net::new(2),
            arvalid: Net::new(1),
            arready: Net::new(1),
            araddr: address(),
            rvalid: Net::new(1),
            rready: Net::new(1),
            rdata: Net::new(REGISTER_BITS),
            rresp: Net::new(2),
            irq: Net::new(1),
            start: Net::new(1),
            soft_reset: Net::new(1),
            counter_clear: Net::new(1),
            start_address: Net::new(start),
            runs: Net::new(RUN_BITS),
            counter_address: Net::new(select),
            busy: Net::new(1),
            done: Net::new(1),
            error: Net::new(ERROR_BITS),
            layer: Net::new(design.layer_width),
            counter_clearing: Net::new(1),
            counter_value: Net::new(REGISTER_BITS),
            rom: RegisterRom::new(design),
            aw_taken: EnabledResetRegister::new(1),
            aw_index: EnabledRegister::new(INDEX_BITS),
            aw_is_indexed: EnabledRegister::new(1),
            aw_is_control: EnabledRegister::new(1),
            w_taken: EnabledResetRegister::new(1),
            w_data: EnabledRegister::new(data),
            w_whole: EnabledRegister::new(1),
            b_waits: EnabledResetRegister::new(1),
            b_error: EnabledRegister::new(1),
            ar_taken: EnabledResetRegister::new(1),
            ar_word: EnabledRegister::new(WORD_BITS),
            r_waits: EnabledResetRegister::new(1),
            r_error: EnabledRegister::new(1),
            r_data: EnabledResetRegister::new(REGISTER_BITS),
            start_r: ResetRegister::new(1),
            soft_reset_r: ResetRegister::new(1),
            counter_clear_r: ResetRegister::new(1),
            start_address_r: EnabledResetRegister::new(start),
            runs_flipped: EnabledResetRegister::new(RUN_BITS),
            counter_select: EnabledResetRegister::new(select),
            enable_done: EnabledResetRegister::new(1),
            enable_error: EnabledResetRegister::new(1),
            has_ended: ResetRegister::new(1),
            had_error: ResetRegister::new(1),
            interrupt_done: ResetRegister::new(1),
            interrupt_error: ResetRegister::new(1),
            interrupt_r: ResetRegister::new(1),
            bus_error: ResetRegister::vector(faults, 1),
            write_word: Net::new(WORD_BITS),
            write_now: Net::new(1),
            read_now: Net::new(1),
            commit: Net::new(1),
            starts: Net::new(1),
            is_busy: Net::new(1),
            locked: Net::new(1),
            writable: Net::new(1),
            has_error: Net::new(1),
            at_control: Net::new(1),
            at_start_address: Net::new(1),
            at_runs: Net::new(1),
            at_enable: Net::new(1),
            at_interrupt: Net::new(1),
            at_bus_error: Net::new(1),
            at_select: Net::new(1),
            clear_interrupts: Net::new(1),
            clear_bus_errors: Net::new(1),
            bus_fault: Net::vector(faults, 1),
            status: Net::new(REGISTER_BITS),
            runs_value: Net::new(RUN_BITS),
            enables: Net::new(REGISTER_BITS),
            interrupts: Net::new(REGISTER_BITS),
            bus_errors: Net::new(REGISTER_BITS),
            read_index: Net::new(INDEX_BITS),
            read_value: Net::new(REGISTER_BITS),
            control_word: Constant::new(WORD_BITS, regmap::register("control").word().into()),
            indexed_block: Constant::new(WORD_BITS, (INDEXED_WORD >> INDEX_BITS).into()),
            status_index: index("status"),
            start_address_index: index("start_address"),
            runs_index: index("runs"),
            enable_index: index("interrupt_enable"),
            interrupt_index: index("interrupt_status"),
            bus_error_index: index("bus_error"),
            select_index: index("counter_select"),
            error_at: Constant::new(32, status.field("error").low.into()),
            layer_at: Constant::new(32, status.field("layer").low.into()),
            one_at: Constant::new(32, 1),
            two_at: Constant::new(32, 2),
            three_at: Constant::new(32, 3),
            one_run: Constant::new(RUN_BITS, 1),
            whole_word: Constant::new(REGISTER_BITS / 8, 0xf),
            one: Constant::new(1, 1),
            zero: Constant::new(1, 0),
            _word_width: WORD_BITS as usize,
            _index_width: INDEX_BITS as usize,
            _data_width: data as usize,
            _register_width: REGISTER_BITS as usize,
            _run_width: RUN_BITS as usize,
            _address_width: start as usize,
            _select_width: select as usize,
            _response_width: 2,
            _faults: faults as usize,
        }
    }
}

impl Logic for AxiLite {
    #[hdl_gen]
    fn update(&mut self) {
        // What is taken stays until it is carried out.
        self.write_now.next =
            (self.aw_taken.q.val() & self.w_taken.q.val()) & (!self.b_waits.q.val());
        self.read_now.next = self.ar_taken.q.val() & (!self.r_waits.q.val());

        self.aw_taken.clock.next = self.clock.val();
        self.aw_taken.reset.next = self.reset.val();
        self.aw_taken.enable.next = self.write_now.val() | (!self.aw_taken.q.val());
        self.aw_taken.d.next = self.awvalid.val() & (!self.aw_taken.q.val());
        self.write_word.next =
            bits_resize(self.awaddr.val() >> self.two_at.val(), self._word_width);
        self.aw_index.clock.next = self.clock.val();
        self.aw_index.enable.next = !self.aw_taken.q.val();
        self.aw_index.d.next = bits_resize(self.write_word.val(), self._index_width);
        self.aw_is_indexed.clock.next = self.clock.val();
        self.aw_is_indexed.enable.next = !self.aw_taken.q.val();
        self.aw_is_indexed.d.next =
            ((self.write_word.val() >> self.three_at.val()) == self.indexed_block.val()).into();
        self.aw_is_control.clock.next = self.clock.val();
        self.aw_is_control.enable.next = !self.aw_taken.q.val();
        self.aw_is_control.d.next = (self.write_word.val() == self.control_word.val()).into();
        self.w_taken.clock.next = self.clock.val();
        self.w_taken.reset.next = self.reset.val();
        self.w_taken.enable.next = self.write_now.val() | (!self.w_taken.q.val());
        self.w_taken.d.next = self.wvalid.val() & (!self.w_taken.q.val());
        self.w_data.clock.next = self.clock.val();
        self.w_data.enable.next = !self.w_taken.q.val();
        self.w_data.d.next = bits_resize(self.wdata.val(), self._data_width);
        self.w_whole.clock.next = self.clock.val();
        self.w_whole.enable.next = !self.w_taken.q.val();
        self.w_whole.d.next = (self.wstrb.val() == self.whole_word.val()).into();
        self.b_waits.clock.next = self.clock.val();
        self.b_waits.reset.next = self.reset.val();
        self.b_waits.enable.next = self.write_now.val() | self.bready.val();
        self.b_waits.d.next = self.write_now.val();

        self.ar_taken.clock.next = self.clock.val();
        self.ar_taken.reset.next = self.reset.val();
        self.ar_taken.enable.next = self.read_now.val() | (!self.ar_taken.q.val());
        self.ar_taken.d.next = self.arvalid.val() & (!self.ar_taken.q.val());
        self.ar_word.clock.next = self.clock.val();
        self.ar_word.enable.next = !self.ar_taken.q.val();
        self.ar_word.d.next = bits_resize(self.araddr.val() >> self.two_at.val(), self._word_width);
        self.r_waits.clock.next = self.clock.val();
        self.r_waits.reset.next = self.reset.val();
        self.r_waits.enable.next = self.read_now.val() | self.rready.val();
        self.r_waits.d.next = self.read_now.val();

        // Which register is written, and whether it may be.
        self.at_control.next = self.aw_is_control.q.val();
        self.at_start_address.next = self.aw_is_indexed.q.val()
            & (self.aw_index.q.val() == self.start_address_index.val()).into();
        self.at_runs.next =
            self.aw_is_indexed.q.val() & (self.aw_index.q.val() == self.runs_index.val()).into();
        self.at_enable.next =
            self.aw_is_indexed.q.val() & (self.aw_index.q.val() == self.enable_index.val()).into();
        self.at_interrupt.next = self.aw_is_indexed.q.val()
            & (self.aw_index.q.val() == self.interrupt_index.val()).into();
        self.at_bus_error.next = self.aw_is_indexed.q.val()
            & (self.aw_index.q.val() == self.bus_error_index.val()).into();
        self.at_select.next =
            self.aw_is_indexed.q.val() & (self.aw_index.q.val() == self.select_index.val()).into();
        self.writable.next = ((self.at_control.val() | self.at_start_address.val())
            | (self.at_runs.val() | self.at_enable.val()))
            | ((self.at_interrupt.val() | self.at_bus_error.val()) | self.at_select.val());
        self.is_busy.next = (self.busy.val() | self.counter_clearing.val())
            | (self.start_r.q.val() | self.counter_clear_r.q.val());
        self.locked.next = self.is_busy.val()
            & ((self.at_start_address.val() | self.at_runs.val())
                | (self.at_control.val()
                    & (self.w_data.q.val().get_bit(0) | self.w_data.q.val().get_bit(2)).into()));
        self.commit.next = (self.write_now.val() & self.writable.val())
            & (self.w_whole.q.val() & (!self.locked.val()));
        self.b_error.clock.next = self.clock.val();
        self.b_error.enable.next = self.write_now.val();
        self.b_error.d.next = !self.commit.val();

        // The registers that are written.
        self.start_r.clock.next = self.clock.val();
        self.start_r.reset.next = self.reset.val();
        self.starts.next =
            (self.commit.val() & self.at_control.val()) & self.w_data.q.val().get_bit(0).into();
        self.start_r.d.next = self.starts.val();
        self.soft_reset_r.clock.next = self.clock.val();
        self.soft_reset_r.reset.next = self.reset.val();
        self.soft_reset_r.d.next =
            (self.commit.val() & self.at_control.val()) & self.w_data.q.val().get_bit(1).into();
        self.counter_clear_r.clock.next = self.clock.val();
        self.counter_clear_r.reset.next = self.reset.val();
        self.counter_clear_r.d.next =
            (self.commit.val() & self.at_control.val()) & self.w_data.q.val().get_bit(2).into();
        self.start_address_r.clock.next = self.clock.val();
        self.start_address_r.reset.next = self.reset.val();
        self.start_address_r.enable.next = self.commit.val() & self.at_start_address.val();
        self.start_address_r.d.next = bits_resize(self.w_data.q.val(), self._address_width);
        self.runs_flipped.clock.next = self.clock.val();
        self.runs_flipped.reset.next = self.reset.val();
        self.runs_flipped.enable.next = self.commit.val() & self.at_runs.val();
        self.runs_flipped.d.next =
            bits_resize(self.w_data.q.val(), self._run_width) ^ self.one_run.val();
        self.runs_value.next = self.runs_flipped.q.val() ^ self.one_run.val();
        self.counter_select.clock.next = self.clock.val();
        self.counter_select.reset.next = self.reset.val();
        self.counter_select.enable.next = self.commit.val() & self.at_select.val();
        self.counter_select.d.next = bits_resize(self.w_data.q.val(), self._select_width);
        self.enable_done.clock.next = self.clock.val();
        self.enable_done.reset.next = self.reset.val();
        self.enable_done.enable.next = self.commit.val() & self.at_enable.val();
        self.enable_done.d.next = self.w_data.q.val().get_bit(0).into();
        self.enable_error.clock.next = self.clock.val();
        self.enable_error.reset.next = self.reset.val();
        self.enable_error.enable.next = self.commit.val() & self.at_enable.val();
        self.enable_error.d.next = self.w_data.q.val().get_bit(1).into();

        // What happens, and interrupts.
        self.has_error.next = self.error.val().any().into();
        self.has_ended.clock.next = self.clock.val();
        self.has_ended.reset.next = self.reset.val();
        self.has_ended.d.next = self.done.val() | (self.has_ended.q.val() & (!self.starts.val()));
        self.had_error.clock.next = self.clock.val();
        self.had_error.reset.next = self.reset.val();
        self.had_error.d.next = self.has_error.val();
        self.clear_interrupts.next = self.commit.val() & self.at_interrupt.val();
        self.interrupt_done.clock.next = self.clock.val();
        self.interrupt_done.reset.next = self.reset.val();
        self.interrupt_done.d.next = self.done.val()
            | (self.interrupt_done.q.val()
                & (!(self.clear_interrupts.val() & self.w_data.q.val().get_bit(0).into())));
        self.interrupt_error.clock.next = self.clock.val();
        self.interrupt_error.reset.next = self.reset.val();
        self.interrupt_error.d.next = (self.has_error.val() & (!self.had_error.q.val()))
            | (self.interrupt_error.q.val()
                & (!(self.clear_interrupts.val() & self.w_data.q.val().get_bit(1).into())));
        self.interrupt_r.clock.next = self.clock.val();
        self.interrupt_r.reset.next = self.reset.val();
        self.interrupt_r.d.next = (self.interrupt_done.q.val() & self.enable_done.q.val())
            | (self.interrupt_error.q.val() & self.enable_error.q.val());

        // Wrong accesses.
        self.clear_bus_errors.next = self.commit.val() & self.at_bus_error.val();
        self.bus_fault[0].next = self.read_now.val() & (!self.rom.known.val());
        self.bus_fault[1].next = self.write_now.val() & (!self.writable.val());
        self.bus_fault[2].next = self.write_now.val() & (!self.w_whole.q.val());
        self.bus_fault[3].next = self.write_now.val() & self.locked.val();
        for i in 0..self._faults {
            self.bus_error[i].clock.next = self.clock.val();
            self.bus_error[i].reset.next = self.reset.val();
            self.bus_error[i].d.next = self.bus_fault[i].val()
                | (self.bus_error[i].q.val()
                    & (!(self.clear_bus_errors.val() & self.w_data.q.val().get_bit(i).into())));
        }

        // What is read.
        self.rom.word.next = self.ar_word.q.val();
        self.status.next =
            ((bits_resize(self.busy.val() | self.start_r.q.val(), self._register_width)
                | (bits_resize(
                    self.done.val() | self.has_ended.q.val(),
                    self._register_width,
                ) << self.one_at.val()))
                | (bits_resize(
                    self.counter_clearing.val() | self.counter_clear_r.q.val(),
                    self._register_width,
                ) << self.two_at.val()))
                | ((bits_resize(self.error.val(), self._register_width) << self.error_at.val())
                    | (bits_resize(self.layer.val(), self._register_width) << self.layer_at.val()));
        self.enables.next = bits_resize(self.enable_done.q.val(), self._register_width)
            | (bits_resize(self.enable_error.q.val(), self._register_width) << self.one_at.val());
        self.interrupts.next = bits_resize(self.interrupt_done.q.val(), self._register_width)
            | (bits_resize(self.interrupt_error.q.val(), self._register_width)
                << self.one_at.val());
        self.bus_errors.next = (bits_resize(self.bus_error[0].q.val(), self._register_width)
            | (bits_resize(self.bus_error[1].q.val(), self._register_width) << self.one_at.val()))
            | ((bits_resize(self.bus_error[2].q.val(), self._register_width) << self.two_at.val())
                | (bits_resize(self.bus_error[3].q.val(), self._register_width)
                    << self.three_at.val()));
        self.read_index.next = bits_resize(self.ar_word.q.val(), self._index_width);
        if !self.ar_word.q.val().get_bit(5) {
            self.read_value.next = self.rom.value.val();
        } else if self.read_index.val() == self.status_index.val() {
            self.read_value.next = self.status.val();
        } else if self.read_index.val() == self.start_address_index.val() {
            self.read_value.next = bits_resize(self.start_address_r.q.val(), self._register_width);
        } else if self.read_index.val() == self.runs_index.val() {
            self.read_value.next = bits_resize(self.runs_value.val(), self._register_width);
        } else if self.read_index.val() == self.enable_index.val() {
            self.read_value.next = self.enables.val();
        } else if self.read_index.val() == self.interrupt_index.val() {
            self.read_value.next = self.interrupts.val();
        } else if self.read_index.val() == self.bus_error_index.val() {
            self.read_value.next = self.bus_errors.val();
        } else if self.read_index.val() == self.select_index.val() {
            self.read_value.next = bits_resize(self.counter_select.q.val(), self._register_width);
        } else {
            self.read_value.next = self.counter_value.val();
        }
        self.r_data.clock.next = self.clock.val();
        self.r_data.reset.next = self.read_now.val() & (!self.rom.known.val());
        self.r_data.enable.next = self.read_now.val();
        self.r_data.d.next = self.read_value.val();
        self.r_error.clock.next = self.clock.val();
        self.r_error.enable.next = self.read_now.val();
        self.r_error.d.next = !self.rom.known.val();

        self.awready.next = !self.aw_taken.q.val();
        self.wready.next = !self.w_taken.q.val();
        self.bvalid.next = self.b_waits.q.val();
        self.bresp.next =
            bits_resize(self.b_error.q.val(), self._response_width) << self.one_at.val();
        self.arready.next = !self.ar_taken.q.val();
        self.rvalid.next = self.r_waits.q.val();
        self.rdata.next = self.r_data.q.val();
        self.rresp.next =
            bits_resize(self.r_error.q.val(), self._response_width) << self.one_at.val();
        self.irq.next = self.interrupt_r.q.val();
        self.start.next = self.start_r.q.val();
        self.soft_reset.next = self.soft_reset_r.q.val();
        self.counter_clear.next = self.counter_clear_r.q.val();
        self.start_address.next = self.start_address_r.q.val();
        self.runs.next = self.runs_value.val();
        self.counter_address.next = self.counter_select.q.val();
    }
}
