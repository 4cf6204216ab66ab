//! Tests that a run's report is one complete, self-contained file, lists what is missing, and escapes all
//! names, and that runs are compared by their saved files.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::numpy::{digits_options, write_digits};
use crate::common::{CommandOutput, listing, run, seqfit, succeed, write_stripes};
use scraper::{ElementRef, Html, Selector};
use seqfit::data::{self, Dataset, Features, Targets};
use seqfit::layers::{Dense, Flatten};
use seqfit::report::{Calibration, Report};
use seqfit::run::{DataConfig, Run, RunConfig};
use seqfit::{Activation, Device, FitConfig, Loss, Metric, Sequential};
use serde_json::Value;

fn train(home: &Path, out: &str, options: &[&str]) -> CommandOutput {
    let quick = ["train", "--dataset", "digits", "--epochs", "3", "--out", out];
    succeed(seqfit(home).args(quick).args(options))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn all<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).unwrap()).collect()
}

fn text(element: &ElementRef) -> String {
    element.text().collect()
}

/// Parses a page after checking the rules for every page.
fn page(path: &Path) -> Html {
    let source = read(path);
    let page = Html::parse_document(&source);
    assert_eq!(page.errors, Vec::<&str>::new(), "{}", path.display());
    // Nothing is loaded from outside, and no script runs.
    for forbidden in ["http:", "https:", "//", "url(", "@import", "javascript:", "srcset", "style="]
    {
        // Base64 data may contain any text.
        let rest: String = source.split('"').filter(|part| !part.starts_with("data:")).collect();
        assert!(!rest.contains(forbidden), "{forbidden} in {}", path.display());
    }
    assert!(all(&page, "script, link, iframe, object, form, [onload], [onerror]").is_empty());
    for element in all(&page, "[src]") {
        assert!(element.attr("src").is_some_and(|src| src.starts_with("data:image/png;base64,")));
    }
    for element in all(&page, "[href]") {
        let href = element.attr("href").unwrap();
        let name = href.strip_prefix('#').unwrap_or_else(|| panic!("{href}"));
        assert_eq!(all(&page, &format!("[id='{name}']")).len(), 1, "{href}");
    }
    let ids: Vec<_> = all(&page, "[id]").iter().map(|e| e.attr("id").unwrap()).collect();
    assert_eq!(ids.len(), ids.iter().collect::<HashSet<_>>().len(), "{ids:?}");
    // Every picture has a text alternative, and every table has headers and a caption.
    for image in all(&page, "img") {
        assert!(image.attr("alt").is_some_and(|alt| alt.len() > 10));
    }
    for svg in all(&page, "svg") {
        let title = format!("title[id='{}']", svg.attr("aria-labelledby").unwrap());
        let title = svg.select(&Selector::parse(&title).unwrap()).next().unwrap();
        assert!(svg.attr("role") == Some("img") && text(&title).len() > 20);
    }
    for table in all(&page, "table") {
        for part in ["caption", "thead th[scope=col]", "tbody th[scope=row]"] {
            assert!(table.select(&Selector::parse(part).unwrap()).next().is_some(), "{part}");
        }
    }
    for number in ["NaN", "inf", "-0.00"] {
        let whole = text(&page.root_element());
        let words = whole.split(|c: char| c.is_whitespace() || c == '<');
        assert!(!words.into_iter().any(|word| word == number), "{number}");
    }
    page
}

fn sections(page: &Html) -> Vec<String> {
    all(page, "section > h2").iter().map(|h2| h2.attr("id").unwrap().to_owned()).collect()
}

