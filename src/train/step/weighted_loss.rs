//! The quantity that steps minimize: the loss of a training, ready for the engines.

use std::sync::Arc;

use tch::{Kind, Tensor};

use crate::config_error::ConfigError;
use crate::data::batches::Batch;
use crate::data::{Dataset, Target, TargetKind};
use crate::losses::{Correct, LossKind};
use crate::native::LibtorchError;
use crate::train::config::FitConfig;

/// The loss of a training with its label smoothing, and the rule for correct predictions.
#[derive(Clone, Debug)]
pub(in crate::train) struct Objective {
    pub loss: Arc<dyn LossKind>,
    pub correct: Correct,
    /// The number of labels or numbers of a sample; 0 for classes.
    pub values: usize,
    /// The weight of each class, if classes have weights.
    pub class_weights: Option<Vec<f32>>,
    /// Whether samples have weights, their own or those of their classes.
    pub is_weighted: bool,
    /// Whether samples are mixed from two, each with its target.
    pub is_mixed: bool,
}

impl FitConfig {
    /// Checks that the weights of samples and classes leave something to learn in the part of the data that is trained
    /// on.
    ///
    /// # Errors
    /// Weights of classes that the data does not have, or weights that are 0 for all samples.
    pub fn check_weights(&self, train: &Dataset) -> Result<(), ConfigError> {
        Objective::new(self, train, train.target_names().len()).map(drop)
    }
}

impl Objective {
    /// Returns the objective of a training on this data, for a network of this many outputs.
    ///
    /// # Errors
    /// Weights of classes that the data does not have, or weights that are 0 for all samples.
    pub fn new(config: &FitConfig, train: &Dataset, outputs: usize) -> Result<Self, ConfigError> {
        let class_weights = config.class_weights.as_ref().map(|weights| weights.of(train));
        let class_weights = class_weights.transpose()?;
        let objective = Self {
            is_weighted: class_weights.is_some() || train.has_sample_weights(),
            class_weights,
            ..Self::unweighted(config, train.target_kind(), (outputs, train.target_names().len()))
        };
        let weighs = |i| objective.weight(train.sample_weight(i), train.target(i)) > 0.0;
        let is_learned = !objective.is_weighted || (0..train.len()).any(weighs);
        let setting = "weights of the training samples and their classes";
        ConfigError::unless(is_learned, setting, "above 0 for one sample at least", "0 for all")?;
        Ok(objective)
    }

    /// Returns the objective without weights.
    pub fn unweighted(
        config: &FitConfig,
        targets: TargetKind,
        (outputs, names): (usize, usize),
    ) -> Self {
        let loss = config.loss.kind();
        let loss = match config.label_smoothing {
            0.0 => loss,
            // The config was checked: a loss without smoothing has none.
            smoothing => loss.smoothed(smoothing).map_or(loss, Arc::from),
        };
        let correct = Correct::of(&*loss, targets, outputs);
        // A user's loss may take more outputs than numbers, such as a mean and a variance.
        let values = if targets.is_class() { 0 } else { names };
        Self {
            loss,
            correct,
            values,
            class_weights: None,
            is_weighted: false,
            is_mixed: config.augment.mixes(),
        }
    }

    /// Returns the number of targets of a sample: those of both where samples are mixed.
    pub fn targets_per_sample(&self) -> usize {
        if self.is_mixed { 2 } else { 1 }
    }

    /// Returns the weight of a sample, by its own weight and its class.
    pub fn weight(&self, own: Option<f32>, target: Target) -> f32 {
        let of_class = match (&self.class_weights, target) {
            (Some(weights), Target::Class(class)) => weights[usize::from(class)],
            _ => 1.0,
        };
        own.unwrap_or(1.0) * of_class
    }

    /// Returns the mean loss of a batch, recorded for autograd: with weights Σ weight · loss / samples, as in Keras, where
    /// a mixed sample has the losses of both its targets. `class_weights` are those of this objective on the batch's
    /// device.
    pub fn mean(
        &self,
        outputs: &Tensor,
        batch: &Batch,
        class_weights: Option<&Tensor>,
    ) -> Result<Tensor, LibtorchError> {
        let mean = |targets: &Tensor, weights: Option<&Tensor>| {
            self.weighted_mean(outputs, targets, weights, class_weights)
        };
        let first = mean(&batch.targets, batch.weights.as_ref())?;
        match &batch.mixed {
            Some((targets, weights)) => Ok(first.f_add(&mean(targets, Some(weights))?)?),
            None => Ok(first),
        }
    }

    fn weighted_mean(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
        class_weights: Option<&Tensor>,
    ) -> Result<Tensor, LibtorchError> {
        let of_class = class_weights.map(|weights| weights.f_index_select(0, targets));
        let weights = match (of_class.transpose()?, weights) {
            (None, None) => return self.loss.mean(outputs, targets),
            (Some(of_class), Some(own)) => of_class.f_mul(own)?,
            (Some(of_class), None) => of_class,
            (None, Some(own)) => own.shallow_clone(),
        };
        let values = self.loss.values(outputs, targets)?;
        Ok(values.f_mul(&weights)?.f_mean(Kind::Float)?)
    }
}
