//! The model card: what a network is, what goes in and comes out, and where it comes from. It travels
//! as one JSON text in every file that is exported.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Options;
use crate::data::Preparation;
use crate::data::batches::SCALE;
use crate::evaluate::Figures;
use crate::model::Spec;

pub use crate::model::CARD;

/// A model card. The same card gives the same bytes; fields that are not known, as a newer seqfit
/// may write them, are passed over when it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The version of the card itself: 1.
    pub format: u32,
    /// The version of the seqfit that wrote the file.
    pub seqfit: String,
    /// The network, without what [`Options::preprocessing`] puts around it.
    pub network: Spec,
    /// The names of the classes, in the order of the outputs.
    pub classes: Vec<String>,
    /// Divide raw pixels (0 to 255) by this before they go in; 1 where the model does it itself.
    pub scale: f64,
    /// What comes out, [batch, classes]: "probabilities" or "logits".
    pub output: String,
    /// What goes in. Cards of before it was written down have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// The type of the weights in the file: "float32" or "float16".
    #[serde(default = "float32")]
    pub weights: String,
    /// How the network was trained, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
}

/// What goes into a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The shape of one sample, without the batch.
    pub shape: Vec<usize>,
    /// The type of its values: "float32" or "uint8".
    pub dtype: String,
    /// The least and the largest value of a pixel: 0 and 1, or 0 and 255.
    pub range: [f64; 2],
    /// How pictures become its samples, where that is known: "raw", "digit" or "resize".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<String>,
}

/// How a network was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// When it began: UTC, as RFC 3339 writes it.
    pub created: String,
    /// The seed of the weights, the order of the samples and all else that is drawn.
    pub seed: u64,
    /// A [`FitConfig`](crate::FitConfig), kept as a value: one with settings that are not known here
    /// must not make the card unreadable.
    pub settings: Value,
    /// The callbacks that steered it, if any, as in a run's config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callbacks: Option<Value>,
    /// What it learned from.
    pub data: Data,
    /// Epochs trained, if it has come to its end and these are the weights of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// The epoch whose weights these are, where it is not the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_epoch: Option<usize>,
    /// Figures of these weights on the test set, if they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Figures>,
    /// "cpu", "cuda:0".
    pub device: String,
    /// What it ran on: "seqfit", "libtorch" and "system", each with its version.
    pub versions: BTreeMap<String, String>,
}

/// What a network learned from. Where the files lay is nobody's business elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// The data set's name.
    pub name: String,
    /// Training samples, those for validation included.
    pub train_samples: usize,
    /// Test samples.
    pub test_samples: usize,
    /// The SHA-256 of each file's contents, decompressed, by the file's name.
    pub sha256: BTreeMap<String, String>,
}

fn float32() -> String {
    "float32".to_owned()
}

impl Card {
    /// The card of a network about whose training nothing is known.
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
            training: None,
        };
        card.with_options(Options::default())
    }

    /// Says how pictures become the network's samples.
    pub(crate) fn with_preparation(mut self, preparation: Preparation) -> Self {
        if let Some(input) = &mut self.input {
            input.preparation = Some(preparation.to_string());
        }
        self
    }

    /// The card of a file that is made with these options.
    pub(super) fn with_options(mut self, options: Options) -> Self {
        let probabilities = options.preprocessing || self.network.ends_in_softmax();
        self.output = if probabilities { "probabilities" } else { "logits" }.to_owned();
        self.weights = if options.half { "float16" } else { "float32" }.to_owned();
        self.scale = if options.preprocessing { 1.0 } else { SCALE };
        let (dtype, largest) = match options.preprocessing {
            true => ("uint8", SCALE),
            false => ("float32", 1.0),
        };
        self.input = Some(Input {
            shape: self.network.input_shape.clone(),
            dtype: dtype.to_owned(),
            range: [0.0, largest],
            preparation: self.input.and_then(|input| input.preparation),
        });
        self
    }

    /// The card as JSON.
    ///
    /// # Errors
    /// None that a card of ours would make.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Reads [`to_json`](Self::to_json)'s text, or what an older or newer seqfit wrote.
    ///
    /// # Errors
    /// A text that is no card.
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;

    #[test]
    fn a_card_says_what_goes_in_and_comes_out() -> Result<(), serde_json::Error> {
        let spec = Spec::classifier(&[2, 3], &[4], Activation::Relu, 0.0, 2);
        let card = Card::new(&spec, &["a", "b"]);
        let input = |shape: &str| format!(r#""input":{{"shape":[2,3],{shape}}}"#);
        let text = card.to_json()?;
        assert!(text.contains(&input(r#""dtype":"float32","range":[0.0,1.0]"#)), "{text}");
        assert!(text.contains(r#""scale":255.0,"output":"logits""#), "{text}");
        assert_eq!(Card::from_json(&text)?, card);
        let text = card.with_options(Options { preprocessing: true, half: true }).to_json()?;
        assert!(text.contains(&input(r#""dtype":"uint8","range":[0.0,255.0]"#)), "{text}");
        assert!(text.contains(r#""scale":1.0,"output":"probabilities""#), "{text}");
        assert!(text.contains(r#""weights":"float16""#), "{text}");
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
