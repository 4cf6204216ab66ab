//! What a build without the cargo feature `download` has in place of mirrors: an error.

use std::path::Path;

use super::super::catalog::RemoteFile;
use super::Progress;
use super::problem::{MirrorProblem, Stop};

/// Returns [`MirrorProblem::Disabled`].
pub(super) fn fetch(
    _: &RemoteFile<'_>,
    _: &str,
    _: &Path,
    _: &mut dyn FnMut(Progress),
) -> Result<(), Stop> {
    Err(MirrorProblem::Disabled.into())
}
