//! A network's description: saved with a run, and the basis of every export.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::output_activation::OutputActivation;
use crate::layers::{Activation, Dense, Dropout, Flatten, Layer, LayerError, Variable};
use crate::target_scaling::TargetScaling;

/// The shape of one sample and the layers it passes through. Plain data: [`check`](Self::check) checks
/// whether a network can be built from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The shape of one sample, without the batch: `[28, 28]`.
    pub input_shape: Vec<usize>,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// What turns the outputs of the last layer into predictions: training sets it to that of its loss.
    #[serde(default, skip_serializing_if = "OutputActivation::is_softmax")]
    pub output: OutputActivation,
    /// How the numbers that the network predicts are scaled in training; predictions are scaled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_scaling: Option<TargetScaling>,
}

/// Why no network can be built from a description. Layers are counted from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No layers at all.
    #[error("a network needs layers, found none: add a Dense layer")]
    NoLayers,
    /// Layers, but none that learns.
    #[error("a network needs a Dense layer, found none: without one it has nothing to learn")]
    NothingToLearn,
    /// A sample without a size.
    #[error("the input shape needs sizes of at least 1, found {0:?}")]
    EmptyInput(Vec<usize>),
    /// A sample with more values than fit in memory.
    #[error("a sample may hold at most {max} values, found shape {0:?}", max = Spec::MAX_PARAMETERS)]
    InputTooLarge(Vec<usize>),
    /// A layer whose settings or input break one of its rules.
    #[error("layer {layer} ({name}): {problem}")]
    Layer {
        /// The layer's number.
        layer: usize,
        /// The layer's name.
        name: String,
        /// The rule.
        problem: Box<LayerError>,
    },
    /// A softmax before the last layer.
    #[error(
        "layer {layer} ({name}): softmax belongs on the last layer, found it on layer {layer} of \
         {layers}: use relu here"
    )]
    SoftmaxInside {
        /// The layer's number.
        layer: usize,
        /// The layer's name.
        name: String,
        /// The number of layers.
        layers: usize,
    },
    /// Outputs that are not one vector for each sample.
    #[error(
        "the outputs of a network must be vectors, found samples of shape {0:?}: add Flatten at the end"
    )]
    Outputs(Vec<usize>),
    /// A scaling of the targets that does not fit the outputs, or cannot be undone.
    #[error(
        "the target scaling needs {outputs} offsets and {outputs} scales, one for each output, all finite and no scale \
         of 0 or below"
    )]
    TargetScaling {
        /// The number of outputs.
        outputs: usize,
    },
    /// More parameters than can be counted or stored.
    #[error(
        "layer {layer} ({name}): a network may have at most {max} parameters: use fewer units",
        max = Spec::MAX_PARAMETERS
    )]
    TooLarge {
        /// The layer's number.
        layer: usize,
        /// The layer's name.
        name: String,
    },
}

/// A variable of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedVariable {
    /// The index of its layer.
    pub layer: usize,
    /// Its name in the matching `torch.nn.Sequential`, and in every file that we write: "1.weight".
    pub name: String,
    /// Its description by the layer.
    pub variable: Variable,
}

impl Spec {
    /// Maximum number of parameters of a network: 16 GiB as f32.
    pub const MAX_PARAMETERS: usize = 1 << 32;

    /// Returns the description of these layers, whose predictions are probabilities of classes.
    pub fn new(input_shape: impl Into<Vec<usize>>, layers: Vec<Layer>) -> Self {
        let (output, target_scaling) = (OutputActivation::default(), None);
        Self { input_shape: input_shape.into(), layers, output, target_scaling }
    }

    /// Returns the classifier of the tutorials: Flatten, one Dense of each hidden width with `activation`
    /// and, if `dropout` is above 0, a Dropout after each; last a Dense of `classes` logits.
    pub fn classifier(
        input_shape: &[usize],
        hidden: &[usize],
        activation: Activation,
        dropout: f64,
        classes: usize,
    ) -> Self {
        let mut layers = vec![Flatten.into()];
        for &units in hidden {
            layers.push(Dense::new(units).activation(activation).into());
            if dropout != 0.0 {
                layers.push(Dropout::new(dropout).into());
            }
        }
        layers.push(Dense::new(classes).into());
        Self::new(input_shape, layers)
    }

