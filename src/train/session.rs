//! The training loop: batches, epochs, snapshots, rollbacks.
//!
//! No random stream runs across batches: the order of an epoch is drawn from (seed, epoch), dropout from
//! (seed, step), so a run can resume at any batch.

mod check_snapshot;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::callback::{BatchInfo, Callback, Ending, Flow, Plan, SnapshotTrigger};
use super::callback_list::CallbackList;
use super::config::{FitConfig, OnNan};
use super::history::EpochRecord;
use super::monitor::VALIDATION;
use super::schedule::TrainingLength;
use super::snapshot::{Snapshot, State};
use super::step::{Objective, Step, StepOutcome};
use super::{FitData, TrainError, epoch_inputs, sample_order, start_ranks};
use crate::data::TargetKind;
use crate::data::batches::{DataLoader, Epoch};
use crate::device::{self, Device};
use crate::evaluate::{self, Evaluation};
use crate::group::rank_shard::RankShard;
use crate::group::{Group, broadcast_object};
use crate::metrics::{Metric, MetricError};
use crate::model::Sequential;

/// A training run in progress.
pub(super) struct Session<'a, 'c, 'm> {
    /// The ranks that train. Only rank 0 has callbacks; their requests are sent to all ranks.
    group: &'a dyn Group,
    config: &'a FitConfig,
    plan: Plan,
    on_cpu: bool,
    step: Step<'m>,
    train: Rc<DataLoader>,
    validation: Option<DataLoader>,
    callbacks: CallbackList<'a, 'c>,
    /// Where the run is, except for what `step` counts itself: step, learning rate, sums.
    state: State,
    /// The wall-clock seconds before this session, and the time it started.
    started: (f64, Instant),
    /// The state that a rollback goes back to, if the config allows rollbacks.
    rollback_point: Option<Arc<Snapshot>>,
    /// Whether a snapshot of an interrupted training was refused because its numbers were not finite.
    diverged: bool,
    /// The metrics without a value that callbacks have been notified of.
    noted: BTreeSet<String>,
}

/// The requests of rank 0's callbacks at the end of an epoch's batches or of the epoch.
#[derive(Serialize, Deserialize)]
struct EndRequests {
    stop: bool,
    interrupt: bool,
    learning_rate: f64,
    /// The weights were replaced after the last step.
    replaced: bool,
    /// The state to be snapshotted is not finite.
    diverged: bool,
}

/// Checks that all metrics can be computed after every epoch.
fn check_metrics(
    metrics: &[Metric],
    targets: TargetKind,
    is_validated: bool,
) -> Result<(), MetricError> {
    Metric::check_all(metrics)?;
    metrics.iter().try_for_each(|metric| metric.check_for(targets))?;
    match metrics.first() {
        Some(metric) if !is_validated => Err(MetricError::NotValidated(metric.name())),
        _ => Ok(()),
    }
}

/// Returns metrics by their names in an epoch's record.
fn validation_names(metrics: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    metrics.into_iter().map(|(name, value)| (format!("{VALIDATION}{name}"), value)).collect()
}

/// How an epoch ended.
enum EpochEnd {
    Finished,
    Interrupted,
}

