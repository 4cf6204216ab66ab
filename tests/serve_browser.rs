//! The promise: the page of `seqfit serve` works in a real browser, for everybody: all ten digits drawn by
//! pointer events get their right answer, by mouse, finger and keyboard, and axe-core finds no serious
//! fault in light and dark. tests/browser/check_page.mjs is what opens it.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::server::Server;
use common::{seqfit, succeed};
use seqfit::data::{self, Dataset};
use serde_json::{Value, json};

/// The first image of each digit, as the browser's script wants them.
fn digits(test: &Dataset, right: bool) -> Value {
    let [_, width] = test.image_shape();
    let one = |digit: u8| {
        let i = (0..test.len()).find(|&i| test.label(i) == digit).expect("every digit");
        let rows: Vec<&[u8]> = test.image(i).chunks(width).collect();
        json!({ "label": digit.to_string(), "pixels": rows, "right": right })
    };
    (0..10).map(one).collect()
}

#[test]
fn the_page_works_in_a_real_browser() {
    let Some(chromium) = common::browser() else { return };
    let Some(node) = common::program(&["node"]) else { return };
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let home = tempfile::tempdir().unwrap();
    // The small digits make a network that need not be right about what is drawn; MNIST's must be.
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
        .arg(scripts.join("check_page.mjs"))
        .arg(server.url())
        .arg(chromium)
        .arg(&file)
        .args(shots);
    let said = succeed(&mut check);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(found["told"].as_object().map(|told| told.len()), Some(10), "{found}");
    assert_eq!(found["violations"].as_object().map(|pages| pages.len()), Some(6), "{found}");
}
