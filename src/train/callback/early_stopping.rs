//! Ends the training when a metric stops improving.

use serde::{Deserialize, Serialize};

use super::{Callback, CallbackError, Ending, Flow, Plan, Training};
use crate::config_error::ConfigError;
use crate::model::check_like;
use crate::tensors::Tensors;
use crate::train::history::EpochRecord;
use crate::train::monitor::Monitor;
use crate::train::snapshot::CallbackState;

/// The settings of [`EarlyStopping`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStoppingConfig {
    /// The metric that should improve.
    pub monitor: Monitor,
    /// Epochs in a row without improvement after which training ends; 0 ends it at the first.
    pub patience: usize,
    /// The least change of the metric that counts as an improvement.
    pub min_delta: f64,
    /// Whether the network ends with the weights of the best epoch instead of the last.
    pub restore_best: bool,
}

/// Ends the training when a metric stops improving for `patience` epochs, as Keras's `EarlyStopping`
/// counts them (`keras/src/callbacks/early_stopping.py`): the first epoch never ends it, and with
/// `restore_best` the best epoch's weights are restored whenever training ends.
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    config: EarlyStoppingConfig,
    seen: Seen,
    best_weights: Tensors,
}

/// Its state so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    best: Option<f64>,
    best_epoch: usize,
    /// Epochs since the best one.
    wait: usize,
    stopped_epoch: Option<usize>,
}

impl EarlyStopping {
    /// Returns a callback with these settings.
    ///
    /// # Errors
    /// A `min_delta` that is negative or not finite.
    pub fn new(config: EarlyStoppingConfig) -> Result<Self, ConfigError> {
        ConfigError::unless(
            config.min_delta >= 0.0 && config.min_delta.is_finite(),
            "min delta",
            "at least 0 and finite",
            config.min_delta,
        )?;
        Ok(Self { config, seen: Seen::default(), best_weights: Tensors::new() })
    }

    /// Returns the settings.
    pub fn config(&self) -> &EarlyStoppingConfig {
        &self.config
    }

    /// Returns the best value so far and its epoch, from 1.
    pub fn best(&self) -> Option<(f64, usize)> {
        self.seen.best.map(|best| (best, self.seen.best_epoch))
    }

    /// Returns the epoch at which it ended the training, from 1.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.seen.stopped_epoch
    }
}

impl Callback for EarlyStopping {
    fn on_train_begin(&mut self, _: &mut Training, plan: &Plan) -> Result<(), CallbackError> {
        (self.seen, self.best_weights) = (Seen::default(), Tensors::new());
        self.config.monitor = self.config.monitor.in_plan(plan)?;
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        training: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        let EarlyStoppingConfig { ref monitor, patience, min_delta, restore_best } = self.config;
        let seen = &mut self.seen;
        // An epoch in which the metric has no value says nothing about the others.
        let Some(value) = monitor.of(record) else { return Ok(Flow::Continue) };
        if monitor.improves(value, seen.best, min_delta) {
            *seen = Seen { best: Some(value), best_epoch: record.epoch, ..Seen::default() };
            if restore_best {
                self.best_weights = training.model()?.weights()?;
            }
            return Ok(Flow::Continue);
        }
        seen.wait += 1;
        if seen.wait >= patience && record.epoch > 1 {
            seen.stopped_epoch = Some(record.epoch);
            return Ok(Flow::Stop);
        }
        Ok(Flow::Continue)
    }

    fn on_train_end(&mut self, training: &mut Training, _: Ending) -> Result<(), CallbackError> {
        if !self.best_weights.is_empty() {
            training.set_weights(&self.best_weights)?;
        }
        Ok(())
    }

