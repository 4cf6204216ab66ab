//! The first layer's weights: one picture per unit of a Dense layer, or per filter of a convolution.

use tch::Tensor;

use super::ReportError;
use super::png::Picture;
use crate::data::PictureShape;
use crate::layers::{
    Conv2D, Dense, Dropout, Flatten, GaussianNoise, Layer, Normalization, Rescaling, Reshape,
};
use crate::model::Sequential;
use crate::tensors::HostTensor;

/// The largest number of units that are shown, and of pixels in all of them.
const MOST: usize = 128;
const MOST_PIXELS: usize = 1 << 20;
/// Pictures per row, and pixels between them.
const COLUMNS: usize = 16;
const GAP: usize = 2;

/// The side of a filter on a sheet, in pixels, and the largest enlargement of its pixels for that.
const FILTER_SIDE: usize = 18;
const MOST_ENLARGED: usize = 6;

/// The weights of the first layer's units or filters, each with the shape of an image.
#[derive(Clone, Debug)]
pub(super) struct FirstLayer {
    /// Whether it is a convolution.
    pub is_convolution: bool,
    /// Whether each has three planes.
    pub color: bool,
    /// Number of units of the layer.
    pub units: usize,
    /// Number of units that are shown.
    pub shown: usize,
    /// The absolute weight that gets the full color.
    pub full: f32,
    shape: [usize; 2],
    /// Shape [shown, planes · height · width].
    weights: Vec<f32>,
}

