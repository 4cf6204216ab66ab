//! What checkpoints cost: epochs of MNIST with and without them, in turn.
//!
//! ```text
//! SEQFIT_DATA=DIR cargo bench --bench checkpoint
//! ```
//!
//! Not a harness of repeated calls: trainings of a few epochs in turn are what a machine's other work
//! disturbs least. Prints the median of the ratios of neighbours.

use std::time::Instant;

use seqfit::callback::Callback;
use seqfit::layers::{Dense, Flatten};
use seqfit::run::{CheckpointConfig, Identity, ModelCheckpoint};
use seqfit::{Activation, Device, FitConfig, Metric, OnNan, Sequential, data};

const ROUNDS: usize = 9;
const EPOCHS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (name, (train, _)) = match std::env::var_os("SEQFIT_DATA") {
        Some(folder) => ("mnist", data::load_dir(std::path::Path::new(&folder).join("mnist"))?),
        None => {
            println!("SEQFIT_DATA is not set: the built-in digits, whose epochs are short");
            ("digits", data::load("digits")?)
        }
    };
    let folder = tempfile::tempdir()?;
    let identity: Identity = serde_json::from_str("{}")?;
    let mut model = Sequential::new(train.image_shape())
        .add(Flatten)
        .add(Dense::new(128).activation(Activation::Relu))
        .add(Dense::new(64).activation(Activation::Relu))
        .add(Dense::new(10))
        .build(Device::Cpu, 0)?;
    let plain = FitConfig { epochs: EPOCHS, ..FitConfig::default() };
    // The most that there is to keep: the best epoch besides, and where a rollback goes back to.
    let rich = FitConfig { validation_split: 0.1, on_nan: OnNan::Rollback, ..plain.clone() };
    let monitor = Some(Metric::ValLoss);
    let rich_checkpoints = CheckpointConfig { monitor, ..CheckpointConfig::default() };
    for (what, config, kept) in [
        ("the tutorial", plain, CheckpointConfig::default()),
        ("with validation, the best epoch and rollbacks", rich, rich_checkpoints),
    ] {
        let mut epoch = |checkpoints: bool| -> Result<f64, Box<dyn std::error::Error>> {
            let mut writer =
                ModelCheckpoint::new(folder.path(), identity.clone(), kept, |failure| {
                    println!("{failure}");
                })?;
            let mut callbacks: Vec<&mut dyn Callback> = Vec::new();
            if checkpoints {
                callbacks.push(&mut writer);
            }
            let started = Instant::now();
            model.fit(&train, &config, &mut callbacks)?;
            // Until the last file is whole: the thread that writes shares the machine with the next epoch.
            drop(writer);
            Ok(started.elapsed().as_secs_f64() / EPOCHS as f64)
        };
        epoch(true)?;
        let mut pairs = Vec::new();
        for _ in 0..ROUNDS {
            pairs.push((epoch(false)?, epoch(true)?));
        }
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let without = median(pairs.iter().map(|pair| pair.0).collect());
        let with = median(pairs.iter().map(|pair| pair.1).collect());
        let ratio = median(pairs.iter().map(|(without, with)| with / without).collect());
        println!(
            "{name}, batch 32, {what}, {ROUNDS} rounds: an epoch takes {without:.4} s without and {with:.4} \
         s with a checkpoint after each, written and read back; median ratio {ratio:.4}"
        );
    }
    Ok(())
}
