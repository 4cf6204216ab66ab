//! Tests that a run folder is complete, is never overwritten by mistake, and is readable by every
//! later command.

use std::fs;
use std::path::Path;

use crate::common::{self, CommandOutput, listing, run, seqfit, succeed};
use seqfit::run::{Run, RunConfig};
use serde_json::Value;
use sha2::{Digest, Sha256};

const FILES: [&str; 6] =
    ["checkpoints", "config.toml", "history.csv", "model.pt", "model.safetensors", "result.json"];

fn train(home: &Path, options: &[&str]) -> CommandOutput {
    run(seqfit(home).args(["train", "--dataset", "digits", "--epochs", "2"]).args(options))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn train_writes_a_complete_run_and_evaluate_gives_the_same_metrics() {
    let home = tempfile::tempdir().unwrap();
    let output = train(home.path(), &["--out", "r", "--json", "--validation-split", "0.1"]);
    assert_eq!(output.code, 0, "{output:#?}");
    assert_eq!(listing(&home.path().join("r")), FILES);

    let lines: Vec<Value> = output.stdout.lines().map(json).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["epoch"], &lines[1]["epoch"]), (&Value::from(1), &Value::from(2)));
    assert!(lines[1]["val_accuracy"].as_f64().is_some());
    let result = json(&fs::read_to_string(home.path().join("r/result.json")).unwrap());
    assert_eq!(lines[2]["result"], result);

    let csv = fs::read_to_string(home.path().join("r/history.csv")).unwrap();
    assert_eq!(csv.lines().count(), 3);
    let last: Vec<f64> =
        csv.lines().nth(2).unwrap().split(',').map(|v| v.parse().unwrap()).collect();
    assert_eq!(Some(last[1]), lines[1]["loss"].as_f64());

    let evaluated = json(&succeed(seqfit(home.path()).args(["evaluate", "r", "--json"])).stdout);
    for key in ["loss", "accuracy", "samples"] {
        assert_eq!(evaluated[key], result["test"][key], "{key}");
    }
    let classes = evaluated["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 10);
    for key in ["precision", "recall", "f1", "support"] {
        assert!(classes[3][key].as_f64().is_some(), "{key}");
    }
}

#[test]
fn config_alone_reproduces_the_run() {
    let home = tempfile::tempdir().unwrap();
    let options = [
        "--out",
        "a",
        "--seed",
        "7",
        "--optimizer",
        "rmsprop",
        "--hidden",
        "20",
        "--dropout",
        "0.1",
    ];
    assert_eq!(train(home.path(), &options).code, 0);
    let config: RunConfig =
        toml::from_str(&fs::read_to_string(home.path().join("a/config.toml")).unwrap()).unwrap();
    assert_eq!(config.command[1..4], ["train", "--dataset", "digits"]);
    let source = config.data.source.unwrap();
    assert_eq!(source.files.len(), 2, "images and labels with checksums");
    assert!(source.files.iter().all(|file| file.sha256.len() == 64));
    assert_eq!(config.versions.libtorch, seqfit::libtorch::version());

    let (train, _) = seqfit::data::load(&source.name).unwrap();
    let mut model =
        seqfit::Sequential::from_spec(config.network.clone(), seqfit::Device::Cpu, config.fit.seed)
            .unwrap();
    model.fit(&train, &config.fit, &mut []).unwrap();
    let written =
        Run::open(&home.path().join("a")).unwrap().load_model(seqfit::Device::Cpu).unwrap();
    let bytes = |model: &seqfit::Sequential| model.to_safetensors(Default::default()).unwrap();
    assert!(bytes(&model) == bytes(&written), "the same weights, bit for bit");
}

