//! One training step, by one of three engines: [`autograd`] for every network on every device, the
//! reference; [`fused`] for stacks of Dense layers on the CPU and [`replayed`] for every network on a GPU,
//! each several times as fast there.

mod autograd;
mod autograd_step;
mod cpu_dense;
mod cuda_graph;
mod data_parallel;
mod metric_sums;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::rc::Rc;

use tch::{Device, Tensor};

use super::config::{Engine as Choice, FitConfig};
use super::optimizer::Optimizer;
use super::schedule::{Schedule, TrainingLength};
use super::snapshot::{Snapshot, Sums};
use crate::data::batches::{Batch, HostBatches, PrefetchedBatch, ResidentEpoch};
use crate::data::rank_shard::RankShard;
use crate::group::Group;
#[cfg(test)]
use crate::group::SingleProcess;
use crate::model::{ModelError, Sequential, WeightsError, check_like};
use crate::native::LibtorchError;
use crate::tensors::Tensors;
use autograd::Autograd;
use cpu_dense::CpuDense;
use cuda_graph::CudaGraph;

use data_parallel::Shared;

pub(super) use cpu_dense::supports;
pub(super) use data_parallel::{StepOutcome, broadcast};

/// What an engine wants its samples as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputKind {
    /// [`Input::Batch`].
    Batches,
    /// [`Input::Chosen`] or [`Input::Read`].
    Chosen,
    /// [`Input::Resident`].
    Resident,
}

/// The samples of a step.
pub(super) enum Input<'a> {
    /// Made already.
    Batch(Batch),
    /// Chosen, for an engine that makes them itself.
    Chosen(HostBatches<'a>, &'a [u32]),
    /// The place of the first in the order of an epoch, and how many.
    Resident(Rc<ResidentEpoch>, usize, usize),
    /// As they were read from files, for an engine that makes its batches itself.
    Read(PrefetchedBatch),
}

impl Input<'_> {
    /// Some of its samples, by their places.
    fn part(&self, places: Range<usize>) -> Result<Input<'_>, LibtorchError> {
        let (first, count) = (places.start as i64, places.len() as i64);
        Ok(match self {
            Self::Batch(batch) => {
                // Copies: sums in libtorch may depend on where in memory a list begins.
                let part = |tensor: &Tensor| tensor.f_narrow(0, first, count)?.f_detach_copy();
                let (images, labels) = (part(&batch.images)?, part(&batch.labels)?);
                Input::Batch(Batch { images, labels })
            }
            Self::Resident(epoch, start, _) => {
                Input::Resident(Rc::clone(epoch), start + places.start, places.len())
            }
            Self::Chosen(feed, chosen) => Input::Chosen(*feed, &chosen[places]),
            Self::Read(portion) => Input::Chosen(portion.feed(), &portion.places()[places]),
        })
    }

    /// The samples that an engine makes a batch of itself: where they are, and which.
    fn chosen(&self) -> Option<(HostBatches<'_>, &[u32])> {
        match self {
            Self::Chosen(feed, chosen) => Some((*feed, chosen)),
            Self::Read(portion) => Some((portion.feed(), portion.places())),
            Self::Batch(_) | Self::Resident(..) => None,
        }
    }
}

/// Where the samples of an input are in their batch.
#[derive(Clone, Copy, Debug)]
struct BatchPart {
    /// Samples of the batch before them.
    first: usize,
    /// Samples of the whole batch.
    batch: usize,
}

