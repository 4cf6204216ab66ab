//! Reports: a page about a run, with its plots as files beside it, and the comparison of runs.
//!
//! A [`Report`] is made from what is available: the run's records, its network, its predictions on a test
//! set. The page lists what is missing; only files that cannot be read or written are errors.

mod assessment;
mod calibration_verdict;
pub mod compare;
mod error;
mod first_layer_images;
mod lr_find;
mod occlusion_overlay;
mod page;
mod plot;
mod png;
mod regression_summary;
mod tensorboard;

pub use assessment::{Assessment, Mistake};
pub use calibration_verdict::Verdict;
pub use compare::Comparison;
pub use error::ReportError;
pub use lr_find::{PlotFormat, lr_plot};
pub use occlusion_overlay::occlusion_png;
pub use regression_summary::NumberFit;
pub use tensorboard::TensorBoard;

pub use crate::metrics::{BINS, Bin, Calibration};

use std::path::{Path, PathBuf};

use crate::data::{Dataset, Features, Source};
use crate::evaluate::{Measures, OcclusionMap};
use crate::metrics::{Direction, Metric};
use crate::model::{Sequential, Spec, Summary};
use crate::run::{self, Run, RunError, RunResult};
use crate::train::{EpochRecord, History};
use first_layer_images::FirstLayer;
use plot::{Confusion, Curves, Errors, Figure, Numbers, Predicted, Reliability, Series, Sheet};

/// The largest number of mistakes that are shown, and of pixels in all of them.
const MISTAKES: usize = 24;
const MISTAKE_PIXELS: usize = 1 << 20;

/// The least and the most places of occlusion maps along a side; the larger the network, the fewer.
const PLACES: [usize; 2] = [4, 8];
/// The multiply-adds that all maps together may take, some seconds, if more places than the least are possible with them.
const MAP_MULTIPLY_ADDS: f64 = 25e9;

/// A report on a run.
#[derive(Debug)]
pub struct Report<'a> {
    run: &'a Run,
    history: History,
    result: Option<RunResult>,
    first_layer: Option<FirstLayer>,
    tested: Option<Tested<'a>>,
    weights: Option<String>,
    png: bool,
    missing: Vec<String>,
}

/// A test set and the predictions on it.
#[derive(Debug)]
struct Tested<'a> {
    images: &'a Dataset,
    /// The data set's name, if it is not the run's own.
    other: Option<String>,
    found: Assessment,
    /// Where the network looks, for each of the mistakes; none for other samples than pictures.
    maps: Vec<OcclusionMap>,
}

/// The written files.
#[derive(Clone, Debug)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// The plots.
    pub plots: Vec<PathBuf>,
}

/// Returns the places along a side of each of some occlusion maps.
fn places(network: &Spec, maps: usize) -> usize {
    let each = Summary::new(network).map_or(0, |summary| summary.multiply_adds());
    let predictions = MAP_MULTIPLY_ADDS / (maps.max(1) as f64 * each.max(1) as f64);
    let [least, most] = PLACES;
    (predictions.sqrt() as usize).clamp(least, most)
}

impl<'a> Report<'a> {
    /// Creates a report from the records of `run`.
    ///
    /// # Errors
    /// A history that cannot be read.
    pub fn new(run: &'a Run) -> Result<Self, RunError> {
        let (history, result) = (run.history()?, run.result());
        let (first_layer, tested, weights) = (None, None, None);
        let missing = Vec::new();
        Ok(Self { run, history, result, first_layer, tested, weights, png: false, missing })
    }

    /// Sets the description of the network's weights if they are not those at the end of training, such as
    /// "those of the best checkpoint".
    pub fn weights_are(&mut self, which: impl Into<String>) {
        self.weights = Some(which.into());
    }

    /// Also writes each SVG plot as a PNG, for programs that do not show SVG; an existing PNG is always written
    /// again.
    pub fn write_png(&mut self) {
        self.png = true;
    }

    /// Adds a sentence about what is missing in the report, and how to add it.
    pub fn lacks(&mut self, what: impl Into<String>) {
        self.missing.push(what.into());
    }

    /// Adds the weights of the network's first layer.
    ///
    /// # Errors
    /// An error of libtorch.
    pub fn add_network(&mut self, model: &Sequential) -> Result<(), ReportError> {
        self.first_layer = FirstLayer::of(model)?;
        Ok(())
    }

