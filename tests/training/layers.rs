//! Tests that every layer computes the same numbers as PyTorch. tests/fixtures/make_layers.py wrote the expected
//! values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use seqfit::callback::{BatchInfo, Callback, CallbackError, Flow, Training};
use seqfit::data::{self, Dataset, DatasetName, Locations, Request};
use seqfit::group;
use seqfit::layers::{
    BatchNormalization, Context, Dense, Dropout, Flatten, GaussianNoise, Initializer, Layer,
    LayerError, LayerKind, LibtorchError, Residual, Variable, Variables,
};
use seqfit::run::{CheckpointConfig, DataConfig, ModelCheckpoint, Run, RunConfig};
use seqfit::tensors::{HostTensor, Tensors};
use seqfit::{
    Activation, Device, Engine, FitConfig, Mode, Optimizer, Sequential, Sgd, Snapshot, Spec,
};
use serde::Deserialize;
use serde_json::Value;
use tch::{Kind, Tensor};

use crate::common::seqfit;

/// Largest difference allowed, in units of max(1, |expected|): float32 against float64. The normalizations divide by
/// a standard deviation, and three steps add up.
const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Reference {
    images: Vec<Vec<Vec<u8>>>,
    labels: Vec<u8>,
    cases: Vec<Case>,
    noise: Vec<NoiseCase>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    layers: Vec<Layer>,
    /// Others than those of all cases.
    images: Option<Vec<Vec<Vec<u8>>>>,
    initial: BTreeMap<String, Value>,
    gradients: BTreeMap<String, Value>,
    training_logits: Vec<Value>,
    trained: BTreeMap<String, Value>,
    logits: Value,
    probabilities: Value,
}

/// A layer that draws random numbers, with those that PyTorch drew.
#[derive(Deserialize)]
struct NoiseCase {
    layer: Layer,
    input: Value,
    noise: Value,
    output: Value,
    gradient: Value,
}

/// Returns the numbers in a nested list, and its shape.
fn flat(value: &Value) -> (Vec<usize>, Vec<f32>) {
    match value {
        Value::Array(rows) => {
            let parts: Vec<_> = rows.iter().map(flat).collect();
            let inner = parts.first().map(|(shape, _)| shape.clone()).unwrap_or_default();
            let shape = std::iter::once(rows.len()).chain(inner).collect();
            (shape, parts.into_iter().flat_map(|(_, values)| values).collect())
        }
        value => (Vec::new(), vec![value.as_f64().unwrap() as f32]),
    }
}

fn host(named: &BTreeMap<String, Value>) -> Tensors {
    let tensor = |value| {
        let (shape, values) = flat(value);
        HostTensor::new(shape, values)
    };
    named.iter().map(|(name, value)| (name.clone(), tensor(value))).collect()
}

fn check(what: &str, tensor: &Tensor, expected: &Value) {
    let mut got = vec![0f32; tensor.numel()];
    tensor.detach().to_kind(Kind::Float).contiguous().copy_data(&mut got, tensor.numel());
    let (_, expected) = flat(expected);
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        let allowed = TOLERANCE * f64::from(expected.abs().max(1.0));
        assert!(f64::from((got - expected).abs()) <= allowed, "{what}: {got} for {expected}");
    }
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../fixtures/layers.json")).unwrap()
}

