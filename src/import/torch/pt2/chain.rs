//! The chain of layers that a graph of PyTorch's operators computes.

use std::collections::HashMap;

use super::arguments::Arguments;
use super::operators;
use super::program::{Argument, Node, Program, Size, TensorMeta};
use super::variables::Variables;
use crate::import::ImportedTensor;
use crate::import::affine::{Affine, Arithmetic, SCALES};
use crate::import::described::{Described, Layout, Source};
use crate::import::output_activation;
use crate::layers::{Activation, Layer, Rescaling, Residual};
use crate::model::Spec;

/// The number of f32 in the schema.
const FLOAT: u32 = 7;
/// Most nodes of a graph, and deepest nesting of residual blocks.
const MOST_NODES: usize = 1 << 14;
const DEEPEST: usize = 32;
/// The operators that give their input as it is.
const COPIES: [&str; 4] = ["detach", "alias", "contiguous", "clone"];

/// Returns the network that a program computes, whose weights are among these tensors; the constants are others.
///
/// # Errors
/// The node that is not part of a chain of known layers, in words.
pub(super) fn network(
    program: &Program,
    tensors: &[ImportedTensor],
    constants: &[ImportedTensor],
) -> Result<Described, String> {
    let module = &program.graph_module;
    let graph = &module.graph;
    if graph.nodes.len() > MOST_NODES {
        return Err(format!("a graph with more than {MOST_NODES} nodes"));
    }
    let inputs = module.signature.input_specs.iter().filter_map(|spec| spec.user_input.as_ref());
    let inputs: Vec<&str> = inputs.filter_map(|input| input.arg.tensor()).collect();
    let [input] = inputs[..] else {
        return Err(format!("a graph with {} inputs", inputs.len()));
    };
    let input_shape = sample_shape(input, graph.tensor_values.get(input))?;
    let variables = Variables::of(&module.signature.input_specs, tensors, constants);
    let mut uses = HashMap::new();
    for argument in graph.nodes.iter().flat_map(|node| &node.inputs) {
        *uses.entry(argument.arg.tensor().unwrap_or_default()).or_default() += 1;
    }
    let values = HashMap::from([(input.to_owned(), 0)]);
    let (metas, steps, sources) = (&graph.tensor_values, Vec::new(), Vec::new());
    let mut reader = Reader { variables, values, uses, metas, steps, sources };
    for node in &graph.nodes {
        reader.node(node)?;
    }
    let outputs = module.signature.output_specs.iter();
    let outputs = outputs.map(|spec| spec.user_output.as_ref()?.arg.tensor());
    let outputs: Vec<Option<&str>> = outputs.collect();
    match outputs[..] {
        [Some(output)] if reader.values.get(output) == Some(&reader.steps.len()) => {
            reader.network(input_shape)
        }
        _ => Err("a graph that returns something else than its last layer's output".to_owned()),
    }
}

/// Returns the shape of a sample of the graph's input.
fn sample_shape(input: &str, meta: Option<&TensorMeta>) -> Result<Vec<usize>, String> {
    let meta = meta.ok_or_else(|| format!("the input {input:?}, of no known shape"))?;
    if meta.dtype != FLOAT {
        return Err(format!("the input {input:?}, which is not of type f32"));
    }
    // The first size is that of the batch.
    let sizes = meta.sizes.iter().skip(1).map(|size| size.fixed()).collect::<Option<Vec<_>>>();
    let sizes = sizes.filter(|_| !meta.sizes.is_empty());
    sizes.ok_or_else(|| format!("the input {input:?}, whose samples have no fixed shape"))
}

/// A part of the chain.
#[derive(Clone, Debug)]
enum Step {
    Layer(Layer),
    /// Arithmetic with constants, and the node that ends it, in words.
    Affine(Affine, String),
    /// A residual block, with the number of blocks in each other.
    Block(Vec<Self>, usize),
}

struct Reader<'a> {
    variables: Variables<'a>,
    /// The number of steps before each value.
    values: HashMap<String, usize>,
    /// The number of nodes that take each value.
    uses: HashMap<&'a str, usize>,
    metas: &'a HashMap<String, TensorMeta>,
    steps: Vec<Step>,
    /// Where the values of the layers' variables are, in the order of the network.
    sources: Vec<Source>,
}

