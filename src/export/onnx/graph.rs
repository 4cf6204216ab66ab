//! A builder of graphs whose nodes form a chain: each takes the output of the previous one.

use super::proto::{
    Attribute, AttributeType, DataType, Dimension, Graph, Node, Shape, Size, Tensor, TensorType,
    Type, ValueInfo,
};
use crate::export::convert_weights::Weight;
use crate::layers::{Module, OnnxAttribute, OnnxInput};

pub(super) struct GraphBuilder {
    graph: Graph,
    input: String,
    /// The name of the last node's output.
    last: String,
    input_type: DataType,
}

impl GraphBuilder {
    /// Creates an empty graph with an input named `input`.
    pub fn new(input: &str) -> Self {
        Self {
            graph: Graph { name: "seqfit".to_owned(), ..Graph::default() },
            input: input.to_owned(),
            last: input.to_owned(),
            input_type: DataType::Float,
        }
    }

    /// Makes the input u8 pixels, which are divided by `scale`.
    pub fn pixels(&mut self, scale: f64) {
        self.input_type = DataType::Uint8;
        self.cast_last();
        let scale = self.constant("scale", scale as f32);
        self.then("Div", &[&scale], &[]);
    }

    /// Appends the nodes of a module, with the next of all weights for its variables.
    pub fn module<'a>(&mut self, module: &Module, all: &mut dyn Iterator<Item = Weight<'a>>) {
        let x = self.last.clone();
        if !module.block.is_empty() {
            module.block.iter().for_each(|inner| self.module(inner, all));
            if module.residual {
                self.then("Add", &[&x], &[]);
            }
            return;
        }
        let mut weights: Vec<_> = module.variables.iter().zip(all).collect();
        let mut names: Vec<(&String, String)> = Vec::new();
        for node in module.onnx.iter().flatten() {
            let mut inputs = Vec::new();
            for (i, input) in node.inputs.iter().enumerate() {
                inputs.push(match input {
                    // A variable may add a node of its own.
                    OnnxInput::Last => None,
                    OnnxInput::X => Some(x.clone()),
                    OnnxInput::Number(name, value) => Some(self.constant(name, *value)),
                    OnnxInput::Numbers(values) => Some(self.list(i, DataType::Float, values)),
                    OnnxInput::Sizes(sizes) => Some(self.list(i, DataType::Int64, sizes)),
                    OnnxInput::Variable(name) => {
                        if let Some(at) = weights.iter().position(|(own, _)| *own == name) {
                            let (_, weight) = weights.swap_remove(at);
                            names.push((name, self.parameter(weight)));
                        }
                        names.iter().find(|(own, _)| *own == name).map(|(_, found)| found.clone())
                    }
                });
            }
            let last = self.last.clone();
            let inputs = inputs.into_iter().map(|input| input.unwrap_or_else(|| last.clone()));
            let inputs = inputs.collect();
            self.node(node.operator, inputs, &node.attributes);
        }
    }

    /// Returns the graph, with an output named `output` of shape [batch, outputs].
    pub fn finish(mut self, input_shape: &[usize], output: &str, outputs: usize) -> Graph {
        if let Some(node) = self.graph.node.last_mut() {
            node.output = vec![output.to_owned()];
        }
        self.graph.input = vec![value(&self.input, self.input_type, input_shape)];
        self.graph.output = vec![value(output, DataType::Float, &[outputs])];
        self.graph
    }

    /// Appends a node whose inputs are the last node's output, followed by `others`.
    fn then(&mut self, operator: &str, others: &[&str], attributes: &[(&str, OnnxAttribute)]) {
        let input = std::iter::once(self.last.clone()).chain(others.iter().map(|&o| o.to_owned()));
        self.node(operator, input.collect(), attributes);
    }

    /// Appends a node.
    fn node(&mut self, operator: &str, input: Vec<String>, attributes: &[(&str, OnnxAttribute)]) {
        let name = format!("{}_{operator}", self.graph.node.len()).to_lowercase();
        self.last = format!("{name}_out");
        let attribute = attributes.iter().map(|(name, value)| {
            let (r#type, i, f, ints) = match value {
                OnnxAttribute::Int(i) => (AttributeType::Int, *i, 0.0, Vec::new()),
                OnnxAttribute::Float(f) => (AttributeType::Float, 0, *f, Vec::new()),
                OnnxAttribute::Ints(ints) => (AttributeType::Ints, 0, 0.0, ints.clone()),
            };
            Attribute { name: (*name).to_owned(), f, i, ints, r#type: r#type.into() }
        });
        self.graph.node.push(Node {
            input,
            output: vec![self.last.clone()],
            name,
            op_type: operator.to_owned(),
            attribute: attribute.collect(),
        });
    }

    fn cast_last(&mut self) {
        self.then("Cast", &[], &[("to", OnnxAttribute::Int(DataType::Float as i64))]);
    }

    /// Adds a parameter and returns its name in f32; one that is stored as f16 is cast by a node.
    fn parameter(&mut self, weight: Weight<'_>) -> String {
        let name = weight.name.to_owned();
        let data_type = if weight.half { DataType::Float16 } else { DataType::Float };
        self.graph.initializer.push(Tensor {
            dims: weight.shape.iter().map(|&size| size as i64).collect(),
            data_type: data_type.into(),
            name: name.clone(),
            raw_data: weight.bytes,
        });
        if !weight.half {
            return name;
        }
        let before = std::mem::replace(&mut self.last, name);
        self.cast_last();
        std::mem::replace(&mut self.last, before)
    }

    /// Adds a list of numbers for the next node's input number `input`, and returns its name.
    fn list<T: bytemuck::NoUninit>(
        &mut self,
        input: usize,
        data_type: DataType,
        values: &[T],
    ) -> String {
        let name = format!("{}_input_{input}", self.graph.node.len());
        self.graph.initializer.push(Tensor {
            dims: vec![values.len() as i64],
            data_type: data_type.into(),
            name: name.clone(),
            raw_data: bytemuck::cast_slice(values).to_vec(),
        });
        name
    }

    /// Adds a scalar, unless it exists, and returns its name.
    fn constant(&mut self, name: &str, value: f32) -> String {
        if !self.graph.initializer.iter().any(|tensor| tensor.name == name) {
            self.graph.initializer.push(Tensor {
                dims: Vec::new(),
                data_type: DataType::Float.into(),
                name: name.to_owned(),
                raw_data: value.to_le_bytes().to_vec(),
            });
        }
        name.to_owned()
    }
}

/// Returns the description of a tensor with a batch of samples of this shape.
fn value(name: &str, data_type: DataType, sample: &[usize]) -> ValueInfo {
    let sizes = sample.iter().map(|&size| Size::Value(size as i64));
    let batch = Size::Name("batch".to_owned());
    let dim = std::iter::once(batch).chain(sizes).map(|size| Dimension { size: Some(size) });
    let shape = Some(Shape { dim: dim.collect() });
    let tensor_type = Some(TensorType { elem_type: data_type.into(), shape });
    ValueInfo { name: name.to_owned(), r#type: Some(Type { tensor_type }) }
}
