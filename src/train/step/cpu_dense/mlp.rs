//! A network as the fused engine sees it: Dense layers in a row, and where their parameters lie.

use crate::model::{Activation, Dense, Dropout, Layer, Spec};
use crate::native::gemm::Matrix;

/// Units of a block of a layer with many weights: as many as the products need to be at full speed.
const BLOCK: usize = 32;
/// Weights from which on a layer is cut into blocks.
const MANY_WEIGHTS: usize = 32 << 10;
/// A Dense layer, and the Dropout behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseLayer {
    pub inputs: usize,
    pub units: usize,
    pub activation: Activation,
    /// The number of the Dropout layer and its rate.
    pub dropout: Option<(usize, f64)>,
    /// Where its parameters begin.
    pub start: usize,
}

impl DenseLayer {
    /// Weights and biases.
    pub fn len(&self) -> usize {
        (self.inputs + 1) * self.units
    }

    /// Whether it is cut into blocks.
    pub fn is_wide(&self) -> bool {
        self.units > BLOCK && self.inputs * self.units >= MANY_WEIGHTS
    }

    /// The blocks: first unit, units.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + use<> {
        let (units, size) = (self.units, if self.is_wide() { BLOCK } else { self.units });
        (0..units).step_by(size).map(move |first| (first, size.min(units - first)))
    }

    /// Where the parameters of the block with this first unit begin.
    pub fn block_start(&self, first: usize) -> usize {
        self.start + (self.inputs + 1) * first
    }

    /// The weights and the biases of a block.
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

/// A network as this engine sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// Values of a sample.
    pub inputs: usize,
    /// The Dropout before the first Dense layer.
    pub dropout: Option<(usize, f64)>,
    pub units: Vec<DenseLayer>,
}

impl Mlp {
    /// None for a network that is another kind of stack.
    pub fn of(spec: &Spec) -> Option<Self> {
        let inputs = spec.input_shape.iter().product();
        let mut stack = Self { inputs, dropout: None, units: Vec::new() };
        for (i, layer) in spec.layers.iter().enumerate() {
            match *layer {
                Layer::Flatten => {}
                Layer::Dense(Dense { units, activation }) => {
                    let inputs = stack.units.last().map_or(inputs, |unit| unit.units);
                    let start = stack.len();
                    let dropout = None;
                    stack.units.push(DenseLayer { inputs, units, activation, dropout, start });
                }
                Layer::Dropout(Dropout { rate: 0.0 }) => {}
                Layer::Dropout(Dropout { rate }) => {
                    let place =
                        stack.units.last_mut().map_or(&mut stack.dropout, |u| &mut u.dropout);
                    // Two in a row are possible, and pointless.
                    if place.replace((i, rate)).is_some() {
                        return None;
                    }
                }
            }
        }
        // The loss is computed on the last layer's own outputs.
        let last = stack.units.last()?;
        let plain = matches!(last.activation, Activation::Linear | Activation::Softmax);
        (plain && last.dropout.is_none()).then_some(stack)
    }

    /// Parameters of all layers.
    pub fn len(&self) -> usize {
        self.units.last().map_or(0, |unit| unit.start + unit.len())
    }

    pub fn outputs(&self) -> usize {
        self.units.last().map_or(0, |unit| unit.units)
    }

    /// The Dropout before each Dense layer.
    pub fn dropouts(&self) -> impl Iterator<Item = Option<(usize, f64)>> {
        std::iter::once(self.dropout).chain(self.units.iter().map(|unit| unit.dropout))
    }

    /// Multiplications and additions of a step for a sample.
    pub fn work(&self) -> usize {
        6 * self.len()
    }
}
