//! The array behind broadcast registers (ADR 0014): every input of the grid passes through B plain registers, and the rows
//! that leave its drain so many cycles later go to a buffer with credits.

mod array;
mod beats;
mod buffer;
mod controls;
mod credits;
mod drain;
mod edge;
mod epilogue;
mod grid;
mod lines;
mod row;
mod tiles;

pub use array::BroadcastArray;
pub use beats::BeatLine;
pub use buffer::{BUFFER_WORDS, BufferControl, ResultBuffer};
pub use controls::{ElementControls, GridControls, RowControls};
pub use credits::Credits;
pub use drain::CreditDrain;
pub use edge::BroadcastEdge;
pub use epilogue::{FlowColumn, FlowEpilogue};
pub use grid::BroadcastGrid;
pub use lines::{DelayLine, Spread};
pub use row::{BroadcastElement, BroadcastRow};
pub use tiles::TileQueue;
