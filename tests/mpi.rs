//! Repeats tests/training/distributed.rs with real processes under OpenMPI's mpirun, on one host and on two hosts with
//! a network between them. Also tests that a killed, stopped or disconnected process ends the whole job in time.

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use common::{CommandOutput, not_here, run, seqfit, succeed};
use seqfit::run::Run;
use seqfit::{Device, History, Loss, data};

/// Returns `mpirun -n RANKS`, to be followed by a program. It allows root, the user in a container.
fn mpirun(home: &Path, ranks: usize) -> Command {
    let environment = seqfit(home);
    let mut command = Command::new("mpirun");
    command
        .current_dir(home)
        .args(["--oversubscribe", "--bind-to", "none", "-n", &ranks.to_string()])
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    for (name, value) in environment.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Returns a command for the program with `arguments` on this number of ranks.
fn ranks<S: AsRef<OsStr>>(home: &Path, ranks: usize, arguments: &[S]) -> Command {
    let mut command = mpirun(home, ranks);
    command.arg(env!("CARGO_BIN_EXE_seqfit")).args(arguments);
    command
}

/// Concatenates lists of arguments.
fn concat_arguments(lists: &[&[&str]]) -> Vec<String> {
    lists.concat().into_iter().map(ToOwned::to_owned).collect()
}

fn history(home: &Path, run: &str) -> History {
    Run::open(&home.join(run)).unwrap().history().unwrap()
}

/// Returns the test accuracy of a finished run.
fn accuracy(home: &Path, run: &str) -> f64 {
    Run::open(&home.join(run)).unwrap().result().unwrap().test.accuracy.unwrap()
}

/// Returns the largest relative difference between the losses of two histories.
fn difference(a: &History, b: &History) -> f64 {
    assert_eq!(a.epochs.len(), b.epochs.len());
    let losses = a.epochs.iter().zip(&b.epochs).map(|(a, b)| (a.loss - b.loss).abs() / a.loss);
    losses.fold(0.0, f64::max)
}

/// Tolerances between a single process and the ranks: relative differences between losses, and absolute
/// differences between accuracies.
#[derive(Clone, Copy)]
struct Tolerance(f64, f64);

/// Differences caused by rounding alone over a few dozen steps.
const ROUNDING: Tolerance = Tolerance(1e-4, 1e-3);

/// Checks that 1, 2 and 4 ranks reach the same weights, and that they are within `most` of a single process
/// that does not use ranks.
fn check_ranks_match_one_process(data: &[&str], settings: &[&str], most: Tolerance) {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let options = [data, settings, &["--epochs", "3", "--quiet"]].concat();
    let arguments = |out: &str| concat_arguments(&[&["train", "--out", out], &options]);
    succeed(seqfit(home).args(arguments("alone")));
    let (expected, right) = (history(home, "alone"), accuracy(home, "alone"));
    for size in [1, 2, 4] {
        let out = size.to_string();
        succeed(ranks(home, size, &arguments(&out)).arg("--distributed"));
        let found = difference(&expected, &history(home, &out));
        let accuracy = accuracy(home, &out);
        let apart = difference(&history(home, "1"), &history(home, &out));
        eprintln!(
            "{settings:?}, {size} ranks: losses {apart:.1e} from 1 rank's and {found:.1e} from one process's, \
             accuracy {accuracy} and {right}"
        );
        assert!(apart < 1e-4 && found < most.0, "{settings:?}, {size} ranks: {apart}, {found}");
        assert!((accuracy - right).abs() <= most.1, "{size} ranks: {right} {accuracy}");
        let weights = |run: &str| {
            let model = Run::open(&home.join(run)).unwrap().load_model(Device::Cpu).unwrap();
            model.weights().unwrap()
        };
        assert!(
            weights("1") == weights(&out),
            "{settings:?}, {size} ranks: other weights than 1 rank"
        );
        // A single process evaluates to the same metrics as all ranks together.
        let evaluate = ["evaluate", &out, "--json"];
        let one = succeed(seqfit(home).args(evaluate)).stdout;
        let distributed = [&evaluate[..], &["--distributed"]].concat();
        let all = succeed(&mut ranks(home, size, &distributed)).stdout;
        assert_eq!(all.lines().count(), 1, "{all}");
        let metric = |text: &str, name: &str| {
            serde_json::from_str::<serde_json::Value>(text).unwrap()[name].clone()
        };
        for name in ["accuracy", "samples", "confusion"] {
            assert_eq!(metric(&one, name), metric(&all, name), "{name}");
        }
    }
}

const DIGITS: [&str; 2] = ["--dataset", "digits"];

#[test]
fn mpi_ranks_match_one_process_on_digits() {
    let everything = "--recipe fast99 --validation-split 0.2 --dropout 0.1 --ema 0.9 --clip-norm 1";
    for settings in [
        "--optimizer sgd --momentum 0.9 --batch-size 100",
        "--batch-size 100",
        "--batch-size 100 --engine autograd",
        everything,
    ] {
        let settings: Vec<&str> = settings.split(' ').collect();
        check_ranks_match_one_process(&DIGITS, &settings, ROUNDING);
    }
}

#[test]
fn mpi_ranks_match_one_process_on_streamed_data() {
    let folder = tempfile::tempdir().unwrap();
    let shards = folder.path().join("shards");
    let shards = shards.to_str().unwrap();
    succeed(
        seqfit(folder.path())
            .args([&["data", "shard", "--shards", "3", "--out", shards], &DIGITS[..]].concat()),
    );
    let data = ["--stream=1", "--data-dir", shards];
    check_ranks_match_one_process(&data, &["--batch-size", "100"], ROUNDING);
}

/// The loss follows the targets on every rank.
#[test]
fn mpi_ranks_match_one_rank_on_numbers() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/arrays.npz");
    let train = |out: &str| {
        let train = ["train", "-q", "--distributed", "--task", "numbers", "--batch-size", "2"];
        concat_arguments(&[&train, &["--epochs", "2", "--data", file, "--out", out]])
    };
    let weights = |run: &str| {
        let model = Run::open(&home.join(run)).unwrap().load_model(Device::Cpu).unwrap();
        model.weights().unwrap()
    };
    succeed(&mut ranks(home, 1, &train("1")));
    succeed(&mut ranks(home, 2, &train("2")));
    assert!(weights("1") == weights("2"));
    assert_eq!(Run::open(&home.join("2")).unwrap().config().fit.loss, Loss::MeanSquaredError);
}

