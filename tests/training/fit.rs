//! Tests that `fit` trains as documented in the guide: seeds are reproducible, no sample is lost, the
//! test set is never used, and callbacks see all events in order.

use crate::common;
use seqfit::callback::{BatchInfo, Callback, CallbackError, Ending, Flow, Plan, Training};
use seqfit::data::Dataset;
use seqfit::layers::{Dense, Dropout, Flatten};
use seqfit::{
    Activation, Adam, AdamW, Device, Engine, EpochRecord, FitConfig, History, Optimizer, Precision,
    Sequential, Sgd, data,
};

fn digits() -> (Dataset, Dataset) {
    data::load("digits").unwrap()
}

fn network(seed: u64, dropout: f64) -> Sequential {
    Sequential::new([8, 8])
        .add(Flatten)
        .add(Dense::new(32).activation(Activation::Relu))
        .add(Dropout::new(dropout))
        .add(Dense::new(10))
        .build(Device::Cpu, seed)
        .unwrap()
}

fn bytes(model: &Sequential) -> Vec<u8> {
    model.to_safetensors(Default::default()).unwrap()
}

fn sgd(learning_rate: f64) -> Optimizer {
    Optimizer::Sgd(Sgd { learning_rate, ..Sgd::default() })
}

#[test]
fn tutorial_settings_learn_the_digits() {
    let (train, test) = digits();
    let mut model = network(0, 0.0);
    // 40 epochs of 45 steps; MNIST has 1,875 steps per epoch.
    let config = FitConfig { epochs: 40, ..FitConfig::default() };
    let history = model.fit(&train, &config, &mut []).unwrap();
    let losses: Vec<f64> = history.epochs.iter().map(|e| e.loss).collect();
    assert_eq!(losses.len(), 40);
    assert!(losses[39] < 0.05 * losses[0], "{losses:?}");
    let evaluation = model.evaluate(&test).unwrap();
    assert!(evaluation.accuracy > Some(0.88), "{:?}", evaluation.accuracy);
    assert_eq!(evaluation.samples, test.len());
    let counted: u64 = evaluation.confusion.iter().flatten().sum();
    assert_eq!(counted, test.len() as u64);
}

#[test]
fn seed_reproduces_the_weights_with_dropout_and_validation() {
    let (train, _) = digits();
    let run = |seed, threads| {
        let mut model = network(seed, 0.2);
        let config = FitConfig {
            epochs: 2,
            seed,
            threads: Some(threads),
            validation_split: 0.1,
            ..FitConfig::default()
        };
        let history = model.fit(&train, &config, &mut []).unwrap();
        (
            bytes(&model),
            history.epochs.into_iter().map(|e| (e.loss, e.val_loss)).collect::<Vec<_>>(),
        )
    };
    assert_eq!(run(5, 1), run(5, 1));
    assert_eq!(run(5, 2), run(5, 2));
    assert!(run(5, 1).0 != run(6, 1).0);
}

/// bfloat16 has 8 bits of precision, so a step's gradients differ from those of f32 by a few rounding
/// errors of 2⁻⁸ each.
#[test]
fn bf16_matches_f32_up_to_rounding_and_learns() {
    let (train, test) = digits();
    let step = |precision| {
        let config = FitConfig {
            epochs: 1,
            batch_size: 1500,
            optimizer: sgd(1.0),
            precision,
            ..FitConfig::default()
        };
        let mut model = network(1, 0.0);
        model.fit(&train, &config, &mut []).unwrap();
        model
    };
    let (start, exact, rounded) = (network(1, 0.0), step(Precision::F32), step(Precision::Bf16));
    let three = start.parameters().zip(exact.parameters()).zip(rounded.parameters());
    for (((name, start), (_, exact)), (_, rounded)) in three {
        assert_eq!(rounded.kind(), exact.kind());
        let (exact, rounded) = (exact - start, rounded - start);
        let error = (&rounded - &exact).norm().double_value(&[]) / exact.norm().double_value(&[]);
        assert!((1e-5..3e-2).contains(&error), "{name}: {error}");
    }
    let mut model = network(0, 0.2);
    let config = FitConfig { epochs: 40, precision: Precision::Bf16, ..FitConfig::default() };
    model.fit(&train, &config, &mut []).unwrap();
    let accuracy = model.evaluate(&test).unwrap().accuracy.unwrap();
    assert!(accuracy > 0.85, "{accuracy}");
}

