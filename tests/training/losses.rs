//! Tests of the losses: values, gradients and trained weights are PyTorch's, in both engines on the CPU.
//! tests/fixtures/make_losses.py wrote the expected values.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use seqfit::callback::{BatchInfo, Callback, CallbackError, Flow, Training};
use seqfit::data::{self, Dataset, DatasetName, Features, Locations, Request, TargetKind, Targets};
use seqfit::group;
use seqfit::layers::{Dense, Flatten};
use seqfit::losses::{LossKind, RowTarget};
use seqfit::run::{CheckpointConfig, DataConfig, ModelCheckpoint, Run, RunConfig};
use seqfit::tch::{Kind, Tensor};
use seqfit::tensors::HostTensor;
use seqfit::{
    Activation, Adam, ClassWeights, Device, Engine, FitConfig, LibtorchError, Loss, Optimizer,
    OutputActivation, Sequential, Sgd, Snapshot,
};
use serde::Deserialize;

use crate::common::{seqfit, succeed};

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    loss: Loss,
    label_smoothing: f64,
    kind: String,
    targets: Vec<Vec<f32>>,
    outputs: Vec<Vec<f32>>,
    values: Vec<f64>,
    gradients: Vec<Vec<f64>>,
    features: Vec<Vec<f32>>,
    sample_weights: Option<Vec<f32>>,
    initial: BTreeMap<String, Vec<f32>>,
    losses: Vec<f64>,
    weights: BTreeMap<String, Vec<f64>>,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../fixtures/losses.json");
    serde_json::from_str::<Reference>(text).unwrap().cases
}

impl Case {
    fn name(&self) -> String {
        format!("{:?} of {}, smoothing {}", self.loss, self.kind, self.label_smoothing)
    }

    fn kind(&self) -> Arc<dyn LossKind> {
        let kind = self.loss.kind();
        match self.label_smoothing {
            0.0 => kind,
            smoothing => Arc::from(kind.smoothed(smoothing).unwrap()),
        }
    }

    fn dataset(&self) -> Dataset {
        let names = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        let (flat, width) = (self.targets.concat(), self.targets[0].len());
        let bytes: Vec<u8> = flat.iter().map(|&value| value as u8).collect();
        let targets = match &*self.kind {
            "class" => Targets::classes(bytes, names(self.outputs[0].len().max(2))),
            "labels" => Targets::labels(bytes, names(width)),
            _ => Targets::numbers(flat, names(width)),
        };
        let features = Features::floats(self.features.concat(), [self.features[0].len()]);
        let dataset = Dataset::from_arrays(features, targets).unwrap();
        match &self.sample_weights {
            Some(weights) => dataset.with_sample_weights(weights).unwrap(),
            None => dataset,
        }
    }

    /// Returns the network of make_losses.py with its initial weights.
    fn network(&self) -> Sequential {
        let mut model = Sequential::new([self.features[0].len()])
            .add(Dense::new(5).activation(Activation::Tanh))
            .add(Dense::new(self.outputs[0].len()))
            .build(Device::Cpu, 0)
            .unwrap();
        let shapes: Vec<(String, Vec<usize>)> = model
            .parameters()
            .map(|(name, tensor)| {
                (name.to_owned(), tensor.size().iter().map(|&size| size as usize).collect())
            })
            .collect();
        let weights = shapes.into_iter().map(|(name, shape)| {
            let values = self.initial[&name].clone();
            (name, HostTensor::new(shape, values))
        });
        model.set_weights(&weights.collect()).unwrap();
        model
    }

    fn config(&self, engine: Engine) -> FitConfig {
        FitConfig {
            epochs: self.losses.len(),
            batch_size: self.features.len(),
            loss: self.loss.clone(),
            label_smoothing: self.label_smoothing,
            optimizer: Optimizer::Sgd(Sgd { learning_rate: 0.1, momentum: 0.9, ..Sgd::default() }),
            engine,
            ..FitConfig::default()
        }
    }
}

/// Checks a number against float64's, in units of `size`, the largest of the numbers around it.
fn close(got: f64, expected: f64, size: f64) -> bool {
    (got - expected).abs() <= 1e-6 * expected.abs().max(size)
}

