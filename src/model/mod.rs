//! The network: its description, its parameters, its forward pass.
//!
//! Nothing here depends on data sets, training or the files of runs.

mod file;
pub mod init;
pub mod layer;
mod output_activation;
mod sequential;
mod spec;
mod summary;
mod weights;

pub use file::{CARD, ModelFileError};
pub use layer::{Activation, Dense, Dropout, Flatten, Layer};
pub use output_activation::OutputActivation;
pub use sequential::{Builder, Mode, ModelError, Sequential};
pub use spec::{Spec, SpecError, TorchModule};
pub use summary::Summary;
#[cfg(feature = "report")]
pub(crate) use summary::grouped;
pub use weights::WeightsError;
pub(crate) use weights::check_like;
