//! A plain memory.

use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;

/// A memory with one write port and one registered read port, written so that synthesizers infer block RAM.
///
/// Nothing resets the contents. Where a word may be read in the cycle in which it is written, [`WordMemory::keeping`] gives
/// the old value on every target; elsewhere the memory tells synthesizers that it never happens (`no_rw_check`): else
/// ECP5 and iCE40 would take a register for each bit of address and data to make sure.
#[derive(Clone, Debug, LogicBlock)]
pub struct WordMemory {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Writes at this edge.
    pub write: Net<In>,
    /// Where.
    pub write_address: Net<In>,
    /// What.
    pub write_value: Net<In>,
    /// Reads at this edge.
    pub read: Net<In>,
    /// From where.
    pub read_address: Net<In>,
    /// What was read last.
    pub value: Net<Out>,
    _memory: Vec<Word>,
    _keeps: bool,
}

impl WordMemory {
    /// A memory of `words` words, a power of two of at least 2, of `width` bits. No word is read while it is written.
    pub fn new(words: u32, width: u32) -> Self {
        let shape = Shape::new(
            format!("word_memory_d{words}_w{width}"),
            "Memory of plain words; no word is read while it is written.",
        );
        WordMemory::of_shape(shape, words, width, false)
    }

    /// As [`WordMemory::new`]; a read of a word in the cycle in which it is written gives the old value.
    pub fn keeping(words: u32, width: u32) -> Self {
        let shape = Shape::new(
            format!("keeping_memory_d{words}_w{width}"),
            "Memory of plain words; a read while writing gives the old value.",
        );
        WordMemory::of_shape(shape, words, width, true)
    }

    fn of_shape(shape: Shape, words: u32, width: u32, keeps: bool) -> Self {
        let address = words.ilog2().max(1);
        WordMemory {
            shape,
            clock: Signal::default(),
            write: Net::new(1),
            write_address: Net::new(address),
            write_value: Net::new(width),
            read: Net::new(1),
            read_address: Net::new(address),
            value: Net::new(width),
            _memory: vec![Word::zero(width as usize); words as usize],
            _keeps: keeps,
        }
    }
}

impl Logic for WordMemory {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        if self.read.val().any() {
            self.value.next = self._memory[self.read_address.val().to_u64() as usize].clone();
        }
        if self.write.val().any() {
            self._memory[self.write_address.val().to_u64() as usize] = self.write_value.val();
        }
    }

    fn connect(&mut self) {
        self.value.connect();
    }

    fn hdl(&self) -> Verilog {
        let (width, words) = (self.value.next.bits(), self._memory.len());
        let attribute = if self._keeps {
            ""
        } else {
            "    (* no_rw_check *)\n"
        };
        Verilog::Custom(format!(
            "{attribute}    reg [{}:0] memory [0:{}];

    always @(posedge clock) begin
        if (write) begin
            memory[write_address] <= write_value;
        end
        if (read) begin
            value <= memory[read_address];
        end
    end",
            width - 1,
            words - 1
        ))
    }
}
