//! `seqfit predict`: classifies images.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use seqfit::Sequential;
use seqfit::data::DataError;
use seqfit::data::images::{self, Prepared};
use seqfit::run::Run;
use serde::Serialize;

use super::device_options::DeviceOptions;
use super::image_as_text::half_blocks;
use super::image_options::PrepareOptions;
use super::load_data;
use super::output::{self, print_status};
use super::parse_values::count;
use super::run_options::RunOptions;

/// Options of `seqfit predict`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunOptions,
    /// PNG or JPEG files, one image each; or IDX files, all images in them
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Number of classes to print, the most probable first
    #[arg(long, value_name = "N", default_value = "3", value_parser = count)]
    top: NonZeroUsize,
    #[command(flatten)]
    prepare: PrepareOptions,
    /// Skip files that cannot be used, and print the reason; exit code 0 if at least one can be used
    #[arg(long)]
    skip_bad: bool,
    /// Show images as the network receives them: on a terminal up to 20 of them, all, or none
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    image: Shown,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print one JSON object per image
    #[arg(long)]
    json: bool,
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

#[derive(Serialize)]
struct Prediction<'a> {
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    class: &'a str,
    probability: f32,
    top: Vec<ClassProbability<'a>>,
}

/// A file that --skip-bad has skipped.
#[derive(Serialize)]
struct LeftOut<'a> {
    image: &'a str,
    error: String,
}

#[derive(Serialize)]
struct ClassProbability<'a> {
    class: &'a str,
    probability: f32,
}

/// Images per prediction call: enough to be fast, few enough to need little memory.
const CHUNK: usize = 1024;

/// Runs `seqfit predict`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let run = args.run.open()?;
    let model = args.run.load(&run, args.device.require()?)?;
    load_data::takes_pictures(&run, "predict")?;
    model
        .require_classes("predict", run.config().data.classes.len())
        .with_context(|| run.path().display().to_string())?;
    let shape = model.image_shape().with_context(|| run.path().display().to_string())?;
    let data = &run.config().data;
    let preparation = args.prepare.of(data);
    let mut note = args.prepare.note(data);
    let mut answers = Answers { args: &args, run: &run, model, shape, shown: 0 };
    let mut bad = 0;
    for path in &args.images {
        match images::read(path, shape, preparation) {
            Ok(images) => {
                // The images of an IDX file are never changed.
                if images.single {
                    note.take().iter().for_each(print_status);
                }
                answers.print(path, &images)?;
            }
            Err(error) if args.skip_bad => {
                bad += 1;
                leave_out(&args, path, &error)?;
            }
            Err(error) => return Err(with_hint(error, args.images.len())),
        }
    }
    closing(bad, args.images.len())
}

/// Prints on standard error why a file is skipped, and with --json also on standard output, in its place.
fn leave_out(args: &Args, path: &Path, error: &DataError) -> anyhow::Result<()> {
    print_status(format_args!("left out: {error}"));
    if args.json {
        let left_out = LeftOut { image: &path.to_string_lossy(), error: error.to_string() };
        output::print(&(serde_json::to_string(&left_out)? + "\n"))?;
    }
    Ok(())
}

/// Adds the option that skips bad files to the error, if there are other files.
fn with_hint(error: DataError, files: usize) -> anyhow::Error {
    match files {
        1 => error.into(),
        _ => anyhow::anyhow!("{error}; --skip-bad leaves out files that cannot be used"),
    }
}

/// Prints how many files were skipped. If no file could be used, that is an error.
fn closing(bad: usize, files: usize) -> anyhow::Result<ExitCode> {
    let plural = if files == 1 { "" } else { "s" };
    match bad {
        0 => {}
        _ if bad == files => {
            anyhow::bail!("no picture could be used: left out {bad} of {files} file{plural}")
        }
        _ => print_status(format_args!("left out {bad} of {files} files")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the network's predictions.
struct Answers<'a> {
    args: &'a Args,
    run: &'a Run,
    model: Sequential,
    shape: [usize; 2],
    /// Number of images drawn so far.
    shown: usize,
}

impl Answers<'_> {
    /// Prints the predictions for the images of one file.
    fn print(&mut self, path: &Path, images: &Prepared) -> anyhow::Result<()> {
        let [height, width] = self.shape;
        let chunks = images.pixels.chunks(CHUNK * height * width).enumerate();
        for (chunk, pixels) in chunks {
            let mut lines = String::new();
            let pictures = pixels.chunks(height * width);
            let answers = self.model.predict_images(pixels, self.shape)?;
            let config = self.run.config();
            for ((i, prediction), picture) in answers.into_iter().enumerate().zip(pictures) {
                let names = config.data.classes.len();
                let probabilities = config.network.output.by_name(prediction, names);
                if self.args.image.shows(self.args.json, self.shown) {
                    lines += &half_blocks(picture, width, console::colors_enabled());
                    self.shown += 1;
                }
                let place = (!images.single).then_some(chunk * CHUNK + i);
                lines += &describe(self.args, self.run, path, place, &probabilities)?;
                lines.push('\n');
            }
            output::print(&lines)?;
        }
        Ok(())
    }
}

fn describe(
    args: &Args,
    run: &Run,
    path: &Path,
    index: Option<usize>,
    probabilities: &[f32],
) -> serde_json::Result<String> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let top: Vec<ClassProbability> = order
        .iter()
        .take(args.top.get())
        .map(|&class| ClassProbability {
            class: &run.config().data.classes[class],
            probability: probabilities[class],
        })
        .collect();
    let image = path.to_string_lossy();
    if args.json {
        let ClassProbability { class, probability } = top[0];
        return serde_json::to_string(&Prediction {
            image: &image,
            index,
            class,
            probability,
            top,
        });
    }
    let shares: Vec<String> = top
        .iter()
        .map(|share| format!("{} ({:.1} %)", share.class, 100.0 * share.probability))
        .collect();
    let place = index.map(|index| format!("[{index}]")).unwrap_or_default();
    Ok(format!("{image}{place}: {}", shares.join(", ")))
}
