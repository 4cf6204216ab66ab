//! The steps that the nodes of a graph apply to its input: the operators that a chain of layers can have.
//!
//! Every value that depends on the input is a step applied to another such value. A residual block is found where two
//! of them are added and one was computed from the other.

use std::collections::HashMap;

use super::super::affine::Arithmetic;
use super::super::tensor_roles::shown;
use super::arguments::Arguments;
use super::constants::Constants;
use super::graph::{Attribute, Graph, Input, Node};
use super::pattern;
use super::pooling_function::PoolingFunction;
use super::read_windows;
use super::step::{Item, Part, Step, Value};
use crate::layers::Activation;

/// Most values that depend on the input: the steps to a value are followed back for each sum of two.
const MOST: usize = 1 << 12;

/// The values of a graph.
pub(super) struct Steps<'a> {
    pub constants: Constants<'a>,
    pub values: Vec<Value>,
    /// The version of ONNX's operators.
    opset: i64,
}

impl<'a> Steps<'a> {
    /// Follows the nodes of a graph; also returns its input, and the index of its output.
    ///
    /// # Errors
    /// The node that no layer computes, or what else is no chain of layers, in words.
    pub fn of(graph: &'a Graph<'a>, opset: i64) -> Result<(Self, &'a Input<'a>, usize), String> {
        if graph.sparse {
            return Err("it has sparse tensors".to_owned());
        }
        let (constants, mut names) = Constants::of(&graph.tensors);
        let inputs = graph.inputs.iter().filter(|input| !names.contains_key(input.name));
        let inputs: Vec<&Input<'_>> = inputs.collect();
        let (&[input], &[output]) = (&inputs[..], &graph.outputs[..]) else {
            let (inputs, outputs) = (inputs.len(), graph.outputs.len());
            return Err(format!(
                "it has {inputs} inputs and {outputs} outputs, one of each is read"
            ));
        };
        let input_value =
            Value { from: 0, step: Step::Part(Part::Input), node: "its input".to_owned() };
        let mut steps = Self { constants, values: vec![input_value], opset };
        names.insert(input.name, Item::Value(0));
        for node in &graph.nodes {
            let at = |reason: String| format!("{}, {reason}", described(node));
            let found = steps.node(node, &names).map_err(at)?;
            let name = node.outputs.first().copied().unwrap_or("");
            if name.is_empty() || names.insert(name, found).is_some() {
                return Err(at("which makes no output of its own".to_owned()));
            }
            if steps.values.len() > MOST {
                return Err(format!("it has more than {MOST} steps"));
            }
        }
        match names.get(output) {
            Some(&Item::Value(output)) => Ok((steps, input, output)),
            _ => Err(format!("its output {} does not depend on its input", shown(output))),
        }
    }

