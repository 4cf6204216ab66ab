//! The training loop of tch's examples: nn::Sequential, nn::Adam, index_select, backward_step. Prints the
//! samples per second of each epoch.

use std::time::Instant;

use seqfit_peers::args;
use tch::nn::{self, Module, OptimizerConfig};
use tch::{Device, Kind, Tensor};

fn main() -> anyhow::Result<()> {
    let args = args()?;
    let n = args.mnist.labels.len() as i64;
    let x = Tensor::from_slice(&args.mnist.pixels).reshape([n, 784]);
    let y = Tensor::from_slice(&args.mnist.labels);
    let store = nn::VarStore::new(Device::Cpu);
    let root = store.root();
    let network = nn::seq()
        .add(nn::linear(&root / "1", 784, 128, Default::default()))
        .add_fn(|x| x.relu())
        .add(nn::linear(&root / "2", 128, 64, Default::default()))
        .add_fn(|x| x.relu())
        .add(nn::linear(&root / "3", 64, 10, Default::default()));
    let mut optimizer = nn::Adam::default().build(&store, 1e-3)?;
    for _ in 0..args.epochs {
        let started = Instant::now();
        let order = Tensor::randperm(n, (Kind::Int64, Device::Cpu));
        for chosen in order.split(args.batch as i64, 0) {
            let logits = network.forward(&x.index_select(0, &chosen));
            let loss = logits.cross_entropy_for_logits(&y.index_select(0, &chosen));
            optimizer.backward_step(&loss);
        }
        println!("{}", n as f64 / started.elapsed().as_secs_f64());
    }
    Ok(())
}
