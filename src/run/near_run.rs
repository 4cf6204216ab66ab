//! The run that a path without one was probably meant for.

use std::fmt;
use std::path::PathBuf;

use crate::message_text::quoted;

/// A run near a path that is not the folder of one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NearRun {
    /// The run that the path is a part of.
    Around(PathBuf),
    /// A run with a similar name.
    Similar(PathBuf),
    /// The newest run there, where no name is similar.
    Newest(PathBuf),
}

impl fmt::Display for NearRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Around(run) => write!(f, "it is part of the run folder {}", quoted(run)),
            Self::Similar(run) => write!(f, "did you mean {}?", quoted(run)),
            Self::Newest(run) => write!(f, "the newest one here is {}", quoted(run)),
        }
    }
}
