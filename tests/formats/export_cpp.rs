//! Tests that a C++ program loads exported files with `torch::jit::load` and computes the same outputs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common;
use crate::common::run_exports::{OPTIONS, expected};
use seqfit::export::{self, Card, Format};
use seqfit::layers::{Dense, Dropout, Flatten};
use seqfit::{Activation, Device, Sequential, data};
use tch::Tensor;

/// libtorch 2.13, which this crate was built with, and 2.11, the oldest supported, if it is available.
fn libtorchs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = std::env::var_os("LIBTORCH").map_or(root.join("vendor/libtorch"), PathBuf::from);
    let oldest = root.join("vendor/libtorch-2.11.0");
    [own].into_iter().chain(oldest.is_dir().then_some(oldest)).collect()
}

fn compile(libtorch: &Path, program: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/load_torchscript.cpp");
    let (include, lib) = (libtorch.join("include"), libtorch.join("lib"));
    let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or("c++".into()));
    compiler.args(["-std=c++20", "-O0", "-w", "-I"]).arg(&include);
    compiler.arg("-I").arg(include.join("torch/csrc/api/include"));
    compiler.arg(source).arg("-o").arg(program).arg("-L").arg(&lib);
    compiler.arg(format!("-Wl,-rpath,{}", lib.display())).args(["-ltorch", "-ltorch_cpu", "-lc10"]);
    let output = compiler.output().expect("a C++ compiler, as for the build");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn cpp_program_computes_the_same_outputs() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    // The real test images if available, else the digits.
    let (_, test) = match common::mnist() {
        Some(mnist) => data::load_dir(&mnist).unwrap(),
        None => data::load("digits").unwrap(),
    };
    let [height, width] = test.image_shape().unwrap();
    let pixels: Vec<u8> = (0..test.len()).flat_map(|i| test.image(i).to_vec()).collect();
    fs::write(at("pixels"), pixels).unwrap();
    let model = Sequential::new([height, width])
        .add(Flatten)
        .add(Dense::new(32).activation(Activation::Gelu))
        .add(Dropout::new(0.5))
        .add(Dense::new(16).activation(Activation::Silu))
        .add(Dense::new(10))
        .build(Device::Cpu, 1)
        .unwrap();
    let card = Card::new(model.spec(), test.classes());
    for libtorch in libtorchs() {
        compile(&libtorch, &at("program"));
        for options in OPTIONS {
            export::save(&model, Format::TorchScript, &card, options, &at("model.pt")).unwrap();
            let mut program = Command::new(at("program"));
            program.arg(at("model.pt")).arg(at("pixels"));
            program.args([test.len(), height, width].map(|size| size.to_string()));
            let output = common::succeed(program.arg(at("outputs")).env_remove("LD_LIBRARY_PATH"));
            let (version, text) = output.stdout.split_once(' ').unwrap();
            assert_eq!(Card::from_json(text).unwrap().classes, test.classes());
            let bytes = fs::read(at("outputs")).unwrap();
            let values: Vec<f32> =
                bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
            let outputs = Tensor::from_slice(&values).reshape([test.len() as i64, 10]);
            let difference =
                (outputs - expected(&model, &test, options)).abs().max().double_value(&[]);
            println!("{options:?}, libtorch {version}: largest difference {difference:.1e}");
            // The same kernels on another batch size; 2.11 has older kernels.
            assert!(difference <= 1e-6, "{options:?}, {version}: {difference}");
        }
    }
}
