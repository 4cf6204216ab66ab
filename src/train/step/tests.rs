//! Tests of what the engines have in common: losses, gradients, weights.

use std::rc::Rc;

use super::*;
use crate::data::batches::{DataLoader, ResidentEpoch};
use crate::data::{Augment, Dataset, Features, Targets};
use crate::layers::{
    Activation, AveragePooling2D, BatchNormalization, Conv2D, Dense, DepthwiseConv2D, Dropout,
    Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D, Layer, LayerKind, MaxPooling2D,
    Normalization, Padding, Reshape, Residual, SeparableConv2D, SpatialDropout2D, ZeroPadding2D,
};
use crate::losses::Loss;
use crate::model::Spec;
use crate::train::class_weights::ClassWeights;
use crate::train::optimizer::{Adam, AdamW, RmsProp, Sgd};
use crate::train::snapshot::State;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tch::Device;

/// A network with its training, and the seed of all its random numbers.
#[derive(Clone, Debug)]
struct Case {
    spec: Spec,
    config: FitConfig,
    samples: usize,
    /// Numbers, of both signs, in place of pixels.
    floats: bool,
}

fn dropout() -> impl Strategy<Value = f64> {
    prop_oneof![3 => Just(0.0), 1 => 0.1f64..0.6]
}

fn networks() -> impl Strategy<Value = Spec> {
    let activation = prop::sample::select(Activation::ALL[..6].to_vec());
    let hidden = prop::collection::vec((1usize..90, activation.clone(), dropout()), 0..4);
    // Some layers are wide enough to be split into blocks.
    let wide = (400usize..600, activation.clone(), dropout());
    let wide = prop::collection::vec(wide, 0..3);
    let classes = prop_oneof![5 => 2usize..12, 1 => 200usize..256];
    (hidden, wide, dropout(), any::<bool>(), classes, any::<bool>()).prop_map(
        |(mut hidden, wide, first, after, classes, softmax)| {
            let place = if after { hidden.len() } else { 0 };
            hidden.splice(place..place, wide);
            let mut spec = Spec::new([9, 9], vec![Flatten.into()]);
            spec.layers.push(Dropout::new(first).into());
            for (units, activation, rate) in hidden {
                spec.layers.push(Dense::new(units).activation(activation).into());
                spec.layers.push(Dropout::new(rate).into());
            }
            let last = if softmax { Activation::Softmax } else { Activation::Linear };
            spec.layers.push(Dense::new(classes).activation(last).into());
            spec
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    let loss = prop::sample::select(vec![Loss::Sparse, Loss::Categorical]);
    let smoothing = prop_oneof![Just(0.0), 0.01f64..0.5];
    let clip = prop::option::of(0.01f64..2.0);
    let ema = prop::option::of(0.1f64..0.99);
    let elastic = prop_oneof![Just(0.0), Just(0.3)];
    let config = (loss, smoothing, clip, ema, elastic, 0u64..1000, 1usize..4).prop_map(
        |(loss, label_smoothing, clip_norm, ema, elastic, seed, threads)| FitConfig {
            loss,
            label_smoothing,
            clip_norm,
            ema,
            // By the seed, so that the cases without it stay.
            augment: Augment {
                elastic,
                mixup: if seed % 4 == 1 { 0.4 } else { 0.0 },
                cutmix: if seed % 6 == 1 { 1.0 } else { 0.0 },
                ..Augment::default()
            },
            seed,
            threads: Some(threads),
            ..FitConfig::default()
        },
    );
    let samples = prop_oneof![5 => 1usize..150, 1 => 300usize..600];
    let floats = prop_oneof![3 => Just(false), 1 => Just(true)];
    (networks(), config, samples, floats).prop_map(|(spec, config, samples, floats)| {
        // Only pictures are augmented.
        let augment = if floats { Augment::default() } else { config.augment };
        let config = FitConfig { batch_size: samples, augment, ..config };
        Case { spec, config, samples, floats }
    })
}

/// At relu's kink a rounding error decides between two gradients: among more outputs than `most` one may
/// lie there, so silu replaces it.
fn without_kinks(case: &mut Case, most: usize) {
    for layer in &mut case.spec.layers {
        if let crate::layers::Layer::Dense(Dense { activation, units }) = layer
            && *activation == Activation::Relu
            && *units * case.samples > most
        {
            *activation = Activation::Silu;
        }
    }
}

fn samples(n: usize, classes: usize, seed: u64) -> Dataset {
    use rand::RngExt;
    let mut rng = crate::rng::stream(seed, Purpose::Init, &[1]);
    // Images with dark and bright parts, like real ones, and margins or spots that are blank in all of
    // them.
    let (margin, spots) = (seed as usize % 4, seed.is_multiple_of(3));
    let spots: Vec<bool> = (0..81).map(|_| spots && rng.random()).collect();
    let blank = |i: usize| {
        let inside = |place: usize| (margin..9 - margin.min(2)).contains(&place);
        !inside(i % 81 / 9) || !inside(i % 9) || spots[i % 81]
    };
    let pixels = (0..n * 81)
        .map(|i| if blank(i) { 0 } else { rng.random::<u8>().saturating_sub(100) })
        .collect();
    let labels = (0..n).map(|_| rng.random_range(0..classes as u8)).collect();
    let names = (0..classes).map(|class| class.to_string()).collect();
    Dataset::new(pixels, [9, 9], labels, names).unwrap()
}

use crate::rng::Purpose;

/// Returns the same samples as numbers of both signs; those that are blank stay 0.
fn as_floats(dataset: &Dataset) -> Dataset {
    let number = |&pixel: &u8| if pixel == 0 { 0.0 } else { (f32::from(pixel) - 80.0) / 60.0 };
    let values = (0..dataset.len()).flat_map(|i| dataset.image(i).iter().map(number));
    let labels: Vec<u8> = (0..dataset.len()).map(|i| dataset.label(i)).collect();
    let features = Features::floats(values.collect::<Vec<f32>>(), [9, 9]);
    Dataset::from_arrays(features, Targets::classes(labels, dataset.classes())).unwrap()
}

/// The state of an engine after some steps over the same samples: sums, weights, average, moments.
type End = (Sums, (Tensors, Tensors, [Tensors; 2]));

fn train(case: &Case, engine: Choice, optimizer: Optimizer, steps: usize) -> End {
    let dataset = samples(case.samples, case.spec.outputs(), case.config.seed);
    let dataset = if case.floats { as_floats(&dataset) } else { dataset };
    train_on(&dataset, case, engine, optimizer, steps)
}

fn train_on(
    dataset: &Dataset,
    case: &Case,
    engine: Choice,
    optimizer: Optimizer,
    steps: usize,
) -> End {
    let Case { spec, config, samples: n, .. } = case;
    let config = FitConfig { engine, optimizer, ..config.clone() };
    let mut model = Sequential::from_spec(spec.clone(), Device::Cpu, config.seed).unwrap();
    let loader = DataLoader::new(dataset, Device::Cpu).unwrap();
    let loader = loader.augmented(config.augment, config.seed, steps).unwrap();
    let length = TrainingLength { steps: steps as u64, epoch_steps: 1 };
    let objective = Objective::new(&config, dataset, spec.outputs()).unwrap();
    let mut step =
        Step::shared_by(&SingleProcess, &mut model, &config, objective, length, 1000).unwrap();
    let order: Vec<u32> = (0..*n as u32).rev().collect();
    for epoch in 1..=steps {
        // The last batches of epochs are smaller.
        let chosen = if epoch % 3 == 2 { &order[..n.div_ceil(2)] } else { &order[..] };
        if engine == Choice::Fused {
            assert_eq!(step.input_kind(), InputKind::Chosen);
            step.run(&Input::Chosen(loader.on_host(epoch).unwrap(), chosen)).unwrap();
            continue;
        }
        assert_eq!(step.input_kind(), InputKind::Batches);
        for batch in
            loader.training_batches(chosen, std::iter::once(0..chosen.len()), epoch, 0).unwrap()
        {
            step.run(&Input::Batch(batch.unwrap())).unwrap();
        }
    }
    assert_eq!(step.steps(), steps as u64);
    (step.sums().unwrap(), step.tensors().unwrap())
}

/// Checks that all tensors are equal within a fraction of the largest number of all: a sum that cancels
/// out has rounding errors of the size of its parts.
fn close(a: &Tensors, b: &Tensors, fraction: f32) -> Result<(), TestCaseError> {
    prop_assert!(a.keys().eq(b.keys()));
    let top = |tensor: &[f32]| tensor.iter().fold(0f32, |most, x| most.max(x.abs()));
    let largest = b.values().map(|tensor| top(&tensor.values)).fold(0f32, f32::max);
    for ((name, a), b) in a.iter().zip(b.values()) {
        prop_assert_eq!(&a.shape, &b.shape);
        for (i, (x, y)) in a.values.iter().zip(&**b.values).enumerate() {
            let most = fraction * largest + f32::MIN_POSITIVE;
            prop_assert!((x - y).abs() <= most, "{}[{}]: {} and {} of {}", name, i, x, y, largest);
        }
    }
    Ok(())
}

/// Layers of networks on pictures, one after the other, of which those that do not fit are left out.
fn picture_layers() -> impl Strategy<Value = Vec<Layer>> {
    let activation = || prop::sample::select(Activation::ALL[..6].to_vec());
    let padding = || prop::sample::select(vec![Padding::Valid, Padding::Same]);
    let size = |most: usize| [1..=most, 1..=most];
    let moves = prop_oneof![
        3 => Just([1, 1, 1, 1]),
        1 => size(2).prop_map(|[down, right]| [down, right, 1, 1]),
        1 => size(2).prop_map(|[down, right]| [1, 1, down, right]),
    ];
    let convolution = (1usize..40, size(3), moves, padding(), any::<bool>(), activation());
    let convolution =
        convolution.prop_map(|(filters, kernel, moves, padding, bias, activation)| {
            let [down, right, dilated_down, dilated_right] = moves;
            let layer = Conv2D::new(filters, kernel).strides([down, right]).padding(padding);
            let layer = layer.dilation_rate([dilated_down, dilated_right]).use_bias(bias);
            Layer::from(layer.activation(activation))
        });
    let pooling = (size(3), prop::option::of(size(3)), padding(), any::<bool>());
    let pooling = pooling.prop_map(|(size, strides, padding, is_max)| {
        let strides = strides.unwrap_or(size);
        match is_max {
            true => MaxPooling2D::new(size).strides(strides).padding(padding).into(),
            false => AveragePooling2D::new(size).strides(strides).padding(padding).into(),
        }
    });
    let depthwise = (size(3), size(2), padding(), any::<bool>(), activation());
    let depthwise = depthwise.prop_map(|(kernel, strides, padding, bias, activation)| {
        let layer = DepthwiseConv2D::new(kernel).strides(strides).padding(padding);
        Layer::from(layer.use_bias(bias).activation(activation))
    });
    let separable = (1usize..20, size(3), padding(), activation());
    let separable = separable.prop_map(|(filters, kernel, padding, activation)| {
        let layer = SeparableConv2D::new(filters, kernel).padding(padding);
        Layer::from(layer.activation(activation))
    });
    let block =
        (size(3), activation(), any::<bool>()).prop_map(|(kernel, activation, is_nested)| {
            let block = Residual::new().add(activation);
            let depthwise = DepthwiseConv2D::new(kernel).padding(Padding::Same);
            Layer::from(match is_nested {
                true => {
                    block.add(BatchNormalization::default()).add(Residual::new().add(depthwise))
                }
                false => block.add(depthwise).add(Activation::Tanh),
            })
        });
    let layer = prop_oneof![
        4 => convolution,
        2 => depthwise,
        1 => separable,
        2 => block,
        1 => [0..2usize, 0..2].prop_map(|padding| ZeroPadding2D::new(padding).into()),
        3 => pooling,
        2 => Just(BatchNormalization { momentum: 0.6, ..BatchNormalization::default() }.into()),
        2 => activation().prop_map(Layer::from),
        1 => dropout().prop_map(|rate| Dropout::new(rate).into()),
        1 => dropout().prop_map(|rate| SpatialDropout2D::new(rate).into()),
    ];
    prop::collection::vec(layer, 1..8)
}

/// Returns whether there is a BatchNormalization among the layers, or in their blocks.
fn any_normalizes(layers: &[Layer]) -> bool {
    let in_block =
        |layer: &Layer| layer.get().is_some_and(|block: &Residual| any_normalizes(&block.layers));
    layers.iter().any(|layer| layer.is::<BatchNormalization>() || in_block(layer))
}

/// Networks with layers on pictures before the Dense layers.
fn picture_networks() -> impl Strategy<Value = Spec> {
    let shapes = prop::sample::select(vec![[1, 9, 9], [3, 9, 3], [9, 3, 3], [27, 3, 1]]);
    let end = prop::sample::select(vec![
        Layer::from(Flatten),
        GlobalAveragePooling2D.into(),
        GlobalMaxPooling2D.into(),
    ]);
    (shapes, picture_layers(), end, dropout(), 1usize..40, 2usize..12).prop_map(
        |(shape, layers, end, rate, units, classes)| {
            let mut spec = Spec::new([9, 9], vec![Reshape::new(shape).into()]);
            if units % 2 == 0 {
                let numbers = |first: f32| vec![first + units as f32 / 40.0; shape[0]];
                spec.layers.push(Normalization::of_channels(numbers(0.1), numbers(1.0)).into());
            }
            let first = Conv2D::new(5, [2, 1]).activation(Activation::Silu);
            let mut shape = first.output_shape(&shape).unwrap();
            spec.layers.push(first.into());
            for layer in layers {
                if let Ok(output) = layer.kind().output_shape(&shape) {
                    shape = output;
                    spec.layers.push(layer);
                }
            }
            if units % 3 == 0 {
                let same = Conv2D::new(shape[0], 3).padding(Padding::Same);
                spec.layers.push(Residual::new().add(Activation::Relu).add(same).into());
                spec.layers.push(Activation::Relu.into());
            }
            spec.layers.extend([end, Dropout::new(rate).into()]);
            spec.layers.push(Dense::new(units).activation(Activation::Tanh).into());
            spec.layers.push(Dense::new(classes).into());
            spec
        },
    )
}

/// Trainings of networks on pictures. Of few samples: a rounding error decides which of two values that are almost
/// equal is the largest in a window, or on which side of relu's kink one lies.
fn picture_cases() -> impl Strategy<Value = Case> {
    (cases(), picture_networks(), 1usize..14).prop_map(|(case, spec, samples)| {
        let config = FitConfig { batch_size: samples, ..case.config };
        Case { spec, config, samples, ..case }
    })
}

#[test]
fn a_batch_of_one_is_refused_where_a_layer_learns_from_differences() {
    let normalization: Layer = BatchNormalization::default().into();
    let alone = Spec::new([4], vec![normalization.clone(), Dense::new(3).into()]);
    let inside = Residual::new().add(normalization.clone());
    let inside = Spec::new([4], vec![inside.into(), Dense::new(3).into()]);
    let pictures = Spec::new([2, 3, 3], vec![normalization, Flatten.into(), Dense::new(3).into()]);
    let check = |batch_size, spec: &Spec| {
        let config = FitConfig { batch_size, ..FitConfig::default() };
        config.check_for(spec, Device::Cpu).map_err(|error| error.to_string())
    };
    for (spec, layer) in [(&alone, "batch_normalization"), (&inside, "residual")] {
        let rule = "which learns from differences between samples, found 1";
        assert_eq!(
            check(1, spec),
            Err(format!("batch size must be at least 2 for {layer}, {rule}"))
        );
        assert_eq!(check(2, spec), Ok(()));
    }
    assert_eq!(check(1, &pictures), Ok(()));
}

proptest! {
    // The same cases every time: a sum may cancel out.
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::with_cases(48)
    })]

    /// Trains networks on pictures; with SGD's momentum the first step's moments are the gradients.
    #[test]
    fn pictures_train_alike_in_both_engines(case in picture_cases(), adam in any::<bool>()) {
        // What BatchNormalization subtracts nearly cancels out, and all that is left is divided by the deviation.
        let is_normalized = any_normalizes(&case.spec.layers);
        let most = if is_normalized { 1e-4 } else { 1e-5 };
        let sgd = Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() });
        let (sums, (weights, average, [gradients, _])) = train(&case, Choice::Fused, sgd, 1);
        let (other, (other_weights, other_average, [other_gradients, _])) =
            train(&case, Choice::Autograd, sgd, 1);
        prop_assert!((sums.loss - other.loss).abs() <= most * other.loss.abs(), "{sums:?} {other:?}");
        close(&gradients, &other_gradients, most as f32)?;
        close(&weights, &other_weights, most as f32)?;
        close(&average, &other_average, most as f32)?;
        let optimizer = match adam {
            true => Optimizer::Adam(Adam { epsilon: 1e-2, ..Adam::default() }),
            false => sgd,
        };
        let (_, (weights, average, _)) = train(&case, Choice::Fused, optimizer, 5);
        let (_, (other, other_average, _)) = train(&case, Choice::Autograd, optimizer, 5);
        close(&weights, &other, 5.0 * most as f32)?;
        close(&average, &other_average, 5.0 * most as f32)?;
    }

    /// The number of threads changes no bit, and neither does the conversion to tensors and back.
    #[test]
    fn threads_and_snapshots_change_no_bit_of_pictures(case in picture_cases(), more in 0usize..60) {
        let case = Case { samples: case.samples + more, ..case };
        let config = FitConfig { batch_size: case.samples, ..case.config.clone() };
        let case = Case { config, ..case };
        let adam = Optimizer::default();
        let end = train(&case, Choice::Fused, adam, 4);
        for threads in [1, 2, 5] {
            let config = FitConfig { threads: Some(threads), ..case.config.clone() };
            let again = train(&Case { config, ..case.clone() }, Choice::Fused, adam, 4);
            prop_assert!(again == end, "{} threads", threads);
        }
        let mut model =
            Sequential::from_spec(case.spec.clone(), Device::Cpu, case.config.seed + 1).unwrap();
        let length = TrainingLength { steps: 4, epoch_steps: 1 };
        let config = FitConfig { engine: Choice::Fused, ..case.config.clone() };
        let mut step = Step::new(&mut model, &config, length, 1000).unwrap();
        let (weights, average, moments) = end.1.clone();
        let state = State { step: 4, learning_rate: 1e-3, ..State::default() };
        let snapshot = Snapshot { state, weights, average, moments, ..Snapshot::default() };
        step.restore(&snapshot).unwrap();
        prop_assert!(step.tensors().unwrap() == end.1);
    }
}

