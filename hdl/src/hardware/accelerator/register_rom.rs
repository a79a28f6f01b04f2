//! What the register map says about an address.

use crate::accelerator::AcceleratorDesign;
use crate::regmap::{ADDRESS_BITS, REGISTER_BITS, REGISTERS};
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::fmt::Write;

/// Words of the part of the address space where constants are.
const CONSTANTS: u32 = 32;

/// The constant registers of a design, and where registers are: a function of the address.
///
/// Constants stand in the first 32 words, and only so many bits of the address choose one: each bit is one
/// five-input LUT. Elsewhere `value` has no meaning.
#[derive(Clone, Debug, LogicBlock)]
pub struct RegisterRom {
    shape: Shape,
    /// Word address.
    pub word: Net<In>,
    /// The constant that stands there.
    pub value: Net<Out>,
    /// A register is there.
    pub known: Net<Out>,
    /// For each register its word address, its name and its constant.
    _rows: Vec<(u32, &'static str, Option<u32>)>,
}

impl RegisterRom {
    /// The constants of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        RegisterRom {
            shape: Shape::new(
                "register_rom",
                "The registers that are constants of the design, and where registers are.",
            ),
            word: Net::new(ADDRESS_BITS - 2),
            value: Net::new(REGISTER_BITS),
            known: Net::new(1),
            _rows: REGISTERS
                .iter()
                .map(|r| (r.word(), r.name, r.constant.map(|value| value(design))))
                .collect(),
        }
    }
}

impl Logic for RegisterRom {
    fn update(&mut self) {
        let word = self.word.val().to_u64() as u32;
        let known = self._rows.iter().any(|(at, ..)| *at == word);
        let row = self._rows.iter().find(|(at, ..)| *at == word % CONSTANTS);
        let value = row.and_then(|(.., value)| *value).unwrap_or(0);
        self.known.next = known.into();
        self.value.next = Word::new(REGISTER_BITS as usize, value.into());
    }

    fn connect(&mut self) {
        self.value.connect();
        self.known.connect();
    }

    fn hdl(&self) -> Verilog {
        let (width, index) = (ADDRESS_BITS - 2, CONSTANTS.ilog2());
        let known: Vec<String> = self
            ._rows
            .iter()
            .map(|(word, ..)| format!("            {width}'h{word:03x}"))
            .collect();
        let mut text = format!(
            "    always @* begin\n        case (word)\n{}: known = 1'b1;\n            default: known = 1'b0;\n        endcase\n        case (word[{}:0])\n",
            known.join(",\n"),
            index - 1
        );
        for (word, name, value) in &self._rows {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "            {index}'h{word:02x}: value = 32'h{value:08x}; // {name}"
                );
            }
        }
        text.push_str("            default: value = 32'h00000000;\n        endcase\n    end");
        Verilog::Custom(text)
    }
}
