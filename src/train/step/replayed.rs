//! The steps of autograd on a GPU, recorded once as a CUDA graph and replayed.
//!
//! A step of a small network is some fifty short operations, and starting one from the host takes longer
//! than doing it. A graph starts them all at once, here those of several steps together: steps are put
//! off until a group of them is full, or until somebody asks for what they lead to. The samples, labels,
//! Dropout masks and learning rates of a group are brought to fixed places beforehand, which the
//! recorded operations read; what they found is summed up behind them.
//!
//! Nothing of this waits for the device, and the operations are those of [`Learner`], so the numbers are
//! autograd's. Where recording fails they are done one by one, from the same places.

use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use super::autograd;
use super::learner::{Found, Learner};
use super::totals::Totals;
use super::{Engine, Input, Takes, Turn};
use crate::data::batches::{Batch, ResidentEpoch};
use crate::model::{ModelError, Sequential, WeightsError};
use crate::native::LibtorchError;
use crate::native::graph::{Graph, OwnStream};
use crate::native::optimizer::Rate;
use crate::tensors::Tensors;
use crate::train::config::FitConfig;
use crate::train::snapshot::{Snapshot, Sums};

/// Samples of a group, about: with more of them a replay saves no more, and they take memory.
const GROUP_SAMPLES: usize = 2048;
/// Steps of a group at most.
const GROUP_STEPS: usize = 32;

/// Trains a network on a GPU by groups of recorded steps.
pub(super) struct Replayed<'m> {
    learner: Learner<'m>,
    totals: Totals,
    /// Samples of a step that is recorded; a smaller one at an epoch's end is not.
    batch: usize,
    /// Steps of a group.
    group: usize,
    pending: Option<Pending>,
    /// For a whole group, and for the steps that fill none.
    recordings: [Option<Recording>; 2],
    recorder: Recorder,
    notice: Option<String>,
}

/// Steps that are put off: consecutive batches of an epoch.
struct Pending {
    epoch: Rc<ResidentEpoch>,
    /// The first sample's place.
    start: usize,
    turns: Vec<Turn>,
}

/// How groups are done.
enum Recorder {
    /// As graphs, on the GPU of this number and a stream of their own.
    Graphs(usize, #[expect(dead_code, reason = "it ends with the engine")] OwnStream),
    /// One step after the other.
    OneByOne,
}

/// A number of steps with the places that they read and write.
struct Recording {
    /// f32 [steps · batch, height, width] and i64 [steps · batch]
    samples: Batch,
    /// For each step those of the Dropout layers.
    masks: Vec<Vec<Tensor>>,
    /// f32 [steps]: the learning rates, and what is in there.
    rates: Tensor,
    known_rates: Vec<f64>,
    /// What a replay finds, and the graph; nothing where steps are done one by one.
    recorded: Option<(Vec<Found>, Graph)>,
}

impl<'m> Replayed<'m> {
    /// For steps of `batch` samples. On the CPU the steps are done one by one.
    pub fn new(
        model: &'m mut Sequential,
        config: &FitConfig,
        batch: usize,
    ) -> Result<Self, LibtorchError> {
        let device = model.device();
        let recorder = match device {
            Device::Cuda(index) => Recorder::Graphs(index, OwnStream::enter(index)?),
            _ => Recorder::OneByOne,
        };
        Ok(Self {
            totals: Totals::new(device, Sums::default())?,
            learner: Learner::new(model, config)?,
            batch,
            group: (GROUP_SAMPLES / batch.max(1)).clamp(1, GROUP_STEPS),
            pending: None,
            recordings: [None, None],
            recorder,
            notice: None,
        })
    }

    /// Does what was put off.
    fn flush(&mut self) -> Result<(), LibtorchError> {
        let Some(Pending { epoch, mut start, turns }) = self.pending.take() else { return Ok(()) };
        let mut turns = &turns[..];
        while !turns.is_empty() {
            let steps = if turns.len() >= self.group { self.group } else { 1 };
            let (now, later) = turns.split_at(steps);
            self.run_together(&epoch, start, now).map_err(ModelError::into_libtorch)?;
            start += steps * self.batch;
            turns = later;
        }
        Ok(())
    }

    /// A whole group, or one step, of recorded size.
    fn run_together(
        &mut self,
        epoch: &ResidentEpoch,
        start: usize,
        turns: &[Turn],
    ) -> Result<(), ModelError> {
        let place = usize::from(turns.len() < self.group);
        let mut recording = match self.recordings[place].take() {
            Some(recording) => recording,
            None => self.record(epoch, turns)?,
        };
        recording.fill(self.learner.model, epoch.batch(start, turns.len() * self.batch)?, turns)?;
        match &mut recording.recorded {
            Some((found, graph)) => {
                graph.replay()?;
                self.totals.add(&recording.samples.labels, found)?;
            }
            None => {
                let found = recording.steps(&mut self.learner, turns)?;
                self.totals.add(&recording.samples.labels, &found)?;
            }
        }
        self.recordings[place] = Some(recording);
        Ok(())
    }

