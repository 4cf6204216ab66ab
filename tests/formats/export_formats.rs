//! Tests that each export format is loaded by its target program with the lines that `--python` prints,
//! and that it computes the same outputs on every test image.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::common::run_exports::{Case, OPTIONS, Outcome, able, expected, outcomes, python};
use crate::common::{self, run, seqfit, succeed};
use seqfit::export::{self, Card, Format, Options, npy};
use seqfit::layers::{Dense, Dropout, Flatten};
use seqfit::run::Run;
use seqfit::{Activation, Device, FitConfig, Sequential, data};

/// Returns the largest allowed difference between a format's outputs and seqfit's. PyTorch uses the same
/// kernels as seqfit, on another batch size. Others sum in another order: for logits of up to 51, where
/// floats are 4e-6 apart, seqfit's differ by 1.1e-5 from those of the same network in f64, and
/// onnxruntime's by 1.3e-5. The tolerance is therefore relative to an image's largest logit.
/// Probabilities differ by at most half as much as logits.
fn check(title: &str, format: Format, outcome: &Outcome) {
    let (difference, relative) = (outcome.difference, outcome.relative);
    println!("{title}: largest difference {difference:.1e}, relative {relative:.1e}");
    let holds = match (format, outcome.output.as_str()) {
        (Format::Onnx | Format::Keras, "logits") => relative <= 2e-6,
        (Format::Onnx | Format::Keras, _) => difference <= 1e-5,
        _ => difference <= 1e-6,
    };
    assert!(holds, "{title}: {outcome:?}");
}

/// `"onnx, half"`
fn title(format: Format, options: Options) -> String {
    let parts =
        [(true, format.name()), (options.preprocessing, "preprocessing"), (options.half, "half")];
    let parts: Vec<&str> = parts.iter().filter(|part| part.0).map(|part| part.1).collect();
    parts.join(", ")
}

fn save_expected(home: &Path, model: &Sequential, test: &data::Dataset) -> Vec<PathBuf> {
    let save = |(i, options)| {
        let path = home.join(format!("expected-{i}.npy"));
        npy::save(&expected(model, test, options), &path).unwrap();
        path
    };
    OPTIONS.into_iter().enumerate().map(save).collect()
}

/// Returns a folder with the tutorial's run in `run`.
fn tutorial(mnist: &Path) -> (tempfile::TempDir, Run) {
    static TRAINED: OnceLock<tempfile::TempDir> = OnceLock::new();
    let train = ["train", "-q", "--out", "run", "--data-dir"];
    let home = common::copy_of(&TRAINED, |home| {
        succeed(seqfit(home).args(train).arg(mnist));
    });
    let run = Run::open(&home.path().join("run")).unwrap();
    (home, run)
}

/// Exports with every combination of options, and collects the output of `--python`.
fn export_all(home: &Path, run: &Run, formats: &[Format], npys: &[PathBuf]) -> Vec<Made> {
    let mut all = Vec::new();
    for (options, expected) in OPTIONS.into_iter().zip(npys) {
        let able = |format: &&Format| able(**format, options);
        let formats: Vec<Format> = formats.iter().filter(able).copied().collect();
        let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        let mut command = seqfit(home);
        command.args(["export", "run", "--python", "--format", &names.join(",")]);
        command.args(options.preprocessing.then_some(["--with", "preprocessing"]).iter().flatten());
        command.args(options.half.then_some("--half"));
        let printed = succeed(&mut command).stdout;
        let snippets: Vec<&str> = printed.split("# images: ").skip(1).collect();
        assert_eq!(snippets.len(), formats.len(), "{printed}");
        for (format, snippet) in formats.into_iter().zip(snippets) {
            // The printed path is relative to the command's working folder.
            let place = format!("\"{}/run/", home.display());
            let snippet = format!("# images: {}", snippet.replace("\"run/", &place));
            let file = run.export_path(format, options, None);
            let case = Case { snippet, file, expected: expected.clone() };
            all.push(Made { title: title(format, options), format, options, case });
        }
    }
    all
}

/// An exported file.
struct Made {
    title: String,
    format: Format,
    options: Options,
    case: Case,
}

