//! Random combinations of a network, a loss, metrics, an optimizer, a kind of data and an engine: each trains with the
//! engines agreeing, or is refused by name before the first step.

use std::collections::BTreeSet;

use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use seqfit::callback::{BatchInfo, Callback, CallbackError, Flow, Training};
use seqfit::data::{Dataset, Features, TargetKind, Targets};
use seqfit::layers::{Dense, Dropout, Flatten, Layer};
use seqfit::tensors::Tensors;
use seqfit::{
    Activation, Adam, AdamW, ClassWeights, Device, Engine, FitConfig, Loss, Metric, Optimizer,
    RmsProp, Sequential, Sgd, Spec,
};

use crate::common::random_network::{self, cases};

/// Largest difference of losses and metrics, in units of max(1, |value|), and of weights, in units of the largest of
/// all: three steps of f32 in different orders.
const TOLERANCE: f64 = 1e-5;

const KINDS: [TargetKind; 3] = [TargetKind::Class, TargetKind::Labels, TargetKind::Numbers];

/// A training: the data, the network and the settings.
struct Combination {
    train: Dataset,
    validation: Dataset,
    model: Sequential,
    config: FitConfig,
}

fn features(rng: &mut impl Rng, shape: &[usize], pixels: bool, count: usize) -> Features {
    let values = count * shape.iter().product::<usize>();
    match pixels {
        true => Features::pixels((0..values).map(|_| rng.random()).collect::<Vec<u8>>(), shape),
        false => {
            let values = (0..values).map(|_| rng.random_range(-2.0..2.0f32));
            Features::floats(values.collect::<Vec<_>>(), shape)
        }
    }
}

/// Every class and both values of every label occur.
fn targets(rng: &mut impl Rng, kind: TargetKind, width: usize, count: usize) -> Targets {
    let names: Vec<String> = (0..width).map(|i| i.to_string()).collect();
    match kind {
        TargetKind::Class => {
            Targets::classes((0..count).map(|i| (i % width) as u8).collect::<Vec<_>>(), names)
        }
        TargetKind::Labels => {
            let value = |i: usize| (i / width < 2).then_some((i / width) as u8);
            let values = (0..count * width).map(|i| value(i).unwrap_or(rng.random_range(0..2)));
            Targets::labels(values.collect::<Vec<_>>(), names)
        }
        TargetKind::Numbers => {
            let values = (0..count * width).map(|_| rng.random_range(-30.0..90.0f32));
            Targets::numbers(values.collect::<Vec<_>>(), names)
        }
    }
}

fn optimizer(rng: &mut impl Rng) -> Optimizer {
    // An epsilon that keeps the rounding error of a zero gradient from becoming a step.
    let (epsilon, learning_rate) = (1e-2, 1e-3);
    match rng.random_range(0..5) {
        0 => Optimizer::Sgd(Sgd { learning_rate, ..Sgd::default() }),
        1 => Optimizer::Sgd(Sgd {
            learning_rate,
            momentum: 0.9,
            nesterov: rng.random(),
            weight_decay: 0.01,
        }),
        2 => Optimizer::Adam(Adam { epsilon, ..Adam::default() }),
        3 => Optimizer::AdamW(AdamW { epsilon, ..AdamW::default() }),
        _ => Optimizer::RmsProp(RmsProp { epsilon, ..RmsProp::default() }),
    }
}

/// Returns a stack of Dense layers, or a network of any layers.
fn network(rng: &mut impl Rng, shape: &[usize], outputs: usize) -> Spec {
    let last = match rng.random_range(0..8) {
        0 => Activation::Softmax,
        1 => random_network::activation(rng),
        _ => Activation::Linear,
    };
    if rng.random_bool(0.4) {
        return random_network::spec(rng, shape, outputs, last);
    }
    let mut layers: Vec<Layer> = vec![Flatten.into()];
    for _ in 0..rng.random_range(0..3) {
        let activation = random_network::activation(rng);
        layers.push(Dense::new(rng.random_range(1..20)).activation(activation).into());
        if rng.random_bool(0.3) {
            layers.push(Dropout::new(rng.random_range(0.1..0.6)).into());
        }
    }
    layers.push(Dense::new(outputs).activation(last).into());
    Spec::new(shape, layers)
}

