//! Lowers the learning rate when a metric stops improving.

use serde::{Deserialize, Serialize};

use super::{Callback, CallbackError, Flow, Plan, Training};
use crate::config_error::ConfigError;
use crate::train::history::EpochRecord;
use crate::train::monitor::Monitor;
use crate::train::snapshot::CallbackState;

/// The settings of [`ReduceLrOnPlateau`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReduceLrConfig {
    /// The metric that should improve.
    pub monitor: Monitor,
    /// The factor that the learning rate is multiplied by: 0 < factor < 1.
    pub factor: f64,
    /// Epochs in a row without improvement after which it is lowered.
    pub patience: usize,
    /// The least change of the metric that counts as an improvement.
    pub min_delta: f64,
    /// Epochs after a reduction that are not counted.
    pub cooldown: usize,
    /// The learning rate is never lowered below this.
    pub min_learning_rate: f64,
}

impl ReduceLrConfig {
    /// Returns Keras's defaults for a metric: factor 0.1, patience 10, min delta 1e-4, no cooldown.
    pub fn new(monitor: Monitor) -> Self {
        Self {
            monitor,
            factor: 0.1,
            patience: 10,
            min_delta: 1e-4,
            cooldown: 0,
            min_learning_rate: 0.0,
        }
    }
}

/// Multiplies the learning rate by a factor when a metric stops improving for `patience` epochs, as
/// Keras's `ReduceLROnPlateau` counts them (`keras/src/callbacks/reduce_lr_on_plateau.py`).
#[derive(Clone, Debug)]
pub struct ReduceLrOnPlateau {
    config: ReduceLrConfig,
    seen: Seen,
}

/// Its state so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    best: Option<f64>,
    wait: usize,
    cooldown: usize,
}

impl ReduceLrOnPlateau {
    /// Returns a callback with these settings.
    ///
    /// # Errors
    /// The first setting that breaks its rule.
    pub fn new(config: ReduceLrConfig) -> Result<Self, ConfigError> {
        let ReduceLrConfig { factor, min_delta, min_learning_rate, .. } = config;
        ConfigError::unless(
            factor > 0.0 && factor < 1.0,
            "factor of the learning rate",
            "above 0 and below 1",
            factor,
        )?;
        for (name, value) in [("min delta", min_delta), ("least learning rate", min_learning_rate)]
        {
            let holds = value >= 0.0 && value.is_finite();
            ConfigError::unless(holds, name, "at least 0 and finite", value)?;
        }
        Ok(Self { config, seen: Seen::default() })
    }
}

impl Callback for ReduceLrOnPlateau {
    fn on_train_begin(&mut self, _: &mut Training, plan: &Plan) -> Result<(), CallbackError> {
        self.seen = Seen::default();
        self.config.monitor = self.config.monitor.in_plan(plan)?;
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        training: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        let ReduceLrConfig {
            ref monitor,
            factor,
            patience,
            min_delta,
            cooldown,
            min_learning_rate,
        } = self.config;
        let seen = &mut self.seen;
        // An epoch in which the metric has no value says nothing about the others.
        let Some(value) = monitor.of(record) else { return Ok(Flow::Continue) };
        if seen.cooldown > 0 {
            seen.cooldown -= 1;
            seen.wait = 0;
        }
        if monitor.improves(value, seen.best, min_delta) {
            (seen.best, seen.wait) = (Some(value), 0);
        } else if seen.cooldown == 0 {
            seen.wait += 1;
            let old = training.learning_rate();
            if seen.wait >= patience && old > min_learning_rate {
                training.set_learning_rate((old * factor).max(min_learning_rate))?;
                (seen.wait, seen.cooldown) = (0, cooldown);
            }
        }
        Ok(Flow::Continue)
    }