#[test]
fn the_fused_engine_names_a_layer_on_pictures_that_it_does_not_take() {
    let block = Residual::new().add(Dropout::new(0.5));
    let multiplied = DepthwiseConv2D::new(3).depth_multiplier(2);
    let cases: [(Layer, &str); 3] = [
        (Conv2D::new(4, 3).groups(2).into(), "layer 2 (conv2d_1)"),
        (multiplied.into(), "layer 2 (depthwise_conv2d)"),
        (block.into(), "layer 2 (residual)"),
    ];
    for (layer, named) in cases {
        let first = Conv2D::new(4, 3).into();
        let layers = vec![first, layer, Flatten.into(), Dense::new(3).into()];
        let spec = Spec::new([1, 9, 9], layers);
        let config = FitConfig { engine: Choice::Fused, ..FitConfig::default() };
        let error = config.check_for(&spec, Device::Cpu).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
        let auto = FitConfig::default().engine_for(&spec, Device::Cpu);
        assert_eq!(auto, Choice::Autograd);
    }
}

proptest! {
    // The same cases every time: in about one of a hundred a sum cancels out so far that autograd's
    // rounding error is more than the bound. `cancelling_gradients_match_f64` tests such cases.
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0),
        ..ProptestConfig::with_cases(96)
    })]

    /// After one step SGD's momentum is the gradient itself.
    #[test]
    fn both_engines_have_the_same_loss_and_gradients(mut case in cases()) {
        without_kinks(&mut case, 3000);
        let sgd = Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() });
        let (sums, (weights, average, [gradients, _])) = train(&case, Choice::Fused, sgd, 1);
        let (other, (other_weights, other_average, [other_gradients, _])) =
            train(&case, Choice::Autograd, sgd, 1);
        prop_assert!((sums.loss - other.loss).abs() <= 1e-5 * other.loss.abs(), "{sums:?} {other:?}");
        prop_assert_eq!(sums.samples, other.samples);
        // Two logits that are equal up to rounding may change order.
        prop_assert!((sums.correct - other.correct).abs() <= 1);
        close(&gradients, &other_gradients, 1e-5)?;
        close(&weights, &other_weights, 1e-5)?;
        close(&average, &other_average, 1e-5)?;
    }

    /// Trains with each optimizer over several steps, the last of a smaller batch.
    #[test]
    fn both_engines_reach_the_same_weights(mut case in cases(), which in 0usize..7) {
        without_kinks(&mut case, 0);
        let optimizer = match which {
            0 => Optimizer::Sgd(Sgd { weight_decay: 0.05, ..Sgd::default() }),
            1 => Optimizer::Sgd(Sgd { momentum: 0.9, weight_decay: 0.1, ..Sgd::default() }),
            2 => Optimizer::Sgd(Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() }),
            // An epsilon that keeps the rounding error of a zero gradient from becoming a step.
            3 => Optimizer::Adam(Adam { epsilon: 1e-2, ..Adam::default() }),
            4 => Optimizer::AdamW(AdamW { epsilon: 1e-2, ..AdamW::default() }),
            5 => Optimizer::RmsProp(RmsProp { epsilon: 1e-2, ..RmsProp::default() }),
            _ => {
                let rms = RmsProp { epsilon: 1e-2, momentum: 0.5, ..RmsProp::default() };
                Optimizer::RmsProp(rms)
            }
        };
        let (_, (weights, average, moments)) = train(&case, Choice::Fused, optimizer, 5);
        let (_, (other, other_average, other_moments)) =
            train(&case, Choice::Autograd, optimizer, 5);
        close(&weights, &other, 2e-5)?;
        close(&average, &other_average, 2e-5)?;
        for (own, other) in moments.iter().zip(&other_moments) {
            close(own, other, 1e-3)?;
        }
    }

    /// The number of threads changes no bit, and neither does the conversion to tensors and back.
    #[test]
    fn threads_and_snapshots_change_no_bit(case in cases()) {
        let adam = Optimizer::default();
        let end = train(&case, Choice::Fused, adam, 4);
        for threads in [1, 2, 5] {
            let config = FitConfig { threads: Some(threads), ..case.config.clone() };
            let again = train(&Case { config, ..case.clone() }, Choice::Fused, adam, 4);
            prop_assert!(again == end, "{} threads", threads);
        }
        let mut model =
            Sequential::from_spec(case.spec.clone(), Device::Cpu, case.config.seed + 1).unwrap();
        let length = TrainingLength { steps: 4, epoch_steps: 1 };
        let config = FitConfig { engine: Choice::Fused, ..case.config.clone() };
        let mut step = Step::new(&mut model, &config, length, 1000).unwrap();
        let (weights, average, moments) = end.1.clone();
        let state = State { step: 4, learning_rate: 1e-3, ..State::default() };
        let snapshot = Snapshot { state, weights, average, moments, ..Snapshot::default() };
        step.restore(&snapshot).unwrap();
        prop_assert!(step.tensors().unwrap() == end.1);
    }
}

