//! The buffer of rows at the result port, behind credits.

use super::credits::Credits;
use crate::config::Design;
use crate::hardware::accelerator::WordMemory;
use crate::rtl::prelude::*;

/// Words of a buffer: more than rows can be under way with the most broadcast stages.
pub const BUFFER_WORDS: u32 = 16;

/// Pointers and valids of a buffer of [`BUFFER_WORDS`] words in a memory with a registered read port: what is written in a
/// cycle stands at the port two cycles later, if nothing is before it.
#[derive(Clone, Debug, LogicBlock)]
pub struct BufferControl {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties it.
    pub reset: Net<In>,
    /// A word is written. Credits make sure that there is room.
    pub write: Net<In>,
    /// Whoever reads takes what stands at the port.
    pub out_ready: Net<In>,
    /// Where a word is written.
    pub write_address: Net<Out>,
    /// Where the next one is read.
    pub read_address: Net<Out>,
    /// The port takes what is read, if there is something.
    pub read: Net<Out>,
    /// Something stands at the port.
    pub out_valid: Net<Out>,
    stored: Credits,
    write_r: EnabledResetRegister,
    read_r: EnabledResetRegister,
    valid_r: EnabledResetRegister,
    main_ready: Net<Local>,
    moves: Net<Local>,
    one: Constant,
}

impl Default for BufferControl {
    fn default() -> Self {
        let address = BUFFER_WORDS.ilog2();
        BufferControl {
            shape: Shape::new(
                format!("buffer_control_d{BUFFER_WORDS}"),
                "Pointers and valids of a buffer in a memory.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            write: Net::new(1),
            out_ready: Net::new(1),
            write_address: Net::new(address),
            read_address: Net::new(address),
            read: Net::new(1),
            out_valid: Net::new(1),
            stored: Credits::new(BUFFER_WORDS),
            write_r: EnabledResetRegister::new(address),
            read_r: EnabledResetRegister::new(address),
            valid_r: EnabledResetRegister::new(1),
            main_ready: Net::new(1),
            moves: Net::new(1),
            one: Constant::new(address, 1),
        }
    }
}

impl Logic for BufferControl {
    #[hdl_gen]
    fn update(&mut self) {
        self.main_ready.next = (!self.valid_r.q.val()) | self.out_ready.val();
        self.moves.next = self.stored.some.val() & self.main_ready.val();
        self.stored.clock.next = self.clock.val();
        self.stored.reset.next = self.reset.val();
        self.stored.take.next = self.write.val();
        self.stored.give.next = self.moves.val();
        self.write_r.clock.next = self.clock.val();
        self.write_r.reset.next = self.reset.val();
        self.write_r.enable.next = self.write.val();
        self.write_r.d.next = self.write_r.q.val() + self.one.val();
        self.read_r.clock.next = self.clock.val();
        self.read_r.reset.next = self.reset.val();
        self.read_r.enable.next = self.moves.val();
        self.read_r.d.next = self.read_r.q.val() + self.one.val();
        self.valid_r.clock.next = self.clock.val();
        self.valid_r.reset.next = self.reset.val();
        self.valid_r.enable.next = self.main_ready.val();
        self.valid_r.d.next = self.stored.some.val();
        self.write_address.next = self.write_r.q.val();
        self.read_address.next = self.read_r.q.val();
        self.read.next = self.main_ready.val();
        self.out_valid.next = self.valid_r.q.val();
    }
}

/// Rows of results that wait for the result port.
#[derive(Clone, Debug, LogicBlock)]
pub struct ResultBuffer {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties it.
    pub reset: Net<In>,
    /// A row comes.
    pub in_valid: Net<In>,
    /// It is its tile's last.
    pub in_last: Net<In>,
    /// Its results.
    pub in_value: Vec<Net<In>>,
    /// Whoever reads takes the row.
    pub out_ready: Net<In>,
    /// A row is there.
    pub out_valid: Net<Out>,
    /// It is its tile's last.
    pub out_last: Net<Out>,
    /// Its results.
    pub out_value: Vec<Net<Out>>,
    control: BufferControl,
    last: WordMemory,
    value: Vec<WordMemory>,
    _columns: usize,
}

impl ResultBuffer {
    /// The buffer of a design.
    pub fn new(design: &Design) -> Self {
        let (columns, width) = (design.config().columns, design.result_width);
        ResultBuffer {
            shape: Shape::new(
                format!("result_buffer_c{columns}_w{width}"),
                "Rows of results that wait for the result port.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            in_valid: Net::new(1),
            in_last: Net::new(1),
            in_value: Net::vector(columns, width),
            out_ready: Net::new(1),
            out_valid: Net::new(1),
            out_last: Net::new(1),
            out_value: Net::vector(columns, width),
            control: BufferControl::default(),
            last: WordMemory::new(BUFFER_WORDS, 1),
            value: (0..columns)
                .map(|_| WordMemory::new(BUFFER_WORDS, width))
                .collect(),
            _columns: columns as usize,
        }
    }
}

impl Logic for ResultBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        self.control.clock.next = self.clock.val();
        self.control.reset.next = self.reset.val();
        self.control.write.next = self.in_valid.val();
        self.control.out_ready.next = self.out_ready.val();
        self.last.clock.next = self.clock.val();
        self.last.write.next = self.in_valid.val();
        self.last.write_address.next = self.control.write_address.val();
        self.last.write_value.next = self.in_last.val();
        self.last.read.next = self.control.read.val();
        self.last.read_address.next = self.control.read_address.val();
        for c in 0..self._columns {
            self.value[c].clock.next = self.clock.val();
            self.value[c].write.next = self.in_valid.val();
            self.value[c].write_address.next = self.control.write_address.val();
            self.value[c].write_value.next = self.in_value[c].val();
            self.value[c].read.next = self.control.read.val();
            self.value[c].read_address.next = self.control.read_address.val();
            self.out_value[c].next = self.value[c].value.val();
        }
        self.out_valid.next = self.control.out_valid.val();
        self.out_last.next = self.last.value.val();
    }
}
