//! A network's description: saved with a run, and the basis of every export.

use serde::{Deserialize, Serialize};

use super::layer::{Activation, Dense, Dropout, Layer};
use super::output_activation::OutputActivation;

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
}

/// Why no network can be built from a description. Layers are counted from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No layers at all.
    #[error("a network needs layers, found none: add(Dense::new(10)), for example")]
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
    /// A Dense layer without outputs.
    #[error("layer {layer} ({name}): Dense needs at least 1 unit, found 0")]
    NoUnits {
        /// The layer's number.
        layer: usize,
        /// The layer's name.
        name: String,
    },
    /// A Dense layer after a shape that is not a vector.
    #[error(
        "layer {layer} ({name}): Dense needs vectors, found samples of shape {shape:?}: add \
         Flatten before it"
    )]
    NotFlat {
        /// The layer's number.
        layer: usize,
        /// The layer's name.
        name: String,
        /// The shape of its input.
        shape: Vec<usize>,
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
    /// A dropout rate that is out of range.
    #[error(
        "layer {layer} ({name}): the dropout rate must be at least 0 and below 1, found {rate}"
    )]
    BadRate {
        /// The layer's number.
        layer: usize,
        /// The layer's name.
        name: String,
        /// The rate found.
        rate: f64,
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

/// A module of the `torch.nn.Sequential` that computes what a [`Spec`] describes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TorchModule {
    /// `nn.Flatten()`
    Flatten,
    /// `nn.Linear(inputs, outputs)`
    Linear {
        /// Number of inputs.
        inputs: usize,
        /// Number of outputs.
        outputs: usize,
    },
    /// `nn.ReLU()` and the like; linear has none.
    Activation(Activation),
    /// `nn.Dropout(rate)`
    Dropout {
        /// The fraction that is dropped.
        rate: f64,
    },
}

impl Spec {
    /// Maximum number of parameters of a network: 16 GiB as f32.
    pub const MAX_PARAMETERS: usize = 1 << 32;

    /// Returns the description of these layers, whose predictions are probabilities of classes.
    pub fn new(input_shape: impl Into<Vec<usize>>, layers: Vec<Layer>) -> Self {
        Self { input_shape: input_shape.into(), layers, output: OutputActivation::default() }
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
        let mut layers = vec![Layer::Flatten];
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
        let mut parameters = 0usize;
        for (i, (layer, name)) in self.layers.iter().zip(names).enumerate() {
            let (number, layers) = (i + 1, self.layers.len());
            match *layer {
                Layer::Flatten => shape = vec![shape.iter().product()],
                Layer::Dense(Dense { units, activation }) => {
                    let [inputs] = shape[..] else {
                        return Err(SpecError::NotFlat { layer: number, name, shape });
                    };
                    if units == 0 {
                        return Err(SpecError::NoUnits { layer: number, name });
                    }
                    if activation == Activation::Softmax && number != layers {
                        return Err(SpecError::SoftmaxInside { layer: number, name, layers });
                    }
                    parameters = units
                        .checked_mul(inputs + 1)
                        .and_then(|own| own.checked_add(parameters))
                        .filter(|&sum| sum <= Self::MAX_PARAMETERS)
                        .ok_or(SpecError::TooLarge { layer: number, name })?;
                    shape = vec![units];
                }
                Layer::Dropout(Dropout { rate }) => {
                    // Written so that NaN fails, too.
                    if !(0.0..1.0).contains(&rate) {
                        return Err(SpecError::BadRate { layer: number, name, rate });
                    }
                }
            }
            shapes.push(shape.clone());
        }
        if parameters == 0 {
            return Err(SpecError::NothingToLearn);
        }
        Ok(shapes)
    }

    /// Returns Keras's names: "flatten", "dense", "dense_1", "dropout", …
    pub fn layer_names(&self) -> Vec<String> {
        let mut seen = [0usize; 3];
        self.layers
            .iter()
            .map(|layer| {
                let (kind, name) = match layer {
                    Layer::Flatten => (0, "flatten"),
                    Layer::Dense(_) => (1, "dense"),
                    Layer::Dropout(_) => (2, "dropout"),
                };
                seen[kind] += 1;
                match seen[kind] - 1 {
                    0 => name.to_owned(),
                    n => format!("{name}_{n}"),
                }
            })
            .collect()
    }

    /// Returns the modules of the matching `torch.nn.Sequential`; a module's index there names its
    /// parameters ("1.weight"), here and in every file that we write.
    ///
    /// # Errors
    /// Like [`check`](Self::check).
    pub fn torch_modules(&self) -> Result<Vec<TorchModule>, SpecError> {
        let shapes = self.check()?;
        let mut modules = Vec::new();
        let mut inputs: usize = self.input_shape.iter().product();
        for (layer, shape) in self.layers.iter().zip(shapes) {
            let outputs = shape.iter().product();
            match *layer {
                Layer::Flatten => modules.push(TorchModule::Flatten),
                Layer::Dropout(Dropout { rate }) => modules.push(TorchModule::Dropout { rate }),
                Layer::Dense(Dense { activation, .. }) => {
                    modules.push(TorchModule::Linear { inputs, outputs });
                    if activation != Activation::Linear {
                        modules.push(TorchModule::Activation(activation));
                    }
                }
            }
            inputs = outputs;
        }
        Ok(modules)
    }

    /// Returns the number of outputs per sample: the number of classes. 0 without a Dense
    /// layer.
    pub fn outputs(&self) -> usize {
        // Dropout after the last Dense layer keeps its width.
        let dense = self.layers.iter().rev().find_map(|layer| match layer {
            Layer::Dense(dense) => Some(dense.units),
            _ => None,
        });
        dense.unwrap_or(0)
    }

    /// Returns the activation of the last layer; linear if it has none.
    pub fn last_activation(&self) -> Activation {
        match self.layers.last() {
            Some(Layer::Dense(dense)) => dense.activation,
            _ => Activation::Linear,
        }
    }

    /// Returns whether the network as described ends in probabilities.
    pub fn ends_in_softmax(&self) -> bool {
        self.last_activation() == Activation::Softmax
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Flatten;

    fn spec(input_shape: &[usize], layers: impl IntoIterator<Item = Layer>) -> Spec {
        Spec::new(input_shape, layers.into_iter().collect())
    }

    #[test]
    fn the_tutorial_network_has_its_shapes_and_torch_keys() -> Result<(), SpecError> {
        let spec = Spec::classifier(&[28, 28], &[128, 64], Activation::Relu, 0.0, 10);
        assert_eq!(spec.check()?, [vec![784], vec![128], vec![64], vec![10]]);
        assert_eq!(spec.layer_names(), ["flatten", "dense", "dense_1", "dense_2"]);
        let linear = |i: usize| match spec.torch_modules().map(|modules| modules[i]) {
            Ok(TorchModule::Linear { inputs, outputs }) => (inputs, outputs),
            other => panic!("{other:?}"),
        };
        assert_eq!([linear(1), linear(3), linear(5)], [(784, 128), (128, 64), (64, 10)]);
        Ok(())
    }

    #[test]
    fn wrong_networks_name_the_layer_and_the_cure() {
        let dense = |units| Layer::from(Dense::new(units));
        let softmax = Layer::from(Dense::new(3).activation(Activation::Softmax));
        let cases = [
            (
                spec(&[4], []),
                "a network needs layers, found none: add(Dense::new(10)), for example",
            ),
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
