//! The contents of a file of any format.

use std::collections::BTreeMap;

use super::described::Described;
use super::detect_format::Format;
use super::dtype::Dtype;
use super::model_card::Card;

/// The contents of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The kind of file.
    pub format: Format,
    /// Its tensors in the order of the file; for a checkpoint only those of the network.
    pub tensors: Vec<ImportedTensor>,
    /// Its card if seqfit wrote it, or its description of the network if Keras did.
    pub card: Option<Card>,
    /// The unsupported layer in its description, if there is one.
    pub unsupported_layer: Option<String>,
    /// The tensors that its description's Dense layers need and the file lacks, in words.
    pub missing_tensors: Vec<String>,
    /// Further texts in it, by name.
    pub metadata: BTreeMap<String, String>,
    /// The tensors of its Dense layers, first to last, if the file says which they are.
    pub(super) placed: Option<Vec<Placed>>,
    /// Its network, if the format says all of it and seqfit did not write the file, or why seqfit has no such network.
    pub(super) described: Option<Result<Described, String>>,
}

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedTensor {
    /// Its name in the file: "1.weight", "layers/dense/vars/0".
    pub name: String,
    /// The type of its numbers in the file.
    pub dtype: Dtype,
    /// Its sizes in the file; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its values row by row, as f32; none for a type that is not a floating-point type of 16, 32 or 64
    /// bits.
    pub values: Option<Vec<f32>>,
}

/// The indices of a Dense layer's tensors in [`Imported::tensors`], from a reader that knows its layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub weight: usize,
    pub bias: Option<usize>,
}

impl Imported {
    /// Creates a list of tensors without further information.
    pub(super) fn new(format: Format, tensors: Vec<ImportedTensor>) -> Self {
        let (card, metadata, missing_tensors) = (None, BTreeMap::new(), Vec::new());
        let (unsupported_layer, placed, described) = (None, None, None);
        Self {
            format,
            tensors,
            card,
            unsupported_layer,
            missing_tensors,
            metadata,
            placed,
            described,
        }
    }
}
