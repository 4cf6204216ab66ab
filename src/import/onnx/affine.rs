//! Arithmetic with constants between layers, as one function: a x + b.

use super::constants::Constants;
use super::step::{Arithmetic, Constant};
use crate::layers::{Layer, Normalization, Rescaling};

/// a x + b, with one number for all values or one for each of the last axis.
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

    /// Returns the numbers of a constant on the right of an operator: one, or one for each of the `size` values of the
    /// last axis.
    pub fn numbers(
        constants: &Constants<'_>,
        constant: Constant,
        size: usize,
    ) -> Result<Vec<f64>, String> {
        constants.check_inside(constant)?;
        let shape = &constants.tensor(constant).tensor.shape;
        let others = shape.iter().rev().skip(1);
        let fits =
            [1, size].contains(shape.last().unwrap_or(&1)) && others.copied().all(|n| n == 1);
        if !fits || constant.transposed {
            return Err(format!(
                "whose constant of shape {shape:?} is not one number for each value"
            ));
        }
        let values = constants.values(constant).ok_or("whose constant is not of numbers")?;
        Ok(match constants.scalar(constant) {
            Some(number) => vec![number],
            None => values.iter().copied().map(f64::from).collect(),
        })
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
    pub fn layer(self) -> Result<Option<Layer>, String> {
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
            return Err(format!(
                "before which values are scaled by {found}: scales of several values must be above 0 and at most 1e7"
            ));
        }
        let mean: Vec<f32> = pairs().map(|(scale, offset)| (-offset / scale) as f32).collect();
        let variance: Vec<f32> = pairs().map(|(scale, _)| (1.0 / (scale * scale)) as f32).collect();
        Ok(Some(Normalization::new(mean, variance).into()))
    }
}
