//! Python snippets that load exported files: `--python` prints them, and the tests execute them.
//!
//! Each snippet is complete except for `images`, a NumPy array of the shape and type in its first line, and
//! assigns the outputs to `logits` or `probabilities`.

use std::fmt::Write as _;

use super::{Card, ExportError};
use crate::layers::{Dense, Dropout, Layer};
use crate::model::{Activation, Spec, TorchModule};

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
pub(super) fn torch(card: &Card, import: &str, load: &str) -> Result<String, ExportError> {
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
        sequential = torch_sequential(&card.network)?,
        output = card.output,
    ))
}

/// Returns the network as `nn.Sequential(…)` in PyTorch, on several lines.
fn torch_sequential(spec: &Spec) -> Result<String, ExportError> {
    let mut text = String::from("nn.Sequential(\n");
    for module in spec.torch_modules()? {
        // Writing to a String cannot fail.
        let _ = match module {
            TorchModule::Flatten => writeln!(text, "    nn.Flatten(),"),
            TorchModule::Linear { inputs, outputs } => {
                writeln!(text, "    nn.Linear({inputs}, {outputs}),")
            }
            TorchModule::Dropout { rate } => writeln!(text, "    nn.Dropout({rate:?}),"),
            TorchModule::Activation(activation) => {
                let call = match activation {
                    Activation::Linear => "Identity()",
                    Activation::Relu => "ReLU()",
                    Activation::Gelu => "GELU()",
                    Activation::Silu => "SiLU()",
                    Activation::Tanh => "Tanh()",
                    Activation::Sigmoid => "Sigmoid()",
                    Activation::Softmax => "Softmax(dim=-1)",
                };
                writeln!(text, "    nn.{call},")
            }
        };
    }
    Ok(text + ")")
}

/// Returns the network as `keras.Sequential([…])` in Keras, on several lines.
pub(super) fn keras_sequential(spec: &Spec) -> String {
    let sizes: Vec<String> = spec.input_shape.iter().map(usize::to_string).collect();
    // A Python tuple with one element needs a comma.
    let comma = if sizes.len() == 1 { "," } else { "" };
    let shape = sizes.join(", ");
    let mut text = format!("keras.Sequential([\n    keras.Input(({shape}{comma})),\n");
    for layer in &spec.layers {
        let _ = match *layer {
            Layer::Flatten => writeln!(text, "    layers.Flatten(),"),
            Layer::Dropout(Dropout { rate }) => writeln!(text, "    layers.Dropout({rate:?}),"),
            Layer::Dense(Dense { units, activation: Activation::Linear }) => {
                writeln!(text, "    layers.Dense({units}),")
            }
            Layer::Dense(Dense { units, activation }) => {
                writeln!(text, "    layers.Dense({units}, {:?}),", activation.name())
            }
        };
    }
    text + "])"
}
