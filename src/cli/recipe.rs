//! `seqfit recipe`: the named sets of training settings.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use seqfit::recipe::Recipe;

use super::{output, train};

/// Options of `seqfit recipe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the recipes that are built in
    List,
    /// Print all settings of a recipe as TOML, which --recipe FILE.toml takes
    Show {
        /// tutorial, ten, fast99, best or a .toml file
        #[arg(value_name = "NAME|FILE")]
        recipe: PathBuf,
    },
}

/// Runs `seqfit recipe`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let text = match args.command {
        Command::List => Recipe::names().map(|name| format!("{name}\n")).collect(),
        Command::Show { recipe } => train::load_recipe(&recipe)?.to_toml()?,
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
