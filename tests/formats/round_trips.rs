//! Tests that random networks come back from every format with the same outputs, or are refused by name.

use std::fs;
use std::sync::Arc;

use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use seqfit::export::{self, Card, Format, Options, npy};
use seqfit::import::{ImportOptions, Imported};
use seqfit::layers::Layer;
use seqfit::{Activation, Device, OutputActivation, Sequential, Spec, TargetScaling, data};
use tch::{Kind, Tensor};

use crate::common;
use crate::common::random_network::{self, cases};
use crate::common::run_exports::{Case, OPTIONS, able, outcomes, python, rounded};

/// Largest difference, relative to the sample's largest output or to 1.
const TOLERANCE: f64 = 1e-5;

/// Returns a random network with random weights, and what its predictions are.
fn network(rng: &mut impl Rng, input: &[usize], outputs: usize) -> Sequential {
    // A single output is no probability of classes that exclude each other.
    let (last, output) = match rng.random_range(0..if outputs == 1 { 3 } else { 5 }) {
        3 => (Activation::Softmax, OutputActivation::Softmax),
        1 => (Activation::Linear, OutputActivation::Sigmoid),
        2 => (Activation::Linear, OutputActivation::Linear),
        0 => (random_network::activation(rng), OutputActivation::Linear),
        _ => (Activation::Linear, OutputActivation::Softmax),
    };
    let mut spec = random_network::spec(rng, input, outputs, last);
    spec.output = output;
    if output == OutputActivation::Linear && rng.random_bool(0.5) {
        spec.target_scaling = Some(TargetScaling {
            offset: (0..outputs).map(|_| rng.random_range(-50.0..50.0)).collect(),
            scale: (0..outputs).map(|_| rng.random_range(0.1..20.0)).collect(),
        });
    }
    let mut model = Sequential::from_spec(spec, Device::Cpu, 0).unwrap();
    random_network::randomize(&mut model, rng);
    model
}

fn input_shape(rng: &mut impl Rng) -> Vec<usize> {
    let axes = rng.random_range(1..4);
    (0..axes).map(|_| rng.random_range(1..6)).collect()
}

/// Returns what a file of a network computes: without preprocessing a missing softmax or sigmoid is left to its reader.
fn file_outputs(model: &Sequential, x: &Tensor, options: Options) -> Tensor {
    let spec = model.spec();
    let complete =
        options.preprocessing || spec.ends_in_softmax() || spec.output == OutputActivation::Linear;
    if complete { model.predict(x).unwrap() } else { model.logits(x).unwrap() }
}

/// Returns the largest difference, relative to the sample's largest output or to 1.
fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let size = expected.abs().amax([1i64].as_slice(), true).clamp_min(1.0);
    let all = (found - expected).abs() / size;
    if bool::try_from(all.isnan().any()).unwrap() { f64::NAN } else { all.max().double_value(&[]) }
}

/// Returns the network that a file holds: the scaling of its targets is part of the last layer, and its weights are
/// rounded.
fn stored(model: &Sequential, options: Options) -> Sequential {
    let Some(scaling) = &model.spec().target_scaling else { return rounded(model, options) };
    let spec = Spec { target_scaling: None, ..model.spec().clone() };
    let names: Vec<String> = model.parameters().map(|(name, _)| name.to_owned()).collect();
    let mut weights = model.weights().unwrap();
    let [.., weight, bias] = &names[..] else { panic!("a Dense layer at the end") };
    let mut change = |name: &String, change: &dyn Fn(usize, f32) -> f32| {
        let tensor = weights.get_mut(name).unwrap();
        let width = tensor.shape.get(1).copied().unwrap_or(1);
        let values = tensor.values.iter().enumerate().map(|(i, &value)| change(i / width, value));
        tensor.values = Arc::new(values.collect());
    };
    change(weight, &|row, value| value * scaling.scale[row]);
    change(bias, &|row, value| value * scaling.scale[row] + scaling.offset[row]);
    let mut folded = Sequential::from_spec(spec, Device::Cpu, 0).unwrap();
    folded.set_weights(&weights).unwrap();
    rounded(&folded, options)
}

/// Removes the card from an ONNX file: field 14 of the model.
fn without_card(bytes: &[u8]) -> Vec<u8> {
    let number = |at: &mut usize| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    };
    let (mut at, mut kept) = (0, Vec::new());
    while at < bytes.len() {
        let start = at;
        let tag = number(&mut at);
        let length = number(&mut at);
        if tag % 8 == 2 {
            at += length as usize;
        }
        if tag / 8 != 14 {
            kept.extend_from_slice(&bytes[start..at]);
        }
    }
    kept
}

