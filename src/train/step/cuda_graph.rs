//! Autograd's steps on a GPU, recorded once as a CUDA graph and replayed.
//!
//! A step of a small network is some thirty short operations, and launching one from the host takes
//! longer than running it. A graph launches them all at once, here those of several steps together: steps
//! are deferred until a group of them is full, or until their results are read. The indices of a group's
//! samples, its Dropout masks and its learning rates are copied to fixed tensors beforehand. The recorded
//! operations read those, gather the samples, take the steps and add up the metric sums.
//!
//! None of this waits for the device. The operations are those of [`AutogradStep`], so the numbers are
//! autograd's. For small stacks of Dense layers two [custom kernels](custom_kernels) replace them, whose
//! numbers are autograd's up to rounding. Where recording fails, the steps run one by one from the same
//! tensors.

mod custom_kernels;
mod recorded_steps;

use std::rc::Rc;

use tch::Device;

use super::autograd_engine;
use super::autograd_step::AutogradStep;
use super::engine::{BatchPart, Engine, Gradients, Input, InputKind, StepContext};
use super::metric_sums::MetricSums;
use super::weighted_loss::Objective;
use crate::config_error::Unsupported;
use crate::data::batches::{Batch, ResidentEpoch};
use crate::model::{ModelError, Sequential, WeightsError};
use crate::native::LibtorchError;
use crate::native::cuda_graph::{Graph, SideStream};
use crate::tensors::Tensors;
use crate::train::config::FitConfig;
use crate::train::snapshot::{Snapshot, Sums};
use custom_kernels::CustomKernels;
use recorded_steps::{Recording, Samples};

/// The largest number of steps in a group: with more of them a replay saves no more.
const GROUP_STEPS: usize = 32;
/// The largest number of values in a group's samples: 256 MiB in f32.
const GROUP_VALUES: usize = 64 << 20;

/// Checks that this engine can train with these settings on such a device.
pub(super) fn accepts(config: &FitConfig, device: Device) -> Result<(), Unsupported> {
    if !device.is_cuda() {
        let rule = "auto, autograd or fused on the CPU, which records no CUDA graphs";
        return Err(Unsupported::engine("graph", rule));
    }
    if config.augment.mixes() {
        let rule = "auto or autograd with augment mixup or cutmix, whose samples have two targets";
        return Err(Unsupported::engine("graph", rule));
    }
    Ok(())
}

/// Trains a network on a GPU by groups of recorded steps.
pub(super) struct CudaGraph<'m> {
    learner: AutogradStep<'m>,
    /// The custom kernels, for networks that they support.
    custom: Option<CustomKernels>,
    totals: MetricSums,
    /// Samples of a recorded step; a smaller one at an epoch's end is not recorded.
    batch: usize,
    /// Steps per group.
    group: usize,
    pending: Option<Pending>,
    /// An epoch of the data that recorded steps gather from.
    data: Option<Rc<ResidentEpoch>>,
    /// For a full group, and for the steps that do not fill one.
    recordings: [Option<Recording>; 2],
    recorder: Recorder,
    notice: Option<String>,
}

/// Deferred steps: consecutive batches of an epoch.
struct Pending {
    epoch: Rc<ResidentEpoch>,
    /// The position of the first sample.
    start: usize,
    contexts: Vec<StepContext>,
}

