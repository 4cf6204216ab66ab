use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use super::epoch_reader::{BlockReader, Epoch};
use super::*;
use crate::data::{Features, PictureShape, Targets, load, load_dir, save_dir, save_shards};
use crate::group::rank_shard::RankShard;

fn memory() -> StreamMemory {
    StreamMemory::default()
}

/// Writes the digits to a folder of shards.
fn sharded(shards: usize) -> (tempfile::TempDir, PathBuf) {
    let (train, test) = load("digits").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shards");
    save_shards(&train, &test, shards, &path, &mut |_, _| {}).unwrap();
    (folder, path)
}

fn message(result: Result<impl Sized, DataError>) -> String {
    result.err().unwrap().to_string()
}

/// Returns all batches of an epoch after `done` ones, read within `memory` bytes.
fn epoch(dataset: &Dataset, memory: usize, done: usize, shard: RankShard) -> Vec<SampleBlock> {
    let epoch = Epoch { seed: 3, number: 2, batch: 50, done, share: shard };
    let mut reader = BlockReader::new(dataset, memory, epoch);
    (0..dataset.len().div_ceil(50) - done).map(|number| reader.take(number).unwrap()).collect()
}

fn numbers(blocks: &[SampleBlock]) -> Vec<u32> {
    blocks.iter().flat_map(|block| (0..block.len()).map(|place| block.sample(place))).collect()
}

#[test]
fn files_and_memory_hold_the_same() {
    let (train, test) = load("digits").unwrap();
    for shards in [1, 2, 40] {
        let (_folder, path) = sharded(shards);
        let (files, files_test) = stream_dir(&path, memory()).unwrap();
        for (own, expected) in [(&files, &train), (&files_test, &test)] {
            assert!(own.is_streamed() && own.len() == expected.len());
            assert_eq!(own.classes(), expected.classes());
            let mut pixels = vec![0; own.len() * 64];
            own.read(0..own.len(), &mut pixels).unwrap();
            for (i, image) in pixels.chunks_exact(64).enumerate() {
                assert_eq!((image, own.label(i)), (expected.image(i), expected.label(i)));
            }
        }
        // Views in any order.
        let some = files.select(&[1436, 0, 1, 2, 700, 700]).unwrap();
        for (i, sample) in [1436, 0, 1, 2, 700, 700].into_iter().enumerate() {
            assert_eq!(some.read_image(i).unwrap(), train.image(sample));
        }
    }
}

#[test]
fn an_epoch_has_every_sample_once_with_its_own_pixels() {
    let (train, _) = load("digits").unwrap();
    let (_folder, path) = sharded(5);
    let files = stream_dir(&path, memory()).unwrap().0;
    // The training part of a split has gaps.
    for (files, train) in [
        (files.clone(), train.clone()),
        (files.split(0.3, 1).unwrap().0, train.split(0.3, 1).unwrap().0),
    ] {
        for memory in [1, 10_000, 1 << 20] {
            let blocks = epoch(&files, memory, 0, RankShard::WHOLE);
            for block in &blocks {
                for place in 0..block.len() {
                    let sample = block.sample(place) as usize;
                    assert_eq!(block.image(place), train.image(sample));
                    assert_eq!(block.label(place), train.label(sample));
                }
            }
            let mut seen = numbers(&blocks);
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..train.len() as u32));
        }
    }
}

#[test]
fn part_of_an_epoch_and_its_shards_match_the_whole() {
    let (_folder, path) = sharded(3);
    let files = stream_dir(&path, memory()).unwrap().0;
    let whole = epoch(&files, 20_000, 0, RankShard::WHOLE);
    for done in [1, 13, 28] {
        let rest = epoch(&files, 20_000, done, RankShard::WHOLE);
        assert_eq!(numbers(&rest), numbers(&whole[done..]));
    }
    let shards: Vec<Vec<SampleBlock>> =
        (0..3).map(|rank| epoch(&files, 20_000, 0, RankShard { rank, ranks: 3 })).collect();
    for (i, batch) in whole.iter().enumerate() {
        let parts: Vec<u32> = shards.iter().flat_map(|shard| numbers(&shard[i..=i])).collect();
        assert_eq!(parts, numbers(std::slice::from_ref(batch)));
    }
}

