//! The cost of checkpoints: alternating epochs of MNIST with and without one, within one training.
//!
//! ```text
//! SEQFIT_DATA=DIR cargo bench --bench checkpoint
//! ```
//!
//! This does not use a harness of repeated calls: a checkpoint is written in the background of the next
//! epoch, so its cost is the slowdown of that epoch. Adjacent epochs are a quarter of a second apart, and
//! other load on the machine lasts longer. Prints the median of the ratios of adjacent epochs.

use std::sync::Arc;
use std::time::Instant;

use seqfit::callback::{Callback, CallbackError, Flow, Plan, SnapshotTrigger, Training};
use seqfit::layers::{Dense, Flatten};
use seqfit::run::{CheckpointConfig, Identity, ModelCheckpoint};
use seqfit::{Activation, Device, EpochRecord, FitConfig, Monitor, Sequential, Snapshot, data};

const PAIRS: usize = 100;

/// Writes a checkpoint after every other epoch, and records when each epoch ends.
struct EveryOther {
    writer: ModelCheckpoint,
    /// Whether each written epoch counts as the best so far, regardless of its metrics.
    improves: bool,
    epoch: usize,
    ends: Vec<Instant>,
}

impl Callback for EveryOther {
    fn on_train_begin(&mut self, t: &mut Training, plan: &Plan) -> Result<(), CallbackError> {
        self.writer.on_train_begin(t, plan)
    }

    fn on_epoch_end(
        &mut self,
        training: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        self.epoch = record.epoch;
        let made_up = EpochRecord { val_loss: Some(1.0 / record.epoch as f64), ..record.clone() };
        let record = if self.improves { &made_up } else { record };
        let flow = self.writer.on_epoch_end(training, record);
        self.ends.push(Instant::now());
        flow
    }

    fn wants_snapshot(&mut self, moment: SnapshotTrigger) -> bool {
        moment == SnapshotTrigger::Epoch && self.epoch.is_multiple_of(2)
    }

    fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
        self.writer.on_snapshot(snapshot)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (name, (train, _)) = match std::env::var_os("SEQFIT_DATA") {
        Some(folder) => ("mnist", data::load_dir(std::path::Path::new(&folder).join("mnist"))?),
        None => {
            println!("SEQFIT_DATA is not set: using the built-in digits, whose epochs are short");
            ("digits", data::load("digits")?)
        }
    };
    let identity: Identity = serde_json::from_str("{}")?;
    let plain = FitConfig { epochs: 2 * PAIRS + 1, ..FitConfig::default() };
    let validated = FitConfig { validation_split: 0.1, ..plain.clone() };
    for (what, config, improves) in [
        ("the tutorial", plain, false),
        ("with validation, each checkpoint also the best epoch", validated, true),
    ] {
        let folder = tempfile::tempdir()?;
        let mut model = Sequential::new(train.sample_shape())
            .add(Flatten)
            .add(Dense::new(128).activation(Activation::Relu))
            .add(Dense::new(64).activation(Activation::Relu))
            .add(Dense::new(10))
            .build(Device::Cpu, 0)?;
        let monitor = improves.then_some(Monitor::ValLoss);
        let kept = CheckpointConfig { monitor, ..CheckpointConfig::default() };
        let writer = ModelCheckpoint::new(folder.path(), identity.clone(), kept, |failure| {
            println!("{failure}");
        })?;
        let mut other = EveryOther { writer, improves, epoch: 0, ends: Vec::new() };
        model.fit(&train, &config, &mut [&mut other])?;
        let seconds: Vec<f64> =
            other.ends.windows(2).map(|ends| (ends[1] - ends[0]).as_secs_f64()).collect();
        // The first value is that of epoch 2, after which the first checkpoint is written.
        let pairs = seconds.as_chunks::<2>().0;
        let median = |values: &mut dyn Iterator<Item = f64>| {
            let mut values: Vec<f64> = values.collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let without = median(&mut pairs.iter().map(|pair| pair[0]));
        let with = median(&mut pairs.iter().map(|pair| pair[1]));
        let mut ratios: Vec<f64> = pairs.iter().map(|[without, with]| with / without).collect();
        ratios.sort_by(f64::total_cmp);
        let [low, ratio, high] = [1, 2, 3].map(|quarter| ratios[ratios.len() * quarter / 4]);
        println!(
            "{name}, batch 32, {what}, {PAIRS} pairs of epochs: {without:.4} s without and {with:.4} s \
             while a checkpoint is written and read back; median ratio {ratio:.4}, half of them \
             from {low:.4} to {high:.4}"
        );
    }
    Ok(())
}
