//! The parts of PyTorch's schema that a network needs (`torch/_export/serde/schema.py`); others are skipped.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

/// The description of the weights.
#[derive(Debug, Deserialize)]
pub(super) struct WeightsConfig {
    pub config: Entries,
}

/// Tensors in the order of the file, each name once.
#[derive(Debug)]
pub(super) struct Entries(pub Vec<(String, Entry)>);

/// A tensor and the record with its values.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub path_name: String,
    pub use_pickle: bool,
    pub tensor_meta: Option<TensorMeta>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TensorMeta {
    pub dtype: u32,
    pub sizes: Vec<Size>,
    pub strides: Vec<Size>,
    pub storage_offset: Size,
}

/// A size: a number, or an expression of symbols.
#[derive(Debug, Deserialize)]
pub(super) struct Size {
    pub as_int: Option<i64>,
}

impl Size {
    /// Returns the number.
    pub fn fixed(&self) -> Option<usize> {
        self.as_int?.try_into().ok()
    }
}

/// A program.
#[derive(Debug, Deserialize)]
pub(super) struct Program {
    pub graph_module: GraphModule,
}

#[derive(Debug, Deserialize)]
pub(super) struct GraphModule {
    pub graph: Graph,
    pub signature: Signature,
}

#[derive(Debug, Deserialize)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    pub tensor_values: HashMap<String, TensorMeta>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Node {
    /// "torch.ops.aten.linear.default"
    pub target: String,
    pub inputs: Vec<NamedArgument>,
    pub outputs: Vec<Argument>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedArgument {
    pub name: String,
    pub arg: Argument,
}

#[derive(Debug, Deserialize)]
pub(super) struct Name {
    pub name: String,
}

/// An argument: one of these, or of a kind that no known layer has.
#[derive(Debug, Deserialize)]
pub(super) struct Argument {
    pub as_none: Option<bool>,
    pub as_tensor: Option<Name>,
    pub as_int: Option<i64>,
    pub as_float: Option<f64>,
    pub as_bool: Option<bool>,
    pub as_string: Option<String>,
    pub as_ints: Option<Vec<i64>>,
    pub as_sym_ints: Option<Vec<Size>>,
}

impl Argument {
    /// Returns the name of the tensor that it is.
    pub fn tensor(&self) -> Option<&str> {
        self.as_tensor.as_ref().map(|tensor| tensor.name.as_str())
    }

    /// Returns the number.
    pub fn number(&self) -> Option<f64> {
        self.as_float.or(self.as_int.map(|number| number as f64))
    }

    /// Returns whether it is Python's `None`.
    pub fn is_none(&self) -> bool {
        self.as_none == Some(true)
    }

    /// Returns its value for a message.
    pub fn shown(&self) -> String {
        let cut = |text: &str| format!("{:?}", text.chars().take(60).collect::<String>());
        match (self.number(), self.tensor(), self.as_string.as_deref(), &self.as_ints) {
            (Some(number), ..) => number.to_string(),
            (_, Some(tensor), ..) => format!("the tensor {}", cut(tensor)),
            (_, _, Some(text), _) => cut(text),
            (.., Some(list)) => format!("{:?}", &list[..list.len().min(10)]),
            _ if self.is_none() => "None".to_owned(),
            _ => self.as_bool.map_or("of another kind".to_owned(), |value| value.to_string()),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Signature {
    pub input_specs: Vec<InputSpec>,
    pub output_specs: Vec<OutputSpec>,
}

/// An input of the graph: one of these, or of a kind that no known network has.
#[derive(Debug, Deserialize)]
pub(super) struct InputSpec {
    pub user_input: Option<UserValue>,
    pub parameter: Option<ParameterSpec>,
    pub buffer: Option<BufferSpec>,
    pub tensor_constant: Option<ConstantSpec>,
}

#[derive(Debug, Deserialize)]
pub(super) struct UserValue {
    pub arg: Argument,
}

#[derive(Debug, Deserialize)]
pub(super) struct ParameterSpec {
    pub arg: Name,
    pub parameter_name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct BufferSpec {
    pub arg: Name,
    pub buffer_name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConstantSpec {
    pub arg: Name,
    pub tensor_constant_name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct OutputSpec {
    pub user_output: Option<UserValue>,
}

/// Returns the name of a type of numbers that weights do not have.
pub(super) fn dtype_name(number: u32) -> String {
    let name = match number {
        1 => "U8",
        2 => "I8",
        3 => "I16",
        4 => "I32",
        5 => "I64",
        12 => "BOOL",
        other => return format!("type {other}"),
    };
    name.to_owned()
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;

        impl<'de> Visitor<'de> for Ordered {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries: Vec<(String, Entry)> = Vec::new();
                let mut names = std::collections::HashSet::new();
                while let Some((name, entry)) = map.next_entry::<String, Entry>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom("two tensors of one name"));
                    }
                    entries.push((name, entry));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Ordered)
    }
}
