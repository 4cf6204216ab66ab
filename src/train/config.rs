//! The settings of a training: plain data, saved with every run.

use serde::{Deserialize, Serialize};

use super::class_weights::ClassWeights;
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use crate::config_error::ConfigError;
use crate::data::{Augment, DataError, Dataset, TargetKind};
use crate::device::{self, Device};
use crate::evaluate::Measures;
use crate::layers::Normalization;
use crate::losses::Loss;
use crate::metrics::Metric;
use crate::precision::Precision;
use crate::target_scaling::TargetScaling;

/// The settings of [`Sequential::fit`](crate::Sequential::fit). The defaults are those of the tutorial
/// that everybody starts with, as in Keras.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitConfig {
    /// Passes over the training set, at least 1.
    pub epochs: usize,
    /// Samples per step, at least 1; the last batch of an epoch holds the remaining ones.
    pub batch_size: usize,
    /// The fraction of the training set that is kept for validation, 0 ≤ fraction < 1, drawn by the seed
    /// in proportion from every class.
    pub validation_split: f64,
    /// What training minimizes; it decides which targets the data must have.
    pub loss: Loss,
    /// The optimizer, including its learning rate.
    pub optimizer: Optimizer,
    /// Decides the order of the samples, the validation split and the dropout masks.
    pub seed: u64,
    /// The learning rate schedule; constant by default.
    #[serde(default)]
    pub schedule: Schedule,
    /// The fraction ε of each target that is spread evenly over all classes, 0 ≤ ε < 1. Training losses
    /// are measured with it, validation and test losses without.
    #[serde(default)]
    pub label_smoothing: f64,
    /// The weights of the classes in the training loss; none: all count the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// The largest norm of all gradients together; larger ones are scaled down to it
    /// (`torch.nn.utils.clip_grad_norm_`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// The decay d of an exponential moving average of the weights, a ← d·a + (1−d)·w after every step
    /// (`torch.optim.swa_utils.get_ema_multi_avg_fn`). The average is what is validated and what training
    /// ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// How training images are augmented, differently in every epoch; by default not at all.
    #[serde(default, skip_serializing_if = "Augment::is_off")]
    pub augment: Augment,
    /// The reaction to a loss or a weight that is no longer finite.
    #[serde(default)]
    pub on_nan: OnNan,
    /// The engine that computes the steps.
    #[serde(default)]
    pub engine: Engine,
    /// The precision of matrix products.
    #[serde(default, skip_serializing_if = "Precision::is_f32")]
    pub precision: Precision,
    /// The metrics that are computed on the validation set after every epoch, besides its loss and accuracy.
    /// They take one pass over its predictions on the host; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Threads of a training step on the CPU; `None` chooses by the batch size. The same
    /// number gives the same weights, bit for bit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub threads: Option<usize>,
}

/// The engine that computes the training steps. All engines give the same losses and gradients up to
/// rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// [`Fused`](Self::Fused) on the CPU where it can, [`Graph`](Self::Graph) on a GPU, otherwise
    /// [`Autograd`](Self::Autograd).
    #[default]
    Auto,
    /// libtorch's autograd: every network, every device.
    Autograd,
    /// A handwritten training step for Dense layers, and convolutions before them, on the CPU: several times as fast for
    /// small batches, and the number of threads changes no bit of the result.
    Fused,
    /// The steps of [`Autograd`](Self::Autograd), recorded as a CUDA graph and replayed: every network,
    /// on a GPU, several times as fast for small batches. For small stacks of Dense layers two custom
    /// kernels replace them, with the same numbers up to rounding.
    Graph,
}

impl Engine {
    /// Returns its name: "fused".
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Autograd => "autograd",
            Self::Fused => "fused",
            Self::Graph => "graph",
        }
    }
}

/// The reaction when the loss of a batch, a weight or the validation loss is NaN or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNan {
    /// Training ends with an error that names the epoch and the batch.
    #[default]
    Stop,
    /// The epoch restarts from the state that it began with, with half the learning rate. After
    /// [`ROLLBACKS`](Self::ROLLBACKS) rollbacks in one training it ends like `Stop`.
    Rollback,
    /// Training continues, and no more snapshots are taken: for callbacks such as
    /// [`TerminateOnNan`](super::callback::TerminateOnNan) that end it in their own way.
    Ignore,
}

