//! The learning rate range test, which finds a learning rate to train with.
//!
//! The rate grows from step to step until the loss diverges; where the loss falls, rates are good. L. N.
//! Smith, *Cyclical Learning Rates for Training Neural Networks* (2017); run, smoothed and evaluated as
//! fastai's `Learner.lr_find` does it, with its suggestion "valley".

use serde::{Deserialize, Serialize};

use super::callback::{BatchInfo, Callback, CallbackError, Flow, Plan, Training};
use super::config::{FitConfig, OnNan};
use super::schedule::Schedule;
use super::{FitData, TrainError};
use crate::config_error::ConfigError;
use crate::model::Sequential;

/// The weight of the previous mean in the moving average of the losses: fastai's.
const SMOOTHING: f64 = 0.98;
/// A loss above this multiple of the best one has diverged.
const DIVERGED: f64 = 4.0;

/// A learning rate range test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LrFind {
    /// The first learning rate.
    pub start: f64,
    /// The last learning rate, if the loss does not diverge before.
    pub end: f64,
    /// Steps from the first to the last.
    pub steps: usize,
}

impl Default for LrFind {
    fn default() -> Self {
        Self { start: 1e-7, end: 10.0, steps: 100 }
    }
}

/// One step of the test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LrPoint {
    /// Its learning rate.
    pub learning_rate: f64,
    /// The batch's mean loss, in nats.
    pub loss: f64,
    /// The moving average of the losses, corrected for its initial bias.
    pub smoothed: f64,
}

/// The result of the test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LrCurve {
    /// The steps, up to where the loss diverged.
    pub points: Vec<LrPoint>,
}

impl LrFind {
    /// Checks every number.
    ///
    /// # Errors
    /// The first that breaks its rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        let start = self.start > 0.0 && self.start.is_finite();
        ConfigError::unless(start, "first learning rate", "above 0 and finite", self.start)?;
        let end = self.end > self.start && self.end.is_finite();
        ConfigError::unless(end, "last learning rate", "above the first one", self.end)?;
        ConfigError::unless(self.steps >= 20, "steps of the test", "at least 20", self.steps)
    }

    fn rate(&self, step: usize) -> f64 {
        self.start * (self.end / self.start).powf(step as f64 / (self.steps - 1) as f64)
    }
}

impl LrCurve {
    /// Returns the rate in the middle of the longest fall of the smoothed loss, between its first and
    /// last third; none if it hardly falls. The first tenth of the steps and the last five do not count.
    pub fn suggestion(&self) -> Option<f64> {
        let skipped = self.points.len() / 10;
        let points = self.points.get(skipped..self.points.len().saturating_sub(5))?;
        // The longest falling subsequence that ends at each step.
        let mut lengths = vec![1usize; points.len()];
        for i in 1..points.len() {
            for j in 0..i {
                if points[i].smoothed < points[j].smoothed {
                    lengths[i] = lengths[i].max(lengths[j] + 1);
                }
            }
        }
        // The first of several that are equally long.
        let (end, &longest) =
            lengths.iter().enumerate().rev().max_by_key(|(_, length)| **length)?;
        if longest < 5 {
            return None;
        }
        let third = longest as f64 / 3.0;
        let middle = end.saturating_sub(longest) + third as usize + (third / 2.0) as usize;
        Some(points[middle].learning_rate)
    }
}

impl Sequential {
    /// Runs a learning rate range test with the batches, loss, optimizer and augmentation of `config`;
    /// its learning rate, schedule, epochs and validation are ignored. The network keeps its weights.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit).
    pub fn lr_find<'a>(
        &mut self,
        data: impl Into<FitData<'a>>,
        config: &FitConfig,
        test: &LrFind,
    ) -> Result<LrCurve, TrainError> {
        test.check()?;
        let FitData { train, .. } = data.into();
        let before = self.weights()?;
        let config = FitConfig {
            epochs: test.steps.div_ceil(train.len().div_ceil(config.batch_size.max(1)).max(1)),
            validation_split: 0.0,
            schedule: Schedule::Constant,
            ema: None,
            // The test is meant to diverge.
            on_nan: OnNan::Ignore,
            ..config.clone()
        };
        let mut finder = Finder { test: *test, ..Finder::default() };
        let trained = self.fit(train, &config, &mut [&mut finder]);
        let restored = self.set_weights(&before);
        trained?;
        restored.map_err(|error| TrainError::Callback(error.into()))?;
        Ok(finder.curve)
    }
}

/// Raises the rate and records each batch's loss.
#[derive(Default)]
struct Finder {
    test: LrFind,
    curve: LrCurve,
    /// Samples of the current epoch and the sum of their losses.
    seen: (usize, f64),
    /// The average, uncorrected.
    average: f64,
    best: f64,
}

