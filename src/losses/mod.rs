//! Losses: what training minimizes. One file per loss, and one line in the list at the end of this file.

mod aliases;
mod binary_crossentropy;
mod categorical_crossentropy;
mod count_correct;
mod focal;
mod huber;
mod log_cosh;
mod loss_kind;
mod mean_absolute_error;
mod mean_squared_error;
mod sparse_crossentropy;
mod undefined_loss;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::data::TargetKind;
use crate::layers::Activation;
use crate::message_text::{counted, did_you_mean};
use crate::model::{OutputActivation, Spec};
use aliases::ALIASES;
use binary_crossentropy::BinaryCrossentropy;
use categorical_crossentropy::CategoricalCrossentropy;
pub(crate) use count_correct::Correct;
pub use focal::Focal;
pub use huber::Huber;
use log_cosh::LogCosh;
pub use loss_kind::{LossKind, RowLoss, RowTarget};
use mean_absolute_error::MeanAbsoluteError;
use mean_squared_error::MeanSquaredError;
use sparse_crossentropy::SparseCrossentropy;
use undefined_loss::{SETTINGS, UndefinedLoss};

/// The key of the name of a user's own loss in a config.
const CUSTOM: &str = "custom";

/// Defines [`Loss`] from a list of losses, first those without settings.
macro_rules! losses {
    (
        $($(#[$plain_doc:meta])* $plain:ident = $plain_kind:ty,)*
        [with settings]
        $($(#[$doc:meta])* $variant:ident($kind:ty),)*
    ) => {
        /// The loss that training minimizes. A config holds its name, or a table of its settings under its name.
        #[derive(Clone, Debug, Default)]
        #[non_exhaustive]
        pub enum Loss {
            $($(#[$plain_doc])* $plain,)*
            $($(#[$doc])* $variant($kind),)*
            /// A loss that is defined outside of this crate. Files keep its name and settings: see
            /// [`Loss::custom`].
            Custom(Arc<dyn LossKind>),
        }

        impl Loss {
            /// Returns all losses of this crate, those with settings with the defaults of these.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$plain,)* $(Self::$variant(<$kind>::default()),)*]
            }

            /// Returns what the loss computes.
            pub fn kind(&self) -> Arc<dyn LossKind> {
                match self {
                    $(Self::$plain => Arc::new(<$plain_kind>::default()),)*
                    $(Self::$variant(kind) => Arc::new(*kind),)*
                    Self::Custom(kind) => Arc::clone(kind),
                }
            }

            /// Returns the loss of this name with the settings that follow in `map`.
            fn with_settings<'de, M: MapAccess<'de>>(name: &str, map: &mut M) -> Result<Self, M::Error> {
                $(if name == LossKind::name(&<$kind>::default()) {
                    return Ok(Self::$variant(map.next_value()?));
                })*
                match name {
                    CUSTOM => UndefinedLoss::read(map).map(Self::custom),
                    name => match Self::named(name) {
                        Some(_) => Err(M::Error::custom(format!(
                            "the loss {name} has no settings, found a table of them: write loss = \"{name}\""
                        ))),
                        None => Err(M::Error::custom(unknown(name))),
                    },
                }
            }
        }

        impl Serialize for Loss {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$plain => serializer.serialize_str(&self.name()),)*
                    $(Self::$variant(kind) => only_entry(serializer, &self.name(), kind),)*
                    Self::Custom(kind) => {
                        let settings = kind.settings();
                        let mut map = serializer.serialize_map(None)?;
                        map.serialize_entry(CUSTOM, kind.name())?;
                        if !settings.is_empty() {
                            map.serialize_entry(SETTINGS, &settings)?;
                        }
                        map.end()
                    }
                }
            }
        }

        impl PartialEq for Loss {
            fn eq(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$plain, Self::$plain) => true,)*
                    $((Self::$variant(a), Self::$variant(b)) => a == b,)*
                    (Self::Custom(a), Self::Custom(b)) => {
                        a.name() == b.name() && a.settings() == b.settings()
                    }
                    _ => false,
                }
            }
        }
    };
}

fn only_entry<S: Serializer>(
    serializer: S,
    key: &str,
    value: &(impl Serialize + ?Sized),
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

impl Loss {
    /// Returns a loss that is defined outside of this crate.
    ///
    /// A run keeps its [`name`](LossKind::name) and [`settings`](LossKind::settings). Another program can read the
    /// run, report on it and export it; training and evaluation need the loss itself: pass this in the
    /// [`FitConfig`](crate::FitConfig) for `resume`, and in the [`Measures`](crate::Measures) for `evaluate_with`.
    pub fn custom(kind: impl LossKind) -> Self {
        Self::Custom(Arc::new(kind))
    }

    /// Returns the name in config files and on the command line: "huber".
    pub fn name(&self) -> String {
        self.kind().name().to_owned()
    }

    /// Checks that this program defines the loss: a file may name one that only the program that wrote it has.
    ///
    /// # Errors
    /// [`LossError::NotDefined`].
    pub fn check_defined(&self) -> Result<(), LossError> {
        match self.kind().as_ref() as &dyn Any {
            kind if kind.is::<UndefinedLoss>() => Err(LossError::NotDefined { name: self.name() }),
            _ => Ok(()),
        }
    }

    /// Returns the loss of this name, or of this name in Keras or PyTorch, with the defaults of its settings.
    fn named(name: &str) -> Option<Self> {
        let own = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, own)| own);
        Self::all().into_iter().find(|loss| loss.name() == own)
    }

    /// Returns the usual loss for targets of this kind, with which training begins unless another is chosen.
    pub fn usual_for(targets: TargetKind) -> Self {
        match targets {
            TargetKind::Class => Self::default(),
            TargetKind::Labels => Self::BinaryCrossentropy,
            TargetKind::Numbers => Self::MeanSquaredError,
        }
    }

    /// Returns whether it is the cross-entropy of a softmax, which some engines have a faster way to compute.
    pub(crate) fn is_crossentropy(&self) -> bool {
        matches!(self, Self::Sparse | Self::Categorical)
    }

    /// Returns the network with the output activation that training with this loss gives it.
    pub fn with_output(&self, network: Spec) -> Spec {
        if self.check_defined().is_err() {
            return network;
        }
        Spec { output: self.kind().output_activation(), ..network }
    }

    /// Checks that a network can be trained with this loss on such targets: `count` classes, labels or numbers.
    ///
    /// # Errors
    /// A loss that this program does not define; targets that the loss does not take; other outputs than it needs for them; an activation of the last layer
    /// that the loss applies itself.
    pub fn check(
        &self,
        network: &Spec,
        targets: TargetKind,
        count: usize,
    ) -> Result<(), LossError> {
        self.check_defined()?;
        let (name, kind) = (self.name(), self.kind());
        let Some(needed) = kind.outputs_for(targets, count) else {
            let takes = |loss: &&Self| loss.kind().outputs_for(targets, count).is_some();
            let others = Self::all().iter().filter(takes).map(Self::name).collect();
            return Err(LossError::Targets { name, targets, count, others });
        };
        let (outputs, output) = (network.outputs(), kind.output_activation());
        if needed != outputs {
            return Err(LossError::Outputs { name, needed, outputs, targets, count });
        }
        match network.last_activation() {
            Activation::Softmax if output != OutputActivation::Softmax => {
                Err(LossError::Activation { name, last: "softmax", output: output.name() })
            }
            Activation::Sigmoid if output == OutputActivation::Sigmoid => {
                Err(LossError::Activation { name, last: "sigmoid", output: output.name() })
            }
            _ => Ok(()),
        }
    }

    /// Checks that a network can learn with this loss: its outputs are not limited before the loss's own activation.
    ///
    /// # Errors
    /// [`LossError::Activation`]. A network that was trained elsewhere may have such a last layer, and can be evaluated.
    pub fn check_for_training(&self, network: &Spec) -> Result<(), LossError> {
        let output = self.kind().output_activation();
        match (network.last_activation(), output) {
            (Activation::Linear, _) | (Activation::Softmax, OutputActivation::Softmax) => Ok(()),
            // Numbers may be of one sign, or between bounds.
            (_, OutputActivation::Linear) => Ok(()),
            (last, output) => {
                let name = self.name();
                Err(LossError::Activation { name, last: last.name(), output: output.name() })
            }
        }
    }
}

