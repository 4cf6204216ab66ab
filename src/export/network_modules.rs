//! The modules that a network consists of, as every format writes them.

use super::error::ExportError;
use super::format::Format;
use crate::layers::Module;
use crate::model::Spec;

/// Returns the modules of a network, for a format.
///
/// # Errors
/// A layer that does not say how it is written, or an invalid description.
pub(super) fn modules(spec: &Spec, format: Format) -> Result<Vec<Module>, ExportError> {
    let mut modules = Vec::new();
    for (i, (layer, input)) in spec.layers_with_inputs()?.enumerate() {
        let own = layer.kind().describe(&input).filter(|own| own.iter().all(|m| has(m, format)));
        let Some(own) = own else {
            let (layer, name) = (i + 1, layer.kind().name().to_owned());
            return Err(ExportError::Layer { format, layer, name });
        };
        modules.extend(own);
    }
    Ok(modules)
}

/// Returns whether a module says how a format writes it.
fn has(module: &Module, format: Format) -> bool {
    let is_block = !module.block.is_empty();
    let own = match format {
        Format::TorchScript => is_block || !module.script.is_empty(),
        Format::Pt2 => is_block || module.aten.is_some(),
        Format::StateDict | Format::Safetensors => !module.torch.is_empty(),
        Format::Onnx => is_block || module.onnx.is_some(),
        Format::Keras => module.keras.is_some(),
    };
    own && module.block.iter().all(|inner| has(inner, format))
}
