//! Loops over the values of pictures, compiled for several instruction sets. Each value is computed separately, or
//! summed in a fixed order.

use multiversion::multiversion;

use crate::native::convolution::LANES;

/// Replaces negative values by zero. NaN stays NaN.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn relu(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = if *value <= 0.0 { 0.0 } else { *value });
}

/// Replaces the gradients of outputs of relu that are zero by zero.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn relu_gradient(gradients: &mut [f32], outputs: &[f32]) {
    for (gradient, &output) in gradients.iter_mut().zip(outputs) {
        *gradient = if output == 0.0 { 0.0 } else { *gradient };
    }
}

/// Adds each row of `rows` to `sums`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn add_rows(sums: &mut [f32], rows: &[f32]) {
    let width = sums.len();
    for (first, sums) in (0..).step_by(LANES).zip(sums.as_chunks_mut::<LANES>().0) {
        let mut own = [0f32; LANES];
        for row in rows[first..].chunks(width) {
            own.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
    }
}

/// Adds element by element.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// The products of a convolution of single channels: for each pixel of its output, pixels of the input and the weights
/// that they are multiplied by.
#[derive(Debug, Default)]
pub struct Taps {
    /// Those of all pixels, one pixel after the other.
    pub all: Vec<(usize, usize)>,
    /// The end of each pixel's.
    pub ends: Vec<usize>,
}

impl Taps {
    /// Returns those of each pixel.
    #[inline(always)]
    fn of_pixels(&self) -> impl Iterator<Item = &[(usize, usize)]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(&start, &end)| &self.all[start..end])
    }
}

/// Returns the values of 16 channels of a pixel.
#[inline(always)]
fn at(values: &[f32], place: usize, channels: usize, first: usize) -> &[f32] {
    &values[place * channels + first..][..LANES]
}

/// Writes the sum of products for each pixel and channel, and the bias. `weights` are [weights, channels].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn multiply_taps(y: &mut [f32], x: &[f32], taps: &Taps, weights: &[f32], bias: &[f32]) {
    let channels = bias.len();
    for (y, taps) in y.chunks_exact_mut(channels).zip(taps.of_pixels()) {
        for (first, y) in (0..).step_by(LANES).zip(y.as_chunks_mut::<LANES>().0) {
            let mut sums = [0f32; LANES];
            sums.copy_from_slice(&bias[first..first + LANES]);
            for &(pixel, weight) in taps {
                let pairs =
                    at(x, pixel, channels, first).iter().zip(at(weights, weight, channels, first));
                sums.iter_mut().zip(pairs).for_each(|(sum, (x, weight))| *sum += x * weight);
            }
            *y = sums;
        }
    }
}

/// Adds to the gradients of weights the products of inputs and gradients of outputs.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn add_tap_products(gradients: &mut [f32], x: &[f32], taps: &Taps, dy: &[f32]) {
    let channels = dy.len() / taps.ends.len().max(1);
    for (dy, taps) in dy.chunks_exact(channels.max(1)).zip(taps.of_pixels()) {
        for &(pixel, weight) in taps {
            let pairs = x[pixel * channels..][..channels].iter().zip(dy);
            let own = &mut gradients[weight * channels..][..channels];
            own.iter_mut().zip(pairs).for_each(|(own, (x, dy))| *own += x * dy);
        }
    }
}

/// Adds to the gradients of inputs the products of weights and gradients of outputs.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn spread_taps(dx: &mut [f32], taps: &Taps, dy: &[f32], weights: &[f32]) {
    let channels = dy.len() / taps.ends.len().max(1);
    for (dy, taps) in dy.chunks_exact(channels.max(1)).zip(taps.of_pixels()) {
        for &(pixel, weight) in taps {
            let pairs = weights[weight * channels..][..channels].iter().zip(dy);
            let own = &mut dx[pixel * channels..][..channels];
            own.iter_mut().zip(pairs).for_each(|(own, (weight, dy))| *own += weight * dy);
        }
    }
}

/// Divides each value.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn divide(values: &mut [f32], by: f32) {
    values.iter_mut().for_each(|value| *value /= by);
}

/// Writes the largest value of each window for each channel, and as the bits of `found` the pixel that it is of: the
/// first of equal ones. The windows are lists of pixels, one after the other, which end at `ends`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn maxima(
    x: &[f32],
    (channels, relu): (usize, bool),
    (pixels, ends): (&[usize], &[usize]),
    largest: &mut [f32],
    found: &mut [f32],
) {
    let mut start = 0;
    let places = largest.chunks_exact_mut(channels).zip(found.chunks_exact_mut(channels));
    for ((largest, found), &end) in places.zip(ends) {
        let pixels = &pixels[start..end];
        start = end;
        let first = pixels.first().copied().unwrap_or(0) as u32;
        let (largest, found) = (largest.as_chunks_mut::<LANES>().0, found.as_chunks_mut().0);
        for (chunk, (largest, found)) in largest.iter_mut().zip(found).enumerate() {
            let (mut best, mut place) = ([f32::NEG_INFINITY; LANES], [first; LANES]);
            for &pixel in pixels {
                let x = &x[pixel * channels + chunk * LANES..][..LANES];
                for ((best, place), &x) in best.iter_mut().zip(&mut place).zip(x) {
                    // NaN counts as the largest, as in PyTorch.
                    let is_smaller = x <= *best;
                    *best = if is_smaller { *best } else { x };
                    *place = if is_smaller { *place } else { pixel as u32 };
                }
            }
            if relu {
                best.iter_mut().for_each(|best| *best = if *best <= 0.0 { 0.0 } else { *best });
            }
            (*largest, *found) = (best, place.map(f32::from_bits));
        }
    }
}

