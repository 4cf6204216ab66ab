//! Tests packing; those of a topic are in their own files.

mod links;
mod names;
mod parts;
mod suggest;

use std::fs;
use std::path::Path;

use super::super::images::Gray;
use super::*;
use crate::data::{DataError, Preparation};

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
    assert!(error.contains("this one is not empty"), "{error}");
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
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
