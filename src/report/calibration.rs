//! Whether a network is as sure as it should be: of the answers that it gives with 80 %, 80 % should be
//! right. How large a difference counts is in `verdict`.

/// The bins that [`Calibration`] sorts answers into, as Guo and others have them.
pub const BINS: usize = 15;

/// Answers of one range of confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// How many answers.
    pub samples: u64,
    /// How many of them are right.
    pub right: u64,
    /// The sum of their confidences.
    pub confidence: f64,
    /// The sum of confidence · (1 - confidence): the variance of the number of right answers where each
    /// is right with the probability of its confidence.
    pub variance: f64,
}

impl Bin {
    /// The share of right answers; 0 without answers.
    pub fn accuracy(&self) -> f64 {
        self.mean(self.right as f64)
    }

    /// The mean confidence; 0 without answers.
    pub fn mean_confidence(&self) -> f64 {
        self.mean(self.confidence)
    }

    fn mean(&self, sum: f64) -> f64 {
        if self.samples == 0 { 0.0 } else { sum / self.samples as f64 }
    }
}

/// Confidence beside accuracy, from answers that are [added](Self::add) one by one.
///
/// An answer's confidence is the probability of the class that it names. Guo, Pleiss, Sun and Weinberger,
/// "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599: the answers go into [`BINS`] ranges
/// of confidence of equal width, (m - 1) / 15 < confidence ≤ m / 15.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    bins: [Bin; BINS],
    brier: f64,
}

impl Calibration {
    /// Adds a sample's probabilities, one a class, and the class that it is.
    pub fn add(&mut self, probabilities: &[f64], class: usize) {
        let said = likeliest(probabilities);
        let confidence = probabilities.get(said).copied().unwrap_or(0.0);
        let place = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[place.clamp(1, BINS) - 1];
        bin.samples += 1;
        bin.right += u64::from(said == class);
        bin.confidence += confidence;
        bin.variance += (confidence * (1.0 - confidence)).max(0.0);
        let square = |(i, p): (usize, &f64)| (p - f64::from(i == class)).powi(2);
        self.brier += probabilities.iter().enumerate().map(square).sum::<f64>();
    }

    /// The bins, least confidence first.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// How many samples were added.
    pub fn samples(&self) -> u64 {
        self.bins.iter().map(|bin| bin.samples).sum()
    }

    /// The expected calibration error of Guo and others, (3): Σ over the bins of (samples in the bin /
    /// samples) · |accuracy - mean confidence|; 0 without samples.
    pub fn expected_error(&self) -> f64 {
        let gap = |bin: &Bin| (bin.right as f64 - bin.confidence).abs();
        self.mean(self.bins.iter().map(gap).sum())
    }

    /// The mean confidence of all answers; 0 without samples.
    pub fn mean_confidence(&self) -> f64 {
        self.mean(self.bins.iter().map(|bin| bin.confidence).sum())
    }

    /// Brier's score: the mean over the samples of Σ over the classes of (probability - 1 for the right
    /// class or 0)², from 0 (sure and right) to 2 (sure and wrong); 0 without samples.
    pub fn brier(&self) -> f64 {
        self.mean(self.brier)
    }

    fn mean(&self, sum: f64) -> f64 {
        match self.samples() {
            0 => 0.0,
            samples => sum / samples as f64,
        }
    }
}

/// The position of the largest value, the first where there are several.
pub(super) fn likeliest(probabilities: &[f64]) -> usize {
    let larger =
        |best: usize, i: usize| if probabilities[i] > probabilities[best] { i } else { best };
    (0..probabilities.len()).reduce(larger).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut calibration = Calibration::default();
        assert_eq!((calibration.expected_error(), calibration.brier()), (0.0, 0.0));
        // Confidence 0.9 twice, one right: |0.5 - 0.9|; 0.6 once, right: |1 - 0.6|.
        calibration.add(&[0.9, 0.1], 0);
        calibration.add(&[0.1, 0.9], 0);
        calibration.add(&[0.6, 0.4], 0);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(calibration.expected_error(), 2.0 / 3.0 * 0.4 + 1.0 / 3.0 * 0.4);
        close(calibration.mean_confidence(), 0.8);
        close(calibration.brier(), (0.02 + 1.62 + 0.32) / 3.0);
        assert_eq!(calibration.samples(), 3);
    }

    #[test]
    fn a_bin_has_its_upper_edge() {
        let place = |confidence: f64| {
            let mut calibration = Calibration::default();
            calibration.add(&[confidence, 0.0], 0);
            calibration.bins().iter().position(|bin| bin.samples == 1)
        };
        assert_eq!(place(1.0), Some(14));
        assert_eq!(place(0.2), Some(2));
        assert_eq!(place(0.2 + 1e-9), Some(3));
        assert_eq!(place(0.0), Some(0));
        // Rounding may lead a little beyond 1.
        assert_eq!(place(1.0 + 1e-12), Some(14));
    }

    #[test]
    fn of_equals_the_first_is_likeliest() {
        assert_eq!(likeliest(&[0.2, 0.4, 0.4]), 1);
        assert_eq!(likeliest(&[]), 0);
    }
}
