//! `seqfit serve`: serves a page and predictions over HTTP, until Ctrl-C.

use std::process::ExitCode;

use anyhow::Context;
use seqfit::serve::{Card, ServeConfig, Server};

use super::device_options::DeviceOptions;
use super::image_options::PrepareOptions;
use super::output::{self, print_status};
use super::run_options::RunOptions;
use super::signals::Signals;

/// Options of `seqfit serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    prepare: PrepareOptions,
    /// The port to listen on; 0 selects any free one
    #[arg(long, default_value = "8000")]
    port: u16,
    /// The address to listen on: by default only this machine can connect; 0.0.0.0 allows connections from anywhere
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    #[command(flatten)]
    device: DeviceOptions,
    /// Threads of libtorch on the CPU
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

/// Runs `seqfit serve`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let run = args.run.open()?;
    let model = args.run.load(&run, args.device.require()?)?;
    let data = &run.config().data;
    let (preparation, note) = args.prepare.of(&run)?;
    // The metrics of another checkpoint are not known.
    let figures = run.result().filter(|_| args.run.checkpoint().is_none());
    let card = Card {
        name: run.path().display().to_string(),
        features: data.features,
        names: data.classes.clone(),
        preparation,
        tested: figures.map(|result| (data.name().to_owned(), result.test)),
    };
    let config = ServeConfig {
        host: args.host.clone(),
        port: args.port,
        threads: args.threads.into(),
        ..ServeConfig::default()
    };
    let signals = Signals::watch()?;
    let server = Server::bind(model, card, config)
        .with_context(|| format!("{} cannot be served", run.path().display()))?;
    let address = server.address();
    if !address.ip().is_loopback() {
        print_status(
            "note: anyone who can reach this machine can use it; there is no password and no encryption",
        );
    }
    note.iter().for_each(print_status);
    print_status(format_args!("serving {}; Ctrl-C ends it", run.path().display()));
    output::print(&format!("http://{address}/\n"))?;
    let watched = signals.clone();
    let cut = server.run(move || watched.first().is_some())?;
    if cut > 0 {
        let connections = if cut == 1 { "connection" } else { "connections" };
        print_status(format_args!(
            "warning: {cut} {connections} did not finish in time and were closed"
        ));
    }
    let Some((number, name)) = signals.first() else { return Ok(ExitCode::SUCCESS) };
    print_status(format_args!("ended by {name}"));
    output::next(format_args!("seqfit export {} --python", args.run.quoted()));
    Ok(ExitCode::from(128 + number as u8))
}
