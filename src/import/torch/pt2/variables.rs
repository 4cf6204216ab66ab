//! The parameters, buffers and constants of a graph, and the layers that have some.

use std::collections::HashMap;

use super::arguments::Arguments;
use super::program::{Argument, InputSpec, Size};
use super::windows;
use crate::import::ImportedTensor;
use crate::import::affine::{Affine, Arithmetic};
use crate::import::described::{Layout, Source};
use crate::layers::{
    BatchNormalization, Dense, Layer, LayerNormalization, PReLU, RMSNormalization,
};

/// The numbers of variables that a layer lacks: they change nothing.
const ONE: Option<f32> = Some(1.0);
const ZERO: Option<f32> = Some(0.0);

/// Layers, and where the values of their variables are.
type Layers = (Vec<Layer>, Vec<Source>);

pub(super) struct Variables<'a> {
    /// The tensors of the state_dict.
    pub tensors: &'a [ImportedTensor],
    /// The names in the file of the parameters and buffers, by those in the graph.
    names: HashMap<&'a str, &'a str>,
    /// The tensors beside these, by their names in the graph.
    constants: HashMap<&'a str, &'a ImportedTensor>,
}

impl<'a> Variables<'a> {
    /// Finds those among the inputs of a graph.
    pub fn of(
        inputs: &'a [InputSpec],
        tensors: &'a [ImportedTensor],
        constants: &'a [ImportedTensor],
    ) -> Self {
        let constant = |name: &str| constants.iter().find(|constant| constant.name == name);
        let (mut names, mut found) = (HashMap::new(), HashMap::new());
        for input in inputs {
            if let Some(own) = &input.parameter {
                names.insert(own.arg.name.as_str(), own.parameter_name.as_str());
            }
            if let Some(own) = &input.buffer {
                names.insert(own.arg.name.as_str(), own.buffer_name.as_str());
                // One that is not in the state_dict.
                found.extend(constant(&own.buffer_name).map(|one| (own.arg.name.as_str(), one)));
            }
            if let Some(own) = &input.tensor_constant {
                let one = constant(&own.tensor_constant_name);
                found.extend(one.map(|one| (own.arg.name.as_str(), one)));
            }
        }
        Self { tensors, names, constants: found }
    }

    /// Adds another name of a constant, and returns whether it is one.
    pub fn copy(&mut self, constant: &str, name: &'a str) -> bool {
        let constant = self.constants.get(constant).copied();
        self.constants.extend(constant.map(|constant| (name, constant)));
        constant.is_some()
    }

    /// Returns the numbers of the constant beside a value, whose last axis has `size` values.
    pub fn numbers(
        &self,
        operator: Arithmetic,
        arguments: &Arguments<'_>,
        source: &str,
        size: usize,
    ) -> Result<Vec<f64>, String> {
        arguments.only(&["self", "other", "alpha"])?;
        arguments.number_is("alpha", 1.0, 1.0)?;
        let is_first = arguments.tensor("self") == Some(source);
        if !is_first && matches!(operator, Arithmetic::Sub | Arithmetic::Div) {
            return Err("whose first operand is a constant".to_owned());
        }
        let name = if is_first { "other" } else { "self" };
        let constant = arguments.get(name).ok_or("which has one operand")?;
        if let Some(number) = constant.number() {
            return Ok(vec![number]);
        }
        let tensor = constant.tensor().unwrap_or_default();
        match (self.constants.get(tensor), self.names.get(tensor)) {
            (Some(constant), _) => Affine::numbers(constant, size),
            (None, Some(variable)) => Affine::numbers(&self.tensors[self.place(variable)?], size),
            (None, None) => Err(format!(
                "whose {name} is {}, and a number or a constant tensor is read",
                constant.shown()
            )),
        }
    }

