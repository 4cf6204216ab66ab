//! Everything that can go wrong, in one type for those who need no difference.

/// Any error of this crate; each part has its own, which this one holds.
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
    /// Weights from elsewhere.
    #[error(transparent)]
    Import(#[from] crate::import::ImportError),
    /// Devices.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    /// Another libtorch than expected.
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
