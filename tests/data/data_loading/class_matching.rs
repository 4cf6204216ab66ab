//! Tests that the classes of two data sets are matched by name, and by index only if there are no names.

use std::fs;
use std::path::Path;

use seqfit::data::{self, ClassMapping, ClassNames, DataError, Dataset, Request};

use super::nowhere;
use crate::common::{CommandOutput, idx, run, seqfit, succeed};

/// Writes 3x3 images in which the lit row is the index of the class in cat, dog, ox; labels index `names`.
fn write(folder: &Path, names: &[&str], numbered: bool) {
    let all = ["cat", "dog", "ox", "bird"];
    fs::create_dir_all(folder).unwrap();
    for (part, count) in [("train", 60), ("t10k", 30)] {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for i in 0..count {
            let label = i % names.len();
            let row = all.iter().position(|name| *name == names[label]).unwrap();
            pixels.extend((0..12).map(|at| if at / 3 == row { 200 + (i % 50) as u8 } else { 9 }));
            labels.push(label as u8);
        }
        let file = |what: &str, bytes| fs::write(folder.join(format!("{part}-{what}")), bytes);
        file("images-idx3-ubyte", idx(&[count as u32, 4, 3], &pixels)).unwrap();
        file("labels-idx1-ubyte", idx(&[count as u32], &labels)).unwrap();
    }
    if !numbered {
        fs::write(folder.join("classes.txt"), names.join("\n")).unwrap();
    }
}

struct Home(tempfile::TempDir);

impl Home {
    /// Trains a run `r` that predicts cat, dog and ox with 100 % accuracy.
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write("a", &["cat", "dog", "ox"], false);
        home.execute("train -q --data-dir a --epochs 60 --out r");
        home
    }

    fn write(&self, folder: &str, names: &[&str], numbered: bool) {
        write(&self.0.path().join(folder), names, numbered);
    }

    fn execute(&self, command: &str) -> CommandOutput {
        succeed(seqfit(self.0.path()).args(command.split(' ')))
    }

    fn refused(&self, command: &str) -> String {
        let output = run(seqfit(self.0.path()).args(command.split(' ')));
        assert_eq!(output.code, 1, "{output:#?}");
        output.stderr
    }

    fn evaluated(&self, more: &str) -> (serde_json::Value, String) {
        let output = self.execute(&format!("evaluate r --json {more}"));
        (serde_json::from_str(&output.stdout).unwrap(), output.stderr)
    }
}

#[test]
fn class_names_are_matched_by_name() {
    let home = Home::new();
    let (own, _) = home.evaluated("--data-dir a");
    assert_eq!(own["accuracy"], 1.0);
    home.write("b", &["ox", "cat", "dog"], false);
    for more in ["--data-dir b", "--data-dir b --stream"] {
        let (other, stderr) = home.evaluated(more);
        assert_eq!(other["accuracy"], 1.0, "{stderr}");
        // The matrix and the metrics keep the order of the run.
        for key in ["confusion", "classes"] {
            assert_eq!(other[key], own[key]);
        }
        assert!(stderr.contains("(ox, cat, dog) are matched by name"), "{stderr}");
    }
    let page = home.0.path().join("r/report.html");
    home.execute("report r --data-dir b");
    let text = fs::read_to_string(page).unwrap();
    assert!(text.contains("b: 100.00 % accuracy"), "the report counts them right");
}

#[test]
fn a_subset_of_the_classes_is_enough() {
    let home = Home::new();
    home.write("few", &["ox", "cat"], false);
    let (few, _) = home.evaluated("--data-dir few");
    assert_eq!((&few["accuracy"], &few["samples"]), (&1.0.into(), &30.into()));
    assert_eq!(few["confusion"], serde_json::json!([[15, 0, 0], [0, 0, 0], [0, 0, 15]]));
    let names: Vec<_> = few["classes"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["cat", "dog", "ox"]);
    // A class named in classes.txt, without images.
    fs::write(home.0.path().join("few/classes.txt"), "ox\ncat\nbird\n").unwrap();
    assert_eq!(home.evaluated("--data-dir few").0["accuracy"], 1.0);
}

#[test]
fn class_that_the_network_lacks_is_an_error() {
    let home = Home::new();
    home.write("more", &["dog", "bird", "cat"], false);
    home.write("other", &["bird", "dog"], false);
    fs::write(home.0.path().join("other/classes.txt"), "x\ny\n").unwrap();
    for command in ["evaluate r", "report r", "train -q --init-from r --out n"] {
        let error = home.refused(&format!("{command} --data-dir more"));
        for part in ["found bird:", "network's are cat, dog, ox", "the data's dog, bird, cat"] {
            assert!(error.contains(part), "{command}: {error}");
        }
        let error = home.refused(&format!("{command} --data-dir other"));
        assert!(error.contains("found x, y (no class in common)"), "{command}: {error}");
    }
    assert!(!home.0.path().join("n").exists());
}

