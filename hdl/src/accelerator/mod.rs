//! The accelerator around the array: its sizes and its descriptors (`docs/accelerator.md`).

pub mod cause;
pub mod config;
pub mod descriptor;

pub use cause::Cause;
pub use config::{AcceleratorConfig, AcceleratorDesign};
pub use descriptor::{DESCRIPTOR_WORDS, Descriptor, Field, FieldRange, Mode, Opcode, When};
