//! The promise: what fuzzing has found stays mended. Every file of the corpus goes through the same
//! function as in its target, without a sanitizer.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use seqfit::data::{self, idx, images};
use seqfit::run::{Checkpoint, RunConfig};
use seqfit::tensors;

/// Runs `read` on each file; returns how many there are and how many it takes.
fn replay(target: &str, mut read: impl FnMut(&[u8]) -> bool) -> (usize, usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let taken = files.iter().filter(|path| read(&fs::read(path).unwrap())).count();
    (files.len(), taken)
}

#[test]
fn the_whole_corpus_is_read_or_refused() {
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
    for (target, counts, seeds) in [
        ("idx", replay("idx", idx), 4),
        ("idx_gzip", replay("idx_gzip", gzip), 2),
        ("checkpoint", replay("checkpoint", |bytes| Checkpoint::from_bytes(bytes).is_ok()), 3),
        ("safetensors", replay("safetensors", |bytes| tensors::decode(bytes).is_ok()), 1),
        ("config", replay("config", |bytes| RunConfig::from_toml(bytes).is_ok()), 1),
        ("images", replay("images", picture), 4),
        #[cfg(feature = "serve")]
        (
            "serve_json",
            replay("serve_json", |bytes| seqfit::serve::read_json(bytes, [4, 3]).is_ok()),
            4,
        ),
        ("classes", replay("classes", |bytes| data::parse_class_names(bytes).is_ok()), 2),
    ] {
        let (files, taken) = counts;
        // The seeds are real files, and right.
        assert!(taken >= seeds, "{target}: {taken} of {files} are taken");
    }
}
