//! Tests that a run survives any interruption and that each file is complete or absent. Real
//! processes are killed, interrupted, locked out and left without disk space.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{self, listing, run, seqfit, succeed};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use seqfit::run::{Checkpoint, Run, checkpoints};
use seqfit::{Device, Snapshot};
use serde_json::Value;

/// Every option with state: validation, dropout, early stopping, a falling learning rate, and
/// checkpoints within epochs.
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

/// Returns the history without its times.
fn metrics(run: &Path) -> Vec<String> {
    let csv = fs::read_to_string(run.join("history.csv")).unwrap();
    csv.lines().map(|line| line.split(',').take(6).collect::<Vec<_>>().join(",")).collect()
}

fn pause(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds));
}

/// Waits until a run has `n` checkpoints.
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

/// Asserts that every file under its final name in a run's folder is complete and readable.
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

/// What became of the runs that were killed.
#[derive(Default)]
struct Killed {
    kills: usize,
    /// Kills that left a checkpoint within an epoch.
    mid_epoch: usize,
    /// Runs that came to their end.
    finished: usize,
}

/// Kills training runs `kills` times in all, each time between `from` and `to` seconds after its start. Whenever
/// training finishes, its weights must equal those of an uninterrupted run, and the next run begins. Many kills are
/// divided among runs that train at the same time, because a run waits more than it computes.
fn kill_and_resume(data: &[&str], kills: usize, seconds: (f64, f64)) {
    let home = tempfile::tempdir().unwrap();
    let runs = if kills < 100 { 1 } else { 4 };
    let names: Vec<String> = (0..runs).map(|run| format!("run-{run}")).collect();
    let train = |out| [&["train", "--json", "-q", "--out", out], &RICH[..], data].concat();
    succeed(seqfit(home.path()).args(train("whole")));
    let all = std::thread::scope(|scope| {
        let start = |run: usize| {
            let (home, name, train) = (home.path(), &names[run], train(&names[run]));
            let kills = kills / runs + usize::from(run < kills % runs);
            let rng = Pcg64Mcg::seed_from_u64(200 + run as u64);
            scope.spawn(move || kill_one(home, name, &train, kills, seconds, rng))
        };
        let started: Vec<_> = (0..runs).map(start).collect();
        let ended = started.into_iter().map(|run| run.join().expect("no assertion failed"));
        ended.fold(Killed::default(), |all, one| Killed {
            kills: all.kills + one.kills,
            mid_epoch: all.mid_epoch + one.mid_epoch,
            finished: all.finished + one.finished,
        })
    });
    let Killed { kills: killed, mid_epoch, finished } = all;
    assert_eq!(killed, kills);
    // Some kills must leave a checkpoint within an epoch.
    assert!(mid_epoch * 20 > killed || kills < 100, "{mid_epoch} of {killed}");
    eprintln!(
        "{killed} kills, {mid_epoch} left a run within an epoch, {finished} runs came to their end"
    );
}

/// Trains `home/name` by the arguments `train` until it was killed `kills` times and has ended at least once.
fn kill_one(
    home: &Path,
    name: &str,
    train: &[&str],
    kills: usize,
    (from, to): (f64, f64),
    mut rng: Pcg64Mcg,
) -> Killed {
    let (whole, run) = (home.join("whole"), home.join(name));
    let mut all = Killed::default();
    while all.kills < kills || all.finished == 0 {
        let begun = run.join("config.toml").exists();
        let mut child = match begun {
            true => spawn(home, &["train", "--json", "-q", "--resume", name]),
            false => spawn(home, train),
        };
        let deadline = Instant::now() + Duration::from_secs_f64(rng.random_range(from..to));
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if all.kills < kills && Instant::now() >= deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            pause(0.002);
        };
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("warning") && !stderr.contains("error"), "{stderr}");
        assert_readable(&run);
        if let Some(status) = ended {
            assert!(status.success(), "{stderr}");
            assert!(weights(&run) == weights(&whole), "other weights after {} kills", all.kills);
            assert_eq!(metrics(&run), metrics(&whole));
            fs::remove_dir_all(&run).unwrap();
            all.finished += 1;
            continue;
        }
        all.kills += 1;
        // At most one reported epoch may be lost: the one whose checkpoint was being written when the
        // process was killed.
        let reported = String::from_utf8_lossy(&output.stdout).into_owned();
        let reported = reported.lines().rev().find_map(|line| {
            let record: Value = serde_json::from_str(line).ok()?;
            record["epoch"].as_u64()
        });
        let kept = checkpoints::list(&run.join("checkpoints")).unwrap().pop();
        let ((epoch, batch), _) = kept.unwrap_or_default();
        all.mid_epoch += usize::from(batch > 0);
        if let Some(reported) = reported {
            assert!(
                epoch as u64 + 1 >= reported,
                "epoch {reported} was reported, {epoch} was kept"
            );
        }
    }
    all
}

