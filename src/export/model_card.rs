//! The model card: the network's layers, input, output and origin. Every exported file contains it as a JSON
//! text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Options;
use crate::data::batches::SCALE;
use crate::data::{FeatureKind, Preparation};
use crate::evaluate::Figures;
use crate::layers::Activation;
use crate::model::{OutputActivation, Spec, Summary};

pub use crate::model::CARD;

/// A model card. The same card gives the same bytes; unknown fields, which a newer seqfit may write, are
/// ignored when it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The version of the card format: 1.
    pub format: u32,
    /// The version of the seqfit that wrote the file.
    pub seqfit: String,
    /// The network, without the layers that [`Options::preprocessing`] adds.
    pub network: Spec,
    /// The names of the classes, labels or numbers that the outputs are for, in their order.
    pub classes: Vec<String>,
    /// The divisor for raw pixels (0 to 255) before they enter the model; 1 if the model scales them itself.
    pub scale: f64,
    /// The output, [batch, outputs]: "probabilities", "logits", from which these are computed by the network's output
    /// activation, or "values", the numbers themselves.
    pub output: String,
    /// The input. Older cards lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// The type of the weights in the file: "float32" or "float16".
    #[serde(default = "float32")]
    pub weights: String,
    /// The multiply-adds of a forward pass for one sample. Older cards lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiply_adds: Option<usize>,
    /// How the network was trained, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
}

/// The input of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The shape of one sample, without the batch dimension.
    pub shape: Vec<usize>,
    /// The type of its values: "float32" or "uint8".
    pub dtype: String,
    /// The smallest and the largest value of a pixel: 0 and 1, or 0 and 255. None for features that are numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// How pictures become samples, if known: "raw", "digit" or "resize".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<String>,
}

/// How a network was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The start time in UTC, in the format of RFC 3339.
    pub created: String,
    /// The seed of the initial weights, the order of the samples and all other random numbers.
    pub seed: u64,
    /// A [`FitConfig`](crate::FitConfig), kept as a JSON value: unknown settings must not make the card
    /// unreadable.
    pub settings: Value,
    /// The callbacks that influenced the training, if any, as in a run's config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callbacks: Option<Value>,
    /// The training data.
    pub data: Data,
    /// The number of trained epochs, if training is complete and these are its final weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// The epoch whose weights these are, if it is not the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_epoch: Option<usize>,
    /// The metrics of these weights on the test set, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Figures>,
    /// The device, such as "cpu" or "cuda:0".
    pub device: String,
    /// The versions of "seqfit", "libtorch" and "system".
    pub versions: BTreeMap<String, String>,
}

/// The training data of a network. Paths are left out, because the file may be shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// The data set's name.
    pub name: String,
    /// Number of training samples, including those for validation.
    pub train_samples: usize,
    /// Number of test samples.
    pub test_samples: usize,
    /// The SHA-256 of the decompressed contents of each file, by file name.
    pub sha256: BTreeMap<String, String>,
}

fn float32() -> String {
    "float32".to_owned()
}

impl Card {
    /// Creates the card of a network without information about its training.
    pub fn new(network: &Spec, classes: &[impl AsRef<str>]) -> Self {
        let card = Self {
            format: 1,
            seqfit: env!("CARGO_PKG_VERSION").to_owned(),
            network: network.clone(),
            classes: classes.iter().map(|name| name.as_ref().to_owned()).collect(),
            scale: SCALE,
            output: String::new(),
            input: None,
            weights: float32(),
            multiply_adds: Summary::new(network).ok().map(|summary| summary.multiply_adds()),
            training: None,
        };
        card.with_options(Options::default())
    }

    /// Sets what the network's samples are.
    pub(crate) fn with_features(mut self, features: FeatureKind) -> Self {
        if let (FeatureKind::Floats, Some(input)) = (features, &mut self.input) {
            input.range = None;
            self.scale = 1.0;
        }
        self
    }

    /// Returns whether the network's samples are pixels, as those of older cards are.
    pub(super) fn takes_pixels(&self) -> bool {
        self.input.as_ref().is_none_or(|input| input.range.is_some())
    }

    /// Returns whether the file takes raw pixels, which it scales itself.
    pub(super) fn takes_bytes(&self) -> bool {
        self.input.as_ref().is_some_and(|input| input.dtype == "uint8")
    }

