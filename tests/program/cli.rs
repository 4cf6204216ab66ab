//! Tests that any wrong input gets a clear message and the right exit code (2 for usage errors, 1 for
//! others), and that no partial files remain. The messages are kept as snapshots.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::common::{self, CommandOutput, idx, listing, run, seqfit, succeed, write_stripes};

/// Formats a command's output for a snapshot, with shortened paths.
fn transcript(home: &Path, command: &[&str]) -> (i32, String) {
    let output = run(seqfit(home).args(command));
    let mut text = format!("$ seqfit {}\n[exit {}]\n", command.join(" "), output.code);
    for (name, stream) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !stream.is_empty() {
            let _ = writeln!(text, "[{name}]\n{}", stream.trim_end());
        }
    }
    (output.code, text.replace(&home.display().to_string(), "HOME"))
}

fn snapshot(name: &str, home: &Path, code: i32, commands: &[&[&str]]) {
    let before = listing(home);
    let mut all = String::new();
    for command in commands {
        let (got, text) = transcript(home, command);
        assert_eq!(got, code, "{text}");
        let _ = writeln!(all, "{text}");
        assert_eq!(listing(home), before, "files were left over: {text}");
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, all) });
}

#[test]
fn wrong_usage() {
    let home = tempfile::tempdir().unwrap();
    let commands: &[&[&str]] = &[
        &[],
        &["fit"],
        &["train", "--epoch", "3"],
        &["train", "--data-dir", "digits"],
        &["data", "verify", "minst"],
        &["train", "--epochs", "0"],
        &["train", "--epochs", "ten"],
        &["train", "--batch-size", "0"],
        &["train", "--batch-size", "-1"],
        &["train", "--hidden", "128,0"],
        &["train", "--hidden", "128;64"],
        &["train", "--activation", "softmax"],
        &["train", "--dropout", "1"],
        &["train", "--dropout", "nan"],
        &["train", "--validation-split", "1.5"],
        &["train", "--learning-rate", "0"],
        &["train", "--learning-rate", "inf"],
        &["train", "--momentum", "0.9"],
        &["train", "--optimizer", "sgd", "--nesterov"],
        &["train", "--optimizer", "sgd", "--momentum", "0", "--nesterov"],
        &["train", "--optimizer", "adam", "--weight-decay", "0.1"],
        &["train", "--threads", "0"],
        &["train", "--seed", "-1"],
        &["train", "--dataset", "imagenet"],
        &["train", "--dataset", "minst"],
        &["train", "--dataset", "./my pictures"],
        &["train", "--dataset", "mnist", "--data-dir", "."],
        &["train", "--device", "gpu"],
        &["train", "--cuda", "--device", "cpu"],
        &["train", "--threads", "2", "--cuda"],
        &["train", "--engine", "graph"],
        &["train", "--engine", "fused", "--cuda"],
        &["train", "--engine", "fused", "--precision", "bf16"],
        &["train", "--precision", "tf32"],
        &["train", "--precision", "f16"],
        &["train", "--force"],
        &["train", "--resume", "r", "--out", "q"],
        &["train", "--resume", "r", "--force"],
        &["train", "--monitor", "val_acc"],
        &["train", "--monitor", "val_loss"],
        &["train", "--early-stopping", "-1"],
        &["train", "--min-delta", "0.1"],
        &["train", "--restore-best"],
        &["train", "--reduce-lr", "2", "--reduce-lr-factor", "1"],
        &["train", "--reduce-lr", "2", "--reduce-lr-factor", "0"],
        &["train", "--keep", "-1"],
        &["train", "--checkpoint-seconds", "0"],
        &["train", "--max-time", "soon"],
        &["train", "--on-nan", "hope"],
        &["train", "--recipe", "bestest"],
        &["train", "--schedule", "linear"],
        &["train", "--schedule", "one-cycle:warm_up=1"],
        &["train", "--schedule", "one-cycle:warmup=0.1"],
        &["train", "--augment", "rotation"],
        &["train", "--augment", "rotation=-5"],
        &["train", "--augment", "twist=5"],
        &["train", "--label-smoothing", "1"],
        &["train", "--clip-norm", "0"],
        &["train", "--ema", "1"],
        &["train", "--seeds", "1"],
        &["train", "--seeds", "3", "--resume", "r"],
        &["train", "--dataset", "digits", "--hidden", "9999999999"],
        &["evaluate"],
        &["predict", "run"],
        &["predict", "run", "x.png", "--top", "0"],
        &["serve"],
        &["serve", "run", "--port", "65536"],
        &["serve", "run", "--threads", "0"],
        &["export"],
        &["export", "run", "--format", "onnx9", "--out", "x"],
        &["export", "run", "--with", "softmax"],
        &["summary", "--classes", "1"],
        &["summary", "--image-size", "28"],
        &["summary", "run", "--hidden", "3"],
        &["data"],
        &["data", "fetch"],
        &["data", "fetch", "imagenet"],
        &["data", "fetch", "fashion"],
        &["data", "fetch", "./mine"],
        &["data", "preview"],
        &["recipe", "show", "bestest"],
        &["recipe", "show", "tutoral"],
        &["evaluate", "r", "--checkpoint", "first"],
        &["train", "--report", "--seeds", "2"],
        &["report"],
        &["report", "r", "--dataset", "mnist", "--data-dir", "."],
        &["compare"],
        &["compare", "r"],
    ];
    snapshot("wrong_usage", home.path(), 2, commands);
}

