//! Wires from a granule to every slice of a word.

use crate::accelerator::AcceleratorDesign;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;

/// Every slice of plane i is the granule's bits of plane i.
#[derive(Clone, Debug, LogicBlock)]
pub struct GranuleCopies {
    shape: Shape,
    /// G lanes of every plane: plane i, lane l at bit `i*G + l`.
    pub granule: Net<In>,
    /// The word's planes.
    pub plane: Vec<Net<Out>>,
    _slices: usize,
    _granule: usize,
}

impl GranuleCopies {
    /// The wires of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let planes = design.design().config().activation_branches;
        let (slices, granule) = (design.slices, design.granule_lanes);
        GranuleCopies {
            shape: Shape::new(
                format!("granule_copies_p{planes}_s{slices}_g{granule}"),
                "Wires from a granule to every slice of a word.",
            ),
            granule: Net::new(planes * granule),
            plane: Net::vector(planes, slices * granule),
            _slices: slices as usize,
            _granule: granule as usize,
        }
    }
}

impl Logic for GranuleCopies {
    fn update(&mut self) {
        let granule = self.granule.val();
        for (m, plane) in self.plane.iter_mut().enumerate() {
            let lanes = plane.next.bits();
            plane.next = Word::from_bits(
                (0..lanes).map(|lane| granule.get_bit(m * self._granule + lane % self._granule)),
            );
        }
    }

    fn connect(&mut self) {
        for plane in &mut self.plane {
            plane.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        let copies: Vec<String> = (0..self.plane.len())
            .rev()
            .map(|m| {
                let low = m * self._granule;
                let high = low + self._granule - 1;
                format!("{{{}{{granule[{high}:{low}]}}}}", self._slices)
            })
            .collect();
        Verilog::Custom(format!(
            "    always @* begin\n        plane = {{{}}};\n    end",
            copies.join(", ")
        ))
    }
}
