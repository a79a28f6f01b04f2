//! `.safetensors` files: a header of names, types, shapes and places in JSON, then the data.

use safetensors::tensor::{Metadata, SafeTensors, TensorInfo};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Largest file in bytes.
pub const TENSORS_BYTES_MAX: u64 = 4 << 30;

/// A file that cannot be used.
#[derive(Debug)]
pub(crate) enum TensorFileError {
    /// It cannot be read.
    Read(io::Error),
    /// It is no such file, or damaged: what the parser says.
    Invalid(String),
}

/// A file in memory.
#[derive(Debug)]
pub(crate) struct TensorFile {
    bytes: Vec<u8>,
    /// Where the data begin.
    start: usize,
    metadata: Metadata,
}

impl TensorFile {
    /// Whether a path is that of such a file, by its ending.
    pub fn is_meant_by(path: &Path) -> bool {
        path.extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"))
    }

    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self, TensorFileError> {
        Self::new(read_bounded(path).map_err(TensorFileError::Read)?)
    }

    /// The bytes of a file.
    pub fn new(bytes: Vec<u8>) -> Result<Self, TensorFileError> {
        let (header, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|e| TensorFileError::Invalid(e.to_string()))?;
        Ok(TensorFile {
            bytes,
            // The header's length stands before it, in eight bytes.
            start: header + 8,
            metadata,
        })
    }

    /// Names of the tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.metadata.tensors().into_keys().collect();
        names.sort();
        names
    }

    /// Type, shape and place of a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }

    /// How many numbers a tensor has; none if that is past `most`, or a dimension is.
    pub fn count(info: &TensorInfo, most: usize) -> Option<usize> {
        let mut sizes = info.shape.iter();
        let count = sizes.try_fold(1usize, |product, size| product.checked_mul(*size))?;
        let is_small = count <= most && info.shape.iter().all(|size| *size <= most);
        is_small.then_some(count)
    }

    /// The bytes of a tensor.
    pub fn data(&self, info: &TensorInfo) -> &[u8] {
        let (from, to) = info.data_offsets;
        let data = self.bytes.get(self.start..).and_then(|d| d.get(from..to));
        // The parser has checked that the offsets are inside the file and fit shape and type.
        data.unwrap_or_default()
    }
}

/// Reads a file of at most [`TENSORS_BYTES_MAX`] bytes.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        // Opening a pipe waits for its other end.
        let text = "it is no regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let (file, length) = (File::open(path)?, metadata.len());
    if length > TENSORS_BYTES_MAX {
        let text = format!("it has {length} bytes, the limit is {TENSORS_BYTES_MAX}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(TENSORS_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Little-endian numbers of `N` bytes.
pub(crate) fn decode<const N: usize, T>(data: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = data.as_chunks::<N>();
    chunks.iter().map(|chunk| number(*chunk)).collect()
}
