//! The sections about several labels and about numbers.

use maud::{Markup, html};

use super::super::plot::{Errors, Predicted, short};
use super::super::{Report, ReportError};
use super::page_frame::{figure, head, scrolled};
use super::sections::of_any;
use crate::metrics::Predictions;
use crate::model::grouped;

/// Returns the metrics of each label.
pub(super) fn labels(report: &Report) -> Option<Markup> {
    let evaluation = &report.assessment()?.evaluation;
    if evaluation.labels.is_empty() {
        return None;
    }
    let figures = evaluation.per_class();
    let rows = report.classes().iter().zip(&figures).zip(&evaluation.labels);
    Some(scrolled(
        "Metrics of each label",
        html! {
            table {
                caption {
                    span {
                        "A label is predicted if its probability is above " (Predictions::THRESHOLD) ". Precision: of \
                         the samples predicted to have it, the fraction that has it. Recall: of the samples that \
                         have it, the fraction predicted to. F1: their harmonic mean. A dash: there are no such \
                         samples."
                    }
                }
                (head(&["label", "precision", "recall", "F1", "samples", "predicted"]))
                tbody {
                    @for ((name, label), counts) in rows {
                        tr {
                            th scope="row" { bdi { (name) } }
                            td { (of_any(counts.predicted, label.precision)) }
                            td { (of_any(counts.support, label.recall)) }
                            td { (of_any(counts.predicted + counts.support, label.f1)) }
                            td { (grouped(counts.support as usize)) }
                            td { (grouped(counts.predicted as usize)) }
                        }
                    }
                }
            }
        },
    ))
}

/// Returns the errors of each number: a table, and two plots for each.
pub(super) fn numbers(report: &Report) -> Result<Option<Markup>, ReportError> {
    let fits = report.numbers();
    let Some(found) = report.assessment().filter(|_| !fits.is_empty()) else { return Ok(None) };
    let samples = grouped(found.evaluation.samples);
    let plots = fits.iter().map(|fit| {
        let shown = match fit.is_thinned() {
            true => format!(
                "{} of {samples} test samples, at equal distances.",
                grouped(fit.points.len())
            ),
            false => "Every test sample.".to_owned(),
        };
        Ok([figure(&Predicted(fit), &shown)?, figure(&Errors(fit), "Errors of all test samples.")?])
    });
    let plots = plots.collect::<Result<Vec<_>, ReportError>>()?;
    let rows = report.classes().iter().zip(&found.evaluation.residuals);
    Ok(Some(html! {
        div.plots { @for plot in plots.iter().flatten() { (plot) } }
        (scrolled("Errors of each number", html! {
            table {
                caption {
                    span { "Errors, predicted minus true, in the unit of each number. MAE: mean absolute error. RMSE: root mean squared error." }
                }
                (head(&["number", "mean error", "standard deviation", "lowest", "highest", "MAE", "RMSE"]))
                tbody {
                    @for (name, errors) in rows {
                        tr {
                            th scope="row" { bdi { (name) } }
                            td { (short(errors.mean)) }
                            td { (short(errors.standard_deviation)) }
                            td { (short(errors.min)) }
                            td { (short(errors.max)) }
                            td { (short(errors.mae)) }
                            td { (short(errors.rmse)) }
                        }
                    }
                }
            }
        }))
    }))
}