/// Outputs, gradients, and after three steps the weights, running statistics and predictions.
#[test]
fn every_layer_matches_pytorch() {
    let reference = reference();
    let labels = Tensor::from_slice(&reference.labels).to_kind(Kind::Int64);
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    for case in &reference.cases {
        let (name, images) = (&case.name, case.images.as_ref().unwrap_or(&reference.images));
        let (pixels, shape) = (images.concat().concat(), [images[0].len(), images[0][0].len()]);
        let x = Tensor::from_slice(&pixels).to_kind(Kind::Float) / 255.0;
        let x = x.reshape([-1, shape[0] as i64, shape[1] as i64]);
        let targets = reference.labels.clone();
        let dataset = Dataset::new(pixels, shape, targets, classes.clone()).unwrap();
        let spec = Spec::new(shape, case.layers.clone());
        let build = || {
            let mut model = Sequential::from_spec(spec.clone(), Device::Cpu, 0).unwrap();
            model.set_weights(&host(&case.initial)).unwrap();
            model
        };
        let model = build();
        let logits = model.forward(&x, Mode::Training { seed: 0, step: 0 }).unwrap();
        check(&format!("{name}: outputs"), &logits, &case.training_logits[0]);
        logits.cross_entropy_for_logits(&labels).backward();
        for (parameter, tensor) in model.parameters() {
            check(&format!("{name}: {parameter}"), &tensor.grad(), &case.gradients[parameter]);
        }
        let mut model = build();
        let config = FitConfig {
            epochs: case.training_logits.len(),
            batch_size: dataset.len(),
            optimizer: Optimizer::Sgd(Sgd { learning_rate: 0.1, ..Sgd::default() }),
            ..FitConfig::default()
        };
        model.fit(&dataset, &config, &mut []).unwrap();
        for (variable, tensor) in model.variables() {
            check(&format!("{name}: trained {variable}"), tensor, &case.trained[variable]);
        }
        check(&format!("{name}: logits"), &model.logits(&x).unwrap(), &case.logits);
        let probabilities = model.predict(&x).unwrap();
        check(&format!("{name}: probabilities"), &probabilities, &case.probabilities);
    }
}

#[test]
fn layers_that_draw_random_numbers_match_pytorch_with_the_same_numbers() {
    let tensor = |value| {
        let (shape, values) = flat(value);
        let shape: Vec<i64> = shape.into_iter().map(|size| size as i64).collect();
        Tensor::from_slice(&values).reshape(shape)
    };
    for case in &reference().noise {
        let (layer, name) = (case.layer.kind(), case.layer.kind().name());
        let x = tensor(&case.input).set_requires_grad(true);
        let noise = [tensor(&case.noise)];
        let variables = Variables { parameters: &[], buffers: &[] };
        let output = |noise: &[Tensor]| {
            let context = Context { noise, training: !noise.is_empty(), kind: Kind::Float };
            layer.forward(&x, &variables, &context).unwrap()
        };
        assert!(output(&[]).equal(&x), "{name} in evaluation");
        let y = output(&noise);
        y.square().sum(Kind::Float).backward();
        check(&format!("{name}: output"), &y, &case.output);
        check(&format!("{name}: gradient"), &x.grad(), &case.gradient);
    }
}

/// Adds the types and activations of layers and of the blocks in them.
fn collect(layers: &[Layer], found: &mut BTreeSet<String>) {
    for layer in layers {
        let saved = serde_json::to_value(layer).unwrap();
        for key in ["type", "activation"] {
            found.extend(saved[key].as_str().map(str::to_owned));
        }
        if let Some(block) = layer.get::<Residual>() {
            collect(&block.layers, found);
        }
    }
}

#[test]
fn every_layer_and_activation_has_a_case() {
    let (reference, mut found) = (reference(), BTreeSet::new());
    reference.cases.iter().for_each(|case| collect(&case.layers, &mut found));
    reference.noise.iter().for_each(|case| {
        collect(std::slice::from_ref(&case.layer), &mut found);
    });
    let activations = Activation::ALL.iter().map(|activation| activation.name());
    let missing: Vec<_> =
        Layer::TYPES.iter().copied().chain(activations).filter(|&n| !found.contains(n)).collect();
    assert!(missing.is_empty(), "no case in tests/fixtures/make_layers.py: {missing:?}");
}

fn noisy() -> Sequential {
    let block = Residual::new()
        .add(BatchNormalization::default())
        .add(GaussianNoise::new(0.1))
        .add(Dense::new(6).activation(Activation::Mish))
        .add(Dropout::new(0.2));
    let builder = Sequential::new([2, 2]).add(Flatten).add(GaussianNoise::new(0.2));
    builder.add(Dense::new(6)).add(block).add(Dense::new(3)).build(Device::Cpu, 3).unwrap()
}

