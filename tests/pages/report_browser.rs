//! Tests in a real browser that reports and comparisons are accessible: axe-core finds no serious violation
//! in light or dark mode, nothing is requested from outside, and no text is cut, hidden or overlapped on a
//! narrow or a wide screen, for any number of classes and runs and any length of names.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{self, browser, succeed, write_stripes};
use serde_json::Value;

#[test]
fn report_pages_are_accessible() {
    let Some(chromium) = browser() else { return };
    let home = tempfile::tempdir().unwrap();
    let data = match common::mnist() {
        Some(mnist) => vec!["--data-dir".to_owned(), mnist.display().to_string()],
        None => vec!["--dataset".to_owned(), "digits".to_owned()],
    };
    let train = |out: &str, options: &[&str]| {
        let begin = ["train", "--validation-split", "0.1", "--report", "--out", out];
        succeed(common::seqfit(home.path()).args(begin).args(&data).args(options));
    };
    train("a", &["--epochs", "10"]);
    train("b", &["--epochs", "3", "--hidden", "32"]);
    succeed(common::seqfit(home.path()).args(["compare", "a", "b", "--out", "compare.html"]));
    let broken = "<!DOCTYPE html><html lang='en'><title>x</title><body><section><svg><line/></svg>\
        <img src='http://127.0.0.1:9/x.png'><p style='color: #ccc; width: 900px'>faint</p></section>";
    std::fs::write(home.path().join("broken.html"), broken).unwrap();
    let shot = std::env::var_os("SEQFIT_SCREENSHOTS").map(PathBuf::from);

    let mut command = Command::new("node");
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/check_accessibility.mjs");
    command.current_dir(home.path()).arg(script).arg(chromium);
    command.args(["a/report.html", "compare.html", "broken.html"]);
    let output = succeed(&mut command);
    let results: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let serious = |page: &Value| -> Vec<String> {
        let both = ["light", "dark"].map(|scheme| page["violations"][scheme].as_array().unwrap());
        let all = both.into_iter().flatten();
        let serious = all
            .filter(|found| ["serious", "critical"].contains(&found["impact"].as_str().unwrap()));
        serious.map(ToString::to_string).collect()
    };
    for page in &results[..2] {
        assert_eq!(serious(page), Vec::<String>::new());
        assert_eq!(page["requests"], Value::Array(vec![]));
        assert_eq!(page["complaints"], Value::Array(vec![]));
        assert_eq!((&page["broken"], &page["contrast"]), (&0.into(), &2.into()));
        // The page's own policy allows its style.
        assert_eq!(page["padding"], "12px");
        assert!(page["narrow"].as_u64() <= Some(320), "{}", page["narrow"]);
        for part in ["paper", "ink", "plot"] {
            assert_ne!(page["light"][part], page["dark"][part], "{part}");
        }
    }
    // The same check finds an existing fault.
    let broken = &results[2];
    assert!(!serious(broken).is_empty() && broken["narrow"].as_u64() > Some(320), "{broken}");
    assert!(
        !broken["requests"].as_array().unwrap().is_empty() && broken["broken"] == 1,
        "{broken}"
    );

    if let Some(folder) = shot {
        let file = folder.join("report.png");
        let mut command = Command::new("node");
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/check_accessibility.mjs");
        command.current_dir(home.path()).arg(script).arg(browser().unwrap());
        succeed(command.args(["a/report.html", "--screenshot"]).arg(file));
    }
}

/// Names of every kind, including bad ones.
fn names(classes: usize) -> Vec<String> {
    let long = [
        "x".repeat(100),
        "漢字の名前".repeat(20),
        "a name of several words that says exactly what is to be seen in the pictures of this class".into(),
        "T-shirt/top".into(),
        "W".into(),
    ];
    (0..classes)
        .map(|i| long.get(i).cloned().unwrap_or_else(|| format!("class number {i}")))
        .collect()
}

/// Returns 0 to 9, A to Z, a to z: the classes of EMNIST.
fn characters() -> Vec<String> {
    ('0'..='9').chain('A'..='Z').chain('a'..='z').map(String::from).collect()
}

/// Trains briefly on stripes of these classes, and writes the report.
fn report_on(home: &Path, out: &str, names: &[String]) {
    let data = home.join(format!("data-{out}"));
    write_stripes(&data, names.len() as u32, 6, names.len() as u8);
    std::fs::write(data.join("classes.txt"), names.join("\n") + "\n").unwrap();
    let begin = ["train", "--validation-split", "0.1", "--epochs", "2", "--report", "--out", out];
    succeed(common::seqfit(home).args(begin).arg("--data-dir").arg(data));
}

/// Compares runs on the digits that differ in many settings; `name` returns their folder names. Each is trained once.
fn compare(home: &Path, out: &str, runs: usize, name: impl Fn(usize) -> String) {
    let names: Vec<String> = (0..runs).map(name).collect();
    for (i, name) in names.iter().enumerate() {
        let trained = home.join(format!("trained-{i}"));
        if !trained.exists() {
            train_variant(home, &trained, i);
        }
        succeed(Command::new("cp").arg("-r").arg(trained).arg(home.join(name)));
    }
    succeed(common::seqfit(home).arg("compare").args(&names).args(["--out", out]));
}

fn train_variant(home: &Path, out: &Path, i: usize) {
    let begin = ["train", "--dataset", "digits", "--validation-split", "0.1", "--epochs", "2"];
    let hidden = ["128,64", "32", "256,128,64,32", "16,16", "64", "512"][i % 6];
    let optimizer = ["adam", "adamw", "sgd", "rmsprop"][i % 4];
    let mut train = common::seqfit(home);
    train.args(begin).args(["--hidden", hidden, "--optimizer", optimizer, "--out"]).arg(out);
    train.args(["--batch-size", &(16 << (i % 4)).to_string()]);
    if i % 2 == 1 {
        train.args(["--early-stopping", "3", "--dropout", "0.25"]);
    }
    succeed(&mut train);
}

