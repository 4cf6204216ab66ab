//! Tests that weights from other programs become a run that every command accepts, or a clear error.

mod ambiguous_files;

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{self, CommandOutput, listing, run, seqfit, succeed};
use seqfit::import::{ImportOptions, Imported, Network};
use seqfit::layers::{Dense, Flatten};
use seqfit::{Activation, Device, Sequential};
use serde_json::Value;

/// Returns a file written by `tests/fixtures/make_import.py`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name)
}

fn json(output: &CommandOutput) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:#?}"))
}

/// The values that `make_import.py` writes into every fixture.
fn is_the_fixture(network: &Network) -> bool {
    let numbers = |count: u16| (0..count).map(|i| f32::from(7 * i % 23) - 11.0).map(|x| x / 16.0);
    let expected: Vec<Vec<f32>> = [5, 80, 3, 15].map(|count| numbers(count).collect()).into();
    // In name order, biases come before weights.
    let found = network.weights.values().map(|tensor| tensor.values.as_ref());
    found.eq(&expected)
}

#[test]
fn every_import_format_gives_the_same_network() {
    for name in [
        "state_dict.pt",
        "checkpoint.pt",
        "parameters.pt",
        "half.pt",
        "bfloat16.pt",
        "double.pt",
        "transposed.pt",
        "one_storage.pt",
        "script.pt",
        "frozen.pt",
        "program.pt2",
        "plain.safetensors",
        "half.safetensors",
        "bfloat16.safetensors",
        "double.safetensors",
        "named.npz",
        "packed.npz",
        "fortran.npz",
        "keras.npz",
        "keras.weights.h5",
        "network.keras",
        "legacy.h5",
    ] {
        let imported = Imported::open(fixture(name)).unwrap_or_else(|e| panic!("{e}"));
        // Unnamed arrays become weights and biases if the user says so.
        let activation = (name == "keras.npz").then_some(Activation::Relu);
        let wanted = ImportOptions { activation, ..ImportOptions::default() };
        let network = imported.network(&wanted).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(is_the_fixture(&network), "{name}: {network:?}");
        assert_eq!(network.spec.input_shape, [4, 4], "{name}");
        assert_eq!(network.classes, ["0", "1", "2"], "{name}");
        // Keras's configs, TorchScript's code and exported programs state the activations between the layers.
        let described =
            ["network.keras", "legacy.h5", "script.pt", "frozen.pt", "program.pt2"].contains(&name);
        assert_eq!(network.guessed, !described && name != "keras.npz", "{name}");
        let keras = ["network.keras", "legacy.h5"].contains(&name);
        assert_eq!(network.spec.layers.len(), if keras { 4 } else { 3 }, "{name}");
    }
}

#[test]
fn import_errors_explain_the_reason() {
    for (name, message) in [
        ("legacy.pt", "save it again in Python"),
        ("module.pt", "asks for \"torch.nn.modules.container.Sequential\""),
    ] {
        let error = Imported::open(fixture(name)).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains(name), "{error}");
    }
    let onnx = Imported::open(fixture("tensors.onnx")).unwrap();
    assert_eq!(onnx.tensors.len(), 4);
    assert!(
        onnx.network(&ImportOptions::default())
            .unwrap_err()
            .to_string()
            .contains("its graph is not a network that seqfit has: it has 0 inputs and 0 outputs")
    );
}

