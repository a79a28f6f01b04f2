//! Types of numbers.

use super::proto::data_type as id;
use crate::graph::Levels;

/// Type of the numbers of a tensor, as the file says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F16,
    Bf16,
    F32,
    F64,
    Bool,
    Int { bits: u32, signed: bool },
}

pub(super) const F32: Element = Element::F32;
pub(super) const U8: Element = Element::Int {
    bits: 8,
    signed: false,
};
pub(super) const I64: Element = Element::Int {
    bits: 64,
    signed: true,
};

impl Element {
    /// The type with a number of `TensorProto.DataType`; or the name of one that is not supported.
    pub fn of(data_type: i32) -> Result<Element, String> {
        let int = |bits, signed| Element::Int { bits, signed };
        Ok(match data_type {
            id::FLOAT => Element::F32,
            id::UINT8 => int(8, false),
            id::INT8 => int(8, true),
            id::UINT16 => int(16, false),
            id::INT16 => int(16, true),
            id::INT32 => int(32, true),
            id::INT64 => int(64, true),
            id::BOOL => Element::Bool,
            id::FLOAT16 => Element::F16,
            id::DOUBLE => Element::F64,
            id::UINT32 => int(32, false),
            id::UINT64 => int(64, false),
            id::BFLOAT16 => Element::Bf16,
            id::UINT4 => int(4, false),
            id::INT4 => int(4, true),
            id::UINT2 => int(2, false),
            id::INT2 => int(2, true),
            other => return Err(unsupported(other)),
        })
    }

    /// Bits of one number where numbers are packed.
    pub fn bits(self) -> u32 {
        match self {
            Element::F16 | Element::Bf16 => 16,
            Element::F32 => 32,
            Element::F64 => 64,
            Element::Bool => 8,
            Element::Int { bits, .. } => bits,
        }
    }

    /// The integers of a quantized type.
    pub fn levels(self) -> Option<Levels> {
        match self {
            Element::Int { bits, signed } if bits <= 16 => Some(Levels {
                bits,
                signed,
                narrow: false,
            }),
            _ => None,
        }
    }

    /// Whether it holds every number of another type exactly.
    pub fn holds(self, other: Element) -> bool {
        let mantissa = |element| match element {
            Element::F16 => 11,
            Element::Bf16 => 8,
            Element::F32 => 24,
            Element::F64 => 53,
            Element::Bool => 1,
            Element::Int { bits, signed } => bits - u32::from(signed),
        };
        match (self, other) {
            _ if self == other => true,
            (Element::Bool, _) => false,
            (_, Element::Bool) => true,
            (Element::Int { signed: to, .. }, Element::Int { signed: from, .. }) => {
                (to || !from) && mantissa(self) >= mantissa(other)
            }
            (Element::Int { .. }, _) => false,
            // The largest half is 65504, so 16 bits do not fit; the mantissa says that already.
            (_, Element::Int { .. }) => mantissa(self) >= mantissa(other),
            (Element::F32, Element::F16 | Element::Bf16) => true,
            (Element::F64, _) => true,
            _ => false,
        }
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Element::F16 => f.write_str("float16"),
            Element::Bf16 => f.write_str("bfloat16"),
            Element::F32 => f.write_str("float"),
            Element::F64 => f.write_str("double"),
            Element::Bool => f.write_str("bool"),
            Element::Int { bits, signed: true } => write!(f, "int{bits}"),
            Element::Int {
                bits,
                signed: false,
            } => write!(f, "uint{bits}"),
        }
    }
}

/// Name of a type that is not supported.
fn unsupported(data_type: i32) -> String {
    let name = match data_type {
        0 => "undefined",
        8 => "string",
        14 => "complex64",
        15 => "complex128",
        17 => "float8e4m3fn",
        18 => "float8e4m3fnuz",
        19 => "float8e5m2",
        20 => "float8e5m2fnuz",
        23 => "float4e2m1",
        24 => "float8e8m0",
        _ => return format!("number {data_type}"),
    };
    name.to_owned()
}
