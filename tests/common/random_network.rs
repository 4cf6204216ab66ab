//! Random networks of every layer and activation, with random weights.

use rand::{Rng, RngExt};
use seqfit::layers::{
    AveragePooling2D, BatchNormalization, Conv2D, Dense, DepthwiseConv2D, Dropout, Flatten,
    GaussianNoise, GlobalAveragePooling2D, GlobalMaxPooling2D, Layer, LayerNormalization,
    MaxPooling2D, Normalization, PReLU, Padding, RMSNormalization, Rescaling, Reshape, Residual,
    SeparableConv2D, SpatialDropout2D, ZeroPadding2D,
};
use seqfit::tensors::Tensors;
use seqfit::{Activation, Sequential, Spec};

/// Returns a number of cases: that of an environment variable, or the default.
pub fn cases(default: u64) -> u64 {
    let wanted = std::env::var("SEQFIT_TEST_CASES").ok();
    wanted.map_or(default, |wanted| wanted.parse().expect("SEQFIT_TEST_CASES is a number"))
}

/// Returns a random activation other than softmax.
pub fn activation(rng: &mut impl Rng) -> Activation {
    Activation::ALL[rng.random_range(0..Activation::ALL.len() - 1)]
}

/// Returns a random network for samples of this shape, whose last layer is Dense with `outputs` units.
pub fn spec(rng: &mut impl Rng, input: &[usize], outputs: usize, last: Activation) -> Spec {
    let mut shape = input.to_vec();
    let mut layers = if rng.random_bool(0.3) { pictures(rng, &mut shape) } else { Vec::new() };
    let count = rng.random_range(0..9);
    layers.extend(stack(rng, &mut shape, count, 0));
    if shape.len() > 1 {
        layers.push(Flatten.into());
    }
    let separate = rng.random_bool(0.3);
    let dense = Dense::new(outputs);
    layers.push(if separate { dense } else { dense.activation(last) }.into());
    if separate && last != Activation::Linear {
        layers.push(last.into());
    }
    Spec::new(input, layers)
}

/// Returns layers, the last of which has outputs of `shape`.
fn stack(rng: &mut impl Rng, shape: &mut Vec<usize>, count: usize, depth: usize) -> Vec<Layer> {
    let mut layers = Vec::new();
    for _ in 0..count {
        let last = *shape.last().unwrap();
        let is_vector = shape.len() == 1;
        let layer: Layer = match rng.random_range(0..20) {
            0 | 1 if is_vector => {
                let dense = Dense::new(rng.random_range(1..9));
                dense.activation(activation(rng)).into()
            }
            2 => activation(rng).into(),
            3 => Rescaling::new(rng.random_range(-2.0..2.0), rng.random_range(-1.0..1.0)).into(),
            4 => {
                let mean: Vec<f32> = (0..last).map(|_| rng.random_range(-1.0..1.0)).collect();
                let variance: Vec<f32> = (0..last).map(|_| rng.random_range(0.2..2.0)).collect();
                Normalization::new(mean, variance).into()
            }
            5 => LayerNormalization { epsilon: [1e-3, 1e-5, 0.02][rng.random_range(0..3)] }.into(),
            6 if is_vector || shape.len() == 3 => BatchNormalization {
                momentum: rng.random_range(0.0..1.0),
                epsilon: [1e-3, 1e-5][rng.random_range(0..2)],
            }
            .into(),
            7 if is_vector => PReLU.into(),
            12 => RMSNormalization { epsilon: [1e-6, 1e-3][rng.random_range(0..2)] }.into(),
            8 => Dropout::new(rng.random_range(0.0..0.9)).into(),
            9 => GaussianNoise::new(rng.random_range(0.0..1.0)).into(),
            10 => reshape(rng, shape),
            13..19 if shape.len() == 3 => of_pictures(rng, shape),
            11 if depth < 3 => block(rng, shape, depth),
            _ => Flatten.into(),
        };
        *shape = layer.kind().output_shape(shape).unwrap();
        layers.push(layer);
    }
    layers
}