#[test]
fn wrong_data() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    for name in [
        "good",
        "html",
        "short",
        "long",
        "swapped",
        "labels9",
        "counts",
        "bomb",
        "text",
        "shapes",
        "one-class",
        "names",
        "float",
    ] {
        write_stripes(&at(name), 4, 4, 3);
    }
    let images = |name: &str| at(name).join("train-images-idx3-ubyte");
    let labels = |name: &str| at(name).join("train-labels-idx1-ubyte");
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("cache")).unwrap();
    fs::remove_file(images("html")).unwrap();
    fs::write(at("html/train-images-idx3-ubyte.gz"), "<!DOCTYPE html><html>404</html>").unwrap();
    let bytes = fs::read(images("good")).unwrap();
    fs::write(images("short"), &bytes[..bytes.len() - 7]).unwrap();
    fs::write(images("long"), [&bytes[..], b"tail"].concat()).unwrap();
    fs::copy(labels("swapped"), images("swapped")).unwrap();
    fs::write(at("labels9/classes.txt"), "a\nb\n").unwrap();
    fs::write(labels("counts"), idx(&[59], &[0; 59])).unwrap();
    fs::write(images("bomb"), idx(&[u32::MAX, u32::MAX, u32::MAX], &[0; 10])).unwrap();
    fs::write(images("text"), "12 34").unwrap();
    fs::write(at("shapes/t10k-images-idx3-ubyte"), idx(&[15, 2, 8], &[0; 240])).unwrap();
    fs::write(labels("one-class"), idx(&[60], &[0; 60])).unwrap();
    fs::write(at("one-class/t10k-labels-idx1-ubyte"), idx(&[15], &[0; 15])).unwrap();
    fs::write(at("names/classes.txt"), "cat\ncat\ndog\n").unwrap();
    let mut float = bytes.clone();
    float[2] = 0x0d;
    fs::write(images("float"), float).unwrap();
    // Pictures, with and without a folder per class; only their names count here.
    for picture in ["my pictures/train/cat/1.PNG", "loose/1.jpg"] {
        fs::create_dir_all(at(picture).parent().unwrap()).unwrap();
        fs::write(at(picture), "").unwrap();
    }
    let folders = [
        "missing",
        "empty",
        "html",
        "short",
        "long",
        "swapped",
        "labels9",
        "counts",
        "bomb",
        "text",
        "shapes",
        "one-class",
        "names",
        "float",
    ];
    let commands: Vec<Vec<&str>> = folders
        .iter()
        .map(|name| vec!["train", "--data-dir", name])
        .chain([
            // There is no fallback to other data.
            vec!["train", "--dataset", "mnist"],
            vec!["data", "verify", "short"],
            vec!["train", "--data-dir", "my pictures"],
            vec!["train", "--data-dir", "loose"],
            vec!["data", "verify", "my pictures"],
            vec!["data", "verify", "./minst"],
        ])
        .collect();
    let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
    snapshot("wrong_data", home.path(), 1, &commands);
    // The failed download left its folder empty.
    assert!(listing(&at("cache/data/mnist")).is_empty());
}

