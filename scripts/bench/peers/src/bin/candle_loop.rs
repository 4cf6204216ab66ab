//! Training with idiomatic candle: Linear layers, AdamW without weight decay, backward_step, index_select for
//! batches. Prints the samples per second of each epoch.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use candle_nn::{AdamW, Linear, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, linear, loss};
use rand::seq::SliceRandom;
use seqfit_peers::args;

fn main() -> anyhow::Result<()> {
    let args = args()?;
    let n = args.mnist.labels.len();
    let device = Device::Cpu;
    let x = Tensor::from_vec(args.mnist.pixels, (n, 784), &device)?;
    let y = Tensor::from_vec(args.mnist.labels, n, &device)?;
    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &device);
    let layers: Vec<Linear> = [(784, 128), (128, 64), (64, 10)]
        .into_iter()
        .enumerate()
        .map(|(i, (inputs, units))| linear(inputs, units, builder.pp(i)))
        .collect::<Result<_, _>>()?;
    let adam = ParamsAdamW { lr: 1e-3, weight_decay: 0.0, ..ParamsAdamW::default() };
    let mut optimizer = AdamW::new(variables.all_vars(), adam)?;
    let mut order: Vec<u32> = (0..n as u32).collect();
    for _ in 0..args.epochs {
        let started = Instant::now();
        order.shuffle(&mut rand::rng());
        for chosen in order.chunks(args.batch) {
            let chosen = Tensor::new(chosen, &device)?;
            let mut h = x.index_select(&chosen, 0)?;
            for (i, layer) in layers.iter().enumerate() {
                h = layer.forward(&h)?;
                if i + 1 < layers.len() {
                    h = h.relu()?;
                }
            }
            let loss = loss::cross_entropy(&h, &y.index_select(&chosen, 0)?)?;
            optimizer.backward_step(&loss)?;
        }
        println!("{}", n as f64 / started.elapsed().as_secs_f64());
    }
    Ok(())
}
