//! Tests EMNIST with small files of the same form.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::common::{idx, run, seqfit, succeed};
use seqfit::data::{self, DatasetName, Loaded, Locations, Request};

const NOWHERE: Locations = Locations { data: None, cache: None, mirrors: None };
const LETTERS: &str = "emnist-letters";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns the four files of a set: each image is black except for its label, at row 3 and column 20 as it is stored.
fn files(set: &str, labels: &[u8]) -> Vec<(String, Vec<u8>)> {
    let image = |&label: &u8| (0..784).map(move |i| if i == 3 * 28 + 20 { label } else { 0 });
    let pixels: Vec<u8> = labels.iter().flat_map(image).collect();
    let count = labels.len() as u32;
    let contents =
        [("images-idx3", idx(&[count, 28, 28], &pixels)), ("labels-idx1", idx(&[count], labels))];
    let part = |part: &'static str| {
        contents
            .clone()
            .map(|(what, bytes)| (format!("{set}-{part}-{what}-ubyte.gz"), gzip(&bytes)))
    };
    [part("train"), part("test")].concat()
}

fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(format!("gzip/{name}"), SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn write_all(folder: &Path, files: &[(String, Vec<u8>)]) {
    fs::create_dir_all(folder).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
}

fn load(folder: &Path) -> Result<Loaded, String> {
    let loaded = data::resolve(&Request::Dir(folder.to_owned()), &NOWHERE, &mut |_| {});
    loaded.map_err(|error| error.to_string())
}

#[test]
fn archives_and_folders_give_upright_letters_that_count_from_1() {
    let home = tempfile::tempdir().unwrap();
    let (packed, unpacked) = (home.path().join("packed"), home.path().join("unpacked"));
    let letters = files(LETTERS, &[26, 1, 2]);
    write_all(&packed, &[("gzip.zip".to_owned(), archive(&letters))]);
    write_all(&unpacked.join("gzip"), &letters);
    let [packed, unpacked] = [packed, unpacked].map(|folder| load(&folder).unwrap());
    for Loaded { train, test, source, .. } in [&packed, &unpacked] {
        assert_eq!((train.len(), test.len(), source.name.as_str()), (3, 3, LETTERS));
        assert_eq!([0, 1, 2].map(|i| train.label(i)), [25, 0, 1]);
        assert_eq!((train.classes().len(), train.classes()[25].as_str()), (26, "Z"));
        // Stored at row 3 and column 20.
        assert_eq!([20 * 28 + 3, 3 * 28 + 20].map(|at| train.image(0)[at]), [26, 0]);
        let again = data::resolve(&source.request(&NOWHERE).unwrap(), &NOWHERE, &mut |_| {});
        assert!(source.check_same(&again.unwrap().source).is_ok());
    }
    assert!(packed.source.check_same(&unpacked.source).is_ok());
    assert!(packed.notes.is_empty() && unpacked.notes[0].contains("were transposed"));
    let plain = home.path().join("plain");
    write_all(&plain, &files("emnist-bymerge", &[36, 46, 9]));
    let Loaded { train, .. } = load(&plain).unwrap();
    let names: Vec<&str> = (0..3).map(|i| &*train.classes()[usize::from(train.label(i))]).collect();
    assert_eq!(names, ["a", "t", "9"]);
}

#[test]
fn files_that_are_damaged_missing_or_of_another_set_are_named() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let path = folder.join("gzip.zip");
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = load(folder).unwrap_err();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        error
    };
    let letters = files(LETTERS, &[1, 2]);
    let whole = archive(&letters);
    let cut = error(&whole[..whole.len() / 2]);
    assert!(cut.contains("must be EMNIST's gzip.zip, found a damaged or other one"), "{cut}");
    let none = error(&archive(&[]));
    assert!(none.contains("found one without its files: download it again"), "{none}");
    let mut flipped = whole.clone();
    flipped[whole.len() / 8] ^= 1;
    let damaged = error(&flipped);
    assert!(damaged.contains("gzip"), "{damaged}");
    let missing = error(&archive(&letters[..3]));
    assert!(
        missing
            .contains("emnist-letters-test-labels-idx1-ubyte.gz: emnist-letters needs this file"),
        "{missing}"
    );
    let label = error(&archive(&files(LETTERS, &[1, 0])));
    assert!(label.contains("labels run from 1 to 26, found 0 at sample 1"), "{label}");
    let label = error(&archive(&files("emnist-digits", &[10])));
    assert!(label.contains("labels run from 0 to 9, found 10 at sample 0"), "{label}");
    let both = [letters, files("emnist-digits", &[1, 2])].concat();
    let several = error(&archive(&both));
    assert!(
        several.contains("found emnist-digits, emnist-letters: move the files of one"),
        "{several}"
    );
    fs::remove_file(&path).unwrap();
    write_all(folder, &both);
    let several = load(folder).unwrap_err();
    assert!(several.contains("choose one with --dataset NAME"), "{several}");
}

#[test]
fn the_six_share_a_folder_and_a_checksum() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join("data/emnist");
    let verify = |name: &str| {
        let mut verify = seqfit(home.path());
        run(verify.args(["data", "verify", name]).env("SEQFIT_DATA", home.path().join("data")))
    };
    write_all(&own, &[("gzip.zip".to_owned(), archive(&files(LETTERS, &[1, 2])))]);
    let output = verify(LETTERS);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("emnist-letters's file has another SHA-256"), "{output:?}");
    fs::remove_file(own.join("gzip.zip")).unwrap();
    // Unpacked, of one set with the published numbers of images.
    write_all(&own, &files(LETTERS, &[1, 2]));
    let output = verify(LETTERS);
    assert!(
        output.stdout.contains("has 124800 + 20800 training and test images, found 2 + 2"),
        "{output:?}"
    );
    let labels: Vec<u8> = (0..60_000).map(|i| (i % 10) as u8).collect();
    let mut digits = files("emnist-mnist", &labels);
    digits.splice(2.., files("emnist-mnist", &labels[..10_000]).split_off(2));
    write_all(&own, &digits);
    assert!(verify("emnist-mnist").stdout.contains("60000 + 10000 samples"));
    let locations = Locations { data: Some(home.path().join("data")), ..NOWHERE };
    let named = |request: &Request| data::resolve(request, &locations, &mut |_| {}).unwrap();
    let Loaded { train, source, .. } = named(&Request::Named(DatasetName::EmnistMnist));
    assert_eq!((train.label(7), train.image(7)[20 * 28 + 3]), (7, 7));
    assert!(source.notice.as_ref().unwrap().contains("only the checksum of gzip.zip is known"));
    // The record of a run finds its set among several.
    assert!(source.check_same(&named(&source.request(&NOWHERE).unwrap()).source).is_ok());
    let listed = succeed(seqfit(home.path()).args(["data", "list"])).stdout;
    assert!(listed.contains("124800 training and 20800 test images of 28x28"), "{listed}");
}
