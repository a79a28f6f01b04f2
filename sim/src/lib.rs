//! Simulation of the array: the reference encoder, packed kernels, the cycle-accurate model, the Verilator
//! bridge and lockstep co-simulation.

pub mod simulator;

pub use simulator::{
    Beat, ConstantWrite, Divergence, Inputs, Outputs, RowMode, Simulator, SimulatorError,
};