    /// Checks the whole network and returns the shape of a sample after each layer.
    ///
    /// # Errors
    /// The first rule that a layer breaks, naming the layer.
    pub fn check(&self) -> Result<Vec<Vec<usize>>, SpecError> {
        if self.input_shape.is_empty() || self.input_shape.contains(&0) {
            return Err(SpecError::EmptyInput(self.input_shape.clone()));
        }
        let values = self.input_shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        if values.is_none_or(|n| n > Self::MAX_PARAMETERS) {
            return Err(SpecError::InputTooLarge(self.input_shape.clone()));
        }
        if self.layers.is_empty() {
            return Err(SpecError::NoLayers);
        }
        let names = self.layer_names();
        let mut shape = self.input_shape.clone();
        let mut shapes = Vec::with_capacity(self.layers.len());
        let (mut parameters, mut values) = (0usize, 0usize);
        for (i, (layer, name)) in self.layers.iter().zip(names).enumerate() {
            let (number, layers, kind) = (i + 1, self.layers.len(), layer.kind());
            let output = match kind.output_shape(&shape) {
                Ok(output) => output,
                Err(problem) => {
                    let problem = Box::new(problem);
                    return Err(SpecError::Layer { layer: number, name, problem });
                }
            };
            if kind.last_activation() == Activation::Softmax && number != layers {
                return Err(SpecError::SoftmaxInside { layer: number, name, layers });
            }
            for variable in kind.variables(&shape) {
                let count = variable.count().and_then(|count| count.checked_add(values));
                let Some(sum) = count.filter(|&sum| sum <= Self::MAX_PARAMETERS) else {
                    return Err(SpecError::TooLarge { layer: number, name });
                };
                parameters += if variable.trainable { sum - values } else { 0 };
                values = sum;
            }
            shapes.push(output.clone());
            shape = output;
        }
        if parameters == 0 {
            return Err(SpecError::NothingToLearn);
        }
        let [outputs] = shape[..] else { return Err(SpecError::Outputs(shape)) };
        if self.target_scaling.as_ref().is_some_and(|scaling| !scaling.is_valid(outputs)) {
            return Err(SpecError::TargetScaling { outputs });
        }
        Ok(shapes)
    }

    /// Returns whether this program defines all layers.
    pub(crate) fn is_defined(&self) -> bool {
        self.layers.iter().all(Layer::is_defined)
    }

    /// Returns the types of the layers in files, numbered from the second of each on: "flatten", "dense", "dense_1",
    /// "dropout", … These are Keras's names except for "prelu", Keras's "p_re_lu".
    pub fn layer_names(&self) -> Vec<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let own = |layer: &Layer| layer.tag().map(str::to_owned);
        let names = self.layers.iter();
        let names =
            names.map(|layer| own(layer).unwrap_or_else(|| snake_case(layer.kind().name())));
        let names = names.map(|name| {
            let before = seen.entry(name.clone()).or_default();
            *before += 1;
            if *before == 1 { name } else { format!("{name}_{}", *before - 1) }
        });
        names.collect()
    }

    /// Returns each layer with the shape of its input.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub(crate) fn layers_with_inputs(
        &self,
    ) -> Result<impl Iterator<Item = (&Layer, Vec<usize>)>, SpecError> {
        let shapes = self.check()?;
        let inputs = std::iter::once(self.input_shape.clone()).chain(shapes);
        Ok(self.layers.iter().zip(inputs))
    }

    /// Returns all variables, in the order of the layers.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub fn variables(&self) -> Result<Vec<NamedVariable>, SpecError> {
        let (mut variables, mut position) = (Vec::new(), 0);
        for (layer, (own, input)) in self.layers_with_inputs()?.enumerate() {
            let named = own.kind().variables(&input).into_iter().map(|variable| {
                let name = format!("{position}.{}", variable.name);
                NamedVariable { layer, name, variable }
            });
            variables.extend(named);
            position += own.kind().describe(&input).map_or(1, |modules| modules.len());
        }
        Ok(variables)
    }

    /// Returns the layer, with its name, that needs the largest batch to learn from, and how many samples that has.
    pub(crate) fn smallest_batch(&self) -> Option<(String, usize)> {
        let needed = self.layers_with_inputs().ok()?;
        let needed = needed.map(|(layer, input)| layer.kind().smallest_batch(&input));
        self.layer_names().into_iter().zip(needed).max_by_key(|(_, needed)| *needed)
    }

    /// Returns whether the scaling of targets can become part of the last layer, so that exported files do not need it: a
    /// linear Dense layer.
    pub fn takes_target_scaling(&self) -> bool {
        let last = self.layers.last().and_then(|layer| layer.get::<Dense>());
        last.is_some_and(|dense| dense.activation == Activation::Linear)
    }

    /// Returns the number of outputs per sample; 0 for an invalid description.
    pub fn outputs(&self) -> usize {
        let shapes = self.check().unwrap_or_default();
        shapes.last().map_or(0, |shape| shape.iter().product())
    }

    /// Returns the activation of the last layer; linear if it has none.
    pub fn last_activation(&self) -> Activation {
        self.layers.last().map_or(Activation::Linear, |layer| layer.kind().last_activation())
    }

    /// Returns the activation that predictions still need after the last layer; linear if they need none.
    pub(crate) fn missing_activation(&self) -> Activation {
        match self.output {
            OutputActivation::Softmax if self.ends_in_softmax() => Activation::Linear,
            OutputActivation::Softmax => Activation::Softmax,
            OutputActivation::Sigmoid => Activation::Sigmoid,
            OutputActivation::Linear => Activation::Linear,
        }
    }

    /// Returns whether this many names of classes, labels or numbers are those of the outputs: one for each, or two
    /// classes for the probability of the second.
    pub fn is_named_by(&self, names: usize) -> bool {
        let outputs = self.outputs();
        names == outputs || (self.output, outputs, names) == (OutputActivation::Sigmoid, 1, 2)
    }

    /// Returns whether the network as described ends in probabilities.
    pub fn ends_in_softmax(&self) -> bool {
        self.last_activation() == Activation::Softmax
    }
}

