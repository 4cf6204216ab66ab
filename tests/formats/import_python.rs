//! Tests that networks trained by real PyTorch and Keras give the same outputs after import, on every test
//! image of the built-in digits and, if available, of MNIST.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::python::run_script;
use crate::common::{self, run, seqfit, succeed};
use seqfit::data::{self, Dataset, idx};
use seqfit::import::{ImportOptions, Imported};
use seqfit::{Activation, Device, OutputActivation, Sequential};
use serde_json::Value;
use tch::Tensor;

/// Largest allowed difference between two logits: f32 sums of at most 784 products in another order.
const TOLERANCE: f64 = 1e-4;

/// Writes the built-in digits as a folder of IDX files.
fn digits(folder: &Path) -> PathBuf {
    let folder = folder.join("digits");
    fs::create_dir_all(&folder).unwrap();
    let (train, test) = data::load("digits").unwrap();
    let write = |part: &str, set: &Dataset| {
        let count = set.len() as u32;
        let pixels: Vec<u8> = (0..set.len()).flat_map(|i| set.image(i).to_vec()).collect();
        let labels: Vec<u8> = (0..set.len()).map(|i| set.label(i)).collect();
        let images =
            idx::encode_images(count, set.image_shape().unwrap().map(|side| side as u32), &pixels);
        fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), idx::encode_labels(&labels))
            .unwrap();
    };
    write("train", &train);
    write("t10k", &test);
    folder
}

fn partner(python: &Path, arguments: &[&str]) {
    let output = run_script(python, "tests/fixtures/train_for_import.py", arguments, "");
    assert_eq!(output.code, 0, "{output:#?}");
}

/// Imports a file and compares the run's predictions with those in `there`, image by image; returns the
/// largest difference between two logits.
fn same_answers(home: &Path, data: &Path, file: &str, there: &str, options: &[&str]) -> f64 {
    let import = ["import", file, "--out", "imported", "--force"];
    succeed(seqfit(home).args(import).args(options));
    let mut evaluate = seqfit(home);
    evaluate.args(["evaluate", "imported", "--json", "--logits", "logits.npy", "--data-dir"]);
    let output = succeed(evaluate.arg(data));
    let here: Value = serde_json::from_str(&output.stdout).unwrap();
    let figures = fs::read_to_string(home.join(format!("{there}.json"))).unwrap();
    let figures: Value = serde_json::from_str(&figures).unwrap();
    let (right, images) = (figures["right"].as_f64().unwrap(), figures["images"].as_f64().unwrap());
    assert_eq!(
        here["accuracy"].as_f64(),
        Some(right / images),
        "{file}: exactly PyTorch's or Keras's"
    );
    assert_eq!(here["samples"].as_f64(), Some(images), "{file}");
    let read = |name: &str| Tensor::read_npy(home.join(name)).unwrap();
    let (logits, expected) = (read("logits.npy"), read(&format!("{there}.npy")));
    assert_eq!(logits.size(), expected.size(), "{file}");
    assert!(logits.argmax(1, false).equal(&expected.argmax(1, false)), "{file}: another answer");
    let difference = (logits - expected).abs().max().double_value(&[]);
    println!(
        "{file}: {images} images, {right} right, largest difference of logits {difference:.1e}"
    );
    assert!(difference < TOLERANCE, "{file}: {difference}");
    difference
}

/// Runs `test` with each data set in turn: the digits, and MNIST.
fn with_data(what: impl Fn(&Path, &Path, &Path)) {
    let Some(python) = common::run_exports::python() else { return };
    let home = tempfile::tempdir().unwrap();
    what(&python, home.path(), &digits(home.path()));
    if let Some(mnist) = common::mnist() {
        let home = tempfile::tempdir().unwrap();
        what(&python, home.path(), &mnist);
    }
}

