//! safetensors files, of any program's.

use safetensors::tensor::{Dtype as Type, SafeTensors};

use super::allowance::Allowance;
use super::card::{CARD, Card};
use super::error::Problem;
use super::format::Format;
use super::numbers::{Dtype, Order};
use super::{Imported, ImportedTensor};

/// Reads a file; the tensors in the order in which their numbers lie in it.
pub(super) fn read(bytes: &[u8]) -> Result<Imported, Problem> {
    let damaged = |error: safetensors::SafeTensorError| Problem::Damaged {
        format: "safetensors",
        message: error.to_string(),
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut allowance = Allowance::new(bytes.len(), Allowance::TIMES);
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
        let values = dtype.decode(view.data(), Order::Little, &mut allowance)?;
        tensors.push(ImportedTensor { name, dtype, shape: view.shape().to_vec(), values });
    }
    let mut metadata = header.metadata().clone().unwrap_or_default();
    let card = metadata.remove(CARD).and_then(|text| Card::read(text.as_bytes()));
    let metadata = metadata.into_iter().collect();
    Ok(Imported { format: Format::Safetensors, tensors, card, stranger: None, metadata })
}
