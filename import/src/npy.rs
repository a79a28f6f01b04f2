//! Arrays in and out: `.npy` and `.npz` files through [`npyz`], and `.safetensors`, with every limit checked before anything is
//! allocated, and errors that name the file, the array, what was found and what was expected.
//!
//! A header is read by a strict parser of our own first (a dictionary of exactly `descr`, `fortran_order` and
//! `shape`), so that nothing hostile reaches the general one: no deep nesting, no product that overflows.
//! Format: NumPy enhancement proposal 1, versions 1.0 to 3.0.

use crate::tensors::{self, TensorFile, TensorFileError};
use half::{bf16, f16};
use npyz::WriterBuilder;
use safetensors::tensor::{Dtype, TensorInfo};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Largest array of [`ArrayFile::read`] in memory, in bytes: every element takes [`ELEMENT_BYTES`] once decoded.
pub const ARRAY_BYTES_MAX: u64 = 256 << 20;
/// Most numbers of an array of [`ArrayFile::read_floats`]: those that a tensor of a graph may have.
pub const FLOATS_MAX: u64 = crate::graph::NUMBERS_MAX as u64;
/// Bytes of one decoded element (`i64` or `f64`).
pub const ELEMENT_BYTES: u64 = 8;
/// Longest header text in bytes. NumPy pads headers to multiples of 64; real ones are shorter than 200.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Most dimensions (NumPy's own limit since 2.0).
const DIMENSIONS_MAX: usize = 64;
/// Most arrays in one `.npz`.
const MEMBERS_MAX: usize = 65_536;

/// An array that cannot be used: which one, and why.
#[derive(Debug, thiserror::Error)]
#[error("{place}{problem}")]
pub struct ArrayError {
    /// File and array.
    pub place: Place,
    /// What is wrong with it. Boxed, to keep results small.
    pub problem: Box<Problem>,
}

impl ArrayError {
    fn new(place: &Place, problem: Problem) -> Self {
        ArrayError {
            place: place.clone(),
            problem: Box::new(problem),
        }
    }
}

/// What is wrong with an array or its file; follows the place in a message.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be opened or read.
    #[error(" cannot be read: {0}")]
    Read(io::Error),
    /// The file is neither `.npy` nor `.npz`.
    #[error(
        " is not an array file: it begins with {found}, a .npy begins with \"\\x93NUMPY\" and a .npz is a zip archive; write it with numpy.save or numpy.savez"
    )]
    NotAnArrayFile {
        /// Its first bytes.
        found: String,
    },
    /// A damaged `.safetensors`.
    #[error(" is no valid .safetensors file: {0}; write it again with safetensors.numpy.save_file")]
    Tensors(String),
    /// The archive or the header is damaged.
    #[error(" is damaged: {0}; write it again with numpy.save or numpy.savez")]
    Damaged(String),
    /// The header promises more data than there is, or less.
    #[error(
        " has the wrong length: shape {shape} of {dtype} takes {expected} bytes of data, found {found}; the file is truncated or damaged, write it again"
    )]
    Length {
        /// Shape in the header.
        shape: String,
        /// Element type in the header.
        dtype: String,
        /// Bytes that the header promises.
        expected: u64,
        /// Bytes that follow the header.
        found: String,
    },
    /// The array is past the limit.
    #[error(
        " is too large: shape {shape} has {elements} elements, the limit is {limit} ({} MiB in memory); split it",
        (limit * ELEMENT_BYTES) >> 20
    )]
    TooLarge {
        /// Shape in the header.
        shape: String,
        /// Number of elements, or "more than 2^64".
        elements: String,
        /// The limit in elements.
        limit: u64,
    },
    /// The element type cannot be used.
    #[error(" has dtype `{found}`, expected {expected}; convert it with .astype()")]
    Dtype {
        /// What was found.
        found: String,
        /// What is wanted.
        expected: &'static str,
    },
    /// The shape does not fit.
    #[error(" has shape {found}, expected {expected}")]
    Shape {
        /// What was found.
        found: String,
        /// What is wanted, with the reason.
        expected: String,
    },
    /// The file holds no such array.
    #[error(" does not exist; the file holds {available}")]
    Missing {
        /// What there is.
        available: String,
    },
    /// A value that is not allowed.
    #[error("[{index}] = {value}: {reason}")]
    Value {
        /// Where, as `3, 7`.
        index: String,
        /// The value.
        value: String,
        /// Why it is not allowed, and what is.
        reason: String,
    },
}

