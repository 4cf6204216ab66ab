//! Comparison of runs: the settings that differ, and the resulting metrics.

mod different_settings;
mod page;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::ReportError;
use crate::data::Source;
use crate::losses::Loss;
use crate::message_text::four_decimals;
use crate::metrics::{Direction, Metric};
use crate::model::Summary;
use crate::run::{Figures, Run, RunError};
use crate::target_scaling::TargetScaling;
use crate::train::History;

use different_settings::NONE;
pub use different_settings::Setting;

/// A comparison of runs.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The runs, in the given order.
    pub runs: Vec<Entry>,
    /// The settings that differ between the runs.
    pub settings: Vec<Setting>,
    /// Whether all runs were tested on the same samples and targets; otherwise their test metrics are not comparable.
    pub same_data: bool,
}

/// A run in a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The run folder, as given.
    pub run: String,
    /// A short name, unique among the runs.
    pub name: String,
    /// Epochs trained so far.
    pub epochs: usize,
    /// Number of the network's trainable parameters.
    pub parameters: usize,
    /// Seconds of all epochs, validation included; `None` for a run that is not finished.
    pub seconds: Option<f64>,
    /// Training samples per second over all epochs.
    pub samples_per_second: Option<f64>,
    /// The training loss of the last epoch.
    pub training_loss: Option<f64>,
    /// The lowest validation loss.
    pub validation_loss: Option<f64>,
    /// The highest validation accuracy.
    pub validation_accuracy: Option<f64>,
    /// Metrics on the test set; `None` for a run that is not finished.
    pub test: Option<Figures>,
    /// The name of its loss with its settings; the two forms of the cross-entropy count as one.
    #[serde(skip)]
    loss: String,
    /// The scaling of numbers, in whose units the loss is.
    #[serde(skip)]
    scaling: Option<TargetScaling>,
    #[serde(skip)]
    history: History,
}

/// A row of the comparison table: one metric of each run as text, and whether it is the best.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Name of the metric.
    pub name: String,
    /// One cell per run.
    pub cells: Vec<Cell>,
}

/// A metric of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The value; "-" if there is none.
    pub text: String,
    /// Whether no other run is better and at least one is worse.
    pub best: bool,
}

/// The name of both forms of the cross-entropy.
const CROSSENTROPY: &str = "cross-entropy";

#[derive(Clone, Copy)]
enum Better {
    Lower,
    Higher,
    Neither,
}

impl Comparison {
    /// Compares `runs`.
    ///
    /// # Errors
    /// Fewer than two runs or the same one twice, or a history that cannot be read.
    pub fn of(runs: &[Run]) -> Result<Self, ReportError> {
        if runs.len() < 2 {
            return Err(ReportError::TooFewRuns(runs.len()));
        }
        let mut seen = BTreeSet::new();
        let again = |run: &&Run| !seen.insert(run.path().canonicalize().ok());
        if let Some(run) = runs.iter().find(again) {
            return Err(ReportError::SameRun(run.path().to_owned()));
        }
        let names = short_names(runs);
        let entries = runs.iter().zip(names).map(|(run, name)| Entry::of(run, name));
        let entries = entries.collect::<Result<_, _>>()?;
        let digests = |run: &Run| -> Vec<String> {
            let files = run.config().data.files();
            // With four files, the last two are the test set.
            let tested = if files.len() == 4 { &files[2..] } else { files };
            tested.iter().map(|file| file.sha256.clone()).collect()
        };
        let arrays = |run: &Run| {
            let data = &run.config().data;
            let names = data.source.as_ref().and_then(Source::test_arrays);
            (data.targets, names.map(|names| names.map(ToOwned::to_owned)))
        };
        let tested = |run: &Run| (digests(run), arrays(run));
        let same_data = runs.iter().all(|run| tested(run) == tested(&runs[0]));
        Ok(Self { runs: entries, settings: different_settings::differing(runs), same_data })
    }

