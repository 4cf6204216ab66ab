//! The comforts around a training: trials, the learning rate test, curves and pictures in the terminal,
//! data of one's own, completions and manual pages.

mod common;

use std::fs;
use std::path::Path;

use common::{run, seqfit, succeed};
use seqfit::data::images::Gray;

fn said(home: &Path, command: &str) -> common::Said {
    succeed(seqfit(home).args(command.split(' ')))
}

#[test]
fn a_dev_run_goes_the_whole_path_and_keeps_nothing() {
    let home = tempfile::tempdir().unwrap();
    let scratch = home.path().join("tmp");
    fs::create_dir(&scratch).unwrap();
    for more in ["", " --recipe best --validation-split 0.2", " --quiet --json"] {
        let command = format!("train --dataset digits --fast-dev-run{more}");
        let done = succeed(seqfit(home.path()).args(command.split(' ')).env("TMPDIR", &scratch));
        match more.contains("json") {
            true => assert!(done.stdout.contains("\"samples\":40"), "{}", done.stdout),
            false => assert!(done.stdout.starts_with("the whole path works"), "{}", done.stdout),
        }
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "{more}");
    }
    assert!(!home.path().join("runs").exists());
    let both = run(seqfit(home.path()).args(["train", "--fast-dev-run", "--out", "r"]));
    assert_eq!(both.code, 2, "{both:#?}");
}

#[test]
fn a_network_that_cannot_learn_a_few_images_by_heart_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let done = said(home.path(), "train --dataset digits --overfit 32");
    assert!(done.stdout.starts_with("all 32 images are learned by heart"), "{}", done.stdout);
    let command = "train --dataset digits --overfit 32 --learning-rate 1e-9 --epochs 3";
    let done = run(seqfit(home.path()).args(command.split(' ')));
    assert_eq!(done.code, 1);
    let last = done.stderr.lines().last().unwrap();
    assert!(last.contains("should learn 32 images by heart") && last.contains("after 3 epochs"));
    assert!(!home.path().join("runs").exists());
}

#[test]
fn the_learning_rate_test_draws_and_suggests() {
    let home = tempfile::tempdir().unwrap();
    let files = "--csv curve.csv --plot curve.svg";
    let done = said(home.path(), &format!("lr-find --dataset digits {files}"));
    assert_eq!(done.stderr, "wrote curve.csv\nwrote curve.svg\n");
    let suggested = done.stdout.lines().last().unwrap();
    let rate = suggested.strip_prefix("suggestion: --learning-rate ").unwrap();
    let rate: f64 = rate.split(',').next().unwrap().parse().unwrap();
    assert!((3e-4..3e-2).contains(&rate), "{rate}");
    assert!(done.stdout.contains("⠤") && !done.stdout.contains('\u{1b}'), "{}", done.stdout);
    let csv = fs::read_to_string(home.path().join("curve.csv")).unwrap();
    assert!(csv.starts_with("learning_rate,loss,smoothed\n1e-7,") || csv.contains("\n0.0000001,"));
    let svg = fs::read_to_string(home.path().join("curve.svg")).unwrap();
    let drawn = roxmltree::Document::parse(&svg).unwrap();
    let text = drawn.descendants().filter_map(|node| node.text()).collect::<String>();
    assert!(text.contains(&format!("suggestion {rate:.1e}")), "{text}");
    let done = said(home.path(), "lr-find --dataset digits --json --optimizer sgd --plot c.PNG");
    let size = image::image_dimensions(home.path().join("c.PNG")).unwrap();
    assert_eq!(size, (1120, 660));
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(value["suggestion"].as_f64().unwrap() > rate, "sgd takes larger rates");
    let wrong =
        ["--epochs 3", "--schedule cosine", "--steps 3", "--start 1 --end 0.1", "--plot a.gif"];
    for wrong in wrong {
        let command = format!("lr-find --dataset digits {wrong}");
        assert_eq!(run(seqfit(home.path()).args(command.split(' '))).code, 2, "{wrong}");
    }
}

