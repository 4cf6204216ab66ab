//! `seqfit predict`: predicts for pictures, or for samples in files of arrays.

mod lines;
mod looks_file;
mod predictions_file;

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use seqfit::data::images;
use seqfit::data::{self, DataError, FeatureKind, Features, Preparation, TargetKind};
use seqfit::run::Run;
use seqfit::text::counted;
use seqfit::{EvaluateError, Sequential};
use serde::Serialize;

use super::device_options::DeviceOptions;
use super::image_as_text::half_blocks;
use super::image_options::PrepareOptions;
use super::load_data;
use super::output::{self, Usage, chain, print_status};
use super::output_files::{self, OutputFile};
use super::parse_values::count;
use super::run_options::RunOptions;
use super::view_options::ViewOptions;
use lines::Lines;
use predictions_file::{Columns, PredictionsFile};

/// Options of `seqfit predict`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunOptions,
    /// PNG or JPEG files, one image each; IDX files, all images in them; or files of arrays (.npy, .npz, .safetensors) or
    /// folders of .npy files, all samples in them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The name of the array of samples where there are several [default: x, else that of the run's test samples (x_test) or of its
    /// training samples (x_train), else the only one]
    #[arg(long, value_name = "x=NAME", value_parser = samples_key)]
    keys: Option<String>,
    /// Number of classes to print, the most probable first; of several labels those above 50 % are printed, and others
    /// up to this number [default: 3]
    #[arg(long, value_name = "N", value_parser = count)]
    top: Option<NonZeroUsize>,
    /// Write all predictions to this file in place of printing them: .npy, [samples, outputs], probabilities or numbers
    /// in their own units; or .csv, a row per sample with its file, its index there, its class and these values by name
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "top", "image"])]
    out: Option<PathBuf>,
    #[command(flatten)]
    prepare: PrepareOptions,
    #[command(flatten)]
    views: ViewOptions,
    /// Skip files that cannot be used, and print the reason; exit code 0 if at least one can be used
    #[arg(long)]
    skip_bad: bool,
    /// Show images as the network receives them: on a terminal up to 20 of them, all, or none
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    image: Shown,
    /// Also draw where the network looks in a picture into this PNG file: the picture as the network gets it, and beside
    /// it in orange the places that matter most for its class (see docs/report.md)
    #[arg(long, value_name = "FILE")]
    looks: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print one JSON object per sample
    #[arg(long)]
    json: bool,
}

/// Parses the name of the array of samples: `x=NAME`.
fn samples_key(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("x", name)) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(format!("the key is x, followed by = and the name of an array, found {text:?}")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Shown {
    Auto,
    Always,
    Never,
}

impl Shown {
    fn shows(self, json: bool, before: usize) -> bool {
        match self {
            _ if json => false,
            Shown::Auto => std::io::stdout().is_terminal() && before < 20,
            Shown::Always => true,
            Shown::Never => false,
        }
    }
}

/// A file that --skip-bad has skipped.
#[derive(Serialize)]
struct LeftOut<'a> {
    #[serde(flatten)]
    file: lines::File<'a>,
    error: String,
}

/// Lines that are printed at once.
const CHUNK: usize = 1024;

/// The number of classes that are printed by default.
const TOP: usize = 3;

/// Runs `seqfit predict`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let run = args.run.open()?;
    let mut model = args.run.load(&run, args.device.require()?)?;
    args.views.set(&mut model)?;
    let (preparation, mut note) = args.prepare.of(&run)?;
    let network = Network::new(&args, &run, model, preparation)?;
    if let Some(path) = &args.looks {
        looks_file::check(path, &args.files, network.lines.targets)?;
    }
    let mut file = match &args.out {
        Some(path) => Some(network.output_file(path, &run)?),
        None => None,
    };
    let mut printed = 0;
    let mut bad = 0;
    for path in &args.files {
        match network.predict(path) {
            Ok(samples) => {
                // Only pictures are changed.
                if samples.is_picture {
                    note.take().iter().for_each(print_status);
                }
                if let Some(path) = &args.looks {
                    print_status(network.draw(path, &samples)?);
                }
                match &mut file {
                    Some(file) => file.add(path, &samples.predictions),
                    None => network.print(path, &samples, &mut printed)?,
                }
            }
            Err(error) if args.skip_bad => {
                bad += 1;
                leave_out(&network, path, &error)?;
            }
            Err(error) => return Err(with_hint(error, args.files.len())),
        }
    }
    let code = closing(bad, args.files.len(), network.word())?;
    if let Some(file) = file {
        print_status(file.write()?);
    }
    Ok(code)
}

