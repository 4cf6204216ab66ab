//! `seqfit evaluate`: evaluates a run's network on a test set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use seqfit::data::{Dataset, Request};
use seqfit::group::broadcast_object;
use seqfit::run::{Figures, RunConfig};
use seqfit::text::four_decimals;
use seqfit::{ClassFigures, Device, FitConfig, Measures, Metric, Residuals, Sequential, device};
use serde::{Deserialize, Serialize};

use super::data_options::{DataOptions, StreamOptions};
use super::device_options::DeviceOptions;
use super::distributed::{RankOptions, Ranks};
use super::output::{self, Usage, print_status};
use super::output_files::{self, FileKind, OutputFile};
use super::run_options::RunOptions;
use super::view_options::ViewOptions;
use super::{confusion_matrix, load_data};

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
    /// Metrics to compute, besides loss and accuracy, as in train --metrics [default: those of the run and its loss]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    metrics: Option<Vec<Metric>>,
    /// Threads of libtorch on the CPU [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Also write the logits of every test sample, [samples, outputs], as a NumPy .npy file: the outputs of the last
    /// layer, before a softmax or sigmoid and before numbers are scaled back
    #[arg(long, value_name = "FILE", conflicts_with = "distributed")]
    logits: Option<PathBuf>,
    /// Also write the predictions for every test sample, [samples, outputs], as a NumPy .npy file: probabilities, or
    /// numbers in their own units
    #[arg(long, value_name = "FILE", conflicts_with = "distributed")]
    predictions: Option<PathBuf>,
    #[command(flatten)]
    views: ViewOptions,
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
    #[serde(flatten)]
    figures: Figures,
    /// The reasons that metrics have no value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    undefined: &'a BTreeMap<String, String>,
    dataset: &'a str,
    /// The word for samples.
    #[serde(skip)]
    samples: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<Class<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    confusion: &'a [Vec<u64>],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    residuals: Vec<Number<'a>>,
}

#[derive(Serialize)]
struct Class<'a> {
    name: &'a str,
    #[serde(flatten)]
    figures: ClassFigures,
}

#[derive(Serialize)]
struct Number<'a> {
    name: &'a str,
    #[serde(flatten)]
    residuals: Residuals,
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
    let mut model = Sequential::from_spec(config.network.clone(), device, 0)?;
    model.load_safetensors(&weights)?;
    args.views.set(&mut model)?;
    let request = if own_data { Request::Auto } else { args.data.request() };
    let data = load_data::test_of(&config, request, args.stream.stream, true)?;
    let metrics = metrics(args, &config.fit, &data.test);
    let measures = Measures { loss: config.loss(), metrics: &metrics };
    model.evaluate_distributed(group, &data.test, measures)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the files of arrays to write.
fn files(args: &Args) -> Vec<OutputFile<'_>> {
    let files = [("--logits", &args.logits), ("--predictions", &args.predictions)];
    let files = files.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
    files.map(|(option, path)| OutputFile { option, path, kind: FileKind::Npy }).collect()
}

