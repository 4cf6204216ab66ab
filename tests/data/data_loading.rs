//! Tests loading data sets from folders, from the cache, and without any source. Each is loaded
//! correctly or is an error with a reason. Only an unnamed data set has a fallback, with a note.

mod class_matching;
mod finding_files;
mod forms_of_labels;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::common;
use crate::common::fake_http_server::{self, Server};
use flate2::{Compression, write::GzEncoder};
use seqfit::data::{
    self, DataError, Dataset, DatasetName, Loaded, Locations, Preparation, Request, Source,
    StreamMemory, Verdict,
};
use tempfile::TempDir;

/// Writes 2x3 images in two classes: 3 for training, 2 for testing.
fn write_set(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let file = |name: &str, bytes: Vec<u8>| fs::write(folder.join(name), bytes).unwrap();
    let pixels: Vec<u8> = (0..30).collect();
    file("train-images-idx3-ubyte", common::idx(&[3, 2, 3], &pixels[..18]));
    file("train-labels-idx1-ubyte", common::idx(&[3], &[0, 1, 0]));
    file("t10k-images-idx3-ubyte", common::idx(&[2, 2, 3], &pixels[18..]));
    file("t10k-labels-idx1-ubyte", common::idx(&[2], &[1, 1]));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn set() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_set(folder.path());
    folder
}

/// Returns the error for a folder in which one file was changed.
fn error_with(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let folder = set();
    fs::write(folder.path().join(name), bytes).unwrap();
    data::load_dir(folder.path()).unwrap_err().to_string()
}

fn contents(dataset: &Dataset) -> Vec<(Vec<u8>, u8)> {
    (0..dataset.len()).map(|i| (dataset.image(i).to_vec(), dataset.label(i))).collect()
}

/// No data folder, an empty cache, and an unreachable mirror.
fn offline(cache: &Path) -> Locations {
    Locations {
        data: None,
        cache: Some(cache.to_owned()),
        mirrors: Some(vec![fake_http_server::closed()]),
    }
}

/// No data folder, and no folder for downloads.
fn nowhere() -> Locations {
    Locations { data: None, cache: None, mirrors: Some(vec![fake_http_server::closed()]) }
}

fn resolve(request: &Request, locations: &Locations) -> Result<Loaded, DataError> {
    data::resolve(request, locations, &mut |_| {})
}

#[test]
fn data_folder_loads_with_any_supported_file_names() {
    let plain = set();
    let (train, test) = data::load_dir(plain.path()).unwrap();
    assert_eq!((train.len(), test.len(), train.image_shape().unwrap()), (3, 2, [2, 3]));
    assert_eq!(train.classes(), ["0", "1"]);
    assert_eq!((train.image(1), train.label(1)), (&[6, 7, 8, 9, 10, 11][..], 1));
    for rename in [
        |name: &str| format!("{name}.gz"),
        |name: &str| name.replace("t10k-", "test-"),
        |name: &str| name.replace("-idx", ".idx").replace("t10k", "test") + ".gz",
    ] {
        let other = tempfile::tempdir().unwrap();
        for name in common::listing(plain.path()) {
            let bytes = fs::read(plain.path().join(&name)).unwrap();
            let name = rename(&name);
            let bytes = if name.ends_with(".gz") { gzip(&bytes) } else { bytes };
            fs::write(other.path().join(name), bytes).unwrap();
        }
        let (a, b) = data::load_dir(other.path()).unwrap();
        assert_eq!((contents(&a), contents(&b)), (contents(&train), contents(&test)));
    }
}

#[test]
fn uncompressed_file_is_preferred_to_a_compressed_one() {
    let folder = set();
    fs::write(folder.path().join("train-labels-idx1-ubyte.gz"), b"never read").unwrap();
    assert!(data::load_dir(folder.path()).is_ok());
}

