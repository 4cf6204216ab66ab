//! Errors of an evaluation.

use crate::data::{DataError, TargetKind};
use crate::group::GroupError;
use crate::losses::LossError;
use crate::message_text::counted;
use crate::metrics::MetricError;
use crate::model::ModelError;
use crate::native::LibtorchError;

/// Why a dataset cannot be run through a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The samples have another shape.
    #[error(
        "the network takes samples of shape {network:?}, and the dataset has samples of {samples:?}: \
         use the dataset that it was made for, or a network of this input shape"
    )]
    Shape {
        /// The network's input.
        network: Vec<usize>,
        /// The shape of the dataset's samples.
        samples: Vec<usize>,
    },
    /// The network has another number of outputs than the dataset has labels or numbers.
    #[error(
        "the network has {}, and each sample of the dataset has {} ({kind}): its last Dense layer needs {} for this \
         dataset",
        counted(*.outputs, "output"), counted(*.targets, "target"), counted(*.targets, "unit")
    )]
    Targets {
        /// The network's outputs.
        outputs: usize,
        /// The dataset's labels or numbers.
        targets: usize,
        /// The kind of the targets.
        kind: TargetKind,
    },
    /// The network predicts numbers, and the dataset has other targets.
    #[error("the network scales its targets, which are numbers, and the dataset's targets are {0}")]
    Scaling(TargetKind),
    /// The numbers of classes differ.
    #[error(
        "the network has {}, and the dataset has {classes} classes: its last Dense layer needs {classes} units for \
         this dataset",
        counted(*.outputs, "output")
    )]
    Classes {
        /// The network's outputs.
        outputs: usize,
        /// The dataset's classes.
        classes: usize,
    },
    /// The network does not take images.
    #[error(
        "images need a network that takes [height, width] or [3, height, width], found {0:?}: train one that \
         begins with Flatten"
    )]
    NoImages(Vec<usize>),
    /// The pixels do not form whole images.
    #[error(
        "images of {shape:?} need a multiple of {} pixels, found {found}: give whole images",
        .shape[0] * .shape[1]
    )]
    Pixels {
        /// The number of pixels given.
        found: usize,
        /// The images' shape.
        shape: [usize; 2],
    },
    /// A class that the network does not have.
    #[error(
        "the network has {classes} classes, numbered from 0, found class {found}: choose one of them"
    )]
    NoClass {
        /// The class.
        found: usize,
        /// The network's classes.
        classes: usize,
    },
    /// The loss does not take the targets, or not from this network.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// A metric is not for the targets.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The dataset is empty.
    #[error("the dataset holds no samples")]
    Empty,
    /// Samples of a streamed data set cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The forward pass failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A libtorch call failed.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
    /// The ranks cannot continue together.
    #[error(transparent)]
    Group(#[from] GroupError),
}
