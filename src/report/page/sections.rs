//! The sections of the page about a run; those without content are omitted.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::occlusion_overlay::overlay;
use super::super::plot::{Confusion, Figure, shortened};
use super::super::png::{data_uri, image_png};
use super::super::{Report, ReportError, Tested};
use super::page_frame::{figure, head, percent, percentage, scrolled};
use crate::data::PictureShape;
use crate::evaluate::{Evaluation, OcclusionMap};
use crate::message_text::{four_decimals, quoted_word};
use crate::model::grouped;

/// The unit of the losses of numbers.
const SCALED: &str = "of targets scaled to mean 0 and standard deviation 1";

/// The number of most frequent confusions that are listed.
const PAIRS: usize = 8;

/// Returns the accuracy on the test set: as evaluated now, else as recorded by the run.
pub(super) fn accuracy(report: &Report) -> Option<f64> {
    let found = report.assessment().and_then(|found| found.evaluation.accuracy);
    found.or_else(|| report.result.as_ref()?.test.accuracy)
}

/// Returns the metrics on the test set: as evaluated now, else as recorded by the run.
fn metrics<'a>(report: &'a Report) -> Option<&'a BTreeMap<String, f64>> {
    let found = report.assessment().map(|found| &found.evaluation.metrics);
    found.or_else(|| Some(&report.result.as_ref()?.test.metrics))
}

/// Returns the metric, or the loss, that stands for a network without an accuracy.
pub(super) fn headline(report: &Report) -> Option<String> {
    let metrics = metrics(report)?;
    let loss = || Some(("loss", report.assessment()?.evaluation.loss));
    let found = ["r2", "rmse"].iter().find_map(|&name| Some((name, *metrics.get(name)?)));
    found.or_else(loss).map(|(name, value)| format!("{name} {}", four_decimals(value)))
}

/// Returns the most important metrics.
pub(super) fn tiles(report: &Report) -> Markup {
    let mut tiles: Vec<(String, String)> = Vec::new();
    let mut tile =
        |name: &str, text: Option<String>| tiles.extend(text.map(|text| (name.to_owned(), text)));
    let percent = |fraction: f64| percentage(fraction, 2);
    tile("test accuracy", accuracy(report).map(percent));
    let result = report.result.as_ref();
    let loss = report.assessment().map(|found| found.evaluation.loss);
    let loss = loss.or_else(|| Some(result?.test.loss));
    tile("test loss", loss.map(four_decimals));
    for (name, &value) in metrics(report).into_iter().flatten() {
        tile(name, Some(four_decimals(value)));
    }
    let wrong = |found: &Evaluation| {
        if found.confusion.is_empty() {
            return None;
        }
        let right = found.accuracy? * found.samples as f64;
        Some(grouped(found.samples - right.round() as usize))
    };
    tile("wrong predictions", report.assessment().and_then(|found| wrong(&found.evaluation)));
    let last = report.history.last();
    let validation = last.and_then(|last| last.val_accuracy).map(percent);
    tile("validation accuracy", validation);
    let error = |found: &super::super::Assessment| {
        format!("{:.2} points", 100.0 * found.calibration.expected_error())
    };
    let calibrated = report.assessment().filter(|found| found.calibration.samples() > 0);
    tile("calibration error", calibrated.map(error));
    tile("training time", result.map(|result| seconds(result.seconds)));
    let fastest = report.history.epochs.iter().map(|epoch| epoch.samples_per_second);
    let fastest = fastest.filter(|speed| speed.is_finite()).reduce(f64::max);
    let speed = |speed: f64| grouped(speed.round() as usize);
    let peak = format!("peak {}/s", report.samples());
    tile(&peak, fastest.map(speed));
    html! {
        @if !tiles.is_empty() {
            dl.tiles {
                @for (name, text) in &tiles { div { dt { (name) } dd { span.whole { (text) } } } }
            }
        }
    }
}

/// Formats a duration: 75.3 → "1 min 15 s".
pub(in crate::report) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{} min {} s", s as u64 / 60, s as u64 % 60),
        s => format!("{} h {} min", s as u64 / 3600, s as u64 / 60 % 60),
    }
}