/// Returns the faults that tests/browser/check_layout.mjs finds in each page, view by view.
fn measured(home: &Path, chromium: &Path, pages: &[&str]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/check_layout.mjs");
    let mut command = Command::new("node");
    command.current_dir(home).arg(script).arg(chromium).args(pages);
    if let Some(folder) = std::env::var_os("SEQFIT_SCREENSHOTS") {
        command.arg("--screenshots").arg(folder);
    }
    let output = succeed(&mut command);
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn report_text_is_never_cut_or_overlapped() {
    let Some(chromium) = browser() else { return };
    let home = tempfile::tempdir().unwrap();
    report_on(home.path(), "classes-2", &["cat".to_owned(), "dog".to_owned()]);
    report_on(home.path(), "classes-10-long", &names(10));
    report_on(home.path(), "classes-62", &characters());
    report_on(home.path(), "classes-62-long", &names(62));
    report_on(home.path(), "classes-200", &names(200));
    let digits =
        ["train", "--dataset", "digits", "--epochs", "3", "--report", "--out", "classes-10"];
    succeed(common::seqfit(home.path()).args(digits));
    compare(home.path(), "compare-2.html", 2, |i| ["small", "wide"][i].to_owned());
    compare(home.path(), "compare-6.html", 6, |i| format!("run-{}", i + 1));
    compare(home.path(), "compare-6-long.html", 6, |i| {
        format!("{i}{}", "_experiment".repeat(i + 1))
    });
    compare(home.path(), "compare-12.html", 12, |i| {
        format!("digits-batch-{}-try-{i}", 16 << (i % 4))
    });
    let pages = [
        "classes-2/report.html",
        "classes-10/report.html",
        "classes-10-long/report.html",
        "classes-62/report.html",
        "classes-62-long/report.html",
        "classes-200/report.html",
        "compare-2.html",
        "compare-6.html",
        "compare-6-long.html",
        "compare-12.html",
    ];
    let found = measured(home.path(), &chromium, &pages);
    assert_eq!(found.len(), pages.len());
    for page in found {
        let views = page["layout"].as_object().unwrap();
        assert_eq!(views.len(), 4);
        for (view, faults) in views {
            assert_eq!(faults, &Value::Array(vec![]), "{} at {view}", page["page"]);
        }
    }
}

/// Checks that the measurement finds a fault: each page has one.
#[test]
fn layout_check_finds_faults() {
    let Some(chromium) = browser() else { return };
    let home = tempfile::tempdir().unwrap();
    report_on(home.path(), "r", &["cat".to_owned(), "dog".to_owned()]);
    let sound = std::fs::read_to_string(home.path().join("r/report.html")).unwrap();
    let in_main = |html: &str| sound.replacen("<section", &format!("{html}<section"), 1);
    let in_plot = |svg: &str| sound.replacen("</svg>", &format!("{svg}</svg>"), 1);
    let text = |x: i32, y: i32| format!("<text x='{x}' y='{y}' font-size='48'>caption</text>");
    let cases = [
        ("wide", in_main("<p style='width: 2000px'>x</p>")),
        (
            "outside",
            in_main("<p style='position: relative; left: 1200px; width: 200px'>beyond</p>"),
        ),
        (
            "cut",
            in_main(
                "<p style='width: 6em; overflow: hidden; white-space: nowrap'>batch_size of 128</p>",
            ),
        ),
        (
            "cut",
            in_main(
                "<p style='width: 5em; overflow: hidden; white-space: nowrap; text-overflow: ellipsis'>\
                 a long name</p>",
            ),
        ),
        ("cut", in_main("<p style='height: 1.5em; overflow: hidden'>one<br>two<br>three</p>")),
        (
            "no way to",
            in_main(
                "<div style='width: 6em; overflow: auto; scrollbar-width: none; white-space: nowrap' \
                 tabindex='0'>columns that are out of sight</div>",
            ),
        ),
        ("lone %", in_main("<p style='width: 3.2em'>97.60 %</p>")),
        ("over another", in_main("<p>first</p><p style='margin-top: -2.4em'>second</p>")),
        ("outside its plot", in_plot(&text(-400, 400))),
        ("over another", in_plot(&(text(800, 400) + &text(820, 410)))),
        (
            "over a bar",
            in_plot(&format!("<rect x='780' y='300' width='400' height='400'/>{}", text(800, 400))),
        ),
    ];
    let files: Vec<String> = (0..cases.len()).map(|i| format!("fault-{i}.html")).collect();
    for (file, (_, page)) in files.iter().zip(&cases) {
        assert_ne!(page, &sound);
        // The page's own policy would block these styles.
        let page = page.replacen("Content-Security-Policy", "x", 1);
        std::fs::write(home.path().join(file), page).unwrap();
    }
    let pages: Vec<&str> = files.iter().map(String::as_str).collect();
    for (page, (kind, _)) in measured(home.path(), &chromium, &pages).iter().zip(&cases) {
        for (view, faults) in page["layout"].as_object().unwrap() {
            let faults = faults.as_array().unwrap();
            let begins = |fault: &Value| fault.as_str().unwrap().starts_with(&format!("{kind}:"));
            assert!(faults.iter().any(begins), "{kind} at {view} of {}: {faults:?}", page["page"]);
        }
    }
}
