//! Tests that a network gives the same run whichever format it is imported from, and that `--task` says what it predicts.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use seqfit::data::{FeatureKind, TargetKind};
use seqfit::export::{self, Card, Format, Options};
use seqfit::import::{ImportOptions, Imported, Network};
use seqfit::run::Run;
use seqfit::{Activation, Device, OutputActivation, Sequential};
use serde_json::Value;
use tch::Tensor;

use crate::common::python::run_script;
use crate::common::{self, run, seqfit, succeed};

/// Largest difference from the outputs of PyTorch and Keras.
const TOLERANCE: f64 = 1e-5;
const FORMATS: [&str; 7] = ["pt2", "onnx", "pt", "keras", "h5", "state.pt", "safetensors"];

/// Returns a folder with the files of tests/fixtures/make_ends.py, which are written once; none without Keras and
/// onnxruntime.
fn files() -> Option<&'static Path> {
    static HOME: OnceLock<tempfile::TempDir> = OnceLock::new();
    let python = common::run_exports::python()?;
    let home = HOME.get_or_init(|| {
        let home = tempfile::tempdir().unwrap();
        let output = run_script(&python, "tests/fixtures/make_ends.py", [home.path()], "");
        assert_eq!(output.code, 0, "{output:#?}");
        home
    });
    Some(home.path())
}

fn import(path: &Path, options: &ImportOptions) -> Result<Network, String> {
    let imported = Imported::open(path).map_err(|error| error.to_string())?;
    imported.network(options).map_err(|error| error.to_string())
}

fn model_of(network: &Network) -> Sequential {
    let mut model = Sequential::from_spec(network.spec.clone(), Device::Cpu, 0).unwrap();
    model.set_weights(&network.weights).unwrap();
    model
}

fn apart(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let apart = (found - expected).abs().max().double_value(&[]);
    if apart.is_nan() { f64::INFINITY } else { apart }
}

#[test]
fn every_format_gives_the_same_network_and_the_same_exports() {
    let Some(home) = files() else { return };
    let read = |name: &str| Tensor::read_npy(home.join(name)).unwrap();
    let x = read("x.npy");
    for (end, output, last, targets) in [
        ("number", OutputActivation::Linear, Activation::Linear, TargetKind::Numbers),
        ("numbers", OutputActivation::Softmax, Activation::Linear, TargetKind::Class),
        ("sigmoid", OutputActivation::Sigmoid, Activation::Linear, TargetKind::Labels),
        ("sigmoids", OutputActivation::Sigmoid, Activation::Linear, TargetKind::Labels),
        ("softmax", OutputActivation::Softmax, Activation::Softmax, TargetKind::Class),
    ] {
        let expected = read(&format!("{end}.npy"));
        let mut exports: Vec<Vec<Vec<u8>>> = Vec::new();
        let formats = FORMATS.iter().map(|format| home.join(format!("{end}.{format}")));
        let present: Vec<_> = formats.filter(|path| path.is_file()).collect();
        assert_eq!(
            present.len(),
            if last == Activation::Linear && output != OutputActivation::Sigmoid { 7 } else { 5 }
        );
        for path in present {
            let title = path.display();
            let network = import(&path, &ImportOptions::default()).unwrap();
            let found = (network.spec.output, network.spec.last_activation());
            assert_eq!(found, (output, last), "{title}");
            assert_eq!(network.features, FeatureKind::Floats, "{title}");
            let model = model_of(&network);
            // Classes are recognized by outputs before the softmax.
            let computed = match end {
                "numbers" => model.logits(&x).unwrap(),
                _ => model.predict(&x).unwrap(),
            };
            let apart = apart(&computed, &expected);
            assert!(apart < TOLERANCE, "{title}: {apart:e}");
            let card = Card::new(&network.spec, &network.classes);
            let preprocessing = Options { preprocessing: true, ..Options::default() };
            let encoded = [Format::TorchScript, Format::Pt2, Format::Onnx].map(|format| {
                [Options::default(), preprocessing]
                    .map(|options| export::encode(&model, format, &card, options).unwrap())
            });
            let encoded: Vec<Vec<u8>> = encoded.into_iter().flatten().collect();
            // From names and shapes alone a Flatten is before the layers.
            if !title.to_string().ends_with(".state.pt")
                && !title.to_string().ends_with(".safetensors")
            {
                exports.push(encoded);
            }
            let names = network.classes.len();
            let is_numbers = network.spec.output == OutputActivation::Linear;
            assert_eq!(is_numbers, targets == TargetKind::Numbers, "{title}");
            assert_eq!(names, expected.size()[1] as usize, "{title}");
        }
        for (i, other) in exports.iter().enumerate().skip(1) {
            assert!(exports[0] == *other, "{end}: the exports of import {i} differ");
        }
    }
}

/// Imports a file with a task by the program, and returns the difference of `predict` from the file's outputs.
fn predicted(home: &Path, file: &str, options: &[&str], expected: &Tensor) -> f64 {
    succeed(seqfit(home).args(["import", file, "--out", "run", "--force"]).args(options));
    let output = succeed(seqfit(home).args(["predict", "run", "x.npy", "--json"]));
    let lines: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [rows, width] = expected.size()[..] else { panic!("a matrix") };
    assert_eq!(lines.len() as i64, rows);
    let found = lines.iter().flat_map(|line| {
        let by_name = ["values", "probabilities"].into_iter().find_map(|key| line[key].as_object());
        let by_name: Vec<(String, f64)> = match by_name {
            Some(object) => object.iter().map(|(k, v)| (k.clone(), v.as_f64().unwrap())).collect(),
            // The most probable class comes first.
            None => {
                let class = |entry: &Value| {
                    let name = entry["class"].as_str().unwrap().to_owned();
                    (name, entry["probability"].as_f64().unwrap())
                };
                line["top"].as_array().unwrap().iter().map(class).collect()
            }
        };
        let mut by_name = by_name;
        by_name.sort_by(|a, b| a.0.cmp(&b.0));
        // Of two classes with one output the second has its probability.
        by_name[by_name.len() - width as usize..]
            .iter()
            .map(|(_, value)| *value as f32)
            .collect::<Vec<_>>()
    });
    apart(&Tensor::from_slice(&found.collect::<Vec<f32>>()).reshape([rows, width]), expected)
}

