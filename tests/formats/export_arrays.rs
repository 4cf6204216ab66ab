//! Tests that `export --with preprocessing` gives the predictions of networks on arrays: numbers are taken as they are,
//! and the outputs are those of `seqfit predict` in PyTorch, onnxruntime and Keras.

use std::fs;
use std::path::Path;

use seqfit::export::{Format, Options};
use tch::Tensor;

use crate::common::run_exports::{Case, OPTIONS, able, outcomes_for_rows, python};
use crate::common::{run, seqfit, succeed};

/// Largest difference from `seqfit predict`, relative to the largest output of a row or to 1.
const TOLERANCE: f64 = 1e-6;

/// Writes rows of numbers, and targets of a kind: whole numbers are classes, 0 and 1 in a matrix labels.
fn write_rows(home: &Path) {
    tch::manual_seed(5);
    let x = Tensor::randn([200, 6], tch::kind::FLOAT_CPU) * 3.0;
    let sums = x.slice(1, 0, 3, 1);
    let labels = sums.gt(0.5).to_kind(tch::Kind::Uint8);
    let classes = x.slice(1, 0, 4, 1).argmax(1, false);
    let second = x.select(1, 0).gt(0.0).to_kind(tch::Kind::Int64);
    let numbers = sums * 20.0 + 100.0;
    for (name, y) in
        [("classes", &classes), ("two", &second), ("labels", &labels), ("numbers", &numbers)]
    {
        let named = [("x_train", &x), ("y_train", y), ("x_test", &x), ("y_test", y)];
        Tensor::write_npz(&named, home.join(format!("{name}.npz"))).unwrap();
    }
    x.write_npy(home.join("x.npy")).unwrap();
}

/// Adds the last activation to the lines that load a file of weights, whose reader defines the network.
fn with_activation(snippet: &str, format: Format, activation: &str) -> String {
    if format == Format::Keras {
        let lines = format!("model.add(layers.Activation({activation:?}))\nprobabilities = ");
        return snippet.replace("logits = ", &lines);
    }
    let axis = if activation == "softmax" { ", -1" } else { "" };
    format!("{snippet}probabilities = torch.{activation}(logits{axis})\ndel logits\n")
}

#[test]
fn networks_of_numbers_are_exported_with_their_predictions() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    write_rows(home.path());
    let (mut cases, mut titles) = (Vec::new(), Vec::new());
    for (data, loss, activation) in [
        ("classes", "sparse", Some("softmax")),
        ("two", "binary_crossentropy", Some("sigmoid")),
        ("labels", "binary_crossentropy", Some("sigmoid")),
        ("numbers", "mean_squared_error", None),
    ] {
        let file = format!("{data}.npz");
        let train =
            ["train", "-q", "--epochs", "3", "--out", data, "--data", &file, "--loss", loss];
        succeed(seqfit(home.path()).args(train));
        let predictions = format!("{data}.npy");
        succeed(seqfit(home.path()).args(["evaluate", data, "--predictions", &predictions]));
        let expected = home.path().join(&predictions);
        for &format in Format::ALL {
            let is_able = able(format, OPTIONS[1]);
            let options = Options { preprocessing: is_able, ..Options::default() };
            let out = home.path().join(format!("{data}{}", format.ending()));
            let mut export = seqfit(home.path());
            export.args(["export", data, "--python", "--format", format.name(), "--out"]).arg(&out);
            let with = ["--with", "preprocessing"];
            let snippet =
                succeed(export.args(options.preprocessing.then_some(with).iter().flatten()));
            let mut snippet = snippet.stdout;
            if !is_able {
                if data == "classes" {
                    let format = ["export", data, "--format", format.name()];
                    let refused = run(seqfit(home.path()).args(format).args(with));
                    let named = refused.stderr.contains("no preprocessing");
                    assert!(refused.code == 2 && named, "{refused:#?}");
                }
                if let Some(activation) = activation {
                    snippet = with_activation(&snippet, format, activation);
                }
            }
            cases.push(Case { snippet, file: out, expected: expected.clone() });
            titles.push(format!("{data} {}", format.name()));
        }
    }
    for (outcome, title) in
        outcomes_for_rows(&python, &home.path().join("x.npy"), &cases).iter().zip(titles)
    {
        let is_number = title.starts_with("numbers");
        assert_eq!(outcome.output, if is_number { "values" } else { "probabilities" }, "{title}");
        assert!(outcome.relative <= TOLERANCE, "{title}: {outcome:?}");
        let card: serde_json::Value = serde_json::from_str(&outcome.card).unwrap();
        assert_eq!(card["input"]["dtype"], "float32", "{title}");
    }
    // Files with predictions are imported as the same network.
    for format in ["torchscript", "pt2", "onnx"] {
        let file =
            format!("labels{}", Format::ALL.iter().find(|f| f.name() == format).unwrap().ending());
        succeed(seqfit(home.path()).args(["import", &file, "--out", "back", "--force"]));
        let weights =
            |run: &str| fs::read(home.path().join(run).join("model.safetensors")).unwrap();
        assert!(weights("back") == weights("labels"), "{format}");
    }
}