fn combination(rng: &mut impl Rng) -> Combination {
    let kind = KINDS[rng.random_range(0..3)];
    // Two classes, more often than other numbers: one output is enough for them.
    let width = match kind {
        TargetKind::Class => [2, 2, 3, 6][rng.random_range(0..4)],
        _ => rng.random_range(1..5),
    };
    let losses = Loss::all();
    let fits = |loss: &&Loss| loss.kind().outputs_for(kind, width).is_some();
    let fitting: Vec<&Loss> = losses.iter().filter(fits).collect();
    let loss = match rng.random_bool(0.9) {
        true => fitting[rng.random_range(0..fitting.len())].clone(),
        false => losses[rng.random_range(0..losses.len())].clone(),
    };
    let outputs = loss.kind().outputs_for(kind, width).unwrap_or(width);
    let pixels = rng.random_bool(0.4);
    let axes = if pixels { 2 } else { rng.random_range(1..4) };
    let shape: Vec<usize> = (0..axes).map(|_| rng.random_range(1..5)).collect();
    let mut data = |count| {
        let features = features(rng, &shape, pixels, count);
        Dataset::from_arrays(features, targets(rng, kind, width, count)).unwrap()
    };
    let (mut train, validation) = (data(41), data(30));
    if rng.random_bool(0.4) {
        let weights: Vec<f32> = (0..41).map(|_| rng.random_range(0.0..2.0)).collect();
        train = train.with_sample_weights(&weights).unwrap();
    }
    let mut spec = network(rng, &shape, outputs);
    if rng.random_bool(0.6) {
        spec.target_scaling = train.target_scaling();
    }
    let chosen = Metric::ALL.iter().filter(|metric| match metric.check_for(kind).is_ok() {
        true => rng.random_bool(0.5),
        // Refused.
        false => rng.random_bool(0.005),
    });
    let metrics = chosen.cloned().collect();
    let smooths = loss.kind().smoothed(0.1).is_some();
    let config = FitConfig {
        epochs: 1,
        batch_size: [14, 41][rng.random_range(0..2)],
        label_smoothing: if smooths && rng.random_bool(0.4) { 0.1 } else { 0.0 },
        class_weights: (kind.is_class() && rng.random_bool(0.4)).then_some(ClassWeights::Balanced),
        clip_norm: rng.random_bool(0.3).then_some(0.5),
        ema: rng.random_bool(0.3).then_some(0.7),
        optimizer: optimizer(rng),
        metrics,
        seed: rng.random_range(0..1000),
        threads: Some(rng.random_range(1..3)),
        loss,
        ..FitConfig::default()
    };
    let model = Sequential::from_spec(spec, Device::Cpu, config.seed).unwrap();
    Combination { train, validation, model, config }
}

/// Counts the steps.
#[derive(Default)]
struct Steps(usize);

impl Callback for Steps {
    fn on_batch_end(&mut self, _: &mut Training, _: &BatchInfo) -> Result<Flow, CallbackError> {
        self.0 += 1;
        Ok(Flow::Continue)
    }
}

/// The numbers at the end of a training: losses and metrics by name, and the weights.
type End = (Vec<(String, f64)>, Tensors);

fn train(combination: &Combination, engine: Engine) -> Result<End, String> {
    let Combination { train, validation, model, config } = combination;
    let (mut own, mut steps) = (model.clone(), Steps::default());
    let config = FitConfig { engine, ..config.clone() };
    match own.fit((train, validation), &config, &mut [&mut steps]) {
        Err(error) => {
            assert_eq!(steps.0, 0, "refused after a step: {error}");
            assert_eq!(own.weights().unwrap(), model.weights().unwrap(), "{error}");
            assert_eq!(own.spec(), model.spec(), "{error}");
            Err(error.to_string())
        }
        Ok(history) => {
            assert_eq!(steps.0, train.len().div_ceil(config.batch_size));
            let last = history.last().unwrap();
            let mut values = vec![("loss".to_owned(), last.loss)];
            values.extend(last.val_loss.map(|loss| ("val_loss".to_owned(), loss)));
            values.extend(last.metrics.iter().map(|(name, value)| (name.clone(), *value)));
            // One may be undefined for these samples.
            assert!(last.metrics.len() <= config.metrics.len());
            Ok((values, own.weights().unwrap()))
        }
    }
}