impl Callback for Finder {
    fn on_train_begin(&mut self, training: &mut Training, _: &Plan) -> Result<(), CallbackError> {
        Ok(training.set_learning_rate(self.test.rate(0))?)
    }

    fn on_epoch_begin(&mut self, _: usize) -> Result<(), CallbackError> {
        self.seen = (0, 0.0);
        Ok(())
    }

    fn on_batch_end(
        &mut self,
        training: &mut Training,
        batch: &BatchInfo,
    ) -> Result<Flow, CallbackError> {
        let samples = self.seen.0 + batch.samples;
        let sum = training.mean_loss()? * samples as f64;
        let loss = (sum - self.seen.1) / batch.samples as f64;
        self.seen = (samples, sum);
        let step = self.curve.points.len();
        self.average = SMOOTHING * self.average + (1.0 - SMOOTHING) * loss;
        let smoothed = self.average / (1.0 - SMOOTHING.powi(step as i32 + 1));
        if step == 0 || smoothed < self.best {
            self.best = smoothed;
        }
        if smoothed.is_nan() || smoothed > DIVERGED * self.best {
            return Ok(Flow::Stop);
        }
        let learning_rate = self.test.rate(step);
        self.curve.points.push(LrPoint { learning_rate, loss, smoothed });
        if step + 1 == self.test.steps {
            return Ok(Flow::Stop);
        }
        training.set_learning_rate(self.test.rate(step + 1))?;
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Flatten};
    use crate::{Activation, Device, data};

    #[test]
    fn the_rates_of_the_digits_are_found_and_the_weights_stay() {
        let (train, _) = data::load("digits").unwrap();
        let mut model = Sequential::new(train.sample_shape())
            .add(Flatten)
            .add(Dense::new(64).activation(Activation::Relu))
            .add(Dense::new(10))
            .build(Device::Cpu, 0)
            .unwrap();
        let before = model.weights().unwrap();
        let test = LrFind::default();
        let curve = model.lr_find(&train, &FitConfig::default(), &test).unwrap();
        assert!(model.weights().unwrap() == before);
        // It diverged before the end, after more than one epoch of 60 batches would be over.
        assert!((70..100).contains(&curve.points.len()), "{}", curve.points.len());
        let ratio = curve.points[1].learning_rate / curve.points[0].learning_rate;
        assert!((ratio.powi(99) / 1e8 - 1.0).abs() < 1e-6);
        // The first loss of ten classes is about ln 10, and an average equals its first value.
        assert!((curve.points[0].loss - 10f64.ln()).abs() < 0.5);
        assert!((curve.points[0].smoothed - curve.points[0].loss).abs() < 1e-12);
        let suggestion = curve.suggestion().unwrap();
        assert!((3e-4..3e-2).contains(&suggestion), "{suggestion}");
        // The network learns with the suggestion.
        let optimizer = FitConfig::default().optimizer.with_learning_rate(suggestion);
        let config = FitConfig { epochs: 3, optimizer, ..FitConfig::default() };
        assert!(model.fit(&train, &config, &mut []).unwrap().epochs[2].accuracy > Some(0.9));
    }

    #[test]
    fn the_suggestion_is_in_the_middle_of_the_longest_fall() {
        let curve = |losses: &[f64]| {
            let point = |(i, &smoothed): (usize, &f64)| LrPoint {
                learning_rate: 10f64.powi(i as i32 - 20),
                loss: smoothed,
                smoothed,
            };
            LrCurve { points: losses.iter().enumerate().map(point).collect() }
        };
        // Steps 10 to 27 fall, with the plateau before them 19 values. fastai's `valley` of these losses:
        // from 27 - 19 = 8 on a third, 6, and half of one, 3.
        let losses: Vec<f64> = (0..40)
            .map(|i| match i {
                0..10 => 2.0,
                10..28 => 2.0 - 0.1 * (i - 9) as f64,
                _ => 1.0 + i as f64,
            })
            .collect();
        assert_eq!(curve(&losses).suggestion(), Some(10f64.powi(8 + 6 + 3 - 20)));
        assert_eq!(curve(&[1.0; 40]).suggestion(), None);
        assert_eq!(curve(&[1.0; 3]).suggestion(), None);
    }

    #[test]
    fn wrong_numbers_are_named() {
        for (test, message) in [
            (LrFind { start: 0.0, ..LrFind::default() }, "first learning rate must be above 0"),
            (
                LrFind { end: 1e-8, ..LrFind::default() },
                "last learning rate must be above the first",
            ),
            (LrFind { steps: 19, ..LrFind::default() }, "steps of the test must be at least 20"),
        ] {
            let error = test.check().unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
