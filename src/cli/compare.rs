//! `seqfit compare`: compares runs side by side.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use seqfit::files;
use seqfit::report::Comparison;
use seqfit::run::Run;

use super::output::{self, print_status};
use super::output_files::{self, FileKind, OutputFile};

/// Options of `seqfit compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run folders
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Also write a page that overlays the runs' curves to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs `seqfit compare`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runs = args.runs.iter().map(|path| Run::open(path)).collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = &args.out {
        output_files::check(&[OutputFile { option: "--out", path, kind: FileKind::Html }])?;
    }
    let comparison = Comparison::of(&runs)?;
    let text = match args.json {
        true => serde_json::to_string(&comparison)?,
        false => table(&comparison),
    };
    if let Some(out) = &args.out {
        files::write(out, comparison.html()?.as_bytes()).context("the page")?;
        print_status(format_args!("wrote {}", out.display()));
    }
    output::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn table(comparison: &Comparison) -> String {
    let mut lines: Vec<Vec<String>> = Vec::new();
    let line = |first: &str, rest: Vec<String>| {
        std::iter::once(first.to_owned()).chain(rest).collect::<Vec<_>>()
    };
    lines.push(line("", comparison.runs.iter().map(|run| run.name.clone()).collect()));
    for setting in &comparison.settings {
        lines.push(line(&setting.name, setting.values.clone()));
    }
    lines.push(Vec::new());
    for row in comparison.rows() {
        let marked = |cell: seqfit::report::compare::Cell| {
            format!("{}{}", cell.text, if cell.best { " *" } else { "  " })
        };
        lines.push(line(&row.name, row.cells.into_iter().map(marked).collect()));
    }
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.trim_end().chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..=comparison.runs.len()).map(width).collect();
    let text = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).enumerate().map(|(i, (cell, &width))| match i {
            0 => format!("{cell:<width$}"),
            // The marks follow the numbers, so that the numbers are aligned in one column.
            _ => format!("  {cell:>width$}", width = width + 2),
        });
        cells.collect::<String>().trim_end().to_owned()
    });
    let mut text: Vec<String> = text.collect();
    text.push(match comparison.same_data {
        true => "* best".to_owned(),
        false => {
            "the runs were tested on different data: their metrics cannot be compared".to_owned()
        }
    });
    text.join("\n")
}
