//! `seqfit data`: which data sets there are, and whether those here are whole.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use seqfit::data::{self, DatasetName, Locations, Request, Verdict, catalog};

use super::{output, progress};

/// Options of `seqfit data`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the known data sets, and where they are on this machine
    List,
    /// Download a known data set into the cache folder
    Fetch {
        /// mnist, fashion-mnist or kmnist (digits are built in)
        name: DatasetName,
    },
    /// Check every file of a data set: its format, and its checksum where one is known
    Verify {
        /// A known data set or a folder; ./mnist is a folder [default: all known ones that are here]
        #[arg(value_name = "NAME|DIR")]
        what: Option<PathBuf>,
    },
}

/// Runs `seqfit data`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let locations = Locations::from_env()?;
    match args.command {
        Command::List => list(&locations),
        Command::Fetch { name } => fetch(name, &locations),
        Command::Verify { what } => verify(what.as_deref(), &locations),
    }
}

fn list(locations: &Locations) -> anyhow::Result<ExitCode> {
    let mut out = String::new();
    for entry in catalog::all() {
        let here = [locations.own(entry.name), locations.cached(entry.name)];
        let place = match here.into_iter().flatten().find(|folder| folder.is_dir()) {
            _ if entry.files.is_empty() => "built in".to_owned(),
            Some(folder) => format!("here: {}", folder.display()),
            None => format!("not here: seqfit data fetch {}", entry.name),
        };
        let ([train, test], [height, width]) = (entry.samples, entry.image_shape);
        writeln!(out, "{}: {}", entry.name, entry.title)?;
        writeln!(out, "    {train} training and {test} test images of {height}x{width}")?;
        writeln!(out, "    {}; {}", entry.licence, entry.attribution)?;
        writeln!(out, "    {place}")?;
    }
    output::print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn fetch(name: DatasetName, locations: &Locations) -> anyhow::Result<ExitCode> {
    let fetched = progress::with_downloads(false, |told| data::fetch(name, locations, told))?;
    let mut out = String::new();
    match fetched {
        Some(folder) => writeln!(out, "{name} is in {}", folder.display())?,
        None => writeln!(out, "{name} is built in: there is nothing to fetch")?,
    }
    output::print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn verify(what: Option<&Path>, locations: &Locations) -> anyhow::Result<ExitCode> {
    let request = match what {
        None => Request::Auto,
        Some(path) => match path.to_str().and_then(|text| text.parse().ok()) {
            Some(name) => Request::Named(name),
            None => Request::Dir(path.to_owned()),
        },
    };
    let reports = data::verify(&request, locations)?;
    let mut out = String::new();
    match (&request, reports.is_empty()) {
        (Request::Named(name), true) => {
            writeln!(out, "{name} is built in, and whole if seqfit is")?
        }
        (_, true) => writeln!(out, "no data set is here: seqfit data fetch mnist gets one")?,
        (_, false) => {}
    }
    for report in &reports {
        let holds = report.holds.as_ref().map(|holds| format!("{holds}, ")).unwrap_or_default();
        let verdict = match &report.verdict {
            Verdict::Known(name) => format!("{holds}as published for {name}"),
            Verdict::Usable => format!("{holds}well-formed, no checksum is known"),
            Verdict::Wrong(why) => format!("WRONG: {why}"),
            Verdict::Missing => "MISSING".to_owned(),
        };
        writeln!(out, "{}: {verdict}", report.path.display())?;
    }
    output::print(&out)?;
    let right = reports.iter().all(data::FileReport::is_right);
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