fn reshape(rng: &mut impl Rng, shape: &[usize]) -> Layer {
    let values: usize = shape.iter().product();
    let divisors: Vec<usize> = (1..=values).filter(|n| values.is_multiple_of(*n)).collect();
    let first = divisors[rng.random_range(0..divisors.len())];
    match rng.random_range(0..5) {
        0 => Reshape::new([values]).into(),
        1 | 2 => {
            let rest = values / first;
            let second = (1..=rest).rev().find(|n| rest.is_multiple_of(*n) && n * n <= rest);
            let second = second.unwrap_or(1);
            Reshape::new([first, rest / second, second]).into()
        }
        _ => Reshape::new([first, values / first]).into(),
    }
}

/// Returns layers that make pictures of samples, and some for pictures.
fn pictures(rng: &mut impl Rng, shape: &mut Vec<usize>) -> Vec<Layer> {
    let values: usize = shape.iter().product();
    let height = (1..=values).rev().find(|n| values.is_multiple_of(*n) && n * n <= values);
    let height = height.unwrap_or(1);
    *shape = vec![1, height, values / height];
    let mut layers = vec![Reshape::new(shape.clone()).into()];
    for _ in 0..rng.random_range(1..4) {
        if shape.len() == 3 {
            let layer = of_pictures(rng, shape);
            *shape = layer.kind().output_shape(shape).unwrap();
            layers.push(layer);
        }
    }
    layers
}

/// Returns a random layer for pictures of this shape.
fn of_pictures(rng: &mut impl Rng, shape: &[usize]) -> Layer {
    let size = [rng.random_range(1..4), rng.random_range(1..4)];
    let strides = [rng.random_range(1..3), rng.random_range(1..3)];
    let fits = size[0] <= shape[1] && size[1] <= shape[2];
    let padding = if fits && rng.random_bool(0.5) { Padding::Valid } else { Padding::Same };
    let valid = if fits { Padding::Valid } else { Padding::Same };
    match rng.random_range(0..12) {
        0 => return MaxPooling2D::new(size).strides(strides).padding(padding).into(),
        // Keras on PyTorch pads means in its own way.
        1 if fits => return AveragePooling2D::new(size).strides(strides).padding(valid).into(),
        2 => return GlobalAveragePooling2D.into(),
        3 => return GlobalMaxPooling2D.into(),
        4 => {
            let mut side = || [rng.random_range(0..3), rng.random_range(0..3)];
            return ZeroPadding2D::new([side(), side()]).into();
        }
        5 => return SpatialDropout2D::new(rng.random_range(0.0..0.9)).into(),
        6 | 7 => {
            let layer = DepthwiseConv2D::new(size).depth_multiplier(rng.random_range(1..3));
            let layer = layer.padding(padding).use_bias(rng.random_bool(0.7));
            return layer.activation(activation(rng)).into();
        }
        8 => {
            let layer = SeparableConv2D::new(rng.random_range(1..5), size).padding(padding);
            let layer = layer.depth_multiplier(rng.random_range(1..3));
            return layer.use_bias(rng.random_bool(0.7)).activation(activation(rng)).into();
        }
        _ => {}
    }
    let groups = if rng.random_bool(0.3) { shape[0] } else { 1 };
    let layer = Conv2D::new(groups * rng.random_range(1..4), size).padding(padding).groups(groups);
    let layer = layer.use_bias(rng.random_bool(0.7)).activation(activation(rng));
    match rng.random_bool(0.2) && padding == Padding::Same {
        true => layer.dilation_rate(2).into(),
        false => layer.strides(strides).into(),
    }
}

/// Returns a residual block: what its layers changed in the shape is undone.
fn block(rng: &mut impl Rng, shape: &[usize], depth: usize) -> Layer {
    let (mut inner, count) = (shape.to_vec(), rng.random_range(1..4));
    let mut layers = stack(rng, &mut inner, count, depth + 1);
    if inner != shape {
        let values = shape.iter().product();
        layers.extend([Flatten.into(), Dense::new(values).into(), Reshape::new(shape).into()]);
    }
    Residual { layers }.into()
}

/// Gives every parameter and buffer random values.
pub fn randomize(model: &mut Sequential, rng: &mut impl Rng) {
    let mut weights: Tensors = model.weights().unwrap();
    for (name, tensor) in &mut weights {
        let (from, to) = if name.ends_with("running_var") { (0.3, 2.0) } else { (-0.8, 0.8) };
        let values = tensor.values.iter().map(|_| rng.random_range(from..to));
        tensor.values = std::sync::Arc::new(values.collect());
    }
    model.set_weights(&weights).unwrap();
}
