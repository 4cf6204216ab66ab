//! Tests `scripts/fetch_libtorch.sh` without the network: a small HTTP server in this process serves miniature zips
//! of libtorch, pip finds miniature wheels, and each test has its own repository in a temporary folder.
#![cfg(target_os = "linux")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::http::{self, Answer, Server};
use common::{CommandOutput, listing, run, succeed};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const CPU_ZIP: &str = "/cpu/libtorch-shared-with-deps-2.13.0%2Bcpu.zip";
const CUDA_ZIP: &str = "/cu130/libtorch-shared-with-deps-2.13.0%2Bcu130.zip";
/// The partial download of the first.
const PART: &str = "vendor/.fetch/libtorch-2.13.0-cpu.zip.part";
const TORCH_H: &str = "include/torch/csrc/api/include/torch/torch.h";
const VERSION_H: &str = "include/torch/headeronly/version.h";

type Files = Vec<(String, Vec<u8>)>;

/// Returns the files of a miniature libtorch.
fn libtorch(version: &str, cuda: bool) -> Files {
    // Bytes that do not compress or repeat, so that a download continued at a wrong offset cannot pass.
    let big =
        (0..200_000_u32).map(|i| i.wrapping_mul(i).wrapping_mul(2_654_435_761).to_le_bytes()[3]);
    let mut files = vec![
        ("lib/libtorch.so".to_owned(), b"torch".to_vec()),
        ("lib/libtorch_cpu.so".to_owned(), big.collect()),
        ("lib/libc10.so".to_owned(), b"c10".to_vec()),
        (TORCH_H.to_owned(), b"// torch".to_vec()),
        (VERSION_H.to_owned(), format!("#define TORCH_VERSION \\\n  \"{version}\"\n").into_bytes()),
    ];
    if cuda {
        files.push(("lib/libtorch_cuda.so".to_owned(), b"cuda".to_vec()));
    }
    files
}

/// Writes a file and creates its parent folders.
fn write(path: &Path, data: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, data).unwrap();
}

fn write_libtorch(folder: &Path, version: &str, cuda: bool) {
    for (name, data) in libtorch(version, cuda) {
        write(&folder.join(name), data);
    }
}

/// Returns a zip of files below a folder, which ends in `/` or is empty.
fn zip_of(folder: &str, files: &Files) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        zip.start_file(format!("{folder}{name}"), SimpleFileOptions::default()).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn cpu_zip() -> Vec<u8> {
    zip_of("libtorch/", &libtorch("2.13.0", false))
}

fn serve(path: &str, zip: Vec<u8>) -> Server {
    Server::files(vec![(path.to_owned(), zip)])
}

fn good_server() -> Server {
    serve(CPU_ZIP, cpu_zip())
}

/// A temporary folder with the script, the test requirements, and programs that replace those of the host.
struct Repo {
    root: TempDir,
}