#[test]
fn run_is_never_overwritten_without_force() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(train(home.path(), &["--out", "r", "--seed", "1"]).code, 0);
    let before = fs::read(home.path().join("r/model.safetensors")).unwrap();
    let output = train(home.path(), &["--out", "r", "--seed", "2"]);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("is not empty"), "{}", output.stderr);
    assert_eq!(fs::read(home.path().join("r/model.safetensors")).unwrap(), before);
    assert_eq!(train(home.path(), &["--out", "r", "--seed", "2", "--force"]).code, 0);
    assert!(fs::read(home.path().join("r/model.safetensors")).unwrap() != before);
    assert_eq!(listing(&home.path().join("r")), FILES);
    // A failed new run leaves the old one unchanged.
    let before = fs::read(home.path().join("r/model.safetensors")).unwrap();
    let output = train(home.path(), &["--out", "r", "--force", "--learning-rate", "1e30"]);
    assert_eq!(output.code, 1);
    assert_eq!(listing(&home.path().join("r")), FILES);
    assert_eq!(fs::read(home.path().join("r/model.safetensors")).unwrap(), before);
    // A successful one replaces it, and the failed one.
    assert_eq!(train(home.path(), &["--out", "r", "--force", "--seed", "3"]).code, 0);
    assert_eq!(listing(home.path()), ["r"]);
    assert!(fs::read(home.path().join("r/model.safetensors")).unwrap() != before);
}

#[test]
fn force_never_touches_other_runs_and_a_killed_replacement_resumes() {
    let home = tempfile::tempdir().unwrap();
    let weights = |name: &str| fs::read(home.path().join(name).join("model.safetensors")).unwrap();
    assert_eq!(train(home.path(), &["--out", "a", "--seed", "1"]).code, 0);
    // Other runs, with names that a replacement might use.
    for (name, seed) in [("a.new", "2"), ("a.old", "3")] {
        assert_eq!(train(home.path(), &["--out", name, "--seed", seed]).code, 0);
    }
    let (new, old) = (weights("a.new"), weights("a.old"));
    assert_eq!(train(home.path(), &["--out", "a", "--seed", "4", "--force"]).code, 0);
    assert_eq!(listing(home.path()), ["a", "a.new", "a.old"]);
    assert!(weights("a.new") == new && weights("a.old") == old);
    assert_eq!(train(home.path(), &["--out", "b", "--seed", "4"]).code, 0);
    assert!(weights("a") == weights("b"));
    assert_eq!(listing(&home.path().join("a")), FILES);

    // After a kill it resumes in its temporary folder, and then replaces the old run.
    let before = weights("b");
    let mut child = seqfit(home.path())
        .args(["train", "-q", "--dataset", "digits", "--epochs", "3000", "--out", "b", "--force"])
        .spawn()
        .unwrap();
    let grows = home.path().join("b.new/checkpoints");
    while !seqfit::run::checkpoints::list(&grows).is_ok_and(|found| !found.is_empty()) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(weights("b") == before);
    let again = ["train", "-q", "--resume", "b.new", "--max-time", "1s"];
    assert_eq!(run(seqfit(home.path()).args(again)).code, 0);
    assert!(!home.path().join("b.new").exists() && weights("b") != before);
    assert_eq!(listing(&home.path().join("b")), FILES);
}

/// If a process is killed between the steps of a replacement, the next one completes it.
#[test]
fn a_failed_replacement_leaves_nothing_or_says_where_it_is() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(train(home.path(), &["-q", "--out", "r"]).code, 0);
    let huge = ["--optimizer", "sgd", "--learning-rate", "1e38"];
    let train = |more: &[&str]| {
        run(seqfit(home.path()).args(["train", "-q", "--dataset", "digits"]).args(huge).args(more))
    };
    // It diverges in the first epoch.
    for more in [&["--out", "s"][..], &["--out", "r", "--force"]] {
        let failed = train(more);
        assert!(failed.code == 1 && failed.stderr.contains("diverged in epoch 1"), "{failed:#?}");
        assert_eq!(listing(home.path()), ["r"]);
    }
    // Here after some.
    let later = ["--hidden", "", "--batch-size", "1437", "--epochs", "50", "--out", "r", "--force"];
    let failed = train(&later);
    let end = "; r is as it was, and what was trained stays in ";
    assert!(failed.code == 1 && failed.stderr.contains(end), "{failed:#?}");
    assert!(failed.stderr.contains("the last good checkpoint is "), "{failed:#?}");
    assert_eq!(listing(home.path()), ["r", "r.new"]);
    assert_eq!(listing(&home.path().join("r")), FILES);
    // What was written before it failed.
    let new = home.path().join("r.new");
    assert_eq!(listing(&new), ["checkpoints", "config.toml", "history.csv", "replaces"]);
}