#[test]
fn pytorch_models_give_the_same_outputs_after_import() {
    with_data(|python, home, data| {
        let out = home.join("torch");
        partner(python, &["torch", data.to_str().unwrap(), out.to_str().unwrap()]);
        for file in
            ["torch.pt", "torch.checkpoint.pt", "torch.script.pt", "torch.safetensors", "torch.npz"]
        {
            same_answers(home, data, file, "torch", &[]);
        }
        // seqfit's own TorchScript export of the last imported network.
        succeed(seqfit(home).args(["export", "imported", "--out", "own.pt"]));
        same_answers(home, data, "own.pt", "torch", &[]);
    });
}

#[test]
fn keras_models_give_the_same_outputs_after_import() {
    with_data(|python, home, data| {
        let out = home.join("keras");
        partner(python, &["keras", data.to_str().unwrap(), out.to_str().unwrap()]);
        for file in ["keras.weights.h5", "keras.keras", "keras.h5"] {
            same_answers(home, data, file, "keras", &[]);
        }
        same_answers(home, data, "keras.npz", "keras", &["--activation", "relu"]);
    });
}

#[test]
fn network_trained_further_in_pytorch_can_be_imported_again() {
    with_data(|python, home, data| {
        let mut train = seqfit(home);
        train.args([
            "train",
            "-q",
            "--out",
            "run",
            "--epochs",
            "1",
            "--hidden",
            "32,16",
            "--data-dir",
        ]);
        succeed(train.arg(data));
        let (weights, out) = (home.join("run/model.safetensors"), home.join("back"));
        let there = [data, &weights, &out].map(|path| path.to_str().unwrap());
        partner(python, &["go-on", there[0], there[1], there[2]]);
        same_answers(home, data, "back.pt", "back", &[]);
        // Training continues in seqfit.
        let mut train = seqfit(home);
        train.args([
            "train",
            "-q",
            "--out",
            "on",
            "--epochs",
            "1",
            "--init-from",
            "imported",
            "--data-dir",
        ]);
        succeed(train.arg(data));
    });
}

/// Largest difference from PyTorch's or Keras's outputs, relative to the largest output or to 1.
const EXACT: f64 = 1e-5;

/// A file of `tests/fixtures/make_random_imports.py`.
#[derive(serde::Deserialize)]
struct Case {
    file: String,
    inputs: Vec<f32>,
    outputs: Vec<f32>,
    width: i64,
    rows: i64,
    /// The activation given on the command line.
    activation: Option<String>,
    /// The names that a refusal may mention.
    names: Vec<String>,
    strange: bool,
}

/// Returns the largest difference of the outputs for a file, or the reason for refusing it.
fn outcome(folder: &Path, case: &Case) -> Result<f64, String> {
    let activation =
        case.activation.as_ref().map(|name| Activation::ALL.into_iter().find(|a| a.name() == name));
    let wanted = ImportOptions { activation: activation.flatten(), ..ImportOptions::default() };
    let imported = Imported::open(folder.join(&case.file)).map_err(|error| error.to_string())?;
    let network = imported.network(&wanted).map_err(|error| error.to_string())?;
    // The file ends in the activation that gives probabilities.
    let complete =
        network.spec.ends_in_softmax() || network.spec.output == OutputActivation::Sigmoid;
    let mut model = Sequential::from_spec(network.spec, Device::Cpu, 0).unwrap();
    model.set_weights(&network.weights).unwrap();
    let x = Tensor::from_slice(&case.inputs).reshape([case.rows, case.width]);
    let Ok(y) = (if complete { model.predict(&x) } else { model.logits(&x) }) else {
        return Ok(f64::INFINITY);
    };
    let expected = Tensor::from_slice(&case.outputs).reshape([case.rows, -1]);
    if y.size() != expected.size() {
        return Ok(f64::INFINITY);
    }
    let largest = expected.abs().max().double_value(&[]).max(1.0);
    Ok((y - expected).abs().max().double_value(&[]) / largest)
}

