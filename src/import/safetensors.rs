//! safetensors files, from any program.

use std::collections::HashMap;

use safetensors::tensor::{Dtype as Type, SafeTensors};

use super::detect_format::Format;
use super::dtype::Dtype;
use super::error::Problem;
use super::model_card::{CARD, Card};
use super::{Imported, ImportedTensor};
use crate::formats::MemoryBudget;
use crate::formats::Order;

/// Length of the field that holds the length of the header, in bytes.
const HEADER: usize = 8;

fn header_length(bytes: &[u8]) -> usize {
    let length = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    usize::try_from(length).unwrap_or(usize::MAX - HEADER).min(usize::MAX - HEADER)
}

/// Checks that the header is complete.
fn check_whole(bytes: &[u8]) -> Result<(), Problem> {
    let (length, found) = (header_length(bytes), bytes.len().saturating_sub(HEADER));
    match length <= found {
        true => Ok(()),
        false => Err(Problem::Cut {
            format: "safetensors",
            message: format!("its header has {length} bytes, found {found}"),
        }),
    }
}

/// A tensor's entry in the header.
#[derive(serde::Deserialize)]
struct Entry {
    #[serde(default)]
    data_offsets: Option<(usize, usize)>,
}

/// Returns the error for a file that ends before its last tensor.
fn cut(bytes: &[u8]) -> Option<Problem> {
    let end = HEADER + header_length(bytes);
    let header: HashMap<String, Entry> = serde_json::from_slice(bytes.get(HEADER..end)?).ok()?;
    let length = header.values().filter_map(|entry| Some(entry.data_offsets?.1)).max()?;
    let found = bytes.len() - end;
    (found < length).then(|| Problem::Cut {
        format: "safetensors",
        message: format!("its tensors have {length} bytes, found {found}"),
    })
}

/// Reads a file; the tensors in the order in which their numbers are stored in it.
pub(super) fn read(bytes: &[u8]) -> Result<Imported, Problem> {
    let damaged = |error: safetensors::SafeTensorError| Problem::Damaged {
        format: "safetensors",
        message: error.to_string(),
    };
    check_whole(bytes)?;
    let (_, header) = SafeTensors::read_metadata(bytes)
        .map_err(|error| cut(bytes).unwrap_or_else(|| damaged(error)))?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::TIMES);
    let mut tensors = Vec::new();
    for name in header.offset_keys() {
        let view = file.tensor(&name).map_err(damaged)?;
        let dtype = match view.dtype() {
            Type::F32 => Dtype::F32,
            Type::F16 => Dtype::F16,
            Type::BF16 => Dtype::BF16,
            Type::F64 => Dtype::F64,
            other => Dtype::Other(format!("{other:?}")),
        };
        let values = dtype.decode(view.data(), Order::Little, &mut budget)?;
        tensors.push(ImportedTensor { name, dtype, shape: view.shape().to_vec(), values });
    }
    let mut metadata = header.metadata().clone().unwrap_or_default();
    let card = metadata.remove(CARD).and_then(|text| Card::read(text.as_bytes()));
    let metadata = metadata.into_iter().collect();
    Ok(Imported { card, metadata, ..Imported::new(Format::Safetensors, tensors) })
}
