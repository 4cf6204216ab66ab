use std::fs;

use super::super::images::Gray;
use super::*;

/// Draws a bright square or bar on a dark picture, both of a given size.
fn draw(path: &Path, side: usize, [height, width]: [usize; 2]) {
    let inside = |at: usize, size: usize| at >= side / 4 && at < side / 4 + size;
    let pixels = (0..side * side)
        .map(|i| if inside(i / side, height) && inside(i % side, width) { 230 } else { 5 })
        .collect();
    Gray { height: side, width: side, pixels }.save_png(path).unwrap();
}

fn folder(classes: &[(&str, [usize; 2])], of_each: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, [height, width]) in classes {
        fs::create_dir_all(folder.path().join(name)).unwrap();
        for i in 0..of_each {
            let side = 30 + 7 * i;
            let path = folder.path().join(name).join(format!("{i}.PNG"));
            draw(&path, side, [height * side / 40, width * side / 40]);
        }
    }
    folder
}

#[test]
fn a_folder_per_class_becomes_a_data_set_that_loads() {
    let made = folder(&[("10", [20, 4]), ("2", [4, 20]), ("x", [16, 16])], 10);
    fs::write(made.path().join("2/notes.txt"), "no picture").unwrap();
    fs::write(made.path().join("x/.hidden.png"), "no picture").unwrap();
    let mut last = (0, 0);
    let config = PackConfig::default();
    let mut told = |done, all| last = (done, all);
    let packed = from_pictures(made.path(), &config, &mut told).unwrap();
    assert_eq!((last, packed.others, packed.skipped.len()), ((30, 30), 1, 0));
    let out = made.path().join("deep/out");
    super::super::save_dir(&packed.train, &packed.test, &out).unwrap();
    let (train, test) = super::super::load_dir(&out).unwrap();
    assert_eq!(train.classes(), ["2", "10", "x"]);
    assert_eq!((train.class_counts(), test.class_counts()), (vec![8; 3], vec![2; 3]));
    // The bars of class 2 are horizontal, those of 10 vertical.
    let image = test.image(0);
    let bright_rows = image.chunks(28).filter(|row| row.iter().any(|&p| p > 128)).count();
    assert!(bright_rows < 10, "{bright_rows}");
    // Saving again does not overwrite.
    let error = super::super::save_dir(&packed.train, &packed.test, &out).unwrap_err().to_string();
    assert!(error.contains("this one holds something"), "{error}");
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
}

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
    assert!(error.unwrap_err().to_string().contains("found \"c\" in only one of them"));
}

#[test]
fn a_folder_without_classes_is_refused() {
    let pack = |folder: &Path, skip| {
        let config = PackConfig { skip, ..PackConfig::default() };
        from_pictures(folder, &config, &mut |_, _| {})
    };
    let empty = tempfile::tempdir().unwrap();
    let error = pack(empty.path(), false).unwrap_err().to_string();
    assert!(error.contains("found no folder"), "{error}");
    assert!(pack(&empty.path().join("none"), false).is_err());
    let one = folder(&[("a", [20, 4])], 2);
    let error = pack(one.path(), false).unwrap_err().to_string();
    assert!(error.contains("only the folder \"a\""), "{error}");
    let made = folder(&[("a", [20, 4]), ("b", [4, 20])], 2);
    fs::write(made.path().join("b/bad.jpg"), "no picture").unwrap();
    let error = pack(made.path(), false).unwrap_err().to_string();
    assert!(error.contains("bad.jpg: a picture must be"), "{error}");
    let packed = pack(made.path(), true).unwrap();
    assert_eq!((packed.skipped.len(), packed.train.len()), (1, 2));
    fs::remove_file(made.path().join("b/0.PNG")).unwrap();
    let error = pack(made.path(), true).unwrap_err().to_string();
    assert!(error.contains("b: each class needs at least 2") && error.contains("found 1"));
}

/// Draws stripes over the whole picture, like a texture.
fn draw_texture(path: &Path, stripe: usize) {
    let pixels = (0..400).map(|i| if (i / 20 + i % 20) % stripe == 0 { 230 } else { 5 }).collect();
    Gray { height: 20, width: 20, pixels }.save_png(path).unwrap();
}