impl<'a> Reader<'a> {
    /// Appends what a node computes.
    fn node(&mut self, node: &'a Node) -> Result<(), String> {
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
        let arguments = Arguments(node);
        let base = in_place_or_not(operator);
        if base == "lift_fresh_copy" || COPIES.contains(&base) {
            let constant = arguments.tensor("self").unwrap_or_default();
            if self.variables.copy(constant, name) {
                return Ok(());
            }
        }
        // A sum or a product may have the constant first.
        let operands = ["self", "input", "other"].map(|name| arguments.tensor(name));
        let is_value = |name: &&str| self.values.contains_key(*name);
        let source = operands.into_iter().flatten().find(is_value);
        let source = source.ok_or_else(|| format!("{at}, whose input is no layer's output"))?;
        let (input, last) = (self.values[source], self.steps.len());
        if let [Some(one), _, Some(other)] = operands
            && let (Some(&one), Some(&other)) = (self.values.get(one), self.values.get(other))
        {
            let is_sum = operator == "add.Tensor" && arguments.only(&["self", "other"]).is_ok();
            if !is_sum {
                return Err(format!("{at}, which combines two values that depend on the input"));
            }
            if one.max(other) != last {
                return Err(format!("{at}, which is not the end of a residual block"));
            }
            match one.min(other) {
                // x + x, where the layers of a block are only active in training.
                from if from == last => self.arithmetic(Arithmetic::Mul, &[2.0], source, &at),
                from => self.block(from).map_err(|reason| format!("{at}, {reason}"))?,
            }
            self.values.insert(name.to_owned(), self.steps.len());
            return Ok(());
        }
        if input != last {
            return Err(format!("{at}, whose input is not the layer before it"));
        }
        self.step(operator, &arguments, source, &at).map_err(|reason| format!("{at}, {reason}"))?;
        self.values.insert(name.to_owned(), self.steps.len());
        Ok(())
    }

    /// Makes the steps after the first `from` a residual block.
    fn block(&mut self, from: usize) -> Result<(), String> {
        let block = self.steps.split_off(from);
        let inner =
            block.iter().map(|step| if let Step::Block(_, depth) = step { *depth } else { 0 });
        let depth = 1 + inner.max().unwrap_or(0);
        if depth > DEEPEST {
            return Err(format!("which nests residual blocks deeper than {DEEPEST}"));
        }
        self.steps.push(Step::Block(block, depth));
        // Values inside the block cannot be used after it.
        self.values.retain(|_, value| *value <= from);
        Ok(())
    }

    /// Appends the steps of an operator with one input: none for one that changes nothing.
    ///
    /// # Errors
    /// The reason why no layer computes it, in words.
    fn step(
        &mut self,
        operator: &str,
        arguments: &Arguments<'_>,
        source: &str,
        at: &str,
    ) -> Result<(), String> {
        let base = in_place_or_not(operator);
        let meta = self.metas.get(source).ok_or("whose input has no known shape")?;
        let sizes = &meta.sizes;
        let arithmetic = match base {
            copy if COPIES.contains(&copy) => return arguments.only(&["self"]),
            "add" => Some(Arithmetic::Add),
            "sub" => Some(Arithmetic::Sub),
            "mul" => Some(Arithmetic::Mul),
            "div" => Some(Arithmetic::Div),
            _ => None,
        };
        if let Some(arithmetic) = arithmetic {
            let size = sizes.last().and_then(Size::fixed).unwrap_or(0);
            let numbers = self.variables.numbers(arithmetic, arguments, source, size)?;
            self.arithmetic(arithmetic, &numbers, source, at);
            return Ok(());
        }
        let layer = match self.variables.layer(base, arguments, sizes)? {
            Some((mut layers, sources)) => {
                self.sources.extend(sources);
                let last = layers.pop().ok_or("which is no layer")?;
                self.steps.extend(layers.into_iter().map(Step::Layer));
                last
            }
            None => {
                let before = match self.steps.last() {
                    Some(Step::Layer(before)) => Some(before),
                    _ => None,
                };
                match operators::layer(base, arguments, sizes, before)? {
                    Some(layer) => layer,
                    None => return Ok(()),
                }
            }
        };
        let beta = match base {
            "softplus" => arguments.number("beta", 1.0)?,
            _ => 1.0,
        };
        if beta != 1.0 {
            // log(1 + exp(beta x)) / beta
            if !(beta.is_finite() && beta != 0.0) {
                return Err(format!("whose beta is {beta}, a finite one other than 0 is read"));
            }
            self.arithmetic(Arithmetic::Mul, &[beta], source, at);
            self.steps.push(Step::Layer(layer));
            self.steps.push(Step::Affine(Affine::scale(1.0 / beta), at.to_owned()));
            return Ok(());
        }
        self.push(layer, source);
        Ok(())
    }

