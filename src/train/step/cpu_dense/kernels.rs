//! The loops of a step over plain lists. Each is compiled for several instruction sets; the best one that
//! the processor has is chosen at run time.
//!
//! None of them depends on the number of elements in a register: each element is computed separately, or
//! summed in a fixed order.

use multiversion::multiversion;

use crate::model::Activation;
use crate::train::optimizer::{Adam, AdamW, Optimizer, RmsProp, Sgd};

/// The target of the loss.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The fraction of a target that is spread over all classes.
    pub smoothing: f64,
    /// Samples of the whole batch, of which the loss is the mean.
    pub samples: usize,
}

/// Adds `bias` to each row.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn add_to_rows(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
    }
}

/// Writes the sum of a block's products and `bias` to some columns, from `first` on, of rows of `width`
/// elements.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn with_bias(rows: &mut [f32], width: usize, first: usize, products: &[f32], bias: &[f32]) {
    for (row, products) in rows.chunks_exact_mut(width).zip(products.chunks_exact(bias.len())) {
        let sums = products.iter().zip(bias).map(|(product, bias)| product + bias);
        row[first..].iter_mut().zip(sums).for_each(|(value, sum)| *value = sum);
    }
}

/// Marks the active columns of a row.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub fn mark(marks: &mut [u8], row: &[f32]) {
    marks.iter_mut().zip(row).for_each(|(mark, &value)| *mark |= u8::from(value != 0.0));
}

/// Marks like [`mark`], but from pixels or from other marks.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub fn mark_pixels(marks: &mut [u8], row: &[u8]) {
    marks.iter_mut().zip(row).for_each(|(mark, &value)| *mark |= value);
}

/// Multiplies element by element.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn scale_by(values: &mut [f32], factors: &[f32]) {
    values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
}

/// Applies Dropout: multiplies by `mask` and scales so that the mean stays.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn drop_out(values: &mut [f32], mask: &[f32], rate: f64) {
    let scale = (1.0 / (1.0 - rate)) as f32;
    values.iter_mut().zip(mask).for_each(|(value, mask)| *value = *value * mask * scale);
}

/// Returns the sum of all squares.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn squares(values: &[f32]) -> f64 {
    // Sixteen sums side by side, regardless of the width of the registers.
    let mut sums = [0f64; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    let rest: f64 = rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    sums.iter().sum::<f64>() + rest
}

/// Updates a moving average with `values`: a ← a + fraction · (v − a).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn follow(average: &mut [f32], values: &[f32], fraction: f32) {
    for (average, &value) in average.iter_mut().zip(values) {
        *average += fraction * (value - *average);
    }
}

/// Applies a layer's activation: `outputs` z become act(z), `slopes` its derivative.
pub fn activate(activation: Activation, outputs: &mut [f32], slopes: &mut [f32]) {
    match activation {
        Activation::Relu => relu(outputs, slopes),
        // The network's outputs are its logits.
        Activation::Linear | Activation::Softmax => slopes.fill(1.0),
        Activation::Sigmoid => each(outputs, slopes, |z| {
            let s = sigmoid(z);
            (s, s * (1.0 - s))
        }),
        Activation::Silu => each(outputs, slopes, |z| {
            let s = sigmoid(z);
            (z * s, s * (1.0 + z * (1.0 - s)))
        }),
        Activation::Tanh => each(outputs, slopes, |z| {
            let t = z.tanh();
            (t, 1.0 - t * t)
        }),
        Activation::Gelu => each(outputs, slopes, |z| {
            use std::f32::consts::{FRAC_1_SQRT_2, PI};
            // The normal distribution and its density.
            let cdf = 0.5 * (1.0 + libm::erff(z * FRAC_1_SQRT_2));
            let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
            (z * cdf, cdf + z * density)
        }),
    }
}

fn sigmoid(z: f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}

