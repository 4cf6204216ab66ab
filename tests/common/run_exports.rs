//! Runs exported files in the programs they are made for: Python with PyTorch, Keras, onnxruntime.

use std::path::{Path, PathBuf};

use super::python::run_script;
use seqfit::Sequential;
use seqfit::export::{Format, Options};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The test images and labels of a data set in a folder, gzipped or not.
pub fn test_files(data: &Path) -> [PathBuf; 2] {
    ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"].map(|stem| {
        let plain = data.join(stem);
        if plain.exists() { plain } else { data.join(format!("{stem}.gz")) }
    })
}

/// Returns a Python with every library that exported files need, or `None` after reporting the test as
/// left out.
pub fn python() -> Option<PathBuf> {
    super::python_with(&["h5py", "keras", "onnx", "onnxruntime", "safetensors"])
}

/// Returns whether the format supports these options.
pub fn able(format: Format, options: Options) -> bool {
    !options.preprocessing || matches!(format, Format::TorchScript | Format::Pt2 | Format::Onnx)
}

/// Every combination of options, the plain one first.
pub const OPTIONS: [Options; 4] = [
    Options { preprocessing: false, half: false },
    Options { preprocessing: true, half: false },
    Options { preprocessing: false, half: true },
    Options { preprocessing: true, half: true },
];

/// An exported file, the Python lines that load it, and a `.npy` of the expected outputs.
#[derive(Debug, Serialize)]
pub struct Case {
    pub snippet: String,
    pub file: PathBuf,
    pub expected: PathBuf,
}

/// Python's result for a [`Case`].
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// Largest absolute difference from the expected outputs.
    pub difference: f64,
    /// Largest difference relative to the image's largest output, or to 1.
    pub relative: f64,
    pub accuracy: f64,
    /// "logits", "probabilities" or "values": the variable that the lines assign.
    pub output: String,
    pub card: String,
}

/// Executes every case's lines in Python on the test images of `data`.
pub fn outcomes<'a>(
    python: &Path,
    data: &Path,
    cases: impl IntoIterator<Item = &'a Case>,
) -> Vec<Outcome> {
    let [images, labels] = test_files(data);
    run_cases(python, serde_json::json!({ "images": images, "labels": labels }), cases)
}

/// Like [`outcomes`], on the rows of numbers in an `.npy` file.
pub fn outcomes_for_rows<'a>(
    python: &Path,
    samples: &Path,
    cases: impl IntoIterator<Item = &'a Case>,
) -> Vec<Outcome> {
    run_cases(python, serde_json::json!({ "samples": samples }), cases)
}

fn run_cases<'a>(
    python: &Path,
    mut task: serde_json::Value,
    cases: impl IntoIterator<Item = &'a Case>,
) -> Vec<Outcome> {
    let cases: Vec<&Case> = cases.into_iter().collect();
    task["cases"] = serde_json::to_value(&cases).unwrap();
    let script = "tests/fixtures/run_snippets.py";
    let output = run_script(python, script, None::<&Path>, &task.to_string());
    assert_eq!(output.code, 0, "{}", output.stderr);
    let outcomes: Vec<Outcome> = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(outcomes.len(), cases.len());
    outcomes
}

/// Returns the network whose weights are rounded like those of a file made with `options`.
pub fn rounded(model: &Sequential, options: Options) -> Sequential {
    let mut rounded = Sequential::from_spec(model.spec().clone(), model.device(), 0).unwrap();
    let mut weights = model.weights().unwrap();
    if options.half {
        for tensor in weights.values_mut() {
            let values =
                Tensor::from_slice(&tensor.values).to_kind(Kind::Half).to_kind(Kind::Float);
            tensor.values = std::sync::Arc::new(Vec::try_from(values).unwrap());
        }
    }
    rounded.set_weights(&weights).unwrap();
    rounded
}

/// Returns the expected outputs of a file made with `options`, computed from seqfit's own logits: those of
/// the network whose weights are rounded like the file's.
pub fn expected(model: &Sequential, test: &seqfit::data::Dataset, options: Options) -> Tensor {
    let rounded = rounded(model, options);
    let logits = rounded.logits_of(test).unwrap();
    match options.preprocessing || model.spec().ends_in_softmax() {
        true => logits.softmax(-1, Kind::Float),
        false => logits,
    }
}
