//! `seqfit lr-find`: suggests a learning rate.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use seqfit::report::{self, PlotFormat};
use seqfit::{Device, FitConfig, LrCurve, LrFind, Sequential, device};
use serde::Serialize;

use super::braille_chart::{self, Curve};
use super::data_options::{DataOptions, StreamOptions};
use super::device_options::DeviceOptions;
use super::load_data;
use super::network_options::NetworkOptions;
use super::output::{self, Usage, print_status};
use super::output_files::{self, FileKind, OutputFile};
use super::parse_values;
use super::train::{FitOptions, check_fits};

/// Options of `seqfit lr-find`; the default is the tutorial's training.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    stream: StreamOptions,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    fit: FitOptions,
    /// The first learning rate of the test
    #[arg(long, value_name = "X", default_value_t = LrFind::default().start, value_parser = parse_values::positive)]
    start: f64,
    /// The last learning rate of the test, which ends earlier if the loss diverges
    #[arg(long, value_name = "X", default_value_t = LrFind::default().end, value_parser = parse_values::positive)]
    end: f64,
    /// Number of steps from the first to the last
    #[arg(long, value_name = "N", default_value = "100", value_parser = parse_values::count)]
    steps: NonZeroUsize,
    /// Also write the steps to this CSV file: learning_rate,loss,smoothed
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Also draw the losses and the suggestion into this file, .svg or .png
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    plot: Option<PlotFile>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A file to draw into, and the format that its extension selects.
#[derive(Clone, Debug)]
struct PlotFile {
    path: PathBuf,
    format: PlotFormat,
}

fn plot_file(text: &str) -> Result<PlotFile, String> {
    let path = PathBuf::from(text);
    match PlotFormat::of(&path) {
        Some(format) => Ok(PlotFile { path, format }),
        None => Err("a plot's file ends in .svg or .png".to_owned()),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    suggestion: Option<f64>,
    #[serde(flatten)]
    curve: &'a LrCurve,
}

/// Runs `seqfit lr-find`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let fit = args.fit.over(&FitConfig::default(), args.device.is_cuda())?;
    if let Some(option) = args.fit.unsupported_by_lr_find() {
        let rule = format!(
            "{option} does not apply to lr-find, which chooses the rates itself: leave it out"
        );
        return Err(Usage(rule).into());
    }
    let test = LrFind { start: args.start, end: args.end, steps: args.steps.get() };
    test.check().map_err(|error| Usage(error.to_string()))?;
    let files = files(args);
    output_files::check(&files)?;
    let device = args.device.chosen().unwrap_or(Device::Cpu);
    device::require(device)?;
    let data = load_data::asked(&args.data.request(), args.stream.stream, args.json)?;
    output_files::check_not_read(&files, &data.source)?;
    load_data::note(&data.train.training_advice());
    let usual = args.fit.with_usual_recipe(&args.network, &data.source)?;
    let (options, fit) = match &usual {
        Some((usual, note)) => {
            print_status(note);
            (usual, usual.over(&FitConfig::default(), args.device.is_cuda())?)
        }
        None => (&args.fit, fit),
    };
    let fit = options.for_targets(fit, data.train.target_kind())?;
    let network = args.network.or_layers(options.recipe_layers()?)?.fitted(&data, &fit)?;
    check_fits(&fit, &network, device)?;
    if fit.augment.is_on() {
        fit.augment.check_for(&data.train).map_err(Usage::of)?;
    }
    let mut model = Sequential::from_spec(network, device, fit.seed)?;
    let curve = model.lr_find(&data.train, &fit, &test)?;
    if let Some(path) = &args.csv {
        seqfit::files::write(path, csv(&curve).as_bytes())?;
        print_status(format_args!("wrote {}", path.display()));
    }
    if let Some(PlotFile { path, format }) = &args.plot {
        seqfit::files::write(path, &report::lr_plot(&curve, *format)?)?;
        print_status(format_args!("wrote {}", path.display()));
    }
    let suggestion = curve.suggestion();
    let text = match args.json {
        true => serde_json::to_string(&Report { suggestion, curve: &curve })?,
        false => text_report(&curve, suggestion),
    };
    output::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The first line of the table.
const HEADER: &str = "learning_rate,loss,smoothed";

/// Returns the files to write.
fn files(args: &Args) -> Vec<OutputFile<'_>> {
    let csv = args.csv.iter().map(|path| OutputFile {
        option: "--csv",
        path,
        kind: FileKind::Table(HEADER),
    });
    let plot = args.plot.iter().map(|PlotFile { path, format }| OutputFile {
        option: "--plot",
        path,
        kind: match format {
            PlotFormat::Svg => FileKind::Svg,
            PlotFormat::Png => FileKind::Png,
        },
    });
    csv.chain(plot).collect()
}

fn csv(curve: &LrCurve) -> String {
    let mut lines = format!("{HEADER}\n");
    for point in &curve.points {
        lines += &format!("{},{},{}\n", point.learning_rate, point.loss, point.smoothed);
    }
    lines
}

fn text_report(curve: &LrCurve, suggestion: Option<f64>) -> String {
    let points = curve.points.iter().map(|p| (p.learning_rate.log10(), p.smoothed)).collect();
    let curves = [Curve { name: "smoothed loss", color: (0, 114, 178), points }];
    let figure = |exponent: f32| format!("{:.0e}", 10f64.powf(exponent.into()));
    let chart = braille_chart::chart(&curves, figure, console::colors_enabled());
    let suggested = match suggestion {
        Some(rate) => {
            format!("suggestion: --learning-rate {rate:.1e}, in the middle of the longest fall")
        }
        None => {
            "no suggestion: the loss hardly falls; try more --steps, or another network".to_owned()
        }
    };
    format!("{}\n{suggested}", chart.unwrap_or_default()).trim_start().to_owned()
}