#[test]
fn engines_and_precisions_unsupported_on_the_cpu_are_refused() {
    let (train, _) = digits();
    let refused =
        |config: FitConfig| network(0, 0.0).fit(&train, &config, &mut []).unwrap_err().to_string();
    let fused = FitConfig { engine: Engine::Fused, ..FitConfig::default() };
    for (config, message) in [
        (
            FitConfig { engine: Engine::Graph, ..FitConfig::default() },
            "engine must be auto, autograd or fused on the CPU, which records no CUDA graphs, found graph",
        ),
        (
            FitConfig { precision: Precision::Tf32, ..FitConfig::default() },
            "precision must be f32 or bf16 on the CPU, which has no TF32, found tf32",
        ),
        (
            FitConfig { precision: Precision::Bf16, ..fused },
            "precision must be f32 with the fused engine: use autograd, found bf16",
        ),
    ] {
        assert_eq!(refused(config), message);
    }
}

#[test]
fn metrics_are_weighted_by_samples_including_the_partial_batch() {
    let (train, _) = digits();
    // 100 samples in batches of 64 and 36, with steps too small to change the weights.
    let train = train.take(100);
    let mut model = network(1, 0.0);
    let whole = model.evaluate(&train).unwrap();
    let config =
        FitConfig { epochs: 1, batch_size: 64, optimizer: sgd(1e-30), ..FitConfig::default() };
    let record = model.fit(&train, &config, &mut []).unwrap().epochs.remove(0);
    assert!((record.loss - whole.loss).abs() < 1e-6, "{} for {}", record.loss, whole.loss);
    assert_eq!(record.accuracy, whole.accuracy);
}

#[test]
fn every_sample_is_seen_once_per_epoch() {
    // Each sample has its own class and a single lit pixel: a step of SGD moves the biases of exactly
    // the classes in the batch, so the biases after an epoch of tiny steps show the counts.
    let n = 10u8;
    let mut pixels = vec![0u8; 100];
    (0..10).for_each(|i| pixels[11 * i] = 255);
    let classes = (0..n).map(|c| c.to_string()).collect();
    let dataset = Dataset::new(pixels, [1, 10], (0..n).collect(), classes).unwrap();
    let mut model =
        Sequential::new([1, 10]).add(Flatten).add(Dense::new(10)).build(Device::Cpu, 0).unwrap();
    let before = model.logits_of(&dataset).unwrap().softmax(-1, tch::Kind::Float).sum_dim_intlist(
        &[0i64][..],
        false,
        tch::Kind::Float,
    );
    let config =
        FitConfig { epochs: 1, batch_size: 3, optimizer: sgd(1e-4), ..FitConfig::default() };
    model.fit(&dataset, &config, &mut []).unwrap();
    let (_, bias) = model.parameters().nth(1).unwrap();
    // Batches of 3, 3, 3, 1: the gradient is a mean over the batch, so the single sample has weight 3.
    let mut heavy = 0;
    for class in 0..10 {
        let got = bias.double_value(&[class]) / 1e-4;
        let expected = (1.0 - before.double_value(&[class])) / 3.0;
        heavy += i32::from(got - expected > 0.3);
        assert!(got > expected - 0.35, "class {class} was left out: {got} for {expected}");
    }
    assert_eq!(heavy, 1, "exactly one sample is in the batch of 1");
}

#[test]
fn seed_determines_the_sample_order() {
    let (train, _) = digits();
    let run = |seed| {
        // The initial weights are the same; only the order differs.
        let mut model = network(0, 0.0);
        model.fit(&train, &FitConfig { epochs: 1, seed, ..FitConfig::default() }, &mut []).unwrap();
        bytes(&model)
    };
    assert!(run(1) == run(1) && run(1) != run(2));
}

