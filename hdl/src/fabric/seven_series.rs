//! Structures for Xilinx 7 series, UltraScale and UltraScale+: LUT6_2 and carry chains.

pub mod chain;