#[test]
fn resume_after_kill_9_at_random_times_loses_nothing() {
    let kills = common::all_or_few("kills", 200, 10);
    kill_and_resume(&["--dataset", "digits", "--epochs", "80"], kills, (0.1, 0.9));
}

#[test]
fn resume_after_kill_9_on_mnist_loses_nothing() {
    let Some(folder) = common::mnist() else {
        return;
    };
    let folder = folder.to_str().unwrap();
    let data = ["--data-dir", folder, "--epochs", "3", "--batch-size", "100"];
    kill_and_resume(&data, 5, (0.3, 3.0));
}

#[test]
fn signals_stop_training_cleanly_and_print_the_resume_command() {
    for (name, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("r");
        let options = ["train", "--dataset", "digits", "--epochs", "400", "--out"];
        let mut child = spawn(home.path(), &[&options[..], &["r"]].concat());
        wait_for_checkpoints(&mut child, &out, 1);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {stderr}");
        assert!(stderr.ends_with("resume with: seqfit train --resume r\n"), "{stderr}");
        assert_eq!(listing(&out), ["checkpoints", "config.toml", "history.csv"]);
        succeed(seqfit(home.path()).args(["train", "-q", "--resume", "r"]));
        succeed(seqfit(home.path()).args(options).args(["whole", "-q"]));
        assert!(weights(&out) == weights(&home.path().join("whole")), "{name}");
        assert_eq!(metrics(&out), metrics(&home.path().join("whole")));
    }
}