/// Which file, and which array in it; an empty array name means a `.npy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as the user wrote it.
    pub file: String,
    /// The array's name.
    pub array: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.array.is_empty() {
            write!(f, "`{}`", self.file)
        } else {
            write!(f, "`{}`: array `{}`", self.file, self.array)
        }
    }
}

/// Decoded elements in C order (last index fastest).
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Every integer type and bool.
    Int(Vec<i64>),
    /// `f2`, `f4` and `f8`.
    Float(Vec<f64>),
}

/// Floats in C order, in their own width; 16-bit ones are widened.
#[derive(Clone, Debug, PartialEq)]
pub enum Floats {
    /// `f2` and `f4`.
    F32(Vec<f32>),
    /// `f8`.
    F64(Vec<f64>),
}

/// An array of floats.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatArray {
    /// Dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many numbers as the shape says.
    pub numbers: Floats,
}

/// One array, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Where it came from.
    pub place: Place,
    /// Dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// NumPy's name of the stored element type, `<i2` for example.
    pub dtype: String,
    /// The elements.
    pub elements: Elements,
}

impl Array {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.elements {
            Elements::Int(values) => values.len(),
            Elements::Float(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as integers.
    ///
    /// # Errors
    /// [`Problem::Dtype`] for floating-point arrays.
    pub fn ints(&self) -> Result<&[i64], ArrayError> {
        match &self.elements {
            Elements::Int(values) => Ok(values),
            Elements::Float(_) => Err(ArrayError::new(
                &self.place,
                Problem::Dtype {
                    found: self.dtype.clone(),
                    expected: "an integer type (int8 for codes)",
                },
            )),
        }
    }

    /// The shape as `[2, 3]`.
    pub fn shape_text(&self) -> String {
        format!("{:?}", self.shape)
    }

    /// An error that this array has the wrong shape.
    pub fn shape_error(&self, expected: impl Into<String>) -> ArrayError {
        let problem = Problem::Shape {
            found: self.shape_text(),
            expected: expected.into(),
        };
        ArrayError::new(&self.place, problem)
    }

    /// Checks that the shape is exactly `shape`.
    ///
    /// # Errors
    /// [`Problem::Shape`], with `why` behind the expected shape.
    pub fn expect_shape(&self, shape: &[usize], why: &str) -> Result<(), ArrayError> {
        if self.shape == shape {
            return Ok(());
        }
        Err(self.shape_error(format!("{shape:?} ({why})")))
    }

    /// An error that the element at flat position `flat` is not allowed.
    pub fn value_error(&self, flat: usize, reason: impl Into<String>) -> ArrayError {
        let value = match &self.elements {
            Elements::Int(values) => values.get(flat).map(ToString::to_string),
            Elements::Float(values) => values.get(flat).map(ToString::to_string),
        };
        let problem = Problem::Value {
            index: index_text(flat, &self.shape),
            value: value.unwrap_or_default(),
            reason: reason.into(),
        };
        ArrayError::new(&self.place, problem)
    }
}

/// A flat position as indices: `3, 7`.
pub fn index_text(flat: usize, shape: &[usize]) -> String {
    let mut rest = flat;
    let mut indices: Vec<String> = shape
        .iter()
        .rev()
        .map(|&dimension| {
            let index = rest % dimension.max(1);
            rest /= dimension.max(1);
            index.to_string()
        })
        .collect();
    indices.reverse();
    indices.join(", ")
}

/// What a `.npy` header says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    /// The bytes of the header, magic included.
    bytes: Vec<u8>,
    dtype: String,
    element: Element,
    fortran: bool,
    shape: Vec<usize>,
    count: usize,
}

impl Header {
    /// Bytes of data that follow the header; at most eight times the element limit, so no overflow.
    fn data_bytes(&self) -> u64 {
        self.count as u64 * self.element.size()
    }
}

/// The element types that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
}

impl Element {
    fn from_descr(descr: &str) -> Option<Self> {
        let mut chars = descr.chars();
        matches!(chars.next()?, '<' | '>' | '|' | '=').then_some(())?;
        Some(match chars.as_str() {
            "b1" => Element::Bool,
            "i1" => Element::I8,
            "i2" => Element::I16,
            "i4" => Element::I32,
            "i8" => Element::I64,
            "u1" => Element::U8,
            "u2" => Element::U16,
            "u4" => Element::U32,
            "u8" => Element::U64,
            "f2" => Element::F16,
            "f4" => Element::F32,
            "f8" => Element::F64,
            _ => return None,
        })
    }

