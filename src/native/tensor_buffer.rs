//! Tensors whose memory Rust fills: one allocation, no copy.

use std::ptr::null_mut;

use tch::kind::Element;
use tch::{Device, Kind, Tensor};

use super::{LibtorchError, check, ffi};

/// Creates an f32 tensor of `shape` on the CPU, whose elements `fill` writes in row-major order.
pub fn filled_f32(shape: &[i64], fill: impl FnOnce(&mut [f32])) -> Result<Tensor, LibtorchError> {
    // Zeroed, not empty: a slice of uninitialized memory is undefined behavior.
    let tensor = Tensor::f_zeros(shape, (Kind::Float, Device::Cpu))?;
    let data = tensor.data_ptr().cast::<f32>();
    if !data.is_null() {
        // SAFETY: a new contiguous tensor with no other owner, with this number of f32 elements.
        fill(unsafe { std::slice::from_raw_parts_mut(data, tensor.numel()) });
    }
    Ok(tensor)
}

/// Copies `values` into a one-dimensional tensor on `device`. The host does not wait for work that is queued
/// on a GPU.
pub fn on_device<T: Element>(values: &[T], device: Device) -> Result<Tensor, LibtorchError> {
    let tensor = Tensor::f_from_slice(values)?;
    let Device::Cuda(index) = device else { return Ok(tensor.f_to_device(device)?) };
    let mut copy = null_mut();
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    // SAFETY: a live tensor; the copy is new and has no other owner.
    check(unsafe { ffi::seqfit_to_cuda(tensor.as_ptr(), index, &mut copy) })?;
    Ok(unsafe { Tensor::from_ptr(copy) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_land_in_row_major_order() -> Result<(), LibtorchError> {
        let tensor = filled_f32(&[2, 3], |data| {
            data.iter_mut().zip(0u8..).for_each(|(x, i)| *x = f32::from(i));
        })?;
        assert_eq!(tensor.double_value(&[1, 2]), 5.0);
        assert_eq!(filled_f32(&[0, 3], |data| assert!(data.is_empty()))?.size(), [0, 3]);
        Ok(())
    }
}
