//! XNOR-popcount processing-element arrays in RustHDL, sized at run time, and the emitter that turns them into
//! Verilog.
//!
//! | module | what |
//! |---|---|
//! | [`accelerator`] | the accelerator's sizes, [`AcceleratorDesign`], and its descriptors |
//! | [`config`] | [`ArrayConfig`], its limits, and [`Design`]: every derived width |
//! | [`schedule`] | the order of branch pairs and the bounds that widths follow from |
//! | [`popcount`] | the plan of a popcount |
//! | [`references`] | small designs that between them have every block |
//! | [`regmap`] | the registers of the accelerator's AXI4-Lite port, and their texts in every language |
//! | [`rtl`] | RustHDL signals, constants and registers of run-time widths |
//! | [`hardware`] | the blocks of the array |
//! | [`emit`] | the Verilog emitter |
//! | [`stock`] | RustHDL's own generator, the emitter's oracle |
//! | [`structure`] | the structure of the units, and their netlists |
//! | [`timing`] | every latency as a closed formula |

pub mod accelerator;
pub mod config;
pub mod emit;
pub mod fabric;
pub mod hardware;
pub mod popcount;
pub mod references;
pub mod regmap;
pub mod rtl;
pub mod schedule;
pub mod stock;
pub mod structure;
pub mod timing;

pub use accelerator::{AcceleratorConfig, AcceleratorDesign};
pub use config::{ArrayConfig, BroadcastStages, ConfigError, Design, PRESETS, Target};
pub use emit::{EmitError, Package, generate, generate_accelerator, generate_axi};
pub use structure::Structure;
