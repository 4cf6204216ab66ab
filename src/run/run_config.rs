//! `config.toml`: everything needed to repeat a run.

use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::RunError;
use super::folder_layout::{self, CONFIG};
use super::weights_origin::Origin;
use crate::data;
use crate::device::{self, Device};
use crate::libtorch;
use crate::losses::{self, Loss};
use crate::message_text::with_line;
use crate::model::Spec;
use crate::train::callback::{EarlyStoppingConfig, ReduceLrConfig};
use crate::train::{ConfigError, Engine, FitConfig, Monitor};

/// The tables that the config of an imported network does not have.
const UNTRAINED: [&str; 3] = ["fit", "callbacks", "checkpoints"];

/// The config of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// When the run started: UTC, in RFC 3339 format.
    pub created: String,
    /// The command line.
    pub command: Vec<String>,
    /// "cpu", "cuda:0".
    pub device: String,
    /// The software and machine it ran on.
    pub versions: Versions,
    /// The data it was trained on.
    pub data: DataConfig,
    /// Where its initial weights came from, if the seed did not generate them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// How it was trained; not written for an imported network.
    #[serde(default)]
    pub fit: FitConfig,
    /// The callbacks that monitored and controlled it.
    #[serde(default)]
    pub callbacks: CallbackConfig,
    /// Which checkpoints were kept during training.
    #[serde(default)]
    pub checkpoints: CheckpointConfig,
    /// The network that was trained.
    pub network: Spec,
}

/// The callbacks of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallbackConfig {
    /// Stops training when the monitored metric no longer improves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStoppingConfig>,
    /// Lowers the learning rate when the monitored metric no longer improves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduce_lr: Option<ReduceLrConfig>,
}

/// Which checkpoints of a run are written and kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// The number of the newest ones that are kept; with 0, none is written, not even the best.
    pub keep: usize,
    /// The seconds between two checkpoints within an epoch; there is always one after every epoch.
    pub seconds: f64,
    /// The metric whose best epoch is kept in addition, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { keep: 3, seconds: 60.0, monitor: None }
    }
}

impl CheckpointConfig {
    /// Validates every setting.
    ///
    /// # Errors
    /// The first setting that breaks its rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        let holds = self.seconds > 0.0 && !self.seconds.is_nan();
        ConfigError::unless(holds, "checkpoint seconds", "above 0", self.seconds)
    }
}

/// The software and machine that a run used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// seqfit's version.
    pub seqfit: String,
    /// libtorch's version.
    pub libtorch: String,
    /// Operating system and architecture.
    pub system: String,
    /// The number of processors that the process could use.
    pub processors: usize,
}

/// The data that a run was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The kind of a sample's features.
    #[serde(default, skip_serializing_if = "data::FeatureKind::is_pixels")]
    pub features: data::FeatureKind,
    /// The kind of a sample's target.
    #[serde(default, skip_serializing_if = "data::TargetKind::is_class")]
    pub targets: data::TargetKind,
    /// The names of the classes, labels or numbers, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// The number of training images, including validation images.
    pub train_samples: usize,
    /// The number of test images.
    pub test_samples: usize,
    /// The memory limit for streaming it, in MiB; none for data that was in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<data::StreamMemory>,
    /// How pictures were turned into its images; none for runs from before this was recorded, and for a
    /// network imported from a file that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<data::Preparation>,
    /// Where it came from, with checksums; none for an imported network, where it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<data::Source>,
}

impl DataConfig {
    /// Describes this data for the config of a run that trains on it.
    pub fn of(data: &data::Loaded) -> Self {
        Self {
            features: data.train.feature_kind(),
            targets: data.train.target_kind(),
            classes: data.train.target_names().to_vec(),
            train_samples: data.train.len(),
            test_samples: data.test.len(),
            stream: data.train.stream_memory(),
            preparation: data.train.picture_shape().map(|_| data.train.preparation()),
            source: Some(data.source.clone()),
        }
    }

    /// Returns the data's name; "unknown data" for an imported network, whose file does not say.
    pub fn name(&self) -> &str {
        self.source.as_ref().map_or("unknown data", |source| &source.name)
    }

    /// Returns how pictures are turned into the network's images. If it was not recorded, it is the catalog's
    /// entry for data of this name, and unchanged pixels for any other data.
    pub fn preparation(&self) -> data::Preparation {
        self.known_preparation().unwrap_or_default()
    }

