//! `seqfit bench`: measures the speed of this machine, in some seconds.

use std::process::ExitCode;
use std::time::Instant;

use seqfit::data::Dataset;
use seqfit::recipe::Recipe;
use seqfit::{Device, Engine, FitConfig, Loss, Sequential, device, libtorch};
use serde::Serialize;

use super::data_options::DataOptions;
use super::device_options::DeviceOptions;
use super::network_options::NetworkOptions;
use super::{load_data, output};

/// Options of `seqfit bench`; the default is the tutorial's network on MNIST.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    dataset: String,
    device: String,
    threads: usize,
    libtorch: String,
    figures: Vec<Figure>,
}

#[derive(Serialize)]
struct Figure {
    what: String,
    /// Samples or files per second: the median over the rounds.
    per_second: f64,
    unit: &'static str,
}

/// Samples per round, and the measured rounds that follow one warm-up round.
const SAMPLES: usize = 20_000;
const ROUNDS: usize = 3;

/// Runs `seqfit bench`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let device = args.device.require()?;
    let loaded = load_data::asked(&args.data.request(), None, args.json)?;
    let train = loaded.train.take(SAMPLES);
    let loss = Loss::usual_for(train.target_kind());
    let network = args.network.of_data(&train, &loss)?;
    let mut model = Sequential::from_spec(network, device, 0)?;
    let mut figures = Vec::new();
    let own = if device == Device::Cpu { Engine::Fused } else { Engine::Graph };
    for engine in [own, Engine::Autograd] {
        for batch_size in [32, 256] {
            let loss = loss.clone();
            let plain = FitConfig { batch_size, engine, loss, ..FitConfig::default() };
            let name = engine.name();
            figures.push(training(
                &mut model,
                &train,
                plain,
                &format!("{name}, batch {batch_size}"),
            )?);
        }
    }
    if train.image_shape().is_ok() && train.target_kind().is_class() {
        let best = FitConfig { epochs: 1, batch_size: 256, ..Recipe::named("best")?.fit };
        let what = "with the augmentation of best, batch 256";
        figures.push(training(&mut model, &train, best, what)?);
    } else {
        output::print_status(
            "note: the augmentation of best is for gray pictures of classes, and is left out",
        );
    }
    figures.push(figure("evaluation", "samples/s", train.len(), || {
        model.evaluate(&train)?;
        Ok(())
    })?);
    let folder = tempfile::tempdir()?;
    figures.push(figure("export to TorchScript", "files/s", 1, || {
        Ok(model.export(folder.path().join("model.pt"), train.target_names())?)
    })?);
    let report = Report {
        dataset: loaded.source.name,
        device: device::name(device),
        threads: device::all_threads(),
        libtorch: libtorch::version(),
        figures,
    };
    let text = if args.json { serde_json::to_string(&report)? } else { table(&report) };
    output::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn training(
    model: &mut Sequential,
    train: &Dataset,
    config: FitConfig,
    what: &str,
) -> anyhow::Result<Figure> {
    let config = FitConfig { epochs: ROUNDS + 1, validation_split: 0.0, ..config };
    let history = model.fit(train, &config, &mut [])?;
    let speeds = history.epochs[1..].iter().map(|record| record.samples_per_second).collect();
    let what = format!("training, {what}");
    Ok(Figure { what, per_second: median(speeds), unit: "samples/s" })
}

fn figure(
    what: &str,
    unit: &'static str,
    count: usize,
    mut work: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Figure> {
    work()?;
    let mut speeds = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        work()?;
        speeds.push(count as f64 / started.elapsed().as_secs_f64());
    }
    Ok(Figure { what: what.to_owned(), per_second: median(speeds), unit })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn table(report: &Report) -> String {
    let Report { dataset, device, threads, libtorch, figures } = report;
    let mut lines = vec![format!("{dataset} on {device}, {threads} threads, libtorch {libtorch}")];
    lines.extend(
        figures.iter().map(|Figure { what, per_second, unit }| {
            format!("{what:<52} {per_second:>11.0} {unit}")
        }),
    );
    lines.join("\n")
}
