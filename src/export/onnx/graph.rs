//! A builder of graphs whose nodes form a chain: each takes the output of the previous one.

use super::proto::{
    Attribute, AttributeType, DataType, Dimension, Graph, Node, Shape, Size, Tensor, TensorType,
    Type, ValueInfo,
};
use crate::export::weight::Weight;
use crate::model::Activation;

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

    pub fn flatten(&mut self) {
        self.then("Flatten", &[], &[("axis", 1)]);
    }

    /// Appends x Wᵀ + b.
    pub fn linear(&mut self, weight: Weight<'_>, bias: Weight<'_>) {
        let [weight, bias] = [weight, bias].map(|weight| self.parameter(weight));
        self.then("Gemm", &[&weight, &bias], &[("transB", 1)]);
    }

    pub fn activation(&mut self, activation: Activation) {
        match activation {
            Activation::Linear => {}
            Activation::Relu => self.then("Relu", &[], &[]),
            Activation::Tanh => self.then("Tanh", &[], &[]),
            Activation::Sigmoid => self.then("Sigmoid", &[], &[]),
            Activation::Softmax => self.then("Softmax", &[], &[("axis", -1)]),
            Activation::Silu => {
                let x = self.last.clone();
                self.then("Sigmoid", &[], &[]);
                self.then("Mul", &[&x], &[]);
            }
            // x (1 + erf(x / √2)) / 2, in the order that onnxruntime fuses into one operation.
            Activation::Gelu => {
                let x = self.last.clone();
                let root = self.constant("sqrt_2", std::f32::consts::SQRT_2);
                let one = self.constant("one", 1.0);
                let half = self.constant("half", 0.5);
                self.then("Div", &[&root], &[]);
                self.then("Erf", &[], &[]);
                self.then("Add", &[&one], &[]);
                self.then("Mul", &[&x], &[]);
                self.then("Mul", &[&half], &[]);
            }
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
    fn then(&mut self, operator: &str, others: &[&str], attributes: &[(&str, i64)]) {
        let input = std::iter::once(self.last.clone()).chain(others.iter().map(|&o| o.to_owned()));
        let name = format!("{}_{operator}", self.graph.node.len()).to_lowercase();
        self.last = format!("{name}_out");
        let attribute = attributes.iter().map(|&(name, i)| Attribute {
            name: name.to_owned(),
            i,
            r#type: AttributeType::Int.into(),
        });
        self.graph.node.push(Node {
            input: input.collect(),
            output: vec![self.last.clone()],
            name,
            op_type: operator.to_owned(),
            attribute: attribute.collect(),
        });
    }

    fn cast_last(&mut self) {
        self.then("Cast", &[], &[("to", DataType::Float as i64)]);
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
