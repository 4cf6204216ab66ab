//! Steps by libtorch's autograd: any network, any loss, any optimiser, any device.

use super::learner::Learner;
use super::totals::Totals;
use super::{Engine, Input, Takes, Turn};
use crate::data::batches::Batch;
use crate::model::{ModelError, Sequential, WeightsError};
use crate::native::LibtorchError;
use crate::native::optimizer::Rate;
use crate::tensors::Tensors;
use crate::train::config::FitConfig;
use crate::train::snapshot::{Snapshot, Sums};

/// Trains a network batch by batch and keeps the sums of what it saw, on the device.
pub(super) struct Autograd<'m> {
    learner: Learner<'m>,
    totals: Totals,
}

impl<'m> Autograd<'m> {
    pub fn new(model: &'m mut Sequential, config: &FitConfig) -> Result<Self, LibtorchError> {
        let totals = Totals::new(model.device(), Sums::default())?;
        Ok(Self { learner: Learner::new(model, config)?, totals })
    }
}

impl Engine for Autograd<'_> {
    fn takes(&self) -> Takes {
        Takes::Batches
    }

    fn run(&mut self, input: &Input, turn: Turn) -> Result<(), ModelError> {
        let Input::Batch(batch) = input else {
            unreachable!("an engine gets what it takes");
        };
        step(&mut self.learner, &mut self.totals, batch, turn)
    }

    fn model(&mut self) -> Result<&Sequential, LibtorchError> {
        Ok(self.learner.model)
    }

    fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        self.learner.model.set_weights(weights)
    }

    fn exchange_average(&mut self) -> Result<(), LibtorchError> {
        self.learner.exchange_average();
        Ok(())
    }

    fn average(&mut self) -> Result<Tensors, LibtorchError> {
        self.learner.average()
    }

    fn moments(&mut self) -> Result<[Tensors; 2], LibtorchError> {
        self.learner.moments()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        self.learner.restore(snapshot)
    }

    fn not_finite(&mut self) -> Result<Option<(&'static str, f64)>, LibtorchError> {
        self.learner.not_finite()
    }

    fn sums(&mut self) -> Result<Sums, LibtorchError> {
        self.totals.read()
    }

    fn set_sums(&mut self, sums: Sums) -> Result<(), LibtorchError> {
        self.totals = Totals::new(self.learner.model.device(), sums)?;
        Ok(())
    }

    fn finite_steps(&mut self) -> Result<Option<usize>, LibtorchError> {
        self.totals.finite_steps()
    }
}

/// A step on a batch of any size.
pub(super) fn step(
    learner: &mut Learner,
    totals: &mut Totals,
    batch: &Batch,
    turn: Turn,
) -> Result<(), ModelError> {
    let samples = batch.labels.size().first().copied().unwrap_or(0);
    let mut masks = learner.model.empty_masks(samples)?;
    learner.model.draw_masks(&mut masks, turn.seed, turn.number)?;
    let rate = Rate::Number(turn.optimizer.learning_rate());
    let found = learner.learn(batch, &masks, (turn.optimizer, rate), turn.number)?;
    Ok(totals.add(&batch.labels, &[found])?)
}
