//! Tests that the names of targets in arrays go from the command line or the file to everything that shows them.

use std::fs;
use std::path::Path;

use crate::common::numpy::{digits_options, npy, npy_of, npy_of_text, npz, write_digits};
use crate::common::{CommandOutput, run, seqfit, succeed};

/// Trains on the digits with these names, and returns the folder of the run `run`.
fn trained(kind: &str, names: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    let mut train = seqfit(home.path());
    train.args(["train", "-q", "--epochs", "3", "--out", "run"]).args(digits_options(kind));
    succeed(train.args(["--target-names", names]));
    home
}

fn of_run(home: &Path, command: &str, options: &[&str]) -> CommandOutput {
    succeed(seqfit(home).args([command, "run"]).args(options))
}

#[test]
fn names_from_the_command_line_are_shown_wherever_targets_are() {
    let classes = "zero,one,two,three,four,five,six,seven,eight,nine";
    for (kind, names, last) in [
        ("labels", "even, big,prime", "prime"),
        ("numbers", "value", "value"),
        ("class", classes, "nine"),
    ] {
        let home = trained(kind, names);
        let at = |name: &str| fs::read(home.path().join("run").join(name)).unwrap();
        let text = |name: &str| String::from_utf8_lossy(&at(name)).into_owned();
        assert!(text("config.toml").contains("target_names = ["), "{kind}");
        let shows = |output: &str| assert!(output.contains(last), "{kind}: {output}");
        shows(&of_run(home.path(), "evaluate", &[]).stdout);
        shows(&of_run(home.path(), "predict", &["digits.npz", "--json"]).stdout);
        of_run(home.path(), "report", &[]);
        let report = text("report.html");
        shows(&report);
        // The page of a table says nothing about pictures, and how the loss of scaled numbers is to be read.
        assert!(!report.contains("images"), "{kind}");
        let scaled = "of targets scaled to mean 0 and standard deviation 1";
        assert_eq!(report.contains(scaled), kind == "numbers", "{kind}");
        assert_eq!(report.contains("accurac"), kind != "numbers", "{kind}");
        // The model card in an export.
        shows(&text("model.pt"));
        // The names of the arrays do not change the weights.
        succeed(seqfit(home.path()).args(["train", "-q", "--resume", "run", "--epochs", "4"]));
        shows(&of_run(home.path(), "evaluate", &["--json"]).stdout);
    }
}

/// `LabelEncoder().fit_transform(y)` numbers the names in their sorted order.
#[test]
fn names_of_classes_as_text_train_as_their_numbers_do() {
    let home = tempfile::tempdir().unwrap();
    let x: Vec<f32> = (0..80).flat_map(|i| [(i % 2) as f32, (i % 5) as f32 / 5.0]).collect();
    let names = ["owl", "cat"];
    let text: Vec<&str> = (0..80).map(|i| names[i % 2]).collect();
    let numbers: Vec<u8> = (0..80).map(|i| 1 - (i % 2) as u8).collect();
    let arrays = |y: Vec<u8>| [("x_train", npy(&[80, 2], &x)), ("y_train", y)];
    npz(&home.path().join("text.npz"), &arrays(npy_of_text(&text)));
    npz(&home.path().join("numbers.npz"), &arrays(npy_of("|u1", &[80], &numbers)));
    let train = |data: &str| {
        let file = format!("{data}.npz");
        succeed(seqfit(home.path()).args(["train", "-q", "--data", &file, "--out", data]));
        fs::read(home.path().join(data).join("model.safetensors")).unwrap()
    };
    let header = |bytes: &[u8]| 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let (text, numbers) = (train("text"), train("numbers"));
    assert!(text[header(&text)..] == numbers[header(&numbers)..]);
    let shown = succeed(seqfit(home.path()).args(["evaluate", "text"])).stdout;
    assert!(shown.contains("cat ") && shown.contains("owl "), "{shown}");
    // Other data is matched by name.
    let one = [("x_test", npy(&[2, 2], &[0.0; 4])), ("y_test", npy_of_text(&["owl", "emu"]))];
    npz(&home.path().join("other.npz"), &one);
    let other = run(seqfit(home.path()).args(["evaluate", "text", "--data", "other.npz"]));
    assert!(other.code == 1 && other.stderr.contains("found emu"), "{other:?}");
}

#[test]
fn wrong_names_on_the_command_line_are_refused() {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    for (kind, names, words) in [
        ("labels", "even,big", "one name is needed for each of 3 labels, found 2 (even, big)"),
        ("labels", "even,even,big", "found \"even\" again in name 2"),
        ("labels", "even,,big", "names are separated by single commas"),
        ("class", "zero,one", "found 2 at sample"),
    ] {
        let mut train = seqfit(home.path());
        train.args(["train", "--out", "run"]).args(digits_options(kind));
        let output = run(train.args(["--target-names", names]));
        assert!(output.code != 0 && output.stderr.contains(words), "{words}: {output:?}");
        assert!(!home.path().join("run").exists());
    }
    let alone = run(seqfit(home.path()).args(["train", "--target-names", "a,b"]));
    assert!(alone.code == 2 && alone.stderr.contains("--data"), "{alone:?}");
}
