//! The register map as text, in every language that needs it.

use super::{ADDRESS_BITS, Access, IDENTIFICATION, REGISTERS, Register, RegisterField, VERSION};
use crate::accelerator::AcceleratorDesign;
use std::fmt::Write;

/// What stands first in every text, after the language's own comment sign.
const NOTICE: &str =
    "Register map of the XnorForge accelerator; written by xnorforge from its table, do not edit.";
const LICENSE: &str = "SPDX-License-Identifier: Apache-2.0 OR MIT";

/// Appends a line; writing to a `String` cannot fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => {{
        let _ = writeln!($text, $($format)*);
    }};
}

/// Every text of a design's register map with its file name.
pub fn files(design: &AcceleratorDesign) -> [(&'static str, String); 5] {
    [
        ("xnorforge_registers.h", c_header()),
        ("xnorforge_registers.rs", rust_module()),
        ("xnorforge_registers.vh", verilog_header()),
        ("xnorforge_registers.rdl", systemrdl(design)),
        ("registers.md", markdown()),
    ]
}

fn upper(name: &str) -> String {
    name.to_ascii_uppercase()
}

/// Whether the register is one number without parts.
fn is_number(register: &Register) -> bool {
    matches!(
        register.fields,
        [RegisterField {
            high: 31,
            low: 0,
            ..
        }]
    )
}

/// The fields that need names of their own.
fn parts(register: &Register) -> &'static [RegisterField] {
    if is_number(register) {
        &[]
    } else {
        register.fields
    }
}

/// C99: offsets, and masks and shifts of the fields, as macros (`driver/xnorforge_registers.h`).
pub fn c_header() -> String {
    let mut text = format!("/* {LICENSE} */\n/* {NOTICE} */\n\n");
    line!(text, "#ifndef XNORFORGE_REGISTERS_H");
    line!(text, "#define XNORFORGE_REGISTERS_H\n");
    line!(text, "/* What the registers `id` and `version` hold. */");
    line!(text, "#define XNF_ID_EXPECTED 0x{IDENTIFICATION:08x}u");
    line!(text, "#define XNF_VERSION_EXPECTED 0x{VERSION:08x}u");
    line!(text, "/* Bytes of the address space. */");
    line!(
        text,
        "#define XNF_ADDRESS_BYTES 0x{:x}u",
        1u32 << ADDRESS_BITS
    );
    for register in REGISTERS {
        let name = upper(register.name);
        line!(
            text,
            "\n/* {} {} */",
            register.access.name(),
            register.meaning
        );
        line!(text, "#define XNF_{name} 0x{:02x}u", register.offset);
        for field in parts(register) {
            let field_name = upper(field.name);
            line!(text, "/* {} */", field.meaning);
            line!(
                text,
                "#define XNF_{name}_{field_name}_MASK 0x{:08x}u",
                field.mask()
            );
            line!(text, "#define XNF_{name}_{field_name}_SHIFT {}u", field.low);
        }
    }
    line!(text, "\n#endif");
    text
}

/// Rust: a module of constants, for drivers in Rust; needs nothing but `core`.
pub fn rust_module() -> String {
    let mut text = format!("// {LICENSE}\n//! {NOTICE}\n\n");
    line!(text, "/// What register `id` holds.");
    line!(text, "pub const ID_EXPECTED: u32 = 0x{IDENTIFICATION:08x};");
    line!(text, "/// What register `version` holds.");
    line!(text, "pub const VERSION_EXPECTED: u32 = 0x{VERSION:08x};");
    line!(text, "/// Bytes of the address space.");
    line!(
        text,
        "pub const ADDRESS_BYTES: u32 = 0x{:x};",
        1u32 << ADDRESS_BITS
    );
    for register in REGISTERS {
        let name = upper(register.name);
        line!(
            text,
            "\n/// {} {}",
            register.access.name(),
            register.meaning
        );
        line!(text, "pub const {name}: u32 = 0x{:02x};", register.offset);
        for field in parts(register) {
            let field_name = upper(field.name);
            line!(text, "/// {}", field.meaning);
            line!(
                text,
                "pub const {name}_{field_name}_MASK: u32 = 0x{:08x};",
                field.mask()
            );
            line!(text, "/// Lowest bit of the field.");
            line!(
                text,
                "pub const {name}_{field_name}_SHIFT: u32 = {};",
                field.low
            );
        }
    }
    text
}