    fn size(self) -> u64 {
        match self {
            Element::Bool | Element::I8 | Element::U8 => 1,
            Element::I16 | Element::U16 | Element::F16 => 2,
            Element::I32 | Element::U32 | Element::F32 => 4,
            Element::I64 | Element::U64 | Element::F64 => 8,
        }
    }
}

/// A `.npy`, `.npz` or `.safetensors` file, or the bytes of one.
#[derive(Debug)]
pub struct ArrayFile {
    name: String,
    source: Source,
    /// Array names of a `.npz` in order; none for a `.npy`.
    members: Option<Vec<String>>,
}

#[derive(Debug)]
enum Source {
    Path(PathBuf),
    Bytes(&'static [u8]),
    Tensors(TensorFile),
}

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

impl ArrayFile {
    /// Opens a file and lists its arrays; reads none of them.
    ///
    /// # Errors
    /// [`ArrayError`] for a file that cannot be read or is no array file.
    pub fn open(path: &Path) -> Result<Self, ArrayError> {
        if TensorFile::is_meant_by(path) {
            return Self::open_tensors(path);
        }
        Self::with_source(path.display().to_string(), Source::Path(path.to_path_buf()))
    }

    fn open_tensors(path: &Path) -> Result<Self, ArrayError> {
        let name = path.display().to_string();
        let tensors = TensorFile::open(path).map_err(|error| {
            let place = Place {
                file: name.clone(),
                array: String::new(),
            };
            let problem = match error {
                TensorFileError::Read(error) => Problem::Read(error),
                TensorFileError::Invalid(reason) => Problem::Tensors(reason),
            };
            ArrayError::new(&place, problem)
        })?;
        Ok(ArrayFile {
            name,
            members: Some(tensors.names()),
            source: Source::Tensors(tensors),
        })
    }

    /// The bytes of a `.npy` or `.npz` that is part of the program.
    ///
    /// # Errors
    /// As [`ArrayFile::open`].
    pub fn from_bytes(name: &str, bytes: &'static [u8]) -> Result<Self, ArrayError> {
        Self::with_source(name.to_owned(), Source::Bytes(bytes))
    }

    fn with_source(name: String, source: Source) -> Result<Self, ArrayError> {
        let mut file = ArrayFile {
            name,
            source,
            members: None,
        };
        let mut magic = Vec::new();
        file.reader()?
            .take(6)
            .read_to_end(&mut magic)
            .map_err(|e| file.read_error(e))?;
        if magic == b"\x93NUMPY" {
            return Ok(file);
        }
        if !magic.starts_with(b"PK") {
            let found = match magic.len() {
                0 => "nothing (it is empty)".to_owned(),
                _ => format!("\"{}\"", magic.escape_ascii()),
            };
            let problem = Problem::NotAnArrayFile { found };
            return Err(ArrayError::new(&file.place(""), problem));
        }
        let archive = file.archive()?;
        if archive.len() > MEMBERS_MAX {
            return Err(file.damaged(
                "",
                format!(
                    "it has {} entries, the limit is {MEMBERS_MAX}",
                    archive.len()
                ),
            ));
        }
        let mut members: Vec<String> = archive
            .file_names()
            .filter_map(npyz::npz::array_name_from_file_name)
            .map(str::to_owned)
            .collect();
        members.sort();
        file.members = Some(members);
        Ok(file)
    }

    /// The file's name as the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Array names, sorted; a `.npy` has one array without a name.
    pub fn names(&self) -> Vec<&str> {
        match &self.members {
            Some(members) => members.iter().map(String::as_str).collect(),
            None => vec![""],
        }
    }

    /// Whether there is an array of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names().contains(&name)
    }