#[test]
fn missing_file_error_lists_the_existing_files() {
    let folder = set();
    fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();
    let error = data::load_dir(folder.path()).unwrap_err().to_string();
    assert!(error.contains("needs t10k-labels-idx1-ubyte"), "{error}");
    assert!(error.contains("the folder holds t10k-images-idx3-ubyte, train-images"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = data::load_dir(empty.path()).unwrap_err().to_string();
    assert!(error.contains("this one is empty"), "{error}");
    let error = data::load_dir(empty.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("none cannot be read"), "{error}");
}

#[test]
fn inconsistent_data_files_are_refused() {
    let error = error_with("train-labels-idx1-ubyte", common::idx(&[2], &[0, 1]));
    assert!(error.contains("found 3 images and 2 labels in train-labels-idx1-ubyte"), "{error}");
    let error = error_with("t10k-images-idx3-ubyte", common::idx(&[2, 3, 2], &[0; 12]));
    assert!(error.contains("found 2x3 and 3x2"), "{error}");
    let error = error_with("train-images-idx3-ubyte", common::idx(&[3], &[0; 3]));
    assert!(
        error.contains("train-images-idx3-ubyte: ") && error.contains("labels file"),
        "{error}"
    );
}

#[test]
fn classes_are_named_by_a_file_or_numbered() {
    let folder = set();
    let names = folder.path().join("classes.txt");
    fs::write(&names, "cat\ndog\nbird\n").unwrap();
    let (train, test) = data::load_dir(folder.path()).unwrap();
    assert_eq!((train.classes(), test.classes()), (train.classes(), train.classes()));
    assert_eq!(train.classes(), ["cat", "dog", "bird"]);
    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), common::idx(&[2], &[0, 3])).unwrap();
    let error = data::load_dir(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("t10k-labels-idx1-ubyte: labels run from 0 to 2, found 3 at sample 1"),
        "{error}"
    );
    fs::remove_file(&names).unwrap();
    let (train, _) = data::load_dir(folder.path()).unwrap();
    assert_eq!(train.classes(), ["0", "1", "2", "3"]);
    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), common::idx(&[2], &[255, 3])).unwrap();
    assert_eq!(data::load_dir(folder.path()).unwrap().0.classes().len(), 256);
    for (text, part) in [
        (&b""[..], "found 0 names"),
        (b"cat\n\ndog", "an empty line 2"),
        (b"cat\ncat", "\"cat\" again in line 2"),
        (b"cat\n\xff", "not UTF-8 at position 4"),
    ] {
        let error = error_with("classes.txt", text);
        assert!(error.contains("classes.txt: ") && error.contains(part), "{error}");
    }
}

#[test]
fn preparation_comes_from_the_folder_or_the_known_set_or_is_raw() {
    let folder = set();
    let of = |path: &Path| {
        let (train, test) = data::load_dir(path).unwrap();
        let (streamed, _) = data::stream_dir(path, StreamMemory::default()).unwrap();
        assert_eq!(train.preparation(), streamed.preparation());
        assert_eq!(train.preparation(), test.split(0.5, 0).unwrap().1.preparation());
        train.preparation()
    };
    assert_eq!(of(folder.path()), Preparation::Raw);
    for preparation in Preparation::ALL {
        let text = format!("preparation = \"{preparation}\"\n");
        fs::write(folder.path().join("dataset.toml"), text).unwrap();
        assert_eq!(of(folder.path()), preparation);
        // It is saved with every copy of the data.
        let (train, test) = data::load_dir(folder.path()).unwrap();
        let (whole, shards) = (folder.path().join("whole"), folder.path().join("shards"));
        data::save_dir(&train, &test, &whole).unwrap();
        data::save_shards(&train, &test, 2, &shards, &mut |_, _| {}).unwrap();
        assert_eq!(of(&whole), preparation);
        let (streamed, _) = data::stream_dir(&shards, StreamMemory::default()).unwrap();
        assert_eq!(streamed.preparation(), preparation);
        [whole, shards].iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
    }
    let known = |name| data::load(name).unwrap().0.preparation();
    assert_eq!(known("digits"), Preparation::Digit);
}

