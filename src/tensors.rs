//! Tensors in host memory and the safetensors files that store them: written completely, read with every
//! check.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use safetensors::View;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors};
use tch::{Device, Kind, Tensor};

use crate::f32_range::first_not_finite;
use crate::native::{LibtorchError, reserved};

/// Named tensors, sorted by name.
pub type Tensors = BTreeMap<String, HostTensor>;

/// An f32 tensor in host memory, in row-major order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostTensor {
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values, whose number is the product of the sizes. Copies of the tensor share them.
    pub values: Arc<Vec<f32>>,
}

/// Why tensors cannot be read from a file or written to one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorsError {
    /// The bytes are not a safetensors file.
    #[error("this is not a whole safetensors file ({0})")]
    Format(#[from] SafeTensorError),
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
        /// The position of the value.
        position: usize,
        /// The value: NaN or an infinity.
        found: f32,
    },
    /// There is not enough memory.
    #[error("{bytes} bytes of memory are needed: use fewer units")]
    Memory {
        /// The number of bytes needed.
        bytes: usize,
    },
}

impl HostTensor {
    /// Creates a tensor of this shape, with its values.
    pub fn new(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { shape, values: Arc::new(values) }
    }

    /// Copies a tensor that may be on any device.
    pub(crate) fn copy_of(tensor: &Tensor) -> Result<Self, LibtorchError> {
        let count = tensor.numel();
        let mut values = reserved(count).map_err(LibtorchError::memory)?;
        values.resize(count, 0.0);
        Self::copy_to(tensor, &mut values)?;
        Ok(Self::new(shape(tensor), values))
    }

    /// Copies a tensor's values, which may be on any device, to a slice of the same length.
    pub(crate) fn copy_to(tensor: &Tensor, place: &mut [f32]) -> Result<(), LibtorchError> {
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
        Ok(tensor.f_contiguous()?.f_copy_data(place, tensor.numel())?)
    }

    /// Overwrites `tensor`, which has the same shape.
    pub(crate) fn copy_into(&self, tensor: &mut Tensor) -> Result<(), LibtorchError> {
        let _no_grad = tch::no_grad_guard();
        let source = Tensor::f_from_slice(&self.values)?.f_reshape(tensor.size())?;
        Ok(tensor.f_copy_(&source)?)
    }
}

/// Returns the shape of a libtorch tensor.
pub(crate) fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.size().into_iter().map(|size| size as usize).collect()
}

/// Encodes these tensors and `metadata` as the bytes of a safetensors file. The same input gives the same
/// bytes.
///
/// # Errors
/// [`TensorsError::NotFinite`]: seqfit's files never contain NaN or infinities. [`TensorsError::Memory`]:
/// there is not enough memory.
pub fn encode<'a>(
    tensors: impl IntoIterator<Item = (&'a str, &'a HostTensor)>,
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>, TensorsError> {
    let mut views = Vec::new();
    for (name, tensor) in tensors {
        finite(name, &tensor.values)?;
        views.push((name, Bytes(tensor)));
    }
    serialize(views, &metadata)
}

/// Like [`encode`], for tensors of any type, whose values are not checked.
pub(crate) fn serialize<V: View>(
    views: Vec<(&str, V)>,
    metadata: &HashMap<String, String>,
) -> Result<Vec<u8>, TensorsError> {
    // The header needs memory, too, for names and for the shapes and offsets of the tensors.
    let room = |(name, view): &(&str, V)| 256 + name.len() + view.data_len();
    let entries: usize = metadata.iter().map(|(key, value)| key.len() + 2 * value.len()).sum();
    // The library's own allocation would end the process if there were no memory.
    reserved::<u8>(entries + views.iter().map(room).sum::<usize>()).map_err(memory)?;
    if metadata.len() < 2 {
        return Ok(safetensors::serialize(views, Some(metadata.clone()))?);
    }
    // The library would write several entries in the random order of a HashMap. They are therefore inserted
    // into its header in the order of their keys, in place of its opening brace.
    let mut file = safetensors::serialize(views, None)?;
    let ordered: BTreeMap<_, _> = metadata.iter().collect();
    let text = serde_json::to_string(&ordered).map_err(SafeTensorError::from)?;
    let separator = if file.get(9) == Some(&b'"') { "," } else { "" };
    let mut text = format!("{{\"__metadata__\":{text}{separator}");
    // Keeps the tensors aligned to 8 bytes.
    text.extend(std::iter::repeat_n(' ', (text.len() - 1).next_multiple_of(8) + 1 - text.len()));
    if let Some((length, _)) = file.split_first_chunk_mut() {
        *length = (u64::from_le_bytes(*length) + text.len() as u64 - 1).to_le_bytes();
    }
    file.try_reserve_exact(text.len()).map_err(|_| memory(file.len() + text.len()))?;
    file.splice(8..9, text.into_bytes());
    Ok(file)
}