#[test]
fn validation_is_held_out_of_training() {
    let (train, _) = digits();
    let config = FitConfig { epochs: 3, validation_split: 0.25, seed: 3, ..FitConfig::default() };
    let mut split = network(0, 0.0);
    let history = split.fit(&train, &config, &mut []).unwrap();
    // The same by hand: the held-out part is never trained on, and the val_ metrics are computed from it.
    let (rest, held_out) = train.split(0.25, 3).unwrap();
    assert_eq!(rest.len() + held_out.len(), train.len());
    let mut by_hand = network(0, 0.0);
    let config = FitConfig { validation_split: 0.0, ..config };
    by_hand.fit(&rest, &config, &mut []).unwrap();
    assert_eq!(bytes(&split), bytes(&by_hand));
    let evaluation = by_hand.evaluate(&held_out).unwrap();
    let last = history.last().unwrap();
    assert_eq!(last.val_loss, Some(evaluation.loss));
    assert_eq!(last.val_accuracy, evaluation.accuracy);
}

/// Records every event, and stops or fails at the configured places.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    stop_at_batch: Option<(usize, usize)>,
    stop_at_epoch: Option<usize>,
    fail_at_epoch: Option<usize>,
}

impl Callback for Log {
    fn on_train_begin(&mut self, _: &mut Training, plan: &Plan) -> Result<(), CallbackError> {
        self.lines.push(format!("train {plan:?}"));
        Ok(())
    }
    fn on_epoch_begin(&mut self, epoch: usize) -> Result<(), CallbackError> {
        self.lines.push(format!("epoch {epoch}"));
        Ok(())
    }
    fn on_batch_begin(&mut self, batch: &BatchInfo) -> Result<(), CallbackError> {
        self.lines.push(format!("batch {}.{} of {}", batch.epoch, batch.batch, batch.samples));
        Ok(())
    }
    fn on_batch_end(&mut self, _: &mut Training, batch: &BatchInfo) -> Result<Flow, CallbackError> {
        self.lines.push(format!("done {}.{}", batch.epoch, batch.batch));
        Ok(stop_if(self.stop_at_batch == Some((batch.epoch, batch.batch))))
    }
    fn on_epoch_end(&mut self, _: &mut Training, e: &EpochRecord) -> Result<Flow, CallbackError> {
        self.lines.push(format!("end {}", e.epoch));
        if self.fail_at_epoch == Some(e.epoch) {
            return Err("no ink left".into());
        }
        Ok(stop_if(self.stop_at_epoch == Some(e.epoch)))
    }
    fn on_train_end(&mut self, training: &mut Training, how: Ending) -> Result<(), CallbackError> {
        self.lines.push(format!("finished {} {how:?}", training.history().epochs.len()));
        Ok(())
    }
}

fn stop_if(stop: bool) -> Flow {
    if stop { Flow::Stop } else { Flow::Continue }
}

fn fit_logged(mut log: Log) -> (Log, Result<History, seqfit::TrainError>) {
    let (train, _) = digits();
    let config = FitConfig { epochs: 2, batch_size: 40, ..FitConfig::default() };
    let result = network(0, 0.0).fit(&train.take(50), &config, &mut [&mut log]);
    (log, result)
}

#[test]
fn callbacks_get_all_events_in_order() {
    let (log, _) = fit_logged(Log::default());
    let expected = [
        "train Plan { epochs: 2, batches: 2, samples: 50, validation_samples: 0, targets: Class, \
         metrics: [] }",
        "epoch 1",
        "batch 1.1 of 40",
        "done 1.1",
        "batch 1.2 of 10",
        "done 1.2",
        "end 1",
        "epoch 2",
        "batch 2.1 of 40",
        "done 2.1",
        "batch 2.2 of 10",
        "done 2.2",
        "end 2",
        "finished 2 Complete",
    ];
    assert_eq!(log.lines, expected);
}

