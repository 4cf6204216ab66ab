//! The promise of tests/distributed.rs with real processes under OpenMPI's mpirun, on one host and on two with
//! a network between them; and that a process that is killed, stopped or cut off ends the whole job in time.

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use common::{Said, not_here, run, seqfit, succeed};
use seqfit::run::Run;
use seqfit::{Device, History, data};

/// `mpirun -n RANKS`, to be followed by a program; in a container its user is root.
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

/// The program with `arguments` on so many ranks.
fn ranks<S: AsRef<OsStr>>(home: &Path, ranks: usize, arguments: &[S]) -> Command {
    let mut command = mpirun(home, ranks);
    command.arg(env!("CARGO_BIN_EXE_seqfit")).args(arguments);
    command
}

/// Some lists of words as one.
fn words(lists: &[&[&str]]) -> Vec<String> {
    lists.concat().into_iter().map(ToOwned::to_owned).collect()
}

fn history(home: &Path, run: &str) -> History {
    Run::open(&home.join(run)).unwrap().history().unwrap()
}

/// Test accuracy of a finished run.
fn accuracy(home: &Path, run: &str) -> f64 {
    Run::open(&home.join(run)).unwrap().result().unwrap().test.accuracy
}

/// The largest relative difference between the losses of two histories.
fn difference(a: &History, b: &History) -> f64 {
    assert_eq!(a.epochs.len(), b.epochs.len());
    let losses = a.epochs.iter().zip(&b.epochs).map(|(a, b)| (a.loss - b.loss).abs() / a.loss);
    losses.fold(0.0, f64::max)
}

/// How far a process that knows nothing of ranks may be from them: relative differences between losses, and
/// differences between accuracies.
#[derive(Clone, Copy)]
struct Apart(f64, f64);

/// What rounding alone makes of some dozen steps.
const ROUNDING: Apart = Apart(1e-4, 1e-3);

/// Checks that 1, 2 and 4 ranks come to the same, and not further than that from a process that knows nothing
/// of ranks.
fn all_numbers_of_ranks_agree(data: &[&str], settings: &[&str], most: Apart) {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let options = [data, settings, &["--epochs", "3", "--quiet"]].concat();
    let arguments = |out: &str| words(&[&["train", "--out", out], &options]);
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
        // One that evaluates by itself finds the same figures as all together.
        let evaluate = ["evaluate", &out, "--json"];
        let one = succeed(seqfit(home).args(evaluate)).stdout;
        let distributed = [&evaluate[..], &["--distributed"]].concat();
        let all = succeed(&mut ranks(home, size, &distributed)).stdout;
        assert_eq!(all.lines().count(), 1, "{all}");
        let figure = |text: &str, name: &str| {
            serde_json::from_str::<serde_json::Value>(text).unwrap()[name].clone()
        };
        for name in ["accuracy", "samples", "confusion"] {
            assert_eq!(figure(&one, name), figure(&all, name), "{name}");
        }
    }
}

const DIGITS: [&str; 2] = ["--dataset", "digits"];

#[test]
fn all_numbers_of_ranks_agree_on_digits() {
    let everything = "--recipe fast99 --validation-split 0.2 --dropout 0.1 --ema 0.9 --clip-norm 1";
    for settings in [
        "--optimizer sgd --momentum 0.9 --batch-size 100",
        "--batch-size 100",
        "--batch-size 100 --engine autograd",
        everything,
    ] {
        let settings: Vec<&str> = settings.split(' ').collect();
        all_numbers_of_ranks_agree(&DIGITS, &settings, ROUNDING);
    }
}

#[test]
fn all_numbers_of_ranks_agree_on_streamed_data() {
    let folder = tempfile::tempdir().unwrap();
    let shards = folder.path().join("shards");
    let shards = shards.to_str().unwrap();
    succeed(
        seqfit(folder.path())
            .args([&["data", "shard", "--shards", "3", "--out", shards], &DIGITS[..]].concat()),
    );
    let data = ["--stream=1", "--data-dir", shards];
    all_numbers_of_ranks_agree(&data, &["--batch-size", "100"], ROUNDING);
}

#[test]
fn all_numbers_of_ranks_agree_on_mnist() {
    let Some(mnist) = common::mnist() else { return };
    let data = ["--data-dir", mnist.to_str().unwrap()];
    // In a process that adds the samples of a batch in one go the last bits are others, and Adam makes more of
    // them from step to step: in 5,625 of them with the tutorial's batches.
    let adam = Apart(0.1, 1e-2);
    for (settings, most) in
        [("--optimizer sgd --batch-size 512", ROUNDING), ("--batch-size 512", adam), ("", adam)]
    {
        let settings: Vec<&str> = settings.split_terminator(' ').collect();
        all_numbers_of_ranks_agree(&data, &settings, most);
    }
}

