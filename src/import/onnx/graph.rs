//! The nodes, inputs and outputs of an ONNX file's graph, as they are in the file.
//!
//! Fields by <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

use super::super::error::Problem;
use super::fields::{Field, Fields, damaged, packed, text};
use super::tensor::{Tensor, tensor};
use crate::formats::MemoryBudget;

/// A graph. Its texts are those of the file.
#[derive(Default)]
pub(super) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub tensors: Vec<Tensor>,
    pub inputs: Vec<Input<'a>>,
    pub outputs: Vec<&'a str>,
    /// Whether it has tensors that are stored as lists of their nonzero values.
    pub sparse: bool,
}

/// A node: an operator with its inputs and outputs.
#[derive(Default)]
pub(super) struct Node<'a> {
    pub operator: &'a str,
    pub name: &'a str,
    /// The set of operators, empty for ONNX's own.
    pub domain: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<(&'a str, Attribute<'a>)>,
}

/// The value of an attribute.
pub(super) enum Attribute<'a> {
    Float(f32),
    Int(i64),
    Text(&'a [u8]),
    Tensor(Box<Tensor>),
    Ints(Vec<i64>),
    /// Graphs, and lists of other values.
    Other,
}

/// An input of the graph.
#[derive(Default)]
pub(super) struct Input<'a> {
    pub name: &'a str,
    /// The number of its type: 1 for f32, 2 for u8, 11 for f64.
    pub kind: u64,
    /// Its sizes, the batch first, if the file has a shape; none for a size that has only a name.
    pub shape: Option<Vec<Option<usize>>>,
}

impl<'a> Node<'a> {
    /// Returns the attribute with this name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

/// Reads a `GraphProto`, adding to one: a message may be stored in parts.
pub(super) fn add<'a>(
    graph: &mut Graph<'a>,
    bytes: &'a [u8],
    budget: &mut MemoryBudget,
) -> Result<(), Problem> {
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(bytes)) => {
                budget.take::<Node<'_>>(1)?;
                graph.nodes.push(node(bytes, budget)?);
            }
            (5, Field::Bytes(bytes)) => {
                budget.take::<Tensor>(1)?;
                graph.tensors.push(tensor(bytes, budget)?);
            }
            (11, Field::Bytes(bytes)) => {
                budget.take::<Input<'_>>(1)?;
                graph.inputs.push(input(bytes, budget)?);
            }
            (12, Field::Bytes(bytes)) => {
                budget.take::<&str>(1)?;
                graph.outputs.push(input(bytes, budget)?.name);
            }
            (15, Field::Bytes(_)) => graph.sparse = true,
            _ => {}
        }
    }
    Ok(())
}

fn node<'a>(bytes: &'a [u8], budget: &mut MemoryBudget) -> Result<Node<'a>, Problem> {
    let mut node = Node::default();
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(name)) => {
                budget.take::<&str>(1)?;
                node.inputs.push(text(name)?);
            }
            (2, Field::Bytes(name)) => {
                budget.take::<&str>(1)?;
                node.outputs.push(text(name)?);
            }
            (3, Field::Bytes(name)) => node.name = text(name)?,
            (4, Field::Bytes(name)) => node.operator = text(name)?,
            (5, Field::Bytes(bytes)) => {
                budget.take::<(&str, Attribute<'_>)>(1)?;
                node.attributes.push(attribute(bytes, budget)?);
            }
            (7, Field::Bytes(name)) => node.domain = text(name)?,
            _ => {}
        }
    }
    Ok(node)
}

fn attribute<'a>(
    bytes: &'a [u8],
    budget: &mut MemoryBudget,
) -> Result<(&'a str, Attribute<'a>), Problem> {
    let (mut name, mut kind) = ("", None);
    let (mut float, mut int, mut string, mut constant) = (0.0, 0, &[][..], None);
    let mut ints = Vec::new();
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(own)) => name = text(own)?,
            (2, Field::Word(bytes)) => float = f32::from_le_bytes(bytes),
            (3, Field::Number(number)) => int = number as i64,
            (4, Field::Bytes(bytes)) => string = bytes,
            (5, Field::Bytes(bytes)) => {
                budget.take::<Tensor>(1)?;
                constant = Some(Box::new(tensor(bytes, budget)?));
            }
            (8, Field::Number(number)) => add_int(&mut ints, number, budget)?,
            (8, Field::Bytes(list)) => {
                for number in packed(list) {
                    add_int(&mut ints, number?, budget)?;
                }
            }
            (20, Field::Number(number)) => kind = Some(number),
            _ => {}
        }
    }
    let value = match (kind, constant) {
        (Some(1), _) => Attribute::Float(float),
        (Some(2), _) => Attribute::Int(int),
        (Some(3), _) => Attribute::Text(string),
        (Some(4), Some(constant)) => Attribute::Tensor(constant),
        (Some(7), _) => Attribute::Ints(ints),
        _ => Attribute::Other,
    };
    Ok((name, value))
}

fn add_int(list: &mut Vec<i64>, number: u64, budget: &mut MemoryBudget) -> Result<(), Problem> {
    budget.take::<i64>(1)?;
    if list.len() >= 64 {
        return Err(damaged("an attribute has at most 64 integers"));
    }
    list.push(number as i64);
    Ok(())
}

/// Reads a `ValueInfoProto`.
fn input<'a>(bytes: &'a [u8], budget: &mut MemoryBudget) -> Result<Input<'a>, Problem> {
    let mut input = Input::default();
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(name)) => input.name = text(name)?,
            // type.tensor_type
            (2, Field::Bytes(bytes)) => {
                for field in Fields(bytes) {
                    if let (1, Field::Bytes(bytes)) = field? {
                        tensor_type(bytes, &mut input, budget)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(input)
}

fn tensor_type(
    bytes: &[u8],
    input: &mut Input<'_>,
    budget: &mut MemoryBudget,
) -> Result<(), Problem> {
    for field in Fields(bytes) {
        match field? {
            (1, Field::Number(number)) => input.kind = number,
            (2, Field::Bytes(bytes)) => {
                let mut shape = Vec::new();
                for field in Fields(bytes) {
                    let (1, Field::Bytes(dimension)) = field? else { continue };
                    if shape.len() >= 64 {
                        return Err(damaged("an input has at most 64 sizes"));
                    }
                    budget.take::<Option<usize>>(1)?;
                    let mut size = None;
                    for field in Fields(dimension) {
                        if let (1, Field::Number(number)) = field? {
                            size = usize::try_from(number).ok();
                        }
                    }
                    shape.push(size);
                }
                input.shape = Some(shape);
            }
            _ => {}
        }
    }
    Ok(())
}
