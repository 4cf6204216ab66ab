//! The evaluation of a network for a report: one pass over the test set that keeps only sums and the worst
//! mistakes, so its memory does not depend on the number of samples.

use tch::{Device, Kind, Tensor};

use super::ReportError;
use super::regression_summary::NumberFit;
use crate::data::Dataset;
use crate::data::batches::DataLoader;
use crate::evaluate::{Evaluation, Measures, check_fit};
use crate::group::SingleProcess;
use crate::metrics::{Calibration, likeliest};
use crate::model::{OutputActivation, Sequential};
use crate::native::LibtorchError;

/// A network's predictions on a test set.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// Loss, metrics and confusion matrix.
    pub evaluation: Evaluation,
    /// Confidence compared with accuracy; without samples for other targets than classes.
    pub calibration: Calibration,
    /// The wrong predictions with the highest confidence, in descending order; none for other targets than classes.
    pub mistakes: Vec<Mistake>,
    /// The predictions of each number; empty for other targets.
    pub numbers: Vec<NumberFit>,
}

/// A wrong prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// The sample's position in the test set.
    pub sample: usize,
    /// The true class.
    pub class: usize,
    /// The predicted class.
    pub said: usize,
    /// The probability of each class.
    pub probabilities: Vec<f64>,
    /// Its pixels, row by row.
    pub image: Vec<u8>,
}

impl Mistake {
    /// Returns the probability of the predicted class.
    pub fn confidence(&self) -> f64 {
        self.probabilities.get(self.said).copied().unwrap_or(0.0)
    }
}

impl Assessment {
    /// Evaluates `model` on every sample of `dataset` and keeps the `most` worst mistakes.
    ///
    /// # Errors
    /// A dataset that does not fit the network, predictions that are not finite, or an error of libtorch.
    pub fn of<'m>(
        model: &Sequential,
        dataset: &Dataset,
        most: usize,
        measures: impl Into<Measures<'m>>,
    ) -> Result<Self, ReportError> {
        check_fit(model, dataset)?;
        let feed = DataLoader::new(dataset, model.device()).map_err(crate::EvaluateError::from)?;
        let (evaluation, kept) = model.evaluate_keeping(&SingleProcess, &feed, measures.into())?;
        if !evaluation.loss.is_finite() {
            return Err(ReportError::NotFinite);
        }
        if dataset.target_kind().is_class() {
            return Self::of_classes(model, &feed, most, evaluation);
        }
        let numbers = match &kept {
            Some((values, targets)) => NumberFit::all(values, targets, &evaluation.residuals),
            None => Vec::new(),
        };
        let (calibration, mistakes) = (Calibration::default(), Vec::new());
        Ok(Self { evaluation, calibration, mistakes, numbers })
    }

    fn of_classes(
        model: &Sequential,
        feed: &DataLoader,
        most: usize,
        evaluation: Evaluation,
    ) -> Result<Self, ReportError> {
        let dataset = feed.dataset();
        let mut calibration = Calibration::default();
        let mut mistakes = Worst::new(most);
        let (mut sample, mut finite) = (0, true);
        model.for_each_batch(feed, |logits, _| {
            for probabilities in probabilities(model, logits)?.chunks_exact(dataset.classes().len())
            {
                let class = usize::from(dataset.label(sample));
                finite &= probabilities.iter().all(|p| p.is_finite());
                calibration.add(probabilities, class);
                let said = likeliest(probabilities);
                if said != class {
                    let (probabilities, image) = (probabilities.to_vec(), Vec::new());
                    mistakes.offer(Mistake { sample, class, said, probabilities, image });
                }
                sample += 1;
            }
            Ok::<(), LibtorchError>(())
        })?;
        if !finite {
            return Err(ReportError::NotFinite);
        }
        let mut mistakes = mistakes.surest_first();
        for mistake in &mut mistakes {
            mistake.image =
                dataset.read_image(mistake.sample).map_err(crate::EvaluateError::from)?;
        }
        Ok(Self { evaluation, calibration, mistakes, numbers: Vec::new() })
    }
}

