//! Simulation of the array: the reference encoder, packed kernels, the cycle-accurate model, the Verilator
//! bridge and lockstep co-simulation.

pub mod lockstep;
pub mod simulator;
pub mod verilator;
pub mod wave;

pub use lockstep::Lockstep;
pub use simulator::{
    Beat, ConstantWrite, Divergence, Inputs, Outputs, RowMode, Simulator, SimulatorError,
};
pub use verilator::{VerilatedArray, Verilator};
