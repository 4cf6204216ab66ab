//! The trait of losses: each loss of this folder implements it, and a user's own loss too.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;

use tch::{Kind, Tensor};

use crate::config_error::ConfigError;
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// A loss: a value for each sample from the network's outputs and the sample's target, the lower the better.
///
/// The outputs are those of the last layer, before [`output_activation`](Self::output_activation). A loss
/// that is a function of probabilities computes them itself, in a form that is stable for large outputs.
pub trait LossKind: Any + Debug + Send + Sync {
    /// Returns the name that config files and the command line use, Keras's where it has one: "huber".
    fn name(&self) -> &str;

    /// Returns the settings that a run records beside the name of a user's own loss: `delta` of `huber`, for example.
    /// By default none.
    fn settings(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }

    /// Returns the number of outputs that a network needs for targets of this kind: `count` classes, labels or
    /// numbers. None if the loss does not take such targets.
    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize>;

    /// Returns what turns outputs into predictions.
    fn output_activation(&self) -> OutputActivation;

    /// Returns the value of each sample, f32 \[batch\], from outputs f32 [batch, outputs] and targets: i64 \[batch\]
    /// for classes, f32 [batch, count] otherwise. Recorded for autograd.
    ///
    /// # Errors
    /// libtorch's own.
    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError>;

    /// Returns the mean value of a batch: by default the mean of [`values`](Self::values).
    ///
    /// # Errors
    /// libtorch's own.
    fn mean(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        Ok(self.values(outputs, targets)?.f_mean(Kind::Float)?)
    }

    /// Returns the same loss with targets of which the fraction `label_smoothing` is spread evenly; none, the
    /// default, where this means nothing.
    fn smoothed(&self, label_smoothing: f64) -> Option<Box<dyn LossKind>> {
        let _ = label_smoothing;
        None
    }

    /// Checks the loss's own settings.
    ///
    /// # Errors
    /// The first that breaks its rule.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Returns the metrics that are measured by default besides the loss.
    fn metrics(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the values and gradients in plain numbers, which the engine for Dense stacks on the CPU needs; none,
    /// the default, leaves such networks to autograd.
    fn rows(&self) -> Option<&dyn RowLoss> {
        None
    }
}

/// A loss in plain numbers, sample by sample.
pub trait RowLoss: Send + Sync {
    /// Returns the value of one sample, and writes its derivative by each of the outputs into `gradient`.
    fn row(&self, outputs: &[f32], target: RowTarget, gradient: &mut [f32]) -> f64;
}

/// The target of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowTarget<'a> {
    /// The index of its class.
    Class(usize),
    /// 0 or 1 for each label, or the numbers to predict.
    Values(&'a [f32]),
}
