//! The lines that are printed of predictions, for people or as JSON.

use std::path::Path;

use seqfit::OutputActivation;
use seqfit::data::{FeatureKind, TargetKind};
use seqfit::metrics::Predictions;
use serde::{Serialize, Serializer};

/// The printed parts of a prediction.
#[derive(Debug)]
pub struct Lines<'a> {
    pub targets: TargetKind,
    /// What turns outputs into predictions.
    pub output: OutputActivation,
    /// The names of the classes, labels or numbers.
    pub names: &'a [String],
    pub features: FeatureKind,
    /// The number of classes or labels to print.
    pub top: usize,
    pub json: bool,
}

/// The file of a sample.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum File<'a> {
    Image(&'a str),
    File(&'a str),
}

#[derive(Serialize)]
struct Prediction<'a> {
    #[serde(flatten)]
    file: File<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(flatten)]
    predicted: Predicted<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Predicted<'a> {
    Class { class: &'a str, probability: f32, top: Vec<ClassProbability<'a>> },
    Labels { labels: Vec<&'a str>, probabilities: ByName<'a>, threshold: f32 },
    Numbers { values: ByName<'a> },
}

#[derive(Serialize)]
struct ClassProbability<'a> {
    class: &'a str,
    probability: f32,
}

/// An object of values by their names.
struct ByName<'a> {
    names: &'a [String],
    values: &'a [f32],
}

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.values))
    }
}

impl Lines<'_> {
    /// Names the file of a sample: of an image or of others.
    pub fn file<'a>(&self, name: &'a str) -> File<'a> {
        match self.features {
            FeatureKind::Pixels => File::Image(name),
            FeatureKind::Floats => File::File(name),
        }
    }

    /// Returns the line for a prediction; `index` is the sample's in its file, if it holds a list.
    pub fn line(
        &self,
        path: &Path,
        index: Option<usize>,
        prediction: &[f32],
    ) -> serde_json::Result<String> {
        let name = path.to_string_lossy();
        let place = index.map(|index| format!("[{index}]")).unwrap_or_default();
        let values = self.output.by_name(prediction.to_vec(), self.names.len());
        let mut order: Vec<usize> = (0..values.len()).collect();
        if self.targets != TargetKind::Numbers {
            order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        }
        if !self.json {
            return Ok(format!("{name}{place}: {}", self.text(&values, &order)));
        }
        let predicted = self.predicted(&values, &order);
        serde_json::to_string(&Prediction { file: self.file(&name), index, predicted })
    }

    /// Describes a prediction; `order` has the most probable first.
    fn text(&self, values: &[f32], order: &[usize]) -> String {
        let share = |&i: &usize| format!("{} ({:.1} %)", self.names[i], 100.0 * values[i]);
        let listed = |order: &[usize]| order.iter().map(share).collect::<Vec<_>>().join(", ");
        match self.targets {
            TargetKind::Class => listed(&order[..self.top.min(order.len())]),
            TargetKind::Labels => {
                let predicted =
                    order.iter().filter(|&&i| values[i] > Predictions::THRESHOLD).count();
                let (above, others) = order.split_at(predicted);
                let others = &others[..self.top.saturating_sub(predicted).min(others.len())];
                let mut text = if above.is_empty() { "no label".to_owned() } else { listed(above) };
                if !others.is_empty() {
                    text += &format!(
                        "; not above {} %: {}",
                        100.0 * Predictions::THRESHOLD,
                        listed(others)
                    );
                }
                text
            }
            TargetKind::Numbers => {
                let number = |&i: &usize| format!("{} {}", self.names[i], values[i]);
                order.iter().map(number).collect::<Vec<_>>().join(", ")
            }
        }
    }

    fn predicted<'a>(&'a self, values: &'a [f32], order: &[usize]) -> Predicted<'a> {
        let class = |&i: &usize| ClassProbability { class: &self.names[i], probability: values[i] };
        let by_name = ByName { names: self.names, values };
        match self.targets {
            TargetKind::Class => Predicted::Class {
                class: &self.names[order[0]],
                probability: values[order[0]],
                top: order.iter().take(self.top).map(class).collect(),
            },
            TargetKind::Labels => {
                let labels = self.names.iter().zip(values);
                let labels = labels.filter(|(_, value)| **value > Predictions::THRESHOLD);
                Predicted::Labels {
                    labels: labels.map(|(name, _)| name.as_str()).collect(),
                    probabilities: by_name,
                    threshold: Predictions::THRESHOLD,
                }
            }
            TargetKind::Numbers => Predicted::Numbers { values: by_name },
        }
    }
}
