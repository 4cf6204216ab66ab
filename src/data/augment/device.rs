//! The same map as tensor operations, for images in a GPU's memory.

use tch::{Device, Tensor};

use super::spline::Spline;
use super::{Augmenter, Draw};
use crate::native::{LibtorchError, tensor_buffer};

/// Constants of every batch, on the device.
#[derive(Debug)]
pub(crate) struct DeviceMap {
    /// f32 [height, control rows] and [control columns, width]: the B-splines at every pixel.
    rows: Tensor,
    columns: Tensor,
    /// f32 [height, 1] and [width]: offsets of pixels from the center.
    v: Tensor,
    u: Tensor,
    /// f32 [2]: factors that convert x and y positions in pixels to [-1, 1].
    sides: Tensor,
    device: Device,
}

/// Returns the spline as a matrix [pixels, control points].
fn matrix(spline: &Spline) -> Result<Tensor, LibtorchError> {
    let mut values = vec![0f32; spline.taps.len() * spline.points];
    for (row, (first, weights)) in values.chunks_exact_mut(spline.points).zip(&spline.taps) {
        row[*first..first + 4].copy_from_slice(weights);
    }
    let shape = [spline.taps.len() as i64, spline.points as i64];
    Ok(Tensor::f_from_slice(&values)?.f_reshape(shape)?)
}

fn offsets(pixels: usize) -> Result<Tensor, LibtorchError> {
    let middle = (pixels - 1) as f32 / 2.0;
    let offsets: Vec<f32> = (0..pixels).map(|pixel| pixel as f32 - middle).collect();
    Ok(Tensor::f_from_slice(&offsets)?)
}

impl DeviceMap {
    /// Prepares the map for the images of `augmenter`.
    pub fn new(augmenter: &Augmenter, device: Device) -> Result<Self, LibtorchError> {
        let &Augmenter { height, width, ref rows, ref columns, .. } = augmenter;
        Ok(Self {
            rows: matrix(rows)?.f_to_device(device)?,
            columns: matrix(columns)?.f_tr()?.f_to_device(device)?,
            v: offsets(height)?.f_reshape([height as i64, 1])?.f_to_device(device)?,
            u: offsets(width)?.f_to_device(device)?,
            sides: tensor_buffer::on_device(&[2.0 / width as f32, 2.0 / height as f32], device)?,
            device,
        })
    }

    /// Deforms f32 images [n, height, width], each by its own draw; there is one draw per image.
    pub fn apply(&self, draws: &[Draw], images: &Tensor) -> Result<Tensor, LibtorchError> {
        let n = draws.len() as i64;
        let affine: Vec<f32> = draws.iter().flat_map(|draw| draw.affine).collect();
        let affine = tensor_buffer::on_device(&affine, self.device)?.f_reshape([n, 2, 3, 1, 1])?;
        let part = |k: i64| affine.f_select(2, k);
        // [n, 2, height, width]: input x and y of every output pixel, from the center.
        let mut places =
            part(0)?.f_mul(&self.u)?.f_add(&part(1)?.f_mul(&self.v)?)?.f_add(&part(2)?)?;
        let control: Vec<f32> =
            draws.iter().flat_map(|draw| draw.control.iter().copied()).collect();
        if !control.is_empty() {
            let shape = [n, 2, self.rows.size()[1], self.columns.size()[0]];
            let control = tensor_buffer::on_device(&control, self.device)?.f_reshape(shape)?;
            places = places.f_add(&self.rows.f_matmul(&control)?.f_matmul(&self.columns)?)?;
        }
        // From -1, the outer edge of the first pixel, to 1, that of the last; [n, height, width, 2].
        let grid = places.f_permute([0, 2, 3, 1])?.f_mul(&self.sides)?;
        const BILINEAR: i64 = 0;
        const ZEROS: i64 = 0;
        let images = images.f_unsqueeze(1)?;
        Ok(images.f_grid_sampler(&grid, BILINEAR, ZEROS, false)?.f_squeeze_dim(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::augment::{Augment, Scratch};

    #[test]
    fn tensor_operations_match_the_fused_pass() -> Result<(), LibtorchError> {
        let strong =
            Augment { rotation: 90.0, scale: 0.5, shift: 5.0, shear: 0.5, elastic: 1.5, fade: 0.0 };
        for augment in [strong, Augment { elastic: 0.0, ..strong }] {
            for [height, width] in [[28, 28], [9, 17], [1, 5]] {
                let augmenter = Augmenter::new(augment, 7, 9, [height, width]);
                let draws: Vec<Draw> = (0..6).map(|sample| augmenter.draw(2, sample)).collect();
                let images: Vec<u8> =
                    (0..6 * height * width).map(|i| (i * 7919 % 251) as u8).collect();
                let floats: Vec<f32> = images.iter().map(|&p| f32::from(p) / 255.0).collect();
                let tensor = Tensor::f_from_slice(&floats)?;
                let tensor = tensor.f_reshape([6, height as i64, width as i64])?;
                let map = DeviceMap::new(&augmenter, Device::Cpu)?;
                let got = map.apply(&draws, &tensor)?.f_contiguous()?;
                assert_eq!(got.size(), tensor.size());
                let mut values = vec![0f32; floats.len()];
                got.f_copy_data(&mut values, floats.len())?;
                let mut expected = vec![0f32; height * width];
                let each =
                    values.chunks_exact(height * width).zip(images.chunks_exact(height * width));
                for ((got, image), draw) in each.zip(&draws) {
                    augmenter.apply(draw, image, &mut expected, &mut Scratch::default());
                    for (got, expected) in got.iter().zip(&expected) {
                        // Positions in f32 are accurate to some millionths of a pixel.
                        assert!((got - expected).abs() < 1e-4, "{got} for {expected}");
                    }
                }
            }
        }
        Ok(())
    }
}
