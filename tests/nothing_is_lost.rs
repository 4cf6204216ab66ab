//! The promise: a run survives whatever ends it, and files are whole or not there. Real processes
//! are killed, interrupted, locked out and left without disk.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{listing, run, seqfit, succeed};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use seqfit::run::{Checkpoint, Run, checkpoints};
use seqfit::{Device, Snapshot};
use serde_json::Value;

/// Everything that remembers something: validation, dropout, early stopping, a falling learning
/// rate, and checkpoints within epochs.
const RICH: [&str; 19] = [
    "--validation-split",
    "0.1",
    "--dropout",
    "0.1",
    "--early-stopping",
    "30",
    "--restore-best",
    "--reduce-lr",
    "2",
    "--reduce-lr-factor",
    "0.7",
    "--min-learning-rate",
    "0.0001",
    "--checkpoint-seconds",
    "0.004",
    "--threads",
    "1",
    "--seed",
    "5",
];

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("model.safetensors")).unwrap()
}

/// The history without its times.
fn figures(run: &Path) -> Vec<String> {
    let csv = fs::read_to_string(run.join("history.csv")).unwrap();
    csv.lines().map(|line| line.split(',').take(6).collect::<Vec<_>>().join(",")).collect()
}

fn pause(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds));
}

/// Waits for a run to have so many checkpoints.
fn wait_for_checkpoints(child: &mut Child, run: &Path, n: usize) {
    let started = Instant::now();
    while checkpoints::list(&run.join("checkpoints")).map_or(0, |found| found.len()) < n {
        assert!(started.elapsed() < Duration::from_secs(60), "no checkpoint in a minute");
        assert!(child.try_wait().unwrap().is_none(), "the training has ended before");
        pause(0.005);
    }
}

fn spawn(home: &Path, arguments: &[&str]) -> Child {
    let mut command = seqfit(home);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// Nothing in a run's folder is unreadable: what is there under its own name is whole.
fn assert_readable(path: &Path) {
    if !path.join("config.toml").exists() {
        return;
    }
    let run = Run::open(path).unwrap();
    let folder = path.join("checkpoints");
    for (_, path) in checkpoints::list(&folder).unwrap() {
        checkpoints::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let best = folder.join(checkpoints::BEST);
    if best.exists() {
        checkpoints::read(&best).unwrap();
    }
    if let Ok(csv) = fs::read_to_string(path.join("history.csv")) {
        assert!(csv.ends_with('\n'), "{csv:?}");
        assert!(csv.lines().all(|line| line.split(',').count() == 8), "{csv}");
    }
    if path.join("model.safetensors").exists() {
        run.load_model(Device::Cpu).unwrap();
    }
    if path.join("result.json").exists() {
        assert!(run.result().is_some());
    }
}

/// Kills training again and again, `kills` times in all, at moments between `from` and `to` seconds
/// after each start; whenever it comes to its end the weights are those of a training that nobody
/// killed, and the next one begins.
fn kill_and_resume(data: &[&str], kills: usize, (from, to): (f64, f64)) {
    let home = tempfile::tempdir().unwrap();
    let train = |out| [&["train", "--json", "-q", "--out", out], &RICH[..], data].concat();
    succeed(seqfit(home.path()).args(train("whole")));
    let whole = home.path().join("whole");
    let run = home.path().join("run");
    let mut rng = Pcg64Mcg::seed_from_u64(200);
    let (mut killed, mut finished, mut mid_epoch) = (0, 0, 0);
    while killed < kills || finished == 0 {
        let begun = run.join("config.toml").exists();
        let mut child = match begun {
            true => spawn(home.path(), &["train", "--json", "-q", "--resume", "run"]),
            false => spawn(home.path(), &train("run")),
        };
        let deadline = Instant::now() + Duration::from_secs_f64(rng.random_range(from..to));
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if killed < kills && Instant::now() >= deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            pause(0.002);
        };
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("warning") && !said.contains("error"), "{said}");
        assert_readable(&run);
        if let Some(status) = ended {
            assert!(status.success(), "{said}");
            assert!(weights(&run) == weights(&whole), "other weights after {killed} kills");
            assert_eq!(figures(&run), figures(&whole));
            fs::remove_dir_all(&run).unwrap();
            finished += 1;
            continue;
        }
        killed += 1;
        // What was told before the kill is lost by one epoch at the most, the one whose checkpoint
        // was being written.
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = told.lines().rev().find_map(|line| {
            let record: Value = serde_json::from_str(line).ok()?;
            record["epoch"].as_u64()
        });
        let kept = checkpoints::list(&run.join("checkpoints")).unwrap().pop();
        let ((epoch, batch), _) = kept.unwrap_or_default();
        mid_epoch += usize::from(batch > 0);
        if let Some(told) = told {
            assert!(epoch as u64 + 1 >= told, "epoch {told} was told of, {epoch} is kept");
        }
    }
    // Checkpoints within epochs are what some kills must leave behind.
    assert!(mid_epoch * 20 > killed || kills < 100, "{mid_epoch} of {killed}");
    eprintln!(
        "{killed} kills, {mid_epoch} left a run within an epoch, {finished} runs came to their end"
    );
}