    /// Makes the places for steps like these, and records them. Where that fails it is not tried again.
    fn record(&mut self, epoch: &ResidentEpoch, turns: &[Turn]) -> Result<Recording, ModelError> {
        let (steps, batch) = (turns.len(), self.batch as i64);
        let model = &*self.learner.model;
        let masks = (0..steps).map(|_| model.empty_masks(batch)).collect::<Result<_, _>>()?;
        let options = (Kind::Float, model.device());
        let rates = Tensor::f_zeros([steps as i64], options).map_err(LibtorchError::from)?;
        let samples = epoch.batch(0, steps * self.batch)?;
        let images = samples.images.f_contiguous().map_err(LibtorchError::from)?;
        let samples = Batch { images, ..samples };
        let mut recording =
            Recording { samples, masks, rates, known_rates: Vec::new(), recorded: None };
        if let Recorder::Graphs(device, _) = self.recorder {
            let work = || recording.steps(&mut self.learner, turns);
            match Graph::record(device, work) {
                Ok((graph, found)) => recording.recorded = Some((found, graph)),
                Err(error) => {
                    let error = error.into_libtorch();
                    if error.is_out_of_memory() {
                        return Err(error.into());
                    }
                    self.notice = Some(format!(
                        "note: the steps cannot be recorded as a CUDA graph ({error}) and are done \
                         one by one, which is slower; --engine autograd does the same without a try"
                    ));
                    self.recorder = Recorder::OneByOne;
                }
            }
        }
        Ok(recording)
    }

    /// Forgets what is recorded: it would write to tensors that are no longer in use.
    fn forget(&mut self) {
        self.recordings = [None, None];
    }
}

impl Recording {
    /// Brings what the steps read to its places. Nothing here waits for the device.
    fn fill(&mut self, model: &Sequential, samples: Batch, turns: &[Turn]) -> Result<(), LibtorchError> {
        let _no_grad = tch::no_grad_guard();
        let _ = self.samples.images.f_copy_(&samples.images)?;
        let _ = self.samples.labels.f_copy_(&samples.labels)?;
        for (masks, turn) in self.masks.iter_mut().zip(turns) {
            model.draw_masks(masks, turn.seed, turn.number)?;
        }
        let rates: Vec<f64> = turns.iter().map(|turn| turn.optimizer.learning_rate()).collect();
        if rates != self.known_rates {
            for (i, &rate) in (0..).zip(&rates) {
                // Filled, not copied: a copy from the host would wait for the device.
                let _ = self.rates.f_select(0, i)?.f_fill_(rate)?;
            }
            self.known_rates = rates;
        }
        Ok(())
    }

    /// The steps on what is in the places: done, or recorded.
    fn steps(&self, learner: &mut Learner, turns: &[Turn]) -> Result<Vec<Found>, ModelError> {
        let batch = self.samples.labels.size()[0] / turns.len() as i64;
        let step = |(i, turn): (i64, &Turn)| {
            let part = |all: &Tensor| all.f_narrow(0, i * batch, batch).map_err(LibtorchError::from);
            let images = part(&self.samples.images)?;
            let samples = Batch { images, labels: part(&self.samples.labels)? };
            let rate = self.rates.f_select(0, i).map_err(LibtorchError::from)?;
            let rate = match learner.model.device() {
                // libtorch would read it back.
                Device::Cpu => Rate::Number(turn.optimizer.learning_rate()),
                _ => Rate::Tensor(&rate),
            };
            let masks = &self.masks[i as usize];
            learner.learn(&samples, masks, (turn.optimizer, rate), turn.number)
        };
        (0..).zip(turns).map(step).collect()
    }
}

impl Engine for Replayed<'_> {
    fn takes(&self) -> Takes {
        Takes::Resident
    }

    fn run(&mut self, input: &Input, turn: Turn) -> Result<(), ModelError> {
        let Input::Resident(epoch, start, samples) = input else {
            unreachable!("an engine gets what it takes");
        };
        let follows = |pending: &Pending| {
            let behind = pending.start + pending.turns.len() * self.batch;
            Rc::ptr_eq(&pending.epoch, epoch) && behind == *start
        };
        if !self.pending.as_ref().is_some_and(follows) {
            self.flush()?;
        }
        // The first step is done at once: it is another one for SGD and for the weights' average, and
        // libtorch loads what the steps need.
        if *samples != self.batch || turn.number == 0 {
            self.flush()?;
            let batch = epoch.batch(*start, *samples)?;
            return autograd::step(&mut self.learner, &mut self.totals, &batch, turn);
        }
        let pending = self.pending.get_or_insert_with(|| Pending {
            epoch: Rc::clone(epoch),
            start: *start,
            turns: Vec::new(),
        });
        pending.turns.push(turn);
        if pending.turns.len() == self.group {
            self.flush()?;
        }
        Ok(())
    }

    fn model(&mut self) -> Result<&Sequential, LibtorchError> {
        self.flush()?;
        Ok(self.learner.model)
    }

    fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        self.flush()?;
        self.learner.model.set_weights(weights)
    }

    fn exchange_average(&mut self) -> Result<(), LibtorchError> {
        self.flush()?;
        // A second call brings the tensors back that recorded steps write to, before the next step.
        self.learner.exchange_average();
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
        self.totals = Totals::new(self.learner.model.device(), sums)?;
        Ok(())
    }

    fn finite_steps(&mut self) -> Result<Option<usize>, LibtorchError> {
        self.flush()?;
        self.totals.finite_steps()
    }

    fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }
}

impl Drop for Replayed<'_> {
    fn drop(&mut self) {
        // However training ends, the network has the weights of the last step.
        let _ = self.flush();
    }
}
