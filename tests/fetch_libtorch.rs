//! Tests `scripts/fetch_libtorch.sh` without the network: a small HTTP server in this process serves
//! miniature zips of libtorch, pip finds miniature wheels, and each test has its own repository.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::fake_http_server::{Answer, Server};
use common::{listing, run, succeed};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const CPU_ZIP: &str = "/cpu/libtorch-shared-with-deps-2.13.0%2Bcpu.zip";
const CUDA_ZIP: &str = "/cu130/libtorch-shared-with-deps-2.13.0%2Bcu130.zip";
/// The partial download of the first.
const PART: &str = "vendor/.fetch/libtorch-2.13.0-cpu.zip.part";
/// Nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:9";
const TORCH_H: &str = "include/torch/csrc/api/include/torch/torch.h";
const VERSION_H: &str = "include/torch/headeronly/version.h";

type Files = Vec<(String, Vec<u8>)>;

/// Returns the files of a miniature libtorch.
fn libtorch(version: &str, cuda: bool) -> Files {
    // Bytes that do not repeat, so that a download continued at a wrong offset cannot pass.
    let byte = |i: u32| i.wrapping_mul(i).wrapping_mul(2_654_435_761).to_le_bytes()[3];
    let mut files = vec![
        ("lib/libtorch.so", b"torch".to_vec()),
        ("lib/libtorch_cpu.so", (0..200_000).map(byte).collect()),
        ("lib/libc10.so", b"c10".to_vec()),
        (TORCH_H, b"// torch".to_vec()),
        (VERSION_H, format!("#define TORCH_VERSION \\\n  \"{version}\"\n").into_bytes()),
    ];
    if cuda {
        files.push(("lib/libtorch_cuda.so", b"cuda".to_vec()));
    }
    files.into_iter().map(|(name, data)| (name.to_owned(), data)).collect()
}

