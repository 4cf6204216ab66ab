//! Tests that no option which names a file to write replaces data, a run's files, or a file of another kind.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::numpy::{npy, npz};
use crate::common::{CommandOutput, idx, run, seqfit, succeed};

/// Every option that writes a file of a name that the user gives, with `FILE` in its place.
const OUTPUTS: [&str; 10] = [
    "train --data waits.npz --epochs 1 --out new --csv FILE",
    "train --data waits.npz --epochs 1 --overfit 4 --csv FILE",
    "lr-find --data waits.npz --csv FILE",
    "lr-find --data waits.npz --plot FILE",
    "evaluate run --logits FILE",
    "evaluate run --predictions FILE",
    "predict run waits.npz --keys x=x_test --out FILE",
    "compare run copy --out FILE",
    "export run --out FILE",
    "data preview --dataset digits --out FILE",
];

fn execute(home: &Path, command: &str) -> CommandOutput {
    run(seqfit(home).args(command.split(' ')))
}

/// Returns a folder with a data set of arrays, in a file and in a folder of files, and a run that was trained on the
/// latter.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let values = |n: usize| (0..n).map(|i| i as f32 / 40.0 + 0.5).collect::<Vec<_>>();
    let arrays = [
        ("x_train", npy(&[40, 2], &values(80))),
        ("y_train", npy(&[40], &values(40))),
        ("x_test", npy(&[10, 2], &values(20))),
        ("y_test", npy(&[10], &values(10))),
    ];
    npz(&home.path().join("waits.npz"), &arrays);
    fs::create_dir(home.path().join("waits")).unwrap();
    for (name, bytes) in &arrays {
        fs::write(home.path().join(format!("waits/{name}.npy")), bytes).unwrap();
    }
    succeed(seqfit(home.path()).args(["train", "-q", "--data", "waits", "--out", "run"]));
    let copied = Command::new("cp").args(["-r", "run", "copy"]).current_dir(home.path()).status();
    assert!(copied.unwrap().success());
    home
}

#[test]
fn no_option_replaces_a_file_of_data() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    // The same contents in files that the command does not read, under names that each option takes.
    let npz = fs::read(at("waits.npz")).unwrap();
    let tensors = br#"{"x_train":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let length = (tensors.len() as u64).to_le_bytes();
    let data: [(&str, Vec<u8>); 6] = [
        ("npz", npz.clone()),
        ("idx", idx(&[1, 2, 2], &[0; 4])),
        ("csv", b"sepal,petal\n1,2\n".to_vec()),
        ("safetensors", [&length[..], &tensors[..], &[0; 4]].concat()),
        ("jpg", b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec()),
        ("gz", b"\x1f\x8b\x08\0".to_vec()),
    ];
    let before = fs::read_dir(home.path()).unwrap().count();
    for command in OUTPUTS {
        let ending = match command {
            command if command.starts_with("evaluate") => ".npy",
            command if command.starts_with("predict") => ".csv",
            command if command.contains("--plot") => ".svg",
            _ => "",
        };
        for (kind, bytes) in &data {
            let name = format!("other.{kind}{ending}");
            fs::write(at(&name), bytes).unwrap();
            let refused = execute(home.path(), &command.replace("FILE", &name));
            assert_eq!(refused.code, 2, "{command} {name}: {refused:#?}");
            let option = command.split(' ').rev().nth(1).unwrap();
            let words = format!("error: {option} writes ");
            assert!(refused.stderr.starts_with(&words), "{command} {name}: {}", refused.stderr);
            assert!(refused.stderr.contains("choose another name, or move it away"));
            assert_eq!(fs::read(at(&name)).unwrap(), *bytes, "{command} {name}");
            fs::remove_file(at(&name)).unwrap();
        }
        // The file that the command reads.
        let refused = execute(home.path(), &command.replace("FILE", "waits.npz"));
        assert_eq!(refused.code, 2, "{command}: {refused:#?}");
        assert_eq!(fs::read(at("waits.npz")).unwrap(), npz, "{command}");
        // A file of a run, whether the command reads it or not.
        for file in ["run/config.toml", "run/history.csv", "run/model.safetensors"] {
            let bytes = fs::read(at(file)).unwrap();
            let refused = execute(home.path(), &command.replace("FILE", file));
            // Those whose name does not end as the option requires are refused for that.
            let is_usage = command.contains("--plot") || command.starts_with("predict");
            assert!(
                refused.code == 1 || refused.code == 2 && is_usage,
                "{command} {file}: {refused:#?}"
            );
            assert_eq!(fs::read(at(file)).unwrap(), bytes, "{command} {file}");
        }
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), before, "nothing was made");
}

