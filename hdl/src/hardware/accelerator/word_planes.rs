//! Wires from a word to its planes.

use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;

/// Plane i of a word, lane l at bit `i*lanes + l`, as a net of its own. The bits are in the same order on both sides.
#[derive(Clone, Debug, LogicBlock)]
pub struct WordPlanes {
    shape: Shape,
    /// The word.
    pub word: Net<In>,
    /// Its planes.
    pub plane: Vec<Net<Out>>,
}

impl WordPlanes {
    /// The wires of a word of `planes` planes of `lanes` bits.
    pub fn new(planes: u32, lanes: u32) -> Self {
        WordPlanes {
            shape: Shape::new(
                format!("word_planes_p{planes}_l{lanes}"),
                "Wires from a word to its planes.",
            ),
            word: Net::new(planes * lanes),
            plane: Net::vector(planes, lanes),
        }
    }
}

impl Logic for WordPlanes {
    fn update(&mut self) {
        let word = self.word.val();
        let mut low = 0;
        for plane in &mut self.plane {
            let high = low + plane.next.bits();
            plane.next = Word::from_bits((low..high).map(|bit| word.get_bit(bit)));
            low = high;
        }
    }

    fn connect(&mut self) {
        for plane in &mut self.plane {
            plane.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("    always @* begin\n        plane = word;\n    end".to_owned())
    }
}
