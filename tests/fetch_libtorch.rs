//! Tests `scripts/fetch_libtorch.sh` without the network: a small HTTP server in this process
//! serves fake libtorch zips, and each test has its own repository in a temporary folder.
#![cfg(target_os = "linux")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const VERSION: &str = "2.13.0";
const CPU_ZIP: &str = "/cpu/libtorch-shared-with-deps-2.13.0%2Bcpu.zip";
/// Path of its partial download.
const CPU_PART: &str = "vendor/.fetch-libtorch/libtorch-shared-with-deps-2.13.0%2Bcpu.zip.part";
const CUDA_ZIP: &str = "/cu130/libtorch-shared-with-deps-2.13.0%2Bcu130.zip";

// --- a miniature libtorch ------------------------------------------------------------------------

const TORCH_H: &str = "include/torch/csrc/api/include/torch/torch.h";

type Files = Vec<(&'static str, Vec<u8>)>;

fn libtorch_files(version: &str, cuda: bool) -> Files {
    // Varying bytes, so that a download resumed at a wrong offset cannot pass.
    let big: Vec<u8> =
        (0..200_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let mut files = vec![
        ("lib/libtorch.so", b"torch".to_vec()),
        ("lib/libtorch_cpu.so", big),
        ("lib/libc10.so", b"c10".to_vec()),
        ("include/ATen/ATen.h", b"// ATen".to_vec()),
        (TORCH_H, b"// torch".to_vec()),
        ("build-version", format!("{version}\n").into_bytes()),
    ];
    if cuda {
        files.push(("lib/libtorch_cuda.so", b"cuda".to_vec()));
    }
    files
}

fn write_libtorch(folder: &Path, version: &str, cuda: bool) {
    for (name, data) in libtorch_files(version, cuda) {
        write(&folder.join(name), data);
    }
}

/// Writes a file and creates its parent folders.
fn write(path: &Path, data: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, data).unwrap();
}

fn libtorch_zip(version: &str, cuda: bool) -> Vec<u8> {
    zip_of(&libtorch_files(version, cuda))
}

/// Returns an uncompressed zip with the files below `libtorch/`.
fn zip_of(files: &Files) -> Vec<u8> {
    let (mut out, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for (name, data) in files {
        let name = format!("libtorch/{name}");
        let offset = u32::try_from(out.len()).unwrap();
        let size = u32::try_from(data.len()).unwrap().to_le_bytes();
        // Version 2.0, no flags, stored, 1 January 1980, CRC, sizes, length of the name, no extras.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        common.extend(crc32(data).to_le_bytes());
        common.extend(size);
        common.extend(size);
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(data);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
        count += 1;
    }
    let (start, length) = (out.len(), directory.len());
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(u32::try_from(length).unwrap().to_le_bytes());
    out.extend(u32::try_from(start).unwrap().to_le_bytes());
    out.extend([0, 0]);
    out
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

// --- a server ------------------------------------------------------------------------------------

/// Serves files, resumes downloads (`Range`) and records the requests.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(files: Files) -> Self {
        Self::stalling(files, usize::MAX)
    }

    /// Serves only these bytes, as the CPU zip.
    fn with_cpu_zip(zip: Vec<u8>) -> Self {
        Self::new(vec![(CPU_ZIP, zip)])
    }

    /// Serves a valid CPU zip.
    fn good() -> Self {
        Self::with_cpu_zip(libtorch_zip(VERSION, false))
    }

    /// Sends only `bytes` bytes of a file, and then nothing until the client gives up.
    fn stalling(files: Files, limit: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let files = Arc::new(files);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, seen) = (Arc::clone(&files), Arc::clone(&seen));
                // Some tests make the client hang up early.
                thread::spawn(move || drop(answer(&stream, &files, &seen, limit)));
            }
        });
        Self { address, requests }
    }

    /// Returns an address that nothing listens on.
    fn closed() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
        }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn downloads(&self) -> Vec<String> {
        let mut requests = self.requests();
        requests.retain(|request| request.starts_with("GET"));
        requests
    }

    #[track_caller]
    fn assert_not_asked(&self) {
        assert_eq!(self.requests(), [""; 0]);
    }
}

