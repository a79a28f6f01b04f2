//! Words of bit-planes, written slice by slice.

use crate::accelerator::AcceleratorDesign;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::fmt::Write;

/// Bits that block RAM can write on their own.
const BYTE: u32 = 8;

/// A memory of words of PM planes of L lanes with one write port, an enable for each of the S slices (G lanes of every
/// plane), and one registered read port with an enable.
///
/// A read of a word in the cycle in which it is written gives the old value.
///
/// Synthesizers infer block RAM: with byte enables where a slice has whole bytes, else as one memory for each slice.
#[derive(Clone, Debug, LogicBlock)]
pub struct SliceMemory {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Writes slice `s` of every plane at this edge: bit `s`.
    pub write: Net<In>,
    /// Which word.
    pub write_address: Net<In>,
    /// The whole word, one net for each plane.
    pub write_value: Vec<Net<In>>,
    /// Reads at this edge.
    pub read: Net<In>,
    /// Which word.
    pub read_address: Net<In>,
    /// What was read last.
    pub value: Vec<Net<Out>>,
    _memory: Vec<Vec<Word>>,
    _planes: u32,
    _slices: u32,
    _granule: u32,
}

impl SliceMemory {
    /// A memory of `words` words, a power of two of at least 2, for a design.
    pub fn new(design: &AcceleratorDesign, words: u32) -> Self {
        let planes = design.design().config().activation_branches;
        let (slices, granule) = (design.slices, design.granule_lanes);
        let lanes = slices * granule;
        let address = words.ilog2().max(1);
        SliceMemory {
            shape: Shape::new(
                format!("slice_memory_d{words}_p{planes}_s{slices}_g{granule}"),
                "Words of bit-planes with an enable for each slice; a read while writing gives the old value.",
            ),
            clock: Signal::default(),
            write: Net::new(slices),
            write_address: Net::new(address),
            write_value: Net::vector(planes, lanes),
            read: Net::new(1),
            read_address: Net::new(address),
            value: Net::vector(planes, lanes),
            _memory: vec![vec![Word::zero(lanes as usize); planes as usize]; words as usize],
            _planes: planes,
            _slices: slices,
            _granule: granule,
        }
    }

    /// The lowest bit of a slice in a plane.
    fn place(&self, plane: u32, slice: u32) -> u32 {
        (plane * self._slices + slice) * self._granule
    }

    /// One memory that is written in parts.
    fn one_memory(&self) -> String {
        let mut text = format!(
            "    (* ram_style = \"block\" *)\n    reg [{}:0] memory [0:{}];\n\n    always @(posedge clock) begin\n",
            self._planes * self._slices * self._granule - 1,
            self._memory.len() - 1
        );
        for slice in 0..self._slices {
            let _ = writeln!(text, "        if (write[{slice}]) begin");
            for plane in 0..self._planes {
                let low = self.place(plane, slice);
                let range = format!("[{}:{low}]", low + self._granule - 1);
                let _ = writeln!(
                    text,
                    "            memory[write_address]{range} <= write_value{range};"
                );
            }
            let _ = writeln!(text, "        end");
        }
        text.push_str(
            "        if (read) begin\n            value <= memory[read_address];\n        end\n    end",
        );
        text
    }

    /// One memory for each slice.
    fn memory_of_each_slice(&self) -> String {
        let (width, last) = (self._planes * self._granule, self._memory.len() - 1);
        let mut text = String::new();
        for slice in 0..self._slices {
            let planes: Vec<(u32, u32)> = (0..self._planes)
                .rev()
                .map(|plane| self.place(plane, slice))
                .map(|low| (low + self._granule - 1, low))
                .collect();
            let parts = |net: &str| -> String {
                let parts: Vec<String> = planes
                    .iter()
                    .map(|(high, low)| format!("{net}[{high}:{low}]"))
                    .collect();
                format!("{{{}}}", parts.join(", "))
            };
            let _ = write!(
                text,
                "    (* ram_style = \"block\" *)
    reg [{}:0] memory_{slice} [0:{last}];

    always @(posedge clock) begin
        if (write[{slice}]) begin
            memory_{slice}[write_address] <= {};
        end
        if (read) begin
            {} <= memory_{slice}[read_address];
        end
    end

",
                width - 1,
                parts("write_value"),
                parts("value")
            );
        }
        text
    }
}

impl Logic for SliceMemory {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        if self.read.val().any() {
            let word = &self._memory[self.read_address.val().to_u64() as usize];
            for (plane, value) in self.value.iter_mut().zip(word) {
                plane.next = value.clone();
            }
        }
        let write = self.write.val();
        let word = &mut self._memory[self.write_address.val().to_u64() as usize];
        for (plane, value) in word.iter_mut().zip(&self.write_value) {
            for bit in 0..plane.bits() {
                if write.get_bit(bit / self._granule as usize) {
                    plane.set_bit(bit, value.val().get_bit(bit));
                }
            }
        }
    }

    fn connect(&mut self) {
        for plane in &mut self.value {
            plane.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        let whole = self._slices == 1 || self._granule.is_multiple_of(BYTE);
        Verilog::Custom(if whole {
            self.one_memory()
        } else {
            self.memory_of_each_slice()
        })
    }
}
