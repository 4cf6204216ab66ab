//! A network's parameters and buffers as named tensors, and as a safetensors file of them.

use std::collections::HashMap;

use tch::Tensor;

use super::sequential::Sequential;
use crate::native::LibtorchError;
use crate::tensors::{self, HostTensor, Tensors, TensorsError};

/// An error of weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The bytes are not a file of finite f32 tensors.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// The tensors are not the network's.
    #[error("the network needs the tensors {expected:?}, found {found:?}")]
    Names {
        /// The network's tensors.
        expected: Vec<String>,
        /// The tensors given.
        found: Vec<String>,
    },
    /// A tensor has another shape.
    #[error("tensor {name:?} must have shape {expected:?}, found {found:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the network.
        expected: Vec<usize>,
        /// Its shape here.
        found: Vec<usize>,
    },
    /// Fewer numbers than the network has.
    #[error("the network has {expected} parameters, found {found}")]
    Parameters {
        /// The network's number of parameters.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// libtorch reported an error.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

impl Sequential {
    /// Returns a copy of the parameters and buffers on the host, under the names of
    /// [`variables`](Self::variables).
    ///
    /// # Errors
    /// Errors of libtorch.
    pub fn weights(&self) -> Result<Tensors, LibtorchError> {
        self.variables()
            .map(|(name, tensor)| Ok((name.to_owned(), HostTensor::copy_of(tensor)?)))
            .collect()
    }

    /// Replaces every parameter and buffer by the tensor of its name. All are checked before the first is
    /// changed (libtorch would silently broadcast a [1, 4] tensor into a [3, 4] one).
    ///
    /// # Errors
    /// The first name or shape that differs; the network is then unchanged.
    pub fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        check_like(self.variables(), weights)?;
        for (name, tensor) in self.variables_mut() {
            if let Some(weight) = weights.get(name) {
                weight.copy_into(tensor)?;
            }
        }
        Ok(())
    }

    /// Returns the parameters and buffers as the bytes of a safetensors file, under the names of
    /// [`variables`](Self::variables), with `metadata` next to them.
    ///
    /// # Errors
    /// [`TensorsError::NotFinite`] for weights that may not be stored in our files.
    pub fn to_safetensors(
        &self,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<u8>, WeightsError> {
        let weights = self.weights()?;
        let named = weights.iter().map(|(name, tensor)| (name.as_str(), tensor));
        Ok(tensors::encode(named, metadata)?)
    }

    /// Like [`set_weights`](Self::set_weights), but from the bytes of a safetensors file: only finite f32
    /// is accepted.
    ///
    /// # Errors
    /// The first error; the network is then unchanged.
    pub fn load_safetensors(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        self.set_weights(&tensors::decode(bytes)?.0)
    }
}

/// Checks that `tensors` has one tensor of the same name and shape for each of `variables`.
pub(crate) fn check_like<'a>(
    variables: impl Iterator<Item = (&'a str, &'a Tensor)>,
    tensors: &Tensors,
) -> Result<(), WeightsError> {
    let variables: Vec<_> = variables.collect();
    let mut expected: Vec<String> = variables.iter().map(|(n, _)| (*n).to_owned()).collect();
    expected.sort();
    if !expected.iter().eq(tensors.keys()) {
        return Err(WeightsError::Names { expected, found: tensors.keys().cloned().collect() });
    }
    for (name, parameter) in variables {
        let expected = tensors::shape(parameter);
        let found = tensors.get(name).map(|tensor| tensor.shape.clone()).unwrap_or_default();
        if expected != found {
            return Err(WeightsError::Shape { name: name.to_owned(), expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Flatten};
    use crate::{Device, ModelError};
    use safetensors::tensor::{Dtype, SafeTensorError, TensorView};

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