fn answer(
    mut stream: &TcpStream,
    files: &Files,
    seen: &Mutex<Vec<String>>,
    limit: usize,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut words = first.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (method, path) = (word(), word());
    let mut from = None;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse::<usize>().ok();
        }
    }
    let range = from.map_or_else(String::new, |from| format!(" from {from}"));
    seen.lock().unwrap().push(format!("{method} {path}{range}"));

    let Some((_, data)) = files.iter().find(|(name, _)| *name == path) else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let start = from.unwrap_or(0);
    let (status, range) = match (from, data.len()) {
        (Some(_), size) => {
            ("206 Partial Content", format!("Content-Range: bytes {start}-{}/{size}\r\n", size - 1))
        }
        (None, _) => ("200 OK", String::new()),
    };
    let rest = &data[start..];
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}Connection: close\r\n\r\n",
        rest.len()
    )?;
    if method == "GET" {
        stream.write_all(&rest[..rest.len().min(limit)])?;
        if rest.len() > limit {
            // Ends when the client closes the connection.
            stream.read_to_end(&mut Vec::new())?;
        }
    }
    Ok(())
}

// --- a repository --------------------------------------------------------------------------------

/// A temporary folder with the script in `scripts/` and its own `uname`; removed on drop.
struct Repo {
    root: PathBuf,
}

impl Repo {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("seqfit-fetch-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("scripts/libtorch")).unwrap();
        // The script prints the canonical path of its result.
        let root = root.canonicalize().unwrap();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let script = scripts.join("fetch_libtorch.sh");
        fs::copy(script, root.join("scripts/fetch_libtorch.sh")).unwrap();
        for part in fs::read_dir(scripts.join("libtorch")).unwrap() {
            let part = part.unwrap();
            let copy = root.join("scripts/libtorch").join(part.file_name());
            fs::copy(part.path(), copy).unwrap();
        }
        let repo = Self { root };
        repo.uname("Linux", "x86_64");
        repo
    }

    fn uname(&self, system: &str, machine: &str) {
        let path = self.path("bin/uname");
        let text =
            format!("#!/bin/sh\ncase $1 in -m) echo {machine} ;; *) echo {system} ;; esac\n");
        write(&path, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn target(&self) -> PathBuf {
        self.path("vendor/libtorch")
    }

    /// Returns the text of a file below the target.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.target().join(name)).unwrap()
    }

    /// Returns the sorted names in a folder, or none if the folder does not exist.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Returns the script with zips from `server`, without the PyTorch wheel.
    fn script(&self, server: &Server, arguments: &[&str]) -> Script {
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap();
        command
            .arg(self.path("scripts/fetch_libtorch.sh"))
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("SEQFIT_LIBTORCH_URL", &server.address)
            .env("SEQFIT_TORCH_INDEX", &server.address)
            .env("SEQFIT_FETCH_NO_WHEEL", "1")
            .env("SEQFIT_FETCH_FREE_KB", "100000000")
            .env("no_proxy", "*")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // cargo also sets LIBTORCH for tests.
        for name in ["LIBTORCH", "SEQFIT_LIBTORCH_SHA256", "LD_LIBRARY_PATH"] {
            command.env_remove(name);
        }
        Script(command)
    }

    fn run(&self, server: &Server, arguments: &[&str]) -> Outcome {
        self.script(server, arguments).run()
    }

    #[track_caller]
    fn assert_complete(&self, cuda: bool) {
        for (name, data) in libtorch_files(VERSION, cuda) {
            let found = fs::read(self.target().join(name)).unwrap_or_default();
            assert!(found == data, "{name} is not what the zip holds");
        }
        assert_eq!(self.target().join("lib/libtorch_cuda.so").exists(), cuda);
        self.assert_only_libtorch();
    }

    #[track_caller]
    fn assert_only_libtorch(&self) {
        let names = self.names("vendor");
        assert_eq!(names, ["libtorch"], "files were left over");
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        assert_eq!(self.names("vendor"), [""; 0], "files were left over");
    }
}

impl Drop for Repo {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The script, ready to run.
struct Script(Command);

impl Script {
    fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    fn run(mut self) -> Outcome {
        Outcome(self.0.output().unwrap())
    }

    fn start(mut self) -> Child {
        self.0.spawn().unwrap()
    }
}

/// The exit status and output of a run.
struct Outcome(Output);

impl Outcome {
    fn of(child: Child) -> Self {
        Self(child.wait_with_output().unwrap())
    }

