//! The blocks around the array, one file per block: memories, loaders, control and what makes results into codes
//! again (`docs/accelerator.md`).

mod axi_lite;
mod compute_engine;
mod counters;
mod descriptor_check;
mod descriptor_registers;
mod input_port;
mod program_port;
mod register_rom;
mod result_hold;
mod sequencer;
mod weight_port;
mod word_memory;

pub use axi_lite::AxiLite;
pub use compute_engine::ComputeEngine;
pub use counters::Counters;
pub use descriptor_check::DescriptorCheck;
pub use descriptor_registers::DescriptorRegisters;
pub use input_port::InputPort;
pub use program_port::ProgramPort;
pub use register_rom::RegisterRom;
pub use result_hold::ResultHold;
pub use sequencer::Sequencer;
pub use weight_port::WeightPort;
pub use word_memory::WordMemory;
