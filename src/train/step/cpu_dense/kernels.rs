//! The loops of a step over plain lists. Each is compiled for several instruction sets; the best one that
//! the processor has is chosen at run time.
//!
//! None of them depends on the number of elements in a register: each element is computed separately, or
//! summed in a fixed order.

use multiversion::multiversion;

use crate::model::Activation;

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
