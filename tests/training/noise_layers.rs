//! Tests of layers that draw random numbers in training: Dropout and GaussianNoise.

use seqfit::layers::{Dense, Dropout, GaussianNoise, Layer};
use seqfit::tensors::HostTensor;
use seqfit::{Device, Mode, Sequential};
use tch::{Kind, Tensor};

const WIDTH: usize = 32;
const SAMPLES: i64 = 4000;
const VALUES: f64 = (WIDTH as i64 * SAMPLES) as f64;

/// Returns a network with this layer alone: the matrix of the Dense layer after it is the identity.
fn alone(layer: impl Into<Layer>) -> Sequential {
    let builder = Sequential::new([WIDTH]).add(layer).add(Dense::new(WIDTH));
    let mut model = builder.build(Device::Cpu, 0).unwrap();
    let mut weights = model.weights().unwrap();
    let identity = (0..WIDTH * WIDTH).map(|i| f32::from(i % (WIDTH + 1) == 0)).collect();
    *weights.get_mut("1.weight").unwrap() = HostTensor::new(vec![WIDTH, WIDTH], identity);
    model.set_weights(&weights).unwrap();
    model
}

fn input() -> Tensor {
    tch::manual_seed(3);
    Tensor::randn([SAMPLES, WIDTH as i64], (Kind::Float, Device::Cpu))
}

/// Returns the output in training, and the gradient of its sum with respect to the input.
fn trained(model: &Sequential, x: &Tensor) -> [Tensor; 2] {
    let x = x.copy().set_requires_grad(true);
    let y = model.forward(&x, Mode::Training { seed: 5, step: 1 }).unwrap();
    y.sum(Kind::Float).backward();
    [y.detach(), x.grad()]
}

fn mean(x: &Tensor) -> f64 {
    x.to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
}

#[test]
fn both_layers_change_nothing_in_evaluation() {
    let x = input();
    for layer in [Layer::from(Dropout::new(0.4)), GaussianNoise::new(0.7).into()] {
        let model = alone(layer);
        assert!(model.logits(&x).unwrap().equal(&x));
        assert!(model.forward(&x, Mode::Inference).unwrap().equal(&x));
    }
    for layer in [Layer::from(Dropout::new(0.0)), GaussianNoise::new(0.0).into()] {
        assert!(trained(&alone(layer), &x)[0].equal(&x));
    }
}

#[test]
fn dropout_drops_its_rate_and_scales_the_rest_exactly() {
    let ones = Tensor::ones([SAMPLES, WIDTH as i64], (Kind::Float, Device::Cpu));
    for rate in [0.1, 0.25, 0.5, 0.9] {
        let model = alone(Dropout::new(rate));
        let [output, gradient] = trained(&model, &ones);
        let scale = (1.0 / (1.0 - rate)) as f32;
        let dropped = output.eq(0.0);
        let scaled = output.eq_tensor(&Tensor::from(scale));
        assert!(bool::try_from(dropped.logical_or(&scaled).all()).unwrap(), "{rate}");
        // The same mask in both directions.
        assert!(gradient.equal(&output), "{rate}");
        // Four standard deviations of the number of zeros; the mean follows from it.
        let found = mean(&dropped.to_kind(Kind::Double));
        let deviation = (rate * (1.0 - rate) / VALUES).sqrt();
        assert!((found - rate).abs() < 4.0 * deviation, "{rate}: {found}");
        // The mask is the same for other inputs.
        let x = input();
        let expected = &x * dropped.logical_not().to_kind(Kind::Float) * f64::from(scale);
        let difference = (&trained(&model, &x)[0] - expected).abs().max().double_value(&[]);
        assert!(difference <= 1e-6 * f64::from(scale) * 5.0, "{rate}: {difference}");
    }
}

#[test]
fn gaussian_noise_has_its_mean_and_variance() {
    let x = input();
    for stddev in [0.05, 1.5] {
        let [output, gradient] = trained(&alone(GaussianNoise::new(stddev)), &x);
        let noise = (output - &x).to_kind(Kind::Double) / stddev;
        let (average, variance) = (mean(&noise), mean(&noise.square()));
        // Four standard deviations of the mean and of the variance of so many normal values.
        assert!(average.abs() < 4.0 / VALUES.sqrt(), "{stddev}: {average}");
        assert!((variance - 1.0).abs() < 4.0 * (2.0 / VALUES).sqrt(), "{stddev}: {variance}");
        assert!(gradient.equal(&gradient.ones_like()), "{stddev}");
    }
}