#[test]
fn imported_run_evaluates_predicts_exports_and_trains_further() {
    let home = tempfile::tempdir().unwrap();
    let seqfit = || seqfit(home.path());
    common::write_stripes(&home.path().join("stripes"), 4, 4, 3);
    let file = fixture("state_dict.pt");
    let output =
        succeed(seqfit().arg("import").arg(&file).args(["--out", "r", "--classes", "a,b,c"]));
    assert!(
        output.stdout.ends_with("run: r\n") && output.stdout.contains("Total params: 103"),
        "{output:#?}"
    );
    assert!(
        output.stderr.starts_with("note: the file does not say which activation"),
        "{output:#?}"
    );
    let text = fs::read_to_string(home.path().join("r/config.toml")).unwrap();
    let config: toml::Table = toml::from_str(&text).unwrap();
    for absent in ["fit", "callbacks", "checkpoints"] {
        assert!(!config.contains_key(absent), "{text}");
    }
    assert_eq!(config["origin"]["file"].as_str(), file.to_str());
    assert_eq!(config["origin"]["sha256"].as_str().map(str::len), Some(64));

    // The run has no data source, so the data must be given.
    let output = run(seqfit().args(["evaluate", "r"]));
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("add --dataset, --data-dir or --data"), "{output:#?}");
    let evaluate = |of: &str| {
        json(&succeed(seqfit().args(["evaluate", of, "--json", "--data-dir", "stripes"])))
    };
    let before = evaluate("r");
    assert_eq!(before["samples"], 15);
    let images = home.path().join("stripes/t10k-images-idx3-ubyte");
    let output = succeed(seqfit().args(["predict", "r", "--raw"]).arg(images));
    assert_eq!(output.stdout.lines().count(), 15);
    assert!(["a", "b", "c"].iter().any(|class| output.stdout.contains(class)), "{output:#?}");
    // Its export is imported again, with its classes and without guessing.
    succeed(seqfit().args(["export", "r", "--out", "again.pt"]));
    let output = succeed(seqfit().args(["import", "again.pt", "--out", "again"]));
    assert_eq!(output.stderr, "");
    assert_eq!(evaluate("again"), before);
    let weights = |of: &str| fs::read(home.path().join(of).join("model.safetensors")).unwrap();
    assert_eq!(weights("again"), weights("r"));

    // An import has no training run to resume, but a new one can start from it.
    let output = run(seqfit().args(["train", "--resume", "r"]));
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("train --init-from r"), "{output:#?}");
    let train = ["train", "-q", "--data-dir", "stripes", "--init-from", "r", "--batch-size", "5"];
    succeed(seqfit().args(train).args(["--epochs", "4", "--out", "on"]));
    let after = evaluate("on");
    assert!(after["loss"].as_f64() < before["loss"].as_f64(), "{after} {before}");
    // That run resumes exactly.
    succeed(seqfit().args(train).args(["--epochs", "2", "--out", "parts"]));
    succeed(seqfit().args(["train", "-q", "--resume", "parts", "--epochs", "4"]));
    assert_eq!(weights("parts"), weights("on"));
    assert_ne!(weights("on"), weights("r"));
}

/// Every export format can be imported again, with the same classes, network and, except for f16, identical
/// weights.
#[test]
fn exports_can_be_imported_again() {
    let home = tempfile::tempdir().unwrap();
    let seqfit = || seqfit(home.path());
    common::write_stripes(&home.path().join("stripes"), 5, 5, 3);
    fs::write(home.path().join("stripes/classes.txt"), "oben\nMitte\n下\n").unwrap();
    fs::write(home.path().join("stripes/dataset.toml"), "preparation = \"resize\"\n").unwrap();
    let train = "train -q --data-dir stripes --epochs 2 --hidden 7,6 --activation gelu --dropout 0.1 --out r";
    succeed(seqfit().args(train.split(' ')));
    let weights = |run: &str| fs::read(home.path().join(run).join("model.safetensors")).unwrap();
    let config = |run: &str| -> toml::Table {
        let text = fs::read_to_string(home.path().join(run).join("config.toml")).unwrap();
        toml::from_str(&text).unwrap()
    };
    for (number, (format, options)) in [
        ("torchscript", ""),
        ("torchscript", " --half"),
        ("torchscript", " --with preprocessing"),
        ("state-dict", ""),
        ("state-dict", " --half"),
        ("safetensors", ""),
        ("safetensors", " --half"),
        ("keras", ""),
        ("keras", " --half"),
    ]
    .into_iter()
    .enumerate()
    {
        let (file, run) = (format!("out{number}.weights.h5"), format!("in{number}"));
        let export = format!("export r --format {format}{options} --out {file}");
        succeed(seqfit().args(export.split(' ')));
        let output = succeed(seqfit().args(["import", &file, "--out", &run]));
        assert_eq!(output.stderr, "", "{export}");
        assert_eq!(config(&run)["network"], config("r")["network"], "{export}");
        assert_eq!(config(&run)["data"]["classes"], config("r")["data"]["classes"], "{export}");
        assert_eq!(config(&run)["data"]["preparation"].as_str(), Some("resize"), "{export}");
        assert_eq!(weights(&run) == weights("r"), !options.contains("half"), "{export}");
    }
    // All f16 formats round identically.
    assert!(weights("in1") == weights("in4") && weights("in4") == weights("in6"));
    assert!(weights("in6") == weights("in8"));
}