#[test]
fn a_task_gives_the_outputs_of_the_source_in_every_format() {
    let Some(home) = files() else { return };
    let read = |name: &str| Tensor::read_npy(home.join(name)).unwrap();
    let x = read("x.npy");
    for (end, task, is_logit) in [
        ("number", TargetKind::Numbers, false),
        ("numbers", TargetKind::Numbers, false),
        ("sigmoid", TargetKind::Class, false),
        ("sigmoid", TargetKind::Labels, false),
        // What its sigmoid gives is then the number.
        ("sigmoids", TargetKind::Numbers, false),
        ("sigmoids", TargetKind::Labels, false),
        ("softmax", TargetKind::Class, false),
        ("number", TargetKind::Class, true),
        ("numbers", TargetKind::Labels, true),
    ] {
        let expected = read(&format!("{end}.npy"));
        let expected = if is_logit { expected.sigmoid() } else { expected };
        let files = FORMATS.iter().map(|format| home.join(format!("{end}.{format}")));
        for path in files.filter(|path| path.is_file()) {
            let options = ImportOptions { task: Some(task), ..ImportOptions::default() };
            let network = import(&path, &options).unwrap();
            let apart = apart(&model_of(&network).predict(&x).unwrap(), &expected);
            assert!(apart < TOLERANCE, "{} {task}: {apart:e}", path.display());
            let names = if (end, task) == ("sigmoid", TargetKind::Class)
                || (end, task) == ("number", TargetKind::Class)
            {
                2
            } else {
                expected.size()[1] as usize
            };
            assert_eq!(network.classes.len(), names, "{} {task}", path.display());
        }
    }
}

#[test]
fn an_imported_network_of_numbers_predicts_rows_as_its_source_does() {
    let Some(files) = files() else { return };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for entry in fs::read_dir(files).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, home.join(path.file_name().unwrap())).unwrap();
    }
    let read = |name: &str| Tensor::read_npy(home.join(name)).unwrap();
    for (end, format, task) in [
        ("number", "pt2", "numbers"),
        ("numbers", "state.pt", "numbers"),
        ("sigmoid", "keras", "class"),
        ("sigmoids", "onnx", "labels"),
        ("softmax", "pt", "class"),
    ] {
        let (file, expected) = (format!("{end}.{format}"), read(&format!("{end}.npy")));
        let apart = predicted(home, &file, &["--task", task], &expected);
        assert!(apart < TOLERANCE, "{file} --task {task}: {apart:e}");
    }
    // It is evaluated on arrays, and trained further.
    let (x, y) = (read("x.npy"), read("number.npy"));
    let named = [("x_train", &x), ("y_train", &y), ("x_test", &x), ("y_test", &y)];
    Tensor::write_npz(&named, home.join("rows.npz")).unwrap();
    succeed(seqfit(home).args(["import", "number.pt2", "--out", "run", "--force"]));
    let output = succeed(seqfit(home).args(["evaluate", "run", "--data", "rows.npz", "--json"]));
    let figures: Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(figures["residuals"][0]["rmse"].as_f64().unwrap() < TOLERANCE, "{figures}");
    let mut train = seqfit(home);
    train.args(["train", "-q", "--epochs", "1", "--out", "on", "--init-from", "run"]);
    succeed(train.args(["--data", "rows.npz"]));
}

#[test]
fn a_task_that_the_last_activation_does_not_fit_is_refused() {
    let Some(files) = files() else { return };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for (file, options, message) in [
        (
            "softmax.pt2",
            &["--task", "labels"][..],
            "cannot predict several labels: it has a softmax",
        ),
        ("softmax.keras", &["--task", "numbers"], "cannot predict numbers: it has a softmax"),
        ("sigmoids.onnx", &["--task", "class"], "cannot predict classes: it has a sigmoid"),
        ("number.pt2", &["--classes", "a,b"], "or add --task class"),
        ("number.pt2", &["--task", "class", "--classes", "a"], "has 2 classes, found 1"),
        ("sigmoid.pt", &["--task", "labels", "--classes", "a,b"], "found 2 class names"),
        ("number.pt2", &["--prepare", "digit"], "takes numbers of shape [8]"),
    ] {
        let output = run(seqfit(home)
            .arg("import")
            .arg(files.join(file))
            .args(["--out", "none"])
            .args(options));
        assert!(
            output.code != 0 && output.stderr.contains(message),
            "{file} {options:?}: {output:#?}"
        );
        assert!(!home.join("none").exists(), "{file} {options:?}");
    }
    // Named, and with a shape of images, whose pixels are divided by 255.
    let names = ["--task", "class", "--classes", "no,yes", "--input-shape", "2x4"];
    succeed(
        seqfit(home).arg("import").arg(files.join("number.pt2")).args(["--out", "run"]).args(names),
    );
    let imported = Run::open(&home.join("run")).unwrap();
    let data = &imported.config().data;
    assert_eq!((data.features, data.targets), (FeatureKind::Pixels, TargetKind::Class));
    assert_eq!(data.classes, ["no", "yes"]);
}