#[test]
fn second_signal_ends_the_process_immediately() {
    let home = tempfile::tempdir().unwrap();
    // An epoch of one slow batch: the first signal waits for it.
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
    // Repeat until it is delivered: two pending signals of a busy process are merged into one.
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
fn inherited_ignored_signal_stays_ignored() {
    let home = tempfile::tempdir().unwrap();
    // The same as nohup.
    let train = "train -q --dataset digits --epochs 150 --out r";
    let mut child = limited(home.path(), "trap '' HUP", train).spawn().unwrap();
    wait_for_checkpoints(&mut child, &home.path().join("r"), 1);
    signal(&child, "-HUP");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(home.path().join("r/result.json").is_file());
}

#[test]
fn max_time_stops_training_cleanly_and_the_run_can_resume() {
    let home = tempfile::tempdir().unwrap();
    let train =
        ["train", "--dataset", "digits", "--epochs", "2000", "--max-time", "1s", "--out", "r"];
    let output = succeed(seqfit(home.path()).args(train));
    assert!(
        output.stdout.starts_with("end:  the time of --max-time\ntest: loss "),
        "{}",
        output.stdout
    );
    assert!(output.stdout.ends_with("resume with: seqfit train --resume r\n"), "{}", output.stdout);
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
fn keep_0_writes_no_checkpoints_and_says_that_the_run_cannot_be_resumed() {
    let home = tempfile::tempdir().unwrap();
    let options =
        ["train", "-q", "--dataset", "digits", "--validation-split", "0.1", "--epochs", "3"];
    succeed(seqfit(home.path()).args(options).args(["--keep", "0", "--out", "none"]));
    succeed(seqfit(home.path()).args(options).args(["--out", "some"]));
    let (none, some) = (home.path().join("none"), home.path().join("some"));
    assert!(weights(&none) == weights(&some));
    let mut files = listing(&some);
    files.retain(|name| name != "checkpoints");
    assert_eq!(listing(&none), files);
    let more = run(seqfit(home.path()).args(["train", "--resume", "none", "--epochs", "4"]));
    let why = "is finished and has no intact checkpoint to resume from";
    assert!(more.code == 1 && more.stderr.contains(why), "{more:#?}");

    let limit = ["--keep", "0", "--max-time", "1s", "--epochs", "100000", "--out", "limited"];
    let output = succeed(seqfit(home.path()).args(["train", "--dataset", "digits"]).args(limit));
    let hint = "it cannot be resumed, since --keep 0 wrote no checkpoints\n";
    assert!(output.stdout.ends_with(hint), "{}", output.stdout);
}

#[test]
fn finished_run_resumes_only_with_more_epochs() {
    let home = tempfile::tempdir().unwrap();
    let r = home.path().join("r");
    let train = ["train", "-q", "--dataset", "digits", "--validation-split", "0.1", "--epochs"];
    succeed(seqfit(home.path()).args(train).args(["2", "--out", "r"]));
    let before = weights(&r);
    let output = succeed(seqfit(home.path()).args(["train", "--resume", "r"]));
    assert!(output.stderr.contains("is finished after 2 epochs"), "{}", output.stderr);
    for (options, message) in [
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
        (&["--epochs", "1"], "has trained 2 epochs, found --epochs 1"),
    ] {
        let output = run(seqfit(home.path()).args(["train", "--resume", "r"]).args(options));
        assert_eq!(output.code, 1, "{options:?}: {output:#?}");
        assert!(output.stderr.contains(message), "{options:?}: {}", output.stderr);
    }
    // Other data with the same shape and classes.
    common::write_stripes(&home.path().join("stripes"), 8, 8, 10);
    let other = ["train", "--resume", "r", "--epochs", "3", "--data-dir", "stripes"];
    let output = run(seqfit(home.path()).args(other));
    assert!(output.code == 1 && output.stderr.contains("data.sha256 was ["), "{}", output.stderr);
    assert!(weights(&r) == before);
    // Repeating the same settings is no change.
    let more = ["train", "-q", "--resume", "r", "--epochs", "4", "--batch-size", "32"];
    succeed(seqfit(home.path()).args(more).args(["--dataset", "digits", "--hidden", "128,64"]));
    succeed(seqfit(home.path()).args(train).args(["4", "--out", "whole"]));
    assert!(weights(&r) == weights(&home.path().join("whole")));
    assert_eq!(metrics(&r), metrics(&home.path().join("whole")));
}

#[test]
fn checkpoint_of_another_run_and_linked_lock_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let r = three_epochs(home.path());
    // A checkpoint of another run with the same network.
    let other =
        ["train", "-q", "--dataset", "digits", "--epochs", "3", "--hidden", "8", "--seed", "9"];
    succeed(seqfit(home.path()).args(other).args(["--out", "o", "--validation-split", "0.1"]));
    let foreign = home.path().join("o/checkpoints").join(checkpoints::BEST);
    fs::copy(foreign, r.join("checkpoints").join(checkpoints::BEST)).unwrap();
    let output = run(seqfit(home.path()).args(["evaluate", "r", "--checkpoint", "best"]));
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("best.safetensors belongs to another run: "),
        "{}",
        output.stderr
    );
    // The same for a numbered checkpoint beside a damaged one, which then keeps its name.
    let checkpoint = |run: &str, epoch| {
        home.path().join(run).join("checkpoints").join(checkpoints::name((epoch, 0)))
    };
    fs::copy(checkpoint("o", 2), checkpoint("r", 2)).unwrap();
    fs::write(checkpoint("r", 3), "no checkpoint").unwrap();
    let output = run(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "4"]));
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("epoch-0002.safetensors belongs to another run: "),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("fit.seed was 9, found 0"), "{}", output.stderr);
    assert!(checkpoint("r", 3).is_file());
    // A symbolic link to a user's file at the path of the lock.
    fs::write(home.path().join("precious"), "precious").unwrap();
    std::os::unix::fs::symlink("../precious", r.join("lock")).unwrap();
    let output = run(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "4"]));
    assert_eq!(output.code, 1, "{output:#?}");
    assert_eq!(fs::read(home.path().join("precious")).unwrap(), b"precious");
}