/// Every loss with each kind of targets that it takes, and the number of classes, labels or numbers.
fn losses_and_targets() -> impl Strategy<Value = (Loss, TargetKind, usize)> {
    let kinds = [TargetKind::Class, TargetKind::Labels, TargetKind::Numbers];
    let all = Loss::all().into_iter().flat_map(move |loss| kinds.map(|kind| (loss.clone(), kind)));
    let taken = all.filter(|(loss, kind)| loss.kind().outputs_for(*kind, 2).is_some());
    (prop::sample::select(taken.collect::<Vec<_>>()), 2usize..7).prop_map(
        |((loss, kind), count)| {
            let count = if loss.kind().outputs_for(kind, count).is_some() { count } else { 2 };
            (loss, kind, count)
        },
    )
}

/// Returns the same samples with random targets of another kind, and weights if asked for.
fn with_targets(dataset: &Dataset, kind: TargetKind, count: usize, weights: bool) -> Dataset {
    use rand::RngExt;
    let mut rng = crate::rng::stream(dataset.len() as u64, Purpose::Init, &[2]);
    let (n, names) = (dataset.len(), (0..count).map(|i| i.to_string()));
    let targets = match kind {
        TargetKind::Class => {
            Targets::classes((0..n).map(|i| (i % count) as u8).collect::<Vec<_>>(), names)
        }
        TargetKind::Labels => {
            let values = (0..n * count).map(|_| rng.random_range(0..2u8));
            Targets::labels(values.collect::<Vec<_>>(), names)
        }
        TargetKind::Numbers => {
            let values = (0..n * count).map(|_| rng.random_range(-3.0..3.0f32));
            Targets::numbers(values.collect::<Vec<_>>(), names)
        }
    };
    let pixels: Vec<u8> = (0..n).flat_map(|i| dataset.image(i)).copied().collect();
    let dataset = Dataset::from_arrays(Features::pixels(pixels, [9, 9]), targets).unwrap();
    match weights {
        false => dataset,
        true => {
            let weights: Vec<f32> = (0..n).map(|_| rng.random_range(0.0..2.0)).collect();
            dataset.with_sample_weights(&weights).unwrap()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0),
        ..ProptestConfig::with_cases(64)
    })]

    /// A random loss on a random network trains in both engines with the same weights, or is refused by name
    /// before the first step.
    #[test]
    fn both_engines_train_every_loss_alike_or_refuse_it(
        mut case in cases(),
        (loss, kind, count) in losses_and_targets(),
        (balanced, weighted, adam) in any::<(bool, bool, bool)>(),
        last in prop::sample::select(vec![
            Activation::Linear, Activation::Linear, Activation::Linear, Activation::Softmax,
            Activation::Sigmoid, Activation::Tanh,
        ]),
    ) {
        without_kinks(&mut case, 0);
        let outputs = loss.kind().outputs_for(kind, count).unwrap();
        case.spec.layers.pop();
        case.spec.layers.push(Dense::new(outputs).activation(last).into());
        let smooths = loss.kind().smoothed(0.1).is_some();
        let label_smoothing = if smooths { case.config.label_smoothing } else { 0.0 };
        let class_weights = (balanced && kind.is_class()).then_some(ClassWeights::Balanced);
        case.config =
            FitConfig { loss: loss.clone(), label_smoothing, class_weights, ..case.config };
        case.config.check().unwrap();
        let refused = |engine| {
            let config = FitConfig { engine, ..case.config.clone() };
            let by_engine = config.check_for(&case.spec, Device::Cpu).map_err(|e| e.to_string());
            by_engine.and(loss.check(&case.spec, kind, count).map_err(|e| e.to_string())).err()
        };
        if let Some(error) = refused(Choice::Autograd).or(refused(Choice::Fused)) {
            prop_assert!(last != Activation::Linear, "{}", error);
            let named = error.starts_with("engine must be auto or autograd")
                || error.starts_with(&format!("the loss {} takes", loss.name()));
            prop_assert!(named, "{}", error);
            return Ok(());
        }
        let dataset = with_targets(&samples(case.samples, 2, case.config.seed), kind, count, weighted);
        let optimizer = match adam {
            true => Optimizer::Adam(Adam { epsilon: 1e-2, ..Adam::default() }),
            false => Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() }),
        };
        let train = |engine| train_on(&dataset, &case, engine, optimizer, 5);
        let (sums, (weights, average, _)) = train(Choice::Fused);
        let (other, (other_weights, other_average, _)) = train(Choice::Autograd);
        prop_assert!((sums.loss - other.loss).abs() <= 1e-5 * other.loss.abs(), "{sums:?} {other:?}");
        close(&weights, &other_weights, 1e-5)?;
        close(&average, &other_average, 1e-5)?;
    }
}