    /// Shape of an array, from its header alone.
    ///
    /// # Errors
    /// [`ArrayError`] for a missing array or a bad header.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>, ArrayError> {
        if let Source::Tensors(tensors) = &self.source {
            let info = tensors.info(name).ok_or_else(|| self.missing(name))?;
            return Ok(info.shape.clone());
        }
        self.with_member(name, |reader, bytes, place| {
            let limit = ARRAY_BYTES_MAX / ELEMENT_BYTES;
            read_header(reader, bytes, limit, place).map(|header| header.shape)
        })
    }

    /// Reads one array; `""` is the array of a `.npy`.
    ///
    /// # Errors
    /// [`ArrayError`] for a missing array, a bad header, a length that differs from it, or a type that is not
    /// a plain number.
    pub fn read(&self, name: &str) -> Result<Array, ArrayError> {
        if let Source::Tensors(tensors) = &self.source {
            let info = tensors.info(name).ok_or_else(|| self.missing(name))?;
            return read_tensor(info, tensors.data(info), self.place(name));
        }
        self.with_member(name, read_array)
    }

    /// Reads one array of floats in their own width, up to [`FLOATS_MAX`] of them.
    ///
    /// # Errors
    /// As [`ArrayFile::read`], and for arrays of other types.
    pub fn read_floats(&self, name: &str) -> Result<FloatArray, ArrayError> {
        self.with_member(name, read_floats)
    }

    fn with_member<T>(
        &self,
        name: &str,
        f: impl FnOnce(&mut dyn Read, u64, &Place) -> Result<T, ArrayError>,
    ) -> Result<T, ArrayError> {
        let place = self.place(name);
        if !self.has(name) {
            return Err(self.missing(name));
        }
        if self.members.is_none() {
            let mut reader = self.reader()?;
            let bytes = reader
                .seek(io::SeekFrom::End(0))
                .and_then(|end| reader.rewind().map(|()| end))
                .map_err(|e| self.read_error(e))?;
            return f(&mut reader, bytes, &place);
        }
        let mut archive = self.archive()?;
        let mut member = archive
            .by_name(&npyz::npz::file_name_from_array_name(name))
            .map_err(|e| self.damaged(name, e.to_string()))?;
        let bytes = member.size();
        f(&mut member, bytes, &place)
    }

    fn reader(&self) -> Result<Box<dyn ReadSeek>, ArrayError> {
        Ok(match &self.source {
            Source::Bytes(bytes) => Box::new(Cursor::new(*bytes)),
            Source::Tensors(_) => return Err(self.read_error(io::ErrorKind::Unsupported.into())),
            Source::Path(path) => {
                let file = File::open(path).map_err(|e| self.read_error(e))?;
                if file.metadata().is_ok_and(|m| m.is_dir()) {
                    return Err(self.read_error(io::ErrorKind::IsADirectory.into()));
                }
                Box::new(BufReader::new(file))
            }
        })
    }

    fn archive(&self) -> Result<zip::ZipArchive<Box<dyn ReadSeek>>, ArrayError> {
        zip::ZipArchive::new(self.reader()?).map_err(|e| self.damaged("", e.to_string()))
    }

    fn missing(&self, name: &str) -> ArrayError {
        let names = self.names();
        let available = match names.as_slice() {
            [] => "none".to_owned(),
            [""] => "one array without a name".to_owned(),
            _ => names
                .iter()
                .map(|n| format!("`{n}`"))
                .collect::<Vec<_>>()
                .join(", "),
        };
        ArrayError::new(&self.place(name), Problem::Missing { available })
    }

    fn place(&self, name: &str) -> Place {
        Place {
            file: self.name.clone(),
            array: name.to_owned(),
        }
    }

    fn read_error(&self, reason: io::Error) -> ArrayError {
        ArrayError::new(&self.place(""), Problem::Read(reason))
    }

    fn damaged(&self, name: &str, reason: String) -> ArrayError {
        ArrayError::new(&self.place(name), Problem::Damaged(reason))
    }
}

