//! Tests common forms of labels and names: from 1, with gaps, in files from any editor.

use std::fs;
use std::path::Path;

use seqfit::data::{self, Request, StreamMemory};

use super::nowhere;
use crate::common::idx;

/// Writes single-pixel images with these labels; the last ones are the test labels.
fn write(folder: &Path, train: &[u8], test: &[u8]) {
    for (part, labels) in [("train", train), ("t10k", test)] {
        let file = |what: &str, bytes| fs::write(folder.join(format!("{part}-{what}")), bytes);
        file("images-idx3-ubyte", idx(&[labels.len() as u32, 1, 1], labels)).unwrap();
        file("labels-idx1-ubyte", idx(&[labels.len() as u32], labels)).unwrap();
    }
}

/// Returns classes, training labels and notes, which must be the same for data in memory and streamed data.
fn loaded(folder: &Path) -> (Vec<String>, Vec<u8>, Vec<String>) {
    let request = Request::Dir(folder.to_owned());
    let held = data::resolve(&request, &nowhere(), &mut |_| {}).unwrap();
    let streamed = data::stream(&request, &nowhere(), StreamMemory::default()).unwrap();
    let [a, b] = [held, streamed].map(|loaded| {
        let train = &loaded.train;
        let labels = (0..train.len()).map(|i| train.label(i)).collect::<Vec<_>>();
        (train.classes().to_vec(), labels, loaded.notes)
    });
    assert_eq!(a, b);
    a
}

/// EMNIST's letters have such labels.
#[test]
fn labels_starting_at_1_give_no_empty_class() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[1, 2, 3, 3], &[2]);
    let (classes, labels, notes) = loaded(folder.path());
    assert_eq!((classes, labels), (vec!["1".into(), "2".into(), "3".into()], vec![0, 1, 2, 2]));
    assert_eq!(notes, [""; 0]);
    fs::write(folder.path().join("classes.txt"), "a\nb\nc\n").unwrap();
    let (classes, labels, notes) = loaded(folder.path());
    assert_eq!((classes, labels), (vec!["a".into(), "b".into(), "c".into()], vec![0, 1, 2, 2]));
    assert!(notes[0].contains("the labels run from 1 to 3"), "{notes:?}");
    // Loaded alone, the test files have the same numbers as with the training labels beside them.
    let request = Request::Dir(folder.path().to_owned());
    let test = data::resolve_test(&request, &nowhere(), &mut |_| {}).unwrap();
    assert_eq!((test.test.label(0), &test.test.classes()[1]), (1, &"b".to_owned()));
    let memory = StreamMemory::default();
    let streamed = data::stream_test(&request, &nowhere(), memory).unwrap();
    assert_eq!((streamed.test.label(0), streamed.notes), (1, test.notes));
    // A missing name is still an error.
    fs::write(folder.path().join("classes.txt"), "a\nb\n").unwrap();
    let error = data::load_dir(folder.path()).unwrap_err().to_string();
    assert!(error.contains("found 2 at sample 1"), "{error}");
}

#[test]
fn labels_that_never_occur_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[0, 1, 4], &[0]);
    let (classes, _, notes) = loaded(folder.path());
    assert_eq!(classes.len(), 5);
    assert_eq!(notes, ["no image has label 2, 3: each is a class without images"]);
}

/// Labels without 0 and without the last class may count from 0 or from 1.
#[test]
fn the_reading_of_labels_that_lack_a_class_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[1, 2], &[1, 2, 1]);
    fs::write(folder.path().join("classes.txt"), "cat\ndog\nox\n").unwrap();
    let reading = "no image has label 0 (cat): it is a class without images; labels are read as counted from 0, so \
                   1 is dog: if these count from 1, subtract 1 from each";
    assert_eq!(loaded(folder.path()).2, [reading]);
    fs::remove_file(folder.path().join("train-images-idx3-ubyte")).unwrap();
    fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
    let request = Request::Dir(folder.path().to_owned());
    let test = data::resolve_test(&request, &nowhere(), &mut |_| {}).unwrap();
    let streamed = data::stream_test(&request, &nowhere(), StreamMemory::default()).unwrap();
    assert_eq!([&test.notes, &streamed.notes], [&vec![reading.to_owned()]; 2]);
}

#[test]
fn test_labels_that_no_training_image_has_are_noted() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[1, 2, 3], &[0, 1, 2]);
    let (classes, labels, notes) = loaded(folder.path());
    assert_eq!((classes.len(), labels), (4, vec![1, 2, 3]));
    assert!(notes[0].starts_with("no training image has label 0, which test images"), "{notes:?}");
    assert!(notes[0].contains("if one part counts from 1, subtract 1 there"), "{notes:?}");
    let request = Request::Dir(folder.path().to_owned());
    let test = data::resolve_test(&request, &nowhere(), &mut |_| {}).unwrap();
    assert_eq!(test.notes, notes);
}

#[test]
fn test_images_of_one_class_can_be_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[1], &[1, 1]);
    fs::remove_file(folder.path().join("train-images-idx3-ubyte")).unwrap();
    fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
    let request = Request::Dir(folder.path().to_owned());
    let test = data::resolve_test(&request, &nowhere(), &mut |_| {}).unwrap().test;
    assert_eq!((test.classes()[usize::from(test.label(0))].as_str(), test.len()), ("1", 2));
}

#[test]
fn class_names_are_read_from_files_of_any_editor() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[0, 1], &[0]);
    let utf_16: Vec<u8> =
        "\u{feff}cat\r\nd\u{f6}g\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [
        "cat\nd\u{f6}g".as_bytes(),
        "\u{feff}cat\r\nd\u{f6}g\r\n\r\n\r\n".as_bytes(),
        "cat\rd\u{f6}g\r".as_bytes(),
        "  cat\t\nd\u{f6}g \n \n\n".as_bytes(),
        &utf_16,
    ] {
        fs::write(folder.path().join("classes.txt"), bytes).unwrap();
        assert_eq!(loaded(folder.path()).0, ["cat", "d\u{f6}g"]);
    }
    for (bytes, shown) in [
        ("caf\u{e9}\ncafe\u{301}\n", "\"caf\\u{e9}\" and \"cafe\\u{301}\""),
        ("a b\na\u{a0}b\n", "\"a b\" and \"a\\u{a0}b\""),
    ] {
        fs::write(folder.path().join("classes.txt"), bytes).unwrap();
        let error = data::load_dir(folder.path()).unwrap_err().to_string();
        assert!(error.contains(shown), "{error}");
    }
}
