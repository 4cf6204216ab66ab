//! Errors of an export.

use super::format::Format;
use crate::atomic_files;

/// An error while exporting a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] atomic_files::WriteError),
    /// The network's description is invalid.
    #[error(transparent)]
    Spec(#[from] crate::model::SpecError),
    /// The format is not part of this build.
    #[error(
        "this program was built without seqfit's cargo feature {feature:?}, which writes {format} files: enable it",
        format = .0.name(),
        feature = .0.feature().unwrap_or_default()
    )]
    Disabled(Format),
    /// The number of class names differs from the network's number of classes.
    #[error("the network has {outputs} classes, found {names} class names: give one for each")]
    ClassNames {
        /// The network's number of classes.
        outputs: usize,
        /// The number of names.
        names: usize,
    },
    /// The card belongs to another network.
    #[error(
        "the card must describe the exported network, found that of another network: make it from its spec"
    )]
    OtherCard,
    /// A weight is NaN or infinite.
    #[error("parameter {0:?} holds NaN or infinity: a network that diverged is not exported")]
    NotFinite(String),
    /// A weight is too large for f16.
    #[error(
        "parameter {name:?} must stay within ±{max} as f16, found {found}: export it without half",
        max = half::f16::MAX
    )]
    HalfRange {
        /// The parameter.
        name: String,
        /// The first weight that is too large.
        found: f32,
    },
    /// A format that holds only weights.
    #[error(
        "{format} files hold only weights and no preprocessing: choose torchscript, pt2 or onnx, or leave \
         preprocessing out",
        format = .0.name()
    )]
    NoPreprocessing(Format),
    /// The file name lacks the extension that its reader needs.
    #[error("the names of {} files must end in {ending:?}, found {found:?}: rename it", .format.name())]
    FileName {
        /// The format.
        format: Format,
        /// The required ending.
        ending: &'static str,
        /// The file name.
        found: String,
    },
    /// A layer that cannot be exported.
    #[error(
        "layer {layer} ({name}) does not say how {} files write it: implement LayerKind::describe for it",
        .format.name()
    )]
    Layer {
        /// The format.
        format: Format,
        /// The layer's number, from 1.
        layer: usize,
        /// The layer's class.
        name: String,
    },
    /// The weights are too large for the format.
    #[error("{} files hold at most {max} bytes of weights, found {found}: choose another format", .format.name())]
    TooLarge {
        /// The format.
        format: Format,
        /// The largest size in bytes.
        max: usize,
        /// The size of the weights in bytes.
        found: usize,
    },
    /// The file could not be encoded.
    #[error("a {} file cannot be encoded: {message}", .format.name())]
    Encode {
        /// The format.
        format: Format,
        /// The message of the encoder.
        message: String,
    },
    /// The scaling of the targets cannot be made part of the last layer.
    #[error(
        "a network that scales its targets is exported with a linear Dense layer at its end, found something else \
         there: add one, or train without target scaling"
    )]
    TargetScaling,
    /// A network cannot be built.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    /// Weights do not match a network.
    #[error(transparent)]
    Weights(#[from] crate::model::WeightsError),
    /// The card could not be serialized.
    #[error("the model card cannot be written as JSON: {0}")]
    Card(#[from] serde_json::Error),
    /// An error of libtorch.
    #[error(transparent)]
    Libtorch(#[from] crate::native::LibtorchError),
}
