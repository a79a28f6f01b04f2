//! Constants: the numbers of a [`TensorProto`], wherever the file keeps them.

use super::element::Element;
use super::error::{Fault, Name};
use super::external;
use super::proto::TensorProto;
use crate::graph::{Array, NUMBERS_MAX, RANK_MAX};
use bytes::Bytes;
use half::{bf16, f16};
use ndarray::{ArcArray, IxDyn};
use std::path::Path;

/// How many numbers may still be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub left: u64,
    pub max: u64,
}

impl Budget {
    pub fn new(max: u64) -> Budget {
        Budget { left: max, max }
    }

    /// Takes a number of numbers, before they are allocated.
    pub fn take(&mut self, count: usize) -> Result<(), Fault> {
        match self.left.checked_sub(count as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Fault::new(
                "constants",
                format!("hold more than {} numbers in all", self.max),
                "split the model, or raise the limit",
            )),
        }
    }
}

/// Dimensions as the file gives them, checked.
pub(super) fn dimensions(dims: &[i64]) -> Result<Vec<usize>, Fault> {
    let fault = |problem: String, fix: &str| Fault::new("dims", problem, fix);
    if dims.len() > RANK_MAX {
        let problem = format!("{} dimensions, more than {RANK_MAX}", dims.len());
        return Err(fault(problem, "merge dimensions"));
    }
    let shape: Result<Vec<usize>, _> = dims.iter().map(|&dim| usize::try_from(dim)).collect();
    let Ok(shape) = shape else {
        return Err(fault(
            format!("{dims:?} holds a negative one"),
            "export the model again",
        ));
    };
    count(&shape).map(|_| shape).ok_or_else(|| {
        fault(
            format!("{dims:?} are more than {NUMBERS_MAX} numbers"),
            "split the tensor",
        )
    })
}

/// Numbers of a tensor, if they are no more than [`NUMBERS_MAX`]. Dimensions of size 0 do not hide others that are too
/// large.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    let bound = shape.iter().try_fold(1usize, |product, &dim| {
        product
            .checked_mul(dim.max(1))
            .filter(|&product| product <= NUMBERS_MAX)
    });
    bound.map(|_| shape.iter().product())
}

/// An array of a shape that [`count`] has passed.
pub(super) fn shaped<T: Clone>(shape: &[usize], data: Vec<T>) -> Result<ArcArray<T, IxDyn>, Fault> {
    let (count, found) = (shape.iter().product::<usize>(), data.len());
    ArcArray::from_shape_vec(IxDyn(shape), data).map_err(|_| length(shape, count, found))
}

fn length(shape: &[usize], count: usize, found: usize) -> Fault {
    let problem = format!("{found} numbers, but dims {shape:?} are {count}");
    Fault::new(
        "data",
        problem,
        "export the model again, or copy it again if it was cut",
    )
}

/// Reads a constant. `folder` is where files of external data may be.
pub(super) fn read(
    tensor: &TensorProto,
    folder: Option<&Path>,
    budget: &mut Budget,
) -> Result<(Element, Array), Fault> {
    let element = Element::of(tensor.data_type.unwrap_or(0)).map_err(|name| {
        let problem = format!("type {name} is not supported");
        Fault::new(
            "data_type",
            problem,
            "use float, double, float16 or integers",
        )
    })?;
    let shape = dimensions(&tensor.dims)?;
    let count = shape.iter().product();
    budget.take(count)?;
    let bytes_max = count as u64 * 8;
    let raw = match external::region(tensor)? {
        Some(region) => Some(region.read(folder, bytes_max)?),
        None => tensor.raw_data.clone().filter(|raw| !raw.is_empty()),
    };
    let array = match raw {
        Some(raw) => from_raw(element, &shape, count, &raw)?,
        None => from_fields(element, &shape, count, tensor)?,
    };
    Ok((element, array))
}