#[test]
fn noise_depends_on_seed_and_step_and_is_off_in_inference() {
    let model = noisy();
    let x = Tensor::ones([4, 2, 2], (Kind::Float, Device::Cpu));
    let output = |mode| model.forward(&x, mode).unwrap();
    let step = |seed, step| output(Mode::Training { seed, step });
    assert!(step(1, 2).equal(&step(1, 2)));
    assert!(!step(1, 2).equal(&step(1, 3)) && !step(1, 2).equal(&step(2, 2)));
    assert!(output(Mode::Inference).equal(&output(Mode::Inference)));
}

/// The last batch of an epoch may have a single sample.
#[test]
fn a_batch_of_one_sample_leaves_the_running_statistics() {
    let model = noisy();
    let before = model.weights().unwrap();
    let x = Tensor::ones([1, 2, 2], (Kind::Float, Device::Cpu));
    let logits = model.forward(&x, Mode::Training { seed: 0, step: 0 }).unwrap();
    assert!(logits.isfinite().all().int64_value(&[]) == 1);
    assert_eq!(model.weights().unwrap(), before);
}

#[test]
fn the_fused_engine_refuses_a_layer_by_its_name() {
    let config = FitConfig { engine: Engine::Fused, ..FitConfig::default() };
    let error = config.check_for(noisy().spec(), Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("found fused with layer 2 (gaussian_noise)"), "{error}");
}

/// A layer of one's own: y = weight · x / √(mean square of all inputs so far).
#[derive(Debug)]
struct Own;

impl LayerKind for Own {
    fn name(&self) -> &'static str {
        "Own"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        Ok(input.to_vec())
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        vec![
            Variable::buffer("square", input, Initializer::Constant(1.0)),
            Variable::parameter("weight", input, Initializer::Constant(1.0)),
        ]
    }

    fn forward(
        &self,
        x: &Tensor,
        variables: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let ([weight], [square]) = (variables.parameters()?, variables.buffers()?);
        let scale = square.f_sqrt()?.f_clamp_min(1e-3)?;
        let y = x.f_mul(weight)?.f_div(&scale)?;
        if context.training {
            let _no_grad = tch::no_grad_guard();
            let mean = x.f_square()?.f_mean_dim(0, false, Kind::Float)?;
            let _ = square.shallow_clone().f_lerp_(&mean, 0.1)?;
        }
        Ok(y)
    }
}

/// Normalization, noise, a block, and a layer of one's own.
fn stateful(seed: u64) -> Sequential {
    let block = Residual::new()
        .add(BatchNormalization { momentum: 0.8, ..BatchNormalization::default() })
        .add(GaussianNoise::new(0.1))
        .add(Dense::new(16).activation(Activation::Mish))
        .add(Dropout::new(0.2));
    let builder = Sequential::new([8, 8]).add(Flatten).add(GaussianNoise::new(0.2));
    let builder = builder.add(Dense::new(16)).add(Layer::custom(Own)).add(block);
    let builder = builder.add(BatchNormalization::default());
    builder.add(Dense::new(10)).build(Device::Cpu, seed).unwrap()
}

fn config() -> FitConfig {
    FitConfig { epochs: 2, batch_size: 50, ema: Some(0.8), seed: 3, ..FitConfig::default() }
}