/// The way that groups are run.
enum Recorder {
    /// As CUDA graphs, on the GPU of this number and a separate stream.
    Graphs(usize, #[expect(dead_code, reason = "it ends with the engine")] SideStream),
    /// One step after the other.
    OneByOne,
}

impl<'m> CudaGraph<'m> {
    /// Returns an engine for steps of at most `batch` samples and epochs of `samples` samples. On the CPU
    /// the steps run one by one.
    pub fn new(
        model: &'m mut Sequential,
        config: &FitConfig,
        objective: Objective,
        batch: usize,
        samples: usize,
    ) -> Result<Self, LibtorchError> {
        let device = model.device();
        let values: usize = model.spec().input_shape.iter().product();
        let room = GROUP_VALUES / (batch * values).max(1);
        let (mut notice, mut custom) = (None, None);
        let recorder = match device {
            Device::Cuda(index) => {
                match CustomKernels::new(model, config, &objective, batch, index) {
                    Ok(kernels) => custom = kernels,
                    Err(error) if error.is_out_of_memory() => return Err(error),
                    Err(error) => {
                        let slower = "libtorch's operations take their place, which is slower";
                        notice =
                            Some(format!("note: seqfit's own kernels fail ({error}): {slower}"));
                    }
                }
                Recorder::Graphs(index, SideStream::enter(index)?)
            }
            _ => Recorder::OneByOne,
        };
        Ok(Self {
            custom,
            totals: MetricSums::new(device, Sums::default(), objective.correct)?,
            learner: AutogradStep::new(model, config, objective)?,
            batch,
            group: room.min(samples / batch.max(1)).clamp(1, GROUP_STEPS),
            pending: None,
            data: None,
            recordings: [None, None],
            recorder,
            notice,
        })
    }

    /// Runs the deferred steps.
    fn flush(&mut self) -> Result<(), LibtorchError> {
        let Some(Pending { epoch, mut start, contexts }) = self.pending.take() else {
            return Ok(());
        };
        let mut contexts = &contexts[..];
        while !contexts.is_empty() {
            let steps = if contexts.len() >= self.group { self.group } else { 1 };
            let (now, later) = contexts.split_at(steps);
            self.run_together(&epoch, start, now).map_err(ModelError::into_libtorch)?;
            start += steps * self.batch;
            contexts = later;
        }
        Ok(())
    }

    /// Runs a full group, or one step, of recorded size.
    fn run_together(
        &mut self,
        epoch: &ResidentEpoch,
        start: usize,
        contexts: &[StepContext],
    ) -> Result<(), ModelError> {
        let place = usize::from(contexts.len() < self.group);
        let mut recording = match self.recordings[place].take() {
            Some(recording) => recording,
            None => self.record(epoch, contexts)?,
        };
        recording.fill(self.learner.model, epoch, start, contexts)?;
        match &mut recording.graph {
            Some((_, graph)) => graph.replay()?,
            None => {
                let Self { learner, custom, totals, .. } = self;
                recording.run(epoch, learner, custom.as_ref(), totals, contexts)?;
            }
        }
        self.totals.count(contexts.len() * self.batch);
        self.recordings[place] = Some(recording);
        Ok(())
    }

    /// Runs one step of any size immediately.
    fn run_now(
        &mut self,
        epoch: &ResidentEpoch,
        batch: Batch,
        context: StepContext,
    ) -> Result<(), ModelError> {
        if self.custom.is_none() {
            return autograd_engine::step(&mut self.learner, &mut self.totals, &batch, context);
        }
        let samples = batch.samples();
        let mut recording = Recording::new(self.learner.model, Samples::Made(batch), 1, samples)?;
        recording.fill_noise_and_rates(self.learner.model, &[context])?;
        let Self { learner, custom, totals, .. } = self;
        recording.run(epoch, learner, custom.as_ref(), totals, &[context])?;
        self.totals.count(samples);
        Ok(self.learner.start_ema()?)
    }

    /// Allocates the input tensors for steps like these, and records them. If that fails, it is not tried
    /// again.
    fn record(
        &mut self,
        epoch: &ResidentEpoch,
        contexts: &[StepContext],
    ) -> Result<Recording, ModelError> {
        let (steps, count) = (contexts.len(), contexts.len() * self.batch);
        let samples = match epoch.is_plain() {
            true => {
                let chosen = epoch.chosen(0, count)?;
                Samples::Chosen(chosen.f_detach_copy().map_err(LibtorchError::from)?)
            }
            false => Samples::Made(epoch.batch(0, count)?),
        };
        let mut recording = Recording::new(self.learner.model, samples, steps, self.batch)?;
        if let Recorder::Graphs(device, _) = self.recorder {
            let Self { learner, custom, totals, .. } = self;
            let work = || recording.run(epoch, learner, custom.as_ref(), totals, contexts);
            match Graph::record(device, work) {
                Ok((graph, found)) => recording.graph = Some((found, graph)),
                Err(error) => {
                    let error = error.into_libtorch();
                    if error.is_out_of_memory() {
                        return Err(error.into());
                    }
                    self.notice = Some(format!(
                        "note: the steps cannot be recorded as a CUDA graph ({error}) and run \
                         one by one, which is slower; --engine autograd does the same without trying"
                    ));
                    self.recorder = Recorder::OneByOne;
                }
            }
        }
        Ok(recording)
    }