impl OnNan {
    /// The number of times that [`Rollback`](Self::Rollback) goes back.
    pub const ROLLBACKS: u32 = 3;
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 32,
            validation_split: 0.0,
            loss: Loss::default(),
            optimizer: Optimizer::default(),
            seed: 0,
            schedule: Schedule::default(),
            label_smoothing: 0.0,
            class_weights: None,
            clip_norm: None,
            ema: None,
            augment: Augment::default(),
            on_nan: OnNan::default(),
            engine: Engine::default(),
            precision: Precision::default(),
            metrics: Vec::new(),
            threads: None,
        }
    }
}

impl FitConfig {
    /// Returns whether the number of epochs affects what happens in each of them.
    pub fn depends_on_length(&self) -> bool {
        self.schedule.depends_on_length() || self.augment.fade > 0.0
    }

    /// Returns the same settings for streamed data, whose batches are not in a GPU's memory for CUDA
    /// graphs to read.
    ///
    /// # Errors
    /// An engine that needs the batches there.
    pub fn for_streaming(mut self, device: Device) -> Result<Self, ConfigError> {
        let rule = "auto or autograd with data that is streamed";
        ConfigError::unless(self.engine != Engine::Graph, "engine", rule, self.engine.name())?;
        if self.engine == Engine::Auto && device.is_cuda() {
            self.engine = Engine::Autograd;
        }
        Ok(self)
    }

    /// Returns the scaling of the numbers to predict in the part of `train` that is trained on, which is without
    /// the validation split; none for other targets.
    ///
    /// # Errors
    /// A validation split that leaves no samples.
    pub fn target_scaling(&self, train: &Dataset) -> Result<Option<TargetScaling>, DataError> {
        match self.validation_split {
            0.0 => Ok(train.target_scaling()),
            fraction => Ok(train.split(fraction, self.seed)?.0.target_scaling()),
        }
    }

    /// Returns the layer that gives each channel of pictures in color a mean of 0 and a standard deviation of 1 over the
    /// part of `train` that is trained on, which is without the validation split; none for other samples.
    ///
    /// # Errors
    /// A validation split that leaves no samples, or a file of a streamed data set that cannot be read.
    pub fn channel_normalization(
        &self,
        train: &Dataset,
    ) -> Result<Option<Normalization>, DataError> {
        let moments = match self.validation_split {
            0.0 => train.channel_moments(),
            fraction => train.split(fraction, self.seed)?.0.channel_moments(),
        };
        Ok(moments?.map(|[mean, variance]| Normalization::of_channels(mean, variance)))
    }

    /// Returns the number of threads that a training step on the CPU uses, or may use.
    pub fn step_threads(&self) -> usize {
        let all = device::all_threads();
        self.threads.unwrap_or_else(|| match self.engine {
            Engine::Fused => all,
            _ => default_threads(self.batch_size, self.augment.is_on(), all),
        })
    }

    /// Returns the number of threads that prepare batches ahead of the training step on the CPU: those
    /// that the step leaves free, which is none if it takes all.
    pub(super) fn workers(&self) -> usize {
        device::all_threads().saturating_sub(self.step_threads())
    }

    /// The largest number of threads that makes sense.
    const MAX_THREADS: usize = 1024;

    /// Checks each setting separately.
    ///
    /// # Errors
    /// The first that breaks its rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless(self.epochs >= 1, "epochs", "at least 1", self.epochs)?;
        ConfigError::unless(self.batch_size >= 1, "batch size", "at least 1", self.batch_size)?;
        ConfigError::unless(
            (0.0..1.0).contains(&self.validation_split),
            "validation split",
            "at least 0 and below 1",
            self.validation_split,
        )?;
        if let Some(threads) = self.threads {
            ConfigError::unless(
                (1..=Self::MAX_THREADS).contains(&threads),
                "threads",
                "1 to 1024",
                threads,
            )?;
        }
        self.schedule.check()?;
        let fraction = |name, x: f64| {
            ConfigError::unless((0.0..1.0).contains(&x), name, "at least 0 and below 1", x)
        };
        fraction("label smoothing", self.label_smoothing)?;
        let loss = self.loss.kind();
        if self.label_smoothing > 0.0 && loss.smoothed(self.label_smoothing).is_none() {
            let rule = format!("0 with the loss {}, whose targets are not smoothed", loss.name());
            ConfigError::unless(false, "label smoothing", &rule, self.label_smoothing)?;
        }
        loss.check()?;
        self.class_weights.iter().try_for_each(ClassWeights::check)?;
        if let Some(decay) = self.ema {
            fraction("decay of the weights' average", decay)?;
        }
        if let Some(norm) = self.clip_norm {
            ConfigError::above_0("largest norm", norm)?;
        }
        for (name, value, most) in self.augment.limits() {
            let holds = (0.0..=most).contains(&value);
            let rule = format!("from 0 to {most}");
            if !holds {
                return Err(ConfigError { setting: name, rule, found: value.to_string() });
            }
        }
        self.optimizer.check()
    }
}

