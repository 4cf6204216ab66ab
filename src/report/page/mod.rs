//! The page about a run: one file without scripts, whose content security policy forbids every external
//! resource.

mod calibration;
mod labels_and_numbers;
mod page_frame;
mod sections;
mod style;

use page_frame::percentage;
pub(super) use page_frame::{Page, breakable, figure, scrolled};
#[cfg(test)]
pub(super) use style::STYLE;

use maud::{Markup, html};

use super::plot::number;
use super::{Report, ReportError, Tested};
use crate::message_text::counted;
use crate::model::{Spec, Summary, grouped};

impl Report<'_> {
    /// Returns the self-contained HTML page.
    ///
    /// # Errors
    /// A plot that cannot be drawn.
    pub fn html(&self) -> Result<String, ReportError> {
        report(self)
    }
}

/// Returns the page about a run.
fn report(report: &Report) -> Result<String, ReportError> {
    let config = report.run.config();
    let accuracy = sections::accuracy(report);
    let other = report.tested.as_ref().and_then(|tested| tested.other.as_deref());
    let name = other.unwrap_or(config.data.name());
    let result = match (accuracy, sections::headline(report)) {
        (Some(accuracy), _) => format!("{} accuracy", percentage(accuracy, 2)),
        (None, Some(metric)) => metric,
        (None, None) => "not evaluated yet".to_owned(),
    };
    let mut sections = vec![
        ("curves", "Training", sections::curves(report)?),
        ("confusion", "Confusion matrix", sections::confusion(report)?),
        ("labels", "Labels", labels_and_numbers::labels(report)),
        ("numbers", "Predictions", labels_and_numbers::numbers(report)?),
        ("mistakes", "Worst mistakes", sections::mistakes(report)?),
        ("calibration", "Calibration", calibration::section(report)?),
        ("weights", "First layer", sections::first_layer(report)?),
        ("repeat", "Repeat this run", Some(sections::repeat(report))),
    ];
    sections.retain(|(_, _, content)| content.is_some());
    let page = Page {
        title: format!("{name}: {result} · seqfit report"),
        header: html! {
            p.eyebrow { "seqfit report" }
            h1 { bdi { (name) } ": " span.whole { (result) } }
            p.lead { (lead(report)) }
            (missing(&report.missing))
            (sections::tiles(report))
            nav aria-label="Sections" {
                ul {
                    @for (id, heading, _) in &sections {
                        li { a href={ "#" (id) } { (heading) } }
                    }
                }
            }
        },
        content: html! {
            @for (id, heading, content) in &sections {
                section aria-labelledby=(id) {
                    h2 id=(id) { (heading) }
                    @if let Some(content) = content { (content) }
                }
            }
        },
        footer: format!(
            "Written by seqfit {} from {}. This page is self-contained.",
            env!("CARGO_PKG_VERSION"),
            report.run.path().display()
        ),
    };
    Ok(page.html())
}

/// Returns a summary of the network, its training and its test.
fn lead(report: &Report) -> String {
    let config = report.run.config();
    let size = Summary::new(&config.network)
        .map_or((0, 0), |summary| (summary.parameters(), summary.multiply_adds()));
    let epochs = report.history.epochs.len();
    let asked = config.fit.epochs;
    let trained = match epochs == asked {
        true => counted(asked, "epoch"),
        false => format!("{epochs} of {}", counted(asked, "epoch")),
    };
    let held_out = match config.fit.validation_split {
        0.0 => String::new(),
        // A no-break space keeps the percent sign on the line of its number.
        fraction => {
            format!(" ({}\u{a0}% of them held out for validation)", number(100.0 * fraction))
        }
    };
    let samples = report.samples();
    let tested = match (&report.tested, &report.result) {
        (Some(Tested { other: Some(_), images, .. }), _) => {
            format!("was tested on {} {samples} of other data", grouped(images.len()))
        }
        (None, None) => "is not tested yet".to_owned(),
        _ => format!(
            "was tested on {} {samples} that it had not seen",
            grouped(config.data.test_samples)
        ),
    };
    let weights = match &report.weights {
        Some(weights) => format!(" The weights shown here are {weights}."),
        None => String::new(),
    };
    format!(
        "A network of {} ({} parameters, {} multiply-adds for each of the {samples}), trained for {trained} on {} {samples} of {}{held_out}. It \
         {tested}.{weights} Started {}.",
        widths(&config.network),
        grouped(size.0),
        grouped(size.1),
        grouped(config.data.train_samples),
        config.data.name(),
        config.created.replace('T', " ").replace('Z', " UTC")
    )
}

/// Returns the widths of the layers with matrices or filters, such as "784-128-64-10", after the size of the pictures if
/// the first of them takes these: "28x28-32-64-10".
pub(super) fn widths(spec: &Spec) -> String {
    let layers = spec.layers_with_inputs().into_iter().flatten();
    let mut widths: Vec<String> = Vec::new();
    for (layer, input) in layers {
        let variables = layer.kind().variables(&input);
        if !variables.iter().any(|variable| variable.trainable && variable.shape.len() > 1) {
            continue;
        }
        if widths.is_empty() {
            widths.push(match input[..] {
                [_, height, width] => format!("{height}x{width}"),
                _ => spec.input_shape.iter().product::<usize>().to_string(),
            });
        }
        let output = layer.kind().output_shape(&input).unwrap_or_default();
        widths.extend(output.first().map(usize::to_string));
    }
    widths.join("-")
}

/// Returns the list of what the page lacks.
fn missing(missing: &[String]) -> Markup {
    html! {
        @if !missing.is_empty() {
            aside.missing aria-label="Missing parts" {
                p { strong { "This report is not complete." } }
                ul {
                    @for what in missing { li { (what) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;
    use crate::layers::{Activation, Dense, Flatten, Layer};

    #[test]
    fn widths_are_those_of_layers_with_matrices_or_filters() {
        let layers: Vec<Layer> = vec![Flatten.into(), Dense::new(7).into(), Dense::new(3).into()];
        assert_eq!(widths(&Spec::new([4, 5], layers)), "20-7-3");
        let cnn: Architecture = "cnn width=8 depth=2".parse().unwrap();
        let spec = cnn.spec(&[28, 28], 10, Activation::Relu, 0.0).unwrap();
        assert_eq!(widths(&spec), "28x28-8-16-10");
    }
}