    /// Drops the recordings: they would write to tensors that are no longer in use.
    fn forget(&mut self) {
        self.recordings = [None, None];
    }
}

impl Engine for CudaGraph<'_> {
    fn input_kind(&self) -> InputKind {
        InputKind::Resident
    }

    fn run(&mut self, input: &Input, context: StepContext) -> Result<(), ModelError> {
        let Input::Resident(epoch, start, samples) = input else {
            unreachable!("an engine gets the kind of input that it takes");
        };
        let follows = |pending: &Pending| {
            let next = pending.start + pending.contexts.len() * self.batch;
            Rc::ptr_eq(&pending.epoch, epoch) && next == *start
        };
        if !self.pending.as_ref().is_some_and(follows) {
            self.flush()?;
        }
        if !self.data.as_ref().is_some_and(|data| data.is_of(epoch)) {
            self.forget();
            self.data = Some(Rc::clone(epoch));
        }
        // The first step runs immediately: it differs for SGD and for the moving average, and libtorch
        // loads what the steps need.
        if *samples != self.batch || context.number == 0 {
            self.flush()?;
            return self.run_now(epoch, epoch.batch(*start, *samples)?, context);
        }
        let pending = self.pending.get_or_insert_with(|| Pending {
            epoch: Rc::clone(epoch),
            start: *start,
            contexts: Vec::new(),
        });
        pending.contexts.push(context);
        if pending.contexts.len() == self.group {
            self.flush()?;
        }
        Ok(())
    }

    fn gradients(
        &mut self,
        _: &Input,
        _: BatchPart,
        _: StepContext,
        _: Gradients,
    ) -> Result<Sums, ModelError> {
        unreachable!("ranks take autograd's steps")
    }

    fn update(&mut self, _: Gradients, _: StepContext, _: Sums) -> Result<(), ModelError> {
        unreachable!("ranks take autograd's steps")
    }

    fn model(&mut self) -> Result<&Sequential, LibtorchError> {
        self.flush()?;
        Ok(self.learner.model)
    }

    fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        self.flush()?;
        self.learner.model.set_weights(weights)
    }

    fn swap_ema_weights(&mut self) -> Result<(), LibtorchError> {
        self.flush()?;
        // A second call swaps back the tensors that recorded steps write to, before the next step.
        self.learner.swap_ema_weights();
        Ok(())
    }

    fn average(&mut self) -> Result<Tensors, LibtorchError> {
        self.flush()?;
        self.learner.average()
    }

    fn moments(&mut self) -> Result<[Tensors; 2], LibtorchError> {
        self.flush()?;
        self.learner.moments()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        self.pending = None;
        self.forget();
        self.learner.restore(snapshot)
    }

    fn not_finite(&mut self) -> Result<Option<(&'static str, f64)>, LibtorchError> {
        self.flush()?;
        self.learner.not_finite()
    }

    fn sums(&mut self) -> Result<Sums, LibtorchError> {
        self.flush()?;
        self.totals.read()
    }

    fn set_sums(&mut self, sums: Sums) -> Result<(), LibtorchError> {
        self.flush()?;
        self.totals.set(sums)
    }

    fn finite_steps(&mut self) -> Result<Option<usize>, LibtorchError> {
        self.flush()?;
        self.totals.finite_steps()
    }

    fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }
}

impl Drop for CudaGraph<'_> {
    fn drop(&mut self) {
        // However training ends, the network gets the weights of the last step.
        let _ = self.flush();
    }
}
