//! `seqfit evaluate`: evaluates a run's network on a test set.

use std::path::PathBuf;
use std::process::ExitCode;

use seqfit::data::Request;
use seqfit::group::broadcast_object;
use seqfit::run::RunConfig;
use seqfit::{ClassFigures, Device, Evaluation, Sequential, device};
use serde::{Deserialize, Serialize};

use super::options::{DataOptions, DeviceOptions, RunOptions, StreamOptions};
use super::output;
use super::ranks::{RankOptions, Ranks};
use super::{confusion, loading};

/// Options of `seqfit evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    stream: StreamOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Threads of libtorch on the CPU [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Also write the logits of every test image, [images, classes], as a NumPy .npy file
    #[arg(long, value_name = "FILE", conflicts_with = "distributed")]
    logits: Option<PathBuf>,
    #[command(flatten)]
    ranks: RankOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The work of rank 0, sent to the ranks that cannot read its run folder.
#[derive(Serialize, Deserialize)]
struct Work {
    config: RunConfig,
    /// Whether the data is the run's own.
    own_data: bool,
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
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.ranks.meet()?.together(|ranks| match ranks.is_first() {
        true => run_rank0(args, ranks),
        false => run_worker(args, ranks),
    })
}

/// Returns the requested device, after setting the number of threads.
fn ready(args: &Args) -> anyhow::Result<Device> {
    let device = device::own(args.device.chosen().unwrap_or(Device::Cpu))?;
    device::require(device)?;
    if let Some(threads) = args.threads {
        device::set_threads(threads.into());
    }
    Ok(device)
}

/// Evaluates one part on a rank other than 0, and prints nothing.
fn run_worker(args: &Args, ranks: &Ranks) -> anyhow::Result<ExitCode> {
    let group = ranks.group();
    let device = ready(args)?;
    let Some(Work { config, own_data }) = broadcast_object(group, None)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut weights = Vec::new();
    group.broadcast(&mut weights)?;
    let mut model = Sequential::from_spec(config.network, device, 0)?;
    model.load_safetensors(&weights)?;
    let request = if own_data { Request::Auto } else { args.data.request() };
    let data = loading::test_of(&config.data, request, args.stream.stream, true)?;
    model.evaluate_distributed(group, &data.test)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the command on rank 0, which reads the run and prints the result.
fn run_rank0(args: &Args, ranks: &Ranks) -> anyhow::Result<ExitCode> {
    let run = args.run.open()?;
    if let Some(path) = &args.logits {
        run.check_output(path)?;
    }
    let device = ready(args)?;
    let model = args.run.load(&run, device)?;
    let trained_on = &run.config().data;
    let loaded = loading::of_run(&run, args.data.request(), args.stream.stream, args.json)?;
    let group = ranks.group();
    if group.size() > 1 {
        let own_data = args.data.request() == Request::Auto;
        broadcast_object(group, Some(Work { config: run.config().clone(), own_data }))?;
        group.broadcast(&mut model.to_safetensors(Default::default())?)?;
    }
    let evaluation = model.evaluate_distributed(group, &loaded.test)?;
    if let Some(path) = &args.logits {
        seqfit::export::npy::save(&model.logits_of(&loaded.test)?, path)?;
    }
    let figures = evaluation.per_class().into_iter().zip(&trained_on.classes);
    let classes = figures.map(|(figures, name)| Class { name, figures }).collect();
    let Evaluation { loss, accuracy, samples, confusion } = &evaluation;
    let dataset = &loaded.source.name;
    let report =
        Report { loss: *loss, accuracy: *accuracy, samples: *samples, dataset, classes, confusion };
    let text = match args.json {
        true => serde_json::to_string(&report)?,
        false => {
            let colored = console::colors_enabled();
            let confusion = confusion::table(&evaluation.confusion, &trained_on.classes, colored);
            let confusion = confusion.map(|table| format!("\n{table}")).unwrap_or_default();
            format!("{}\n{confusion}", table(&report)).trim_end().to_owned()
        }
    };
    output::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn table(report: &Report) -> String {
    let widths = report.classes.iter().map(|class| class.name.chars().count());
    let width = widths.max().unwrap_or(0).max("class".len());
    let mut lines = vec![format!("{:<width$}  precision  recall      f1  images", "class")];
    lines.extend(report.classes.iter().map(|Class { name, figures }| {
        let ClassFigures { precision, recall, f1, support } = figures;
        format!("{name:<width$}     {precision:.4}  {recall:.4}  {f1:.4}  {support:>6}")
    }));
    lines.push(format!(
        "{}: loss {:.4}, accuracy {:.2} % of {} images",
        report.dataset,
        report.loss,
        100.0 * report.accuracy,
        report.samples
    ));
    lines.join("\n")
}