fn rows(values: &[Vec<f32>]) -> Tensor {
    Tensor::from_slice(&values.concat()).reshape([values.len() as i64, -1])
}

#[test]
fn values_and_gradients_match_pytorch() {
    for case in cases() {
        let (name, kind) = (case.name(), case.kind());
        let outputs = rows(&case.outputs).set_requires_grad(true);
        let targets = match &*case.kind {
            "class" => rows(&case.targets).to_kind(Kind::Int64).flatten(0, -1),
            _ => rows(&case.targets),
        };
        let values = kind.values(&outputs, &targets).unwrap();
        values.sum(Kind::Float).backward();
        let derivatives = outputs.grad();
        let mean = kind.mean(&outputs, &targets).unwrap().double_value(&[]);
        let expected = case.values.iter().sum::<f64>() / case.values.len() as f64;
        assert!(close(mean, expected, 0.0), "{name}: {mean} for {expected}");
        for (i, (outputs, gradients)) in case.outputs.iter().zip(&case.gradients).enumerate() {
            let value = values.double_value(&[i as i64]);
            assert!(close(value, case.values[i], 1.0), "{name}: {value} for {}", case.values[i]);
            let target = match &*case.kind {
                "class" => RowTarget::Class(case.targets[i][0] as usize),
                _ => RowTarget::Values(&case.targets[i]),
            };
            let mut gradient = vec![0.0; outputs.len()];
            let own = kind.rows().unwrap().row(outputs, target, &mut gradient);
            assert!(close(own, case.values[i], 1.0), "{name}: row {own} for {}", case.values[i]);
            let derivatives = Vec::<f32>::try_from(derivatives.get(i as i64)).unwrap();
            for (j, &expected) in gradients.iter().enumerate() {
                for got in [gradient[j], derivatives[j]] {
                    assert!(close(got.into(), expected, 1.0), "{name}: {got} for {expected}");
                }
            }
        }
    }
}

#[test]
fn five_steps_match_pytorch_in_both_engines() {
    for case in cases() {
        for engine in [Engine::Autograd, Engine::Fused] {
            let name = format!("{} by {}", case.name(), engine.name());
            let mut model = case.network();
            let history = model.fit(&case.dataset(), &case.config(engine), &mut []).unwrap();
            for (record, &expected) in history.epochs.iter().zip(&case.losses) {
                assert!(
                    close(record.loss, expected, 1.0),
                    "{name}: {} for {expected}",
                    record.loss
                );
                assert_eq!(record.accuracy.is_some(), case.kind != "numbers");
            }
            for (parameter, tensor) in model.parameters() {
                let got = Vec::<f32>::try_from(tensor.detach().flatten(0, -1)).unwrap();
                for (got, &expected) in got.into_iter().zip(&case.weights[parameter]) {
                    // Float32 against float64 over five steps.
                    let same = close(f64::from(got), expected, 3.0);
                    assert!(same, "{name}: {parameter} {got} for {expected}");
                }
            }
            // Predictions are the loss's.
            let features = rows(&case.features);
            let outputs = model.logits(&features).unwrap();
            let expected = match &*case.loss.name() {
                "binary_crossentropy" => outputs.sigmoid(),
                _ if case.kind == "class" => outputs.softmax(-1, Kind::Float),
                _ => outputs,
            };
            assert!(model.predict(&features).unwrap().equal(&expected), "{name}");
        }
    }
}

