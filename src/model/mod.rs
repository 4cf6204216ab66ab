//! The network: its description, its parameters, its forward pass.
//!
//! Nothing here depends on data sets, training or the files of runs.

mod architecture;
mod error;
mod layer_list;
mod model_file;
mod output_activation;
mod sequential;
mod spec;
mod summary;
mod weights;

pub use architecture::{Architecture, ArchitectureError};
pub use error::ModelError;
pub use layer_list::{LayerList, LayerListError};
pub use model_file::{CARD, ModelFileError};
pub use output_activation::OutputActivation;
pub use sequential::{Builder, Mode, Sequential, Views};
pub(crate) use spec::snake_case;
pub use spec::{NamedVariable, Spec, SpecError};
pub use summary::Summary;
#[cfg(feature = "report")]
pub(crate) use summary::grouped;
pub use weights::WeightsError;
pub(crate) use weights::check_like;
