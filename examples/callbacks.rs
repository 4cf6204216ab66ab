//! Every callback of the library and a custom one; docs/callbacks.md explains it step by step.
//!
//! It writes into the current folder: `epochs.csv`, `runs/callbacks/`.

use std::error::Error;
use std::path::Path;

use seqfit::callback::{
    Callback, CallbackError, CsvLogger, EarlyStopping, EarlyStoppingConfig, Ending, Flow,
    ReduceLrConfig, ReduceLrOnPlateau, TerminateOnNan, Training,
};
use seqfit::data::{Dataset, DatasetName, Locations, Request};
use seqfit::layers::{Dense, Flatten};
use seqfit::run::{CheckpointConfig, DataConfig, ModelCheckpoint, Run, RunConfig, checkpoints};
use seqfit::{
    Activation, Adam, Device, EpochRecord, FitConfig, Monitor, OnNan, Optimizer, Sequential, data,
};

fn network(train: &Dataset) -> Result<Sequential, seqfit::Error> {
    let network = Sequential::new(train.sample_shape())
        .add(Flatten)
        .add(Dense::new(64).activation(Activation::Relu))
        .add(Dense::new(train.classes().len()))
        .build(Device::Cpu, 0)?;
    Ok(network)
}

fn early_stopping(train: &Dataset) -> Result<(), Box<dyn Error>> {
    let mut stop = EarlyStopping::new(EarlyStoppingConfig {
        monitor: Monitor::ValLoss,
        patience: 3,
        min_delta: 0.001,
        restore_best: true,
    })?;
    let config = FitConfig { epochs: 200, validation_split: 0.2, ..Default::default() };
    let history = network(train)?.fit(train, &config, &mut [&mut stop])?;
    if let (Some(end), Some((loss, best))) = (stop.stopped_epoch(), stop.best()) {
        println!("ended at epoch {end}; the weights are those of epoch {best}, val_loss {loss:.4}");
    }
    assert_eq!(stop.stopped_epoch(), Some(history.epochs.len()));
    Ok(())
}

fn reduce_lr(train: &Dataset) -> Result<(), Box<dyn Error>> {
    let mut slower = ReduceLrOnPlateau::new(ReduceLrConfig {
        factor: 0.5,
        patience: 2,
        ..ReduceLrConfig::new(Monitor::Loss)
    })?;
    let config = FitConfig {
        epochs: 30,
        optimizer: Optimizer::Adam(Adam { learning_rate: 0.02, ..Default::default() }),
        ..Default::default()
    };
    let history = network(train)?.fit(train, &config, &mut [&mut slower])?;
    if let Some(last) = history.last() {
        println!("the learning rate is {} at the end", last.learning_rate);
    }
    Ok(())
}

fn csv_logger(train: &Dataset) -> Result<(), Box<dyn Error>> {
    let mut table = CsvLogger::new("epochs.csv");
    let config = FitConfig { epochs: 3, validation_split: 0.2, ..Default::default() };
    network(train)?.fit(train, &config, &mut [&mut table])?;
    if let Some(failure) = table.failure() {
        println!("the table is incomplete: {failure}");
    }
    Ok(())
}

fn terminate_on_nan(train: &Dataset) -> Result<(), Box<dyn Error>> {
    let mut nan = TerminateOnNan::default();
    let config = FitConfig {
        epochs: 5,
        on_nan: OnNan::Ignore,
        optimizer: Optimizer::Adam(Adam { learning_rate: 1e30, ..Default::default() }),
        ..Default::default()
    };
    network(train)?.fit(train, &config, &mut [&mut nan])?;
    if let Some((epoch, _)) = nan.at() {
        println!("the loss was not finite in epoch {epoch}");
    }
    Ok(())
}

fn model_checkpoint() -> Result<(), Box<dyn Error>> {
    let request = Request::Named(DatasetName::Digits);
    let data = data::resolve(&request, &Locations::from_env()?, &mut |_| {})?;
    let fit = FitConfig { epochs: 10, validation_split: 0.2, ..Default::default() };
    let mut model = network(&data.train)?;

    // A run folder identifies its checkpoints: data, settings, network.
    let about = DataConfig::of(&data);
    let config = RunConfig::now(Device::Cpu, about, fit.clone(), model.spec().clone());
    let run = Run::create(Path::new("runs/callbacks"), true, config)?;

    let keep = CheckpointConfig { keep: 2, monitor: Some(Monitor::ValLoss), ..Default::default() };
    let warn = |failure: &_| eprintln!("warning: {failure}");
    let mut saved = ModelCheckpoint::new(&run.checkpoints_path(), run.identity()?, keep, warn)?;
    model.fit(&data.train, &fit, &mut [&mut saved])?;
    if let Some((loss, epoch)) = saved.best() {
        println!("the best epoch is {epoch}, val_loss {loss:.4}");
    }
    // Checkpoints are written by a separate thread: this waits for the last one.
    if let Some(failure) = saved.finish().first() {
        println!("a checkpoint is missing: {failure}");
    }
    let best = run.checkpoints_path().join(checkpoints::BEST);
    let best = run.load_checkpoint(&best, Device::Cpu)?;
    let accuracy = best.evaluate(&data.test)?.accuracy.unwrap_or_default();
    println!("its test accuracy is {accuracy:.4}");
    Ok(())
}

/// Stops training once the accuracy is good enough, and prints a summary.
struct GoodEnough {
    accuracy: f64,
    batches: usize,
}

impl Callback for GoodEnough {
    fn on_batch_end(
        &mut self,
        _: &mut Training,
        _: &seqfit::callback::BatchInfo,
    ) -> Result<Flow, CallbackError> {
        self.batches += 1;
        Ok(Flow::Continue)
    }

    fn on_epoch_end(
        &mut self,
        _: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        Ok(match record.accuracy {
            Some(accuracy) if accuracy >= self.accuracy => Flow::Stop,
            _ => Flow::Continue,
        })
    }

    fn on_train_end(&mut self, training: &mut Training, _: Ending) -> Result<(), CallbackError> {
        println!("{} batches in {} epochs", self.batches, training.history().epochs.len());
        Ok(())
    }
}

fn custom_callback(train: &Dataset) -> Result<(), Box<dyn Error>> {
    let mut enough = GoodEnough { accuracy: 0.95, batches: 0 };
    let config = FitConfig { epochs: 50, ..Default::default() };
    network(train)?.fit(train, &config, &mut [&mut enough])?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (train, _) = data::load("digits")?;
    early_stopping(&train)?;
    reduce_lr(&train)?;
    csv_logger(&train)?;
    terminate_on_nan(&train)?;
    model_checkpoint()?;
    custom_callback(&train)
}
