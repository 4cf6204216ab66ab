//! The description of the served network.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::data::{FeatureKind, PictureShape, Preparation, TargetKind};
use crate::evaluate::Figures;
use crate::losses;
use crate::metrics::Predictions;
use crate::model::{OutputActivation, Sequential};

/// The probability above which a label counts as predicted.
pub const THRESHOLD: f32 = Predictions::THRESHOLD;

/// The description of the served network, for users and for `/health`.
#[derive(Clone, Debug)]
pub struct Card {
    /// A name for the network, such as its run folder.
    pub name: String,
    /// The network's input.
    pub features: FeatureKind,
    /// The names of the classes, labels or numbers that it predicts, in the order of its outputs.
    pub names: Vec<String>,
    /// How pictures become images, unless a request says otherwise.
    pub preparation: Preparation,
    /// The data set that it was trained on, and its metrics on the test set.
    pub tested: Option<(String, Figures)>,
}

/// The description of the network in `/health` and on the page.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    pub name: String,
    pub features: FeatureKind,
    /// The shape of one sample: \[height, width\] of gray pictures, \[3, height, width\] of those in color.
    pub input: Vec<usize>,
    #[serde(flatten)]
    pub names: Names,
    /// [`THRESHOLD`], if it predicts labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// How pictures become images, unless a request says otherwise; none if it takes no pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preparation: Option<Preparation>,
    pub parameters: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f64>,
    /// Further metrics on the test set, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub test_metrics: BTreeMap<String, f64>,
    /// What turns the network's outputs into predictions.
    #[serde(skip)]
    pub output: OutputActivation,
}

/// The names of what the network predicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    Classes(Vec<String>),
    Labels(Vec<String>),
    Numbers(Vec<String>),
}

/// What requests hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Pictures to be prepared, or the pixels of images.
    Pictures,
    /// Arrays of pixels.
    Pixels,
    /// Arrays of numbers.
    Numbers,
}

impl Model {
    /// Describes a network.
    ///
    /// # Errors
    /// Another number of names than it has outputs, as the number of its outputs.
    pub fn new(network: &Sequential, card: Card) -> Result<Self, usize> {
        let (spec, Card { name, features, names, preparation, tested }) = (network.spec(), card);
        if !spec.is_named_by(names.len()) {
            return Err(network.outputs());
        }
        let (dataset, figures) = tested.unzip();
        let targets = losses::target_kind(spec, names.len());
        let mut model = Self {
            name,
            features,
            input: spec.input_shape.clone(),
            names: match targets {
                TargetKind::Class => Names::Classes(names),
                TargetKind::Labels => Names::Labels(names),
                TargetKind::Numbers => Names::Numbers(names),
            },
            threshold: (targets == TargetKind::Labels).then_some(THRESHOLD),
            preparation: None,
            parameters: network.summary().parameters(),
            dataset,
            test_accuracy: figures.as_ref().and_then(|figures| figures.accuracy),
            test_metrics: figures.map(|figures| figures.metrics).unwrap_or_default(),
            output: spec.output,
        };
        model.preparation = (model.takes() == Input::Pictures).then_some(preparation);
        Ok(model)
    }

    /// Returns what requests hold.
    pub fn takes(&self) -> Input {
        Input::of(self.features, &self.input)
    }
}

impl Names {
    /// Returns the names, in the order of the network's outputs.
    pub fn all(&self) -> &[String] {
        let (Self::Classes(names) | Self::Labels(names) | Self::Numbers(names)) = self;
        names
    }

    /// Returns the key under which they are in JSON.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Classes(_) => "classes",
            Self::Labels(_) => "labels",
            Self::Numbers(_) => "numbers",
        }
    }
}

impl Input {
    /// Returns what requests hold for samples of this kind and shape.
    pub fn of(features: FeatureKind, shape: &[usize]) -> Self {
        match (features, shape) {
            (FeatureKind::Floats, _) => Self::Numbers,
            (FeatureKind::Pixels, shape) if PictureShape::of(shape).is_some() => Self::Pictures,
            (FeatureKind::Pixels, _) => Self::Pixels,
        }
    }

    /// Returns the word for samples.
    pub fn samples(self) -> &'static str {
        match self {
            Self::Pictures => "images",
            Self::Pixels | Self::Numbers => "samples",
        }
    }
}