#[test]
fn early_stopped_run_does_not_resume() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "--dataset", "digits", "--validation-split", "0.1", "--epochs", "50"];
    let stop = ["--early-stopping", "1", "--min-delta", "0.1", "--restore-best", "--out", "r"];
    let output = succeed(seqfit(home.path()).args(train).args(stop));
    assert!(output.stdout.starts_with("end:  early stopping in epoch "), "{}", output.stdout);
    assert!(output.stdout.contains("\nbest: the weights of epoch "), "{}", output.stdout);
    let result = Run::open(&home.path().join("r")).unwrap().result().unwrap();
    assert_eq!(result.restored_epoch.map(|epoch| epoch + 1), Some(result.epochs));
    let config = fs::read(home.path().join("r/config.toml")).unwrap();
    let output = succeed(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "60"]));
    assert!(
        output.stderr.contains("is finished, ended by early stopping in epoch "),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.ends_with(": a higher --epochs does not continue it\n"),
        "{}",
        output.stderr
    );
    assert_eq!(fs::read(home.path().join("r/config.toml")).unwrap(), config);
}

#[test]
fn run_lock_excludes_other_processes_and_stale_locks_are_ignored() {
    let home = tempfile::tempdir().unwrap();
    let options = ["train", "-q", "--dataset", "digits", "--epochs", "5000", "--out", "r"];
    let mut child = spawn(home.path(), &options);
    wait_for_checkpoints(&mut child, &home.path().join("r"), 1);
    let message = format!("into r, and process {} does", child.id());
    for command in [
        &options[..],
        &["train", "--dataset", "digits", "--out", "r", "--force"],
        &["train", "--resume", "r"],
        &["train", "--resume", "r", "--epochs", "3"],
    ] {
        let output = run(seqfit(home.path()).args(command));
        assert_eq!(output.code, 1);
        let refused = output.stderr.contains(&message) || output.stderr.contains("is not empty");
        assert!(refused, "{}", output.stderr);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(home.path().join("r/lock").is_file(), "kill -9 leaves the file");
    let done = Run::open(&home.path().join("r")).unwrap().newest_checkpoint().unwrap().0.unwrap();
    let epochs = (done.checkpoint.snapshot.state.epoch + 1).to_string();
    succeed(seqfit(home.path()).args(["train", "-q", "--resume", "r", "--epochs", &epochs]));
    assert!(!home.path().join("r/lock").exists());
}

/// Trains a run of three epochs and returns its folder, with all its checkpoints.
fn three_epochs(home: &Path) -> PathBuf {
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "3", "--hidden", "8", "--out"];
    succeed(seqfit(home).args(train).arg("r"));
    home.join("r")
}

#[test]
fn resume_reports_a_damaged_checkpoint_and_uses_the_previous_one() {
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
    // End to end for some of them: resuming from one epoch earlier gives the same weights.
    for bytes in damage.iter().step_by(33) {
        fs::write(&newest, bytes).unwrap();
        fs::remove_file(r.join("result.json")).unwrap();
        let output = succeed(seqfit(home.path()).args(["train", "--resume", "r"]));
        assert!(
            output.stderr.starts_with("warning: r/checkpoints/epoch-0003"),
            "{}",
            output.stderr
        );
        assert!(output.stderr.contains("resuming at epoch 3\n"), "{}", output.stderr);
        assert!(weights(&r) == expected);
        checkpoints::read(&newest).unwrap();
    }
    // All checkpoints are damaged: a finished run stays, an unfinished one starts over and says so.
    for (_, path) in checkpoints::list(&r.join("checkpoints")).unwrap() {
        fs::write(path, "no checkpoint").unwrap();
    }
    let mut damaged = listing(&r.join("checkpoints"));
    damaged.retain(|name| !name.ends_with(".damaged"));
    let output = run(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "5"]));
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("r is finished and has no intact checkpoint"),
        "{}",
        output.stderr
    );
    assert!(weights(&r) == expected);
    for name in damaged {
        let path = r.join("checkpoints").join(&name);
        fs::rename(format!("{}.damaged", path.display()), path).unwrap();
    }
    fs::remove_file(r.join("result.json")).unwrap();
    let output = succeed(seqfit(home.path()).args(["train", "--resume", "r"]));
    assert_eq!(
        output.stderr.matches("is put aside, it cannot be used: ").count(),
        3,
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("there is no checkpoint yet, so the run starts over"));
    assert!(weights(&r) == expected);
}

