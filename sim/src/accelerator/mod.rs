//! Cycle-accurate models of the accelerator's blocks (`docs/accelerator.md`).
//!
//! Every model has `outputs`, which depends on its registers alone, and `edge`, one clock edge.

pub mod load_timing;
pub mod patches;

pub use patches::{PatchFields, PatchInputs, PatchOutputs, PatchSystemModel};
