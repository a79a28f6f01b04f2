//! The blocks around the array, one file per block: memories, loaders, control and what makes results into codes
//! again (`docs/accelerator.md`).

mod granule_copies;
mod loader;
mod loader_status;
mod patch_system;
mod pixel_walker;
mod plane_maximum;
mod pool_unit;
mod row_order;
mod slice_memory;
mod slice_rotator;
mod word_planes;

pub use granule_copies::GranuleCopies;
pub use loader::Loader;
pub use loader_status::LoaderStatus;
pub use patch_system::PatchSystem;
pub use pixel_walker::PixelWalker;
pub use plane_maximum::PlaneMaximum;
pub use pool_unit::PoolUnit;
pub use row_order::RowOrder;
pub use slice_memory::SliceMemory;
pub use slice_rotator::SliceRotator;
pub use word_planes::WordPlanes;
