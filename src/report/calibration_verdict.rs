//! The verdict on the calibration: over-confident, under-confident, or within what chance explains.

use crate::metrics::{Bin, Calibration};

/// A difference up to this is small for any number of predictions: one percentage point.
const SMALL: f64 = 0.01;
/// If chance alone explains a larger error than this, there are too few predictions to call a network well
/// calibrated.
const COARSE: f64 = 0.1;
/// Standard deviations above the mean that chance may reach: about 2 % of well calibrated networks exceed it.
const DEVIATIONS: f64 = 2.0;
/// The one-sided significance level for a difference of the averages.
const SIGNIFICANT: f64 = 0.025;

/// The comparison of confidence and accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The error is within noise, and the noise is too large for a verdict.
    TooFewAnswers,
    /// The error is small or within noise.
    WellCalibrated,
    /// Confidence is above accuracy.
    OverConfident,
    /// Confidence is below accuracy.
    UnderConfident,
    /// Above in some bins and below in others, without a clear majority.
    Mixed,
}

impl Verdict {
    /// Returns the verdict as the end of a sentence about the network.
    pub fn text(self) -> &'static str {
        match self {
            Self::TooFewAnswers => "there are too few predictions for a verdict on its calibration",
            Self::WellCalibrated => "it is well calibrated",
            Self::OverConfident => "it is over-confident",
            Self::UnderConfident => "it is under-confident",
            Self::Mixed => {
                "it is over-confident at some levels of confidence and under-confident at others"
            }
        }
    }
}

impl Calibration {
    /// Returns the largest expected calibration error that still counts as well calibrated: one percentage
    /// point, or what chance explains, whichever is larger.
    pub fn tolerance(&self) -> f64 {
        self.noise().max(SMALL)
    }

    /// Returns the expected calibration error that a perfectly calibrated network stays below on these
    /// predictions, with a probability of about 98 %.
    ///
    /// The number of correct predictions in a bin then has the mean Σ p and the variance V = Σ p (1 - p) over
    /// its confidences p. |correct - Σ p| has about the mean √(2 V / π) and the variance (1 - 2 / π) V (the
    /// half-normal distribution); the limit is two standard deviations above the mean of their sum, plus
    /// one prediction, because correct predictions are counted in whole numbers. 1 without predictions.
    pub fn noise(&self) -> f64 {
        use std::f64::consts::FRAC_2_PI;
        let samples = self.samples() as f64;
        if samples == 0.0 {
            return 1.0;
        }
        let variances = || self.bins().iter().map(|bin| bin.variance);
        let mean: f64 = variances().map(|variance| (FRAC_2_PI * variance).sqrt()).sum();
        let deviation = ((1.0 - FRAC_2_PI) * variances().sum::<f64>()).sqrt();
        ((mean + DEVIATIONS * deviation + 1.0) / samples).min(1.0)
    }

    /// Returns the probability that a perfectly calibrated network's accuracy is by chance as far from its
    /// mean confidence as this one's, or farther, in the same direction. 1 without predictions.
    ///
    /// The number of correct predictions is modeled as a binomial distribution with the mean confidence. With
    /// the individual confidences the tail is no heavier (W. Hoeffding, "On the Distribution of the Number of
    /// Successes in Independent Trials", 1956), so the probability is an upper bound.
    pub fn chance(&self) -> f64 {
        let right: u64 = self.bins().iter().map(|bin| bin.right).sum();
        let (samples, mean) = (self.samples(), self.mean_confidence().min(1.0));
        match right as f64 >= mean * samples as f64 {
            true => at_least(right, samples, mean),
            false => at_least(samples - right, samples, 1.0 - mean),
        }
    }

    /// Returns the verdict. A network is over- or under-confident if its averages differ by more than one
    /// point, which [chance](Self::chance) alone explains in fewer than 2.5 % of cases, or if its error exceeds
    /// the [tolerance](Self::tolerance) with three quarters of it on one side.
    pub fn verdict(&self) -> Verdict {
        let excess = |bin: &Bin| (bin.confidence - bin.right as f64).max(0.0);
        let over = self.bins().iter().map(excess).sum::<f64>() / self.samples().max(1) as f64;
        let error = self.expected_error();
        // The difference of the averages: the excess confidence minus the excess accuracy.
        let difference = 2.0 * over - error;
        if difference.abs() > SMALL && self.chance() < SIGNIFICANT {
            return if difference > 0.0 { Verdict::OverConfident } else { Verdict::UnderConfident };
        }
        if error > self.tolerance() {
            return match over / error {
                part if part >= 0.75 => Verdict::OverConfident,
                part if part <= 0.25 => Verdict::UnderConfident,
                _ => Verdict::Mixed,
            };
        }
        if self.noise() > COARSE { Verdict::TooFewAnswers } else { Verdict::WellCalibrated }
    }
}

