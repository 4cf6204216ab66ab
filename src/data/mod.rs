//! Data sets: from names, folders, arrays and downloads to samples with their targets.
//!
//! ```
//! # use seqfit::data;
//! let (train, test) = data::load("digits")?; // or "mnist", "fashion-mnist", "kmnist"
//! let (train, validation) = train.split(0.1, 0)?;
//! assert_eq!((train.len(), validation.len(), test.len()), (1294, 143, 360));
//! # Ok::<(), data::DataError>(())
//! ```
//!
//! - [`load`], [`load_dir`], [`load_npz`], [`resolve`](fn@resolve): a [`Dataset`] by request, a [`Source`] that
//!   records where it came from, and [`Locations`] to search;
//! - [`catalog`]: the known data sets; [`fetch`], [`verify`](fn@verify) and [`download`] get and
//!   check their files;
//! - [`idx`]: the file format;
//! - [`images`]: single pictures, and [`Preparation`]: how they are converted to a network's images;
//! - [`pack`]: folders of pictures made into data sets;
//! - [`stream_dir`], [`stream`](fn@stream): data sets that stay in their files during training.
//!
//! Nothing here prints, and nothing here depends on libtorch, except for the training batches.

mod active_columns;
mod array_keys;
mod arrays;
mod augment;
mod augmentation_preview;
pub(crate) mod batches;
pub mod catalog;
mod check_arrays;
mod check_label_count;
mod cifar;
mod cifar_files;
mod cifar_problem;
mod class_mapping;
mod class_names;
mod class_problem;
mod dataset;
mod dataset_name;
mod dataset_problem;
#[cfg(feature = "images")]
mod digit_photo;
mod digits;
pub mod download;
mod emnist;
mod emnist_files;
mod emnist_problem;
mod error;
mod feature_scale;
mod features;
mod find_files;
mod folder_problem;
#[cfg(feature = "ndarray")]
mod from_ndarray;
pub mod idx;
mod idx_folder;
mod image_preparation;
pub mod images;
mod known_folders;
mod label_numbering;
mod load;
mod open_file;
pub mod pack;
mod picture_kind;
mod picture_options;
mod picture_shape;
mod pixel_scale;
mod prefetch;
#[cfg(feature = "download")]
mod resolve_dry_run;
mod sample_files;
mod save_idx;
pub(crate) mod sha256;
mod source;
mod sources;
mod storage_locations;
pub(crate) mod stream;
mod tar_entries;
mod targets;
mod training_advice;
mod verify_files;

pub use array_keys::ArrayKeys;
pub use arrays::{Arrays, ArraysProblem, load_npy};
pub use augment::Augment;
pub use augmentation_preview::preview;
pub use catalog::DatasetName;
pub use cifar_problem::CifarProblem;
pub use class_mapping::{ClassMapping, ClassNames, ClassProblem};
pub use class_names::{check_class_names, check_target_names, parse_class_names};
pub use dataset::Dataset;
pub use download::Progress;
pub use emnist_problem::EmnistProblem;
pub use error::{DataError, DatasetProblem, FolderProblem};
pub use feature_scale::{ColumnScale, UnscaledFeatures};
pub use features::{FeatureKind, Features, Sample};
pub use idx::IdxProblem;
pub use image_preparation::Preparation;
pub use load::{fetch, load, load_dir, resolve, resolve_test, resolve_to_shard};
pub use picture_kind::PictureKind;
pub use picture_options::PictureOptions;
pub use picture_shape::PictureShape;
#[cfg(feature = "download")]
pub use resolve_dry_run::{DryRun, Found, dry_run};
pub use save_idx::{check_free, save_dir, save_shards};
pub use sha256::Sha256Hex;
pub use source::{ArrayOptions, Loaded, LoadedTest, PathRequest, Request, Source, SourceFile};
pub use sources::{is_picture_folder, load_features, load_npz, looks_like_arrays};
pub use storage_locations::Locations;
pub use stream::{StreamMemory, StreamProblem, stream, stream_dir, stream_test};
pub use targets::{Target, TargetKind, Targets};
pub use verify_files::{FileReport, Verdict, verify};
