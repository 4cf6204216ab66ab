//! Tests that real PyTorch loads exported `.pt2` files and computes what the TorchScript files compute, bit for bit, and
//! that its compilers and its ONNX exporter take them.

use std::path::{Path, PathBuf};

use super::layers::{every_layer, of_pictures};
use crate::common::{self, python::run_script, run_exports, run_exports::OPTIONS};
use seqfit::export::{self, Card, Format, Options};
use seqfit::layers::{Dense, Dropout, Flatten};
use seqfit::{Activation, Device, OutputActivation, Sequential, Spec, TargetScaling};

/// Writes a network in both formats, with every combination of options, and returns the files without their endings.
fn write(folder: &Path, name: &str, model: &Sequential, all: &[Options]) -> Vec<PathBuf> {
    let classes: Vec<String> =
        (0..model.outputs()).map(|class| format!("klasse {class}")).collect();
    let card = Card::new(model.spec(), &classes);
    let write = |(i, &options): (usize, &Options)| {
        let stem = folder.join(format!("{name}-{i}"));
        for format in [Format::TorchScript, Format::Pt2] {
            // Path::with_extension would replace the end of a name with a dot.
            let path = PathBuf::from(format!("{}{}", stem.display(), format.ending()));
            export::save(model, format, &card, options, &path).unwrap();
        }
        stem
    };
    all.iter().enumerate().map(write).collect()
}

/// Checks the files in Python; `checks` are the names of further ones.
fn check(python: &Path, stems: &[PathBuf], checks: &[&str]) {
    let checks = checks.iter().map(|check| PathBuf::from(format!("--{check}")));
    let arguments = checks.chain(stems.iter().cloned());
    let output = run_script(python, "tests/fixtures/check_pt2.py", arguments, "");
    let expected = format!("{} files agree\n", stems.len());
    assert!(output.code == 0 && output.stdout.ends_with(&expected), "{output:#?}");
}

/// A network with random weights that ends in this layer.
fn ending_in(last: Activation) -> Sequential {
    let builder = Sequential::new([6, 5]).add(Flatten);
    let builder = builder.add(Dense::new(16).activation(Activation::Relu)).add(Dropout::new(0.2));
    builder.add(Dense::new(4).activation(last)).build(Device::Cpu, 3).unwrap()
}

/// Returns a network with the same layers and this output.
fn with_output(model: &Sequential, output: OutputActivation) -> Sequential {
    let spec = Spec { output, ..model.spec().clone() };
    Sequential::from_spec(spec, Device::Cpu, 3).unwrap()
}

/// Networks of every layer, activation and output, in every combination of options.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut stems = write(folder, "layers", &every_layer(), &OPTIONS);
    stems.extend(write(folder, "pictures", &of_pictures(), &OPTIONS));
    stems.extend(write(folder, "softmax", &ending_in(Activation::Softmax), &OPTIONS));
    stems.extend(write(folder, "sigmoid", &ending_in(Activation::Sigmoid), &OPTIONS[..1]));
    for output in [OutputActivation::Softmax, OutputActivation::Sigmoid, OutputActivation::Linear] {
        let model = with_output(&ending_in(Activation::Linear), output);
        let name = format!("output-{}", output.name());
        stems.extend(write(folder, &name, &model, &OPTIONS[1..2]));
    }
    let scaling = TargetScaling { offset: vec![-20.0, 3e5], scale: vec![0.5, 4e4] };
    let scaled = Sequential::new([3])
        .add(Dense::new(4).activation(Activation::Tanh))
        .add(Dense::new(2))
        .target_scaling(scaling)
        .build(Device::Cpu, 3)
        .unwrap();
    let scaled = with_output(&scaled, OutputActivation::Linear);
    stems.extend(write(folder, "scaled", &scaled, &OPTIONS[..1]));
    stems
}

#[test]
fn pt2_computes_what_torchscript_computes() {
    let Some(python) = run_exports::python() else { return };
    let home = tempfile::tempdir().unwrap();
    check(&python, &files(home.path()), &[]);
}

#[test]
fn pt2_is_read_by_the_oldest_supported_pytorch() {
    let Some(python) = std::env::var_os("SEQFIT_OLDEST_PYTHON") else {
        common::not_here("a test with PyTorch 2.11 (set SEQFIT_OLDEST_PYTHON)");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    check(Path::new(&python), &files(home.path()), &[]);
}

#[test]
fn pt2_is_exported_to_onnx_by_pytorch() {
    let Some(python) = common::python_with(&["keras", "onnxscript", "onnxruntime"]) else { return };
    let home = tempfile::tempdir().unwrap();
    // The last options are all of them.
    let options = [OPTIONS[0], OPTIONS[3]];
    let mut stems = write(home.path(), "layers", &every_layer(), &options);
    stems.extend(write(home.path(), "pictures", &of_pictures(), &options));
    check(&python, &stems, &["onnx"]);
}

#[test]
fn pt2_is_compiled_by_pytorch() {
    let Some(python) = run_exports::python() else { return };
    if common::program(&["g++"]).is_none() {
        return;
    }
    if common::all_or_few("networks compiled by torch.compile and AOTInductor", 2, 0) == 0 {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    // torch.compile compiles again for other sizes of batches.
    let mut stems = write(home.path(), "layers", &every_layer(), &OPTIONS[..1]);
    stems.extend(write(home.path(), "softmax", &ending_in(Activation::Softmax), &OPTIONS[3..]));
    check(&python, &stems, &["compile", "aotinductor"]);
    let pictures = write(home.path(), "pictures", &of_pictures(), &OPTIONS[..1]);
    check(&python, &pictures, &["aotinductor"]);
}
