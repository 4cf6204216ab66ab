//! Tests the convenience features around training: trial runs, the learning rate range test, curves and
//! pictures in the terminal, custom data, completions and manual pages.

use std::fs;
use std::path::Path;

use crate::common::numpy::{digits_options, npy, npz, write_digits};
use crate::common::{self, run, seqfit, succeed};
use seqfit::data::images::Gray;

fn execute(home: &Path, command: &str) -> common::CommandOutput {
    succeed(seqfit(home).args(command.split(' ')))
}

#[test]
fn fast_dev_run_runs_every_stage_and_keeps_no_files() {
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
fn overfit_reports_an_error_if_the_network_cannot_memorize_the_images() {
    let home = tempfile::tempdir().unwrap();
    let done = execute(home.path(), "train --dataset digits --overfit 32");
    assert!(done.stdout.starts_with("all 32 images are memorized"), "{}", done.stdout);
    let command = "train --dataset digits --overfit 32 --learning-rate 1e-9 --epochs 3";
    let done = run(seqfit(home.path()).args(command.split(' ')));
    assert_eq!(done.code, 1);
    let last = done.stderr.lines().last().unwrap();
    assert!(last.contains("should overfit 32 images") && last.contains("after 3 epochs"));
    assert!(!home.path().join("runs").exists());
}

#[test]
fn overfit_memorizes_numbers_and_labels_even_of_a_single_sample() {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    let overfit = |kind: &str, options: &[&str]| {
        run(seqfit(home.path()).arg("train").args(digits_options(kind)).args(options))
    };
    for kind in ["numbers", "labels", "class"] {
        for (count, words) in
            [("1", "1 sample is memorized"), ("20", "all 20 samples are memorized")]
        {
            let done = overfit(kind, &["--overfit", count]);
            assert_eq!(done.code, 0, "{kind} {count}: {done:#?}");
            assert!(done.stdout.starts_with(words), "{kind}: {}", done.stdout);
        }
    }
    for (kind, count, words) in [
        ("numbers", "20", "on them, below 0.99 (RMSE "),
        (
            "labels",
            "20",
            "% of their labels correctly after 2 epochs: look at the samples, whose features",
        ),
        ("class", "20", "% of them correctly"),
    ] {
        let options = ["--overfit", count, "--learning-rate", "1e-9", "--epochs", "2"];
        let done = overfit(kind, &options);
        assert_eq!(done.code, 1, "{done:#?}");
        let last = done.stderr.lines().last().unwrap();
        assert!(last.contains("should overfit 20 samples") && last.contains(words), "{last}");
    }
}

#[test]
fn data_verify_describes_arrays_and_takes_their_keys() {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    let verify = |options: &[&str]| run(seqfit(home.path()).args(["data", "verify"]).args(options));
    for (kind, words) in
        [("class", "10 classes"), ("labels", "3 labels each"), ("numbers", "1 number each")]
    {
        let options = digits_options(kind);
        let options: Vec<&str> = options[1..].iter().map(String::as_str).collect();
        let done = verify(&options);
        assert_eq!(done.code, 0, "{done:#?}");
        let expected = format!(
            "digits.npz: 1437 + 360 samples, float features of shape [64], targets: {words}, well-formed, no checksum is \
             known\n"
        );
        assert_eq!(done.stdout, expected);
    }
    let done = verify(&["digits.npz"]);
    assert_eq!(done.code, 1);
    assert!(done.stdout.contains("name yours with --keys y_train=NAME"), "{}", done.stdout);
    // Arrays that are named must be there; without any of the training part only the test part is looked for.
    let keys = "x_train=x,y_train=y,x_test=x_test,y_test=numbers_test";
    let done = verify(&["digits.npz", "--keys", keys, "--task", "numbers"]);
    assert_eq!(done.code, 1, "{done:#?}");
    let words = "WRONG: the arrays \"x\" and \"y\" are needed";
    assert!(done.stdout.contains(words), "{}", done.stdout);
    let test = [("x_test", npy(&[2, 1], &[0.5, 1.5])), ("y_test", npy(&[2], &[0.5, 2.5]))];
    npz(&home.path().join("test.npz"), &test);
    let done = verify(&["test.npz"]);
    let words = "2 samples, float features of shape [1], targets: 1 number each, only test data";
    assert!(done.code == 0 && done.stdout.contains(words), "{done:#?}");
    for options in
        [&["digits", "--task", "class"][..], &["--task", "class"], &["digits.npz", "--task", "x"]]
    {
        assert_eq!(verify(options).code, 2, "{options:?}");
    }
}

#[test]
fn lr_find_draws_the_curve_and_suggests_a_learning_rate() {
    let home = tempfile::tempdir().unwrap();
    let files = "--csv curve.csv --plot curve.svg";
    let done = execute(home.path(), &format!("lr-find --dataset digits {files}"));
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
    let done = execute(home.path(), "lr-find --dataset digits --json --optimizer sgd --plot c.PNG");
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
    let plain = execute(home.path(), &format!("{train} --out first"));
    assert!(!plain.stderr.contains("<- predicted") && !plain.stderr.contains("⠤"));
    let drawn = execute(home.path(), &format!("{train} --out second --plot"));
    assert!(drawn.stderr.contains("val_loss 0.") && drawn.stderr.contains("⠤"), "{}", drawn.stderr);
    assert!(drawn.stderr.contains("<- predicted") && !drawn.stderr.contains('\u{1b}'));
    // stdout is the same as without --plot, except for the run's name.
    let without_name = |output: &common::CommandOutput, name: &str| {
        output.stdout.replace(&format!(" {name}"), " r")
    };
    assert_eq!(without_name(&drawn, "second"), without_name(&plain, "first"));
    let evaluated = execute(home.path(), "evaluate first");
    assert!(evaluated.stdout.contains("<- predicted"), "{}", evaluated.stdout);
}

#[test]
fn predict_image_shows_the_prepared_pictures() {
    let home = tempfile::tempdir().unwrap();
    execute(home.path(), "train -q --dataset digits --epochs 1 --out r");
    let pixels = (0..64).map(|i| if i % 8 == 3 { 255 } else { 0 }).collect();
    Gray { height: 8, width: 8, pixels }.save_png(&home.path().join("bar.png")).unwrap();
    let shown = execute(home.path(), "predict r bar.png --raw --image always").stdout;
    assert!(shown.starts_with(&"   █    \n".repeat(4)), "{shown}");
    for hidden in ["", " --image never", " --image always --json"] {
        let shown = execute(home.path(), &format!("predict r bar.png --raw{hidden}")).stdout;
        assert_eq!(shown.lines().count(), 1, "{hidden}: {shown}");
    }
}

/// Goes from a folder of pictures to a network, like a user who has only pictures.
#[test]
fn train_accepts_a_folder_of_pictures() {
    let home = tempfile::tempdir().unwrap();
    common::write_shapes(&home.path().join("shapes"));
    let packed = execute(home.path(), "data pack shapes --out packed --test-share 0.25");
    let expected = "circle: 30 training and 10 test images\nsquare: 30 training and 10 test images\n\
                    triangle: 30 training and 10 test images\npacked: 120 images of 28x28\n";
    assert_eq!(packed.stdout, expected);
    let note = "note: pictures are prepared as digits (--prepare raw|resize changes that)\n";
    assert!(packed.stderr.starts_with(note), "{packed:#?}");
    let again = run(seqfit(home.path()).args(["data", "pack", "shapes", "--out", "packed"]));
    assert!(again.code == 1 && again.stderr.contains("this one is not empty"), "{again:#?}");
    execute(home.path(), "train -q --data-dir packed --epochs 20 --out r");
    let evaluated = execute(home.path(), "evaluate r").stdout;
    assert!(evaluated.contains("accuracy 100.00 % of 30 images"), "{evaluated}");
    let answer = execute(home.path(), "predict r shapes/triangle/7.png --top 1").stdout;
    assert!(answer.starts_with("shapes/triangle/7.png: triangle ("), "{answer}");
    for wrong in ["--test-share 0", "--size 28", "--size 0x28", "--size 28x2000"] {
        let command = format!("data pack shapes --out p {wrong}");
        assert_eq!(run(seqfit(home.path()).args(command.split(' '))).code, 2, "{wrong}");
    }
}

#[test]
fn bench_prints_the_speed_of_the_machine() {
    let home = tempfile::tempdir().unwrap();
    let done = execute(home.path(), "bench --dataset digits --json");
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let figures = value["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 7);
    assert!(figures.iter().all(|figure| figure["per_second"].as_f64().unwrap() > 1.0), "{value}");
    let output = execute(home.path(), "bench --dataset digits").stdout;
    assert!(output.starts_with("digits on cpu, ") && output.lines().count() == 8, "{output}");
    // The augmentation of a recipe is for pictures of classes.
    let numbers = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/arrays.npz");
    let bench = ["bench", "--json", "--task", "numbers", "--data", numbers];
    let done = run(seqfit(home.path()).args(bench));
    assert_eq!(done.code, 0, "{done:#?}");
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(value["figures"].as_array().unwrap().len(), 6);
    assert!(done.stderr.contains("the augmentation of best"), "{}", done.stderr);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn completions_and_manual_pages_cover_every_command() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = execute(home.path(), &format!("completions {shell}")).stdout;
        assert!(script.contains("lr-find") && script.contains("fast-dev-run"), "{shell}");
    }
    let unknown = run(seqfit(home.path()).arg("completions").env_remove("SHELL"));
    assert!(unknown.code == 2 && unknown.stderr.contains("name the shell"), "{unknown:#?}");
    assert!(execute(home.path(), "man").stdout.contains(".TH seqfit"));
    fs::create_dir(home.path().join("man1")).unwrap();
    execute(home.path(), "man --out man1");
    for page in ["seqfit.1", "seqfit-train.1", "seqfit-data-pack.1"] {
        let text = fs::read_to_string(home.path().join("man1").join(page)).unwrap();
        assert!(text.contains(".SH OPTIONS"), "{page}");
    }
    assert!(execute(home.path(), "help recipes").stdout.contains("seqfit recipe"));
    assert!(execute(home.path(), "recipes list").stdout.contains("best"));
}

#[test]
fn a_recipe_may_have_the_layers_of_its_network() {
    let home = tempfile::tempdir().unwrap();
    let mine = "epochs = 1\nlayers = \"conv 4 3 relu, maxpool 2, flatten, dense\"\n";
    fs::write(home.path().join("mine.toml"), mine).unwrap();
    let shown = execute(home.path(), "recipe show mine.toml").stdout;
    assert!(
        shown.starts_with("layers = \"conv 4 3 relu, maxpool 2, flatten, dense\"\n"),
        "{shown}"
    );
    let train = "train -q --dataset digits --recipe mine.toml --out";
    execute(home.path(), &format!("{train} conv"));
    assert!(execute(home.path(), "summary conv").stdout.contains("conv2d"));
    execute(home.path(), &format!("{train} dense --hidden 5"));
    assert!(!execute(home.path(), "summary dense").stdout.contains("conv2d"));
    let mut both = seqfit(home.path());
    let done = run(both.args(train.split(' ')).args(["x", "--dropout", "0.5"]));
    assert_eq!(done.code, 2, "{done:#?}");
    assert!(done.stderr.contains("the recipe has layers of its own"), "{}", done.stderr);
    fs::write(home.path().join("wrong.toml"), "layers = \"conv 4 3 relo\"\n").unwrap();
    let done = run(seqfit(home.path()).args(["recipe", "show", "wrong.toml"]));
    assert!(done.code != 0 && done.stderr.contains("did you mean relu?"), "{}", done.stderr);
}