#[test]
fn interrupted_replacement_is_completed_by_the_next_process() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let real = |name: &str| home.path().canonicalize().unwrap().join(name).display().to_string();
    // What the process writes that begins a replacement.
    let mark = |folder: &str, replaced: &str| {
        let mut sha256 = Sha256::new();
        for file in ["config.toml", "result.json"] {
            let bytes = fs::read(at(replaced).join(file)).unwrap();
            sha256.update((bytes.len() as u64).to_le_bytes());
            sha256.update(bytes);
        }
        let digest: String = sha256.finalize().iter().map(|b| format!("{b:02x}")).collect();
        fs::write(at(folder).join("replaces"), format!("{}\n{digest}", real(folder))).unwrap();
    };
    let begin = || {
        for (name, seed) in [("a", "1"), ("a.new", "2")] {
            assert_eq!(train(home.path(), &["--out", name, "--seed", seed]).code, 0);
        }
        mark("a.new", "a");
        fs::read(at("a.new/model.safetensors")).unwrap()
    };
    let ended = |resumed: &str, expected: &[u8]| {
        assert_eq!(run(seqfit(home.path()).args(["train", "-q", "--resume", resumed])).code, 0);
        assert_eq!(listing(home.path()), ["a"]);
        assert_eq!(listing(&at("a")), FILES);
        assert!(fs::read(at("a/model.safetensors")).unwrap() == expected);
        fs::remove_dir_all(at("a")).unwrap();
    };
    let new = begin();
    ended("a.new", &new);
    let new = begin();
    fs::rename(at("a"), at("a.new/replaced")).unwrap();
    ended("a.new", &new);
    let new = begin();
    fs::rename(at("a"), at("a.new/replaced")).unwrap();
    fs::rename(at("a.new"), at("a")).unwrap();
    ended("a", &new);
    // Another run has taken the place since then, or the run there was continued: neither is replaced.
    for is_other in [true, false] {
        begin();
        if is_other {
            fs::rename(at("a"), at("a.new/replaced")).unwrap();
            assert_eq!(train(home.path(), &["--out", "a", "--seed", "3"]).code, 0);
        } else {
            let longer = ["train", "-q", "--resume", "a", "--epochs", "3"];
            assert_eq!(run(seqfit(home.path()).args(longer)).code, 0);
        }
        let there = fs::read(at("a/model.safetensors")).unwrap();
        let output = run(seqfit(home.path()).args(["train", "-q", "--resume", "a.new"]));
        assert_eq!(output.code, 1);
        assert!(output.stderr.contains("where there is now another run"), "{}", output.stderr);
        assert!(fs::read(at("a/model.safetensors")).unwrap() == there);
        // Without the marker it stays where it is.
        fs::remove_file(at("a.new/replaces")).unwrap();
        assert_eq!(run(seqfit(home.path()).args(["train", "-q", "--resume", "a.new"])).code, 0);
        assert!(at("a.new/model.safetensors").is_file());
        ["a", "a.new"].iter().for_each(|name| fs::remove_dir_all(at(name)).unwrap());
    }
    // A folder that is not a run is never removed, wherever it is.
    begin();
    fs::create_dir(at("a.new/replaced")).unwrap();
    fs::write(at("a.new/replaced/letter"), "precious").unwrap();
    fs::remove_dir_all(at("a")).unwrap();
    fs::rename(at("a.new"), at("a")).unwrap();
    assert_eq!(run(seqfit(home.path()).args(["train", "-q", "--resume", "a"])).code, 1);
    assert!(at("a/replaced/letter").is_file());
    // The same for other runs, and for a run that another process is training.
    fs::remove_dir_all(at("a/replaced")).unwrap();
    for name in ["victim", "a/replaced"] {
        assert_eq!(train(home.path(), &["--out", name, "--seed", "3"]).code, 0);
    }
    fs::write(at("a/replaces"), real("victim.new")).unwrap();
    assert_eq!(run(seqfit(home.path()).args(["train", "-q", "--resume", "a"])).code, 0);
    assert!(at("victim/model.safetensors").is_file());
    let _trained = seqfit::run::Run::resume(&at("a/replaced")).unwrap();
    fs::write(at("a/replaces"), real("a.new")).unwrap();
    assert_eq!(run(seqfit(home.path()).args(["train", "-q", "--resume", "a"])).code, 1);
    assert!(at("a/replaced/model.safetensors").is_file());
}

