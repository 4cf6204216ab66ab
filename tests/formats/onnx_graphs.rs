//! Tests that ONNX files of other programs are read as the networks that they compute, or refused by the name of the
//! node that is none. tests/fixtures/make_onnx.py wrote them, and onnxruntime their outputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use seqfit::import::{ImportOptions, Imported, Network};
use seqfit::layers::{Dropout, Layer};
use seqfit::{Activation, Device, OutputActivation, Sequential, Spec};
use serde::Deserialize;
use tch::Tensor;

use crate::common::{run, seqfit, succeed};

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Outputs { input: serde_json::Value, output: Vec<Vec<f32>> },
    Refused { refused: String },
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx")
}

fn import(name: &str, options: &ImportOptions) -> Result<Network, String> {
    let imported = Imported::open(folder().join(name)).map_err(|error| error.to_string())?;
    imported.network(options).map_err(|error| error.to_string())
}

fn numbers(value: &serde_json::Value, to: &mut Vec<f32>) {
    match value.as_array() {
        Some(list) => list.iter().for_each(|value| numbers(value, to)),
        None => to.push(value.as_f64().unwrap() as f32),
    }
}

#[test]
fn graphs_of_other_programs_are_networks_or_refused_by_name() {
    let text = fs::read_to_string(folder().join("outputs.json")).unwrap();
    let cases: BTreeMap<String, Expected> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), fs::read_dir(folder()).unwrap().count() - 1);
    for (name, expected) in cases {
        let network = import(&name, &ImportOptions::default());
        let (input, output) = match expected {
            Expected::Outputs { input, output } => (input, output),
            Expected::Refused { refused } => {
                let error = network.unwrap_err();
                assert!(
                    error.contains("its graph is not a network") && error.contains(&refused),
                    "{error}"
                );
                continue;
            }
        };
        let network = network.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut model = Sequential::from_spec(network.spec.clone(), Device::Cpu, 0).unwrap();
        model.set_weights(&network.weights).unwrap();
        // Pixels are divided by 255 before they enter a network of seqfit.
        let scale = if name == "keras.onnx" { 255.0 } else { 1.0 };
        check_outputs(&model, &input, &output, scale, &name);
    }
}

/// Checks that a network has these outputs for the rows of `input`, divided by `scale`.
fn check_outputs(
    model: &Sequential,
    input: &serde_json::Value,
    output: &[Vec<f32>],
    scale: f64,
    name: &str,
) {
    let (mut values, samples) = (Vec::new(), output.len() as i64);
    numbers(input, &mut values);
    let x = Tensor::from_slice(&values).reshape([samples, -1]) / scale;
    let found = model.predict(&x).unwrap();
    let expected = Tensor::from_slice(&output.concat()).reshape([samples, -1]);
    let apart = (found - &expected).abs().max().double_value(&[]);
    assert!(apart < 1e-6 * expected.abs().max().double_value(&[]).max(1.0), "{name}: {apart}");
}

fn names(spec: &Spec) -> Vec<&str> {
    spec.layers.iter().map(|layer| layer.kind().name()).collect()
}

#[test]
fn descriptions_of_imported_graphs_are_those_of_their_authors() {
    let spec = |name: &str| import(name, &ImportOptions::default()).unwrap().spec;
    assert_eq!(names(&spec("torchscript_residual.onnx")), ["Normalization", "Residual", "Dense"]);
    assert_eq!(spec("torchscript_residual.onnx").output, OutputActivation::Sigmoid);
    let keras = spec("keras.onnx");
    assert_eq!(
        (&keras.input_shape[..], names(&keras)),
        (&[2, 3][..], vec!["Flatten", "Dense", "Dense"])
    );
    assert!(keras.ends_in_softmax());
    // A single number.
    assert_eq!(spec("dynamo_reshape.onnx").output, OutputActivation::Linear);
}

#[test]
fn a_network_from_elsewhere_takes_the_weights_of_a_graph() {
    let network = import("keras.onnx", &ImportOptions::default()).unwrap();
    let mut wanted = network.spec.clone();
    wanted.layers.insert(1, Dropout::new(0.5).into());
    let given = |spec: Spec| ImportOptions { network: Some(spec), ..ImportOptions::default() };
    let with_dropout = import("keras.onnx", &given(wanted.clone())).unwrap();
    assert_eq!(with_dropout.weights["2.weight"], network.weights["1.weight"]);
    wanted.layers.insert(1, seqfit::layers::Dense::new(6).into());
    let error = import("keras.onnx", &given(wanted.clone())).unwrap_err();
    assert!(
        error.contains("found nothing") || error.contains("expected 1.weight [6, 6]"),
        "{error}"
    );
    // The weights of a graph that is no network are found by their names.
    let layers: Vec<Layer> =
        vec![seqfit::layers::Dense::new(2).activation(Activation::Tanh).into()];
    let slope = import("slope.onnx", &given(Spec::new([3], layers))).unwrap();
    assert_eq!(slope.weights.len(), 2);
}

#[test]
fn the_program_imports_a_graph_and_exports_it_again() {
    let home = tempfile::tempdir().unwrap();
    let file = folder().join("torchscript.onnx");
    succeed(seqfit(home.path()).arg("import").arg(&file).args([
        "--out",
        "a",
        "--classes",
        "x,y,z",
    ]));
    succeed(seqfit(home.path()).args(["export", "a", "--format", "onnx", "--out", "a.onnx"]));
    succeed(seqfit(home.path()).args(["import", "a.onnx", "--out", "b"]));
    let spec = |run: &str| {
        seqfit::run::Run::open(&home.path().join(run)).unwrap().config().network.clone()
    };
    assert_eq!(spec("a"), spec("b"));
    // Both compute what onnxruntime did for the file.
    let text = fs::read_to_string(folder().join("outputs.json")).unwrap();
    let cases: BTreeMap<String, Expected> = serde_json::from_str(&text).unwrap();
    let Expected::Outputs { input, output } = &cases["torchscript.onnx"] else { panic!("outputs") };
    for run in ["a", "b"] {
        let model = seqfit::run::Run::open(&home.path().join(run)).unwrap().load_model(Device::Cpu);
        check_outputs(&model.unwrap(), input, output, 1.0, run);
    }
    let refused = run(seqfit(home.path())
        .arg("import")
        .arg(folder().join("conv1d.onnx"))
        .args(["--out", "c"]));
    assert!(refused.code == 1 && refused.stderr.contains("(Conv)"), "{refused:#?}");
    assert!(!home.path().join("c").exists());
    let inspected = run(seqfit(home.path()).arg("inspect").arg(folder().join("conv1d.onnx")));
    assert_eq!(inspected.code, 0, "{inspected:#?}");
}
