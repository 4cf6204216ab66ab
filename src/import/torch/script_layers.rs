//! The chain of layers that a TorchScript archive computes, inferred from its code. The code
//! is read as text, symbolically; none of it is run.

use std::collections::HashMap;

use super::pickle::{Id, Pickle, Value};
use super::script_item::Item;
use super::script_pictures::{self, Own};
use super::script_statements::{Expr, Statement, arguments, method, statement};
use super::tensor_view::View;
use crate::formats::Archive;
use crate::formats::MemoryBudget;
use crate::import::ImportedTensor;
use crate::layers::{Activation, Dense, Flatten, GlobalAveragePooling2D, Layer};

/// Maximum nesting of modules, and maximum number of lines read in total.
const DEEPEST: usize = 32;
const MOST_LINES: usize = 1 << 14;

/// A layer with the names of its tensors.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Flatten,
    Dense {
        weight: String,
        bias: Option<String>,
    },
    Activation(Activation),
    /// A layer for pictures.
    Own(Own),
}

/// Returns the chain of layers.
///
/// # Errors
/// The module or the function that is not part of a chain, in words.
pub(super) fn steps(
    pickle: &Pickle<'_>,
    tensors: &[ImportedTensor],
    (archive, folder): (&mut Archive<'_>, &str),
    budget: &mut MemoryBudget,
) -> Result<Vec<Step>, String> {
    let (files, steps, lines) = (HashMap::new(), Vec::new(), 0);
    let mut reader = Reader { pickle, tensors, archive, folder, budget, files, steps, lines };
    let input = Item::Value(0);
    match reader.forward(pickle.root, "", input, 0)? {
        Item::Value(last) if last == reader.steps.len() => Ok(reader.steps),
        _ => Err("code that returns something else than its last layer's output".to_owned()),
    }
}

/// Converts the steps to a network's layers in order, activations on the Dense layers before them. The widths are
/// not known yet.
pub(super) fn layers(steps: &[Step], units: impl Fn(&str) -> usize) -> Result<Vec<Layer>, String> {
    let mut layers: Vec<Layer> = Vec::new();
    for step in steps {
        match step {
            Step::Flatten => layers.push(Flatten.into()),
            Step::Dense { weight, .. } => layers.push(Dense::new(units(weight)).into()),
            Step::Activation(activation) => {
                let last = layers.pop().and_then(|layer| layer.get::<Dense>().copied());
                match last.filter(|dense| dense.activation == Activation::Linear) {
                    Some(dense) => layers.push(dense.activation(*activation).into()),
                    None => return Err(format!("{} that follows no Linear", activation.name())),
                }
            }
            // A network with one is read by `pictures`.
            Step::Own(own) => return Err(own.layer.kind().name().to_owned()),
        }
    }
    Ok(layers)
}

/// Converts the steps of a network for pictures to its layers, with the names of their variables in order.
pub(super) fn pictures(
    steps: Vec<Step>,
    units: impl Fn(&str) -> usize,
) -> (Vec<Layer>, Vec<Result<String, f32>>) {
    let (mut layers, mut variables): (Vec<Layer>, Vec<_>) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            // The means over a picture are a vector already.
            Step::Flatten if layers.last().is_some_and(Layer::is::<GlobalAveragePooling2D>) => {}
            Step::Flatten => layers.push(Flatten.into()),
            Step::Dense { weight, bias } => {
                layers.push(Dense::new(units(&weight)).into());
                variables.extend([Ok(weight), bias.ok_or(0.0)]);
            }
            Step::Activation(activation) => match layers.last_mut() {
                Some(Layer::Dense(dense)) if dense.activation == Activation::Linear => {
                    dense.activation = activation;
                }
                _ => layers.push(activation.into()),
            },
            Step::Own(own) => {
                layers.extend(own.before);
                layers.push(own.layer);
                variables.extend(own.variables);
            }
        }
    }
    (layers, variables)
}

struct Reader<'a, 'b, 'c> {
    pickle: &'a Pickle<'b>,
    tensors: &'a [ImportedTensor],
    archive: &'a mut Archive<'c>,
    folder: &'a str,
    budget: &'a mut MemoryBudget,
    /// The code that has been read, by module name.
    files: HashMap<String, String>,
    steps: Vec<Step>,
    lines: usize,
}

