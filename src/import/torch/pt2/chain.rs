//! The chain of layers that a graph of PyTorch's operators computes.

use std::collections::HashMap;

use super::program::{Argument, Node, Program, TensorMeta};
use super::windows;
use crate::layers::{
    Activation, BatchNormalization, Dense, Dropout, Flatten, GlobalAveragePooling2D,
    GlobalMaxPooling2D, Layer, LayerNormalization, PReLU, RMSNormalization, Rescaling, Reshape,
    Residual, SpatialDropout2D,
};

/// The number of f32 in the schema.
const FLOAT: u32 = 7;

/// A layer, or a matrix whose number of units is not known yet.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Dense { weight: String, activation: Activation },
    Layer(Layer),
    Block(Vec<Step>),
}

/// A chain of layers.
#[derive(Debug)]
pub(super) struct Chain {
    /// The shape of a sample.
    pub input_shape: Vec<usize>,
    /// The names of the layers' variables in the file, in the order of the network; `None` for a bias of zeros.
    pub variables: Vec<Option<String>>,
    steps: Vec<Step>,
}

impl Chain {
    /// Reads a graph.
    ///
    /// # Errors
    /// The node that is not part of a chain of known layers, in words.
    pub fn of(program: &Program) -> Result<Self, String> {
        let module = &program.graph_module;
        let inputs =
            module.signature.input_specs.iter().filter_map(|spec| spec.user_input.as_ref());
        let inputs: Vec<&str> = inputs.filter_map(|input| input.arg.tensor()).collect();
        let [input] = inputs[..] else {
            return Err(format!("a graph with {} inputs", inputs.len()));
        };
        let meta = module.graph.tensor_values.get(input);
        let meta = meta.ok_or_else(|| format!("the input {input:?}, of no known shape"))?;
        if meta.dtype != FLOAT {
            return Err(format!("the input {input:?}, which is not of type f32"));
        }
        // The first size is that of the batch.
        let sizes = meta.sizes.iter().skip(1).map(|size| size.fixed()).collect::<Option<Vec<_>>>();
        let Some(input_shape) = sizes.filter(|_| !meta.sizes.is_empty()) else {
            return Err(format!("the input {input:?}, whose samples have no fixed shape"));
        };
        let mut variables = HashMap::new();
        for spec in &module.signature.input_specs {
            if let Some(own) = &spec.parameter {
                variables.insert(own.arg.name.as_str(), own.parameter_name.as_str());
            }
            if let Some(own) = &spec.buffer {
                variables.insert(own.arg.name.as_str(), own.buffer_name.as_str());
            }
        }
        let chain = Self { input_shape, variables: Vec::new(), steps: Vec::new() };
        let values = HashMap::from([(input.to_owned(), 0)]);
        let graph = &module.graph;
        let mut uses = HashMap::new();
        for argument in graph.nodes.iter().flat_map(|node| &node.inputs) {
            *uses.entry(argument.arg.tensor().unwrap_or_default()).or_default() += 1;
        }
        let metas = &graph.tensor_values;
        let mut reader = Reader { chain, variables, values, uses, metas };
        for node in &module.graph.nodes {
            reader.node(node)?;
        }
        let outputs = module.signature.output_specs.iter();
        let outputs = outputs.map(|spec| spec.user_output.as_ref()?.arg.tensor());
        let outputs: Vec<Option<&str>> = outputs.collect();
        let last = reader.chain.steps.len();
        match outputs[..] {
            [Some(output)] if reader.values.get(output) == Some(&last) => Ok(reader.chain),
            _ => Err("a graph that returns something else than its last layer's output".to_owned()),
        }
    }

    /// Returns the layers, with the number of units of the matrix of that name.
    pub fn layers(
        &self,
        units: impl Fn(&str) -> Result<usize, String>,
    ) -> Result<Vec<Layer>, String> {
        fn layers(
            steps: &[Step],
            units: &dyn Fn(&str) -> Result<usize, String>,
        ) -> Result<Vec<Layer>, String> {
            let layer = |step: &Step| {
                Ok(match step {
                    Step::Dense { weight, activation } => {
                        Dense::new(units(weight)?).activation(*activation).into()
                    }
                    Step::Layer(layer) => layer.clone(),
                    Step::Block(steps) => Residual { layers: layers(steps, units)? }.into(),
                })
            };
            steps.iter().map(layer).collect()
        }
        layers(&self.steps, &units)
    }
}

