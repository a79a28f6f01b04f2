//! The blocks around the array, one file per block: memories, loaders, control and what makes results into codes
//! again (`docs/accelerator.md`).

mod back_end;
mod beat_pipeline;
mod channel_counter;
mod epilogue_lane;
mod level_memory;
mod multiply_add;
mod plane_packer;
mod result_port;
mod rounding_shift;
mod row_memory;
mod row_reader;
mod row_tag;
mod row_walker;
mod tile_drain;
mod word_memory;

pub use back_end::BackEnd;
pub use beat_pipeline::BeatPipeline;
pub use channel_counter::ChannelCounter;
pub use epilogue_lane::EpilogueLane;
pub use level_memory::LevelMemory;
pub use multiply_add::MultiplyAdd;
pub use plane_packer::{PlaneGroup, PlanePacker, PlaneShift};
pub use result_port::{ResultLane, ResultPort};
pub use rounding_shift::{RoundingShift, ShiftStep};
pub use row_memory::RowMemory;
pub use row_reader::{PlaneLatch, RowReader};
pub use row_tag::RowTag;
pub use row_walker::RowWalker;
pub use tile_drain::TileDrain;
pub use word_memory::WordMemory;
