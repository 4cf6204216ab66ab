//! The command line: one file per command. Only this module uses clap; it passes the library's plain configs to the
//! library.

mod bench;
mod braille_chart;
mod compare;
mod completions;
mod confusion_matrix;
mod data;
mod data_options;
mod device_options;
mod distributed;
mod doctor;
mod evaluate;
mod export;
mod image_as_text;
mod image_options;
mod import;
mod inspect;
mod load_data;
mod lr_find;
mod network_file;
mod network_options;
mod output;
mod output_files;
pub mod panic_report;
mod parse_values;
mod predict;
mod progress;
mod progress_bar;
mod recipe;
mod report;
mod run_options;
#[cfg(feature = "serve")]
mod serve;
mod signals;
mod summary;
mod train;
#[cfg(target_os = "linux")]
mod view_options;
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use seqfit::libtorch;

use output::{StdoutError, Usage, chain, print_status};

/// Train Keras-style Sequential networks on libtorch, from image files to a model that Python loads
#[derive(Debug, Parser)]
#[command(name = "seqfit", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a network, evaluate it on the test set and write a run folder
    Train(Box<train::Args>),
    /// Evaluate a run on a test set: loss, accuracy, per-class metrics
    Evaluate(evaluate::Args),
    /// Write a page about a run, with its plots: curves, confusion, mistakes, calibration
    Report(report::Args),
    /// Compare runs side by side: settings that differ, metrics, curves
    Compare(compare::Args),
    /// Predict for pictures, or for samples in NumPy files
    Predict(predict::Args),
    /// Serve a run's network over HTTP: a page for people, and predictions for programs
    #[cfg(feature = "serve")]
    Serve(serve::Args),
    /// Write a run's network as a file for other programs
    Export(export::Args),
    /// Make a run from weights of other programs: PyTorch, safetensors, NumPy, Keras, ONNX
    Import(import::Args),
    /// Print the contents of a weights file or a run: its card, tensors, norms, NaN
    Inspect(inspect::Args),
    /// List, fetch and verify data sets
    Data(data::Args),
    /// Print a network's table of layers, shapes and parameters
    Summary(summary::Args),
    /// List the recipes, or print all settings of one
    #[command(visible_alias = "recipes")]
    Recipe(recipe::Args),
    /// Try learning rates from tiny to huge, draw the loss, and suggest one
    LrFind(Box<lr_find::Args>),
    /// Measure how fast this machine trains, evaluates and exports
    Bench(Box<bench::Args>),
    /// Check libtorch, CUDA, threads, cache folder and disk, and say how to fix problems
    Doctor(doctor::Args),
    /// Print a script that completes seqfit's commands and options in a shell
    Completions(completions::Args),
    /// Print the manual page, or write one for each command
    Man(completions::ManArgs),
    /// Run the commands that standard input has, for the Python package
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Worker,
}

impl Command {
    /// Returns whether the command calls libtorch.
    fn needs_libtorch(&self) -> bool {
        !matches!(
            self,
            Self::Completions(_)
                | Self::Man(_)
                | Self::Inspect(_)
                | Self::Data(_)
                | Self::Recipe(_)
        )
    }
}

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.command.needs_libtorch() {
        libtorch::ensure_loaded()?;
        // Before libtorch's first use, where a wrong version would crash. The doctor reports it itself.
        if !matches!(arguments.command, Command::Doctor(_)) {
            libtorch::check_version()?;
        }
    }
    match arguments.command {
        Command::Train(args) => train::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Report(args) => report::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Predict(args) => predict::run(args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(&args),
        Command::Export(args) => export::run(args),
        Command::Import(args) => import::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Data(args) => data::run(args),
        Command::Summary(args) => summary::run(args),
        Command::Recipe(args) => recipe::run(args),
        Command::LrFind(args) => lr_find::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => doctor::run(args),
        Command::Completions(args) => completions::run(&args, Arguments::command()),
        Command::Man(args) => completions::man(&args, Arguments::command()),
        #[cfg(target_os = "linux")]
        Command::Worker => match worker::next_command()? {
            Some(received) => {
                let code = run(Arguments::parse_from(&received.arguments))?;
                if code == ExitCode::SUCCESS {
                    received.succeeded()?;
                }
                Ok(code)
            }
            None => Ok(ExitCode::SUCCESS),
        },
    }
}

/// Prints an error with its causes and returns the exit code: 2 for usage errors, 1 for all others.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<StdoutError>().is_some_and(StdoutError::is_closed_pipe) {
        return ExitCode::SUCCESS;
    }
    report_of(error, None);
    if error.is::<Usage>() {
        print_status("\nFor more information, try '--help'.");
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}

/// Prints an error with its causes, prefixed by `whose` it is where several processes could have it.
fn report_of(error: &anyhow::Error, whose: Option<&str>) {
    let whose = whose.map(|whose| format!("{whose}: ")).unwrap_or_default();
    print_status(format_args!("error: {whose}{}", chain(error)));
}