impl Reader<'_, '_, '_> {
    /// Returns the output of a module for an input.
    fn forward(&mut self, id: Id, path: &str, input: Item, depth: usize) -> Result<Item, String> {
        self.method((id, path), "forward", vec![input], depth)
    }

    /// Returns what a method of a module returns.
    fn method(
        &mut self,
        (id, path): (Id, &str),
        called: &str,
        inputs: Vec<Item>,
        depth: usize,
    ) -> Result<Item, String> {
        let Value::Call { of, .. } = *self.pickle.get(id) else {
            return Err(format!("{path:?}, which is not a module"));
        };
        let &Value::Global(module, class) = self.pickle.get(of) else {
            return Err(format!("{path:?}, whose class is not known"));
        };
        let place = match path {
            "" => class.to_owned(),
            path => format!("{class} ({path:?})"),
        };
        if depth > DEEPEST {
            return Err(format!("{place}, nested too deep"));
        }
        let code = self.code(module).ok_or_else(|| format!("{place}, whose code is not there"))?;
        let lines = method(&code, class, called);
        let lines = lines.ok_or_else(|| format!("{place}, which has no {called}"))?;
        let names = arguments(&code, class, called);
        if names.len() != 1 + inputs.len() {
            return Err(format!("{place}, which takes {} inputs", names.len().saturating_sub(1)));
        }
        let items = [Item::Module(id, path.to_owned())].into_iter().chain(inputs);
        let mut names: HashMap<String, Item> = names.into_iter().zip(items).collect();
        for line in outside_training(&lines) {
            let line = &line[..];
            self.lines += 1;
            let at = || {
                format!(
                    "{place}, whose code has {:?}",
                    line.trim().chars().take(80).collect::<String>()
                )
            };
            let statement = statement(line).filter(|_| self.lines < MOST_LINES).ok_or_else(at)?;
            let (name, expression) = match statement {
                Statement::Set(name, expression) => (Some(name), expression),
                Statement::Return(expression) => (None, expression),
            };
            // A nested module has already named itself.
            let item =
                self.item(&expression, &names, depth).map_err(|inner| inner.unwrap_or_else(at))?;
            match name {
                Some(name) => drop(names.insert(name, item)),
                None => return Ok(item),
            }
        }
        Err(format!("{place}, which returns nothing"))
    }

    fn sizes(&self, name: &str) -> Option<&[usize]> {
        let tensor = self.tensors.iter().find(|tensor| tensor.name == name)?;
        Some(&tensor.shape)
    }

    fn code(&mut self, module: &str) -> Option<String> {
        if !self.files.contains_key(module) {
            let record = format!("{}code/{}.py", self.folder, module.replace('.', "/"));
            let bytes = self.archive.read(&record, self.budget).ok()?;
            self.files.insert(module.to_owned(), String::from_utf8(bytes).ok()?);
        }
        self.files.get(module).cloned()
    }

    /// Returns the meaning of an expression; an error without text for one that no layer has.
    fn item(
        &mut self,
        expression: &Expr,
        names: &HashMap<String, Item>,
        depth: usize,
    ) -> Result<Item, Option<String>> {
        let mut all = |list: &[Expr]| -> Result<Vec<Item>, Option<String>> {
            list.iter().map(|one| self.item(one, names, depth)).collect()
        };
        match expression {
            Expr::Number(number) => Ok(Item::Number(*number)),
            Expr::Text(text) => Ok(Item::Text(text.clone())),
            Expr::List(items) => Ok(Item::List(all(items)?)),
            Expr::Name(name) => self.named(name, names).ok_or(None),
            Expr::Method(object, method, arguments) => {
                let arguments = all(arguments)?;
                match (self.item(object, names, depth)?, &method[..], &arguments[..]) {
                    (Item::Module(id, path), "forward", [input]) => {
                        self.forward(id, &path, input.clone(), depth + 1).map_err(Some)
                    }
                    // It raises an error, or does nothing.
                    (Item::Module(..), "_check_input_dim", [_]) => Ok(Item::Other),
                    (Item::Module(id, path), "_conv_forward", inputs) => {
                        self.method((id, &path), method, inputs.to_vec(), depth + 1).map_err(Some)
                    }
                    _ => Err(None),
                }
            }
            Expr::Call(name, arguments, named) => {
                let (mut arguments, keys) = (all(arguments)?, named);
                if name == "getattr" {
                    return match &arguments[..] {
                        [Item::Module(id, path), Item::Text(name)] => {
                            self.attribute(*id, path, name).ok_or(None)
                        }
                        _ => Err(None),
                    };
                }
                // The only one of the known functions with a keyword argument.
                for (key, value) in keys {
                    if key != "approximate" {
                        return Err(None);
                    }
                    arguments.push(self.item(value, names, depth)?);
                }
                let function = match names.get(name) {
                    Some(Item::Function(function)) => function.clone(),
                    _ => name.clone(),
                };
                self.call(&function, &arguments).ok_or(None)
            }
        }
    }

    fn named(&self, name: &str, names: &HashMap<String, Item>) -> Option<Item> {
        match name {
            "None" => return Some(Item::None),
            "True" | "False" => return Some(Item::Bool(name == "True")),
            _ => {}
        }
        if let Some(constant) = name.strip_prefix("CONSTANTS.") {
            return Some(Item::Tensor(constant.to_owned()));
        }
        let mut parts = name.split('.');
        let Some(mut item) = parts.next().and_then(|first| names.get(first)).cloned() else {
            return function(name).map(|_| Item::Function(name.to_owned()));
        };
        for part in parts {
            let Item::Module(id, path) = &item else { return None };
            item = self.attribute(*id, path, part)?;
        }
        Some(item)
    }

    fn attribute(&self, id: Id, path: &str, name: &str) -> Option<Item> {
        let &Value::Call { state: Some(state), .. } = self.pickle.get(id) else { return None };
        let Value::Dict(pairs) = self.pickle.get(state) else { return None };
        let is_it = |key: Id| matches!(self.pickle.get(key), Value::Text(text) if *text == name);
        let value = pairs.iter().find(|(key, _)| is_it(*key))?.1;
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if View::is_at(self.pickle, value) {
            return Some(Item::Tensor(path));
        }
        Some(match self.pickle.get(value) {
            Value::None => Item::None,
            Value::Call { .. } => Item::Module(value, path),
            _ => Item::Other,
        })
    }

    /// Applies a PyTorch function: adds its layer after the previous ones.
    fn call(&mut self, name: &str, arguments: &[Item]) -> Option<Item> {
        let is_functional = name.starts_with(FUNCTIONAL);
        let name = function(name)?;
        // A layer takes the output of the one before it: an output used twice is not a chain.
        let [Item::Value(from), rest @ ..] = arguments else { return None };
        if *from != self.steps.len() {
            return None;
        }
        let step = match (name, rest) {
            ("dropout" | "contiguous" | "detach", _) => return Some(Item::Value(*from)),
            ("linear", [Item::Tensor(weight), bias @ ..]) => {
                let bias = match bias {
                    [] | [Item::None] => None,
                    [Item::Tensor(bias)] => Some(bias.clone()),
                    _ => return None,
                };
                Step::Dense { weight: weight.clone(), bias }
            }
            ("flatten", [Item::Number(1.0)] | [Item::Number(1.0), Item::Number(-1.0)]) => {
                Step::Flatten
            }
            ("view" | "reshape", [Item::List(sizes)])
                if matches!(sizes[..], [Item::Number(-1.0), Item::Number(1.0..)]) =>
            {
                Step::Flatten
            }
            ("softmax", [Item::Number(dim), ..]) if *dim == 1.0 || *dim == -1.0 => {
                Step::Activation(Activation::Softmax)
            }
            ("gelu", [Item::Text(how)]) if how == "none" => Step::Activation(Activation::Gelu),
            ("gelu", []) => Step::Activation(Activation::Gelu),
            // With or without "inplace".
            ("relu" | "relu_", [] | [Item::Bool(_)]) => Step::Activation(Activation::Relu),
            ("silu" | "silu_", [] | [Item::Bool(_)]) => Step::Activation(Activation::Silu),
            ("tanh" | "tanh_", []) => Step::Activation(Activation::Tanh),
            ("sigmoid" | "sigmoid_", []) => Step::Activation(Activation::Sigmoid),
            // In torch.nn.functional the statistics come first.
            ("batch_norm", [mean, variance, weight, bias, rest @ ..]) if is_functional => {
                let rest = rest.iter().chain([&Item::Bool(true)]);
                let all: Vec<Item> =
                    [weight, bias, mean, variance].into_iter().chain(rest).cloned().collect();
                Step::Own(script_pictures::layer(name, &all, |name| self.sizes(name))?)
            }
            _ => Step::Own(script_pictures::layer(name, rest, |name| self.sizes(name))?),
        };
        self.steps.push(step);
        Some(Item::Value(self.steps.len()))
    }
}