/// Verilog-2001: local parameters, to be included inside of a module.
pub fn verilog_header() -> String {
    let mut text = format!("// {LICENSE}\n// {NOTICE}\n// Include it inside of a module.\n\n");
    line!(
        text,
        "localparam [31:0] XNF_ID_EXPECTED = 32'h{IDENTIFICATION:08x};"
    );
    line!(
        text,
        "localparam [31:0] XNF_VERSION_EXPECTED = 32'h{VERSION:08x};"
    );
    for register in REGISTERS {
        let name = upper(register.name);
        line!(text, "\n// {} {}", register.access.name(), register.meaning);
        line!(
            text,
            "localparam [{}:0] XNF_{name} = {ADDRESS_BITS}'h{:03x};",
            ADDRESS_BITS - 1,
            register.offset
        );
        for field in parts(register) {
            let field_name = upper(field.name);
            line!(
                text,
                "localparam [31:0] XNF_{name}_{field_name}_MASK = 32'h{:08x}; // {}",
                field.mask(),
                field.meaning
            );
            line!(
                text,
                "localparam integer XNF_{name}_{field_name}_SHIFT = {};",
                field.low
            );
        }
    }
    text
}

/// Markdown: the page `docs/registers.md`.
pub fn markdown() -> String {
    let mut text = format!("# Registers\n\n<!-- {NOTICE} -->\n\n");
    text.push_str(INTRODUCTION);
    line!(text, "\n| offset | name | access | reset | meaning |");
    line!(text, "|---|---|---|---|---|");
    for register in REGISTERS {
        let reset = match register.constant {
            Some(_) => "of the design".to_owned(),
            None => format!("{:#x}", register.reset()),
        };
        line!(
            text,
            "| `0x{:02x}` | `{}` | {} | {reset} | {} |",
            register.offset,
            register.name,
            register.access.name(),
            register.meaning
        );
    }
    for register in REGISTERS.iter().filter(|r| !parts(r).is_empty()) {
        line!(text, "\n## `0x{:02x}` {}\n", register.offset, register.name);
        line!(text, "| bits | field | reset | meaning |");
        line!(text, "|---|---|---|---|");
        for field in register.fields {
            line!(
                text,
                "| {} | `{}` | {} | {} |",
                bits(field),
                field.name,
                if register.constant.is_some() {
                    "constant".to_owned()
                } else {
                    field.reset.to_string()
                },
                field.meaning
            );
        }
    }
    text
}

fn bits(field: &RegisterField) -> String {
    if field.high == field.low {
        field.low.to_string()
    } else {
        format!("{}:{}", field.high, field.low)
    }
}

/// What a reader needs before the table.
const INTRODUCTION: &str = "\
The accelerator's AXI4-Lite port takes 4 KiB of the address space; a register has 32 bits, at a multiple of 4. The two lowest
bits of an address are not looked at. Bits that belong to no field read 0, and what is written to them is ignored.

RO can be read; RW holds what was written last; W1P does something once where a 1 is written, and reads 0; RW1C is set by the
hardware and cleared by writing 1, and stays set where both happen in one cycle.

An access that is wrong is answered with SLVERR: a read where no register is (it reads 0), a write where no register is that
can be written, a write of less than 32 bits, a write that is refused while the accelerator is busy. Such a write changes
nothing but `bus_error`, which says why.
";

/// SystemRDL 2.0 of a design: its constants are the reset values.
pub fn systemrdl(design: &AcceleratorDesign) -> String {
    let mut text = format!("// {LICENSE}\n// {NOTICE}\n\n");
    line!(text, "addrmap xnf_accelerator {{");
    line!(text, "    name = \"XnorForge accelerator\";");
    line!(
        text,
        "    desc = \"Register map of {}.\";",
        design.top_name()
    );
    line!(text, "    default regwidth = 32;");
    line!(text, "    default accesswidth = 32;");
    for register in REGISTERS {
        let constant = register.constant.map(|value| value(design));
        line!(text, "\n    reg {{");
        line!(text, "        desc = \"{}\";", quoted(register.meaning));
        for field in register.fields {
            let reset = match constant {
                Some(value) => (value & field.mask()) >> field.low,
                None => field.reset,
            };
            line!(text, "        field {{");
            line!(text, "            desc = \"{}\";", quoted(field.meaning));
            line!(text, "            {}", properties(register));
            line!(
                text,
                "        }} {}[{}:{}] = {}'h{reset:x};",
                field.name,
                field.high,
                field.low,
                field.width()
            );
        }
        line!(
            text,
            "    }} {} @ 0x{:02x};",
            register.name,
            register.offset
        );
    }
    line!(text, "}};");
    text
}

/// A field's access in SystemRDL: what software (`sw`) and hardware (`hw`) may do.
fn properties(register: &Register) -> &'static str {
    match (register.access, register.constant) {
        (Access::Read, Some(_)) => "sw = r; hw = na;",
        (Access::Read, None) => "sw = r; hw = w;",
        (Access::ReadWrite, _) => "sw = rw; hw = r;",
        (Access::Pulse, _) => "sw = rw; hw = r; singlepulse;",
        (Access::Clear, _) => "sw = rw; hw = r; onwrite = woclr; hwset; precedence = hw;",
    }
}

fn quoted(text: &str) -> String {
    text.replace('"', "\\\"")
}
