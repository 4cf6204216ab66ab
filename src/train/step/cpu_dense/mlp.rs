//! A network in the form that the fused engine uses: a stack of Dense layers, and the layout of their
//! parameters.

use crate::model::{Activation, Dense, Dropout, Layer, Spec};
use crate::native::gemm::Matrix;

/// Units of a block of a layer with many weights: the number that the products need to reach full speed.
const BLOCK: usize = 32;
/// The number of weights from which a layer is split into blocks.
const MANY_WEIGHTS: usize = 32 << 10;
/// A Dense layer, and the Dropout after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseLayer {
    pub inputs: usize,
    pub units: usize,
    pub activation: Activation,
    /// The number of the Dropout layer and its rate.
    pub dropout: Option<(usize, f64)>,
    /// The offset of its parameters.
    pub start: usize,
}

impl DenseLayer {
    /// Returns the number of weights and biases.
    pub fn len(&self) -> usize {
        (self.inputs + 1) * self.units
    }

    /// Returns whether it is split into blocks.
    pub fn is_wide(&self) -> bool {
        self.units > BLOCK && self.inputs * self.units >= MANY_WEIGHTS
    }

    /// Returns the blocks: first unit, number of units.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + use<> {
        let (units, size) = (self.units, if self.is_wide() { BLOCK } else { self.units });
        (0..units).step_by(size).map(move |first| (first, size.min(units - first)))
    }

    /// Returns the offset of the parameters of the block with this first unit.
    pub fn block_start(&self, first: usize) -> usize {
        self.start + (self.inputs + 1) * first
    }

    /// Returns the weights and the biases of a block.
    pub fn block<'a>(
        &self,
        parameters: &'a [f32],
        (first, units): (usize, usize),
    ) -> (Matrix<'a>, &'a [f32]) {
        let all = &parameters[self.block_start(first)..][..(self.inputs + 1) * units];
        let (weights, biases) = all.split_at(self.inputs * units);
        (Matrix::new(weights, self.inputs, units, units), biases)
    }
}

/// A network in the form that this engine uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// The number of values in a sample.
    pub inputs: usize,
    /// The Dropout before the first Dense layer.
    pub dropout: Option<(usize, f64)>,
    pub units: Vec<DenseLayer>,
}

impl Mlp {
    /// Returns the network's layers; none for a network of another kind.
    pub fn of(spec: &Spec) -> Option<Self> {
        let inputs = spec.input_shape.iter().product();
        let mut mlp = Self { inputs, dropout: None, units: Vec::new() };
        for (i, layer) in spec.layers.iter().enumerate() {
            match *layer {
                Layer::Flatten => {}
                Layer::Dense(Dense { units, activation }) => {
                    let inputs = mlp.units.last().map_or(inputs, |dense| dense.units);
                    let start = mlp.len();
                    let dropout = None;
                    mlp.units.push(DenseLayer { inputs, units, activation, dropout, start });
                }
                Layer::Dropout(Dropout { rate: 0.0 }) => {}
                Layer::Dropout(Dropout { rate }) => {
                    let place =
                        mlp.units.last_mut().map_or(&mut mlp.dropout, |dense| &mut dense.dropout);
                    // Two Dropout layers in a row are possible, and pointless.
                    if place.replace((i, rate)).is_some() {
                        return None;
                    }
                }
            }
        }
        // The loss is computed on the last layer's outputs before any activation.
        let last = mlp.units.last()?;
        let plain = matches!(last.activation, Activation::Linear | Activation::Softmax);
        (plain && last.dropout.is_none()).then_some(mlp)
    }

    /// Returns the number of parameters of all layers.
    pub fn len(&self) -> usize {
        self.units.last().map_or(0, |dense| dense.start + dense.len())
    }

    pub fn outputs(&self) -> usize {
        self.units.last().map_or(0, |dense| dense.units)
    }

    /// Returns the Dropout before each Dense layer.
    pub fn dropouts(&self) -> impl Iterator<Item = Option<(usize, f64)>> {
        std::iter::once(self.dropout).chain(self.units.iter().map(|dense| dense.dropout))
    }

    /// Returns the number of multiplications and additions of a step per sample.
    pub fn work(&self) -> usize {
        6 * self.len()
    }
}
