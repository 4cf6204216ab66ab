//! Arithmetic with constants between layers, as one function: a x + b.

use super::file_contents::ImportedTensor;
use crate::layers::{Layer, Normalization, Rescaling};

/// The rule that [`Affine::layer`] checks.
pub(super) const SCALES: &str = "scales of several values must be above 0 and at most 1e7";

/// An operator between a value and a constant on its right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
}

/// a x + b, with one number for all values or one for each of the last axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Affine {
    scale: Vec<f64>,
    offset: Vec<f64>,
}

impl Default for Affine {
    fn default() -> Self {
        Self::scale(1.0)
    }
}

impl Affine {
    pub fn scale(scale: f64) -> Self {
        Self { scale: vec![scale], offset: vec![0.0] }
    }

    /// Returns the numbers of a constant: one, or one for each of the `size` values of the last axis.
    ///
    /// # Errors
    /// A tensor of another shape or of other values, in words.
    pub fn numbers(tensor: &ImportedTensor, size: usize) -> Result<Vec<f64>, String> {
        let (last, others) = tensor.shape.split_last().unwrap_or((&1, &[]));
        if ![1, size].contains(last) || others.iter().any(|&size| size != 1) {
            return Err(Self::refused(&tensor.shape));
        }
        match tensor.values.as_deref() {
            Some([number]) => Ok(vec![decimal(*number)]),
            Some(values) => Ok(values.iter().copied().map(f64::from).collect()),
            None => Err("whose constant is not of numbers".to_owned()),
        }
    }

    /// Returns the error for a constant of this shape.
    pub fn refused(shape: &[usize]) -> String {
        format!("whose constant of shape {shape:?} is not one number for each value")
    }

    /// Returns whether it can be continued with this many numbers: one layer has either one or several.
    pub fn continues_with(&self, numbers: usize) -> bool {
        let own = self.scale.len().max(self.offset.len());
        own == numbers || own == 1 && self.scale == [1.0] && self.offset == [0.0]
    }

    /// Applies an operator.
    pub fn then(&mut self, operator: Arithmetic, numbers: &[f64]) {
        let each = |own: &mut Vec<f64>, change: fn(f64, f64) -> f64| {
            if own.len() < numbers.len() {
                *own = vec![own[0]; numbers.len()];
            }
            for (i, value) in own.iter_mut().enumerate() {
                *value = change(*value, numbers[i.min(numbers.len() - 1)]);
            }
        };
        match operator {
            Arithmetic::Add => each(&mut self.offset, |a, b| a + b),
            Arithmetic::Sub => each(&mut self.offset, |a, b| a - b),
            Arithmetic::Mul | Arithmetic::Div => {
                let change: fn(f64, f64) -> f64 =
                    if operator == Arithmetic::Mul { |a, b| a * b } else { |a, b| a / b };
                each(&mut self.scale, change);
                each(&mut self.offset, change);
            }
        }
    }

    /// Returns the layer that computes it: none if it changes nothing.
    ///
    /// # Errors
    /// A scale that breaks the rule [`SCALES`].
    pub fn layer(self) -> Result<Option<Layer>, f64> {
        match (&self.scale[..], &self.offset[..]) {
            ([1.0], [0.0]) => return Ok(None),
            (&[scale], &[offset]) => return Ok(Some(Rescaling::new(scale, offset).into())),
            _ => {}
        }
        let size = self.scale.len().max(self.offset.len());
        let at = |list: &[f64], i: usize| list[i.min(list.len() - 1)];
        let pairs = || (0..size).map(|i| (at(&self.scale, i), at(&self.offset, i)));
        // The divisors of Normalization are at least 1e-7.
        if let Some((found, _)) = pairs().find(|(scale, _)| !(*scale > 0.0 && *scale <= 1e7)) {
            return Err(found);
        }
        let mean: Vec<f32> = pairs().map(|(scale, offset)| (-offset / scale) as f32).collect();
        let variance: Vec<f32> = pairs().map(|(scale, _)| (1.0 / (scale * scale)) as f32).collect();
        Ok(Some(Normalization::new(mean, variance).into()))
    }
}

/// Returns a number by its shortest decimal form: 0.001 is stored as the nearest f32.
pub(super) fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}
