//! The tensors and texts of an ONNX file, for inspection; its graph is not read.
//!
//! Fields by <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>. They are read from the bytes one
//! by one: as whole messages, thousands of empty ones in a small file would fill the memory.

use std::collections::BTreeMap;

use prost::encoding::{WireType, decode_key, decode_varint};

use super::detect_format::Format;
use super::dtype::Dtype;
use super::error::Problem;
use super::model_card::{CARD, Card};
use super::{Imported, ImportedTensor};
use crate::formats::MemoryBudget;
use crate::formats::{Order, count};

/// Reads a file.
pub(super) fn read(bytes: &[u8]) -> Result<Imported, Problem> {
    let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::TIMES);
    let (mut tensors, mut metadata) = (Vec::new(), BTreeMap::new());
    for model in Fields(bytes) {
        match model? {
            // graph
            (7, Field::Bytes(graph)) => {
                for field in Fields(graph) {
                    // initializer
                    if let (5, Field::Bytes(tensor)) = field? {
                        budget.take::<ImportedTensor>(1)?;
                        tensors.push(initializer(tensor, &mut budget)?);
                    }
                }
            }
            // producer_name, producer_version
            (2, Field::Bytes(text)) => drop(metadata.insert("producer".to_owned(), lossy(text))),
            (3, Field::Bytes(text)) => {
                drop(metadata.insert("producer_version".to_owned(), lossy(text)))
            }
            // metadata_props
            (14, Field::Bytes(entry)) => {
                budget.take::<[String; 2]>(1)?;
                let (mut key, mut value) = (String::new(), String::new());
                for field in Fields(entry) {
                    match field? {
                        (1, Field::Bytes(text)) => key = lossy(text),
                        (2, Field::Bytes(text)) => value = lossy(text),
                        _ => {}
                    }
                }
                metadata.insert(key, value);
            }
            _ => {}
        }
    }
    let card = metadata.remove(CARD).and_then(|text| Card::read(text.as_bytes()));
    Ok(Imported { card, metadata, ..Imported::new(Format::Onnx, tensors) })
}

fn initializer(bytes: &[u8], budget: &mut MemoryBudget) -> Result<ImportedTensor, Problem> {
    let (mut name, mut shape, mut kind) = (String::new(), Vec::new(), 0);
    let (mut raw, mut floats) = (None, None);
    for field in Fields(bytes) {
        match field? {
            // dims, packed or not
            (1, Field::Number(size)) => dimension(&mut shape, size)?,
            (1, Field::Bytes(mut sizes)) => {
                while !sizes.is_empty() {
                    let size = decode_varint(&mut sizes).map_err(damaged)?;
                    dimension(&mut shape, size)?;
                }
            }
            (2, Field::Number(number)) => kind = number,
            (4, Field::Bytes(bytes)) => floats = Some(bytes),
            (8, Field::Bytes(text)) => name = lossy(text),
            (9, Field::Bytes(bytes)) => raw = Some(bytes),
            _ => {}
        }
    }
    let dtype = match kind {
        1 => Dtype::F32,
        10 => Dtype::F16,
        11 => Dtype::F64,
        16 => Dtype::BF16,
        7 => Dtype::Other("I64".to_owned()),
        other => Dtype::Other(format!("ONNX type {other}")),
    };
    let numbers = count(&shape).ok_or_else(|| damaged(format!("shape {shape:?} is too large")))?;
    let data = raw.or(floats.filter(|_| dtype == Dtype::F32));
    // Numbers may be stored in a separate file, or in other fields: then they are not shown.
    let mut values = None;
    if let (Some(size), Some(data)) = (dtype.size(), data) {
        if numbers.checked_mul(size) != Some(data.len()) {
            let found = data.len();
            return Err(damaged(format!("tensor {name:?} of shape {shape:?} has {found} bytes")));
        }
        values = dtype.decode(data, Order::Little, budget)?;
    }
    Ok(ImportedTensor { name, dtype, shape, values })
}

fn dimension(shape: &mut Vec<usize>, size: u64) -> Result<(), Problem> {
    match usize::try_from(size) {
        Ok(size) if shape.len() < 64 => {
            shape.push(size);
            Ok(())
        }
        _ => Err(damaged("a tensor has at most 64 sizes")),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The fields of a message: their numbers and contents.
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
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
            WireType::ThirtyTwoBit => self.bytes(4).map(|_| Field::Other)?,
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

fn damaged(message: impl ToString) -> Problem {
    Problem::Damaged { format: "ONNX", message: message.to_string() }
}