    fn text(&self) -> String {
        let [out, err] = [&self.0.stdout, &self.0.stderr].map(|text| String::from_utf8_lossy(text));
        format!("{out}{err}")
    }

    #[track_caller]
    fn ends_with(&self, code: i32, says: &[&str]) {
        let text = self.text();
        assert_eq!(self.0.status.code(), Some(code), "{text}");
        for part in says {
            assert!(text.contains(part), "'{part}' is not in:\n{text}");
        }
    }

    #[track_caller]
    fn succeeds(&self, says: &[&str]) {
        self.ends_with(0, says);
    }

    #[track_caller]
    fn fails(&self, says: &[&str]) {
        self.ends_with(1, says);
    }
}

// --- the official zip ----------------------------------------------------------------------------

#[test]
fn fetches_once_and_then_recognizes_libtorch() {
    let (repo, server) = (Repo::new(), Server::good());
    repo.run(&server, &[])
        .succeeds(&["libtorch 2.13.0 (cpu) is in place", "next: cargo run --release -- train"]);
    repo.assert_complete(false);
    let requests = [format!("HEAD {CPU_ZIP}"), format!("GET {CPU_ZIP}")];
    assert_eq!(server.requests(), requests);

    for arguments in [&[][..], &["--cpu"]] {
        repo.run(&server, arguments).succeeds(&["nothing to fetch", "is in place"]);
    }
    assert_eq!(server.requests(), requests, "a complete folder needs no network");
    repo.assert_complete(false);
}

#[test]
fn custom_folder_is_named_for_cargo() {
    let (repo, server) = (Repo::new(), Server::good());
    let folder = repo.path("else where/torch");
    let next = format!("LIBTORCH='{}' cargo run", folder.display());
    repo.run(&server, &["--dir", folder.to_str().unwrap()]).succeeds(&[&next]);
    assert!(folder.join("lib/libc10.so").exists());
    assert_eq!(repo.names("else where"), ["torch"]);
    repo.assert_nothing_left();
}

#[test]
fn continues_a_partial_download() {
    let (repo, server) = (Repo::new(), Server::good());
    let zip = libtorch_zip(VERSION, false);
    write(&repo.path(CPU_PART), &zip[..50_000]);
    repo.run(&server, &[]).succeeds(&["continuing", "is in place"]);
    assert_eq!(server.downloads(), [format!("GET {CPU_ZIP} from 50000")]);
    repo.assert_complete(false);
}

#[test]
fn starts_over_if_the_partial_download_is_wrong() {
    let (repo, server) = (Repo::new(), Server::good());
    write(&repo.path(CPU_PART), vec![7; 50_000]);
    repo.run(&server, &[]).succeeds(&["starting over", "is in place"]);
    let continued = format!("GET {CPU_ZIP} from 50000");
    assert_eq!(server.downloads(), [continued, format!("GET {CPU_ZIP}")]);
    repo.assert_complete(false);
}

#[test]
fn interrupted_run_leaves_only_the_partial_download() {
    let repo = Repo::new();
    let slow = Server::stalling(vec![(CPU_ZIP, libtorch_zip(VERSION, false))], 60_000);
    let child = repo.script(&slow, &[]).start();
    let kept = || fs::metadata(repo.path(CPU_PART)).map_or(0, |data| data.len());
    let start = Instant::now();
    while kept() == 0 {
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(30), "no download begins");
        thread::sleep(Duration::from_millis(20));
    }
    let mut kill = Command::new("kill");
    let status = kill.arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
    Outcome::of(child).ends_with(143, &["interrupted"]);
    let kept = kept();
    assert!(kept > 0 && kept <= 60_000, "{kept} bytes kept");
    assert_eq!(repo.names("vendor"), [".fetch-libtorch"]);

