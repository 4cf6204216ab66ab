//! **seqfit** trains Keras-style [`Sequential`] networks on libtorch, from image files to a model
//! that Python loads.
//!
//! ```
//! use seqfit::{Activation, Device, FitConfig, Sequential, data, layers::{Dense, Flatten}};
//!
//! # fn main() -> Result<(), seqfit::Error> {
//! let (train, test) = data::load("digits")?; // or "mnist", "fashion-mnist", "kmnist"
//! let mut model = Sequential::new(train.sample_shape())
//!     .add(Flatten)
//!     .add(Dense::new(128).activation(Activation::Relu))
//!     .add(Dense::new(64).activation(Activation::Relu))
//!     .add(Dense::new(10))
//!     .build(Device::Cpu, 0)?;
//! println!("{}", model.summary());
//! let config = FitConfig { epochs: 10, ..Default::default() };
//! let history = model.fit(&train, &config, &mut [])?;
//! println!("{}", model.evaluate(&test)?); // loss 0.2514, accuracy 92.22 % of 360 samples
//! # assert_eq!(history.epochs.len(), 10);
//! # assert!(model.evaluate(&test)?.accuracy > Some(0.8));
//! # let folder = tempfile::tempdir().unwrap();
//! # std::env::set_current_dir(folder.path()).unwrap();
//! model.export("model.pt", train.classes())?;
//! # assert!(folder.path().join("model.pt").is_file());
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//! Data flows down this list once, and a module depends only on those above it:
//! - [`data`]: files and downloads → [`Dataset`](data::Dataset) → batches on the device;
//! - [`layers`], [`Sequential`]: the network, its [`Spec`] and parameters;
//! - [`losses`]: what training minimizes;
//! - [`tensors`]: named tensors on the host and in files;
//! - [`FitConfig`], [`recipe`], [`callback`], [`History`], [`Snapshot`]: training, and resuming it;
//! - [`metrics`]: what predictions are measured by, one file per metric;
//! - [`Evaluation`]: loss, accuracy, confusion matrix;
//! - [`export`]: files for other programs, each with a model card;
//! - [`import`]: weights from other programs; in both, ONNX and Keras are the features `onnx` and `keras`;
//! - [`run`]: the folder that holds a run;
//! - [`report`]: a page about a run, and comparisons of runs;
//! - `serve`, a feature that is enabled by default: predictions over HTTP;
//! - [`device`], [`libtorch`], and [`group`], several processes or threads that train together (by MPI with
//!   the feature `mpi`): what everything runs on, available to all modules.
//!
//! Losses are in nats, accuracies are fractions from 0 to 1, times are in seconds, and pixels are u8 until a
//! batch is loaded and floats in [0, 1] from there on.

mod atomic_files;
mod config_error;
mod error;
mod evaluate;
mod f32_range;
mod formats;
mod message_text;
mod model;
mod native;
mod precision;
mod rng;
mod target_scaling;
mod train;

pub mod data;
pub mod device;
pub mod export;
mod free_memory;
pub mod group;
pub mod import;
pub mod layers;
pub mod libtorch;
pub mod losses;
pub mod metrics;
#[cfg(feature = "report")]
pub mod report;
pub mod run;
#[cfg(feature = "serve")]
pub mod serve;
pub mod tensors;

/// Atomic file writes: a file is complete or not there.
pub mod files {
    pub use crate::atomic_files::{WriteError, check, write};
}
/// Text for messages: paths and words quoted for a shell, numbers in few digits, names similar to a misspelled one, and
/// messages of parsers in plain words.
pub mod text {
    pub use crate::message_text::{
        counted, did_you_mean, four_decimals, in_plain_words, number, quoted, quoted_word,
        significant, similar, with_line,
    };
}

pub use atomic_files::WriteError;
pub use device::Device;
pub use error::Error;
pub use evaluate::{ClassFigures, EvaluateError, Evaluation, Measures, OcclusionMap, Residuals};
pub use free_memory::{FreeMemory, MemoryOwner, TooLittleMemory};
pub use layers::Activation;
pub use losses::Loss;
pub use metrics::Metric;
pub use model::{
    Architecture, ArchitectureError, Builder, LayerList, LayerListError, Mode, ModelError,
    ModelFileError, NamedVariable, OutputActivation, Sequential, Spec, SpecError, Summary, Views,
    WeightsError,
};
pub use native::LibtorchError;
pub use precision::Precision;
pub use target_scaling::TargetScaling;
pub use train::{
    Adam, AdamW, CallbackState, ClassWeights, ConfigError, Engine, EpochRecord, FitConfig, FitData,
    History, LrCurve, LrFind, LrPoint, Monitor, MonitorError, OnNan, Optimizer, RmsProp, Schedule,
    Sgd, Snapshot, SnapshotError, State, Sums, TrainError, callback, recipe,
};

/// The bindings whose [`Tensor`](tch::Tensor) and [`Device`] this crate takes and returns. A program that
/// uses them by this path has the same version of them.
pub use tch;