/// Prints on standard error why a file is skipped, and with --json also on standard output, in its place.
fn leave_out(network: &Network, path: &Path, error: &anyhow::Error) -> anyhow::Result<()> {
    let why = chain(error);
    print_status(format_args!("left out: {why}"));
    if network.args.json {
        let name = path.to_string_lossy();
        let left_out = LeftOut { file: network.lines.file(&name), error: why };
        output::print(&(serde_json::to_string(&left_out)? + "\n"))?;
    }
    Ok(())
}

/// Adds the option that skips bad files to the error, if there are other files.
fn with_hint(error: anyhow::Error, files: usize) -> anyhow::Error {
    match files {
        1 => error,
        _ => anyhow::anyhow!("{}; --skip-bad leaves out files that cannot be used", chain(&error)),
    }
}

/// Prints how many files were skipped. If no file could be used, that is an error.
fn closing(bad: usize, files: usize, word: &str) -> anyhow::Result<ExitCode> {
    let all = counted(files, "file");
    match bad {
        0 => {}
        _ if bad == files => {
            anyhow::bail!("no {word} could be used: left out {bad} of {all}")
        }
        _ => print_status(format_args!("left out {bad} of {all}")),
    }
    Ok(ExitCode::SUCCESS)
}

/// A run's network, and what is printed of its predictions.
struct Network<'a> {
    args: &'a Args,
    model: Sequential,
    features: FeatureKind,
    preparation: Preparation,
    /// The names of arrays of samples, the first choice first.
    keys: Vec<String>,
    lines: Lines<'a>,
}

/// The samples of one file.
struct Samples {
    features: Features,
    /// Whether the file is a picture, and not a list of samples.
    is_picture: bool,
    /// The prediction for each.
    predictions: Vec<Vec<f32>>,
}

impl<'a> Network<'a> {
    fn new(
        args: &'a Args,
        run: &'a Run,
        model: Sequential,
        preparation: Preparation,
    ) -> Result<Self, Usage> {
        let data = &run.config().data;
        if data.targets == TargetKind::Numbers && args.top.is_some() {
            let rule =
                "--top is for classes and labels, and the network predicts numbers: leave it out";
            return Err(Usage(rule.to_owned()));
        }
        if args.image == Shown::Always && model.picture_shape().is_err() {
            let rule = "--image always is for networks that take images, and this one takes other samples: leave it out";
            return Err(Usage(rule.to_owned()));
        }
        let arrays = data.source.as_ref().and_then(|source| source.arrays.as_ref());
        let own = arrays.map(|arrays| arrays.keys.clone()).unwrap_or_default();
        let keys = match &args.keys {
            Some(name) => vec![name.clone()],
            None => vec!["x".to_owned(), own.x_test, own.x_train],
        };
        let lines = Lines {
            targets: data.targets,
            output: run.config().network.output,
            names: &data.classes,
            features: data.features,
            top: args.top.map_or(TOP, NonZeroUsize::get),
            json: args.json,
        };
        Ok(Self { args, model, features: data.features, preparation, keys, lines })
    }

