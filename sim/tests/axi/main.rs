//! The host interface: the AXI4-Lite port alone, and the C driver in front of Verilated hardware. Verilator and g++ must
//! be installed.

mod driver;
mod hold;
mod host;
mod lite;
mod port;