/// Returns the probabilities of the classes of a batch, row by row: of two classes with one output, too.
fn probabilities(model: &Sequential, logits: &Tensor) -> Result<Vec<f64>, LibtorchError> {
    let doubles = match model.spec().output {
        OutputActivation::Softmax => logits.f_softmax(-1, Kind::Double)?,
        output => output.forward(&logits.f_to_kind(Kind::Double)?)?,
    };
    let doubles = doubles.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0f64; doubles.numel()];
    doubles.f_copy_data(&mut values, doubles.numel())?;
    Ok(match model.outputs() {
        1 => values.into_iter().flat_map(|p| [1.0 - p, p]).collect(),
        _ => values,
    })
}

/// The mistakes with the highest confidence, at most `most` of them.
struct Worst {
    most: usize,
    kept: Vec<Mistake>,
}

impl Worst {
    fn new(most: usize) -> Self {
        Self { most, kept: Vec::new() }
    }

    /// Adds a mistake. Sorts and truncates only at twice the limit, so that the amortized cost is low.
    fn offer(&mut self, mistake: Mistake) {
        self.kept.push(mistake);
        if self.kept.len() >= 2 * self.most.max(32) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        // The sort is stable: of equal ones the first is kept.
        self.kept.sort_by(|a, b| b.confidence().total_cmp(&a.confidence()));
        self.kept.truncate(self.most);
    }

    fn surest_first(mut self) -> Vec<Mistake> {
        self.cut();
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Flatten};

    #[test]
    fn assessment_agrees_with_evaluate_and_predict() -> Result<(), Box<dyn std::error::Error>> {
        let (train, test) = crate::data::load("digits")?;
        let builder = Sequential::new(test.sample_shape()).add(Flatten).add(Dense::new(10));
        let mut model = builder.build(crate::Device::Cpu, 0)?;
        let config = crate::FitConfig { epochs: 1, ..Default::default() };
        model.fit(&train, &config, &mut [])?;
        let found = Assessment::of(&model, &test, 5, Measures::default())?;
        assert_eq!(found.evaluation, model.evaluate(&test)?);
        let right: u64 = found.calibration.bins().iter().map(|bin| bin.right).sum();
        assert_eq!(Some(right as f64 / test.len() as f64), found.evaluation.accuracy);
        // All wrong predictions by predict_images, in descending confidence.
        let mut all = Vec::new();
        for i in 0..test.len() {
            let softmax = model.predict_images(test.image(i), test.image_shape()?)?.remove(0);
            let softmax: Vec<f64> = softmax.into_iter().map(f64::from).collect();
            let said = likeliest(&softmax);
            if said != usize::from(test.label(i)) {
                all.push((i, said, softmax[said]));
            }
        }
        assert!(all.len() > 5, "{}", all.len());
        all.sort_by(|a, b| b.2.total_cmp(&a.2));
        for (mistake, (sample, said, confidence)) in found.mistakes.iter().zip(&all) {
            assert_eq!((mistake.sample, mistake.said), (*sample, *said));
            // predict_images computes in f32, the assessment in f64.
            assert!((mistake.confidence() - confidence).abs() < 1e-6);
        }
        assert_eq!(found.mistakes.len(), 5);
        Ok(())
    }

    #[test]
    fn worst_keeps_the_most_confident_in_order() {
        let mistake = |sample: usize, confidence: f64| Mistake {
            sample,
            class: 0,
            said: 1,
            probabilities: vec![1.0 - confidence, confidence],
            image: Vec::new(),
        };
        let mut worst = Worst::new(3);
        // 0, 37, 74, 10, 47, … of 101: every value once, in a mixed order.
        for i in 0..101 {
            worst.offer(mistake(i, (i * 37 % 101) as f64 / 101.0));
            assert!(worst.kept.len() < 64);
        }
        worst.offer(mistake(200, 100.0 / 101.0));
        let kept: Vec<f64> = worst.surest_first().iter().map(Mistake::confidence).collect();
        assert_eq!(kept, [100.0 / 101.0, 100.0 / 101.0, 99.0 / 101.0]);
    }
}
