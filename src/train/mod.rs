//! Training: `fit`, its settings, optimisers, callbacks and history.
//!
//! The loop computes and tells its callbacks; it prints nothing and writes no file.

pub mod callback;
mod config;
mod history;
mod optimizer;
mod rule;
mod step;

pub use config::FitConfig;
pub use history::{EpochRecord, History};
pub use optimizer::{Adam, AdamW, Optimizer, RmsProp, Sgd};
pub use rule::ConfigError;

use std::time::Instant;

use rand::seq::SliceRandom;

use crate::data::batches::Feed;
use crate::data::{DataError, Dataset};
use crate::device;
use crate::evaluate::{self, EvaluateError};
use crate::model::{ModelError, Sequential};
use crate::native::LibtorchError;
use crate::rng::{self, Purpose};
use callback::{BatchInfo, Callback, CallbackError, Flow, Plan};
use step::Step;

/// Why a training run ended before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting breaks its rule.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data cannot be split as asked.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Data and network do not fit.
    #[error(transparent)]
    Mismatch(#[from] EvaluateError),
    /// The forward pass failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The numbers are no longer finite.
    #[error(
        "training diverged in epoch {epoch}: the {what} must be finite, found {found}: use a lower \
         learning rate than {learning_rate}"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// "mean loss", "validation loss" or "weights".
        what: &'static str,
        /// NaN or an infinity.
        found: f64,
        /// The optimiser's.
        learning_rate: f64,
    },
    /// A callback failed.
    #[error("a callback failed: {0}")]
    Callback(#[source] CallbackError),
    /// libtorch refused.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

impl Sequential {
    /// Trains the network on `train` by backpropagation.
    ///
    /// Every epoch goes once through all samples in an order drawn by the seed; the last partial
    /// batch counts; means are weighted by samples. With a validation split, that share of `train`
    /// is held back, and evaluated after every epoch.
    ///
    /// Each call starts anew: the optimiser's memory, the order of the samples and the dropout masks
    /// begin at epoch 1. While a batch is trained on the CPU the process's libtorch threads are
    /// those of [`FitConfig::step_threads`].
    ///
    /// # Errors
    /// Settings that break a rule, data that does not fit the network, a loss that is no longer
    /// finite at the end of an epoch, or a callback's own error. The network then keeps the weights
    /// of the last step.
    pub fn fit(
        &mut self,
        train: &Dataset,
        config: &FitConfig,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History, TrainError> {
        config.check()?;
        if config.validation_split == 0.0 {
            return self.run(train, None, config, callbacks);
        }
        let (train, validation) = train.split(config.validation_split, config.seed)?;
        self.run(&train, Some(&validation), config, callbacks)
    }

    /// As [`fit`](Self::fit), validating on a set of its own; the configured split must be 0.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_with_validation(
        &mut self,
        train: &Dataset,
        validation: &Dataset,
        config: &FitConfig,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History, TrainError> {
        config.check()?;
        ConfigError::unless(
            config.validation_split == 0.0,
            "validation split",
            "0 with a validation set of its own",
            config.validation_split,
        )?;
        self.run(train, Some(validation), config, callbacks)
    }

    fn run(
        &mut self,
        train: &Dataset,
        validation: Option<&Dataset>,
        config: &FitConfig,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History, TrainError> {
        for dataset in [Some(train), validation].into_iter().flatten() {
            evaluate::check_fit(self, dataset)?;
        }
        let on_cpu = self.device() == device::Device::Cpu;
        if on_cpu {
            device::note_cpu_use();
        }
        let feed = Feed::new(train, self.device())?;
        let validation = match validation {
            None => None,
            Some(validation) => Some(Feed::new(validation, self.device())?),
        };
        let learning_rate = config.optimizer.learning_rate();
        let mut step = Step::new(self, config.optimizer, config.loss, config.seed)?;
        let mut order: Vec<u32> = Vec::with_capacity(train.len());
        let mut history = History::default();

        let plan = Plan {
            epochs: config.epochs,
            batches: train.len().div_ceil(config.batch_size),
            samples: train.len(),
            validation_samples: validation.as_ref().map_or(0, Feed::len),
        };
        tell(callbacks, |callback| callback.on_train_begin(&plan))?;
        for epoch in 1..=config.epochs {
            tell(callbacks, |callback| callback.on_epoch_begin(epoch))?;
            let threads = on_cpu.then(|| device::Threads::set(config.step_threads()));
            let started = Instant::now();
            shuffle(&mut order, train.len(), config.seed, epoch);
            let mut samples = 0;
            let mut flow = Flow::Continue(());
            for (i, batch) in feed.batches(&order, config.batch_size)?.enumerate() {
                let info = BatchInfo {
                    epoch,
                    batch: i + 1,
                    samples: config.batch_size.min(train.len() - samples),
                };
                tell(callbacks, |callback| callback.on_batch_begin(&info))?;
                step.run(&batch?)?;
                samples += info.samples;
                flow = ask(callbacks, |callback| callback.on_batch_end(&info))?;
                if flow.is_break() {
                    break;
                }
            }
            let (loss, accuracy) = step.take_means()?;
            let seconds = started.elapsed().as_secs_f64();
            // Whole data sets go through the network from here on, with all threads.
            drop(threads);
            let finite = |what, found: f64| {
                let diverged = TrainError::Diverged { epoch, what, found, learning_rate };
                if found.is_finite() { Ok(()) } else { Err(diverged) }
            };
            finite("mean loss", loss)?;
            // The loss was measured before the last step, which can be the one that went wrong.
            finite("weights", step.model().largest_weight()?)?;
            let validated = match &validation {
                None => None,
                Some(validation) => Some(step.model().evaluate_feed(validation)?),
            };
            if let Some(validated) = &validated {
                finite("validation loss", validated.loss)?;
            }
            let record = EpochRecord {
                epoch,
                loss,
                accuracy,
                val_loss: validated.as_ref().map(|v| v.loss),
                val_accuracy: validated.as_ref().map(|v| v.accuracy),
                learning_rate,
                seconds,
                samples_per_second: samples as f64 / seconds,
            };
            let end = ask(callbacks, |callback| callback.on_epoch_end(step.model(), &record))?;
            history.epochs.push(record);
            if flow.is_break() || end.is_break() {
                break;
            }
        }
        tell(callbacks, |callback| callback.on_train_end(step.model(), &history))?;
        Ok(history)
    }
}

/// The order of the samples in `epoch`, drawn anew from the stream of (seed, epoch).
fn shuffle(order: &mut Vec<u32>, samples: usize, seed: u64, epoch: usize) {
    order.clear();
    order.extend(0..samples as u32);
    order.shuffle(&mut rng::stream(seed, Purpose::Shuffle, &[epoch as u64]));
}

fn tell(
    callbacks: &mut [&mut dyn Callback],
    mut what: impl FnMut(&mut dyn Callback) -> Result<(), CallbackError>,
) -> Result<(), TrainError> {
    callbacks.iter_mut().try_for_each(|callback| what(*callback)).map_err(TrainError::Callback)
}

/// Asks every callback, even when one has already said to stop.
fn ask(
    callbacks: &mut [&mut dyn Callback],
    mut what: impl FnMut(&mut dyn Callback) -> Result<Flow, CallbackError>,
) -> Result<Flow, TrainError> {
    callbacks.iter_mut().try_fold(Flow::Continue(()), |flow, callback| {
        let own = what(*callback).map_err(TrainError::Callback)?;
        Ok(if own.is_break() { own } else { flow })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_a_permutation_of_the_seed_and_the_epoch() {
        let order = |seed, epoch| {
            let mut order = Vec::new();
            shuffle(&mut order, 100, seed, epoch);
            order
        };
        let mut sorted = order(1, 1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
        assert!(order(1, 1) != sorted);
        assert_eq!(order(1, 1), order(1, 1));
        assert!(order(1, 1) != order(1, 2) && order(1, 1) != order(2, 1));
    }
}