/// Returns the probability of at least `least` successes, which is at or above the mean, in `trials`
/// independent trials with success probability `p`.
fn at_least(least: u64, trials: u64, p: f64) -> f64 {
    if least == 0 || p >= 1.0 {
        return 1.0;
    }
    if p <= 0.0 {
        return 0.0;
    }
    let (n, k) = (trials as f64, least as f64);
    // The logarithm of the binomial coefficient, from the shorter of its two products.
    let chosen = least.min(trials - least);
    let coefficient: f64 =
        (1..=chosen).map(|i| ((n - chosen as f64 + i as f64) / i as f64).ln()).sum();
    let first = (coefficient + k * p.ln() + (n - k) * (-p).ln_1p()).exp();
    // Above the mean each term is smaller than the one before it.
    let (mut term, mut sum) = (first, first);
    for i in least..trials {
        term *= (n - i as f64) / (i as f64 + 1.0) * p / (1.0 - p);
        sum += term;
        if term < 1e-9 * sum {
            break;
        }
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Mixed, OverConfident, TooFewAnswers, UnderConfident, WellCalibrated};

    /// Predictions of two classes: (confidence, predictions, correct ones).
    fn answers(groups: &[(f64, u32, u32)]) -> Calibration {
        let mut calibration = Calibration::default();
        for &(confidence, count, right) in groups {
            for i in 0..count {
                calibration.add(&[confidence, 1.0 - confidence], usize::from(i >= right));
            }
        }
        calibration
    }

    #[test]
    fn confidence_below_accuracy_is_under_confident() {
        for samples in [24, 40, 360, 10_000] {
            assert_eq!(
                answers(&[(0.848, samples, samples)]).verdict(),
                UnderConfident,
                "{samples}"
            );
        }
        let spread = [(0.72, 6, 6), (0.8, 6, 6), (0.9, 6, 6), (0.972, 6, 6)];
        assert_eq!(answers(&spread).verdict(), UnderConfident);
        assert_eq!(answers(&[(0.6, 500, 400), (0.9, 500, 480)]).verdict(), UnderConfident);
    }

    #[test]
    fn confidence_above_accuracy_is_over_confident() {
        assert_eq!(answers(&[(0.99, 1000, 900)]).verdict(), OverConfident);
        // Confident and wrong is over-confident on any number of predictions that noise does not explain.
        assert_eq!(answers(&[(0.999, 10, 0)]).verdict(), OverConfident);
        assert_eq!(answers(&[(0.97, 1, 0)]).verdict(), TooFewAnswers);
    }

    #[test]
    fn small_differences_are_well_calibrated() {
        for right in [892, 900, 908] {
            assert_eq!(answers(&[(0.9, 1000, right)]).verdict(), WellCalibrated, "{right}");
        }
        // With very many predictions, half a point is significant and still small.
        let many = answers(&[(0.9, 100_000, 90_500)]);
        assert!(many.noise() < many.expected_error());
        assert_eq!(many.verdict(), WellCalibrated);
        assert_eq!(answers(&[(0.9, 100_000, 91_500)]).verdict(), UnderConfident);
        assert_eq!(answers(&[(0.9, 100_000, 88_500)]).verdict(), OverConfident);
    }

    #[test]
    fn perfect_accuracy_with_full_confidence_is_well_calibrated() {
        assert_eq!(answers(&[(1.0, 1000, 1000)]).verdict(), WellCalibrated);
        assert_eq!(answers(&[(0.9999, 360, 360)]).verdict(), WellCalibrated);
        assert_eq!(answers(&[(0.95, 1000, 1000)]).verdict(), UnderConfident);
    }

    #[test]
    fn tiny_test_sets_have_no_verdict() {
        assert_eq!(Calibration::default().verdict(), TooFewAnswers);
        assert_eq!(answers(&[(0.6, 1, 1)]).verdict(), TooFewAnswers);
        assert_eq!(answers(&[(0.7, 5, 5)]).verdict(), TooFewAnswers);
        assert_eq!(answers(&[(0.7, 5, 2)]).verdict(), TooFewAnswers);
    }

    #[test]
    fn both_directions_are_mixed() {
        assert_eq!(answers(&[(0.6, 500, 450), (0.95, 500, 325)]).verdict(), Mixed);
    }

    #[test]
    fn the_tail_is_that_of_the_binomial_distribution() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(at_least(24, 24, 0.848), 0.848f64.powi(24));
        close(at_least(3, 4, 0.5), 5.0 / 16.0);
        close(at_least(2, 3, 0.25), 10.0 / 64.0);
        // scipy.stats.binom.sf(550, 1000, 0.5): 0.00069587
        assert!((at_least(551, 1000, 0.5) - 0.000_695_87).abs() < 1e-8);
        for (p, right, chance) in [(1.0, 5, 1.0), (1.0, 4, 0.0)] {
            close(answers(&[(p, 5, right)]).chance(), chance);
        }
    }

    #[test]
    fn false_alarms_are_rare() {
        // A multiplicative congruential generator of full period (Lehmer, with the constants of MINSTD).
        let mut state = 20_261_128u64;
        let mut uniform = move || {
            state = state * 48_271 % 2_147_483_647;
            state as f64 / 2_147_483_647.0
        };
        let mut all = 0;
        for samples in [1, 5, 20, 100, 1000, 5000] {
            for sharpness in [0.0, 0.5, 0.9, 0.98] {
                let alarms = (0..200).filter(|_| {
                    let mut calibration = Calibration::default();
                    for _ in 0..samples {
                        let low = 0.5 + 0.5 * sharpness;
                        let confidence = low + (1.0 - low) * uniform();
                        let wrong = usize::from(uniform() > confidence);
                        calibration.add(&[confidence, 1.0 - confidence], wrong);
                    }
                    !matches!(calibration.verdict(), WellCalibrated | TooFewAnswers)
                });
                let alarms = alarms.count();
                // 5 % by the averages and 2 % by the bins, with four standard deviations.
                assert!(alarms <= 28, "{alarms} of 200 with {samples} answers from {sharpness}");
                all += alarms;
            }
        }
        assert!(all <= 24 * 200 * 6 / 100, "{all} of 4800");
    }
}
