//! `seqfit inspect`: prints the contents of a weights file or a run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use seqfit::import::{Card, Imported, ImportedTensor, Statistics};
use seqfit::run::Run;
use seqfit::{OutputActivation, Summary};
use serde::Serialize;

use super::output;

/// Options of `seqfit inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run folder, or a file in any format that import reads, or in ONNX
    path: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<&'a Card>,
    metadata: &'a std::collections::BTreeMap<String, String>,
    tensors: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    dtype: String,
    shape: &'a [usize],
    /// `None` for numbers that are not weights.
    #[serde(flatten)]
    statistics: Option<Statistics>,
}

/// Runs `seqfit inspect`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (file, mut imported) = match args.path.is_file() {
        true => (args.path.clone(), Imported::open(&args.path)?),
        // The error for a path where nothing is names a run near it.
        false => of_run(&Run::open(&args.path)?)?,
    };
    imported.card.iter_mut().for_each(add_multiply_adds);
    let report = Report {
        file: &file,
        format: imported.format.name(),
        card: imported.card.as_ref(),
        metadata: &imported.metadata,
        tensors: imported.tensors.iter().map(line).collect(),
    };
    let text = if args.json { serde_json::to_string(&report)? } else { table(&report)? };
    output::print(&format!("{text}\n"))?;
    for missing in &imported.missing_tensors {
        output::print_status(format_args!("note: {}", plain(missing)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens a run's weights, with a card made from its config.
fn of_run(run: &Run) -> anyhow::Result<(PathBuf, Imported)> {
    let file = run.weights_path()?;
    let mut imported = Imported::open(&file)?;
    let config = run.config();
    let (network, classes) = (config.network.clone(), config.data.classes.clone());
    let card = imported.card.get_or_insert_default();
    card.network.get_or_insert(network);
    card.classes.get_or_insert(classes);
    let input = serde_json::to_value(run.card()?.input)?;
    card.rest.entry("input").or_insert(input);
    Ok((file, imported))
}

/// Adds them to the card of a file that has a network and does not name them.
fn add_multiply_adds(card: &mut Card) {
    let Some(Ok(summary)) = card.network.as_ref().map(Summary::new) else { return };
    card.rest.entry("multiply_adds").or_insert(summary.multiply_adds().into());
}

fn line(tensor: &ImportedTensor) -> Line<'_> {
    Line {
        name: &tensor.name,
        dtype: tensor.dtype.to_string(),
        shape: &tensor.shape,
        statistics: tensor.values.as_deref().map(Statistics::of),
    }
}

fn table(report: &Report<'_>) -> serde_json::Result<String> {
    let mut lines = vec![format!("{}: {}", report.file.display(), report.format)];
    if let Some(card) = report.card {
        for (key, value) in serde_json::to_value(card)?.as_object().into_iter().flatten() {
            let key = if key == "classes" { names_of(card) } else { key };
            lines.push(format!("  {}: {}", plain(key), plain(&value.to_string())));
        }
    }
    lines.extend(
        report.metadata.iter().map(|(key, value)| format!("  {}: {}", plain(key), plain(value))),
    );
    let names: Vec<String> = report.tensors.iter().map(|tensor| plain(tensor.name)).collect();
    let shapes: Vec<String> = report.tensors.iter().map(|t| format!("{:?}", t.shape)).collect();
    let width = |texts: &[String], title: &str| {
        texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(title.len())
    };
    let (name, shape) = (width(&names, "tensor"), width(&shapes, "shape"));
    let (t, s) = ("tensor", "shape");
    lines.push(format!(
        "{t:<name$}  dtype  {s:<shape$}        norm         min         max  NaN  Inf"
    ));
    for ((tensor, own_name), own_shape) in report.tensors.iter().zip(names).zip(shapes) {
        let figures = match tensor.statistics {
            None => String::new(),
            Some(Statistics { norm, min, max, nan, infinite }) => {
                format!("  {norm:>10.4}  {min:>10.4}  {max:>10.4}  {nan:>3}  {infinite:>3}")
            }
        };
        let dtype = plain(&tensor.dtype);
        lines.push(format!("{own_name:<name$}  {dtype:<5}  {own_shape:<shape$}{figures}"));
    }
    if report.tensors.is_empty() {
        lines.push("no tensors".to_owned());
    }
    Ok(lines.join("\n"))
}

/// Returns what the names in a card are: cards call all of them classes.
fn names_of(card: &Card) -> &'static str {
    let network = card.network.as_ref();
    match network.map(|network| (network.output, network.outputs())) {
        Some((OutputActivation::Linear, _)) => "numbers",
        Some((OutputActivation::Sigmoid, outputs))
            if card.classes.as_ref().is_some_and(|names| names.len() == outputs) =>
        {
            "labels"
        }
        _ => "classes",
    }
}

/// Returns text from a file on one line, without control characters, which could steer a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
