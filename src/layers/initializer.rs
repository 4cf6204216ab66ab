//! Initial values of variables.

use rand::RngExt;
use tch::{Device, Kind, Tensor};

use crate::native::{LibtorchError, tensor_buffer};
use crate::rng::{self, Purpose};

/// The initial values of a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// See `glorot_uniform`; for a matrix [units, inputs].
    GlorotUniform,
    /// The same for the weights of a convolution, with the numbers of values that an output takes and that an input
    /// is part of.
    GlorotUniformOf {
        /// The former.
        fan_in: usize,
        /// The latter.
        fan_out: usize,
    },
    /// All the same value.
    Constant(f64),
}

impl Initializer {
    /// Returns the initial values of a variable of this shape, f32 on `device`. `position`: the layer, followed
    /// for its second and later variables by their number.
    ///
    /// # Errors
    /// Too little memory.
    pub fn draw(
        self,
        shape: &[usize],
        device: Device,
        seed: u64,
        position: &[u64],
    ) -> Result<Tensor, LibtorchError> {
        let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        match (self, shape) {
            (Self::GlorotUniform, &[units, inputs]) => {
                let values = glorot_uniform(&sizes, inputs + units, seed, position)?;
                Ok(values.f_to_device(device)?)
            }
            (Self::GlorotUniformOf { fan_in, fan_out }, _) => {
                let values = glorot_uniform(&sizes, fan_in + fan_out, seed, position)?;
                Ok(values.f_to_device(device)?)
            }
            (Self::GlorotUniform, _) => {
                let what = format!("Glorot's initializer needs a matrix, found shape {shape:?}");
                Err(LibtorchError::other(&what))
            }
            (Self::Constant(value), _) => Ok(Tensor::f_full(&sizes, value, (Kind::Float, device))?),
        }
    }
}

/// Returns f32 values on the CPU drawn from the Glorot uniform distribution U(-√(6 / fans), +√(6 / fans)), Keras's
/// default for Dense and convolutions (Glorot and Bengio, 2010); `fans` are the inputs and units of a matrix. They are
/// drawn on the host for each position from a separate stream, so that a seed gives the same weights on every device.
///
/// # Errors
/// Too little memory.
fn glorot_uniform(
    sizes: &[i64],
    fans: usize,
    seed: u64,
    position: &[u64],
) -> Result<Tensor, LibtorchError> {
    let limit = (6.0 / fans as f64).sqrt();
    let mut rng = rng::stream(seed, Purpose::Init, position);
    tensor_buffer::filled_f32(sizes, |values| {
        values.iter_mut().for_each(|value| *value = rng.random_range(-limit..limit) as f32);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(units: usize, inputs: usize, seed: u64, layer: u64) -> Vec<f32> {
        let sizes = [units as i64, inputs as i64];
        let tensor = glorot_uniform(&sizes, inputs + units, seed, &[layer]).unwrap();
        let mut values = vec![0.0; units * inputs];
        tensor.copy_data(&mut values, units * inputs);
        values
    }

    #[test]
    fn values_fill_the_interval_evenly() {
        let values = draw(128, 784, 0, 1);
        let limit = (6.0f32 / 912.0).sqrt();
        assert!(values.iter().all(|v| v.abs() <= limit));
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / n;
        // Standard error of the mean: limit / √(3 n) = 1.5e-4. Variance of U(-l, l): l² / 3.
        assert!(mean.abs() < 6e-4, "{mean}");
        assert!((variance / (limit * limit / 3.0) - 1.0).abs() < 0.01, "{variance}");
    }

    #[test]
    fn seeds_and_layers_differ_and_repeat() {
        let draw = |seed, layer| draw(4, 5, seed, layer);
        assert_eq!(draw(1, 2), draw(1, 2));
        assert!(draw(1, 2) != draw(2, 2) && draw(1, 2) != draw(1, 3));
    }
}