#[test]
fn mpi_ranks_match_one_process_on_mnist() {
    let Some(mnist) = common::mnist() else { return };
    let data = ["--data-dir", mnist.to_str().unwrap()];
    // A single process sums the samples of a batch in one go, so the last bits differ, and Adam amplifies these
    // differences from step to step: over 5,625 steps with the tutorial's batches.
    let adam = Tolerance(0.1, 1e-2);
    for (settings, most) in
        [("--optimizer sgd --batch-size 512", ROUNDING), ("--batch-size 512", adam), ("", adam)]
    {
        let settings: Vec<&str> = settings.split_terminator(' ').collect();
        check_ranks_match_one_process(&data, &settings, most);
    }
}

#[test]
fn resume_with_another_number_of_processes_matches_one_process() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let train = |out: &str, epochs: &str| {
        let options = ["--out", out, "--epochs", epochs, "--quiet", "--batch-size", "100"];
        concat_arguments(&[&["train"], &DIGITS, &options])
    };
    succeed(seqfit(home).args(train("alone", "4")));
    succeed(ranks(home, 3, &train("run", "1")).arg("--distributed"));
    let go_on = ["train", "--resume", "run", "--quiet", "--epochs"];
    succeed(&mut ranks(home, 2, &[&go_on[..], &["3", "--distributed"]].concat()));
    succeed(seqfit(home).args([&go_on[..], &["4"]].concat()));
    let found = difference(&history(home, "alone"), &history(home, "run"));
    assert!(found < 1e-4, "{found}");
    // Nothing is left to do, and all ranks exit with success.
    let output = succeed(&mut ranks(home, 2, &[&go_on[..5], &["4", "--distributed"]].concat()));
    assert_eq!(output.stdout, "");
}

