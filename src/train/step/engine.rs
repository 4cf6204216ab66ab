//! The trait of engines, and the inputs of a step.

use std::ops::Range;
use std::rc::Rc;

use tch::Tensor;

use crate::data::batches::{Batch, HostBatches, PrefetchedBatch, ResidentEpoch};
use crate::model::{ModelError, Sequential, WeightsError};
use crate::native::LibtorchError;
use crate::tensors::Tensors;
use crate::train::optimizer::Optimizer;
use crate::train::snapshot::{Snapshot, Sums};

/// The form that an engine takes its samples in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::train) enum InputKind {
    /// [`Input::Batch`].
    Batches,
    /// [`Input::Chosen`] or [`Input::Read`].
    Chosen,
    /// [`Input::Resident`].
    Resident,
}

/// The samples of a step.
pub(in crate::train) enum Input<'a> {
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
    pub fn part(&self, places: Range<usize>) -> Result<Input<'_>, LibtorchError> {
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
    pub fn chosen(&self) -> Option<(HostBatches<'_>, &[u32])> {
        match self {
            Self::Chosen(source, chosen) => Some((*source, chosen)),
            Self::Read(batch) => Some((batch.feed(), batch.places())),
            Self::Batch(_) | Self::Resident(..) => None,
        }
    }
}

/// The position of an input's samples in their batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchPart {
    /// Samples of the batch before them.
    pub first: usize,
    /// Samples of the whole batch.
    pub batch: usize,
}

/// The destination of the gradients of all parameters, one after the other in an order that the engine
/// chooses.
pub(super) enum Gradients<'a> {
    /// In host memory: for any engine.
    Host(&'a mut [f32]),
    /// On the network's device: for engines that take batches.
    Device(&'a Tensor),
}

/// The context of one training step.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepContext {
    /// The optimizer, with the learning rate of this step.
    pub optimizer: Optimizer,
    /// Steps before this one.
    pub number: u64,
    /// The seed of the masks that Dropout draws.
    pub seed: u64,
}

/// An engine that computes training steps. It owns the parameters, the optimizer state and the metric
/// sums, in a form that it chooses.
pub(super) trait Engine {
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
