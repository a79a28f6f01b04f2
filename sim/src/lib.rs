//! Simulation of the array: the reference encoder, packed kernels, the cycle-accurate model, the Verilator
//! bridge and lockstep co-simulation.
//!
//! | module | what |
//! |---|---|
//! | [`accelerator`] | cycle-accurate models of the accelerator's blocks |
//! | [`encoder`] | the oracle: encodings, branches, dot products and GEMMs in plain loops; the paper's quantizer |
//! | [`gemm`] | integer products with their limits, with and without data |
//! | [`multiply`] | products of bit-packed operands, by the widest instructions of the machine |
//! | [`packed`] | bit-planes in words and the form in which operands are stored |
//! | [`lower`] | a product as passes, tiles, beats and column constants of a design |
//! | [`simulator`] | one trait for everything that behaves like the array's top module |
//! | [`model`] | the cycle-accurate model |
//! | [`driver`] | drives any simulator through a lowered product, with stalls |
//! | [`mod@run`] | whole products at the host's speed: the model's results and cycle counts |
//! | [`accelerator`] | cycle-accurate models of the blocks around the array |
//! | [`cycles`] | cycles and utilization of a shape as closed formulas |
//! | [`network`] | networks as data; the reference executor and a fast one |
//! | [`program`] | networks compiled for the accelerator; a plain interpreter; cycles by layer and cause |
//!
//! ```
//! use xnorforge_hdl::ArrayConfig;
//! use xnorforge_sim::{Encoding, Gemm, GemmShape, Lowered, Model, Precision, StallPlan, drive, encoder, run};
//!
//! let design = ArrayConfig::preset("tiny")?.validate()?;
//! let shape = GemmShape {
//!     rows: 4,
//!     columns: 5,
//!     elements: 12,
//!     activation: Precision::new(Encoding::Bipolar, 2),
//!     weight: Precision::new(Encoding::Ternary, 2),
//!     classes: 1,
//! };
//! let gemm = Gemm::random(&shape, 1)?;
//! let lowered = Lowered::new(&design, &gemm)?;
//! let driven = drive(&mut Model::new(&design), &lowered, &StallPlan::NONE)?;
//! let report = run(&design, &gemm)?;
//! assert_eq!(driven.results, encoder::gemm(&gemm));
//! assert_eq!(driven.results, report.results);
//! assert_eq!(driven.cycles(), report.cycles.cycles);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod accelerator;
pub mod cycles;
pub mod driver;
pub mod encoder;
pub mod forecast;
pub mod gemm;
mod kernel;
pub mod lockstep;
pub mod lower;
pub mod model;
pub mod multiply;
pub mod network;
pub mod packed;
mod pairs;
pub mod program;
pub mod random;
pub mod run;
pub mod simulator;
pub mod verilator;
pub mod wave;

pub use cycles::{Bound, CycleReport};
pub use driver::{DriveError, Driven, StallPlan, drive, drive_next};
pub use encoder::{EncodeError, Encoding};
pub use gemm::{BorderClasses, Gemm, GemmError, GemmShape, Operand, Precision};
pub use lockstep::Lockstep;
pub use lower::{LowerError, Lowered, Plan};
pub use model::Model;
pub use run::{RunReport, run};
pub use simulator::{
    Beat, ConstantWrite, Divergence, Inputs, Outputs, RowMode, Simulator, SimulatorError,
};
pub use verilator::{VerilatedArray, Verilator};