    let server = Server::good();
    repo.run(&server, &[]).succeeds(&["continuing", "is in place"]);
    assert_eq!(server.downloads(), [format!("GET {CPU_ZIP} from {kept}")]);
    repo.assert_complete(false);
}

#[test]
fn two_runs_at_once_fetch_once() {
    let (repo, server) = (Repo::new(), Server::good());
    for child in [(); 3].map(|()| repo.script(&server, &[]).start()) {
        Outcome::of(child).succeeds(&["is in place"]);
    }
    assert_eq!(server.downloads().len(), 1);
    repo.assert_complete(false);
}

/// Checks that a run with these bytes as the CPU zip fails with an error and leaves no files.
#[track_caller]
fn assert_refused(zip: Vec<u8>, says: &[&str]) {
    let (repo, server) = (Repo::new(), Server::with_cpu_zip(zip));
    repo.run(&server, &[]).fails(says);
    repo.assert_nothing_left();
}

#[test]
fn a_damaged_zip_is_an_error() {
    let mut zip = libtorch_zip(VERSION, false);
    zip[100_000] ^= 1;
    assert_refused(zip, &["error", "damaged", "cure"]);
}

#[test]
fn html_page_instead_of_a_zip_is_an_error() {
    assert_refused(b"<html>please log in</html>".to_vec(), &["not a zip"]);
}

#[test]
fn a_zip_of_another_version_is_an_error() {
    let zip = libtorch_zip("2.12.1", false);
    assert_refused(zip, &["libtorch 2.12.1, not 2.13.0"]);
}

#[test]
fn an_incomplete_zip_is_an_error() {
    let mut files = libtorch_files(VERSION, false);
    files.retain(|(name, _)| *name != "lib/libc10.so");
    assert_refused(zip_of(&files), &["lib/libc10.so is missing"]);
}

#[test]
fn an_expected_digest_is_checked() {
    let (repo, server) = (Repo::new(), Server::good());
    let wrong = "0".repeat(64);
    repo.script(&server, &[])
        .env("SEQFIT_LIBTORCH_SHA256", &wrong)
        .run()
        .fails(&["SHA-256", &wrong]);
    repo.assert_nothing_left();
}

#[test]
fn unreachable_server_is_an_error_with_a_cure() {
    let repo = Repo::new();
    let start = Instant::now();
    repo.run(&Server::closed(), &[]).fails(&[
        "could not be fetched",
        "curl",
        "cure: connect to the network",
        "LIBTORCH",
    ]);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "took {took:?}");
    repo.assert_nothing_left();
}

#[test]
fn a_missing_zip_is_an_error() {
    let repo = Repo::new();
    repo.run(&Server::new(Vec::new()), &[]).fails(&["could not be fetched", "404"]);
    repo.assert_nothing_left();
}

// --- existing installations ----------------------------------------------------------------------

#[test]
fn replaces_another_version() {
    let (repo, server) = (Repo::new(), Server::good());
    write_libtorch(&repo.target(), "2.12.0", false);
    let old = repo.target().join("lib/old.so");
    write(&old, "old");
    repo.run(&server, &[]).succeeds(&["replacing", "2.12.0", "is in place"]);
    repo.assert_complete(false);
    assert!(!old.exists(), "old and new are mixed");
}

#[test]
fn failed_replacement_keeps_the_previous_libtorch() {
    let repo = Repo::new();
    write_libtorch(&repo.target(), "2.12.0", false);
    repo.run(&Server::closed(), &[]).fails(&["could not be fetched"]);
    assert_eq!(repo.read("build-version"), "2.12.0\n");
    repo.assert_only_libtorch();
}

#[test]
fn switches_between_cpu_and_cuda() {
    let repo = Repo::new();
    let server = Server::new(vec![
        (CPU_ZIP, libtorch_zip(VERSION, false)),
        (CUDA_ZIP, libtorch_zip(VERSION, true)),
    ]);
    for (arguments, cuda, says) in [
        (&["--cuda"][..], true, &["2.13.0 (cuda) is in place"][..]),
        // Without an option, the existing variant is kept.
        (&[], true, &["nothing to fetch", "(cuda)"]),
        (&["--cpu"], false, &["replacing", "(cpu)"]),
        (&["--cuda"], true, &["replacing", "(cuda)"]),
    ] {
        repo.run(&server, arguments).succeeds(says);
        repo.assert_complete(cuda);
    }
}

#[test]
fn folder_that_is_not_a_libtorch_is_not_replaced() {
    let (repo, server) = (Repo::new(), Server::good());
    let diary = repo.path("notes/diary.txt");
    write(&diary, "dear diary");
    let folder = repo.path("notes");
    repo.run(&server, &["--dir", folder.to_str().unwrap()]).fails(&["is not a libtorch"]);
    assert_eq!(fs::read_to_string(diary).unwrap(), "dear diary");
    server.assert_not_asked();
}

