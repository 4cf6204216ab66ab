//! Drives `scripts/fetch_libtorch.sh` without the network: a small HTTP server in this process
//! serves made-up libtorch zips, and each test has a repository of its own in a temporary folder.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const VERSION: &str = "2.13.0";
const CPU_ZIP: &str = "/cpu/libtorch-shared-with-deps-2.13.0%2Bcpu.zip";
const CUDA_ZIP: &str = "/cu130/libtorch-shared-with-deps-2.13.0%2Bcu130.zip";

// --- a libtorch in miniature ---------------------------------------------------------------------

fn libtorch_files(version: &str, cuda: bool) -> Vec<(String, Vec<u8>)> {
    // Not a run of one byte: a download that is continued at the wrong place must not pass.
    let big: Vec<u8> = (0..200_000_u32)
        .map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[2])
        .collect();
    let mut files = vec![
        ("lib/libtorch.so".to_owned(), b"torch".to_vec()),
        ("lib/libtorch_cpu.so".to_owned(), big),
        ("lib/libc10.so".to_owned(), b"c10".to_vec()),
        ("include/ATen/ATen.h".to_owned(), b"// ATen".to_vec()),
        (
            "include/torch/csrc/api/include/torch/torch.h".to_owned(),
            b"// torch".to_vec(),
        ),
        (
            "build-version".to_owned(),
            format!("{version}\n").into_bytes(),
        ),
    ];
    if cuda {
        files.push(("lib/libtorch_cuda.so".to_owned(), b"cuda".to_vec()));
    }
    files
}

fn write_libtorch(folder: &Path, version: &str, cuda: bool) {
    for (name, data) in libtorch_files(version, cuda) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
}

fn libtorch_zip(version: &str, cuda: bool) -> Vec<u8> {
    let files = libtorch_files(version, cuda);
    stored_zip(
        files
            .iter()
            .map(|(name, data)| (format!("libtorch/{name}"), data.as_slice())),
    )
}

/// A zip without compression.
fn stored_zip<'a>(files: impl Iterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let (mut out, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for (name, data) in files {
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