#[test]
fn another_number_of_ranks_goes_on_with_a_run() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let train = |out: &str, epochs: &str| {
        let options = ["--out", out, "--epochs", epochs, "--quiet", "--batch-size", "100"];
        words(&[&["train"], &DIGITS, &options])
    };
    succeed(seqfit(home).args(train("alone", "4")));
    succeed(ranks(home, 3, &train("run", "1")).arg("--distributed"));
    let go_on = ["train", "--resume", "run", "--quiet", "--epochs"];
    succeed(&mut ranks(home, 2, &[&go_on[..], &["3", "--distributed"]].concat()));
    succeed(seqfit(home).args([&go_on[..], &["4"]].concat()));
    let found = difference(&history(home, "alone"), &history(home, "run"));
    assert!(found < 1e-4, "{found}");
    // There is nothing left to do, and all ranks end well.
    let said = succeed(&mut ranks(home, 2, &[&go_on[..5], &["4", "--distributed"]].concat()));
    assert_eq!(said.stdout, "");
}

#[test]
fn rank_0_alone_prints_and_writes() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let train = ["train", "--distributed", "--dataset", "digits", "--epochs", "2", "--out", "run"];
    let said = succeed(&mut ranks(home, 3, &train));
    assert_eq!(said.stderr.matches("3 ranks train together").count(), 1, "{said:?}");
    assert_eq!(said.stdout.matches("test: loss").count(), 1, "{said:?}");
    let mut names: Vec<OsString> =
        fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != "cache");
    assert_eq!(names, ["run"]);
}

#[test]
fn other_settings_and_data_are_refused_in_one_line() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for (other, word) in [
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
        let said = run(&mut command);
        assert_ne!(said.code, 0);
        assert_eq!(errors(&said).len(), 1, "{said:#?}");
        assert!(errors(&said)[0].contains(word), "{said:#?}");
        fs::remove_dir_all(home.join("run")).unwrap();
    }
}

/// Our own lines about errors; mpirun has a few of its own.
fn errors(said: &Said) -> Vec<&str> {
    said.stderr.lines().filter(|line| line.starts_with("error: ")).collect()
}

#[test]
fn without_mpirun_the_program_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let said = run(seqfit(home.path()).args(["train", "--distributed"]));
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("mpirun -n 4 seqfit train --distributed"), "{said:?}");
}

#[test]
fn a_launcher_that_mpi_does_not_know_is_an_error() {
    // As of another MPI than the one that the program is built with.
    let home = tempfile::tempdir().unwrap();
    for (rank, lines) in [("0", 1), ("1", 0)] {
        let mut command = seqfit(home.path());
        command.env("PMI_RANK", rank).env("PMI_SIZE", "2");
        let said = run(command.args(["train", "--distributed", "--dataset", "digits"]));
        assert_eq!((said.code, errors(&said).len()), (2, lines), "{said:?}");
        let known =
            said.stderr.contains("started 2 processes, and MPI, which must find as many, found 1");
        assert_eq!(known, lines == 1, "{said:?}");
    }
}

/// A training that goes on for longer than any test waits, with a checkpoint every half second.
struct Job {
    mpirun: Child,
    run: PathBuf,
    begun: Instant,
    /// What it says: files, of which there is none that somebody must read for it to go on.
    said: [PathBuf; 2],
}

const TIMEOUT: &str = "6s";

