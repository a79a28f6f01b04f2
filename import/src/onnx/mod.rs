//! ONNX and QONNX files as graphs of typed operations.
//!
//! ```text
//! file -- scan (bounds what decoding takes) -- proto (prost) -- order (sorted, live nodes)
//!      -- per node: fold (constants) or a typed, checked operation with its dimensions -- Graph
//! ```
//!
//! Follows the ONNX standard (operator set 1 to 24: attributes that became inputs are accepted in either form) and the
//! operators of QONNX (Pappalardo et al., "QONNX: Representing Arbitrary-Precision Quantized Neural Networks", 2022). A
//! file is never trusted: whatever it holds, the import ends with a graph or one error, in memory and time that
//! [`Limits`] bounds.
//!
//! Choices beyond the standard: a batch that the file leaves open is 1; one-dimensional convolutions and pools become
//! two-dimensional ones of one line between two reshapes; a mean over height and width is a `GlobalAveragePool`; a
//! `Quant` of one signed bit is a `BipolarQuant`, as QONNX defines it; nodes that no output needs are dropped.

mod attributes;
mod call;
mod convert;
mod dense;
mod element;
mod elementwise;
mod error;
mod external;
mod fold;
mod layout;
mod numbers;
mod order;
pub mod proto;
mod quantizers;
mod scan;
mod shapes;
mod tensor;
mod window;

pub use error::{Name, OnnxError};

use crate::graph::{Graph, NODES_MAX};
use bytes::Bytes;
use prost::Message;
use proto::ModelProto;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What a file may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file. 2 GiB, which protobuf itself allows at most.
    pub file_bytes: u64,
    /// Fields of all messages, attributes and names of tensors for example. 2^20, sixteen for each of
    /// [`NODES_MAX`] nodes; one takes up to some hundred bytes when it is decoded.
    pub fields: u64,
    /// Numbers of all constants that the file and external data hold. 2^28, 1 GiB in 32 bits: twice VGG-16.
    pub stored_numbers: u64,
    /// Numbers of all constants that are computed from others. 2^27, enough to transpose every weight of VGG-16 once.
    pub folded_numbers: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            file_bytes: 1 << 31,
            fields: 1 << 20,
            stored_numbers: 1 << 28,
            folded_numbers: 1 << 27,
        }
    }
}

/// Reads a graph from a file. External data are read from the file's folder.
///
/// # Errors
///
/// If the file cannot be read, is larger than the limits, is no ONNX model, or holds something that is wrong or not
/// supported.
pub fn read(path: &Path, limits: &Limits) -> Result<Graph, OnnxError> {
    let unreadable = |source| OnnxError::File {
        path: path.to_owned(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        // Opening a pipe waits for its other end, and reading one or a device may never end.
        let kind = std::io::ErrorKind::InvalidInput;
        return Err(unreadable(std::io::Error::new(
            kind,
            "it is no regular file",
        )));
    }
    check_size(metadata.len(), limits)?;
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // A file that grows meanwhile is cut, and then no model.
    file.take(metadata.len())
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    parse(bytes, Some(folder), limits)
}

/// Reads a graph from the bytes of a file. Without a `folder`, external data are refused.
///
/// # Errors
///
/// As [`read`].
pub fn parse(
    bytes: impl Into<Bytes>,
    folder: Option<&Path>,
    limits: &Limits,
) -> Result<Graph, OnnxError> {
    let bytes = bytes.into();
    check_size(bytes.len() as u64, limits)?;
    scan::scan(&bytes, limits.fields, limits.stored_numbers)?;
    let model = ModelProto::decode(bytes).map_err(OnnxError::Decode)?;
    let nodes = model.graph.as_ref().map_or(0, |graph| graph.node.len());
    if nodes > NODES_MAX {
        return Err(OnnxError::Limit {
            what: "nodes of the graph",
            value: nodes as u64,
            max: NODES_MAX as u64,
            fix: "split the model, or simplify it (onnxsim) first",
        });
    }
    convert::graph(&model, folder, limits)
}

fn check_size(bytes: u64, limits: &Limits) -> Result<(), OnnxError> {
    if bytes <= limits.file_bytes {
        return Ok(());
    }
    Err(OnnxError::Limit {
        what: "bytes of the file",
        value: bytes,
        max: limits.file_bytes,
        fix: "store the weights as external data, or split the model",
    })
}
