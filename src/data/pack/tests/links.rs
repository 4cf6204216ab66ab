//! Tests links between folders.
#![cfg(unix)]

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn links_between_folders_end_and_are_named() {
    let made = folder(&[("a", A), ("b", B), ("elsewhere", A)], 4);
    let other = tempfile::tempdir().unwrap();
    fs::rename(made.path().join("elsewhere"), other.path().join("more")).unwrap();
    symlink(made.path(), made.path().join("a/up")).unwrap();
    symlink(made.path().join("b"), made.path().join("a/b")).unwrap();
    symlink(other.path().join("more"), made.path().join("a/more")).unwrap();
    symlink(other.path().join("more"), made.path().join("a/twice")).unwrap();
    let packed = pack(made.path()).unwrap();
    assert_eq!(packed.images(), 12);
    assert_eq!(packed.notes.len(), 1, "{:?}", packed.notes);
    assert!(packed.notes[0].starts_with("3 folders were left out: read already"));
}

#[test]
fn two_classes_that_are_one_folder_are_refused() {
    let made = folder(&[("a", A), ("b", B)], 2);
    symlink("a", made.path().join("c")).unwrap();
    let error = refusal(made.path());
    let (path, other) = (made.path().join("c"), made.path().join("a"));
    assert!(error.starts_with(&format!("{}: each class of each", path.display())), "{error}");
    assert!(error.contains(&format!("found the same folder in {}", other.display())), "{error}");
    // A test folder with training images says nothing about other images.
    let made = folder(&[("train/a", A), ("train/b", B), ("test/b", B)], 2);
    symlink("../train/a", made.path().join("test/a")).unwrap();
    assert!(refusal(made.path()).contains("each class of each part needs its own folder"));
}

#[test]
fn links_to_folders_around_the_classes_are_left_out() {
    let outer = folder(&[("set/a", A), ("set/b", B), ("other", B)], 2);
    let set = outer.path().join("set");
    // In a class, next to the classes, and in a folder of a class.
    symlink("../..", set.join("a/loop")).unwrap();
    symlink(outer.path(), set.join("up")).unwrap();
    symlink(".", set.join("here")).unwrap();
    let packed = pack(&set).unwrap();
    assert_eq!((packed.images(), packed.train.classes().len()), (4, 2));
    assert!(packed.notes[0].starts_with("3 folders were left out"), "{:?}", packed.notes);
    assert_eq!(packed.notes.len(), 1, "{:?}", packed.notes);
    let parts = folder(&[("train/a", A), ("train/b", B), ("test/a", A), ("test/b", B)], 2);
    symlink("../..", parts.path().join("test/a/loop")).unwrap();
    symlink("..", parts.path().join("train/up")).unwrap();
    symlink("../../train/a", parts.path().join("test/a/trained")).unwrap();
    let packed = pack(parts.path()).unwrap();
    assert_eq!((packed.train.len(), packed.test.len()), (4, 4));
    assert!(packed.notes[0].starts_with("3 folders were left out"), "{:?}", packed.notes);
}

#[test]
fn pictures_of_a_class_stay_in_it_if_another_links_to_them() {
    let made = folder(&[("a", A), ("b/deep", B)], 3);
    symlink("../b/deep", made.path().join("a/link")).unwrap();
    let packed = pack(made.path()).unwrap();
    let counts = [packed.train.class_counts(), packed.test.class_counts()];
    assert_eq!([counts[0][0] + counts[1][0], counts[0][1] + counts[1][1]], [3, 3]);
}