/// Returns what a network's outputs predict if they have this many names.
pub(crate) fn target_kind(network: &Spec, names: usize) -> TargetKind {
    match network.output {
        OutputActivation::Linear => TargetKind::Numbers,
        // One output is the probability of the second of two classes.
        OutputActivation::Sigmoid if (network.outputs(), names) != (1, 2) => TargetKind::Labels,
        OutputActivation::Sigmoid | OutputActivation::Softmax => TargetKind::Class,
    }
}

/// A loss that does not fit the network or the data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LossError {
    /// A user's own loss, which this program does not define.
    #[error(
        "the loss {name} is not one of seqfit's: only a program that defines it can train or evaluate with it, by \
         Loss::custom in the config that it passes to fit or resume, or in the Measures for evaluate_with"
    )]
    NotDefined {
        /// The loss's name.
        name: String,
    },
    /// The loss does not take targets of this kind.
    #[error(
        "the loss {name} does not take {targets} as targets, found {count}: use {}",
        .others.join(" or ")
    )]
    Targets {
        /// The loss's name.
        name: String,
        /// The kind of the data's targets.
        targets: TargetKind,
        /// The number of classes, labels or numbers.
        count: usize,
        /// The names of the losses that take such targets.
        others: Vec<String>,
    },
    /// The network has another number of outputs than the loss needs.
    #[error(
        "the network has {}, and the dataset has {}: its last Dense layer needs {} for this dataset and the loss \
         {name}",
        counted(*.outputs, "output"), .targets.counted(*.count), counted(*.needed, "unit")
    )]
    Outputs {
        /// The loss's name.
        name: String,
        /// The number of outputs that it needs.
        needed: usize,
        /// The network's outputs.
        outputs: usize,
        /// The kind of the data's targets.
        targets: TargetKind,
        /// The number of classes, labels or numbers.
        count: usize,
    },
    /// The last layer has an activation that the loss's own would follow.
    #[error(
        "the loss {name} takes the outputs before its {output} activation, and the last layer applies {last} to \
         them: use a linear last layer"
    )]
    Activation {
        /// The loss's name.
        name: String,
        /// The last layer's activation.
        last: &'static str,
        /// The loss's activation.
        output: &'static str,
    },
}

