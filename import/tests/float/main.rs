//! Post-training quantization, float networks from arrays, and the executor on the real cases.

#[path = "../common/mod.rs"]
mod common;

mod cases;
mod describe;
mod lowered;
mod networks;
mod options;
mod quantize;