/// Returns the lines of a method without the parts that only training runs: those under `if` of a name that is set to
/// `self.training`.
fn outside_training(lines: &[&str]) -> Vec<String> {
    let (mut kept, mut names): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    // Whether the lines of a block are those that training runs.
    let mut block: Option<bool> = None;
    for &line in lines {
        names.extend(line.trim().strip_suffix(" = self.training"));
        let condition = line.strip_prefix("    if ").and_then(|rest| rest.strip_suffix(':'));
        match (block, line.strip_prefix("      ")) {
            _ if condition.is_some_and(|name| names.contains(&name)) => block = Some(true),
            (Some(true), None) if line == "    else:" => block = Some(false),
            (Some(true), Some(_)) => {}
            (Some(false), Some("pass")) => {}
            (Some(false), Some(inner)) => kept.push(format!("    {inner}")),
            _ => {
                block = None;
                kept.push(line.to_owned());
            }
        }
    }
    kept
}

/// Where the functions of torch.nn.functional are.
const FUNCTIONAL: &str = "__torch__.torch.nn.functional.";

/// Returns the name of a PyTorch function: "torch.relu", "__torch__.torch.nn.functional.relu".
fn function(name: &str) -> Option<&str> {
    let name = name.strip_prefix(FUNCTIONAL).or(name.strip_prefix("torch."))?;
    (!name.contains('.')).then_some(name)
}
