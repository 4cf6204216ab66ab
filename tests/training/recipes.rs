//! Tests that recipes are files of settings that can be shown, changed and repeated, that several seeds
//! are summarized correctly, and that the best recipe reaches the accuracy that the tutorial only claims.

use std::fs;

use crate::common::{self, run, seqfit, succeed};
use seqfit::run::Run;
use serde_json::Value;

#[test]
fn recipe_can_be_shown_changed_and_read_from_a_file() {
    let home = tempfile::tempdir().unwrap();
    let listed = succeed(seqfit(home.path()).args(["recipe", "list"])).stdout;
    let first = |line: &str| line.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
    let listed: Vec<String> = listed.lines().map(first).collect();
    let expected = [
        "tutorial 10 epochs any",
        "ten 10 epochs digits",
        "fast99 30 epochs digits",
        "best 120 epochs digits",
        "cnn 22 epochs digits",
        "fashion 26 epochs clothes",
        "photos 30 epochs photos",
    ];
    assert_eq!(listed, expected);
    let shown = succeed(seqfit(home.path()).args(["recipe", "show", "best"])).stdout;
    fs::write(home.path().join("mine.toml"), &shown).unwrap();
    let again = succeed(seqfit(home.path()).args(["recipe", "show", "mine.toml"])).stdout;
    assert_eq!(again, shown);

    let train = ["train", "-q", "--dataset", "digits", "--epochs", "2", "--recipe"];
    succeed(seqfit(home.path()).args(train).args(["best", "--out", "named"]));
    succeed(seqfit(home.path()).args(train).args(["mine.toml", "--out", "file"]));
    let weights = |name: &str| fs::read(home.path().join(name).join("model.safetensors")).unwrap();
    assert!(weights("named") == weights("file"));

    let changed = ["--schedule", "cosine:end=0.5", "--augment", "elastic=0", "--ema", "0.9"];
    succeed(seqfit(home.path()).args(train).args(["best", "--out", "changed"]).args(changed));
    let config = Run::open(&home.path().join("changed")).unwrap();
    let fit = &config.config().fit;
    assert_eq!(fit.schedule, seqfit::Schedule::Cosine { warm_up: 0.05, end: 0.5 });
    assert_eq!((fit.augment.elastic, fit.ema), (0.0, Some(0.9)));
    let best = seqfit::recipe::Recipe::named("best").unwrap().fit;
    assert_eq!((fit.augment.rotation, fit.batch_size), (best.augment.rotation, best.batch_size));
}

#[test]
fn digit_recipe_notes_other_pictures() {
    let home = tempfile::tempdir().unwrap();
    common::write_stripes(&home.path().join("stripes"), 8, 8, 3);
    let own = "description = \"mine\"\ntuned_for = \"digits\"\n";
    fs::write(home.path().join("mine.toml"), own).unwrap();
    let shown = succeed(seqfit(home.path()).args(["recipe", "show", "mine.toml"])).stdout;
    assert!(shown.starts_with(own), "{shown}");
    let note = |recipe: &str, data: &[&str]| {
        let train = ["train", "--fast-dev-run", "--recipe", recipe];
        let output = succeed(seqfit(home.path()).args(train).args(data)).stderr;
        output.contains("was tuned for digits, and stripes is not known to be digits")
    };
    for recipe in ["ten", "fast99", "best", "mine.toml"] {
        assert!(note(recipe, &["--data-dir", "stripes"]), "{recipe}");
        assert!(!note(recipe, &["--dataset", "digits"]), "{recipe}");
    }
    assert!(!note("tutorial", &["--data-dir", "stripes"]));
}

#[test]
fn training_without_a_recipe_uses_the_tutorial_settings() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "1", "--out"];
    succeed(seqfit(home.path()).args(train).arg("plain"));
    succeed(seqfit(home.path()).args(train).args(["named", "--recipe", "tutorial"]));
    let fit = |name: &str| Run::open(&home.path().join(name)).unwrap().config().fit.clone();
    assert_eq!(fit("plain"), fit("named"));
    assert!(fit("plain").augment.is_off());
}

