//! `seqfit doctor`: tries what `train` does on a small scale, and prints how to fix what fails.

mod trial_training;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use seqfit::libtorch::{self, Driver, Gpu};
use seqfit::{Device, FreeMemory, MemoryOwner, data, device};
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
    /// The problems that keep training from working, each with its fix.
    problems: Vec<String>,
    /// Where training behaves differently than may be expected.
    notes: Vec<String>,
    libtorch: Libtorch,
    cuda: Cuda,
    threads: usize,
    memory: FreeMemory,
    /// Where `train` without options takes its data from.
    data: Option<String>,
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
    /// Whether libtorch includes its CUDA libraries.
    built: bool,
    /// Whether seqfit can train on the GPU.
    usable: bool,
    /// "none", or the newest CUDA version that the driver supports, or how the driver fails.
    driver: String,
    devices: Vec<Gpu>,
    /// Why CUDA cannot be used, with the fix.
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
    let mut findings = Findings::default();
    let version = libtorch::check_version();
    if let Err(error) = &version {
        findings.problems.push(error.to_string());
    }
    // With the wrong libtorch the first step would end the process.
    let trained = version.is_ok().then(|| trial_training::train(Device::Cpu));
    let trained =
        trained.and_then(|tried| findings.take("a training step on the CPU fails", tried));
    let cuda = cuda(version.is_ok());
    let locations = findings.take("", data::Locations::from_env().map_err(Into::into));
    let data = locations.as_ref().and_then(|locations| findings.data(locations));
    findings.take("", trial_training::write_run(Path::new(seqfit::run::RUNS), trained.as_ref()));
    let memory = FreeMemory::read();
    findings.problems.extend(too_little(&memory));
    Report {
        ok: findings.problems.is_empty(),
        problems: findings.problems,
        notes: findings.notes,
        libtorch: Libtorch {
            expected: libtorch::expected_version().to_owned(),
            found: libtorch::version(),
            folder: libtorch::folder().map(|folder| folder.display().to_string()),
        },
        cuda,
        threads: device::all_threads(),
        memory,
        data,
        cache: locations.and_then(|locations| locations.cache.as_deref().map(folder)),
        working_folder: std::env::current_dir().ok().map(|path| folder(&path)),
    }
}

/// Problems and notes collected for the end of the report.
#[derive(Default)]
struct Findings {
    problems: Vec<String>,
    notes: Vec<String>,
}

impl Findings {
    /// Returns the value, or records the error as a problem.
    fn take<T>(&mut self, what: &str, tried: anyhow::Result<T>) -> Option<T> {
        let separator = if what.is_empty() { "" } else { ": " };
        tried
            .map_err(|error| {
                self.problems.push(format!("{what}{separator}{}", output::chain(&error)));
            })
            .ok()
    }

    /// Returns where `train` without options takes its data from.
    fn data(&mut self, locations: &data::Locations) -> Option<String> {
        let data::DryRun { found, notice } =
            self.take("", trial_training::data(locations).map_err(Into::into))?;
        self.notes.extend(notice);
        Some(match found {
            data::Found::Here(Some(folder)) => format!("mnist, from {}", folder.display()),
            data::Found::Mirror { url, proxy } => {
                let through = proxy.map_or(String::new(), |proxy| format!(", through {proxy}"));
                format!("mnist, to be downloaded from {url}{through}")
            }
            data::Found::Here(None) | data::Found::Fallback => "the built-in digits".to_owned(),
        })
    }
}

fn cuda(is_right_libtorch: bool) -> Cuda {
    let (driver, devices) = match libtorch::query_driver() {
        Driver::Present { cuda: (major, minor), gpus } => {
            (format!("for CUDA {major}.{minor}"), gpus)
        }
        Driver::Failed(code) => (format!("installed, fails with CUDA error {code}"), Vec::new()),
        Driver::Missing => ("none".to_owned(), Vec::new()),
    };
    let reason = match is_right_libtorch {
        true => trial_training::train(Device::Cuda(0)).err().map(|error| output::chain(&error)),
        false => Some("not tried with the wrong libtorch".to_owned()),
    };
    let built = libtorch::has_cuda_library();
    Cuda { built, usable: reason.is_none(), driver, devices, reason }
}

/// Returns a folder and the free space of its disk, or of the nearest existing parent's disk.
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
    print_memory(&report.memory, out)?;
    if report.cache.is_none() {
        writeln!(out, "cache      none: set SEQFIT_CACHE to a folder to keep downloads in")?;
    }
    for (name, folder) in [("cache", &report.cache), ("disk", &report.working_folder)] {
        if let Some(Folder { path, free_bytes }) = folder {
            let free = free_bytes.map_or_else(none, progress::bytes);
            writeln!(out, "{name:<10} {path} ({free} free)")?;
        }
    }
    writeln!(out, "data       {}", report.data.clone().unwrap_or_else(none))?;
    report.notes.iter().try_for_each(|note| writeln!(out, "note       {note}"))?;
    match report.problems.as_slice() {
        [] => writeln!(out, "training works here"),
        problems => {
            problems.iter().try_for_each(|problem| writeln!(out, "problem    {problem}"))?;
            writeln!(out, "training does not work here")
        }
    }
}

/// Peak of the tutorial on MNIST in bytes (docs/speed.md, "The whole command").
const NEEDED: u64 = 200 << 20;

/// Returns the problem and its fix if the memory is too little for training on MNIST.
fn too_little(memory: &FreeMemory) -> Option<String> {
    let (left, owner) = memory.left().filter(|(left, _)| *left < NEEDED)?;
    let cure = match owner {
        MemoryOwner::ControlGroup => "raise its limit",
        _ => "end other programs",
    };
    let (needed, left) = (NEEDED >> 20, left >> 20);
    Some(format!(
        "training on MNIST takes {needed} MiB of memory, and {owner} has {left} MiB left: {cure}"
    ))
}

fn print_memory(memory: &FreeMemory, out: &mut String) -> std::fmt::Result {
    let FreeMemory { available_bytes, limit_bytes, address_space_bytes } = memory;
    let available = available_bytes.map_or_else(|| "unknown".to_owned(), progress::bytes);
    write!(out, "memory     {available} available")?;
    for (limit, whose) in [(limit_bytes, "its control group"), (address_space_bytes, "ulimit -v")] {
        if let Some(limit) = limit {
            write!(out, ", limited to {} by {whose}", progress::bytes(*limit))?;
        }
    }
    writeln!(out)
}