impl<'a, 'c, 'm> Session<'a, 'c, 'm> {
    pub fn new(
        group: &'a dyn Group,
        model: &'m mut Sequential,
        data: FitData<'_>,
        config: &'a FitConfig,
        callbacks: &'a mut [&'c mut dyn Callback],
    ) -> Result<Self, TrainError> {
        for dataset in [Some(data.train), data.validation].into_iter().flatten() {
            evaluate::check_samples(model, dataset)?;
            let (kind, count) = (dataset.target_kind(), dataset.target_names().len());
            config.loss.check(model.spec(), kind, count)?;
            config.loss.check_for_training(model.spec())?;
        }
        check_metrics(&config.metrics, data.train.target_kind(), data.validation.is_some())?;
        let device = model.device();
        if device == Device::Cpu {
            device::note_cpu_use();
        }
        let objective = Objective::new(config, data.train, model.outputs())?;
        // Nothing was changed before all checks.
        model.set_output(config.loss.kind().output_activation());
        let scaled;
        let train = match &model.spec().target_scaling {
            // The engines see targets as the loss compares them with outputs.
            Some(scaling) => {
                scaled = data.train.with_scaled_targets(scaling);
                &scaled
            }
            None => data.train,
        };
        let plan = Plan {
            epochs: config.epochs,
            batches: data.train.len().div_ceil(config.batch_size),
            samples: data.train.len(),
            validation_samples: data.validation.map_or(0, |validation| validation.len()),
            targets: data.train.target_kind(),
            metrics: config.metrics.clone(),
        };
        let length = TrainingLength {
            steps: config.epochs as u64 * plan.batches as u64,
            epoch_steps: plan.batches as u64,
        };
        let samples = plan.samples;
        Ok(Self {
            group,
            config,
            plan,
            on_cpu: device == Device::Cpu,
            train: Rc::new(DataLoader::new(train, device)?.augmented(
                config.augment,
                config.seed,
                config.epochs,
            )?),
            validation: data.validation.map(|data| DataLoader::new(data, device)).transpose()?,
            step: Step::shared_by(group, model, config, objective, length, samples)?,
            callbacks: CallbackList::new(callbacks),
            state: State::default(),
            started: (0.0, Instant::now()),
            rollback_point: None,
            diverged: false,
            noted: BTreeSet::new(),
        })
    }

    /// Trains to the end, from `snapshot` if there is one.
    pub fn run(mut self, snapshot: Option<&Snapshot>) -> Result<State, TrainError> {
        if let Some(snapshot) = snapshot {
            self.check(snapshot)?;
        }
        let received = start_ranks::from_rank_0(self.group, &mut self.step, snapshot)?;
        let snapshot = received.as_ref().or(snapshot);
        if let Some(snapshot) = snapshot {
            self.restore(snapshot)?;
        }
        self.callbacks.dispatch(&mut self.step, &self.state, |callback, training| {
            callback.on_train_begin(training, &self.plan)
        })?;
        if let Some(snapshot) = snapshot {
            self.restore_callbacks(snapshot)?;
        }
        self.note_small_batch()?;
        self.rollback_point = match (self.config.on_nan, snapshot) {
            (OnNan::Rollback, Some(snapshot)) if snapshot.state.batch > 0 => {
                // A snapshot that was taken without rollbacks is itself the rollback point.
                Some(snapshot.rollback_point.clone().unwrap_or_else(|| Arc::new(snapshot.clone())))
            }
            (OnNan::Rollback, _) => self.snapshot()?,
            _ => None,
        };
        let mut ending = Ending::Complete;
        while self.state.epoch < self.config.epochs && !self.state.stopped {
            match self.epoch() {
                Ok(EpochEnd::Finished) => {}
                Ok(EpochEnd::Interrupted) => {
                    ending = Ending::Interrupted;
                    break;
                }
                Err(error) => self.roll_back(error)?,
            }
        }
        if self.state.stopped {
            ending = Ending::Stopped;
        }
        self.state.seconds = self.seconds();
        self.step.swap_ema_weights()?;
        self.callbacks.dispatch(&mut self.step, &self.state, |callback, training| {
            callback.on_train_end(training, ending)
        })?;
        if self.group.size() > 1 {
            self.step.follow_rank_0(self.group)?;
        }
        // The network must hold what training ends with, or an error must say why not.
        self.step.model()?;
        Ok(self.state)
    }

    /// Checks that [`run`](Self::run) would accept this snapshot.
    pub fn validate_resume(mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        self.check(snapshot)?;
        self.restore_callbacks(snapshot)
    }

    /// Trains the rest of the next epoch.
    fn epoch(&mut self) -> Result<EpochEnd, TrainError> {
        let epoch = self.state.epoch + 1;
        if self.group.size() > 1 {
            self.step.follow_rank_0(self.group)?;
        }
        self.callbacks.each(|callback| callback.on_epoch_begin(epoch))?;
        let flow = self.batches(epoch)?;
        let control = self.sync_control(flow == Flow::Stop, flow == Flow::Interrupt)?;
        if control.diverged {
            // Raises the same error on every rank.
            self.snapshot()?;
        }
        if control.interrupt {
            return Ok(EpochEnd::Interrupted);
        }
        let stopped = control.stop;
        let waited = Instant::now();
        let sums = self.step.sums()?;
        // The work that a GPU was still computing belongs to the epoch.
        self.state.epoch_seconds += waited.elapsed().as_secs_f64();
        if let Some(notice) = self.step.take_notice() {
            self.callbacks.each(|callback| callback.on_notice(&notice))?;
        }
        self.finite(sums.loss, "mean loss", None)?;
        // The loss was measured before the last step, which can be the one that went wrong. This comes
        // before any callback hears of the epoch, since the epoch may be rolled back.
        if self.config.on_nan != OnNan::Ignore
            && let Some((what, found)) = self.step.not_finite()?
        {
            self.finite(found, what, None)?;
        }
        // Validation and callbacks see the weights that training would end with here.
        self.step.swap_ema_weights()?;
        let validated = match &self.validation {
            None => None,
            Some(validation) => {
                let model = self.step.model()?;
                Some(model.evaluate_shared(self.group, validation, self.config.into())?)
            }
        };
        if let Some(validated) = &validated {
            self.finite(validated.loss, "validation loss", None)?;
            self.note_undefined(validated)?;
        }
        let samples = sums.samples as f64;
        let seconds = self.state.epoch_seconds;
        let record = EpochRecord {
            epoch,
            loss: sums.loss / samples,
            accuracy: self.step.accuracy(sums),
            val_loss: validated.as_ref().map(|v| v.loss),
            val_accuracy: validated.as_ref().and_then(|v| v.accuracy),
            metrics: validated.map(|v| validation_names(v.metrics)).unwrap_or_default(),
            learning_rate: self.step.last_rate(),
            seconds,
            samples_per_second: samples / seconds,
        };
        let end = self.callbacks.dispatch_and_collect(
            &mut self.step,
            &self.state,
            |callback, training| callback.on_epoch_end(training, &record),
        )?;
        let end = self.sync_control(end.stop, end.interrupt)?;
        self.step.swap_ema_weights()?;
        self.state.history.epochs.push(record);
        self.state.epoch = epoch;
        self.state.batch = 0;
        self.state.epoch_seconds = 0.0;
        self.step.set_sums(Default::default())?;
        self.state.stopped = stopped || end.stop;
        let wanted = self.callbacks.want_snapshot(SnapshotTrigger::Epoch) || end.interrupt;
        let rolls_back = self.config.on_nan == OnNan::Rollback;
        if wanted || rolls_back {
            let snapshot = self.snapshot()?;
            if wanted {
                self.callbacks.send_snapshot(snapshot.as_ref())?;
            }
            self.rollback_point = snapshot.filter(|_| rolls_back);
        }
        Ok(if end.interrupt { EpochEnd::Interrupted } else { EpochEnd::Finished })
    }

    /// Says that a layer learns nothing from the last batch of each epoch.
    fn note_small_batch(&mut self) -> Result<(), TrainError> {
        let last = self.plan.samples % self.config.batch_size;
        let small = self.step.model()?.spec().smallest_batch();
        match small.filter(|(_, needed)| last > 0 && last < *needed) {
            None => Ok(()),
            Some((layer, needed)) => {
                let notice = format!(
                    "note: samples in the last batch of each epoch: {last}, and {layer} learns from {needed} or more: \
                     take another batch size"
                );
                self.callbacks.each(|callback| callback.on_notice(&notice))
            }
        }
    }

    /// Says why a metric has no value, the first time.
    fn note_undefined(&mut self, validated: &Evaluation) -> Result<(), TrainError> {
        for (metric, why) in &validated.undefined {
            if self.noted.insert(metric.clone()) {
                let skipped = "epochs without one do not count for what monitors it";
                let notice = format!("note: {VALIDATION}{metric} has no value: {why} ({skipped})");
                self.callbacks.each(|callback| callback.on_notice(&notice))?;
            }
        }
        Ok(())
    }

    /// Trains the remaining batches of an epoch and returns what the callbacks requested.
    fn batches(&mut self, epoch: usize) -> Result<Flow, TrainError> {
        // Whole data sets are evaluated outside of this scope, with all threads.
        let _threads = self.on_cpu.then(|| device::Threads::set(self.config.step_threads()));
        let (begun, earlier) = (Instant::now(), self.state.epoch_seconds);
        let (train, size) = (Rc::clone(&self.train), self.config.batch_size);
        let shard = RankShard::of_rank(self.group);
        let order = match train.is_streamed() {
            true => Vec::new(),
            false => sample_order::order(train.len(), self.config.seed, epoch),
        };
        let samples = match train.is_streamed() {
            true => {
                let (seed, done) = (self.config.seed, self.state.batch);
                let epoch = Epoch { seed, number: epoch, batch: size, done, share: shard };
                epoch_inputs::read(&train, self.step.input_kind(), self.config, epoch)?
            }
            false => {
                let left = &order[order.len().min(self.state.batch * size)..];
                epoch_inputs::held(&train, self.step.input_kind(), self.config, epoch, left, shard)?
            }
        };
        for input in samples {
            let (number, position) =
                (self.state.batch + 1, self.state.batch * self.config.batch_size);
            let samples = size.min(self.plan.samples - position);
            let info = BatchInfo { epoch, batch: number, samples };
            self.callbacks.each(|callback| callback.on_batch_begin(&info))?;
            match self.step.is_shared() {
                false => self.step.run(&input?)?,
                true => {
                    if self.step.run_distributed(self.group, &input?, samples)? == StepOutcome::Left
                    {
                        // Rank 0 reports the reason when the batches are over.
                        return Ok(Flow::Continue);
                    }
                }
            }
            self.state.batch = number;
            self.state.epoch_seconds = earlier + begun.elapsed().as_secs_f64();
            if self.on_cpu && self.config.on_nan != OnNan::Ignore {
                let loss = self.step.sums()?.loss;
                self.finite(loss, "loss", Some(number))?;
            }
            let requests = self.callbacks.dispatch_and_collect(
                &mut self.step,
                &self.state,
                |callback, training| callback.on_batch_end(training, &info),
            )?;
            // The other ranks are about to take the next step.
            if shard.ranks > 1
                && (requests.stop || requests.interrupt)
                && number < self.plan.batches
            {
                self.step.leave(self.group)?;
            }
            // A snapshot at this point would lose a stop: the epoch ends first.
            if requests.stop {
                return Ok(Flow::Stop);
            }
            if self.callbacks.want_snapshot(SnapshotTrigger::Batch) || requests.interrupt {
                match self.snapshot() {
                    // The other ranks did not check: all find out at the next batch, or after the last.
                    Err(TrainError::Diverged { .. }) if shard.ranks > 1 => {
                        self.diverged = requests.interrupt;
                    }
                    snapshot => self.callbacks.send_snapshot(snapshot?.as_ref())?,
                }
            }
            if requests.interrupt {
                return Ok(Flow::Interrupt);
            }
        }
        Ok(Flow::Continue)
    }

    /// Returns the requests of rank 0's callbacks on every rank.
    fn sync_control(&mut self, stop: bool, interrupt: bool) -> Result<EndRequests, TrainError> {
        let (learning_rate, replaced) = (self.step.learning_rate(), self.step.is_replaced());
        let diverged = std::mem::take(&mut self.diverged);
        let local = EndRequests { stop, interrupt, learning_rate, replaced, diverged };
        let control = broadcast_object(self.group, local)?;
        self.step.set_learning_rate(control.learning_rate);
        if control.replaced && self.group.size() > 1 {
            self.step.follow_rank_0(self.group)?;
        }
        Ok(control)
    }

    /// Returns an error for a number that is not finite, unless the config ignores it.
    fn finite(
        &mut self,
        found: f64,
        what: &'static str,
        batch: Option<usize>,
    ) -> Result<(), TrainError> {
        if found.is_finite() || self.config.on_nan == OnNan::Ignore {
            return Ok(());
        }
        // On a GPU it may have been any batch of the epoch.
        let mut first = || self.step.finite_steps().ok()?;
        let batch = match (batch, what) {
            (None, "mean loss") => first().map(|finite| finite + 1),
            _ => batch,
        };
        Err(TrainError::Diverged {
            epoch: self.state.epoch + 1,
            batch,
            what,
            found,
            learning_rate: self.step.learning_rate(),
            rollbacks: self.state.rollbacks,
            unscaled: None,
        })
    }

    fn seconds(&self) -> f64 {
        self.started.0 + self.started.1.elapsed().as_secs_f64()
    }
}
