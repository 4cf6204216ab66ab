//! Finds the run that a path without one was probably meant for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::folder_layout::{CHECKPOINTS, CONFIG, HISTORY, RUNS, WEIGHTS};
use super::near_run::NearRun;
use crate::message_text::similar;

/// Returns the run that a path without one was probably meant for.
pub(super) fn nearest(path: &Path) -> Option<NearRun> {
    // A run's own files and folders lie at most two levels below it.
    let around = path.ancestors().skip(1).take(2).find(|folder| is_run(folder));
    if let (Some(run), true) = (around, path.exists()) {
        return Some(NearRun::Around(run.to_owned()));
    }
    if path.is_dir() {
        return newest(&runs_in(path));
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    let mut runs = runs_in(parent);
    if path.is_relative() && parent != Path::new(RUNS) {
        runs.extend(runs_in(Path::new(RUNS)));
    }
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = runs.iter().map(|run| name(run)).collect();
    let found = similar(&name(path), names.iter().map(String::as_str));
    let place = found.and_then(|found| names.iter().position(|name| name == found));
    match place {
        Some(place) => Some(NearRun::Similar(runs.swap_remove(place))),
        None => newest(&runs),
    }
}

fn newest(runs: &[PathBuf]) -> Option<NearRun> {
    let written = |run: &&PathBuf| {
        let metadata = fs::metadata(run.join(CONFIG));
        metadata.and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    runs.iter().max_by_key(written).map(|run| NearRun::Newest(run.clone()))
}

/// Returns the runs in a folder, sorted by name; none for a folder that cannot be read.
fn runs_in(folder: &Path) -> Vec<PathBuf> {
    // The path of the working folder is empty.
    let read = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(read).into_iter().flatten().flatten();
    let runs = entries.map(|entry| folder.join(entry.file_name())).filter(|path| is_run(path));
    let mut runs: Vec<PathBuf> = runs.collect();
    runs.sort();
    runs
}

/// Returns whether a folder looks like a run's: other programs have a `config.toml`, too.
fn is_run(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    has(CONFIG) && [WEIGHTS, HISTORY, CHECKPOINTS].into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::no_run;
    use super::*;

    #[test]
    fn a_path_without_a_run_names_a_run_near_it() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        let at = |name: &str| home.path().join(name);
        let message = |path: &Path| no_run(path).to_string();
        assert!(message(&at("a")).ends_with("give a run folder, which seqfit train writes"));
        for run in ["runs/mnist-1", "runs/my digits", "other"] {
            fs::create_dir_all(at(run))?;
            fs::write(at(run).join(CONFIG), "")?;
        }
        // `other` is that of another program.
        for run in ["runs/mnist-1", "runs/my digits"] {
            fs::write(at(run).join(WEIGHTS), "")?;
        }
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        fs::File::options()
            .write(true)
            .open(at("runs/mnist-1").join(CONFIG))?
            .set_modified(later)?;
        let run = |name: &str| at("runs").join(name);
        for (path, expected) in [
            (run("mnist"), NearRun::Similar(run("mnist-1"))),
            (run("my-digits"), NearRun::Similar(run("my digits"))),
            (run("zzz"), NearRun::Newest(run("mnist-1"))),
            (at("runs"), NearRun::Newest(run("mnist-1"))),
            (run("mnist-1").join(WEIGHTS), NearRun::Around(run("mnist-1"))),
        ] {
            assert_eq!(nearest(&path), Some(expected), "{path:?}");
        }
        assert_eq!(nearest(&at("othe")), None);
        let found = message(&run("my-digits"));
        assert!(found.contains("does not exist") && found.ends_with("my digits'?"), "{found}");
        let found = message(&run("mnist-1").join(WEIGHTS));
        assert!(found.contains("(it is a file)"), "{found}");
        assert!(message(&at("other")).contains("(config.toml is missing)"));
        Ok(())
    }
}
