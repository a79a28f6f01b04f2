//! The places of a row tile's rows.

use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;

/// A small memory with one write port and one port that reads at once, written so that synthesizers infer distributed
/// RAM.
#[derive(Clone, Debug, LogicBlock)]
pub struct RowMemory {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Writes at this edge.
    pub write: Net<In>,
    /// Which word is read and written.
    pub entry: Net<In>,
    /// What is written.
    pub write_value: Net<In>,
    /// What stands there.
    pub value: Net<Out>,
    _memory: Vec<Word>,
}

impl RowMemory {
    /// A memory of `words` words, at least 1, of `width` bits.
    pub fn new(words: u32, width: u32) -> Self {
        let entry = crate::config::bits_for((words - 1).into());
        RowMemory {
            shape: Shape::new(
                format!("row_memory_d{words}_w{width}"),
                "The places of a row tile's rows; reads at once.",
            ),
            clock: Signal::default(),
            write: Net::new(1),
            entry: Net::new(entry),
            write_value: Net::new(width),
            value: Net::new(width),
            // A word for every address, so that none of them leads nowhere.
            _memory: vec![Word::zero(width as usize); 1 << entry],
        }
    }
}

impl Logic for RowMemory {
    fn update(&mut self) {
        let entry = self.entry.val().to_u64() as usize;
        if self.clock.pos_edge() && self.write.val().any() {
            self._memory[entry] = self.write_value.val();
        }
        self.value.next = self._memory[entry].clone();
    }

    fn connect(&mut self) {
        self.value.connect();
    }

    fn hdl(&self) -> Verilog {
        let (high, last) = (self.value.next.bits() - 1, self._memory.len() - 1);
        Verilog::Custom(format!(
            "    reg  [{high}:0] memory [0:{last}];
    wire [{high}:0] present = memory[entry];

    always @* value = present;

    always @(posedge clock) begin
        if (write) begin
            memory[entry] <= write_value;
        end
    end"
        ))
    }
}