impl FirstLayer {
    /// Returns the first layer of `model`; `None` if its first parameters are not those of a Dense layer on images or of a
    /// convolution of one or three channels, or if the images are too large to show.
    pub fn of(model: &Sequential) -> Result<Option<Self>, ReportError> {
        let spec = model.spec();
        let Some(input) = PictureShape::of(&spec.input_shape) else { return Ok(None) };
        let mut layers = spec.layers.iter().skip_while(|layer| keeps_pixels(layer));
        let first = layers.next();
        let is_convolution = first.is_some_and(Layer::is::<Conv2D>);
        let is_flat = first.is_some_and(Layer::is::<Flatten>);
        let is_dense = is_flat && layers.next().is_some_and(Layer::is::<Dense>);
        let Some((_, weight)) = model.parameters().next().filter(|_| is_dense || is_convolution)
        else {
            return Ok(None);
        };
        let (color, [height, width]) = match weight.size()[..] {
            [_, channels @ (1 | 3), height, width] => {
                (channels == 3, [height as usize, width as usize])
            }
            [_, _] => (input.color, input.size()),
            _ => return Ok(None),
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
        let shape = [height, width];
        Ok(Some(Self { is_convolution, color, units, shown, full, shape, weights }))
    }

    /// Returns a sheet with one picture per unit, row by row: positive weights are blue, negative ones
    /// orange, and those near 0 pale. In color, weights for red, green and blue are light in these, and those against
    /// dark. Filters, which are small, are enlarged once more.
    pub fn sheet(&self, enlarged: usize) -> Picture {
        let [height, width] = self.shape;
        let enlarged = match self.is_convolution {
            true => enlarged * (FILTER_SIDE / height.max(width)).clamp(1, MOST_ENLARGED),
            false => enlarged,
        };
        let columns = COLUMNS.min(self.shown);
        let rows = self.shown.div_ceil(columns.max(1));
        let side = |count: usize, size: usize| count * (size + GAP) * enlarged - GAP * enlarged;
        let mut sheet = Picture::filled(side(columns, width), side(rows, height), [255, 255, 255]);
        let plane = height * width;
        let planes = if self.color { 3 } else { 1 };
        for (unit, weights) in self.weights.chunks_exact(planes * plane).enumerate() {
            let (top, left) = (unit / columns * (height + GAP), unit % columns * (width + GAP));
            for i in 0..plane {
                let color = match self.color {
                    true => [0, 1, 2].map(|channel| self.light(weights[channel * plane + i])),
                    false => self.color(weights[i]),
                };
                let (x, y) = (left + i % width, top + i / width);
                sheet.square([x * enlarged, y * enlarged], enlarged, color);
            }
        }
        sheet
    }

    /// Returns the weight on a scale of -1 to 1.
    fn scaled(&self, weight: f32) -> f32 {
        if self.full > 0.0 { (weight / self.full).clamp(-1.0, 1.0) } else { 0.0 }
    }

    /// Returns the light of one color: half of it for a weight of 0.
    fn light(&self, weight: f32) -> u8 {
        (127.5 + 127.5 * self.scaled(weight)).round() as u8
    }

    fn color(&self, weight: f32) -> [u8; 3] {
        const MIDDLE: [f32; 3] = [244.0, 244.0, 240.0];
        const FOR: [f32; 3] = [5.0, 72.0, 135.0];
        const AGAINST: [f32; 3] = [176.0, 66.0, 0.0];
        let scaled = self.scaled(weight);
        let end = if scaled >= 0.0 { FOR } else { AGAINST };
        let mix = |i: usize| MIDDLE[i] + (end[i] - MIDDLE[i]) * scaled.abs();
        [0, 1, 2].map(|i| mix(i).round() as u8)
    }
}

/// Returns whether a layer gives each pixel to the next layer, perhaps with another brightness.
fn keeps_pixels(layer: &Layer) -> bool {
    layer.is::<Dropout>()
        || layer.is::<GaussianNoise>()
        || layer.is::<Normalization>()
        || layer.is::<Rescaling>()
        || layer.get::<Reshape>().is_some_and(|reshape| reshape.target_shape.len() == 3)
}

/// Returns the first `rows` rows of a matrix, or the first filters.
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
        let (is_convolution, color, weights) = (false, false, vec![0.0]);
        let (units, shown, full, shape) = (1, 1, 2.0, [1, 1]);
        let layer = FirstLayer { is_convolution, color, units, shown, full, shape, weights };
        assert_eq!(layer.color(0.0), [244, 244, 240]);
        assert_eq!(layer.color(2.0), [5, 72, 135]);
        assert_eq!(layer.color(-9.0), [176, 66, 0]);
        let dead = FirstLayer { full: 0.0, ..layer };
        assert_eq!(dead.color(0.0), [244, 244, 240]);
    }

    #[test]
    fn filters_are_shown_in_color() {
        let model =
            Sequential::new([3, 8, 8]).add(Rescaling::new(2.0, -1.0)).add(Conv2D::new(5, 3));
        let model = model.add(Flatten).add(Dense::new(2)).build(Device::Cpu, 0).unwrap();
        let layer = FirstLayer::of(&model).unwrap().unwrap();
        assert_eq!((layer.is_convolution, layer.color, layer.units), (true, true, 5));
        let sheet = layer.sheet(1);
        // 5 filters of 3 by 3 pixels and 4 gaps of 2, each 6 times as large.
        assert_eq!((sheet.width, sheet.height), (6 * (5 * 3 + 4 * 2), 6 * 3));
        // The lower right pixel of the second filter.
        let place = 3 * (17 * sheet.width + 6 * 7);
        let light = [0, 1, 2].map(|channel| layer.light(layer.weights[27 + 9 * channel + 8]));
        assert_eq!(sheet.rgb[place..][..3], light);
        assert_eq!((layer.light(0.0), layer.light(layer.full), layer.light(-9.0)), (128, 255, 0));
        // Gray pictures get an axis of channels first.
        let gray = Sequential::new([8, 8]).add(Reshape::new([1, 8, 8])).add(Conv2D::new(5, 3));
        let gray = gray.add(Flatten).add(Dense::new(2)).build(Device::Cpu, 0).unwrap();
        assert!(!FirstLayer::of(&gray).unwrap().unwrap().color);
        let deep =
            Sequential::new([8, 8, 8]).add(Conv2D::new(5, 3)).add(Flatten).add(Dense::new(2));
        assert!(FirstLayer::of(&deep.build(Device::Cpu, 0).unwrap()).unwrap().is_none());
    }

    #[test]
    fn flat_samples_have_no_pictures() {
        let model = Sequential::new([6]).add(Dense::new(2)).build(Device::Cpu, 0).unwrap();
        assert!(FirstLayer::of(&model).unwrap().is_none());
    }
}
