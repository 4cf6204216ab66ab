//! `seqfit doctor`: would training work here, and if not, what mends it.

use std::fmt::Write;
use std::process::ExitCode;

use seqfit::libtorch::{self, Driver, Gpu};
use seqfit::{Device, data, device};
use serde::Serialize;

use super::{output, progress};

/// Options of `seqfit doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    /// What keeps training from working, each with its cure.
    problems: Vec<String>,
    libtorch: Libtorch,
    cuda: Cuda,
    threads: usize,
    cache: Option<Folder>,
    working_folder: Option<Folder>,
}

#[derive(Serialize)]
struct Libtorch {
    expected: String,
    found: String,
    folder: Option<String>,
}

#[derive(Serialize)]
struct Cuda {
    /// libtorch has its CUDA half.
    built: bool,
    /// seqfit can train on it.
    usable: bool,
    /// "none", or the newest CUDA version that the driver serves, or how it fails.
    driver: String,
    devices: Vec<Gpu>,
    /// Why it cannot be used, with the cure.
    reason: Option<String>,
}

#[derive(Serialize)]
struct Folder {
    path: String,
    free_bytes: Option<u64>,
}

/// Runs `seqfit doctor`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let report = examine();
    let mut text = String::new();
    if args.json {
        writeln!(text, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, &mut text)?;
    }
    output::print(&text)?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine() -> Report {
    let mut problems = Vec::new();
    let version = libtorch::check_version();
    if let Err(error) = &version {
        problems.push(error.to_string());
    }
    let (driver, devices) = match libtorch::query_driver() {
        Driver::Present { cuda: (major, minor), gpus } => {
            (format!("for CUDA {major}.{minor}"), gpus)
        }
        Driver::Failed(code) => (format!("installed, fails with CUDA error {code}"), Vec::new()),
        Driver::Missing => ("none".to_owned(), Vec::new()),
    };
    // With the wrong libtorch the next call would end the process.
    let usable = match &version {
        Ok(()) => one_step(Device::Cuda(0)).map_err(|error| error.to_string()),
        Err(_) => Err("not tried with the wrong libtorch".to_owned()),
    };
    if version.is_ok()
        && let Err(error) = one_step(Device::Cpu)
    {
        problems.push(format!("a training step on the CPU fails: {error}"));
    }
    let cache = match data::Locations::from_env() {
        Ok(locations) => locations.cache.as_deref().map(folder),
        Err(error) => {
            problems.push(error.to_string());
            None
        }
    };
    Report {
        ok: problems.is_empty(),
        problems,
        libtorch: Libtorch {
            expected: libtorch::expected_version().to_owned(),
            found: libtorch::version(),
            folder: libtorch::folder().map(|folder| folder.display().to_string()),
        },
        cuda: Cuda {
            built: libtorch::has_cuda_library(),
            usable: usable.is_ok(),
            driver,
            devices,
            reason: usable.err(),
        },
        threads: device::all_threads(),
        cache,
        working_folder: std::env::current_dir().ok().map(|path| folder(&path)),
    }
}

/// The real thing in small: a network, a batch, a step.
fn one_step(device: Device) -> Result<(), seqfit::Error> {
    use seqfit::{FitConfig, Sequential, layers::Dense, layers::Flatten};
    let classes = vec!["a".to_owned(), "b".to_owned()];
    let dataset = data::Dataset::new(vec![0, 255], [1, 1], vec![0, 1], classes)?;
    let model = Sequential::new([1, 1]).add(Flatten).add(Dense::new(2));
    let config = FitConfig { epochs: 1, ..FitConfig::default() };
    model.build(device, 0)?.fit(&dataset, &config, &mut [])?;
    Ok(())
}

/// A folder and the free space of its disk; of the nearest folder above that exists, if need be.
fn folder(path: &std::path::Path) -> Folder {
    let existing = path.ancestors().find(|path| path.is_dir());
    Folder {
        path: path.display().to_string(),
        free_bytes: existing.and_then(|path| fs4::available_space(path).ok()),
    }
}

fn print(report: &Report, out: &mut String) -> std::fmt::Result {
    let none = || "unknown".to_owned();
    let Libtorch { expected, found, folder } = &report.libtorch;
    writeln!(out, "libtorch   {found} (expected {expected})")?;
    writeln!(out, "           {}", folder.clone().unwrap_or_else(none))?;
    let cuda = &report.cuda;
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    writeln!(out, "CUDA       in libtorch: {}, driver: {}", yes(cuda.built), cuda.driver)?;
    for (index, gpu) in cuda.devices.iter().enumerate() {
        let memory = gpu.memory_bytes as f64 / f64::from(1u32 << 30);
        writeln!(out, "           cuda:{index}: {}, {memory:.1} GiB", gpu.name)?;
    }
    match &cuda.reason {
        None => writeln!(out, "           usable with --cuda")?,
        Some(reason) => writeln!(out, "           not usable: {reason}")?,
    }
    writeln!(out, "threads    {}", report.threads)?;
    if report.cache.is_none() {
        writeln!(out, "cache      none: set SEQFIT_CACHE to a folder to keep downloads in")?;
    }
    for (name, folder) in [("cache", &report.cache), ("disk", &report.working_folder)] {
        if let Some(Folder { path, free_bytes }) = folder {
            let free = free_bytes.map_or_else(none, progress::bytes);
            writeln!(out, "{name:<10} {path} ({free} free)")?;
        }
    }
    match report.problems.as_slice() {
        [] => writeln!(out, "training works here"),
        problems => {
            problems.iter().try_for_each(|problem| writeln!(out, "problem    {problem}"))?;
            writeln!(out, "training does not work here")
        }
    }
}
