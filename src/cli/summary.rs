//! `seqfit summary`: prints the table of a run's network, or of the one that the options describe.

use std::path::PathBuf;
use std::process::ExitCode;

use seqfit::Summary;
use seqfit::run::Run;

use super::network_options::NetworkOptions;
use super::output::{self, Usage};
use super::parse_values;
use super::train::load_recipe;

/// Options of `seqfit summary`; the default is the tutorial's network.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run folder; without it the network that the options describe
    #[arg(conflicts_with_all = ["model", "hidden", "activation", "dropout", "layers", "file", "recipe", "image_size", "classes"])]
    run: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkOptions,
    /// The network of this recipe, unless other options describe one, see seqfit recipe
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<PathBuf>,
    /// Height and width of the images
    #[arg(long, value_name = "HxW", default_value = "28x28", value_parser = parse_values::size)]
    image_size: parse_values::Size,
    /// Images in color: samples of 3 channels
    #[arg(long, conflicts_with = "run")]
    color: bool,
    /// Number of classes
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=256))]
    classes: u16,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs `seqfit summary`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let spec = match &args.run {
        Some(path) => Run::open(path)?.config().network.clone(),
        None => {
            let channels = args.color.then_some(3);
            let shape: Vec<usize> = channels.into_iter().chain(args.image_size.0).collect();
            let recipe = args.recipe.as_deref().map(load_recipe).transpose()?;
            let network = args.network.or_layers(recipe.and_then(|recipe| recipe.layers))?;
            network.spec(&shape, args.classes.into())?
        }
    };
    let summary = Summary::new(&spec).map_err(|error| Usage(error.to_string()))?;
    let text = if args.json { serde_json::to_string(&summary)? } else { summary.to_string() };
    output::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}
