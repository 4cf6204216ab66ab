//! One error type for the whole crate, for callers that do not distinguish errors.

/// Any error of this crate; each module has its own type, which this one wraps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Data sets: files, downloads, images.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// Networks.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    /// Files of weights.
    #[error(transparent)]
    Weights(#[from] crate::model::WeightsError),
    /// Files of networks.
    #[error(transparent)]
    ModelFile(#[from] crate::model::ModelFileError),
    /// Weights imported from other programs.
    #[error(transparent)]
    Import(#[from] crate::import::ImportError),
    /// Devices.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    /// The loaded libtorch is not the expected version.
    #[error(transparent)]
    Version(#[from] crate::libtorch::VersionError),
    /// Training.
    #[error(transparent)]
    Train(#[from] crate::train::TrainError),
    /// Evaluation.
    #[error(transparent)]
    Evaluate(#[from] crate::evaluate::EvaluateError),
    /// Run folders.
    #[error(transparent)]
    Run(#[from] crate::run::RunError),
    /// Exports.
    #[error(transparent)]
    Export(#[from] crate::export::ExportError),
    /// libtorch itself.
    #[error(transparent)]
    Libtorch(#[from] crate::native::LibtorchError),
}