#[test]
fn preparation_survives_export_and_import() {
    let home = tempfile::tempdir().unwrap();
    let seqfit = || seqfit(home.path());
    let train = "train -q --dataset digits --epochs 1 --out r";
    succeed(seqfit().args(train.split(' ')));
    let input = |path: &str| {
        let report = json(&succeed(seqfit().args(["inspect", path, "--json"])));
        report["card"]["input"].clone()
    };
    assert_eq!(input("r")["preparation"], "digit");
    for format in ["torchscript", "state-dict", "safetensors", "keras", "onnx"] {
        succeed(seqfit().args(["export", "r", "--format", format, "--out", "file.weights.h5"]));
        assert_eq!(input("file.weights.h5")["preparation"], "digit", "{format}");
        fs::remove_file(home.path().join("file.weights.h5")).unwrap();
    }
    // --prepare sets it for files with and without a stored preparation.
    succeed(seqfit().args(["export", "r", "--format", "safetensors", "--out", "own"]));
    for (file, options, expected) in [
        ("own".into(), &[][..], serde_json::json!("digit")),
        ("own".into(), &["--prepare", "raw"], serde_json::json!("raw")),
        (fixture("named.npz"), &[], Value::Null),
        (fixture("named.npz"), &["--prepare", "resize"], serde_json::json!("resize")),
    ] {
        let import = ["--force", "--out", "in"];
        succeed(seqfit().arg("import").arg(&file).args(import).args(options));
        assert_eq!(input("in")["preparation"], expected, "{file:?} {options:?}");
    }
}

#[test]
fn resume_without_a_checkpoint_starts_from_the_same_weights() {
    let home = tempfile::tempdir().unwrap();
    let seqfit = || seqfit(home.path());
    common::write_stripes(&home.path().join("stripes"), 4, 4, 3);
    succeed(seqfit().arg("import").arg(fixture("plain.safetensors")).args(["--out", "r"]));
    let train = ["train", "-q", "--data-dir", "stripes", "--init-from", "r", "--epochs", "1"];
    succeed(seqfit().args(train).args(["--out", "whole"]));
    succeed(seqfit().args(train).args(["--out", "cut"]));
    let cut = home.path().join("cut");
    let weights = |of: &Path| fs::read(of.join("model.safetensors")).unwrap();
    let back_to_the_start = || {
        fs::remove_dir_all(cut.join("checkpoints")).unwrap();
        for file in ["model.safetensors", "model.pt", "result.json", "history.csv"] {
            let _ = fs::remove_file(cut.join(file));
        }
    };
    back_to_the_start();
    succeed(seqfit().args(["train", "-q", "--resume", "cut"]));
    assert_eq!(weights(&cut), weights(&home.path().join("whole")));
    // Other weights at the same path would give a different run.
    succeed(seqfit().arg("import").arg(fixture("plain.safetensors")).args(["--out", "s"]));
    back_to_the_start();
    other().save(home.path().join("r/model.safetensors")).unwrap();
    let output = run(seqfit().args(["train", "-q", "--resume", "cut"]));
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("whose SHA-256 was"), "{output:#?}");
}

/// Returns a network of the fixtures' shape with other weights.
fn other() -> Sequential {
    let builder = Sequential::new([4, 4]).add(Flatten);
    let builder = builder.add(Dense::new(5).activation(Activation::Relu)).add(Dense::new(3));
    builder.build(Device::Cpu, 9).unwrap()
}