/// Returns a class's name as Keras names its layers: "BatchNormalization" → "batch_normalization".
///
/// `to_snake_case` in `keras/src/utils/naming.py`.
pub(crate) fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().collect();
    let mut name = String::new();
    for (i, &letter) in letters.iter().enumerate() {
        let follows_lower = i > 0 && letters[i - 1].is_lowercase();
        let begins_word = letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        if i > 0 && letter.is_uppercase() && (follows_lower || begins_word) {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{PReLU, RMSNormalization};

    fn spec(input_shape: &[usize], layers: impl IntoIterator<Item = Layer>) -> Spec {
        Spec::new(input_shape, layers.into_iter().collect())
    }

    #[test]
    fn the_tutorial_network_has_its_shapes_and_torch_keys() -> Result<(), SpecError> {
        let spec = Spec::classifier(&[28, 28], &[128, 64], Activation::Relu, 0.0, 10);
        assert_eq!(spec.check()?, [vec![784], vec![128], vec![64], vec![10]]);
        assert_eq!(spec.layer_names(), ["flatten", "dense", "dense_1", "dense_2"]);
        let variables = spec.variables()?;
        let weights: Vec<_> = variables.iter().step_by(2).map(|one| one.name.as_str()).collect();
        assert_eq!(weights, ["1.weight", "3.weight", "5.weight"]);
        Ok(())
    }

    #[test]
    fn layers_are_named_after_their_types_in_files() {
        let layers = [PReLU.into(), RMSNormalization::default().into(), PReLU.into()];
        let names = spec(&[4], layers).layer_names();
        assert_eq!(names, ["prelu", "rms_normalization", "prelu_1"]);
    }

    /// `keras.src.utils.naming.to_snake_case`, Keras 3.
    #[test]
    fn names_are_those_of_keras() {
        let classes = ["Dense", "BatchNormalization", "PReLU", "GaussianNoise"];
        let names = ["dense", "batch_normalization", "p_re_lu", "gaussian_noise"];
        assert_eq!(classes.map(snake_case), names);
    }

    #[test]
    fn wrong_networks_name_the_layer_and_the_cure() {
        let dense = |units| Layer::from(Dense::new(units));
        let softmax = Layer::from(Dense::new(3).activation(Activation::Softmax));
        let cases = [
            (spec(&[4], []), "a network needs layers, found none: add a Dense layer"),
            (
                spec(&[4], [Flatten.into()]),
                "a network needs a Dense layer, found none: without one it has nothing to learn",
            ),
            (spec(&[], [dense(1)]), "the input shape needs sizes of at least 1, found []"),
            (spec(&[4, 0], [dense(1)]), "the input shape needs sizes of at least 1, found [4, 0]"),
            (
                spec(&[4], [dense(2), dense(0)]),
                "layer 2 (dense_1): Dense needs at least 1 unit, found 0",
            ),
            (
                spec(&[4, 4], [dense(2)]),
                "layer 1 (dense): Dense needs vectors, found samples of shape [4, 4]: add Flatten \
                 before it",
            ),
            (
                spec(&[4], [softmax, dense(2)]),
                "layer 1 (dense): softmax belongs on the last layer, found it on layer 1 of 2: use \
                 relu here",
            ),
            (
                spec(&[4], [Dropout::new(1.0).into(), dense(2)]),
                "layer 1 (dropout): the dropout rate must be at least 0 and below 1, found 1",
            ),
            (
                spec(&[4], [Dropout::new(f64::NAN).into(), dense(2)]),
                "layer 1 (dropout): the dropout rate must be at least 0 and below 1, found NaN",
            ),
            (
                spec(&[4], [dense(usize::MAX)]),
                "layer 1 (dense): a network may have at most 4294967296 parameters: use fewer units",
            ),
            (
                spec(&[usize::MAX, 2], [Flatten.into(), dense(1)]),
                "a sample may hold at most 4294967296 values, found shape [18446744073709551615, 2]",
            ),
        ];
        for (spec, message) in cases {
            assert_eq!(spec.check().map_err(|e| e.to_string()), Err(message.to_owned()));
        }
    }
}
