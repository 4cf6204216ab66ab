//! Pixels as floats in [0, 1]: whole samples, or some of their columns.

use std::ops::Range;

use multiversion::multiversion;
use tch::Tensor;

use crate::data::active_columns::{ActiveColumns, Run};
use crate::data::features::{Features, Values};
use crate::data::pixel_scale::SCALE;
use crate::native::{LibtorchError, tensor_buffer};

/// Converts u8 pixels to f32 in [0, 1].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn scale(values: &mut [f32], pixels: &[u8]) {
    values.iter_mut().zip(pixels).for_each(|(value, &pixel)| *value = normalize(pixel));
}

/// Converts the pixels of some columns, side by side.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn scale_columns(values: &mut [f32], pixels: &[u8], columns: &ActiveColumns) {
    /// The number of values that the widest registers hold.
    const WIDE: usize = 16;
    for Run { columns, place } in columns.runs() {
        let (mut from, mut to) = (columns.start, *place);
        while from < columns.end {
            let places = values.get_mut(to..).and_then(|v| v.first_chunk_mut::<WIDE>());
            let wide = pixels.get(from..).and_then(|p| p.first_chunk::<WIDE>());
            let (Some(values), Some(pixels)) = (places, wide) else { break };
            // Beyond the run's end, too: the next run overwrites it.
            values.iter_mut().zip(pixels).for_each(|(value, &pixel)| *value = normalize(pixel));
            (from, to) = (from + WIDE, to + WIDE);
        }
        if from < columns.end {
            let rest = values[to..].iter_mut().zip(&pixels[from..columns.end]);
            rest.for_each(|(value, &pixel)| *value = normalize(pixel));
        }
    }
}

/// Scales a pixel to [0, 1]: exactly what a division by [`SCALE`] gives (`every_pixel_is_divided_exactly`),
/// in a third of the time.
#[inline(always)]
fn normalize(pixel: u8) -> f32 {
    // Of few enough bits that its product with a pixel is exact; only the sum is rounded.
    const MOST: f32 = 257.0 / 65536.0;
    const REST: f32 = (1.0 / SCALE - MOST as f64) as f32;
    let pixel = f32::from(pixel);
    pixel * MOST + pixel * REST
}

/// Returns some samples as a network takes them, f32 [samples, …sample shape] on the CPU: pixels scaled to [0, 1],
/// numbers as they are.
pub(crate) fn inputs_of(
    features: &Features,
    samples: Range<usize>,
) -> Result<Tensor, LibtorchError> {
    let shape = features.shape().iter().map(|&size| size as i64);
    let shape: Vec<i64> = std::iter::once(samples.len() as i64).chain(shape).collect();
    let each = features.sample_len();
    let part = samples.start * each..samples.end * each;
    tensor_buffer::filled_f32(&shape, |out| match &features.values {
        Values::Pixels(pixels) => scale(out, &pixels[part]),
        Values::Floats(floats) => out.copy_from_slice(&floats[part]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_divided_exactly() {
        let pixels: Vec<u8> = (0..=255).collect();
        let mut values = [0.0; 256];
        scale(&mut values, &pixels);
        let divided: Vec<f32> = pixels.iter().map(|&p| f32::from(p) / 255.0).collect();
        assert_eq!(values[..], divided[..]);
    }

    #[test]
    fn selected_columns_match_all_columns() {
        let pixels: Vec<u8> = (0..200).map(|i| (i * 37 % 256) as u8).collect();
        for seed in 0..50usize {
            let marks: Vec<u8> = (0..200).map(|i| (i * (seed + 3) / 40 % 3) as u8).collect();
            let columns = ActiveColumns::marked(&marks);
            let mut all = [0.0; 200];
            scale(&mut all, &pixels);
            columns.compact(&mut all);
            let mut some = [f32::NAN; 200];
            scale_columns(&mut some, &pixels, &columns);
            assert_eq!(some[..columns.count()], all[..columns.count()]);
        }
    }
}
