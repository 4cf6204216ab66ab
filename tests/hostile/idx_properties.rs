//! Tests that the IDX reader reads valid files, refuses invalid ones, and uses memory in proportion to
//! the file's length, for arbitrary bytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use seqfit::data::{DataError, IdxProblem, PictureShape, idx};

/// An allocator that records the largest single allocation of this thread.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    // While a thread exits, its thread-local record may be gone.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Fixed size of buffers and the gzip decoder's tables, for any file.
const FIXED: usize = 128 << 10;

fn images(bytes: &[u8]) -> Result<idx::Images, DataError> {
    LARGEST.set(0);
    let result = idx::images_from(bytes, bytes.len() as u64, Path::new("some/file"));
    let largest = LARGEST.get();
    // 16 times the file's length may be allocated at once; the buffer of inflated bytes may double.
    let decoded = result.as_ref().map_or(0, |images| images.pixels.len());
    let reason = FIXED.max(32 * bytes.len()).max(2 * decoded);
    assert!(largest <= reason, "{largest} bytes for a file of {}", bytes.len());
    result
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn problem(bytes: &[u8]) -> IdxProblem {
    match images(bytes) {
        Err(DataError::Idx { path, problem }) => {
            assert_eq!(path, Path::new("some/file"));
            problem
        }
        other => panic!("{other:?}"),
    }
}

prop_compose! {
    fn any_images()(count in 1u32..20, color in any::<bool>(), height in 1usize..12, width in 1usize..12)
        (pixels in prop::collection::vec(any::<u8>(), count as usize * if color { 3 } else { 1 } * height * width),
         count in Just(count), shape in Just(PictureShape { color, height, width }))
        -> (u32, PictureShape, Vec<u8>) {
        (count, shape, pixels)
    }
}

fn encode(count: u32, shape: PictureShape, pixels: &[u8]) -> Vec<u8> {
    let [height, width] = shape.size().map(|side| side as u32);
    match shape.color {
        true => idx::encode_images(count, [3, height, width], pixels),
        false => idx::encode_images(count, [height, width], pixels),
    }
}

proptest! {
    #[test]
    fn written_images_are_read_back((count, shape, pixels) in any_images()) {
        let plain = encode(count, shape, &pixels);
        let compressed = gzip(&plain);
        let (a, b) = (images(&plain)?, images(&compressed)?);
        prop_assert_eq!((a.count as u32, a.shape), (count, shape));
        prop_assert_eq!((&a.pixels, &b.pixels), (&pixels, &pixels));
        prop_assert_eq!(&a.digests.contents, &b.digests.contents);
        prop_assert_eq!(&a.digests.contents, &a.digests.file);
        prop_assert_ne!(&b.digests.contents, &b.digests.file);
    }

    #[test]
    fn labels_are_read(labels in prop::collection::vec(any::<u8>(), 1..2000)) {
        for bytes in [idx::encode_labels(&labels), gzip(&idx::encode_labels(&labels))] {
            let read = idx::labels_from(&bytes[..], bytes.len() as u64, Path::new("l"))?;
            prop_assert_eq!(&read.values, &labels);
        }
    }

    #[test]
    fn a_gzip_in_several_members_is_one_file((count, shape, pixels) in any_images(), cut in 0.0..1.0) {
        let plain = encode(count, shape, &pixels);
        let (a, b) = plain.split_at((cut * plain.len() as f64) as usize);
        prop_assert_eq!(images(&[gzip(a), gzip(b)].concat())?.pixels, pixels);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused((count, shape, pixels) in any_images(), cut in 0.0..1.0) {
        let plain = encode(count, shape, &pixels);
        for bytes in [gzip(&plain), plain] {
            let length = (cut * bytes.len() as f64) as usize;
            prop_assert!(images(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn bytes_after_the_data_are_refused(
        (count, shape, pixels) in any_images(),
        tail in prop::collection::vec(any::<u8>(), 1..600),
    ) {
        let plain = encode(count, shape, &pixels);
        let longer = [&plain[..], &tail].concat();
        prop_assert!(images(&longer).is_err());
        prop_assert!(images(&gzip(&longer)).is_err());
        if tail.iter().any(|&byte| byte != 0) {
            prop_assert!(images(&[&gzip(&plain)[..], &tail].concat()).is_err());
        }
    }

    /// gzip(1) ignores such padding, which tapes and block copies leave.
    #[test]
    fn zero_bytes_after_a_gzip_are_padding(
        (count, shape, pixels) in any_images(),
        zeros in 1usize..200_000,
        garbage in 1u8..,
    ) {
        let mut padded = gzip(&encode(count, shape, &pixels));
        let member = padded.clone();
        padded.resize(padded.len() + zeros, 0);
        prop_assert_eq!(images(&padded)?.pixels, pixels);
        padded.push(garbage);
        let error = images(&padded).unwrap_err().to_string();
        prop_assert!(error.contains("found other bytes after its end"), "{}", error);
        // Another member must follow the first immediately.
        padded.pop();
        prop_assert!(images(&[padded, member].concat()).is_err());
    }

    #[test]
    fn mutated_bytes_never_panic_or_exceed_the_memory_limit(
        (count, shape, pixels) in any_images(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let plain = encode(count, shape, &pixels);
        for mut bytes in [gzip(&plain), plain] {
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            let _ = images(&bytes);
        }
    }

    #[test]
    fn false_header_is_refused_without_allocating(
        sizes in prop::collection::vec(any::<u32>(), 3..5),
        length in 0usize..4000,
        color in any::<bool>(),
    ) {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        let mut sizes = sizes;
        if let [_, channels, _, _] = &mut sizes[..] && color {
            *channels = 3;
        }
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(vec![0; length]);
        let product = sizes.iter().map(|&size| u128::from(size)).product::<u128>();
        prop_assume!(product != length as u128);
        prop_assert!(images(&bytes).is_err());
        prop_assert!(images(&gzip(&bytes)).is_err());
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = images(&bytes);
        let _ = images(&[&[0x1f, 0x8b][..], &bytes].concat());
        let _ = images(&gzip(&bytes));
    }
}

#[test]
fn gzip_bomb_is_refused_before_and_during_inflation() {
    // 64 MiB of zeros in 64 KiB.
    let zeros = vec![0; 64 << 20];
    let claims = |side: u32| idx::encode_images(side, [1024, 1024], &zeros);
    let honest = gzip(&claims(64));
    assert_eq!(images(&honest).unwrap().count, 64);
    // More than deflate could compress into this length.
    let text = problem(&gzip(&claims(4095))[..]).to_string();
    assert!(text.contains("cannot hold more than 1032 times its length"), "{text}");
    // Less than the actual size: nothing is inflated beyond the claim.
    assert_eq!(problem(&gzip(&claims(1))), IdxProblem::Surplus { claimed: (1 << 20) + 16 });
}

#[test]
fn common_mistakes_are_named() {
    let labels = idx::encode_labels(&[1, 2, 3]);
    let images = idx::encode_images(1, [2, 2], &[1, 2, 3, 4]);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = images.clone();
        change(&mut bytes);
        bytes
    };
    let color = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = idx::encode_images(1, [3, 2, 2], &[7; 12]);
        change(&mut bytes);
        bytes
    };
    let tar = {
        let mut bytes = vec![0; 512];
        bytes[..5].copy_from_slice(b"train");
        bytes[257..262].copy_from_slice(b"ustar");
        bytes
    };
    let cut = gzip(&images);
    let mut damaged = gzip(&images);
    let crc = damaged.len() - 8;
    damaged[crc] ^= 1;
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (vec![], &["begins with a header", "an empty file"]),
        (gzip(b""), &["a gzip of nothing"]),
        (labels, &["magic number 2051", "labels file (2049)", "mixed up"]),
        (
            b"<!DOCTYPE html><html>Not found".to_vec(),
            &["found a web page", "download the file again"],
        ),
        (gzip(b"\n <html>"), &["found a web page"]),
        (b"404: Not Found".to_vec(), &["found a text file"]),
        (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), &["git lfs pull"]),
        (b"PK\x03\x04rest".to_vec(), &["a zip archive (.zip, .npz)"]),
        (b"\x93NUMPY\x01\x00".to_vec(), &["a NumPy array"]),
        (tar.clone(), &["a tar archive"]),
        (gzip(&tar), &["a tar archive"]),
        (gzip(&gzip(&images)), &["a gzip within a gzip"]),
        (with(&|b| b[..4].copy_from_slice(&[3, 8, 0, 0])), &["most significant byte first"]),
        (with(&|b| b[2] = 0x0d), &["type 0x08 (u8)", "found 0x0D (f32)", "convert"]),
        (with(&|b| b[3] = 2), &["3 dimensions, in color 4, found 2"]),
        (with(&|b| b[3] = 5), &["3 dimensions, in color 4, found 5"]),
        (with(&|b| b[3] = 4), &["must have 3 channels", "or 1, found 2"]),
        (color(&|b| b[11] = 4), &["must have 3 channels", "or 1, found 4"]),
        (color(&|b| b[19] = 0), &["at least 1, found [1, 3, 2, 0]"]),
        (color(&|b| b.truncate(17)), &["header of an IDX file has 20 bytes, found 17"]),
        (color(&|b| b.truncate(31)), &["asks for 32 bytes in all, found 31", "cut off"]),
        (color(&|b| b.push(0)), &["asks for 32 bytes in all, found 33", "after the data"]),
        (gzip(&color(&|b| b.truncate(31))), &["asks for 32 bytes in all, found 31"]),
        (with(&|b| b[0] = 9), &["00 00 08 03", "found 09 00 08 03"]),
        (with(&|b| b[7] = 0), &["at least 1, found [0, 2, 2]"]),
        (with(&|b| b[15] = 0), &["at least 1, found [1, 2, 0]"]),
        (with(&|b| b[4..16].fill(255)), &["less than 2^64", "4294967295"]),
        (with(&|b| b[7] = 2), &["asks for 24 bytes in all, found 20", "cut off"]),
        (with(&|b| b.push(0)), &["asks for 20 bytes in all, found 21", "after the data"]),
        (with(&|b| b.truncate(9)), &["header of an IDX file has 16 bytes, found 9"]),
        (gzip(&with(&|b| b.truncate(19))), &["asks for 20 bytes in all, found 19"]),
        (cut[..cut.len() - 4].to_vec(), &["the gzip ends too early", "cut off"]),
        (damaged, &["the gzip is damaged", "checksum"]),
    ];
    for (bytes, parts) in cases {
        let error = idx::images_from(&bytes[..], bytes.len() as u64, Path::new("some/file"));
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("some/file: "), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }
    let error = idx::labels_from(&images[..], images.len() as u64, Path::new("l")).unwrap_err();
    assert!(error.to_string().contains("found an images file (2051, in color 2052)"), "{error}");
}

#[test]
fn paths_that_are_not_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = idx::read_images(&folder.path().join("none")).unwrap_err().to_string();
    assert!(
        missing.contains("none cannot be read") && missing.contains("check the path"),
        "{missing}"
    );
    assert!(idx::read_labels(folder.path()).is_err());
    let path = folder.path().join("images.gz");
    // The name says gzip, but the contents decide.
    fs::write(&path, idx::encode_images(1, [1, 1], &[7])).unwrap();
    assert_eq!(idx::read_images(&path).unwrap().pixels, [7]);
}