    /// Returns the layer of an operator that has variables, after one that pads before it, and where their values are; none
    /// for any other operator.
    pub fn layer(
        &self,
        name: &str,
        arguments: &Arguments<'_>,
        sizes: &[Size],
    ) -> Result<Option<Layers>, String> {
        let mut before = None;
        let number = |name, default| arguments.number(name, default);
        let (layer, variables): (Layer, &[(&str, Option<f32>)]) = match name {
            "linear" => {
                arguments.only(&["input", "weight", "bias"])?;
                let weight = self.source(arguments, "weight", None)?;
                let units = match weight {
                    Source::Tensor { tensor, .. } => self.tensors[tensor].shape.first().copied(),
                    Source::Filled(_) => None,
                };
                (Dense::new(units.unwrap_or(0)).into(), &[("weight", None), ("bias", ZERO)])
            }
            "conv2d" => {
                let shape = match self.source(arguments, "weight", None)? {
                    Source::Tensor { tensor, .. } => &self.tensors[tensor].shape[..],
                    Source::Filled(_) => &[],
                };
                let layer = windows::convolution(&arguments.0.inputs, sizes, shape);
                let (padding, layer) = layer.ok_or(windows::REFUSED)?;
                before = padding.map(Layer::from);
                let bias: &[(&str, Option<f32>)] = &[("weight", None), ("bias", None)];
                let variables = if layer.use_bias { bias } else { &bias[..1] };
                (layer.into(), variables)
            }
            "batch_norm" => {
                match arguments.get("training").and_then(|training| training.as_bool) {
                    Some(false) => {}
                    _ => return Err("which computes the statistics of each batch".to_owned()),
                }
                let (momentum, epsilon) = (1.0 - number("momentum", 0.1)?, number("eps", 1e-5)?);
                let layer = BatchNormalization { momentum, epsilon };
                (
                    layer.into(),
                    &[
                        ("weight", ONE),
                        ("bias", ZERO),
                        ("running_mean", None),
                        ("running_var", None),
                    ],
                )
            }
            "layer_norm" => {
                last_axis(arguments)?;
                let epsilon = number("eps", 1e-5)?;
                (LayerNormalization { epsilon }.into(), &[("weight", ONE), ("bias", ZERO)])
            }
            "rms_norm" => {
                last_axis(arguments)?;
                let epsilon = number("eps", f64::from(f32::EPSILON))?;
                (RMSNormalization { epsilon }.into(), &[("weight", ONE)])
            }
            "prelu" => (PReLU.into(), &[("weight", None)]),
            _ => return Ok(None),
        };
        let sources =
            variables.iter().map(|&(name, default)| self.source(arguments, name, default));
        let layers = before.into_iter().chain([layer]).collect();
        Ok(Some((layers, sources.collect::<Result<_, _>>()?)))
    }

    /// Returns where the values of an argument are, which is a parameter or a buffer.
    fn source(
        &self,
        arguments: &Arguments<'_>,
        name: &str,
        default: Option<f32>,
    ) -> Result<Source, String> {
        let own = arguments.tensor(name);
        match (own.and_then(|own| self.names.get(own)), own, default) {
            (Some(variable), ..) => {
                Ok(Source::Tensor { tensor: self.place(variable)?, layout: Layout::AsStored })
            }
            (None, None, Some(number)) if arguments.get(name).is_none_or(Argument::is_none) => {
                Ok(Source::Filled(number))
            }
            _ => Err(format!("whose {name} is no parameter or buffer of the module")),
        }
    }

    /// Returns the index of a tensor.
    fn place(&self, name: &str) -> Result<usize, String> {
        let place = self.tensors.iter().position(|tensor| tensor.name == name);
        place.ok_or_else(|| format!("whose tensor {name:?} is missing"))
    }
}

/// Checks that a normalization is that of the last axis.
fn last_axis(arguments: &Arguments<'_>) -> Result<(), String> {
    match arguments.ints("normalized_shape")? {
        [_] => Ok(()),
        found => Err(format!("whose normalized_shape is {found:?}, only the last axis is read")),
    }
}