#[test]
fn mismatched_networks_are_listed() {
    let home = tempfile::tempdir().unwrap();
    let seqfit = || seqfit(home.path());
    common::write_stripes(&home.path().join("wide"), 4, 5, 3);
    common::write_stripes(&home.path().join("two"), 4, 4, 2);
    succeed(seqfit().arg("import").arg(fixture("plain.safetensors")).args(["--out", "r"]));
    fs::write(
        home.path().join("network.toml"),
        "input_shape = [4, 4]\nlayers = [{ type = \"flatten\" }, { type = \"dense\", units = 6, activation = \
         \"tanh\" }, { type = \"dense\", units = 3, activation = \"softmax\" }]",
    )
    .unwrap();
    let import =
        |more: &[&str]| run(seqfit().arg("import").arg(fixture("plain.safetensors")).args(more));
    for (more, code, message) in [
        (&["--out", "r"][..], 1, "r is not empty"),
        (
            &["--out", "n", "--network", "network.toml"],
            1,
            "\n  expected 1.weight [6, 16], found 1.weight [5, 16]\n",
        ),
        (&["--out", "n", "--network", "missing.toml"], 1, "missing.toml"),
        (&["--out", "n", "--classes", "a,b"], 1, "has 3 classes, found 2 class names"),
        (&["--out", "n", "--classes", "a,b,a"], 1, "class names"),
        (&["--out", "n", "--input-shape", "5x5"], 1, "takes 16 values, found input shape [5, 5]"),
        (&["--out", "n", "--input-shape", "0"], 2, "a shape is sizes such as"),
    ] {
        let output = import(more);
        assert!(output.code == code && output.stderr.contains(message), "{more:?}: {output:#?}");
    }
    for (data, message) in
        [("wide", "takes samples of shape [4, 4]"), ("two", "has 3 classes, found data of 2")]
    {
        let train = ["train", "--init-from", "r", "--out", "n", "--data-dir", data];
        let output = run(seqfit().args(train));
        assert!(output.code == 1 && output.stderr.contains(message), "{output:#?}");
    }
    assert_eq!(
        listing(home.path()),
        ["network.toml", "r", "two", "wide"],
        "no files are left over"
    );
    // Networks can be given as files and as runs.
    succeed(seqfit().arg("import").arg(fixture("plain.safetensors")).args([
        "--out",
        "tanh",
        "--activation",
        "tanh",
        "--input-shape",
        "2x8",
    ]));
    succeed(seqfit().arg("import").arg(fixture("plain.safetensors")).args([
        "--out",
        "n",
        "--network",
        "tanh",
    ]));
    let network = |of: &str| {
        let text = fs::read_to_string(home.path().join(of).join("config.toml")).unwrap();
        toml::from_str::<toml::Table>(&text).unwrap()["network"].clone()
    };
    assert_eq!(network("n"), network("tanh"));
    assert_eq!(network("n")["layers"][1]["activation"].as_str(), Some("tanh"));
    // --force replaces the whole run.
    let output = import(&["--out", "n", "--force", "--classes", "x,y,z"]);
    assert_eq!(output.code, 0, "{output:#?}");
    assert_eq!(network("n"), network("r"));
}

#[test]
fn inspect_prints_the_contents_of_every_format() {
    let home = tempfile::tempdir().unwrap();
    let seqfit = || seqfit(home.path());
    // One file per reader; the first test reads all of them.
    for name in [
        "state_dict.pt",
        "frozen.pt",
        "program.pt2",
        "packed.npz",
        "legacy.h5",
        "network.keras",
        "tensors.onnx",
    ] {
        let report = json(&succeed(seqfit().arg("inspect").arg(fixture(name)).arg("--json")));
        let tensors = report["tensors"].as_array().unwrap();
        let is_matrix =
            |tensor: &&Value| tensor["shape"].as_array().is_some_and(|sizes| sizes.len() == 2);
        let matrix = tensors.iter().find(is_matrix).unwrap();
        // Σ((7 i mod 23 - 11) / 16)² of the 80 numbers is 14.
        let norm = matrix["norm"].as_f64().unwrap();
        assert!((norm - 14f64.sqrt()).abs() < 1e-5, "{name}: {matrix}");
        let figures = [&matrix["min"], &matrix["max"], &matrix["nan"], &matrix["infinite"]];
        assert_eq!(figures.map(Value::as_f64), [Some(-0.6875), Some(0.6875), Some(0.0), Some(0.0)]);
    }
    // A run with its card, a seqfit export, and non-finite numbers.
    let keras = ["--out", "r", "--classes", "x,y,z", "--activation", "relu"];
    succeed(seqfit().arg("import").arg(fixture("keras.npz")).args(keras));
    let report = json(&succeed(seqfit().args(["inspect", "r", "--json"])));
    assert_eq!(report["card"]["classes"], serde_json::json!(["x", "y", "z"]));
    other().save(home.path().join("own.safetensors")).unwrap();
    let output = succeed(seqfit().args(["inspect", "own.safetensors"]));
    assert!(output.stdout.contains("\n  network: {\"input_shape\":[4,4]"), "{output:#?}");
    let output = succeed(seqfit().args(["inspect", "r/model.pt"]));
    assert!(output.stdout.contains("  classes: [\"x\",\"y\",\"z\"]"), "{output:#?}");
    let numbers: Vec<u8> =
        [1.0f32, f32::NAN, f32::INFINITY, -1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![4], &numbers).unwrap();
    let bytes = safetensors::serialize([("odd\x1b[31m", view)], None).unwrap();
    fs::write(home.path().join("odd.safetensors"), bytes).unwrap();
    let output = succeed(seqfit().args(["inspect", "odd.safetensors"]));
    assert!(
        output.stdout.ends_with("[4]        1.4142     -1.0000      1.0000    1    1\n"),
        "{output:#?}"
    );
    assert!(!output.stdout.contains('\x1b'), "{output:#?}");
}