#[test]
fn kill_9_at_random_moments_loses_nothing() {
    let kills = common::all_or_few("kills", 200, 10);
    kill_and_resume(&["--dataset", "digits", "--epochs", "80"], kills, (0.1, 0.9));
}

#[test]
fn kill_9_loses_nothing_of_mnist() {
    let Some(folder) = common::mnist() else {
        return;
    };
    let folder = folder.to_str().unwrap();
    let data = ["--data-dir", folder, "--epochs", "3", "--batch-size", "100"];
    kill_and_resume(&data, 5, (0.3, 3.0));
}

#[test]
fn signals_end_in_good_order_and_say_how_to_go_on() {
    for (name, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("r");
        let options = ["train", "--dataset", "digits", "--epochs", "400", "--out"];
        let mut child = spawn(home.path(), &[&options[..], &["r"]].concat());
        wait_for_checkpoints(&mut child, &out, 1);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert!(said.ends_with("go on with: seqfit train --resume r\n"), "{said}");
        assert_eq!(listing(&out), ["checkpoints", "config.toml", "history.csv"]);
        succeed(seqfit(home.path()).args(["train", "-q", "--resume", "r"]));
        succeed(seqfit(home.path()).args(options).args(["whole", "-q"]));
        assert!(weights(&out) == weights(&home.path().join("whole")), "{name}");
        assert_eq!(figures(&out), figures(&home.path().join("whole")));
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let home = tempfile::tempdir().unwrap();
    // An epoch of one batch that takes long: the first signal waits for it.
    let options = ["train", "-q", "--dataset", "digits", "--hidden", "6000,6000", "--batch-size"];
    let mut child = spawn(home.path(), &[&options[..], &["1437", "--out", "r"]].concat());
    while !home.path().join("r/history.csv").exists() {
        assert!(child.try_wait().unwrap().is_none());
        pause(0.005);
    }
    signal(&child, "-INT");
    pause(0.05);
    assert!(child.try_wait().unwrap().is_none(), "the first signal waits for the batch");
    let started = Instant::now();
    // Again until it is heard: two that wait for a busy process are one to the system.
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        pause(0.1);
    };
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status.signal(), Some(2), "ended by the signal itself");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_signal_that_is_to_be_ignored_is_ignored() {
    let home = tempfile::tempdir().unwrap();
    // What nohup does.
    let train = "train -q --dataset digits --epochs 150 --out r";
    let mut child = limited(home.path(), "trap '' HUP", train).spawn().unwrap();
    wait_for_checkpoints(&mut child, &home.path().join("r"), 1);
    signal(&child, "-HUP");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(home.path().join("r/result.json").is_file());
}

#[test]
fn max_time_ends_in_good_order_and_the_run_can_go_on() {
    let home = tempfile::tempdir().unwrap();
    let train =
        ["train", "--dataset", "digits", "--epochs", "2000", "--max-time", "1s", "--out", "r"];
    let said = succeed(seqfit(home.path()).args(train));
    assert!(
        said.stdout.starts_with("end:  the time of --max-time\ntest: loss "),
        "{}",
        said.stdout
    );
    assert!(said.stdout.ends_with("go on with: seqfit train --resume r\n"), "{}", said.stdout);
    let run_folder = home.path().join("r");
    let result = Run::open(&run_folder).unwrap().result().unwrap();
    assert_eq!(result.ended_by.as_deref(), Some("the time of --max-time"));
    assert!(run_folder.join("model.pt").is_file());
    let (place, _) = checkpoints::list(&run_folder.join("checkpoints")).unwrap().pop().unwrap();
    let epochs = (place.0 + 2).to_string();
    succeed(seqfit(home.path()).args(["train", "-q", "--resume", "r", "--epochs", &epochs]));
    let whole = ["train", "-q", "--dataset", "digits", "--epochs", &epochs, "--out", "whole"];
    succeed(seqfit(home.path()).args(whole));
    assert!(weights(&run_folder) == weights(&home.path().join("whole")));
}