/// A tensor in the representation of a safetensors file: little-endian.
struct Bytes<'a>(&'a HostTensor);

impl View for Bytes<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match cfg!(target_endian = "little") {
            true => bytemuck::cast_slice(&self.0.values).into(),
            false => self.0.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    fn data_len(&self) -> usize {
        4 * self.0.values.len()
    }
}

/// Reads the output of [`encode`]: every tensor must be f32 and finite. The memory used is bounded by the
/// length of the file.
///
/// # Errors
/// The first problem found.
pub fn decode(bytes: &[u8]) -> Result<(Tensors, HashMap<String, String>), TensorsError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(TensorsError::Dtype { name: name.to_owned(), found: view.dtype() });
        }
        let (chunks, _) = view.data().as_chunks();
        let mut values: Vec<f32> = reserved(chunks.len()).map_err(memory)?;
        values.extend(chunks.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        finite(name, &values)?;
        tensors.insert(name.to_owned(), HostTensor::new(view.shape().to_vec(), values));
    }
    Ok((tensors, metadata))
}

fn memory(bytes: usize) -> TensorsError {
    TensorsError::Memory { bytes }
}

fn finite(name: &str, values: &[f32]) -> Result<(), TensorsError> {
    match first_not_finite(values) {
        None => Ok(()),
        Some(position) => Err(TensorsError::NotFinite {
            name: name.to_owned(),
            position,
            found: values[position],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_and_metadata_round_trip_bit_for_bit() -> Result<(), Box<dyn std::error::Error>> {
        let tensor =
            |shape: &[usize], values: &[f32]| HostTensor::new(shape.to_vec(), values.to_vec());
        let tensors = Tensors::from([
            ("a".to_owned(), tensor(&[2, 1], &[f32::MIN_POSITIVE, -0.0])),
            ("scalar".to_owned(), tensor(&[], &[f32::MAX])),
            ("empty".to_owned(), tensor(&[0, 3], &[])),
        ]);
        let metadata = HashMap::from([("note".to_owned(), "é\"\n".to_owned())]);
        let named = || tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let bytes = encode(named(), metadata.clone())?;
        assert_eq!(bytes, encode(named(), metadata.clone())?);
        let (read, header) = decode(&bytes)?;
        assert_eq!((&read, header), (&tensors, metadata));
        assert_eq!(read["a"].values[1].to_bits(), (-0.0f32).to_bits());
        Ok(())
    }

    #[test]
    fn metadata_is_written_in_order() -> Result<(), Box<dyn std::error::Error>> {
        let tensor = HostTensor::new(vec![1], vec![1.5]);
        let all = ["c", "b", "a"].map(|key| (key.to_owned(), format!("{key}\"é")));
        for tensors in [&[][..], &[("x", &tensor)]] {
            for count in 1..=3 {
                let metadata = HashMap::from_iter(all[..count].iter().cloned());
                let bytes = encode(tensors.iter().copied(), metadata.clone())?;
                assert_eq!(bytes, encode(tensors.iter().copied(), metadata.clone())?);
                let (read, header) = decode(&bytes)?;
                assert_eq!((read.len(), header), (tensors.len(), metadata));
                let header = u64::from_le_bytes(*bytes.first_chunk().ok_or("short")?);
                assert_eq!(header % 8, 0);
            }
        }
        Ok(())
    }

    #[test]
    fn too_little_memory_is_an_error_not_an_abort() {
        let error = reserved::<f32>(usize::MAX / 8).map_err(memory).unwrap_err();
        assert!(error.to_string().ends_with("bytes of memory are needed: use fewer units"));
    }

    #[test]
    fn libtorch_tensors_round_trip() -> Result<(), LibtorchError> {
        let tensor = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape([2, 3]);
        let copy = HostTensor::copy_of(&tensor.tr())?;
        assert_eq!((&copy.shape[..], &copy.values[..2]), (&[3, 2][..], &[1.0, 4.0][..]));
        let mut other = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu));
        copy.copy_into(&mut other)?;
        assert!(other.equal(&tensor.tr()));
        Ok(())
    }
}