/// Returns the first number that differs.
fn differing((values, weights): &End, (others, other_weights): &End) -> Option<String> {
    let names = |values: &[(String, f64)]| values.iter().map(|(name, _)| name.clone()).collect();
    let (a, b): (Vec<_>, Vec<_>) = (names(values), names(others));
    if a != b {
        return Some(format!("{a:?} and {b:?}"));
    }
    for ((name, value), (_, other)) in values.iter().zip(others) {
        let close = (value - other).abs() <= TOLERANCE * other.abs().max(1.0);
        if !close {
            return Some(format!("{name}: {value} and {other}"));
        }
    }
    let all = other_weights.values().flat_map(|tensor| tensor.values.iter());
    let largest = all.fold(0f32, |most, x| most.max(x.abs()));
    for ((name, a), b) in weights.iter().zip(other_weights.values()) {
        for (i, (x, y)) in a.values.iter().zip(b.values.iter()).enumerate() {
            let close = f64::from((x - y).abs()) <= TOLERANCE * f64::from(largest);
            if !close {
                return Some(format!("{name}[{i}]: {x} and {y} of {largest}"));
            }
        }
    }
    None
}

/// Returns whether an error names the setting that is refused.
fn is_named(error: &str, combination: &Combination) -> bool {
    let Combination { config, .. } = combination;
    let metrics =
        config.metrics.iter().any(|metric| error.starts_with(&format!("{metric} is for")));
    metrics
        || error.starts_with(&format!("the loss {} ", config.loss.name()))
        || error.starts_with("engine must be auto or autograd")
        || error.starts_with("class weights must be")
        || error.starts_with("label smoothing must be")
        || error.contains("target scaling")
}

#[test]
fn every_combination_trains_alike_in_all_engines_or_is_refused_by_name() {
    let (mut trained, mut by_both, mut refused) = (0, 0, BTreeSet::new());
    let (mut kinds, mut wrong) = (BTreeSet::new(), Vec::new());
    for seed in 0..cases(150) {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let combination = combination(&mut rng);
        let Combination { model, config, train: data, .. } = &combination;
        let title = format!("seed {seed}: {:?}, {config:?}", model.spec());
        let ends = [Engine::Autograd, Engine::Fused, Engine::Auto]
            .map(|engine| train(&combination, engine));
        for error in ends.iter().filter_map(|end| end.as_ref().err()) {
            assert!(is_named(error, &combination), "{error}, {title}");
            refused.insert(error.split_whitespace().take(4).collect::<Vec<_>>().join(" "));
        }
        let [autograd, fused, auto] = &ends;
        match autograd {
            Ok(autograd) => {
                let auto = auto.as_ref().unwrap_or_else(|error| panic!("auto: {error}, {title}"));
                let both = [("auto", Some(auto)), ("fused", fused.as_ref().ok())];
                for (name, end) in both.into_iter().filter_map(|(name, end)| Some((name, end?))) {
                    if let Some(difference) = differing(end, autograd) {
                        wrong.push(format!("{name}: {difference}, {title}"));
                    }
                }
                by_both += u32::from(fused.is_ok());
                kinds.insert((format!("{:?}", data.target_kind()), config.loss.name().to_owned()));
                trained += 1;
            }
            // What is wrong is not the engine.
            Err(error) => assert!(fused.is_err() && auto.as_ref() == Err(error), "{title}"),
        }
    }
    println!(
        "{trained} trained, {by_both} of them by both engines, with {kinds:?}; refused: {refused:#?}"
    );
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(by_both * 5 > trained, "{by_both} of {trained} by both engines");
    assert!(trained as u64 * 2 > cases(150), "only {trained} trained");
}