#[test]
fn a_finished_run_goes_on_with_more_epochs_and_with_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let r = home.path().join("r");
    let train = ["train", "-q", "--dataset", "digits", "--validation-split", "0.1", "--epochs"];
    succeed(seqfit(home.path()).args(train).args(["2", "--out", "r"]));
    let before = weights(&r);
    let said = succeed(seqfit(home.path()).args(["train", "--resume", "r"]));
    assert!(said.stderr.contains("has come to its end with 2 epochs"), "{}", said.stderr);
    for (options, told) in [
        (&["--batch-size", "64"][..], "fit.batch_size was 32, found 64"),
        (&["--seed", "1", "--learning-rate", "0.1"], "fit.seed was 0, found 1"),
        (&["--learning-rate", "0.1"], "fit.optimizer.learning_rate was 0.001, found 0.1"),
        (&["--optimizer", "sgd"], "fit.optimizer.name was \"adam\", found \"sgd\""),
        (&["--hidden", "128"], "network.layers was "),
        (&["--activation", "silu"], "\"activation\":\"silu\""),
        (&["--dropout", "0.5"], "network.layers was "),
        (&["--validation-split", "0.2"], "fit.validation_split was 0.1, found 0.2"),
        (&["--early-stopping", "3"], "callbacks.early_stopping was null, found "),
        (&["--engine", "autograd"], "fit.engine was \"fused\", found \"autograd\""),
        (&["--epochs", "1"], "has done 2 epochs, found --epochs 1"),
    ] {
        let said = run(seqfit(home.path()).args(["train", "--resume", "r"]).args(options));
        assert_eq!(said.code, 1, "{options:?}: {said:#?}");
        assert!(said.stderr.contains(told), "{options:?}: {}", said.stderr);
    }
    // Other data, of the same shape and classes.
    common::write_stripes(&home.path().join("stripes"), 8, 8, 10);
    let other = ["train", "--resume", "r", "--epochs", "3", "--data-dir", "stripes"];
    let said = run(seqfit(home.path()).args(other));
    assert!(said.code == 1 && said.stderr.contains("data.sha256 was ["), "{}", said.stderr);
    assert!(weights(&r) == before);
    // The same settings named again are no others.
    let more = ["train", "-q", "--resume", "r", "--epochs", "4", "--batch-size", "32"];
    succeed(seqfit(home.path()).args(more).args(["--dataset", "digits", "--hidden", "128,64"]));
    succeed(seqfit(home.path()).args(train).args(["4", "--out", "whole"]));
    assert!(weights(&r) == weights(&home.path().join("whole")));
    assert_eq!(figures(&r), figures(&home.path().join("whole")));
}

#[test]
fn a_checkpoint_of_another_run_and_a_link_for_a_lock_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let r = three_epochs(home.path());
    // Another run's, of the same network.
    let other =
        ["train", "-q", "--dataset", "digits", "--epochs", "3", "--hidden", "8", "--seed", "9"];
    succeed(seqfit(home.path()).args(other).args(["--out", "o", "--validation-split", "0.1"]));
    let foreign = home.path().join("o/checkpoints").join(checkpoints::BEST);
    fs::copy(foreign, r.join("checkpoints").join(checkpoints::BEST)).unwrap();
    let said = run(seqfit(home.path()).args(["evaluate", "r", "--checkpoint", "best"]));
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("best.safetensors is of another run: "), "{}", said.stderr);
    // And one of the numbered ones, beside a damaged one, which keeps its name then.
    let checkpoint = |run: &str, epoch| {
        home.path().join(run).join("checkpoints").join(checkpoints::name((epoch, 0)))
    };
    fs::copy(checkpoint("o", 2), checkpoint("r", 2)).unwrap();
    fs::write(checkpoint("r", 3), "no checkpoint").unwrap();
    let said = run(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "4"]));
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("epoch-0002.safetensors is of another run: "), "{}", said.stderr);
    assert!(said.stderr.contains("fit.seed was 9, found 0"), "{}", said.stderr);
    assert!(checkpoint("r", 3).is_file());
    // Somebody's file behind a link where the lock belongs.
    fs::write(home.path().join("precious"), "precious").unwrap();
    std::os::unix::fs::symlink("../precious", r.join("lock")).unwrap();
    let said = run(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "4"]));
    assert_eq!(said.code, 1, "{said:#?}");
    assert_eq!(fs::read(home.path().join("precious")).unwrap(), b"precious");
}