    fn key(&self) -> Option<&'static str> {
        Some("reduce_lr")
    }

    fn state(&self) -> Result<CallbackState, CallbackError> {
        Ok(CallbackState { value: serde_json::to_value(self.seen)?, ..CallbackState::default() })
    }

    fn restore(
        &mut self,
        training: &mut Training,
        state: &CallbackState,
    ) -> Result<(), CallbackError> {
        let seen: Seen = serde_json::from_value(state.value.clone())?;
        let (epochs, most) = (training.history().epochs.len(), self.config.cooldown);
        if seen.wait > epochs || seen.cooldown > most {
            let Seen { wait, cooldown, .. } = seen;
            let rule = format!("it waits at most {epochs} epochs and cools down for {most}");
            return Err(format!("{rule}, found {wait} and {cooldown}").into());
        }
        self.seen = seen;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{plan, record, with_training, with_training_after};
    use super::*;

    fn rates(config: ReduceLrConfig, losses: &[f64]) -> Vec<f64> {
        let mut callback = ReduceLrOnPlateau::new(config.clone()).unwrap();
        with_training(|training| {
            callback.on_train_begin(training, &plan(1)).unwrap();
            let rates = (1..).zip(losses).map(|(epoch, &loss)| {
                callback.on_epoch_end(training, &record(epoch, loss)).unwrap();
                training.learning_rate()
            });
            rates.collect()
        })
    }

    /// Learning rates after each epoch of Keras 3.15's ReduceLROnPlateau given the same losses:
    /// tests/fixtures/make_callbacks.py. Keras keeps the rate in float32.
    #[test]
    fn it_lowers_the_rate_where_keras_does() {
        let base = ReduceLrConfig { patience: 2, ..ReduceLrConfig::new(Monitor::ValLoss) };
        let plateau = [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9];
        let cases: [(ReduceLrConfig, &[f64], &[f64]); 4] = [
            (base.clone(), &plateau, &[1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]),
            (
                ReduceLrConfig { cooldown: 2, ..base.clone() },
                &plateau,
                &[1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4, 1e-5],
            ),
            (
                ReduceLrConfig { factor: 0.5, min_learning_rate: 4e-4, ..base.clone() },
                &plateau,
                &[1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 4e-4, 4e-4],
            ),
            (
                ReduceLrConfig { min_delta: 0.1, patience: 1, ..base.clone() },
                &[1.0, 0.95, 0.85, 0.84, f64::NAN],
                &[1e-3, 1e-4, 1e-4, 1e-5, 1e-6],
            ),
        ];
        for (config, losses, expected) in cases {
            let got = rates(config.clone(), losses);
            let close = got.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-6);
            assert!(close && got.len() == expected.len(), "{config:?}: {got:?} for {expected:?}");
        }
    }

    #[test]
    fn epochs_without_a_value_do_not_count() {
        let config = ReduceLrConfig { patience: 1, ..ReduceLrConfig::new(Monitor::ValLoss) };
        let mut callback = ReduceLrOnPlateau::new(config).unwrap();
        with_training(|training| {
            for epoch in 1..9 {
                let without = EpochRecord { val_loss: None, ..record(epoch, 1.0) };
                callback.on_epoch_end(training, &without).unwrap();
            }
            assert_eq!(training.learning_rate(), 1e-3);
        });
    }

    #[test]
    fn resume_continues_where_it_was_interrupted() {
        let config =
            ReduceLrConfig { patience: 2, cooldown: 1, ..ReduceLrConfig::new(Monitor::Loss) };
        let losses = [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0];
        let whole = rates(config.clone(), &losses);
        for split in 0..losses.len() {
            let mut first = ReduceLrOnPlateau::new(config.clone()).unwrap();
            let mut second = ReduceLrOnPlateau::new(config.clone()).unwrap();
            let last = with_training_after(losses.len(), |training| {
                for (epoch, &loss) in (1..).zip(&losses) {
                    let callback = if epoch <= split { &mut first } else { &mut second };
                    callback.on_epoch_end(training, &record(epoch, loss)).unwrap();
                    if epoch == split {
                        second.restore(training, &first.state().unwrap()).unwrap();
                    }
                }
                training.learning_rate()
            });
            assert_eq!(Some(&last), whole.last(), "{split}");
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        for factor in [0.0, 1.0, f64::NAN] {
            let config = ReduceLrConfig { factor, ..ReduceLrConfig::new(Monitor::Loss) };
            let error = ReduceLrOnPlateau::new(config).unwrap_err().to_string();
            assert!(error.contains("must be above 0 and below 1"), "{error}");
        }
        let config = ReduceLrConfig { min_delta: -1.0, ..ReduceLrConfig::new(Monitor::Loss) };
        assert!(ReduceLrOnPlateau::new(config).is_err());
    }
}