/// Returns the names of the plots, after reading each of them.
fn plots(run: &Path) -> Vec<String> {
    let names = listing(&run.join("plots"));
    for name in &names {
        let path = run.join("plots").join(name);
        let Some(svg) = name.strip_suffix(".svg") else {
            let picture = image::open(&path).unwrap().into_rgb8();
            let colours: HashSet<_> = picture.pixels().collect();
            assert!(colours.len() > 20, "{name} shows little: {}", colours.len());
            continue;
        };
        let source = read(&path);
        let svg_file = roxmltree::Document::parse(&source).unwrap();
        let root = svg_file.root_element();
        let points = |name| root.attribute(name).unwrap().parse::<u32>().unwrap();
        let size = (2 * points("width"), 2 * points("height"));
        if let Ok(found) = image::image_dimensions(path.with_file_name(format!("{svg}.png"))) {
            assert_eq!(found, size, "{name}");
        }
        assert!(!source.contains("NaN") && !source.contains("var("), "{name}");
    }
    names
}

#[test]
fn report_of_a_run_has_every_section() {
    let home = tempfile::tempdir().unwrap();
    let output = train(home.path(), "r", &["--validation-split", "0.1"]);
    assert!(output.stdout.ends_with("run:  r\n"), "{output:?}");
    assert!(output.stderr.ends_with("next: seqfit report r\n"), "{output:?}");
    let output = succeed(seqfit(home.path()).args(["report", "r"]));
    assert_eq!(output.stdout, "report: r/report.html\n");
    let run = home.path().join("r");
    let page = page(&run.join("report.html"));
    let expected = ["curves", "confusion", "mistakes", "calibration", "weights", "repeat"];
    assert_eq!(sections(&page), expected);
    let svg = [
        "accuracy.svg",
        "calibration.svg",
        "confusion.svg",
        "learning-rate.svg",
        "loss.svg",
        "mistakes.png",
        "speed.svg",
        "weights.png",
    ];
    assert_eq!(plots(&run), svg);
    let png = succeed(seqfit(home.path()).args(["report", "r", "--png", "--json"]));
    let expected = [
        "accuracy.png",
        "accuracy.svg",
        "calibration.png",
        "calibration.svg",
        "confusion.png",
        "confusion.svg",
        "learning-rate.png",
        "learning-rate.svg",
        "loss.png",
        "loss.svg",
        "mistakes.png",
        "speed.png",
        "speed.svg",
        "weights.png",
    ];
    assert_eq!(plots(&run), expected);
    let written: Value = serde_json::from_str(&png.stdout).unwrap();
    assert_eq!(written["plots"].as_array().unwrap().len(), expected.len());

    // The metrics are those saved by training, and those of `evaluate`.
    let result: Value = serde_json::from_str(&read(&run.join("result.json"))).unwrap();
    let accuracy = result["test"]["accuracy"].as_f64().unwrap();
    let percent = format!("digits: {:.2} % accuracy", 100.0 * accuracy);
    assert_eq!(text(&all(&page, "h1")[0]), percent);
    let output = succeed(seqfit(home.path()).args(["evaluate", "r", "--json"]));
    let evaluated: Value = serde_json::from_str(&output.stdout).unwrap();
    let rows = all(&page, "[aria-label='Metrics of each class'] tbody tr");
    assert_eq!(rows.len(), 10);
    for (row, class) in rows.iter().zip(evaluated["classes"].as_array().unwrap()) {
        let cells: Vec<String> = row.child_elements().map(|cell| text(&cell)).collect();
        let metric = |name: &str| format!("{:.4}", class[name].as_f64().unwrap());
        assert_eq!(cells[0], class["name"].as_str().unwrap());
        assert_eq!(cells[1..4], ["precision", "recall", "f1"].map(metric));
    }
    // The mistakes agree with the matrix, with the most confident first.
    let wrong = (360.0 * (1.0 - accuracy)).round() as usize;
    let shown = all(&page, ".gallery li");
    assert_eq!(shown.len(), wrong.min(24));
    let sure: Vec<f64> = shown
        .iter()
        .map(|item| {
            let summary = text(&item.select(&Selector::parse("p").unwrap()).next().unwrap());
            summary.trim_end_matches(" %").rsplit(' ').next().unwrap().parse().unwrap()
        })
        .collect();
    assert!(sure.is_sorted_by(|a, b| a >= b), "{sure:?}");
    // Beside each image is where the network looks, in the same size, if a single place matters.
    let [images, maps] = ["img:first-child", "img:last-child"].map(|which| {
        let images = all(&page, &format!(".gallery .pair {which}"));
        images.iter().map(|image| image.attr("src").unwrap().to_owned()).collect::<HashSet<_>>()
    });
    let none = all(&page, ".gallery .none").len();
    assert_eq!((images.len(), maps.len() + none), (shown.len(), shown.len()));
    assert!(images.is_disjoint(&maps) && none < shown.len() / 2, "{none}");
    // The command and the config are shown as saved on disk.
    let config = read(&run.join("config.toml"));
    assert!(all(&page, "pre code").iter().any(|code| text(code) == config));
    let command = "seqfit train --dataset digits --epochs 3 --out r --validation-split 0.1";
    assert!(all(&page, "pre code").iter().any(|code| text(code) == command));
}

