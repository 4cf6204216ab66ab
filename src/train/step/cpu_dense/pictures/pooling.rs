//! Pooling of one picture: maxima and means of windows.

use super::picture_layer::{Backward, Forward, PictureLayer, PictureShape};
use super::picture_loops;
use crate::layers::WindowPlaces;

/// The windows of a pooling layer.
#[derive(Clone, Debug)]
pub struct PoolWindows {
    places: WindowPlaces,
    /// The height and width of the picture.
    picture: [usize; 2],
    /// The pixels of each window, one after the other, and where each window ends.
    pixels: Vec<usize>,
    ends: Vec<usize>,
}

impl PoolWindows {
    pub fn new(places: WindowPlaces, picture: [usize; 2]) -> Self {
        let mut this = Self { places, picture, pixels: Vec::new(), ends: Vec::new() };
        for row in 0..places.output[0] {
            for column in 0..places.output[1] {
                let ([top, bottom], [left, right]) = (this.range(0, row), this.range(1, column));
                for row in top..bottom {
                    this.pixels.extend((left..right).map(|column| row * picture[1] + column));
                }
                this.ends.push(this.pixels.len());
            }
        }
        this
    }

    /// Returns the shape of the output for pictures of this many channels.
    pub fn output(&self, channels: usize) -> PictureShape {
        let [height, width] = self.places.output;
        PictureShape { channels, height, width }
    }

    /// Returns the height and width of the part of the picture that the windows cover.
    pub fn covered(&self) -> [usize; 2] {
        std::array::from_fn(|axis| self.range(axis, self.places.output[axis] - 1)[1])
    }

    /// Returns the same windows over the part of the picture that they cover.
    pub fn cropped(&self) -> Self {
        Self::new(self.places, self.covered())
    }

    /// Returns the first row or column of a window, and its end, in the picture.
    fn range(&self, axis: usize, window: usize) -> [usize; 2] {
        let WindowPlaces { size, strides, pads, .. } = self.places;
        let start = window * strides[axis];
        let end = (start + size[axis]).saturating_sub(pads[axis][0]).min(self.picture[axis]);
        [start.saturating_sub(pads[axis][0]), end]
    }

    /// Returns the pixels of each window.
    fn windows(&self) -> impl Iterator<Item = &[usize]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(&start, &end)| &self.pixels[start..end])
    }

    /// Writes the largest value of each window, after relu if asked for, and as bits the pixel that it is of.
    pub fn maxima(
        &self,
        x: &[f32],
        channels: usize,
        y: &mut [f32],
        pixels: &mut [f32],
        relu: bool,
    ) {
        picture_loops::maxima(x, (channels, relu), (&self.pixels, &self.ends), y, pixels);
    }
}

/// The largest value of each window.
#[derive(Debug)]
pub struct MaxPooling {
    pub channels: usize,
    pub windows: PoolWindows,
}

impl PictureLayer for MaxPooling {
    fn output(&self) -> PictureShape {
        self.windows.output(self.channels)
    }

    fn kept(&self) -> usize {
        self.output().len()
    }

    fn forward(&self, sample: Forward) {
        self.windows.maxima(sample.x, self.output().padded(), sample.y, sample.kept, false);
    }

    fn backward(&self, sample: Backward) {
        let Some(dx) = sample.dx else { return };
        let channels = self.output().padded();
        dx.fill(0.0);
        let windows = sample.dy.chunks_exact(channels).zip(sample.kept.chunks_exact(channels));
        for (dy, pixels) in windows {
            for (channel, (dy, &pixel)) in dy.iter().zip(pixels).enumerate() {
                dx[pixel.to_bits() as usize * channels + channel] += dy;
            }
        }
    }
}

/// The largest value of each channel. As in libtorch's `amax`, equal ones share its gradient.
#[derive(Debug)]
pub struct GlobalMaximum {
    pub shape: PictureShape,
}

impl PictureLayer for GlobalMaximum {
    fn output(&self) -> PictureShape {
        PictureShape { height: 1, width: 1, ..self.shape }
    }

    /// The number of pixels with this value.
    fn kept(&self) -> usize {
        self.shape.padded()
    }

    fn forward(&self, sample: Forward) {
        let Forward { x, y, kept, .. } = sample;
        y.fill(f32::NEG_INFINITY);
        for x in x.chunks_exact(y.len()) {
            for ((y, kept), &x) in y.iter_mut().zip(&mut *kept).zip(x) {
                *kept = if x == *y { *kept + 1.0 } else { *kept };
                (*y, *kept) = if x <= *y { (*y, *kept) } else { (x, 1.0) };
            }
        }
    }

    fn backward(&self, sample: Backward) {
        let Backward { x, y, kept, dy, dx, .. } = sample;
        let Some(dx) = dx else { return };
        for (dx, x) in dx.chunks_exact_mut(y.len()).zip(x.chunks_exact(y.len())) {
            let largest = y.iter().zip(&*dy).zip(kept);
            for ((dx, x), ((y, dy), count)) in dx.iter_mut().zip(x).zip(largest) {
                *dx = if x == y { dy / count } else { 0.0 };
            }
        }
    }
}

/// The mean of each window.
#[derive(Debug)]
pub struct AveragePooling {
    pub channels: usize,
    pub windows: PoolWindows,
}

impl PictureLayer for AveragePooling {
    fn output(&self) -> PictureShape {
        self.windows.output(self.channels)
    }

    fn forward(&self, sample: Forward) {
        let channels = self.output().padded();
        for (y, pixels) in sample.y.chunks_exact_mut(channels).zip(self.windows.windows()) {
            y.fill(0.0);
            for pixel in pixels {
                picture_loops::add(y, &sample.x[pixel * channels..][..channels]);
            }
            picture_loops::divide(y, pixels.len() as f32);
        }
    }

    fn backward(&self, sample: Backward) {
        let (Some(dx), channels) = (sample.dx, self.output().padded()) else { return };
        dx.fill(0.0);
        for (dy, pixels) in sample.dy.chunks_exact_mut(channels).zip(self.windows.windows()) {
            picture_loops::divide(dy, pixels.len() as f32);
            for pixel in pixels {
                picture_loops::add(&mut dx[pixel * channels..][..channels], dy);
            }
        }
    }
}