#[test]
fn a_run_that_stopped_early_stays_so() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "--dataset", "digits", "--validation-split", "0.1", "--epochs", "50"];
    let stop = ["--early-stopping", "1", "--min-delta", "0.1", "--restore-best", "--out", "r"];
    let said = succeed(seqfit(home.path()).args(train).args(stop));
    assert!(said.stdout.starts_with("end:  early stopping in epoch "), "{}", said.stdout);
    assert!(said.stdout.contains("\nbest: the weights of epoch "), "{}", said.stdout);
    let result = Run::open(&home.path().join("r")).unwrap().result().unwrap();
    assert_eq!(result.restored_epoch.map(|epoch| epoch + 1), Some(result.epochs));
    let config = fs::read(home.path().join("r/config.toml")).unwrap();
    let said = succeed(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "60"]));
    assert!(
        said.stderr.contains("has come to its end by early stopping in epoch "),
        "{}",
        said.stderr
    );
    assert!(said.stderr.ends_with(": more --epochs add nothing\n"), "{}", said.stderr);
    assert_eq!(fs::read(home.path().join("r/config.toml")).unwrap(), config);
}

#[test]
fn one_process_writes_into_a_run_and_a_stale_lock_hinders_nobody() {
    let home = tempfile::tempdir().unwrap();
    let options = ["train", "-q", "--dataset", "digits", "--epochs", "5000", "--out", "r"];
    let mut child = spawn(home.path(), &options);
    wait_for_checkpoints(&mut child, &home.path().join("r"), 1);
    let told = format!("into r, and process {} does", child.id());
    for command in [
        &options[..],
        &["train", "--dataset", "digits", "--out", "r", "--force"],
        &["train", "--resume", "r"],
        &["train", "--resume", "r", "--epochs", "3"],
    ] {
        let said = run(seqfit(home.path()).args(command));
        assert_eq!(said.code, 1);
        let refused = said.stderr.contains(&told) || said.stderr.contains("is not empty");
        assert!(refused, "{}", said.stderr);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(home.path().join("r/lock").is_file(), "kill -9 leaves the file");
    let done = Run::open(&home.path().join("r")).unwrap().newest_checkpoint().unwrap().0.unwrap();
    let epochs = (done.checkpoint.snapshot.state.epoch + 1).to_string();
    succeed(seqfit(home.path()).args(["train", "-q", "--resume", "r", "--epochs", &epochs]));
    assert!(!home.path().join("r/lock").exists());
}

/// A finished run of three epochs with all its checkpoints.
fn three_epochs(home: &Path) -> PathBuf {
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "3", "--hidden", "8", "--out"];
    succeed(seqfit(home).args(train).arg("r"));
    home.join("r")
}

#[test]
fn a_damaged_checkpoint_is_told_of_and_the_one_before_is_used() {
    let home = tempfile::tempdir().unwrap();
    let r = three_epochs(home.path());
    let expected = weights(&r);
    let newest = r.join("checkpoints").join(checkpoints::name((3, 0)));
    let whole = fs::read(&newest).unwrap();
    let mut rng = Pcg64Mcg::seed_from_u64(100);
    let mut damage = Vec::new();
    for i in 0..100 {
        let at = rng.random_range(0..whole.len());
        let mut bytes = whole.clone();
        match i % 2 {
            0 => bytes.truncate(at),
            _ => bytes[at] ^= 1 << rng.random_range(0..8),
        }
        damage.push(bytes);
    }
    for bytes in &damage {
        fs::write(&newest, bytes).unwrap();
        let (found, damaged) = Run::open(&r).unwrap().newest_checkpoint().unwrap();
        assert_eq!(found.unwrap().checkpoint.snapshot.state.epoch, 2);
        assert_eq!(damaged.len(), 1);
        fs::remove_file(&damaged[0].path).unwrap();
    }
    // The whole way, for some of them: the same weights as before, from one epoch earlier.
    for bytes in damage.iter().step_by(33) {
        fs::write(&newest, bytes).unwrap();
        fs::remove_file(r.join("result.json")).unwrap();
        let said = succeed(seqfit(home.path()).args(["train", "--resume", "r"]));
        assert!(said.stderr.starts_with("warning: r/checkpoints/epoch-0003"), "{}", said.stderr);
        assert!(said.stderr.contains("going on with epoch 3\n"), "{}", said.stderr);
        assert!(weights(&r) == expected);
        checkpoints::read(&newest).unwrap();
    }
    // All are damaged: what is finished stays, what is not begins anew, and says so.
    for (_, path) in checkpoints::list(&r.join("checkpoints")).unwrap() {
        fs::write(path, "no checkpoint").unwrap();
    }
    let mut damaged = listing(&r.join("checkpoints"));
    damaged.retain(|name| !name.ends_with(".damaged"));
    let said = run(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "5"]));
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("r is finished, and without a whole checkpoint"),
        "{}",
        said.stderr
    );
    assert!(weights(&r) == expected);
    for name in damaged {
        let path = r.join("checkpoints").join(&name);
        fs::rename(format!("{}.damaged", path.display()), path).unwrap();
    }
    fs::remove_file(r.join("result.json")).unwrap();
    let said = succeed(seqfit(home.path()).args(["train", "--resume", "r"]));
    assert_eq!(
        said.stderr.matches("is put aside, it cannot be used: ").count(),
        3,
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("there is no checkpoint yet, so the run begins anew"));
    assert!(weights(&r) == expected);
}

