//! The first layer's weights: one picture per unit.

use tch::Tensor;

use super::ReportError;
use super::png::Picture;
use crate::layers::{Dense, Dropout, Flatten, Layer};
use crate::model::Sequential;
use crate::tensors::HostTensor;

/// The largest number of units that are shown, and of pixels in all of them.
const MOST: usize = 128;
const MOST_PIXELS: usize = 1 << 20;
/// Pictures per row, and pixels between them.
const COLUMNS: usize = 16;
const GAP: usize = 2;

/// The weights of the first layer's units, each with the shape of an image.
#[derive(Clone, Debug)]
pub(super) struct FirstLayer {
    /// Number of units of the layer.
    pub units: usize,
    /// Number of units that are shown.
    pub shown: usize,
    /// The absolute weight that gets the full color.
    pub full: f32,
    shape: [usize; 2],
    /// Shape [shown, height · width].
    weights: Vec<f32>,
}

impl FirstLayer {
    /// Returns the first layer of `model`; `None` if its first parameters are not those of a Dense layer on
    /// images, or if the images are too large to show.
    pub fn of(model: &Sequential) -> Result<Option<Self>, ReportError> {
        let spec = model.spec();
        let [height, width] = spec.input_shape[..] else { return Ok(None) };
        let mut layers = spec.layers.iter().filter(|layer| !layer.is::<Dropout>());
        let flat = layers.next().is_some_and(Layer::is::<Flatten>);
        let dense = flat && layers.next().is_some_and(Layer::is::<Dense>);
        let Some((_, weight)) = model.parameters().next().filter(|_| dense) else {
            return Ok(None);
        };
        let units = weight.size().first().copied().unwrap_or(0) as usize;
        let shown = units.min(MOST).min(MOST_PIXELS / (height * width).max(1));
        if shown == 0 {
            return Ok(None);
        }
        let weights = head(weight, shown)?;
        let mut sizes: Vec<f32> = weights.iter().map(|weight| weight.abs()).collect();
        sizes.sort_by(f32::total_cmp);
        // The 99.5th percentile: the few largest weights would leave the others pale.
        let full = sizes.get(sizes.len().saturating_sub(1) * 995 / 1000).copied().unwrap_or(0.0);
        Ok(Some(Self { units, shown, full, shape: [height, width], weights }))
    }

    /// Returns a sheet with one picture per unit, row by row: positive weights are blue, negative ones
    /// orange, and those near 0 pale.
    pub fn sheet(&self, enlarged: usize) -> Picture {
        let [height, width] = self.shape;
        let columns = COLUMNS.min(self.shown);
        let rows = self.shown.div_ceil(columns.max(1));
        let side = |count: usize, size: usize| count * (size + GAP) * enlarged - GAP * enlarged;
        let mut sheet = Picture::filled(side(columns, width), side(rows, height), [255, 255, 255]);
        for (unit, weights) in self.weights.chunks_exact(height * width).enumerate() {
            let (top, left) = (unit / columns * (height + GAP), unit % columns * (width + GAP));
            for (i, &weight) in weights.iter().enumerate() {
                let (x, y) = (left + i % width, top + i / width);
                sheet.square([x * enlarged, y * enlarged], enlarged, self.color(weight));
            }
        }
        sheet
    }

    fn color(&self, weight: f32) -> [u8; 3] {
        const MIDDLE: [f32; 3] = [244.0, 244.0, 240.0];
        const FOR: [f32; 3] = [5.0, 72.0, 135.0];
        const AGAINST: [f32; 3] = [176.0, 66.0, 0.0];
        let scaled = if self.full > 0.0 { (weight / self.full).clamp(-1.0, 1.0) } else { 0.0 };
        let end = if scaled >= 0.0 { FOR } else { AGAINST };
        let mix = |i: usize| MIDDLE[i] + (end[i] - MIDDLE[i]) * scaled.abs();
        [0, 1, 2].map(|i| mix(i).round() as u8)
    }
}

/// Returns the first `rows` rows of a matrix.
fn head(matrix: &Tensor, rows: usize) -> Result<Vec<f32>, ReportError> {
    let head = matrix.f_narrow(0, 0, rows as i64).map_err(crate::native::LibtorchError::from);
    let tensor = HostTensor::copy_of(&head?)?;
    Ok(tensor.values.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    #[test]
    fn sheet_has_one_picture_per_unit() {
        let model = Sequential::new([2, 3]).add(Dropout::new(0.1)).add(Flatten).add(Dense::new(20));
        let model = model.build(Device::Cpu, 0).unwrap();
        let layer = FirstLayer::of(&model).unwrap().unwrap();
        assert_eq!((layer.units, layer.shown), (20, 20));
        let sheet = layer.sheet(2);
        // 16 pictures of 3 and 15 gaps of 2 in a row, each pixel twice.
        assert_eq!((sheet.width, sheet.height), (2 * (16 * 3 + 15 * 2), 2 * (2 * 2 + 2)));
        let at = |x: usize, y: usize| &sheet.rgb[3 * (y * sheet.width + x)..][..3];
        // Unit 17 is the second in the second row; its last weight is its lower right pixel.
        assert_eq!(at(2 * (5 + 2), 2 * (4 + 1)), layer.color(layer.weights[17 * 6 + 5]));
        assert_eq!(at(2 * 3, 0), [255, 255, 255]);
    }

    #[test]
    fn signs_have_colors() {
        let layer = FirstLayer { units: 1, shown: 1, full: 2.0, shape: [1, 1], weights: vec![0.0] };
        assert_eq!(layer.color(0.0), [244, 244, 240]);
        assert_eq!(layer.color(2.0), [5, 72, 135]);
        assert_eq!(layer.color(-9.0), [176, 66, 0]);
        let dead = FirstLayer { full: 0.0, ..layer };
        assert_eq!(dead.color(0.0), [244, 244, 240]);
    }

    #[test]
    fn flat_samples_have_no_pictures() {
        let model = Sequential::new([6]).add(Dense::new(2)).build(Device::Cpu, 0).unwrap();
        assert!(FirstLayer::of(&model).unwrap().is_none());
    }
}
