//! The `seqfit` program: parse, dispatch, print the error chain, exit.

mod cli;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static MEMORY: cli::reserve::WithReserve = cli::reserve::WithReserve::new();

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    cli::crash::guarded(|| match cli::run(arguments) {
        Ok(code) => code,
        Err(error) => cli::report(&error),
    })
}
