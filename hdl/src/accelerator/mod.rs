//! The accelerator around the array: its sizes and its descriptors (`docs/accelerator.md`).

pub mod config;
pub mod descriptor;

pub use config::{AcceleratorConfig, AcceleratorDesign};
pub use descriptor::{DESCRIPTOR_WORDS, Descriptor, Field, FieldRange, Mode, Opcode, When};
