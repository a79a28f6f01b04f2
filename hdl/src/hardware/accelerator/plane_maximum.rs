//! The larger one of two codes, from their bit-planes.

use crate::accelerator::AcceleratorDesign;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::fmt::Write;

/// Keeps the larger one of two codes in every lane, one group of planes in each cycle, the most significant plane first.
///
/// A lane is undecided as long as all planes were equal: the larger code has a 1 where one of the two has one. The first
/// plane in which they differ decides, and the code that has 1 there gives all planes below it. The register of who has
/// won is enabled by that of being undecided, so that it costs no LUT; a lane takes two LUTs for each plane.
///
/// While `idle`, the old code is handed on; with an old code of 0 the unit then gives nothing but `other`.
#[derive(Clone, Debug, LogicBlock)]
pub struct PlaneMaximum {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Nothing is compared from the next cycle on.
    pub idle: Net<In>,
    /// The most significant planes come in the next cycle.
    pub first: Net<In>,
    /// Planes of the new code.
    pub new_code: Vec<Net<In>>,
    /// Planes of the old code.
    pub old_code: Vec<Net<In>>,
    /// Or'ed to the result.
    pub other: Vec<Net<In>>,
    /// Planes of the larger code.
    pub larger: Vec<Net<Out>>,
    _equal: Word,
    _newer: Word,
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
            clock: Signal::default(),
            idle: Net::new(1),
            first: Net::new(1),
            new_code: Net::vector(planes, lanes),
            old_code: Net::vector(planes, lanes),
            other: Net::vector(planes, lanes),
            larger: Net::vector(planes, lanes),
            _equal: Word::zero(lanes as usize),
            _newer: Word::zero(lanes as usize),
        }
    }

    /// Hands each plane of the larger code to `give`, and returns the state after all of them.
    fn compare(&self, mut give: impl FnMut(usize, Word)) -> (Word, Word) {
        let (mut equal, mut newer) = (self._equal.clone(), self._newer.clone());
        for m in (0..self.larger.len()).rev() {
            let (new, old) = (self.new_code[m].val(), self.old_code[m].val());
            let chosen = (newer.clone() & new.clone()) | (!newer.clone() & old.clone());
            let either = new.clone() | old.clone();
            give(m, (equal.clone() & either) | (!equal.clone() & chosen));
            newer = (equal.clone() & new.clone()) | (!equal.clone() & newer);
            equal = equal & !(new ^ old);
        }
        (equal, newer)
    }
}

impl Logic for PlaneMaximum {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let (equal, newer) = self.compare(|_, _| {});
            let lanes = equal.bits();
            let (idle, first) = (self.idle.val().any(), self.first.val().any());
            self._newer = if idle { Word::zero(lanes) } else { newer };
            self._equal = match (idle, first) {
                (true, _) => Word::zero(lanes),
                (false, true) => !Word::zero(lanes),
                (false, false) => equal,
            };
        }
        let mut larger = Vec::new();
        self.compare(|m, planes| larger.push((m, planes)));
        for (m, planes) in larger {
            self.larger[m].next = planes | self.other[m].val();
        }
    }

    fn connect(&mut self) {
        for net in &mut self.larger {
            net.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        let (planes, lanes) = (self.larger.len(), self._equal.bits());
        let top = lanes - 1;
        let mut text =
            format!("    reg [{top}:0] equal_{planes};\n    reg [{top}:0] newer_{planes};\n");
        for m in (0..planes).rev() {
            let above = m + 1;
            let range = format!("[{}:{}]", (m + 1) * lanes - 1, m * lanes);
            let _ = write!(
                text,
                "    wire [{top}:0] new_{m} = new_code{range};
    wire [{top}:0] old_{m} = old_code{range};
    wire [{top}:0] chosen_{m} = (newer_{above} & new_{m}) | (~newer_{above} & old_{m});
    wire [{top}:0] equal_{m} = equal_{above} & ~(new_{m} ^ old_{m});
"
            );
            // Where all planes above are equal, the plane says which one is newer; where they are not, `newer` stays.
            let decided = if above == planes {
                format!("new_{m}")
            } else {
                format!("(equal_{above} & new_{m}) | (~equal_{above} & decided_{above})")
            };
            let _ = writeln!(text, "    wire [{top}:0] decided_{m} = {decided};");
            if m > 0 {
                let _ = writeln!(
                    text,
                    "    wire [{top}:0] newer_{m} = (equal_{planes} & decided_{m}) | (~equal_{planes} & newer_{planes});"
                );
            }
        }
        text.push_str("    integer l;\n\n    always @* begin\n");
        for m in (0..planes).rev() {
            let (range, above) = (format!("[{}:{}]", (m + 1) * lanes - 1, m * lanes), m + 1);
            let _ = writeln!(
                text,
                "        larger{range} = other{range} | (equal_{above} & (new_{m} | old_{m})) | (~equal_{above} & chosen_{m});"
            );
        }
        let _ = write!(
            text,
            "    end

    always @(posedge clock) begin
        if (idle) begin
            equal_{planes} <= {lanes}'d0;
        end else begin
            equal_{planes} <= equal_0 | {{{lanes}{{first}}}};
        end
        for (l = 0; l < {lanes}; l = l + 1) begin
            if (idle) begin
                newer_{planes}[l] <= 1'b0;
            end else if (equal_{planes}[l]) begin
                newer_{planes}[l] <= decided_0[l];
            end
        end
    end"
        );
        Verilog::Custom(text)
    }
}