#[test]
fn batches_do_not_depend_on_the_order_of_requests() {
    let (_folder, path) = sharded(3);
    let files = stream_dir(&path, memory()).unwrap().0;
    let whole = epoch(&files, 20_000, 0, RankShard::WHOLE);
    let ask = Epoch { seed: 3, number: 2, batch: 50, done: 0, share: RankShard::WHOLE };
    let mut reader = BlockReader::new(&files, 20_000, ask);
    for number in [2, 0, 1, 5, 3, 4] {
        let block = reader.take(number).unwrap();
        assert_eq!(numbers(&[block]), numbers(&whole[number..=number]));
    }
}

/// Returns 4,000 images of 1 KiB, gray or in color.
fn large(color: bool) -> Dataset {
    let shape = if color { vec![3, 11, 31] } else { vec![32, 32] };
    let labels: Vec<u8> = (0..4000).map(|i| (i % 3) as u8).collect();
    let each = shape.iter().product::<usize>();
    let pixels: Vec<u8> = (0..4000 * each).map(|i| (i / 341 + i % 251) as u8).collect();
    let targets = Targets::classes(labels, ["a", "b", "c"]);
    Dataset::from_arrays(Features::pixels(pixels, shape), targets).unwrap()
}

#[test]
fn the_memory_limit_is_kept() {
    // In memory for 300 of them.
    for color in [false, true] {
        let held = large(color);
        let folder = tempfile::tempdir().unwrap();
        save_shards(&held, &held.take(3), 4, &folder.path().join("x"), &mut |_, _| {}).unwrap();
        let files = stream_dir(folder.path().join("x"), memory()).unwrap().0;
        let ask = Epoch { seed: 0, number: 1, batch: 64, done: 0, share: RankShard::WHOLE };
        let mut reader = BlockReader::new(&files, 300 << 10, ask);
        let mut most = 0;
        for number in 0..4000usize.div_ceil(64) {
            let block = reader.take(number).unwrap();
            most = most.max(reader.held());
            let (first, shape) = (block.sample(0) as usize, held.sample_shape());
            assert_eq!((block.shape(), block.image(0)), (shape, held.image(first)));
        }
        assert!((200 << 10..=300 << 10).contains(&most), "{most}");
    }
}

#[test]
fn images_in_color_come_back_from_four_files_and_from_shards() {
    let (held, folder) = (large(true), tempfile::tempdir().unwrap());
    let [four, shards, gray] = ["four", "shards", "gray"].map(|name| folder.path().join(name));
    save_dir(&held, &held.take(9), &four).unwrap();
    let (mut done, all) = (Vec::new(), 4009);
    save_shards(&held, &held.take(9), 3, &shards, &mut |now, of| done.push((now, of))).unwrap();
    assert!(done.is_sorted() && done.len() > 3 && done.last() == Some(&(all, all)), "{done:?}");
    let bytes = fs::read(four.join("train-images-idx4-ubyte")).unwrap();
    assert_eq!(bytes[..20], [0, 0, 8, 4, 0, 0, 15, 160, 0, 0, 0, 3, 0, 0, 0, 11, 0, 0, 0, 31]);
    let shape = PictureShape { color: true, height: 11, width: 31 };
    for (train, test) in [
        load_dir(&four).unwrap(),
        stream_dir(&four, memory()).unwrap(),
        stream_dir(&shards, memory()).unwrap(),
    ] {
        assert_eq!((train.picture_shape(), test.len()), (Some(shape), 9));
        for i in [0, 1333, 3999] {
            assert_eq!(train.read_image(i).unwrap(), held.image(i));
        }
        assert_eq!(train.channel_moments().unwrap(), held.channel_moments().unwrap());
        assert_eq!(train.facts("data").unwrap()[..3], held.facts("data").unwrap()[..3]);
    }
    // Damaged files, and gray shards among those in color.
    save_shards(&large(false), &held.take(9), 3, &gray, &mut |_, _| {}).unwrap();
    let name = "train-00001-of-00003-images.idx";
    let whole = fs::read(shards.join(name)).unwrap();
    let with = |place: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[place] = value;
        bytes
    };
    for (bytes, problem) in [
        (fs::read(gray.join(name)).unwrap(), "found 32x32 where the first are 11x31 in color"),
        (with(3, 5), "must have 3 dimensions, in color 4, found 5"),
        (with(11, 4), "must have 3 channels, red, green and blue, or 1, found 4"),
        (with(19, 32), "the header asks for 1407668 bytes"),
        (whole[..1000].to_vec(), "found 1000: the file was cut off"),
    ] {
        fs::write(shards.join(name), bytes).unwrap();
        let text = message(stream_dir(&shards, memory()));
        assert!(text.contains(problem) && text.contains(name), "{text}");
    }
}

