//! Output for people and scripts: a failure to print never affects the work itself.

use std::fmt::Display;
use std::io::{self, Write};

use seqfit::data::Dataset;
pub use seqfit::text::quoted;

use super::progress_bar;

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("standard output cannot be written: {0}: free some space, or send it elsewhere")]
pub struct StdoutError(pub io::Error);

impl StdoutError {
    /// Returns whether the reader has closed the pipe, as in `seqfit data list | head -1`.
    pub fn is_closed_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// A mistake on the command line that clap cannot detect; exit code 2, like clap's own errors.
///
/// It is what the command line says: an option that is wrong, or that does not fit another option, the data or the
/// network. A fault in a file that an option names is none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl Usage {
    /// Takes the library's error for an option that does not fit the data or the network.
    pub fn of(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// Returns the word for the samples of a data set.
pub fn samples_word(data: &Dataset) -> &'static str {
    if data.picture_shape().is_some() { "images" } else { "samples" }
}

/// Joins the causes, outermost first, without those whose text the previous ones already contain.
pub fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        outer if outer.contains(&cause) => text,
        outer => format!("{outer}: {cause}"),
    })
}

/// Prints a line on stderr. If stderr is closed, the line is lost and the work continues.
pub fn print_status(line: impl Display) {
    let _ = progress_bar::aside(|| writeln!(io::stderr(), "{line}"));
}

/// Prints on stderr the next command on the way from pictures to a network in use; it can be run as printed.
pub fn next(command: impl Display) {
    print_status(format_args!("next: {command}"));
}

/// Prints lines on stdout, which include their line ends.
pub fn print(lines: &str) -> Result<(), StdoutError> {
    let write = || {
        let mut out = io::stdout().lock();
        out.write_all(lines.as_bytes()).and_then(|()| out.flush())
    };
    progress_bar::aside(write).map_err(StdoutError)
}
