//! Python snippets that load exported files: `--python` prints them, and the tests execute them.
//!
//! Each snippet is complete except for `images`, a NumPy array of the shape and type in its first line, and
//! assigns the outputs to `logits` or `probabilities`.

use std::fmt::Write as _;

use super::modules::modules;
use super::{Card, ExportError, Format};
use crate::layers::Module;

/// Returns a comment such as `# images: NumPy, float32 [N, 28, 28], pixels divided by 255`.
pub(super) fn images(card: &Card) -> String {
    let sizes: Vec<String> = card.network.input_shape.iter().map(usize::to_string).collect();
    let (dtype, pixels) = match card.input.as_ref().is_some_and(|input| input.dtype == "uint8") {
        true => ("uint8", "pixels from 0 to 255".to_owned()),
        false => ("float32", format!("pixels divided by {}", card.scale)),
    };
    format!("# images: NumPy, {dtype} [N, {}], {pixels}", sizes.join(", "))
}

/// Returns a Python string literal; JSON strings are valid ones.
pub(super) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the lines that build the network as `nn.Sequential` and load the state dict that the expression
/// `load` returns.
///
/// # Errors
/// An invalid description.
pub(super) fn torch(
    card: &Card,
    format: Format,
    import: &str,
    load: &str,
) -> Result<String, ExportError> {
    Ok(format!(
        "{images}
import torch
{import}from torch import nn

model = {sequential}
model.load_state_dict({load})
model.eval()
with torch.no_grad():
    {output} = model(torch.from_numpy(images))
",
        images = images(card),
        sequential = torch_sequential(&modules(&card.network, format)?),
        output = card.output,
    ))
}

/// Returns the network as `nn.Sequential(…)` in PyTorch, on several lines.
fn torch_sequential(modules: &[Module]) -> String {
    let lines = modules.iter().map(|module| format!("    nn.{},\n", module.torch));
    format!("nn.Sequential(\n{})", lines.collect::<String>())
}

/// Returns the network as `keras.Sequential([…])` in Keras, on several lines.
///
/// # Errors
/// A layer that does not say how it is written.
pub(super) fn keras_sequential(card: &Card) -> Result<String, ExportError> {
    let sizes: Vec<String> = card.network.input_shape.iter().map(usize::to_string).collect();
    // A Python tuple with one element needs a comma.
    let comma = if sizes.len() == 1 { "," } else { "" };
    let shape = sizes.join(", ");
    let mut text = format!("keras.Sequential([\n    keras.Input(({shape}{comma})),\n");
    for module in modules(&card.network, Format::Keras)? {
        if let Some(layer) = module.keras {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    layers.{layer},");
        }
    }
    Ok(text + "])")
}