/// Uses complete checkpoints with a valid checksum and impossible contents.
#[test]
fn resume_reports_an_inconsistent_checkpoint_and_uses_the_previous_one() {
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
                let mut rollback_point = s.clone();
                rollback_point.moments[0].clear();
                s.rollback_point = Some(Arc::new(rollback_point));
            },
            "the network needs the tensors",
        ),
    ];
    for (change, message) in changes {
        let checkpoint = Checkpoint::from_bytes(&whole).unwrap();
        let mut snapshot = Snapshot::clone(&checkpoint.snapshot);
        change(&mut snapshot);
        let crafted = Checkpoint { snapshot: Arc::new(snapshot), ..checkpoint };
        fs::write(&newest, crafted.to_bytes().unwrap()).unwrap();
        fs::remove_file(r.join("result.json")).unwrap();
        let output = succeed(seqfit(home.path()).args(["train", "--resume", "r"]));
        assert!(
            output.stderr.contains("cannot be used: it does not fit the run: "),
            "{}",
            output.stderr
        );
        assert!(output.stderr.contains(message), "{} for {message}", output.stderr);
        assert!(output.stderr.contains("resuming at epoch 3\n"), "{}", output.stderr);
        assert!(weights(&r) == expected, "{message}");
    }
    // No checkpoint fits: nothing is renamed, and training does not start over.
    for path in checkpoints::list(&folder).unwrap().into_iter().map(|(_, path)| path) {
        let checkpoint = checkpoints::read(&path).unwrap();
        let mut snapshot = Snapshot::clone(&checkpoint.snapshot);
        snapshot.state.step += 1;
        let crafted = Checkpoint { snapshot: Arc::new(snapshot), ..checkpoint };
        fs::write(path, crafted.to_bytes().unwrap()).unwrap();
    }
    fs::remove_file(folder.join(checkpoints::BEST)).unwrap();
    let before = listing(&folder);
    let output = run(seqfit(home.path()).args(["train", "--resume", "r", "--epochs", "9"]));
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("epoch-0003.safetensors: it does not fit the run"),
        "{}",
        output.stderr
    );
    assert_eq!(listing(&folder), before);
}

#[test]
fn resume_falls_back_to_the_best_checkpoint() {
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
    let output = succeed(seqfit(home.path()).args(["train", "--resume", "r"]));
    assert!(output.stderr.contains(&format!("resuming at {best}\n")), "{}", output.stderr);
    assert!(weights(&r) == expected);
}

#[test]
fn evaluate_notes_that_the_run_has_newer_checkpoints() {
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
    let output = succeed(seqfit(home.path()).args(["evaluate", "r"]));
    assert!(
        output.stderr.starts_with("note: the run has continued to r/checkpoints/"),
        "{}",
        output.stderr
    );
    let output = succeed(seqfit(home.path()).args(["evaluate", "r", "--checkpoint", "last"]));
    assert!(output.stderr.is_empty(), "{}", output.stderr);
}

/// Returns a shell command that sets a limit and then executes seqfit.
fn limited(home: &Path, limit: &str, arguments: &str) -> Command {
    let mut command = Command::new("bash");
    let seqfit = env!("CARGO_BIN_EXE_seqfit");
    command.current_dir(home).args(["-c", &format!("{limit} && exec {seqfit} {arguments}")]);
    command
}

