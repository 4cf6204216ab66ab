//! Tensors that Rust fills: one allocation, no copy.

use tch::kind::Element;
use tch::{Device, Kind, Tensor};

use super::LibtorchError;

/// A new f32 tensor of `shape` on the CPU, whose elements `fill` writes in row-major order.
pub fn filled_f32(shape: &[i64], fill: impl FnOnce(&mut [f32])) -> Result<Tensor, LibtorchError> {
    // Zeroed, not empty: a slice of memory that nobody has written is undefined behaviour.
    let tensor = Tensor::f_zeros(shape, (Kind::Float, Device::Cpu))?;
    let data = tensor.data_ptr().cast::<f32>();
    if !data.is_null() {
        // SAFETY: a fresh contiguous tensor that nobody else holds, with as many f32 elements.
        fill(unsafe { std::slice::from_raw_parts_mut(data, tensor.numel()) });
    }
    Ok(tensor)
}

/// `values` as a tensor of one dimension on `device`. The host does not wait for a GPU that has work left
/// to do.
pub fn on_device<T: Element>(values: &[T], device: Device) -> Result<Tensor, LibtorchError> {
    let tensor = Tensor::f_from_slice(values)?;
    match device {
        Device::Cpu => Ok(tensor),
        // From pinned memory, which libtorch keeps until it has been copied.
        _ => {
            let (kind, pinned) = (tensor.kind(), tensor.f_pin_memory(device)?);
            Ok(pinned.f_to_device_(device, kind, true, false)?)
        }
    }
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
