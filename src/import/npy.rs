//! Weights as NumPy's arrays: `.npy` records in a `.npz` archive.

use super::detect_format::Format;
use super::dtype::Dtype;
use super::error::Problem;
use super::model_card::{CARD, Card};
use super::{Imported, ImportedTensor};
use crate::formats::npy::{Header, by_rows};
use crate::formats::{Archive, MemoryBudget, count};

/// Reads an archive of arrays, from any writer.
pub(super) fn read_npz(bytes: &[u8]) -> Result<Imported, Problem> {
    let mut archive = Archive::open(bytes)?;
    let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::PACKED);
    let names: Vec<String> = archive.names().map(ToOwned::to_owned).collect();
    let (mut tensors, mut card) = (Vec::new(), None);
    for record in names {
        if let Some(name) = record.strip_suffix(".npy") {
            let bytes = archive.read(&record, &mut budget)?;
            tensors.push(array(name, &bytes, &mut budget)?);
        } else if record == CARD {
            card = Card::read(&archive.read(&record, &mut budget)?);
        } else if !record.ends_with('/') {
            let message =
                format!("record {record:?}, which is not an array: save the arrays alone");
            return Err(Problem::Unsupported { format: ".npz", message });
        }
    }
    Ok(Imported { card, ..Imported::new(Format::Npz, tensors) })
}

fn array(name: &str, bytes: &[u8], budget: &mut MemoryBudget) -> Result<ImportedTensor, Problem> {
    let damaged = |message: String| Problem::Damaged {
        format: ".npz",
        message: format!("array {name:?}: {message}"),
    };
    let (header, data) = Header::read(bytes).map_err(|rule| damaged(rule.to_owned()))?;
    let Header { descr, order, fortran, shape } = header;
    let dtype = dtype(descr);
    let numbers = count(&shape).unwrap_or(usize::MAX);
    if let Some(size) = dtype.size()
        && numbers.checked_mul(size) != Some(data.len())
    {
        let found = data.len();
        return Err(damaged(format!(
            "{numbers} numbers of {size} bytes are needed, found {found} bytes"
        )));
    }
    let mut values = dtype.decode(data, order, budget)?;
    if let (Some(columns), true, 2..) = (&values, fortran, shape.len()) {
        values = Some(by_rows(columns, &shape, budget)?);
    }
    Ok(ImportedTensor { name: name.to_owned(), dtype, shape, values })
}

/// Returns the type of the numbers, which NumPy names like `<f4`.
fn dtype(descr: String) -> Dtype {
    match &descr[..] {
        "<f2" | ">f2" => Dtype::F16,
        "<f4" | ">f4" => Dtype::F32,
        "<f8" | ">f8" => Dtype::F64,
        _ => Dtype::Other(descr),
    }
}