#[test]
fn export_formats_give_the_same_logits_on_mnist() {
    let (Some(mnist), Some(python)) = (common::mnist(), python()) else {
        return;
    };
    let (home, run) = tutorial(&mnist);
    let model = run.load_model(Device::Cpu).unwrap();
    let (_, test) = data::load_dir(&mnist).unwrap();
    let npys = save_expected(home.path(), &model, &test);
    let made = export_all(home.path(), &run, Format::ALL, &npys);
    let accuracy = run.result().unwrap().test.accuracy.unwrap();
    let own = run.card().unwrap();
    let cases = made.iter().map(|made| &made.case);
    for (outcome, made) in outcomes(&python, &mnist, cases).iter().zip(&made) {
        let Made { title, format, options, .. } = made;
        check(title, *format, outcome);
        // Weights in f16 may change one or two predictions.
        let far = if options.half { 5e-4 } else { 1e-9 };
        assert!((outcome.accuracy - accuracy).abs() < far, "{title}: {outcome:?} for {accuracy}");
        assert_eq!(outcome.output, if options.preprocessing { "probabilities" } else { "logits" });
        let card = Card::from_json(&outcome.card).unwrap();
        assert_eq!(card.weights, if options.half { "float16" } else { "float32" }, "{title}");
        assert_eq!((&card.training, &card.network), (&own.training, &own.network), "{title}");
    }
    let training = own.training.unwrap();
    assert_eq!(training.test.unwrap().accuracy, Some(accuracy));
    assert_eq!(training.data.sha256.len(), 4);
    // Report the accuracy lost to f16.
    let [full, half] = [OPTIONS[0], OPTIONS[2]].map(|options| expected(&model, &test, options));
    println!("f16 for f32: largest difference {:.1e}", (full - half).abs().max().double_value(&[]));
}

