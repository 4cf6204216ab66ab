//! Tests that the same program trains on CUDA. Reports the tests as left out if there is no GPU.
//!
//! This is a separate file because a process that has trained on the CPU can no longer load libtorch's CUDA
//! libraries.

use std::sync::Arc;

use crate::common;
use crate::common::succeed;
use seqfit::callback::{BatchInfo, Callback, CallbackError, Flow, Training};
use seqfit::data::Augment;
use seqfit::layers::{Dense, Dropout, Flatten};
use seqfit::{
    Activation, AdamW, Device, Engine, FitConfig, Loss, Optimizer, Precision, RmsProp, Schedule,
    Sequential, Sgd, Snapshot, data, device,
};

fn network(device: Device, dropout: f64) -> Sequential {
    Sequential::new([8, 8])
        .add(Flatten)
        .add(Dense::new(32).activation(Activation::Relu))
        .add(Dropout::new(dropout))
        .add(Dense::new(10))
        .build(device, 0)
        .unwrap()
}

/// Returns the CUDA device, or `None` after reporting the test as left out.
fn cuda() -> Option<Device> {
    let cuda = Device::Cuda(0);
    match device::require(cuda) {
        Ok(()) => Some(cuda),
        Err(error) => {
            common::not_here(&format!("a test on CUDA ({error})"));
            None
        }
    }
}

/// Asserts that the steps could be recorded.
struct NoNotice;

impl Callback for NoNotice {
    fn on_notice(&mut self, notice: &str) -> Result<(), CallbackError> {
        Err(notice.into())
    }
}

/// Returns the largest difference between two networks' weights, relative to the largest weight.
fn apart(a: &Sequential, b: &Sequential) -> f64 {
    let each = a.parameters().zip(b.parameters()).map(|((_, a), (_, b))| {
        (a - b).abs().max().double_value(&[]) / a.abs().max().double_value(&[])
    });
    each.fold(0.0, f64::max)
}

#[test]
fn recorded_steps_match_autograd() {
    let Some(cuda) = cuda() else { return };
    let (train, test) = data::load("digits").unwrap();
    let optimizers = [
        Optimizer::default(),
        Optimizer::AdamW(AdamW::default()),
        Optimizer::Sgd(Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() }),
        Optimizer::Sgd(Sgd::default()),
        Optimizer::RmsProp(RmsProp { momentum: 0.5, ..RmsProp::default() }),
    ];
    let augment = Augment { rotation: 9.0, shift: 1.0, elastic: 0.2, ..Augment::default() };
    for (i, optimizer) in optimizers.into_iter().enumerate() {
        // Batches of 16: full groups of 32 steps, an incomplete group, and a smaller last batch.
        let cosine = Schedule::Cosine { warm_up: 0.1, end: 0.0 };
        // With gradient clipping the operations are libtorch's, without it seqfit's own kernels.
        for (dropout, augment, loss, schedule, clip_norm) in [
            (0.0, Augment::default(), Loss::Sparse, Schedule::Constant, Some(1.0)),
            (0.3, augment, Loss::Categorical, cosine, Some(1.0)),
            (0.0, Augment::default(), Loss::Sparse, Schedule::Constant, None),
            (0.3, augment, Loss::Categorical, cosine, None),
        ] {
            let train_with = |engine| {
                let config = FitConfig {
                    epochs: 3,
                    batch_size: 16,
                    validation_split: 0.1,
                    label_smoothing: 0.1,
                    clip_norm,
                    ema: Some(0.99),
                    optimizer,
                    engine,
                    augment,
                    loss: loss.clone(),
                    schedule,
                    seed: 3,
                    ..FitConfig::default()
                };
                let mut model = network(cuda, dropout);
                let history = model.fit(&train, &config, &mut [&mut NoNotice]).unwrap();
                (model, history)
            };
            let ((graph, recorded), (eager, done)) =
                (train_with(Engine::Graph), train_with(Engine::Autograd));
            let name = format!("{i} {dropout} {clip_norm:?}");
            // seqfit's kernels sum in another order, and Adam takes full-size steps even for
            // gradients close to 0.
            let apart = apart(&graph, &eager);
            eprintln!("{name}: weights differ by {apart:.1e} of the largest");
            assert!(apart < if clip_norm.is_some() { 1e-6 } else { 1e-2 }, "{name}: {apart}");
            for (a, b) in recorded.epochs.iter().zip(&done.epochs) {
                assert!((a.loss - b.loss).abs() < 1e-4 * b.loss, "{name}: {a:?} {b:?}");
                let (a, b) = (a.val_loss.unwrap(), b.val_loss.unwrap());
                assert!((a - b).abs() < 1e-4 * b, "{name}: {a} {b}");
            }
            assert_eq!(recorded.epochs.len(), 3);
        }
    }
    // Training also learns.
    let mut model = network(cuda, 0.1);
    let config = FitConfig { epochs: 40, engine: Engine::Graph, ..FitConfig::default() };
    model.fit(&train, &config, &mut [&mut NoNotice]).unwrap();
    let accuracy = model.evaluate(&test).unwrap().accuracy.unwrap();
    assert!(accuracy > 0.85, "{accuracy}");
}

/// Interrupts training after a number of batches, and keeps the snapshot.
struct Interrupt(usize, Option<Arc<Snapshot>>);

