//! Conversion of parameters and buffers for export: checked, on the host, in the precision of the file.

use std::borrow::Cow;

use half::f16;
use half::slice::HalfFloatSliceExt as _;
use safetensors::View;
use safetensors::tensor::Dtype;
use tch::Tensor;

use super::{ExportError, Options};
use crate::model::Sequential;
use crate::native::{LibtorchError, reserved};
use crate::tensors::HostTensor;

/// A parameter or buffer in the layout of a file: row-major, little-endian, f32 or f16.
pub(super) struct Weight<'a> {
    pub name: &'a str,
    pub shape: Vec<usize>,
    pub half: bool,
    pub bytes: Vec<u8>,
}

impl<'a> Weight<'a> {
    /// Returns all parameters and buffers of `model`, in the order of its layers.
    pub fn all(model: &'a Sequential, options: Options) -> Result<Vec<Self>, ExportError> {
        model.variables().map(|(name, tensor)| Self::new(name, tensor, options)).collect()
    }

    /// Copies `tensor`, which may be a view.
    pub fn new(name: &'a str, tensor: &Tensor, options: Options) -> Result<Self, ExportError> {
        let tensor = HostTensor::copy_of(tensor)?;
        check_values(name, &tensor.values, options)?;
        let bytes = match options.half {
            true => {
                let mut halves = taken(tensor.values.len())?;
                halves.resize(tensor.values.len(), f16::ZERO);
                halves.convert_from_f32_slice(&tensor.values);
                little_endian(&halves, f16::to_le_bytes)?
            }
            false => little_endian(&tensor.values, f32::to_le_bytes)?,
        };
        Ok(Self { name, shape: tensor.shape, half: options.half, bytes })
    }

    /// Returns the number of values.
    #[cfg(feature = "keras")]
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

fn taken<T>(count: usize) -> Result<Vec<T>, LibtorchError> {
    reserved(count).map_err(LibtorchError::memory)
}

fn little_endian<T: Copy, const N: usize>(
    values: &[T],
    bytes: fn(T) -> [u8; N],
) -> Result<Vec<u8>, LibtorchError> {
    let mut list = taken(N * values.len())?;
    list.extend(values.iter().flat_map(|&value| bytes(value)));
    Ok(list)
}

/// Checks that all values of a parameter are finite in the precision of the file: seqfit writes no NaN or
/// infinity.
pub(super) fn check(name: &str, tensor: &Tensor, options: Options) -> Result<(), ExportError> {
    check_values(name, &HostTensor::copy_of(tensor)?.values, options)
}

fn check_values(name: &str, values: &[f32], options: Options) -> Result<(), ExportError> {
    for &found in values {
        if !found.is_finite() {
            return Err(ExportError::NotFinite(name.to_owned()));
        }
        if options.half && f16::from_f32(found).is_infinite() {
            return Err(ExportError::HalfRange { name: name.to_owned(), found });
        }
    }
    Ok(())
}

impl View for &Weight<'_> {
    fn dtype(&self) -> Dtype {
        if self.half { Dtype::F16 } else { Dtype::F32 }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
