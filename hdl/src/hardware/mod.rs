//! The array in RustHDL: one file per block, from the pair bits up to the top module.
//!
//! Every block is a `LogicBlock`. Kernels are `#[hdl_gen]` functions; RustHDL simulates them, and the emitter
//! prints the same syntax trees. Some leaves are computed instead: [`PopcountTree`] (from a
//! [`PopcountPlan`](crate::popcount::PopcountPlan)), [`ElementUnit`] and [`RowPopcount`] (from a netlist of
//! [`crate::fabric`]), [`LaneSkew`] (from a list of delays) and [`ConstantMemory`] (a memory, which RustHDL's syntax
//! trees do not have).

pub mod accelerator;
mod array_edge;
mod branch_accumulator;
pub mod broadcast;
mod constant_memory;
mod control_stage;
mod drain_control;
mod element_unit;
mod epilogue;
mod lane_skew;
mod netlist_run;
mod pair_bits;
mod pe_array;
mod popcount_tree;
mod processing_element;
mod row_sum;
mod skid_buffer;
mod stream_array;
mod xnor_popcount;

pub use array_edge::ArrayEdge;
pub use branch_accumulator::BranchAccumulator;
pub use constant_memory::ConstantMemory;
pub use control_stage::ControlStage;
pub use drain_control::DrainControl;
pub use element_unit::{ElementUnit, RowPopcount};
pub use epilogue::{Epilogue, EpilogueColumn};
pub use lane_skew::{LaneSkew, Tap};
pub use pair_bits::PairBits;
pub use pe_array::{PeArray, PeRow};
pub use popcount_tree::PopcountTree;
pub use processing_element::ProcessingElement;
pub use row_sum::{RowPairs, RowSum};
pub use skid_buffer::SkidBuffer;
pub use stream_array::StreamArray;
pub use xnor_popcount::XnorPopcount;

use crate::rtl::Net;
use rust_hdl_core::direction::Direction;

/// `rows` x `columns` nets of `width` bits.
fn grid<D: Direction>(rows: u32, columns: u32, width: u32) -> Vec<Vec<Net<D>>> {
    (0..rows).map(|_| Net::vector(columns, width)).collect()
}