/// Reads and checks a header; `bytes` is the length of the whole `.npy`, `limit` the most elements.
fn read_header(
    reader: &mut dyn Read,
    bytes: u64,
    limit: u64,
    place: &Place,
) -> Result<Header, ArrayError> {
    let damaged = |reason: String| ArrayError::new(place, Problem::Damaged(reason));
    let short = |e: io::Error| damaged(format!("its header ends early ({e})"));
    let mut all = vec![0; 8];
    reader.read_exact(&mut all).map_err(short)?;
    if !all.starts_with(b"\x93NUMPY") {
        return Err(damaged("it does not begin with \"\\x93NUMPY\"".to_owned()));
    }
    let length_bytes = match (all[6], all[7]) {
        (1, 0) => 2,
        (2 | 3, 0) => 4,
        (major, minor) => {
            return Err(damaged(format!(
                "format version {major}.{minor} is unknown"
            )));
        }
    };
    let mut length = [0; 4];
    reader
        .read_exact(&mut length[..length_bytes])
        .map_err(short)?;
    all.extend_from_slice(&length[..length_bytes]);
    let length = u32::from_le_bytes(length) as usize;
    if length > HEADER_BYTES_MAX {
        return Err(damaged(format!(
            "its header claims {length} bytes, the limit is {HEADER_BYTES_MAX}"
        )));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(short)?;
    let fields = HeaderParser::parse(&text).map_err(|e| damaged(format!("its header {e}")))?;
    all.extend_from_slice(&text);
    let header = check_header(fields, all, limit, place)?;
    let found = bytes.saturating_sub(header.bytes.len() as u64);
    if found != header.data_bytes() {
        return Err(length_error(&header, found.to_string(), place));
    }
    Ok(header)
}

fn length_error(header: &Header, found: String, place: &Place) -> ArrayError {
    let problem = Problem::Length {
        shape: format!("{:?}", header.shape),
        dtype: header.dtype.clone(),
        expected: header.data_bytes(),
        found,
    };
    ArrayError::new(place, problem)
}

fn check_header(
    fields: Fields,
    bytes: Vec<u8>,
    limit: u64,
    place: &Place,
) -> Result<Header, ArrayError> {
    let element = Element::from_descr(&fields.descr).ok_or_else(|| {
        let problem = Problem::Dtype {
            found: fields.descr.clone(),
            expected: "bool, an integer, float16, float32 or float64",
        };
        ArrayError::new(place, problem)
    })?;
    let product = fields
        .shape
        .iter()
        .try_fold(1u64, |product, &dimension| product.checked_mul(dimension));
    // A zero among huge dimensions makes a product of zero; each dimension is bounded on its own as well.
    let largest = fields.shape.iter().copied().max().unwrap_or(1);
    match product {
        Some(count) if count.max(largest) <= limit => Ok(Header {
            bytes,
            dtype: fields.descr,
            element,
            fortran: fields.fortran,
            shape: fields.shape.iter().map(|&d| d as usize).collect(),
            count: count as usize,
        }),
        product => Err(ArrayError::new(
            place,
            Problem::TooLarge {
                shape: format!("{:?}", fields.shape),
                elements: product.map_or("more than 2^64".to_owned(), |p| p.to_string()),
                limit,
            },
        )),
    }
}

/// Reads a whole `.npy` of `bytes` bytes.
/// A tensor of a `.safetensors`.
fn read_tensor(info: &TensorInfo, data: &[u8], place: Place) -> Result<Array, ArrayError> {
    let limit = ARRAY_BYTES_MAX / ELEMENT_BYTES;
    let dtype = format!("{:?}", info.dtype);
    if TensorFile::count(info, limit as usize).is_none() {
        let elements: u128 = info.shape.iter().map(|size| *size as u128).product();
        let problem = Problem::TooLarge {
            shape: format!("{:?}", info.shape),
            elements: elements.to_string(),
            limit,
        };
        return Err(ArrayError::new(&place, problem));
    }
    let elements = match info.dtype {
        Dtype::BOOL | Dtype::U8 => Elements::Int(tensors::decode(data, |[b]| b.into())),
        Dtype::I8 => Elements::Int(tensors::decode(data, |b| i8::from_le_bytes(b).into())),
        Dtype::I16 => Elements::Int(tensors::decode(data, |b| i16::from_le_bytes(b).into())),
        Dtype::U16 => Elements::Int(tensors::decode(data, |b| u16::from_le_bytes(b).into())),
        Dtype::I32 => Elements::Int(tensors::decode(data, |b| i32::from_le_bytes(b).into())),
        Dtype::U32 => Elements::Int(tensors::decode(data, |b| u32::from_le_bytes(b).into())),
        Dtype::I64 => Elements::Int(tensors::decode(data, i64::from_le_bytes)),
        Dtype::F16 => Elements::Float(tensors::decode(data, |b| f16::from_le_bytes(b).to_f64())),
        Dtype::BF16 => Elements::Float(tensors::decode(data, |b| bf16::from_le_bytes(b).to_f64())),
        Dtype::F32 => Elements::Float(tensors::decode(data, |b| f32::from_le_bytes(b).into())),
        Dtype::F64 => Elements::Float(tensors::decode(data, f64::from_le_bytes)),
        _ => {
            let problem = Problem::Dtype {
                found: dtype,
                expected: "bool, 8 to 32 bit or int64 integers, or floats",
            };
            return Err(ArrayError::new(&place, problem));
        }
    };
    Ok(Array {
        place,
        shape: info.shape.clone(),
        dtype,
        elements,
    })
}

/// Reads a whole `.npy`.
fn read_array(reader: &mut dyn Read, bytes: u64, place: &Place) -> Result<Array, ArrayError> {
    let header = read_header(reader, bytes, ARRAY_BYTES_MAX / ELEMENT_BYTES, place)?;
    let elements = {
        let whole = Cursor::new(header.bytes.as_slice()).chain(&mut *reader);
        decode(whole, &header, place)?
    };
    check_end(reader, &header, place)?;
    Ok(Array {
        place: place.clone(),
        elements: {
            let fortran = header.fortran.then_some(header.shape.as_slice());
            match elements {
                Elements::Int(values) => Elements::Int(in_c_order(values, fortran)),
                Elements::Float(values) => Elements::Float(in_c_order(values, fortran)),
            }
        },
        shape: header.shape,
        dtype: header.dtype,
    })
}

/// Checks that nothing follows: the end of a zip entry is where its checksum is verified.
fn check_end(reader: &mut dyn Read, header: &Header, place: &Place) -> Result<(), ArrayError> {
    match reader.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => {
            let found = format!("more than {}", header.data_bytes());
            Err(length_error(header, found, place))
        }
        Err(e) => Err(ArrayError::new(place, Problem::Damaged(e.to_string()))),
    }
}

