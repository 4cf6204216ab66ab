//! Helpers shared by several test files.

// Every test binary compiles this file and uses only a part of it.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod color_pictures;
pub mod compare_doc_output;
pub mod fake_http_server;
pub mod numpy;
pub mod parse_doc_page;
pub mod preparation_pictures;
pub mod python;
pub mod random_network;
pub mod run_doc_page;
pub mod run_exports;
pub mod seqfit_serve;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Once, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use tempfile::TempDir;

/// Returns a command for the `seqfit` program that ignores the caller's settings and has no network
/// access: its mirror is a closed port.
pub fn seqfit(home: &Path) -> Command {
    seqfit_at(Path::new(env!("CARGO_BIN_EXE_seqfit")), home)
}

/// Like [`seqfit`], for a program that was made from it.
pub fn seqfit_at(program: &Path, home: &Path) -> Command {
    signals_are_heard();
    let mut command = Command::new(program);
    command
        .current_dir(home)
        .env_remove("SEQFIT_DATA")
        .env("SEQFIT_CACHE", home.join("cache"))
        .env("SEQFIT_MIRROR", "http://127.0.0.1:9")
        .env("NO_PROXY", "*");
    command
}

/// Makes SIGINT, SIGTERM and SIGHUP reach the programs that this test starts, even if cargo was started with
/// these signals ignored (`nohup`, a background job of a script). A child process inherits ignored signals
/// and gets the default action for handled ones, so signals that this process ignores get a handler that
/// does nothing.
pub fn signals_are_heard() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored =
            ignored.map_or(0, |mask| u64::from_str_radix(mask.trim(), 16).expect("a mask"));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if ignored & 1 << (signal - 1) != 0 {
                flag::register(signal, Arc::default()).expect("a signal that can be handled");
            }
        }
    });
}

/// The exit code and output of a finished command.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command until it exits.
pub fn run(command: &mut Command) -> CommandOutput {
    output_of(command.output().expect("the program starts"))
}

fn output_of(output: std::process::Output) -> CommandOutput {
    CommandOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> CommandOutput {
    let output = run(command);
    assert_eq!(output.code, 0, "{command:?}: {output:#?}");
    output
}

/// Returns the command lines of the first block after `marker` in the README.
pub fn readme_lines(marker: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).expect("the README");
    let (_, after) = text.split_once(marker).expect("the marker in the README");
    let block = after.split("```\n").nth(1).expect("a block of commands");
    block.lines().map(ToOwned::to_owned).collect()
}

/// Returns the folder of the real MNIST, or `None` after reporting the test as left out.
pub fn mnist() -> Option<PathBuf> {
    match std::env::var_os("SEQFIT_DATA") {
        Some(data) => Some(PathBuf::from(data).join("mnist")),
        None => {
            left_out("a test with the real MNIST (set SEQFIT_DATA to a folder that holds mnist/)");
            None
        }
    }
}

/// Returns a Python with PyTorch, or `None` after reporting the test as left out.
pub fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    if python.exists() {
        return Some(python);
    }
    left_out("a test with the real PyTorch (run scripts/fetch_libtorch.sh --python)");
    None
}

/// Returns a Chromium if `npm ci` has been run in tests/browser, or `None` after reporting the test as left
/// out.
pub fn browser() -> Option<PathBuf> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/node_modules");
    if !modules.is_dir() {
        left_out("a test in a browser (run npm ci in tests/browser)");
        return None;
    }
    program(&["chromium", "chromium-browser", "google-chrome"])
}

/// Like [`python`], but also requires these modules, which are looked up and not imported: that can take 10 seconds.
pub fn python_with(modules: &[&str]) -> Option<PathBuf> {
    let python = python()?;
    let find = "import sys; from importlib.util import find_spec\n\
                sys.exit(not all(map(find_spec, sys.argv[1:])))";
    if run(Command::new(&python).args(["-c", find]).args(modules)).code == 0 {
        return Some(python);
    }
    left_out(&format!(
        "a test with Python's {} (run scripts/fetch_libtorch.sh --python)",
        modules.join(", ")
    ));
    None
}

