//! The parameters as a safetensors file: written whole, read with every check.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use tch::{Kind, Tensor};

use super::sequential::Sequential;
use crate::native::LibtorchError;

/// What is wrong with a file of weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The bytes are no safetensors file.
    #[error("this is not a whole safetensors file ({0})")]
    Format(#[from] SafeTensorError),
    /// The file's tensors are not the network's.
    #[error("the network needs the tensors {expected:?}, found {found:?}")]
    Names {
        /// What the network has.
        expected: Vec<String>,
        /// What the file has.
        found: Vec<String>,
    },
    /// A tensor has another shape.
    #[error("tensor {name:?} must have shape {expected:?}, found {found:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the network.
        expected: Vec<usize>,
        /// Its shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is not f32.
    #[error("tensor {name:?} must be F32, found {found:?}")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its type in the file.
        found: Dtype,
    },
    /// A tensor holds NaN or an infinity.
    #[error("tensor {name:?} must hold finite numbers, found {found} at position {position}")]
    NotFinite {
        /// The tensor.
        name: String,
        /// Where.
        position: usize,
        /// NaN or an infinity.
        found: f32,
    },
    /// libtorch refused.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

impl Sequential {
    /// The parameters as the bytes of a safetensors file, under the names of
    /// [`parameters`](Self::parameters), with `metadata` beside them.
    ///
    /// # Errors
    /// [`WeightsError::NotFinite`] for weights that no file of ours may hold.
    pub fn to_safetensors(
        &self,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<u8>, WeightsError> {
        let mut bytes = BTreeMap::new();
        for (name, tensor) in self.parameters() {
            let values = to_vec(tensor)?;
            finite(name, &values)?;
            let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            bytes.insert(name, (shape(tensor), data));
        }
        let mut views = Vec::with_capacity(bytes.len());
        for (name, (shape, data)) in &bytes {
            views.push((*name, TensorView::new(Dtype::F32, shape.clone(), data)?));
        }
        Ok(safetensors::serialize(views, Some(metadata))?)
    }

    /// Replaces every parameter by the tensor of its name. All are checked before the first is
    /// changed: names, shapes, f32 and finite (libtorch would broadcast a [1, 4] tensor into a
    /// [3, 4] one without a word).
    ///
    /// # Errors
    /// The first thing that differs; the network is then as it was.
    pub fn load_safetensors(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        let file = SafeTensors::deserialize(bytes)?;
        let mut found: Vec<String> = file.names().into_iter().map(ToString::to_string).collect();
        let mut expected: Vec<String> = self.parameters().map(|(n, _)| n.to_owned()).collect();
        found.sort();
        expected.sort();
        if found != expected {
            return Err(WeightsError::Names { expected, found });
        }
        let mut loaded = Vec::with_capacity(expected.len());
        for (name, tensor) in self.parameters() {
            let view = file.tensor(name)?;
            let (expected, found) = (shape(tensor), view.shape().to_vec());
            if expected != found {
                return Err(WeightsError::Shape { name: name.to_owned(), expected, found });
            }
            if view.dtype() != Dtype::F32 {
                return Err(WeightsError::Dtype { name: name.to_owned(), found: view.dtype() });
            }
            let (chunks, _) = view.data().as_chunks();
            let values: Vec<f32> = chunks.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            finite(name, &values)?;
            loaded.push(
                Tensor::f_from_slice(&values)
                    .and_then(|t| t.f_reshape(tensor.size()))
                    .map_err(LibtorchError::from)?,
            );
        }
        let _no_grad = tch::no_grad_guard();
        for (tensor, loaded) in self.tensors_mut().iter_mut().zip(&loaded) {
            tensor.f_copy_(loaded).map_err(LibtorchError::from)?;
        }
        Ok(())
    }
}

fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.size().into_iter().map(|size| size as usize).collect()
}

fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, LibtorchError> {
    let tensor = tensor.f_detach()?.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?;
    let mut values = vec![0.0; tensor.numel()];
    tensor.f_contiguous()?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

fn finite(name: &str, values: &[f32]) -> Result<(), WeightsError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(position) => Err(WeightsError::NotFinite {
            name: name.to_owned(),
            position,
            found: values[position],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Flatten};
    use crate::{Device, ModelError};

    fn model(seed: u64) -> Result<Sequential, ModelError> {
        let builder = Sequential::new([2, 2]).add(Flatten).add(Dense::new(3));
        builder.build(Device::Cpu, seed)
    }

    fn file(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Result<Vec<u8>, SafeTensorError> {
        let mut views = Vec::new();
        for (name, dtype, shape, data) in tensors {
            views.push((*name, TensorView::new(*dtype, shape.to_vec(), data)?));
        }
        safetensors::serialize(views, None)
    }

    #[test]
    fn weights_round_trip_bit_for_bit() -> Result<(), Box<dyn std::error::Error>> {
        let (a, mut b) = (model(1)?, model(2)?);
        let bytes = a.to_safetensors(HashMap::from([("note".into(), "é".into())]))?;
        b.load_safetensors(&bytes)?;
        for ((name, x), (_, y)) in a.parameters().zip(b.parameters()) {
            assert!(x.equal(y), "{name}");
            assert!(y.requires_grad());
        }
        Ok(())
    }

    #[test]
    fn wrong_files_are_refused_and_change_nothing() -> Result<(), Box<dyn std::error::Error>> {
        let mut model = model(1)?;
        let before = model.to_safetensors(HashMap::new())?;
        let nan: Vec<u8> = [0.0, f32::NAN, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let weight = ("1.weight", Dtype::F32, &[3usize, 4][..], vec![0u8; 48]);
        let cases = [
            (before[..before.len() - 1].to_vec(), "not a whole safetensors file"),
            (b"<html>".to_vec(), "not a whole safetensors file"),
            (file(std::slice::from_ref(&weight))?, r#"found ["1.weight"]"#),
            (
                file(&[
                    ("1.weight", Dtype::F32, &[1, 4], vec![0; 16]),
                    ("1.bias", Dtype::F32, &[3], vec![0; 12]),
                ])?,
                "must have shape [3, 4], found [1, 4]",
            ),
            (file(&[weight.clone(), ("1.bias", Dtype::F16, &[3], vec![0; 6])])?, "must be F32"),
            (file(&[weight, ("1.bias", Dtype::F32, &[3], nan)])?, "found NaN at position 1"),
        ];
        for (bytes, message) in cases {
            let error = model.load_safetensors(&bytes).map_err(|e| e.to_string());
            assert!(error.as_ref().is_err_and(|e| e.contains(message)), "{error:?} for {message}");
            assert_eq!(model.to_safetensors(HashMap::new())?, before);
        }
        Ok(())
    }
}