/// Reads a whole `.npy` of floats in their own width; 16-bit ones are widened.
fn read_floats(reader: &mut dyn Read, bytes: u64, place: &Place) -> Result<FloatArray, ArrayError> {
    let header = read_header(reader, bytes, FLOATS_MAX, place)?;
    let whole = Cursor::new(header.bytes.as_slice()).chain(&mut *reader);
    let in_order = header.fortran.then_some(header.shape.as_slice());
    let numbers = match header.element {
        Element::F16 => Floats::F32(in_c_order(
            numbers(whole, &header, place, half::f16::to_f32)?,
            in_order,
        )),
        Element::F32 => Floats::F32(in_c_order(numbers(whole, &header, place, |v| v)?, in_order)),
        Element::F64 => Floats::F64(in_c_order(numbers(whole, &header, place, |v| v)?, in_order)),
        _ => {
            let problem = Problem::Dtype {
                found: header.dtype.clone(),
                expected: "float16, float32 or float64",
            };
            return Err(ArrayError::new(place, problem));
        }
    };
    check_end(reader, &header, place)?;
    Ok(FloatArray {
        shape: header.shape,
        numbers,
    })
}

fn decode(reader: impl Read, header: &Header, place: &Place) -> Result<Elements, ArrayError> {
    macro_rules! elements {
        ($kind:ident, $stored:ty, $convert:expr) => {
            Elements::$kind(numbers::<$stored, _>(reader, header, place, $convert)?)
        };
    }
    Ok(match header.element {
        Element::Bool => elements!(Int, bool, i64::from),
        Element::I8 => elements!(Int, i8, i64::from),
        Element::I16 => elements!(Int, i16, i64::from),
        Element::I32 => elements!(Int, i32, i64::from),
        Element::I64 => elements!(Int, i64, |v| v),
        Element::U8 => elements!(Int, u8, i64::from),
        Element::U16 => elements!(Int, u16, i64::from),
        Element::U32 => elements!(Int, u32, i64::from),
        // Past i64::MAX nothing is a valid code; saturating keeps such a value invalid.
        Element::U64 => elements!(Int, u64, |v| i64::try_from(v).unwrap_or(i64::MAX)),
        Element::F16 => elements!(Float, half::f16, f64::from),
        Element::F32 => elements!(Float, f32, f64::from),
        Element::F64 => elements!(Float, f64, |v| v),
    })
}

/// The elements of a `.npy` in the order of the file.
fn numbers<T: npyz::Deserialize, U>(
    reader: impl Read,
    header: &Header,
    place: &Place,
    convert: fn(T) -> U,
) -> Result<Vec<U>, ArrayError> {
    let damaged = |e: io::Error| ArrayError::new(place, Problem::Damaged(e.to_string()));
    let file = npyz::NpyFile::new(reader).map_err(damaged)?;
    let stored = file.data::<T>().map_err(|e| damaged(io::Error::other(e)))?;
    // A compressed entry may claim more than it holds: memory grows with what is really there.
    let mut values = Vec::with_capacity(header.count.min(1 << 20));
    for value in stored {
        values.push(convert(value.map_err(damaged)?));
    }
    Ok(values)
}

