//! The numbers that settings may have: training computes in f32, and settings are read in f64.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_f32_do_not_fit_and_tiny_ones_vanish() {
        assert!(fits(3.4e38) && fits(-1.0) && fits(1e-300));
        assert!(!fits(3.5e38) && !fits(-1e39) && !fits(f64::NAN) && !fits(f64::INFINITY));
        assert!(vanishes(1e-300) && vanishes(-1e-39) && !vanishes(0.0) && !vanishes(1.2e-38));
    }
}
