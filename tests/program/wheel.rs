//! Tests that the Python wheel installs beside PyTorch, finds its libtorch without `LD_LIBRARY_PATH` from any folder,
//! and that the package in it does what `python/tests` demands.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{self, readme_lines, succeed};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Returns the folder of a Python's packages.
fn packages(python: &Path) -> PathBuf {
    let code = "import sysconfig; print(sysconfig.get_path('platlib'))";
    let output = succeed(Command::new(python).args(["-c", code]));
    PathBuf::from(output.stdout.trim())
}

/// Creates a virtual environment that has the packages of `python` as links, which saves installing PyTorch again,
/// and returns its programs.
fn environment(python: &Path, folder: &Path) -> PathBuf {
    succeed(Command::new(python).args(["-m", "venv", "--without-pip"]).arg(folder));
    let programs = folder.join("bin");
    let own = packages(&programs.join("python"));
    for entry in fs::read_dir(packages(python)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let is_of_pip = name.to_string_lossy().starts_with("pip");
        if !is_of_pip && name != "__pycache__" {
            symlink(entry.path(), own.join(name)).unwrap();
        }
    }
    // The pip of `python`, for the new environment.
    let [own_python, pip] = ["python", "pip"].map(|name| programs.join(name));
    let (from, into) = (python.display(), own_python.display());
    let script = format!(
        "#!/bin/sh\nexec '{from}' -m pip --disable-pip-version-check --python '{into}' \"$@\"\n"
    );
    fs::write(&pip, script).unwrap();
    fs::set_permissions(&pip, fs::Permissions::from_mode(0o755)).unwrap();
    programs
}

/// Returns a `PATH` with these programs first.
fn path(programs: &Path) -> String {
    format!("{}:/usr/bin:/bin", programs.display())
}

/// Returns the wheel, built from the program under test.
fn build(folder: &Path) -> PathBuf {
    let script = Path::new(ROOT).join("scripts/build_wheel.sh");
    let program = env!("CARGO_BIN_EXE_seqfit");
    let output = succeed(Command::new(script).args(["--program", program, "--out"]).arg(folder));
    PathBuf::from(output.stdout.trim())
}

#[test]
fn wheel_installs_beside_pytorch_and_passes_its_tests() {
    let needed = ["torch", "sklearn", "pandas", "pytest", "mypy", "setuptools"];
    let Some(python) = common::python_with(&needed) else { return };
    let folder = tempfile::tempdir().unwrap();
    let wheel = build(&folder.path().join("target/wheels"));
    let size = fs::metadata(&wheel).unwrap().len();
    assert!(size < 25_000_000, "{size} bytes");
    let programs = environment(&python, &folder.path().join("venv"));
    let own_python = programs.join("python");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let command = |program: &Path| {
        let mut command = Command::new(program);
        command.current_dir(&empty).env_remove("LD_LIBRARY_PATH").env_remove("LIBTORCH");
        command.env_remove("PYTHONPATH").env("SEQFIT_CACHE", folder.path().join("cache"));
        command
    };
    // Word for word what the README says, in the folder that has the wheel, and in an empty one.
    let [install, train] = &readme_lines("**With Python**")[..] else { panic!("two lines") };
    let mut typed = command(Path::new("bash"));
    typed.args(["-c", install]).current_dir(folder.path()).env("PATH", path(&programs));
    // Without an index: what the wheel requires is there, in the versions that it requires.
    succeed(typed.env("PIP_NO_INDEX", "1"));
    succeed(command(Path::new("bash")).args(["-c", train]).env("PATH", path(&programs)));
    let seqfit = programs.join("seqfit");
    let version = succeed(command(&seqfit).arg("--version")).stdout;
    assert_eq!(version.trim(), concat!("seqfit ", env!("CARGO_PKG_VERSION")));
    // The program itself, which is started without Python, finds PyTorch's libtorch too, and not that of the build.
    let program = packages(&own_python).join("seqfit/bin/seqfit");
    let torch = packages(&python).join("torch/lib").canonicalize().unwrap();
    for program in [&seqfit, &program] {
        let report = common::run(command(program).args(["doctor", "--json"]));
        assert!(report.stdout.contains(torch.to_str().unwrap()), "{report:#?}");
    }
    let run = &common::listing(&empty.join("runs"))[0];
    let code =
        format!("import seqfit; print(seqfit.__version__, seqfit.load('runs/{run}').classes)");
    let loaded = succeed(command(&own_python).args(["-c", &code])).stdout;
    let names: Vec<String> = (0..10).map(|digit| format!("'{digit}'")).collect();
    assert_eq!(loaded.trim(), format!("{} [{}]", env!("CARGO_PKG_VERSION"), names.join(", ")));

    let tests = Path::new(ROOT).join("python/tests");
    let mut pytest = command(&own_python);
    pytest.args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", "--tb=short", "--rootdir"]);
    pytest.arg(&empty).arg(tests).env("PYTHONDONTWRITEBYTECODE", "1");
    let mut types = command(&own_python);
    let settings = Path::new(ROOT).join("python/pyproject.toml");
    types.args(["-m", "mypy", "--config-file"]).arg(settings);
    // Each takes one processor.
    std::thread::scope(|scope| {
        scope.spawn(|| succeed(&mut types));
        succeed(&mut pytest);
    });
}
