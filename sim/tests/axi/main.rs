//! The host interface: the AXI4-Lite port alone, and the C driver in front of Verilated hardware. Verilator and g++ must
//! be installed.

#[path = "../common/mod.rs"]
mod common;
mod driver;
mod hold;
mod host;
mod lite;
mod port;
mod top;