#[test]
fn signs_suggest_the_preparation_of_digits_and_textures_do_not() {
    let suggested = |folder: &Path| suggest(folder, [28, 28]).unwrap();
    let made = folder(&[("a", A), ("b/2023", B)], 8);
    // A bad one of nine, and files that cannot be read, change nothing.
    draw_texture(&made.path().join("a/texture.png"), 3);
    fs::write(made.path().join("b/bad.png"), "no picture").unwrap();
    assert_eq!(suggested(made.path()), Preparation::Digit);
    for i in 0..8 {
        draw_texture(&made.path().join(format!("a/{i}.PNG")), 3);
    }
    assert_eq!(suggested(made.path()), Preparation::Resize);
    assert!(suggest(&made.path().join("b"), [28, 28]).is_err());
}

fn pack(folder: &Path) -> Result<Packed, DataError> {
    from_pictures(folder, &PackConfig::default(), &mut |_, _| {})
}

fn refusal(folder: &Path) -> String {
    pack(folder).unwrap_err().to_string()
}

const A: [usize; 2] = [20, 4];
const B: [usize; 2] = [4, 20];

/// Adds copies of `from` under other names.
fn copy(root: &Path, from: &str, to: &[&str]) {
    for to in to.iter().map(|to| root.join(to)) {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(root.join(from), to).unwrap();
    }
}

#[test]
fn pictures_in_sub_folders_belong_to_their_class() {
    let made = folder(&[("a", A), ("a/2023", A), ("a/2023/06", A), ("b", B), ("b/x.png", B)], 4);
    let packed = pack(made.path()).unwrap();
    assert_eq!(packed.train.classes(), ["a", "b"]);
    assert_eq!((packed.images(), packed.others, packed.notes), (20, 0, vec![]));
    let all = [packed.train.class_counts(), packed.test.class_counts()];
    assert_eq!((all[0][0] + all[1][0], all[0][1] + all[1][1]), (12, 8));
}

#[test]
#[cfg(unix)]
fn links_between_folders_end_and_are_named() {
    use std::os::unix::fs::symlink;
    let made = folder(&[("a", A), ("b", B), ("elsewhere", A)], 4);
    let other = tempfile::tempdir().unwrap();
    fs::rename(made.path().join("elsewhere"), other.path().join("more")).unwrap();
    symlink(made.path(), made.path().join("a/up")).unwrap();
    symlink(made.path().join("b"), made.path().join("a/b")).unwrap();
    symlink(other.path().join("more"), made.path().join("a/more")).unwrap();
    symlink(other.path().join("more"), made.path().join("a/twice")).unwrap();
    let packed = pack(made.path()).unwrap();
    assert_eq!(packed.images(), 12);
    assert_eq!(packed.notes.len(), 3, "{:?}", packed.notes);
    assert!(packed.notes.iter().all(|note| note.starts_with("the link ")), "{:?}", packed.notes);
}

#[test]
fn extensions_match_in_any_case_and_contents_decide() {
    let made = folder(&[("a", A), ("b", B)], 2);
    let names = ["a/x.JPG", "a/y.jfif", "a/z.Jpe", "a/w.jpeg", "b/v.jpg"];
    copy(made.path(), "a/0.PNG", &names);
    let packed = pack(made.path()).unwrap();
    assert_eq!((packed.images(), packed.notes), (9, vec![]));
}

