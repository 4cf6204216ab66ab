//! The modules that a network consists of, as every format writes them.

use super::error::ExportError;
use super::format::Format;
use crate::layers::Module;
use crate::model::{Spec, SpecError};

/// Returns the modules of a network, for a format.
///
/// # Errors
/// A layer that does not say how it is written, or an invalid description.
pub(super) fn modules(spec: &Spec, format: Format) -> Result<Vec<Module>, ExportError> {
    spec.modules().map_err(|error| match error {
        SpecError::Undescribed { layer, name } => ExportError::Layer { format, layer, name },
        error => error.into(),
    })
}
