//! The register map of the accelerator's AXI4-Lite port, described once: [`REGISTERS`].
//!
//! The RTL ([`AxiLite`](crate::hardware::accelerator::AxiLite)), its model, the C driver's header, a Rust module, a Verilog header,
//! the page `docs/registers.md` and a SystemRDL 2.0 description are all made from this table; [`files`] gives
//! all texts.
//!
//! ```
//! use xnorforge_hdl::regmap::{self, Access};
//! let status = regmap::register("status");
//! assert_eq!((status.offset, status.access), (0x80, Access::Read));
//! assert_eq!(status.field("error").low, 8);
//! ```

mod render;

pub use render::{c_header, files, markdown, rust_module, systemrdl, verilog_header};

use crate::accelerator::AcceleratorDesign;
use crate::accelerator::config::COUNTERS;

/// What register `id` holds: "XNF1" in ASCII, the first letter in the highest byte.
pub const IDENTIFICATION: u32 = 0x584e_4631;
/// What register `version` holds: the major number of this map in bits 31:16, the minor one in 15:0. A new minor number
/// adds registers or fields; a new major one changes those that were there.
pub const VERSION: u32 = 0x0001_0000;
/// Bits of a byte address: the port takes 4 KiB of the address space, the least that AXI lets a slave have.
pub const ADDRESS_BITS: u32 = 12;
/// Bits of a register.
pub const REGISTER_BITS: u32 = 32;

/// What software can do with a register; it holds for all of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// It can be read. A write is an error.
    Read,
    /// It holds what was written last.
    ReadWrite,
    /// Writing 1 to a bit does something once; the register reads 0.
    Pulse,
    /// The hardware sets a bit; writing 1 to it clears it. Where both come in one cycle, it stays set.
    Clear,
}

impl Access {
    /// The usual abbreviation.
    pub fn name(self) -> &'static str {
        match self {
            Access::Read => "RO",
            Access::ReadWrite => "RW",
            Access::Pulse => "W1P",
            Access::Clear => "RW1C",
        }
    }
}

/// A field of a register. Bits that belong to no field read 0, and what is written to them is ignored.
#[derive(Clone, Copy, Debug)]
pub struct RegisterField {
    /// Its name in texts and in the RTL.
    pub name: &'static str,
    /// Its highest bit.
    pub high: u32,
    /// Its lowest bit.
    pub low: u32,
    /// What it holds after reset.
    pub reset: u32,
    /// One sentence.
    pub meaning: &'static str,
}

impl RegisterField {
    /// Bits of the field.
    pub fn width(&self) -> u32 {
        self.high - self.low + 1
    }

    /// Its bits in the register.
    pub fn mask(&self) -> u32 {
        (u32::MAX >> (REGISTER_BITS - self.width())) << self.low
    }
}

/// A register of 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// Its name in texts and in the RTL.
    pub name: &'static str,
    /// Its byte address, a multiple of 4.
    pub offset: u32,
    /// What software can do with it.
    pub access: Access,
    /// One sentence.
    pub meaning: &'static str,
    /// Its fields, from bit 0 up.
    pub fields: &'static [RegisterField],
    /// Where a register is a constant of the design: its value.
    pub constant: Option<fn(&AcceleratorDesign) -> u32>,
}

impl Register {
    /// The word address: `offset / 4`.
    pub fn word(&self) -> u32 {
        self.offset / 4
    }

    /// A field by its name.
    ///
    /// # Panics
    /// If there is none: the names are those of this crate's own table.
    pub fn field(&self, name: &str) -> &'static RegisterField {
        self.fields
            .iter()
            .find(|f| f.name == name)
            .unwrap_or_else(|| panic!("register `{}` has no field `{name}`", self.name))
    }

    /// What it holds after reset, where that does not depend on the design.
    pub fn reset(&self) -> u32 {
        self.fields.iter().map(|f| f.reset << f.low).sum()
    }

    /// Whether software can write it.
    pub fn is_writable(&self) -> bool {
        self.access != Access::Read
    }
}

/// A register by its name.
///
/// # Panics
/// If there is none: the names are those of this crate's own table.
pub fn register(name: &str) -> &'static Register {
    REGISTERS
        .iter()
        .find(|r| r.name == name)
        .unwrap_or_else(|| panic!("there is no register `{name}`"))
}

/// A field: name, bits, value after reset, meaning.
const fn field(
    name: &'static str,
    (high, low): (u32, u32),
    reset: u32,
    meaning: &'static str,
) -> RegisterField {
    RegisterField {
        name,
        high,
        low,
        reset,
        meaning,
    }
}

/// The only field of a register that is one number.
const NUMBER: &[RegisterField] = &[field("value", (31, 0), 0, "The number.")];

/// A register that is a constant of the design.
const fn constant(
    offset: u32,
    name: &'static str,
    value: fn(&AcceleratorDesign) -> u32,
    meaning: &'static str,
) -> Register {
    Register {
        name,
        offset,
        access: Access::Read,
        meaning,
        fields: NUMBER,
        constant: Some(value),
    }
}

