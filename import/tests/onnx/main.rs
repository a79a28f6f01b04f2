//! ONNX files as graphs.

mod build;
mod cases;
mod errors;
mod files;
mod folding;
mod fuzz;
mod hostile;
mod memory;
mod operators;
