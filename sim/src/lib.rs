//! Simulation of the array: the reference encoder, packed kernels, the cycle-accurate model, the Verilator
//! bridge and lockstep co-simulation.

pub mod cycles;
pub mod driver;
pub mod encoder;
pub mod gemm;
mod kernel;
pub mod lockstep;
pub mod lower;
pub mod model;
pub mod packed;
mod pairs;
pub mod run;
pub mod simulator;
pub mod verilator;
pub mod wave;

pub use cycles::{Bound, CycleReport};
pub use driver::{DriveError, Driven, StallPlan, drive};
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
