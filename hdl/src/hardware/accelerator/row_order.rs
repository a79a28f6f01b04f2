//! Wires from the loaders' patch buffers to the array's rows.

use crate::accelerator::AcceleratorDesign;
use crate::hardware::grid;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;

/// Row `k*F + f` of the array reads buffer k of loader f. The bits are in the same order on both sides.
#[derive(Clone, Debug, LogicBlock)]
pub struct RowOrder {
    shape: Shape,
    /// The planes of each buffer k of each loader f.
    pub buffer: Vec<Vec<Vec<Net<In>>>>,
    /// One word for each row and activation branch.
    pub row: Vec<Vec<Net<Out>>>,
}

impl RowOrder {
    /// The wires of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let c = design.design().config();
        RowOrder {
            shape: Shape::new(
                format!("row_order_r{}", c.rows),
                "Wires from the patch buffers to the rows.",
            ),
            buffer: (0..design.rows_per_port)
                .map(|_| grid(design.config().load_ports, c.activation_branches, c.lanes))
                .collect(),
            row: grid(c.rows, c.activation_branches, c.lanes),
        }
    }
}

impl Logic for RowOrder {
    fn update(&mut self) {
        let planes = self.buffer.iter().flatten().flatten();
        for (row, buffer) in self.row.iter_mut().flatten().zip(planes) {
            row.next = buffer.val();
        }
    }

    fn connect(&mut self) {
        for plane in self.row.iter_mut().flatten() {
            plane.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("    always @* begin\n        row = buffer;\n    end".to_owned())
    }
}