    /// Returns the metrics as table rows.
    pub fn rows(&self) -> Vec<Row> {
        use Better::{Higher, Lower, Neither};
        let tested = |better| if self.same_data { better } else { Neither };
        let loss = if self.loss().is_some() { tested(Lower) } else { Neither };
        let percent = |fraction: f64| format!("{:.2} %", 100.0 * fraction);
        let short = four_decimals;
        let whole = |value: f64| crate::model::grouped(value.round() as usize);
        let seconds = |value: f64| format!("{value:.1}");
        let rows = [
            self.row("epochs", Neither, whole, |e| Some(e.epochs as f64)),
            self.row("parameters", Neither, whole, |e| Some(e.parameters as f64)),
            self.row("seconds", Lower, seconds, |e| e.seconds),
            self.row("samples/s", Higher, whole, |e| e.samples_per_second),
            self.row("training loss", Neither, short, |e| e.training_loss),
            self.row("validation loss", loss, short, |e| e.validation_loss),
            self.row("validation accuracy", tested(Higher), percent, |e| e.validation_accuracy),
            self.row("test loss", loss, short, |e| Some(e.test.as_ref()?.loss)),
            self.row("test accuracy", tested(Higher), percent, |e| e.test.as_ref()?.accuracy),
        ];
        let metrics: BTreeSet<&String> = self.tested_metrics().collect();
        let metrics = metrics.into_iter().map(|name| {
            // Of a metric that is not known here, no value is marked.
            let better = name.parse().map_or(Neither, |metric: Metric| match metric.direction() {
                Direction::Higher => tested(Higher),
                Direction::Lower => tested(Lower),
            });
            self.row(&format!("test {name}"), better, short, |e| {
                e.test.as_ref()?.metrics.get(name).copied()
            })
        });
        let any = |row: &Row| row.cells.iter().any(|cell| cell.text != NONE);
        rows.into_iter().chain(metrics).filter(any).collect()
    }

    /// Returns the name of the loss of all runs; none if they have different ones, or the same in different units.
    fn loss(&self) -> Option<&str> {
        let first = self.runs.first()?;
        let is_same = |run: &Entry| (&run.loss, &run.scaling) == (&first.loss, &first.scaling);
        self.runs.iter().all(is_same).then_some(&first.loss)
    }

    fn tested_metrics(&self) -> impl Iterator<Item = &String> {
        self.runs.iter().filter_map(|run| run.test.as_ref()).flat_map(|test| test.metrics.keys())
    }

    fn row(
        &self,
        name: &str,
        better: Better,
        text: impl Fn(f64) -> String,
        of: impl Fn(&Entry) -> Option<f64>,
    ) -> Row {
        let values: Vec<Option<f64>> =
            self.runs.iter().map(|run| of(run).filter(|value| value.is_finite())).collect();
        let all = || values.iter().copied().flatten();
        let (least, most) = (all().reduce(f64::min), all().reduce(f64::max));
        let best = match better {
            Better::Lower => least,
            Better::Higher => most,
            Better::Neither => None,
        };
        // Values that print the same count as equal: if all do, none is better.
        let differ = least.map(&text) != most.map(&text);
        let best = best.filter(|_| differ).map(&text);
        let cell = |value: &Option<f64>| {
            let text = value.map_or(NONE.to_owned(), &text);
            Cell { best: value.is_some() && Some(&text) == best.as_ref(), text }
        };
        Row { name: name.to_owned(), cells: values.iter().map(cell).collect() }
    }
}

impl Entry {
    fn of(run: &Run, name: String) -> Result<Self, RunError> {
        let (history, result) = (run.history()?, run.result());
        let epochs = &history.epochs;
        let (mut samples, mut spent) = (0.0, 0.0);
        for epoch in epochs {
            samples += epoch.samples_per_second * epoch.seconds;
            spent += epoch.seconds;
        }
        let finite = |values: &mut dyn Iterator<Item = Option<f64>>, best: fn(f64, f64) -> f64| {
            values.flatten().filter(|value| value.is_finite()).reduce(best)
        };
        Ok(Self {
            run: run.path().display().to_string(),
            name,
            epochs: epochs.len(),
            parameters: Summary::new(&run.config().network).map_or(0, |s| s.parameters()),
            seconds: result.as_ref().map(|result| result.seconds),
            samples_per_second: (spent > 0.0).then(|| samples / spent),
            training_loss: epochs.last().map(|epoch| epoch.loss),
            validation_loss: finite(&mut epochs.iter().map(|e| e.val_loss), f64::min),
            validation_accuracy: finite(&mut epochs.iter().map(|e| e.val_accuracy), f64::max),
            test: result.map(|result| result.test),
            loss: match &run.config().fit.loss {
                loss if loss.is_crossentropy() => CROSSENTROPY.to_owned(),
                loss => with_settings(loss),
            },
            scaling: run.config().network.target_scaling.clone(),
            history,
        })
    }
}

