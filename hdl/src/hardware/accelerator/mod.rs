//! The blocks around the array, one file per block: memories, loaders, control and what makes results into codes
//! again (`docs/accelerator.md`).

mod slice_memory;

pub use slice_memory::SliceMemory;