/// One that is whole, with a right checksum, and says what cannot be.
#[test]
fn a_checkpoint_that_does_not_fit_is_told_of_and_the_one_before_is_used() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "3", "--hidden", "8"];
    let more = ["--validation-split", "0.2", "--early-stopping", "9", "--restore-best"];
    succeed(seqfit(home.path()).args(train).args(more).args(["--out", "r"]));
    let r = home.path().join("r");
    let expected = weights(&r);
    let folder = r.join("checkpoints");
    let newest = folder.join(checkpoints::name((3, 0)));
    let whole = fs::read(&newest).unwrap();
    type Change = fn(&mut Snapshot);
    let changes: [(Change, &str); 7] = [
        (|s| s.state.step += 1, "the steps must be those of the batches"),
        (|s| s.state.rollbacks = u32::MAX, "at most 3 rollbacks"),
        (|s| drop(s.weights.remove("1.bias")), "the network needs the tensors"),
        (|s| s.moments[1].get_mut("1.bias").unwrap().shape = vec![2, 4], "must have shape [8]"),
        (|s| s.callbacks.get_mut("early_stopping").unwrap().value["wait"] = 9.into(), "at most 3"),
        (|s| drop(s.callbacks.remove("model_checkpoint")), "the state of the callbacks"),
        (
            |s| {
                let mut anchor = s.clone();
                anchor.moments[0].clear();
                s.rollback_point = Some(Arc::new(anchor));
            },
            "the network needs the tensors",
        ),
    ];
    for (change, told) in changes {
        let checkpoint = Checkpoint::from_bytes(&whole).unwrap();
        let mut snapshot = Snapshot::clone(&checkpoint.snapshot);
        change(&mut snapshot);
        let crafted = Checkpoint { snapshot: Arc::new(snapshot), ..checkpoint };
        fs::write(&newest, crafted.to_bytes().unwrap()).unwrap();
        fs::remove_file(r.join("result.json")).unwrap();
        let said = succeed(seqfit(home.path()).args(["train", "--resume", "r"]));
        assert!(
            said.stderr.contains("cannot be used: it does not fit the run: "),
            "{}",
            said.stderr
        );
        assert!(said.stderr.contains(told), "{} for {told}", said.stderr);
        assert!(said.stderr.contains("going on with epoch 3\n"), "{}", said.stderr);
        assert!(weights(&r) == expected, "{told}");
    }
    // Not one fits: nothing is renamed, nothing is begun anew.
    for path in checkpoints::list(&folder).unwrap().into_iter().map(|(_, path)| path) {
        let checkpoint = checkpoints::read(&path).unwrap();
        let mut snapshot = Snapshot::clone(&checkpoint.snapshot);
        snapshot.state.step += 1;
        let crafted = Checkpoint { snapshot: Arc::new(snapshot), ..checkpoint };
        fs::write(path, crafted.to_bytes().unwrap()).unwrap();
    }
    fs::remove_file(folder.join(checkpoints::BEST)).unwrap();
    let before = listing(&folder);
    let said = run(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "9"]));
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("epoch-0003.safetensors: it does not fit the run"),
        "{}",
        said.stderr
    );
    assert_eq!(listing(&folder), before);
}