#[test]
fn rank_0_alone_prints_and_writes() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let train = ["train", "--distributed", "--dataset", "digits", "--epochs", "2", "--out", "run"];
    let output = succeed(&mut ranks(home, 3, &train));
    assert_eq!(output.stderr.matches("3 ranks train together").count(), 1, "{output:?}");
    assert_eq!(output.stdout.matches("test: loss").count(), 1, "{output:?}");
    let mut names: Vec<OsString> =
        fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != "cache");
    assert_eq!(names, ["run"]);
}

#[test]
fn different_settings_and_data_are_refused_in_one_line() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for (other, message) in [
        (&["--seed", "8"][..], "same setting seed, found 0 on rank 0 and 8 on rank 1"),
        (&["--hidden", "32"], "same network"),
        (&["--data-dir", "train"], "same training data"),
        (&["--data-dir", "test"], "same test data"),
    ] {
        if other[0] == "--data-dir" {
            let (train, test) = data::load("digits").unwrap();
            let (train, test) = match other[1] {
                "train" => (train.take(1000), test),
                _ => (train, test.take(100)),
            };
            data::save_dir(&train, &test, &home.join(other[1])).unwrap();
        }
        let options = ["train", "--distributed", "--epochs", "1", "--out", "run"];
        let mut command = ranks(home, 1, &[&options[..], &DIGITS].concat());
        let data = if other[0] == "--data-dir" { &[][..] } else { &DIGITS };
        command.args([":", "-n", "1", env!("CARGO_BIN_EXE_seqfit")]);
        command.args([&options[..], data, other].concat());
        let output = run(&mut command);
        assert_ne!(output.code, 0);
        assert_eq!(errors(&output).len(), 1, "{output:#?}");
        assert!(errors(&output)[0].contains(message), "{output:#?}");
        assert!(!home.join("run").exists(), "nothing was trained");
    }
}

/// Returns seqfit's own error lines; mpirun adds a few more.
fn errors(output: &CommandOutput) -> Vec<&str> {
    output.stderr.lines().filter(|line| line.starts_with("error: ")).collect()
}

#[test]
fn distributed_without_mpirun_suggests_mpirun() {
    let home = tempfile::tempdir().unwrap();
    let output = run(seqfit(home.path()).args(["train", "--distributed"]));
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("mpirun -n 4 seqfit train --distributed"), "{output:?}");
}

#[test]
fn launcher_of_another_mpi_is_an_error() {
    // These variables are set by a different MPI than the one that the program is built with.
    let home = tempfile::tempdir().unwrap();
    for (rank, lines) in [("0", 1), ("1", 0)] {
        let mut command = seqfit(home.path());
        command.env("PMI_RANK", rank).env("PMI_SIZE", "2");
        let output = run(command.args(["train", "--distributed", "--dataset", "digits"]));
        assert_eq!((output.code, errors(&output).len()), (2, lines), "{output:?}");
        let known = output
            .stderr
            .contains("started 2 processes, and MPI must find the same number, found 1");
        assert_eq!(known, lines == 1, "{output:?}");
    }
}

/// A training run that lasts longer than any test, with a checkpoint every half second.
struct Job {
    mpirun: Child,
    run: PathBuf,
    begun: Instant,
    /// Its stdout and stderr. These are files and not pipes, so that it never blocks on a reader.
    files: [PathBuf; 2],
}

const TIMEOUT: &str = "6s";

