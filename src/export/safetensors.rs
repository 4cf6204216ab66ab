//! safetensors: the weights under their `nn.Sequential` names, with the card in the metadata.

use std::collections::HashMap;

use super::convert_weights::Weight;
use super::network_modules::modules;
use super::{CARD, Card, ExportError, Format, Options, python_snippet};
use crate::model::Sequential;
use crate::tensors;

pub(super) fn encode(
    model: &Sequential,
    card: &Card,
    options: Options,
) -> Result<Vec<u8>, ExportError> {
    modules(model.spec(), Format::Safetensors)?;
    let weights = Weight::all(model, options)?;
    let views = weights.iter().map(|weight| (weight.name, weight)).collect();
    // "pt" is what `safetensors.torch.save_file` writes and other readers expect.
    let metadata =
        HashMap::from([("format".to_owned(), "pt".to_owned()), (CARD.to_owned(), card.to_json()?)]);
    tensors::serialize(views, &metadata).map_err(|error| ExportError::Encode {
        format: Format::Safetensors,
        message: error.to_string(),
    })
}

pub(super) fn python(card: &Card, path: &str) -> Result<String, ExportError> {
    let import = "from safetensors.torch import load_file\n";
    python_snippet::torch(
        card,
        Format::Safetensors,
        import,
        &format!("load_file({})", python_snippet::string(path)),
    )
}