#[test]
fn the_best_checkpoint_is_the_last_resort() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "6", "--hidden", "8"];
    let more = ["--validation-split", "0.2", "--out", "r"];
    succeed(seqfit(home.path()).args(train).args(more));
    let r = home.path().join("r");
    let expected = weights(&r);
    let folder = r.join("checkpoints");
    for (_, path) in checkpoints::list(&folder).unwrap() {
        fs::write(path, "no checkpoint").unwrap();
    }
    fs::remove_file(r.join("result.json")).unwrap();
    let best = checkpoints::read(&folder.join(checkpoints::BEST)).unwrap().snapshot.place();
    let said = succeed(seqfit(home.path()).args(["train", "--resume", "r"]));
    assert!(said.stderr.contains(&format!("going on with {best}\n")), "{}", said.stderr);
    assert!(weights(&r) == expected);
}

#[test]
fn a_network_of_before_the_run_went_on_is_told_of() {
    let home = tempfile::tempdir().unwrap();
    three_epochs(home.path());
    let folder = home.path().join("r/checkpoints");
    let mut child = spawn(home.path(), &["train", "-q", "--resume", "r", "--epochs", "5000"]);
    while checkpoints::list(&folder).unwrap().pop().unwrap().0 <= (3, 0) {
        assert!(child.try_wait().unwrap().is_none());
        pause(0.005);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let said = succeed(seqfit(home.path()).args(["evaluate", "r"]));
    assert!(
        said.stderr.starts_with("note: the run has gone on to r/checkpoints/"),
        "{}",
        said.stderr
    );
    let said = succeed(seqfit(home.path()).args(["evaluate", "r", "--checkpoint", "last"]));
    assert!(said.stderr.is_empty(), "{}", said.stderr);
}

/// A shell that sets a limit and becomes seqfit.
fn limited(home: &Path, limit: &str, arguments: &str) -> Command {
    let mut command = Command::new("bash");
    let seqfit = env!("CARGO_BIN_EXE_seqfit");
    command.current_dir(home).args(["-c", &format!("{limit} && exec {seqfit} {arguments}")]);
    command
}

#[test]
fn without_room_for_checkpoints_training_goes_on_and_the_end_says_so() {
    let home = tempfile::tempdir().unwrap();
    // Files of at most 100 KiB: the network's fit, the checkpoints of 209 KB do not.
    let train = "train --dataset digits --epochs 4 --out r";
    let said = run(&mut limited(home.path(), "ulimit -f 100", train));
    assert_eq!(said.code, 1, "{said:#?}");
    let warnings = said.stderr.matches("warning: r/checkpoints/epoch-0001").count();
    assert_eq!(warnings, 1, "{}", said.stderr);
    assert!(said.stderr.contains("bytes are needed: raise the limit"), "{}", said.stderr);
    let end = said.stderr.lines().last().unwrap();
    assert!(end.starts_with("error: not everything could be kept: r/checkpoints"), "{end}");
    assert!(end.ends_with("(and 3 more)"), "{end}");
    assert!(said.stdout.starts_with("test: loss "), "{}", said.stdout);
    assert!(Run::open(&home.path().join("r")).unwrap().load_model(Device::Cpu).is_ok());
    assert!(listing(&home.path().join("r/checkpoints")).is_empty(), "nothing half-written");

    // Not even the network's: the error names it and the bytes.
    let said = run(&mut limited(home.path(), "ulimit -f 20", "train -q --dataset digits --out s"));
    assert_eq!(said.code, 1);
    let end = said.stderr.lines().last().unwrap();
    assert!(end.starts_with("error: s/model.safetensors cannot be written: "), "{end}");
    assert!(end.contains(" bytes are needed"), "{end}");
    assert!(!home.path().join("s/model.safetensors").exists());
}

/// A file system of its own in `folder`, as far as this process may make one.
struct Mount(PathBuf);

impl Mount {
    fn new(folder: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        if !mounted {
            common::not_here("a test on a small disk (mounting is not allowed here)");
        }
        mounted.then(|| Self(folder.to_owned()))
    }

    fn read_only(&self) {
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", "remount,ro"]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_keeps_the_newest_checkpoint_that_fits() {
    let home = tempfile::tempdir().unwrap();
    let disk = home.path().join("disk");
    let Some(_mount) = Mount::new(&disk, "size=600k") else {
        return;
    };
    // Room for two checkpoints of 209 KB, not for three with what goes with them.
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "9", "--out", "disk/r"];
    succeed(seqfit(home.path()).args(train));
    let kept = checkpoints::list(&disk.join("r/checkpoints")).unwrap();
    assert_eq!(kept.last().map(|(place, _)| *place), Some((9, 0)));

    // Room for nothing, and nothing that could make any: what is there stays, training goes on, the error
    // has path and bytes.
    for (_, path) in &kept[..kept.len() - 1] {
        fs::remove_file(path).unwrap();
    }
    let filler = fs::File::create(disk.join("filler")).unwrap();
    let zeros = vec![0; 4096];
    while std::io::Write::write_all(&mut &filler, &zeros).is_ok() {}
    let before = weights(&disk.join("r"));
    let more = ["train", "--resume", "disk/r", "--epochs", "12"];
    let said = run(seqfit(home.path()).args(more));
    assert_eq!(said.code, 1, "{said:#?}");
    let end = said.stderr.lines().last().unwrap();
    assert!(end.contains("No space left on device") && end.contains(" bytes are needed"), "{end}");
    assert!(said.stderr.contains("config.toml cannot be written: "), "{}", said.stderr);
    assert!(said.stderr.contains("epoch 12/12"), "training goes on: {}", said.stderr);
    assert!(weights(&disk.join("r")) == before);
    assert_readable(&disk.join("r"));
    drop(filler);
    fs::remove_file(disk.join("filler")).unwrap();
    succeed(seqfit(home.path()).args(["train", "-q", "--resume", "disk/r", "--epochs", "12"]));
    succeed(seqfit(home.path()).args([
        "train",
        "-q",
        "--dataset",
        "digits",
        "--epochs",
        "12",
        "--out",
        "whole",
    ]));
    assert!(weights(&disk.join("r")) == weights(&home.path().join("whole")));
}

#[test]
fn a_read_only_folder_is_an_error_before_training() {
    let home = tempfile::tempdir().unwrap();
    let disk = home.path().join("disk");
    let Some(mount) = Mount::new(&disk, "size=64m") else {
        return;
    };
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "2", "--out"];
    succeed(seqfit(home.path()).args(train).arg("disk/r"));
    mount.read_only();
    for command in [
        &[&train[..], &["disk/s"]].concat()[..],
        &["train", "--resume", "disk/r", "--epochs", "3"],
        &["export", "disk/r", "--out", "disk/model.pt"],
        &["export", "disk/r", "--format", "state-dict"],
        &["export", "disk/r", "--format", "safetensors"],
        &["export", "disk/r", "--format", "onnx,keras"],
    ] {
        let said = run(seqfit(home.path()).args(command));
        assert_eq!(said.code, 1, "{said:#?}");
        assert!(said.stderr.to_lowercase().contains("read-only file"), "{}", said.stderr);
        assert!(said.stderr.contains("disk/"), "{}", said.stderr);
    }
    // Reading needs no writing.
    succeed(seqfit(home.path()).args(["evaluate", "disk/r"]));
}

