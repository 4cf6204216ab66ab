//! Training with idiomatic burn on its CPU backend "flex": a module of Linear layers, Adam, `select` for
//! batches. Prints the samples per second of each epoch.

#[path = "../../peers/src/lib.rs"]
mod peers;

use std::time::Instant;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData, activation::relu};
use rand::seq::SliceRandom;

use peers::args;

#[derive(Module, Debug)]
struct Network {
    first: Linear,
    second: Linear,
    last: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        let [first, second, last] = [(784, 128), (128, 64), (64, 10)]
            .map(|(inputs, units)| LinearConfig::new(inputs, units).init(device));
        Self { first, second, last }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let h = relu(self.first.forward(x));
        self.last.forward(relu(self.second.forward(h)))
    }
}

fn main() -> anyhow::Result<()> {
    let args = args()?;
    let n = args.mnist.labels.len();
    let device = Device::flex().autodiff();
    let x = Tensor::<2>::from_data(TensorData::new(args.mnist.pixels, [n, 784]), &device);
    let y = Tensor::<1, Int>::from_data(TensorData::new(args.mnist.labels, [n]), &device);
    let mut network = Network::new(&device);
    let loss_of = CrossEntropyLossConfig::new().init(&device);
    let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
    let mut order: Vec<i64> = (0..n as i64).collect();
    for _ in 0..args.epochs {
        let started = Instant::now();
        order.shuffle(&mut rand::rng());
        for chosen in order.chunks(args.batch) {
            let chosen = TensorData::new(chosen.to_vec(), [chosen.len()]);
            let chosen = Tensor::<1, Int>::from_data(chosen, &device);
            let logits = network.forward(x.clone().select(0, chosen.clone()));
            let loss = loss_of.forward(logits, y.clone().select(0, chosen));
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(1e-3, network, gradients);
        }
        println!("{}", n as f64 / started.elapsed().as_secs_f64());
    }
    Ok(())
}