#[test]
fn files_left_out_are_counted_and_named() {
    let made = folder(&[("a", A), ("b", B)], 2);
    let unread = ["a/x.webp", "b/deep/y.gif", "b/z.WEBP", "loose.HEIC"];
    let loose = ["l.png", "m.jpeg"];
    let others = ["a/notes.txt", "readme.md", "b/no-end"];
    let clutter = [
        "__MACOSX/a/1.png",
        "a/._0.png",
        "a/.DS_Store",
        "b/Thumbs.db",
        "b/desktop.ini",
        "@eaDir/a/1.png",
        "b/@eaDir/1.png",
        ".git/1.png",
    ];
    for names in [&unread[..], &loose, &others, &clutter] {
        copy(made.path(), "a/0.PNG", names);
    }
    let packed = pack(made.path()).unwrap();
    assert_eq!((packed.images(), packed.others), (4, 3));
    let notes = packed.notes.join("\n");
    for part in [
        "2 pictures were left out because no class folder holds them",
        "4 pictures were left out because only PNG and JPEG are read (1 .gif, 1 .heic, 2 .webp)",
        "3 files were left out: no .png",
        "mogrify",
    ] {
        assert!(notes.contains(part), "{part} is not in {notes}");
    }
    assert_eq!(packed.notes.len(), 3, "{notes}");
}

#[test]
fn a_class_of_unsupported_pictures_is_an_error() {
    let made = folder(&[("a", A), ("b", B)], 2);
    for i in 0..2 {
        let from = made.path().join(format!("b/{i}.PNG"));
        fs::rename(&from, from.with_extension("webp")).unwrap();
    }
    let error = refusal(made.path());
    assert!(
        error.contains("b: each class needs") && error.contains("(2 .webp): convert"),
        "{error}"
    );
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
    assert!(error.contains("found \"test\" and \"val\" alone"), "{error}");
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

#[test]
fn names_that_look_the_same_are_refused_and_shown() {
    for (first, second) in [
        ("cat", "cat "),
        (" cat", "cat"),
        ("ice cream", "ice  cream"),
        ("ice cream", "ice\u{a0}cream"),
        ("caf\u{e9}", "cafe\u{301}"),
    ] {
        let made = folder(&[(first, A), (second, B)], 2);
        let error = refusal(made.path());
        for name in [first, second] {
            let shown = format!("\"{}\"", name.escape_default());
            assert!(error.contains(&shown), "{shown} is not in {error}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_name_that_is_no_utf_8_is_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let made = folder(&[("a", A), ("b", B)], 2);
    fs::rename(made.path().join("b"), made.path().join(OsStr::from_bytes(b"caf\xe9"))).unwrap();
    let error = refusal(made.path());
    assert!(error.contains("must be UTF-8"), "{error}");
}

/// Whatever is saved without an error is loaded again with the same names.
#[test]
fn packed_data_loads_with_any_names() {
    use proptest::prelude::*;
    let name = "[ \u{a0}\u{200b}\u{2028}\u{feff}a-cA0-9\u{e9}\u{301}\u{3042}\\t\\n._-]{1,5}";
    let names = proptest::collection::btree_set(name, 2..4);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut written, mut refused) = (0, 0);
    let cases = |names: std::collections::BTreeSet<String>| {
        let made = tempfile::tempdir().unwrap();
        let (from, to) = (made.path().join("from"), made.path().join("to"));
        let pixels = (0..4).map(|i| 60 * i as u8).collect();
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            fs::create_dir_all(from.join(name)).unwrap();
            for i in 0..2 {
                let picture = Gray { height: 2, width: 2, pixels: Vec::clone(&pixels) };
                picture.save_png(&from.join(name).join(format!("{i}.png"))).unwrap();
            }
        }
        let config =
            PackConfig { preparation: Preparation::Raw, shape: [2, 2], ..PackConfig::default() };
        let saved = from_pictures(&from, &config, &mut |_, _| {}).and_then(|packed| {
            super::super::save_dir(&packed.train, &packed.test, &to)?;
            Ok(packed)
        });
        match saved {
            Err(_) => {
                refused += 1;
                prop_assert!(!to.exists());
            }
            Ok(packed) => {
                written += 1;
                let (train, _) = super::super::load_dir(&to).unwrap();
                prop_assert_eq!(train.classes(), packed.train.classes());
            }
        }
        Ok(())
    };
    let cases = std::cell::RefCell::new(cases);
    runner.run(&names, |names| (cases.borrow_mut())(names)).unwrap();
    assert!(written > 50 && refused > 50, "{written} written, {refused} refused");
}
