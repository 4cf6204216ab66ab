//! The tensors of a Dense layer, in one orientation.

use super::ImportedTensor;
use super::tensor_roles::Pair;

/// A Dense layer's tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct DenseTensors<'a> {
    pub weight: &'a ImportedTensor,
    /// None means zeros.
    pub bias: Option<&'a ImportedTensor>,
    /// Whether the matrix is [inputs, outputs], as in Keras.
    pub transposed: bool,
}

impl DenseTensors<'_> {
    /// Returns [inputs, outputs].
    pub(super) fn sizes(&self) -> [usize; 2] {
        match (self.weight.shape.as_slice(), self.transposed) {
            (&[inputs, outputs], true) | (&[outputs, inputs], false) => [inputs, outputs],
            _ => [0, 0],
        }
    }
}

/// Returns the layers with their matrices in one orientation.
pub(super) fn with_side<'a>(pairs: &[Pair<'a>], transposed: bool) -> Vec<DenseTensors<'a>> {
    pairs
        .iter()
        .map(|pair| DenseTensors { weight: pair.weight, bias: pair.bias, transposed })
        .collect()
}
