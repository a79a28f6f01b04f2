//! The blocks around the array, one file per block: memories, loaders, control and what makes results into codes
//! again (`docs/accelerator.md`).

mod compute_engine;
mod counters;
mod descriptor_check;
mod descriptor_registers;
mod granule_copies;
mod input_port;
mod loader;
mod loader_status;
mod patch_system;
mod pixel_walker;
mod plane_maximum;
mod pool_unit;
mod program_port;
mod row_order;
mod sequencer;
mod slice_memory;
mod slice_rotator;
mod weight_port;
mod word_memory;
mod word_planes;

pub use compute_engine::ComputeEngine;
pub use counters::Counters;
pub use descriptor_check::DescriptorCheck;
pub use descriptor_registers::DescriptorRegisters;
pub use granule_copies::GranuleCopies;
pub use input_port::InputPort;
pub use loader::Loader;
pub use loader_status::LoaderStatus;
pub use patch_system::PatchSystem;
pub use pixel_walker::PixelWalker;
pub use plane_maximum::PlaneMaximum;
pub use pool_unit::PoolUnit;
pub use program_port::ProgramPort;
pub use row_order::RowOrder;
pub use sequencer::Sequencer;
pub use slice_memory::SliceMemory;
pub use slice_rotator::SliceRotator;
pub use weight_port::WeightPort;
pub use word_memory::WordMemory;
pub use word_planes::WordPlanes;
