//! Files for other programs, one module a format. Each is written whole or not at all.

pub mod npy;
pub mod torchscript;

/// Why a network could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] crate::files::WriteError),
    /// The network's description breaks a rule.
    #[error(transparent)]
    Spec(#[from] crate::model::SpecError),
    /// The network has another number of classes than names were given.
    #[error("the network has {outputs} classes, found {names} class names: give one for each")]
    ClassNames {
        /// The network's classes.
        outputs: usize,
        /// The names given.
        names: usize,
    },
    /// A weight is NaN or infinite.
    #[error("parameter {0:?} holds NaN or infinity: a network that diverged is not exported")]
    NotFinite(String),
    /// The card beside the network could not be written.
    #[error("the model card cannot be written as JSON: {0}")]
    Card(#[from] serde_json::Error),
    /// libtorch refused.
    #[error(transparent)]
    Libtorch(#[from] crate::native::LibtorchError),
}
