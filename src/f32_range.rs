//! The numbers that f32 holds: training computes in it, and settings are read in f64.

/// The rule of a setting that is larger than f32 holds.
pub(crate) const RULE: &str = "fit into f32 (at most 3.4e38)";

/// Returns whether a number is finite in f32, too.
pub(crate) fn fits(value: f64) -> bool {
    (value as f32).is_finite()
}

/// Returns whether a number other than 0 is as good as 0 in f32: one below the smallest with all its digits.
pub(crate) fn vanishes(value: f64) -> bool {
    value != 0.0 && value.abs() < f64::from(f32::MIN_POSITIVE)
}

/// The numbers that are compared at a time: a loop that may end at each of them is compiled to one comparison after the
/// other, which takes six times as long.
const AT_ONCE: usize = 1 << 10;

/// Returns the position of the first number that is NaN or infinite.
pub(crate) fn first_not_finite(values: &[f32]) -> Option<usize> {
    let is_bad = |value: &f32| !value.is_finite();
    for (i, chunk) in values.chunks(AT_ONCE).enumerate() {
        if chunk.iter().fold(false, |any, value| any | is_bad(value)) {
            return chunk.iter().position(is_bad).map(|position| i * AT_ONCE + position);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_that_is_not_finite_is_found() {
        let mut values = vec![f32::MAX; 3 * AT_ONCE + 5];
        assert_eq!(first_not_finite(&values), None);
        assert_eq!(first_not_finite(&[]), None);
        let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].into_iter().cycle();
        for (position, bad) in [values.len() - 1, 2 * AT_ONCE, AT_ONCE - 1, 0].into_iter().zip(bad)
        {
            values[position] = bad;
            assert_eq!(first_not_finite(&values), Some(position));
        }
    }

    #[test]
    fn numbers_beyond_f32_do_not_fit_and_tiny_ones_vanish() {
        assert!(fits(3.4e38) && fits(-1.0) && fits(1e-300));
        assert!(!fits(3.5e38) && !fits(-1e39) && !fits(f64::NAN) && !fits(f64::INFINITY));
        assert!(vanishes(1e-300) && vanishes(-1e-39) && !vanishes(0.0) && !vanishes(1.2e-38));
    }
}
