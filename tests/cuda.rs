//! The promise: the same program trains on CUDA. Runs where a GPU is, and says so where none is.
//!
//! A file of its own: a process that has trained on the CPU can no longer load libtorch's CUDA half.

mod common;

use common::succeed;
use seqfit::layers::{Dense, Dropout, Flatten};
use seqfit::{Activation, Device, FitConfig, Optimizer, Sequential, Sgd, data, device};

fn network(device: Device, dropout: f64) -> Sequential {
    Sequential::new([8, 8])
        .add(Flatten)
        .add(Dense::new(32).activation(Activation::Relu))
        .add(Dropout::new(dropout))
        .add(Dense::new(10))
        .build(device, 0)
        .unwrap()
}

#[test]
fn cuda_trains_evaluates_exports_and_agrees_with_the_cpu() {
    let cuda = Device::Cuda(0);
    if let Err(error) = device::require(cuda) {
        return common::not_here(&format!("a test on CUDA ({error})"));
    }
    let (train, test) = data::load("digits").unwrap();
    // The same seed gives the same weights on both devices, and the same order of the samples.
    let optimizer = Optimizer::Sgd(Sgd { learning_rate: 0.05, ..Sgd::default() });
    let config = FitConfig { epochs: 3, optimizer, ..FitConfig::default() };
    let (mut on_cuda, mut on_cpu) = (network(cuda, 0.0), network(Device::Cpu, 0.0));
    let theirs = on_cuda.fit(&train, &config, &mut []).unwrap();
    let ours = on_cpu.fit(&train, &config, &mut []).unwrap();
    for (a, b) in theirs.epochs.iter().zip(&ours.epochs) {
        // float32 sums in another order, over 135 steps.
        assert!(
            (a.loss - b.loss).abs() < 1e-3 * b.loss,
            "{} on CUDA, {} on the CPU",
            a.loss,
            b.loss
        );
    }
    // The weights that CUDA found give the same logits on the CPU.
    on_cpu.load_safetensors(&on_cuda.to_safetensors(Default::default()).unwrap()).unwrap();
    let difference = on_cuda.logits_of(&test).unwrap() - on_cpu.logits_of(&test).unwrap();
    let largest = difference.abs().max().double_value(&[]);
    assert!(largest < 1e-4, "{largest}");

    // The same seed repeats there, too, as far as CUDA's own sums do.
    let mut again = network(cuda, 0.0);
    let repeated = again.fit(&train, &config, &mut []).unwrap();
    assert!((repeated.epochs[2].loss - theirs.epochs[2].loss).abs() < 1e-5);

    // Every optimiser, with dropout, validation and one-hot targets, learns there.
    for name in ["adam", "adamw", "sgd", "rmsprop"] {
        let home = tempfile::tempdir().unwrap();
        let learning_rate = if name == "sgd" { "0.1" } else { "0.003" };
        let options = ["--cuda", "--dataset", "digits", "--epochs", "15", "--out", "r"];
        let more = ["--dropout", "0.1", "--validation-split", "0.1", "--optimizer", name];
        let mut command = common::seqfit(home.path());
        command.args(["train", "-q"]);
        if name == "sgd" || name == "rmsprop" {
            command.args(["--momentum", "0.5", "--loss", "categorical"]);
        }
        succeed(command.args(options).args(more).args(["--learning-rate", learning_rate]));
        for place in [&["--cuda"][..], &[]] {
            let mut command = common::seqfit(home.path());
            let said = succeed(command.args(["evaluate", "r", "--json"]).args(place));
            let figures: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
            let accuracy = figures["accuracy"].as_f64().unwrap();
            assert!(accuracy > 0.8, "{name} {place:?}: {accuracy}");
        }
        // A file without any trace of the GPU: libtorch on the CPU loads it.
        assert!(tch::CModule::load(home.path().join("r/model.pt")).is_ok());
    }
}