#[test]
fn shortest_run_has_a_report() {
    let home = tempfile::tempdir().unwrap();
    let options = ["--epochs", "1", "--hidden", "", "--report"];
    let quick = ["train", "--dataset", "digits", "--out", "r"];
    let output = succeed(seqfit(home.path()).args(quick).args(options));
    assert!(output.stdout.ends_with("page: r/report.html\n"), "{output:?}");
    let page = page(&home.path().join("r/report.html"));
    assert_eq!(sections(&page).len(), 6);
    assert_eq!(all(&page, "[aria-label='Metrics of every epoch'] tbody tr").len(), 1);
    assert!(!text(&page.root_element()).contains("validation accuracy"));
    succeed(seqfit(home.path()).args(["report", "r", "--png"]));
    plots(&home.path().join("r"));
}

#[test]
fn report_escapes_all_names() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("<i>data");
    let names = [
        "<script>alert(1)</script>",
        "\"quoted' & </svg><b>",
        &"W".repeat(100),
        "שלום עולם",
        "--> ]]> {{x}} %s",
        "o (お)",
        "#14181D",
        "\"#14181D\"",
    ];
    write_stripes(&data, 8, 8, names.len() as u8);
    fs::write(data.join("classes.txt"), names.join("\n")).unwrap();
    let options =
        ["train", "--data-dir", "<i>data", "--epochs", "2", "--out", "it's <b>", "--report"];
    succeed(seqfit(home.path()).args(options));
    let run = home.path().join("it's <b>");
    let page = page(&run.join("report.html"));
    let rows = all(&page, "[aria-label='Metrics of each class'] tbody th");
    assert_eq!(rows.iter().map(text).collect::<Vec<_>>(), names);
    assert!(text(&all(&page, "h1")[0]).starts_with("<i>data: "));
    assert!(all(&page, "b, i").is_empty());
    succeed(seqfit(home.path()).args(["report", "it's <b>", "--png"]));
    plots(&run);
    // Names are also text in the SVG, and not colors.
    let svg = read(&run.join("plots/confusion.svg"));
    let svg = roxmltree::Document::parse(&svg).unwrap();
    let shown: Vec<_> = svg.descendants().filter(|node| node.has_tag_name("text")).collect();
    let shown = |name: &str| shown.iter().any(|node| node.text().unwrap_or("").trim() == name);
    assert!(shown("\"#14181D\"") && shown("<script>alert(1)</script>") && shown("שלום עולם"));
    let copied =
        Command::new("cp").args(["-r", "it's <b>", "<b>2"]).current_dir(home.path()).status();
    assert!(copied.unwrap().success());
    succeed(seqfit(home.path()).args(["compare", "it's <b>", "<b>2", "--out", "c.html"]));
    let compared = self::page(&home.path().join("c.html"));
    assert!(all(&compared, "b").is_empty());
}

