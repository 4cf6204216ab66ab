//! `config.toml`: everything needed to repeat a run.

use serde::{Deserialize, Serialize};

use super::error::RunError;
use super::origin::Origin;
use crate::data;
use crate::device::{self, Device};
use crate::libtorch;
use crate::model::Spec;
use crate::train::callback::{EarlyStoppingConfig, ReduceLrConfig};
use crate::train::{ConfigError, Engine, FitConfig, Metric};

/// What a network that was imported has none of.
const UNTRAINED: [&str; 3] = ["fit", "callbacks", "checkpoints"];

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
    /// Where its first weights came from, if they were not drawn by the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// How it learned; nothing of it is written down for a network that was imported.
    #[serde(default)]
    pub fit: FitConfig,
    /// What watched it and steered it.
    #[serde(default)]
    pub callbacks: CallbackConfig,
    /// What was kept of it while it learned.
    #[serde(default)]
    pub checkpoints: CheckpointConfig,
    /// What learned.
    pub network: Spec,
}

/// The callbacks of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallbackConfig {
    /// Ends the training when it gets no better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStoppingConfig>,
    /// Lowers the learning rate when it gets no better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduce_lr: Option<ReduceLrConfig>,
}

/// Which checkpoints of a run are written and kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// How many of the newest are kept, at least 1.
    pub keep: usize,
    /// Seconds between two within an epoch; there is one after every epoch anyway.
    pub seconds: f64,
    /// The figure whose best epoch is kept besides, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Metric>,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { keep: 3, seconds: 60.0, monitor: None }
    }
}

impl CheckpointConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first that breaks its rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless(self.keep >= 1, "checkpoints to keep", "at least 1", self.keep)?;
        let holds = self.seconds > 0.0 && !self.seconds.is_nan();
        ConfigError::unless(holds, "checkpoint seconds", "above 0", self.seconds)
    }
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
    /// How much memory it was read within, in MiB; none of data that was in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<data::StreamMemory>,
    /// How pictures became its images; none of runs from before it was written down, and of a network
    /// that was imported from a file that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<data::Preparation>,
    /// Where it came from, with checksums; none for a network that was imported, of which nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<data::Source>,
}

impl DataConfig {
    /// What a run that learns from this data says of it.
    pub fn of(data: &data::Loaded) -> Self {
        Self {
            classes: data.train.classes().to_vec(),
            train_samples: data.train.len(),
            test_samples: data.test.len(),
            stream: data.train.stream_memory(),
            preparation: Some(data.train.preparation()),
            source: Some(data.source.clone()),
        }
    }

    /// The data's name; of an imported network, which does not say, "unknown data".
    pub fn name(&self) -> &str {
        self.source.as_ref().map_or("unknown data", |source| &source.name)
    }

    /// Returns how pictures become the network's images. Where it was not written down it is what the
    /// catalog has for data of this name, and unchanged for any other.
    pub fn preparation(&self) -> data::Preparation {
        self.known_preparation().unwrap_or_default()
    }

    /// Whether [`preparation`](Self::preparation) was written down or is in the catalog.
    pub fn is_preparation_known(&self) -> bool {
        self.known_preparation().is_some()
    }

    fn known_preparation(&self) -> Option<data::Preparation> {
        let by_name = || data::Preparation::of_name(&self.source.as_ref()?.name);
        self.preparation.or_else(by_name)
    }

    /// The data's files, with checksums; none of an imported network.
    pub fn files(&self) -> &[data::SourceFile] {
        self.source.as_ref().map_or(&[], |source| &source.files)
    }
}

impl RunConfig {
    /// The time as a config has it.
    pub fn timestamp() -> String {
        // To the second: finer would be noise.
        jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Begins a config for a run that starts now, in this process.
    pub fn now(device: Device, data: DataConfig, fit: FitConfig, network: Spec) -> Self {
        let fit = fit.resolved(&network, device);
        let device = device::name(device);
        Self {
            created: Self::timestamp(),
            command: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
            device,
            versions: Versions::here(),
            data,
            origin: None,
            fit,
            callbacks: CallbackConfig::default(),
            checkpoints: CheckpointConfig::default(),
            network,
        }
    }

    /// Begins a config for a network whose weights are those of `origin`, and were not trained here.
    pub fn imported(origin: Origin, classes: Vec<String>, network: Spec) -> Self {
        let (stream, preparation, source) = (None, None, None);
        let (train_samples, test_samples) = (0, 0);
        let data = DataConfig { classes, train_samples, test_samples, stream, preparation, source };
        let origin = Some(origin);
        Self { origin, ..Self::now(Device::Cpu, data, FitConfig::default(), network) }
    }

    /// Whether the network was imported as it is, and not trained here.
    pub fn is_imported(&self) -> bool {
        self.data.source.is_none()
    }

    pub(super) fn to_toml(&self) -> Result<String, RunError> {
        let encode = |message: String| RunError::Encode { file: "config.toml", message };
        if self.is_imported() {
            let mut table = toml::Table::try_from(self).map_err(|e| encode(e.to_string()))?;
            UNTRAINED.iter().for_each(|section| drop(table.remove(*section)));
            return Ok(format!("# This network was imported, not trained here.\n{table}"));
        }
        let table = toml::to_string(self).map_err(|e| encode(e.to_string()))?;
        Ok(format!(
            "# Everything needed to repeat this run. Written by seqfit before training.\n{table}"
        ))
    }

    /// Reads the bytes of a `config.toml` and checks what later commands rely on.
    ///
    /// # Errors
    /// The first rule that is broken, in words, with its line where it has one.
    pub fn from_toml(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            format!("it must be UTF-8, found another byte at {}", error.valid_up_to())
        })?;
        let mut config: Self = toml::from_str(text).map_err(|error| describe(&error, text))?;
        // Only what was imported has neither.
        let has_fit =
            toml::from_str(text).is_ok_and(|table: toml::Table| table.contains_key("fit"));
        match (&config.data.source, &config.origin) {
            (None, None) => return Err("missing field `source`".to_owned()),
            (Some(_), _) if !has_fit => return Err("missing field `fit`".to_owned()),
            _ => {}
        }
        // A run always says what computed it, but for those of before there was a choice.
        if config.fit.engine == Engine::Auto {
            config.fit.engine = Engine::Autograd;
        }
        config.network.check().map_err(|error| error.to_string())?;
        config.fit.check().map_err(|error| error.to_string())?;
        config.checkpoints.check().map_err(|error| error.to_string())?;
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
