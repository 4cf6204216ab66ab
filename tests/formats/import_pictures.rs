//! Tests that convolutional networks of real PyTorch and Keras give the same outputs after import, or are refused by the
//! name of the layer that seqfit lacks. tests/fixtures/make_pictures.py writes them in one process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use seqfit::data::FeatureKind;
use seqfit::import::{ImportOptions, Imported, Network};
use seqfit::{Device, Sequential, Spec};
use tch::Tensor;

use crate::common::{self, run, seqfit, succeed};

/// Largest difference from the outputs, relative to the largest of them or to 1.
const EXACT: f64 = 1e-5;

#[derive(serde::Deserialize)]
struct Case {
    file: PathBuf,
    shape: Vec<i64>,
    inputs: Vec<f32>,
    outputs: Vec<f32>,
    /// The file that describes its layers.
    network: Option<String>,
    /// The shape of a sample that the user gives.
    given: Option<Vec<usize>>,
    /// The name in the error.
    refused: Option<String>,
}

fn import(home: &Path, case: &Case) -> Result<Network, String> {
    let text = case.network.as_ref().map(|name| fs::read_to_string(home.join(name)).unwrap());
    let network: Option<Spec> = text.map(|text| toml::from_str(&text).unwrap());
    let options =
        ImportOptions { network, input_shape: case.given.clone(), ..ImportOptions::default() };
    let imported = Imported::open(home.join(&case.file)).map_err(|error| error.to_string())?;
    imported.network(&options).map_err(|error| error.to_string())
}

#[test]
fn convolutional_networks_give_the_same_outputs_or_are_refused_by_name() {
    let Some(python) = common::run_exports::python() else { return };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/make_pictures.py");
    let mut command = Command::new(python);
    command.arg(script).arg(home).env("KERAS_BACKEND", "torch").env("OMP_NUM_THREADS", "1");
    let output = run(&mut command);
    assert_eq!(output.code, 0, "{output:#?}");
    let cases: Vec<Case> =
        serde_json::from_str(&fs::read_to_string(home.join("cases.json")).unwrap()).unwrap();
    let (mut same, mut refused) = (0, 0);
    for case in &cases {
        let (found, title) = (import(home, case), case.file.display());
        if let Some(word) = &case.refused {
            let error = found.err().unwrap_or_else(|| panic!("{title} is imported"));
            assert!(error.contains(word), "{title}: {error}");
            refused += 1;
            continue;
        }
        let network = found.unwrap_or_else(|error| panic!("{title}: {error}"));
        assert_eq!(network.features, FeatureKind::Pixels, "{title}");
        let complete = network.spec.ends_in_softmax();
        let mut model = Sequential::from_spec(network.spec, Device::Cpu, 0).unwrap();
        model.set_weights(&network.weights).unwrap();
        let x = Tensor::from_slice(&case.inputs).reshape(&case.shape);
        let y = if complete { model.predict(&x) } else { model.logits(&x) }.unwrap();
        let expected = Tensor::from_slice(&case.outputs).reshape([case.shape[0], -1]);
        assert_eq!(y.size(), expected.size(), "{title}");
        assert!(y.argmax(1, false).equal(&expected.argmax(1, false)), "{title}: another class");
        let largest = expected.abs().max().double_value(&[]).max(1.0);
        let apart = (y - expected).abs().max().double_value(&[]) / largest;
        assert!(apart < EXACT, "{title}: {apart:e}");
        same += 1;
    }
    assert!(same >= 12 && refused >= 9, "{same} imported, {refused} refused");
    // The program, with the shape in one argument; its run is exported and trained as any other.
    let import = ["import", "net.script.pt", "--input-shape", "3x20x14", "--out", "run"];
    let output = succeed(seqfit(home).args(import));
    assert!(output.stdout.contains("zero_padding2d"));
    succeed(seqfit(home).args(["export", "run", "--out", "own.onnx"]));
}
