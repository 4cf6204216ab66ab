//! Networks from elsewhere: weights in the files of PyTorch, safetensors, NumPy and Keras.
//!
//! [`Imported::open`] reads a file by what is in it, whatever its name, as named tensors in their order,
//! with the card that seqfit's own files carry. [`Imported::network`] makes the weights of a network of
//! it, whose shapes are checked against a description that is given, found in the file, or drawn from
//! the shapes.
//!
//! ```no_run
//! use seqfit::{Device, Sequential, import::{Imported, Wanted}};
//!
//! let network = Imported::open("theirs.pt")?.network(&Wanted::default())?;
//! let mut model = Sequential::from_spec(network.spec, Device::Cpu, 0)?;
//! model.set_weights(&network.weights)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing in a file is ever run: a pickle is read by a machine that knows lists, dictionaries and
//! tensors, and refuses everything else by its name. The memory that a file takes is bounded by its own
//! length: see [`MemoryBudget`].

mod archive;
mod card;
mod error;
mod format;
mod hdf5;
mod keras;
mod layers;
mod memory_budget;
mod names;
mod network;
mod npy;
mod numbering;
mod numbers;
mod onnx;
mod order;
mod safetensors;
mod statistics;
mod torch;

pub use card::{CARD, Card};
pub use error::{ImportError, Problem};
pub use format::Format;
pub use memory_budget::MemoryBudget;
pub use network::{ImportOptions, Network};
pub use numbers::Dtype;
pub use statistics::Statistics;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::native::reserved;

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// What kind of file it is.
    pub format: Format,
    /// Its tensors in the order of the file; of a checkpoint those of the network alone.
    pub tensors: Vec<ImportedTensor>,
    /// What it says of itself, if seqfit wrote it, or of its network, if Keras did.
    pub card: Option<Card>,
    /// The layer in its description that seqfit lacks, if there is one.
    pub unsupported_layer: Option<String>,
    /// Further texts in it, by their names.
    pub metadata: BTreeMap<String, String>,
    /// The tensors of its Dense layers, first to last, where the file says which they are.
    placed: Option<Vec<layers::Placed>>,
}

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedTensor {
    /// Its name in the file: "1.weight", "layers/dense/vars/0".
    pub name: String,
    /// The type of its numbers in the file.
    pub dtype: Dtype,
    /// Its sizes in the file; none for a scalar.
    pub shape: Vec<usize>,
    /// Its values row by row, as f32; none of a type that is no floating-point number of 16, 32 or 64
    /// bits.
    pub values: Option<Vec<f32>>,
}

impl Imported {
    /// Tensors of which nothing more is known.
    fn new(format: Format, tensors: Vec<ImportedTensor>) -> Self {
        let (card, metadata) = (None, BTreeMap::new());
        Self { format, tensors, card, unsupported_layer: None, metadata, placed: None }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is of no known kind, or is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ImportError> {
        let path = path.as_ref();
        let unreadable = |source| ImportError::Read { path: path.to_owned(), source };
        // Before it is opened: that would wait for whoever writes into a pipe.
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            let reason =
                if metadata.is_dir() { "it is a folder" } else { "it is no ordinary file" };
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

    /// As [`open`](Self::open), of a file's bytes.
    ///
    /// # Errors
    /// Bytes that are of no known kind of file, or of a damaged one.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Problem> {
        match Format::of(&bytes)? {
            Format::Safetensors => safetensors::read(&bytes),
            format @ (Format::TorchStateDict | Format::TorchScript) => torch::read(&bytes, format),
            Format::Npz => npy::read_npz(&bytes),
            Format::KerasWeights => hdf5::read(bytes, None),
            Format::Keras => keras::read(&bytes),
            Format::Onnx => onnx::read(&bytes),
        }
    }
}