#[test]
fn labels_without_names_are_matched_by_index() {
    let home = Home::new();
    home.write("plain", &["cat", "dog", "ox"], true);
    let (plain, stderr) = home.evaluated("--data-dir plain");
    assert_eq!(plain["accuracy"], 1.0);
    assert!(
        stderr.contains("does not name its classes") && stderr.contains("cat, dog, ox"),
        "{stderr}"
    );
    home.write("four", &["cat", "dog", "ox", "bird"], true);
    let error = home.refused("evaluate r --data-dir four");
    assert!(error.contains("found 4 in the data (0, 1, 2, 3) and 3 in the network"), "{error}");
    // And in the other direction.
    home.execute("train -q --data-dir plain --epochs 60 --out unnamed");
    let output = home.execute("evaluate unnamed --data-dir a");
    assert!(output.stdout.contains("accuracy 100.00 %"), "{output:#?}");
    assert!(output.stderr.contains("the network's classes have no names"), "{output:#?}");
    home.write("few", &["cat", "ox"], false);
    let error = home.refused("evaluate unnamed --data-dir few");
    assert!(error.contains("found 2 in the data (cat, ox) and 3 in the network"), "{error}");
}

#[test]
fn init_from_keeps_the_order_of_the_classes_of_the_run() {
    let home = Home::new();
    home.write("b", &["ox", "cat", "dog"], false);
    home.execute("train -q --init-from r --data-dir b --epochs 1 --learning-rate 1e-9 --out n");
    let output = home.execute("evaluate n");
    assert!(output.stdout.contains("accuracy 100.00 %"), "{output:#?}");
    let config = fs::read_to_string(home.0.path().join("n/config.toml")).unwrap();
    assert!(config.contains("classes = [\"cat\", \"dog\", \"ox\"]"), "{config}");
    // It can also be resumed.
    home.execute("train -q --resume n --epochs 2 --data-dir b --learning-rate 1e-9");
    assert!(home.execute("evaluate n --data-dir a").stdout.contains("accuracy 100.00 %"));
}

#[test]
fn digits_are_class_names_in_known_data_sets() {
    let digits = data::resolve(&Request::Named(data::DatasetName::Digits), &nowhere(), &mut |_| {});
    let digits = digits.unwrap();
    let names: Vec<String> = ('a'..='j').map(String::from).collect();
    let found = digits.clone().for_network(ClassNames::new(&names, None));
    assert!(matches!(found, Err(DataError::Classes(_))), "{found:?}");
    let numbers: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    let same = digits.clone().for_network(ClassNames::new(&numbers, None)).unwrap();
    assert_eq!((same.notes.len(), same.test.label(7)), (0, digits.test.label(7)));
}

#[test]
fn numbers_in_another_order_are_matched_by_name() {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (network, data, expected) in [
        (&["0", "1", "2"][..], &["2", "1", "0"][..], &[2, 1, 0][..]),
        (&["2", "1", "0"], &["0", "1", "2"], &[2, 1, 0]),
        (&["0", "1", "2", "3"], &["3", "1"], &[3, 1]),
    ] {
        let (network, data) = (names(network), names(data));
        let labels: Vec<u8> = (0..data.len() as u8).collect();
        let [own, other] = [&network, &data].map(|names| ClassNames::new(names, None));
        let mapping = ClassMapping::new(own, other, &vec![1; data.len()]).unwrap();
        assert!(mapping.note().unwrap().contains("matched by name"), "{:?}", mapping.note());
        let data = Dataset::new(labels.clone(), [1, 1], labels, data).unwrap();
        let matched = mapping.apply(&data);
        let found: Vec<usize> = (0..expected.len()).map(|i| matched.label(i).into()).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn names_that_look_the_same_are_equal() {
    let names = |names: [&str; 2]| names.map(ToString::to_string).to_vec();
    let network = names(["caf\u{e9}", "ice cream"]);
    let data = names(["ice\u{a0}cream", "cafe\u{301}"]);
    let [network_names, data_names] = [&network, &data].map(|names| ClassNames::new(names, None));
    let mapping = ClassMapping::new(network_names, data_names, &[1, 1]).unwrap();
    let data = Dataset::new(vec![0, 1], [1, 1], vec![0, 1], data).unwrap();
    let matched = mapping.apply(&data);
    assert_eq!((matched.label(0), matched.label(1), matched.classes()), (1, 0, &network[..]));
    assert_eq!(matched.image(1), data.image(1));
}
