//! Tensors in an ONNX file: initializers, and the constants of nodes.

use super::super::ImportedTensor;
use super::super::dtype::Dtype;
use super::super::error::Problem;
use super::fields::{Field, Fields, damaged, lossy, packed};
use crate::formats::{MemoryBudget, Order, count};

/// Most integers of a list that is read, such as a shape.
const MOST_INTEGERS: usize = 64;

/// A tensor, and what only the graph needs of it.
#[derive(Clone)]
pub(super) struct Tensor {
    pub tensor: ImportedTensor,
    /// The values of a short list of integers or of truth values.
    pub integers: Option<Vec<i64>>,
    /// Whether its numbers are in another file.
    pub external: bool,
}

/// Reads a `TensorProto`.
pub(super) fn tensor(bytes: &[u8], budget: &mut MemoryBudget) -> Result<Tensor, Problem> {
    let (mut name, mut shape, mut kind) = (String::new(), Vec::new(), 0);
    let (mut raw, mut floats, mut external) = (None, None, false);
    let mut numbers = Vec::new();
    for field in Fields(bytes) {
        match field? {
            // dims, packed or not
            (1, Field::Number(size)) => dimension(&mut shape, size)?,
            (1, Field::Bytes(sizes)) => {
                for size in packed(sizes) {
                    dimension(&mut shape, size?)?;
                }
            }
            (2, Field::Number(number)) => kind = number,
            (4, Field::Bytes(bytes)) => floats = Some(bytes),
            // int32_data, int64_data
            (5 | 7, Field::Number(number)) => integer(&mut numbers, number),
            (5 | 7, Field::Bytes(list)) => {
                for number in packed(list) {
                    integer(&mut numbers, number?);
                }
            }
            (8, Field::Bytes(text)) => name = lossy(text),
            (9, Field::Bytes(bytes)) => raw = Some(bytes),
            // external_data, data_location
            (13, Field::Bytes(_)) | (14, Field::Number(1)) => external = true,
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
    let expected = count(&shape).ok_or_else(|| damaged(format!("shape {shape:?} is too large")))?;
    let integers = match (kind, raw) {
        (7, Some(raw)) => Some(integers(raw, i64::from_le_bytes)),
        (6, Some(raw)) => Some(integers(raw, |four| i64::from(i32::from_le_bytes(four)))),
        (9, Some(raw)) => Some(integers(raw, |[truth]| i64::from(truth))),
        (6 | 7 | 9, None) => Some(numbers),
        _ => None,
    };
    let integers = integers.filter(|list| list.len() == expected && !external);
    let data = raw.or(floats.filter(|_| dtype == Dtype::F32));
    // Numbers may be stored in a separate file, or in other fields: then they are not shown.
    let mut values = None;
    if let (Some(size), Some(data)) = (dtype.size(), data) {
        if expected.checked_mul(size) != Some(data.len()) {
            let found = data.len();
            return Err(damaged(format!("tensor {name:?} of shape {shape:?} has {found} bytes")));
        }
        values = dtype.decode(data, Order::Little, budget)?;
    }
    Ok(Tensor { tensor: ImportedTensor { name, dtype, shape, values }, integers, external })
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

/// Adds a number to a list, of which one more than the most is kept: a longer list is then not taken for a shorter one.
fn integer(list: &mut Vec<i64>, number: u64) {
    if list.len() <= MOST_INTEGERS {
        list.push(number as i64);
    }
}

fn integers<const N: usize>(raw: &[u8], number: fn([u8; N]) -> i64) -> Vec<i64> {
    let chunks = raw.as_chunks::<N>().0.iter();
    chunks.take(MOST_INTEGERS + 1).map(|&bytes| number(bytes)).collect()
}
