//! The Verilator bridge: Verilog in, a model that Rust can step out.
//!
//! [`Verilator::model`] runs `verilator --cc` on the Verilog, compiles the C++ together with a generated
//! `extern "C"` shim, and loads the result; all of it happens once per design, since the shared library stays in
//! a cache folder under a hash of everything that went into it. [`Library::start`] then gives independent
//! [`VerilatedModel`]s, and [`VerilatedArray`] drives one of them as the array's top module.
//!
//! Why a binding of our own: `docs/adr/0002-verilator-binding.md`.
//!
//! | file | what |
//! |---|---|
//! | `tools` | finds Verilator and the C++ compiler, runs them, and says what is missing |
//! | `source` | what is built: Verilog files, the top module and its ports |
//! | `shim` | the C++ text of the shim |
//! | `cache` | the cache folder: keys, locks, entries that are checked before use |
//! | `build` | from Verilog to a shared library |
//! | `model` | loads it and calls it; all `unsafe` code is there |
//! | `accelerator` | the accelerator's ports |
//! | `axi` | the ports of the accelerator with AMBA ports |
//! | `clocked` | the halves of a cycle and the ports of streams, for all of them |
//! | `trace` | waveforms of some cycles |
//! | `array` | the array's ports and the packing of beats |

mod accelerator;
mod array;
mod axi;
mod build;
mod cache;
mod clocked;
mod model;
mod shim;
mod source;
mod tools;
mod trace;

pub use accelerator::VerilatedAccelerator;
pub use array::{ArrayOptions, VerilatedArray, VerilatedArrayError, array_ports, array_source};
pub use axi::VerilatedAxi;
pub use build::{Assertions, Runs, Tracing, Verilator, Warnings};
pub use cache::default_cache_folder;
pub use model::{Library, VerilatedModel};
pub use source::ModelSource;
pub use tools::{INSTALL, ToolError, Toolchain};
pub use trace::TraceWindow;
pub use xnorforge_hdl::emit::{Port, PortDirection};
