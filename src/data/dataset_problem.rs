//! Samples and targets that do not form a data set.

use super::picture_shape::PictureShape;
use super::targets::TargetKind;
use crate::message_text::number;

/// Pixels and labels that do not form a data set, or an invalid part of one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetProblem {
    /// No samples, or samples without pixels.
    #[error(
        "a data set needs at least one image of at least one pixel, found {samples} of {shape}"
    )]
    Empty {
        /// Number of labels.
        samples: usize,
        /// The shape of an image.
        shape: PictureShape,
    },
    /// Other than one weight for each sample.
    #[error(
        "{samples} samples need {samples} weights, found {found}{}",
        if *.streamed { " for data that is streamed: load it into memory" } else { "" }
    )]
    Weights {
        /// Number of samples.
        samples: usize,
        /// Number of weights.
        found: usize,
        /// Whether the samples are in files, which have no weights.
        streamed: bool,
    },
    /// A weight of a sample that is no weight.
    #[error("weights must be finite and at least 0, found {} at sample {sample}", number(*.found))]
    Weight {
        /// The sample.
        sample: usize,
        /// Its weight.
        found: f32,
    },
    /// Samples without any weight.
    #[error(
        "a weight of the training samples must be above 0, found {samples} weights of 0: a network learns nothing from \
         them"
    )]
    NoWeight {
        /// Number of samples.
        samples: usize,
    },
    /// Pixels that are not one image for each label.
    #[error(
        "{samples} labels need {samples} images of {shape}, {} values each, found {pixels} pixels: \
         give one image for each label",
        .shape.values()
    )]
    Pixels {
        /// Number of labels.
        samples: usize,
        /// The shape of an image.
        shape: PictureShape,
        /// Number of pixels given.
        pixels: usize,
    },
    /// No samples, or samples without values.
    #[error(
        "at least one sample of at least one value is needed, found {samples} of shape {shape:?}"
    )]
    NoValues {
        /// Number of samples, or of targets that need as many.
        samples: usize,
        /// The shape of a sample.
        shape: Vec<usize>,
    },
    /// Features that are not one sample for each target.
    #[error(
        "{samples} targets need {samples} samples of shape {shape:?}, found {values} values: give one sample \
         for each target"
    )]
    Features {
        /// Number of targets.
        samples: usize,
        /// The shape of a sample.
        shape: Vec<usize>,
        /// Number of values given.
        values: usize,
    },
    /// Targets that do not fill whole rows.
    #[error(
        "targets that are {kind} need a name for each column and as many values for each sample, found {names} \
         names and {values} values: give whole rows"
    )]
    Targets {
        /// The kind.
        kind: TargetKind,
        /// The number of names.
        names: usize,
        /// The number of values.
        values: usize,
    },
    /// A number that is NaN or infinite.
    #[error(
        "{what} must be finite numbers, found {found} at sample {sample}, column {column}: correct it, or leave \
         the sample out",
        column = place_in_words(.place)
    )]
    NotFinite {
        /// "features" or "targets".
        what: &'static str,
        /// The sample's index, from 0.
        sample: usize,
        /// The index along each axis of the sample, from 0.
        place: Vec<usize>,
        /// The number.
        found: f32,
    },
    /// A label that is neither 0 nor 1.
    #[error("labels are 0 or 1, found {found} at sample {sample}, column {column}: correct it")]
    LabelValue {
        /// The sample's index, from 0.
        sample: usize,
        /// The label's index, from 0.
        column: usize,
        /// The value.
        found: u8,
    },
    /// Samples that are not gray pictures, where these are needed.
    #[error("{user} needs gray pictures of [height, width], found {found}")]
    NoPictures {
        /// What needs them.
        user: &'static str,
        /// The samples, in words.
        found: String,
    },
    /// Samples that are not pictures, where these are needed.
    #[error(
        "{user} needs pictures, gray ones of [height, width] or color of [3, height, width], found {found}"
    )]
    NotPictures {
        /// What needs them.
        user: &'static str,
        /// The samples, in words.
        found: String,
    },
    /// An augmentation that would leave nothing of a picture.
    #[error(
        "augment {setting} must be at most the shorter side of the pictures, {side} pixels, found {found}: choose less"
    )]
    Augmentation {
        /// "crop" or "cutout".
        setting: &'static str,
        /// Its value.
        found: f64,
        /// The shorter side of the pictures.
        side: usize,
    },
    /// MixUp or CutMix of pictures that are read in blocks.
    #[error(
        "augment {setting} needs all training pictures in memory, found {setting} {found} with streamed ones: leave it \
         out, or do without --stream"
    )]
    StreamedMixing {
        /// "mixup" or "cutmix".
        setting: &'static str,
        /// Its alpha.
        found: f64,
    },
    /// Targets that are not classes, where these are needed.
    #[error("{user} needs targets that are classes, found {found}")]
    NoClasses {
        /// What needs them.
        user: &'static str,
        /// The kind of the targets.
        found: TargetKind,
    },
    /// Too few or too many classes.
    #[error(
        "a data set has 2 to 256 classes, found {found}: {cure}",
        found = .0,
        cure = if *.0 < 2 { "name all classes, also those without samples" } else { "merge some" }
    )]
    Classes(usize),
    /// Names of classes that cannot be distinguished or printed.
    #[error(
        "classes have 2 to 256 different names, each of 1 to 100 characters and none of them a \
         control character, found {0}: correct the names"
    )]
    ClassNames(String),
    /// Names of labels or numbers that cannot be distinguished or printed.
    #[error(
        "labels and numbers have different names, each of 1 to 100 characters and none of them a control \
         character, found {0}: correct the names"
    )]
    TargetNames(String),
    /// A `dataset.toml` that contains anything but how pictures were prepared.
    #[error(
        "dataset.toml holds one line, preparation = \"raw\", \"digit\", \"resize\", \"crop\" or \"letterbox\", \
         found {0}: correct it, or delete the file if it belongs to something else"
    )]
    Description(String),
    /// A label without a class.
    #[error(
        "labels run from 0 to {last}, one for each of {classes} classes, found {label} at sample \
         {sample}: correct the labels, or name all classes",
        last = .classes - 1
    )]
    Label {
        /// The sample's index, from 0.
        sample: usize,
        /// Its label.
        label: u8,
        /// Number of classes.
        classes: usize,
    },
    /// A sample index that is out of range.
    #[error("samples are numbered from 0 to {}, found {index}", .samples.saturating_sub(1))]
    Index {
        /// The index.
        index: u32,
        /// The number of samples.
        samples: usize,
    },
    /// More samples than a selection can index.
    #[error("a data set holds at most 2^32 - 1 samples, found {0}")]
    TooMany(usize),
    /// More than fits into the machine's memory at once.
    #[error(
        "{bytes} bytes of images do not fit into memory: use smaller batches, or less for --stream"
    )]
    Memory {
        /// The number of bytes requested.
        bytes: usize,
    },
    /// A validation fraction that is out of range.
    #[error("the validation fraction must be at least 0 and below 1, found {0}")]
    ValidationFraction(f64),
    /// A split that would leave one side without samples.
    #[error(
        "a validation fraction of {share} leaves {train} samples to train on and {validation} to \
         validate on, of {samples}: both need at least one, so change the fraction or take more data"
    )]
    Split {
        /// The fraction.
        share: f64,
        /// Samples of the training part.
        train: usize,
        /// Samples of the validation part.
        validation: usize,
        /// Samples in total.
        samples: usize,
    },
}

impl DatasetProblem {
    /// Returns whether names of all classes are the cure.
    pub(super) fn lacks_names(&self) -> bool {
        matches!(self, Self::Label { .. } | Self::Classes(0 | 1))
    }
}

/// Returns a position in a sample: "3", or "[0, 5, 2]".
pub(super) fn place_in_words(place: &[usize]) -> String {
    match place {
        [column] => column.to_string(),
        axes => format!("{axes:?}"),
    }
}