/// Returns the name of a loss with its settings, as they are typed: "huber:delta=0.5".
fn with_settings(loss: &Loss) -> String {
    let settings = match serde_json::to_value(loss) {
        Ok(Value::Object(table)) => table.into_values().find(Value::is_object),
        _ => None,
    };
    let typed = |(key, value): (&String, &Value)| format!("{key}={value}");
    match settings.as_ref().and_then(Value::as_object) {
        Some(settings) => {
            let settings: Vec<String> = settings.iter().map(typed).collect();
            format!("{}:{}", loss.name(), settings.join(","))
        }
        None => loss.name(),
    }
}

/// Returns the names of the folders, prefixed by their number where two are the same.
fn short_names(runs: &[Run]) -> Vec<String> {
    let name = |run: &Run| {
        let path = run.path().canonicalize().unwrap_or_else(|_| run.path().to_owned());
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    };
    let names: Vec<String> = runs.iter().map(name).collect();
    let numbered = |(i, name): (usize, &String)| {
        let again = names.iter().filter(|other| *other == name).count() > 1;
        if again { format!("{}: {name}", i + 1) } else { name.clone() }
    };
    names.iter().enumerate().map(numbered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::Huber;

    fn entry(loss: Option<f64>, accuracy: f64) -> Entry {
        Entry {
            run: "r".to_owned(),
            name: "r".to_owned(),
            epochs: 2,
            parameters: 1234,
            seconds: Some(1.0),
            samples_per_second: None,
            training_loss: Some(0.5),
            validation_loss: loss,
            validation_accuracy: None,
            test: Some(Figures {
                loss: 0.25,
                accuracy: Some(accuracy),
                samples: 100,
                metrics: Default::default(),
            }),
            loss: CROSSENTROPY.to_owned(),
            scaling: None,
            history: History::default(),
        }
    }

    fn row<'a>(rows: &'a [Row], name: &str) -> Option<Vec<(&'a str, bool)>> {
        let row = rows.iter().find(|row| row.name == name)?;
        Some(row.cells.iter().map(|cell| (cell.text.as_str(), cell.best)).collect())
    }

    #[test]
    fn losses_with_other_settings_or_units_are_different() {
        let huber = |delta| Loss::Huber(Huber { delta });
        assert_eq!(with_settings(&huber(0.5)), "huber:delta=0.5");
        assert_eq!(with_settings(&Loss::MeanSquaredError), "mean_squared_error");
        let runs = [huber(0.5), huber(1.0)]
            .map(|loss| Entry { loss: with_settings(&loss), ..entry(None, 0.9) });
        let mut comparison = Comparison { runs: runs.to_vec(), settings: vec![], same_data: true };
        assert_eq!(comparison.loss(), None);
        comparison.runs[1].loss = comparison.runs[0].loss.clone();
        assert_eq!(comparison.loss(), Some("huber:delta=0.5"));
        comparison.runs[1].scaling = Some(TargetScaling { offset: vec![1.0], scale: vec![2.0] });
        assert_eq!(comparison.loss(), None);
    }

    #[test]
    fn best_run_is_marked_unless_all_are_equal() {
        let runs = vec![entry(None, 0.9), entry(Some(0.3), 0.95), entry(Some(f64::NAN), 0.95)];
        let mut comparison = Comparison { runs, settings: vec![], same_data: true };
        let rows = comparison.rows();
        let accuracy = [("90.00 %", false), ("95.00 %", true), ("95.00 %", true)];
        assert_eq!(row(&rows, "test accuracy"), Some(accuracy.to_vec()));
        assert_eq!(row(&rows, "test loss"), Some(vec![("0.2500", false); 3]));
        let loss = [("-", false), ("0.3000", false), ("-", false)];
        assert_eq!(row(&rows, "validation loss"), Some(loss.to_vec()));
        assert_eq!(row(&rows, "parameters"), Some(vec![("1,234", false); 3]));
        assert_eq!(row(&rows, "validation accuracy"), None);
        comparison.runs[0].seconds = Some(1.0001);
        let seconds =
            row(&comparison.rows(), "seconds").map(|cells| cells.iter().any(|cell| cell.1));
        assert_eq!(seconds, Some(false), "equal text is not better");
        comparison.same_data = false;
        assert!(row(&comparison.rows(), "test accuracy").unwrap().iter().all(|cell| !cell.1));
    }
}
