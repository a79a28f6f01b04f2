//! Simulation models of device primitives, for simulation and proofs only: synthesizers bring their own.
//!
//! A LUT's model selects bit by bit, so an unknown input that does not matter leaves a known output, as in the device.

use super::adder_cells::AdderCell;
use crate::emit::VerilogFile;
use std::collections::BTreeMap;

/// Models of Xilinx' primitives: file name and Verilog.
pub const XILINX: [(&str, &str); 9] = [
    ("LUT1.v", include_str!("primitives/LUT1.v")),
    ("LUT2.v", include_str!("primitives/LUT2.v")),
    ("LUT3.v", include_str!("primitives/LUT3.v")),
    ("LUT4.v", include_str!("primitives/LUT4.v")),
    ("LUT5.v", include_str!("primitives/LUT5.v")),
    ("LUT6.v", include_str!("primitives/LUT6.v")),
    ("LUT6_2.v", include_str!("primitives/LUT6_2.v")),
    ("CARRY4.v", include_str!("primitives/CARRY4.v")),
    ("CARRY8.v", include_str!("primitives/CARRY8.v")),
];

/// Models of Lattice ECP5's primitives: file name and Verilog.
pub const ECP5: [(&str, &str); 2] = [
    ("LUT4.v", include_str!("primitives/ecp5_LUT4.v")),
    ("CCU2C.v", include_str!("primitives/CCU2C.v")),
];

/// Models of Lattice iCE40's primitives: file name and Verilog.
pub const ICE40: [(&str, &str); 2] = [
    ("SB_LUT4.v", include_str!("primitives/SB_LUT4.v")),
    ("SB_CARRY.v", include_str!("primitives/SB_CARRY.v")),
];

/// The models of the primitives that `files` instantiate, and of a library's adder cells.
pub fn models(files: &[VerilogFile]) -> Vec<VerilogFile> {
    let families = [XILINX.as_slice(), ECP5.as_slice(), ICE40.as_slice()];
    let used = |name: &str, text: &str| {
        let instance = format!("    {} ", name.trim_end_matches(".v"));
        let pin = format!(".{}(", output(text));
        let mut lines = files.iter().flat_map(|file| file.text.lines());
        lines.any(|line| line.starts_with(&instance) && line.contains(&pin))
    };
    let primitives = families
        .into_iter()
        .flatten()
        .filter(|(name, text)| used(name, text))
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let adders = files
        .iter()
        .flat_map(|file| AdderCell::in_text(&file.text))
        .map(|cell| cell.model());
    // Of two modules that use one cell, one model.
    let adders: BTreeMap<String, String> = adders.collect();
    primitives
        .chain(adders)
        .map(|(name, text)| VerilogFile {
            name,
            text: format!("// SPDX-License-Identifier: Apache-2.0 OR MIT\n{text}"),
        })
        .collect()
}

/// The first output of a model: families call different cells by one name, and tell them apart by their pins.
fn output(model: &str) -> &str {
    let after = model.split("output").nth(1).unwrap_or_default();
    let words = after.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .into_iter()
        .find(|word| *word != "wire" && word.starts_with(|c: char| c.is_ascii_alphabetic()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_apart_by_their_pins() {
        let file = |line: &str| VerilogFile {
            name: "unit.v".into(),
            text: format!("module unit;\n    {line}\nendmodule\n"),
        };
        for (line, texts) in [
            ("LUT4 #(.INIT(16'd1)) u (.A(a), .Z(z));", vec![ECP5[0].1]),
            ("LUT4 #(.INIT(16'd1)) u (.I0(a), .O(z));", vec![XILINX[3].1]),
            (
                "LUT6_2 #(.INIT(64'd1)) u (.I0(a), .O6(z), .O5(y));",
                vec![XILINX[6].1],
            ),
            ("CCU2C #(.INIT0(16'd1)) u (.S0(z));", vec![ECP5[1].1]),
            ("SB_CARRY u (.CO(z));", vec![ICE40[1].1]),
            ("xnf_unit u (.O(z));", vec![]),
        ] {
            let found = models(&[file(line)]);
            assert_eq!(found.len(), texts.len(), "{line}");
            for (model, text) in found.iter().zip(texts) {
                assert!(model.text.ends_with(text), "{line}");
            }
        }
    }
}
