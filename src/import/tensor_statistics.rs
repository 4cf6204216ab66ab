//! Statistics of a tensor's values, for inspecting a file.

use serde::Serialize;

/// Statistics of the finite values, and the number of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// √Σx², the L2 norm.
    pub norm: f64,
    /// The minimum; 0 if there is none.
    pub min: f32,
    /// The maximum; 0 if there is none.
    pub max: f32,
    /// Number of NaN values.
    pub nan: usize,
    /// Number of infinite values.
    pub infinite: usize,
}

impl Statistics {
    /// Returns the statistics of some values.
    pub fn of(values: &[f32]) -> Self {
        let mut found = Self::default();
        let (mut squares, mut first) = (0.0, true);
        for &value in values {
            if value.is_nan() {
                found.nan += 1;
            } else if value.is_infinite() {
                found.infinite += 1;
            } else {
                squares += f64::from(value) * f64::from(value);
                found.min = if first { value } else { found.min.min(value) };
                found.max = if first { value } else { found.max.max(value) };
                first = false;
            }
        }
        Self { norm: squares.sqrt(), ..found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_not_finite_are_counted_separately() {
        let found = Statistics::of(&[3.0, f32::NAN, -4.0, f32::INFINITY]);
        let expected = Statistics { norm: 5.0, min: -4.0, max: 3.0, nan: 1, infinite: 1 };
        assert_eq!(found, expected);
        assert_eq!(Statistics::of(&[]), Statistics::default());
    }
}
