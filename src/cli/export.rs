//! `seqfit export`: a run's network as a file for other programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use seqfit::Device;

use super::options::RunOptions;
use super::output::tell;

/// Options of `seqfit export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunOptions,
    /// The file's format
    #[arg(long, value_enum, default_value = "torchscript")]
    format: Format,
    /// The file to write; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For torch.jit.load in Python and C++
    Torchscript,
}

/// Runs `seqfit export`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let run = args.run.open()?;
    run.check_output(&args.out)?;
    let model = args.run.load(&run, Device::Cpu)?;
    match args.format {
        Format::Torchscript => model.export(&args.out, &run.config().data.classes)?,
    }
    tell(format_args!("wrote {}", args.out.display()));
    Ok(ExitCode::SUCCESS)
}