#[test]
fn tutorial_keras_model_loads_the_exported_weights() {
    let (Some(mnist), Some(python)) = (common::mnist(), python()) else {
        return;
    };
    let (home, run) = tutorial(&mnist);
    let model = run.load_model(Device::Cpu).unwrap();
    let (_, test) = data::load_dir(&mnist).unwrap();
    let [_, expected, ..] = &save_expected(home.path(), &model, &test)[..] else { panic!() };
    succeed(seqfit(home.path()).args(["export", "run", "--format", "keras"]));
    let file = run.export_path(Format::Keras, Options::default(), None);
    // Its last layer is a softmax, which has no weights.
    let snippet = format!(
        "from keras import Input, Sequential
from keras.layers import Dense, Flatten
model = Sequential([Input((28, 28)), Flatten(), Dense(128, \"relu\"), Dense(64, \"relu\"),
                    Dense(10, \"softmax\")])
model.load_weights({file:?})
probabilities = model.predict(images, verbose=0)"
    );
    let case = Case { snippet, file, expected: expected.clone() };
    let [outcome] = &outcomes(&python, &mnist, [&case])[..] else { panic!() };
    check("keras, the tutorial's own model", Format::Keras, outcome);
    assert_eq!(Some(outcome.accuracy), run.result().unwrap().test.accuracy);
}

#[test]
fn oldest_supported_pytorch_gives_the_same_outputs() {
    let Some(python) = std::env::var_os("SEQFIT_OLDEST_PYTHON") else {
        common::not_here(
            "a test with PyTorch 2.11 (set SEQFIT_OLDEST_PYTHON to a Python that has it, numpy and \
             safetensors)",
        );
        return;
    };
    let Some(mnist) = common::mnist() else { return };
    let (home, run) = tutorial(&mnist);
    let model = run.load_model(Device::Cpu).unwrap();
    let (_, test) = data::load_dir(&mnist).unwrap();
    let npys = save_expected(home.path(), &model, &test);
    let formats = [Format::TorchScript, Format::StateDict, Format::Safetensors];
    let made = export_all(home.path(), &run, &formats, &npys);
    let cases = made.iter().map(|made| &made.case);
    for (outcome, made) in outcomes(Path::new(&python), &mnist, cases).iter().zip(&made) {
        check(&format!("{}, PyTorch 2.11", made.title), made.format, outcome);
    }
}

#[test]
fn export_formats_support_every_layer_and_activation() {
    let Some(python) = python() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let stripes = home.path().join("stripes");
    common::write_stripes(&stripes, 6, 5, 3);
    let (train, test) = data::load_dir(&stripes).unwrap();
    for last in [Activation::Linear, Activation::Softmax] {
        let mut model = Sequential::new([6, 5])
            .add(Dropout::new(0.05))
            .add(Flatten)
            .add(Dense::new(9).activation(Activation::Gelu))
            .add(Dropout::new(0.25))
            .add(Dense::new(8).activation(Activation::Silu))
            .add(Dense::new(7).activation(Activation::Tanh))
            .add(Dense::new(6).activation(Activation::Sigmoid))
            .add(Dropout::new(0.1))
            .add(Flatten)
            .add(Dense::new(5).activation(Activation::Relu))
            .add(Dense::new(4))
            .add(Dense::new(3).activation(last))
            .build(Device::Cpu, 1)
            .unwrap();
        model.fit(&train, &FitConfig::default(), &mut []).unwrap();
        let card = Card::new(model.spec(), &["oben", "Mitte", "下"]);
        let npys = save_expected(home.path(), &model, &test);
        let (mut cases, mut titles) = (Vec::new(), Vec::new());
        for (options, expected) in OPTIONS.into_iter().zip(&npys) {
            for format in Format::ALL.iter().copied().filter(|&format| able(format, options)) {
                let title = title(format, options);
                let file = home.path().join(format!("{title}{}", format.ending()));
                export::save(&model, format, &card, options, &file).unwrap();
                let path = file.display().to_string();
                let snippet = export::python(format, &card, options, &path).unwrap();
                cases.push(Case { snippet, file, expected: expected.clone() });
                titles.push(title);
            }
        }
        for (outcome, title) in outcomes(&python, &stripes, &cases).iter().zip(titles) {
            // Few values, of about 1.
            assert!(outcome.difference <= 2e-6, "{title}, {last:?}: {outcome:?}");
            assert_eq!(Card::from_json(&outcome.card).unwrap().classes, card.classes, "{title}");
        }
    }
}

#[test]
fn exports_are_written_to_the_given_paths() {
    let home = tempfile::tempdir().unwrap();
    common::write_stripes(&home.path().join("stripes"), 4, 4, 3);
    let mut train = vec!["train", "-q", "--epochs", "2", "--validation-split", "0.2"];
    train.extend(["--out", "r", "--data-dir", "stripes"]);
    succeed(seqfit(home.path()).args(&train));
    let all = "torchscript,pt2,state-dict,safetensors,onnx,keras";
    let before = fs::read(home.path().join("r/model.pt")).unwrap();
    let output = succeed(seqfit(home.path()).args(["export", "r", "--format", all]));
    let names = ["pt", "pt2", "state_dict.pt", "export.safetensors", "onnx", "weights.h5"];
    let wrote: String = names.map(|name| format!("wrote r/model.{name}\n")).concat();
    assert_eq!(output.stderr, format!("{wrote}next: seqfit export r --format {all} --python\n"));
    // Exporting over the file that training wrote gives the same bytes.
    assert!(fs::read(home.path().join("r/model.pt")).unwrap() == before);
    let repeated = ["--half", "--format", "onnx", "--format", "keras,onnx", "--checkpoint", "best"];
    let output = succeed(seqfit(home.path()).args(["export", "r"]).args(repeated));
    let wrote = "wrote r/model.best.half.onnx\nwrote r/model.best.half.weights.h5\n\
                 next: seqfit export r --checkpoint best --format onnx,keras --half --python\n";
    assert_eq!(output.stderr, wrote);
    assert!(fs::read(home.path().join("r/model.pt")).unwrap() == before);

    // --out is a file for one format, a folder for several.
    succeed(seqfit(home.path()).args(["export", "r", "--format", "onnx", "--out", "a.onnx"]));
    fs::create_dir(home.path().join("out")).unwrap();
    succeed(seqfit(home.path()).args(["export", "r", "--format", "onnx,keras", "--out", "out"]));
    assert_eq!(common::listing(&home.path().join("out")), ["model.onnx", "model.weights.h5"]);
    let onnx = |name: &str| fs::read(home.path().join(name)).unwrap();
    assert!(onnx("a.onnx") == onnx("out/model.onnx") && onnx("a.onnx") == onnx("r/model.onnx"));

    // A checkpoint has no test accuracy.
    let run = Run::open(&home.path().join("r")).unwrap();
    assert!(run.card().unwrap().training.unwrap().test.is_some());
    assert!(run.checkpoint_card().unwrap().training.unwrap().test.is_none());

    // Exports are removed together with their run.
    succeed(seqfit(home.path()).args(&train).arg("--force"));
    assert!(!home.path().join("r/model.onnx").exists());
}

#[test]
fn export_errors_are_reported_before_writing() {
    let home = tempfile::tempdir().unwrap();
    common::write_stripes(&home.path().join("stripes"), 4, 4, 3);
    let train = ["train", "-q", "--epochs", "1", "--out", "r", "--data-dir", "stripes"];
    succeed(seqfit(home.path()).args(train));
    let all = || (common::listing(home.path()), common::listing(&home.path().join("r")));
    let before = all();
    let cases: [(&[&str], i32, &str); 6] = [
        (
            &["--format", "onnx,keras", "--with", "preprocessing"],
            2,
            "keras files hold only weights",
        ),
        (&["--format", "keras", "--out", "w.h5"], 2, "must end in \".weights.h5\", found \"w.h5\""),
        (&["--format", "onnx,keras", "--out", "none"], 2, "--out must name an existing folder"),
        (&["--format", "onnx,keras", "--out", "r/config.toml"], 2, "--out must name an existing"),
        (&["--format", "onnx", "--out", "r/model.safetensors"], 1, "belongs to the run"),
        (&["--format", "onnx", "--out", "none/m.onnx"], 1, "its folder does not exist"),
    ];
    for (options, code, expected) in cases {
        let output = run(seqfit(home.path()).args(["export", "r"]).args(options));
        assert!(
            output.code == code && output.stderr.contains(expected),
            "{options:?}: {output:#?}"
        );
        assert_eq!(all(), before, "{options:?}");
    }
}