    /// Returns what a file calls the input, and a snippet its variable.
    pub(super) fn input_name(&self) -> &'static str {
        if self.takes_pixels() { "images" } else { "features" }
    }

    /// Sets how pictures become the network's samples.
    pub(crate) fn with_preparation(mut self, preparation: Preparation) -> Self {
        if let Some(input) = &mut self.input {
            input.preparation = Some(preparation.to_string());
        }
        self
    }

    /// Returns the card of a file that is exported with `options`.
    pub(super) fn with_options(mut self, options: Options) -> Self {
        let is_complete =
            options.preprocessing || self.network.missing_activation() == Activation::Linear;
        self.output = match (self.network.output, is_complete) {
            (OutputActivation::Linear, _) => "values",
            (_, true) => "probabilities",
            (_, false) => "logits",
        }
        .to_owned();
        self.weights = if options.half { "float16" } else { "float32" }.to_owned();
        let (dtype, scale, range) = match (options.preprocessing, self.takes_pixels()) {
            (_, false) => ("float32", 1.0, None),
            (true, true) => ("uint8", 1.0, Some([0.0, SCALE])),
            (false, true) => ("float32", SCALE, Some([0.0, 1.0])),
        };
        self.scale = scale;
        self.input = Some(Input {
            shape: self.network.input_shape.clone(),
            dtype: dtype.to_owned(),
            range,
            preparation: self.input.and_then(|input| input.preparation),
        });
        self
    }

    /// Returns the card as JSON.
    ///
    /// # Errors
    /// A card that cannot be serialized, which does not occur for cards made by this crate.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Parses the text of [`to_json`](Self::to_json), or of an older or newer seqfit.
    ///
    /// # Errors
    /// A text that is not a card.
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, python};
    use super::*;
    #[test]
    fn card_describes_input_and_output() -> Result<(), serde_json::Error> {
        let spec = Spec::classifier(&[2, 3], &[4], Activation::Relu, 0.0, 2);
        let card = Card::new(&spec, &["a", "b"]);
        let input = |shape: &str| format!(r#""input":{{"shape":[2,3],{shape}}}"#);
        let text = card.to_json()?;
        assert!(text.contains(&input(r#""dtype":"float32","range":[0.0,1.0]"#)), "{text}");
        assert!(text.contains(r#""scale":255.0,"output":"logits""#), "{text}");
        assert!(text.contains(r#""multiply_adds":32"#), "{text}");
        assert_eq!(Card::from_json(&text)?, card);
        let text = card.with_options(Options { preprocessing: true, half: true }).to_json()?;
        assert!(text.contains(&input(r#""dtype":"uint8","range":[0.0,255.0]"#)), "{text}");
        assert!(text.contains(r#""scale":1.0,"output":"probabilities""#), "{text}");
        assert!(text.contains(r#""weights":"float16""#), "{text}");
        let numbers = Spec { output: OutputActivation::Linear, ..spec.clone() };
        assert_eq!(Card::new(&numbers, &["a", "b"]).output, "values");
        let labels = Spec { output: OutputActivation::Sigmoid, ..spec };
        assert_eq!(Card::new(&labels, &["a", "b"]).output, "logits");
        Ok(())
    }

    #[test]
    fn card_of_numbers_names_no_pixels() -> Result<(), Box<dyn std::error::Error>> {
        let spec = Spec::classifier(&[3], &[], Activation::Relu, 0.0, 2);
        let card = Card::new(&spec, &["a", "b"]).with_features(FeatureKind::Floats);
        let text = card.to_json()?;
        assert!(text.contains(r#""input":{"shape":[3],"dtype":"float32"}"#), "{text}");
        assert!(text.contains(r#""scale":1.0"#), "{text}");
        assert_eq!(Card::from_json(&text)?, card);
        let half = Options { half: true, ..Options::default() };
        assert!(!card.clone().with_options(half).takes_pixels());
        for format in Format::ALL.iter().copied() {
            let text = python(format, &card, Options::default(), "m")?;
            assert!(text.starts_with("# features: NumPy, float32 [N, 3]\n"), "{text}");
            assert!(!text.contains("images"), "{text}");
        }
        // With preprocessing they stay as they are, and the file computes the predictions.
        let options = Options { preprocessing: true, ..Options::default() };
        let text = card.with_options(options).to_json()?;
        assert!(text.contains(r#""input":{"shape":[3],"dtype":"float32"}"#), "{text}");
        assert!(text.contains(r#""scale":1.0,"output":"probabilities""#), "{text}");
        Ok(())
    }

    #[test]
    fn older_and_newer_cards_are_read() -> Result<(), serde_json::Error> {
        let old = r#"{"format":1,"seqfit":"0.1.0","network":{"input_shape":[2],"layers":[{"type":
            "dense","units":2,"activation":"linear"}]},"classes":["a","b"],"scale":255.0,"output":
            "logits"}"#;
        let card = Card::from_json(old)?;
        assert_eq!((card.input, card.training, card.weights.as_str()), (None, None, "float32"));
        let new = old.replacen("{", r#"{"licence":"MIT","#, 1);
        assert_eq!(Card::from_json(&new)?.classes, ["a", "b"]);
        assert!(Card::from_json("{}").is_err());
        Ok(())
    }
}