#[test]
fn wrong_files() {
    let home = tempfile::tempdir().unwrap();
    write_stripes(&home.path().join("stripes"), 4, 4, 3);
    write_stripes(&home.path().join("other"), 5, 4, 3);
    write_stripes(&home.path().join("classes"), 4, 4, 4);
    let train = ["train", "-q", "--epochs", "1", "--out", "run", "--data-dir", "stripes"];
    succeed(seqfit(home.path()).args(train));
    fs::write(home.path().join("text.png"), "no picture").unwrap();
    fs::write(home.path().join("cut.png"), b"\x89PNG\r\n\x1a\n\0\0\0").unwrap();
    fs::write(home.path().join("images.idx"), idx(&[1, 9, 9], &[0; 81])).unwrap();
    fs::create_dir(home.path().join("folder")).unwrap();
    // An interrupted run, and one that has no checkpoint yet.
    for unfinished in ["runs/my digits", "runs/no checkpoint"] {
        let unfinished = home.path().join(unfinished);
        fs::create_dir_all(unfinished.join("checkpoints")).unwrap();
        fs::copy(home.path().join("run/config.toml"), unfinished.join("config.toml")).unwrap();
    }
    for checkpoint in fs::read_dir(home.path().join("run/checkpoints")).unwrap() {
        let checkpoint = checkpoint.unwrap();
        let copy = home.path().join("runs/my digits/checkpoints").join(checkpoint.file_name());
        fs::copy(checkpoint.path(), copy).unwrap();
    }
    let newest = home.path().join("runs/no checkpoint/config.toml");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    fs::File::options().write(true).open(newest).unwrap().set_modified(later).unwrap();
    let commands: &[&[&str]] = &[
        &["evaluate", "nothing"],
        &["evaluate", "folder"],
        &["evaluate", "runs"],
        &["evaluate", "runs/my-digits"],
        &["evaluate", "runs/my digits"],
        &["export", "runs/no checkpoint"],
        &["inspect", "runs/my digits"],
        &["inspect", "runs/my-digits"],
        &["train", "--resume", "runs/nope"],
        &["train", "--data-dir", "stripes", "--init-from", "rnu"],
        &["summary", "run/config.toml"],
        &["inspect", "run/config.toml"],
        &["evaluate", "run", "--data-dir", "other"],
        &["evaluate", "run", "--data-dir", "classes"],
        &["evaluate", "run", "--logits", "missing/l.npy"],
        &["predict", "run", "missing.png"],
        &["predict", "run", "text.png"],
        &["predict", "run", "cut.png"],
        &["predict", "run", "images.idx"],
        &["predict", "run", "folder"],
        &["export", "run", "--out", "missing/model.pt"],
        &["export", "run", "--out", "folder"],
        &["export", "nothing", "--format", "onnx"],
        &["export", "run", "--format", "onnx", "--out", "missing/model.onnx"],
        &["export", "run", "--format", "onnx", "--out", "run/model.safetensors"],
        &["train", "--data-dir", "stripes", "--out", "run"],
        &["train", "--data-dir", "stripes", "--out", "stripes", "--force"],
        &["train", "--data-dir", "stripes", "--out", "text.png"],
        &["train", "--data-dir", "stripes", "--out", "text.png/run"],
    ];
    snapshot("wrong_files", home.path(), 1, commands);
}

#[test]
fn unavailable_cuda_is_an_error_and_never_falls_back_to_the_cpu() {
    let home = tempfile::tempdir().unwrap();
    let output = run(seqfit(home.path()).args([
        "train",
        "--dataset",
        "digits",
        "--cuda",
        "--epochs",
        "1",
        "--out",
        "r",
    ]));
    if seqfit::device::require(seqfit::Device::Cuda(0)).is_ok() {
        assert_eq!(output.code, 0, "{output:#?}");
        return;
    }
    assert_eq!(output.code, 1);
    assert!(output.stderr.starts_with("error: CUDA was asked for, and "), "{}", output.stderr);
    assert!(listing(home.path()).is_empty());
}