#[test]
fn a_folder_that_is_taken_away_within_training_is_a_warning_and_an_error_at_the_end() {
    let home = tempfile::tempdir().unwrap();
    let r = home.path().join("r");
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "200", "--out", "r"];
    let mut child = spawn(home.path(), &train);
    wait_for_checkpoints(&mut child, &r, 2);
    fs::rename(r.join("checkpoints"), r.join("elsewhere")).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let [warning, error] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(warning.starts_with("warning: r/checkpoints/epoch-"), "{said}");
    assert!(warning.contains("cannot be written: its folder does not exist"), "{said}");
    assert!(error.starts_with("error: not everything could be kept: "), "{said}");
    succeed(seqfit(home.path()).args(["evaluate", "r"]));

    // The whole folder: what was trained is written all the same.
    let mut child = spawn(
        home.path(),
        &["train", "-q", "--dataset", "digits", "--epochs", "200", "--out", "s"],
    );
    wait_for_checkpoints(&mut child, &home.path().join("s"), 2);
    fs::rename(home.path().join("s"), home.path().join("elsewhere")).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: not everything could be kept: "), "{said}");
    assert!(weights(&home.path().join("s")) == weights(&r));
    succeed(seqfit(home.path()).args(["evaluate", "s"]));
}

#[test]
fn divergence_keeps_the_last_good_checkpoint_and_says_where() {
    let home = tempfile::tempdir().unwrap();
    let options = ["train", "--dataset", "digits", "--optimizer", "sgd", "--learning-rate", "1e38"];
    let more = ["--hidden", "", "--batch-size", "1437", "--epochs", "50", "--out", "r"];
    let said = run(seqfit(home.path()).args(options).args(more));
    assert_eq!(said.code, 1, "{said:#?}");
    let end = said.stderr.lines().last().unwrap();
    assert!(end.starts_with("error: training diverged in epoch "), "{end}");
    assert!(end.contains(", batch "), "{end}");
    let kept = checkpoints::list(&home.path().join("r/checkpoints")).unwrap();
    let (place, path) = kept.last().expect("a checkpoint of an epoch before");
    assert!(
        end.ends_with(&format!(
            "the last good checkpoint is r/checkpoints/{}",
            checkpoints::name(*place)
        )),
        "{end}"
    );
    checkpoints::read(path).unwrap();
    let said = run(seqfit(home.path())
        .args(["train", "-q", "--out", "q", "--on-nan", "rollback"])
        .args(options.iter().skip(1))
        .args(&more[..6]));
    assert!(said.stderr.contains(" after 3 rollbacks: "), "{}", said.stderr);
}