/// The elements in C order; a shape means that they are column-major.
fn in_c_order<T: Copy>(values: Vec<T>, fortran: Option<&[usize]>) -> Vec<T> {
    match fortran {
        Some(shape) => to_c_order(&values, shape),
        None => values,
    }
}

/// Column-major elements in row-major order.
fn to_c_order<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for dimension in shape {
        strides.push(stride);
        stride *= dimension;
    }
    (0..values.len())
        .map(|flat| {
            let mut rest = flat;
            let mut position = 0;
            for (dimension, stride) in shape.iter().zip(&strides).rev() {
                position += rest % dimension * stride;
                rest /= dimension;
            }
            values[position]
        })
        .collect()
}

/// The three fields of a header.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fields {
    descr: String,
    fortran: bool,
    shape: Vec<u64>,
}

/// Reads `{'descr': '<i1', 'fortran_order': False, 'shape': (2, 3), }` and nothing else.
struct HeaderParser<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> HeaderParser<'a> {
    fn parse(text: &'a [u8]) -> Result<Fields, String> {
        let mut parser = HeaderParser { text, at: 0 };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        parser.expect(b'{')?;
        while !parser.take(b'}') {
            let key = parser.string()?;
            parser.expect(b':')?;
            let repeated = match key.as_str() {
                "descr" => descr.replace(parser.descr()?).is_some(),
                "fortran_order" => fortran.replace(parser.boolean()?).is_some(),
                "shape" => shape.replace(parser.shape()?).is_some(),
                _ => return Err(format!("has an unknown key '{}'", key.escape_debug())),
            };
            if repeated {
                return Err(format!("has the key '{key}' twice"));
            }
            if !parser.take(b',') {
                parser.expect(b'}')?;
                break;
            }
        }
        parser.skip_blanks();
        if parser.at < text.len() {
            return Err("goes on after its dictionary".to_owned());
        }
        Ok(Fields {
            descr: descr.ok_or("has no 'descr'")?,
            fortran: fortran.ok_or("has no 'fortran_order'")?,
            shape: shape.ok_or("has no 'shape'")?,
        })
    }

    fn skip_blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\n' | b'\t')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.take(byte) {
            return Ok(());
        }
        let found = match self.text.get(self.at) {
            Some(found) => format!("'{}'", found.escape_ascii()),
            None => "its end".to_owned(),
        };
        Err(format!(
            "has {found} at byte {} where '{}' belongs",
            self.at,
            byte.escape_ascii()
        ))
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = if self.take(b'"') {
            b'"'
        } else {
            self.expect(b'\'')?;
            b'\''
        };
        let rest = &self.text[self.at..];
        let length = rest
            .iter()
            .position(|b| *b == quote || *b == b'\\')
            .filter(|end| rest[*end] == quote)
            .ok_or("has a string without an end")?;
        self.at += length + 1;
        Ok(String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    /// The element type; that of a structured array as its text, which no element type matches.
    fn descr(&mut self) -> Result<String, String> {
        if !self.take(b'[') {
            return self.string();
        }
        let rest = &self.text[self.at..];
        let end = rest
            .iter()
            .rposition(|b| *b == b']')
            .ok_or("has a list without an end")?;
        self.at += end + 1;
        Ok(format!("[{}]", rest[..end].escape_ascii()))
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.skip_blanks();
        for (text, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(text.as_bytes()) {
                self.at += text.len();
                return Ok(value);
            }
        }
        Err("has a 'fortran_order' that is neither True nor False".to_owned())
    }

    fn shape(&mut self) -> Result<Vec<u64>, String> {
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.take(b')') {
            shape.push(self.dimension()?);
            if shape.len() > DIMENSIONS_MAX {
                return Err(format!("has more than {DIMENSIONS_MAX} dimensions"));
            }
            if !self.take(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn dimension(&mut self) -> Result<u64, String> {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let digits = std::str::from_utf8(&rest[..length]).unwrap_or_default();
        self.at += length;
        if digits.is_empty() {
            return Err(format!(
                "has a dimension at byte {} that is not a whole number",
                self.at
            ));
        }
        digits
            .parse()
            .map_err(|_| format!("has a dimension of {length} digits"))
    }
}

/// One array to write.
#[derive(Clone, Debug)]
pub struct NewArray {
    /// Its name in the archive.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements in C order.
    pub elements: NewElements,
}

/// Elements to write, in the type they are stored as.
#[derive(Clone, Debug)]
pub enum NewElements {
    /// `u1`.
    U8(Vec<u8>),
    /// `i4`.
    I32(Vec<i32>),
    /// `i8`.
    I64(Vec<i64>),
    /// `f8`.
    F64(Vec<f64>),
}

/// The bytes of a `.npz` with these arrays. Deterministic: entries are dated 1980-01-01 and stored as they are.
///
/// # Errors
/// What the writers report; none is expected in memory.
pub fn npz_bytes(arrays: &[NewArray]) -> io::Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::FileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    for array in arrays {
        let name = npyz::npz::file_name_from_array_name(&array.name);
        archive.start_file(name, options)?;
        archive.write_all(&npy_bytes(array)?)?;
    }
    Ok(archive.finish()?.into_inner())
}

fn npy_bytes(array: &NewArray) -> io::Result<Vec<u8>> {
    fn write<T: npyz::AutoSerialize + Copy>(shape: &[u64], values: &[T]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .writer(&mut bytes)
            .begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()?;
        Ok(bytes)
    }
    let shape: Vec<u64> = array.shape.iter().map(|d| *d as u64).collect();
    match &array.elements {
        NewElements::U8(values) => write(&shape, values),
        NewElements::I32(values) => write(&shape, values),
        NewElements::I64(values) => write(&shape, values),
        NewElements::F64(values) => write(&shape, values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Result<Fields, String> {
        HeaderParser::parse(text.as_bytes())
    }

    #[test]
    fn numpy_headers_are_read() {
        let text = "{'descr': '<i2', 'fortran_order': False, 'shape': (200, 64), }     \n";
        assert_eq!(
            fields(text).unwrap(),
            Fields {
                descr: "<i2".into(),
                fortran: false,
                shape: vec![200, 64]
            }
        );
        let scalar = fields("{'shape': (), \"descr\": '|u1', 'fortran_order': True}").unwrap();
        assert_eq!((scalar.shape.len(), scalar.fortran), (0, true));
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "{'descr': '<i2', 'fortran_order': 0, 'shape': (1,)}",
            "{'descr': '<i2', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<i2', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<i2', 'fortran_order': False, 'shape': (1,)} x",
            "{'descr': '<i2', 'descr': '<i2', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<i2', 'fortran_order': False, 'shape': ((((1",
            "{'descr': '<i2",
            "{'other': 1}",
        ] {
            assert!(fields(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fortran_order_is_turned() {
        // Columns of [[1, 2, 3], [4, 5, 6]] one after the other.
        assert_eq!(to_c_order(&[1, 4, 2, 5, 3, 6], &[2, 3]), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn archives_are_deterministic_and_read_back() {
        let array = NewArray {
            name: "a".into(),
            shape: vec![2, 2],
            elements: NewElements::I32(vec![1, -2, 3, i32::MIN]),
        };
        let bytes = npz_bytes(std::slice::from_ref(&array)).unwrap();
        assert_eq!(bytes, npz_bytes(&[array]).unwrap());
        let file = ArrayFile::from_bytes("test.npz", bytes.leak()).unwrap();
        let read = file.read("a").unwrap();
        assert_eq!(read.shape, [2, 2]);
        assert_eq!(read.ints().unwrap(), [1, -2, 3, i64::from(i32::MIN)]);
    }

    /// Every single-byte change and every truncation of a small archive is read or refused, never a panic.
    #[test]
    fn damaged_bytes_never_panic() {
        let bytes = npz_bytes(&[NewArray {
            name: "a".into(),
            shape: vec![3],
            elements: NewElements::U8(vec![1, 2, 3]),
        }])
        .unwrap();
        let read = |bytes: Vec<u8>| {
            let file = ArrayFile::from_bytes("fuzz", bytes.leak());
            if let Ok(file) = file {
                for name in file.names() {
                    let _ = file.read(name);
                }
            }
        };
        for length in 0..bytes.len() {
            read(bytes[..length].to_vec());
        }
        for position in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff, bytes[position] ^ 0x10] {
                let mut damaged = bytes.clone();
                damaged[position] = value;
                read(damaged);
            }
        }
    }
}