/// Runs the command on rank 0, which reads the run and prints the result.
fn run_rank0(args: &Args, ranks: &Ranks) -> anyhow::Result<ExitCode> {
    let run = args.run.open()?;
    let files = files(args);
    output_files::check(&files)?;
    let device = ready(args)?;
    let mut model = args.run.load(&run, device)?;
    args.views.set(&mut model)?;
    let trained_on = &run.config().data;
    let loaded = load_data::of_run(&run, args.data.request(), args.stream.stream, args.json)?;
    output_files::check_not_read(&files, &loaded.source)?;
    let group = ranks.group();
    if group.size() > 1 {
        let own_data = args.data.request() == Request::Auto;
        broadcast_object(group, Some(Work { config: run.config().clone(), own_data }))?;
        group.broadcast(&mut model.to_safetensors(Default::default())?)?;
    }
    let metrics = metrics(args, &run.config().fit, &loaded.test);
    let kind = loaded.test.target_kind();
    metrics.iter().try_for_each(|metric| metric.check_for(kind)).map_err(Usage::of)?;
    let measures = Measures { loss: run.config().loss(), metrics: &metrics };
    let evaluation = model.evaluate_distributed(group, &loaded.test, measures)?;
    if let Some(path) = &args.logits {
        seqfit::export::npy::save(&model.logits_of(&loaded.test)?, path)?;
    }
    if let Some(path) = &args.predictions {
        seqfit::export::npy::save(&model.predictions_of(&loaded.test)?, path)?;
    }
    let names = || trained_on.classes.iter();
    let classes = evaluation.per_class().into_iter().zip(names());
    let residuals = evaluation.residuals.iter().zip(names());
    let report = Report {
        figures: Figures::from(&evaluation),
        undefined: &evaluation.undefined,
        dataset: &loaded.source.name,
        samples: output::samples_word(&loaded.test),
        classes: classes.map(|(figures, name)| Class { name, figures }).collect(),
        confusion: &evaluation.confusion,
        residuals: residuals.map(|(&residuals, name)| Number { name, residuals }).collect(),
    };
    let text = match args.json {
        true => serde_json::to_string(&report)?,
        false => {
            let colored = console::colors_enabled();
            let confusion =
                confusion_matrix::table(&evaluation.confusion, &trained_on.classes, colored);
            let confusion = confusion.map(|table| format!("\n{table}")).unwrap_or_default();
            format!("{}\n{confusion}", table(&report)).trim_end().to_owned()
        }
    };
    output::print(&format!("{text}\n"))?;
    let scale = || loaded.test.unscaled_features().map(|unscaled| unscaled.advice());
    load_data::note_on_r2(&report.figures, scale()).into_iter().for_each(print_status);
    Ok(ExitCode::SUCCESS)
}

/// Returns the metrics to compute.
fn metrics(args: &Args, fit: &FitConfig, test: &Dataset) -> Vec<Metric> {
    args.metrics.clone().unwrap_or_else(|| fit.test_metrics(test.target_kind()))
}

fn table(report: &Report) -> String {
    let mut lines = Vec::new();
    if !report.classes.is_empty() {
        // A matrix counts classes, of which each sample has one.
        let what = if report.confusion.is_empty() { "label" } else { "class" };
        let width = width(what, report.classes.iter().map(|class| class.name));
        let samples = report.samples;
        lines.push(format!("{what:<width$}  precision  recall      f1  {samples}"));
        lines.extend(report.classes.iter().map(|Class { name, figures }| {
            let ClassFigures { precision, recall, f1, support } = figures;
            let last = samples.len();
            format!("{name:<width$}     {precision:.4}  {recall:.4}  {f1:.4}  {support:>last$}")
        }));
    }
    if !report.residuals.is_empty() {
        let width = width("number", report.residuals.iter().map(|number| number.name));
        let columns = "mean error  deviation         lowest        highest         mae        rmse";
        lines.push(format!("{:<width$}  {columns}", "number"));
        lines.extend(report.residuals.iter().map(|Number { name, residuals }| {
            let Residuals { mean, standard_deviation, min, max, mae, rmse } = residuals;
            let [mean, deviation, min, max, mae, rmse] =
                [mean, standard_deviation, min, max, mae, rmse].map(|value| four_decimals(*value));
            format!(
                "{name:<width$}  {mean:>10}  {deviation:>9}  {min:>13}  {max:>13}  {mae:>10}  {rmse:>10}"
            )
        }));
    }
    lines.push(format!("{}: {}", report.dataset, report.figures.describe(report.samples)));
    let undefined = report.undefined.iter();
    lines.extend(undefined.map(|(metric, why)| format!("{metric} has no value: {why}")));
    lines.join("\n")
}

fn width<'a>(head: &str, names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0).max(head.chars().count())
}