/// Links into a run, and the path of a run to be replaced, also belong to the runs.
#[test]
#[cfg(unix)]
fn output_through_links_never_overwrites_a_run() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(train(home.path(), &["--out", "r"]).code, 0);
    let before = fs::read(home.path().join("r/config.toml")).unwrap();
    std::os::unix::fs::symlink("r/config.toml", home.path().join("link.csv")).unwrap();
    std::os::unix::fs::symlink("r/checkpoints", home.path().join("folder")).unwrap();
    for command in [
        &["train", "--resume", "r", "--epochs", "4", "--csv", "link.csv"][..],
        &["train", "--resume", "r", "--epochs", "4", "--csv", "folder/log.csv"],
        &["evaluate", "r", "--logits", "link.csv"],
        &["export", "r", "--out", "link.csv"],
        &["train", "--dataset", "digits", "--out", "r", "--force", "--csv", "r/log.csv"],
        &["train", "--dataset", "digits", "--out", "r", "--force", "--csv", "r/history.csv"],
        &["train", "--dataset", "digits", "--out", "s", "--csv", "."],
        &["train", "--dataset", "digits", "--out", "t", "--csv", "/dev/null"],
    ] {
        let output = run(seqfit(home.path()).args(command));
        assert_eq!(output.code, 1, "{command:?}: {output:#?}");
        assert!(!output.stderr.contains("epoch 1"), "reported before training: {}", output.stderr);
        assert_eq!(fs::read(home.path().join("r/config.toml")).unwrap(), before, "{command:?}");
    }
}

#[test]
fn force_replaces_runs_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("site");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.toml"), "baseURL = \"x\"").unwrap();
    fs::write(folder.join("model.pt"), "precious").unwrap();
    for (options, advice) in
        [(&["--out", "site"][..], ": choose another --out"), (&["--out", "site", "--force"], "")]
    {
        let output = train(home.path(), options);
        assert_eq!(output.code, 1);
        assert!(
            output.stderr.contains("config.toml") && output.stderr.contains(advice),
            "{output:#?}"
        );
        assert!(!output.stderr.contains("--resume"), "{output:#?}");
    }
    assert_eq!(fs::read(folder.join("model.pt")).unwrap(), b"precious");
    assert_eq!(train(home.path(), &["--out", "r"]).code, 0);
    fs::write(home.path().join("r/notes.txt"), "mine").unwrap();
    for options in [&["--out", "r"][..], &["--out", "r", "--force"]] {
        let output = train(home.path(), options);
        assert!(output.code == 1 && output.stderr.contains("notes.txt"), "{output:#?}");
    }
    assert_eq!(fs::read(home.path().join("r/notes.txt")).unwrap(), b"mine");
}

#[test]
fn output_never_overwrites_the_files_of_its_run() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(train(home.path(), &["--out", "r"]).code, 0);
    let config = fs::read(home.path().join("r/config.toml")).unwrap();
    for command in [
        &["export", "r", "--out", "r/config.toml"][..],
        &["export", "r", "--out", "./r/../r/model.safetensors"],
        &["evaluate", "r", "--logits", "r/config.toml"],
        &["evaluate", "r", "--logits", "r/checkpoints/epoch-0002.safetensors"],
        &["train", "--resume", "r", "--epochs", "3", "--csv", "r/history.csv"],
    ] {
        let output = run(seqfit(home.path()).args(command));
        assert_eq!(output.code, 1, "{output:#?}");
        assert!(output.stderr.contains("belongs to the run"), "{}", output.stderr);
    }
    assert_eq!(fs::read(home.path().join("r/config.toml")).unwrap(), config);
    assert_eq!(run(seqfit(home.path()).args(["export", "r", "--out", "r/model.pt"])).code, 0);
}