impl Job {
    fn start(mut command: Command, run: PathBuf) -> Self {
        command.args(["train", "--distributed", "--rank-timeout", TIMEOUT, "--dataset", "digits"]);
        command.args(["--epochs", "1000000", "--checkpoint-seconds", "0.5", "--quiet", "--out"]);
        let said = ["stdout", "stderr"].map(|name| run.with_extension(name));
        let [stdout, stderr] = said.each_ref().map(|path| fs::File::create(path).unwrap());
        let mpirun = command.arg(&run).stdout(stdout).stderr(stderr).spawn().unwrap();
        let job = Self { mpirun, run, begun: Instant::now(), said };
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

    /// The process of a rank.
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

    /// What it said when it ended, within `limit`, and that the run can go on.
    fn end(mut self, limit: Duration) -> Said {
        let begun = Instant::now();
        let status = loop {
            match self.mpirun.try_wait().unwrap() {
                None if begun.elapsed() < limit => std::thread::sleep(Duration::from_millis(50)),
                status => break status,
            }
        };
        let [stdout, stderr] = self.said.each_ref().map(|path| fs::read_to_string(path).unwrap());
        let Some(status) = status else {
            self.mpirun.kill().unwrap();
            panic!("it has not ended in {limit:?}: {stdout}{stderr}");
        };
        eprintln!("it took {:.1} s", begun.elapsed().as_secs_f64());
        let said = Said { code: status.code().unwrap_or(-1), stdout, stderr };
        assert_ne!(said.code, 0, "{said:#?}");
        let left = Run::open(&self.run).unwrap().newest_checkpoint().unwrap();
        assert!(left.0.is_some() && left.1.is_empty(), "{left:?}");
        let run = self.run.to_str().unwrap();
        let deadline = ["train", "--resume", run, "--max-time", "1s", "--quiet"];
        succeed(seqfit(self.run.parent().unwrap()).args(deadline));
        said
    }
}

/// The timeout, and as much again as two busy processors may take to notice and to end.
const LIMIT: Duration = Duration::from_secs(12);

#[test]
fn a_rank_that_is_killed_ends_the_job() {
    let home = tempfile::tempdir().unwrap();
    for rank in [0, 2] {
        let run = home.path().join(format!("run-{rank}"));
        let job = Job::start(ranks::<&str>(home.path(), 3, &[]), run);
        job.signal(rank, "-KILL");
        let said = job.end(LIMIT);
        // In mpirun's words, who sees it first.
        assert!(said.stderr.contains(&format!("process rank {rank} ")), "{said:#?}");
        assert!(errors(&said).len() <= 1, "{said:#?}");
    }
}

#[test]
fn a_rank_that_hangs_ends_the_job() {
    let home = tempfile::tempdir().unwrap();
    // Sums of more than four ranks are MPI's own.
    for (rank, size) in [(0, 3), (1, 3), (4, 6)] {
        let run = home.path().join(format!("run-{rank}"));
        let job = Job::start(ranks::<&str>(home.path(), size, &[]), run);
        job.signal(rank, "-STOP");
        let said = job.end(LIMIT);
        assert_eq!(errors(&said).len(), 1, "{said:#?}");
        let word = format!("error: rank {rank} has not answered within 6 s");
        assert!(errors(&said)[0].starts_with(&word), "{said:#?}");
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
    let said = run(command.args(["--rank-timeout", TIMEOUT, "--dataset", "digits"]));
    eprintln!("it took {:.1} s", begun.elapsed().as_secs_f64());
    assert!(said.code != 0 && begun.elapsed() < LIMIT, "{:?}: {said:#?}", begun.elapsed());
    assert_eq!(errors(&said).len(), 1, "{said:#?}");
    assert!(
        errors(&said)[0].contains("rank 0 has started, and MPI has not brought it"),
        "{said:#?}"
    );
}

#[test]
fn a_training_that_diverges_says_so_once() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "--distributed", "--dataset", "digits", "--quiet", "--out", "run"];
    let wild = ["--optimizer", "sgd", "--learning-rate", "1e30"];
    let said = run(&mut ranks(home.path(), 3, &[&train[..], &wild].concat()));
    assert_eq!(said.code, 1, "{said:#?}");
    assert_eq!(errors(&said).len(), 1, "{said:#?}");
    assert!(
        errors(&said)[0].contains("diverged") && !errors(&said)[0].contains("rank"),
        "{said:#?}"
    );
}

#[test]
fn six_ranks_come_to_what_one_process_comes_to() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let train = |out: &str| {
        let options = ["--epochs", "3", "--quiet", "--batch-size", "100", "--out", out];
        words(&[&["train"], &DIGITS, &options])
    };
    succeed(seqfit(home).args(train("alone")));
    succeed(ranks(home, 6, &train("six")).arg("--distributed"));
    let found = difference(&history(home, "alone"), &history(home, "six"));
    assert!(found < ROUNDING.0, "{found}");
}

/// Two hosts, as far as the network can tell: namespaces with a link between them.
struct Hosts {
    names: [String; 2],
    agent: PathBuf,
    _home: tempfile::TempDir,
}

impl Hosts {
    /// None, after saying so, where hosts cannot be made up: that is for root, and in a container for one that
    /// may change its networks.
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
            let said = run(Command::new("ip").args(["netns", "add", host]));
            if said.code != 0 {
                not_here(&format!("a test with two hosts ({})", said.stderr.trim()));
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
        // What mpirun takes for ssh: it is called with a host, and a command for a shell there.
        let script = format!("#!/bin/sh\nshift\nexec ip netns exec {b} sh -c \"$*\"\n");
        fs::write(&hosts.agent, script).unwrap();
        succeed(Command::new("chmod").arg("+x").arg(&hosts.agent));
        Some(hosts)
    }

    /// So many ranks, half of them on each host.
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

/// Not the name of another test's, nor of another run's of this one.
fn unique(name: &str) -> String {
    format!("seqfit-{name}-{}", std::process::id())
}

#[test]
fn two_hosts_agree() {
    let Some(hosts) = Hosts::new(&unique("agree")) else { return };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let options = ["--epochs", "3", "--quiet", "--batch-size", "100", "--out"];
    let train = |out: &str| words(&[&["train"], &DIGITS, &options, &[out]]);
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
    let said = job.end(LIMIT);
    assert_eq!(errors(&said).len(), 1, "{said:#?}");
    assert!(errors(&said)[0].contains("ranks 2 and 3 have not answered"), "{said:#?}");
    // Those beyond the cut end, too.
    let begun = Instant::now();
    while fs::read(format!("/proc/{far}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        assert!(begun.elapsed() < LIMIT, "rank 3 of {} lives on", run.display());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_rank_killed_on_another_host_ends_the_job() {
    let Some(hosts) = Hosts::new(&unique("kill")) else { return };
    let home = tempfile::tempdir().unwrap();
    let job = Job::start(hosts.mpirun(home.path(), 4), home.path().join("run"));
    job.signal(3, "-KILL");
    let said = job.end(LIMIT);
    assert!(said.stderr.contains("rank 3"), "{said:#?}");
}