#[test]
fn report_has_a_matrix_for_many_classes() {
    let home = tempfile::tempdir().unwrap();
    for classes in [20, 50, 120, 200] {
        write_stripes(&home.path().join("data"), u32::from(classes), 2, classes);
        let options = ["--epochs", "1", "--out", "r", "--force", "--report"];
        succeed(seqfit(home.path()).args(["train", "--data-dir", "data"]).args(options));
        let page = page(&home.path().join("r/report.html"));
        let rows = all(&page, "[aria-label='Metrics of each class'] tbody tr");
        assert_eq!(rows.len(), usize::from(classes));
        succeed(seqfit(home.path()).args(["report", "r", "--png"]));
        plots(&home.path().join("r"));
        let (width, height) =
            image::image_dimensions(home.path().join("r/plots/confusion.png")).unwrap();
        assert!(width < 2200 && height < 2200, "{width} {height}");
    }
}

#[test]
fn report_lists_what_is_missing() {
    let home = tempfile::tempdir().unwrap();
    write_stripes(&home.path().join("data"), 6, 6, 3);
    let options = ["--epochs", "4", "--out", "r"];
    succeed(seqfit(home.path()).args(["train", "--data-dir", "data"]).args(options));
    let run = home.path().join("r");
    let again = || {
        let output = succeed(seqfit(home.path()).args(["report", "r", "--json"]));
        let summary: Value = serde_json::from_str(&output.stdout).unwrap();
        let missing = summary["missing"].as_array().unwrap().clone();
        let page = page(&run.join("report.html"));
        let listed = all(&page, ".missing li").iter().map(text).collect::<Vec<_>>();
        assert_eq!(listed, missing.iter().map(|m| m.as_str().unwrap()).collect::<Vec<_>>());
        (listed, sections(&page), text(&all(&page, "h1")[0]))
    };
    assert_eq!(again().0, Vec::<String>::new());

    // Without its data, and with other data.
    let hidden = home.path().join("elsewhere");
    fs::rename(home.path().join("data"), &hidden).unwrap();
    let (missing, found, title) = again();
    assert!(
        missing.len() == 1 && missing[0].contains("data is gone: name its new place"),
        "{missing:?}"
    );
    assert_eq!(found, ["curves", "weights", "repeat"]);
    assert!(title.ends_with("% accuracy"), "{title}");
    write_stripes(&home.path().join("data"), 6, 6, 2);
    let (missing, ..) = again();
    assert!(missing.len() == 1 && missing[0].contains("cannot be read"), "{missing:?}");
    let output = run_in(home.path(), &["report", "r", "--data-dir", "nowhere"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    let output = run_in(home.path(), &["report", "r", "--data-dir", "elsewhere"]);
    assert_eq!((output.code, output.stderr.contains("note: ")), (0, false), "{}", output.stderr);

    // In progress: with checkpoints and a partially written line.
    fs::remove_dir_all(home.path().join("data")).unwrap();
    fs::rename(&hidden, home.path().join("data")).unwrap();
    for file in ["model.safetensors", "model.pt", "result.json"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    let mut history = read(&run.join("history.csv"));
    history.push_str("5,0.1");
    fs::write(run.join("history.csv"), history).unwrap();
    let (missing, found, _) = again();
    assert!(missing.len() == 1 && missing[0].contains("newest checkpoint"), "{missing:?}");
    assert_eq!(found.len(), 6);
    let output = run_in(home.path(), &["report", "r"]);
    let all = output.stdout + &output.stderr;
    assert!(all.contains("next: seqfit serve r --checkpoint last"), "{all}");

    // Just started.
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    fs::remove_file(run.join("history.csv")).unwrap();
    let (missing, found, title) = again();
    assert!(missing.len() == 1 && missing[0].contains("no network yet"), "{missing:?}");
    assert_eq!((found, title.as_str()), (vec!["repeat".to_owned()], "data: not evaluated yet"));

    // An invalid history is an error, and the page stays.
    let before = read(&run.join("report.html"));
    fs::write(run.join("history.csv"), "epoch\n1\n").unwrap();
    let output = run_in(home.path(), &["report", "r"]);
    assert!(output.code == 1 && output.stderr.contains("is not a run's history"), "{output:?}");
    assert_eq!(read(&run.join("report.html")), before);
    let output = run_in(home.path(), &["report", "nowhere"]);
    assert!(output.code == 1 && output.stderr.contains("nowhere does not exist"), "{output:?}");
}

fn run_in(home: &Path, arguments: &[&str]) -> CommandOutput {
    run(seqfit(home).args(arguments))
}

#[test]
fn report_is_updated_and_removed_with_its_run() {
    let home = tempfile::tempdir().unwrap();
    train(home.path(), "r", &["--report"]);
    let run = home.path().join("r");
    let page = || read(&run.join("report.html"));
    assert!(page().contains("3 epochs"));
    succeed(seqfit(home.path()).args(["report", "r", "--png"]));
    let png = || fs::read(run.join("plots/loss.png")).unwrap();
    let before = png();
    // Resuming rewrites it, so that it never shows other weights.
    succeed(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "4"]));
    assert!(page().contains("4 epochs") && !page().contains("3 epochs"));
    assert!(png() != before);
    // No other file overwrites it, and it is removed with its run.
    for file in ["r/report.html", "r/plots/loss.png"] {
        let output =
            run_in(home.path(), &["export", "r", "--format", "torchscript", "--out", file]);
        assert!(output.code == 1 && output.stderr.contains("belongs to the run"), "{output:?}");
    }
    let begin = ["train", "--dataset", "digits", "--epochs", "1", "--out", "r"];
    assert_eq!(run_in(home.path(), &begin).code, 1);
    fs::write(run.join("plots/mine.txt"), "mine").unwrap();
    let output = run_in(home.path(), &[&begin[..], &["--force"]].concat());
    assert!(output.code == 1 && output.stderr.contains("files that are not a run's"), "{output:?}");
    fs::remove_file(run.join("plots/mine.txt")).unwrap();
    succeed(seqfit(home.path()).args(begin).arg("--force"));
    assert!(!run.join("report.html").exists() && !run.join("plots").exists());
    // A file at the path of the folder: nothing is written partially.
    fs::write(run.join("plots"), "a file").unwrap();
    let output = run_in(home.path(), &["report", "r"]);
    assert!(output.code == 1 && !run.join("report.html").exists(), "{output:?}");
}

#[test]
fn compare_of_runs_with_other_targets_names_no_best() {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    for kind in ["class", "labels", "numbers"] {
        let mut train = seqfit(home.path());
        train.args(["train", "-q", "--epochs", "1", "--out", kind]).args(digits_options(kind));
        succeed(&mut train);
    }
    let output = succeed(seqfit(home.path()).args(["compare", "class", "labels", "numbers"]));
    let line = |name: &str| output.stdout.lines().find(|line| line.starts_with(name)).unwrap();
    for words in ["10 classes (classes_test)", "3 labels (labels_test)", "1 number (numbers_test)"]
    {
        assert!(line("targets").contains(words), "{}", output.stdout);
    }
    assert!(!line("test accuracy").contains('*') && !line("test loss").contains('*'));
    assert!(output.stdout.contains("tested on different data"), "{}", output.stdout);
}

#[test]
fn compare_shows_runs_side_by_side() {
    let home = tempfile::tempdir().unwrap();
    let data = ["--validation-split", "0.2"];
    train(home.path(), "small", &[&data[..], &["--hidden", "8"]].concat());
    let wide = ["--hidden", "32,16", "--activation", "tanh", "--batch-size", "64", "--epochs", "6"];
    let begin = ["train", "--dataset", "digits", "--out", "wide"];
    succeed(seqfit(home.path()).args(begin).args(wide));
    let output = succeed(seqfit(home.path()).args(["compare", "small", "wide"]));
    let line = |name: &str| {
        let line = output.stdout.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {}", output.stdout));
        line[name.len()..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("network"), ["64-8-10", "relu", "64-32-16-10", "tanh"]);
    assert_eq!(line("fit.batch_size"), ["32", "64"]);
    assert_eq!(line("fit.epochs"), ["3", "6"]);
    assert_eq!(line("parameters"), ["610", "2,778"]);
    assert!(
        !output.stdout.contains("fit.seed") && !output.stdout.contains("data "),
        "{}",
        output.stdout
    );
    assert_eq!(line("validation loss").len(), 2);
    let better = line("test accuracy");
    assert_eq!(better.iter().filter(|word| *word == "*").count(), 1, "{better:?}");

    let arguments = ["compare", "wide", "small", "--json", "--out", "c.html"];
    let output = succeed(seqfit(home.path()).args(arguments));
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&json["runs"][0]["epochs"], &json["same_data"]), (&6.into(), &true.into()));
    assert!(json["runs"][0]["validation_loss"].is_null());
    assert!(json["runs"][1]["validation_loss"].is_f64());
    let page = page(&home.path().join("c.html"));
    assert_eq!(sections(&page), ["figures", "settings", "curves"]);
    assert_eq!(all(&page, "svg").len(), 6);

    // With different test data, no run is the best.
    write_stripes(&home.path().join("stripes"), 8, 8, 10);
    let begin = ["train", "--data-dir", "stripes", "--epochs", "1", "--out", "other"];
    succeed(seqfit(home.path()).args(begin));
    let output = succeed(seqfit(home.path()).args(["compare", "small", "other"]));
    assert!(output.stdout.contains("tested on different data"), "{}", output.stdout);
    let line = output.stdout.lines().find(|line| line.starts_with("test accuracy")).unwrap();
    assert!(!line.contains('*'), "{line}");

    for (arguments, code) in [
        (&["compare", "small"][..], 2),
        (&["compare", "small", "nowhere"], 1),
        (&["compare", "small", "wide", "--out", "wide/config.toml"], 1),
        (&["compare", "small", "wide", "--out", "no/such/c.html"], 1),
    ] {
        let output = run_in(home.path(), arguments);
        assert_eq!((output.code, output.stdout.as_str()), (code, ""), "{arguments:?}");
    }
}

