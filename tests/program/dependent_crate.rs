//! Tests that a crate outside this repository, written from the README's section on dependencies, builds and
//! starts without `LD_LIBRARY_PATH`.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{self, parse_doc_page, succeed};

const SECTION: &str = "\n## Use it as a library\n";

/// The file with this repository's compiler options for single crates.
const PROFILE: &str = "profile.toml";

/// Returns the section's files: the code span at the start of the paragraph before a block is its file name.
fn files() -> Vec<(String, String)> {
    let readme = include_str!("../../README.md");
    let section = readme.split_once(SECTION).unwrap().1.split("\n## ").next().unwrap();
    let lines: Vec<&str> = section.lines().collect();
    let named = |block: parse_doc_page::Block| {
        let text = lines[..block.line - 1].join("\n");
        let paragraph = text.trim_end().rsplit("\n\n").next().unwrap();
        let name = paragraph.strip_prefix('`').unwrap().split('`').next().unwrap();
        (name.to_owned(), block.lines.join("\n") + "\n")
    };
    parse_doc_page::blocks(section).into_iter().map(named).collect()
}

/// Writes the crate, replacing the README's paths by this repository and this libtorch.
fn write_crate(folder: &Path, libtorch: &str) {
    let root = env!("CARGO_MANIFEST_DIR");
    for (name, text) in files() {
        let text = text.replace("/path/to/seqfit/vendor/libtorch", libtorch);
        let text = text.replace("/path/to/seqfit", root);
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::copy(Path::new(root).join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    // Dependencies that are compiled with other options here would be compiled again.
    let manifest = include_str!("../../Cargo.toml");
    let at = manifest.find("[profile.release.package").expect("options of single crates");
    fs::write(folder.join(PROFILE), &manifest[at..]).unwrap();
}

/// Returns the folder that this test was built into, `target/release` or `target/debug`. The crate is built
/// into the same folder, so that cargo reuses libtorch's bindings: compiling them again takes minutes.
fn profile() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_seqfit")).parent().unwrap().to_owned()
}

fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).args(arguments).arg("--offline");
    if profile().file_name() == Some(OsStr::new("release")) {
        command.arg("--release");
        // seqfit itself is compiled again, as part of another workspace, so optimize for compile time.
        command.args(["--config", "profile.release.package.seqfit.opt-level=0"]);
        command.args(["--config", PROFILE]);
    }
    command.env("CARGO_TARGET_DIR", profile().parent().unwrap());
    // The variables that the outer cargo has set for this crate.
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_cargo(name)) {
        command.env_remove(name);
    }
    command.env_remove("LIBTORCH").env_remove("LD_LIBRARY_PATH");
    command
}

/// Returns whether a variable describes the package of this test. Build scripts of dependencies that read these
/// would run again, and everything that depends on them would be compiled again.
fn is_of_cargo(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name == "OUT_DIR"
        || ["CARGO_PKG_", "CARGO_BIN_", "CARGO_MANIFEST_"].iter().any(|own| name.starts_with(own))
}

#[test]
fn dependent_crate_builds_and_starts_without_ld_library_path() {
    let Some(libtorch) = env::var("LIBTORCH").ok().filter(|_| has_cargo()) else {
        common::left_out("a crate that depends on seqfit (run this by cargo test)");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    write_crate(home.path(), &libtorch);
    let under_cargo = succeed(&mut cargo(home.path(), &["run", "--quiet"]));
    check(&under_cargo.stdout);
    let mut alone = Command::new(profile().join("digits-app"));
    check(&succeed(alone.current_dir(home.path()).env_clear()).stdout);
}

fn has_cargo() -> bool {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Each class is a tenth of the digits, so an untrained network reaches an accuracy of 0.1.
fn check(stdout: &str) {
    let metric =
        |name| stdout.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    let (accuracy, classes): (Option<f64>, Option<f64>) = (metric("accuracy"), metric("classes"));
    assert!(accuracy.is_some_and(|accuracy| accuracy > 0.85), "{stdout}");
    assert_eq!(classes, Some(10.0), "{stdout}");
}
