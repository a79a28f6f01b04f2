//! `xnorforge soak`: random configurations and work, the model and the Verilated RTL in lockstep, results against the
//! reference encoder and executor.
//!
//! A case follows from a seed, its number, and [`Limits`] on what it draws; that is all a failure needs to be repeated.
//! Limits also make a failing case smaller ([`shrink`]): they lower one size after the other as long as it still fails.
//!
//! | file | what |
//! |---|---|
//! | `limits` | what can be limited, and its text on the command line |
//! | `case` | draws designs, products, networks, stalls, resets |
//! | `run` | builds a case and steps it beside the model |
//! | `axi` | a host of the accelerator behind AXI |
//! | `stop` | ends a drive in the middle of its work |
//! | `session` | many cases on several threads |
//! | `shrink` | makes a failing case smaller |

mod axi;
pub mod case;
pub mod limits;
mod run;
pub mod session;
mod shrink;
mod stop;

pub use case::Case;
pub use limits::{Knob, Limits};
pub use run::{Alteration, Fault, Rtl, Verdict, run_case};
pub use session::{Count, Failed, Options, Outcome, Tally, record, repeat, soak};
pub use shrink::shrink;
