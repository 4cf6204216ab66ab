//! The options of the callbacks: early stopping, learning-rate reduction, checkpoints.

use seqfit::callback::{EarlyStopping, EarlyStoppingConfig, ReduceLrConfig, ReduceLrOnPlateau};
use seqfit::run::{CallbackConfig, CheckpointConfig};
use seqfit::{FitConfig, Monitor};

use super::super::output::Usage;
use super::super::parse_values;

/// Options of the callbacks, named as in Keras.
#[derive(Clone, Debug, clap::Args)]
pub struct CallbackOptions {
    /// The metric that callbacks monitor: loss, accuracy, val_loss, val_accuracy, or val_ with a name of
    /// --metrics, such as val_f1_macro [default: val_loss with a validation split, else loss]
    #[arg(long, value_name = "METRIC")]
    monitor: Option<Monitor>,
    /// End the training when the metric does not improve for N epochs
    #[arg(long, value_name = "N", value_parser = parse_values::whole)]
    early_stopping: Option<usize>,
    /// Minimum improvement for early stopping: a change by more than X [default: 0]
    #[arg(long, value_name = "X", value_parser = parse_values::not_negative, requires = "early_stopping")]
    min_delta: Option<f64>,
    /// End with the weights of the best epoch instead of the last
    #[arg(long, requires = "early_stopping")]
    restore_best: bool,
    /// Reduce the learning rate when the metric does not improve for N epochs
    #[arg(long, value_name = "N", value_parser = parse_values::whole)]
    reduce_lr: Option<usize>,
    /// Factor that --reduce-lr multiplies the learning rate by [default: 0.1]
    #[arg(long, value_name = "X", value_parser = parse_values::share, requires = "reduce_lr")]
    reduce_lr_factor: Option<f64>,
    /// Lower bound of the learning rate for --reduce-lr [default: 0]
    #[arg(long, value_name = "X", value_parser = parse_values::not_negative, requires = "reduce_lr")]
    min_learning_rate: Option<f64>,
    /// Number of newest checkpoints to keep, in addition to the best by validation; 0 writes none, and the run cannot
    /// be resumed [default: 3]
    #[arg(long, value_name = "N", value_parser = parse_values::whole)]
    keep: Option<usize>,
    /// Seconds between checkpoints within an epoch; there is one after every epoch anyway
    /// [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = parse_values::positive)]
    checkpoint_seconds: Option<f64>,
}

impl CallbackOptions {
    /// Returns the given configs with the given options applied, for a training with these settings.
    pub fn over(
        &self,
        (callbacks, checkpoints): (&CallbackConfig, &CheckpointConfig),
        fit: &FitConfig,
    ) -> Result<(CallbackConfig, CheckpointConfig), Usage> {
        let usage = |error: &dyn std::fmt::Display| Usage(error.to_string());
        let validates = fit.validation_split > 0.0;
        if let Some(monitor) = &self.monitor {
            monitor.check(validates.into(), &fit.metrics).map_err(|error| usage(&error))?;
        }
        let default = if validates { Monitor::ValLoss } else { Monitor::Loss };
        let monitor = self.monitor.clone().unwrap_or(default);
        let early_stopping = self.early_stopping.map(|patience| EarlyStoppingConfig {
            monitor: monitor.clone(),
            patience,
            min_delta: self.min_delta.unwrap_or(0.0),
            restore_best: self.restore_best,
        });
        let reduce_lr = self.reduce_lr.map(|patience| {
            let default = ReduceLrConfig::new(monitor.clone());
            ReduceLrConfig {
                patience,
                factor: self.reduce_lr_factor.unwrap_or(default.factor),
                min_learning_rate: self.min_learning_rate.unwrap_or(default.min_learning_rate),
                ..default
            }
        });
        if let Some(config) = early_stopping.clone() {
            EarlyStopping::new(config).map_err(|error| usage(&error))?;
        }
        if let Some(config) = reduce_lr.clone() {
            ReduceLrOnPlateau::new(config).map_err(|error| usage(&error))?;
        }
        let usual = validates.then_some(Monitor::ValLoss);
        let checkpoints = CheckpointConfig {
            keep: self.keep.unwrap_or(checkpoints.keep),
            seconds: self.checkpoint_seconds.unwrap_or(checkpoints.seconds),
            monitor: self.monitor.clone().or_else(|| checkpoints.monitor.clone()).or(usual),
        };
        let callbacks = CallbackConfig {
            early_stopping: early_stopping.or_else(|| callbacks.early_stopping.clone()),
            reduce_lr: reduce_lr.or_else(|| callbacks.reduce_lr.clone()),
        };
        Ok((callbacks, checkpoints))
    }
}