#[test]
fn curves_and_the_confusion_matrix_are_drawn_on_request() {
    let home = tempfile::tempdir().unwrap();
    let train = "train --dataset digits --epochs 4 --validation-split 0.2";
    let plain = said(home.path(), &format!("{train} --out first"));
    assert!(!plain.stderr.contains("<- predicted") && !plain.stderr.contains("⠤"));
    let drawn = said(home.path(), &format!("{train} --out second --plot"));
    assert!(drawn.stderr.contains("val_loss 0.") && drawn.stderr.contains("⠤"), "{}", drawn.stderr);
    assert!(drawn.stderr.contains("<- predicted") && !drawn.stderr.contains('\u{1b}'));
    // stdout is what it is without, but for the run's name.
    let without_name =
        |said: &common::Said, name: &str| said.stdout.replace(&format!(" {name}"), " r");
    assert_eq!(without_name(&drawn, "second"), without_name(&plain, "first"));
    let evaluated = said(home.path(), "evaluate first");
    assert!(evaluated.stdout.contains("<- predicted"), "{}", evaluated.stdout);
}

#[test]
fn pictures_are_shown_as_the_network_gets_them() {
    let home = tempfile::tempdir().unwrap();
    said(home.path(), "train -q --dataset digits --epochs 1 --out r");
    let pixels = (0..64).map(|i| if i % 8 == 3 { 255 } else { 0 }).collect();
    Gray { height: 8, width: 8, pixels }.save_png(&home.path().join("bar.png")).unwrap();
    let shown = said(home.path(), "predict r bar.png --raw --image always").stdout;
    assert!(shown.starts_with(&"   █    \n".repeat(4)), "{shown}");
    for hidden in ["", " --image never", " --image always --json"] {
        let shown = said(home.path(), &format!("predict r bar.png --raw{hidden}")).stdout;
        assert_eq!(shown.lines().count(), 1, "{hidden}: {shown}");
    }
}

/// From pictures to a network, as somebody goes who has nothing but pictures.
#[test]
fn a_folder_of_pictures_becomes_a_network() {
    let home = tempfile::tempdir().unwrap();
    common::write_shapes(&home.path().join("shapes"));
    let packed = said(home.path(), "data pack shapes --out packed --test-share 0.25");
    let expected = "circle: 30 training and 10 test images\nsquare: 30 training and 10 test images\n\
                    triangle: 30 training and 10 test images\npacked: 120 images of 28x28\n";
    assert_eq!(packed.stdout, expected);
    let note = "note: pictures are prepared as digits (--prepare raw|resize changes that)\n";
    assert!(packed.stderr.starts_with(note), "{packed:#?}");
    let again = run(seqfit(home.path()).args(["data", "pack", "shapes", "--out", "packed"]));
    assert!(again.code == 1 && again.stderr.contains("this one holds something"), "{again:#?}");
    said(home.path(), "train -q --data-dir packed --epochs 20 --out r");
    let evaluated = said(home.path(), "evaluate r").stdout;
    assert!(evaluated.contains("accuracy 100.00 % of 30 images"), "{evaluated}");
    let answer = said(home.path(), "predict r shapes/triangle/7.png --top 1").stdout;
    assert!(answer.starts_with("shapes/triangle/7.png: triangle ("), "{answer}");
    for wrong in ["--test-share 0", "--size 28", "--size 0x28", "--size 28x2000"] {
        let command = format!("data pack shapes --out p {wrong}");
        assert_eq!(run(seqfit(home.path()).args(command.split(' '))).code, 2, "{wrong}");
    }
}

#[test]
fn a_machine_is_measured() {
    let home = tempfile::tempdir().unwrap();
    let done = said(home.path(), "bench --dataset digits --json");
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let figures = value["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 7);
    assert!(figures.iter().all(|figure| figure["per_second"].as_f64().unwrap() > 1.0), "{value}");
    let told = said(home.path(), "bench --dataset digits").stdout;
    assert!(told.starts_with("digits on cpu, ") && told.lines().count() == 8, "{told}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(home.path(), &format!("completions {shell}")).stdout;
        assert!(script.contains("lr-find") && script.contains("fast-dev-run"), "{shell}");
    }
    let unknown = run(seqfit(home.path()).arg("completions").env_remove("SHELL"));
    assert!(unknown.code == 2 && unknown.stderr.contains("name the shell"), "{unknown:#?}");
    assert!(said(home.path(), "man").stdout.contains(".TH seqfit"));
    fs::create_dir(home.path().join("man1")).unwrap();
    said(home.path(), "man --out man1");
    for page in ["seqfit.1", "seqfit-train.1", "seqfit-data-pack.1"] {
        let text = fs::read_to_string(home.path().join("man1").join(page)).unwrap();
        assert!(text.contains(".SH OPTIONS"), "{page}");
    }
    assert!(said(home.path(), "help recipes").stdout.contains("seqfit recipe"));
    assert!(said(home.path(), "recipes list").stdout.contains("best"));
}
