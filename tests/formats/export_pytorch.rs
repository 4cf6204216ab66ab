//! Tests that real PyTorch loads the files that `train` and `export` write, and computes the same outputs.

use std::fs;
use std::path::Path;

use crate::common::python::run_script;
use crate::common::{self, CommandOutput, run_exports, seqfit, succeed};
use seqfit::layers::{Dense, Dropout, Flatten};
use seqfit::{Activation, Device, FitConfig, Sequential, data};

/// Compares a model file with seqfit's own outputs in real PyTorch.
fn check_export(
    python: &Path,
    model: &Path,
    outputs: &Path,
    images: &Path,
    labels: &Path,
) -> CommandOutput {
    let options = ["--logits", "--images", "--labels"].map(Path::new);
    let arguments = [model, options[0], outputs, options[1], images, options[2], labels];
    run_script(python, "scripts/check_torchscript.py", arguments, "")
}

fn all_passed(output: &CommandOutput) {
    assert!(output.code == 0 && output.stdout.ends_with("all checks passed\n"), "{output:#?}");
}

#[test]
fn pytorch_outputs_match_for_every_layer_and_activation() {
    let Some(python) = run_exports::python() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let [data, model_file, outputs] =
        ["stripes", "model.pt", "out.npy"].map(|n| home.path().join(n));
    common::write_stripes(&data, 6, 5, 3);
    fs::write(data.join("classes.txt"), "oben\nMitte\n下\n").unwrap();
    let (train, test) = data::load_dir(&data).unwrap();
    for last in [Activation::Linear, Activation::Softmax] {
        let mut model = Sequential::new([6, 5])
            .add(Flatten)
            .add(Dense::new(9).activation(Activation::Gelu))
            .add(Dropout::new(0.25))
            .add(Dense::new(8).activation(Activation::Silu))
            .add(Dense::new(7).activation(Activation::Tanh))
            .add(Dense::new(6).activation(Activation::Sigmoid))
            .add(Dropout::new(0.1))
            .add(Dense::new(5).activation(Activation::Relu))
            .add(Dense::new(4))
            .add(Dense::new(3).activation(last))
            .build(Device::Cpu, 1)
            .unwrap();
        model.fit(&train, &FitConfig::default(), &mut []).unwrap();
        model.export(&model_file, test.classes()).unwrap();
        let logits = model.logits_of(&test).unwrap();
        let expected = match last {
            Activation::Softmax => logits.softmax(-1, tch::Kind::Float),
            _ => logits,
        };
        seqfit::export::npy::save(&expected, &outputs).unwrap();
        let [images, labels] = TEST_FILES.map(|name| data.join(name));
        all_passed(&check_export(&python, &model_file, &outputs, &images, &labels));
    }
}

const TEST_FILES: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

#[test]
fn pytorch_outputs_match_on_all_of_mnist() {
    let (Some(data), Some(python)) = (common::mnist(), run_exports::python()) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let mut train = seqfit(home.path());
    train.args(["train", "-q", "--out", "run", "--epochs", "1", "--data-dir"]);
    succeed(train.arg(&data));
    succeed(seqfit(home.path()).args(["evaluate", "run", "--logits", "logits.npy"]));
    // `train` and `export` write identical files.
    succeed(seqfit(home.path()).args(["export", "run", "--out", "model.pt"]));
    let [model, exported, logits] =
        ["run/model.pt", "model.pt", "logits.npy"].map(|name| home.path().join(name));
    assert!(fs::read(&model).unwrap() == fs::read(exported).unwrap());
    let [images, labels] = TEST_FILES.map(|stem| {
        let plain = data.join(stem);
        if plain.exists() { plain } else { data.join(format!("{stem}.gz")) }
    });
    let output = check_export(&python, &model, &logits, &images, &labels);
    all_passed(&output);
    let result = fs::read_to_string(home.path().join("run/result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let accuracy = result["test"]["accuracy"].as_f64().unwrap();
    assert!(
        output.stdout.contains(&format!("accuracy in Python: {accuracy:.4}")),
        "{}",
        output.stdout
    );
}

#[test]
fn export_check_fails_on_a_wrong_model() {
    let Some(python) = run_exports::python() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("stripes");
    common::write_stripes(&data, 4, 4, 2);
    for (name, seed) in [("a", "1"), ("b", "2")] {
        let mut train = seqfit(home.path());
        train.args(["train", "-q", "--epochs", "1", "--out", name, "--seed", seed, "--data-dir"]);
        succeed(train.arg(&data));
    }
    succeed(seqfit(home.path()).args(["evaluate", "a", "--logits", "a.npy"]));
    let [images, labels] = TEST_FILES.map(|name| data.join(name));
    let (model, outputs) = (home.path().join("b/model.pt"), home.path().join("a.npy"));
    let output = check_export(&python, &model, &outputs, &images, &labels);
    assert_eq!(output.code, 1, "{output:#?}");
    assert!(output.stdout.contains("FAIL  outputs equal seqfit's"), "{}", output.stdout);
}
