//! `seqfit train --seeds N`: runs the same training with several seeds, and reports statistics of their metrics.
//!
//! Each seed is a separate run in a separate process; the number of processors divided by the threads of a run
//! limits how many run at the same time. The same command again resumes the unfinished runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use seqfit::metrics::Direction;
use seqfit::run::{Figures, Run};
use seqfit::text::four_decimals;
use seqfit::{Engine, FitConfig, Metric, WriteError, device};
use serde::Serialize;

use super::super::output::{self, Usage, print_status, quoted};
use super::super::output_files::{self, FileKind, OutputFile};
use super::args::Args;
use super::interruption::Interruption;
use super::start_run;

/// Options that are set here for each run, and whether a value follows.
const OWN: [(&str, bool); 7] = [
    ("--seeds", true),
    ("--seed", true),
    ("--parallel", true),
    ("--out", true),
    ("--csv", true),
    ("--json", false),
    ("--quiet", false),
];

/// The file of the results, in the folder of the runs.
const RESULTS: &str = "seeds.json";

/// The results of several seeds.
#[derive(Debug, Serialize)]
struct Report {
    seeds: Vec<Seed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<Spread>,
    loss: Spread,
    /// Further metrics that all seeds have, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metrics: BTreeMap<String, Spread>,
    /// Wall-clock seconds of everything.
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Seed {
    seed: u64,
    run: PathBuf,
    test: Figures,
    /// Wall-clock seconds of its epochs.
    seconds: f64,
}

/// Statistics of a metric over the seeds.
#[derive(Debug, PartialEq, Serialize)]
struct Spread {
    mean: f64,
    /// Standard deviation of the sample: divided by n - 1.
    standard_deviation: f64,
    min: f64,
    max: f64,
    /// The 95 % confidence interval of the mean, by Student's t, cut to the values that the metric can have.
    interval: [f64; 2],
}

impl Spread {
    /// Formats it as a line of text.
    fn line(&self, name: &str, seeds: usize, unit: &str, text: impl Fn(f64) -> String) -> String {
        let Self { mean, standard_deviation, min, max, interval } = self;
        let [mean, deviation, min, max] = [mean, standard_deviation, min, max].map(|v| text(*v));
        let [low, high] = interval.map(text);
        format!(
            "test {name} of {seeds} seeds: mean {mean}{unit}, standard deviation {deviation}, {min} to {max}; 95 % \
             interval of the mean {low} to {high}\n"
        )
    }

