//! The loops of a step over plain lists. Each is compiled for several instruction sets; the best one that
//! the processor has is chosen at run time.
//!
//! None of them depends on the number of elements in a register: each element is computed separately, or
//! summed in a fixed order.

use multiversion::multiversion;

use super::dense_stack::Curve;

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

/// Writes the transpose of a matrix with this number of columns.
pub fn transpose(out: &mut [f32], matrix: &[f32], columns: usize) {
    /// Rows at a time: a line of the cache of each row of `out`.
    const ROWS: usize = 16;
    let rows = matrix.len() / columns;
    for (first, block) in (0..).step_by(ROWS).zip(matrix.chunks(ROWS * columns)) {
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            let values = block[column..].iter().step_by(columns);
            out[first..].iter_mut().zip(values).for_each(|(out, &value)| *out = value);
        }
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
pub fn activate(activation: Curve, outputs: &mut [f32], slopes: &mut [f32]) {
    match activation {
        Curve::Relu => relu(outputs, slopes),
        Curve::Linear => slopes.fill(1.0),
        Curve::Sigmoid => each(outputs, slopes, |z| {
            let s = sigmoid(z);
            (s, s * (1.0 - s))
        }),
        Curve::Silu => each(outputs, slopes, |z| {
            let s = sigmoid(z);
            (z * s, s * (1.0 + z * (1.0 - s)))
        }),
        Curve::Tanh => each(outputs, slopes, |z| {
            let t = z.tanh();
            (t, 1.0 - t * t)
        }),
        Curve::Gelu => each(outputs, slopes, |z| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_are_transposed() {
        for (rows, columns) in [(1, 1), (5, 3), (16, 32), (33, 7), (1, 40), (40, 1)] {
            let matrix: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let mut out = vec![f32::NAN; matrix.len()];
            transpose(&mut out, &matrix, columns);
            for (i, value) in out.iter().enumerate() {
                assert_eq!(*value, matrix[i % rows * columns + i / rows], "{rows} x {columns}");
            }
        }
    }
}