#[test]
fn a_file_that_changes_is_an_error_that_names_it() {
    type Change = fn(&Path);
    let changes: [(Change, &str); 3] = [
        (
            |path| OpenOptions::new().write(true).open(path).unwrap().set_len(1000).unwrap(),
            "has become shorter",
        ),
        (
            |path| {
                // Longer than the clock resolution of a file system.
                std::thread::sleep(Duration::from_millis(20));
                let mut file = OpenOptions::new().write(true).open(path).unwrap();
                file.write_all(&[0]).unwrap();
            },
            "was written to",
        ),
        (|path| fs::remove_file(path).unwrap(), "cannot be read"),
    ];
    for (change, problem) in changes {
        let (_folder, path) = sharded(2);
        let files = stream_dir(&path, memory()).unwrap().0;
        let second = path.join("train-00001-of-00002-images.idx");
        assert!(files.read_image(1000).is_ok());
        change(&second);
        let text = message(files.read_image(1000));
        assert!(text.contains(problem) && text.contains(&second.display().to_string()), "{text}");
        // The other is unchanged.
        assert!(files.read_image(0).is_ok());
    }
}

#[test]
fn mismatched_files_are_refused_at_the_start() {
    let (train, test) = load("digits").unwrap();
    let replaced = |name: &str, bytes: &[u8]| {
        let (_folder, path) = sharded(2);
        fs::write(path.join(name), bytes).unwrap();
        message(stream_dir(&path, memory()))
    };
    let images = "train-00001-of-00002-images.idx";
    let text = replaced(images, &idx_images(5, [8, 9]));
    assert!(text.contains("found 8x9 where the first are 8x8 (height x width)"), "{text}");
    let text = replaced(images, &idx_images(5, [8, 8]));
    assert!(text.contains("found 5 images and 719 labels in train-00001"), "{text}");
    let text = replaced(images, &idx_images(5, [8, 8])[..100]);
    assert!(text.contains("the header asks for 336 bytes in all, found 100"), "{text}");
    let text = replaced(images, b"\x1f\x8b\x08rest");
    assert!(text.contains("found a gzip: unpack it") && text.contains(images), "{text}");
    let mut labels = vec![0; 719];
    labels[7] = 11;
    let labels = crate::data::idx::encode_labels(&labels);
    let name = "train-00001-of-00002-labels.idx";
    let text = replaced(name, &labels);
    assert!(text.contains("found 11 at sample 7") && text.contains(name), "{text}");

    let (_folder, path) = sharded(2);
    assert!(message(crate::data::load_dir(&path)).contains("with --stream"));
    assert!(message(save_shards(&train, &test, 2, &path, &mut |_, _| {})).contains("is not empty"));
    assert!(
        message(save_shards(&train, &test, 1438, &path, &mut |_, _| {}))
            .contains("1 to 1437 shards, found 1438")
    );
}

fn idx_images(count: u32, shape: [u32; 2]) -> Vec<u8> {
    let pixels = vec![0; (count * shape[0] * shape[1]) as usize];
    crate::data::idx::encode_images(count, shape, &pixels)
}

#[test]
fn the_usual_four_files_are_streamed_too() {
    let (train, test) = load("digits").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("four");
    save_dir(&train, &test, &path).unwrap();
    let whole = crate::data::resolve(&Request::Dir(path.clone()), &none(), &mut |_| {}).unwrap();
    let files = stream(&Request::Dir(path), &none(), memory()).unwrap();
    // A small file has the same digest as when loaded whole.
    assert_eq!(files.source, whole.source);
    assert_eq!(files.train.read_image(9).unwrap(), train.image(9));
}

fn none() -> Locations {
    Locations { data: None, cache: None, mirrors: None }
}

#[test]
fn known_data_sets_must_be_here() {
    let text = |name| message(stream(&Request::Named(name), &none(), memory()));
    assert!(text(DatasetName::Digits).contains("built into this program"));
    assert!(text(DatasetName::Mnist).contains("seqfit data fetch mnist"));
    assert!("0".parse::<StreamMemory>().unwrap_err().contains("at least 1"));
    assert_eq!("64".parse(), Ok(StreamMemory::default()));
}
