//! The fields of a protobuf message, read from the bytes one by one: as whole messages, thousands of empty ones in a
//! small file would fill the memory.

use prost::encoding::{WireType, decode_key, decode_varint};

use super::super::error::Problem;

/// The fields of a message: their numbers and contents.
pub(super) struct Fields<'a>(pub &'a [u8]);

/// The content of a field.
pub(super) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Word([u8; 4]),
    Other,
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u32, Field<'a>), Problem> {
        let (tag, kind) = decode_key(&mut self.0).map_err(damaged)?;
        let field = match kind {
            WireType::Varint => Field::Number(decode_varint(&mut self.0).map_err(damaged)?),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut self.0).map_err(damaged)?;
                Field::Bytes(self.bytes(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            WireType::ThirtyTwoBit => Field::Word(self.bytes(4)?.try_into().unwrap_or_default()),
            WireType::SixtyFourBit => self.bytes(8).map(|_| Field::Other)?,
            WireType::StartGroup | WireType::EndGroup => return Err(damaged("it has a group")),
        };
        Ok((tag, field))
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(|| {
            let message = format!("a field has {length} bytes, found {}", self.0.len());
            Problem::Cut { format: "ONNX", message }
        })?;
        self.0 = rest;
        Ok(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Reads a list of integers that is stored as one field.
pub(super) fn packed(mut bytes: &[u8]) -> impl Iterator<Item = Result<u64, Problem>> {
    std::iter::from_fn(move || {
        let number = (!bytes.is_empty()).then(|| decode_varint(&mut bytes).map_err(damaged));
        if let Some(Err(_)) = number {
            bytes = &[];
        }
        number
    })
}

/// Returns a text for display; a name that is not UTF-8 is still shown.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the name of an operator, a value or an attribute.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    str::from_utf8(bytes).map_err(|_| damaged("a name is not UTF-8"))
}

pub(super) fn damaged(message: impl ToString) -> Problem {
    Problem::Damaged { format: "ONNX", message: message.to_string() }
}
