//! Tests that the four files are found where people and archives put them, and that missing ones are named.

use std::fs;
use std::path::Path;

use seqfit::data::{self, Request, StreamMemory, Verdict};

use super::{contents, nowhere, set};
use crate::common::{idx, listing, run, seqfit, succeed, write_stripes};

const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn loads_as_set(folder: &Path) {
    let expected = set();
    let (train, test) = data::load_dir(expected.path()).unwrap();
    let (a, b) = data::load_dir(folder).unwrap();
    assert_eq!((contents(&a), contents(&b)), (contents(&train), contents(&test)));
    let memory = StreamMemory::default();
    assert_eq!(data::stream_dir(folder, memory).unwrap().0.len(), train.len());
}

/// Kaggle's zip of MNIST has both, for each of the four files.
#[test]
fn folder_is_not_mistaken_for_the_file_beside_it() {
    let folder = set();
    for name in NAMES {
        let dotted = folder.path().join(name.replace("-idx", ".idx"));
        fs::rename(folder.path().join(name), &dotted).unwrap();
        let inner = folder.path().join(name);
        fs::create_dir(&inner).unwrap();
        fs::copy(&dotted, inner.join(name.replace("-idx", ".idx"))).unwrap();
    }
    loads_as_set(folder.path());
    for name in NAMES {
        fs::remove_file(folder.path().join(name.replace("-idx", ".idx"))).unwrap();
    }
    // Only the folders: the files are inside them.
    loads_as_set(folder.path());
    let reports = data::verify(&Request::Dir(folder.path().to_owned()), &nowhere()).unwrap();
    assert!(reports.iter().all(data::FileReport::is_right), "{reports:?}");
    let loaded = data::resolve(&Request::Dir(folder.path().into()), &nowhere(), &mut |_| {});
    let name = &loaded.unwrap().source.files[0].name;
    assert_eq!(name, "train-images-idx3-ubyte/train-images.idx3-ubyte");
}

#[test]
fn folder_with_test_files_only_is_reported_as_such() {
    let folder = set();
    let verdicts = || {
        let reports = data::verify(&Request::Dir(folder.path().to_owned()), &nowhere()).unwrap();
        reports.into_iter().map(|report| report.verdict).collect::<Vec<_>>()
    };
    fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
    assert_eq!(verdicts()[1], Verdict::Missing);
    fs::remove_file(folder.path().join("train-images-idx3-ubyte")).unwrap();
    assert_eq!(verdicts(), [Verdict::Usable, Verdict::Usable, Verdict::TestOnly]);
    // The files must still match.
    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), idx(&[1], &[1])).unwrap();
    assert!(matches!(verdicts()[..], [Verdict::Wrong(_), Verdict::Usable]), "{:?}", verdicts());
    for file in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        fs::remove_file(folder.path().join(file)).unwrap();
    }
    let error = data::verify(&Request::Dir(folder.path().to_owned()), &nowhere()).unwrap_err();
    assert!(error.to_string().contains("this one is empty"), "{error}");
}

#[test]
fn file_names_are_matched_in_any_case() {
    let folder = set();
    for name in NAMES {
        let upper = folder.path().join(name.to_uppercase());
        fs::rename(folder.path().join(name), upper).unwrap();
    }
    fs::write(folder.path().join("Classes.TXT"), "cat\ndog\n").unwrap();
    assert_eq!(data::load_dir(folder.path()).unwrap().0.classes(), ["cat", "dog"]);
}

#[test]
#[cfg(unix)]
fn links_to_files_are_followed_and_broken_ones_are_named() {
    use std::os::unix::fs::symlink;
    let (folder, files) = (tempfile::tempdir().unwrap(), set());
    for name in NAMES {
        symlink(files.path().join(name), folder.path().join(name)).unwrap();
    }
    loads_as_set(folder.path());
    fs::remove_file(files.path().join(NAMES[3])).unwrap();
    let error = data::load_dir(folder.path()).unwrap_err().to_string();
    assert!(error.contains(NAMES[3]) && error.contains("cannot be read"), "{error}");
    // A pipe is never opened.
    fs::remove_file(folder.path().join(NAMES[3])).unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join(NAMES[3])).status();
    assert!(made.unwrap().success());
    let error = data::load_dir(folder.path()).unwrap_err().to_string();
    assert!(error.contains(NAMES[3]) && error.contains("must be an ordinary file"), "{error}");
}