#[test]
fn callback_can_stop_after_or_within_an_epoch() {
    let (log, result) = fit_logged(Log { stop_at_epoch: Some(1), ..Log::default() });
    assert_eq!(result.unwrap().epochs.len(), 1);
    assert_eq!(log.lines.last().map(String::as_str), Some("finished 1 Stopped"));
    let (log, result) = fit_logged(Log { stop_at_batch: Some((2, 1)), ..Log::default() });
    let history = result.unwrap();
    assert_eq!(history.epochs.len(), 2);
    // The record of the stopped epoch covers its 40 samples: its accuracy is a multiple of 1/40.
    let fortieths = history.epochs[1].accuracy.unwrap() * 40.0;
    assert!((fortieths - fortieths.round()).abs() < 1e-9, "{fortieths}");
    assert!(!log.lines.contains(&"batch 2.2 of 10".to_owned()));
}

#[test]
fn failing_callback_ends_training_with_its_message() {
    let (log, result) = fit_logged(Log { fail_at_epoch: Some(1), ..Log::default() });
    assert_eq!(result.map_err(|e| e.to_string()), Err("a callback failed: no ink left".into()));
    assert_eq!(log.lines.last().map(String::as_str), Some("end 1"));
}

#[test]
fn nan_loss_ends_training() {
    let (train, _) = digits();
    let optimizer = Optimizer::Adam(Adam { learning_rate: 1e30, ..Adam::default() });
    let config = FitConfig { optimizer, ..FitConfig::default() };
    let error = network(0, 0.0).fit(&train, &config, &mut []).map_err(|e| e.to_string());
    let error = error.unwrap_err();
    assert!(
        error.starts_with("training diverged in epoch 1, batch 2: the loss must be finite, found "),
        "{error}"
    );
}

#[test]
fn non_finite_weights_after_the_last_step_are_detected() {
    let (train, _) = digits();
    let weights = AdamW { learning_rate: 3e38, weight_decay: 100.0, ..AdamW::default() };
    let optimizer = Optimizer::AdamW(weights);
    let config = FitConfig { optimizer, epochs: 1, batch_size: 2000, ..FitConfig::default() };
    let error = network(0, 0.0).fit(&train, &config, &mut []).map_err(|e| e.to_string());
    let error = error.unwrap_err();
    assert!(error.starts_with("training diverged in epoch 1: the weights must be"), "{error}");
}

#[test]
fn mismatched_data_is_refused_before_training() {
    let (train, _) = digits();
    let config = FitConfig::default();
    let mut wrong_shape =
        Sequential::new([28, 28]).add(Flatten).add(Dense::new(10)).build(Device::Cpu, 0).unwrap();
    let error = wrong_shape.fit(&train, &config, &mut []).map_err(|e| e.to_string());
    assert!(error.is_err_and(|e| e.contains("[28, 28]") && e.contains("[8, 8]")));
    let mut wrong_classes =
        Sequential::new([8, 8]).add(Flatten).add(Dense::new(3)).build(Device::Cpu, 0).unwrap();
    let error = wrong_classes.fit(&train, &config, &mut []).map_err(|e| e.to_string());
    assert!(error.is_err_and(|e| e.contains("has 3 outputs, and the dataset has 10 classes")));
    // A network with flat inputs accepts images with the same number of pixels.
    let mut flat = Sequential::new([64]).add(Dense::new(10)).build(Device::Cpu, 0).unwrap();
    assert!(flat.fit(&train.take(64), &FitConfig { epochs: 1, ..config }, &mut []).is_ok());
}

#[test]
fn mnist_reaches_its_accuracy_in_two_epochs() {
    let Some(folder) = common::mnist() else {
        return;
    };
    let (train, test) = data::load_dir(&folder).unwrap();
    assert_eq!((train.len(), test.len()), (60_000, 10_000));
    let mut model = Sequential::new([28, 28])
        .add(Flatten)
        .add(Dense::new(128).activation(Activation::Relu))
        .add(Dense::new(64).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Softmax))
        .build(Device::Cpu, 0)
        .unwrap();
    let config = FitConfig { epochs: 2, ..FitConfig::default() };
    model.fit(&train, &config, &mut []).unwrap();
    let accuracy = model.evaluate(&test).unwrap().accuracy.unwrap();
    assert!(accuracy > 0.96, "{accuracy}");
}