#[test]
fn invalid_dataset_toml_is_refused_with_its_path() {
    for bytes in [&b"preparation = \"stretch\""[..], b"name = \"cats\"", b"\xff", &[b' '; 5000]] {
        let error = error_with("dataset.toml", bytes);
        assert!(error.contains("dataset.toml: dataset.toml holds one line"), "{error}");
        assert!(error.contains("delete the file if it belongs to something else"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let folder = set();
    fs::create_dir(folder.path().join("dataset.toml")).unwrap();
    let error = data::load_dir(folder.path()).unwrap_err().to_string();
    assert!(error.contains("dataset.toml must be an ordinary file"), "{error}");
}

#[test]
fn class_names_outside_a_regular_file_are_refused() {
    let folder = set();
    fs::create_dir(folder.path().join("classes.txt")).unwrap();
    let error = data::load_dir(folder.path()).unwrap_err();
    assert!(matches!(error, DataError::NotAFile { .. }), "{error}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        let folder = set();
        symlink("/dev/zero", folder.path().join("classes.txt")).unwrap();
        let error = data::load_dir(folder.path()).unwrap_err().to_string();
        assert!(error.contains("classes.txt must be an ordinary file"), "{error}");
        // Opening a pipe without a writer would block forever.
        let folder = set();
        let pipe = folder.path().join("classes.txt");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let error = data::load_dir(folder.path()).unwrap_err().to_string();
        assert!(error.contains("classes.txt must be an ordinary file"), "{error}");
    }
}

#[test]
fn only_an_unnamed_data_set_falls_back_without_a_network() {
    let cache = tempfile::tempdir().unwrap();
    let locations = offline(cache.path());
    let loaded = resolve(&Request::Auto, &locations).unwrap();
    assert_eq!(
        (loaded.source.name.as_str(), loaded.train.len(), loaded.test.len()),
        ("digits", 1437, 360)
    );
    let notice = loaded.source.notice.as_deref().unwrap();
    for part in ["NOT MNIST", "8x8", "train-images-idx3-ubyte.gz", "1797 images"] {
        assert!(notice.contains(part), "{part} is not in {notice}");
    }
    for name in [DatasetName::Mnist, DatasetName::FashionMnist, DatasetName::Kmnist] {
        let error = resolve(&Request::Named(name), &locations).unwrap_err();
        assert!(matches!(error, DataError::Download { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("/{name}/train-images")), "{text}");
        assert!(!text.contains('\n') && !text.contains("SEQFIT_DATA"), "{text}");
    }
    // Requested by name, they are loaded without a note.
    let digits = resolve(&Request::Named(DatasetName::Digits), &locations).unwrap();
    assert_eq!(digits.source.notice, None);
    assert_eq!(contents(&digits.test), contents(&loaded.test));
}

#[test]
fn only_a_download_needs_a_cache_folder() {
    let folder = set();
    assert!(resolve(&Request::Dir(folder.path().to_owned()), &nowhere()).is_ok());
    assert!(resolve(&Request::Named(DatasetName::Digits), &nowhere()).is_ok());
    assert!(data::verify(&Request::Auto, &nowhere()).unwrap().is_empty());
    let loaded = resolve(&Request::Auto, &nowhere()).unwrap();
    let notice = loaded.source.notice.as_deref().unwrap();
    assert_eq!(loaded.source.name, "digits");
    for part in ["NOT MNIST", "no SEQFIT_CACHE", "set SEQFIT_CACHE to a folder", "1797 images"] {
        assert!(notice.contains(part), "{part} is not in {notice}");
    }
    let named = Request::Named(DatasetName::Mnist);
    let fetched = data::fetch(DatasetName::Mnist, &nowhere(), &mut |_| {});
    for error in [
        resolve(&named, &nowhere()).unwrap_err(),
        data::verify(&named, &nowhere()).unwrap_err(),
        fetched.unwrap_err(),
    ] {
        assert!(matches!(error, DataError::NoCache { missed: None }), "{error}");
    }
}

#[test]
fn data_folder_without_the_set_is_named_if_the_download_fails() {
    let folder = tempfile::tempdir().unwrap();
    for data in [folder.path().to_owned(), folder.path().join("none")] {
        let ending = format!("; SEQFIT_DATA={} holds no folder mnist", data.display());
        let of = |other: Locations| Locations { data: Some(data.clone()), ..other };
        for locations in [of(offline(&folder.path().join("cache"))), of(nowhere())] {
            let error = resolve(&Request::Named(DatasetName::Mnist), &locations).unwrap_err();
            let text = error.to_string();
            assert!(text.ends_with(&ending) && !text.contains('\n'), "{text}");
            let notice = resolve(&Request::Auto, &locations).unwrap().source.notice.unwrap();
            assert!(notice.contains(&ending) && !notice.contains('\n'), "{notice}");
        }
    }
}

#[test]
fn missing_data_folder_of_a_run_is_replaced_or_named() {
    let root = tempfile::tempdir().unwrap();
    let gone = root.path().join("gone");
    let source = |name: &str| Source {
        arrays: None,
        pictures: None,
        name: name.to_owned(),
        dir: Some(gone.clone()),
        notice: None,
        classes: None,
        files: Vec::new(),
    };
    let at = |folder: &str| -> PathBuf { root.path().join(folder) };
    let locations = Locations {
        data: Some(at("own")),
        cache: Some(at("cache")),
        mirrors: Some(vec![fake_http_server::closed()]),
    };
    let request = |name: &str| source(name).request(&locations);
    let text = |name: &str| request(name).unwrap_err().to_string();
    let named =
        format!("data folder {} is gone: name its new place with --data-dir", gone.display());
    assert!(text("signs").ends_with(&named), "{}", text("signs"));
    let fetch = format!("{named}, or fetch the data again with --dataset mnist");
    assert!(text("mnist").ends_with(&fetch), "{}", text("mnist"));

    write_set(&at("cache/data/mnist"));
    assert_eq!(request("mnist").unwrap(), Request::Dir(at("cache/data/mnist")));
    assert!(matches!(request("kmnist"), Err(DataError::Gone { .. })));
    // An incomplete set does not count.
    fs::create_dir_all(at("own/mnist")).unwrap();
    assert_eq!(request("mnist").unwrap(), Request::Dir(at("cache/data/mnist")));
    write_set(&at("own/mnist"));
    assert_eq!(request("mnist").unwrap(), Request::Dir(at("own/mnist")));
    // While the folder exists, it is used.
    fs::create_dir(&gone).unwrap();
    assert_eq!(request("mnist").unwrap(), Request::Dir(gone.clone()));
}

#[test]
fn report_reason_omits_the_path() {
    let wrong = |change: &dyn Fn(&Path)| {
        let folder = set();
        change(folder.path());
        let request = Request::Dir(folder.path().to_owned());
        let reports = data::verify(&request, &nowhere()).unwrap();
        let wrong = reports.into_iter().find_map(|report| match report.verdict {
            Verdict::Wrong(why) => Some((report.path, why)),
            _ => None,
        });
        let (path, why) = wrong.unwrap();
        assert!(!why.contains(&folder.path().display().to_string()), "{why}");
        (path.strip_prefix(folder.path()).unwrap().display().to_string(), why)
    };
    let write = |name: &'static str, bytes: Vec<u8>| {
        move |folder: &Path| fs::write(folder.join(name), &bytes).unwrap()
    };
    let (images, labels) = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte");
    let (path, why) = wrong(&write(labels, common::idx(&[2], &[1])));
    assert!(path == labels && why.starts_with("the header asks for"), "{path}: {why}");
    let (path, why) = wrong(&write(labels, common::idx(&[1], &[1])));
    assert!(path == images && why.starts_with("each image needs a label"), "{path}: {why}");
    let (path, why) = wrong(&write("classes.txt", b"cat".to_vec()));
    assert!(path == "classes.txt" && why.contains("found 1 name"), "{path}: {why}");
    let (path, why) = wrong(&write(images, common::idx(&[2, 3, 2], &[0; 12])));
    assert!(path.is_empty() && why.starts_with("training and test images"), "{path}: {why}");
    let (path, why) = wrong(&|folder| {
        fs::remove_file(folder.join(labels)).unwrap();
        fs::create_dir(folder.join(labels)).unwrap();
    });
    assert!(path == labels && why.starts_with("must be an ordinary file"), "{path}: {why}");
}

#[test]
fn data_source_round_trips_through_toml() {
    let folder = set();
    let loaded = resolve(&Request::Dir(folder.path().to_owned()), &offline(folder.path())).unwrap();
    let text = toml::to_string(&loaded.source).unwrap();
    let source: Source = toml::from_str(&text).unwrap();
    assert_eq!(source, loaded.source);
    assert_eq!(source.files.len(), 4);
    let again = resolve(&source.request(&nowhere()).unwrap(), &nowhere()).unwrap();
    source.check_same(&again.source).unwrap();

    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), common::idx(&[2], &[0, 1])).unwrap();
    let again = resolve(&source.request(&nowhere()).unwrap(), &nowhere()).unwrap();
    let error = source.check_same(&again.source).unwrap_err().to_string();
    assert!(error.contains("t10k-labels-idx1-ubyte is not the file"), "{error}");

    let cache = tempfile::tempdir().unwrap();
    let digits = resolve(&Request::Auto, &offline(cache.path())).unwrap().source;
    let back: Source = toml::from_str(&toml::to_string(&digits).unwrap()).unwrap();
    assert_eq!(back, digits);
    assert_eq!(back.request(&nowhere()).unwrap(), Request::Named(DatasetName::Digits));
}

#[test]
fn other_files_are_not_mistaken_for_a_known_data_set() {
    let folder = tempfile::tempdir().unwrap();
    write_set(&folder.path().join("mnist"));
    let locations = Locations { data: Some(folder.path().to_owned()), ..offline(folder.path()) };
    for request in [Request::Named(DatasetName::Mnist), Request::Auto] {
        let error = resolve(&request, &locations).unwrap_err().to_string();
        assert!(error.contains("mnist's file has another SHA-256"), "{error}");
    }
    let reports = data::verify(&Request::Named(DatasetName::Mnist), &locations).unwrap();
    assert_eq!(reports.len(), 4);
    assert!(reports.iter().all(|report| matches!(report.verdict, Verdict::Wrong(_))));
    let own = Request::Dir(folder.path().join("mnist"));
    let reports = data::verify(&own, &locations).unwrap();
    assert!(reports.iter().all(|report| report.verdict == Verdict::Usable));
    assert_eq!(reports[0].holds.as_deref(), Some("3 images of 2x3"));
    fs::remove_file(folder.path().join("mnist/t10k-labels-idx1-ubyte")).unwrap();
    let reports = data::verify(&own, &locations).unwrap();
    assert_eq!(reports[3].verdict, Verdict::Missing);
}

/// Debian's `dataset-fashion-mnist`: the published contents, compressed by another program.
#[test]
fn known_files_are_recognized_by_contents_and_not_by_gzip() {
    let package = Path::new("/usr/share/datasets/fashion-mnist");
    if !package.is_dir() {
        return common::not_here("a test with Debian's dataset-fashion-mnist");
    }
    let home = tempfile::tempdir().unwrap();
    let data = package.parent().unwrap();
    let stdout_of = |arguments: &[&str]| {
        common::succeed(common::seqfit(home.path()).args(arguments).env("SEQFIT_DATA", data)).stdout
    };
    assert!(stdout_of(&["data", "list"]).contains(&format!("here: {}\n", package.display())));
    let verified = stdout_of(&["data", "verify", "fashion-mnist"]);
    assert_eq!(verified.matches("as published for fashion-mnist").count(), 4, "{verified}");
    let locations = Locations { data: Some(data.to_owned()), ..nowhere() };
    let loaded = resolve(&Request::Named(DatasetName::FashionMnist), &locations).unwrap();
    assert_eq!((loaded.source.notice, loaded.train.len()), (None, 60_000));
    let by_folder = resolve(&Request::Dir(package.to_owned()), &nowhere()).unwrap();
    assert_eq!(by_folder.source.name, "fashion-mnist");
}

/// For KMNIST only the checksums of the published gzip files are recorded.
#[test]
fn unverifiable_file_is_not_reported_as_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("kmnist");
    fs::create_dir(&own).unwrap();
    for (part, count) in [("train", 60_000), ("t10k", 10_000)] {
        let file = |what: &str, bytes: Vec<u8>| {
            fs::write(own.join(format!("{part}-{what}.gz")), gzip(&bytes)).unwrap();
        };
        let pixels = vec![7; count * 28 * 28];
        file("images-idx3-ubyte", common::idx(&[count as u32, 28, 28], &pixels));
        let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
        file("labels-idx1-ubyte", common::idx(&[count as u32], &labels));
    }
    let locations = Locations { data: Some(folder.path().to_owned()), ..offline(folder.path()) };
    let loaded = resolve(&Request::Named(DatasetName::Kmnist), &locations).unwrap();
    assert!(loaded.source.notice.is_some_and(|notice| notice.contains("cannot be checked")));
    let reports = data::verify(&Request::Named(DatasetName::Kmnist), &locations).unwrap();
    assert!(reports.iter().all(|report| report.verdict == Verdict::Usable), "{reports:?}");
    let mut list = common::seqfit(folder.path());
    let list = common::succeed(list.args(["data", "list"]).env("SEQFIT_DATA", folder.path()));
    assert!(list.stdout.contains("kmnist (cannot be checked"), "{}", list.stdout);
    // A different number of images is not KMNIST.
    fs::write(own.join("t10k-labels-idx1-ubyte.gz"), gzip(&common::idx(&[2], &[0, 1]))).unwrap();
    let reports = data::verify(&Request::Named(DatasetName::Kmnist), &locations).unwrap();
    assert!(matches!(reports[3].verdict, Verdict::Wrong(_)), "{reports:?}");
    let mut list = common::seqfit(folder.path());
    let list = common::succeed(list.args(["data", "list"]).env("SEQFIT_DATA", folder.path()));
    assert!(list.stdout.contains("not usable: 1 of 4 files"), "{}", list.stdout);
}

