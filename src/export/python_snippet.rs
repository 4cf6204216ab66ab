//! Python snippets that load exported files: `--python` prints them, and the tests execute them.
//!
//! Each snippet is complete except for `images` or `features`, a NumPy array of the shape and type in its first
//! line, and assigns the outputs to `logits`, `probabilities` or `values`.

use std::collections::BTreeSet;

use super::network_modules::modules;
use super::{Card, ExportError, Format};
use crate::layers::Module;
use crate::model::OutputActivation;

/// Returns the comments about input and output, such as `# images: NumPy, float32 [N, 28, 28], pixels divided by 255`
/// and `# logits: float32 [N, 10], which softmax turns into probabilities`.
pub(super) fn input(card: &Card) -> String {
    let sizes: Vec<String> = card.network.input_shape.iter().map(usize::to_string).collect();
    let (dtype, values) = match (card.takes_bytes(), card.takes_pixels()) {
        (true, _) => ("uint8", ", pixels from 0 to 255".to_owned()),
        (false, true) => ("float32", format!(", pixels divided by {}", card.scale)),
        (false, false) => ("float32", String::new()),
    };
    format!(
        "# {}: NumPy, {dtype} [N, {}]{values}\n# {}: float32 [N, {}], {}",
        card.input_name(),
        sizes.join(", "),
        card.output,
        card.network.outputs(),
        meaning(card)
    )
}

/// Says how the outputs become predictions.
fn meaning(card: &Card) -> &'static str {
    let is_one_of_two = (card.network.outputs(), card.classes.len()) == (1, 2);
    match (card.output.as_str(), card.network.output, is_one_of_two) {
        ("logits", OutputActivation::Sigmoid, true) => {
            "which sigmoid turns into the probability of the second class"
        }
        ("logits", OutputActivation::Sigmoid, false) => {
            "which sigmoid turns into a probability for each label"
        }
        ("logits", ..) => "which softmax turns into the probabilities of the classes",
        ("probabilities", _, true) => "of the second class",
        ("probabilities", OutputActivation::Sigmoid, false) => "one for each label",
        ("probabilities", ..) => "one for each class",
        _ => "numbers in their own units",
    }
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
    let modules = modules(&card.network, format)?;
    let definitions = definitions(&modules, |module| module.definition);
    Ok(format!(
        "{input}
import torch
{import}from torch import nn
{definitions}
model = nn.Sequential(
{lines})
model.load_state_dict({load})
model.eval()
with torch.no_grad():
    {output} = model(torch.from_numpy({name}))
",
        input = input(card),
        name = card.input_name(),
        lines = torch_lines(&modules, 1),
        output = card.output,
    ))
}

/// Returns the definitions of classes, each once, on lines of their own.
pub(super) fn definitions(
    modules: &[Module],
    definition: fn(&Module) -> Option<&'static str>,
) -> String {
    fn collect<'a>(
        modules: &[Module],
        definition: fn(&Module) -> Option<&'a str>,
        found: &mut BTreeSet<&'a str>,
    ) {
        for module in modules {
            found.extend(definition(module));
            collect(&module.block, definition, found);
        }
    }
    let mut found = BTreeSet::new();
    collect(modules, definition, &mut found);
    found.iter().map(|text| format!("\n\n{text}\n")).collect()
}

/// Returns the modules of an `nn.Sequential(…)` in PyTorch, one a line.
fn torch_lines(modules: &[Module], depth: usize) -> String {
    let indent = "    ".repeat(depth);
    let line = |module: &Module| match module.block.is_empty() {
        true => format!("{indent}{},\n", module.torch),
        false => {
            let block = torch_lines(&module.block, depth + 1);
            format!("{indent}{}(\n{block}{indent}),\n", module.torch)
        }
    };
    modules.iter().map(line).collect()
}
