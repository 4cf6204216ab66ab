//! Errors of reports.

use std::path::PathBuf;

use crate::evaluate::EvaluateError;
use crate::native::LibtorchError;
use crate::run::RunError;

/// An error while making a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A run folder that cannot be read or written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A test set that does not fit the network.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A network whose training diverged: its predictions are not finite.
    #[error(
        "the network's predictions must be finite numbers, found NaN or infinity: train it with a lower learning rate"
    )]
    NotFinite,
    /// A plot or picture cannot be drawn.
    #[error("{what} cannot be drawn: {why}")]
    Draw {
        /// Name of the plot or picture.
        what: String,
        /// The reason.
        why: String,
    },
    /// Too few runs to compare.
    #[error("a comparison needs at least 2 runs, found {0}")]
    TooFewRuns(usize),
    /// The same run twice.
    #[error("a comparison needs different runs, found {} twice: leave one out", .0.display())]
    SameRun(PathBuf),
    /// An error of libtorch.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}
