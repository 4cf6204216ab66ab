//! `seqfit import`: imports weights from other programs as a run.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use seqfit::data::{FeatureKind, Preparation, TargetKind};
use seqfit::import::{Card, ImportOptions, Imported};
use seqfit::run::{Origin, Run, RunConfig};
use seqfit::{Activation, Device, Sequential};

use super::image_options::preparation;
use super::network_file::network;
use super::network_options;
use super::output::{self, Usage, print_status};
use super::parse_values;

/// Options of `seqfit import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// safetensors, a state_dict or checkpoint saved with torch.save, .pt2, TorchScript, .npz,
    /// .weights.h5, .keras or ONNX
    file: PathBuf,
    /// The run folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the run in --out
    #[arg(long)]
    force: bool,
    /// What the network predicts: one class, several labels or numbers [default: labels if it ends in a sigmoid, a number
    /// if it has one output, else one class]
    #[arg(long, value_name = "KIND", value_parser = parse_values::task())]
    task: Option<TargetKind>,
    /// Names of the classes, labels or numbers, comma-separated [default: those in the file, or 0, 1, 2, …]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = parse_values::trimmed)]
    classes: Option<Vec<String>>,
    /// The network: that of a run, or a TOML file with input_shape and layers as under [network] in a run's
    /// config.toml [default: the file's own, or inferred from the shapes of its tensors]
    #[arg(long, value_name = "RUN|FILE")]
    network: Option<PathBuf>,
    /// Activation of all Dense layers except the last [default: the file's own, or relu]
    #[arg(long, value_name = "NAME", value_parser = network_options::hidden_activation(), conflicts_with = "network")]
    activation: Option<Activation>,
    /// The shape of one sample: 28x28 for images, whose pixels are divided by 255, or 8 for rows of numbers [default: the
    /// file's own, or a square image]
    #[arg(long, value_name = "HxW", value_parser = shape, conflicts_with = "network")]
    input_shape: Option<Shape>,
    /// How pictures become the network's images: raw, digit or resize, as for predict [default: the file's
    /// own, or raw]
    #[arg(long, value_name = "KIND", value_parser = preparation(), hide_possible_values = true)]
    prepare: Option<Preparation>,
}

/// The sizes of a shape, in one argument.
#[derive(Clone, Debug)]
struct Shape(Vec<usize>);

fn shape(text: &str) -> Result<Shape, String> {
    let size = |part: &str| part.parse().ok().filter(|&size| size > 0);
    let sizes = text.split('x').map(size).collect::<Option<_>>();
    sizes.map(Shape).ok_or_else(|| format!("a shape is sizes such as 28x28 or 784, found {text:?}"))
}

/// Runs `seqfit import`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    Run::check_vacant(&args.out, args.force)?;
    let wanted = ImportOptions {
        network: args.network.as_deref().map(network).transpose()?,
        activation: args.activation,
        input_shape: args.input_shape.map(|shape| shape.0),
        classes: args.classes,
        task: args.task,
    };
    let imported = Imported::open(&args.file)?;
    let origin = Origin::of(&args.file, imported.format.name())?;
    let at = || args.file.display().to_string();
    let network = imported.network(&wanted).with_context(at)?;
    let recorded = imported.card.as_ref().and_then(Card::preparation);
    // The weights have been copied by now.
    drop(imported);
    if network.guessed {
        print_status(
            "note: the file does not say which activation is between its layers, so relu is used: --activation \
             names another",
        );
    }
    if network.features == FeatureKind::Floats && args.prepare.is_some() {
        let shape = &network.spec.input_shape;
        return Err(Usage(format!(
            "--prepare is for pictures, and the network takes numbers of shape {shape:?}: leave it out, or give the \
             shape of an image with --input-shape"
        ))
        .into());
    }
    let mut model = Sequential::from_spec(network.spec.clone(), Device::Cpu, 0)?;
    model.set_weights(&network.weights)?;
    let mut config = RunConfig::imported(origin, network.features, network.classes, network.spec);
    config.data.preparation = args.prepare.or(recorded);
    let run = Run::create(&args.out, args.force, config)?;
    run.save_network(&model)?;
    let run = run.settle()?;
    output::print(&format!("{}\nrun: {}\n", model.summary(), run.path().display()))?;
    Ok(ExitCode::SUCCESS)
}
