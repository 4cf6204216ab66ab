//! `seqfit predict`: which class an image shows.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use seqfit::data::images;
use seqfit::run::Run;
use serde::Serialize;

use super::options::{DeviceOptions, RunOptions, count};
use super::output;
use super::picture::half_blocks;

/// Options of `seqfit predict`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunOptions,
    /// PNG or JPEG files, each one image; or IDX files, each image in them
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// How many classes to name, the likeliest first
    #[arg(long, value_name = "N", default_value = "3", value_parser = count)]
    top: NonZeroUsize,
    /// Take images as they are, which must have the network's size: white on black, not cropped
    #[arg(long)]
    raw: bool,
    /// Show images as the network gets them: on a terminal up to 20 of them, all, or none
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    image: Shown,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print a JSON object an image
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
    top: Vec<Share<'a>>,
}

#[derive(Serialize)]
struct Share<'a> {
    class: &'a str,
    probability: f32,
}

/// Images that are answered at once: enough to be fast, few enough to need little memory.
const CHUNK: usize = 1024;

/// Runs `seqfit predict`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let run = args.run.open()?;
    let model = args.run.load(&run, args.device.require()?)?;
    let shape = model.image_shape().with_context(|| run.path().display().to_string())?;
    let mut shown = 0;
    for path in &args.images {
        let images = images::read(path, shape, args.raw)?;
        let chunks = images.pixels.chunks(CHUNK * shape[0] * shape[1]).enumerate();
        for (chunk, pixels) in chunks {
            let mut lines = String::new();
            let pictures = pixels.chunks(shape[0] * shape[1]);
            let answers = model.predict_images(pixels, shape)?;
            for ((i, probabilities), picture) in answers.iter().enumerate().zip(pictures) {
                if args.image.shows(args.json, shown) {
                    lines += &half_blocks(picture, shape[1], console::colors_enabled());
                    shown += 1;
                }
                let place = (!images.single).then_some(chunk * CHUNK + i);
                lines += &describe(&args, &run, path, place, probabilities)?;
                lines.push('\n');
            }
            output::print(&lines)?;
        }
    }
    Ok(ExitCode::SUCCESS)
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
    let top: Vec<Share> = order
        .iter()
        .take(args.top.get())
        .map(|&class| Share {
            class: &run.config().data.classes[class],
            probability: probabilities[class],
        })
        .collect();
    let image = path.to_string_lossy();
    if args.json {
        let Share { class, probability } = top[0];
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
