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
//! - [`load`], [`load_dir`], [`resolve`](fn@resolve): a [`Dataset`] by request, a [`Source`] that
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
pub(crate) mod batches;
pub mod catalog;
mod check_arrays;
mod class_mapping;
mod class_problem;
mod classes;
mod dataset;
mod dataset_name;
pub(crate) mod digest;
mod digits;
pub mod download;
#[cfg(feature = "download")]
mod dry_run;
mod error;
mod features;
mod find_files;
mod folder;
#[cfg(feature = "ndarray")]
mod from_ndarray;
pub mod idx;
pub mod images;
mod label_count;
mod label_numbering;
mod load;
mod locations;
mod open_file;
pub mod pack;
mod pixel_scale;
mod prefetch;
mod preparation;
#[cfg(feature = "images")]
mod prepare;
mod preview;
mod save;
mod source;
pub(crate) mod stream;
mod targets;
mod verify;

pub use array_keys::ArrayKeys;
pub use arrays::{Arrays, ArraysProblem, load_npy, load_npz};
pub use augment::Augment;
pub use catalog::DatasetName;
pub use class_mapping::{ClassMapping, ClassNames, ClassProblem};
pub use classes::{check_class_names, check_target_names, parse_class_names};
pub use dataset::Dataset;
pub use digest::Sha256Hex;
pub use download::Progress;
#[cfg(feature = "download")]
pub use dry_run::{DryRun, Found, dry_run};
pub use error::{DataError, DatasetProblem, FolderProblem};
pub use features::{FeatureKind, Features, Sample};
pub use idx::IdxProblem;
pub use load::{fetch, load, load_dir, resolve, resolve_test};
pub use locations::Locations;
pub use preparation::Preparation;
pub use preview::preview;
pub use save::{check_free, save_dir, save_shards};
pub use source::{ArrayOptions, ArraysRequest, Loaded, LoadedTest, Request, Source, SourceFile};
pub use stream::{StreamMemory, StreamProblem, stream, stream_dir, stream_test};
pub use targets::{Target, TargetKind, Targets};
pub use verify::{FileReport, Verdict, verify};