/// Covers torchvision's `MNIST/raw`, and the top-level folder of an archive.
#[test]
fn the_only_data_set_below_a_folder_is_used_and_named() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    write_stripes(&root.join("MNIST/raw"), 4, 4, 3);
    // The metadata that macOS adds to archives is not a data set.
    write_stripes(&root.join("__MACOSX/raw"), 4, 4, 3);
    let train = ["train", "-q", "--data-dir", "root", "--epochs", "1", "--out", "r"];
    let output = succeed(seqfit(home.path()).args(train));
    assert!(output.stderr.contains("note: the files in root/MNIST/raw are used"), "{output:#?}");
    succeed(seqfit(home.path()).args(["evaluate", "r"]));
    succeed(seqfit(home.path()).args(["evaluate", "r", "--data-dir", "root"]));
    succeed(seqfit(home.path()).args(["evaluate", "r", "--data-dir", "root", "--stream"]));
    succeed(seqfit(home.path()).args(["data", "verify", "root"]));
    // If there are two, the user must choose.
    write_stripes(&root.join("other"), 4, 4, 3);
    let error = data::load_dir(&root).unwrap_err().to_string();
    for part in
        ["needs train-images-idx3-ubyte", "root/MNIST/raw", "root/other and in ", "give that"]
    {
        assert!(error.contains(part), "{error}");
    }
    // A folder with some of the files is assumed to be the intended one, and the error names the cure.
    fs::copy(root.join("other").join(NAMES[0]), root.join(NAMES[0])).unwrap();
    fs::remove_dir_all(root.join("other")).unwrap();
    let error = data::load_dir(&root).unwrap_err().to_string();
    assert!(error.contains("needs train-labels") && error.contains("MNIST/raw: give"), "{error}");
}

#[test]
fn evaluation_needs_only_the_test_files() {
    let home = tempfile::tempdir().unwrap();
    let stdout_of = |arguments: &[&str]| succeed(seqfit(home.path()).args(arguments)).stdout;
    write_stripes(&home.path().join("all"), 4, 4, 3);
    stdout_of(&["train", "-q", "--data-dir", "all", "--epochs", "5", "--out", "r"]);
    let own = stdout_of(&["evaluate", "r", "--json"]);
    fs::create_dir(home.path().join("test")).unwrap();
    for name in &NAMES[2..] {
        fs::copy(home.path().join("all").join(name), home.path().join("test").join(name)).unwrap();
    }
    let alone = stdout_of(&["evaluate", "r", "--json", "--data-dir", "test"]);
    assert_eq!(alone.replace("\"test\"", "\"all\""), own);
    let streamed = stdout_of(&["evaluate", "r", "--json", "--data-dir", "test", "--stream"]);
    assert_eq!(streamed, alone);
    assert!(stdout_of(&["report", "r", "--data-dir", "test"]).starts_with("report: "));

    stdout_of(&["data", "shard", "--data-dir", "all", "--shards", "2", "--out", "shards"]);
    for name in listing(&home.path().join("shards")) {
        if name.starts_with("train-") {
            fs::remove_file(home.path().join("shards").join(name)).unwrap();
        }
    }
    let shards = stdout_of(&["evaluate", "r", "--json", "--data-dir", "shards", "--stream"]);
    assert_eq!(shards.replace("\"shards\"", "\"all\""), own);

    fs::create_dir(home.path().join("train")).unwrap();
    for name in &NAMES[..2] {
        fs::copy(home.path().join("all").join(name), home.path().join("train").join(name)).unwrap();
    }
    for command in [vec!["evaluate"], vec!["report"], vec!["evaluate", "--stream"]] {
        let command = [command, vec!["r", "--data-dir", "train"]].concat();
        let output = run(seqfit(home.path()).args(&command));
        assert_eq!(output.code, 1, "{output:#?}");
        assert!(output.stderr.contains("needs t10k-images-idx3-ubyte"), "{output:#?}");
    }
    // Training needs both parts.
    let output = run(seqfit(home.path()).args(["train", "--data-dir", "test", "--out", "n"]));
    assert!(output.code == 1 && output.stderr.contains("needs train-images"), "{output:#?}");
}

#[test]
fn known_data_set_is_recognized_by_its_test_files() {
    let Some(mnist) = crate::common::mnist() else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in listing(&mnist).iter().filter(|name| name.starts_with("t10k-")) {
        fs::copy(mnist.join(name), folder.path().join(name)).unwrap();
    }
    let request = Request::Dir(folder.path().to_owned());
    let found = data::resolve_test(&request, &nowhere(), &mut |_| {}).unwrap();
    assert_eq!((found.source.name.as_str(), found.test.len()), ("mnist", 10_000));
}