impl Callback for Interrupt {
    fn on_batch_end(&mut self, _: &mut Training, _: &BatchInfo) -> Result<Flow, CallbackError> {
        self.0 = self.0.wrapping_sub(1);
        Ok(if self.0 == 0 { Flow::Interrupt } else { Flow::Continue })
    }

    fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
        self.1 = Some(Arc::clone(snapshot));
        Ok(())
    }
}

#[test]
fn resume_of_recorded_training_reproduces_the_uninterrupted_run() {
    let Some(cuda) = cuda() else { return };
    let (train, _) = data::load("digits").unwrap();
    let config =
        FitConfig { epochs: 3, batch_size: 16, ema: Some(0.9), seed: 5, ..FitConfig::default() };
    let mut whole = network(cuda, 0.2);
    whole.fit(&train, &config, &mut []).unwrap();
    let mut first = network(cuda, 0.2);
    // In the middle of a group of steps, in the second epoch.
    let mut interrupt = Interrupt(train.len().div_ceil(16) + 40, None);
    first.fit(&train, &config, &mut [&mut interrupt]).unwrap();
    let mut second = network(cuda, 0.2);
    second.resume(&interrupt.1.unwrap(), &train, &config, &mut []).unwrap();
    let apart = apart(&whole, &second);
    eprintln!("weights differ by {apart:.1e} of the largest");
    assert!(apart < 1e-5, "{apart}");
}

#[test]
fn every_precision_learns_on_cuda() {
    let Some(cuda) = cuda() else { return };
    let (train, test) = data::load("digits").unwrap();
    let mut ends = Vec::new();
    for engine in [Engine::Graph, Engine::Autograd] {
        for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
            let mut model = network(cuda, 0.0);
            let config = FitConfig { epochs: 40, engine, precision, ..FitConfig::default() };
            model.fit(&train, &config, &mut [&mut NoNotice]).unwrap();
            let accuracy = model.evaluate(&test).unwrap().accuracy.unwrap();
            assert!(accuracy > 0.85, "{engine:?} {precision:?}: {accuracy}");
            ends.push(model);
        }
    }
    // Each precision computes different numbers than the previous one.
    for precisions in ends.chunks(3) {
        assert!(apart(&precisions[0], &precisions[1]) > 1e-6);
        assert!(apart(&precisions[1], &precisions[2]) > 1e-6);
    }
}

#[test]
fn cuda_trains_evaluates_exports_and_agrees_with_the_cpu() {
    let Some(cuda) = cuda() else { return };
    let (train, test) = data::load("digits").unwrap();
    // The same seed gives the same initial weights and the same sample order on both devices.
    let optimizer = Optimizer::Sgd(Sgd { learning_rate: 0.05, ..Sgd::default() });
    let config = FitConfig { epochs: 3, optimizer, ..FitConfig::default() };
    let (mut on_cuda, mut on_cpu) = (network(cuda, 0.0), network(Device::Cpu, 0.0));
    let theirs = on_cuda.fit(&train, &config, &mut []).unwrap();
    let ours = on_cpu.fit(&train, &config, &mut []).unwrap();
    for (a, b) in theirs.epochs.iter().zip(&ours.epochs) {
        // float32 sums differ by their order, over 135 steps.
        assert!(
            (a.loss - b.loss).abs() < 1e-3 * b.loss,
            "{} on CUDA, {} on the CPU",
            a.loss,
            b.loss
        );
    }
    // The weights trained on CUDA give the same logits on the CPU.
    on_cpu.load_safetensors(&on_cuda.to_safetensors(Default::default()).unwrap()).unwrap();
    let difference = on_cuda.logits_of(&test).unwrap() - on_cpu.logits_of(&test).unwrap();
    let largest = difference.abs().max().double_value(&[]);
    assert!(largest < 1e-4, "{largest}");

    // The same seed is reproducible on CUDA, as far as CUDA's own sums are.
    let mut again = network(cuda, 0.0);
    let repeated = again.fit(&train, &config, &mut []).unwrap();
    assert!((repeated.epochs[2].loss - theirs.epochs[2].loss).abs() < 1e-5);

    // Every optimizer learns on CUDA, with dropout, validation and one-hot targets.
    for name in ["adam", "adamw", "sgd", "rmsprop"] {
        let home = tempfile::tempdir().unwrap();
        let learning_rate = if name == "sgd" { "0.1" } else { "0.003" };
        let options = ["--cuda", "--dataset", "digits", "--epochs", "15", "--out", "r"];
        let more = ["--dropout", "0.1", "--validation-split", "0.1", "--optimizer", name];
        let mut command = common::seqfit(home.path());
        command.args(["train", "-q"]);
        if name == "sgd" || name == "rmsprop" {
            command.args(["--momentum", "0.5", "--loss", "categorical"]);
        }
        succeed(command.args(options).args(more).args(["--learning-rate", learning_rate]));
        for place in [&["--cuda"][..], &[]] {
            let mut command = common::seqfit(home.path());
            let output = succeed(command.args(["evaluate", "r", "--json"]).args(place));
            let figures: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
            let accuracy = figures["accuracy"].as_f64().unwrap();
            assert!(accuracy > 0.8, "{name} {place:?}: {accuracy}");
        }
        // The exported file has no trace of the GPU: libtorch on the CPU loads it.
        assert!(tch::CModule::load(home.path().join("r/model.pt")).is_ok());
    }
}
