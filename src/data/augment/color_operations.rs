//! Changes of the colors of one image: f32 in \[0, 1\], row by row, in color plane by plane. Each follows the function
//! of this name in torchvision's `transforms.functional`.

use crate::data::pixel_scale::SCALE;

/// Red, green and blue in a shade of gray, as in torchvision.
pub(super) const LUMA: [f32; 3] = [0.2989, 0.587, 0.114];
/// The number of levels of a pixel in a file.
pub(super) const LEVELS: usize = 256;
/// The weights of a pixel and of each of its eight neighbors in a blurred image, before division by their sum.
pub(super) const BLUR: [f32; 2] = [5.0 / 13.0, 1.0 / 13.0];
/// The number that is added to a value before it is rounded down to a level. A little more than a half: values in the middle between
/// two levels are common, and become the same level on a GPU, where they differ in the last bit.
pub(super) const HALF: f32 = 0.501;

/// Multiplies the brightness.
pub(super) fn adjust_brightness(out: &mut [f32], factor: f32) {
    out.iter_mut().for_each(|value| *value = (*value * factor).clamp(0.0, 1.0));
}

/// Multiplies the distance from the image's mean shade of gray; `plane` is the number of pixels.
pub(super) fn adjust_contrast(out: &mut [f32], plane: usize, factor: f32) {
    let middle = (0..plane).map(|i| f64::from(gray(out, plane, i))).sum::<f64>() / plane as f64;
    let rest = (1.0 - factor) * middle as f32;
    out.iter_mut().for_each(|value| *value = (*value * factor + rest).clamp(0.0, 1.0));
}

/// Multiplies the distance from each pixel's shade of gray; gray images stay.
pub(super) fn adjust_saturation(out: &mut [f32], plane: usize, factor: f32) {
    if out.len() != 3 * plane {
        return;
    }
    for i in 0..plane {
        let rest = (1.0 - factor) * gray(out, plane, i);
        for place in [i, plane + i, 2 * plane + i] {
            out[place] = (out[place] * factor + rest).clamp(0.0, 1.0);
        }
    }
}

fn gray(out: &[f32], plane: usize, i: usize) -> f32 {
    match out.len() == 3 * plane {
        true => LUMA[0] * out[i] + LUMA[1] * out[plane + i] + LUMA[2] * out[2 * plane + i],
        false => out[i],
    }
}

/// Multiplies the distance of a plane from its blurred version, except for its outermost pixels. `copy` is room.
pub(super) fn adjust_sharpness(plane: &mut [f32], width: usize, factor: f32, copy: &mut Vec<f32>) {
    copy.clear();
    copy.extend_from_slice(plane);
    let rows = plane.len() / width.max(1);
    for row in 1..rows.saturating_sub(1) {
        for place in row * width + 1..(row + 1) * width - 1 {
            let value = copy[place];
            let near = [place - width, place, place + width].map(|middle| &copy[middle - 1..]);
            let sum: f32 = near.iter().map(|near| near[0] + near[1] + near[2]).sum();
            let blurred = (BLUR[0] - BLUR[1]) * value + BLUR[1] * sum;
            plane[place] = (factor * value + (1.0 - factor) * blurred).clamp(0.0, 1.0);
        }
    }
}

/// Returns the level of a pixel in a file, from 0 to 255.
fn level(value: f32) -> usize {
    (value * SCALE as f32 + HALF) as usize
}

/// Keeps the upper `bits` bits of each level.
pub(super) fn posterize(out: &mut [f32], bits: u32) {
    let step = LEVELS >> bits;
    out.iter_mut().for_each(|value| *value = (level(*value) / step * step) as f32 / SCALE as f32);
}

/// Inverts the pixels of this level and above.
pub(super) fn solarize(out: &mut [f32], threshold: f32) {
    // Compared by whole levels, since pixels are a little more or less than these after scaling.
    for value in out.iter_mut().filter(|value| level(**value) as f32 >= threshold) {
        *value = 1.0 - *value;
    }
}

/// Spreads the values of a plane over \[0, 1\].
pub(super) fn autocontrast(plane: &mut [f32]) {
    let least = plane.iter().copied().fold(f32::INFINITY, f32::min);
    let most = plane.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if most > least {
        let scale = 1.0 / (most - least);
        plane.iter_mut().for_each(|value| *value = ((*value - least) * scale).clamp(0.0, 1.0));
    }
}

/// Replaces the levels of a plane so that about the same number of pixels has each, in the integers of Pillow's
/// `ImageOps.equalize`, which torchvision follows.
pub(super) fn equalize(plane: &mut [f32]) {
    let mut counts = [0; LEVELS];
    plane.iter().for_each(|value| counts[level(*value).min(LEVELS - 1)] += 1);
    let last = counts.iter().rev().find(|&&count| count > 0).copied().unwrap_or_default();
    let step = (plane.len() - last) / (LEVELS - 1);
    if step == 0 {
        return;
    }
    let mut below = step / 2;
    let levels = counts.map(|count| {
        let new = (below / step).min(LEVELS - 1);
        below += count;
        new as f32 / SCALE as f32
    });
    plane.iter_mut().for_each(|value| *value = levels[level(*value).min(LEVELS - 1)]);
}