/// Checks that a broken page fails this file's checks.
#[test]
fn broken_page_fails_the_checks() {
    let broken = "<!DOCTYPE html><html><body><p><div></p></b></body></html>";
    assert!(!Html::parse_document(broken).errors.is_empty());
    assert!(roxmltree::Document::parse("<svg><text>&nbsp;</svg>").is_err());
}

/// The formulas are in tests/fixtures/make_calibration.py.
#[test]
fn calibration_matches_numpy() {
    let fixture: Value =
        serde_json::from_str(include_str!("../fixtures/calibration.json")).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let numbers = |value: &Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let mut calibration = Calibration::default();
        let labels = numbers(&case["labels"]);
        for (row, label) in case["probabilities"].as_array().unwrap().iter().zip(labels) {
            calibration.add(&numbers(row), label as usize);
        }
        let counts: Vec<f64> = calibration.bins().iter().map(|bin| bin.samples as f64).collect();
        assert_eq!(counts, numbers(&case["counts"]));
        // Sums of 50 to 120 numbers of at most 2, in another order.
        for (name, got) in [
            ("expected_error", calibration.expected_error()),
            ("brier", calibration.brier()),
            ("mean_confidence", calibration.mean_confidence()),
        ] {
            let expected = case[name].as_f64().unwrap();
            assert!((got - expected).abs() < 1e-12, "{name}: {got} {expected}");
        }
    }
}