/// Eight hexadecimal digits of the configuration's hash, from digit `first` on.
fn hash_digits(design: &AcceleratorDesign, first: usize) -> u32 {
    let hash = design.design().config().accelerator_hash();
    u32::from_str_radix(&hash[first..first + 8], 16).expect("a SHA-256 is 64 hexadecimal digits")
}

/// Every register, in rising order of their offsets: what identifies the design and its sizes first, then
/// control. Constants, and the register that reads 0, stand below 0x80: the RTL tells them from the others by one bit.
pub static REGISTERS: &[Register] = &[
    constant(
        0x00,
        "id",
        |_| IDENTIFICATION,
        "Identifies the accelerator: \"XNF1\" in ASCII.",
    ),
    Register {
        fields: &[
            field(
                "minor",
                (15, 0),
                VERSION & 0xffff,
                "Rises when registers or fields are added.",
            ),
            field(
                "major",
                (31, 16),
                VERSION >> 16,
                "Rises when what was there changes.",
            ),
        ],
        ..constant(0x04, "version", |_| VERSION, "Version of this map.")
    },
    constant(
        0x08,
        "configuration_high",
        |d| hash_digits(d, 0),
        "The first 32 bits of the SHA-256 of the configuration.",
    ),
    constant(
        0x0c,
        "configuration_low",
        |d| hash_digits(d, 8),
        "The next 32 bits of it.",
    ),
    constant(
        0x10,
        "rows",
        |d| d.design().config().rows,
        "Rows of processing elements (R): output pixels of a tile.",
    ),
    constant(
        0x14,
        "columns",
        |d| d.design().config().columns,
        "Columns of processing elements (C): output channels of a tile.",
    ),
    constant(
        0x18,
        "lanes",
        |d| d.design().config().lanes,
        "Lanes (L): elements of a dot product that are taken in a cycle.",
    ),
    constant(
        0x1c,
        "activation_bits",
        |d| d.design().config().activation_bits,
        "Most branches of an activation (M).",
    ),
    constant(
        0x20,
        "weight_bits",
        |d| d.design().config().weight_bits,
        "Most branches of a weight (K).",
    ),
    constant(
        0x24,
        "activation_branches",
        |d| d.design().config().activation_branches,
        "Activation branches that are taken in a cycle (PM).",
    ),
    constant(
        0x28,
        "weight_branches",
        |d| d.design().config().weight_branches,
        "Weight branches that are taken in a cycle (PK).",
    ),
    constant(
        0x2c,
        "reduction_max",
        |d| d.design().config().reduction_max,
        "Most elements of a dot product.",
    ),
    constant(
        0x30,
        "result_width",
        |d| d.design().result_width,
        "Bits of a result before requantization.",
    ),
    constant(
        0x34,
        "slices",
        |d| d.slices,
        "Slices of a memory word (S): granules in a word.",
    ),
    constant(
        0x38,
        "drain_columns",
        |d| d.config().drain_columns,
        "Columns that leave the drain in a cycle (E): values in a transfer of the result stream.",
    ),
    constant(
        0x3c,
        "load_ports",
        |d| d.config().load_ports,
        "Copies of the activation memory (F).",
    ),
    constant(
        0x40,
        "activation_words",
        |d| d.config().activation_words,
        "Words of the activation memory, of lanes x activation_branches bits.",
    ),
    constant(
        0x44,
        "residual_words",
        |d| d.config().residual_words,
        "Words of the residual memory, of as many bits.",
    ),
    constant(
        0x48,
        "patch_words",
        |d| d.config().patch_words,
        "Words of a row's patch buffer, both halves, of as many bits.",
    ),
    constant(
        0x4c,
        "weight_words",
        |d| d.config().weight_words,
        "Words of a column's weight memory, of lanes x weight_branches bits.",
    ),
    constant(
        0x50,
        "constant_words",
        |d| d.config().constant_words,
        "Column constants of a drained column.",
    ),
    constant(
        0x54,
        "channel_words",
        |d| d.config().channel_words,
        "Channels whose thresholds or affine parameters a drained column holds.",
    ),
    constant(
        0x58,
        "table_words",
        |d| d.config().table_words,
        "Entries of the residual table.",
    ),
    constant(
        0x5c,
        "program_words",
        |d| d.config().program_words,
        "Words of the program memory, of 32 bits.",
    ),
    constant(
        0x60,
        "schedule_words",
        |d| d.config().schedule_words,
        "Entries of the schedule memory.",
    ),
    constant(
        0x64,
        "layers",
        |d| d.config().layers,
        "Sets of performance counters.",
    ),
    constant(
        0x68,
        "counters",
        |_| COUNTERS,
        "Performance counters of a set.",
    ),
    constant(
        0x6c,
        "threshold_bits",
        |d| d.config().threshold_bits,
        "Most bits of a code that thresholds can make (B).",
    ),
    constant(
        0x70,
        "stream_bits",
        |d| d.config().stream_bits,
        "Width of the weight and the input stream in bits.",
    ),
    Register {
        name: "control",
        offset: 0x7c,
        access: Access::Pulse,
        meaning: "Starts and stops.",
        fields: &[
            field(
                "start",
                (0, 0),
                0,
                "Runs the program from `start_address`, `runs` times. Refused while `status.busy` or `status.clearing`.",
            ),
            field(
                "soft_reset",
                (1, 1),
                0,
                "Ends what is running; memories and these registers keep their contents. Wins over the other bits.",
            ),
            field(
                "counter_clear",
                (2, 2),
                0,
                "Clears the performance counters. Refused while `status.busy` or `status.clearing`.",
            ),
        ],
        constant: None,
    },
    Register {
        name: "status",
        offset: 0x80,
        access: Access::Read,
        meaning: "What the accelerator is doing.",
        fields: &[
            field("busy", (0, 0), 0, "A program runs."),
            field("done", (1, 1), 0, "What was started last has ended well."),
            field(
                "clearing",
                (2, 2),
                0,
                "The performance counters are being cleared.",
            ),
            field(
                "error",
                (15, 8),
                0,
                "Code of the error that ended what was started last, or 0 (docs/accelerator.md).",
            ),
            field(
                "layer",
                (31, 24),
                0,
                "Field `layer` of the descriptor at hand, or of the last one.",
            ),
        ],
        constant: None,
    },
    Register {
        name: "start_address",
        offset: 0x84,
        access: Access::ReadWrite,
        meaning: "Where a program starts. Locked while `status.busy` or `status.clearing`.",
        fields: &[field(
            "address",
            (19, 0),
            0,
            "Word address in the program memory; only as many bits as that memory needs.",
        )],
        constant: None,
    },
    Register {
        name: "runs",
        offset: 0x88,
        access: Access::ReadWrite,
        meaning: "How often a program runs. Locked while `status.busy` or `status.clearing`.",
        fields: &[field("count", (15, 0), 1, "Runs; 0 is error `field`.")],
        constant: None,
    },
    Register {
        name: "interrupt_enable",
        offset: 0x8c,
        access: Access::ReadWrite,
        meaning: "Which bits of `interrupt_status` raise the interrupt.",
        fields: &[
            field("done", (0, 0), 0, "A program has ended well."),
            field("error", (1, 1), 0, "A program has ended with an error."),
        ],
        constant: None,
    },
    Register {
        name: "interrupt_status",
        offset: 0x90,
        access: Access::Clear,
        meaning: "What has happened, enabled or not.",
        fields: &[
            field("done", (0, 0), 0, "A program has ended well."),
            field("error", (1, 1), 0, "A program has ended with an error."),
        ],
        constant: None,
    },
    Register {
        name: "bus_error",
        offset: 0x94,
        access: Access::Clear,
        meaning: "Why accesses were answered with SLVERR; such a write changes nothing else.",
        fields: &[
            field("read_address", (0, 0), 0, "A read where no register is."),
            field(
                "write_address",
                (1, 1),
                0,
                "A write where no register is that can be written.",
            ),
            field("write_strobe", (2, 2), 0, "A write of less than 32 bits."),
            field(
                "write_locked",
                (3, 3),
                0,
                "A write that is refused while the accelerator is busy.",
            ),
        ],
        constant: None,
    },
    Register {
        name: "counter_select",
        offset: 0x98,
        access: Access::ReadWrite,
        meaning: "Which performance counter `counter_value` shows.",
        fields: &[
            field("cause", (2, 0), 0, "The counter (docs/accelerator.md)."),
            field(
                "layer",
                (10, 3),
                0,
                "The set; only as many bits as the sets need.",
            ),
        ],
        constant: None,
    },
    Register {
        name: "counter_value",
        offset: 0x9c,
        access: Access::Read,
        meaning: "The performance counter that `counter_select` names; of meaning while neither `status.busy` nor `status.clearing`.",
        fields: &[field("cycles", (31, 0), 0, "Cycles, modulo 2^32.")],
        constant: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::names::is_identifier;

    #[test]
    fn registers_and_fields_stand_apart() {
        for pair in REGISTERS.windows(2) {
            assert!(pair[0].offset < pair[1].offset, "{}", pair[1].name);
        }
        for register in REGISTERS {
            assert!(is_identifier(register.name), "{}", register.name);
            assert!(register.offset.is_multiple_of(4) && register.offset >> ADDRESS_BITS == 0);
            let mut taken = 0;
            for field in register.fields {
                assert!(field.high < REGISTER_BITS && field.low <= field.high);
                assert!(is_identifier(field.name), "{}", field.name);
                assert_eq!(taken & field.mask(), 0, "{}.{}", register.name, field.name);
                assert_eq!((field.reset << field.low) & !field.mask(), 0);
                taken |= field.mask();
            }
        }
    }

    #[test]
    fn constants_stand_below_all_others() {
        for register in REGISTERS {
            let reads_as_constant = register.constant.is_some() || register.access == Access::Pulse;
            assert_eq!(
                reads_as_constant,
                register.offset < 0x80,
                "{}",
                register.name
            );
        }
        let others = REGISTERS.iter().filter(|r| r.offset >= 0x80);
        assert!(others.count() <= 8, "the RTL chooses among eight");
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = REGISTERS.iter().map(|r| r.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|w| w[0] != w[1]));
    }
}
