//! Models from elsewhere as networks of integers.
//!
//! Data flows one way:
//!
//! ```text
//! .onnx  ----- onnx::read ------\
//! .toml + arrays - describe ----- Graph --(float::quantize, where it is not quantized yet)-- lower --> Model
//! topology, built-in network ---/
//! ```
//!
//! [`graph::Graph`] holds typed operations with checked attributes; a [`model::Model`] is the network that the
//! accelerator runs, how floats become its input, what its outputs stand for, and how exact every step was.

pub mod execute;
pub mod float;
pub mod graph;
pub mod lower;
pub mod model;
pub mod npy;
pub mod onnx;
mod sizes;
mod tensors;
pub mod topology;

pub use execute::{ExecuteError, Executor, Observe, execute};
pub use graph::{Array, Graph, Node, Op};
pub use lower::{LowerError, Options, lower};
pub use model::Model;
pub use topology::Topology;