/// Numbers of little-endian bytes.
fn from_raw(element: Element, shape: &[usize], count: usize, raw: &Bytes) -> Result<Array, Fault> {
    let bytes = (count as u64 * u64::from(element.bits())).div_ceil(8);
    if raw.len() as u64 != bytes {
        let problem = format!(
            "{} bytes, but dims {shape:?} of {element} are {bytes}",
            raw.len()
        );
        let fix = "export the model again, or copy it again if it was cut";
        return Err(Fault::new("data", problem, fix));
    }
    macro_rules! numbers {
        ($variant:ident, $from:ty) => {
            numbers!($variant, $from, |number: $from| number.into())
        };
        ($variant:ident, $from:ty, $widen:expr) => {{
            let widen = $widen;
            let (chunks, _) = raw.as_chunks::<{ size_of::<$from>() }>();
            let data = chunks
                .iter()
                .map(|&chunk| widen(<$from>::from_le_bytes(chunk)))
                .collect();
            Array::$variant(shaped(shape, data)?)
        }};
    }
    Ok(match element {
        Element::F32 => numbers!(F32, f32),
        Element::F64 => numbers!(F64, f64),
        Element::F16 => numbers!(F32, f16),
        Element::Bf16 => numbers!(F32, bf16),
        Element::Bool => numbers!(U8, u8, |byte: u8| u8::from(byte != 0)),
        Element::Int {
            bits: 8,
            signed: false,
        } => numbers!(U8, u8),
        Element::Int {
            bits: 8,
            signed: true,
        } => numbers!(I8, i8),
        Element::Int {
            bits: 16,
            signed: false,
        } => numbers!(I32, u16),
        Element::Int {
            bits: 16,
            signed: true,
        } => numbers!(I32, i16),
        Element::Int {
            bits: 32,
            signed: false,
        } => numbers!(I64, u32),
        Element::Int {
            bits: 32,
            signed: true,
        } => numbers!(I32, i32),
        Element::Int {
            bits: 64,
            signed: true,
        } => numbers!(I64, i64),
        Element::Int {
            bits: 64,
            signed: false,
        } => {
            let (chunks, _) = raw.as_chunks::<8>();
            let data = chunks
                .iter()
                .map(|&chunk| narrow(u64::from_le_bytes(chunk)));
            Array::I64(shaped(shape, data.collect::<Result<_, _>>()?)?)
        }
        Element::Int { bits, signed } => unpack(bits, signed, shape, count, raw.iter().copied())?,
    })
}

/// Integers of 2 or 4 bits, the first in the lowest bits of a byte.
fn unpack(
    bits: u32,
    signed: bool,
    shape: &[usize],
    count: usize,
    bytes: impl Iterator<Item = u8>,
) -> Result<Array, Fault> {
    let high = 8 - bits;
    let fields = bytes.flat_map(|byte| (0..8 / bits).map(move |i| byte << (high - i * bits)));
    let fields = fields.take(count);
    Ok(if signed {
        Array::I8(shaped(
            shape,
            fields.map(|field| field as i8 >> high).collect(),
        )?)
    } else {
        Array::U8(shaped(shape, fields.map(|field| field >> high).collect())?)
    })
}

fn narrow(number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| {
        let problem = format!("{number} is more than {}", i64::MAX);
        Fault::new("data", problem, "use int64")
    })
}

/// Numbers of the field for their type.
fn from_fields(
    element: Element,
    shape: &[usize],
    count: usize,
    tensor: &TensorProto,
) -> Result<Array, Fault> {
    let int32 = &tensor.int32_data;
    let fits = |number: i32, low: i32, high: i32| {
        if (low..=high).contains(&number) {
            return Ok(number);
        }
        let problem = format!("{number} is out of range for {element}: {low}..={high}");
        Err(Fault::new("int32_data", problem, "export the model again"))
    };
    macro_rules! small {
        ($variant:ident, $from:ty, $widen:expr) => {{
            let (low, high, widen) = (<$from>::MIN.into(), <$from>::MAX.into(), $widen);
            let data = int32
                .iter()
                .map(|&number| fits(number, low, high).map(|n| widen(n as $from)));
            Array::$variant(shaped(shape, data.collect::<Result<Vec<_>, _>>()?)?)
        }};
    }
    Ok(match element {
        Element::F32 => Array::F32(shaped(shape, tensor.float_data.clone())?),
        Element::F64 => Array::F64(shaped(shape, tensor.double_data.clone())?),
        Element::F16 => small!(F32, u16, |bits| f16::from_bits(bits).to_f32()),
        Element::Bf16 => small!(F32, u16, |bits| bf16::from_bits(bits).to_f32()),
        Element::Bool => {
            let data = int32.iter().map(|&number| u8::from(number != 0)).collect();
            Array::U8(shaped(shape, data)?)
        }
        Element::Int {
            bits: 8,
            signed: false,
        } => small!(U8, u8, |number| number),
        Element::Int {
            bits: 8,
            signed: true,
        } => small!(I8, i8, |number| number),
        Element::Int {
            bits: 16,
            signed: false,
        } => small!(I32, u16, i32::from),
        Element::Int {
            bits: 16,
            signed: true,
        } => small!(I32, i16, i32::from),
        Element::Int {
            bits: 32,
            signed: true,
        } => Array::I32(shaped(shape, int32.clone())?),
        Element::Int {
            bits: 64,
            signed: true,
        } => Array::I64(shaped(shape, tensor.int64_data.clone())?),
        Element::Int { bits: 32 | 64, .. } => {
            let data = tensor.uint64_data.iter().map(|&number| narrow(number));
            Array::I64(shaped(shape, data.collect::<Result<_, _>>()?)?)
        }
        Element::Int { bits, signed } => {
            let needed = count.div_ceil((8 / bits) as usize);
            if int32.len() != needed {
                return Err(length(shape, count, int32.len() * (8 / bits) as usize));
            }
            let bytes = int32.iter().map(|&number| number as u8);
            unpack(bits, signed, shape, count, bytes)?
        }
    })
}

/// How an error calls a constant.
pub(super) fn title(name: &str) -> String {
    format!("initializer `{}`", Name::new(name))
}