#[test]
fn training_without_data_or_network_uses_the_digits_with_a_note() {
    let home = tempfile::tempdir().unwrap();
    let output = succeed(seqfit(home.path()).args(["train", "-q", "--epochs", "1", "--out", "r"]));
    assert!(output.stderr.starts_with("*****"), "{}", output.stderr);
    assert!(output.stderr.contains("built-in digits"), "{}", output.stderr);
    let config = fs::read_to_string(home.path().join("r/config.toml")).unwrap();
    let config: toml::Table = toml::from_str(&config).unwrap();
    let source = &config["data"]["source"];
    assert_eq!(source["name"].as_str(), Some("digits"));
    assert!(source["notice"].as_str().is_some_and(|notice| notice.contains("MNIST")));
    assert_eq!(
        listing(home.path()),
        ["cache", "r"]
            .iter()
            .filter(|n| home.path().join(n).exists())
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
    );
    // With MNIST in the data folder there is no note.
    if let Some(mnist) = common::mnist() {
        let data = mnist.parent().unwrap();
        let output = succeed(
            seqfit(home.path())
                .args(["train", "-q", "--epochs", "1", "--batch-size", "512", "--out", "m"])
                .env("SEQFIT_DATA", data),
        );
        assert_eq!(output.stderr, "");
        let config = fs::read_to_string(home.path().join("m/config.toml")).unwrap();
        assert!(config.contains("name = \"mnist\""));
    }
}

#[test]
fn doctor_reports_whether_training_works() {
    let home = tempfile::tempdir().unwrap();
    let output = succeed(seqfit(home.path()).args(["doctor", "--json"]));
    let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report["ok"], true);
    assert_eq!(report["libtorch"]["found"], report["libtorch"]["expected"]);
    let usable = seqfit::device::require(seqfit::Device::Cuda(0)).is_ok();
    assert_eq!(report["cuda"]["usable"], usable);
    assert_eq!(report["cuda"]["reason"].is_string(), !usable);
    assert!(report["threads"].as_u64().is_some_and(|n| n > 0));
    assert!(report["cache"]["free_bytes"].as_u64().is_some_and(|n| n > 0));
    let output = succeed(seqfit(home.path()).arg("doctor"));
    assert!(output.stdout.ends_with("training works here\n"), "{}", output.stdout);
}

