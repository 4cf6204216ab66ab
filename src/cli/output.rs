//! Lines for people and scripts: what happens to them never decides what happens to the work.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use super::bar;

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("standard output cannot be written: {0}: free some space, or send it elsewhere")]
pub struct StdoutError(pub io::Error);

impl StdoutError {
    /// Whether the reader has had enough, as in `seqfit data list | head -1`.
    pub fn is_closed_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// A mistake on the command line that clap cannot see; exit code 2, as clap's own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A line on stderr. Where nobody can read it any more it is lost, and the work goes on.
pub fn print_status(line: impl Display) {
    let _ = bar::aside(|| writeln!(io::stderr(), "{line}"));
}

/// The command that comes next on the way from pictures to a network in use, on stderr; it runs as it stands.
pub fn next(command: impl Display) {
    print_status(format_args!("next: {command}"));
}

/// A path as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/-_.".contains(c);
    match !path.is_empty() && path.chars().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

/// Lines on stdout, complete with their end.
pub fn print(lines: &str) -> Result<(), StdoutError> {
    let write = || {
        let mut out = io::stdout().lock();
        out.write_all(lines.as_bytes()).and_then(|()| out.flush())
    };
    bar::aside(write).map_err(StdoutError)
}
