//! Problems of data sets that are read during training.

use crate::data::picture_shape::PictureShape;

/// Why a data set cannot be streamed, or no longer can: the rule, the value found, the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamProblem {
    /// One file of a pair, or one shard of a set, is missing.
    #[error(
        "shards are numbered from 00000 without a gap, each with images and labels, and {missing} is \
         missing: bring it back, or write the shards again with seqfit data shard"
    )]
    Missing {
        /// The file's name.
        missing: String,
    },
    /// Shards of two sets in one folder.
    #[error(
        "the shards of a folder must be of one set, found {part}-*-of-{first:05} beside \
         {part}-*-of-{second:05}: put each set into its own folder"
    )]
    Mixed {
        /// "train" or "test".
        part: &'static str,
        /// Number of shards of one set.
        first: usize,
        /// Number of shards of another.
        second: usize,
    },
    /// Data of another kind.
    #[error(
        "only folders of IDX files and shards are streamed, found {found}: write its pictures as shards with seqfit data \
         shard {data} --out SHARDS, and train with --data-dir SHARDS --stream; or leave out --stream"
    )]
    Other {
        /// The kind of the data, in words.
        found: &'static str,
        /// The option that selects it.
        data: String,
    },
    /// Images that differ in size from those of the first shard.
    #[error(
        "all images of a data set must have the same size, found {found} where the first are \
         {first} (height x width): make the shards of one source"
    )]
    Shape {
        /// The shape of the first images.
        first: PictureShape,
        /// The shape of these.
        found: PictureShape,
    },
    /// The file has changed since the data set was opened.
    #[error(
        "a file must not change while it is trained on, and this one {0}: restore it and continue with \
         seqfit train --resume, or train again from the start"
    )]
    Changed(&'static str),
    /// A known data set that is not on this machine.
    #[error(
        "a data set that is streamed must lie in files here, and {name} does not: get it with seqfit \
         data fetch {name}, then seqfit data shard --dataset {name} --out DIR, and train with --data-dir \
         DIR --stream"
    )]
    NotHere {
        /// Its name.
        name: super::super::DatasetName,
    },
    /// A data set that is part of the program.
    #[error(
        "{name} is built into this program and in memory already, so there is nothing to stream: leave \
         --stream out"
    )]
    BuiltIn {
        /// Its name.
        name: super::super::DatasetName,
    },
    /// An invalid number of shards.
    #[error(
        "{samples} samples can be cut into 1 to {samples} shards, found {found}: give another number"
    )]
    Shards {
        /// Number of samples of the smaller part.
        samples: usize,
        /// Number of shards requested.
        found: usize,
    },
}
