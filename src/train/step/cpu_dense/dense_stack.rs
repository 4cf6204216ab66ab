//! A network in the form that the fused engine uses: a stack of Dense layers, and the layout of their
//! parameters.

use crate::layers::{Activation, Dense, Dropout, Flatten, Layer};
use crate::model::Spec;
use crate::native::gemm::Matrix;

/// Units of a block of a layer with many weights: the number that the products need to reach full speed.
const BLOCK: usize = 32;
/// The number of weights from which a layer is split into blocks.
const MANY_WEIGHTS: usize = 32 << 10;

/// An activation that the kernels compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// The network's outputs are its logits: softmax counts as linear.
    Linear,
    Relu,
    Gelu,
    Silu,
    Tanh,
    Sigmoid,
}

impl Curve {
    pub fn of(activation: Activation) -> Option<Self> {
        Some(match activation {
            Activation::Linear | Activation::Softmax => Self::Linear,
            Activation::Relu => Self::Relu,
            Activation::Gelu => Self::Gelu,
            Activation::Silu => Self::Silu,
            Activation::Tanh => Self::Tanh,
            Activation::Sigmoid => Self::Sigmoid,
            _ => return None,
        })
    }
}

/// A Dense layer, and the Dropout after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseLayer {
    pub inputs: usize,
    pub units: usize,
    pub activation: Curve,
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

    /// Returns the weights [inputs, units] and the biases of a block.
    pub fn block_values<'a>(
        &self,
        parameters: &'a [f32],
        (first, units): (usize, usize),
    ) -> (&'a [f32], &'a [f32]) {
        let all = &parameters[self.block_start(first)..][..(self.inputs + 1) * units];
        all.split_at(self.inputs * units)
    }

    /// Returns the weights and the biases of a block.
    pub fn block<'a>(
        &self,
        parameters: &'a [f32],
        block: (usize, usize),
    ) -> (Matrix<'a>, &'a [f32]) {
        let (weights, biases) = self.block_values(parameters, block);
        (Matrix::new(weights, self.inputs, block.1, block.1), biases)
    }
}

/// A network in the form that this engine uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// The number of values in a sample.
    pub inputs: usize,
    /// The Dropout before the first Dense layer.
    pub dropout: Option<(usize, f64)>,
    /// The offset of the first parameter.
    pub start: usize,
    pub units: Vec<DenseLayer>,
}

impl Mlp {
    /// Returns the network's layers, if it has no others.
    ///
    /// # Errors
    /// The first layer that a network of this kind does not have, or not in this place: "layer 2 (reshape)".
    pub fn of(spec: &Spec) -> Result<Self, String> {
        let mut mlp = Self::new(spec.input_shape.iter().product(), 0);
        mlp.add_all(spec, 0)?;
        Ok(mlp)
    }

    /// Adds the network's layers from this one on.
    ///
    /// # Errors
    /// Those of [`of`](Self::of).
    pub fn add_all(&mut self, spec: &Spec, first: usize) -> Result<(), String> {
        for (i, (layer, name)) in spec.layers.iter().zip(spec.layer_names()).enumerate().skip(first)
        {
            if self.add(i, layer).is_none() {
                return Err(format!("layer {} ({name})", i + 1));
            }
        }
        // The loss is computed on the last layer's outputs before any activation.
        let plain = |last: &DenseLayer| last.activation == Curve::Linear && last.dropout.is_none();
        match self.units.last().is_some_and(plain) {
            true => Ok(()),
            false => Err("an activation or Dropout after the last Dense layer".to_owned()),
        }
    }

    /// Returns a stack without layers, whose samples have this number of values and whose parameters begin at `start`.
    pub fn new(inputs: usize, start: usize) -> Self {
        Self { inputs, dropout: None, start, units: Vec::new() }
    }

    /// Adds the network's layer of this index, if there is a place for it.
    fn add(&mut self, index: usize, layer: &Layer) -> Option<()> {
        if let Some(Dense { units, activation }) = layer.get::<Dense>() {
            let inputs = self.units.last().map_or(self.inputs, |dense| dense.units);
            let (start, dropout, activation) = (self.len(), None, Curve::of(*activation)?);
            let units = *units;
            self.units.push(DenseLayer { inputs, units, activation, dropout, start });
            return Some(());
        }
        if let Some(Dropout { rate }) = layer.get::<Dropout>() {
            let place = self.units.last_mut().map_or(&mut self.dropout, |dense| &mut dense.dropout);
            // Two Dropout layers in a row are possible, and pointless.
            return (*rate == 0.0 || place.replace((index, *rate)).is_none()).then_some(());
        }
        layer.is::<Flatten>().then_some(())
    }

    /// Returns the number of parameters of all layers, and of those before it.
    pub fn len(&self) -> usize {
        self.units.last().map_or(self.start, |dense| dense.start + dense.len())
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
        6 * (self.len() - self.start)
    }
}
