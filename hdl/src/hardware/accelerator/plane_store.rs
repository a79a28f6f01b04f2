//! What max-pool keeps of the taps that it has seen.

use crate::accelerator::AcceleratorDesign;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::fmt::Write;

/// A memory of whole words, one for each plane group. `clear` reads 0: the output register of a block RAM has a reset,
/// so that it costs nothing.
///
/// No word is read while it is written.
#[derive(Clone, Debug, LogicBlock)]
pub struct PlaneStore {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Writes at this edge.
    pub write: Net<In>,
    /// Which word.
    pub write_address: Net<In>,
    /// What, one net for each plane.
    pub write_value: Vec<Net<In>>,
    /// Reads at this edge.
    pub read: Net<In>,
    /// Reads 0 at this edge.
    pub clear: Net<In>,
    /// Which word.
    pub read_address: Net<In>,
    /// What was read last.
    pub value: Vec<Net<Out>>,
    _memory: Vec<Vec<Word>>,
}

impl PlaneStore {
    /// A memory of `words` words, a power of two of at least 2, for a design.
    pub fn new(design: &AcceleratorDesign, words: u32) -> Self {
        let c = design.design().config();
        let (planes, lanes) = (c.activation_branches, c.lanes);
        let address = words.ilog2().max(1);
        PlaneStore {
            shape: Shape::new(
                format!("plane_store_d{words}_p{planes}_l{lanes}"),
                "Words of bit-planes, read with a clear; no word is read while it is written.",
            ),
            clock: Signal::default(),
            write: Net::new(1),
            write_address: Net::new(address),
            write_value: Net::vector(planes, lanes),
            read: Net::new(1),
            clear: Net::new(1),
            read_address: Net::new(address),
            value: Net::vector(planes, lanes),
            _memory: vec![vec![Word::zero(lanes as usize); planes as usize]; words as usize],
        }
    }
}

impl Logic for PlaneStore {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let word = self.read_address.val().to_u64() as usize;
        for (m, value) in self.value.iter_mut().enumerate() {
            if self.clear.val().any() {
                value.next = Word::zero(value.next.bits());
            } else if self.read.val().any() {
                value.next = self._memory[word][m].clone();
            }
        }
        if self.write.val().any() {
            let word = self.write_address.val().to_u64() as usize;
            for (kept, value) in self._memory[word].iter_mut().zip(&self.write_value) {
                *kept = value.val();
            }
        }
    }

    fn connect(&mut self) {
        for plane in &mut self.value {
            plane.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        let width: usize = self.value.iter().map(|plane| plane.next.bits()).sum();
        let mut text = String::new();
        let _ = write!(
            text,
            "    (* ram_style = \"block\", no_rw_check *)
    reg [{}:0] memory [0:{}];

    always @(posedge clock) begin
        if (write) begin
            memory[write_address] <= write_value;
        end
        if (clear) begin
            value <= {width}'d0;
        end else if (read) begin
            value <= memory[read_address];
        end
    end",
            width - 1,
            self._memory.len() - 1
        );
        Verilog::Custom(text)
    }
}
