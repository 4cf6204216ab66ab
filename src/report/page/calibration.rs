//! The section on calibration: the reliability diagram, the verdict, and every bin.

use maud::{Markup, html};

use super::super::{Report, ReportError};
use super::page_frame::{figure, head, percent, scrolled};
use crate::metrics::{BINS, Calibration};
use crate::model::grouped;

/// Returns the section, which compares the network's confidence with its accuracy.
pub(super) fn section(report: &Report) -> Result<Option<Markup>, ReportError> {
    let (Some(found), Some(reliability)) = (report.assessment(), report.reliability()) else {
        return Ok(None);
    };
    let calibration = &found.calibration;
    let plot = figure(
        &reliability,
        "Blue: the accuracy of the predictions in a confidence bin. An orange frame up to the dashed line: \
         the network is over-confident there. A green end above the line: it is under-confident. \
         Below: the number of predictions (square-root scale).",
    )?;
    Ok(Some(html! {
        div.side {
            (plot)
            div {
                (verdict(calibration, found.evaluation.accuracy.unwrap_or_default()))
                details {
                    summary { "How these are computed, and every bin" }
                    (method())
                    (scrolled("Bins of confidence", bins(calibration)))
                }
            }
        }
    }))
}

/// Returns the calibration error, its interpretation, and how large it has to be to be significant.
fn verdict(calibration: &Calibration, accuracy: f64) -> Markup {
    let points = |fraction: f64| format!("{:.2}", 100.0 * fraction);
    html! {
        p {
            "Expected calibration error: "
            strong { (points(calibration.expected_error())) }
            " percentage points. On average the network is "
            (percent(calibration.mean_confidence(), 2)) " confident and " (percent(accuracy, 2)) " correct: "
            strong { (calibration.verdict().text()) } "."
        }
        p {
            "Small differences count as well calibrated: an error of up to " (points(calibration.tolerance()))
            " points (1 point, or what chance explains on " (grouped(calibration.samples() as usize)) " predictions), and \
             averages within 1 point of each other or with a difference as large by chance in at least 2.5"
            "\u{a0}% of cases (here " (percent(calibration.chance(), 1)) ")."
        }
        p { "Brier score: " strong { (format!("{:.4}", calibration.brier())) } " (0 is best, 2 worst)." }
    }
}

fn method() -> Markup {
    html! {
        p {
            "Expected calibration error: Σ over the bins of (predictions in the bin / all predictions) · |accuracy - \
             mean confidence|, over 15 bins of equal width, where a prediction's confidence is the probability \
             of the predicted class (Guo, Pleiss, Sun and Weinberger, “On Calibration of Modern Neural \
             Networks”, 2017, arXiv:1706.04599). Chance: the correct predictions of a perfectly calibrated network \
             have the variance V = Σ p (1 - p) over the confidences p of a bin; the error's mean is then \
             Σ √(2V/π) / predictions, and its limit is two standard deviations and one prediction above that. The \
             averages are compared by the binomial distribution. Where they agree and the error does not, a \
             network counts as over-confident or under-confident if three quarters of the error lie on that \
             side. Brier score: the mean over the samples of Σ over the classes of (probability - 1 for \
             the true class or 0)² (Brier, 1950)."
        }
    }
}

fn bins(calibration: &Calibration) -> Markup {
    let width = 100.0 / BINS as f64;
    let range = |i: usize| format!("{:.1} to {:.1} %", width * i as f64, width * (i + 1) as f64);
    html! {
        table {
            caption { span { "Predictions by confidence" } }
            (head(&["confidence", "predictions", "accuracy", "mean confidence"]))
            tbody {
                @for (i, bin) in calibration.bins().iter().enumerate() {
                    @if bin.samples > 0 {
                        tr {
                            th scope="row" { span.whole { (range(i)) } }
                            td { (grouped(bin.samples as usize)) }
                            td { (percent(bin.accuracy(), 2)) }
                            td { (percent(bin.mean_confidence(), 2)) }
                        }
                    }
                }
            }
        }
    }
}