/// Weights of samples and of classes multiply, and a sample of weight 2 counts as two: both engines agree.
#[test]
fn weights_count_samples_several_times() {
    let case = cases().swap_remove(0);
    let train = |dataset: &Dataset, class_weights: Option<ClassWeights>, engine| {
        let mut model = case.network();
        let config = FitConfig {
            class_weights,
            optimizer: Optimizer::Adam(Adam { epsilon: 1e-2, ..Adam::default() }),
            ..case.config(engine)
        };
        let history = model.fit(dataset, &config, &mut []).unwrap();
        let weights = model.weights().unwrap().into_values();
        (history.epochs[4].loss, weights.flat_map(|t| t.values.to_vec()).collect::<Vec<f32>>())
    };
    let data = case.dataset();
    let named = |weights: &[(&str, f64)]| {
        let weights = weights.iter().map(|&(name, weight)| (name.to_owned(), weight));
        Some(ClassWeights::Named(weights.collect()))
    };
    let by_sample = |weights: &[f32]| data.clone().with_sample_weights(weights).unwrap();
    // The classes are 0, 1, 2, 0, 1, 2, 2.
    let twice_one = by_sample(&[1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 1.0]);
    let both = by_sample(&[0.5, 2.0, 1.0, 1.0, 1.0, 0.0, 1.0]);
    let product = by_sample(&[0.5, 4.0, 0.25, 1.0, 2.0, 0.0, 0.25]);
    let near = |(a, x): (f64, Vec<f32>), (b, y): (f64, Vec<f32>)| {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
        assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-5), "{x:?} {y:?}");
    };
    for engine in [Engine::Autograd, Engine::Fused] {
        near(train(&data, named(&[("1", 2.0)]), engine), train(&twice_one, None, engine));
        let weights = named(&[("1", 2.0), ("2", 0.25)]);
        near(train(&both, weights.clone(), engine), train(&product, None, Engine::Autograd));
        let plain = train(&data, None, engine);
        assert!(train(&data, Some(ClassWeights::Balanced), engine) != plain);
        // Weights of 1 change nothing but the rounding.
        near(train(&by_sample(&[1.0; 7]), None, engine), plain);
    }
}

#[test]
fn losses_that_do_not_fit_are_refused_by_name_before_the_first_step() {
    let find = |name: &str, kind: &str| {
        cases().into_iter().find(|case| case.loss.name() == name && case.kind == kind).unwrap()
    };
    let fails = |case: &Case, config: FitConfig, model: &mut Sequential| {
        let before = model.spec().clone();
        let error = model.fit(&case.dataset(), &config, &mut []).unwrap_err().to_string();
        assert_eq!(model.spec(), &before);
        error
    };
    let squared = find("mean_squared_error", "numbers");
    let config = || squared.config(Engine::Auto);
    let error =
        fails(&squared, FitConfig { loss: Loss::Sparse, ..config() }, &mut squared.network());
    let expected = "the loss sparse does not take numbers as targets, found 2: use mean_squared_error or \
                    mean_absolute_error or log_cosh or huber";
    assert_eq!(error, expected);
    let smoothed = FitConfig { label_smoothing: 0.1, ..config() };
    let error = fails(&squared, smoothed, &mut squared.network());
    assert!(
        error.starts_with("label smoothing must be 0 with the loss mean_squared_error"),
        "{error}"
    );
    let weighted = FitConfig { class_weights: Some(ClassWeights::Balanced), ..config() };
    let error = fails(&squared, weighted, &mut squared.network());
    assert!(
        error.starts_with(
            "class weights must be for targets that are classes (leave them out for others)"
        ),
        "{error}"
    );
    let binary = find("binary_crossentropy", "class");
    let with = |activation| {
        let model = Sequential::new([4]).add(Dense::new(1).activation(activation));
        model.build(Device::Cpu, 0).unwrap()
    };
    let error = fails(&binary, binary.config(Engine::Auto), &mut with(Activation::Sigmoid));
    assert!(
        error.contains("before its sigmoid activation, and the last layer applies sigmoid"),
        "{error}"
    );
    let wide = find("sparse", "class");
    let error = fails(&binary, binary.config(Engine::Auto), &mut wide.network());
    assert!(error.contains("the network has 3 outputs, and the dataset has 2 classes"), "{error}");
}

/// Interrupts after a batch.
struct Cut {
    after: (usize, usize),
    snapshot: Option<Arc<Snapshot>>,
}

impl Callback for Cut {
    fn on_batch_end(&mut self, _: &mut Training, batch: &BatchInfo) -> Result<Flow, CallbackError> {
        let here = self.after == (batch.epoch, batch.batch);
        Ok(if here { Flow::Interrupt } else { Flow::Continue })
    }

    fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
        self.snapshot = Some(Arc::clone(snapshot));
        Ok(())
    }
}