#[test]
fn too_little_memory_is_an_error_that_names_the_batch_size() {
    let home = tempfile::tempdir().unwrap();
    // 1,437 samples x 400,000 units x 4 bytes do not fit beside the network into 3 GB.
    let train = "train -q --dataset digits --hidden 400000 --batch-size 1437 --threads 1 --out r";
    let said = run(&mut limited(home.path(), "ulimit -v 3000000", train));
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(
        said.stderr.contains("with a batch size of 1437 does not fit into the memory of cpu"),
        "{}",
        said.stderr
    );
}

/// Wherever memory runs out once training has begun, it is an error or a warning, also where glibc has none
/// for its own bookkeeping: with small batches a checkpoint is the first that does not fit, with large ones a step.
#[test]
fn too_little_memory_is_an_error_wherever_it_runs_out() {
    let home = tempfile::tempdir().unwrap();
    let first = [
        (32, "a checkpoint cannot be made"),
        (1149, "with a batch size of 1149 does not fit into the memory"),
    ];
    for (batch_size, first) in first {
        let mut runs = 0;
        let mut with = |kilobytes: usize| {
            runs += 1;
            let out = format!("batch-{batch_size}-{runs}");
            let train = format!(
                "train -q --dataset digits --epochs 2 --hidden 3000 --validation-split 0.2 --early-stopping 2 \
                 --restore-best --threads 1 --batch-size {batch_size} --out {out}"
            );
            let said = run(&mut limited(home.path(), &format!("ulimit -v {kilobytes}"), &train));
            (said, home.path().join(out))
        };
        // The least that is enough for everything.
        let (mut low, mut high) = (100_000, 4_000_000);
        assert_eq!(with(high).0.code, 0);
        while high - low > 1000 {
            let middle = usize::midpoint(low, high);
            if with(middle).0.code == 0 { high = middle } else { low = middle }
        }
        // Below it; further down libtorch itself can hardly be loaded.
        let mut ends = Vec::new();
        for kilobytes in (high - 16_000..high).step_by(1000) {
            let (said, folder) = with(kilobytes);
            assert_readable(&folder);
            assert!([0, 1].contains(&said.code), "{kilobytes}: {said:#?}");
            let end = said.stderr.lines().last().unwrap_or("").to_owned();
            match said.code {
                0 => assert_eq!(end, ""),
                _ => assert!(end.starts_with("error: ") && end.contains("memory"), "{end}"),
            }
            ends.push(end);
        }
        assert!(ends.iter().any(|end| end.contains(first)), "{batch_size}: {ends:#?}");
    }
}

/// What glibc and the C++ runtime do where they find no memory, and nobody can ask them not to.
#[test]
fn an_abort_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "--json", "-q", "--dataset", "digits", "--epochs", "5000", "--out", "r"];
    let mut child = spawn(home.path(), &train);
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    signal(&child, "-ABRT");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: a library has ended seqfit"), "{said}");
    assert!(said.ends_with("goes on from its last checkpoint\n"), "{said}");
    assert_readable(&home.path().join("r"));
}

#[test]
fn progress_is_told_as_it_is_made() {
    // What the kill test relies on: lines are not held back in a buffer.
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "--json", "-q", "--dataset", "digits", "--epochs", "5000", "--out", "r"];
    let mut child = spawn(home.path(), &train);
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(child.try_wait().unwrap().is_none() && line.contains("\"epoch\":1,"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
    let _ = reader.read_to_string(&mut line);
}
