//! A builder of graphs whose nodes form a chain: each takes the output of the previous one.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::schema::{self, Dtype, Program};
use crate::export::convert_weights::Weight;
use crate::layers::{AtenArgument, Module};

/// The role of a stored tensor in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Parameter,
    Buffer,
    Constant,
}

/// A tensor whose values the file holds.
pub struct Stored<'a> {
    /// Its name in the `state_dict`: "1.weight".
    pub name: std::borrow::Cow<'a, str>,
    pub role: Role,
    pub meta: Value,
    pub bytes: Vec<u8>,
    /// The name of the graph's input.
    input: String,
}

pub struct GraphBuilder<'a> {
    stored: Vec<Stored<'a>>,
    nodes: Vec<Value>,
    tensor_values: Map<String, Value>,
    names: BTreeSet<String>,
    input: String,
    /// The name of the last node's output, and its shape for one sample.
    last: String,
    shape: Vec<usize>,
}

impl<'a> GraphBuilder<'a> {
    /// Creates an empty graph with an input named `input`.
    pub fn new(input: &str, dtype: Dtype, shape: &[usize]) -> Self {
        let meta = schema::batch(dtype, shape);
        Self {
            stored: Vec::new(),
            nodes: Vec::new(),
            tensor_values: Map::from_iter([(input.to_owned(), meta)]),
            names: BTreeSet::from([input.to_owned()]),
            input: input.to_owned(),
            last: input.to_owned(),
            shape: shape.to_vec(),
        }
    }

    /// Checks that the input is u8, and divides it by `scale`.
    pub fn pixels(&mut self, scale: f64) {
        let dtype = |dtype: Dtype| json!({"as_scalar_type": dtype as u8});
        let input = schema::named(&self.last);
        let name = self.unique("_assert_tensor_metadata");
        self.nodes.push(schema::node(
            &name,
            "_assert_tensor_metadata.default",
            vec![
                schema::argument("a", input.clone(), false),
                schema::argument("dtype", dtype(Dtype::Byte), true),
            ],
            Vec::new(),
        ));
        self.batch_node("to.dtype", vec![("self", input), ("dtype", dtype(Dtype::Float))]);
        let input = schema::named(&self.last);
        self.batch_node("div.Tensor", vec![("self", input), ("other", json!({"as_float": scale}))]);
    }