#[test]
#[cfg(unix)]
fn pipes_and_devices_in_a_run_are_refused_immediately() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(train(home.path(), &["--out", "r"]).code, 0);
    let weights = home.path().join("r/model.safetensors");
    fs::remove_file(&weights).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &weights).unwrap();
    let output = run(seqfit(home.path()).args(["evaluate", "r"]));
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("must be an ordinary file"), "{}", output.stderr);
}

#[test]
fn runs_without_a_name_get_their_own_folders() {
    let home = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        assert_eq!(train(home.path(), &["--epochs", "1", "-q"]).code, 2, "--epochs twice");
        let output =
            run(seqfit(home.path()).args(["train", "-q", "--dataset", "digits", "--epochs", "1"]));
        assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (0, "", ""));
    }
    let names = listing(&home.path().join("runs"));
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("digits-20")), "{names:?}");
}

#[test]
fn damaged_runs_are_refused_by_every_command() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(train(home.path(), &["--out", "good"]).code, 0);
    let good = home.path().join("good");
    let weights = fs::read(good.join("model.safetensors")).unwrap();
    let config = fs::read_to_string(good.join("config.toml")).unwrap();
    let cases: [(&str, &str, Vec<u8>, &str); 7] = [
        (
            "cut weights",
            "model.safetensors",
            weights[..weights.len() / 2].to_vec(),
            "must hold at least",
        ),
        ("empty weights", "model.safetensors", vec![], "must hold at least"),
        (
            "NaN weights",
            "model.safetensors",
            {
                let mut bytes = weights.clone();
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
                bytes
            },
            "found NaN",
        ),
        (
            "too long weights",
            "model.safetensors",
            vec![0; weights.len() + (2 << 20)],
            "must hold at most",
        ),
        ("no config", "config.toml", b"x = ".to_vec(), "is not a run's config"),
        (
            "other network",
            "config.toml",
            config.replace("units = 64", "units = 63").into_bytes(),
            "must have shape",
        ),
        (
            "no width",
            "config.toml",
            config.replace("units = 64", "units = 0").into_bytes(),
            "Dense needs at least 1 unit",
        ),
    ];
    for (what, file, content, message) in cases {
        let folder = home.path().join("bad");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        for name in &FILES[1..] {
            fs::copy(good.join(name), folder.join(name)).unwrap();
        }
        fs::write(folder.join(file), content).unwrap();
        for command in [
            &["evaluate", "bad"][..],
            &["export", "bad", "--out", "out.pt"],
            &["predict", "bad", "image.png"],
            #[cfg(feature = "serve")]
            &["serve", "bad", "--port", "0"],
        ] {
            let output = run(seqfit(home.path()).args(command));
            assert_eq!(output.code, 1, "{what} {command:?}: {output:#?}");
            assert!(output.stderr.contains(message), "{what} {command:?}: {}", output.stderr);
            assert!(output.stderr.contains("bad/"), "{what} names no path: {}", output.stderr);
            assert_eq!(output.stderr.lines().count(), 1, "{what}: {}", output.stderr);
        }
        assert!(!home.path().join("out.pt").exists());
    }
}

#[test]
fn evaluate_detects_changed_data() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("stripes");
    common::write_stripes(&data, 4, 4, 2);
    succeed(seqfit(home.path()).args([
        "train",
        "-q",
        "--epochs",
        "1",
        "--out",
        "r",
        "--data-dir",
        "stripes",
    ]));
    succeed(seqfit(home.path()).args(["evaluate", "r"]));
    let labels = data.join("t10k-labels-idx1-ubyte");
    let mut bytes = fs::read(&labels).unwrap();
    bytes[8] ^= 1;
    fs::write(&labels, bytes).unwrap();
    let output = run(seqfit(home.path()).args(["evaluate", "r"]));
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("t10k-labels-idx1-ubyte"), "{}", output.stderr);
    // Requested by name, the changed data is evaluated: the metrics are for that data.
    succeed(seqfit(home.path()).args(["evaluate", "r", "--data-dir", "stripes"]));
}
