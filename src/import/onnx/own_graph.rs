//! Graphs that seqfit wrote: the card in the file describes their network, with the layers that are only active in
//! training, if the graph is still the one that seqfit writes for it.

use std::collections::HashMap;

use super::super::described::{Described, Layout, Source};
use super::graph::{Attribute, Graph};
use crate::export;
use crate::export::onnx::{self, proto};

/// Returns the network of a card, if the graph computes just that.
pub(super) fn network(graph: &Graph<'_>, card: &str) -> Option<Described> {
    let card = export::Card::from_json(card).ok()?;
    let expected = onnx::graph_of(&card).ok()?;
    let tensors = graph.tensors.iter().enumerate();
    let places: HashMap<&str, usize> =
        tensors.map(|(place, tensor)| (tensor.tensor.name.as_str(), place)).collect();
    let inputs = expected.input.iter().map(|input| &input.name);
    let outputs = expected.output.iter().map(|output| &output.name);
    let is_same = graph.nodes.len() == expected.node.len()
        && graph.nodes.iter().zip(&expected.node).all(|(node, expected)| {
            node.operator == expected.op_type
                && node.domain.is_empty()
                && node.inputs == expected.input
                && node.outputs == expected.output
                && node.attributes.len() == expected.attribute.len()
                && expected.attribute.iter().all(|own| is_same(node.attribute(&own.name), own))
        })
        && graph.inputs.iter().map(|input| input.name).eq(inputs)
        && graph.outputs.iter().copied().eq(outputs)
        && graph.tensors.len() == expected.initializer.len()
        && expected.initializer.iter().all(|own| {
            let found = places.get(own.name.as_str()).map(|&place| &graph.tensors[place]);
            found.is_some_and(|found| is_same_tensor(found, own))
        });
    if !is_same {
        return None;
    }
    let spec = card.network;
    let source = |variable: &crate::model::NamedVariable| {
        let tensor = *places.get(variable.name.as_str())?;
        Some(Source::Tensor { tensor, layout: Layout::AsStored })
    };
    let sources = spec.variables().ok()?.iter().map(source).collect::<Option<_>>()?;
    // The card says what its samples are.
    Some(Described { spec, sources, features: None })
}

fn is_same(found: Option<&Attribute<'_>>, expected: &proto::Attribute) -> bool {
    match found {
        Some(Attribute::Int(i)) => {
            expected.r#type == proto::AttributeType::Int as i32 && *i == expected.i
        }
        Some(Attribute::Float(f)) => {
            expected.r#type == proto::AttributeType::Float as i32 && *f == expected.f
        }
        Some(Attribute::Ints(ints)) => {
            expected.r#type == proto::AttributeType::Ints as i32 && *ints == expected.ints
        }
        _ => false,
    }
}

/// Compares shapes, and the values of constants; those of weights are the file's.
fn is_same_tensor(found: &super::tensor::Tensor, expected: &proto::Tensor) -> bool {
    let bytes = &expected.raw_data;
    let shape = found.tensor.shape.iter().map(|&size| size as i64);
    let values = match (&found.tensor.values, &found.integers) {
        _ if bytes.is_empty() => true,
        (Some(values), _) => {
            values.iter().flat_map(|value| value.to_le_bytes()).eq(bytes.iter().copied())
        }
        (None, Some(list)) => {
            list.iter().flat_map(|value| value.to_le_bytes()).eq(bytes.iter().copied())
        }
        (None, None) => false,
    };
    values && shape.eq(expected.dims.iter().copied())
}