    /// Appends the nodes of modules, whose names begin with `prefix`, with the next of all weights.
    pub fn modules(
        &mut self,
        modules: &[Module],
        prefix: &str,
        all: &mut dyn Iterator<Item = (Weight<'a>, bool)>,
    ) {
        for (position, module) in modules.iter().enumerate() {
            let path = format!("{prefix}{position}.");
            if module.block.is_empty() {
                self.module(module, &path, all);
                continue;
            }
            let input = schema::named(&self.last);
            self.modules(&module.block, &path, all);
            if module.residual {
                let output = schema::named(&self.last);
                self.batch_node("add.Tensor", vec![("self", input), ("other", output)]);
            }
        }
    }

    fn module(
        &mut self,
        module: &Module,
        path: &str,
        all: &mut dyn Iterator<Item = (Weight<'a>, bool)>,
    ) {
        let variables: Vec<(&String, String)> = module
            .variables
            .iter()
            .zip(all)
            .map(|(name, (weight, trainable))| (name, self.variable(weight, trainable)))
            .collect();
        let x = schema::named(&self.last);
        for node in module.aten.iter().flatten() {
            if let Some(shape) = &node.shape {
                self.shape.clone_from(shape);
            }
            let arguments = node.arguments.iter().map(|(name, argument)| {
                let value = match argument {
                    AtenArgument::Last => schema::named(&self.last),
                    AtenArgument::X => x.clone(),
                    AtenArgument::Variable(name) => {
                        let found = variables.iter().find(|(own, _)| *own == name);
                        schema::named(found.map_or(name, |(_, found)| found))
                    }
                    AtenArgument::Numbers(name, values) => {
                        schema::named(&self.numbers(format!("{path}{name}"), values))
                    }
                    AtenArgument::Int(value) => json!({"as_int": value}),
                    AtenArgument::Float(value) => json!({"as_float": value}),
                    AtenArgument::Bool(value) => json!({"as_bool": value}),
                    AtenArgument::Sizes(sizes) => json!({"as_ints": sizes}),
                    AtenArgument::None => json!({"as_none": true}),
                };
                (*name, value)
            });
            let arguments = arguments.collect();
            self.batch_node(node.operator, arguments);
        }
    }

    /// Adds a parameter or buffer, and returns its name in f32; one that is stored as f16 is converted by a node.
    fn variable(&mut self, weight: Weight<'a>, trainable: bool) -> String {
        let role = if trainable { Role::Parameter } else { Role::Buffer };
        let dtype = if weight.half { Dtype::Half } else { Dtype::Float };
        let meta = schema::tensor(dtype, &weight.shape, trainable);
        let input = self.store(weight.name.into(), role, meta, weight.bytes);
        if !weight.half {
            return input;
        }
        let float = json!({"as_scalar_type": Dtype::Float as u8});
        let meta = schema::tensor(Dtype::Float, &weight.shape, false);
        self.node("to.dtype", vec![("self", schema::named(&input)), ("dtype", float)], meta)
    }

    /// Adds a vector that is not among the variables, and returns its name.
    fn numbers(&mut self, name: String, values: &[f32]) -> String {
        let meta = schema::tensor(Dtype::Float, &[values.len()], false);
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.store(name.into(), Role::Constant, meta, bytes)
    }

    /// Adds a tensor to the graph's inputs, and returns its name there.
    fn store(
        &mut self,
        name: std::borrow::Cow<'a, str>,
        role: Role,
        meta: Value,
        bytes: Vec<u8>,
    ) -> String {
        let letter = match role {
            Role::Parameter => 'p',
            Role::Buffer => 'b',
            Role::Constant => 'c',
        };
        let part = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name_part: String = name.chars().map(part).collect();
        let input = self.unique(&format!("{letter}_{name_part}"));
        self.tensor_values.insert(input.clone(), meta.clone());
        self.stored.push(Stored { name, role, meta, bytes, input: input.clone() });
        input
    }

    /// Appends a node whose output is a batch of the current shape, and the next node's input.
    fn batch_node(&mut self, operator: &str, arguments: Vec<(&str, Value)>) {
        let meta = schema::batch(Dtype::Float, &self.shape);
        self.last = self.node(operator, arguments, meta);
    }

    /// Appends a node and returns the name of its output.
    fn node(&mut self, operator: &str, arguments: Vec<(&str, Value)>, meta: Value) -> String {
        let name = self.unique(operator.split('.').next().unwrap_or(operator));
        let inputs = arguments.into_iter();
        let inputs = inputs.map(|(name, value)| schema::argument(name, value, false)).collect();
        self.nodes.push(schema::node(&name, operator, inputs, vec![schema::named(&name)]));
        self.tensor_values.insert(name.clone(), meta);
        name
    }

    /// Returns a name that the graph does not have yet.
    fn unique(&mut self, name: &str) -> String {
        let numbered = (1..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.to_owned()).chain(numbered);
        let found = free.into_iter().find(|name| !self.names.contains(name)).unwrap_or_default();
        self.names.insert(found.clone());
        found
    }

    /// Returns the program, and its tensors in the order of the network.
    pub fn finish(self) -> (Value, Vec<Stored<'a>>) {
        // Parameters, then buffers, constants and the input, as PyTorch orders them.
        let mut order: Vec<&Stored<'_>> = self.stored.iter().collect();
        order.sort_by_key(|stored| stored.role);
        let specs = order.iter().map(|stored| {
            let (arg, name) = (json!({"name": stored.input}), &stored.name);
            match stored.role {
                Role::Parameter => json!({"parameter": {"arg": arg, "parameter_name": name}}),
                Role::Buffer => {
                    json!({"buffer": {"arg": arg, "buffer_name": name, "persistent": true}})
                }
                Role::Constant => {
                    json!({"tensor_constant": {"arg": arg, "tensor_constant_name": name}})
                }
            }
        });
        let input = schema::named(&self.input);
        let inputs = order.iter().map(|stored| schema::named(&stored.input));
        let program = Program {
            inputs: inputs.chain([input.clone()]).collect(),
            input_specs: specs.chain([json!({"user_input": {"arg": input}})]).collect(),
            nodes: self.nodes,
            tensor_values: self.tensor_values,
            input: self.input,
            output: self.last,
        };
        (program.json(), self.stored)
    }
}