#[test]
fn previous_folder_is_restored_after_a_kill_between_the_renames() {
    let repo = Repo::new();
    let cache = repo.path("vendor/.fetch-libtorch");
    write_libtorch(&cache.join("old"), VERSION, false);
    fs::create_dir_all(cache.join("stage/lib")).unwrap();
    repo.run(&Server::closed(), &[]).succeeds(&["nothing to fetch"]);
    repo.assert_complete(false);
}

// --- LIBTORCH ------------------------------------------------------------------------------------

#[test]
fn a_good_libtorch_in_the_environment_is_used() {
    let (repo, server) = (Repo::new(), Server::good());
    let own = repo.path("own");
    write_libtorch(&own, "2.13.0+cpu", false);
    let place = format!("is in place: {}", own.display());
    repo.script(&server, &[])
        .env("LIBTORCH", &own)
        .run()
        .succeeds(&["LIBTORCH is set and will be used", &place]);
    server.assert_not_asked();
    assert!(!repo.path("vendor").exists());
}

#[test]
fn libtorch_may_name_the_target_itself() {
    let (repo, server) = (Repo::new(), Server::good());
    for _ in 0..2 {
        repo.script(&server, &[]).env("LIBTORCH", repo.target()).run().succeeds(&["is in place"]);
        repo.assert_complete(false);
    }
    assert_eq!(server.downloads().len(), 1);
}

#[test]
fn a_wrong_libtorch_in_the_environment_is_an_error() {
    let (repo, server) = (Repo::new(), Server::good());
    let own = repo.path("own");
    write_libtorch(&own, "2.11.0", false);
    let assert_refused = |libtorch: &Path, arguments: &[&str], says: &[&str]| {
        let script = repo.script(&server, arguments);
        script.env("LIBTORCH", libtorch).run().fails(says);
    };
    assert_refused(&own, &[], &["2.11.0", "2.13.0", "unset LIBTORCH"]);
    assert_refused(Path::new("no/such/folder"), &[], &["relative"]);
    let nowhere = Path::new("/no/such/folder");
    assert_refused(nowhere, &[], &["no such folder", "unset LIBTORCH"]);
    assert_refused(&own, &["--version", "2.11.0", "--cuda"], &["CPU build"]);
    fs::remove_file(own.join("lib/libc10.so")).unwrap();
    let missing = "libc10.so is missing";
    assert_refused(&own, &["--version", "2.11.0"], &[missing]);
    server.assert_not_asked();
    assert!(!repo.path("vendor").exists());
}

// --- refused before fetching ---------------------------------------------------------------------

#[test]
fn wrong_arguments_are_usage_errors() {
    let (repo, server) = (Repo::new(), Server::good());
    for arguments in [
        &["--gpu"][..],
        &["vendor"],
        &["--version"],
        &["--version", "latest"],
        &["--version", "2.13"],
        &["--version", "2.13.0/../../x"],
        &["--version="],
        &["--dir"],
        &["--dir", ""],
        &["--dir", "/"],
        &["--dir", ".."],
        &["--cpu", "--cuda"],
    ] {
        repo.run(&server, arguments).ends_with(2, &["fetch_libtorch: ", "--help"]);
    }
    server.assert_not_asked();
    assert!(!repo.path("vendor").exists());
    repo.run(&server, &["--help"]).succeeds(&["Usage:", "--python", "LIBTORCH"]);
}

#[test]
fn too_little_disk_space_is_reported_before_fetching() {
    let (repo, server) = (Repo::new(), Server::good());
    for (argument, needed) in [("--cpu", "1250 MB needed"), ("--cuda", "8000 MB needed")] {
        repo.script(&server, &[argument]).env("SEQFIT_FETCH_FREE_KB", "50000").run().fails(&[
            "not enough disk space",
            needed,
            "50 MB free",
        ]);
        repo.assert_nothing_left();
    }
    server.assert_not_asked();
}

#[test]
fn other_platforms_are_refused() {
    let (repo, server) = (Repo::new(), Server::good());
    for (system, machine) in
        [("Linux", "riscv64"), ("Linux", "i686"), ("Darwin", "x86_64"), ("FreeBSD", "amd64")]
    {
        repo.uname(system, machine);
        repo.run(&server, &[]).fails(&[system, machine, "supported: Linux x86-64"]);
    }
    repo.uname("Linux", "aarch64");
    repo.run(&server, &["--cuda"]).fails(&["--cuda is for Linux x86-64"]);
    repo.run(&server, &[]).fails(&["not tested", "there is none for Linux on aarch64"]);
    server.assert_not_asked();
    repo.assert_nothing_left();
}