#[test]
fn resumed_runs_and_ranks_end_with_the_same_bits() {
    let trainings = |engine| {
        cases().into_iter().filter(|case| case.label_smoothing == 0.0).map(move |case| {
            let class_weights = (case.kind == "class").then_some(ClassWeights::Balanced);
            let adam = Optimizer::Adam(Adam { learning_rate: 0.01, ..Adam::default() });
            let (batch_size, threads) = (3, Some(1));
            let own = case.config(engine);
            let config =
                FitConfig { epochs: 2, batch_size, class_weights, threads, optimizer: adam, ..own };
            (case, config)
        })
    };
    for (case, config) in trainings(Engine::Fused).chain(trainings(Engine::Autograd)) {
        let (name, dataset) = (case.name(), case.dataset());
        let whole = {
            let mut model = case.network();
            model.fit(&dataset, &config, &mut []).unwrap();
            model.weights().unwrap()
        };
        for after in [1, 2].into_iter().flat_map(|epoch| [1, 2, 3].map(|batch| (epoch, batch))) {
            let mut cut = Cut { after, snapshot: None };
            case.network().fit(&dataset, &config, &mut [&mut cut]).unwrap();
            let mut model = case.network();
            model.resume(&cut.snapshot.unwrap(), &dataset, &config, &mut []).unwrap();
            assert!(model.weights().unwrap() == whole, "{name}: resumed after {after:?}");
        }
        let train = |group: group::Threads| {
            let mut model = case.network();
            let data = case.dataset();
            let history = model.fit_distributed(&group, &data, &config, &mut []).unwrap();
            (history.epochs[1].loss, model.weights().unwrap())
        };
        let on_ranks = |size: usize| {
            std::thread::scope(|scope| {
                let train = &train;
                let ranks = group::threads(size, Duration::from_secs(120)).into_iter();
                let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || train(rank))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).next_back().unwrap()
            })
        };
        let (loss, weights) = on_ranks(1);
        assert!(loss.is_finite(), "{name}");
        for size in [2, 4] {
            assert!(on_ranks(size) == (loss, weights.clone()), "{name}: {size} ranks");
        }
    }
}

/// The example of a loss of one's own trains in both engines.
#[path = "../../examples/own_loss.rs"]
mod own_loss;

#[test]
fn a_loss_of_ones_own_trains() {
    own_loss::main().unwrap();
}

/// Without values by rows the engine for Dense stacks refuses it by name, and a saved config names it.
#[test]
fn a_loss_without_rows_is_refused_by_the_cpu_engine() {
    #[derive(Debug)]
    struct Cubed;
    impl LossKind for Cubed {
        fn name(&self) -> &'static str {
            "cubed"
        }
        fn outputs_for(&self, _: TargetKind, count: usize) -> Option<usize> {
            Some(count)
        }
        fn output_activation(&self) -> OutputActivation {
            OutputActivation::Linear
        }
        fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
            Ok(outputs.f_sub(targets)?.f_abs()?.f_pow_tensor_scalar(3)?.f_mean_dim(
                1,
                false,
                Kind::Float,
            )?)
        }
    }
    let case = cases().into_iter().find(|case| case.kind == "numbers").unwrap();
    let config = |engine| FitConfig { loss: Loss::custom(Cubed), ..case.config(engine) };
    let error = case.network().fit(&case.dataset(), &config(Engine::Fused), &mut []).unwrap_err();
    let expected = "engine must be auto or autograd with the loss cubed, which has no values by rows, found fused";
    assert_eq!(error.to_string(), expected);
    let auto = config(Engine::Auto);
    assert_eq!(auto.clone().resolved(case.network().spec(), Device::Cpu).engine, Engine::Autograd);
    let history = case.network().fit(&case.dataset(), &auto, &mut []).unwrap();
    assert!(history.epochs[4].loss < history.epochs[0].loss);
    let saved = serde_json::to_string(&auto).unwrap();
    // Read again, it is a placeholder, which is refused by name.
    let read: FitConfig = serde_json::from_str(&saved).unwrap();
    assert_eq!(read, auto);
    let expected =
        "the loss cubed is not one of seqfit's: only a program that defines it can train";
    let error = case.network().fit(&case.dataset(), &read, &mut []).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
    let error = case.network().evaluate_with(&case.dataset(), &read).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

/// The cross-entropy of outputs divided by a temperature.
#[derive(Debug)]
struct Tempered(f64);