/// A run that was trained on the digits with other targets, and its report.
fn report_of(folder: &Path, targets: impl Fn(&[u8], usize) -> Targets, loss: Loss) -> Html {
    let digits = data::resolve(
        &data::Request::Named(data::DatasetName::Digits),
        &data::Locations { data: None, cache: None, mirrors: None },
        &mut |_| {},
    );
    let data::Loaded { train, test, source, .. } = digits.unwrap();
    let with_targets = |data: &Dataset| {
        let classes: Vec<u8> = (0..data.len()).map(|i| data.label(i)).collect();
        let pixels: Vec<u8> = (0..data.len()).flat_map(|i| data.image(i).to_vec()).collect();
        let features = Features::pixels(pixels, data.sample_shape());
        Dataset::from_arrays(features, targets(&classes, data.len())).unwrap()
    };
    let (train, test) = (with_targets(&train), with_targets(&test));
    let fit = FitConfig {
        epochs: 8,
        validation_split: 0.1,
        metrics: Metric::usual(train.target_kind()),
        loss,
        ..FitConfig::default()
    };
    let network =
        Sequential::new([8, 8]).add(Flatten).add(Dense::new(32).activation(Activation::Relu));
    let mut model =
        network.add(Dense::new(train.target_names().len())).build(Device::Cpu, 1).unwrap();
    let loaded = data::Loaded { train, test, source, notes: Vec::new() };
    let config = DataConfig::of(&loaded);
    let config = RunConfig::now(Device::Cpu, config, fit.clone(), model.spec().clone());
    let run = Run::create(&folder.join("run"), false, config).unwrap();
    let history = model.fit(&loaded.train, &fit, &mut []).unwrap();
    run.save(&model, &history).unwrap();
    let mut report = Report::new(&run).unwrap();
    report.add_network(&model).unwrap();
    report.add_test(&model, &loaded.test, &loaded.source).unwrap();
    page(&report.write().unwrap().page)
}