impl Job {
    fn start(mut command: Command, run: PathBuf) -> Self {
        command.args(["train", "--distributed", "--rank-timeout", TIMEOUT, "--dataset", "digits"]);
        command.args(["--epochs", "1000000", "--checkpoint-seconds", "0.5", "--quiet", "--out"]);
        let files = ["stdout", "stderr"].map(|name| run.with_extension(name));
        let [stdout, stderr] = files.each_ref().map(|path| fs::File::create(path).unwrap());
        let mpirun = command.arg(&run).stdout(stdout).stderr(stderr).spawn().unwrap();
        let job = Self { mpirun, run, begun: Instant::now(), files };
        job.wait_for("a checkpoint", || {
            let names = fs::read_dir(job.run.join("checkpoints")).into_iter().flatten();
            let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.any(|name| name.starts_with("epoch-") && name.ends_with(".safetensors"))
        });
        job
    }

    fn wait_for(&self, what: &str, is_there: impl Fn() -> bool) {
        while !is_there() {
            assert!(self.begun.elapsed() < Duration::from_secs(60), "{what} does not come");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns the process ID of a rank.
    fn process(&self, rank: usize) -> u32 {
        let mark = format!("OMPI_COMM_WORLD_RANK={rank}\0");
        let run = self.run.to_str().unwrap();
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let number: u32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
            let read = |file| fs::read(format!("/proc/{number}/{file}")).ok();
            let has = |bytes: Vec<u8>, text: &str| String::from_utf8_lossy(&bytes).contains(text);
            (has(read("cmdline")?, run) && has(read("environ")?, &mark)).then_some(number)
        });
        let found: Vec<u32> = processes.collect();
        assert_eq!(found.len(), 1, "rank {rank}");
        found[0]
    }

    fn signal(&self, rank: usize, signal: &str) {
        succeed(Command::new("kill").args([signal, &self.process(rank).to_string()]));
    }

    /// Waits until the job ends, at most `limit`, checks that the run can be resumed, and returns the output.
    fn end(mut self, limit: Duration) -> CommandOutput {
        let begun = Instant::now();
        let status = loop {
            match self.mpirun.try_wait().unwrap() {
                None if begun.elapsed() < limit => std::thread::sleep(Duration::from_millis(50)),
                status => break status,
            }
        };
        let [stdout, stderr] = self.files.each_ref().map(|path| fs::read_to_string(path).unwrap());
        let Some(status) = status else {
            self.mpirun.kill().unwrap();
            panic!("it did not end within {limit:?}: {stdout}{stderr}");
        };
        eprintln!("it took {:.1} s", begun.elapsed().as_secs_f64());
        let output = CommandOutput { code: status.code().unwrap_or(-1), stdout, stderr };
        assert_ne!(output.code, 0, "{output:#?}");
        let left = Run::open(&self.run).unwrap().newest_checkpoint().unwrap();
        assert!(left.0.is_some() && left.1.is_empty(), "{left:?}");
        let run = self.run.to_str().unwrap();
        let deadline = ["train", "--resume", run, "--max-time", "1s", "--quiet"];
        // mpirun ends before the ranks that it killed, one of which may hold the run's lock for a moment.
        let resume = || common::run(seqfit(self.run.parent().unwrap()).args(deadline));
        let begun = Instant::now();
        let mut resumed = resume();
        while resumed.stderr.contains("one process at a time") && begun.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(100));
            resumed = resume();
        }
        assert_eq!(resumed.code, 0, "{resumed:#?}");
        output
    }
}

/// The timeout, plus the same time again for two busy processors to detect it and to exit.
const LIMIT: Duration = Duration::from_secs(12);

#[test]
fn a_rank_that_is_killed_ends_the_job() {
    let home = tempfile::tempdir().unwrap();
    for rank in [0, 2] {
        let run = home.path().join(format!("run-{rank}"));
        let job = Job::start(ranks::<&str>(home.path(), 3, &[]), run);
        job.signal(rank, "-KILL");
        let output = job.end(LIMIT);
        // mpirun detects it first and reports it in its own words.
        assert!(output.stderr.contains(&format!("process rank {rank} ")), "{output:#?}");
        assert!(errors(&output).len() <= 1, "{output:#?}");
    }
}