impl LossKind for Tempered {
    fn name(&self) -> &str {
        "tempered"
    }
    fn settings(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([("temperature".to_owned(), self.0)])
    }
    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize> {
        Loss::Sparse.kind().outputs_for(targets, count)
    }
    fn output_activation(&self) -> OutputActivation {
        OutputActivation::Softmax
    }
    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        Loss::Sparse.kind().values(&outputs.f_div_scalar(self.0)?, targets)
    }
}

/// A run with a user's own loss is read by every program; only one that gives the loss trains and evaluates with it.
#[test]
fn a_run_with_a_loss_of_ones_own_is_read_and_resumed() {
    let home = tempfile::tempdir().unwrap();
    let request = Request::Named(DatasetName::Digits);
    let data = data::resolve(&request, &Locations::from_env().unwrap(), &mut |_| {}).unwrap();
    let network = || {
        let builder = Sequential::new([8, 8]).add(Flatten).add(Dense::new(10));
        builder.build(Device::Cpu, 2).unwrap()
    };
    let own = || Loss::custom(Tempered(2.0));
    let fit = |epochs| FitConfig { epochs, loss: own(), ..FitConfig::default() };
    let mut model = network();
    let config = RunConfig::now(Device::Cpu, DataConfig::of(&data), fit(2), model.spec().clone());
    let run = Run::create(&home.path().join("r"), false, config).unwrap();
    let (keep, warn) = (CheckpointConfig::default(), |failure: &_| panic!("{failure:?}"));
    let identity = run.identity().unwrap();
    let mut saved = ModelCheckpoint::new(&run.checkpoints_path(), identity, keep, warn).unwrap();
    let history = model.fit(&data.train, &run.config().fit, &mut [&mut saved]).unwrap();
    assert!(saved.finish().is_empty());
    run.save(&model, &history).unwrap();
    drop(run);

    let text = std::fs::read_to_string(home.path().join("r/config.toml")).unwrap();
    assert!(text.contains("[fit.loss]\ncustom = \"tempered\"\n"), "{text}");
    assert!(text.contains("[fit.loss.settings]\ntemperature = 2.0\n"), "{text}");
    succeed(seqfit(home.path()).args(["inspect", "r"]));
    succeed(seqfit(home.path()).args(["export", "r", "--format", "onnx"]));
    let report = succeed(seqfit(home.path()).args(["report", "r"]));
    let elsewhere = "the loss tempered is not one of seqfit's: only a program that defines it can";
    assert!(report.stderr.contains(&format!("no predictions on the test set: {elsewhere}")));
    for command in [&["evaluate", "r"][..], &["train", "--resume", "r", "--epochs", "3"]] {
        let refused = crate::common::run(seqfit(home.path()).args(command));
        assert_ne!(refused.code, 0);
        assert!(refused.stderr.contains(elsewhere), "{}", refused.stderr);
    }

    let mut run = Run::resume(&home.path().join("r")).unwrap();
    assert_eq!(run.config().fit.loss, own());
    assert!(run.config().fit.loss.check_defined().is_err());
    assert_ne!(run.config().fit.loss, Loss::custom(Tempered(3.0)));
    run.set_config(RunConfig {
        fit: FitConfig { epochs: 3, loss: own(), ..run.config().fit.clone() },
        ..run.config().clone()
    })
    .unwrap();
    let (newest, _) = run.newest_checkpoint().unwrap();
    let snapshot = newest.unwrap().checkpoint.snapshot;
    let (keep, identity) = (CheckpointConfig::default(), run.identity().unwrap());
    let mut saved = ModelCheckpoint::new(&run.checkpoints_path(), identity, keep, warn).unwrap();
    let mut resumed = network();
    resumed.resume(&snapshot, &data.train, &run.config().fit, &mut [&mut saved]).unwrap();
    let mut whole = network();
    whole.fit(&data.train, &run.config().fit, &mut []).unwrap();
    assert_eq!(resumed.weights().unwrap(), whole.weights().unwrap());
    let found = resumed.evaluate_with(&data.test, &run.config().fit).unwrap();
    assert_eq!(found, whole.evaluate_with(&data.test, &run.config().fit).unwrap());
    // The temperature of 2 is not that of the cross-entropy itself.
    let plain = resumed.evaluate(&data.test).unwrap();
    assert_eq!(found.accuracy, plain.accuracy);
    assert!(found.loss.is_finite() && found.loss != plain.loss, "{found:?}");
}
