//! Whether a descriptor's words lie in their ranges, word by word as they are fetched.

use super::descriptor_registers::FIELD_WORDS;
use crate::accelerator::{AcceleratorDesign, Field, FieldRange, When};
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::fmt::Write;

/// Compares the word at hand with the ranges of [`Field::range`] and the widths of [`Field::width`]. Not clocked.
///
/// What a field's range depends on stands in word 0, and thus in the descriptor's registers when the others come.
#[derive(Clone, Debug, LogicBlock)]
pub struct DescriptorCheck {
    shape: Shape,
    /// The word's number.
    pub index: Net<In>,
    /// The same, one-hot.
    pub select: Net<In>,
    /// The word.
    pub word: Net<In>,
    /// The descriptor is a COMPUTE.
    pub is_compute: Net<In>,
    /// The descriptor is a COMPUTE or a POOL.
    pub is_patches: Net<In>,
    /// Its mode is thresholds.
    pub is_thresholds: Net<In>,
    /// It writes codes.
    pub has_codes: Net<In>,
    /// It adds a residual.
    pub has_residual: Net<In>,
    /// The word holds a value out of its range.
    pub refused: Net<Out>,
    _words: Vec<WordCheck>,
}

/// What is checked in one word of a descriptor.
#[derive(Clone, Debug)]
struct WordCheck {
    /// Bits that must be 0, or, in a word of one signed field, equal to the top bit.
    excess: u32,
    is_signed: bool,
    ranges: Vec<(u32, u32, FieldRange)>,
}

impl WordCheck {
    fn new(design: &AcceleratorDesign, word: u32) -> Self {
        let mut check = WordCheck {
            excess: u32::MAX,
            is_signed: false,
            ranges: Vec::new(),
        };
        for field in Field::ALL.iter().filter(|field| field.word() == word) {
            let (low, width) = (field.low(), field.width(design));
            // A signed field that is cut must be the sign's copies above what is kept.
            let is_cut = field.is_signed() && width < field.bits();
            check.is_signed |= is_cut;
            let plain = width - u32::from(is_cut);
            check.excess &=
                !((u64::MAX >> (64 - plain)) as u32) << low | ((1u64 << low) - 1) as u32;
            if let Some(range) = field.range(design) {
                check.ranges.push((low, width, range));
            }
        }
        check
    }
}

impl DescriptorCheck {
    /// The check of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        DescriptorCheck {
            shape: Shape::new(
                "descriptor_check",
                "Whether a word of a descriptor lies in its ranges.",
            ),
            index: Net::new(6),
            select: Net::new(FIELD_WORDS),
            word: Net::new(32),
            is_compute: Net::new(1),
            is_patches: Net::new(1),
            is_thresholds: Net::new(1),
            has_codes: Net::new(1),
            has_residual: Net::new(1),
            refused: Net::new(1),
            _words: (0..FIELD_WORDS)
                .map(|word| WordCheck::new(design, word))
                .collect(),
        }
    }

    /// The bits of a word by the set of words in which no field keeps them: a bit of the set for each word.
    fn excess_groups(&self) -> Vec<(u64, Vec<u32>)> {
        let mut groups: Vec<(u64, Vec<u32>)> = Vec::new();
        for bit in 0..32 {
            let table = (0..)
                .zip(&self._words)
                .map(|(number, check)| u64::from(check.excess >> bit & 1) << number)
                .sum();
            match groups.iter_mut().find(|(other, _)| *other == table) {
                _ if table == 0 => {}
                Some((_, bits)) => bits.push(bit),
                None => groups.push((table, vec![bit])),
            }
        }
        groups
    }

    fn holds(&self, when: When) -> bool {
        match when {
            When::Always => true,
            When::Patches => self.is_patches.val().any(),
            When::Compute => self.is_compute.val().any(),
            When::Thresholds => self.is_compute.val().any() && self.is_thresholds.val().any(),
            When::Codes => self.is_compute.val().any() && self.has_codes.val().any(),
            When::Residual => self.is_compute.val().any() && self.has_residual.val().any(),
        }
    }
}

