//! What a build without the cargo feature `download` has in place of mirrors: an error.

use std::path::Path;

use super::super::catalog::RemoteFile;
use super::problem::MirrorProblem;
use super::progress::Progress;
use super::stop::Stop;

/// Returns [`MirrorProblem::Disabled`].
pub(super) fn fetch(
    _: &RemoteFile<'_>,
    _: &str,
    _: &Path,
    _: &mut dyn FnMut(Progress),
) -> Result<(), Stop> {
    Err(MirrorProblem::Disabled.into())
}