    /// Adds the network's predictions on a test set from `source`.
    ///
    /// # Errors
    /// A test set that does not fit the network, or predictions that are not finite.
    pub fn add_test(
        &mut self,
        model: &Sequential,
        images: &'a Dataset,
        source: &Source,
    ) -> Result<(), ReportError> {
        let trained_on = self.run.config().data.source.as_ref();
        let own = trained_on.is_some_and(|own| own.has_test_files(source));
        let other = (!own).then(|| source.name.clone());
        let most = match images.picture_shape() {
            Some(shape) => MISTAKES.min(MISTAKE_PIXELS / (shape.height * shape.width).max(1)),
            // Other samples cannot be shown as pictures.
            None => 0,
        };
        let config = self.run.config();
        let metrics = config.fit.test_metrics(images.target_kind());
        let measures = Measures { loss: config.loss(), metrics: &metrics };
        let found = Assessment::of(model, images, most, measures)?;
        let places = places(model.spec(), found.mistakes.len());
        let map = |mistake: &Mistake| {
            let picture = Features::pixels(&mistake.image[..], images.sample_shape());
            model.occlusion_map(&picture, mistake.said, places)
        };
        let maps = found.mistakes.iter().map(map).collect::<Result<_, _>>()?;
        self.tested = Some(Tested { images, other, found, maps });
        Ok(())
    }

    /// Returns the network's predictions on the test set, if it was added.
    pub fn assessment(&self) -> Option<&Assessment> {
        self.tested.as_ref().map(|tested| &tested.found)
    }

    /// Writes the page and its plots into the run folder, each file atomically, the page last.
    ///
    /// # Errors
    /// A plot that cannot be drawn, or a file that cannot be written.
    pub fn write(&self) -> Result<Written, ReportError> {
        let mut plots = Vec::new();
        for curves in self.curves() {
            self.write_plot(&curves, &mut plots)?;
        }
        if let Some(confusion) = self.confusion() {
            self.write_plot(&confusion, &mut plots)?;
        }
        if let Some(reliability) = self.reliability() {
            self.write_plot(&reliability, &mut plots)?;
        }
        for number in self.numbers() {
            self.write_plot(&Predicted(number), &mut plots)?;
            self.write_plot(&Errors(number), &mut plots)?;
        }
        if let Some(sheet) = self.sheet() {
            plots.push(self.write_image(sheet.name(), "png", &plot::png(&sheet)?)?);
        }
        if let Some(layer) = &self.first_layer {
            plots.push(self.write_image("weights", "png", &layer.sheet(3).png()?)?);
        }
        let page = self.run.write_view(Path::new(run::REPORT), self.html()?.as_bytes())?;
        Ok(Written { page, plots })
    }

    fn write_plot(
        &self,
        figure: &impl Figure,
        plots: &mut Vec<PathBuf>,
    ) -> Result<(), ReportError> {
        plots.push(self.write_image(figure.name(), "svg", plot::svg(figure)?.as_bytes())?);
        let png = Path::new(run::PLOTS).join(figure.name()).with_extension("png");
        // An older one would show other weights.
        if self.png || self.run.path().join(png).exists() {
            plots.push(self.write_image(figure.name(), "png", &plot::png(figure)?)?);
        }
        Ok(())
    }

    fn write_image(&self, name: &str, ending: &str, bytes: &[u8]) -> Result<PathBuf, RunError> {
        self.run.write_view(&Path::new(run::PLOTS).join(format!("{name}.{ending}")), bytes)
    }

