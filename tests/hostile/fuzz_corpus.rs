//! Tests that the bugs found by fuzzing stay fixed. Every file of the corpus goes through the same
//! function as in its fuzz target, without a sanitizer.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use seqfit::data::{self, FeatureKind, idx, images};
use seqfit::import::{ImportOptions, Imported};
use seqfit::run::{Checkpoint, RunConfig};
use seqfit::tensors;
use zip::{ZipWriter, write::SimpleFileOptions};

/// Runs `read` on each file; returns the number of files and of accepted files.
fn replay(target: &str, mut read: impl FnMut(&[u8]) -> bool) -> (usize, usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let taken = files.iter().filter(|path| read(&fs::read(path).unwrap())).count();
    (files.len(), taken)
}

/// Returns a zip archive of stored records.
fn archive(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in records {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn fuzz_corpus_is_read_or_refused_without_a_crash() {
    let name = Path::new("corpus");
    let idx = |bytes: &[u8]| {
        let length = bytes.len() as u64;
        idx::images_from(bytes, length, name).is_ok()
            | idx::labels_from(bytes, length, name).is_ok()
    };
    let gzip = |input: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(input.get(3..).unwrap_or_default()).unwrap();
        idx(&encoder.finish().unwrap())
    };
    let picture = |bytes: &[u8]| {
        images::from_bytes(bytes).is_ok_and(|gray| images::prepare(&gray, [28, 28]).is_ok())
    };
    let import = |bytes: Vec<u8>| {
        let file = Imported::from_bytes(bytes);
        // Some targets read only the tensors.
        let _ = file.as_ref().map(|file| file.network(&ImportOptions::default()));
        file.is_ok()
    };
    // The targets put these after a signature or into an archive.
    let hdf5 = |bytes: &[u8]| import([b"\x89HDF\r\n\x1a\n", bytes].concat());
    let npy = |bytes: &[u8]| import(archive(&[("a.npy", bytes)]));
    let storages = [80, 5, 15, 3].map(|numbers| vec![0; 4 * numbers]);
    let pickle = |bytes: &[u8]| {
        let names = ["a/data/0", "a/data/1", "a/data/2", "a/data/3"];
        let storages = names.into_iter().zip(storages.iter().map(Vec::as_slice));
        import(archive(&[("a/data.pkl", bytes)].into_iter().chain(storages).collect::<Vec<_>>()))
    };
    for (target, counts, seeds) in [
        ("idx", replay("idx", idx), 4),
        ("idx_gzip", replay("idx_gzip", gzip), 2),
        ("checkpoint", replay("checkpoint", |bytes| Checkpoint::from_bytes(bytes).is_ok()), 3),
        ("safetensors", replay("safetensors", |bytes| tensors::decode(bytes).is_ok()), 1),
        ("config", replay("config", |bytes| RunConfig::from_toml(bytes).is_ok()), 1),
        ("images", replay("images", picture), 4),
        ("import", replay("import", |bytes| import(bytes.to_vec())), 34),
        ("hdf5", replay("hdf5", hdf5), 2),
        ("npy", replay("npy", npy), 4),
        ("pickle", replay("pickle", pickle), 4),
        #[cfg(feature = "serve")]
        (
            "serve_json",
            replay("serve_json", |bytes| {
                let read = |shape, kind| seqfit::serve::read_json(bytes, shape, kind).is_ok();
                read(&[4, 3], FeatureKind::Pixels) || read(&[2, 2], FeatureKind::Floats)
            }),
            6,
        ),
        ("classes", replay("classes", |bytes| data::parse_class_names(bytes).is_ok()), 2),
    ] {
        let (files, taken) = counts;
        // The seeds are real, valid files.
        assert!(taken >= seeds, "{target}: {taken} of {files} are taken");
    }
}
