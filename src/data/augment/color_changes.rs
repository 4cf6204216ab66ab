//! The augmentation of photographs: flips, shifts with reflected borders, changed colors, and a square left out. How a
//! sample is changed depends on (seed, epoch, sample) alone, as for [deformations](super).

use multiversion::multiversion;
use rand::{Rng, RngExt};

use super::color_operations::{adjust_brightness, adjust_contrast, adjust_saturation};
use super::settings::Augment;
use crate::data::pixel_scale::SCALE;

/// The random numbers of one image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColorDraw {
    /// Whether left and right are swapped.
    pub flip: bool,
    /// The columns and rows by which the image is shifted.
    pub shift: [i32; 2],
    /// Factors of brightness, contrast and saturation.
    pub factors: [f32; 3],
    /// The rows and columns left out: first and end of each.
    pub hole: [[usize; 2]; 2],
}

impl Default for ColorDraw {
    /// Changes nothing.
    fn default() -> Self {
        Self { flip: false, shift: [0; 2], factors: [1.0; 3], hole: [[0; 2]; 2] }
    }
}

impl ColorDraw {
    /// Draws the changes of an image of \[height, width\].
    pub fn new(
        augment: &Augment,
        strength: f64,
        [height, width]: [usize; 2],
        rng: &mut impl Rng,
    ) -> Self {
        let Augment { flip, crop, cutout, brightness, contrast, saturation, .. } = *augment;
        let flip = rng.random::<f64>() < strength * flip;
        let most = (strength * crop).floor();
        let mut whole =
            || (rng.random_range(-1.0..=1.0f64) * (most + 0.5)).round().clamp(-most, most);
        let shift = [whole() as i32, whole() as i32];
        let mut factor = |most: f64| (1.0 + strength * most * rng.random_range(-1.0..=1.0)) as f32;
        let factors = [factor(brightness), factor(contrast), factor(saturation)];
        let side = (strength * cutout).round() as usize;
        // The middle may be anywhere, so that part of the square may lie outside, as in the paper.
        let mut span = |size: usize| {
            let middle = rng.random_range(0..size.max(1));
            let first = (middle + size).saturating_sub(side / 2).max(size) - size;
            [first, (middle + side.div_ceil(2)).min(size)]
        };
        let hole = [span(height), span(width)];
        Self { flip, shift, factors, hole: if side == 0 { Default::default() } else { hole } }
    }

    /// Returns whether colors are changed.
    pub fn changes_colors(&self) -> bool {
        self.factors != [1.0; 3]
    }

    /// Returns whether a part is left out.
    pub fn has_hole(&self) -> bool {
        self.hole.iter().all(|[first, end]| first < end)
    }

    /// Changes the colors of an image in \[0, 1\], plane by plane, and leaves the square out.
    pub fn apply(&self, out: &mut [f32], [height, width]: [usize; 2]) {
        let plane = (height * width).max(1);
        if self.changes_colors() {
            self.change_colors(out, plane);
        }
        if !self.has_hole() {
            return;
        }
        let [[top, bottom], [left, right]] = self.hole;
        for plane in out.chunks_exact_mut(plane) {
            let mean = mean(plane);
            let rows = plane.chunks_exact_mut(width.max(1)).take(bottom).skip(top);
            rows.for_each(|row| row[left..right].fill(mean));
        }
    }

    fn change_colors(&self, out: &mut [f32], plane: usize) {
        let [brightness, contrast, saturation] = self.factors;
        adjust_brightness(out, brightness);
        adjust_contrast(out, plane, contrast);
        if saturation != 1.0 {
            adjust_saturation(out, plane, saturation);
        }
    }
}

fn mean(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    (sum / values.len().max(1) as f64) as f32
}

/// Copies a plane, flipped and shifted by whole pixels, as f32 in \[0, 1\].
pub(super) fn copy_shifted(draw: &ColorDraw, plane: &[u8], width: usize, out: &mut [f32]) {
    let height = plane.len() / width.max(1);
    let source = |place: usize, shift: i32, size: usize| {
        reflected(place as f32 + shift as f32, size) as usize
    };
    let columns: Vec<usize> = (0..width)
        .map(|x| source(if draw.flip { width - 1 - x } else { x }, draw.shift[0], width))
        .collect();
    for (y, row) in out.chunks_exact_mut(width.max(1)).enumerate() {
        let from = &plane[source(y, draw.shift[1], height) * width..][..width];
        for (value, &column) in row.iter_mut().zip(&columns) {
            *value = f32::from(from[column]) * const { 1.0 / SCALE as f32 };
        }
    }
}

/// Reflects positions about the middle of the first and the last pixel, as PyTorch's padding "reflect" does.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn reflect(places: &mut [f32], before: f32, size: usize) {
    places.iter_mut().for_each(|place| *place = reflected(*place - before, size) + before);
}

#[inline(always)]
fn reflected(place: f32, size: usize) -> f32 {
    let last = (size.max(1) - 1) as f32;
    if last == 0.0 {
        return 0.0;
    }
    let place = place.abs() % (2.0 * last);
    if place > last { 2.0 * last - place } else { place }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flip, shift and reflection of `numpy.pad(mode="reflect")`.
    #[test]
    fn shifted_images_are_reflected() {
        let plane = [10, 20, 30, 40, 50, 60];
        let shifted = |flip, shift| {
            let mut out = [0.0; 6];
            copy_shifted(&ColorDraw { flip, shift, ..ColorDraw::default() }, &plane, 3, &mut out);
            out.map(|value| (255.0 * value).round() as u8)
        };
        assert_eq!(shifted(false, [0, 0]), plane);
        assert_eq!(shifted(true, [0, 0]), [30, 20, 10, 60, 50, 40]);
        assert_eq!(shifted(false, [1, 0]), [20, 30, 20, 50, 60, 50]);
        assert_eq!(shifted(false, [-2, 0]), [30, 20, 10, 60, 50, 40]);
        assert_eq!(shifted(true, [1, 1]), [50, 60, 50, 20, 30, 20]);
    }

    /// torchvision's `adjust_brightness`, then `adjust_contrast`, then `adjust_saturation`, computed with its formulas in
    /// PyTorch.
    #[test]
    fn colors_change_as_in_torchvision() {
        let draw = ColorDraw { factors: [1.2, 0.5, 1.5], ..ColorDraw::default() };
        // Two pixels: red 0.2, 0.9; green 0.4, 0.1; blue 0.6, 0.5.
        let mut out = [0.2, 0.9, 0.4, 0.1, 0.6, 0.5];
        draw.apply(&mut out, [1, 2]);
        let expected = [0.28944588, 0.85890496, 0.46944594, 0.19890492, 0.6494459, 0.55890495];
        for (value, expected) in out.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{out:?}");
        }
    }

    #[test]
    fn the_hole_gets_the_mean_of_its_plane() {
        let draw = ColorDraw { hole: [[0, 1], [1, 3]], ..ColorDraw::default() };
        let mut out = [0.0, 0.3, 0.6, 0.0, 0.3, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
        draw.apply(&mut out, [2, 3]);
        assert_eq!(out[..6], [0.0, 0.2, 0.2, 0.0, 0.3, 0.0]);
        assert_eq!(out[6..], [0.5; 6]);
    }
}