/// Generates the cases; SEQFIT_IMPORT_CASES="SEED:COUNT" selects others.
fn cases(python: &Path, home: &Path) -> Vec<Case> {
    let chosen = std::env::var("SEQFIT_IMPORT_CASES").unwrap_or_else(|_| "1:240".to_owned());
    let (seed, count) = chosen.split_once(':').unwrap();
    let arguments = [home, Path::new(seed), Path::new(count)];
    let output = run_script(python, "tests/fixtures/make_random_imports.py", arguments, "");
    assert_eq!(output.code, 0, "{output:#?}");
    serde_json::from_str(&fs::read_to_string(home.join("cases.json")).unwrap()).unwrap()
}

#[test]
fn networks_are_imported_exactly_or_refused_by_name() {
    let Some(python) = common::run_exports::python() else { return };
    let home = tempfile::tempdir().unwrap();
    let cases = cases(&python, home.path());
    let (mut wrong, mut plain, mut strange) = (Vec::new(), [0, 0], [0, 0]);
    for case in &cases {
        let counts = if case.strange { &mut strange } else { &mut plain };
        match outcome(home.path(), case) {
            Ok(difference) if difference <= EXACT => counts[0] += 1,
            Ok(difference) => {
                wrong.push(format!("{}: another network, {difference:.1e}", case.file))
            }
            Err(error) if case.names.iter().any(|name| error.contains(name.as_str())) => {
                counts[1] += 1;
            }
            // A traced convolution does not say the shape of its samples.
            Err(error)
                if case.file.ends_with(".trace")
                    && error.contains("give it with --input-shape") =>
            {
                counts[1] += 1;
            }
            Err(error) => wrong.push(format!("{}: names nothing: {error}", case.file)),
        }
    }
    let formats = cases.iter().filter(|case| outcome(home.path(), case).is_ok());
    let mut formats: Vec<_> = formats.map(|case| case.file.split_once('-').unwrap().1).collect();
    formats.sort();
    formats.dedup();
    println!("imported: {}", formats.join(", "));
    println!(
        "{} networks: of plain ones {} imported, {} refused; with layers that are not known {} \
         imported, {} refused",
        cases.len(),
        plain[0],
        plain[1],
        strange[0],
        strange[1]
    );
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases.len() >= 200);
    // Every format accepts some networks; unnamed arrays do if the user describes them.
    assert!(formats.len() >= 13, "{formats:?}");
    // A reader that refuses everything or accepts everything is wrong too.
    assert!(plain[0] * 3 >= cases.len() / 2, "too few are imported: {plain:?}");
    assert!(strange[1] * 3 >= cases.len() / 2, "too few are refused: {strange:?}");
    // The program behaves like the library.
    for case in cases.iter().filter(|case| case.activation.is_none()).step_by(40) {
        let output = run(seqfit(home.path()).args(["import", &case.file, "--out", "r", "--force"]));
        let refused = outcome(home.path(), case).err();
        assert_eq!(output.code, i32::from(refused.is_some()), "{}: {output:#?}", case.file);
        if let Some(reason) = refused {
            let line = reason.lines().next().unwrap();
            assert!(
                output.stderr.contains(line.split(": ").last().unwrap()),
                "{line}: {output:#?}"
            );
        }
    }
}

#[test]
fn pt2_programs_of_pytorch_are_imported_or_refused_by_the_node() {
    let Some(python) = common::run_exports::python() else { return };
    let home = tempfile::tempdir().unwrap();
    let output = run_script(&python, "tests/fixtures/make_pt2.py", [home.path()], "");
    assert_eq!(output.code, 0, "{output:#?}");
    let cases = fs::read_to_string(home.path().join("cases.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
    assert!(cases.len() >= 25);
    for case in &cases {
        match (outcome(home.path(), case), &case.names[..]) {
            (Ok(difference), []) => assert!(difference <= EXACT, "{}: {difference:.1e}", case.file),
            (Err(error), [name]) => assert!(error.contains(name), "{}: {error}", case.file),
            (other, _) => panic!("{}: {other:?}", case.file),
        }
    }
}
