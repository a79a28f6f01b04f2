//! Cycle-accurate models of the blocks around the array (`docs/accelerator.md`).

pub mod backend;

pub use backend::{
    BackBeat, BackDescriptor, BackEndInputs, BackEndModel, BackEndOutputs, BackLoad, BackMemory,
    BackStall, BackTile, BackTiming,
};
