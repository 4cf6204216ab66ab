//! Calibration: of the predictions with a confidence of 80 %, 80 % should be correct. The report's
//! verdict says which difference is significant.

/// The number of bins of [`Calibration`], as in Guo et al.
pub const BINS: usize = 15;

/// The predictions within one range of confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Number of predictions.
    pub samples: u64,
    /// Number of correct predictions.
    pub right: u64,
    /// The sum of their confidences.
    pub confidence: f64,
    /// The sum of confidence · (1 - confidence): the variance of the number of correct predictions if each
    /// is correct with the probability of its confidence.
    pub variance: f64,
}

impl Bin {
    /// Returns the fraction of correct predictions, 0 without predictions.
    pub fn accuracy(&self) -> f64 {
        self.mean(self.right as f64)
    }

    /// Returns the mean confidence, 0 without predictions.
    pub fn mean_confidence(&self) -> f64 {
        self.mean(self.confidence)
    }

    fn mean(&self, sum: f64) -> f64 {
        if self.samples == 0 { 0.0 } else { sum / self.samples as f64 }
    }
}

/// Confidence compared with accuracy, from predictions that are [added](Self::add) one by one.
///
/// A prediction's confidence is the probability of the predicted class. Guo, Pleiss, Sun and Weinberger,
/// "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599: the predictions are sorted into
/// [`BINS`] ranges of confidence of equal width, (m - 1) / 15 < confidence ≤ m / 15.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    bins: [Bin; BINS],
    brier: f64,
}

impl Calibration {
    /// Adds a sample's probabilities, one per class, and its true class.
    pub fn add(&mut self, probabilities: &[f64], class: usize) {
        let predicted = likeliest(probabilities);
        let confidence = probabilities.get(predicted).copied().unwrap_or(0.0);
        let place = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[place.clamp(1, BINS) - 1];
        bin.samples += 1;
        bin.right += u64::from(predicted == class);
        bin.confidence += confidence;
        bin.variance += (confidence * (1.0 - confidence)).max(0.0);
        let square = |(i, p): (usize, &f64)| (p - f64::from(i == class)).powi(2);
        self.brier += probabilities.iter().enumerate().map(square).sum::<f64>();
    }

    /// Returns the bins in ascending confidence.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// Returns the number of samples that were added.
    pub fn samples(&self) -> u64 {
        self.bins.iter().map(|bin| bin.samples).sum()
    }

    /// Returns the expected calibration error of Guo et al., equation (3): Σ over the bins of (samples in
    /// the bin / samples) · |accuracy - mean confidence|; 0 without samples.
    pub fn expected_error(&self) -> f64 {
        let gap = |bin: &Bin| (bin.right as f64 - bin.confidence).abs();
        self.mean(self.bins.iter().map(gap).sum())
    }

    /// Returns the mean confidence of all predictions, 0 without samples.
    pub fn mean_confidence(&self) -> f64 {
        self.mean(self.bins.iter().map(|bin| bin.confidence).sum())
    }

    /// Returns the Brier score: the mean over the samples of Σ over the classes of (probability - 1 for the
    /// true class or 0)², from 0 (confident and correct) to 2 (confident and wrong); 0 without samples.
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

/// Returns the index of the largest value, the first one if there are several.
pub(crate) fn likeliest(probabilities: &[f64]) -> usize {
    let larger =
        |best: usize, i: usize| if probabilities[i] > probabilities[best] { i } else { best };
    (0..probabilities.len()).reduce(larger).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_match_values_computed_by_hand() {
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
    fn bins_include_their_upper_edge() {
        let place = |confidence: f64| {
            let mut calibration = Calibration::default();
            calibration.add(&[confidence, 0.0], 0);
            calibration.bins().iter().position(|bin| bin.samples == 1)
        };
        assert_eq!(place(1.0), Some(14));
        assert_eq!(place(0.2), Some(2));
        assert_eq!(place(0.2 + 1e-9), Some(3));
        assert_eq!(place(0.0), Some(0));
        // Rounding may give slightly more than 1.
        assert_eq!(place(1.0 + 1e-12), Some(14));
    }

    #[test]
    fn likeliest_is_the_first_of_equal_values() {
        assert_eq!(likeliest(&[0.2, 0.4, 0.4]), 1);
        assert_eq!(likeliest(&[]), 0);
    }
}