fn samples() -> Dataset {
    data::load("digits").unwrap().0.take(131)
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
fn resume_is_exact_with_buffers_noise_and_a_layer_of_ones_own() {
    let mut model = stateful(1);
    model.fit(&samples(), &config(), &mut []).unwrap();
    let expected = model.weights().unwrap();
    assert!(expected["3.square"] != stateful(1).weights().unwrap()["3.square"]);
    for after in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        let mut cut = Cut { after, snapshot: None };
        stateful(1).fit(&samples(), &config(), &mut [&mut cut]).unwrap();
        let snapshot = cut.snapshot.unwrap();
        assert!(snapshot.weights.contains_key("4.0.running_var"));
        assert!(!snapshot.average.contains_key("4.0.running_var"));
        // Other weights: all of them must come from the snapshot.
        let mut model = stateful(2);
        model.resume(&snapshot, &samples(), &config(), &mut []).unwrap();
        assert!(model.weights().unwrap() == expected, "{after:?}");
    }
}

/// The running statistics, too.
#[test]
fn ranks_have_the_same_bits_with_buffers_and_noise() {
    let on = |size: usize| {
        let train = |group: group::Threads| {
            let mut model = stateful(1);
            model.fit_distributed(&group, &samples(), &config(), &mut []).unwrap();
            model.weights().unwrap()
        };
        std::thread::scope(|scope| {
            let ranks = group::threads(size, Duration::from_secs(120)).into_iter();
            let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || train(rank))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<Tensors>>()
        })
    };
    let [one, two, four] = [1, 2, 4].map(on);
    assert!(two.iter().chain(&four).all(|weights| *weights == one[0]));
    assert!(one[0]["5.running_mean"] != stateful(1).weights().unwrap()["5.running_mean"]);
}

#[path = "../../examples/own_layer.rs"]
mod own_layer;

#[test]
fn the_example_of_ones_own_layer_trains_and_exports() {
    own_layer::main().unwrap();
}

/// A run whose network has a user's own layer is read by every program, and loaded by the one that defines the layer.
#[test]
fn a_run_with_a_layer_of_ones_own_is_read_and_resumed() {
    let home = tempfile::tempdir().unwrap();
    let request = Request::Named(DatasetName::Digits);
    let data = data::resolve(&request, &Locations::from_env().unwrap(), &mut |_| {}).unwrap();
    let mut model = stateful(1);
    let about = DataConfig::of(&data);
    let config = RunConfig::now(Device::Cpu, about, config(), model.spec().clone());
    let run = Run::create(&home.path().join("r"), false, config).unwrap();
    let (keep, warn) = (CheckpointConfig::default(), |failure: &_| panic!("{failure:?}"));
    let identity = run.identity().unwrap();
    let mut saved = ModelCheckpoint::new(&run.checkpoints_path(), identity, keep, warn).unwrap();
    let train = samples();
    model.fit(&train, &run.config().fit, &mut [&mut saved]).unwrap();
    assert!(saved.finish().is_empty());
    drop(run);

    let named = "layer 4 (own): a network is built of layers that the program defines, found Own, a layer of another";
    for command in ["evaluate", "export"] {
        let refused =
            crate::common::run(seqfit(home.path()).args([command, "r", "--checkpoint", "last"]));
        assert_ne!(refused.code, 0);
        assert!(refused.stderr.contains(named), "{}", refused.stderr);
    }
    let mut run = Run::resume(&home.path().join("r")).unwrap();
    let network = stateful(1);
    let fit = FitConfig { epochs: 3, ..run.config().fit.clone() };
    let resumed = RunConfig { fit, network: network.spec().clone(), ..run.config().clone() };
    run.set_config(resumed).unwrap();
    let (newest, _) = run.newest_checkpoint().unwrap();
    let snapshot = newest.unwrap().checkpoint.snapshot;
    let (mut resumed, mut whole) = (network, stateful(1));
    let (keep, identity) = (CheckpointConfig::default(), run.identity().unwrap());
    let mut saved = ModelCheckpoint::new(&run.checkpoints_path(), identity, keep, warn).unwrap();
    resumed.resume(&snapshot, &train, &run.config().fit, &mut [&mut saved]).unwrap();
    whole.fit(&train, &run.config().fit, &mut []).unwrap();
    assert_eq!(resumed.weights().unwrap(), whole.weights().unwrap());
}