impl FitConfig {
    /// Returns the metrics for a test set with these targets: [`metrics`](Self::metrics), and those that the
    /// targets and the loss are usually reported with, except for the accuracy, which is always computed.
    pub fn test_metrics(&self, targets: TargetKind) -> Vec<Metric> {
        let kind = self.loss.kind();
        let of_loss = kind.metrics().iter().map(|name| Metric::named(name));
        let usual = Metric::usual(targets).into_iter().chain(of_loss);
        let mut metrics = self.metrics.clone();
        for metric in usual.filter(|metric| *metric != Metric::Accuracy) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        metrics
    }
}

impl<'a> From<&'a FitConfig> for Measures<'a> {
    fn from(config: &'a FitConfig) -> Self {
        Self { loss: Some(&config.loss), metrics: &config.metrics }
    }
}

/// Returns the number of threads for a step of autograd on the CPU.
///
/// Splitting the small matrices of a small batch over threads gains little on an idle machine. On a busy
/// one the threads wait for each other at every operation: an epoch then takes 10 times as long and more.
/// From 256 samples on it pays: 1.7 times the speed on two idle cores, and 0.9 times when one of them is
/// taken. Where images are augmented, half of the processors do that.
fn default_threads(batch_size: usize, augments: bool, processors: usize) -> usize {
    const SAMPLES_WORTH_SPLITTING: usize = 256;
    match (batch_size < SAMPLES_WORTH_SPLITTING, augments) {
        (true, _) => 1,
        (false, true) => (processors / 2).max(1),
        (false, false) => processors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::Focal;
    use crate::train::optimizer::{Adam, Sgd};

    #[test]
    fn the_defaults_are_the_tutorial_and_pass() {
        let config = FitConfig::default();
        assert_eq!((config.epochs, config.batch_size), (10, 32));
        assert_eq!(config.optimizer.learning_rate(), 1e-3);
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn each_wrong_setting_is_named() {
        let base = FitConfig::default;
        let adam = |adam| Optimizer::Adam(adam);
        let cases = [
            (FitConfig { epochs: 0, ..base() }, "epochs must be at least 1, found 0"),
            (FitConfig { batch_size: 0, ..base() }, "batch size must be at least 1, found 0"),
            (
                FitConfig { validation_split: 1.0, ..base() },
                "validation split must be at least 0 and below 1, found 1",
            ),
            (
                FitConfig { validation_split: f64::NAN, ..base() },
                "validation split must be at least 0 and below 1, found NaN",
            ),
            (FitConfig { threads: Some(0), ..base() }, "threads must be 1 to 1024, found 0"),
            (
                FitConfig {
                    optimizer: adam(Adam { learning_rate: -1.0, ..Adam::default() }),
                    ..base()
                },
                "learning rate must be above 0 and fit into f32 (at most 3.4e38), found -1",
            ),
            (
                FitConfig {
                    loss: Loss::Focal(Focal { alpha: Some(1e300), ..Focal::default() }),
                    ..base()
                },
                "alpha of focal must be above 0 and fit into f32 (at most 3.4e38), found 1e300",
            ),
            (
                FitConfig { clip_norm: Some(1e39), ..base() },
                "largest norm must be above 0 and fit into f32 (at most 3.4e38), found 1e39",
            ),
            (
                FitConfig { optimizer: adam(Adam { beta2: 1.0, ..Adam::default() }), ..base() },
                "beta2 must be at least 0 and below 1, found 1",
            ),
            (
                FitConfig {
                    optimizer: Optimizer::Sgd(Sgd { nesterov: true, ..Sgd::default() }),
                    ..base()
                },
                "momentum must be above 0 for Nesterov's method, found 0",
            ),
        ];
        for (config, message) in cases {
            assert_eq!(config.check().map_err(|e| e.to_string()), Err(message.to_owned()));
        }
    }
}
