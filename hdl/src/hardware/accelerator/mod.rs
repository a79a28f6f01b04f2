//! The blocks around the array, one file per block: memories, loaders, control and what makes results into codes
//! again (`docs/accelerator.md`).

mod compute_engine;
mod counters;
mod descriptor_check;
mod descriptor_registers;
mod input_port;
mod program_port;
mod sequencer;
mod weight_port;
mod word_memory;

pub use compute_engine::ComputeEngine;
pub use counters::Counters;
pub use descriptor_check::DescriptorCheck;
pub use descriptor_registers::DescriptorRegisters;
pub use input_port::InputPort;
pub use program_port::ProgramPort;
pub use sequencer::Sequencer;
pub use weight_port::WeightPort;
pub use word_memory::WordMemory;
