//! ONNX files: their tensors and texts, and the network that their graph computes.
//!
//! Fields by <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>. The graph is read as it is in the file
//! ([`graph`]), as functions of its input ([`steps`]), and as layers ([`layers`]).

mod arguments;
mod constants;
mod fields;
mod graph;
mod layers;
mod own_graph;
mod pattern;
mod pooling_function;
mod read_windows;
mod step;
mod steps;
mod tensor;
mod windows;

use std::collections::BTreeMap;

use super::Imported;
use super::described::{Described, Source};
use super::detect_format::Format;
use super::error::Problem;
use super::file_contents::ImportedTensor;
use super::model_card::{CARD, Card};
use crate::formats::MemoryBudget;

use fields::{Field, Fields, lossy, text};
use graph::Graph;
use steps::Steps;

/// Reads a file.
pub(super) fn read(bytes: &[u8]) -> Result<Imported, Problem> {
    let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::TIMES);
    let (mut graph, mut metadata, mut opset) = (Graph::default(), BTreeMap::new(), 0);
    for model in Fields(bytes) {
        match model? {
            (7, Field::Bytes(part)) => graph::add(&mut graph, part, &mut budget)?,
            // producer_name, producer_version
            (2, Field::Bytes(text)) => drop(metadata.insert("producer".to_owned(), lossy(text))),
            (3, Field::Bytes(text)) => {
                drop(metadata.insert("producer_version".to_owned(), lossy(text)))
            }
            // opset_import
            (8, Field::Bytes(set)) => {
                let (mut domain, mut version) = ("", 0);
                for field in Fields(set) {
                    match field? {
                        (1, Field::Bytes(name)) => domain = text(name)?,
                        (2, Field::Number(number)) => version = number as i64,
                        _ => {}
                    }
                }
                if ["", "ai.onnx"].contains(&domain) {
                    opset = version;
                }
            }
            // metadata_props
            (14, Field::Bytes(entry)) => {
                budget.take::<[String; 2]>(1)?;
                let (mut key, mut value) = (String::new(), String::new());
                for field in Fields(entry) {
                    match field? {
                        (1, Field::Bytes(text)) => key = lossy(text),
                        (2, Field::Bytes(text)) => value = lossy(text),
                        _ => {}
                    }
                }
                metadata.insert(key, value);
            }
            _ => {}
        }
    }
    let text = metadata.remove(CARD);
    let card = text.as_deref().and_then(|text| Card::read(text.as_bytes()));
    let own = card.as_ref().and(text.as_deref()).and_then(|text| own_graph::network(&graph, text));
    let (described, added) = match own {
        Some(own) => (Ok(own), Vec::new()),
        None => match described(&graph, opset, &mut budget) {
            Ok((described, added)) => (Ok(described), added),
            Err(Obstacle::Graph(reason)) => (Err(reason), Vec::new()),
            Err(Obstacle::Memory(problem)) => return Err(problem),
        },
    };
    let tensors = graph.tensors.into_iter().map(|tensor| tensor.tensor).chain(added).collect();
    let described = Some(described);
    Ok(Imported { card, metadata, described, ..Imported::new(Format::Onnx, tensors) })
}

/// Why there is no network: a graph that is none of seqfit's, in words, or too little memory.
enum Obstacle {
    Graph(String),
    Memory(Problem),
}

impl From<String> for Obstacle {
    fn from(reason: String) -> Self {
        Self::Graph(reason)
    }
}

/// Returns the network of a graph, and the constants of nodes that are its weights.
fn described<'a>(
    graph: &'a Graph<'a>,
    opset: i64,
    budget: &mut MemoryBudget,
) -> Result<(Described, Vec<ImportedTensor>), Obstacle> {
    let (steps, input, output) = Steps::of(graph, opset)?;
    let mut described = layers::network(&steps, input, output)?;
    described.count_memory(budget).map_err(Obstacle::Memory)?;
    // These tensors follow the initializers.
    let (mut added, first) = (Vec::new(), graph.tensors.len());
    for source in &mut described.sources {
        let Source::Tensor { tensor, .. } = source else { continue };
        let constant = step::Constant { tensor: *tensor, transposed: false };
        if *tensor < first {
            continue;
        }
        let from = &steps.constants.tensor(constant).tensor;
        let values = match &from.values {
            None => None,
            Some(values) => {
                let copy = budget.list(values.len()).map_err(|full| Obstacle::Memory(full.into()));
                let mut copy: Vec<f32> = copy?;
                copy.extend_from_slice(values);
                Some(copy)
            }
        };
        let name = steps.constants.name(constant).to_owned();
        *tensor = first + added.len();
        added.push(ImportedTensor {
            name,
            values,
            dtype: from.dtype.clone(),
            shape: from.shape.clone(),
        });
    }
    Ok((described, added))
}