// --- the PyTorch wheel and .venv -----------------------------------------------------------------

/// Fake wheels for pip. torch has the layout of the Linux wheel: a CUDA build whose CPU part needs
/// two of NVIDIA's libraries, which it requires through `cuda-toolkit`.
const WHEELS: &str = r##"
import base64, hashlib, os, sys, zipfile

def wheel(name, version, files, requires=(), spoil=None):
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {r}" for r in requires]
    files = dict(files)
    files[f"{info}/METADATA"] = "\n".join(lines) + "\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    if spoil:
        files[spoil] += "!"
    with zipfile.ZipFile(os.path.join(sys.argv[1], f"{name}-{version}-py3-none-any.whl"), "w") as out:
        for path, text in files.items():
            out.writestr(path, text)

torch = {f"torch/lib/{n}": n for n in (
    "libtorch.so", "libtorch_cpu.so", "libtorch_cuda.so", "libtorch_python.so", "libc10.so",
    "libc10_cuda.so", "libgomp.so.1")}
torch["torch/include/ATen/ATen.h"] = "// ATen"
torch["torch/include/torch/csrc/api/include/torch/torch.h"] = "// torch"
torch["torch/share/cmake/Torch/TorchConfig.cmake"] = "# cmake"
torch["torch/version.py"] = "__version__ = '2.13.0+cu130'\n"
torch["torch/__init__.py"] = "from .version import __version__\n"
wheel("torch", "2.13.0", torch, ['cuda-toolkit[cudart,cupti,cublas]==13.0.3; platform_system == "Linux"',
    'nvidia-nccl-cu13==2.1; platform_system == "Linux"', 'numpy; extra == "other"'],
    spoil=sys.argv[2] if len(sys.argv) > 2 else None)
only = "(sys_platform == 'linux' and platform_machine == 'x86_64' or sys_platform == 'win32')"
wheel("cuda_toolkit", "13.0.3", {}, [
    f"nvidia-cuda-runtime==13.0.96.*; {only} and extra == 'cudart'",
    f"nvidia-cuda-cupti==13.0.85.*; {only} and extra == 'cupti'",
    f"nvidia-cublas==13.1.*; {only} and extra == 'cublas'",
    f"nvidia-never==1.0; {only} and extra == 'never'"])
def nvidia(name, version, library):
    folder = "nccl" if "nccl" in name else "cu13"
    wheel(name, version, {f"nvidia/{folder}/lib/{library}": library, f"nvidia/{folder}/lib/{library.split('.')[0]}_static.a": "no"})
nvidia("nvidia_cuda_runtime", "13.0.96", "libcudart.so.13")
nvidia("nvidia_cuda_cupti", "13.0.85", "libcupti.so.13")
nvidia("nvidia_cublas", "13.1.1", "libcublas.so.13")
nvidia("nvidia_nccl_cu13", "2.1", "libnccl.so.2")
wheel("numpy", "2.0", {"numpy/__init__.py": ""})
wheel("needed_by_tests", "1.5", {"needed_by_tests.py": ""})
"##;

/// A repository with the fake wheels; none on a host without pip.
fn wheel_repo(spoil: Option<&str>) -> Option<Repo> {
    let mut pip = Command::new("python3");
    let pip = pip.args(["-m", "pip", "--version"]).output();
    if !pip.is_ok_and(|output| output.status.success()) {
        common::left_out("a test with pip (install it for python3)");
        return None;
    }
    let repo = Repo::new();
    write(&repo.path("tests/requirements.txt"), "# For the tests:\nneeded-by-tests==1.5\n");
    let folder = repo.path("wheels");
    fs::create_dir_all(&folder).unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", WHEELS]).arg(folder).args(spoil);
    Outcome(python.output().unwrap()).succeeds(&[]);
    Some(repo)
}

impl Repo {
    /// Returns the script without any zip, and with a pip that finds only the fake wheels.
    fn run_with_wheels(&self, arguments: &[&str]) -> Outcome {
        let mut script = self.script(&Server::closed(), arguments);
        script.0.env_remove("SEQFIT_FETCH_NO_WHEEL");
        script
            .env("PIP_CONFIG_FILE", "/dev/null")
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", self.path("wheels"))
            .run()
    }
}