    /// Returns the statistics of two or more values of a metric, which are in `range`.
    fn of(values: &[f64], [least, most]: [f64; 2]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_deviation = (squares / (n - 1.0)).sqrt();
        let half = student(values.len() - 1) * standard_deviation / n.sqrt();
        Self {
            mean,
            standard_deviation,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            interval: [(mean - half).max(least), (mean + half).min(most)],
        }
    }
}

/// The range of an accuracy, and of most metrics of which more is better.
const FRACTIONS: [f64; 2] = [0.0, 1.0];
/// The range of a loss, and of every metric of which less is better.
const FROM_0: [f64; 2] = [0.0, f64::INFINITY];

/// Returns the least and the most that a metric can be.
fn range(metric: &str) -> [f64; 2] {
    match (metric, metric.parse().map(|metric: Metric| metric.direction())) {
        ("r2", _) => [f64::NEG_INFINITY, 1.0],
        ("matthews_corrcoef" | "cohen_kappa", _) => [-1.0, 1.0],
        (_, Ok(Direction::Higher)) => FRACTIONS,
        (_, Ok(Direction::Lower)) => FROM_0,
        (_, Err(_)) => [f64::NEG_INFINITY, f64::INFINITY],
    }
}

/// Returns the 97.5 % quantile of Student's t distribution for at least one degree of freedom, from a standard
/// table.
fn student(degrees: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    // Beyond the table the first two terms of the expansion around the normal distribution.
    let normal = 1.960 + 2.373 / degrees as f64;
    TABLE.get(degrees.saturating_sub(1)).copied().unwrap_or(normal)
}

/// Runs `seqfit train --seeds N`.
pub fn run(args: &Args, seeds: u64) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let fit = args.fit.over(&FitConfig::default(), args.device.is_cuda())?;
    let first = fit.seed;
    let Some(last) = first.checked_add(seeds - 1).filter(|&last| last <= i64::MAX as u64) else {
        return Err(Usage(format!("{seeds} seeds from {first} on are more than there are")).into());
    };
    let out = match &args.out {
        Some(out) => out.clone(),
        None => start_run::stamped("seeds"),
    };
    let path = &out.join(RESULTS);
    let results = OutputFile { option: "--out", path, kind: FileKind::Json("seeds") };
    output_files::check_beside(&[results], Some(&out))?;
    std::fs::create_dir_all(&out).map_err(|source| WriteError::new(&out, 0, source))?;
    let side_by_side = match args.parallel {
        Some(n) => n.get(),
        // On a GPU they would share its memory.
        None if args.device.is_cuda() => 1,
        // One thread for each is the best use of all processors.
        None if fit.engine != Engine::Autograd && fit.threads.is_none() => {
            device::all_threads().min(seeds as usize)
        }
        None => (device::all_threads() / fit.step_threads()).max(1),
    };
    // The number of threads does not change the result of engines that by default use all threads.
    let threads = (fit.engine != Engine::Autograd && fit.threads.is_none())
        .then(|| (device::all_threads() / side_by_side).max(1))
        .filter(|_| !args.device.is_cuda());
    let mut waiting: std::collections::VecDeque<u64> = (first..=last).collect();
    let mut running: Vec<(u64, Child)> = Vec::new();
    let interruption = Interruption::watch(None)?;
    let mut signal_sent = false;
    let mut failed = None;
    while !running.is_empty() || !waiting.is_empty() && failed.is_none() {
        if running.len() < side_by_side
            && failed.is_none()
            && let Some(seed) = waiting.pop_front()
        {
            running.push((seed, spawn(&folder(&out, seed), seed, threads)?));
            continue;
        }
        std::thread::sleep(Duration::from_millis(20));
        if let Some((number, name)) = interruption.signal().filter(|_| !signal_sent) {
            signal_sent = true;
            running.iter().for_each(|(_, child)| send_signal(name, child));
            failed = failed.or(Some((first, 128 + number)));
        }
        let mut still = Vec::new();
        for (seed, mut child) in running {
            match child.try_wait()? {
                None => still.push((seed, child)),
                Some(status) if status.success() => {
                    if !args.quiet {
                        print_seed(&out, seed)?;
                    }
                }
                // The other runs end in a state that they can be resumed from.
                Some(status) => failed = failed.or(Some((seed, status.code().unwrap_or(1)))),
            }
        }
        running = still;
    }
    if let Some((seed, code)) = failed {
        let what = match interruption.signal() {
            Some((_, name)) => format!("interrupted by {name}"),
            None => format!("seed {seed} did not finish"),
        };
        // Nothing is left of seeds that could not begin.
        let _ = std::fs::remove_dir(&out);
        print_status(format_args!("{what}; the same command with --out {} resumes", quoted(&out)));
        return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
    }
    let seeds = (first..=last).map(|seed| finished(&out, seed)).collect::<anyhow::Result<_>>()?;
    conclude(args, &out, seeds, started.elapsed().as_secs_f64())
}

/// Sends a signal to a run, which makes it stop cleanly.
fn send_signal(name: &str, child: &Child) {
    let signal = name.trim_start_matches("SIG");
    let pid = child.id().to_string();
    if let Err(error) = Command::new("kill").args(["-s", signal, &pid]).status() {
        print_status(format_args!("warning: {name} could not be sent to process {pid}: {error}"));
    }
}

fn folder(out: &Path, seed: u64) -> PathBuf {
    out.join(format!("seed-{seed}"))
}

