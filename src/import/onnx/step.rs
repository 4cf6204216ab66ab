//! The values of a graph: constants, and functions of its input.

use super::super::affine::Arithmetic;
use super::pooling_function::PoolingFunction;
use super::windows::Windows;
use crate::layers::Activation;

/// The meaning of a name in a graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item {
    /// A value that depends on the graph's input, by its index.
    Value(usize),
    Constant(Constant),
}

/// A constant tensor, by its index among all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Constant {
    pub tensor: usize,
    /// Whether its rows and columns are exchanged.
    pub transposed: bool,
}

impl Constant {
    /// Returns the transpose.
    pub fn turned(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }
}

/// A function of one value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// The graph's input, and functions that no layer computes alone.
    Part(Part),
    /// x Wᵀ + b for a weight of [outputs, inputs].
    Dense {
        weight: Constant,
        bias: Option<Constant>,
    },
    Convolution {
        /// [filters, channels / groups, height, width]
        weight: Constant,
        bias: Option<Constant>,
        groups: usize,
        windows: Windows,
    },
    Pooling {
        function: PoolingFunction,
        windows: Windows,
        /// Whether the padding counts in a mean.
        counts_padding: bool,
    },
    /// Over the whole picture.
    GlobalPooling(PoolingFunction),
    /// Zeros around a picture: [[top, bottom], [left, right]].
    ZeroPadding([[usize; 2]; 2]),
    Arithmetic(Arithmetic, Constant),
    Activation(Activation),
    BatchNormalization {
        /// Weight, bias, running mean and running variance.
        variables: [Constant; 4],
        epsilon: f64,
        momentum: f64,
    },
    LayerNormalization {
        weight: Constant,
        bias: Option<Constant>,
        epsilon: f64,
    },
    PRelu(Constant),
    Dropout(f64),
    Flatten,
    /// The sizes, the batch first; 0 and -1 as in ONNX.
    Reshape(Vec<i64>),
    /// x + f(x): f ends in the value with this index.
    Residual(usize),
}

/// A function that is only a part of a layer, beside the graph's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Input,
    Erf,
    /// x (1 + erf(x / √2))
    TwiceGelu,
    /// Whether x > 20: from there on softplus(x) = x in f32.
    Above20,
}

/// A value that depends on the graph's input.
pub(super) struct Value {
    /// The value that the step is applied to; itself for the input.
    pub from: usize,
    pub step: Step,
    /// The node, in words.
    pub node: String,
}