#[test]
fn a_rank_that_hangs_ends_the_job() {
    let home = tempfile::tempdir().unwrap();
    // With more than four ranks, MPI's own reduction is used.
    for (rank, size) in [(0, 3), (1, 3), (4, 6)] {
        let run = home.path().join(format!("run-{rank}"));
        let job = Job::start(ranks::<&str>(home.path(), size, &[]), run);
        job.signal(rank, "-STOP");
        let output = job.end(LIMIT);
        assert_eq!(errors(&output).len(), 1, "{output:#?}");
        let message = format!("error: rank {rank} has not answered within 6 s");
        assert!(errors(&output)[0].starts_with(&message), "{output:#?}");
    }
}

#[test]
fn a_rank_that_hangs_before_it_begins_ends_the_job() {
    let home = tempfile::tempdir().unwrap();
    let mut command = mpirun(home.path(), 3);
    let script = "[ $OMPI_COMM_WORLD_RANK = 1 ] && exec sleep 1000; exec \"$@\"";
    command.args([
        "sh",
        "-c",
        script,
        "sh",
        env!("CARGO_BIN_EXE_seqfit"),
        "train",
        "--distributed",
    ]);
    let begun = Instant::now();
    let output = run(command.args(["--rank-timeout", TIMEOUT, "--dataset", "digits"]));
    eprintln!("it took {:.1} s", begun.elapsed().as_secs_f64());
    assert!(output.code != 0 && begun.elapsed() < LIMIT, "{:?}: {output:#?}", begun.elapsed());
    assert_eq!(errors(&output).len(), 1, "{output:#?}");
    assert!(
        errors(&output)[0].contains("rank 0 has started, and MPI could not connect it"),
        "{output:#?}"
    );
}

#[test]
fn divergence_is_reported_by_one_rank() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "--distributed", "--dataset", "digits", "--quiet", "--out", "run"];
    let wild = ["--optimizer", "sgd", "--learning-rate", "1e30"];
    let output = run(&mut ranks(home.path(), 3, &[&train[..], &wild].concat()));
    assert_eq!(output.code, 1, "{output:#?}");
    assert_eq!(errors(&output).len(), 1, "{output:#?}");
    assert!(
        errors(&output)[0].contains("diverged") && !errors(&output)[0].contains("rank"),
        "{output:#?}"
    );
}

#[test]
fn six_ranks_match_one_process() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let train = |out: &str| {
        let options = ["--epochs", "3", "--quiet", "--batch-size", "100", "--out", out];
        concat_arguments(&[&["train"], &DIGITS, &options])
    };
    succeed(seqfit(home).args(train("alone")));
    succeed(ranks(home, 6, &train("six")).arg("--distributed"));
    let found = difference(&history(home, "alone"), &history(home, "six"));
    assert!(found < ROUNDING.0, "{found}");
}

/// Two simulated hosts: network namespaces with a link between them.
struct Hosts {
    names: [String; 2],
    agent: PathBuf,
    _home: tempfile::TempDir,
}

