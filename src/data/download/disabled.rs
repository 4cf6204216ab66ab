//! The replacement of mirrors in a build without the cargo feature `download`: an error.

use std::path::Path;

use super::super::catalog::RemoteFile;
use super::problem::MirrorProblem;
use super::progress::Progress;
use super::stop_reason::Stop;

/// Returns [`MirrorProblem::Disabled`].
pub(super) fn fetch(
    _: &RemoteFile<'_>,
    _: &str,
    _: &Path,
    _: &mut dyn FnMut(Progress),
) -> Result<(), Stop> {
    Err(MirrorProblem::Disabled.into())
}