    /// Returns what a node makes.
    fn node(&mut self, node: &'a Node<'a>, names: &HashMap<&str, Item>) -> Result<Item, String> {
        if !["", "ai.onnx"].contains(&node.domain) {
            return Err(format!("which is an operator of {}", shown(node.domain)));
        }
        let arguments = Arguments::of(node, names)?;
        let x = arguments.first();
        let step = match node.operator {
            "Constant" => return self.constants.add(node).map(Item::Constant),
            "Identity" => return x,
            "Cast" => return self.cast(&arguments),
            "Transpose" => return self.constants.transposed(&arguments).map(Item::Constant),
            "Add" => return self.arithmetic(Arithmetic::Add, &arguments, node),
            "Sub" => return self.arithmetic(Arithmetic::Sub, &arguments, node),
            "Mul" => return self.arithmetic(Arithmetic::Mul, &arguments, node),
            "Div" => return self.arithmetic(Arithmetic::Div, &arguments, node),
            "Where" => return self.chosen(&arguments),
            "MatMul" => {
                arguments.only(&[])?;
                Step::Dense { weight: arguments.constant(1)?.turned(), bias: None }
            }
            "Gemm" => self.gemm(&arguments)?,
            "Conv" => {
                let windows = read_windows::windows(&arguments, &["group"])?;
                let (weight, bias) = (arguments.constant(1)?, arguments.optional(2)?);
                let groups = usize::try_from(arguments.int("group", 1)?).unwrap_or(0);
                Step::Convolution { weight, bias, groups, windows }
            }
            "MaxPool" => self.pooling(PoolingFunction::Max, &arguments)?,
            "AveragePool" => self.pooling(PoolingFunction::Average, &arguments)?,
            "GlobalMaxPool" | "GlobalAveragePool" => {
                arguments.only(&[])?;
                let is_max = node.operator == "GlobalMaxPool";
                let (max, average) = (PoolingFunction::Max, PoolingFunction::Average);
                Step::GlobalPooling(if is_max { max } else { average })
            }
            "ReduceMean" => self.whole_picture(PoolingFunction::Average, &arguments)?,
            "ReduceMax" => self.whole_picture(PoolingFunction::Max, &arguments)?,
            "Pad" => self.zero_padding(&arguments)?,
            "BatchNormalization" => {
                arguments.only(&["epsilon", "momentum", "training_mode", "spatial"])?;
                arguments.int_is("training_mode", 0, 0)?;
                arguments.int_is("spatial", 1, 1)?;
                let [a, b, c, d] = [1, 2, 3, 4].map(|i| arguments.constant(i));
                let epsilon = arguments.number("epsilon", 1e-5)?;
                let momentum = arguments.number("momentum", 0.9)?;
                Step::BatchNormalization { variables: [a?, b?, c?, d?], epsilon, momentum }
            }
            "LayerNormalization" => {
                arguments.only(&["axis", "epsilon", "stash_type"])?;
                arguments.int_is("axis", -1, -1)?;
                let bias = arguments.optional(2)?;
                let epsilon = arguments.number("epsilon", 1e-5)?;
                Step::LayerNormalization { weight: arguments.constant(1)?, bias, epsilon }
            }
            "PRelu" => Step::PRelu(arguments.constant(1)?),
            "Dropout" => self.dropout(&arguments)?,
            "Flatten" => {
                arguments.int_is("axis", 1, 1)?;
                Step::Flatten
            }
            "Reshape" => {
                arguments.only(&["allowzero"])?;
                self.constants.check_inside(arguments.constant(1)?)?;
                let sizes = self.constants.integers(arguments.constant(1)?);
                let sizes = sizes.ok_or("whose shape is not a short list of sizes")?;
                if arguments.int("allowzero", 0)? != 0 && sizes.contains(&0) {
                    return Err("which allows sizes of 0".to_owned());
                }
                Step::Reshape(sizes.to_vec())
            }
            "Erf" => Step::Part(Part::Erf),
            "Greater" if self.constants.scalar(arguments.constant(1)?) == Some(20.0) => {
                Step::Part(Part::Above20)
            }
            _ => Step::Activation(arguments.activation(self.opset)?),
        };
        match x? {
            Item::Value(from) => Ok(self.then(from, step, node)),
            Item::Constant(_) => Err("which is applied to a constant".to_owned()),
        }
    }

    fn then(&mut self, from: usize, step: Step, node: &Node<'_>) -> Item {
        self.values.push(Value { from, step, node: described(node) });
        Item::Value(self.values.len() - 1)
    }

    fn gemm(&self, arguments: &Arguments<'_>) -> Result<Step, String> {
        arguments.only(&["alpha", "beta", "transA", "transB"])?;
        arguments.int_is("transA", 0, 0)?;
        let bias = arguments.optional(2)?;
        let factors = [arguments.number("alpha", 1.0)?, arguments.number("beta", 1.0)?];
        if factors[0] != 1.0 || bias.is_some() && factors[1] != 1.0 {
            return Err("whose alpha and beta are not 1".to_owned());
        }
        let weight = arguments.constant(1)?;
        let weight = if arguments.int("transB", 0)? == 0 { weight.turned() } else { weight };
        Ok(Step::Dense { weight, bias })
    }

    fn pooling(
        &self,
        function: PoolingFunction,
        arguments: &Arguments<'_>,
    ) -> Result<Step, String> {
        let further = ["ceil_mode", "count_include_pad", "storage_order"];
        let windows = read_windows::windows(arguments, &further)?;
        arguments.int_is("ceil_mode", 0, 0)?;
        arguments.int_is("storage_order", 0, 0)?;
        let counts_padding = arguments.int("count_include_pad", 0)? != 0;
        Ok(Step::Pooling { function, windows, counts_padding })
    }

    /// A mean or maximum over height and width.
    fn whole_picture(
        &self,
        function: PoolingFunction,
        arguments: &Arguments<'_>,
    ) -> Result<Step, String> {
        arguments.only(&["axes", "keepdims", "noop_with_empty_axes"])?;
        let given = arguments.optional(1)?.and_then(|axes| self.constants.integers(axes));
        match arguments.ints("axes")?.or(given) {
            Some([2, 3] | [-2, -1]) => Ok(Step::GlobalPooling(function)),
            axes => Err(format!("whose axes are {axes:?}, only height and width are read")),
        }
    }

    fn zero_padding(&self, arguments: &Arguments<'_>) -> Result<Step, String> {
        arguments.only(&["mode"])?;
        if !matches!(arguments.attribute("mode"), None | Some(Attribute::Text(b"constant"))) {
            return Err("which pads with something else than zeros".to_owned());
        }
        let zero = arguments.optional(2)?.is_none_or(|it| self.constants.scalar(it) == Some(0.0));
        let sides = self.constants.integers(arguments.constant(1)?);
        match (zero, sides, arguments.optional(3)?) {
            (true, Some(&[0, 0, top, left, 0, 0, bottom, right]), None) => {
                let sides = [[top, bottom], [left, right]];
                let sides = sides.map(|axis| axis.map(|size| usize::try_from(size).ok()));
                let [[Some(a), Some(b)], [Some(c), Some(d)]] = sides else {
                    return Err("whose pads are below 0".to_owned());
                };
                Ok(Step::ZeroPadding([[a, b], [c, d]]))
            }
            _ => Err("which pads something else than height and width with zeros".to_owned()),
        }
    }

