//! `seqfit recipe`: lists and prints the named sets of training settings.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use seqfit::data::PictureKind;
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
    /// List the built-in recipes: epochs, the pictures that each is for, its purpose
    List,
    /// Print all settings of a recipe as TOML, which --recipe FILE.toml takes
    Show {
        #[arg(value_name = "NAME|FILE", help = format!("{} or a .toml file", Recipe::name_list()))]
        recipe: PathBuf,
    },
}

/// Runs `seqfit recipe`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let text = match args.command {
        Command::List => list()?,
        Command::Show { recipe } => train::load_recipe(&recipe)?.to_toml()?,
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns one line per recipe, the name first.
fn list() -> anyhow::Result<String> {
    let mut text = String::new();
    for name in Recipe::names() {
        let Recipe { description, tuned_for, fit, .. } = Recipe::named(name)?;
        let pictures = tuned_for.map_or("any pictures", PictureKind::as_str);
        let description = description.unwrap_or_default();
        let epochs = fit.epochs;
        writeln!(text, "{name:<8}  {epochs:>3} epochs  {pictures:<12}  {description}")?;
    }
    Ok(text)
}
