//! The reasons to stop using a mirror.

use super::super::error::DataError;
use super::problem::MirrorProblem;

/// The reason to stop using a mirror.
pub(super) enum Stop {
    /// The mirror's fault: the next one may do better.
    Mirror(MirrorProblem),
    /// This machine's fault.
    #[cfg_attr(not(feature = "download"), expect(dead_code, reason = "nothing is written"))]
    Here(DataError),
}

impl From<MirrorProblem> for Stop {
    fn from(problem: MirrorProblem) -> Self {
        Stop::Mirror(problem)
    }
}
