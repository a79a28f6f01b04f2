//! The parts of the `xnorforge` command that other programs and its own tests use.
//!
//! | module | what |
//! |---|---|
//! | [`tools`] | finds and runs outside tools (Yosys, Verilator, Icarus Verilog, ...) |
//! | [`area`] | measures Verilog with Yosys: LUTs, sites, carry chains, flip-flops |

pub mod area;
pub mod tools;