fn unknown(name: &str) -> String {
    let names: Vec<String> = Loss::all().iter().map(Loss::name).collect();
    let own = names.iter().map(|name| (name.as_str(), name.as_str()));
    let cure = did_you_mean(name, ALIASES.into_iter().chain(own));
    format!("a loss is one of {}, found {name:?}: {cure}", names.join(", "))
}

impl<'de> Deserialize<'de> for Loss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrSettings;
        impl<'de> Visitor<'de> for NameOrSettings {
            type Value = Loss;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("the name of a loss, or a table of its settings under its name")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Loss, E> {
                Loss::named(name).ok_or_else(|| E::custom(unknown(name)))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Loss, M::Error> {
                let Some(name) = map.next_key::<String>()? else {
                    return Err(M::Error::invalid_length(0, &self));
                };
                let loss = Loss::with_settings(&name, &mut map)?;
                match map.next_key::<String>()? {
                    None => Ok(loss),
                    Some(_) => Err(M::Error::invalid_length(2, &self)),
                }
            }
        }
        deserializer.deserialize_any(NameOrSettings)
    }
}

losses! {
    /// Cross-entropy with class numbers as targets (Keras: `sparse_categorical_crossentropy`).
    #[default]
    Sparse = SparseCrossentropy,
    /// Cross-entropy with one-hot vectors as targets (Keras: `categorical_crossentropy`); the same values.
    Categorical = CategoricalCrossentropy,
    /// Cross-entropy of yes and no: two classes with one output, or several labels at once.
    BinaryCrossentropy = BinaryCrossentropy,
    /// The mean squared error, for numbers.
    MeanSquaredError = MeanSquaredError,
    /// The mean absolute error, for numbers.
    MeanAbsoluteError = MeanAbsoluteError,
    /// The logarithm of the hyperbolic cosine of the error, for numbers with outliers.
    LogCosh = LogCosh,
    [with settings]
    /// The Huber loss, for numbers with outliers.
    Huber(Huber),
    /// The focal loss, for classes of which some are rare or hard.
    Focal(Focal),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::LibtorchError;
    use tch::{Device, Tensor};

    /// torch.nn.functional.cross_entropy of [[1, 2, 3], [1, 0, -1]] with targets [2, 1], PyTorch
    /// 2.13: 0.9076059, with label_smoothing=0.1 0.9576059.
    #[test]
    fn both_crossentropies_and_their_gradients_are_the_same() -> Result<(), LibtorchError> {
        let labels = Tensor::from_slice(&[2i64, 1]);
        let run = |loss: Loss, smoothing| -> Result<(f64, Tensor), LibtorchError> {
            let logits = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 1.0, 0.0, -1.0]).reshape([2, 3]);
            let logits = logits.to_device(Device::Cpu).set_requires_grad(true);
            let loss = loss.kind().smoothed(smoothing).unwrap();
            let mean = loss.mean(&logits, &labels)?;
            assert!(mean.allclose(&loss.values(&logits, &labels)?.mean(None), 1e-6, 0.0, false));
            mean.f_backward()?;
            Ok((mean.f_double_value(&[])?, logits.f_grad()?))
        };
        for (smoothing, expected) in [(0.0, 0.9076059), (0.1, 0.9576059)] {
            let (sparse, a) = run(Loss::Sparse, smoothing)?;
            let (categorical, b) = run(Loss::Categorical, smoothing)?;
            assert!((sparse - expected).abs() < 1e-6, "{sparse}");
            assert!((sparse - categorical).abs() < 1e-6);
            assert!(a.allclose(&b, 1e-5, 1e-7, false));
        }
        Ok(())
    }

    #[test]
    fn a_last_layer_that_limits_the_logits_is_refused_in_training() {
        use crate::layers::Dense;
        let check = |loss: Loss, last: Activation| {
            let spec = Spec::new([4], vec![Dense::new(3).activation(last).into()]);
            loss.check_for_training(&spec).map_err(|error| error.to_string())
        };
        for last in [Activation::Relu, Activation::Sigmoid, Activation::Tanh] {
            let error = check(Loss::Sparse, last).unwrap_err();
            let words = format!(
                "takes the outputs before its softmax activation, and the last layer applies {}",
                last.name()
            );
            assert!(error.contains(&words), "{error}");
            assert!(check(Loss::BinaryCrossentropy, last).is_err());
            assert_eq!(check(Loss::MeanSquaredError, last), Ok(()));
        }
        assert_eq!(check(Loss::Sparse, Activation::Softmax), Ok(()));
        assert_eq!(check(Loss::BinaryCrossentropy, Activation::Linear), Ok(()));
    }

    #[test]
    fn losses_are_saved_by_their_names() {
        for loss in Loss::all() {
            let saved = serde_json::to_string(&loss).unwrap();
            assert_eq!(serde_json::from_str::<Loss>(&saved).unwrap(), loss);
            assert_eq!(serde_json::from_str::<Loss>(&format!("{:?}", loss.name())).unwrap(), loss);
        }
        for (alias, name) in ALIASES {
            assert_eq!(Loss::named(alias).unwrap().name(), name);
            let saved = serde_json::to_string(&Loss::named(alias).unwrap()).unwrap();
            assert_eq!(saved, format!("{name:?}"));
        }
        assert_eq!(serde_json::to_string(&Loss::Sparse).unwrap(), "\"sparse\"");
        assert_eq!(serde_json::to_string(&Loss::Categorical).unwrap(), "\"categorical\"");
    }

    #[test]
    fn wrong_losses_are_refused_by_name() {
        for (text, message) in [
            ("\"hinge\"", "found \"hinge\": take one of these"),
            ("\"crossentropy\"", "found \"crossentropy\": did you mean sparse?"),
            ("\"mean_square_error\"", "did you mean mean_squared_error?"),
            ("{\"hinge\":{}}", "a loss is one of sparse, categorical"),
            ("{\"sparse\":{}}", "the loss sparse has no settings"),
            ("{}", "the name of a loss, or a table of its settings"),
        ] {
            let error = serde_json::from_str::<Loss>(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let network = Spec::classifier(&[4], &[], Activation::Linear, 0.0, 2);
        let error = Loss::Sparse.check(&network, TargetKind::Class, 3).unwrap_err().to_string();
        let start = "the network has 2 outputs, and the dataset has 3 classes: its last Dense layer needs 3";
        assert!(error.starts_with(start), "{error}");
        let error = Loss::Sparse.check(&network, TargetKind::Numbers, 2).unwrap_err().to_string();
        assert!(
            error.starts_with("the loss sparse does not take numbers as targets, found 2"),
            "{error}"
        );
    }
}
