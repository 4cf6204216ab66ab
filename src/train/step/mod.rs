//! One training step, by one of three engines: [`autograd_engine`] for every network on every device, the
//! reference; [`cpu_dense`] for stacks of Dense layers on the CPU and [`cuda_graph`] for every network on
//! a GPU, each several times as fast there.

mod autograd_engine;
mod autograd_step;
mod choose_engine;
mod cpu_dense;
mod cuda_graph;
mod data_parallel;
mod engine;
mod exchange_buffers;
mod metric_sums;
mod weighted_loss;

use tch::Device;

use super::config::{Engine as Choice, FitConfig};
use super::optimizer::Optimizer;
use super::schedule::{Schedule, TrainingLength};
use super::snapshot::{Snapshot, Sums};
use crate::group::Group;
use crate::group::rank_shard::RankShard;
use crate::losses::Correct;
use crate::model::{ModelError, Sequential, WeightsError, check_like};
use crate::native::LibtorchError;
use crate::tensors::Tensors;
#[cfg(test)]
use crate::{data::TargetKind, group::SingleProcess};
use autograd_engine::Autograd;
use cpu_dense::CpuDense;
use cuda_graph::CudaGraph;
use engine::{Engine, StepContext};
use exchange_buffers::ExchangeBuffers;

pub(super) use data_parallel::{StepOutcome, broadcast};
pub(super) use engine::{Input, InputKind};
pub(super) use weighted_loss::Objective;

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
    shared: ExchangeBuffers,
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
            shared: ExchangeBuffers::default(),
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

#[cfg(test)]
mod tests;
