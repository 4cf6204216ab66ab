//! How layers are written in the formats of other programs: plain data that every format reads its own part of.

/// A module of the `torch.nn.Sequential` that computes what a network does. Its number there names its variables,
/// "1.weight", here and in every file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Module {
    /// PyTorch: the call that makes it: `nn.Linear(784, 128)`; empty for one that cannot be written.
    pub torch: String,
    /// PyTorch: the definition of its class, if `torch.nn` has none.
    pub definition: Option<&'static str>,
    /// TorchScript: its output as an expression of `x` and `self.training`, in which `{weight}` stands for the
    /// variable of that name; empty for one that cannot be written.
    pub script: String,
    /// ONNX: its nodes, opset 17; an empty list for a module that is only active in training, and `None` for one that
    /// cannot be written.
    pub onnx: Option<Vec<OnnxNode>>,
    /// `torch.export`: its calls of PyTorch's operators; an empty list for a module that is only active in training,
    /// and `None` for one that cannot be written.
    pub aten: Option<Vec<AtenNode>>,
    /// Keras: the call that makes the layer: `layers.Dense(128, "relu")`; empty for a module that is part of a layer
    /// beside it, and `None` for one that cannot be written.
    pub keras: Option<String>,
    /// Keras: the definition of its class, if Keras has none.
    pub keras_definition: Option<&'static str>,
    /// Keras: the order of the axes of the pictures that the layer takes and returns.
    pub keras_axes: KerasAxes,
    /// Keras: the number of filters of each channel, where the first variable has their weights [channels · filters, 1,
    /// height, width]; 0 where it has not. Keras's kernel is then [height, width, channels, filters].
    pub depth_multiplier: usize,
    /// The modules of a stack. Then `script`, `onnx` and `aten` are not used, and `torch` is the class of the stack.
    pub block: Vec<Module>,
    /// Whether the stack is a residual block: its output is added to its input. Then `keras` is a class of stacks, too,
    /// and not a call of a layer that does what the stack does.
    pub residual: bool,
    /// The names of its variables, in the order of Keras. A kernel of Keras is the transpose of the matrix here,
    /// and [height, width, channels, filters] for the weights [filters, channels, height, width] of a convolution.
    pub variables: Vec<String>,
}

impl Module {
    /// Returns the class in [`torch`](Self::torch): `Linear`.
    pub fn torch_class(&self) -> &str {
        let class = class(&self.torch);
        class.strip_prefix("nn.").unwrap_or(class)
    }

    /// Returns the class in [`keras`](Self::keras): `Dense`.
    pub fn keras_class(&self) -> Option<&str> {
        let class = self.keras.as_deref().map(class).filter(|class| !class.is_empty())?;
        Some(class.strip_prefix("layers.").unwrap_or(class))
    }
}

fn class(call: &str) -> &str {
    call.split('(').next().unwrap_or(call)
}

/// The order of the axes of pictures in a layer of Keras, which keeps the channels last by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KerasAxes {
    /// As here: a layer that depends on the order, and not on which axis the channels are.
    #[default]
    Same,
    /// Channels last: the layer takes and returns pictures.
    Last,
    /// Channels last: the layer takes pictures and returns vectors.
    LastToVector,
    /// Any: the layer works on each value by itself.
    Any,
}

/// A node of an ONNX graph.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxNode {
    /// The operator: "Gemm".
    pub operator: &'static str,
    /// Its inputs.
    pub inputs: Vec<OnnxInput>,
    /// Its attributes.
    pub attributes: Vec<(&'static str, OnnxAttribute)>,
}

impl OnnxNode {
    /// Returns a node without attributes.
    pub fn new(operator: &'static str, inputs: impl Into<Vec<OnnxInput>>) -> Self {
        Self { operator, inputs: inputs.into(), attributes: Vec::new() }
    }

    /// Returns the same node with this attribute.
    pub fn with(mut self, name: &'static str, value: OnnxAttribute) -> Self {
        self.attributes.push((name, value));
        self
    }
}

/// An input of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum OnnxInput {
    /// The output of the node before it, or the module's input before its first node.
    Last,
    /// The module's input.
    X,
    /// A variable of the module.
    Variable(String),
    /// A number with a name, which all nodes share.
    Number(&'static str, f32),
    /// A vector.
    Numbers(Vec<f32>),
    /// Sizes, such as a shape.
    Sizes(Vec<i64>),
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum OnnxAttribute {
    /// An integer.
    Int(i64),
    /// A number.
    Float(f32),
    /// A list of integers.
    Ints(Vec<i64>),
}

/// A call of an operator of PyTorch's library "aten", as in the graphs of `torch.export`.
#[derive(Clone, Debug, PartialEq)]
pub struct AtenNode {
    /// The operator and its overload: "linear.default".
    pub operator: &'static str,
    /// Its arguments, by the names in the operator's schema.
    pub arguments: Vec<(&'static str, AtenArgument)>,
    /// The shape of its output for one sample; `None` if it is that of its input.
    pub shape: Option<Vec<usize>>,
}

impl AtenNode {
    /// Returns a node whose output has the shape of its input.
    pub fn new(
        operator: &'static str,
        arguments: impl Into<Vec<(&'static str, AtenArgument)>>,
    ) -> Self {
        Self { operator, arguments: arguments.into(), shape: None }
    }

    /// Returns the same node with an output of this shape for one sample.
    pub fn shaped(self, shape: &[usize]) -> Self {
        Self { shape: Some(shape.to_vec()), ..self }
    }
}

/// An argument of an operator.
#[derive(Clone, Debug, PartialEq)]
pub enum AtenArgument {
    /// The output of the node before it, or the module's input before its first node.
    Last,
    /// The module's input.
    X,
    /// A variable of the module.
    Variable(String),
    /// A vector with its name within the module.
    Numbers(&'static str, Vec<f32>),
    /// An integer.
    Int(i64),
    /// A number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Sizes, such as a shape.
    Sizes(Vec<i64>),
    /// No value, where an argument is optional.
    None,
}
