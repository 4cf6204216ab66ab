//! TensorBoard event files: curves, histograms of the weights and a picture of the first layer's weights, one
//! step per epoch.
//!
//! Training and validation are two "runs" with the same tags, like in Keras, so that TensorBoard draws them
//! into one chart.

mod event_file;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use event_file::{Event, Histogram, Image, Summary, Value, record};

use super::first_layer_images::FirstLayer;
use crate::atomic_files::WriteError;
use crate::model::Sequential;
use crate::train::EpochRecord;
use crate::train::callback::{Callback, CallbackError, Flow, Plan, Rollback, Training};

/// The number of buckets of a histogram.
const BUCKETS: usize = 50;
/// The side of a weight in the picture, in pixels.
const ENLARGED: usize = 3;

/// Writes event files into `train/` and `validation/` below a folder, like Keras's `TensorBoard`: after each
/// epoch its loss, accuracy, learning rate and speed, a histogram of each parameter, and the first layer's
/// weights as a picture.
///
/// A full disk never ends the training: [`failure`](Self::failure) returns the error of the first event that
/// could not be written.
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    train: Option<PathBuf>,
    validation: Option<PathBuf>,
    failure: Option<WriteError>,
}

impl TensorBoard {
    /// Creates a callback that writes below `folder`, which is created when training begins.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), train: None, validation: None, failure: None }
    }

    /// Returns the first error, if an event could not be written.
    pub fn failure(&self) -> Option<&WriteError> {
        self.failure.as_ref()
    }

    /// Creates a file in the subfolder `part`, with the event that every file begins with.
    fn begin(&mut self, part: &str) -> Option<PathBuf> {
        let folder = self.folder.join(part);
        let time = jiff::Timestamp::now();
        // Never the name of a file from an earlier part of the run.
        let name =
            format!("events.out.tfevents.{}.seqfit.{}", time.as_second(), time.as_nanosecond());
        let path = folder.join(name);
        let made =
            fs::create_dir_all(&folder).map_err(|source| WriteError::new(&folder, 0, source));
        let first = Event { file_version: Some("brain.Event:2".to_owned()), ..Event::now() };
        self.keep(made.and_then(|()| append(&path, &first)));
        Some(path)
    }

    fn keep(&mut self, written: Result<(), WriteError>) {
        if let (Err(error), None) = (written, &self.failure) {
            self.failure = Some(error);
        }
    }

    fn write(&mut self, path: Option<PathBuf>, event: Event) {
        if let Some(path) = path {
            self.keep(append(&path, &event));
        }
    }
}

/// Appends a record to a file.
fn append(path: &Path, event: &Event) -> Result<(), WriteError> {
    let bytes = record(event);
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(&bytes));
    written.map_err(|source| WriteError::new(path, bytes.len() as u64, source))
}

fn scalars(values: &[(&str, Option<f64>)]) -> Vec<Value> {
    let finite =
        values.iter().filter_map(|(tag, value)| Some((tag, value.filter(|v| v.is_finite())?)));
    finite.map(|(tag, value)| Value::scalar(tag, value as f32)).collect()
}

/// Returns the histograms of the parameters and the picture of the first layer.
fn parameters(model: &Sequential) -> Result<Vec<Value>, CallbackError> {
    let mut values = Vec::new();
    for (name, tensor) in &model.weights()? {
        values.push(Value::histogram(
            &format!("weights/{name}"),
            Histogram::of(&tensor.values, BUCKETS),
        ));
    }
    if let Some(layer) = FirstLayer::of(model)? {
        let sheet = layer.sheet(ENLARGED);
        let image = Image {
            height: sheet.height as i32,
            width: sheet.width as i32,
            colorspace: Image::RGB,
            encoded_image_string: sheet.png()?,
        };
        values.push(Value::image("first layer's weights", image));
    }
    Ok(values)
}

impl Callback for TensorBoard {
    fn on_train_begin(&mut self, _: &mut Training, plan: &Plan) -> Result<(), CallbackError> {
        self.train = self.begin("train");
        if plan.validation_samples > 0 {
            self.validation = self.begin("validation");
        }
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        training: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        let mut values = scalars(&[
            ("epoch_loss", Some(record.loss)),
            ("epoch_accuracy", record.accuracy),
            ("epoch_learning_rate", Some(record.learning_rate)),
            ("samples_per_second", Some(record.samples_per_second)),
        ]);
        values.extend(parameters(training.model()?)?);
        let event = |values| Event {
            step: record.epoch as i64,
            summary: Some(Summary { value: values }),
            ..Event::now()
        };
        self.write(self.train.clone(), event(values));
        let mut values =
            scalars(&[("epoch_loss", record.val_loss), ("epoch_accuracy", record.val_accuracy)]);
        let metrics = record.metrics.iter();
        values.extend(metrics.filter(|(_, value)| value.is_finite()).map(|(name, value)| {
            let tag = format!("epoch_{}", name.trim_start_matches("val_"));
            Value::scalar(&tag, *value as f32)
        }));
        self.write(self.validation.clone(), event(values));
        Ok(Flow::Continue)
    }

    fn on_rollback(&mut self, rollback: &Rollback) -> Result<(), CallbackError> {
        // TensorBoard discards events after the step of a session start.
        let event = || Event {
            step: rollback.epoch as i64,
            session_log: Some(event_file::SessionLog { status: event_file::SessionLog::START }),
            ..Event::now()
        };
        for path in [self.train.clone(), self.validation.clone()] {
            self.write(path, event());
        }
        Ok(())
    }
}
