//! The model card of a run's network, built from the run's config and result.

use serde_json::Value;

use super::folder_layout::CONFIG;
use super::{Run, RunConfig, RunError, RunResult};
use crate::export::{Card, Data, Training};

impl Run {
    /// Returns the card of the trained network, including its metrics if there are any.
    ///
    /// # Errors
    /// A config that cannot be represented in JSON, which does not happen with ours.
    pub fn card(&self) -> Result<Card, RunError> {
        self.card_with(self.result().as_ref())
    }

    /// Like [`card`](Self::card), with a result that is not written yet.
    pub(super) fn card_with(&self, result: Option<&RunResult>) -> Result<Card, RunError> {
        card(&self.config, result)
    }

    /// Returns the card of a checkpoint's network, which was never tested.
    ///
    /// # Errors
    /// Like [`card`](Self::card).
    pub fn checkpoint_card(&self) -> Result<Card, RunError> {
        card(&self.config, None)
    }
}

/// Returns the card of a run with this config and, if the run is finished, this result.
fn card(config: &RunConfig, result: Option<&RunResult>) -> Result<Card, RunError> {
    let value = |json: serde_json::Result<Value>| {
        json.map_err(|e| RunError::Encode { file: CONFIG, message: e.to_string() })
    };
    let RunConfig { data, fit, versions, .. } = config;
    let mut card = Card::new(&config.network, &data.classes).with_features(data.features);
    if let (true, [_, _]) = (data.is_preparation_known(), &config.network.input_shape[..]) {
        card = card.with_preparation(data.preparation());
    }
    // An imported network was trained elsewhere.
    let Some(source) = &data.source else { return Ok(card) };
    let callbacks = value(serde_json::to_value(&config.callbacks))?;
    let training = Training {
        created: config.created.clone(),
        seed: fit.seed,
        settings: value(serde_json::to_value(fit))?,
        callbacks: Some(callbacks).filter(|all| all.as_object().is_some_and(|all| !all.is_empty())),
        data: Data {
            name: source.name.clone(),
            train_samples: data.train_samples,
            test_samples: data.test_samples,
            sha256: source
                .files
                .iter()
                .map(|file| (file.name.clone(), file.sha256.clone()))
                .collect(),
        },
        epochs: result.map(|result| result.epochs),
        restored_epoch: result.and_then(|result| result.restored_epoch),
        test: result.map(|result| result.test.clone()),
        device: config.device.clone(),
        versions: [
            ("seqfit", &versions.seqfit),
            ("libtorch", &versions.libtorch),
            ("system", &versions.system),
        ]
        .map(|(name, version)| (name.to_owned(), version.clone()))
        .into(),
    };
    Ok(Card { training: Some(training), ..card })
}
