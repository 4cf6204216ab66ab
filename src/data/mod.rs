//! Data sets: from names, folders and downloads to labelled u8 images.
//!
//! ```
//! # use seqfit::data;
//! let (train, test) = data::load("digits")?; // or "mnist", "fashion-mnist", "kmnist"
//! let (train, validation) = train.split(0.1, 0)?;
//! assert_eq!((train.len(), validation.len(), test.len()), (1294, 143, 360));
//! # Ok::<(), data::DataError>(())
//! ```
//!
//! - [`load`], [`load_dir`], [`resolve`](fn@resolve): a [`Dataset`] from what was asked for, a [`Source`] that
//!   says where it came from, and [`Locations`] that say where to look;
//! - [`catalog`]: the known data sets; [`fetch`], [`verify`](fn@verify) and [`download`] bring and
//!   check their files;
//! - [`idx`]: the file format;
//! - [`images`]: single pictures, and [`Preparation`]: how they become a network's images;
//! - [`pack`]: folders of pictures made into data sets;
//! - [`stream_dir`], [`stream`](fn@stream): data sets that stay in their files while they are trained on.
//!
//! Nothing here prints, and nothing here knows libtorch, but for the batches that training takes.

mod active_columns;
mod augment;
pub(crate) mod batches;
pub mod catalog;
mod class_mapping;
mod classes;
mod dataset;
pub(crate) mod digest;
mod digits;
pub mod download;
mod dry_run;
mod error;
mod find;
mod folder;
pub mod idx;
pub mod images;
mod locations;
mod numbering;
mod open;
pub mod pack;
mod prefetch;
mod preparation;
mod prepare;
mod preview;
pub(crate) mod rank_shard;
mod resolve;
mod save;
mod source;
pub(crate) mod stream;
mod verify;

pub use augment::Augment;
pub use catalog::DatasetName;
pub use class_mapping::{ClassMapping, ClassNames, ClassProblem};
pub use classes::{check_class_names, parse_class_names};
pub use dataset::Dataset;
pub use digest::Sha256Hex;
pub use download::Progress;
pub use dry_run::{DryRun, Found, dry_run};
pub use error::{DataError, DatasetProblem, FolderProblem};
pub use idx::IdxProblem;
pub use locations::Locations;
pub use preparation::Preparation;
pub use preview::preview;
pub use resolve::{fetch, load, load_dir, resolve, resolve_test};
pub use save::{check_free, save_dir, save_shards};
pub use source::{Loaded, LoadedTest, Request, Source, SourceFile};
pub use stream::{StreamMemory, StreamProblem, stream, stream_dir, stream_test};
pub use verify::{FileReport, Verdict, verify};
