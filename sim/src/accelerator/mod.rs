//! Cycle-accurate models of the accelerator's blocks (`docs/accelerator.md`), one file per block, and of the whole core.
//!
//! A model holds a block's registers. `outputs` gives what stands in a cycle, `edge` is one clock edge.

mod axi;
mod axi_top;
pub mod backend;
mod compute;
pub mod compute_timing;
mod core;
mod counters;
mod driver;
mod host;
pub mod load_timing;
mod lockstep;
mod model;
pub mod patches;
mod ports;
mod sequencer;

pub use axi::{
    AxiLiteInputs, AxiLiteModel, AxiLiteOutputs, RESPONSE_ERROR, RESPONSE_OKAY, ResultHoldModel,
    ResultTransfer,
};
pub use axi_top::{AxiInputs, AxiLockstep, AxiModel, AxiOutputs, AxiTop};
pub use backend::{
    BackBeat, BackDescriptor, BackEndInputs, BackEndModel, BackEndOutputs, BackLoad, BackMemory,
    BackStall, BackTile, BackTiming,
};
pub use compute::{ComputeEngineModel, ComputeInputs, ComputeOutputs, OperandControl};
pub use core::{Core, CoreInputs, CoreLockstep, CoreOutputs, Start, Transfer};
pub use counters::{CountersInputs, CountersModel};
pub use driver::{CoreDriver, CoreError, CoreRun, StreamStalls, reset};
pub use host::{program_image, stream_bytes};
pub use model::AcceleratorModel;
pub use patches::{PatchFields, PatchInputs, PatchOutputs, PatchSystemModel};
pub use ports::{
    InputPortInputs, InputPortModel, InputPortOutputs, LoadTarget, LoadWrite, ProgramPortInputs,
    ProgramPortModel, ProgramPortOutputs, StreamBeat, WeightPortInputs, WeightPortModel,
    WeightPortOutputs, WordWrite,
};
pub use sequencer::{EngineErrors, Go, SequencerInputs, SequencerModel, SequencerOutputs};