impl Repo {
    fn new() -> Self {
        common::signals_are_heard();
        let repo = Self { root: tempfile::tempdir().unwrap() };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch_libtorch.sh");
        write(&repo.path("scripts/fetch_libtorch.sh"), fs::read(script).unwrap());
        write(&repo.path("tests/requirements.txt"), "# For the tests:\nneeded-by-tests==1.5\n");
        fs::create_dir(repo.path("wheels")).unwrap();
        repo.host("Linux", "x86_64");
        repo.free_megabytes(100_000);
        repo
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn target(&self) -> PathBuf {
        self.path("vendor/libtorch")
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        write(&path, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn host(&self, system: &str, machine: &str) {
        self.program(
            "uname",
            &format!("case $1 in -m) echo {machine} ;; *) echo {system} ;; esac"),
        );
    }

    fn free_megabytes(&self, free: u32) {
        self.program("df", &format!("echo header; echo disk 0 0 {free}000 0"));
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

    fn run(&self, server: &Server, arguments: &[&str]) -> CommandOutput {
        run(&mut self.script(server.address(), arguments))
    }

    /// Runs with an environment variable.
    fn run_with(
        &self,
        server: &Server,
        name: &str,
        value: impl AsRef<OsStr>,
        arguments: &[&str],
    ) -> CommandOutput {
        run(self.script(server.address(), arguments).env(name, value))
    }

    fn run_without_zips(&self, arguments: &[&str]) -> CommandOutput {
        run(&mut self.script(&http::closed(), arguments))
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

#[track_caller]
fn ends_with(output: &CommandOutput, code: i32, says: &[&str]) {
    let text = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.code, code, "{text}");
    for part in says {
        assert!(text.contains(part), "'{part}' is not in:\n{text}");
    }
}

#[track_caller]
fn succeeds(output: &CommandOutput, says: &[&str]) {
    ends_with(output, 0, says);
}

#[track_caller]
fn fails(output: &CommandOutput, says: &[&str]) {
    ends_with(output, 1, says);
}

// --- the official zip ----------------------------------------------------------------------------

#[test]
fn fetches_once_and_then_recognizes_libtorch() {
    let (repo, server) = (Repo::new(), good_server());
    succeeds(
        &repo.run(&server, &[]),
        &["libtorch 2.13.0 (cpu) is in place", "next: cargo run --release -- train"],
    );
    repo.assert_complete(false);
    for arguments in [&[][..], &["--cpu"]] {
        succeeds(&repo.run(&server, arguments), &["nothing to fetch", "is in place"]);
    }
    assert_eq!(server.asked().len(), 1, "a complete folder needs no network");
    repo.assert_complete(false);
}

#[test]
fn another_version_has_its_own_folder() {
    let zip = zip_of("libtorch/", &libtorch("2.11.0", false));
    let server = serve(&CPU_ZIP.replace("2.13.0", "2.11.0"), zip);
    let repo = Repo::new();
    succeeds(&repo.run(&server, &["--version", "2.11.0"]), &["next: scripts/build_torch_2_11.sh"]);
    assert_eq!(listing(&repo.path("vendor")), ["libtorch-2.11.0"]);
}

/// Sends a signal to the script and all programs that it has started, as Ctrl-C in a terminal does.
fn interrupt(child: Child, signal: &str) -> CommandOutput {
    let group = format!("-{}", child.id());
    succeed(Command::new("bash").args(["-c", "kill -s $0 -- $1", signal, &group]));
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    CommandOutput { code: output.status.code().unwrap_or(-1), stdout: String::new(), stderr }
}

#[test]
fn interrupted_run_leaves_only_a_download_that_the_next_run_continues() {
    for (signal, code, says) in
        [("INT", 130, &["interrupted; run this again"][..]), ("KILL", -1, &[])]
    {
        let repo = Repo::new();
        let slow = Server::start(|_, _| Answer::Stalled(cpu_zip(), 60_000));
        let child = repo.script(slow.address(), &[]).stderr(Stdio::piped()).spawn().unwrap();
        let kept =
            || fs::metadata(repo.path(PART)).map_or(0, |data| usize::try_from(data.len()).unwrap());
        let start = Instant::now();
        while kept() == 0 {
            assert!(start.elapsed() < Duration::from_secs(30), "no download begins");
            thread::sleep(Duration::from_millis(20));
        }
        ends_with(&interrupt(child, signal), code, says);
        assert_eq!(listing(&repo.path("vendor")), [".fetch"]);
        // Of a run that was killed later.
        write(&repo.path("vendor/.fetch/stage/lib/half.so"), "half");
        write(&repo.path("vendor/.fetch/tmp/libtorch/lib/half.so"), "half");

        let (kept, server) = (kept(), good_server());
        assert!(kept <= 60_000);
        succeeds(&repo.run(&server, &[]), &["is in place"]);
        assert_eq!(server.asked()[0].from, Some(kept));
        repo.assert_complete(false);
        assert!(!repo.target().join("lib/half.so").exists());
    }
}

#[test]
fn two_runs_at_once_fetch_once() {
    let (repo, server) = (Repo::new(), good_server());
    let start = || repo.script(server.address(), &[]).stderr(Stdio::null()).spawn().unwrap();
    for mut child in [start(), start(), start()] {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(server.asked().len(), 1);
    repo.assert_complete(false);
}

#[test]
fn unusable_zips_are_errors() {
    let mut damaged = cpu_zip();
    damaged[100_000] ^= 1;
    let mut incomplete = libtorch("2.13.0", false);
    incomplete.retain(|(name, _)| name != "lib/libc10.so");
    for (zip, says) in [
        (damaged, "BadZipFile: Bad CRC-32"),
        (b"<html>please log in</html>".to_vec(), "File is not a zip file"),
        (zip_of("libtorch/", &libtorch("2.12.1", false)), "it holds libtorch 2.12.1, not 2.13.0"),
        (zip_of("libtorch/", &incomplete), "lib/libc10.so is missing"),
    ] {
        let repo = Repo::new();
        fails(&repo.run(&serve(CPU_ZIP, zip), &[]), &[says, "could not be fetched", "cure: "]);
        assert_eq!(listing(&repo.path("vendor/.fetch")), ["lock"]);
        // The next run does not use the same file again.
        succeeds(&repo.run(&good_server(), &[]), &["is in place"]);
        repo.assert_complete(false);
    }
}

#[test]
fn required_checksum_is_checked() {
    let (repo, server) = (Repo::new(), good_server());
    let wrong = "0".repeat(64);
    let output = repo.run_with(&server, "SEQFIT_LIBTORCH_SHA256", &wrong, &[]);
    fails(&output, &["the zip has the SHA-256", &wrong, "correct or unset that variable"]);
    assert!(!output.stderr.contains("wheel"), "another source does not have that checksum");
    assert!(!repo.target().exists());

    write(&repo.path("zip"), cpu_zip());
    let sum = succeed(Command::new("sha256sum").arg(repo.path("zip"))).stdout;
    let sum = sum.split(' ').next().unwrap();
    succeeds(&repo.run_with(&server, "SEQFIT_LIBTORCH_SHA256", sum, &[]), &["is in place"]);
}

#[test]
fn unreachable_server_is_an_error_with_a_cure() {
    let repo = Repo::new();
    let says = ["curl", "could not be fetched", "cure: connect to the network", "set LIBTORCH"];
    let start = Instant::now();
    fails(&repo.run_without_zips(&[]), &says);
    fails(&repo.run(&Server::files(Vec::new()), &[]), &["404", "could not be fetched"]);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(40), "took {took:?}");
    assert!(!repo.target().exists());
}

// --- existing folders ----------------------------------------------------------------------------

#[test]
fn another_libtorch_is_kept_until_the_new_one_is_complete() {
    let repo = Repo::new();
    write_libtorch(&repo.target(), "2.12.0", false);
    let old = repo.target().join("lib/old.so");
    write(&old, "old");
    fails(&repo.run_without_zips(&[]), &["replacing", "2.12.0", "could not be fetched"]);
    assert!(fs::read_to_string(repo.target().join(VERSION_H)).unwrap().contains("2.12.0"));
    succeeds(&repo.run(&good_server(), &[]), &["replacing", "2.12.0", "is in place"]);
    repo.assert_complete(false);
    assert!(!old.exists(), "old and new are mixed");
}

#[test]
fn switches_between_cpu_and_cuda() {
    let repo = Repo::new();
    let cuda_zip = zip_of("libtorch/", &libtorch("2.13.0", true));
    let server =
        Server::files(vec![(CPU_ZIP.to_owned(), cpu_zip()), (CUDA_ZIP.to_owned(), cuda_zip)]);
    for (arguments, cuda, says) in [
        (&["--cuda"][..], true, &["2.13.0 (cuda) is in place"][..]),
        // Without an option, the existing variant is kept.
        (&[], true, &["nothing to fetch", "(cuda)"]),
        (&["--cpu"], false, &["replacing", "(cpu)"]),
        (&["--cuda"], true, &["replacing", "(cuda)"]),
    ] {
        succeeds(&repo.run(&server, arguments), says);
        repo.assert_complete(cuda);
    }
}

#[test]
fn good_libtorch_in_the_environment_is_used() {
    let (repo, server) = (Repo::new(), good_server());
    let own = repo.path("own");
    write_libtorch(&own, "2.13.0", false);
    let place = format!("is in place: {}", own.display());
    let output = repo.run_with(&server, "LIBTORCH", &own, &[]);
    succeeds(&output, &["LIBTORCH is set and will be used", &place]);
    assert!(!repo.path("vendor").exists());
    // cargo sets it to the target itself.
    for _ in 0..2 {
        succeeds(&repo.run_with(&server, "LIBTORCH", repo.target(), &[]), &["is in place"]);
        repo.assert_complete(false);
    }
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn wrong_libtorch_in_the_environment_is_an_error() {
    let (repo, server) = (Repo::new(), good_server());
    let own = repo.path("own");
    write_libtorch(&own, "2.11.0", false);
    let refused = |libtorch: &Path, arguments: &[&str], says: &[&str]| {
        fails(&repo.run_with(&server, "LIBTORCH", libtorch, arguments), says);
    };
    refused(&own, &[], &["2.11.0", "2.13.0", "unset LIBTORCH"]);
    refused(Path::new("no/such/folder"), &[], &["relative"]);
    refused(Path::new("/no/such/folder"), &[], &["no such folder", "unset LIBTORCH"]);
    refused(&own, &["--version", "2.11.0", "--cuda"], &["it is a cpu build"]);
    fs::remove_file(own.join("lib/libc10.so")).unwrap();
    refused(&own, &["--version", "2.11.0"], &["libc10.so is missing"]);
    assert!(server.asked().is_empty() && !repo.path("vendor").exists());
}

// --- refused before fetching ---------------------------------------------------------------------

#[test]
fn wrong_arguments_are_usage_errors() {
    let (repo, server) = (Repo::new(), good_server());
    for arguments in [
        &["--gpu"][..],
        &["vendor"],
        &["--version"],
        &["--version", "latest"],
        &["--version", "2.13"],
        &["--version", "2.13.0/../../x"],
        &["--cpu", "--cuda"],
    ] {
        ends_with(&repo.run(&server, arguments), 2, &["fetch_libtorch: ", "--help"]);
    }
    assert!(server.asked().is_empty() && !repo.path("vendor").exists());
    succeeds(&repo.run(&server, &["--help"]), &["Usage:", "--python", "LIBTORCH"]);
}

#[test]
fn too_little_disk_space_is_reported_before_fetching() {
    let (repo, server) = (Repo::new(), good_server());
    repo.free_megabytes(50);
    for (argument, needed) in [("--cpu", "2000 MB needed"), ("--cuda", "8000 MB needed")] {
        let says = ["not enough disk space", needed, "50 MB free", "make room"];
        fails(&repo.run(&server, &[argument]), &says);
    }
    assert!(server.asked().is_empty());
}

#[test]
fn other_platforms_are_refused() {
    let (repo, server) = (Repo::new(), good_server());
    for (system, machine) in [("Linux", "riscv64"), ("Darwin", "x86_64"), ("FreeBSD", "amd64")] {
        repo.host(system, machine);
        fails(&repo.run(&server, &[]), &[system, machine, "supported: Linux x86-64"]);
    }
    repo.host("Linux", "aarch64");
    fails(&repo.run(&server, &["--cuda"]), &["--cuda is for Linux x86-64"]);
    repo.host("Linux", "x86_64");
    repo.program("getconf", "echo glibc 2.9");
    fails(&repo.run(&server, &[]), &["needs glibc 2.28", "glibc 2.9", "newer distribution"]);
    assert!(server.asked().is_empty() && !repo.path("vendor").exists());
}

// --- the PyTorch wheel and .venv -----------------------------------------------------------------

impl Repo {
    /// Writes a wheel. Its files contain their own names, except for modules, which are empty.
    fn wheel(&self, name: &str, version: &str, requires: &[&str], files: &[&str]) {
        let requires: String = requires.iter().map(|r| format!("Requires-Dist: {r}\n")).collect();
        let about = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}");
        let file = |path: &str, text: &str| (path.to_owned(), text.as_bytes().to_vec());
        let info = |name_of: &str| format!("{name}-{version}.dist-info/{name_of}");
        let mut all: Files = vec![
            file(&info("METADATA"), &about),
            file(&info("WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            file(&info("RECORD"), ""),
        ];
        for path in files {
            let module = path.ends_with(".py");
            all.push(match path.strip_prefix("torch/") {
                Some(VERSION_H) => file(path, "#define TORCH_VERSION \\\n  \"2.13.0\"\n"),
                _ => file(path, if module { "" } else { path }),
            });
        }
        write(&self.path(&format!("wheels/{name}-{version}-py3-none-any.whl")), zip_of("", &all));
    }
}

/// Returns a repository with wheels; none on a host without pip. PyTorch's has the layout of the Linux wheel: a CUDA
/// build whose CPU part needs two of NVIDIA's libraries.
fn wheel_repo() -> Option<Repo> {
    if run(Command::new("python3").args(["-m", "pip", "--version"])).code != 0 {
        common::left_out("a test with pip (install it for python3)");
        return None;
    }
    let repo = Repo::new();
    let torch = [
        "torch/__init__.py",
        "torch/lib/libtorch.so",
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libtorch_cuda.so",
        "torch/lib/libtorch_python.so",
        "torch/lib/libc10.so",
        "torch/lib/libc10_cuda.so",
        "torch/lib/libgomp.so.1",
        "torch/include/torch/csrc/api/include/torch/torch.h",
        "torch/include/torch/headeronly/version.h",
        "torch/share/cmake/Torch/TorchConfig.cmake",
    ];
    repo.wheel(
        "torch",
        "2.13.0",
        &["nvidia-cuda-runtime==13.0.96", "nvidia-nccl-cu13==2.1"],
        &torch,
    );
    let runtime = ["nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcudart_static.a"];
    repo.wheel("nvidia_cuda_runtime", "13.0.96", &[], &runtime);
    repo.wheel("nvidia_cuda_cupti", "13.0.85", &[], &["nvidia/cu13/lib/libcupti.so.13"]);
    repo.wheel("nvidia_nccl_cu13", "2.1", &[], &["nvidia/nccl/lib/libnccl.so.2"]);
    repo.wheel("numpy", "2.0", &[], &["numpy/__init__.py"]);
    repo.wheel("needed_by_tests", "1.5", &[], &["needed_by_tests.py"]);
    Some(repo)
}

#[test]
fn falls_back_to_the_wheel() {
    let Some(repo) = wheel_repo() else { return };
    let says =
        ["curl", "the official zip is not usable: trying the PyTorch wheel", "(cpu) is in place"];
    succeeds(&repo.run_without_zips(&[]), &says);
    let libraries = [
        "libc10.so",
        "libcudart.so.13",
        "libcupti.so.13",
        "libgomp.so.1",
        "libtorch.so",
        "libtorch_cpu.so",
    ];
    assert_eq!(listing(&repo.target().join("lib")), libraries);
    assert_eq!(
        fs::read_to_string(repo.target().join("lib/libtorch.so")).unwrap(),
        "INPUT(-ltorch_cpu)\n"
    );
    assert_eq!(listing(&repo.target()), ["include", "lib", "share"]);
    assert_eq!(listing(&repo.path("vendor")), ["libtorch"]);
    succeeds(&repo.run_without_zips(&[]), &["nothing to fetch"]);
}

#[test]
fn a_cuda_wheel_keeps_its_layout() {
    let Some(repo) = wheel_repo() else { return };
    succeeds(&repo.run_without_zips(&["--cuda"]), &["(cuda) is in place"]);
    // The layout that the RPATH of the libraries expects.
    for name in ["cu13/lib/libcudart.so.13", "nccl/lib/libnccl.so.2"] {
        let path = repo.target().join("lib/../../nvidia").join(name);
        assert!(path.exists(), "{}", path.display());
    }
    assert!(repo.target().join(TORCH_H).exists());
    succeeds(&repo.run_without_zips(&["--cuda"]), &["nothing to fetch"]);
}

#[test]
fn wheel_with_another_checksum_or_version_is_an_error() {
    let Some(repo) = wheel_repo() else { return };
    let name = "wheels/torch-2.13.0-py3-none-any.whl";
    let page = format!("<a href=\"{name}#sha256={}\">torch</a>", "0".repeat(64));
    write(&repo.path("index.html"), page);
    let mut script = repo.script(&http::closed(), &[]);
    script.env("PIP_FIND_LINKS", format!("file://{}", repo.path("index.html").display()));
    fails(&run(&mut script), &["DO NOT MATCH THE HASHES", "could not be fetched"]);
    fails(
        &repo.run_without_zips(&["--version", "9.9.9"]),
        &["torch==9.9.9", "could not be fetched"],
    );
    assert_eq!(listing(&repo.path("vendor")), [".fetch"]);
}

#[test]
fn creates_the_python_environment_and_keeps_it() {
    let Some(repo) = wheel_repo() else { return };
    write_libtorch(&repo.target(), "2.13.0", false);
    let python = repo.path(".venv/bin/python");
    let with_python = || repo.run_without_zips(&["--python"]);
    let says = [
        "the CPU index is not usable",
        "PyTorch 2.13.0 and the other packages for the tests are in place",
    ];
    succeeds(&with_python(), &says);
    succeed(Command::new(&python).args(["-c", "import needed_by_tests"]));
    let kept = repo.path(".venv/kept");
    write(&kept, "");
    succeeds(&with_python(), &["nothing to install", "are in place"]);

    // Requirements that are missing or have another version are installed; the rest is kept.
    succeed(Command::new(&python).args(["-m", "pip", "uninstall", "--yes", "needed-by-tests"]));
    succeeds(&with_python(), &["making .venv", "are in place"]);
    write(&repo.path("tests/requirements.txt"), "needed-by-tests==1.6\n");
    fails(
        &with_python(),
        &["pip could not install tests/requirements.txt", "connect to the network"],
    );
    write(&repo.path("tests/requirements.txt"), "needed-by-tests==1.5\n");
    succeeds(&with_python(), &["nothing to install"]);
    assert!(kept.exists());

    // The leftovers of a killed run are not mistaken for a complete environment.
    let mark = repo.path(".venv/.incomplete");
    write(&mark, "");
    succeeds(&with_python(), &["making .venv", "are in place"]);
    assert!(!kept.exists() && !mark.exists());
    repo.assert_complete(false);
}