#[test]
fn an_array_of_the_data_that_is_read_is_not_replaced_by_predictions() {
    let home = home();
    let x = fs::read(home.path().join("waits/x_test.npy")).unwrap();
    for command in [
        "evaluate run --predictions waits/x_test.npy",
        "evaluate run --data waits --logits ./waits/../waits/x_test.npy",
    ] {
        let refused = execute(home.path(), command);
        assert_eq!(refused.code, 2, "{refused:#?}");
        assert!(refused.stderr.contains("a file of the data that is read"), "{refused:#?}");
        assert_eq!(fs::read(home.path().join("waits/x_test.npy")).unwrap(), x);
    }
}

#[test]
fn an_option_replaces_what_it_wrote() {
    let home = home();
    for command in OUTPUTS {
        let name = if command.contains("--plot") { "again.svg" } else { "again.npy" };
        let command = command.replace("FILE", name);
        let command = command.replace("--out new", "--out new --force");
        for _ in 0..2 {
            let done = execute(home.path(), &command);
            // Numbers that two samples of two columns give may not be memorized.
            let is_trial = command.contains("--overfit");
            assert!(done.code == 0 || is_trial && done.code == 1, "{command}: {done:#?}");
            assert!(!done.stderr.contains("move it away"), "{command}: {done:#?}");
        }
        fs::remove_file(home.path().join(name)).unwrap();
    }
    // An export of any format is one.
    let formats = ["torchscript", "pt2", "state-dict", "safetensors", "onnx", "keras"];
    for format in formats.iter().chain(&formats).chain(formats.iter().rev()) {
        let command = format!("export run --format {format} --out model.weights.h5");
        assert_eq!(execute(home.path(), &command).code, 0, "{format}");
    }
    for _ in 0..2 {
        succeed(seqfit(home.path()).args(["export", "run", "--half", "--out", "half.pt"]));
        fs::create_dir_all(home.path().join("man")).unwrap();
        succeed(seqfit(home.path()).args(["man", "--out", "man"]));
    }
    fs::write(home.path().join("man/seqfit-train.1"), "notes").unwrap();
    let refused = execute(home.path(), "man --out man");
    assert!(refused.code == 2 && refused.stderr.contains("a page of the manual"), "{refused:#?}");
    // Also with the preparation of pictures in the network.
    succeed(seqfit(home.path()).args("train -q --dataset digits --epochs 1 --out p".split(' ')));
    for format in ["torchscript", "pt2", "onnx"].iter().flat_map(|format| [format; 2]) {
        let command = format!("export p --with preprocessing --format {format} --out prepared");
        assert_eq!(execute(home.path(), &command).code, 0, "{format}");
    }
}

