//! Callbacks on made-up metrics, without training.

use super::*;
use crate::layers::Dense;
use crate::train::FitConfig;
use crate::train::schedule::TrainingLength;
use crate::{Device, Sequential};

/// Returns a plan with or without validation.
pub fn plan(validation_samples: usize) -> Plan {
    let (targets, metrics) = (TargetKind::Class, Vec::new());
    Plan { epochs: 100, batches: 1, samples: 1, validation_samples, targets, metrics }
}

/// Returns the record of an epoch with this loss, which is the validation loss, too.
pub fn record(epoch: usize, loss: f64) -> EpochRecord {
    EpochRecord {
        epoch,
        loss,
        accuracy: Some(0.5),
        val_loss: Some(loss),
        val_accuracy: Some(0.5),
        metrics: Default::default(),
        learning_rate: 1e-3,
        seconds: 1.0,
        samples_per_second: 1.0,
    }
}

/// Runs `work` on a training of a network of two weights, whose bias [`marked`] can read the epoch
/// from.
pub fn with_training<T>(work: impl FnOnce(&mut Training) -> T) -> T {
    with_training_after(0, work)
}

/// Does the same after some epochs.
pub fn with_training_after<T>(epochs: usize, work: impl FnOnce(&mut Training) -> T) -> T {
    let builder = Sequential::new([1]).add(Dense::new(2));
    let mut model = builder.build(Device::Cpu, 0).unwrap();
    let length = TrainingLength { steps: 1, epoch_steps: 1 };
    let mut step = Step::new(&mut model, &FitConfig::default(), length, 1).unwrap();
    let epochs = (1..=epochs).map(|epoch| record(epoch, 1.0)).collect();
    work(&mut Training::new(&mut step, &History { epochs }))
}

/// Marks the network's weights with a number, so that restored ones can be recognized.
pub fn mark(training: &mut Training, value: f32) {
    let mut weights = training.model().unwrap().weights().unwrap();
    for tensor in weights.values_mut() {
        tensor.values = Arc::new(vec![value; tensor.values.len()]);
    }
    training.set_weights(&weights).unwrap();
}

/// Returns the number that [`mark`] left.
pub fn marked(training: &mut Training) -> f32 {
    training.model().unwrap().weights().unwrap()["0.weight"].values[0]
}

/// Calls `callback` at the end of each epoch with these losses, the weights of each epoch marked with
/// its number, and returns the epoch that it stopped at.
pub fn tell(
    callback: &mut dyn Callback,
    training: &mut Training,
    first_epoch: usize,
    losses: &[f64],
) -> Option<usize> {
    for (epoch, &loss) in (first_epoch..).zip(losses) {
        mark(training, epoch as f32);
        if callback.on_epoch_end(training, &record(epoch, loss)).unwrap() == Flow::Stop {
            return Some(epoch);
        }
    }
    None
}