impl Hosts {
    /// Creates the hosts, or returns `None` after reporting the test as left out if that is not allowed: it
    /// needs root, and in a container the permission to change its networks.
    fn new(name: &str) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let names = [format!("{name}-a"), format!("{name}-b")];
        let agent = home.path().join("agent");
        let hosts = Self { names, agent, _home: home };
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
            not_here("a test with two hosts, which root alone can make");
            return None;
        }
        let [a, b] = hosts.names.each_ref().map(String::as_str);
        for host in [a, b] {
            let output = run(Command::new("ip").args(["netns", "add", host]));
            if output.code != 0 {
                not_here(&format!("a test with two hosts ({})", output.stderr.trim()));
                return None;
            }
        }
        ip(&[
            "link", "add", "veth0", "netns", a, "type", "veth", "peer", "name", "veth0", "netns", b,
        ]);
        for (host, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            ip(&["-n", host, "address", "add", address, "dev", "veth0"]);
            ip(&["-n", host, "link", "set", "veth0", "up"]);
            ip(&["-n", host, "link", "set", "lo", "up"]);
        }
        // Replaces ssh for mpirun, which calls it with a host and a shell command.
        let script = format!("#!/bin/sh\nshift\nexec ip netns exec {b} sh -c \"$*\"\n");
        fs::write(&hosts.agent, script).unwrap();
        succeed(Command::new("chmod").arg("+x").arg(&hosts.agent));
        Some(hosts)
    }

    /// Returns a command for this number of ranks, half of them on each host.
    fn mpirun(&self, home: &Path, ranks: usize) -> Command {
        let inner = mpirun(home, ranks);
        let mut command = Command::new("ip");
        command.current_dir(home).args(["netns", "exec", &self.names[0], "mpirun"]);
        command.args(inner.get_args());
        let slots = ranks.div_ceil(2);
        command.args(["--host", &format!("10.77.0.1:{slots},10.77.0.2:{slots}")]);
        for (key, value) in [
            ("plm_rsh_agent", self.agent.to_str().unwrap()),
            ("btl", "tcp,self"),
            ("pml", "ob1"),
            ("btl_tcp_if_include", "veth0"),
            ("oob_tcp_if_include", "veth0"),
        ] {
            command.args(["--mca", key, value]);
        }
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => {
                    command.env(name, value);
                    command.args(["-x", name.to_str().unwrap()]);
                }
                None => {
                    command.env_remove(name);
                }
            }
        }
        command.arg(env!("CARGO_BIN_EXE_seqfit"));
        command
    }

    fn cut(&self) {
        ip(&["-n", &self.names[1], "link", "set", "veth0", "down"]);
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

fn ip(arguments: &[&str]) {
    succeed(Command::new("ip").args(arguments));
}

/// Returns a name that no other test and no other run of this test uses.
fn unique(name: &str) -> String {
    format!("seqfit-{name}-{}", std::process::id())
}

#[test]
fn two_hosts_match_one_process() {
    let Some(hosts) = Hosts::new(&unique("agree")) else { return };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let options = ["--epochs", "3", "--quiet", "--batch-size", "100", "--out"];
    let train = |out: &str| concat_arguments(&[&["train"], &DIGITS, &options, &[out]]);
    succeed(seqfit(home).args(train("alone")));
    for size in [2, 4] {
        let out = size.to_string();
        let mut command = hosts.mpirun(home, size);
        succeed(command.args(train(&out)).arg("--distributed"));
        let found = difference(&history(home, "alone"), &history(home, &out));
        assert!(found < 1e-4, "{size} ranks: {found}");
        assert!((accuracy(home, "alone") - accuracy(home, &out)).abs() <= 1e-3);
    }
}

#[test]
fn a_cut_link_ends_the_job() {
    let Some(hosts) = Hosts::new(&unique("cut")) else { return };
    let home = tempfile::tempdir().unwrap();
    let job = Job::start(hosts.mpirun(home.path(), 4), home.path().join("run"));
    let far = job.process(3);
    hosts.cut();
    let run = job.run.clone();
    let output = job.end(LIMIT);
    assert_eq!(errors(&output).len(), 1, "{output:#?}");
    assert!(errors(&output)[0].contains("ranks 2 and 3 have not answered"), "{output:#?}");
    // The ranks beyond the cut link exit too.
    let begun = Instant::now();
    while fs::read(format!("/proc/{far}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        assert!(begun.elapsed() < LIMIT, "rank 3 of {} still runs", run.display());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_rank_killed_on_another_host_ends_the_job() {
    let Some(hosts) = Hosts::new(&unique("kill")) else { return };
    let home = tempfile::tempdir().unwrap();
    let job = Job::start(hosts.mpirun(home.path(), 4), home.path().join("run"));
    job.signal(3, "-KILL");
    let output = job.end(LIMIT);
    assert!(output.stderr.contains("rank 3"), "{output:#?}");
}