#[test]
fn several_seeds_are_summarized_and_resumed() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "--dataset", "digits", "--epochs", "3", "--seed", "7", "--seeds", "3"];
    let output = succeed(seqfit(home.path()).args(train).args(["--out", "s"]));
    assert!(output.stdout.starts_with("test accuracy of 3 seeds: mean "), "{}", output.stdout);
    let report = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let first = report(&fs::read_to_string(home.path().join("s/seeds.json")).unwrap());
    let accuracies: Vec<f64> = (7..10)
        .map(|seed| {
            let run = Run::open(&home.path().join(format!("s/seed-{seed}"))).unwrap();
            assert_eq!(run.config().fit.seed, seed);
            run.result().unwrap().test.accuracy.unwrap()
        })
        .collect();
    let mean = accuracies.iter().sum::<f64>() / 3.0;
    assert!((first["accuracy"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
    // The same results as one by one.
    let alone =
        ["train", "-q", "--dataset", "digits", "--epochs", "3", "--seed", "8", "--out", "a"];
    succeed(seqfit(home.path()).args(alone));
    let weights = |name: &str| fs::read(home.path().join(name).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("s/seed-8"));

    // One run is missing: only that one is trained, and the metrics are the same.
    fs::remove_dir_all(home.path().join("s/seed-8")).unwrap();
    let output = succeed(seqfit(home.path()).args(train).args(["--out", "s", "--json"]));
    assert_eq!(report(&output.stdout)["accuracy"], first["accuracy"]);
    // Other settings are refused instead of mixed in.
    let other = ["--batch-size", "64", "--out", "s"];
    let output = run(seqfit(home.path()).args(train).args(other));
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("fit.batch_size was 32, found 64"), "{}", output.stderr);
}

#[test]
#[cfg(unix)]
fn signal_interrupts_every_seed_and_the_same_command_resumes() {
    use std::process::{Command, Stdio};
    let home = tempfile::tempdir().unwrap();
    let train =
        ["train", "-q", "--dataset", "digits", "--epochs", "300", "--seeds", "2", "--out", "s"];
    let mut parent = seqfit(home.path());
    parent.args(train).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let parent = parent.spawn().unwrap();
    let runs = [0, 1].map(|seed| home.path().join(format!("s/seed-{seed}/checkpoints")));
    let begun = |run: &std::path::PathBuf| {
        seqfit::run::checkpoints::list(run).is_ok_and(|found| !found.is_empty())
    };
    while !runs.iter().all(begun) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = parent.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = parent.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{stderr}");
    assert!(
        stderr.contains("interrupted by SIGTERM; the same command with --out s resumes"),
        "{stderr}"
    );
    for run in &runs {
        let run = run.parent().unwrap();
        assert!(!run.join("result.json").exists() && !run.join("lock").exists());
    }
    succeed(seqfit(home.path()).args(train));
    let whole =
        ["train", "-q", "--dataset", "digits", "--epochs", "300", "--seed", "1", "--out", "w"];
    succeed(seqfit(home.path()).args(whole));
    let weights = |name: &str| fs::read(home.path().join(name).join("model.safetensors")).unwrap();
    assert!(weights("w") == weights("s/seed-1"));
}

#[test]
fn augmented_images_can_be_inspected() {
    let home = tempfile::tempdir().unwrap();
    let preview = ["data", "preview", "--dataset", "digits", "--samples", "3", "--epochs", "4"];
    succeed(seqfit(home.path()).args(preview).args(["--out", "sheet.png"]));
    let sheet = image::open(home.path().join("sheet.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (5 * 28 + 4, 3 * 28 + 4));
    let output = run(seqfit(home.path()).args(preview).args(["--out", "missing/sheet.png"]));
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("missing/sheet.png cannot be written"), "{}", output.stderr);
}

#[test]
fn fast_recipe_exceeds_98_7_percent_on_mnist() {
    let Some(folder) = common::mnist() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    // A tenth of the recipe's training to 99 %; docs/accuracy.md has the full result over 5 seeds.
    let train = ["train", "-q", "--recipe", "fast99", "--epochs", "12", "--out", "r", "--data-dir"];
    succeed(seqfit(home.path()).args(train).arg(folder));
    let result = Run::open(&home.path().join("r")).unwrap().result().unwrap();
    assert!(result.test.accuracy > Some(0.987), "{:?}", result.test.accuracy);
}