#[test]
fn falls_back_to_the_wheel() {
    let Some(repo) = wheel_repo(None) else { return };
    repo.run_with_wheels(&[]).succeeds(&[
        "official zip not usable (curl",
        "trying the PyTorch wheel",
        "(cpu) is in place",
    ]);
    let libraries = [
        "libc10.so",
        "libcudart.so.13",
        "libcupti.so.13",
        "libgomp.so.1",
        "libtorch.so",
        "libtorch_cpu.so",
    ];
    assert_eq!(repo.names("vendor/libtorch/lib"), libraries);
    assert_eq!(repo.read("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n");
    assert_eq!(repo.read("build-version"), "2.13.0\n");
    assert_eq!(repo.read("include/ATen/ATen.h"), "// ATen");
    repo.assert_only_libtorch();
    repo.run_with_wheels(&[]).succeeds(&["nothing to fetch"]);
}

#[test]
fn a_cuda_wheel_keeps_its_layout() {
    let Some(repo) = wheel_repo(None) else { return };
    repo.run_with_wheels(&["--cuda"]).succeeds(&["(cuda) is in place"]);
    // The layout that the RPATH of the libraries expects.
    for name in ["cu13/lib/libcublas.so.13", "cu13/lib/libcudart.so.13", "nccl/lib/libnccl.so.2"] {
        let path = repo.target().join("lib/../../nvidia").join(name);
        assert!(path.exists(), "{}", path.display());
    }
    assert!(repo.target().join("include/ATen/ATen.h").exists());
    assert_eq!(repo.read("build-version"), "2.13.0+cu130\n");
    repo.assert_only_libtorch();
    repo.run_with_wheels(&["--cuda"]).succeeds(&["nothing to fetch"]);
}

#[test]
fn a_wheel_that_contradicts_its_record_is_an_error() {
    let spoil = Some("torch/lib/libtorch_cpu.so");
    let Some(repo) = wheel_repo(spoil) else {
        return;
    };
    repo.run_with_wheels(&[])
        .fails(&["torch/lib/libtorch_cpu.so differs from RECORD", "could not be fetched"]);
    repo.assert_nothing_left();
}

#[test]
fn a_wheel_that_pip_cannot_find_is_an_error() {
    let Some(repo) = wheel_repo(None) else { return };
    repo.run_with_wheels(&["--version", "9.9.9"]).fails(&["could not be fetched", "torch==9.9.9"]);
    repo.assert_nothing_left();
}

#[test]
fn creates_the_python_environment_and_keeps_it() {
    let Some(repo) = wheel_repo(None) else { return };
    repo.run_with_wheels(&["--python"]).succeeds(&[
        "CPU index not reachable",
        "PyTorch 2.13.0 and the other packages for the tests",
    ]);
    let import = ["-c", "import needed_by_tests"];
    Outcome(Command::new(repo.path(".venv/bin/python")).args(import).output().unwrap())
        .succeeds(&[]);
    let mark = repo.path(".venv/kept");
    write(&mark, "");
    repo.run_with_wheels(&["--python"]).succeeds(&["nothing to install"]);
    assert!(mark.exists());

    // Requirements that are missing or have another version are installed; the rest is kept.
    let uninstall = ["-m", "pip", "uninstall", "--yes", "needed-by-tests"];
    let uninstalled = Command::new(repo.path(".venv/bin/python")).args(uninstall).output().unwrap();
    Outcome(uninstalled).succeeds(&[]);
    repo.run_with_wheels(&["--python"])
        .succeeds(&["making .venv (it lacks needed-by-tests 1.5)", "are in place"]);
    assert!(mark.exists());
    write(&repo.path("tests/requirements.txt"), "needed-by-tests==1.6\n");
    repo.run_with_wheels(&["--python"]).fails(&["pip could not install tests/requirements.txt"]);
    assert!(mark.exists());
    write(&repo.path("tests/requirements.txt"), "needed-by-tests==1.5\n");

    // The leftovers of a killed run are not mistaken for a complete environment.
    let incomplete = repo.path(".venv/.incomplete");
    write(&incomplete, "");
    repo.run_with_wheels(&["--python"])
        .succeeds(&["an earlier run did not finish", "are in place"]);
    assert!(!mark.exists());
    assert!(!incomplete.exists());
    repo.assert_only_libtorch();
}
