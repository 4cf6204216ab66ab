//! A picture in floats.

use ::image::imageops::{self, FilterType};
use ::image::{ImageBuffer, Luma};

use super::super::images::Gray;
use super::connected_components::Extent;

/// Values from 0 to 255, row by row; never without pixels.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub height: usize,
    pub width: usize,
    pub values: Vec<f32>,
}

impl Plane {
    /// The picture, made smaller if one of its sides is longer than `longest`. The floats are of the
    /// smaller one: those of the largest picture would take a gigabyte.
    pub fn at_most(longest: usize, gray: &Gray) -> Self {
        let float = |pixels: &[u8]| pixels.iter().map(|&pixel| f32::from(pixel)).collect();
        let &Gray { height, width, ref pixels } = gray;
        let longer = height.max(width);
        if longer > longest
            && let Some(view) =
                ImageBuffer::<Luma<u8>, &[u8]>::from_raw(width as u32, height as u32, pixels)
        {
            let [height, width] = [height, width].map(|side| (side * longest / longer).max(1));
            let smaller = imageops::thumbnail(&view, width as u32, height as u32);
            let values = float(smaller.as_raw());
            return Self { height, width, values };
        }
        Self { height, width, values: float(pixels) }
    }

    /// Scaled, without aliasing.
    pub fn resized(self, height: usize, width: usize) -> Self {
        if (height, width) == (self.height, self.width) {
            return self;
        }
        let (old_height, old_width) = (self.height as u32, self.width as u32);
        // The crate takes floats from 0 to 1, and clips what is outside.
        let values = self.values.into_iter().map(|value| value / 255.0).collect();
        // The sizes match by construction; an empty picture would show if they did not.
        let image: ImageBuffer<Luma<f32>, Vec<f32>> =
            ImageBuffer::from_raw(old_width, old_height, values).unwrap_or_default();
        let image = imageops::resize(&image, width as u32, height as u32, FilterType::CatmullRom);
        let values = image.into_raw().into_iter().map(|value| value * 255.0).collect();
        Self { height, width, values }
    }

    /// Returns the part at `extent`, as far as there is one.
    pub fn cropped(&self, extent: &Extent) -> Self {
        let rows = extent.top.min(self.height - 1)..=extent.bottom.min(self.height - 1);
        let columns = extent.left.min(self.width - 1)..=extent.right.min(self.width - 1);
        let [height, width] = [&rows, &columns].map(|part| part.end() + 1 - part.start());
        let line = |row: usize| &self.values[row * self.width..][columns.clone()];
        Self { height, width, values: rows.flat_map(line).copied().collect() }
    }

    /// Each pixel's mean with its eight neighbors.
    pub fn smoothed(&self) -> Self {
        let mean = |values: &[f32], at: usize, stride: usize, position: usize, side: usize| {
            let before = values[if position > 0 { at - stride } else { at }];
            let after = values[if position + 1 < side { at + stride } else { at }];
            (before + values[at] + after) / 3.0
        };
        let Self { height, width, .. } = *self;
        let all = 0..height * width;
        let rows: Vec<f32> =
            all.clone().map(|i| mean(&self.values, i, 1, i % width, width)).collect();
        let values = all.map(|i| mean(&rows, i, width, i / width, height)).collect();
        Self { height, width, values }
    }
}

/// The value below which the share `q` of the `sorted` ones lies.
pub(super) fn quantile(sorted: &[f32], q: f64) -> Option<f32> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * q).round() as usize).copied()
}