/// Returns the plots of loss, accuracy, learning rate and speed by epoch.
pub(super) fn curves(report: &Report) -> Result<Option<Markup>, ReportError> {
    let curves = report.curves();
    if curves.is_empty() {
        return Ok(None);
    }
    let validated = report.history.epochs.iter().any(|epoch| epoch.val_loss.is_some());
    let plots = curves.iter().map(|curves| {
        let caption = match (curves.name.as_str(), validated) {
            ("loss", true) => {
                "Where validation rises while training falls, the network memorizes the training data \
                 (overfitting)."
            }
            ("loss", false) => {
                "Without --validation-split there is no validation curve to compare with."
            }
            ("accuracy", _) => "Measured while training: each batch before its own weight update.",
            ("learning-rate", _) => "The value that the optimizer used, after schedule and callbacks.",
            ("speed", _) => "The time of validation is not counted.",
            _ => "",
        };
        let scaled = report.run.config().network.target_scaling.is_some();
        let unit = match (curves.name.as_str(), scaled) {
            ("loss", true) => format!("{caption} The loss is that {SCALED}."),
            _ => caption.to_owned(),
        };
        figure(curves, &unit)
    });
    let plots = plots.collect::<Result<Vec<_>, _>>()?;
    let result = report.result.as_ref();
    let restored = result.and_then(|result| result.restored_epoch);
    let ended = result.and_then(|result| result.ended_by.as_deref());
    Ok(Some(html! {
        @if let Some(why) = ended { p { "Training ended by " (why) "." } }
        @if let Some(epoch) = restored {
            p { "The weights are those of epoch " (epoch) ", the best one on the validation data." }
        }
        div.plots { @for plot in plots { (plot) } }
        details {
            summary { "The metrics of every epoch" }
            (scrolled("Metrics of every epoch", epochs(report, validated)))
        }
    }))
}

/// Returns the unit of the losses, if it has a name.
fn loss_unit(report: &Report) -> Option<&'static str> {
    let config = report.run.config();
    match &config.network.target_scaling {
        Some(_) => Some(SCALED),
        None => config.fit.loss.is_crossentropy().then_some("in nats"),
    }
}

fn epochs(report: &Report, validated: bool) -> Markup {
    let history = &report.history;
    let accuracies = history.epochs.iter().any(|epoch| epoch.accuracy.is_some());
    let unit = match (loss_unit(report), accuracies) {
        (Some(unit), true) => format!("Losses {unit}, accuracies as fractions"),
        (Some(unit), false) => format!("Losses {unit}, metrics in the units of the data"),
        (None, true) => "Accuracies as fractions".to_owned(),
        (None, false) => "Losses and metrics in the units of the data".to_owned(),
    };
    let optional =
        |value: Option<f64>| value.map(|value| format!("{value:.4}")).unwrap_or_default();
    let own: &[&str] = if accuracies { &["epoch", "loss", "accuracy"] } else { &["epoch", "loss"] };
    let validation: &[&str] = match (validated, accuracies) {
        (true, true) => &["validation loss", "validation accuracy"],
        (true, false) => &["validation loss"],
        (false, _) => &[],
    };
    let metrics: Vec<&str> = history.metrics().into_iter().collect();
    let others: &[&str] = &["learning rate", "seconds", "samples/s"];
    html! {
        table {
            caption { span { (unit) } }
            (head(&[own, validation, &metrics, others].concat()))
            tbody {
                @for e in &history.epochs {
                    tr {
                        th scope="row" { (e.epoch) }
                        td { (format!("{:.4}", e.loss)) }
                        @if accuracies { td { (optional(e.accuracy)) } }
                        @if validated {
                            td { (optional(e.val_loss)) }
                            @if accuracies { td { (optional(e.val_accuracy)) } }
                        }
                        @for name in &metrics { td { (optional(e.metrics.get(*name).copied())) } }
                        td { (format!("{:.3e}", e.learning_rate)) }
                        td { (format!("{:.2}", e.seconds)) }
                        td { (grouped(e.samples_per_second.round() as usize)) }
                    }
                }
            }
        }
    }
}