#[test]
fn outputs_of_one_command_are_different_files_and_a_folder_for_events_is_one() {
    let home = home();
    let refused = execute(home.path(), "lr-find --dataset digits --csv a.svg --plot ./a.svg");
    assert!(refused.code == 2 && refused.stderr.contains("give two names"), "{refused:#?}");
    let refused = execute(home.path(), "train --data waits.npz --out r --tensorboard waits.npz");
    assert!(refused.code == 2 && refused.stderr.contains("--tensorboard"), "{refused:#?}");
    fs::create_dir(home.path().join("seeds")).unwrap();
    fs::write(home.path().join("seeds/seeds.json"), "{\"tomato\": 3}").unwrap();
    let refused = execute(home.path(), "train --data waits.npz --seeds 2 --out seeds");
    assert!(refused.code == 2 && refused.stderr.contains("seeds.json exists"), "{refused:#?}");
    assert!(!home.path().join("a.svg").exists() && !home.path().join("r").exists());
}

#[test]
fn a_file_that_would_be_read_with_the_data_is_refused() {
    let home = home();
    let refused = |command: &str| {
        let output = execute(home.path(), command);
        let rule =
            "would replace waits/x_new.npy, a file of the data that is read, or be read with it";
        assert!(output.code == 2 && output.stderr.contains(rule), "{command}: {output:#?}");
        assert!(!home.path().join("waits/x_new.npy").exists());
    };
    refused("evaluate run --logits waits/x_new.npy");
    refused("predict run waits/x_test.npy --out waits/x_new.npy");
    // The data of the run is protected from predictions for other samples.
    let before = fs::read(home.path().join("waits/y_train.npy")).unwrap();
    let output =
        execute(home.path(), "predict run waits.npz --keys x=x_test --out waits/y_train.npy");
    assert!(output.code == 2 && output.stderr.contains("waits/y_train.npy"), "{output:#?}");
    assert_eq!(fs::read(home.path().join("waits/y_train.npy")).unwrap(), before);

    // In a folder of pictures everything is read.
    for class in ["cat", "dog"] {
        fs::create_dir_all(home.path().join("pets").join(class)).unwrap();
        for i in 0..6u8 {
            let gray = |x: u32, y: u32| image::Luma([(x * 9 + y * 5) as u8 + i]);
            let picture = image::GrayImage::from_fn(12, 12, gray);
            picture.save(home.path().join(format!("pets/{class}/{i}.png"))).unwrap();
        }
    }
    let picture = fs::read(home.path().join("pets/cat/0.png")).unwrap();
    for command in [
        "lr-find --data-dir pets --prepare resize --plot pets/cat/0.png",
        "data preview --data-dir pets --out pets/cat/0.png",
        "data preview --data-dir pets --out pets/sheet.png",
        "train --data-dir pets --prepare resize --epochs 1 --out pets/run",
    ] {
        let output = execute(home.path(), command);
        assert!(
            output.code == 2 && output.stderr.contains("that is read"),
            "{command}: {output:#?}"
        );
        assert_eq!(fs::read_dir(home.path().join("pets")).unwrap().count(), 2, "{command}");
        assert_eq!(fs::read(home.path().join("pets/cat/0.png")).unwrap(), picture);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work() {
    let home = home();
    let before = fs::read_dir(home.path()).unwrap().count();
    for command in OUTPUTS {
        for (name, rule) in [
            ("missing/", "its folder does not exist"),
            ("waits.npz/", "part of its path is not a folder"),
        ] {
            let end = match command {
                command if command.contains("--plot") => "a.svg",
                _ => "a.npy",
            };
            let command = command.replace("FILE", &format!("{name}{end}"));
            let refused = execute(home.path(), &command);
            assert_eq!(refused.code, 1, "{command}: {refused:#?}");
            let start = format!("error: {name}{end} cannot be written: {rule}");
            assert!(refused.stderr.starts_with(&start), "{command}: {refused:#?}");
        }
    }
    // The first output is not written if the second cannot be.
    for command in [
        "lr-find --data waits.npz --csv a.csv --plot missing/a.svg",
        "evaluate run --predictions a.npy --logits missing/b.npy",
        "man --out missing",
    ] {
        let refused = execute(home.path(), command);
        assert!(refused.code == 1 && refused.stderr.starts_with("error: missing"), "{refused:#?}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), before, "nothing was made");
}
