//! RandAugment (Cubuk, Zoph, Shlens and Le, *RandAugment: Practical Automated Data Augmentation with a Reduced Search
//! Space*, 2020): two operations for each image, drawn from a list, with one magnitude for all.
//!
//! The list, the ranges and the operations are those of torchvision's `transforms.RandAugment`, whose magnitudes are 0
//! to 30, too. Those that move pixels are joined with the image's other deformations, so that it is sampled once; the
//! others follow in the order in which they were drawn.

use rand::{Rng, RngExt};

use super::color_operations::{
    adjust_brightness, adjust_contrast, adjust_saturation, adjust_sharpness, autocontrast,
    equalize, posterize, solarize,
};
use crate::data::pixel_scale::SCALE;

/// The largest magnitude: torchvision's `num_magnitude_bins` - 1.
pub(super) const LARGEST: f64 = 30.0;
/// The number of operations for each image: torchvision's `num_ops`.
pub(super) const OPERATIONS: usize = 2;
/// The operations that are drawn from, each as often.
pub(super) const KINDS: [Kind; 14] = [
    Kind::Identity,
    Kind::ShearX,
    Kind::ShearY,
    Kind::TranslateX,
    Kind::TranslateY,
    Kind::Rotate,
    Kind::Brightness,
    Kind::Color,
    Kind::Contrast,
    Kind::Sharpness,
    Kind::Posterize,
    Kind::Solarize,
    Kind::AutoContrast,
    Kind::Equalize,
];

/// The effect of an operation, by torchvision's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

/// An operation of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Operation {
    pub(super) kind: Kind,
    /// Of shears a fraction, of translations a fraction of the side, of rotations degrees, of blends the factor, of
    /// Posterize the bits that stay, of Solarize the level.
    pub(super) amount: f64,
}

impl Operation {
    /// Returns the operation of torchvision's list at a magnitude; `sign` is 1 or -1 and counts where there are two
    /// directions.
    pub(super) fn new(kind: Kind, magnitude: f64, sign: f64) -> Self {
        let fraction = magnitude / LARGEST;
        let amount = match kind {
            Kind::Identity | Kind::AutoContrast | Kind::Equalize => 0.0,
            Kind::ShearX | Kind::ShearY => 0.3 * sign * fraction,
            Kind::TranslateX | Kind::TranslateY => 150.0 / 331.0 * sign * fraction,
            Kind::Rotate => 30.0 * sign * fraction,
            Kind::Brightness | Kind::Color | Kind::Contrast | Kind::Sharpness => {
                1.0 + 0.9 * sign * fraction
            }
            Kind::Posterize => 8.0 - (4.0 * fraction).round_ties_even(),
            Kind::Solarize => SCALE * (1.0 - fraction),
        };
        Self { kind, amount }
    }

    /// Draws the operations of an image. Each takes place with the probability `strength`, which falls as augmentation
    /// fades out.
    pub fn draw(magnitude: f64, strength: f64, rng: &mut impl Rng) -> [Self; OPERATIONS] {
        let mut one = || {
            let kind = KINDS[rng.random_range(0..KINDS.len())];
            let sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
            let remains = rng.random::<f64>() < strength;
            if remains { Self::new(kind, magnitude, sign) } else { Self::default() }
        };
        [one(), one()]
    }

    /// Returns whether this moves pixels.
    pub fn moves(self) -> bool {
        matches!(
            self.kind,
            Kind::ShearX | Kind::ShearY | Kind::TranslateX | Kind::TranslateY | Kind::Rotate
        )
    }

    /// Returns the map from output to input offsets from the center, in pixels: \[xx, xy, x, yx, yy, y\].
    pub fn map(self, [height, width]: [usize; 2]) -> [f64; 6] {
        let (height, width, amount) = (height as f64, width as f64, self.amount);
        match self.kind {
            // About the upper left corner.
            Kind::ShearX => [1.0, amount, amount * height / 2.0, 0.0, 1.0, 0.0],
            Kind::ShearY => [1.0, 0.0, 0.0, amount, 1.0, amount * width / 2.0],
            // Whole pixels.
            Kind::TranslateX => [1.0, 0.0, -(amount * width).trunc(), 0.0, 1.0, 0.0],
            Kind::TranslateY => [1.0, 0.0, 0.0, 0.0, 1.0, -(amount * height).trunc()],
            Kind::Rotate => {
                let (sin, cos) = amount.to_radians().sin_cos();
                [cos, -sin, 0.0, sin, cos, 0.0]
            }
            _ => [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        }
    }

    /// Changes the colors of an image in \[0, 1\], plane by plane; `copy` is room.
    pub fn apply(self, out: &mut [f32], [height, width]: [usize; 2], copy: &mut Vec<f32>) {
        let (plane, amount) = ((height * width).max(1), self.amount as f32);
        let planes = |out: &mut [f32], change: &mut dyn FnMut(&mut [f32])| {
            out.chunks_exact_mut(plane).for_each(change);
        };
        match self.kind {
            Kind::Brightness => adjust_brightness(out, amount),
            Kind::Color => adjust_saturation(out, plane, amount),
            Kind::Contrast => adjust_contrast(out, plane, amount),
            Kind::Sharpness => planes(out, &mut |p| adjust_sharpness(p, width, amount, copy)),
            Kind::Posterize => posterize(out, self.bits()),
            Kind::Solarize => solarize(out, amount),
            Kind::AutoContrast => planes(out, &mut autocontrast),
            Kind::Equalize => planes(out, &mut equalize),
            _ => {}
        }
    }

    /// Returns whether this depends on whole levels of pixels.
    #[cfg(test)]
    pub(super) fn rounds(self) -> bool {
        matches!(self.kind, Kind::Posterize | Kind::Solarize | Kind::Equalize)
    }

    /// Returns the bits that Posterize keeps.
    pub fn bits(self) -> u32 {
        self.amount as u32
    }
}

/// Returns `first` after `second`: the map that `first` is applied to the result of.
pub(super) fn compose(first: [f64; 6], second: [f64; 6]) -> [f64; 6] {
    let [a, b, x, c, d, y] = first;
    let [e, f, right, g, h, down] = second;
    [
        a * e + b * g,
        a * f + b * h,
        a * right + b * down + x,
        c * e + d * g,
        c * f + d * h,
        c * right + d * down + y,
    ]
}

#[cfg(test)]
mod tests;
