//! Layers that change each value of a picture for itself: activations and Dropout.

use super::super::dense_stack::Curve;
use super::super::vector_loops;
use super::picture_layer::{Backward, Forward, PictureLayer, PictureShape};
use super::picture_loops;

/// An activation.
#[derive(Debug)]
pub struct PictureActivation {
    pub shape: PictureShape,
    pub activation: Curve,
}

impl PictureLayer for PictureActivation {
    fn output(&self) -> PictureShape {
        self.shape
    }

    /// The derivatives.
    fn kept(&self) -> usize {
        self.shape.len()
    }

    fn forward(&self, sample: Forward) {
        let Forward { x, y, kept, .. } = sample;
        y.copy_from_slice(x);
        vector_loops::activate(self.activation, y, kept);
        let PictureShape { channels, .. } = self.shape;
        if self.activation == Curve::Sigmoid && channels < self.shape.padded() {
            // sigmoid(0) is not 0.
            y.chunks_exact_mut(self.shape.padded()).for_each(|pixel| pixel[channels..].fill(0.0));
        }
    }

    fn backward(&self, sample: Backward) {
        let Some(dx) = sample.dx else { return };
        dx.copy_from_slice(sample.dy);
        vector_loops::scale_by(dx, sample.kept);
    }
}

/// Dropout of single values or, if it is spatial, of whole channels.
#[derive(Debug)]
pub struct PictureDropout {
    pub shape: PictureShape,
    pub rate: f64,
    pub is_spatial: bool,
}

impl PictureDropout {
    fn apply(&self, values: &mut [f32], mask: &[f32]) {
        let scale = (1.0 / (1.0 - self.rate)) as f32;
        // The mask is [channels, height, width], as PyTorch's.
        let (by_channel, by_pixel) =
            if self.is_spatial { (1, 0) } else { (self.shape.pixels(), 1) };
        let pixels = values.chunks_exact_mut(self.shape.padded());
        for (pixel, values) in pixels.enumerate() {
            let mask = mask[pixel * by_pixel..].iter().step_by(by_channel);
            values.iter_mut().zip(mask).for_each(|(value, mask)| *value = *value * mask * scale);
        }
    }
}

impl PictureLayer for PictureDropout {
    fn output(&self) -> PictureShape {
        self.shape
    }

    fn dropout(&self) -> Option<(f64, usize)> {
        let pixels = if self.is_spatial { 1 } else { self.shape.pixels() };
        Some((self.rate, self.shape.channels * pixels))
    }

    fn forward(&self, sample: Forward) {
        sample.y.copy_from_slice(sample.x);
        self.apply(sample.y, sample.mask);
    }

    fn backward(&self, sample: Backward) {
        let Some(dx) = sample.dx else { return };
        dx.copy_from_slice(sample.dy);
        self.apply(dx, sample.mask);
    }
}

/// Subtracts a fixed number from each channel and divides by another.
#[derive(Debug)]
pub struct PictureStandardization {
    shape: PictureShape,
    means: Vec<f32>,
    deviations: Vec<f32>,
}

impl PictureStandardization {
    pub fn new(shape: PictureShape, means: &[f32], deviations: &[f32]) -> Self {
        let (mut means, mut deviations) = (means.to_vec(), deviations.to_vec());
        means.resize(shape.padded(), 0.0);
        deviations.resize(shape.padded(), 1.0);
        Self { shape, means, deviations }
    }
}

impl PictureLayer for PictureStandardization {
    fn output(&self) -> PictureShape {
        self.shape
    }

    fn forward(&self, sample: Forward) {
        picture_loops::standardize(sample.y, sample.x, &self.means, &self.deviations);
    }

    fn backward(&self, sample: Backward) {
        let Some(dx) = sample.dx else { return };
        let zeros = vec![0.0; self.means.len()];
        picture_loops::standardize(dx, sample.dy, &zeros, &self.deviations);
    }
}

/// Takes samples as they are, [channels, height, width], as pictures of [height, width, channels].
#[derive(Debug)]
pub struct Interleave {
    pub shape: PictureShape,
}

impl PictureLayer for Interleave {
    fn output(&self) -> PictureShape {
        self.shape
    }

    fn forward(&self, sample: Forward) {
        interleave(self.shape, sample.x, sample.y);
    }

    fn backward(&self, _: Backward) {}
}

/// Turns [channels, height, width] into [height, width, channels], with zeros for channels that are not there.
pub fn interleave(shape: PictureShape, x: &[f32], y: &mut [f32]) {
    let (pixels, padded) = (shape.pixels(), shape.padded());
    if padded > shape.channels {
        y.fill(0.0);
    }
    for (channel, x) in x.chunks_exact(pixels).enumerate() {
        y[channel..].iter_mut().step_by(padded).zip(x).for_each(|(y, &x)| *y = x);
    }
}

/// Turns [height, width, channels] into [channels, height, width].
pub fn by_channel(shape: PictureShape, x: &[f32], y: &mut [f32]) {
    for (channel, y) in y.chunks_exact_mut(shape.pixels()).enumerate() {
        y.iter_mut().zip(x[channel..].iter().step_by(shape.padded())).for_each(|(y, &x)| *y = x);
    }
}