    /// Appends a layer; an activation becomes a part of the Dense layer before it.
    fn push(&mut self, layer: Layer, source: &str) {
        if self.uses.get(source) == Some(&1)
            && let Layer::ActivationLayer(own) = &layer
            && let Some(Step::Layer(Layer::Dense(dense))) = self.steps.last_mut()
            && dense.activation == Activation::Linear
        {
            dense.activation = own.activation;
            self.forget_last();
            return;
        }
        self.steps.push(Step::Layer(layer));
    }

    /// Forgets the value before what became a part of the last step, under all its names: it is no step's output any
    /// more.
    fn forget_last(&mut self) {
        let last = self.steps.len();
        self.values.retain(|_, value| *value < last);
    }

    /// Appends arithmetic, to that before it if both are one function.
    fn arithmetic(&mut self, operator: Arithmetic, numbers: &[f64], source: &str, at: &str) {
        if self.uses.get(source) == Some(&1)
            && let Some(Step::Affine(affine, node)) = self.steps.last_mut()
            && affine.continues_with(numbers.len())
        {
            affine.then(operator, numbers);
            at.clone_into(node);
            self.forget_last();
            return;
        }
        let mut affine = Affine::default();
        affine.then(operator, numbers);
        self.steps.push(Step::Affine(affine, at.to_owned()));
    }

    /// Returns the network, and checks the shapes of its variables.
    fn network(self, input_shape: Vec<usize>) -> Result<Described, String> {
        let spec = output_activation::by_last_layer(Spec::new(input_shape, layers(self.steps)?));
        let mut sources = self.sources;
        let variables = spec.variables().map_err(|problem| problem.to_string())?;
        for (variable, source) in variables.iter().zip(&mut sources) {
            let Source::Tensor { tensor, layout } = source else { continue };
            let tensor = &self.variables.tensors[*tensor];
            let expected = &variable.variable.shape;
            match (&tensor.shape[..], &expected[..]) {
                // A single slope for all values.
                ([1], [size]) if *size != 1 => *layout = Layout::Repeated(*size),
                (found, expected) if found != expected => {
                    let (name, own) = (&tensor.name, &variable.name);
                    return Err(format!("{name} is {found:?}, and {own} must be {expected:?}"));
                }
                _ => {}
            }
        }
        match variables.len() == sources.len() {
            true => Ok(Described { spec, sources, features: None }),
            false => Err("a graph whose tensors are not those of its layers".to_owned()),
        }
    }
}

/// Returns the name of an operator without that of its overload, and without the sign that it overwrites its input.
fn in_place_or_not(operator: &str) -> &str {
    let base = operator.split('.').next().unwrap_or(operator);
    base.strip_suffix('_').unwrap_or(base)
}

/// Converts a chain to layers.
fn layers(steps: Vec<Step>) -> Result<Vec<Layer>, String> {
    let layer = |step| match step {
        Step::Layer(layer) => Ok(Some(layer)),
        Step::Affine(affine, node) => affine
            .layer()
            .map_err(|scale| format!("{node}, which scales a value by {scale}: {SCALES}")),
        Step::Block(steps, _) => Ok(Some(match layers(steps)? {
            // x + x, where the arithmetic in the block changes nothing.
            layers if layers.is_empty() => Rescaling::new(2.0, 0.0).into(),
            layers => Residual { layers }.into(),
        })),
    };
    steps.into_iter().map(layer).filter_map(Result::transpose).collect()
}
