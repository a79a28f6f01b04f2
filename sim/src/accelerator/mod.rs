//! Cycle-accurate models of the accelerator's blocks (`docs/accelerator.md`), one file per block.
//!
//! A model holds a block's registers. `outputs` gives what stands in a cycle, `edge` is one clock edge.

mod axi;

pub use axi::{AxiLiteInputs, AxiLiteModel, AxiLiteOutputs, RESPONSE_ERROR, RESPONSE_OKAY};