    fn dropout(&self, arguments: &Arguments<'_>) -> Result<Step, String> {
        arguments.only(&["ratio", "seed"])?;
        let in_training = arguments.optional(2)?;
        let in_training = in_training.map(|constant| self.constants.integers(constant));
        if !matches!(in_training, None | Some(Some([0]))) {
            return Err("which is active".to_owned());
        }
        let rate = match arguments.optional(1)? {
            Some(ratio) => self.constants.scalar(ratio).ok_or("whose ratio is not known")?,
            None => arguments.number("ratio", 0.5)?,
        };
        Ok(Step::Dropout(rate))
    }

    /// Numbers are f32 after a cast, whatever type the file stores them in.
    fn cast(&self, arguments: &Arguments<'_>) -> Result<Item, String> {
        match (arguments.first()?, arguments.int("to", 0)?) {
            (Item::Value(x), 1) => Ok(Item::Value(x)),
            (Item::Constant(x), 1 | 10 | 11 | 16) if self.constants.is_float(x) => {
                Ok(Item::Constant(x))
            }
            (_, to) => Err(format!("which casts to ONNX type {to}")),
        }
    }

    fn arithmetic(
        &mut self,
        operator: Arithmetic,
        arguments: &Arguments<'_>,
        node: &Node<'_>,
    ) -> Result<Item, String> {
        use Arithmetic::{Add, Mul};
        arguments.only(&[])?;
        let (x, constant) = match (arguments.item(0)?, arguments.item(1)?) {
            (Item::Value(x), Item::Value(y)) => return self.combined(operator, x, y, node),
            (Item::Value(x), Item::Constant(constant)) => (x, constant),
            (Item::Constant(constant), Item::Value(x)) if matches!(operator, Add | Mul) => {
                (x, constant)
            }
            _ => return Err("whose first input is a constant".to_owned()),
        };
        let &Value { from, ref step, .. } = &self.values[x];
        match (step, operator) {
            (&Step::Dense { weight, bias: None }, Add)
                if self.constants.is_bias_of(constant, weight) =>
            {
                Ok(self.then(from, Step::Dense { weight, bias: Some(constant) }, node))
            }
            (Step::Part(Part::TwiceGelu), Mul) if self.constants.scalar(constant) == Some(0.5) => {
                Ok(self.then(from, Step::Activation(Activation::Gelu), node))
            }
            _ => Ok(self.then(x, Step::Arithmetic(operator, constant), node)),
        }
    }

    /// Combines two values that both depend on the input.
    fn combined(
        &mut self,
        operator: Arithmetic,
        x: usize,
        y: usize,
        node: &Node<'_>,
    ) -> Result<Item, String> {
        let (from, step) = match operator {
            Arithmetic::Add => {
                let (from, last) = if self.comes_from(x, y) { (y, x) } else { (x, y) };
                if !self.comes_from(last, from) {
                    return Err(
                        "which adds two values of which neither comes from the other".into()
                    );
                }
                (from, Step::Residual(last))
            }
            Arithmetic::Mul => pattern::product(&self.values, &self.constants, x, y)
                .ok_or("which multiplies two values as no activation of seqfit does")?,
            _ => return Err("which combines two values".to_owned()),
        };
        Ok(self.then(from, step, node))
    }

    fn comes_from(&self, mut last: usize, first: usize) -> bool {
        while last > first {
            last = self.values[last].from;
        }
        last == first
    }

    /// `Where`: PyTorch writes softplus as x where x > 20.
    fn chosen(&self, arguments: &Arguments<'_>) -> Result<Item, String> {
        let of = |i| match arguments.item(i) {
            Ok(Item::Value(value)) => Some((value, &self.values[value])),
            _ => None,
        };
        if let (Some((_, condition)), Some((x, _)), Some((y, other))) = (of(0), of(1), of(2))
            && condition.step == Step::Part(Part::Above20)
            && other.step == Step::Activation(Activation::Softplus)
            && condition.from == x
            && other.from == x
        {
            return Ok(Item::Value(y));
        }
        Err("which chooses between two values".to_owned())
    }
}

/// Returns a node by its name and operator.
fn described(node: &Node<'_>) -> String {
    match node.name {
        "" => format!("node {}", shown(node.operator)),
        name => format!("node {} ({})", shown(name), shown(node.operator)),
    }
}
