//! Tests the page of `seqfit serve` in a real browser. All ten digits drawn by pointer events are predicted
//! correctly, mouse, touch and keyboard work, and axe-core finds no serious violation in light or dark mode.
//! Refused pictures have the server's reason below them, and no text is cut or overlapped.
//! tests/browser/check_drawing.mjs and check_pictures.mjs drive the browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::seqfit_serve::Server;
use crate::common::{self, seqfit, succeed, write_stripes};
use seqfit::data::{self, Dataset};
use serde_json::{Value, json};

/// Returns the first image of each digit in the format of the browser script.
fn digits(test: &Dataset, right: bool) -> Value {
    let [_, width] = test.image_shape().unwrap();
    let one = |digit: u8| {
        let i = (0..test.len()).find(|&i| test.label(i) == digit).expect("every digit");
        let rows: Vec<&[u8]> = test.image(i).chunks(width).collect();
        json!({ "label": digit.to_string(), "pixels": rows, "right": right })
    };
    (0..10).map(one).collect()
}

#[test]
fn serve_page_works_in_a_browser() {
    let Some(chromium) = common::browser() else { return };
    let Some(node) = common::program(&["node"]) else { return };
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let home = tempfile::tempdir().unwrap();
    // A network trained on the small digits may mispredict drawings; MNIST's must be correct.
    let mut train = seqfit(home.path());
    train.args(["train", "-q", "--out", "run", "--recipe", "fast99", "--epochs", "12"]);
    let (test, right) = match common::mnist() {
        Some(folder) => {
            succeed(train.arg("--data-dir").arg(&folder));
            (data::load_dir(&folder).unwrap().1, true)
        }
        None => {
            succeed(train.args(["--dataset", "digits"]));
            (data::load("digits").unwrap().1, false)
        }
    };
    let file = home.path().join("digits.json");
    fs::write(&file, digits(&test, right).to_string()).unwrap();
    let server = Server::start(home.path(), &[]);
    let shots = std::env::var_os("SEQFIT_SCREENSHOTS");
    let mut check = Command::new(node);
    check
        .arg(scripts.join("check_drawing.mjs"))
        .arg(server.url())
        .arg(chromium)
        .arg(&file)
        .args(shots);
    let output = succeed(&mut check);
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(found["predicted"].as_object().map(|digits| digits.len()), Some(10), "{found}");
    assert_eq!(found["violations"].as_object().map(|pages| pages.len()), Some(6), "{found}");
}

/// Shows pictures to the page of home/run, and returns the result of tests/browser/check_pictures.mjs.
fn shown_pictures(home: &Path, refused: &str, name: &str) -> Option<Value> {
    let chromium = common::browser()?;
    let node = common::program(&["node"])?;
    let sheet = |ink: bool| {
        image::GrayImage::from_fn(62, 62, |x, y| {
            let stroke = ink && (25..35).contains(&x) && (10..50).contains(&y);
            image::Luma([if stroke { 20 } else { 240 }])
        })
    };
    sheet(true).save(home.join("picture.png")).unwrap();
    sheet(false).save(home.join("blank.png")).unwrap();
    let server = Server::start(home, &[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/check_pictures.mjs");
    let mut check = Command::new(node);
    check.current_dir(home).arg(script).arg(server.url()).arg(chromium);
    check.args(["picture.png", refused, name]).args(std::env::var_os("SEQFIT_SCREENSHOTS"));
    let output = succeed(&mut check);
    Some(serde_json::from_str(&output.stdout).unwrap())
}

#[test]
fn serve_page_shows_the_reason_below_a_refused_picture() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "2", "--out", "run"];
    succeed(seqfit(home.path()).args(train));
    let Some(found) = shown_pictures(home.path(), "blank.png", "serve-digits") else { return };
    assert_eq!((&found["draws"], &found["title"]), (&true.into(), &"Draw a digit".into()));
    assert!(found["layouts"].as_u64() >= Some(12), "{found}");
}

#[test]
fn serve_page_for_pictures_offers_only_pictures() {
    let home = tempfile::tempdir().unwrap();
    write_stripes(&home.path().join("data"), 62, 62, 62);
    let mut names: Vec<String> = (0..62).map(|i| format!("class number {i}")).collect();
    names[0] = "x".repeat(100);
    names[1] = "漢字の名前".repeat(20);
    fs::write(home.path().join("data/classes.txt"), names.join("\n") + "\n").unwrap();
    let train = ["train", "-q", "--data-dir", "data", "--epochs", "2", "--out", "run"];
    succeed(seqfit(home.path()).args(train));
    let Some(found) = shown_pictures(home.path(), "-", "serve-pictures") else { return };
    assert_eq!((&found["draws"], &found["classes"]), (&false.into(), &62.into()));
    assert!(found["lead"].as_str().unwrap().contains("62 × 62"), "{found}");
    assert!(found["layouts"].as_u64() >= Some(16), "{found}");
}

#[test]
fn serve_page_for_pictures_in_color_shows_colors() {
    let home = tempfile::tempdir().unwrap();
    common::color_pictures::write_discs(&home.path().join("discs"), 4);
    let train = ["train", "-q", "--data-dir", "discs", "--epochs", "2", "--out", "run"];
    succeed(seqfit(home.path()).args(train));
    let Some(found) = shown_pictures(home.path(), "-", "serve-color") else { return };
    assert_eq!((&found["draws"], &found["title"]), (&false.into(), &"Classify a picture".into()));
    assert_eq!(found["lead"], "Any picture: it is scaled to 32 × 32 pixels.", "{found}");
    assert!(found["layouts"].as_u64() >= Some(12), "{found}");
}
