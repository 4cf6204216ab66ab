//! `config.toml`: everything needed to repeat a run.

use serde::{Deserialize, Serialize};

use super::error::RunError;
use crate::data;
use crate::device;
use crate::libtorch;
use crate::model::Spec;
use crate::train::FitConfig;

/// The whole config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// When the run began: UTC, as RFC 3339 writes it.
    pub created: String,
    /// The command line.
    pub command: Vec<String>,
    /// "cpu", "cuda:0".
    pub device: String,
    /// What it ran on.
    pub versions: Versions,
    /// What it learned from.
    pub data: DataConfig,
    /// How it learned.
    pub fit: FitConfig,
    /// What learned.
    pub network: Spec,
}

/// What a run ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// seqfit's version.
    pub seqfit: String,
    /// libtorch's version.
    pub libtorch: String,
    /// Operating system and architecture.
    pub system: String,
    /// Processors that the process could use.
    pub processors: usize,
}

/// What a run learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Names of the classes, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// Training images, validation images included.
    pub train_samples: usize,
    /// Test images.
    pub test_samples: usize,
    /// Where it came from, with checksums.
    pub source: data::Source,
}

impl RunConfig {
    /// Begins a config for a run that starts now, in this process.
    pub fn now(device: String, data: DataConfig, fit: FitConfig, network: Spec) -> Self {
        Self {
            // To the second: finer would be noise.
            created: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            command: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
            device,
            versions: Versions::here(),
            data,
            fit,
            network,
        }
    }

    pub(super) fn to_toml(&self) -> Result<String, RunError> {
        let table = toml::to_string(self)
            .map_err(|e| RunError::Encode { file: "config.toml", message: e.to_string() })?;
        Ok(format!(
            "# Everything needed to repeat this run. Written by seqfit before training.\n{table}"
        ))
    }

    /// Reads a config and checks what later commands rely on.
    pub(super) fn from_toml(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            format!("it must be UTF-8, found another byte at {}", error.valid_up_to())
        })?;
        let config: Self = toml::from_str(text).map_err(|error| describe(&error, text))?;
        config.network.check().map_err(|error| error.to_string())?;
        config.fit.check().map_err(|error| error.to_string())?;
        data::check_class_names(&config.data.classes).map_err(|error| error.to_string())?;
        let outputs = config.network.outputs();
        let classes = config.data.classes.len();
        if outputs != classes {
            return Err(format!(
                "{outputs} network outputs need as many class names, found {classes}"
            ));
        }
        Ok(config)
    }
}

/// The parser's message with the line that it is about.
fn describe(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace("usize", "a whole number of at least 0");
    match error.span().and_then(|span| text.get(..span.start)) {
        None => message,
        Some(before) => {
            let number = before.matches('\n').count();
            let line = text.lines().nth(number).unwrap_or("").trim();
            format!("line {} ({line}): {message}", number + 1)
        }
    }
}

impl Versions {
    /// Those of this process.
    fn here() -> Self {
        Self {
            seqfit: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: libtorch::version(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processors: device::all_threads(),
        }
    }
}