/// Starts a process with this process's command line, for one seed and folder.
fn spawn(folder: &Path, seed: u64, threads: Option<usize>) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe().context("this program's own path")?);
    command.args(others(std::env::args_os().skip(1)));
    // A run that exists is resumed, and is refused if the settings differ.
    match Run::open(folder).is_ok() {
        true => command.arg("--resume").arg(folder),
        false => command.arg("--out").arg(folder),
    };
    command.args(["--quiet", "--seed", &seed.to_string()]);
    if let Some(threads) = threads {
        command.args(["--threads", &threads.to_string()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // In its own process group: a signal from the terminal as well as from this process would end a run at once.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().context("the process of a run cannot be started")
}

/// Returns `arguments` without those in [`OWN`].
fn others(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut skip = false;
    for argument in arguments {
        if std::mem::take(&mut skip) {
            continue;
        }
        let text = argument.to_string_lossy();
        let own = OWN.iter().find(|(name, _)| match text.strip_prefix(name) {
            Some(rest) => rest.is_empty() || rest.starts_with('='),
            None => false,
        });
        match own {
            Some((name, has_value)) => skip = *has_value && text == *name,
            None if text == "-q" => {}
            None => kept.push(argument),
        }
    }
    kept
}

fn finished(out: &Path, seed: u64) -> anyhow::Result<Seed> {
    let run = folder(out, seed);
    let result = Run::open(&run)?
        .result()
        .with_context(|| format!("{} has no result: the same command resumes it", run.display()))?;
    Ok(Seed { seed, run, test: result.test, seconds: result.seconds })
}

fn print_seed(out: &Path, seed: u64) -> anyhow::Result<()> {
    let Seed { test: Figures { loss, accuracy, .. }, seconds, .. } = finished(out, seed)?;
    let accuracy = accuracy.map(|fraction| format!(", accuracy {:.2} %", 100.0 * fraction));
    let accuracy = accuracy.unwrap_or_default();
    let loss = four_decimals(loss);
    print_status(format_args!("seed {seed}: loss {loss}{accuracy}, {seconds:.1} s"));
    Ok(())
}

fn conclude(args: &Args, out: &Path, seeds: Vec<Seed>, seconds: f64) -> anyhow::Result<ExitCode> {
    let values = |of: &dyn Fn(&Figures) -> Option<f64>| -> Option<Vec<f64>> {
        seeds.iter().map(|seed| of(&seed.test)).collect()
    };
    let accuracy = values(&|test| test.accuracy).map(|values| Spread::of(&values, FRACTIONS));
    let losses: Vec<f64> = seeds.iter().map(|seed| seed.test.loss).collect();
    let loss = Spread::of(&losses, FROM_0);
    let names = seeds.first().map(|seed| seed.test.metrics.keys().cloned());
    let metrics = names.into_iter().flatten().filter_map(|name| {
        let values = values(&|test| test.metrics.get(&name).copied())?;
        let spread = Spread::of(&values, range(&name));
        Some((name, spread))
    });
    let metrics = metrics.collect();
    let report = Report { seeds, accuracy, loss, metrics, seconds };
    let path = out.join(RESULTS);
    let text = serde_json::to_string_pretty(&report)? + "\n";
    seqfit::files::write(&path, text.as_bytes())?;
    if args.json {
        output::print(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else if !args.quiet {
        let percent = |fraction: f64| format!("{:.2}", 100.0 * fraction);
        let number = four_decimals;
        let n = report.seeds.len();
        let lines = match &report.accuracy {
            Some(accuracy) => accuracy.line("accuracy", n, " %", percent),
            None => report.loss.line("loss", n, "", number),
        };
        let metrics = report.metrics.iter().map(|(name, spread)| spread.line(name, n, "", number));
        let lines = metrics.fold(lines, |lines, line| lines + &line);
        output::print(&format!("{lines}runs: {}\n", out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R: x <- c(97.6, 97.2, 97.9); t.test(x) gives mean 97.56667, 95 % interval 96.69430 to 98.43903;
    /// sd(x) gives 0.3511885.
    #[test]
    fn spread_matches_r() {
        let spread = Spread::of(&[97.6, 97.2, 97.9], FROM_0);
        let close = |a: f64, b: f64| (a - b).abs() < 2e-4;
        assert!(close(spread.mean, 97.56667) && close(spread.standard_deviation, 0.3511885));
        assert!(close(spread.interval[0], 96.69430) && close(spread.interval[1], 98.43903));
        assert_eq!((spread.min, spread.max), (97.2, 97.9));
        // qt(0.975, 31) = 2.039513
        assert!((student(31) - 2.0395).abs() < 3e-3);
    }

    #[test]
    fn an_interval_stays_within_what_a_metric_can_be() {
        assert_eq!(Spread::of(&[0.9, 0.99], FRACTIONS).interval[1], 1.0);
        assert_eq!(Spread::of(&[0.1, 0.5], FROM_0).interval[0], 0.0);
        let ranges = ["f1_macro", "rmse", "r2", "cohen_kappa"].map(range);
        let infinity = f64::INFINITY;
        assert_eq!(ranges, [[0.0, 1.0], [0.0, infinity], [-infinity, 1.0], [-1.0, 1.0]]);
    }

    #[test]
    fn runs_get_all_arguments_except_those_set_per_seed() {
        let given = "train --seeds 5 --epochs 3 --seed=2 --out x -q --json --lr-x --seedling 3";
        let kept = others(given.split(' ').map(OsString::from));
        assert_eq!(kept, ["train", "--epochs", "3", "--lr-x", "--seedling", "3"]);
    }
}