/// The gradient of the last bias, Σ (p − target) / n, where its parts nearly cancel out: the fused engine
/// has it within 1e-6 of f64's, and autograd's f32 misses it by up to 3e-8 in all.
#[test]
fn cancelling_gradients_match_f64() {
    let layers = vec![
        Flatten.into(),
        Dense::new(16).activation(Activation::Relu).into(),
        Dense::new(57).into(),
        Dense::new(82).activation(Activation::Silu).into(),
        Dense::new(2).into(),
    ];
    let spec = Spec::new([9, 9], layers);
    let (n, label_smoothing) = (434, 0.12090116359938831);
    let double = (tch::Kind::Double, Device::Cpu);
    for seed in 100..125 {
        let config = FitConfig { label_smoothing, seed, batch_size: n, ..FitConfig::default() };
        let case = Case { spec: spec.clone(), config, samples: n, floats: false };
        let sgd = Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() });
        let (_, (_, _, [gradients, _])) = train(&case, Choice::Fused, sgd, 1);

        let dataset = samples(n, 2, seed);
        let pixels: Vec<f32> =
            (0..n).flat_map(|i| dataset.image(i)).map(|&p| f32::from(p) / 255.0).collect();
        let labels: Vec<i64> = (0..n).map(|i| i64::from(dataset.label(i))).collect();
        let target = tch::Tensor::zeros([n as i64, 2], double).scatter_value(
            1,
            &tch::Tensor::from_slice(&labels).unsqueeze(1),
            1.0,
        );
        let target = target * (1.0 - label_smoothing) + label_smoothing / 2.0;
        let model = Sequential::from_spec(spec.clone(), Device::Cpu, seed).unwrap();
        let in_f64 = |tensor: &tch::Tensor| tensor.to_kind(tch::Kind::Double);
        let parameters: Vec<_> = model.parameters().map(|(_, tensor)| in_f64(tensor)).collect();
        let mut x = in_f64(&tch::Tensor::from_slice(&pixels)).reshape([n as i64, 81]);
        for (layer, pair) in parameters.chunks(2).enumerate() {
            x = x.linear(&pair[0], Some(&pair[1]));
            x = match layer {
                0 => x.relu(),
                2 => x.silu(),
                _ => x,
            };
        }
        let parts = (x.softmax(-1, tch::Kind::Double) - target) / n as f64;
        let exact = parts.sum_dim_intlist([0i64].as_slice(), false, tch::Kind::Double);
        let last = gradients.iter().rfind(|(name, _)| name.ends_with("bias")).unwrap().1;
        for (class, &found) in (0..).zip(last.values.iter()) {
            let exact = exact.double_value(&[class]);
            let most = 1e-6 * exact.abs() + 2e-9;
            assert!((f64::from(found) - exact).abs() < most, "{seed}: {found} for {exact}");
        }
    }
}