#[test]
fn report_on_numbers_shows_errors_and_nothing_about_classes() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = |classes: &[u8], _: usize| {
        let values: Vec<f32> =
            classes.iter().flat_map(|&c| [c.into(), 10.0 - f32::from(c)]).collect();
        Targets::numbers(values, ["digit", "10 - digit"])
    };
    let page = report_of(folder.path(), numbers, Loss::MeanSquaredError);
    assert_eq!(sections(&page), ["curves", "numbers", "weights", "repeat"]);
    assert!(text(&all(&page, "h1")[0]).contains("r2 0."), "{}", text(&all(&page, "h1")[0]));
    let names = plots(&folder.path().join("run"));
    for name in ["predicted-1.svg", "predicted-2.svg", "errors-1.svg", "errors-2.svg", "r2.svg"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    for other in ["confusion.svg", "calibration.svg", "accuracy.svg"] {
        assert!(!names.iter().any(|found| found == other), "{other} in {names:?}");
    }
    let page = text(&page.root_element());
    for word in ["accuracy", "accuracies", "nats", "training images"] {
        assert!(!page.contains(word), "{word} in {page}");
    }
    assert!(page.contains("Losses and metrics in the units of the data"));
}

#[test]
fn report_on_labels_has_a_table_by_label_and_no_confusion_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let labels = |classes: &[u8], _: usize| {
        let values: Vec<u8> = classes
            .iter()
            .flat_map(|c| [c % 2 == 0, *c > 4, [2, 3, 5, 7].contains(c)].map(u8::from))
            .collect();
        Targets::labels(values, ["even", "above four", "prime"])
    };
    let page = report_of(folder.path(), labels, Loss::BinaryCrossentropy);
    assert_eq!(sections(&page), ["curves", "labels", "weights", "repeat"]);
    let rows = all(&page, "[aria-label='Metrics of each label'] tbody tr");
    let names: Vec<String> =
        rows.iter().map(|row| text(row).split("0.").next().unwrap().to_owned()).collect();
    assert_eq!(names, ["even", "above four", "prime"]);
    let names = plots(&folder.path().join("run"));
    assert!(names.iter().any(|name| name == "roc_auc.svg"), "{names:?}");
    assert!(!names.iter().any(|name| name == "confusion.svg" || name == "calibration.svg"));
}
