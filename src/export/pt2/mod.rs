//! PyTorch's exported programs: the `.pt2` file that `torch.export.load` reads.
//!
//! The file is PyTorch's "PT2 archive": a zip of stored records, with the graph as JSON and the weights as they lie in
//! memory (`torch/csrc/export/pt2_archive_constants.h`, `torch/_export/serde/schema.py`). Nothing in it is a pickle but
//! the sample inputs, which name a tensor and nothing else. The schema is that of PyTorch 2.11, which later versions
//! read.

mod graph;
mod schema;

use serde_json::{Value, json};

use super::convert_weights::Weight;
use super::network_modules::modules;
use super::torch_pickle::{self, Tensor};
use super::{CARD, Card, ExportError, Format, Options, python_snippet, torch_archive};
use crate::data::batches::SCALE;
use crate::model::Sequential;

use graph::{GraphBuilder, Role, Stored};
use schema::{Dtype, SAMPLE_BATCH, ordered};

/// The record that such an archive has and others do not, and its content.
pub(crate) const ARCHIVE_FORMAT: (&str, &[u8]) = ("archive_format", b"pt2");
/// The folder of the graphs: one record for each model, of which PyTorch calls a single one "model".
pub(crate) const MODELS: &str = "models/";
/// The folders of the values of parameters and buffers, and of constants.
pub(crate) const WEIGHTS: &str = "data/weights/";
pub(crate) const CONSTANTS: &str = "data/constants/";
/// The endings of the records that describe them, after the model's name.
pub(crate) const WEIGHTS_CONFIG: &str = "_weights_config.json";
pub(crate) const CONSTANTS_CONFIG: &str = "_constants_config.json";
/// The version of the container.
const VERSION: &[u8] = b"6\n";
/// The version of the container of the sample inputs, a file of `torch.save`.
const SAMPLE_VERSION: &[u8] = b"3\n";

/// Returns the bytes of `model`'s file. Its input is f32 [batch, …input shape], or with preprocessing u8 pixels if
/// the network takes pixels; its output is that of [`torchscript`](super::torchscript).
pub(super) fn encode(
    model: &Sequential,
    card: &Card,
    options: Options,
) -> Result<Vec<u8>, ExportError> {
    let spec = model.spec();
    let modules = modules(spec, Format::Pt2)?;
    let weights = Weight::all(model, options)?;
    let trainable = model.variables().map(|(_, tensor)| tensor.requires_grad());
    let weights: Vec<_> = weights.into_iter().zip(trainable).collect();
    let dtype = if card.takes_bytes() { Dtype::Byte } else { Dtype::Float };
    let mut graph = GraphBuilder::new(card.input_name(), dtype, &spec.input_shape);
    if card.takes_bytes() {
        graph.pixels(SCALE);
    }
    let mut all = weights.into_iter();
    graph.modules(&modules, "", &mut all);
    if options.preprocessing {
        graph.modules(&[spec.missing_activation().module()], "output.", &mut all);
    }
    let (program, stored) = graph.finish();
    let sample = sample_inputs(dtype, &spec.input_shape)?;
    archive(&program, &stored, &sample, &card.to_json()?)
}

/// Returns the records as an archive.
fn archive(
    program: &Value,
    stored: &[Stored<'_>],
    sample: &[u8],
    card: &str,
) -> Result<Vec<u8>, ExportError> {
    let (constants, weights): (Vec<_>, Vec<_>) =
        stored.iter().partition(|stored| stored.role == Role::Constant);
    let weights_config = config(&weights, "weight")?;
    let constants_config = config(&constants, "tensor")?;
    let program = serde_json::to_vec(program)?;
    let (format, content) = ARCHIVE_FORMAT;
    let mut records = vec![
        (format.to_owned(), content),
        ("archive_version".to_owned(), b"0"),
        ("byteorder".to_owned(), b"little"),
        (".data/version".to_owned(), VERSION),
        (format!("extra/{CARD}"), card.as_bytes()),
        (format!("{MODELS}model.json"), &program),
        (format!("{WEIGHTS}model{WEIGHTS_CONFIG}"), &weights_config),
        (format!("{CONSTANTS}model{CONSTANTS_CONFIG}"), &constants_config),
        ("data/sample_inputs/model.pt".to_owned(), sample),
    ];
    for (folder, prefix, list) in [(WEIGHTS, "weight", &weights), (CONSTANTS, "tensor", &constants)]
    {
        let values = list.iter().enumerate();
        records.extend(values.map(|(i, one)| (format!("{folder}{prefix}_{i}"), &one.bytes[..])));
    }
    torch_archive::encode(Format::Pt2, &records)
}

/// Returns the description of stored tensors, whose values are in the records `PREFIX_0`, `PREFIX_1` and so on. Its
/// order is that of the `state_dict`.
fn config(list: &[&Stored<'_>], prefix: &str) -> Result<Vec<u8>, ExportError> {
    let entries = list.iter().enumerate().map(|(i, stored)| {
        let entry = json!({
            "path_name": format!("{prefix}_{i}"),
            "is_param": stored.role == Role::Parameter,
            "use_pickle": false,
            "tensor_meta": stored.meta,
        });
        (&*stored.name, entry)
    });
    Ok(ordered("config", entries)?)
}

/// Returns the arguments that tools trace the program with: zeros, as a file of `torch.save`.
fn sample_inputs(dtype: Dtype, input_shape: &[usize]) -> Result<Vec<u8>, ExportError> {
    let shape: Vec<usize> =
        std::iter::once(SAMPLE_BATCH).chain(input_shape.iter().copied()).collect();
    let storage = if dtype == Dtype::Byte { "ByteStorage" } else { "FloatStorage" };
    let pickle = torch_pickle::arguments(&Tensor { storage, shape: &shape });
    let zeros = vec![0; shape.iter().product::<usize>() * dtype.size()];
    let records = [
        ("data.pkl", &pickle[..]),
        ("byteorder", b"little"),
        ("data/0", &zeros),
        ("version", SAMPLE_VERSION),
    ];
    torch_archive::encode(Format::Pt2, &records.map(|(name, content)| (name.to_owned(), content)))
}

pub(super) fn python(card: &Card, path: &str) -> String {
    format!(
        "{input}
import torch

model = torch.export.load({path}).module()
with torch.no_grad():
    {output} = model(torch.from_numpy({name}))
",
        input = python_snippet::input(card),
        name = card.input_name(),
        path = python_snippet::string(path),
        output = card.output,
    )
}
