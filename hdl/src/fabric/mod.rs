//! Popcounts and accumulators as netlists of a device's own primitives.
//!
//! The structures of [`PopcountTree`](crate::hardware::PopcountTree) are expressions that a synthesizer maps. Those here
//! say which LUT, carry position and register each bit takes, because synthesizers do not find the small ones
//! (`docs/area.md`). A structure is a function that adds cells to a [`Netlist`]: it counts a [`Heap`] of bits that a
//! [`Source`] makes from operand pins, and says in [`Counted`] where the count is and when each operand must arrive.

mod adder_cells;
mod heap;
pub mod lattice;
mod netlist;
pub mod pair_rows;
pub mod primitives;
mod schedule;
pub mod seven_series;
mod simulate;
mod unit;
mod verilog;

pub use adder_cells::{AdderCell, AdderCellError, AdderCells};
pub use heap::{Counted, Heap, Source};
pub use netlist::{Bit, Cell, Item, Netlist, NetlistError, PAIR_TABLE, Port};
pub use simulate::Simulation;
pub use unit::{Accumulator, Controls, Unit};
pub use verilog::Dialect;
