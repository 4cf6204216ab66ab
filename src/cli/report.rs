//! `seqfit report`: writes a page about a run, with its plots.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use seqfit::data::{self, Loaded, LoadedTest};
use seqfit::report::{Report, Written};
use seqfit::run::{Run, RunError};
use seqfit::{Device, Loss, Sequential};

use super::data_options::{DataOptions, StreamOptions};
use super::device_options::DeviceOptions;
use super::load_data;
use super::output::{self, print_status};
use super::run_options::RunOptions;

/// Options of `seqfit report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    stream: StreamOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Also write the SVG plots as PNG; existing ones are always written again
    #[arg(long)]
    png: bool,
    /// Print one JSON object: the files, and what is missing
    #[arg(long)]
    json: bool,
}

/// Runs `seqfit report`. Parts that are not available are left out of the page, and reported.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let run = args.run.open()?;
    let device = args.device.require()?;
    let mut missing = Vec::new();
    let model = model(&args, &run, device, &mut missing)?;
    let data = match &model {
        Some(_) => test_set(&args, &run, &mut missing)?,
        None => None,
    };
    let mut report = Report::new(&run)?;
    if let Some(model) = &model {
        report.add_network(model)?;
    }
    if let (Some(model), Some(data)) = (&model, &data) {
        report.add_test(model, &data.test, &data.source)?;
    }
    if let Some(which) = args.run.which() {
        report.weights_are(which);
    }
    if args.png {
        report.write_png();
    }
    missing.iter().for_each(|what| report.lacks(what));
    let Written { page, plots } = report.write()?;
    if args.json {
        let written = serde_json::json!({ "page": page, "plots": plots, "missing": missing });
        output::print(&format!("{written}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    missing.iter().for_each(|what| print_status(format_args!("note: {what}")));
    output::print(&format!("report: {}\n", page.display()))?;
    if model.is_some() {
        let newest = args.run.which().is_none() && run.weights_path().is_err();
        let checkpoint = if newest { " --checkpoint last" } else { "" };
        next(&format!("{}{checkpoint}", args.run.quoted()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the next command after a report: `serve` if this seqfit has it, else `export`.
pub(super) fn next(path: &str) {
    match cfg!(feature = "serve") {
        true => output::next(format_args!("seqfit serve {path}")),
        false => output::next(format_args!("seqfit export {path} --python")),
    }
}

/// Loads the run's network; for a run in progress, that of its newest checkpoint, if there is one.
fn model(
    args: &Args,
    run: &Run,
    device: Device,
    missing: &mut Vec<String>,
) -> anyhow::Result<Option<Sequential>> {
    let path = output::quoted(run.path());
    match args.run.load(run, device) {
        Err(RunError::Unfinished(_) | RunError::OnlyCheckpoints(_) | RunError::Missing { .. }) => {}
        loaded => return Ok(Some(loaded?)),
    }
    match args.run.load_newest(run, device)? {
        Some(model) => {
            missing.push(format!(
                "The run is not finished: these are its epochs so far, and the predictions of its newest \
                 checkpoint. seqfit train --resume {path} continues it."
            ));
            Ok(Some(model))
        }
        None => {
            missing.push(format!(
                "The run has no network yet: there is nothing to evaluate. seqfit report {path} again, \
                 when an epoch has ended, shows more."
            ));
            Ok(None)
        }
    }
}

/// Loads the test set: the requested one, or the run's own, which must be unchanged since training.
fn test_set(
    args: &Args,
    run: &Run,
    missing: &mut Vec<String>,
) -> anyhow::Result<Option<LoadedTest>> {
    if let Some(Err(error)) = run.config().loss().map(Loss::check_defined) {
        missing.push(format!("There are no predictions on the test set: {error}."));
        return Ok(None);
    }
    let asked = args.data.request();
    let own = asked == data::Request::Auto;
    match load_data::of_run(run, asked, args.stream.stream, args.json) {
        Ok(loaded) => Ok(Some(loaded)),
        // Data that was requested must exist.
        Err(error) if !own => Err(error),
        Err(error) => {
            missing.push(format!(
                "The test set cannot be read, so there are no predictions: {}.",
                output::chain(&error)
            ));
            Ok(None)
        }
    }
}

/// Writes the report of a run that has just been trained, from the data in memory.
pub(super) fn of_trained(run: &Run, model: &Sequential, data: &Loaded) -> anyhow::Result<Written> {
    let written = || -> Result<Written, seqfit::report::ReportError> {
        let mut report = Report::new(run)?;
        report.add_network(model)?;
        report.add_test(model, &data.test, &data.source)?;
        report.write()
    };
    written().with_context(|| format!("the report on {}", run.path().display()))
}

/// Returns whether a run has a report.
pub(super) fn is_there(run: &Path) -> bool {
    run.join(seqfit::run::REPORT).is_file()
}