/// Where an engine writes the gradients of all parameters, one behind the other in an order of its own.
enum Gradients<'a> {
    /// Any engine.
    Host(&'a mut [f32]),
    /// A list on the network's device: for engines that take batches.
    Device(&'a Tensor),
}

/// One step's place in the training.
#[derive(Clone, Copy, Debug)]
struct StepContext {
    /// The optimiser, with the learning rate of this step.
    optimizer: Optimizer,
    /// Steps before this one.
    number: u64,
    /// The seed of the masks that Dropout draws.
    seed: u64,
}

/// What computes a step: parameters, what the optimiser remembers and the sums of what was seen are its
/// own, in whatever form it likes.
trait Engine {
    /// What it wants its samples as.
    fn input_kind(&self) -> InputKind;

    /// Forward, backward and the optimiser's step, now or together with steps that follow; whoever asks
    /// for anything gets what there is behind all steps.
    fn run(&mut self, input: &Input, context: StepContext) -> Result<(), ModelError>;

    /// The first half of a step on a part of a batch, which may be empty: writes what it adds to the gradients
    /// of the whole batch's mean loss into `gradients`, and gives the sums over its samples. Nothing is changed
    /// by it.
    fn gradients(
        &mut self,
        input: &Input,
        part: BatchPart,
        context: StepContext,
        gradients: Gradients,
    ) -> Result<Sums, ModelError>;

    /// The second half: the optimiser's step, with the gradients and sums of a whole batch.
    fn update(
        &mut self,
        gradients: Gradients,
        context: StepContext,
        sums: Sums,
    ) -> Result<(), ModelError>;

    /// The network with the parameters of this moment.
    fn model(&mut self) -> Result<&Sequential, LibtorchError>;

    /// A copy of the parameters by their names.
    fn weights(&mut self) -> Result<Tensors, LibtorchError> {
        self.model()?.weights()
    }

    /// Replaces the parameters, which are checked before the first is changed.
    fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError>;

    /// Exchanges the weights for their moving average, if there is one; a second call takes that back.
    fn swap_ema_weights(&mut self) -> Result<(), LibtorchError>;

    /// A copy of the weights' average by the parameters' names; empty without one.
    fn average(&mut self) -> Result<Tensors, LibtorchError>;

    /// Copies of both lists of the optimiser's moments by the parameters' names; a list that the
    /// optimiser does not need is empty.
    fn moments(&mut self) -> Result<[Tensors; 2], LibtorchError>;

    /// Overwrites everything with what it was in `snapshot`, whose names and shapes have been checked.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError>;

    /// The first of the weights, their average and the optimiser's memory that holds a number that is
    /// not finite, and that number. This waits for the device.
    fn not_finite(&mut self) -> Result<Option<(&'static str, f64)>, LibtorchError>;

    /// The sums since the last [`set_sums`](Self::set_sums). This waits for the device.
    fn sums(&mut self) -> Result<Sums, LibtorchError>;

    /// Begins anew from these sums.
    fn set_sums(&mut self, sums: Sums) -> Result<(), LibtorchError>;

    /// How many of the steps since the last [`set_sums`](Self::set_sums) came before the first whose
    /// loss was not finite, if it is known. This waits for the device.
    fn finite_steps(&mut self) -> Result<Option<usize>, LibtorchError>;

    /// What whoever trains should know, once.
    fn take_notice(&mut self) -> Option<String> {
        None
    }
}

/// Trains a network step by step.
pub(super) struct Step<'m> {
    engine: Box<dyn Engine + 'm>,
    optimizer: Optimizer,
    steps: u64,
    schedule: Schedule,
    course: TrainingLength,
    seed: u64,
    keeps_average: bool,
    /// What of each batch is this rank's, computed one after the other; nothing where steps are taken alone.
    pieces: Vec<RankShard>,
    /// What is exchanged between ranks.
    shared: Shared,
    /// Whether somebody has replaced the weights since all ranks had the same.
    replaced: bool,
}

impl<'m> Step<'m> {
    /// For steps over a training set of so many samples.
    #[cfg(test)]
    pub fn new(
        model: &'m mut Sequential,
        config: &FitConfig,
        course: TrainingLength,
        samples: usize,
    ) -> Result<Self, LibtorchError> {
        Self::shared_by(&SingleProcess, model, config, course, samples)
    }

    /// For steps over a training set of so many samples, which these ranks take together.
    pub fn shared_by(
        group: &dyn Group,
        model: &'m mut Sequential,
        config: &FitConfig,
        course: TrainingLength,
        samples: usize,
    ) -> Result<Self, LibtorchError> {
        let (ranks, batch) = (group.size(), config.batch_size.min(samples));
        let (share, device) = (RankShard::of_rank(group), model.device());
        let (pieces, batch) = if group.is_single_process() || (ranks == 1 && device != Device::Cpu)
        {
            (Vec::new(), batch)
        } else if device == Device::Cpu && !group.is_device_aware(device) {
            (share.pieces(), batch.div_ceil(RankShard::pieces_of_all(ranks)))
        } else {
            // A GPU is too fast to be given less than there is.
            (vec![share], batch.div_ceil(ranks))
        };
        let engine: Box<dyn Engine + 'm> = match config.engine_for(model.spec(), device) {
            Choice::Fused => Box::new(CpuDense::new(model, config, batch)?),
            // No graph records what ranks exchange.
            Choice::Graph if ranks > 1 => Box::new(Autograd::new(model, config)?),
            Choice::Graph => Box::new(CudaGraph::new(model, config, batch, samples)?),
            Choice::Auto | Choice::Autograd => Box::new(Autograd::new(model, config)?),
        };
        Ok(Self {
            engine,
            optimizer: config.optimizer,
            steps: 0,
            schedule: config.schedule,
            course,
            seed: config.seed,
            keeps_average: config.ema.is_some(),
            pieces,
            shared: Shared::default(),
            replaced: false,
        })
    }

    /// Whether steps are taken [together](Self::run_distributed) with other ranks, or as they would be.
    pub fn is_shared(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Whether somebody has replaced the weights since all ranks had the same.
    pub fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// What [`run`](Self::run) is to be given.
    pub fn input_kind(&self) -> InputKind {
        self.engine.input_kind()
    }

    /// What whoever trains should know, once.
    pub fn take_notice(&mut self) -> Option<String> {
        self.engine.take_notice()
    }

    /// One step.
    pub fn run(&mut self, input: &Input) -> Result<(), ModelError> {
        self.engine.run(input, self.context())?;
        self.steps += 1;
        Ok(())
    }

    /// The next step's.
    fn context(&self) -> StepContext {
        let rate = self.schedule.share(self.steps, self.course) * self.optimizer.learning_rate();
        StepContext {
            optimizer: self.optimizer.with_learning_rate(rate),
            number: self.steps,
            seed: self.seed,
        }
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The optimiser's learning rate, which the schedule takes shares of.
    pub fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate()
    }

    /// Changes the optimiser's learning rate from the next step on.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer = self.optimizer.with_learning_rate(learning_rate);
    }

    /// The learning rate that the last step took.
    pub fn last_rate(&self) -> f64 {
        let last = self.steps.saturating_sub(1);
        self.schedule.share(last, self.course) * self.optimizer.learning_rate()
    }

    /// The network with the parameters of this moment.
    pub fn model(&mut self) -> Result<&Sequential, LibtorchError> {
        self.engine.model()
    }

    /// Replaces the parameters.
    pub fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        self.replaced = true;
        self.engine.set_weights(weights)
    }

    /// Exchanges the weights for their average, if there is one; a second call takes that back.
    pub fn swap_ema_weights(&mut self) -> Result<(), LibtorchError> {
        self.engine.swap_ema_weights()
    }

    /// Copies of the weights, their average and the optimiser's moments, by the parameters' names.
    pub fn tensors(&mut self) -> Result<(Tensors, Tensors, [Tensors; 2]), LibtorchError> {
        let weights = self.engine.weights()?;
        Ok((weights, self.engine.average()?, self.engine.moments()?))
    }

    /// See [`Engine::not_finite`].
    pub fn not_finite(&mut self) -> Result<Option<(&'static str, f64)>, LibtorchError> {
        self.engine.not_finite()
    }

    /// See [`Engine::sums`].
    pub fn sums(&mut self) -> Result<Sums, LibtorchError> {
        self.engine.sums()
    }

    /// See [`Engine::set_sums`].
    pub fn set_sums(&mut self, sums: Sums) -> Result<(), LibtorchError> {
        self.engine.set_sums(sums)
    }

    /// See [`Engine::finite_steps`].
    pub fn finite_steps(&mut self) -> Result<Option<usize>, LibtorchError> {
        self.engine.finite_steps()
    }

    /// Checks that a snapshot's tensors are those of this network and its optimiser.
    pub fn check(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        let Snapshot { state, weights, average, moments, .. } = snapshot;
        let (keeps_average, remembers) = (self.keeps_average, self.optimizer.state_slots());
        let model = self.engine.model()?;
        check_like(model, weights)?;
        let like = |tensors: &Tensors, expected: bool| match expected {
            true => check_like(model, tensors),
            false if tensors.is_empty() => Ok(()),
            false => {
                let found = tensors.keys().cloned().collect();
                Err(WeightsError::Names { expected: Vec::new(), found })
            }
        };
        // Before the first step there is no average.
        like(average, keeps_average && state.step > 0)?;
        moments.iter().zip(remembers).try_for_each(|(tensors, expected)| like(tensors, expected))
    }

    /// Overwrites weights, their average, moments, the count of steps and the learning rate; all tensors are
    /// checked before the first is changed.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        self.check(snapshot)?;
        self.engine.restore(snapshot)?;
        self.steps = snapshot.state.step;
        self.set_learning_rate(snapshot.state.learning_rate);
        Ok(())
    }
}