#[test]
fn random_networks_come_back_from_every_format() {
    let (mut taken, mut by_graph, mut refused) = (0, 0, Vec::new());
    let mut missing: Vec<&str> = Layer::TYPES.to_vec();
    missing.extend(Activation::ALL.map(Activation::name));
    for seed in 0..cases(120) {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let (shape, outputs) = (input_shape(&mut rng), rng.random_range(1..5));
        let model = network(&mut rng, &shape, outputs);
        let text = serde_json::to_string(model.spec()).unwrap();
        missing.retain(|name| !text.contains(&format!(":{name:?}")));
        let classes: Vec<String> = (0..outputs).map(|i| i.to_string()).collect();
        let card = Card::new(model.spec(), &classes);
        let sizes: Vec<i64> = [64].into_iter().chain(shape.iter().map(|&n| n as i64)).collect();
        tch::manual_seed(seed as i64);
        let x = Tensor::rand(&sizes, (Kind::Float, Device::Cpu));
        for (format, options) in
            Format::ALL.iter().flat_map(|&format| OPTIONS.map(|options| (format, options)))
        {
            if !able(format, options) {
                continue;
            }
            let title = format!("seed {seed}, {} {options:?}, {:?}", format.name(), model.spec());
            let bytes = match export::encode(&model, format, &card, options) {
                Ok(bytes) => bytes,
                // The scaling is made part of a linear Dense layer at the end.
                Err(error) => {
                    assert!(error.to_string().contains("linear Dense layer"), "{title}: {error}");
                    assert!(model.spec().target_scaling.is_some(), "{title}");
                    refused.push(seed);
                    continue;
                }
            };
            let stored = stored(&model, options);
            if format == Format::Onnx {
                let expected = file_outputs(&stored, &x, options);
                match Imported::from_bytes(without_card(&bytes))
                    .unwrap()
                    .network(&ImportOptions::default())
                {
                    Ok(network) => {
                        let mut own =
                            Sequential::from_spec(network.spec.clone(), Device::Cpu, 1).unwrap();
                        own.set_weights(&network.weights).unwrap();
                        let sigmoid = network.spec.output == OutputActivation::Sigmoid;
                        let all = Options { preprocessing: sigmoid, ..options };
                        let apart = difference(&file_outputs(&own, &x, all), &expected);
                        assert!(
                            apart <= TOLERANCE,
                            "{title}, by its graph: {apart:e} {:?}",
                            network.spec
                        );
                        by_graph += 1;
                    }
                    // ONNX has no operator for it before opset 23: its nodes are refused by name.
                    Err(error) => {
                        let named = text.contains("rms_normalization")
                            && error.to_string().contains("its graph is not a network");
                        assert!(named, "{title}, by its graph: {error}");
                    }
                }
            }
            let network = Imported::from_bytes(bytes).unwrap().network(&ImportOptions::default());
            let network = network.unwrap_or_else(|error| panic!("{title}: {error}"));
            let mut back = Sequential::from_spec(network.spec.clone(), Device::Cpu, 1).unwrap();
            back.set_weights(&network.weights).unwrap();
            let apart = difference(&back.predict(&x).unwrap(), &stored.predict(&x).unwrap());
            assert!(apart <= TOLERANCE, "{title}: {apart:e}");
            assert_eq!(&network.spec, stored.spec(), "{title}");
            assert_eq!(network.weights, stored.weights().unwrap(), "{title}");
            taken += 1;
        }
    }
    println!(
        "{taken} files came back, {by_graph} also by their graphs; not exported: {}",
        refused.len()
    );
    assert!(taken > refused.len());
    assert!(missing.is_empty(), "no network of tests/common/random_network.rs has {missing:?}");
}

/// PyTorch, Keras and onnxruntime compute the outputs of random networks.
#[test]
fn random_networks_have_equal_outputs_in_other_programs() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    let stripes = home.path().join("stripes");
    common::write_stripes(&stripes, 6, 5, 3);
    let (_, test) = data::load_dir(&stripes).unwrap();
    let pixels: Vec<u8> = (0..test.len()).flat_map(|i| test.image(i)).copied().collect();
    let x = Tensor::from_slice(&pixels).to_kind(Kind::Float) / 255.0;
    let x = x.reshape([-1, 6, 5]);
    let (mut files, mut titles) = (Vec::new(), Vec::new());
    for seed in 0..cases(10).min(40) {
        let mut rng = Pcg64Mcg::seed_from_u64(1000 + seed);
        let model = network(&mut rng, &[6, 5], 3);
        let card = Card::new(model.spec(), test.classes());
        for &format in Format::ALL {
            let options = OPTIONS[rng.random_range(0..OPTIONS.len())];
            if !able(format, options) {
                continue;
            }
            let title = format!("seed {seed}, {} {options:?}, {:?}", format.name(), model.spec());
            let file = home.path().join(format!("{}{}", titles.len(), format.ending()));
            let Ok(bytes) = export::encode(&model, format, &card, options) else {
                assert!(model.spec().target_scaling.is_some(), "{title}");
                continue;
            };
            fs::write(&file, bytes).unwrap();
            let snippet = export::python(format, &card, options, &file.display().to_string());
            let expected = home.path().join(format!("{}.npy", titles.len()));
            npy::save(&file_outputs(&stored(&model, options), &x, options), &expected).unwrap();
            files.push(Case { snippet: snippet.unwrap(), file, expected });
            titles.push(title);
        }
    }
    for (outcome, title) in outcomes(&python, &stripes, &files).iter().zip(titles) {
        assert!(outcome.relative <= TOLERANCE, "{title}: {outcome:?}");
    }
}