#[test]
fn training_continues_without_room_for_checkpoints_and_reports_it_at_the_end() {
    let home = tempfile::tempdir().unwrap();
    // Files of at most 100 KiB: the network's files fit, the checkpoints of 209 KB do not.
    let train = "train --dataset digits --epochs 4 --out r";
    let output = run(&mut limited(home.path(), "ulimit -f 100", train));
    assert_eq!(output.code, 1, "{output:#?}");
    let warnings = output.stderr.matches("warning: r/checkpoints/epoch-0001").count();
    assert_eq!(warnings, 1, "{}", output.stderr);
    assert!(output.stderr.contains("bytes are needed: raise the limit"), "{}", output.stderr);
    let end = output.stderr.lines().last().unwrap();
    assert!(end.starts_with("error: not everything could be kept: r/checkpoints"), "{end}");
    assert!(end.ends_with("(and 3 more)"), "{end}");
    assert!(output.stdout.starts_with("test: loss "), "{}", output.stdout);
    assert!(Run::open(&home.path().join("r")).unwrap().load_model(Device::Cpu).is_ok());
    assert!(listing(&home.path().join("r/checkpoints")).is_empty(), "nothing half-written");

    // Not even the network's file fits: the error names it and the number of bytes.
    let output =
        run(&mut limited(home.path(), "ulimit -f 20", "train -q --dataset digits --out s"));
    assert_eq!(output.code, 1);
    let end = output.stderr.lines().last().unwrap();
    assert!(end.starts_with("error: s/model.safetensors cannot be written: "), "{end}");
    assert!(end.contains(" bytes are needed"), "{end}");
    assert!(!home.path().join("s/model.safetensors").exists());
}

/// A separate file system mounted at `folder`, if this process is allowed to mount one.
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
fn full_disk_keeps_the_newest_checkpoint_that_fits() {
    let home = tempfile::tempdir().unwrap();
    let disk = home.path().join("disk");
    let Some(_mount) = Mount::new(&disk, "size=600k") else {
        return;
    };
    // Room for two checkpoints of 209 KB, but not for three with their accompanying files.
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "9", "--out", "disk/r"];
    succeed(seqfit(home.path()).args(train));
    let kept = checkpoints::list(&disk.join("r/checkpoints")).unwrap();
    assert_eq!(kept.last().map(|(place, _)| *place), Some((9, 0)));

    // No room, and nothing that could be pruned: existing files stay, training continues, and the error has
    // the path and the number of bytes.
    for (_, path) in &kept[..kept.len() - 1] {
        fs::remove_file(path).unwrap();
    }
    let filler = fs::File::create(disk.join("filler")).unwrap();
    let zeros = vec![0; 4096];
    while std::io::Write::write_all(&mut &filler, &zeros).is_ok() {}
    let before = weights(&disk.join("r"));
    let more = ["train", "--resume", "disk/r", "--epochs", "12"];
    let output = run(seqfit(home.path()).args(more));
    assert_eq!(output.code, 1, "{output:#?}");
    let end = output.stderr.lines().last().unwrap();
    assert!(end.contains("No space left on device") && end.contains(" bytes are needed"), "{end}");
    assert!(output.stderr.contains("config.toml cannot be written: "), "{}", output.stderr);
    assert!(output.stderr.contains("epoch 12/12"), "training continues: {}", output.stderr);
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
fn read_only_folder_is_an_error_before_training() {
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
        let output = run(seqfit(home.path()).args(command));
        assert_eq!(output.code, 1, "{output:#?}");
        assert!(output.stderr.to_lowercase().contains("read-only file"), "{}", output.stderr);
        assert!(output.stderr.contains("disk/"), "{}", output.stderr);
    }
    // Reading needs no write access.
    succeed(seqfit(home.path()).args(["evaluate", "disk/r"]));
}

#[test]
fn folder_removed_during_training_is_a_warning_and_a_final_error() {
    let home = tempfile::tempdir().unwrap();
    let r = home.path().join("r");
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "200", "--out", "r"];
    let mut child = spawn(home.path(), &train);
    wait_for_checkpoints(&mut child, &r, 2);
    fs::rename(r.join("checkpoints"), r.join("elsewhere")).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let [warning, error] = stderr.lines().collect::<Vec<_>>()[..] else { panic!("{stderr}") };
    assert!(warning.starts_with("warning: r/checkpoints/epoch-"), "{stderr}");
    assert!(warning.contains("cannot be written: its folder does not exist"), "{stderr}");
    assert!(error.starts_with("error: not everything could be kept: "), "{stderr}");
    succeed(seqfit(home.path()).args(["evaluate", "r"]));

    // The whole run folder is moved away: the trained network is written nevertheless.
    let mut child = spawn(
        home.path(),
        &["train", "-q", "--dataset", "digits", "--epochs", "200", "--out", "s"],
    );
    wait_for_checkpoints(&mut child, &home.path().join("s"), 2);
    fs::rename(home.path().join("s"), home.path().join("elsewhere")).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: not everything could be kept: "), "{stderr}");
    assert!(weights(&home.path().join("s")) == weights(&r));
    succeed(seqfit(home.path()).args(["evaluate", "s"]));
}

