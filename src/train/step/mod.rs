//! One training step, by one of three engines: [`autograd`] for every network on every device, the
//! reference; [`cpu_dense`] for stacks of Dense layers on the CPU and [`cuda_graph`] for every network on
//! a GPU, each several times as fast there.

mod autograd_engine;
mod autograd_step;
mod cpu_dense;
mod cuda_graph;
mod data_parallel;
mod metric_sums;
#[cfg(test)]
mod tests;
mod weighted_loss;

use std::ops::Range;
use std::rc::Rc;

use tch::{Device, Tensor};

use super::config::{Engine as Choice, FitConfig};
use super::optimizer::Optimizer;
use super::schedule::{Schedule, TrainingLength};
use super::snapshot::{Snapshot, Sums};
use crate::config_error::Unsupported;
use crate::data::batches::{Batch, HostBatches, PrefetchedBatch, ResidentEpoch};
use crate::group::Group;
use crate::group::rank_shard::RankShard;
use crate::losses::Correct;
use crate::model::{ModelError, Sequential, Spec, WeightsError, check_like};
use crate::native::LibtorchError;
use crate::tensors::Tensors;
#[cfg(test)]
use crate::{data::TargetKind, group::SingleProcess};
use autograd_engine::Autograd;
use cpu_dense::CpuDense;
use cuda_graph::CudaGraph;

use data_parallel::Shared;

pub(super) use data_parallel::{StepOutcome, broadcast};
pub(super) use weighted_loss::Objective;

/// The engines, the fastest first; the last accepts everything.
const ENGINES: [Choice; 3] = [Choice::Graph, Choice::Fused, Choice::Autograd];

/// Checks that an engine can train such a network with these settings on that device.
pub(super) fn accepts(
    engine: Choice,
    network: &Spec,
    config: &FitConfig,
    device: Device,
) -> Result<(), Unsupported> {
    match engine {
        Choice::Graph => cuda_graph::accepts(device),
        Choice::Fused => cpu_dense::accepts(network, config, device),
        Choice::Auto | Choice::Autograd => Ok(()),
    }
}

/// Returns the fastest engine that accepts these.
pub(super) fn fastest(network: &Spec, config: &FitConfig, device: Device) -> Choice {
    let accepts = |engine: &Choice| accepts(*engine, network, config, device).is_ok();
    ENGINES.into_iter().find(accepts).unwrap_or(Choice::Autograd)
}

/// The form that an engine takes its samples in.
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
    /// A finished batch.
    Batch(Batch),
    /// Indices of samples, for an engine that builds its batches itself.
    Chosen(HostBatches<'a>, &'a [u32]),
    /// The position of the first sample in the order of an epoch, and the number of samples.
    Resident(Rc<ResidentEpoch>, usize, usize),
    /// Samples as they were read from files, for an engine that builds its batches itself.
    Read(PrefetchedBatch),
}

impl Input<'_> {
    /// Returns some of its samples, by their positions.
    fn part(&self, places: Range<usize>) -> Result<Input<'_>, LibtorchError> {
        let (first, count) = (places.start as i64, places.len() as i64);
        Ok(match self {
            Self::Batch(batch) => {
                // Copies are needed: sums in libtorch may depend on where in memory a list begins.
                let part = |tensor: &Tensor| tensor.f_narrow(0, first, count)?.f_detach_copy();
                Input::Batch(batch.map(part)?)
            }
            Self::Resident(epoch, start, _) => {
                Input::Resident(Rc::clone(epoch), start + places.start, places.len())
            }
            Self::Chosen(source, chosen) => Input::Chosen(*source, &chosen[places]),
            Self::Read(batch) => Input::Chosen(batch.feed(), &batch.places()[places]),
        })
    }

    /// Returns the samples that an engine builds a batch of itself: their source, and their indices.
    fn chosen(&self) -> Option<(HostBatches<'_>, &[u32])> {
        match self {
            Self::Chosen(source, chosen) => Some((*source, chosen)),
            Self::Read(batch) => Some((batch.feed(), batch.places())),
            Self::Batch(_) | Self::Resident(..) => None,
        }
    }
}

/// The position of an input's samples in their batch.
#[derive(Clone, Copy, Debug)]
struct BatchPart {
    /// Samples of the batch before them.
    first: usize,
    /// Samples of the whole batch.
    batch: usize,
}

