//! The `seqfit` program: parse, dispatch, print the error chain, exit.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    seqfit::libtorch::skip_destructors();
    let arguments = cli::Arguments::parse();
    cli::panic_report::guarded(|| match cli::run(arguments) {
        Ok(code) => code,
        Err(error) => cli::report(&error),
    })
}