#[test]
fn divergence_keeps_and_names_the_last_good_checkpoint() {
    let home = tempfile::tempdir().unwrap();
    let options = ["train", "--dataset", "digits", "--optimizer", "sgd", "--learning-rate", "1e38"];
    let more = ["--hidden", "", "--batch-size", "1437", "--epochs", "50", "--out", "r"];
    let output = run(seqfit(home.path()).args(options).args(more));
    assert_eq!(output.code, 1, "{output:#?}");
    let end = output.stderr.lines().last().unwrap();
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
    let output = run(seqfit(home.path())
        .args(["train", "-q", "--out", "q", "--on-nan", "rollback"])
        .args(options.iter().skip(1))
        .args(&more[..6]));
    assert!(output.stderr.contains(" after 3 rollbacks: "), "{}", output.stderr);
}

#[test]
fn out_of_memory_error_names_the_batch_size() {
    let home = tempfile::tempdir().unwrap();
    // 1,437 samples x 400,000 units x 4 bytes do not fit into 3 GB beside the network.
    let train = "train -q --dataset digits --hidden 400000 --batch-size 1437 --threads 1 --out r";
    let output = run(&mut limited(home.path(), "ulimit -v 3000000", train));
    assert_eq!(output.code, 1, "{output:#?}");
    assert!(
        output.stderr.contains("with a batch size of 1437 does not fit into the memory of cpu"),
        "{}",
        output.stderr
    );
}

/// Running out of memory after training has begun is an error or a warning for a tensor or a checkpoint, and an
/// abort for a few bytes, as in every Rust program; checkpoints stay readable either way. What does not fit first
/// depends on the size of batches, and on how far the thread that writes checkpoints has come.
#[test]
fn out_of_memory_anywhere_leaves_readable_checkpoints() {
    let home = tempfile::tempdir().unwrap();
    for batch_size in [32, 1149] {
        let mut runs = 0;
        let mut with = |kilobytes: usize| {
            runs += 1;
            let out = format!("batch-{batch_size}-{runs}");
            let train = format!(
                "train -q --dataset digits --epochs 2 --hidden 3000 --validation-split 0.2 --early-stopping 2 \
                 --restore-best --threads 1 --batch-size {batch_size} --out {out}"
            );
            let mut limited = limited(home.path(), &format!("ulimit -v {kilobytes}"), &train);
            // More arenas take 64 MB of addresses each, whenever threads happen to meet in malloc.
            let output = run(limited.env("MALLOC_ARENA_MAX", "1"));
            (output, home.path().join(out))
        };
        // Find the smallest limit that is enough for everything.
        let (mut low, mut high) = (100_000, 4_000_000);
        assert_eq!(with(high).0.code, 0);
        while high - low > 1000 {
            let middle = usize::midpoint(low, high);
            if with(middle).0.code == 0 { high = middle } else { low = middle }
        }
        // Bash's own exit code is that of a signal; `exec` leaves none.
        const ABORTED: i32 = -1;
        // Limits below it; much lower, libtorch itself can hardly be loaded.
        let step = format!("with a batch size of {batch_size} does not fit into the memory");
        let mut named = 0;
        for kilobytes in (high - 16_000..high).step_by(1000) {
            let (output, folder) = with(kilobytes);
            assert_readable(&folder);
            let end = output.stderr.lines().last().unwrap_or("").to_owned();
            match output.code {
                0 => assert_eq!(end, ""),
                ABORTED => {}
                _ => assert!(end.starts_with("error: ") && end.contains("memory"), "{end}"),
            }
            named +=
                usize::from(end.contains("a checkpoint cannot be made") || end.contains(&step));
        }
        assert!(
            named > 0,
            "no limit was too low for a checkpoint or a step of {batch_size} samples"
        );
    }
}

#[test]
fn progress_is_printed_without_buffering() {
    // The kill test relies on this: lines are not held back in a buffer.
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