/// The destination of the gradients of all parameters, one after the other in an order that the engine
/// chooses.
enum Gradients<'a> {
    /// In host memory: for any engine.
    Host(&'a mut [f32]),
    /// On the network's device: for engines that take batches.
    Device(&'a Tensor),
}

/// The context of one training step.
#[derive(Clone, Copy, Debug)]
struct StepContext {
    /// The optimizer, with the learning rate of this step.
    optimizer: Optimizer,
    /// Steps before this one.
    number: u64,
    /// The seed of the masks that Dropout draws.
    seed: u64,
}

/// An engine that computes training steps. It owns the parameters, the optimizer state and the metric
/// sums, in a form that it chooses.
trait Engine {
    /// Returns the form that it takes its samples in.
    fn input_kind(&self) -> InputKind;

    /// Runs forward, backward and the optimizer step, now or together with later steps. Every query
    /// returns the state after all steps.
    fn run(&mut self, input: &Input, context: StepContext) -> Result<(), ModelError>;

    /// Runs the first half of a step on a part of a batch, which may be empty.
    ///
    /// Writes the part's contribution to the gradients of the whole batch's mean loss into `gradients`,
    /// and returns the sums over its samples. The engine's state does not change.
    fn gradients(
        &mut self,
        input: &Input,
        part: BatchPart,
        context: StepContext,
        gradients: Gradients,
    ) -> Result<Sums, ModelError>;

    /// Runs the second half: the optimizer step, with the gradients and sums of a whole batch.
    fn update(
        &mut self,
        gradients: Gradients,
        context: StepContext,
        sums: Sums,
    ) -> Result<(), ModelError>;

    /// Returns the network with the current parameters.
    fn model(&mut self) -> Result<&Sequential, LibtorchError>;

    /// Returns a copy of the parameters and buffers by their names.
    fn weights(&mut self) -> Result<Tensors, LibtorchError> {
        self.model()?.weights()
    }

    /// Replaces the parameters. All are checked before the first is changed.
    fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError>;

    /// Swaps the weights with their moving average, if there is one; a second call swaps them back.
    fn swap_ema_weights(&mut self) -> Result<(), LibtorchError>;

    /// Returns a copy of the moving average of the weights by the parameters' names; empty without one.
    fn average(&mut self) -> Result<Tensors, LibtorchError>;

    /// Returns copies of both lists of the optimizer's moments by the parameters' names; a list that the
    /// optimizer does not need is empty.
    fn moments(&mut self) -> Result<[Tensors; 2], LibtorchError>;

    /// Restores everything from `snapshot`, whose names and shapes have been checked.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError>;

    /// Returns the first of the weights, their moving average and the optimizer state that holds a
    /// non-finite number, and that number. This waits for the device.
    fn not_finite(&mut self) -> Result<Option<(&'static str, f64)>, LibtorchError>;

    /// Returns the sums since the last [`set_sums`](Self::set_sums). This waits for the device.
    fn sums(&mut self) -> Result<Sums, LibtorchError>;

    /// Starts over from these sums.
    fn set_sums(&mut self, sums: Sums) -> Result<(), LibtorchError>;

    /// Returns the number of steps since the last [`set_sums`](Self::set_sums) that came before the first
    /// non-finite loss, if it is known. This waits for the device.
    fn finite_steps(&mut self) -> Result<Option<usize>, LibtorchError>;

    /// Returns a note that the user should see, once.
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
    correct: Correct,
    outputs: usize,
    /// This rank's microbatches of each batch, computed one after the other; empty in a single process.
    pieces: Vec<RankShard>,
    /// The buffers that are exchanged between ranks.
    shared: Shared,
    /// Whether the weights were replaced since all ranks had the same.
    replaced: bool,
}

impl<'m> Step<'m> {
    /// Returns a step for a training set of `samples` samples.
    #[cfg(test)]
    pub fn new(
        model: &'m mut Sequential,
        config: &FitConfig,
        course: TrainingLength,
        samples: usize,
    ) -> Result<Self, LibtorchError> {
        let objective = Objective::unweighted(config, TargetKind::Class, (model.outputs(), 0));
        Self::shared_by(&SingleProcess, model, config, objective, course, samples)
    }

    /// Returns a step for a training set of `samples` samples, which the ranks of `group` take together.
    pub fn shared_by(
        group: &dyn Group,
        model: &'m mut Sequential,
        config: &FitConfig,
        objective: Objective,
        course: TrainingLength,
        samples: usize,
    ) -> Result<Self, LibtorchError> {
        let (ranks, batch) = (group.size(), config.batch_size.min(samples));
        let (shard, device) = (RankShard::of_rank(group), model.device());
        let (pieces, batch) = if group.is_single_process() || (ranks == 1 && device != Device::Cpu)
        {
            (Vec::new(), batch)
        } else if device == Device::Cpu && !group.is_device_aware(device) {
            (shard.pieces(), batch.div_ceil(RankShard::pieces_of_all(ranks)))
        } else {
            // A GPU is too fast for microbatches: it gets all of the rank's samples at once.
            (vec![shard], batch.div_ceil(ranks))
        };
        let (correct, outputs) = (objective.correct, model.outputs());
        let engine: Box<dyn Engine + 'm> = match config.engine_for(model.spec(), device) {
            Choice::Fused => Box::new(CpuDense::new(model, config, objective, batch)?),
            // CUDA graphs do not record the exchange between ranks.
            Choice::Graph if ranks > 1 => Box::new(Autograd::new(model, config, objective)?),
            Choice::Graph => Box::new(CudaGraph::new(model, config, objective, batch, samples)?),
            Choice::Auto | Choice::Autograd => Box::new(Autograd::new(model, config, objective)?),
        };
        Ok(Self {
            engine,
            optimizer: config.optimizer,
            steps: 0,
            schedule: config.schedule,
            course,
            seed: config.seed,
            keeps_average: config.ema.is_some(),
            correct,
            outputs,
            pieces,
            shared: Shared::default(),
            replaced: false,
        })
    }

    /// Returns whether steps are taken [together](Self::run_distributed) with other ranks, or as if they
    /// were.
    pub fn is_shared(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Whether the weights were replaced since all ranks had the same.
    pub fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// Returns the form of input that [`run`](Self::run) takes.
    pub fn input_kind(&self) -> InputKind {
        self.engine.input_kind()
    }

    /// Returns a note that the user should see, once.
    pub fn take_notice(&mut self) -> Option<String> {
        self.engine.take_notice()
    }

    /// Takes one step.
    pub fn run(&mut self, input: &Input) -> Result<(), ModelError> {
        self.engine.run(input, self.context())?;
        self.steps += 1;
        Ok(())
    }

    /// Returns the context of the next step.
    fn context(&self) -> StepContext {
        let rate = self.schedule.share(self.steps, self.course) * self.optimizer.learning_rate();
        StepContext {
            optimizer: self.optimizer.with_learning_rate(rate),
            number: self.steps,
            seed: self.seed,
        }
    }

    /// Returns the number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns the fraction of correct predictions in these sums; none where the loss knows no correct ones.
    pub fn accuracy(&self, sums: Sums) -> Option<f64> {
        self.correct.fraction(sums.correct, sums.samples, self.outputs)
    }

    /// Returns the optimizer's learning rate, which the schedule scales.
    pub fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate()
    }

    /// Changes the optimizer's learning rate from the next step on.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer = self.optimizer.with_learning_rate(learning_rate);
    }

    /// Returns the learning rate of the last step.
    pub fn last_rate(&self) -> f64 {
        let last = self.steps.saturating_sub(1);
        self.schedule.share(last, self.course) * self.optimizer.learning_rate()
    }

    /// Returns the network with the current parameters.
    pub fn model(&mut self) -> Result<&Sequential, LibtorchError> {
        self.engine.model()
    }

    /// Replaces the parameters.
    pub fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        self.replaced = true;
        self.engine.set_weights(weights)
    }

    /// Swaps the weights with their moving average, if there is one; a second call swaps them back.
    pub fn swap_ema_weights(&mut self) -> Result<(), LibtorchError> {
        self.engine.swap_ema_weights()
    }

    /// Returns copies of the weights, their moving average and the optimizer's moments, by the
    /// parameters' names.
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

    /// Checks that a snapshot's tensors are those of this network and its optimizer.
    pub fn check(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        let Snapshot { state, weights, average, moments, .. } = snapshot;
        let (keeps_average, slots) = (self.keeps_average, self.optimizer.state_slots());
        let model = self.engine.model()?;
        check_like(model.variables(), weights)?;
        let like = |tensors: &Tensors, expected: bool| match expected {
            true => check_like(model.parameters(), tensors),
            false if tensors.is_empty() => Ok(()),
            false => {
                let found = tensors.keys().cloned().collect();
                Err(WeightsError::Names { expected: Vec::new(), found })
            }
        };
        // Before the first step there is no average.
        like(average, keeps_average && state.step > 0)?;
        moments.iter().zip(slots).try_for_each(|(tensors, expected)| like(tensors, expected))
    }

    /// Restores weights, their moving average, moments, the count of steps and the learning rate; all
    /// tensors are checked before the first is changed.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        self.check(snapshot)?;
        self.engine.restore(snapshot)?;
        self.steps = snapshot.state.step;
        self.set_learning_rate(snapshot.state.learning_rate);
        Ok(())
    }
}