/// Without recording: groups, single steps and smaller batches, and reads in between, give what autograd
/// gives.
#[test]
fn deferred_steps_match_autograd() {
    let layers = vec![
        Dropout::new(0.2).into(),
        Flatten.into(),
        Dense::new(12).activation(Activation::Relu).into(),
        Dropout::new(0.0).into(),
        Dropout::new(0.4).into(),
        Dense::new(3).into(),
    ];
    let spec = Spec::new([9, 9], layers);
    let optimizers = [
        Optimizer::default(),
        Optimizer::AdamW(AdamW::default()),
        Optimizer::Sgd(Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() }),
        Optimizer::RmsProp(RmsProp { momentum: 0.5, ..RmsProp::default() }),
    ];
    let plain = samples(302, 3, 5);
    let numbers = with_targets(&plain, TargetKind::Numbers, 3, true);
    let huber = Loss::Huber(Default::default());
    let cases = optimizers.map(|optimizer| (optimizer, Loss::Sparse, &plain));
    // 76 steps per epoch: two full groups, some steps, and two samples.
    let length = TrainingLength { steps: 152, epoch_steps: 76 };
    for (optimizer, loss, dataset) in
        cases.into_iter().chain([(Optimizer::default(), huber, &numbers)])
    {
        let train = |engine| {
            let is_class = dataset.target_kind().is_class();
            let config = FitConfig {
                engine,
                optimizer,
                loss: loss.clone(),
                batch_size: 4,
                ema: Some(0.9),
                clip_norm: Some(1.0),
                label_smoothing: if is_class { 0.1 } else { 0.0 },
                class_weights: is_class.then_some(ClassWeights::Balanced),
                schedule: Schedule::Cosine { warm_up: 0.1, end: 0.0 },
                seed: 7,
                ..FitConfig::default()
            };
            let mut model = Sequential::from_spec(spec.clone(), Device::Cpu, 1).unwrap();
            let loader = Rc::new(DataLoader::resident(dataset, Device::Cpu).unwrap());
            let order: Vec<u32> = (0..302).rev().collect();
            let objective = Objective::new(&config, dataset, 3).unwrap();
            let mut step =
                Step::shared_by(&SingleProcess, &mut model, &config, objective, length, 302)
                    .unwrap();
            let mut seen = Vec::new();
            let mut kept = None;
            for epoch in 1..=2 {
                let resident = ResidentEpoch::new(&loader, &order, epoch).unwrap().unwrap();
                for start in (0..302).step_by(4) {
                    let count = 4.min(302 - start);
                    let input = match step.input_kind() {
                        InputKind::Resident => Input::Resident(Rc::clone(&resident), start, count),
                        _ => Input::Batch(resident.batch(start, count).unwrap()),
                    };
                    step.run(&input).unwrap();
                    if [40, 160, 164].contains(&start) {
                        seen.push(step.sums().unwrap());
                    }
                }
                seen.push(step.sums().unwrap());
                step.swap_ema_weights().unwrap();
                let averaged = step.model().unwrap().weights().unwrap();
                step.swap_ema_weights().unwrap();
                let (weights, average, moments) = step.tensors().unwrap();
                assert_eq!(averaged, average);
                let state = State { step: step.steps(), learning_rate: 0.01, ..State::default() };
                let snapshot = Snapshot { state, weights, average, moments, ..Snapshot::default() };
                kept = Some(snapshot);
                // From here on with another learning rate, and other tensors.
                step.restore(kept.as_ref().unwrap()).unwrap();
                step.set_sums(Sums::default()).unwrap();
            }
            (seen, kept.unwrap())
        };
        assert!(train(Choice::Graph) == train(Choice::Autograd), "{optimizer:?}");
    }
}

