//! Tests that random networks come back from every format with the same outputs, or are refused by name.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use seqfit::export::{self, Card, Format, Options, npy};
use seqfit::import::{ImportOptions, Imported};
use seqfit::layers::Layer;
use seqfit::{Activation, Device, OutputActivation, Sequential, Spec, TargetScaling, data};
use tch::{Kind, Tensor};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

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

/// Returns a file without its card, if its graph says the network.
fn without_its_card(format: Format, bytes: &[u8]) -> Option<Vec<u8>> {
    match format {
        Format::Onnx => Some(without_card(bytes)),
        Format::Pt2 => Some(without_record(bytes, "extra/seqfit.json")),
        _ => None,
    }
}

/// Removes a record from a zip archive.
fn without_record(bytes: &[u8], end: &str) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut kept = ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..archive.len() {
        let mut record = archive.by_index(i).unwrap();
        let name = record.name().unwrap().into_owned();
        if !name.ends_with(end) {
            let mut content = Vec::new();
            record.read_to_end(&mut content).unwrap();
            let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            kept.start_file(name, stored).unwrap();
            kept.write_all(&content).unwrap();
        }
    }
    kept.finish().unwrap().into_inner()
}

/// Checks that a network comes back from a file, by its card with equal weights and by its graph with equal outputs
/// for `x`. Returns whether it has a graph that is read.
fn check_file(
    model: &Sequential,
    format: Format,
    options: Options,
    bytes: Vec<u8>,
    x: &Tensor,
    title: &str,
) -> bool {
    let stored = stored(model, options);
    let mut is_read = false;
    if let Some(bare) = without_its_card(format, &bytes) {
        let expected = file_outputs(&stored, x, options);
        match Imported::from_bytes(bare).unwrap().network(&ImportOptions::default()) {
            Ok(network) => {
                let mut own = Sequential::from_spec(network.spec.clone(), Device::Cpu, 1).unwrap();
                own.set_weights(&network.weights).unwrap();
                let sigmoid = network.spec.output == OutputActivation::Sigmoid;
                let all = Options { preprocessing: sigmoid, ..options };
                let apart = difference(&file_outputs(&own, x, all), &expected);
                let spec = &network.spec;
                assert!(apart <= TOLERANCE, "{title}, by its graph: {apart:e} {spec:?}");
                is_read = true;
            }
            // Operators that are parts of a layer are refused by name: RMS normalization is written with several, and
            // `.pt2` programs convert pixels and weights of f16, and pad pictures, by others.
            Err(error) => {
                let text = serde_json::to_string(model.spec()).unwrap();
                let of_pt2 = options.preprocessing || options.half || text.contains("2d\"");
                let refused = text.contains("rms_normalization") || format == Format::Pt2 && of_pt2;
                let error = error.to_string();
                let named = refused && error.contains("its graph is not a network");
                assert!(named, "{title}, by its graph: {error}");
            }
        }
    }
    let network = Imported::from_bytes(bytes).unwrap().network(&ImportOptions::default());
    let network = network.unwrap_or_else(|error| panic!("{title}: {error}"));
    // The same layers with the same bits of weights, and so the same outputs.
    assert_eq!(&network.spec, stored.spec(), "{title}");
    assert_eq!(network.weights, stored.weights().unwrap(), "{title}");
    is_read
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
            by_graph += i32::from(check_file(&model, format, options, bytes, &x, &title));
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

/// Networks of every layer and output, on all test images of MNIST: each file is imported again, and those of the
/// first network are run by PyTorch, onnxruntime and Keras.
#[test]
fn networks_of_every_kind_give_equal_outputs_on_all_of_mnist() {
    let Some(mnist) = common::mnist() else { return };
    let (_, test) = data::load_dir(&mnist).unwrap();
    let pixels: Vec<u8> = (0..test.len()).flat_map(|i| test.image(i)).copied().collect();
    let x = (Tensor::from_slice(&pixels).to_kind(Kind::Float) / 255.0).reshape([-1, 28, 28]);
    let names = Layer::TYPES.iter().copied().chain(Activation::ALL.map(Activation::name));
    let mut missing: Vec<String> = names.map(|name| format!(":{name:?}")).collect();
    missing.extend(["linear", "sigmoid"].map(|name| format!("\"output\":{name:?}")));
    let home = tempfile::tempdir().unwrap();
    let (mut networks, mut files, mut titles) = (0, Vec::new(), Vec::new());
    for seed in 2000.. {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let model = network(&mut rng, &[28, 28], 10);
        let text = serde_json::to_string(model.spec()).unwrap();
        let found = |part: &String| text.contains(part.as_str());
        // Only networks that have what those before them lack.
        if missing.is_empty() {
            break;
        }
        if !missing.iter().any(found) || model.summary().parameters() > 100_000 {
            continue;
        }
        let card = Card::new(model.spec(), test.classes());
        let title = |format: Format| format!("seed {seed}, {}, {:?}", format.name(), model.spec());
        let encoded = Format::ALL
            .iter()
            .map(|&format| (format, export::encode(&model, format, &card, Options::default())));
        let encoded: Vec<_> = encoded.collect();
        // The scaling of targets needs a linear layer at the end.
        if encoded.iter().any(|(_, bytes)| bytes.is_err()) {
            continue;
        }
        networks += 1;
        missing.retain(|part| !found(part));
        for (format, bytes) in encoded {
            let (bytes, title) = (bytes.unwrap(), title(format));
            if networks == 1 {
                let file = home.path().join(format!("{}{}", titles.len(), format.ending()));
                fs::write(&file, &bytes).unwrap();
                let path = file.display().to_string();
                let snippet = export::python(format, &card, Options::default(), &path).unwrap();
                let expected = home.path().join(format!("{}.npy", titles.len()));
                let outputs =
                    file_outputs(&stored(&model, Options::default()), &x, Options::default());
                npy::save(&outputs, &expected).unwrap();
                files.push(Case { snippet, file, expected });
                titles.push(title.clone());
            }
            check_file(&model, format, Options::default(), bytes, &x, &title);
        }
    }
    println!("{networks} networks on {} images", test.len());
    let Some(python) = python() else { return };
    for (outcome, title) in outcomes(&python, &mnist, &files).iter().zip(titles) {
        assert!(outcome.relative <= TOLERANCE, "{title}: {outcome:?}");
    }
}
