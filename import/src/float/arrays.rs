//! Arrays of floats in `.npz`, `.npy` and `.safetensors` files, with every size checked before anything is allocated.

use crate::graph::{Array, NUMBERS_MAX};
use crate::npy::{ArrayError, ArrayFile, Floats};
use crate::tensors::{TensorFile, TensorFileError, decode};
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::{Dtype, TensorInfo};
use std::io;
use std::path::Path;

/// Most names that an error lists.
const NAMES_SHOWN: usize = 24;

/// Arrays that cannot be used; follows the file's name in a message.
#[derive(Debug, thiserror::Error)]
pub enum ArraysError {
    /// A `.npy` or `.npz` file, or an array in it.
    #[error(transparent)]
    Npy(#[from] ArrayError),
    /// The file cannot be read.
    #[error("`{file}` cannot be read: {reason}")]
    Read {
        /// The file as the user wrote it.
        file: String,
        /// Why.
        reason: io::Error,
    },
    /// No `.safetensors` file, or a damaged one.
    #[error(
        "`{file}` is no valid .safetensors file: {reason}; write it again with safetensors.torch.save_file"
    )]
    Safetensors {
        /// The file.
        file: String,
        /// What the parser says.
        reason: String,
    },
    /// There is no such array.
    #[error("`{file}`: array `{array}` does not exist; the file holds {names}")]
    Missing {
        /// The file.
        file: String,
        /// The array.
        array: String,
        /// What there is.
        names: String,
    },
    /// An array that is not of floats.
    #[error(
        "`{file}`: array `{array}` has dtype {found}, expected F16, BF16, F32 or F64; convert it with .float()"
    )]
    Dtype {
        /// The file.
        file: String,
        /// The array.
        array: String,
        /// Its type.
        found: String,
    },
    /// An array past the limit.
    #[error(
        "`{file}`: array `{array}` of shape {shape:?} is past the limit of {NUMBERS_MAX} numbers"
    )]
    TooLarge {
        /// The file.
        file: String,
        /// The array.
        array: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

impl ArraysError {
    fn of(file: &str, error: TensorFileError) -> Self {
        let file = file.to_owned();
        match error {
            TensorFileError::Read(reason) => ArraysError::Read { file, reason },
            TensorFileError::Invalid(reason) => ArraysError::Safetensors { file, reason },
        }
    }
}

/// A file of arrays.
#[derive(Debug)]
pub struct Arrays {
    file: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Npy(ArrayFile),
    Safetensors(TensorFile),
}

impl Arrays {
    /// Opens a file: `.safetensors` by its ending, anything else as `.npz` or `.npy`.
    ///
    /// # Errors
    /// [`ArraysError`] for a file that cannot be read, is damaged or too large.
    pub fn open(path: &Path) -> Result<Self, ArraysError> {
        let file = path.display().to_string();
        let source = if TensorFile::is_meant_by(path) {
            Source::Safetensors(TensorFile::open(path).map_err(|e| ArraysError::of(&file, e))?)
        } else {
            Source::Npy(ArrayFile::open(path)?)
        };
        Ok(Arrays { file, source })
    }

    /// The bytes of a `.safetensors` file.
    ///
    /// # Errors
    /// [`ArraysError::Safetensors`] for bytes that are none.
    pub fn from_safetensors(name: &str, bytes: Vec<u8>) -> Result<Self, ArraysError> {
        let tensors = TensorFile::new(bytes).map_err(|e| ArraysError::of(name, e))?;
        Ok(Arrays {
            file: name.to_owned(),
            source: Source::Safetensors(tensors),
        })
    }

    /// Names of the arrays, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.source {
            Source::Npy(file) => file.names().into_iter().map(str::to_owned).collect(),
            Source::Safetensors(tensors) => tensors.names(),
        };
        names.sort();
        names
    }

    /// Whether there is an array of this name.
    pub fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::Npy(file) => file.has(name),
            Source::Safetensors(tensors) => tensors.info(name).is_some(),
        }
    }

    /// Reads one array: 64-bit floats as they are, all others as 32-bit floats.
    ///
    /// # Errors
    /// [`ArraysError`] for a missing array, another type, a size past the limit, damaged data.
    pub fn read(&self, name: &str) -> Result<Array, ArraysError> {
        match &self.source {
            _ if !self.has(name) => Err(self.missing(name)),
            Source::Npy(file) => {
                let array = file.read_floats(name)?;
                Ok(match array.numbers {
                    Floats::F32(numbers) => Array::F32(shaped(&array.shape, numbers).into()),
                    Floats::F64(numbers) => Array::F64(shaped(&array.shape, numbers).into()),
                })
            }
            Source::Safetensors(tensors) => match tensors.info(name) {
                Some(info) => self.tensor(name, info, tensors.data(info)),
                None => Err(self.missing(name)),
            },
        }
    }

    fn tensor(&self, name: &str, info: &TensorInfo, data: &[u8]) -> Result<Array, ArraysError> {
        let shape = &info.shape;
        if TensorFile::count(info, NUMBERS_MAX).is_none() {
            return Err(ArraysError::TooLarge {
                file: self.file.clone(),
                array: name.to_owned(),
                shape: shape.clone(),
            });
        }
        Ok(match info.dtype {
            Dtype::F32 => Array::F32(shaped(shape, decode(data, f32::from_le_bytes)).into()),
            Dtype::F64 => Array::F64(shaped(shape, decode(data, f64::from_le_bytes)).into()),
            Dtype::F16 => {
                let wide = |bytes| f16::from_le_bytes(bytes).to_f32();
                Array::F32(shaped(shape, decode(data, wide)).into())
            }
            Dtype::BF16 => {
                let wide = |bytes| bf16::from_le_bytes(bytes).to_f32();
                Array::F32(shaped(shape, decode(data, wide)).into())
            }
            other => {
                return Err(ArraysError::Dtype {
                    file: self.file.clone(),
                    array: name.to_owned(),
                    found: format!("{other:?}"),
                });
            }
        })
    }

    fn missing(&self, name: &str) -> ArraysError {
        let names = self.names();
        let shown: Vec<String> = names
            .iter()
            .take(NAMES_SHOWN)
            .map(|n| format!("`{n}`"))
            .collect();
        let more = match names.len().saturating_sub(NAMES_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        ArraysError::Missing {
            file: self.file.clone(),
            array: name.to_owned(),
            names: if names.is_empty() {
                "none".to_owned()
            } else {
                shown.join(", ") + &more
            },
        }
    }
}

fn shaped<T: Clone>(shape: &[usize], numbers: Vec<T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(IxDyn(shape), numbers).expect("the readers check the number of elements")
}