/// Returns the first of these programs that is installed, or `None` after reporting the test as left out.
pub fn program(names: &[&str]) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    let all = names.iter().flat_map(|name| places.iter().map(move |place| place.join(name)));
    let found = all.into_iter().find(|path| path.is_file());
    if found.is_none() {
        left_out(&format!("a test with {} (install it)", names[0]));
    }
    found
}

/// Reports a test as left out, bypassing the test harness, which captures the output of passing tests.
/// Panics instead if no test may be left out (`SEQFIT_TEST_ALL` is set, as in CI).
pub fn left_out(what: &str) {
    assert!(std::env::var_os("SEQFIT_TEST_ALL").is_none(), "left out: {what}");
    not_here(what);
}

/// Returns `all` if no test may be left out, as in CI; otherwise reports the reduction and returns `few`.
pub fn all_or_few(what: &str, all: usize, few: usize) -> usize {
    if std::env::var_os("SEQFIT_TEST_ALL").is_some() {
        return all;
    }
    left_out(&format!("{} of {all} {what} (set SEQFIT_TEST_ALL=1)", all - few));
    few
}

/// Like [`left_out`], but never panics: for requirements that cannot simply be installed, such as a GPU.
pub fn not_here(what: &str) {
    let test = std::thread::current();
    let line = format!("LEFT OUT {}: {what}\n", test.name().unwrap_or("?"));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Returns a copy of a folder that `fill` writes once for several tests, such as one with a trained run.
pub fn copy_of(folder: &OnceLock<TempDir>, fill: impl FnOnce(&Path)) -> TempDir {
    let filled = folder.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        fill(folder.path());
        folder
    });
    let copy = tempfile::tempdir().expect("a folder");
    succeed(Command::new("cp").arg("-r").arg(filled.path().join(".")).arg(copy.path()));
    copy
}

/// Returns the sorted names of all entries in a folder, including hidden ones.
pub fn listing(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Returns the bytes of an IDX file: magic, sizes, values.
pub fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// Writes a small, easy data set to a folder: `height`x`width` images of stripes in `classes` classes.
pub fn write_stripes(folder: &Path, height: u32, width: u32, classes: u8) {
    fs::create_dir_all(folder).expect("a folder");
    for (part, each) in [("train", 20u32), ("t10k", 5)] {
        let count = each * u32::from(classes);
        let labels: Vec<u8> = (0..count).map(|i| (i % u32::from(classes)) as u8).collect();
        let pixels: Vec<u8> = labels
            .iter()
            .flat_map(|&label| {
                (0..height * width).map(move |pixel| {
                    let row = pixel / width;
                    if row % u32::from(classes) == u32::from(label) { 200 } else { 20 }
                })
            })
            .collect();
        let images = idx(&[count, height, width], &pixels);
        fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).expect("images");
        let labels = idx(&[count], &labels);
        fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels).expect("labels");
    }
}

/// Writes a folder of pictures like those from a camera or a pen: circles, squares and triangles, dark on
/// light, 40 of each, all of different sizes.
pub fn write_shapes(folder: &Path) {
    let inside = |class: usize, y: f64, x: f64| match class {
        0 => x * x + y * y < 0.5,
        1 => x.abs().max(y.abs()) < 0.6,
        _ => y > -0.6 && y < 0.6 && x.abs() < (y + 0.6) / 2.0,
    };
    for (class, name) in ["circle", "square", "triangle"].into_iter().enumerate() {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        for i in 0..40 {
            let side = 24 + 3 * i;
            let at = |i: usize| 2.2 * (i as f64 / side as f64) - 1.1;
            let pixels = (0..side * side)
                .map(|i| if inside(class, at(i / side), at(i % side)) { 20 } else { 240 })
                .collect();
            let picture = seqfit::data::images::Gray { height: side, width: side, pixels };
            picture.save_png(&folder.join(format!("{i}.png"))).expect("a picture");
        }
    }
}
