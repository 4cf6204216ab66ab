//! `seqfit evaluate`: how good a run's network is.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use seqfit::run::Run;
use seqfit::{ClassFigures, Evaluation, data, device};
use serde::Serialize;

use super::options::{DataOptions, DeviceOptions};
use super::progress;

/// Options of `seqfit evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run folder
    run: PathBuf,
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Threads of libtorch on the CPU [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Also write the logits of every test image, [images, classes], as NumPy's .npy
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    loss: f64,
    accuracy: f64,
    samples: usize,
    dataset: &'a str,
    classes: Vec<Class<'a>>,
    confusion: &'a [Vec<u64>],
}

#[derive(Serialize)]
struct Class<'a> {
    name: &'a str,
    #[serde(flatten)]
    figures: ClassFigures,
}

/// Runs `seqfit evaluate`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let run = Run::open(&args.run)?;
    let device = args.device.require()?;
    if let Some(threads) = args.threads {
        device::set_threads(threads.into());
    }
    let model = run.load_model(device)?;
    let trained_on = &run.config().data;
    // Without a word about data it is the run's own, and then it must be the very same.
    let own = args.data.request() == data::Request::Auto;
    let request = if own {
        trained_on.source.request()?
    } else {
        args.data.request()
    };
    let loaded = progress::with_downloads(args.json, |told| {
        data::resolve(&request, &data::Locations::from_env()?, told)
    })?;
    if own {
        trained_on.source.check_same(&loaded.source)?;
    }
    let evaluation = model.evaluate(&loaded.test)?;
    if let Some(path) = &args.logits {
        let logits = model.logits_of(&loaded.test)?;
        seqfit::export::npy::save(&logits, path)?;
    }
    let names = &trained_on.classes;
    let classes: Vec<Class> = evaluation
        .per_class()
        .into_iter()
        .zip(names)
        .map(|(figures, name)| Class { name, figures })
        .collect();
    let mut out = std::io::stdout().lock();
    if args.json {
        let Evaluation {
            loss,
            accuracy,
            samples,
            ref confusion,
        } = evaluation;
        let dataset = &loaded.source.name;
        let report = Report {
            loss,
            accuracy,
            samples,
            dataset,
            classes,
            confusion,
        };
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    writeln!(
        out,
        "{:<width$}  precision  recall      f1  images",
        "class"
    )?;
    for Class { name, figures } in &classes {
        let ClassFigures {
            precision,
            recall,
            f1,
            support,
        } = figures;
        writeln!(
            out,
            "{name:<width$}     {precision:.4}  {recall:.4}  {f1:.4}  {support:>6}"
        )?;
    }
    writeln!(
        out,
        "{}: loss {:.4}, accuracy {:.2} % of {} images",
        loaded.source.name,
        evaluation.loss,
        100.0 * evaluation.accuracy,
        evaluation.samples
    )?;
    Ok(ExitCode::SUCCESS)
}
