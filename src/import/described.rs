//! A network that a file describes completely, with the tensors of its variables.

use crate::data::FeatureKind;
use crate::model::Spec;

/// A network, from a reader that knows all its layers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Described {
    pub spec: Spec,
    /// Where the values of each variable are, in the order of [`Spec::variables`].
    pub sources: Vec<Source>,
    /// What its samples are, if the type of its input says so.
    pub features: Option<FeatureKind>,
}

/// Where the values of a variable are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    /// Nowhere: all are this number.
    Filled(f32),
    Tensor {
        /// The index of the tensor in the file.
        tensor: usize,
        layout: Layout,
    },
}

/// How a tensor stores the values of a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    AsStored,
    /// As the transpose of the matrix, which is [rows, columns].
    #[cfg(feature = "onnx")]
    Transposed([usize; 2]),
    /// As Keras stores weights of this shape: see [`KerasLayout::of`](crate::export::KerasLayout::of).
    #[cfg(feature = "keras")]
    Keras {
        shape: [usize; 4],
        filters: usize,
    },
    /// As one number that stands for this many.
    Repeated(usize),
}