/// Returns the confusion matrix, the most frequent confusions, and the metrics of each class.
pub(super) fn confusion(report: &Report) -> Result<Option<Markup>, ReportError> {
    let (Some(found), Some(confusion)) = (report.assessment(), report.confusion()) else {
        return Ok(None);
    };
    let classes = report.classes();
    let names = if confusion.is_whole() { "" } else { " The table shows all names in full." };
    let caption = format!(
        "Blue: correct, stronger where recall is higher. Orange: wrong, stronger where the confusion is more \
         frequent; empty cells never occurred.{names}"
    );
    let plot = figure(&confusion, &caption)?;
    let pairs = pairs(&found.evaluation.confusion);
    let figures = found.evaluation.per_class();
    let counts = &found.evaluation.confusion;
    let predicted: Vec<u64> =
        (0..counts.len()).map(|class| counts.iter().map(|row| row[class]).sum()).collect();
    Ok(Some(html! {
        div.side.wide[is_wide(&confusion)] {
            div.matrix {
                (plot)
            }
            div {
            (scrolled("Metrics of each class", html! {
                table {
                    caption {
                        span {
                            "Precision: of the samples predicted as this class, the fraction that belongs to \
                             it. Recall: of the samples of this class, the fraction that was predicted as it. \
                             F1: their harmonic mean. A dash: there are no such samples."
                        }
                    }
                    (head(&["class", "precision", "recall", "F1", "samples"]))
                    tbody {
                        @for ((name, class), predicted) in classes.iter().zip(&figures).zip(&predicted) {
                            tr {
                                th scope="row" { bdi { (name) } }
                                td { (of_any(*predicted, class.precision)) }
                                td { (of_any(class.support, class.recall)) }
                                td { (of_any(predicted + class.support, class.f1)) }
                                td { (grouped(class.support as usize)) }
                            }
                        }
                    }
                }
            }))
                @if !pairs.is_empty() {
                    h3 { "Most frequent confusions" }
                    ol.pairs {
                        @for &(count, is, said) in &pairs {
                            li {
                                bdi { (classes[is]) } " predicted as " bdi { (classes[said]) } ": "
                                (count) @if count == 1 { " time" } @else { " times" }
                            }
                        }
                    }
                }
            }
        }
    }))
}

/// Returns whether the matrix needs the page's whole width, so that the table goes below it.
fn is_wide(confusion: &Confusion) -> bool {
    confusion.size().0 > 600
}

/// Formats a fraction of `samples`; a dash if there are none, because it is undefined.
pub(super) fn of_any(samples: u64, fraction: f64) -> String {
    if samples == 0 { "–".to_owned() } else { format!("{fraction:.4}") }
}

/// Returns the count, true class and predicted class of the most frequent mistakes.
fn pairs(confusion: &[Vec<u64>]) -> Vec<(u64, usize, usize)> {
    let cells = confusion
        .iter()
        .enumerate()
        .flat_map(|(is, row)| row.iter().enumerate().map(move |(said, &count)| (count, is, said)));
    let mut pairs: Vec<_> = cells.filter(|&(count, is, said)| is != said && count > 0).collect();
    pairs.sort_by_key(|&(count, is, said)| (std::cmp::Reverse(count), is, said));
    pairs.truncate(PAIRS);
    pairs
}

/// Returns the wrong predictions with the highest confidence.
pub(super) fn mistakes(report: &Report) -> Result<Option<Markup>, ReportError> {
    let Some(Tested { images, found, maps, .. }) = &report.tested else { return Ok(None) };
    if found.evaluation.confusion.is_empty() {
        return Ok(None);
    }
    let shape = images.picture_shape();
    let (false, Some(shape)) = (found.mistakes.is_empty(), shape) else {
        let is_wrong = found.evaluation.accuracy.is_some_and(|accuracy| accuracy < 1.0);
        let none = match (is_wrong, shape) {
            (true, Some(_)) => "There are some, but the images are too large to show here.",
            (true, None) => "There are some, but only pictures are shown here.",
            (false, _) => "There are none: every prediction on the test set is correct.",
        };
        return Ok(Some(html! { p { (none) } }));
    };
    let name = |class: usize| report.classes()[class].as_str();
    let shown = found.mistakes.iter().zip(maps).map(|(mistake, map)| {
        let image = data_uri(&image_png(&mistake.image, shape)?);
        let probability = |class: usize| percent(mistake.probabilities[class], 1);
        let (said, is) = (name(mistake.said), name(mistake.class));
        let alt = format!(
            "Test image {}: {} predicted as {}",
            mistake.sample,
            shortened(is, 40),
            shortened(said, 40)
        );
        Ok(html! {
            li {
                div.pair {
                    img src=(image) alt=(alt) width=(shape.width) height=(shape.height);
                    (where_it_looks(&mistake.image, shape, map)?)
                }
                p { strong { "predicted " bdi { (said) } } " " (probability(mistake.said)) }
                p { "true class " bdi { (is) } " " (probability(mistake.class)) }
                p.small { "test image " (mistake.sample) }
            }
        })
    });
    let shown = shown.collect::<Result<Vec<Markup>, ReportError>>()?;
    Ok(Some(html! {
        p {
            "The wrong predictions with the highest confidence, with the probability of the predicted class \
             and of the true class. Look here for wrong labels and for what the training data lacks."
        }
        p {
            "Beside each image is where the network looks: a patch of the image's mean color, of a quarter of its width and \
             height, was moved over it. Orange is where covering the image lowers the probability of the predicted class, \
             full orange where it falls most."
        }
        ul.gallery { @for shown in shown { (shown) } }
    }))
}

