//! The weight update of each optimizer on the CPU, in the order of operations of PyTorch's.

use multiversion::multiversion;

use crate::train::optimizer::{Adam, AdamW, Optimizer, RmsProp, Sgd};

/// The optimizer of one step, with its coefficients precomputed.
#[derive(Clone, Copy, Debug)]
pub enum Update {
    Adam(AdamNumbers),
    Sgd { rate: f32, momentum: f32, nesterov: bool, decay: f32, first: bool },
    RmsProp { rate: f32, rho: f32, momentum: f32, epsilon: f32 },
}

/// The coefficients of Adam with the bias corrections of its step, in the order of `torch.optim.Adam`.
#[derive(Clone, Copy, Debug)]
pub struct AdamNumbers {
    /// 1 − lr · λ, which the weights are multiplied by first.
    keep: f32,
    /// lr / (1 − β₁ᵗ)
    width: f32,
    /// 1 − β₁
    new: f32,
    /// β₂
    beta2: f32,
    /// 1 / √(1 − β₂ᵗ)
    correction: f32,
    epsilon: f32,
}

impl Update {
    /// Returns the update of an optimizer with this step's learning rate, after `before` other steps.
    pub fn new(optimizer: Optimizer, before: u64) -> Self {
        let adam = |rate: f64, [beta1, beta2]: [f64; 2], epsilon: f64, decay: f64| {
            let step = (before + 1) as f64;
            Self::Adam(AdamNumbers {
                keep: (1.0 - rate * decay) as f32,
                width: (rate / (1.0 - beta1.powf(step))) as f32,
                new: (1.0 - beta1) as f32,
                beta2: beta2 as f32,
                correction: (1.0 / (1.0 - beta2.powf(step)).sqrt()) as f32,
                epsilon: epsilon as f32,
            })
        };
        match optimizer {
            Optimizer::Adam(Adam { learning_rate, beta1, beta2, epsilon }) => {
                adam(learning_rate, [beta1, beta2], epsilon, 0.0)
            }
            Optimizer::AdamW(AdamW { learning_rate, beta1, beta2, epsilon, weight_decay }) => {
                adam(learning_rate, [beta1, beta2], epsilon, weight_decay)
            }
            Optimizer::Sgd(Sgd { learning_rate, momentum, nesterov, weight_decay }) => Self::Sgd {
                rate: learning_rate as f32,
                momentum: momentum as f32,
                nesterov,
                decay: weight_decay as f32,
                first: before == 0,
            },
            Optimizer::RmsProp(RmsProp { learning_rate, rho, momentum, epsilon }) => {
                Self::RmsProp {
                    rate: learning_rate as f32,
                    rho: rho as f32,
                    momentum: momentum as f32,
                    epsilon: epsilon as f32,
                }
            }
        }
    }

    /// Updates weights with their gradients, which are multiplied by `scale`. Moment lists are empty if
    /// the optimizer does not keep them.
    pub fn apply(
        &self,
        w: &mut [f32],
        g: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        scale: f32,
    ) {
        match *self {
            Self::Adam(numbers) => adam(w, g, first, second, scale, numbers),
            Self::Sgd { rate, momentum, nesterov, decay, first: is_first } => {
                if decay > 0.0 {
                    // Before the step, and not in it: the steps without decay keep their bits.
                    let g: Vec<f32> =
                        g.iter().zip(&*w).map(|(g, w)| scale * g + decay * w).collect();
                    let plain = Self::Sgd { rate, momentum, nesterov, decay: 0.0, first: is_first };
                    return plain.apply(w, &g, first, second, 1.0);
                }
                match momentum {
                    0.0 => plain(w, g, scale * rate),
                    _ => sgd(w, g, first, scale, [rate, momentum], [nesterov, is_first]),
                }
            }
            Self::RmsProp { rate, rho, momentum, epsilon } => match momentum {
                0.0 => rmsprop(w, g, first, scale, [rate, rho, epsilon]),
                _ => {
                    rmsprop_momentum(w, g, first, second, scale, [rate, rho, momentum, epsilon]);
                }
            },
        }
    }
}

/// Replaces numbers that are so small that processors are slow with them by zero.
#[inline(always)]
fn flushed(value: f32) -> f32 {
    if value.abs() < 1e-36 { 0.0 } else { value }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn adam(w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], scale: f32, numbers: AdamNumbers) {
    let AdamNumbers { keep, width, new, beta2, correction, epsilon } = numbers;
    for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        let g = scale * g;
        *m = flushed(*m + new * (g - *m));
        *v = flushed(beta2 * *v + (1.0 - beta2) * g * g);
        *w = keep * *w - width * *m / (v.sqrt() * correction + epsilon);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn plain(w: &mut [f32], g: &[f32], rate: f32) {
    w.iter_mut().zip(g).for_each(|(w, g)| *w -= rate * g);
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn sgd(
    w: &mut [f32],
    g: &[f32],
    b: &mut [f32],
    scale: f32,
    [rate, momentum]: [f32; 2],
    [nesterov, first]: [bool; 2],
) {
    for ((w, g), b) in w.iter_mut().zip(g).zip(b) {
        let g = scale * g;
        *b = flushed(if first { g } else { momentum * *b + g });
        *w -= rate * if nesterov { g + momentum * *b } else { *b };
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn rmsprop(w: &mut [f32], g: &[f32], v: &mut [f32], scale: f32, [rate, rho, epsilon]: [f32; 3]) {
    for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
        let g = scale * g;
        *v = flushed(rho * *v + (1.0 - rho) * g * g);
        *w -= rate * (g / (v.sqrt() + epsilon));
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn rmsprop_momentum(
    w: &mut [f32],
    g: &[f32],
    v: &mut [f32],
    b: &mut [f32],
    scale: f32,
    [rate, rho, momentum, epsilon]: [f32; 4],
) {
    for (((w, g), v), b) in w.iter_mut().zip(g).zip(v).zip(b) {
        let g = scale * g;
        *v = flushed(rho * *v + (1.0 - rho) * g * g);
        *b = flushed(momentum * *b + g / (v.sqrt() + epsilon));
        *w -= rate * *b;
    }
}
