//! The same map as tensor operations, for images in a GPU's memory.

use tch::{Device, Tensor};

use super::color_operations::LUMA;
use super::spline::Spline;
use super::{Augmenter, Draw, Mix, device_mixing, device_operations};
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
    /// Rows and columns.
    size: [usize; 2],
    color: bool,
    reflects: bool,
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
        let &Augmenter { height, width, color, reflects, ref rows, ref columns, .. } = augmenter;
        Ok(Self {
            size: [height, width],
            color,
            reflects,
            rows: matrix(rows)?.f_to_device(device)?,
            columns: matrix(columns)?.f_tr()?.f_to_device(device)?,
            v: offsets(height)?.f_reshape([height as i64, 1])?.f_to_device(device)?,
            u: offsets(width)?.f_to_device(device)?,
            sides: tensor_buffer::on_device(&[2.0 / width as f32, 2.0 / height as f32], device)?,
            device,
        })
    }

    /// Changes f32 images [n, height, width] or [n, 3, height, width], each by its own draw; there is one draw per
    /// image.
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
        if self.reflects {
            places = self.reflected(&places)?;
        }
        // From -1, the outer edge of the first pixel, to 1, that of the last; [n, height, width, 2].
        let grid = places.f_permute([0, 2, 3, 1])?.f_mul(&self.sides)?;
        const BILINEAR: i64 = 0;
        const ZEROS: i64 = 0;
        let planes = if self.color { images.shallow_clone() } else { images.f_unsqueeze(1)? };
        let sampled = planes.f_grid_sampler(&grid, BILINEAR, ZEROS, false)?;
        let sampled = device_operations::apply(draws, sampled, self.device)?;
        let changed = self.with_holes(draws, &self.in_other_colors(draws, sampled)?)?;
        Ok(if self.color { changed } else { changed.f_squeeze_dim(1)? })
    }

    /// Mixes f32 images of the same shapes as in [`apply`](Self::apply) with others, each by its own parts.
    pub fn mix(
        &self,
        mixes: &[Option<Mix>],
        images: &Tensor,
        others: &Tensor,
    ) -> Result<Tensor, LibtorchError> {
        let amounts = device_mixing::amounts(mixes, self.size, self.device)?;
        let amounts = if self.color { amounts.f_unsqueeze(1)? } else { amounts };
        let own = amounts.f_neg()?.f_add_scalar(1.0)?;
        Ok(images.f_mul(&own)?.f_add(&others.f_mul(&amounts)?)?)
    }

    /// Reflects positions from the center [n, 2, height, width] about the middle of the outer pixels.
    fn reflected(&self, places: &Tensor) -> Result<Tensor, LibtorchError> {
        let [height, width] = self.size.map(|size| (size - 1) as f32);
        let last = tensor_buffer::on_device(&[width, height], self.device)?.f_reshape([2, 1, 1])?;
        let middle = last.f_mul_scalar(0.5)?;
        // A single pixel reflects everything onto itself.
        let period = last.f_mul_scalar(2.0)?.f_clamp_min(1e-6)?;
        let turned = places.f_add(&middle)?.f_abs()?.f_remainder_tensor(&period)?;
        Ok(last.f_sub(&turned.f_sub(&last)?.f_abs()?)?.f_sub(&middle)?)
    }

    /// Changes brightness, contrast and saturation of images [n, channels, height, width].
    fn in_other_colors(&self, draws: &[Draw], images: Tensor) -> Result<Tensor, LibtorchError> {
        if !draws.iter().any(|draw| draw.changes.changes_colors()) {
            return Ok(images);
        }
        let factor = |which: usize| {
            let factors: Vec<f32> = draws.iter().map(|draw| draw.changes.factors[which]).collect();
            let factors = tensor_buffer::on_device(&factors, self.device)?;
            Ok::<_, LibtorchError>(factors.f_reshape([draws.len() as i64, 1, 1, 1])?)
        };
        let blend = |x: &Tensor, rest: &Tensor, factor: &Tensor| {
            let rest = rest.f_sub(&rest.f_mul(factor)?)?;
            Ok::<_, LibtorchError>(x.f_mul(factor)?.f_add(&rest)?.f_clamp(0.0, 1.0)?)
        };
        let luma = tensor_buffer::on_device(&LUMA, self.device)?.f_reshape([3, 1, 1])?;
        let gray = |x: &Tensor| match self.color {
            true => Ok::<_, LibtorchError>(x.f_mul(&luma)?.f_sum_dim_intlist(1, true, None)?),
            false => Ok(x.shallow_clone()),
        };
        let x = images.f_mul(&factor(0)?)?.f_clamp(0.0, 1.0)?;
        let middle = gray(&x)?.f_mean_dim(&[1i64, 2, 3][..], true, None)?;
        let x = blend(&x, &middle, &factor(1)?)?;
        if self.color { blend(&x, &gray(&x)?, &factor(2)?) } else { Ok(x) }
    }

    /// Leaves a square out of images [n, channels, height, width].
    fn with_holes(&self, draws: &[Draw], images: &Tensor) -> Result<Tensor, LibtorchError> {
        if !draws.iter().any(|draw| draw.changes.has_hole()) {
            return Ok(images.shallow_clone());
        }
        let inside = |axis: usize, shape: [i64; 4]| {
            let ends = draws.iter().flat_map(|draw| draw.changes.hole[axis]);
            let ends: Vec<f32> = ends.map(|end| end as f32).collect();
            let ends = tensor_buffer::on_device(&ends, self.device)?;
            let ends = ends.f_reshape([draws.len() as i64, 2, 1, 1])?;
            let places: Vec<f32> = (0..self.size[axis]).map(|place| place as f32).collect();
            let places = tensor_buffer::on_device(&places, self.device)?.f_reshape(shape)?;
            let [first, end] = [ends.f_narrow(1, 0, 1)?, ends.f_narrow(1, 1, 1)?];
            Ok::<_, LibtorchError>(
                places.f_ge_tensor(&first)?.f_logical_and(&places.f_lt_tensor(&end)?)?,
            )
        };
        let hole = inside(0, [1, 1, -1, 1])?.f_logical_and(&inside(1, [1, 1, 1, -1])?)?;
        let mean = images.f_mean_dim(&[2i64, 3][..], true, None)?;
        Ok(mean.f_where_self(&hole, images)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::PictureShape;
    use crate::data::augment::{Augment, Scratch};

    #[test]
    fn tensor_operations_match_the_fused_pass() -> Result<(), LibtorchError> {
        let strong = Augment {
            rotation: 90.0,
            scale: 0.5,
            shift: 5.0,
            shear: 0.5,
            elastic: 1.5,
            ..Augment::OFF
        };
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

    #[test]
    fn operations_of_randaugment_match_on_both() -> Result<(), LibtorchError> {
        for (color, [height, width]) in [(true, [24, 23]), (true, [2, 9]), (false, [24, 24])] {
            let shape = PictureShape { color, height, width };
            for magnitude in [9.0, 30.0] {
                let augment = Augment { randaugment: magnitude, flip: 0.5, ..Augment::OFF };
                let augmenter = Augmenter::new(augment, 7, 9, shape);
                let draws: Vec<Draw> = (0..150).map(|sample| augmenter.draw(2, sample)).collect();
                let images: Vec<u8> =
                    (0..150 * shape.values()).map(|i| (i * i / 31 % 97 + 60) as u8).collect();
                let floats: Vec<f32> = images.iter().map(|&p| f32::from(p) / 255.0).collect();
                let sizes: Vec<i64> = [150]
                    .into_iter()
                    .chain(shape.sample_shape().iter().map(|&size| size as i64))
                    .collect();
                let tensor = Tensor::f_from_slice(&floats)?.f_reshape(&sizes)?;
                let map = DeviceMap::new(&augmenter, Device::Cpu)?;
                let got = map.apply(&draws, &tensor)?.f_contiguous()?;
                let mut found = vec![0f32; floats.len()];
                got.f_copy_data(&mut found, floats.len())?;
                let mut expected = vec![0f32; shape.values()];
                let each =
                    found.chunks_exact(shape.values()).zip(images.chunks_exact(shape.values()));
                let mut rounded = Vec::new();
                for ((found, image), draw) in each.zip(&draws) {
                    augmenter.apply(draw, image, &mut expected, &mut Scratch::default());
                    let pairs = found.iter().zip(&expected);
                    let far = pairs.filter(|(found, other)| (*found - *other).abs() > 1e-4).count();
                    if draw.operations.iter().any(|operation| operation.rounds()) {
                        rounded.push((far, draw.operations));
                    } else {
                        assert_eq!(far, 0, "{:?}", draw.operations);
                    }
                }
                // A value in the middle between two levels may be rounded to either, once positions differ by a
                // millionth of a pixel; of an equalized image all levels after it may then be others.
                let other: Vec<_> = rounded.iter().filter(|(far, _)| *far > 0).collect();
                assert!(
                    other.len() * 10 <= rounded.len(),
                    "{} of {}: {other:?}",
                    other.len(),
                    rounded.len()
                );
            }
        }
        Ok(())
    }

    #[test]
    fn photographs_change_alike_on_both() -> Result<(), LibtorchError> {
        let photographs = Augment {
            flip: 0.5,
            crop: 3.0,
            cutout: 4.0,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.4,
            ..Augment::OFF
        };
        for augment in [photographs, Augment { rotation: 40.0, shift: 6.0, ..photographs }] {
            for (color, [height, width]) in [(true, [12, 9]), (true, [1, 7]), (false, [8, 8])] {
                let shape = PictureShape { color, height, width };
                let augmenter = Augmenter::new(augment, 7, 9, shape);
                let draws: Vec<Draw> = (0..6).map(|sample| augmenter.draw(2, sample)).collect();
                let values = shape.values();
                let images: Vec<u8> = (0..6 * values).map(|i| (i * 7919 % 251) as u8).collect();
                let floats: Vec<f32> = images.iter().map(|&p| f32::from(p) / 255.0).collect();
                let sizes: Vec<i64> =
                    [6].into_iter().chain(shape.sample_shape().iter().map(|&s| s as i64)).collect();
                let tensor = Tensor::f_from_slice(&floats)?.f_reshape(&sizes)?;
                let map = DeviceMap::new(&augmenter, Device::Cpu)?;
                let got = map.apply(&draws, &tensor)?.f_contiguous()?;
                assert_eq!(got.size(), sizes);
                let mut found = vec![0f32; floats.len()];
                got.f_copy_data(&mut found, floats.len())?;
                let mut expected = vec![0f32; values];
                let each = found.chunks_exact(values).zip(images.chunks_exact(values));
                for ((found, image), draw) in each.zip(&draws) {
                    augmenter.apply(draw, image, &mut expected, &mut Scratch::default());
                    for (found, expected) in found.iter().zip(&expected) {
                        assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
                    }
                }
            }
        }
        Ok(())
    }
}
