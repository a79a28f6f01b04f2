//! Cycle-accurate models of the blocks around the array (`docs/accelerator.md`).

pub mod backend;

pub use backend::{
    BackBeat, BackEndInputs, BackEndModel, BackEndOutputs, BackLoad, BackMemory, BackStall,
};