    /// Returns whether [`preparation`](Self::preparation) was recorded or is in the catalog.
    pub fn is_preparation_known(&self) -> bool {
        self.known_preparation().is_some()
    }

    fn known_preparation(&self) -> Option<data::Preparation> {
        let by_name = || data::Preparation::of_name(&self.source.as_ref()?.name);
        self.preparation.or_else(by_name)
    }

    /// Returns the data's files, with checksums; none for an imported network.
    pub fn files(&self) -> &[data::SourceFile] {
        self.source.as_ref().map_or(&[], |source| &source.files)
    }
}

impl RunConfig {
    /// Returns the current time in the format of the config.
    pub fn timestamp() -> String {
        // To the second: a finer resolution would be noise.
        let now = OffsetDateTime::now_utc().truncate_to_second();
        // RFC 3339 fails only for years after 9999.
        now.format(&Rfc3339).unwrap_or_default()
    }

    /// Creates a config for a run that starts now, in this process.
    pub fn now(device: Device, data: DataConfig, fit: FitConfig, network: Spec) -> Self {
        let network = fit.loss.with_output(network);
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

    /// Creates a config for a network whose weights come from `origin` and were not trained here.
    pub fn imported(
        origin: Origin,
        features: data::FeatureKind,
        classes: Vec<String>,
        network: Spec,
    ) -> Self {
        let (stream, preparation, source) = (None, None, None);
        let (train_samples, test_samples) = (0, 0);
        let targets = losses::target_kind(&network, classes.len());
        let data = DataConfig {
            features,
            targets,
            classes,
            train_samples,
            test_samples,
            stream,
            preparation,
            source,
        };
        let origin = Some(origin);
        let config = Self::now(Device::Cpu, data, FitConfig::default(), network.clone());
        Self { origin, network, ..config }
    }

    /// Returns the loss that the network was trained with; none for an imported one.
    pub fn loss(&self) -> Option<&Loss> {
        (!self.is_imported()).then_some(&self.fit.loss)
    }

    /// Returns whether the network was imported as it is, and not trained here.
    pub(super) fn is_imported(&self) -> bool {
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

    pub(super) fn read(folder: &Path) -> Result<Self, RunError> {
        let bytes = folder_layout::read(folder, CONFIG, 0, 1 << 20)?;
        Self::from_toml(&bytes)
            .map_err(|message| RunError::Config { path: folder.join(CONFIG), message })
    }

    /// Reads the bytes of a `config.toml` and checks everything that later commands rely on.
    ///
    /// # Errors
    /// The first rule that is broken, as text, with its line if it has one.
    pub fn from_toml(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            format!("it must be UTF-8, found an invalid byte at offset {}", error.valid_up_to())
        })?;
        let mut config: Self = toml::from_str(text).map_err(|error| with_line(&error, text))?;
        // Only an imported network has neither.
        let has_fit =
            toml::from_str(text).is_ok_and(|table: toml::Table| table.contains_key("fit"));
        match (&config.data.source, &config.origin) {
            (None, None) => return Err("missing field `source`".to_owned()),
            (Some(_), _) if !has_fit => return Err("missing field `fit`".to_owned()),
            _ => {}
        }
        // A run always records its engine, except for runs from before there was a choice.
        if config.fit.engine == Engine::Auto {
            config.fit.engine = Engine::Autograd;
        }
        // The shapes of a network with a layer of another crate are known only to the program that defines it: to
        // load the network is an error that names the layer.
        let is_defined = config.network.is_defined();
        if is_defined {
            config.network.check().map_err(|error| error.to_string())?;
        }
        config.fit.check().map_err(|error| error.to_string())?;
        config.checkpoints.check().map_err(|error| error.to_string())?;
        data::check_target_names(config.data.targets, &config.data.classes)
            .map_err(|error| error.to_string())?;
        let outputs = config.network.outputs();
        let classes = config.data.classes.len();
        if is_defined && !config.network.is_named_by(classes) {
            return Err(format!(
                "{outputs} network outputs need {outputs} class names, found {classes}"
            ));
        }
        Ok(config)
    }
}

impl Versions {
    /// Returns the versions of this process.
    fn here() -> Self {
        Self {
            seqfit: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: libtorch::version(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processors: device::all_threads(),
        }
    }
}
