//! Tests the parts of a data set: training, validation and test folders.

use super::*;

#[test]
fn separate_train_and_test_folders_are_used() {
    let made = folder(
        &[("train/a", [20, 4]), ("train/b", [4, 20]), ("test/a", [20, 4]), ("test/b", [4, 20])],
        3,
    );
    let packed = from_pictures(made.path(), &PackConfig::default(), &mut |_, _| {}).unwrap();
    assert_eq!((packed.train.len(), packed.test.len()), (6, 6));
    fs::create_dir(made.path().join("test/c")).unwrap();
    let error = from_pictures(made.path(), &PackConfig::default(), &mut |_, _| {});
    let error = error.unwrap_err().to_string();
    let [train, test] = ["train", "test"].map(|part| made.path().join(part).display().to_string());
    let found = format!("found no \"c\" here, but in {test}: add what is missing");
    assert!(error.starts_with(&format!("{train}: ")) && error.contains(&found), "{error}");
}

#[test]
fn a_test_folder_that_lacks_classes_is_named_with_them() {
    let all = [("train/a", A), ("train/b", B), ("train/c", B), ("test/b", B)];
    let made = folder(&all, 2);
    let [train, test] = ["train", "test"].map(|part| made.path().join(part).display().to_string());
    let begins = format!("{test}: each part of a data set must have the same classes, found no ");
    let error = refusal(made.path());
    let lacks = format!("\"a\", \"c\" here, but in {train}");
    assert!(error.starts_with(&begins) && error.contains(&lacks), "{error}");
    fs::rename(made.path().join("test/b"), made.path().join("test/b.png")).unwrap();
    fs::rename(made.path().join("test/b.png/0.PNG"), made.path().join("test/0.png")).unwrap();
    fs::remove_dir_all(made.path().join("test/b.png")).unwrap();
    let error = refusal(made.path());
    assert!(error.starts_with(&begins) && error.contains("\"a\", \"b\", \"c\" here"), "{error}");
}

#[test]
fn parts_are_known_by_all_their_names() {
    let parts = |train: &str, second: &str| {
        let names = [train, second].map(|part| [format!("{part}/a"), format!("{part}/b")]);
        let [[ta, tb], [sa, sb]] = &names;
        folder(&[(ta, A), (tb, B), (sa, A), (sb, B)], 3)
    };
    let all = [("train", "test"), ("Training", "TESTING"), ("TRAIN", "Test"), ("train", "val")];
    for (train, test) in all.into_iter().chain([("train", "Valid"), ("training", "validation")]) {
        let packed = pack(parts(train, test).path()).unwrap();
        assert_eq!((packed.train.len(), packed.test.len()), (6, 6), "{train} {test}");
        let says = packed.notes.iter().any(|note| note.contains(test));
        assert_eq!(says, test.to_lowercase().starts_with("val"), "{:?}", packed.notes);
    }
    let alone = folder(&[("Train/a", A), ("Train/b", B)], 5);
    let packed = pack(alone.path()).unwrap();
    assert_eq!((packed.train.len(), packed.test.len()), (8, 2));
    assert!(packed.notes[0].contains("no test folder"), "{:?}", packed.notes);
    let three = parts("train", "test");
    copy(three.path(), "train/a/0.PNG", &["val/a/1.png", "val/b/2.png", "extra/c/3.png"]);
    let packed = pack(three.path()).unwrap();
    assert_eq!((packed.train.len(), packed.test.len()), (8, 6));
    let notes = packed.notes.join("\n");
    assert!(notes.contains("\"val\" is trained on together with \"train\""), "{notes}");
    assert!(notes.contains("1 picture was left out") && notes.contains("extra/c/3.png"), "{notes}");
}

/// The layout of Kaggle's Intel scenes.
#[test]
fn parts_with_longer_names_and_folders_around_their_classes_are_known() {
    let made = folder(
        &[
            ("seg_train/seg_train/a", A),
            ("seg_train/seg_train/b", B),
            ("seg_test/seg_test/a", A),
            ("seg_test/seg_test/b", B),
            ("seg_pred/seg_pred", A),
        ],
        2,
    );
    let packed = pack(made.path()).unwrap();
    assert_eq!((packed.train.len(), packed.test.len()), (4, 4));
    assert!(packed.notes.iter().any(|note| note.starts_with("2 pictures were left out")));
    // Classes of trains and tests are not parts.
    let made = folder(&[("steam train/1", A), ("train station/2", B), ("test tube", A)], 2);
    let names = ["steam train", "test tube", "train station"];
    assert_eq!(pack(made.path()).unwrap().train.classes(), names);
}

#[test]
fn parts_that_are_not_clear_are_refused_by_name() {
    let made = folder(&[("train/a", A), ("train/b", B), ("Training/a", A), ("Training/b", B)], 2);
    let error = refusal(made.path());
    assert!(error.contains("found \"Training\" and \"train\""), "{error}");
    let made = folder(&[("test/a", A), ("test/b", B), ("val/a", A), ("val/b", B)], 2);
    let error = refusal(made.path());
    assert!(error.contains("found only \"test\" and \"val\""), "{error}");
    // A part without classes.
    let made = folder(&[("train", A), ("test", B)], 2);
    let error = refusal(made.path());
    assert!(error.contains("train: training pictures belong") && error.contains("no folder"));
    // A class called train, and one that may be.
    let made = folder(&[("train", A), ("car", B), ("plane", A)], 2);
    assert_eq!(pack(made.path()).unwrap().train.classes(), ["car", "plane", "train"]);
    let made = folder(&[("train/a", A), ("train/b", B), ("unlabeled", A)], 2);
    let error = refusal(made.path());
    assert!(error.contains("\"train\" may be a part"), "{error}");
}

#[test]
fn a_folder_around_the_classes_is_opened_and_named() {
    let made = folder(&[("shapes/a", A), ("shapes/b", B), ("__MACOSX/shapes", A)], 2);
    let packed = pack(made.path()).unwrap();
    assert_eq!(packed.train.classes(), ["a", "b"]);
    assert!(packed.notes[0].contains("shapes is the only folder in"), "{:?}", packed.notes);
    let made =
        folder(&[("x/y/train/a", A), ("x/y/train/b", B), ("x/y/test/a", A), ("x/y/test/b", B)], 2);
    assert_eq!(pack(made.path()).unwrap().test.len(), 4);
}
