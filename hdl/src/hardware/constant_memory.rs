//! The column constants of one column.

use crate::config::Design;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;

/// A small memory with one write port and one registered read port, written so that synthesizers infer RAM.
///
/// A read of an entry in the cycle in which it is written gives the old value.
#[derive(Clone, Debug, LogicBlock)]
pub struct ConstantMemory {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Writes at this edge.
    pub write: Net<In>,
    /// Where.
    pub write_entry: Net<In>,
    /// What.
    pub write_value: Net<In>,
    /// Reads at this edge.
    pub read: Net<In>,
    /// From where.
    pub read_entry: Net<In>,
    /// What was read last.
    pub value: Net<Out>,
    _memory: Vec<Word>,
}

impl ConstantMemory {
    /// The memory of one column of a design.
    pub fn new(design: &Design) -> Self {
        let (entry, width) = (design.entry_width, design.result_width);
        let entries = design.config().constant_entries;
        ConstantMemory {
            shape: Shape::new(
                format!("constant_memory_d{entries}_w{width}"),
                "Column constants of one column; a read while writing gives the old value.",
            ),
            clock: Signal::default(),
            write: Net::new(1),
            write_entry: Net::new(entry),
            write_value: Net::new(width),
            read: Net::new(1),
            read_entry: Net::new(entry),
            value: Net::new(width),
            _memory: vec![Word::zero(width as usize); entries as usize],
        }
    }
}

impl Logic for ConstantMemory {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        if self.read.val().any() {
            self.value.next = self._memory[self.read_entry.val().to_u64() as usize].clone();
        }
        if self.write.val().any() {
            self._memory[self.write_entry.val().to_u64() as usize] = self.write_value.val();
        }
    }

    fn connect(&mut self) {
        self.value.connect();
    }

    fn hdl(&self) -> Verilog {
        let (width, entries) = (self.value.next.bits(), self._memory.len());
        Verilog::Custom(format!(
            "    reg [{}:0] memory [0:{}];

    always @(posedge clock) begin
        if (write) begin
            memory[write_entry] <= write_value;
        end
        if (read) begin
            value <= memory[read_entry];
        end
    end",
            width - 1,
            entries - 1
        ))
    }
}