/// Adds the sums of a picture's values and of their squared distances from their mean to `statistics`, for each
/// channel: its mean, and that sum.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn moments(x: &[f32], means: &mut [f32], squares: &mut [f32]) {
    let channels = means.len();
    let count = (x.len() / channels) as f32;
    let places =
        means.as_chunks_mut::<LANES>().0.iter_mut().zip(squares.as_chunks_mut::<LANES>().0);
    for (chunk, (means, squares)) in places.enumerate() {
        let rows = || x[chunk * LANES..].chunks(channels).map(|row| &row[..LANES]);
        let mut sums = [0f32; LANES];
        rows().for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x));
        *means = sums.map(|sum| sum / count);
        let mut sums = [0f32; LANES];
        for row in rows() {
            for ((sum, x), mean) in sums.iter_mut().zip(row).zip(&*means) {
                *sum += (x - mean) * (x - mean);
            }
        }
        *squares = sums;
    }
}

/// Computes scale · x + shift for each channel, and relu of it if asked for.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn scale_and_shift(y: &mut [f32], x: &[f32], scale: &[f32], shift: &[f32], relu: bool) {
    let channels = scale.len();
    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
            let value = scale * x + shift;
            *y = if relu && value <= 0.0 { 0.0 } else { value };
        }
    }
}

/// Computes for each channel Σ dy and Σ dy · (x − mean).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn gradient_moments(
    x: &[f32],
    dy: &[f32],
    means: &[f32],
    sums: &mut [f32],
    products: &mut [f32],
) {
    let channels = means.len();
    let places =
        sums.as_chunks_mut::<LANES>().0.iter_mut().zip(products.as_chunks_mut::<LANES>().0);
    for (chunk, (sums, products)) in places.enumerate() {
        let (mut sum, mut product) = ([0f32; LANES], [0f32; LANES]);
        let means = &means[chunk * LANES..][..LANES];
        let rows = x[chunk * LANES..].chunks(channels).zip(dy[chunk * LANES..].chunks(channels));
        for (x, dy) in rows {
            for lane in 0..LANES {
                sum[lane] += dy[lane];
                product[lane] += dy[lane] * (x[lane] - means[lane]);
            }
        }
        (*sums, *products) = (sum, product);
    }
}

/// Computes scale · (dy − mean_dy − (x − mean) · slope) for each channel.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn normalized_gradient(
    dx: &mut [f32],
    x: &[f32],
    dy: &[f32],
    [scale, mean, mean_dy, slope]: [&[f32]; 4],
) {
    let channels = scale.len();
    let rows = dx.chunks_exact_mut(channels).zip(x.chunks_exact(channels));
    for ((dx, x), dy) in rows.zip(dy.chunks_exact(channels)) {
        for i in 0..channels {
            dx[i] = scale[i] * (dy[i] - mean_dy[i] - (x[i] - mean[i]) * slope[i]);
        }
    }
}

/// Computes (x − mean) / deviation for each channel.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn standardize(y: &mut [f32], x: &[f32], means: &[f32], deviations: &[f32]) {
    let channels = means.len();
    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        for (((y, x), mean), deviation) in y.iter_mut().zip(x).zip(means).zip(deviations) {
            *y = (x - mean) / deviation;
        }
    }
}

/// Copies the values of each window into a row of `width` values, whose last are zeros.
// Not for AVX2: its loads from many places are slower than single ones.
pub fn copy_windows(rows: &mut [f32], x: &[f32], starts: &[u32], offsets: &[usize], width: usize) {
    let reach = offsets.last().map_or(0, |last| last + 1);
    for (row, &start) in rows.chunks_exact_mut(width).zip(starts) {
        let x = &x[start as usize..][..reach];
        let (row, rest) = row.split_at_mut(offsets.len());
        row.iter_mut().zip(offsets).for_each(|(value, &offset)| *value = x[offset]);
        rest.fill(0.0);
    }
}

/// Adds each row of values to those of its window.
pub fn add_windows(x: &mut [f32], rows: &[f32], starts: &[u32], offsets: &[usize], width: usize) {
    for (row, &start) in rows.chunks_exact(width).zip(starts) {
        let x = &mut x[start as usize..];
        row.iter().zip(offsets).for_each(|(value, &offset)| x[offset] += value);
    }
}
