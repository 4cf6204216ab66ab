//! The promise: a report and a comparison are read by everybody, in a real browser: axe-core finds no
//! serious fault in light or dark, nothing is asked for from outside, and a narrow screen is enough.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{browser, succeed};
use serde_json::Value;

#[test]
fn pages_are_for_everybody() {
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
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/report.mjs");
    command.current_dir(home.path()).arg(script).arg(chromium);
    command.args(["a/report.html", "compare.html", "broken.html"]);
    let said = succeed(&mut command);
    let told: Vec<Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let serious = |page: &Value| -> Vec<String> {
        let both = ["light", "dark"].map(|scheme| page["violations"][scheme].as_array().unwrap());
        let all = both.into_iter().flatten();
        let serious = all
            .filter(|found| ["serious", "critical"].contains(&found["impact"].as_str().unwrap()));
        serious.map(ToString::to_string).collect()
    };
    for page in &told[..2] {
        assert_eq!(serious(page), Vec::<String>::new());
        assert_eq!(page["requests"], Value::Array(vec![]));
        assert_eq!(page["complaints"], Value::Array(vec![]));
        assert_eq!((&page["broken"], &page["contrast"]), (&0.into(), &2.into()));
        // The page's style is allowed by its own policy.
        assert_eq!(page["padding"], "12px");
        assert!(page["narrow"].as_u64() <= Some(320), "{}", page["narrow"]);
        for part in ["paper", "ink", "plot"] {
            assert_ne!(page["light"][part], page["dark"][part], "{part}");
        }
    }
    // The same eyes find fault where there is fault.
    let broken = &told[2];
    assert!(!serious(broken).is_empty() && broken["narrow"].as_u64() > Some(320), "{broken}");
    assert!(
        !broken["requests"].as_array().unwrap().is_empty() && broken["broken"] == 1,
        "{broken}"
    );

    if let Some(folder) = shot {
        let file = folder.join("report.png");
        let mut command = Command::new("node");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/report.mjs");
        command.current_dir(home.path()).arg(script).arg(browser().unwrap());
        succeed(command.args(["a/report.html", "--screenshot"]).arg(file));
    }
}