    /// Returns the file of predictions to write, if its name is one for it.
    fn output_file(&self, path: &Path, run: &Run) -> anyhow::Result<PredictionsFile<'a>> {
        let Lines { targets, output, names, .. } = self.lines;
        let columns = Columns { targets, output, names };
        let file = PredictionsFile::new(path, columns, &self.args.files)?;
        if self.args.skip_bad && !file.names_samples() {
            let rule = "with --skip-bad the rows of --out must name their files, which a .npy file cannot: write a .csv";
            return Err(Usage(rule.to_owned()).into());
        }
        let files = [OutputFile { option: "--out", path, kind: file.kind() }];
        output_files::check(&files)?;
        if let Some(source) = &run.config().data.source {
            output_files::check_not_read(&files, source)?;
        }
        Ok(file)
    }

    /// Returns the word for a sample.
    fn word(&self) -> &'static str {
        match self.features {
            FeatureKind::Pixels => "picture",
            FeatureKind::Floats => "sample",
        }
    }

    /// Reads the samples of a file, and predicts for them.
    fn predict(&self, path: &Path) -> anyhow::Result<Samples> {
        let (features, is_picture) = self.read(path)?;
        let at = || path.display().to_string();
        let predictions = self.model.predict_features(&features);
        let predictions = predictions.map_err(|error| self.explained(error, &features));
        let predictions = predictions.with_context(at)?;
        for (index, prediction) in predictions.iter().enumerate() {
            if let Some(found) = prediction.iter().find(|value| !value.is_finite()) {
                let place = if is_picture { at() } else { format!("{}[{index}]", path.display()) };
                anyhow::bail!(
                    "{place}: a prediction must be finite, found {found}: the sample is far outside those of the \
                     training data"
                );
            }
        }
        Ok(Samples { features, is_picture, predictions })
    }

    /// Draws where the network looks in the picture of a file, and returns what to print.
    fn draw(&self, path: &Path, samples: &Samples) -> anyhow::Result<String> {
        let Samples { features, predictions, .. } = samples;
        let [prediction] = &predictions[..] else {
            let rule = "--looks is for one picture, found a file of";
            return Err(Usage(format!("{rule} {}: leave it out", predictions.len())).into());
        };
        looks_file::write(path, &self.model, features, prediction, self.lines.names.len())
    }

    /// Reads the samples of a file, and returns whether it is a picture.
    fn read(&self, path: &Path) -> anyhow::Result<(Features, bool)> {
        if let (FeatureKind::Pixels, Ok(shape)) = (self.features, self.model.picture_shape())
            && !data::looks_like_arrays(path)?
        {
            let images = images::read(path, shape, self.preparation)?;
            let shape = &self.model.spec().input_shape[..];
            return Ok((Features::pixels(images.pixels, shape), images.single));
        }
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        let (features, among) = data::load_features(path, &keys)?;
        if self.args.keys.is_none()
            && let Some(key) = among
        {
            print_status(format_args!(
                "note: the samples are the array {key:?} of {}",
                path.display()
            ));
        }
        load_data::same_features(self.features, features.kind())
            .with_context(|| path.display().to_string())?;
        Ok((features, false))
    }

    /// Prints the predictions for the samples of one file; `shown` counts the images drawn so far.
    fn print(&self, path: &Path, samples: &Samples, shown: &mut usize) -> anyhow::Result<()> {
        let Samples { features, is_picture, predictions } = samples;
        let image = self.model.picture_shape().ok().zip(features.as_pixels());
        for (chunk, part) in predictions.chunks(CHUNK).enumerate() {
            let mut text = String::new();
            for (index, prediction) in (chunk * CHUNK..).zip(part) {
                if let Some((shape, pixels)) = image
                    && self.args.image.shows(self.args.json, *shown)
                {
                    let pixels = &pixels[index * shape.values()..][..shape.values()];
                    text += &half_blocks(pixels, shape, console::colors_enabled());
                    *shown += 1;
                }
                let place = (!is_picture).then_some(index);
                text += &self.lines.line(path, place, prediction)?;
                text.push('\n');
            }
            output::print(&text)?;
        }
        Ok(())
    }

    /// Adds the cure for a single sample without an axis of samples.
    fn explained(&self, error: EvaluateError, features: &Features) -> anyhow::Error {
        let input = &self.model.spec().input_shape;
        let size: usize = input.iter().product();
        match &error {
            EvaluateError::Shape { .. }
                if features.len() * features.shape().iter().product::<usize>() == size =>
            {
                anyhow::anyhow!(
                    "{error}; a single sample x needs an axis of samples in front: x[None]"
                )
            }
            EvaluateError::Data(DataError::Dataset(problem)) => anyhow::anyhow!("{problem}"),
            _ => error.into(),
        }
    }
}
