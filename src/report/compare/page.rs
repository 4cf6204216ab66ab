//! The HTML page of a comparison.

use maud::{Markup, html};

use super::{CROSSENTROPY, Comparison, Entry};
use crate::report::ReportError;
use crate::report::page::{Page, breakable, figure, scrolled};
use crate::report::plot::{Curves, LINES, Numbers, Series};
use crate::train::EpochRecord;

impl Comparison {
    /// Returns the comparison as a self-contained HTML page.
    ///
    /// # Errors
    /// A plot that cannot be drawn.
    pub fn html(&self) -> Result<String, ReportError> {
        comparison(self)
    }
}

/// Returns the whole page.
fn comparison(comparison: &Comparison) -> Result<String, ReportError> {
    let names: Vec<&str> = comparison.runs.iter().map(|run| run.name.as_str()).collect();
    let plots = curves(comparison).into_iter().map(|(curves, caption)| figure(&curves, caption));
    let plots = plots.collect::<Result<Vec<_>, _>>()?;
    let page = Page {
        title: format!("{} runs compared · seqfit", names.len()),
        header: html! {
            p.eyebrow { "seqfit compare" }
            h1 { (names.len()) " runs side by side" }
            p.lead { (names.join(", ")) }
            @if !comparison.same_data {
                aside.missing aria-label="Note" {
                    p { "The runs were tested on different data: their metrics cannot be compared." }
                }
            }
        },
        content: html! {
            section aria-labelledby="figures" {
                h2 id="figures" { "Results" }
                (scrolled("Metrics of the runs", figures(comparison)))
            }
            section aria-labelledby="settings" {
                h2 id="settings" { "Settings that differ" }
                @if comparison.settings.is_empty() {
                    p { "None: all settings and data are the same." }
                } @else {
                    (scrolled("Settings that differ", settings(comparison)))
                }
            }
            @if !plots.is_empty() {
                section aria-labelledby="curves" {
                    h2 id="curves" { "Training" }
                    (legend(&comparison.runs))
                    div.plots { @for plot in plots { (plot) } }
                }
            }
        },
        footer: format!(
            "Written by seqfit {}. This page is self-contained.",
            env!("CARGO_PKG_VERSION")
        ),
    };
    Ok(page.html())
}

fn head(first: &str, runs: &[Entry]) -> Markup {
    html! {
        thead {
            tr {
                th scope="col" { (first) }
                @for run in runs { th scope="col" title=(run.run) { bdi { (breakable(&run.name)) } } }
            }
        }
    }
}

/// The legend: each run with its line style. Its numbers label the ends of the lines where names do not fit.
fn legend(runs: &[Entry]) -> Markup {
    html! {
        ol.runs {
            @for (i, run) in runs.iter().enumerate() {
                li { span.key.{ "line-" (i % LINES.len() + 1) }.dashed[is_dashed(i)] {} bdi { (run.name) } }
            }
        }
    }
}

/// Returns whether a run's lines are dashed: the colors of [`LINES`] repeat after the last one.
fn is_dashed(run: usize) -> bool {
    run / LINES.len() % 2 == 1
}

fn figures(comparison: &Comparison) -> Markup {
    html! {
        table.runs {
            caption { span { "A star marks the best run where they differ; validation metrics are those of the best epoch" } }
            (head("metric", &comparison.runs))
            tbody {
                @for row in comparison.rows() {
                    tr {
                        th scope="row" { (row.name) }
                        @for cell in &row.cells { td.best[cell.best] { (cell.text) } }
                    }
                }
            }
        }
    }
}

/// Returns whether a value is kept on one line, like a number.
fn is_short(value: &str) -> bool {
    value.chars().count() <= 12
}

fn settings(comparison: &Comparison) -> Markup {
    html! {
        table.runs {
            caption { span { "Settings that differ between the runs, named as in config.toml" } }
            (head("setting", &comparison.runs))
            tbody {
                @for setting in &comparison.settings {
                    tr {
                        th scope="row" { code { (breakable(&setting.name)) } }
                        @for value in &setting.values { td.text[!is_short(value)] { (value) } }
                    }
                }
            }
        }
    }
}

/// Returns the curves of all runs, one plot per metric, with captions; metrics that no run has are omitted.
fn curves(comparison: &Comparison) -> Vec<(Curves, &'static str)> {
    let runs = &comparison.runs;
    let loss = match comparison.loss() {
        Some(CROSSENTROPY) => "nats, lower is better".to_owned(),
        Some(name) => format!("{name}, lower is better"),
        None => "of different losses, which cannot be compared".to_owned(),
    };
    let curves = |name, title: &str, unit: &str, of: fn(&EpochRecord) -> Option<f64>| {
        let series = runs.iter().enumerate().map(|(i, run)| {
            let epochs = run.history.epochs.iter();
            let points = epochs.filter_map(|record| Some((record.epoch as f64, of(record)?)));
            Series::new(run.name.clone(), i, is_dashed(i), points)
        });
        Curves {
            name: str::to_owned(name),
            title: title.to_owned(),
            unit: unit.to_owned(),
            series: series.filter(|series| !series.points.is_empty()).collect(),
            numbers: match name {
                _ if name.ends_with("accuracy") => Numbers::Percent,
                _ if name.ends_with("loss") => Numbers::Loss,
                _ => Numbers::Plain,
            },
            from_zero: !name.ends_with("accuracy"),
            size: Curves::size_for(runs.len()),
        }
    };
    let all = [
        curves("training-loss", "Training loss", &loss, |e| Some(e.loss)),
        curves("training-accuracy", "Training accuracy", "higher is better", |e| e.accuracy),
        curves("validation-loss", "Validation loss", &loss, |e| e.val_loss),
        curves("validation-accuracy", "Validation accuracy", "higher is better", |e| {
            e.val_accuracy
        }),
        curves("learning-rate", "Learning rate", "at the end of each epoch", |e| {
            Some(e.learning_rate)
        }),
        curves("speed", "Speed", "training samples per second", |e| Some(e.samples_per_second)),
    ];
    let caption = |curves: &Curves| match curves.name.as_str() {
        "training-loss" => "Measured while training: each batch before its own weight update.",
        "validation-loss" => "Runs without a validation split are not shown.",
        _ => "",
    };
    let all = all.into_iter().filter(|curves| !curves.series.is_empty());
    all.map(|curves| {
        let caption = caption(&curves);
        (curves, caption)
    })
    .collect()
}