/// Serves files, continues downloads (`Range`) and remembers what was asked for.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(files: Vec<(&'static str, Vec<u8>)>) -> Self {
        Self::stalling(files, usize::MAX)
    }

    /// Sends only so many bytes of a file, and then nothing until the client gives up.
    fn stalling(files: Vec<(&'static str, Vec<u8>)>, limit: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let files = Arc::new(files);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, seen) = (Arc::clone(&files), Arc::clone(&seen));
                // A client that hangs up early is part of the tests.
                thread::spawn(move || drop(answer(&stream, &files, &seen, limit)));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn downloads(&self) -> Vec<String> {
        self.requests()
            .into_iter()
            .filter(|request| request.starts_with("GET"))
            .collect()
    }
}

fn answer(
    mut stream: &TcpStream,
    files: &[(&'static str, Vec<u8>)],
    seen: &Mutex<Vec<String>>,
    limit: usize,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut words = first.split(' ');
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
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
    let (status, range) = match from {
        Some(_) => (
            "206 Partial Content",
            format!(
                "Content-Range: bytes {start}-{}/{}\r\n",
                data.len() - 1,
                data.len()
            ),
        ),
        None => ("200 OK", String::new()),
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

/// An address where nobody listens.
fn closed_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

// --- a repository --------------------------------------------------------------------------------

/// A temporary folder with the script in `scripts/` and a `uname` of its own; removed on drop.
struct Repository {
    root: PathBuf,
}

impl Repository {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("seqfit-fetch-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("scripts")).unwrap();
        fs::create_dir_all(root.join("bin")).unwrap();
        // The script prints the real path of what it made.
        let root = root.canonicalize().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch_libtorch.sh");
        fs::copy(script, root.join("scripts/fetch_libtorch.sh")).unwrap();
        let repository = Self { root };
        repository.uname("Linux", "x86_64");
        repository
    }

    fn uname(&self, system: &str, machine: &str) {
        let path = self.root.join("bin/uname");
        let text =
            format!("#!/bin/sh\ncase $1 in -m) echo {machine} ;; *) echo {system} ;; esac\n");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn target(&self) -> PathBuf {
        self.path("vendor/libtorch")
    }

    /// The script with zips from `address`, without the PyTorch wheel.
    fn script(&self, address: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap();
        command
            .arg(self.path("scripts/fetch_libtorch.sh"))
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("SEQFIT_LIBTORCH_URL", address)
            .env("SEQFIT_TORCH_INDEX", address)
            .env("SEQFIT_FETCH_NO_WHEEL", "1")
            .env("SEQFIT_FETCH_FREE_KB", "100000000")
            .env("no_proxy", "*")
            .stdin(Stdio::null());
        // cargo sets LIBTORCH for tests, too.
        for name in ["LIBTORCH", "SEQFIT_LIBTORCH_SHA256", "LD_LIBRARY_PATH"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, address: &str, arguments: &[&str]) -> Output {
        self.script(address, arguments).output().unwrap()
    }

    /// What lies in a folder, sorted; nothing if there is no such folder.
    fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn assert_complete(&self, cuda: bool) {
        for (name, data) in libtorch_files(VERSION, cuda) {
            let found = fs::read(self.target().join(&name)).unwrap_or_default();
            assert!(found == data, "{name} is not what the zip holds");
        }
        assert_eq!(self.target().join("lib/libtorch_cuda.so").exists(), cuda);
        assert_eq!(
            self.names("vendor"),
            ["libtorch"],
            "something was left behind"
        );
    }

    fn assert_nothing_left(&self) {
        assert_eq!(self.names("vendor"), [""; 0], "something was left behind");
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, says: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in says {
        assert!(text.contains(part), "'{part}' is not in:\n{text}");
    }
}

fn cpu_server() -> Server {
    Server::new(vec![(CPU_ZIP, libtorch_zip("2.13.0", false))])
}

// --- the tests -----------------------------------------------------------------------------------

#[test]
fn fetches_once_and_then_recognises() {
    let (repository, server) = (Repository::new(), cpu_server());
    let output = repository.run(&server.address, &[]);
    assert_ends(
        &output,
        0,
        &[
            "libtorch 2.13.0 (cpu) is in place",
            "next: cargo run --release -- train",
        ],
    );
    repository.assert_complete(false);
    assert_eq!(
        server.requests(),
        [format!("HEAD {CPU_ZIP}"), format!("GET {CPU_ZIP}")]
    );

    for arguments in [&[][..], &["--cpu"]] {
        let output = repository.run(&server.address, arguments);
        assert_ends(&output, 0, &["nothing to fetch", "is in place"]);
    }
    assert_eq!(
        server.requests().len(),
        2,
        "a complete folder needs no network"
    );
    repository.assert_complete(false);
}

#[test]
fn a_folder_of_ones_own_is_named_for_cargo() {
    let (repository, server) = (Repository::new(), cpu_server());
    let folder = repository.path("elsewhere/torch");
    let output = repository.run(&server.address, &["--dir", folder.to_str().unwrap()]);
    let next = format!("LIBTORCH={} cargo run", folder.display());
    assert_ends(&output, 0, &[&next]);
    assert!(folder.join("lib/libc10.so").exists());
    assert_eq!(repository.names("elsewhere"), ["torch"]);
    repository.assert_nothing_left();
}

#[test]
fn continues_a_partial_download() {
    let (repository, server) = (Repository::new(), cpu_server());
    let cache = repository.path("vendor/.fetch-libtorch");
    fs::create_dir_all(&cache).unwrap();
    let part = cache.join("libtorch-shared-with-deps-2.13.0%2Bcpu.zip.part");
    fs::write(&part, &libtorch_zip("2.13.0", false)[..50_000]).unwrap();
    assert_ends(
        &repository.run(&server.address, &[]),
        0,
        &["continuing", "is in place"],
    );
    assert_eq!(server.downloads(), [format!("GET {CPU_ZIP} from 50000")]);
    repository.assert_complete(false);
}

#[test]
fn starts_over_when_the_first_part_does_not_fit() {
    let (repository, server) = (Repository::new(), cpu_server());
    let cache = repository.path("vendor/.fetch-libtorch");
    fs::create_dir_all(&cache).unwrap();
    let part = cache.join("libtorch-shared-with-deps-2.13.0%2Bcpu.zip.part");
    fs::write(&part, vec![7; 50_000]).unwrap();
    assert_ends(
        &repository.run(&server.address, &[]),
        0,
        &["starting over", "is in place"],
    );
    let downloads = [
        format!("GET {CPU_ZIP} from 50000"),
        format!("GET {CPU_ZIP}"),
    ];
    assert_eq!(server.downloads(), downloads);
    repository.assert_complete(false);
}

#[test]
fn an_interrupted_run_leaves_only_what_helps_the_next() {
    let repository = Repository::new();
    let slow = Server::stalling(vec![(CPU_ZIP, libtorch_zip("2.13.0", false))], 60_000);
    let child = repository
        .script(&slow.address, &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let part =
        repository.path("vendor/.fetch-libtorch/libtorch-shared-with-deps-2.13.0%2Bcpu.zip.part");
    let start = Instant::now();
    while fs::metadata(&part).map_or(0, |data| data.len()) == 0 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the download does not start"
        );
        thread::sleep(Duration::from_millis(20));
    }
    let kill = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(kill.success());
    assert_ends(&child.wait_with_output().unwrap(), 143, &["interrupted"]);
    let kept = fs::metadata(&part).unwrap().len();
    assert!(kept > 0 && kept <= 60_000, "{kept} bytes kept");
    assert_eq!(repository.names("vendor"), [".fetch-libtorch"]);

    let server = cpu_server();
    assert_ends(
        &repository.run(&server.address, &[]),
        0,
        &["continuing", "is in place"],
    );
    assert_eq!(server.downloads(), [format!("GET {CPU_ZIP} from {kept}")]);
    repository.assert_complete(false);
}

#[test]
fn two_runs_at_once_fetch_once() {
    let (repository, server) = (Repository::new(), cpu_server());
    let start = || {
        let mut script = repository.script(&server.address, &[]);
        script
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children = [start(), start(), start()];
    for child in children {
        assert_ends(&child.wait_with_output().unwrap(), 0, &["is in place"]);
    }
    assert_eq!(server.downloads().len(), 1);
    repository.assert_complete(false);
}

#[test]
fn a_damaged_zip_is_an_error() {
    let mut zip = libtorch_zip("2.13.0", false);
    zip[100_000] ^= 1;
    let server = Server::new(vec![(CPU_ZIP, zip)]);
    let repository = Repository::new();
    assert_ends(
        &repository.run(&server.address, &[]),
        1,
        &["error", "damaged", "cure"],
    );
    repository.assert_nothing_left();
}

#[test]
fn a_page_in_place_of_a_zip_is_an_error() {
    let server = Server::new(vec![(CPU_ZIP, b"<html>please log in</html>".to_vec())]);
    let repository = Repository::new();
    assert_ends(&repository.run(&server.address, &[]), 1, &["not a zip"]);
    repository.assert_nothing_left();
}

#[test]
fn a_zip_of_another_version_is_an_error() {
    let server = Server::new(vec![(CPU_ZIP, libtorch_zip("2.12.1", false))]);
    let repository = Repository::new();
    assert_ends(
        &repository.run(&server.address, &[]),
        1,
        &["libtorch 2.12.1, not 2.13.0"],
    );
    repository.assert_nothing_left();
}

#[test]
fn an_incomplete_zip_is_an_error() {
    let files = libtorch_files("2.13.0", false);
    let zip = stored_zip(
        files
            .iter()
            .filter(|(name, _)| name != "lib/libc10.so")
            .map(|(name, data)| (format!("libtorch/{name}"), data.as_slice())),
    );
    let server = Server::new(vec![(CPU_ZIP, zip)]);
    let repository = Repository::new();
    assert_ends(
        &repository.run(&server.address, &[]),
        1,
        &["lib/libc10.so is missing"],
    );
    repository.assert_nothing_left();
}

#[test]
fn an_expected_digest_is_checked() {
    let (repository, server) = (Repository::new(), cpu_server());
    let wrong = "0".repeat(64);
    let output = repository
        .script(&server.address, &[])
        .env("SEQFIT_LIBTORCH_SHA256", &wrong)
        .output()
        .unwrap();
    assert_ends(&output, 1, &["SHA-256", &wrong]);
    repository.assert_nothing_left();
}

#[test]
fn replaces_another_version() {
    let (repository, server) = (Repository::new(), cpu_server());
    write_libtorch(&repository.target(), "2.12.0", false);
    fs::write(repository.target().join("lib/old.so"), "old").unwrap();
    assert_ends(
        &repository.run(&server.address, &[]),
        0,
        &["replacing", "2.12.0", "is in place"],
    );
    repository.assert_complete(false);
    assert!(
        !repository.target().join("lib/old.so").exists(),
        "old and new are mixed"
    );
}

#[test]
fn a_failed_replacement_keeps_what_was_there() {
    let repository = Repository::new();
    write_libtorch(&repository.target(), "2.12.0", false);
    assert_ends(
        &repository.run(&closed_address(), &[]),
        1,
        &["could not be fetched"],
    );
    assert_eq!(
        fs::read_to_string(repository.target().join("build-version")).unwrap(),
        "2.12.0\n"
    );
    assert_eq!(repository.names("vendor"), ["libtorch"]);
}

#[test]
fn switches_between_cpu_and_cuda() {
    let repository = Repository::new();
    let server = Server::new(vec![
        (CPU_ZIP, libtorch_zip("2.13.0", false)),
        (CUDA_ZIP, libtorch_zip("2.13.0", true)),
    ]);
    assert_ends(
        &repository.run(&server.address, &["--cuda"]),
        0,
        &["2.13.0 (cuda) is in place"],
    );
    repository.assert_complete(true);
    // Without a word about it, what is there is kept.
    assert_ends(
        &repository.run(&server.address, &[]),
        0,
        &["nothing to fetch", "(cuda)"],
    );
    assert_ends(
        &repository.run(&server.address, &["--cpu"]),
        0,
        &["replacing", "(cpu)"],
    );
    repository.assert_complete(false);
    assert_ends(
        &repository.run(&server.address, &["--cuda"]),
        0,
        &["replacing", "(cuda)"],
    );
    repository.assert_complete(true);
}

#[test]
fn a_folder_that_is_no_libtorch_is_not_replaced() {
    let (repository, server) = (Repository::new(), cpu_server());
    let folder = repository.path("notes");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("diary.txt"), "dear diary").unwrap();
    let output = repository.run(&server.address, &["--dir", folder.to_str().unwrap()]);
    assert_ends(&output, 1, &["is not a libtorch"]);
    assert_eq!(
        fs::read_to_string(folder.join("diary.txt")).unwrap(),
        "dear diary"
    );
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn the_former_folder_comes_back_after_a_kill_between_the_renames() {
    let repository = Repository::new();
    write_libtorch(
        &repository.path("vendor/.fetch-libtorch/old"),
        "2.13.0",
        false,
    );
    fs::create_dir_all(repository.path("vendor/.fetch-libtorch/stage/lib")).unwrap();
    let output = repository.run(&closed_address(), &[]);
    assert_ends(&output, 0, &["nothing to fetch"]);
    repository.assert_complete(false);
}

#[test]
fn a_good_libtorch_in_the_environment_is_used() {
    let (repository, server) = (Repository::new(), cpu_server());
    let own = repository.path("own");
    write_libtorch(&own, "2.13.0+cpu", false);
    let output = repository
        .script(&server.address, &[])
        .env("LIBTORCH", &own)
        .output()
        .unwrap();
    let place = format!("is in place: {}", own.display());
    assert_ends(&output, 0, &["LIBTORCH is set and will be used", &place]);
    assert_eq!(server.requests(), [""; 0]);
    assert!(!repository.path("vendor").exists());
}

#[test]
fn libtorch_may_name_the_target_itself() {
    let (repository, server) = (Repository::new(), cpu_server());
    for _ in 0..2 {
        let output = repository
            .script(&server.address, &[])
            .env("LIBTORCH", repository.target())
            .output()
            .unwrap();
        assert_ends(&output, 0, &["is in place"]);
        repository.assert_complete(false);
    }
    assert_eq!(server.downloads().len(), 1);
}

#[test]
fn a_wrong_libtorch_in_the_environment_is_an_error() {
    let (repository, server) = (Repository::new(), cpu_server());
    let own = repository.path("own");
    write_libtorch(&own, "2.11.0", false);
    let run = |libtorch: &str, arguments: &[&str]| {
        repository
            .script(&server.address, arguments)
            .env("LIBTORCH", libtorch)
            .output()
            .unwrap()
    };
    let own_path = own.to_str().unwrap();
    assert_ends(
        &run(own_path, &[]),
        1,
        &["2.11.0", "2.13.0", "unset LIBTORCH"],
    );
    assert_ends(&run("no/such/folder", &[]), 1, &["relative"]);
    assert_ends(
        &run("/no/such/folder", &[]),
        1,
        &["no such folder", "unset LIBTORCH"],
    );
    assert_ends(
        &run(own_path, &["--version", "2.11.0", "--cuda"]),
        1,
        &["CPU build"],
    );
    fs::remove_file(own.join("lib/libc10.so")).unwrap();
    assert_ends(
        &run(own_path, &["--version", "2.11.0"]),
        1,
        &["libc10.so is missing"],
    );
    assert_eq!(server.requests(), [""; 0]);
    assert!(!repository.path("vendor").exists());
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let (repository, server) = (Repository::new(), cpu_server());
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
        let output = repository.run(&server.address, arguments);
        assert_ends(&output, 2, &["fetch_libtorch: ", "--help"]);
    }
    assert_eq!(server.requests(), [""; 0]);
    assert!(!repository.path("vendor").exists());
    assert_ends(
        &repository.run(&server.address, &["--help"]),
        0,
        &["Usage:", "--python", "LIBTORCH"],
    );
}

#[test]
fn too_little_space_is_said_beforehand() {
    let (repository, server) = (Repository::new(), cpu_server());
    for (argument, needed) in [("--cpu", "1250 MB needed"), ("--cuda", "8000 MB needed")] {
        let mut script = repository.script(&server.address, &[argument]);
        let output = script
            .env("SEQFIT_FETCH_FREE_KB", "50000")
            .output()
            .unwrap();
        assert_ends(&output, 1, &["not enough disk space", needed, "50 MB free"]);
        repository.assert_nothing_left();
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn an_unreachable_server_is_an_error_with_a_cure() {
    let repository = Repository::new();
    let start = Instant::now();
    let output = repository.run(&closed_address(), &[]);
    assert_ends(
        &output,
        1,
        &[
            "could not be fetched",
            "curl",
            "cure: connect to the network",
            "LIBTORCH",
        ],
    );
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "took {:?}",
        start.elapsed()
    );
    repository.assert_nothing_left();
}

#[test]
fn a_missing_zip_is_an_error() {
    let (repository, server) = (Repository::new(), Server::new(Vec::new()));
    assert_ends(
        &repository.run(&server.address, &[]),
        1,
        &["could not be fetched", "404"],
    );
    repository.assert_nothing_left();
}

#[test]
fn other_platforms_are_refused() {
    let (repository, server) = (Repository::new(), cpu_server());
    for (system, machine) in [
        ("Linux", "riscv64"),
        ("Linux", "i686"),
        ("Darwin", "x86_64"),
        ("FreeBSD", "amd64"),
    ] {
        repository.uname(system, machine);
        assert_ends(
            &repository.run(&server.address, &[]),
            1,
            &[system, machine, "supported: Linux x86-64"],
        );
    }
    repository.uname("Linux", "aarch64");
    assert_ends(
        &repository.run(&server.address, &["--cuda"]),
        1,
        &["--cuda is for Linux x86-64"],
    );
    assert_ends(
        &repository.run(&server.address, &[]),
        1,
        &["not tested", "there is none for Linux on aarch64"],
    );
    assert_eq!(server.requests(), [""; 0]);
    repository.assert_nothing_left();
}

// --- the PyTorch wheel and .venv -----------------------------------------------------------------

/// Made-up wheels for pip. torch is shaped like the Linux wheel: a CUDA build whose CPU half needs
/// two of NVIDIA's libraries, which it names through `cuda-toolkit`.
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
"##;

/// A repository whose pip knows the made-up wheels and nothing else; none on a host without pip.
fn wheel_repository(spoil: Option<&str>) -> Option<Repository> {
    let pip = Command::new("python3")
        .args(["-m", "pip", "--version"])
        .output();
    if !pip.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 has no pip");
        return None;
    }
    let repository = Repository::new();
    let folder = repository.path("wheels");
    fs::create_dir_all(&folder).unwrap();
    let mut python = Command::new("python3");
    let output = python
        .args(["-c", WHEELS])
        .arg(&folder)
        .args(spoil)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    Some(repository)
}

impl Repository {
    fn run_with_wheels(&self, arguments: &[&str]) -> Output {
        self.script(&closed_address(), arguments)
            .env_remove("SEQFIT_FETCH_NO_WHEEL")
            .env("PIP_CONFIG_FILE", "/dev/null")
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", self.path("wheels"))
            .output()
            .unwrap()
    }
}

#[test]
fn falls_back_on_the_wheel() {
    let Some(repository) = wheel_repository(None) else {
        return;
    };
    let output = repository.run_with_wheels(&[]);
    assert_ends(
        &output,
        0,
        &[
            "official zip not usable (curl",
            "trying the PyTorch wheel",
            "(cpu) is in place",
        ],
    );
    let libraries = [
        "libc10.so",
        "libcudart.so.13",
        "libcupti.so.13",
        "libgomp.so.1",
        "libtorch.so",
        "libtorch_cpu.so",
    ];
    assert_eq!(repository.names("vendor/libtorch/lib"), libraries);
    let read = |name: &str| fs::read_to_string(repository.target().join(name)).unwrap();
    assert_eq!(read("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n");
    assert_eq!(read("build-version"), "2.13.0\n");
    assert_eq!(read("include/ATen/ATen.h"), "// ATen");
    assert_eq!(repository.names("vendor"), ["libtorch"]);
    assert_ends(&repository.run_with_wheels(&[]), 0, &["nothing to fetch"]);
}

#[test]
fn a_cuda_wheel_keeps_its_layout() {
    let Some(repository) = wheel_repository(None) else {
        return;
    };
    assert_ends(
        &repository.run_with_wheels(&["--cuda"]),
        0,
        &["(cuda) is in place"],
    );
    // As the RPATH of the libraries has it.
    for name in [
        "cu13/lib/libcublas.so.13",
        "cu13/lib/libcudart.so.13",
        "nccl/lib/libnccl.so.2",
    ] {
        let path = repository.target().join("lib/../../nvidia").join(name);
        assert!(path.exists(), "{}", path.display());
    }
    assert!(repository.target().join("include/ATen/ATen.h").exists());
    let version = fs::read_to_string(repository.target().join("build-version")).unwrap();
    assert_eq!(version, "2.13.0+cu130\n");
    assert_eq!(repository.names("vendor"), ["libtorch"]);
    assert_ends(
        &repository.run_with_wheels(&["--cuda"]),
        0,
        &["nothing to fetch"],
    );
}

#[test]
fn a_wheel_that_contradicts_its_record_is_an_error() {
    let Some(repository) = wheel_repository(Some("torch/lib/libtorch_cpu.so")) else {
        return;
    };
    let output = repository.run_with_wheels(&[]);
    assert_ends(
        &output,
        1,
        &[
            "torch/lib/libtorch_cpu.so is not what RECORD says",
            "could not be fetched",
        ],
    );
    repository.assert_nothing_left();
}

#[test]
fn a_wheel_that_pip_cannot_find_is_an_error() {
    let Some(repository) = wheel_repository(None) else {
        return;
    };
    let output = repository.run_with_wheels(&["--version", "9.9.9"]);
    assert_ends(&output, 1, &["could not be fetched", "torch==9.9.9"]);
    repository.assert_nothing_left();
}

#[test]
fn makes_the_python_environment_and_keeps_it() {
    let Some(repository) = wheel_repository(None) else {
        return;
    };
    let output = repository.run_with_wheels(&["--python"]);
    assert_ends(
        &output,
        0,
        &[
            "CPU index not reachable",
            "PyTorch 2.13.0 and numpy are in place",
        ],
    );
    let mark = repository.path(".venv/kept");
    fs::write(&mark, "").unwrap();
    let output = repository.run_with_wheels(&["--python"]);
    assert_ends(&output, 0, &["nothing to install"]);
    assert!(mark.exists());

    // What a killed run leaves is not taken for finished.
    fs::write(repository.path(".venv/.incomplete"), "").unwrap();
    let output = repository.run_with_wheels(&["--python"]);
    assert_ends(
        &output,
        0,
        &["an earlier run did not finish", "are in place"],
    );
    assert!(!mark.exists());
    assert!(!repository.path(".venv/.incomplete").exists());
    assert_eq!(repository.names("vendor"), ["libtorch"]);
}
