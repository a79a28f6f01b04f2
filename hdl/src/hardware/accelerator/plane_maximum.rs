//! The larger one of two codes, from their bit-planes.

use crate::accelerator::AcceleratorDesign;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::fmt::Write;

/// Compares one group of planes of two codes in every lane, the most significant plane first; combinational.
///
/// A code that may be the larger one gives its planes; where it has 0 and the larger one has 1 it has lost.
#[derive(Clone, Debug, LogicBlock)]
pub struct PlaneMaximum {
    shape: Shape,
    /// Planes of the new code.
    pub new_code: Vec<Net<In>>,
    /// Planes of the old code.
    pub old_code: Vec<Net<In>>,
    /// Lanes in which the new code may be the larger one, by the planes above.
    pub new_before: Net<In>,
    /// Lanes in which the old code may be the larger one.
    pub old_before: Net<In>,
    /// Planes of the larger code.
    pub larger: Vec<Net<Out>>,
    /// `new_before` with these planes.
    pub new_after: Net<Out>,
    /// `old_before` with these planes.
    pub old_after: Net<Out>,
}

impl PlaneMaximum {
    /// The comparison of a design's words.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let c = design.design().config();
        let (planes, lanes) = (c.activation_branches, c.lanes);
        PlaneMaximum {
            shape: Shape::new(
                format!("plane_maximum_p{planes}_l{lanes}"),
                "The larger one of two codes in every lane, plane by plane.",
            ),
            new_code: Net::vector(planes, lanes),
            old_code: Net::vector(planes, lanes),
            new_before: Net::new(lanes),
            old_before: Net::new(lanes),
            larger: Net::vector(planes, lanes),
            new_after: Net::new(lanes),
            old_after: Net::new(lanes),
        }
    }
}

impl Logic for PlaneMaximum {
    fn update(&mut self) {
        let (mut new, mut old) = (self.new_before.val(), self.old_before.val());
        for m in (0..self.larger.len()).rev() {
            let (new_plane, old_plane) = (self.new_code[m].val(), self.old_code[m].val());
            let larger = (new.clone() & new_plane.clone()) | (old.clone() & old_plane.clone());
            new = new & (new_plane | !larger.clone());
            old = old & (old_plane | !larger.clone());
            self.larger[m].next = larger;
        }
        self.new_after.next = new;
        self.old_after.next = old;
    }

    fn connect(&mut self) {
        for net in &mut self.larger {
            net.connect();
        }
        self.new_after.connect();
        self.old_after.connect();
    }

    fn hdl(&self) -> Verilog {
        let lanes = self.new_before.val().bits();
        let mut text = "    always @* begin\n        new_after = new_before;\n        old_after = old_before;\n".to_owned();
        for m in (0..self.larger.len()).rev() {
            let range = format!("[{}:{}]", (m + 1) * lanes - 1, m * lanes);
            let _ = write!(
                text,
                "        larger{range} = (new_after & new_code{range}) | (old_after & old_code{range});
        new_after = new_after & (new_code{range} | ~larger{range});
        old_after = old_after & (old_code{range} | ~larger{range});
"
            );
        }
        text.push_str("    end");
        Verilog::Custom(text)
    }
}