    /// Returns the curves of the metrics that were recorded.
    fn curves(&self) -> Vec<Curves> {
        let series = |name: &str, color, dashed, of: fn(&EpochRecord) -> Option<f64>| {
            let points = self.history.epochs.iter();
            let points = points.filter_map(|record| Some((record.epoch as f64, of(record)?)));
            Series::new(name, color, dashed, points)
        };
        let curves = |name: &str, title: &str, unit: &str, series: Vec<Series>| Curves {
            name: name.to_owned(),
            title: title.to_owned(),
            unit: unit.to_owned(),
            series: series.into_iter().filter(|series| !series.points.is_empty()).collect(),
            numbers: Numbers::Loss,
            from_zero: true,
            size: Curves::size_for(2),
        };
        let loss = vec![
            series("training", 0, false, |e| Some(e.loss)),
            series("validation", 1, true, |e| e.val_loss),
        ];
        let accuracy = vec![
            series("training", 0, false, |e| e.accuracy),
            series("validation", 1, true, |e| e.val_accuracy),
        ];
        let rate = vec![series("rate", 2, false, |e| Some(e.learning_rate))];
        let speed = vec![series("speed", 3, false, |e| Some(e.samples_per_second))];
        let all = [
            curves("loss", "Loss", &self.loss_unit(), loss),
            Curves {
                numbers: Numbers::Percent,
                from_zero: false,
                ..curves(
                    "accuracy",
                    "Accuracy",
                    "fraction of correct predictions, higher is better",
                    accuracy,
                )
            },
            Curves {
                numbers: Numbers::Plain,
                ..curves("learning-rate", "Learning rate", "at the end of each epoch", rate)
            },
            Curves {
                numbers: Numbers::Plain,
                ..curves("speed", "Speed", "training samples per second", speed)
            },
        ];
        let metrics = self.history.metrics().into_iter().map(|name| {
            let points = self.history.epochs.iter();
            let points = points.filter_map(|e| Some((e.epoch as f64, *e.metrics.get(name)?)));
            let metric = name.trim_start_matches("val_");
            let series = vec![Series::new("validation", 1, true, points)];
            Curves { from_zero: false, ..curves(metric, metric, &self.direction(metric), series) }
        });
        let metrics: Vec<Curves> = metrics.collect();
        let [loss, accuracy, rate, speed] = all;
        let all = [loss, accuracy].into_iter().chain(metrics).chain([rate, speed]);
        all.filter(|curves| !curves.series.is_empty()).collect()
    }

    /// Returns the word for the samples.
    fn samples(&self) -> &'static str {
        // Tables have rows of columns.
        if self.run.config().network.input_shape.len() > 1 { "images" } else { "samples" }
    }

    /// Returns what the loss is.
    fn loss_unit(&self) -> String {
        match &self.run.config().fit.loss {
            loss if loss.is_crossentropy() => {
                "mean cross-entropy in nats, lower is better".to_owned()
            }
            loss => format!("{}, lower is better", loss.name()),
        }
    }

    /// Returns which values of a metric are better, as the unit of its plot.
    fn direction(&self, name: &str) -> String {
        let mut metrics = self.run.config().fit.metrics.iter();
        match metrics.find(|metric| metric.name() == name).map(Metric::direction) {
            Some(Direction::Higher) => "on the validation set, higher is better".to_owned(),
            Some(Direction::Lower) => "on the validation set, lower is better".to_owned(),
            None => "on the validation set".to_owned(),
        }
    }

    fn classes(&self) -> &[String] {
        &self.run.config().data.classes
    }

    fn confusion(&self) -> Option<Confusion<'_>> {
        let counts = &self.assessment()?.evaluation.confusion;
        (!counts.is_empty()).then(|| Confusion { counts, classes: self.classes() })
    }

    fn reliability(&self) -> Option<Reliability<'_>> {
        let calibration = &self.assessment()?.calibration;
        (calibration.samples() > 0).then_some(Reliability(calibration))
    }

    /// Returns the predictions of numbers on the test set; none for other targets.
    fn numbers(&self) -> &[NumberFit] {
        self.assessment().map_or(&[], |found| &found.numbers)
    }

    fn sheet(&self) -> Option<Sheet<'_>> {
        let Tested { images, found, .. } = self.tested.as_ref()?;
        let shape = images.picture_shape()?;
        let sheet = Sheet { mistakes: &found.mistakes, shape, classes: self.classes() };
        (!found.mistakes.is_empty()).then_some(sheet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Flatten};

    #[test]
    fn maps_of_large_networks_have_fewer_places() {
        let network = |units: usize| {
            Spec::new(
                [28, 28],
                vec![Flatten.into(), Dense::new(units).into(), Dense::new(10).into()],
            )
        };
        assert_eq!([64, 30_000, 200_000].map(|units| places(&network(units), 24)), [8, 6, 4]);
    }
}