struct Reader<'a> {
    chain: Chain,
    /// The names in the file of the parameters and buffers, by those in the graph.
    variables: HashMap<&'a str, &'a str>,
    /// The number of layers before each value.
    values: HashMap<String, usize>,
    /// The number of nodes that take each value.
    uses: HashMap<&'a str, usize>,
    metas: &'a HashMap<String, TensorMeta>,
}

impl Reader<'_> {
    /// Appends the layer of a node.
    fn node(&mut self, node: &Node) -> Result<(), String> {
        let operator = node.target.strip_prefix("torch.ops.aten.").unwrap_or(&node.target);
        let outputs: Vec<Option<&str>> = node.outputs.iter().map(Argument::tensor).collect();
        let name = outputs.first().copied().flatten();
        let shown = |text: &str| text.chars().take(80).collect::<String>();
        let at = match name {
            Some(name) => format!("{} (node {:?})", shown(operator), shown(name)),
            None => shown(operator),
        };
        // Checks of the input, and the size of the batch, are not layers.
        if operator.starts_with("_assert") || operator.starts_with("sym_") {
            return Ok(());
        }
        let ([Some(_)], Some(name)) = (&outputs[..], name) else {
            return Err(format!("{at}, which has {} outputs", outputs.len()));
        };
        let last = self.chain.steps.len();
        let arguments = Arguments(node);
        let source = arguments.get("self").or(arguments.get("input"));
        let source = source.and_then(Argument::tensor).unwrap_or_default();
        let input = *self
            .values
            .get(source)
            .ok_or_else(|| format!("{at}, whose input is no layer's output"))?;
        if operator == "add.Tensor"
            && let Some(other) = arguments.get("other").and_then(Argument::tensor)
        {
            let from = self.values.get(other).map(|&other| (input.min(other), input.max(other)));
            return match from.filter(|&(from, to)| from < to && to == last) {
                Some((from, _)) if !arguments.has_more_than(&["self", "other"]) => {
                    let block = self.chain.steps.split_off(from);
                    self.chain.steps.push(Step::Block(block));
                    // What is inside the block is of no use after it.
                    self.values.retain(|_, value| *value <= from);
                    self.values.insert(name.to_owned(), from + 1);
                    Ok(())
                }
                _ => Err(format!("{at}, which is not the end of a residual block")),
            };
        }
        if input != last {
            return Err(format!("{at}, whose input is not the layer before it"));
        }
        if !self.layer(operator, &arguments, source).ok_or(at)? {
            self.values.insert(name.to_owned(), last);
            return Ok(());
        }
        if self.uses.get(source) == Some(&1) {
            self.merge();
        }
        self.values.insert(name.to_owned(), self.chain.steps.len());
        Ok(())
    }

    /// Appends the layer of an operator, and returns whether it has one; `None` for an operator or an argument that no
    /// layer has.
    fn layer(&mut self, operator: &str, arguments: &Arguments<'_>, source: &str) -> Option<bool> {
        let sizes = &self.metas.get(source)?.sizes;
        let only = |names: &[&str]| (!arguments.has_more_than(names)).then_some(());
        let number = |name, default| arguments.number(name, default);
        let is = |name, value| (number(name, value)? == value).then_some(());
        let base = operator.split('.').next()?;
        // In place or not.
        let layer: Layer = match base.strip_suffix('_').unwrap_or(base) {
            "detach" | "alias" | "contiguous" | "clone" => {
                only(&["self"])?;
                return Some(false);
            }
            "linear" => {
                only(&["input", "weight", "bias"])?;
                let weight = self.variable(arguments, "weight")?;
                let bias = match arguments.get("bias").and_then(Argument::tensor) {
                    Some(_) => Some(self.variable(arguments, "bias")?),
                    None => None,
                };
                self.chain.variables.extend([Some(weight.clone()), bias]);
                self.chain.steps.push(Step::Dense { weight, activation: Activation::Linear });
                return Some(true);
            }
            "conv2d" => {
                let weight = arguments.get("weight")?.tensor()?;
                let convolution = windows::convolution(
                    &arguments.0.inputs,
                    sizes,
                    &self.metas.get(weight)?.sizes,
                )?;
                let names: &[&str] =
                    if convolution.use_bias { &["weight", "bias"] } else { &["weight"] };
                self.keep(arguments, names)?;
                convolution.into()
            }
            "max_pool2d" => windows::max_pooling(&arguments.0.inputs, sizes)?.into(),
            "avg_pool2d" => windows::average_pooling(&arguments.0.inputs, sizes)?.into(),
            "adaptive_avg_pool2d" => {
                only(&["self", "output_size"])?;
                matches!(arguments.get("output_size")?.as_ints.as_deref()?, [1] | [1, 1])
                    .then_some(GlobalAveragePooling2D)?
                    .into()
            }
            "mean" | "amax" => {
                only(&["self", "dim", "keepdim"])?;
                let axes = arguments.get("dim")?.as_ints.as_deref()?;
                let is_whole = sizes.len() == 4 && matches!(axes, [2, 3] | [-2, -1] | [-1, -2]);
                is_whole.then_some(())?;
                if base == "mean" {
                    GlobalAveragePooling2D.into()
                } else {
                    GlobalMaxPooling2D.into()
                }
            }
            "constant_pad_nd" | "pad" => windows::zero_padding(&arguments.0.inputs)?.into(),
            "feature_dropout" => SpatialDropout2D::new(number("p", 0.5)?).into(),
            "batch_norm" => {
                let training = arguments.get("training")?.as_bool?;
                self.keep(arguments, &["weight", "bias", "running_mean", "running_var"])?;
                let (momentum, epsilon) = (1.0 - number("momentum", 0.1)?, number("eps", 1e-5)?);
                (!training).then_some(BatchNormalization { momentum, epsilon })?.into()
            }
            "layer_norm" => {
                let [_] = arguments.get("normalized_shape")?.as_ints.as_deref()? else {
                    return None;
                };
                self.keep(arguments, &["weight", "bias"])?;
                LayerNormalization { epsilon: number("eps", 1e-5)? }.into()
            }
            "rms_norm" => {
                let [_] = arguments.get("normalized_shape")?.as_ints.as_deref()? else {
                    return None;
                };
                self.keep(arguments, &["weight"])?;
                let epsilon = number("eps", f64::from(f32::EPSILON))?;
                RMSNormalization { epsilon }.into()
            }
            "prelu" => {
                self.keep(arguments, &["weight"])?;
                PReLU.into()
            }
            "dropout" => Dropout::new(number("p", 0.5)?).into(),
            "flatten" => {
                only(&["self", "start_dim", "end_dim"])?;
                (number("start_dim", 0.0)? == 1.0).then_some(())?;
                is("end_dim", -1.0)?;
                if matches!(self.chain.steps.last(), Some(Step::Layer(last)) if windows::is_global(last))
                {
                    return Some(false);
                }
                Flatten.into()
            }
            "view" | "reshape" => {
                // [batch, -1] or [-1, values]
                only(&["self", "size", "shape"])?;
                let shape = arguments.get("size").or(arguments.get("shape"))?;
                let shape: Vec<Option<i64>> = match (&shape.as_ints, &shape.as_sym_ints) {
                    (Some(sizes), _) => sizes.iter().map(|&size| Some(size)).collect(),
                    (_, Some(sizes)) => sizes.iter().map(|size| size.as_int).collect(),
                    _ => return None,
                };
                let values = sizes
                    .iter()
                    .skip(1)
                    .try_fold(1, |values: i64, size| values.checked_mul(size.as_int?))?;
                let is_flat = match shape[..] {
                    [Some(-1), Some(own)] => own == values,
                    [None, Some(own)] => own == -1 || own == values,
                    _ => false,
                };
                is_flat.then_some(Flatten)?.into()
            }
            "unflatten" => {
                is("dim", 1.0)?;
                let first = arguments.get("sizes")?.as_ints.as_ref()?.iter();
                let first = first.map(|&size| size.try_into().ok());
                let rest = sizes.iter().skip(2).map(|size| size.fixed());
                Reshape::new(first.chain(rest).collect::<Option<Vec<usize>>>()?).into()
            }
            "mul" => {
                only(&["self", "other"])?;
                Rescaling::new(arguments.get("other")?.number()?, 0.0).into()
            }
            "add" => {
                only(&["self", "other"])?;
                Rescaling::new(1.0, arguments.get("other")?.number()?).into()
            }
            activation => {
                let activation = match activation {
                    "relu" => Activation::Relu,
                    "gelu" => {
                        let how = arguments.get("approximate").map(|how| how.as_string.as_deref());
                        matches!(how, None | Some(Some("none"))).then_some(Activation::Gelu)?
                    }
                    "silu" => Activation::Silu,
                    "tanh" => Activation::Tanh,
                    "sigmoid" => Activation::Sigmoid,
                    "leaky_relu" => {
                        (number("negative_slope", 0.01)? == 0.2).then_some(Activation::LeakyRelu)?
                    }
                    "elu" => {
                        is("alpha", 1.0).and(is("scale", 1.0)).and(is("input_scale", 1.0))?;
                        Activation::Elu
                    }
                    "selu" => Activation::Selu,
                    "softplus" => {
                        is("beta", 1.0).and(is("threshold", 20.0))?;
                        Activation::Softplus
                    }
                    "hardsigmoid" => Activation::HardSigmoid,
                    "mish" => Activation::Mish,
                    "softmax" => {
                        only(&["self", "dim"])?;
                        arguments.get("dim")?;
                        is("dim", -1.0).or(is("dim", sizes.len() as f64 - 1.0))?;
                        Activation::Softmax
                    }
                    _ => return None,
                };
                activation.into()
            }
        };
        self.chain.steps.push(Step::Layer(layer));
        Some(true)
    }

    /// Returns the name in the file of an argument that is a parameter or a buffer.
    fn variable(&self, arguments: &Arguments<'_>, name: &str) -> Option<String> {
        let own = arguments.get(name)?.tensor()?;
        self.variables.get(own).map(|&name| name.to_owned())
    }

    /// Adds the variables of a layer.
    fn keep(&mut self, arguments: &Arguments<'_>, names: &[&str]) -> Option<()> {
        for name in names {
            let variable = self.variable(arguments, name)?;
            self.chain.variables.push(Some(variable));
        }
        Some(())
    }

    /// Makes an activation part of the Dense layer before it, and an offset of the scaling.
    fn merge(&mut self) {
        let steps = &mut self.chain.steps;
        let Some([before, Step::Layer(last)]) = steps.last_chunk::<2>() else { return };
        let merged = match (before, last) {
            (
                Step::Dense { weight, activation: Activation::Linear },
                Layer::ActivationLayer(own),
            ) => Step::Dense { weight: weight.clone(), activation: own.activation },
            (Step::Layer(Layer::Rescaling(scaling)), Layer::Rescaling(own))
                if scaling.offset == 0.0 && own.scale == 1.0 =>
            {
                Step::Layer(Rescaling::new(scaling.scale, own.offset).into())
            }
            _ => return,
        };
        let before = steps.len() - 2;
        steps.truncate(before);
        steps.push(merged);
        // The value between the two is no layer's output any more.
        self.values.retain(|_, value| *value <= before);
    }
}

/// The arguments of a node, by name.
struct Arguments<'a>(&'a Node);

impl<'a> Arguments<'a> {
    /// Returns an argument, unless it is not there.
    fn get(&self, name: &str) -> Option<&'a Argument> {
        self.0.inputs.iter().find(|input| input.name == name).map(|input| &input.arg)
    }

    /// Returns a number, the default if it is not there, and `None` if it is something else.
    fn number(&self, name: &str, default: f64) -> Option<f64> {
        self.get(name).map_or(Some(default), Argument::number)
    }

    /// Returns whether there are arguments other than these.
    fn has_more_than(&self, names: &[&str]) -> bool {
        self.0.inputs.iter().any(|input| !names.contains(&input.name.as_str()))
    }
}
