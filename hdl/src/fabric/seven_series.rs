//! Structures for Xilinx 7 series, UltraScale and UltraScale+: LUT6_2 and carry chains.
//!
//! [`count`] counts the pair bits of one group and one plane, [`unit()`] adds the counts up. Sites (places of a LUT6_2)
//! are what is saved: each makes at most one pair bit, from four of its five pins, and what else it does is up to the fifth
//! pin, the carry multiplexer and the spare output ([`chain`]). [`schedule`] says how many of which are needed, and when;
//! every sum is registered in its own site, because a spare output can only leave a site whose sum does not.

mod accumulator;
pub mod chain;
pub mod legality;
mod ripple;
pub mod schedule;
mod structure;

pub use accumulator::{accumulate, unit};
pub use legality::{Cost, LegalityError, Placement, place};
pub use ripple::{Matches, count_matches};
pub use structure::count;