/// An environment to train in: the cache, the working folder, and additional settings.
struct Place {
    name: &'static str,
    variables: Vec<(&'static str, String)>,
    works: bool,
}

fn places(home: &Path) -> Vec<Place> {
    let file = home.join("file");
    fs::write(&file, "no folder").unwrap();
    fs::create_dir_all(home.join("wrong/mnist")).unwrap();
    let place = |name, variable, value: &str, works| {
        let variables = vec![(variable, value.to_owned())];
        Place { name, variables, works }
    };
    let at = |name: &str| home.join(name).display().to_string();
    vec![
        place("nothing else", "SEQFIT_CACHE", &at("cache"), true),
        place("a cache below a file", "SEQFIT_CACHE", &at("file/cache"), false),
        place("data that is not there", "SEQFIT_DATA", &at("missing"), true),
        place("data that is a file", "SEQFIT_DATA", &at("file"), true),
        place("data that is none", "SEQFIT_DATA", &at("wrong"), false),
        place("no mirror", "SEQFIT_MIRROR", "ftp://mirror.invalid", false),
    ]
}

#[test]
fn doctor_agrees_with_training() {
    let home = tempfile::tempdir().unwrap();
    for Place { name, variables, works } in places(home.path()) {
        let with = |arguments: &[&str]| {
            let mut command = seqfit(home.path());
            run(command.args(arguments).envs(variables.clone()))
        };
        let doctor = with(&["doctor", "--json"]);
        let listing = common::listing(home.path());
        assert_eq!(listing, ["file", "wrong"], "{name}: the doctor leaves nothing");
        let trained = with(&["train", "-q", "--epochs", "1"]);
        assert_eq!((doctor.code == 0, trained.code == 0), (works, works), "{name}: {doctor:?}");
        let report: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap();
        if let Some(error) = trained.stderr.strip_prefix("error: ") {
            assert_eq!(report["problems"], serde_json::json!([error.trim_end()]), "{name}");
        }
        for made in ["cache", "runs"] {
            let _ = fs::remove_dir_all(home.path().join(made));
        }
    }
    fs::write(home.path().join("runs"), "no folder").unwrap();
    let [doctor, trained] = [&["doctor"][..], &["train", "-q", "--epochs", "1"]]
        .map(|arguments| run(seqfit(home.path()).args(arguments)));
    assert_eq!((doctor.code, trained.code), (1, 1), "{doctor:?}");
    assert!(doctor.stdout.contains("train --out"), "{doctor:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn doctor_detects_missing_write_permission() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let home = tempfile::tempdir().unwrap();
    // Like HOME=/ for a user of a container: readable by all, writable by no one.
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let as_user = |arguments: &[&str]| {
        let mut command = seqfit(home.path());
        command.args(arguments).env("HOME", home.path()).env_remove("XDG_CACHE_HOME");
        command.env_remove("SEQFIT_CACHE");
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        command.output().map(|output| (output.status.code(), output.stdout))
    };
    let Ok((code, stdout)) = as_user(&["doctor", "--json"]) else {
        common::not_here("a test as another user (its way to the program is closed)");
        return;
    };
    let report: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
    let problems = report["problems"].as_array().unwrap();
    assert_eq!((code, problems.len()), (Some(1), 2), "{report}");
    for (problem, cure) in problems.iter().zip(["SEQFIT_CACHE", "train --out"]) {
        let problem = problem.as_str().unwrap();
        assert!(problem.contains("Permission denied") && problem.contains(cure), "{problem}");
    }
    let (code, _) = as_user(&["train", "-q", "--epochs", "1"]).unwrap();
    assert_eq!(code, Some(1));
}

#[test]
fn summaries_match_keras_tables() {
    let home = tempfile::tempdir().unwrap();
    let CommandOutput { stdout, .. } = succeed(seqfit(home.path()).arg("summary"));
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("summary", stdout) });
    let output = succeed(seqfit(home.path()).args(["summary", "--hidden", "", "--json"]));
    let summary: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(summary["parameters"], 7850);
}

#[test]
#[cfg(unix)]
fn training_continues_after_its_output_pipe_closes() {
    use std::process::Stdio;
    let home = tempfile::tempdir().unwrap();
    for (name, closed) in [("out", ["stdout"].as_slice()), ("both", &["stdout", "stderr"])] {
        let mut command = seqfit(home.path());
        command.args(["train", "--json", "--dataset", "digits", "--epochs", "30", "--out", name]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        if closed.contains(&"stderr") {
            drop(child.stderr.take());
        }
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0), "{name}");
        assert!(home.path().join(name).join("model.pt").is_file(), "{name}");
    }
    // A stdout on a full disk is an error, but the run is complete.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = seqfit(home.path());
    command.args([
        "train",
        "--json",
        "-q",
        "--dataset",
        "digits",
        "--epochs",
        "1",
        "--out",
        "full",
    ]);
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.starts_with("error: standard output cannot be written"), "{stderr}");
    assert!(home.path().join("full/model.pt").is_file());
}

#[test]
fn closed_output_pipe_is_not_an_error() {
    let home = tempfile::tempdir().unwrap();
    let mut child = seqfit(home.path())
        .args(["data", "list"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_network_that_memory_cannot_hold_is_refused_before_its_weights_are_drawn() {
    // 3,750,000,010 weights, of the 4,294,967,296 that a network may have: four numbers for each take 60 GB.
    if seqfit::FreeMemory::read().left().is_none_or(|(left, _)| left > 59 << 30) {
        eprintln!("not shown: this machine has more memory than the largest network takes");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let done =
        run(seqfit(home.path()).args(["train", "--dataset", "digits", "--hidden", "50000000"]));
    assert_eq!(done.code, 1, "{done:#?}");
    let found = "60 GB, 4 numbers for each weight (itself, its gradient, moments): use fewer units or features";
    assert!(done.stderr.contains("the network must be small enough for the "), "{}", done.stderr);
    assert!(done.stderr.contains(found), "{}", done.stderr);
    assert!(!home.path().join("runs").exists());
}
