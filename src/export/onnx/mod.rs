//! ONNX: the network as a graph for onnxruntime and others, with a dynamic batch size.
//!
//! Opset 17 and IR version 8, which onnxruntime supports since 1.12 (2022). Gelu became an operator in
//! opset 20: here it is expressed with Erf, and SiLU with Sigmoid.

mod graph;
pub(crate) mod proto;

use prost::Message as _;

use super::convert_weights::Weight;
use super::network_modules::modules;
use super::{CARD, Card, ExportError, Format, Options, python_snippet};
use crate::data::batches::SCALE;
use crate::layers::Activation;
use crate::model::{Sequential, Spec};
use crate::native::{LibtorchError, reserved};

use graph::GraphBuilder;

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
/// The largest size of the weights: the limit of a protobuf message, less room for everything else.
const MAX_BYTES: usize = i32::MAX as usize - (1 << 20);

pub(super) fn encode(
    model: &Sequential,
    card: &Card,
    options: Options,
) -> Result<Vec<u8>, ExportError> {
    let spec = model.spec();
    let found = model.summary().parameters() * if options.half { 2 } else { 4 };
    if found > MAX_BYTES {
        return Err(ExportError::TooLarge { format: Format::Onnx, max: MAX_BYTES, found });
    }
    let weights = Weight::all(model, options)?;
    let graph = graph(spec, card, options, weights)?;
    let model = proto::Model {
        ir_version: IR_VERSION,
        producer_name: "seqfit".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        opset_import: vec![proto::OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: vec![proto::Entry { key: CARD.to_owned(), value: card.to_json()? }],
    };
    let mut bytes = reserved(model.encoded_len()).map_err(LibtorchError::memory)?;
    model.encode(&mut bytes).map_err(|error| ExportError::Encode {
        format: Format::Onnx,
        message: error.to_string(),
    })?;
    Ok(bytes)
}

/// Returns the graph of the network that a file's card describes, with empty tensors for its variables.
///
/// # Errors
/// A network that cannot be built, or that the format cannot hold.
pub(crate) fn graph_of(card: &Card) -> Result<proto::Graph, ExportError> {
    let is_complete = card.network.missing_activation() == Activation::Linear;
    let preprocessing = card.takes_bytes() || card.output == "probabilities" && !is_complete;
    let half = card.weights == "float16";
    let variables = card.network.variables()?;
    let weights = variables.iter().map(|variable| {
        let shape = variable.variable.shape.clone();
        Weight { name: &variable.name, shape, half, bytes: Vec::new() }
    });
    graph(&card.network, card, Options { preprocessing, half }, weights.collect())
}

fn graph(
    spec: &Spec,
    card: &Card,
    options: Options,
    weights: Vec<Weight<'_>>,
) -> Result<proto::Graph, ExportError> {
    let modules = modules(spec, Format::Onnx)?;
    let mut weights = weights.into_iter();
    let mut graph = GraphBuilder::new(card.input_name());
    if card.takes_bytes() {
        graph.pixels(SCALE);
    }
    for module in modules {
        graph.module(&module, &mut weights);
    }
    if options.preprocessing {
        graph.module(&spec.missing_activation().module(), &mut weights);
    }
    Ok(graph.finish(&spec.input_shape, &card.output, spec.outputs()))
}

pub(super) fn python(card: &Card, path: &str) -> String {
    format!(
        "{input}
import onnxruntime

session = onnxruntime.InferenceSession({path})
({output},) = session.run(None, {{\"{name}\": {name}}})
",
        input = python_snippet::input(card),
        name = card.input_name(),
        path = python_snippet::string(path),
        output = card.output,
    )
}
