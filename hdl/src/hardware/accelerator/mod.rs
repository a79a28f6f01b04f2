//! The blocks around the array, one file per block: memories, loaders, control and what makes results into codes
//! again (`docs/accelerator.md`).

mod axi_lite;
mod register_rom;
mod result_hold;

pub use axi_lite::AxiLite;
pub use register_rom::RegisterRom;
pub use result_hold::ResultHold;