/// The condition in Verilog, to stand before a comparison.
fn condition(when: When) -> &'static str {
    match when {
        When::Always => "",
        When::Patches => "is_patches & ",
        When::Compute => "is_compute & ",
        When::Thresholds => "is_compute & is_thresholds & ",
        When::Codes => "is_compute & has_codes & ",
        When::Residual => "is_compute & has_residual & ",
    }
}

/// Whether a field's bits lie out of a range, in Verilog; nothing if they cannot.
fn comparison(low: u32, width: u32, range: &FieldRange) -> Option<String> {
    let bits = format!("word[{}:{low}]", low + width - 1);
    let full = u32::MAX >> (32 - width);
    let mut tests = Vec::new();
    if range.min > 0 {
        tests.push(format!("({bits} < {width}'d{})", range.min));
    }
    if range.max < full {
        tests.push(format!("({bits} > {width}'d{})", range.max));
    }
    match tests.len() {
        0 => None,
        1 => tests.pop(),
        _ => Some(format!("({})", tests.join(" | "))),
    }
}

impl Logic for DescriptorCheck {
    fn update(&mut self) {
        let (index, word) = (self.index.val().to_u64(), self.word.val().to_u64() as u32);
        let select = self.select.val();
        let words = || self._words.iter().enumerate();
        let is_signed = words().any(|(number, check)| check.is_signed && select.get_bit(number));
        let sign = if is_signed && word >> 31 == 1 {
            u32::MAX
        } else {
            0
        };
        let mut refused = false;
        for (number, check) in words() {
            refused |= index == number as u64 && (word ^ sign) & check.excess != 0;
            refused |= select.get_bit(number)
                && check.ranges.iter().any(|(low, width, range)| {
                    let value = (word >> low) & (u32::MAX >> (32 - width));
                    self.holds(range.when) && !(range.min..=range.max).contains(&value)
                });
        }
        self.refused.next = refused.into();
    }

    fn connect(&mut self) {
        self.refused.connect();
    }

    fn hdl(&self) -> Verilog {
        let words = || self._words.iter().enumerate();
        let signed: Vec<String> = words()
            .filter(|(_, check)| check.is_signed)
            .map(|(number, _)| format!("select[{number}]"))
            .collect();
        let sign = if signed.is_empty() {
            "1'd0".to_owned()
        } else {
            format!("word[31] & ({})", signed.join(" | "))
        };
        let mut text = String::new();
        let _ = writeln!(
            text,
            "    // A signed field repeats its sign there.\n    wire sign = {sign};\n"
        );
        text.push_str("    // Bits that no field keeps, by the words in which they are such.\n");
        let mut terms = Vec::new();
        for (group, (table, bits)) in self.excess_groups().iter().enumerate() {
            let _ = writeln!(
                text,
                "    wire [63:0] table_{group} = 64'h{table:x};\n    wire group_{group} = table_{group}[index];"
            );
            let list: Vec<String> = bits.iter().rev().map(|b| format!("word[{b}]")).collect();
            terms.push(format!(
                "(group_{group} & |({{{}}} ^ {{{}{{sign}}}}))",
                list.join(", "),
                bits.len()
            ));
        }
        text.push_str("\n    always @* begin\n        refused = ");
        text.push_str(&terms.join("\n            | "));
        for (number, check) in words() {
            for (low, width, range) in &check.ranges {
                if let Some(comparison) = comparison(*low, *width, range) {
                    let when = condition(range.when);
                    let _ = write!(
                        text,
                        "\n            | (select[{number}] & {when}{comparison})"
                    );
                }
            }
        }
        text.push_str(";\n    end\n\n");
        text.push_str(
            "    // Words without ranges need no select.\n    wire unused = &{1'b0, select};",
        );
        Verilog::Custom(text)
    }
}