#[inline(always)]
fn each(outputs: &mut [f32], slopes: &mut [f32], of: impl Fn(f32) -> (f32, f32)) {
    for (output, slope) in outputs.iter_mut().zip(slopes) {
        (*output, *slope) = of(*output);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn relu(outputs: &mut [f32], slopes: &mut [f32]) {
    // Written so that NaN stays NaN.
    each(outputs, slopes, |z| if z <= 0.0 { (0.0, 0.0) } else { (z, 1.0) });
}

/// Computes the cross-entropy of rows of `classes` logits; returns the sum of the losses and the number
/// of rows with their highest logit at the label. `gradients` become those of the batch's mean loss.
pub fn loss(
    logits: &[f32],
    labels: &[u32],
    gradients: &mut [f32],
    classes: usize,
    target: Target,
) -> (f64, i64) {
    let scale = 1.0 / target.samples as f32;
    let (kept, spread) =
        ((1.0 - target.smoothing) as f32, (target.smoothing / classes as f64) as f32);
    let (mut sum, mut correct) = (0.0, 0);
    let rows = logits.chunks_exact(classes).zip(gradients.chunks_exact_mut(classes));
    for ((logits, gradients), &label) in rows.zip(labels) {
        let label = label as usize;
        let (mut best, mut top) = (0, f32::NEG_INFINITY);
        for (class, &logit) in logits.iter().enumerate() {
            // NaN wins, as in libtorch.
            if logit > top || logit.is_nan() && !top.is_nan() {
                (best, top) = (class, logit);
            }
        }
        let mut total = 0.0;
        for (gradient, &logit) in gradients.iter_mut().zip(logits) {
            *gradient = (logit - top).exp();
            total += *gradient;
        }
        // −log p(class) = log Σ exp(z − top) + (top − z), in this order: large logits would leave nothing
        // of the first term.
        let log_total = total.ln();
        let mut loss = f64::from(kept * ((top - logits[label]) + log_total));
        if spread > 0.0 {
            let all: f32 = logits.iter().map(|logit| (top - logit) + log_total).sum();
            loss += f64::from(spread * all);
        }
        sum += loss;
        correct += i64::from(best == label);
        // p − target comes first, and then the mean. Rounded the other way round, the target's fraction
        // would be off by the same bit in every row, and a sum over rows that nearly cancels out would be
        // off by all of them.
        gradients.iter_mut().for_each(|gradient| *gradient = *gradient / total - spread);
        gradients[label] -= kept;
        gradients.iter_mut().for_each(|gradient| *gradient *= scale);
    }
    (sum, correct)
}

/// The optimizer of one step, with its coefficients precomputed.
#[derive(Clone, Copy, Debug)]
pub enum Update {
    Adam(AdamNumbers),
    Sgd { rate: f32, momentum: f32, nesterov: bool, first: bool },
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
            Optimizer::Sgd(Sgd { learning_rate, momentum, nesterov }) => Self::Sgd {
                rate: learning_rate as f32,
                momentum: momentum as f32,
                nesterov,
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
            Self::Sgd { rate, momentum, nesterov, first: is_first } => match momentum {
                0.0 => plain(w, g, scale * rate),
                _ => sgd(w, g, first, scale, [rate, momentum], [nesterov, is_first]),
            },
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

#[cfg(test)]
mod tests {
    use super::*;

    /// torch.nn.functional.cross_entropy in float64 of logits [top, top - gap] and label 0.
    #[test]
    fn large_logits_leave_small_losses() {
        for (top, gap, expected) in
            [(20.0, 14.0, 8.315283757e-7), (40.0, 13.0, 2.260326991e-6), (1e6, 3.0, 4.858735157e-2)]
        {
            let mut gradients = [0.0; 2];
            let target = Target { smoothing: 0.0, samples: 1 };
            let (loss, correct) = loss(&[top, top - gap], &[0], &mut gradients, 2, target);
            assert_eq!(correct, 1);
            // One unit of an f32's last place near 1, which the sum of exponentials is rounded to.
            assert!((loss - expected).abs() < 1.2e-7, "{loss} for {expected}");
        }
    }
}