#[test]
fn auto_takes_the_fused_engine_where_it_can() {
    let engine = |layers: Vec<crate::layers::Layer>| {
        let spec = Spec::new([4], layers);
        let mut model = Sequential::from_spec(spec, Device::Cpu, 0).unwrap();
        let length = TrainingLength { steps: 1, epoch_steps: 1 };
        let step = Step::new(&mut model, &FitConfig::default(), length, 1000).unwrap();
        step.input_kind() == InputKind::Chosen
    };
    assert!(engine(vec![Dense::new(3).into()]));
    assert!(engine(vec![Dense::new(3).into(), Dropout::new(0.5).into(), Dense::new(2).into()]));
    // Two Dropout layers in a row; and layers that change the logits themselves.
    let twice = [Dropout::new(0.5), Dropout::new(0.2)].map(Into::into);
    let layers = [&[Dense::new(3).into()], &twice[..], &[Dense::new(2).into()]].concat();
    assert!(!engine(layers));
    assert!(!engine(vec![Dense::new(3).activation(Activation::Tanh).into()]));
    assert!(!engine(vec![Dense::new(3).into(), Dropout::new(0.5).into()]));
}

/// Soft targets, as in PyTorch's `cross_entropy` with probabilities: the gradient of one layer is Xᵀ (p − t) / n, with
/// t = w · one_hot(target) + (1 − w) · one_hot(other).
#[test]
fn gradients_of_mixed_samples_are_those_of_soft_targets() {
    let (n, classes, epoch) = (40, 3, 1);
    let spec = Spec::new([9, 9], vec![Flatten.into(), Dense::new(classes).into()]);
    let augment = Augment { mixup: 1.0, cutmix: 1.0, ..Augment::OFF };
    let config = FitConfig { augment, seed: 3, batch_size: n, ..FitConfig::default() };
    let case = Case { spec, config, samples: n, floats: false };
    let dataset = samples(n, classes, 3);
    let loader = DataLoader::new(&dataset, Device::Cpu).unwrap().augmented(augment, 3, 1).unwrap();
    let order: Vec<u32> = (0..n as u32).rev().collect();
    let host = loader.on_host(epoch).unwrap();
    let mut soft = vec![0f64; n * classes];
    for (row, &sample) in soft.chunks_exact_mut(classes).zip(&order) {
        let parts = host.parts(sample);
        assert!(parts[0].1 >= parts[1].1 && (parts[0].1 + parts[1].1 - 1.0).abs() < 1e-6);
        for (place, part) in parts {
            row[usize::from(dataset.label(place as usize))] += f64::from(part);
        }
    }
    assert!(soft.iter().filter(|&&part| part > 0.0 && part < 1.0).count() > n / 2);
    let batch = loader.training_batches(&order, std::iter::once(0..n), epoch, 0).unwrap().next();
    let x = batch.unwrap().unwrap().inputs.reshape([n as i64, 81]).to_kind(tch::Kind::Double);
    let model = Sequential::from_spec(case.spec.clone(), Device::Cpu, 3).unwrap();
    let parameters: Vec<_> =
        model.parameters().map(|(_, tensor)| tensor.to_kind(tch::Kind::Double)).collect();
    let logits = x.linear(&parameters[0], Some(&parameters[1]));
    let soft = tch::Tensor::from_slice(&soft).reshape([n as i64, classes as i64]);
    let loss = -(logits.log_softmax(-1, tch::Kind::Double) * &soft).sum(tch::Kind::Double);
    let errors = (logits.softmax(-1, tch::Kind::Double) - &soft) / n as f64;
    let weights = errors.transpose(0, 1).matmul(&x).flatten(0, -1);
    let expected = Vec::<f64>::try_from(weights).unwrap();
    let sgd = Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() });
    for engine in [Choice::Fused, Choice::Autograd] {
        let (sums, (_, _, [gradients, _])) = train(&case, engine, sgd, 1);
        assert!((sums.loss - loss.double_value(&[])).abs() < 1e-4, "{sums:?}");
        let (_, found) = gradients.iter().find(|(name, _)| name.ends_with("weight")).unwrap();
        for (found, expected) in found.values.iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} for {expected}");
        }
    }
}

#[test]
fn mixing_names_what_does_not_take_it() {
    let spec = Spec::new([9, 9], vec![Flatten.into(), Dense::new(3).into()]);
    let augment = Augment { cutmix: 1.0, ..Augment::OFF };
    let config = FitConfig { engine: Choice::Graph, augment, ..FitConfig::default() };
    let error = config.check_for(&spec, Device::Cuda(0)).unwrap_err().to_string();
    assert!(error.contains("autograd with augment mixup or cutmix"), "{error}");
    let auto = FitConfig { engine: Choice::Auto, ..config };
    assert_eq!(auto.engine_for(&spec, Device::Cuda(0)), Choice::Autograd);
    assert_eq!(auto.engine_for(&spec, Device::Cpu), Choice::Fused);
}
