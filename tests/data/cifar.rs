//! Tests CIFAR-10 and CIFAR-100 with small files of the same form.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::common::{run, seqfit, succeed};
use seqfit::data::{self, DatasetName, Loaded, Locations, PictureShape, Request, StreamMemory};

const NOWHERE: Locations = Locations { data: None, cache: None, mirrors: None };

/// Returns records of `labels` labels each, whose pixels have the values of their class and channel.
fn records(count: u8, labels: usize, classes: u8) -> Vec<u8> {
    let record = |i: u8| {
        let class = i % classes;
        let mut bytes = vec![3; labels - 1];
        bytes.push(class);
        bytes.extend((0..3).flat_map(|channel| vec![class + 100 * channel / 2; 1024]));
        bytes
    };
    (0..count).flat_map(record).collect()
}

fn write_cifar10(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for batch in 1..=5 {
        fs::write(folder.join(format!("data_batch_{batch}.bin")), records(20, 1, 10)).unwrap();
    }
    fs::write(folder.join("test_batch.bin"), records(10, 1, 10)).unwrap();
}

fn load(folder: &Path) -> Result<Loaded, String> {
    let loaded = data::resolve(&Request::Dir(folder.to_owned()), &NOWHERE, &mut |_| {});
    loaded.map_err(|error| error.to_string())
}

#[test]
fn folders_of_bin_files_are_read() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("c10");
    write_cifar10(&folder.join("cifar-10-batches-bin"));
    let Loaded { train, test, source, .. } = load(&folder).unwrap();
    assert_eq!((train.len(), test.len(), &source.name[..]), (100, 10, "cifar10"));
    let shape = PictureShape { color: true, height: 32, width: 32 };
    assert_eq!(train.picture_shape(), Some(shape));
    assert_eq!((train.label(13), train.classes()[3].as_str()), (3, "cat"));
    assert_eq!([0, 1024, 2048].map(|at| train.image(13)[at]), [3, 53, 103]);
    let names: Vec<&str> = source.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!((names[0], names[5]), ("data_batch_1.bin", "test_batch.bin"));
    let again = data::resolve(&source.request(&NOWHERE).unwrap(), &NOWHERE, &mut |_| {}).unwrap();
    assert!(source.check_same(&again.source).is_ok());
    // Streamed from shards, as the errors say.
    let memory = StreamMemory::default();
    let shards = home.path().join("shards");
    data::save_shards(&train, &test, 2, &shards, &mut |_, _| {}).unwrap();
    let (files, _) = data::stream_dir(&shards, memory).unwrap();
    assert_eq!(files.read_image(13).unwrap(), train.image(13));
    assert_eq!((files.label(13), files.classes()), (3, train.classes()));
    for (request, option) in [
        (Request::Dir(folder.clone()), format!("--data {}", folder.display())),
        (Request::Named(DatasetName::Cifar10), "--dataset cifar10".to_owned()),
    ] {
        let error = data::stream(&request, &NOWHERE, memory).unwrap_err().to_string();
        assert!(error.contains(&format!("seqfit data shard {option} --out SHARDS")), "{error}");
    }
    // Of CIFAR-100 the second label counts.
    let hundred = home.path().join("c100");
    fs::create_dir(&hundred).unwrap();
    fs::write(hundred.join("train.bin"), records(200, 2, 100)).unwrap();
    fs::write(hundred.join("test.bin"), records(100, 2, 100)).unwrap();
    let Loaded { train, source, .. } = load(&hundred).unwrap();
    assert_eq!((train.classes().len(), train.label(57), &source.name[..]), (100, 57, "cifar100"));
    assert_eq!(train.classes()[57], "pear");
    fs::write(hundred.join("fine_label_names.txt"), "a\nb\n").unwrap();
    let error = load(&hundred).unwrap_err();
    assert!(error.contains("labels run from 0 to 1, found 2 in record 2"), "{error}");
}

#[test]
fn damaged_and_missing_files_are_named() {
    let home = tempfile::tempdir().unwrap();
    write_cifar10(home.path());
    let third = home.path().join("data_batch_3.bin");
    let bytes = fs::read(&third).unwrap();
    fs::write(&third, &bytes[1..]).unwrap();
    let error = load(home.path()).unwrap_err();
    let begins = format!("{}: the file must consist of records of 3073 bytes", third.display());
    assert!(error.starts_with(&begins), "{error}");
    fs::remove_file(&third).unwrap();
    let error = load(home.path()).unwrap_err();
    assert!(error.starts_with(&third.display().to_string()), "{error}");
    assert!(error.contains("cifar10 needs this file"), "{error}");
}

#[test]
fn the_archive_is_read_as_its_files_and_its_checksum_counts_for_the_name() {
    let home = tempfile::tempdir().unwrap();
    let unpacked = home.path().join("unpacked");
    write_cifar10(&unpacked.join("cifar-10-batches-bin"));
    let own = home.path().join("data/cifar10");
    fs::create_dir_all(&own).unwrap();
    let archive = own.join("cifar-10-binary.tar.gz");
    let mut tar = std::process::Command::new("tar");
    tar.arg("-C").arg(&unpacked).arg("-czf").arg(&archive).arg("cifar-10-batches-bin");
    assert_eq!(run(&mut tar).code, 0);
    let (packed, plain) = (load(&own).unwrap(), load(&unpacked).unwrap());
    assert!(plain.source.check_same(&packed.source).is_ok());
    assert_eq!(packed.train.image(42), plain.train.image(42));
    // By its name it must be the published one.
    let verify = ["data", "verify", "cifar10"];
    let output = run(seqfit(home.path()).args(verify).env("SEQFIT_DATA", home.path().join("data")));
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("cifar10's archive has another SHA-256"), "{output:?}");
    let listed = succeed(seqfit(home.path()).args(["data", "list"]));
    assert!(listed.stdout.contains("cifar100: CIFAR-100, small photographs"), "{listed:?}");
    assert!(listed.stdout.contains("50000 training and 10000 test images of 32x32 in color"));
    let bytes = fs::read(&archive).unwrap();
    for length in [bytes.len() / 2, bytes.len() - 20] {
        fs::File::create(&archive).unwrap().write_all(&bytes[..length]).unwrap();
        let error = load(&own).unwrap_err();
        assert!(error.contains("the archive must be a .tar.gz, found a damaged one"), "{error}");
    }
}