#[test]
fn real_mnist_is_recognized_fetched_and_repaired() {
    let Some(mnist) = common::mnist() else { return };
    let found = resolve(&Request::Dir(mnist.clone()), &offline(&mnist)).unwrap();
    assert_eq!(found.source.name, "mnist");
    assert_eq!((found.train.len(), found.test.len()), (60_000, 10_000));
    assert_eq!(found.train.class_counts()[..3], [5923, 6742, 5958]);

    // In a data folder, which needs no cache.
    if let Some(data) = mnist.parent().filter(|_| mnist.ends_with("mnist")) {
        let locations = Locations { data: Some(data.to_owned()), ..nowhere() };
        let own = resolve(&Request::Named(DatasetName::Mnist), &locations).unwrap();
        found.source.check_same(&own.source).unwrap();
    }

    // A mirror that serves these files, compressed by another program.
    let names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"];
    let files = names
        .iter()
        .filter_map(|name| {
            let name = format!("{name}-ubyte.gz");
            Some((format!("/mnist/{name}"), fs::read(mnist.join(&name)).ok()?))
        })
        .collect::<Vec<_>>();
    if files.len() < 4 {
        return; // the folder holds uncompressed files
    }
    let server = Server::files(files);
    let cache = tempfile::tempdir().unwrap();
    let mirrors = Some(vec![server.address().to_owned()]);
    let locations = Locations { mirrors, ..offline(cache.path()) };
    let fetched = resolve(&Request::Auto, &locations).unwrap();
    assert_eq!((fetched.source.name.as_str(), &fetched.source.notice), ("mnist", &None));
    found.source.check_same(&fetched.source).unwrap();
    assert_eq!(server.asked().len(), 4);

    // Now they come from the cache, without a download.
    assert!(resolve(&Request::Named(DatasetName::Mnist), &offline(cache.path())).is_ok());
    let right = |reports: Vec<data::FileReport>| {
        reports.iter().filter(|report| report.verdict == Verdict::Known(DatasetName::Mnist)).count()
    };
    assert_eq!(right(data::verify(&Request::Auto, &locations).unwrap()), 4);

    // Decompressed files, put there by hand.
    let other = tempfile::tempdir().unwrap();
    let by_hand = offline(other.path());
    let folder = by_hand.cached(DatasetName::Mnist).unwrap();
    fs::create_dir_all(&folder).unwrap();
    for name in names {
        let name = format!("{name}-ubyte");
        let gzip = fs::File::open(mnist.join(format!("{name}.gz"))).unwrap();
        let mut file = fs::File::create(folder.join(&name)).unwrap();
        std::io::copy(&mut flate2::read::GzDecoder::new(gzip), &mut file).unwrap();
    }
    assert_eq!(resolve(&Request::Auto, &by_hand).unwrap().source.name, "mnist");

    // Only a corrupted file is downloaded again.
    let bad = locations.cached(DatasetName::Mnist).unwrap().join("t10k-labels-idx1-ubyte.gz");
    fs::write(&bad, gzip(&common::idx(&[10_000], &[0; 10_000]))).unwrap();
    assert_eq!(right(data::verify(&Request::Auto, &locations).unwrap()), 3);
    resolve(&Request::Named(DatasetName::Mnist), &locations).unwrap();
    assert_eq!(server.asked().len(), 5);
}