/// Returns a zip of files below a folder, which ends in `/` or is empty.
fn zip_of(folder: &str, files: Files) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        zip.start_file(format!("{folder}{name}"), SimpleFileOptions::default()).unwrap();
        zip.write_all(&data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn libtorch_zip(version: &str, cuda: bool) -> Vec<u8> {
    zip_of("libtorch/", libtorch(version, cuda))
}

fn serve(zip: Vec<u8>) -> Server {
    Server::files(vec![(CPU_ZIP.to_owned(), zip)])
}

fn good_server() -> Server {
    serve(libtorch_zip("2.13.0", false))
}

/// Checks the exit code of a command, and that its output has these texts.
#[track_caller]
fn check(command: &mut Command, code: i32, says: &[&str]) {
    let output = run(command);
    let text = output.stdout + &output.stderr;
    assert_eq!(output.code, code, "{text}");
    for part in says {
        assert!(text.contains(part), "'{part}' is not in:\n{text}");
    }
}

/// A temporary folder with the script, wheels, and programs that replace those of the host.
struct Repo(TempDir);

impl Repo {
    fn new() -> Self {
        common::signals_are_heard();
        let repo = Self(tempfile::tempdir().unwrap());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch_libtorch.sh");
        repo.write("scripts/fetch_libtorch.sh", fs::read(script).unwrap());
        repo.write("tests/requirements.txt", "# For the tests:\nneeded-by-tests==1.5\n");
        fs::create_dir(repo.path("wheels")).unwrap();
        repo.host("Linux", "x86_64");
        repo.program("df", "echo header; echo disk 0 0 100000000 0");
        repo
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn target(&self) -> PathBuf {
        self.path("vendor/libtorch")
    }

    /// Writes a file and creates its parent folders.
    fn write(&self, name: &str, data: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }

    fn write_libtorch(&self, folder: &str, version: &str) {
        for (name, data) in libtorch(version, false) {
            self.write(&format!("{folder}/{name}"), data);
        }
    }

    fn program(&self, name: &str, text: &str) {
        let name = format!("bin/{name}");
        self.write(&name, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.path(&name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn host(&self, system: &str, machine: &str) {
        self.program("uname", &format!("[ $1 = -m ] && echo {machine} || echo {system}"));
    }

    /// Returns the script with zips from `server` and wheels from the folder of this repository.
    fn script(&self, server: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap();
        command.arg(self.path("scripts/fetch_libtorch.sh")).args(arguments);
        command.current_dir(std::env::temp_dir()).stdin(Stdio::null()).process_group(0);
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.env("HOME", self.path("home")).env("no_proxy", "*");
        command.env("SEQFIT_LIBTORCH_URL", server).env("SEQFIT_TORCH_INDEX", server);
        command.env("PIP_CONFIG_FILE", "/dev/null").env("PIP_NO_INDEX", "1");
        command.env("PIP_FIND_LINKS", self.path("wheels"));
        // cargo also sets LIBTORCH for tests.
        for name in ["LIBTORCH", "SEQFIT_LIBTORCH_SHA256", "LD_LIBRARY_PATH"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the script, which must exit with this code and print these texts.
    #[track_caller]
    fn run(&self, server: &str, arguments: &[&str], code: i32, says: &[&str]) {
        check(&mut self.script(server, arguments), code, says);
    }

    /// Starts the script without its messages in the output of the tests.
    fn start(&self, server: &Server) -> Child {
        let mut script = self.script(server.address(), &[]);
        script.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    #[track_caller]
    fn assert_complete(&self, cuda: bool) {
        for (name, data) in libtorch("2.13.0", cuda) {
            let found = fs::read(self.target().join(&name)).unwrap_or_default();
            assert!(found == data, "{name} is not what the zip holds");
        }
        assert_eq!(self.target().join("lib/libtorch_cuda.so").exists(), cuda);
        assert_eq!(listing(&self.path("vendor")), ["libtorch"], "files were left over");
    }
}

#[test]
fn fetches_once_and_then_recognizes_libtorch() {
    let (repo, server) = (Repo::new(), good_server());
    let says = ["libtorch 2.13.0 (cpu) is in place", "next: cargo run --release -- train"];
    repo.run(server.address(), &[], 0, &says);
    repo.assert_complete(false);
    for arguments in [&[][..], &["--cpu"]] {
        repo.run(server.address(), arguments, 0, &["nothing to fetch", "is in place"]);
    }
    assert_eq!(server.asked().len(), 1, "a complete folder needs no network");
    repo.assert_complete(false);
}

#[test]
fn interrupted_run_leaves_only_a_download_that_the_next_run_continues() {
    for (signal, code) in [("INT", Some(130)), ("KILL", None)] {
        let repo = Repo::new();
        let slow = Server::start(|_, _| Answer::Stalled(libtorch_zip("2.13.0", false), 60_000));
        let mut child = repo.start(&slow);
        let start = Instant::now();
        while fs::metadata(repo.path(PART)).map_or(0, |data| data.len()) == 0 {
            assert!(start.elapsed() < Duration::from_secs(30), "no download begins");
            thread::sleep(Duration::from_millis(20));
        }
        // To the script and all programs that it has started, as Ctrl-C in a terminal does.
        let group = format!("-{}", child.id());
        succeed(Command::new("bash").args(["-c", "kill -s $0 -- $1", signal, &group]));
        assert_eq!(child.wait().unwrap().code(), code);
        assert_eq!(listing(&repo.path("vendor")), [".fetch"]);
        // As if it had been killed while it unpacked.
        repo.write("vendor/.fetch/stage/lib/half.so", "half");

        let kept = fs::metadata(repo.path(PART)).unwrap().len();
        let server = good_server();
        repo.run(server.address(), &[], 0, &["is in place"]);
        assert_eq!(server.asked()[0].from, Some(kept.try_into().unwrap()));
        repo.assert_complete(false);
        assert!(!repo.target().join("lib/half.so").exists());
    }
}

#[test]
fn two_runs_at_once_fetch_once() {
    let (repo, server) = (Repo::new(), good_server());
    for mut child in [(); 3].map(|()| repo.start(&server)) {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(server.asked().len(), 1);
    repo.assert_complete(false);
}

#[test]
fn unusable_zips_are_errors() {
    let mut damaged = libtorch_zip("2.13.0", false);
    damaged[100_000] ^= 1;
    let mut incomplete = libtorch("2.13.0", false);
    incomplete.retain(|(name, _)| name != "lib/libc10.so");
    for (zip, says) in [
        (damaged, "BadZipFile: Bad CRC-32"),
        (b"<html>please log in</html>".to_vec(), "File is not a zip file"),
        (libtorch_zip("2.12.1", false), "it holds libtorch 2.12.1, not 2.13.0"),
        (zip_of("libtorch/", incomplete), "lib/libc10.so is missing"),
    ] {
        let repo = Repo::new();
        repo.run(serve(zip).address(), &[], 1, &[says, "could not be fetched", "cure: "]);
        // The next run does not use the same file again.
        repo.run(good_server().address(), &[], 0, &["is in place"]);
        repo.assert_complete(false);
    }
}

#[test]
fn required_checksum_is_checked() {
    let (repo, server) = (Repo::new(), good_server());
    let wrong = "0".repeat(64);
    let mut script = repo.script(server.address(), &[]);
    let says = ["the zip has the SHA-256", &wrong, "correct or unset that variable"];
    check(script.env("SEQFIT_LIBTORCH_SHA256", &wrong), 1, &says);
    assert!(!repo.target().exists());

    repo.write("zip", libtorch_zip("2.13.0", false));
    let sum = succeed(Command::new("sha256sum").arg(repo.path("zip"))).stdout;
    check(script.env("SEQFIT_LIBTORCH_SHA256", &sum[..64]), 0, &["is in place"]);
}

#[test]
fn failed_run_is_an_error_with_a_cure_and_keeps_the_old_libtorch() {
    let repo = Repo::new();
    repo.write_libtorch("vendor/libtorch", "2.12.0");
    repo.write("vendor/libtorch/lib/old.so", "old");
    let says = ["replacing", "2.12.0", "curl: ", "cure: connect to the network", "set LIBTORCH"];
    repo.run(NOWHERE, &[], 1, &says);
    repo.run(Server::files(Vec::new()).address(), &[], 1, &["404", "could not be fetched"]);
    assert!(fs::read_to_string(repo.target().join(VERSION_H)).unwrap().contains("2.12.0"));
    repo.run(good_server().address(), &[], 0, &["replacing", "2.12.0", "is in place"]);
    repo.assert_complete(false);
    assert!(!repo.target().join("lib/old.so").exists(), "old and new are mixed");
}

#[test]
fn switches_between_cpu_and_cuda() {
    let repo = Repo::new();
    let zips = [(CPU_ZIP, false), (CUDA_ZIP, true)];
    let zips = zips.map(|(path, cuda)| (path.to_owned(), libtorch_zip("2.13.0", cuda)));
    let server = Server::files(zips.into());
    for (arguments, cuda, says) in [
        (&["--cuda"][..], true, &["2.13.0 (cuda) is in place"][..]),
        // Without an option, the existing variant is kept.
        (&[], true, &["nothing to fetch", "(cuda)"]),
        (&["--cpu"], false, &["replacing", "(cpu)"]),
        (&["--cuda"], true, &["replacing", "(cuda)"]),
    ] {
        repo.run(server.address(), arguments, 0, says);
        repo.assert_complete(cuda);
    }
}

#[test]
fn libtorch_in_the_environment_is_used_or_an_error() {
    let (repo, server) = (Repo::new(), good_server());
    repo.write_libtorch("own", "2.13.0");
    repo.write_libtorch("old", "2.11.0");
    let (own, old) = (repo.path("own"), repo.path("old"));
    let nowhere = Path::new("/no/such/folder");
    let with = |libtorch: &Path, arguments: &[&str], code: i32, says: &[&str]| {
        check(repo.script(server.address(), arguments).env("LIBTORCH", libtorch), code, says);
    };
    with(&own, &[], 0, &["LIBTORCH is set and will be used", own.to_str().unwrap()]);
    with(&own, &["--cuda"], 1, &["it is a cpu build"]);
    fs::remove_file(own.join("lib/libc10.so")).unwrap();
    with(&own, &[], 1, &["libc10.so is missing"]);
    with(&old, &[], 1, &["2.11.0", "2.13.0", "unset LIBTORCH"]);
    with(Path::new("own"), &[], 1, &["relative"]);
    with(nowhere, &[], 1, &["no such folder", "unset LIBTORCH"]);
    assert!(server.asked().is_empty() && !repo.path("vendor").exists());
    // cargo sets it to the target itself.
    for _ in 0..2 {
        with(&repo.target(), &[], 0, &["is in place"]);
        repo.assert_complete(false);
    }
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let repo = Repo::new();
    for arguments in ["--gpu", "vendor", "--version", "--version latest", "--cpu --cuda"] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        check(&mut repo.script(NOWHERE, &arguments), 2, &["fetch_libtorch: ", "--help"]);
    }
    assert!(!repo.path("vendor").exists());
    repo.run(NOWHERE, &["--help"], 0, &["Usage:", "--python", "LIBTORCH"]);
}

#[test]
fn unsuitable_hosts_are_refused_before_fetching() {
    let (repo, server) = (Repo::new(), good_server());
    repo.program("df", "echo header; echo disk 0 0 50000 0");
    for (argument, needed) in [("--cpu", "2000 MB needed"), ("--cuda", "8000 MB needed")] {
        let says = ["not enough disk space", needed, "50 MB free", "make room"];
        repo.run(server.address(), &[argument], 1, &says);
    }
    repo.host("FreeBSD", "amd64");
    let says = ["no libtorch 2.13.0 for FreeBSD on amd64", "supported: Linux x86-64"];
    repo.run(server.address(), &[], 1, &says);
    repo.host("Linux", "aarch64");
    repo.run(server.address(), &["--cuda"], 1, &["--cuda is for Linux x86-64"]);
    repo.program("getconf", "echo glibc 2.9");
    let says = ["needs glibc 2.28", "glibc 2.9", "newer distribution"];
    repo.run(server.address(), &[], 1, &says);
    assert!(server.asked().is_empty() && !repo.target().exists());
}

impl Repo {
    /// Writes a wheel with these files and the named empty ones.
    fn wheel(&self, name: &str, version: &str, requires: &str, mut files: Files, empty: &str) {
        let about = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}");
        let wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        for (file, text) in [("METADATA", &*about), ("WHEEL", wheel), ("RECORD", "")] {
            files.push((format!("{name}-{version}.dist-info/{file}"), text.into()));
        }
        files.extend(empty.split_whitespace().map(|file| (file.to_owned(), Vec::new())));
        self.write(&format!("wheels/{name}-{version}-py3-none-any.whl"), zip_of("", files));
    }
}

/// Returns a repository with wheels; none on a host without pip. PyTorch's has the layout of the
/// Linux wheel: a CUDA build whose CPU part needs two of NVIDIA's libraries.
fn wheel_repo() -> Option<Repo> {
    if run(Command::new("python3").args(["-m", "pip", "--version"])).code != 0 {
        common::left_out("a test with pip (install it for python3)");
        return None;
    }
    let repo = Repo::new();
    let torch = libtorch("2.13.0", true).into_iter();
    let torch = torch.map(|(file, data)| (format!("torch/{file}"), data)).collect();
    let requires = "Requires-Dist: nvidia-cuda-runtime==13.0.96\nRequires-Dist: nvidia-nccl-cu13\n";
    let others = "torch/__init__.py torch/lib/libtorch_python.so torch/lib/libc10_cuda.so
        torch/lib/libgomp.so.1 torch/share/cmake/Torch/TorchConfig.cmake";
    repo.wheel("torch", "2.13.0", requires, torch, others);
    for (name, version, empty) in [
        ("nvidia_cuda_runtime", "13.0.96", "nvidia/cu13/lib/libcudart.so.13 nvidia/cu13/lib/x.a"),
        ("nvidia_cuda_cupti", "13.0.85", "nvidia/cu13/lib/libcupti.so.13"),
        ("nvidia_nccl_cu13", "2.1", "nvidia/nccl/lib/libnccl.so.2"),
        ("numpy", "2.0", "numpy/__init__.py"),
        ("needed_by_tests", "1.5", "needed_by_tests.py"),
    ] {
        repo.wheel(name, version, "", Vec::new(), empty);
    }
    Some(repo)
}

#[test]
fn falls_back_to_the_wheel() {
    let Some(repo) = wheel_repo() else { return };
    repo.run(NOWHERE, &[], 0, &["curl", "trying the PyTorch wheel", "(cpu) is in place"]);
    let libraries = listing(&repo.target().join("lib")).join(" ");
    let cuda = "libcudart.so.13 libcupti.so.13";
    assert_eq!(libraries, format!("libc10.so {cuda} libgomp.so.1 libtorch.so libtorch_cpu.so"));
    let script = fs::read_to_string(repo.target().join("lib/libtorch.so")).unwrap();
    assert_eq!(script, "INPUT(-ltorch_cpu)\n");
    assert_eq!(listing(&repo.path("vendor")), ["libtorch"]);
    repo.run(NOWHERE, &["--cuda"], 0, &["replacing", "(cuda) is in place"]);
    // The layout that the RPATH of the libraries expects.
    for name in ["cu13/lib/libcudart.so.13", "nccl/lib/libnccl.so.2"] {
        assert!(repo.target().join("lib/../../nvidia").join(name).exists(), "{name}");
    }
    repo.run(NOWHERE, &["--cuda"], 0, &["nothing to fetch"]);
}

#[test]
fn wheel_with_another_checksum_is_an_error() {
    let Some(repo) = wheel_repo() else { return };
    let link = format!("wheels/torch-2.13.0-py3-none-any.whl#sha256={}", "0".repeat(64));
    repo.write("index.html", format!("<a href=\"{link}\">torch</a>"));
    let mut script = repo.script(NOWHERE, &[]);
    script.env("PIP_FIND_LINKS", format!("file://{}", repo.path("index.html").display()));
    check(&mut script, 1, &["DO NOT MATCH THE HASHES", "could not be fetched"]);
    assert_eq!(listing(&repo.path("vendor")), [".fetch"]);
}

#[test]
fn creates_the_python_environment_and_keeps_it() {
    let Some(repo) = wheel_repo() else { return };
    repo.write_libtorch("vendor/libtorch", "2.13.0");
    let made = ["making .venv", "PyTorch 2.13.0 and the other packages for the tests are in place"];
    repo.run(NOWHERE, &["--python"], 0, &made);
    let python = |arguments: &[&str]| {
        succeed(Command::new(repo.path(".venv/bin/python")).args(arguments));
    };
    python(&["-c", "import needed_by_tests"]);
    repo.write(".venv/kept", "");
    repo.run(NOWHERE, &["--python"], 0, &["nothing to install", made[1]]);

    // Requirements that are missing or have another version are installed; the rest is kept.
    python(&["-m", "pip", "uninstall", "--yes", "needed-by-tests"]);
    repo.run(NOWHERE, &["--python"], 0, &made);
    repo.write("tests/requirements.txt", "needed-by-tests==1.6\n");
    repo.run(NOWHERE, &["--python"], 1, &["pip could not install", "connect to the network"]);
    repo.write("tests/requirements.txt", "needed-by-tests==1.5\n");
    repo.run(NOWHERE, &["--python"], 0, &["nothing to install"]);
    assert!(repo.path(".venv/kept").exists());

    // The leftovers of a killed run are not mistaken for a complete environment.
    repo.write(".venv/.incomplete", "");
    repo.run(NOWHERE, &["--python"], 0, &made);
    assert!(!repo.path(".venv/kept").exists() && !repo.path(".venv/.incomplete").exists());
    repo.assert_complete(false);
}
