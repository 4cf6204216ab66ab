//! Importing networks: weights in the files of PyTorch, safetensors, NumPy, Keras and ONNX.
//!
//! [`Imported::open`] reads a file by its contents, not its name, as named tensors in order,
//! with the card in seqfit's own files. [`Imported::network`] converts them to the weights of a
//! network, whose shapes are checked against a description that is given, found in the file, or inferred from
//! the shapes.
//!
//! ```no_run
//! use seqfit::{Device, Sequential, import::{Imported, ImportOptions}};
//!
//! let network = Imported::open("theirs.pt")?.network(&ImportOptions::default())?;
//! let mut model = Sequential::from_spec(network.spec, Device::Cpu, 0)?;
//! model.set_weights(&network.weights)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing in a file is ever run: pickles are read by an interpreter that knows lists, dictionaries and
//! tensors, and rejects everything else by its name. The memory that a file takes is bounded by its own
//! length: see [`MemoryBudget`].

mod affine;
mod check_finite;
mod dense_layers;
mod dense_tensors;
mod described;
mod described_weights;
mod detect_format;
mod dtype;
mod error;
mod features;
mod file_contents;
#[cfg(feature = "keras")]
mod keras;
mod layer_order;
mod model_card;
mod named_variables;
mod network_from_tensors;
mod npy;
#[cfg(feature = "onnx")]
mod onnx;
mod output_activation;
mod safetensors;
mod sequential_indices;
mod tensor_roles;
mod tensor_statistics;
mod tensor_to_f32;
mod torch;
mod variables_in_order;

pub use crate::formats::MemoryBudget;
pub use detect_format::Format;
pub use dtype::Dtype;
pub use error::{ImportError, Problem};
pub use file_contents::{Imported, ImportedTensor};
pub use model_card::{CARD, Card};
pub use network_from_tensors::{ImportOptions, Network};
pub use tensor_statistics::Statistics;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::native::reserved;

impl Imported {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is of an unknown kind or one whose cargo feature is not enabled, or is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ImportError> {
        let path = path.as_ref();
        let unreadable = |source| ImportError::Read { path: path.to_owned(), source };
        // Checked before opening, which would wait for the writer of a pipe.
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            let reason =
                if metadata.is_dir() { "it is a folder" } else { "it is not an ordinary file" };
            return Err(unreadable(io::Error::other(reason)));
        }
        let at = |problem| ImportError::Problem { path: path.to_owned(), problem };
        let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        let mut bytes = reserved(length).map_err(|bytes| at(Problem::Memory { bytes }))?;
        // It may have grown since.
        let file = File::open(path).map_err(unreadable)?;
        file.take(metadata.len()).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::from_bytes(bytes).map_err(at)
    }

    /// Like [`open`](Self::open), but from a file's bytes.
    ///
    /// # Errors
    /// Bytes of an unknown kind of file, of one whose cargo feature is not enabled, or of a damaged one.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Problem> {
        match Format::of(&bytes)? {
            Format::Safetensors => safetensors::read(&bytes),
            format @ (Format::TorchStateDict | Format::TorchScript) => torch::read(&bytes, format),
            Format::Pt2 => torch::pt2::read(&bytes),
            Format::Npz => npy::read_npz(&bytes),
            #[cfg(feature = "keras")]
            Format::KerasWeights => keras::hdf5::read(bytes, None),
            #[cfg(feature = "keras")]
            Format::Keras => keras::read(&bytes),
            #[cfg(feature = "onnx")]
            Format::Onnx => onnx::read(&bytes),
            #[cfg(not(all(feature = "keras", feature = "onnx")))]
            format => Err(Problem::Disabled {
                format: format.name(),
                feature: format.feature().unwrap_or_default(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_files_that_are_not_compiled_name_their_cargo_feature() {
        let cases: [(&[u8], _, _, _); 2] = [
            (b"\x89HDF\r\n\x1a\n", cfg!(feature = "keras"), "keras", "HDF5"),
            (&[8, 8], cfg!(feature = "onnx"), "onnx", "ONNX"),
        ];
        for (bytes, compiled, feature, format) in cases {
            let found = Imported::from_bytes(bytes.to_vec()).map(drop);
            let named = found.as_ref().is_err_and(|problem| {
                let expected = format!("cargo feature {feature:?}, which reads {format} files");
                problem.to_string().contains(&expected)
            });
            assert_eq!(named, !compiled, "{found:?}");
        }
    }
}
