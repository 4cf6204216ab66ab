//! RandAugment's changes of colors as tensor operations, for images in a GPU's memory: what
//! [color operations](super::color_operations) do, for all images at once that have the same operation.

use tch::{Device, Kind as Dtype, Tensor};

use super::Draw;
use super::color_operations::{BLUR, HALF, LEVELS, LUMA};
use super::randaugment::{KINDS, Kind, OPERATIONS, Operation};
use crate::data::pixel_scale::SCALE;
use crate::native::{LibtorchError, tensor_buffer};

/// Changes the colors of images [n, channels, height, width] in [0, 1], each by its own draw.
pub(super) fn apply(
    draws: &[Draw],
    images: Tensor,
    device: Device,
) -> Result<Tensor, LibtorchError> {
    (0..OPERATIONS).try_fold(images, |images, place| {
        let operations: Vec<Operation> = draws.iter().map(|draw| draw.operations[place]).collect();
        KINDS.into_iter().filter(|kind| *kind != Kind::Identity).try_fold(images, |images, kind| {
            let of_kind = |operation: &&Operation| operation.kind == kind && !operation.moves();
            let amounts: Vec<f32> = operations
                .iter()
                .filter(of_kind)
                .map(|operation| operation.amount as f32)
                .collect();
            if amounts.is_empty() {
                return Ok(images);
            }
            let chosen = (0i64..).zip(&operations).filter(|(_, operation)| of_kind(operation));
            let chosen: Vec<i64> = chosen.map(|(i, _)| i).collect();
            let chosen = tensor_buffer::on_device(&chosen, device)?;
            let amounts = tensor_buffer::on_device(&amounts, device)?.f_reshape([-1, 1, 1, 1])?;
            let part = images.f_index_select(0, &chosen)?;
            let changed = changed(kind, &part, &amounts, device)?;
            Ok::<_, LibtorchError>(images.f_index_copy(0, &chosen, &changed)?)
        })
    })
}

/// Returns images [n, channels, height, width] after an operation; `amounts` is [n, 1, 1, 1].
fn changed(
    kind: Kind,
    images: &Tensor,
    amounts: &Tensor,
    device: Device,
) -> Result<Tensor, LibtorchError> {
    match kind {
        Kind::Brightness => Ok(images.f_mul(amounts)?.f_clamp(0.0, 1.0)?),
        Kind::Color => blended(images, &gray(images, device)?, amounts),
        Kind::Contrast => {
            let middle = gray(images, device)?.f_mean_dim(&[1i64, 2, 3][..], true, None)?;
            blended(images, &middle, amounts)
        }
        Kind::Sharpness => sharpened(images, amounts),
        Kind::Posterize => {
            let step = amounts.f_neg()?.f_exp2()?.f_mul_scalar(LEVELS as f64)?;
            let levels = levels(images)?.f_div(&step)?.f_floor()?.f_mul(&step)?;
            Ok(levels.f_div_scalar(SCALE)?)
        }
        Kind::Solarize => {
            let inverted = images.f_neg()?.f_add_scalar(1.0)?;
            Ok(inverted.f_where_self(&levels(images)?.f_ge_tensor(amounts)?, images)?)
        }
        Kind::AutoContrast => stretched(images),
        Kind::Equalize => equalized(images),
        _ => Ok(images.shallow_clone()),
    }
}

/// Returns factor · images + (1 - factor) · others.
fn blended(images: &Tensor, others: &Tensor, factors: &Tensor) -> Result<Tensor, LibtorchError> {
    let rest = others.f_sub(&others.f_mul(factors)?)?;
    Ok(images.f_mul(factors)?.f_add(&rest)?.f_clamp(0.0, 1.0)?)
}

/// Returns the shade of gray of each pixel, [n, 1, height, width]; of gray images these.
fn gray(images: &Tensor, device: Device) -> Result<Tensor, LibtorchError> {
    if images.size()[1] != LUMA.len() as i64 {
        return Ok(images.shallow_clone());
    }
    let luma = tensor_buffer::on_device(&LUMA, device)?.f_reshape([3, 1, 1])?;
    Ok(images.f_mul(&luma)?.f_sum_dim_intlist(1, true, None)?)
}

/// Returns the level of each pixel in a file, from 0 to 255.
fn levels(images: &Tensor) -> Result<Tensor, LibtorchError> {
    Ok(images.f_mul_scalar(SCALE)?.f_add_scalar(f64::from(HALF))?.f_floor()?)
}

fn sharpened(images: &Tensor, factors: &Tensor) -> Result<Tensor, LibtorchError> {
    let [_, _, height, width] = images.size()[..] else { return Ok(images.shallow_clone()) };
    if height < 3 || width < 3 {
        return Ok(images.shallow_clone());
    }
    // Not a convolution, which cuDNN may compute in TF32.
    let [middle, near] = BLUR.map(f64::from);
    let sums = images.f_avg_pool2d([3i64, 3], [1i64, 1], [0i64, 0], false, true, 1i64)?;
    let inner = |tensor: &Tensor| tensor.f_narrow(2, 1, height - 2)?.f_narrow(3, 1, width - 2);
    let sharpened = images.f_detach_copy()?;
    let blurred = sums.f_mul_scalar(near)?.f_add(&inner(images)?.f_mul_scalar(middle - near)?)?;
    inner(&sharpened)?.f_copy_(&blended(&inner(images)?, &blurred, factors)?)?;
    Ok(sharpened)
}

fn stretched(images: &Tensor) -> Result<Tensor, LibtorchError> {
    let (least, most) = (images.f_amin([2i64, 3], true)?, images.f_amax([2i64, 3], true)?);
    let range = most.f_sub(&least)?;
    let stretched = images.f_sub(&least)?.f_div(&range)?.f_clamp(0.0, 1.0)?;
    Ok(stretched.f_where_self(&range.f_gt(0.0)?, images)?)
}

fn equalized(images: &Tensor) -> Result<Tensor, LibtorchError> {
    let [n, channels, height, width] = images.size()[..] else { return Ok(images.shallow_clone()) };
    let pixels = height * width;
    let levels = levels(images)?.f_to_kind(Dtype::Int64)?.f_reshape([n * channels, pixels])?;
    let all = [n * channels, LEVELS as i64];
    let counts = Tensor::f_zeros(all, (Dtype::Int64, images.device()))?;
    // Whole numbers, whose sums do not depend on their order.
    let counts = counts.f_scatter_add(1, &levels, &levels.f_ones_like()?)?;
    let largest = levels.f_amax([1i64], true)?;
    let last = counts.f_gather(1, &largest, false)?;
    let step = last.f_neg()?.f_add_scalar(pixels)?.f_floor_divide_scalar(LEVELS as i64 - 1)?;
    let divisor = step.f_clamp_min(1)?;
    let before = counts.f_cumsum(1, Dtype::Int64)?.f_sub(&counts)?;
    let table = before.f_add(&divisor.f_floor_divide_scalar(2)?)?.f_floor_divide(&divisor)?;
    let table = table.f_clamp_max(LEVELS as i64 - 1)?.f_to_kind(Dtype::Float)?;
    let found = table.f_gather(1, &levels, false)?.f_div_scalar(SCALE)?;
    let found = found.f_where_self(&step.f_gt(0)?, &images.f_reshape([n * channels, pixels])?)?;
    Ok(found.f_reshape(images.size())?)
}