/// Returns the image with the places in orange that its prediction rests on.
fn where_it_looks(
    image: &[u8],
    shape: PictureShape,
    map: &OcclusionMap,
) -> Result<Markup, ReportError> {
    let Some(drawn) = overlay(image, shape, map) else {
        return Ok(html! { div.none { "no single place matters" } });
    };
    let covered = percentage(map.probability - map.largest_fall(), 1);
    let alt = format!(
        "Where the network looks: with the place that matters most covered, the probability is {covered}"
    );
    let drawn = data_uri(&drawn.png()?);
    Ok(html! { img src=(drawn) alt=(alt) title=(alt) width=(shape.width) height=(shape.height); })
}

/// Returns the first layer's weights as pictures.
pub(super) fn first_layer(report: &Report) -> Result<Option<Markup>, ReportError> {
    let Some(layer) = &report.first_layer else { return Ok(None) };
    let sheet = layer.sheet(1);
    let image = data_uri(&sheet.png()?);
    let (one, many) = if layer.is_convolution { ("filter", "filters") } else { ("unit", "units") };
    let which = match layer.shown == layer.units {
        true => format!("all {} {many}", layer.units),
        false => format!("the first {} of {} {many}", layer.shown, layer.units),
    };
    let colors = match layer.color {
        false => format!(
            "Blue: positive, a bright pixel there activates the {one}; orange: negative; pale: near 0."
        ),
        true => format!(
            "A pixel has the color that activates the {one} there: more red, green or blue for a positive weight, less \
             for a negative one, and gray for weights near 0."
        ),
    };
    let alt = format!("The weights of {which} of the first layer, one picture each");
    Ok(Some(html! {
        figure.weights {
            img src=(image) alt=(alt) width=(sheet.width) height=(sheet.height);
            figcaption {
                "The weights of " (which) ", one picture each. " (colors) " Full color: an absolute weight of "
                (format!("{:.3}", layer.full)) " or more."
            }
        }
    }))
}

/// Returns everything that is needed to repeat the run.
pub(super) fn repeat(report: &Report) -> Markup {
    let config = report.run.config();
    let versions = &config.versions;
    let toml = report.run.config_text();
    html! {
        p { "This command trains the same network again; on the same machine and on the CPU the result is bit-identical:" }
        pre { code { (command(&config.command)) } }
        p {
            "seqfit " (versions.seqfit) ", libtorch " (versions.libtorch) ", " (versions.system) ", "
            (versions.processors) " processors, device " (config.device) "."
        }
        (scrolled("Data files", html! {
            table {
                caption {
                    span {
                        "The data files, with the SHA-256 of their decompressed contents"
                        @if let Some(dir) = config.data.source.as_ref().and_then(|source| source.dir.as_ref()) { "; from " code { (dir.display()) } }
                    }
                }
                thead { tr { th scope="col" { "file" } th.left scope="col" { "SHA-256" } } }
                tbody {
                    @for file in config.data.files() {
                        tr { th scope="row" { (file.name) } td.left { code { (file.sha256) } } }
                    }
                }
            }
        }))
        details {
            summary { "config.toml: every setting" }
            pre { code { (toml) } }
        }
    }
}

/// Returns a command line, quoted for a shell.
fn command(words: &[String]) -> String {
    let arguments = words.iter().skip(1).map(|word| quoted_word(word));
    std::iter::once("seqfit".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_quoted_for_a_shell() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let text = command(&words(&["/a/b/seqfit", "train", "--hidden", "", "--out", "it's <b>"]));
        assert_eq!(text, r"seqfit train --hidden '' --out 'it'\''s <b>'");
        assert_eq!(command(&[]), "seqfit");
    }

    #[test]
    fn durations_are_formatted_in_units() {
        assert_eq!([2.94, 75.3, 7300.0].map(seconds), ["2.9 s", "1 min 15 s", "2 h 1 min"]);
    }

    #[test]
    fn the_most_frequent_confusions_come_first() {
        let found = pairs(&[vec![5, 2, 0], vec![3, 9, 0], vec![0, 2, 9]]);
        assert_eq!(found, [(3, 1, 0), (2, 0, 1), (2, 2, 1)]);
    }
}
