//! MixUp and CutMix as tensors, for images in a GPU's memory.

use tch::{Device, Tensor};

use super::Mix;
use crate::native::{LibtorchError, tensor_buffer};

/// Returns the other image's fraction of each pixel, f32 [n, height, width]; 0 of images that are not mixed.
pub(super) fn amounts(
    mixes: &[Option<Mix>],
    size: [usize; 2],
    device: Device,
) -> Result<Tensor, LibtorchError> {
    let inside = |axis: usize, shape: [i64; 3]| {
        let ends = mixes.iter().flat_map(|mix| mix.map_or([0; 2], |mix| mix.area[axis]));
        let ends: Vec<f32> = ends.map(|end| end as f32).collect();
        let ends = tensor_buffer::on_device(&ends, device)?.f_reshape([-1, 2, 1, 1])?;
        let places: Vec<f32> = (0..size[axis]).map(|place| place as f32).collect();
        let places = tensor_buffer::on_device(&places, device)?.f_reshape(shape)?;
        let (first, end) = (ends.f_select(1, 0)?, ends.f_select(1, 1)?);
        Ok::<_, LibtorchError>(
            places.f_ge_tensor(&first)?.f_logical_and(&places.f_lt_tensor(&end)?)?,
        )
    };
    let area = inside(0, [1, -1, 1])?.f_logical_and(&inside(1, [1, 1, -1])?)?;
    let amounts: Vec<f32> = mixes.iter().map(|mix| mix.map_or(0.0, |mix| mix.amount)).collect();
    let amounts = tensor_buffer::on_device(&amounts, device)?.f_reshape([-1, 1, 1])?;
    Ok(amounts.f_mul(&area)?)
}
