//! A first pass over the bytes of a file, before anything of it is held: it bounds what decoding allocates.
//!
//! A field of two bytes becomes a struct of some hundred, and a number of a packed list of one byte becomes eight. So
//! both are counted first. Nesting is that of the messages known here, six deep, whatever the bytes say.

use super::error::OnnxError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// A message whose fields are counted.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Shape,
    Annotation,
    Leaf,
}

impl Message {
    /// The message that a field of this one holds.
    fn part(self, tag: u32) -> Option<Message> {
        Some(match (self, tag) {
            (Message::Model, 7) => Message::Graph,
            (Message::Model, 8 | 25) => Message::Leaf,
            (Message::Graph, 1) => Message::Node,
            (Message::Graph, 5) | (Message::Attribute, 5) => Message::Tensor,
            (Message::Graph, 11..=13) => Message::Value,
            (Message::Graph, 14) => Message::Annotation,
            (Message::Node, 5) => Message::Attribute,
            (Message::Tensor, 13) | (Message::Annotation, 2) => Message::Leaf,
            (Message::Value, 2) => Message::Type,
            (Message::Type, 1) => Message::TensorType,
            (Message::TensorType, 2) => Message::Shape,
            (Message::Shape, 1) => Message::Leaf,
            _ => return None,
        })
    }

    /// Whether a field is a list that may be packed with as little as one byte per number.
    fn is_list(self, tag: u32) -> bool {
        match self {
            Message::Tensor => matches!(tag, 1 | 5 | 7 | 11),
            Message::Attribute => tag == 8,
            _ => false,
        }
    }
}

/// What a file may hold.
pub(super) struct Counts {
    pub fields: u64,
    pub fields_max: u64,
    pub numbers: u64,
    pub numbers_max: u64,
}

/// Counts fields and packed numbers of a model. Malformed bytes end the count: decoding fails at the same place.
pub(super) fn scan(bytes: &[u8], fields_max: u64, numbers_max: u64) -> Result<(), OnnxError> {
    let mut counts = Counts {
        fields: 0,
        fields_max,
        numbers: 0,
        numbers_max,
    };
    counts.walk(Message::Model, bytes).map(|_| ())
}

impl Counts {
    /// Whether the bytes were well-formed.
    fn walk(&mut self, message: Message, mut bytes: &[u8]) -> Result<bool, OnnxError> {
        while !bytes.is_empty() {
            let Ok((tag, wire)) = decode_key(&mut bytes) else {
                return Ok(false);
            };
            self.fields += 1;
            self.check()?;
            if wire != WireType::LengthDelimited {
                if skip_field(wire, tag, &mut bytes, DecodeContext::default()).is_err() {
                    return Ok(false);
                }
                continue;
            }
            let length = decode_varint(&mut bytes)
                .ok()
                .and_then(|length| usize::try_from(length).ok());
            let Some((part, rest)) = length.and_then(|length| bytes.split_at_checked(length))
            else {
                return Ok(false);
            };
            bytes = rest;
            if message.is_list(tag) {
                self.numbers += part.len() as u64;
                self.check()?;
            }
            if let Some(inner) = message.part(tag)
                && !self.walk(inner, part)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check(&self) -> Result<(), OnnxError> {
        let (what, value, max, fix) = if self.fields > self.fields_max {
            let fix = "split the model, or simplify it (onnxsim) first";
            ("fields of the file", self.fields, self.fields_max, fix)
        } else if self.numbers > self.numbers_max {
            let fix = "store the weights as raw_data";
            (
                "bytes of packed integers",
                self.numbers,
                self.numbers_max,
                fix,
            )
        } else {
            return Ok(());
        };
        Err(OnnxError::Limit {
            what,
            value,
            max,
            fix,
        })
    }
}