    fn key(&self) -> Option<&'static str> {
        Some("early_stopping")
    }

    fn state(&self) -> Result<CallbackState, CallbackError> {
        let value = serde_json::to_value(self.seen)?;
        Ok(CallbackState { value, tensors: self.best_weights.clone() })
    }

    fn restore(
        &mut self,
        training: &mut Training,
        state: &CallbackState,
    ) -> Result<(), CallbackError> {
        let seen: Seen = serde_json::from_value(state.value.clone())?;
        let epochs = training.history().epochs.len();
        let counts = [seen.best_epoch, seen.wait, seen.stopped_epoch.unwrap_or(0)];
        if counts.iter().any(|&count| count > epochs) {
            return Err(format!("it counts at most {epochs} epochs, found {counts:?}").into());
        }
        // No weights are kept before the first epoch with a usable value.
        match self.config.restore_best && seen.best.is_some() {
            true => check_like(training.model()?.variables(), &state.tensors)?,
            false if state.tensors.is_empty() => {}
            false => return Err("it keeps no weights, found some".into()),
        }
        (self.seen, self.best_weights) = (seen, state.tensors.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{marked, plan, tell, with_training, with_training_after};
    use super::*;

    fn config(patience: usize, min_delta: f64) -> EarlyStoppingConfig {
        EarlyStoppingConfig { monitor: Monitor::ValLoss, patience, min_delta, restore_best: true }
    }

    /// Stopping epoch and best epoch of Keras 3.15's EarlyStopping(monitor="val_loss", patience=…,
    /// min_delta=…) given the same losses by `on_epoch_end(epoch - 1, …)`:
    /// tests/fixtures/make_callbacks.py.
    #[test]
    fn it_stops_where_keras_stops_and_restores_the_best() {
        const NAN: f64 = f64::NAN;
        /// Patience, min_delta, losses, stopping epoch, best epoch.
        type Case = (usize, f64, &'static [f64], Option<usize>, usize);
        let cases: [Case; 9] = [
            (1, 0.0, &[1.0, 0.9, 0.95, 0.8], Some(3), 2),
            (2, 0.0, &[1.0, 0.9, 0.95, 0.8, 0.9, 0.85, 0.7], Some(6), 4),
            (0, 0.0, &[1.0, 0.9, 0.95, 0.8], Some(3), 2),
            (0, 0.0, &[1.0, 1.0, 0.5], Some(2), 1),
            (2, 0.1, &[1.0, 0.95, 0.91, 0.5], Some(3), 1),
            (2, 0.1, &[1.0, 0.95, 0.85, 0.8, 0.78, 0.1], Some(5), 3),
            (3, 0.0, &[1.0, 2.0, 2.0], None, 1),
            (2, 0.0, &[1.0, NAN, NAN, 0.5], Some(3), 1),
            (1, 0.0, &[0.5, 0.5], Some(2), 1),
        ];
        for (patience, min_delta, losses, stop, best) in cases {
            let mut callback = EarlyStopping::new(config(patience, min_delta)).unwrap();
            with_training(|training| {
                callback.on_train_begin(training, &plan(1)).unwrap();
                assert_eq!(tell(&mut callback, training, 1, losses), stop, "{losses:?}");
                assert_eq!(callback.stopped_epoch(), stop);
                assert_eq!(callback.best().map(|(_, epoch)| epoch), Some(best), "{losses:?}");
                callback.on_train_end(training, Ending::Stopped).unwrap();
                assert_eq!(marked(training), best as f32, "{losses:?}");
            });
        }
    }

    #[test]
    fn resume_continues_where_it_was_interrupted() {
        let losses = [1.0, 0.9, 0.95, 0.8, 0.9, 0.85, 0.7];
        for split in 0..6 {
            let mut whole = EarlyStopping::new(config(2, 0.0)).unwrap();
            let mut first = whole.clone();
            let mut second = whole.clone();
            with_training_after(split, |training| {
                let stop = tell(&mut whole, training, 1, &losses);
                assert_eq!(tell(&mut first, training, 1, &losses[..split]), None);
                first.on_train_end(training, Ending::Interrupted).unwrap();
                if let Some((_, best)) = first.best() {
                    assert_eq!(marked(training), best as f32);
                }
                second.on_train_begin(training, &plan(1)).unwrap();
                second.restore(training, &first.state().unwrap()).unwrap();
                assert_eq!(tell(&mut second, training, split + 1, &losses[split..]), stop);
                assert_eq!(second.state().unwrap(), whole.state().unwrap());
            });
        }
    }

    #[test]
    fn an_unavailable_metric_is_an_error() {
        let mut callback = EarlyStopping::new(config(1, 0.0)).unwrap();
        let error = with_training(|training| callback.on_train_begin(training, &plan(0)));
        assert!(error.unwrap_err().to_string().starts_with("val_loss needs a validation set"));
        let error = EarlyStopping::new(config(1, -0.1)).unwrap_err().to_string();
        assert_eq!(error, "min delta must be at least 0 and finite, found -0.1");
    }

    #[test]
    fn a_state_of_something_else_is_refused_and_changes_nothing() {
        let mut callback = EarlyStopping::new(config(2, 0.0)).unwrap();
        with_training_after(3, |training| {
            tell(&mut callback, training, 1, &[1.0, 0.9, 0.95]);
            let good = callback.state().unwrap();
            let with = |key: &str, value: serde_json::Value| {
                let mut state = good.clone();
                state.value[key] = value;
                state
            };
            let mut other = good.clone();
            other.tensors.insert("0.bias".to_owned(), crate::tensors::HostTensor::default());
            let none = CallbackState { value: good.value.clone(), tensors: Tensors::new() };
            for (state, message) in [
                (with("best", "x".into()), "invalid type"),
                (with("wait", 4.into()), "at most 3 epochs"),
                (with("wait", u64::MAX.into()), "at most 3 epochs"),
                (with("best_epoch", 4.into()), "at most 3 epochs"),
                (with("stopped_epoch", 4.into()), "at most 3 epochs"),
                (with("best", serde_json::Value::Null), "keeps no weights"),
                (none, "needs the tensors"),
                (other, "must have shape [2]"),
            ] {
                let error = callback.restore(training, &state).unwrap_err().to_string();
                assert!(error.contains(message), "{error} for {message}");
                assert_eq!(callback.state().unwrap(), good);
            }
        });
    }
}
