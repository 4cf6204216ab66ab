//! Activations that are products of two values: GELU, SiLU, Mish.

use super::super::affine::Arithmetic;
use super::constants::Constants;
use super::step::{Part, Step, Value};
use crate::layers::Activation;

/// Longest of the two ways from the common value.
const LONGEST: usize = 4;

/// Returns the step whose result is the product of two values, and the value that it is applied to.
pub(super) fn product(
    values: &[Value],
    constants: &Constants<'_>,
    x: usize,
    y: usize,
) -> Option<(usize, Step)> {
    let (x, y) = (way(values, x), way(values, y));
    // From where both come, nearest first.
    for (i, &from) in x.iter().enumerate() {
        if let Some(j) = y.iter().position(|&other| other == from) {
            let (short, long) = if i < j { (&x[..i], &y[..j]) } else { (&y[..j], &x[..i]) };
            return of(values, constants, short, long).map(|step| (from, step));
        }
    }
    None
}

/// Returns a value and those that it comes from, nearest first.
fn way(values: &[Value], mut value: usize) -> Vec<usize> {
    let mut way = vec![value];
    while way.len() <= LONGEST && value != 0 {
        value = values[value].from;
        way.push(value);
    }
    way
}

/// Returns the activation that is the product of what two ways compute, each from its last step back to its first.
fn of(
    values: &[Value],
    constants: &Constants<'_>,
    short: &[usize],
    long: &[usize],
) -> Option<Step> {
    let part = |value: &usize| match &values[*value].step {
        Step::Activation(Activation::Sigmoid) => Some('σ'),
        Step::Activation(Activation::Tanh) => Some('t'),
        Step::Activation(Activation::Softplus) => Some('s'),
        Step::Part(Part::Erf) => Some('e'),
        Step::Arithmetic(operator, constant) => {
            let number = constants.scalar(*constant)?;
            let is = |expected: f64| (number - expected).abs() < 1e-6;
            match operator {
                Arithmetic::Add if is(1.0) => Some('1'),
                Arithmetic::Mul if is(0.5) => Some('h'),
                Arithmetic::Div if is(2.0) => Some('h'),
                Arithmetic::Div if is(std::f64::consts::SQRT_2) => Some('√'),
                Arithmetic::Mul if is(std::f64::consts::FRAC_1_SQRT_2) => Some('√'),
                _ => None,
            }
        }
        _ => None,
    };
    let word = |way: &[usize]| way.iter().rev().map(part).collect::<Option<String>>();
    Some(match (&*word(short)?, &*word(long)?) {
        ("", "σ") => Step::Activation(Activation::Silu),
        ("", "st") => Step::Activation(Activation::Mish),
        ("", "√e1") => Step::Part(Part::TwiceGelu),
        ("", "√e1h") | ("h", "√e1") => Step::Activation(Activation::Gelu),
        _ => return None,
    })
}
