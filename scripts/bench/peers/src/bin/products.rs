//! Only the matrix products of a step, computed by libtorch's `mm_out` with all its threads into preallocated
//! tensors: an upper limit for programs that compute with libtorch. Prints samples per second.

use std::time::Instant;

use seqfit_peers::args;
use tch::{Device, Kind, Tensor, no_grad};

fn main() -> anyhow::Result<()> {
    let args = args()?;
    let (batch, n) = (args.batch as i64, args.mnist.labels.len());
    let random = |rows, columns| Tensor::randn([rows, columns], (Kind::Float, Device::Cpu));
    let sizes = [784, 128, 64, 10];
    // For each layer: input, weights, output; the gradients of the three.
    let mut layers: Vec<[Tensor; 6]> = sizes
        .windows(2)
        .map(|size| {
            let (inputs, units) = (size[0], size[1]);
            [
                random(batch, inputs),
                random(units, inputs),
                random(batch, units),
                random(batch, inputs),
                random(units, inputs),
                random(batch, units),
            ]
        })
        .collect();
    no_grad(|| {
        for _ in 0..args.epochs {
            let started = Instant::now();
            for _ in 0..n / args.batch {
                for [x, w, y, ..] in &mut layers {
                    let _ = x.mm_out(y, &w.tr());
                }
                for (i, [x, w, _, dx, dw, dy]) in layers.iter_mut().enumerate().rev() {
                    let _ = dy.tr().mm_out(dw, x);
                    // The pixels need no gradient.
                    if i > 0 {
                        let _ = dy.mm_out(dx, w);
                    }
                }
            }
            let samples = (n / args.batch * args.batch) as f64;
            println!("{}", samples / started.elapsed().as_secs_f64());
        }
    });
    Ok(())
}
