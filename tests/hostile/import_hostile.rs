//! Tests that a damaged or hostile file is an error or a network of finite numbers. Nothing in it is
//! executed, nothing crashes, and memory use is bounded by the file's length.
//!
//! This is a single test because it measures the memory of its process.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use seqfit::import::{ImportOptions, Imported};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A file of each format written by `tests/fixtures/make_import.py`.
const FORMATS: [&str; 9] = [
    "state_dict.pt",
    "script.pt",
    "program.pt2",
    "plain.safetensors",
    "named.npz",
    "packed.npz",
    "keras.weights.h5",
    "network.keras",
    "tensors.onnx",
];

const EACH: usize = 100;

/// The outcome of reading a file: an error or numbers.
#[derive(Debug, PartialEq)]
enum End {
    Error(String),
    Network(Vec<f32>),
    /// Tensors that only `inspect` can read.
    Tensors,
}

fn import(bytes: &[u8]) -> End {
    let imported = match Imported::from_bytes(bytes.to_vec()) {
        Err(problem) => return End::Error(problem.to_string()),
        Ok(imported) => imported,
    };
    match imported.network(&ImportOptions::default()) {
        Ok(network) => {
            let values: Vec<f32> =
                network.weights.values().flat_map(|tensor| tensor.values.iter().copied()).collect();
            assert!(values.iter().all(|value| value.is_finite()));
            End::Network(values)
        }
        // An ONNX file of tensors alone has no graph to make a network of.
        Err(problem) if problem.to_string().contains("its graph is not a network") => End::Tensors,
        Err(problem) => End::Error(problem.to_string()),
    }
}

/// Returns the file with one of five kinds of damage.
fn damaged(whole: &[u8], kind: usize, random: &mut Pcg64) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let place = random.random_range(0..bytes.len());
    match kind % 5 {
        // Truncated.
        0 => bytes.truncate(place),
        // A flipped bit.
        1 => bytes[place] ^= 1 << random.random_range(0..8),
        // A number that is too large or negative.
        2 => {
            let number = [u64::MAX, 1 << 63, 1 << 40, 0x7fff_ffff, 0][random.random_range(0..5)];
            let end = bytes.len().min(place + 8);
            bytes[place..end].copy_from_slice(&number.to_le_bytes()[..end - place]);
        }
        // A missing or duplicated piece.
        3 => drop(bytes.drain(place..whole.len().min(place + random.random_range(1..64)))),
        _ => {
            let piece = whole[place..whole.len().min(place + random.random_range(1..64))].to_vec();
            bytes.splice(place..place, piece);
        }
    }
    bytes
}

/// Returns an archive of records.
fn archive(records: &[(&str, &[u8])], compression: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(compression);
    for (name, content) in records {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn torch(pickle: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", pickle), ("a/data/0", &[0; 16])], CompressionMethod::Stored)
}

/// Returns a `.npy` array that claims a shape.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn npz(compression: CompressionMethod, descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    archive(&[("weight.npy", &npy(descr, shape, data))], compression)
}

/// {"w": a tensor of 4 f32 in storage "0"}, with sizes and strides as opcodes.
fn tensor(storage: &str, offset: &[u8], sizes: &[u8], strides: &[u8]) -> Vec<u8> {
    let text = |text: &str| [&b"\x8c"[..], &[text.len() as u8], text.as_bytes()].concat();
    let pickle = [
        b"\x80\x02}(",
        &text("w")[..],
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text(storage),
        &text("cpu"),
        b"K\x04tQ",
        offset,
        sizes,
        strides,
        b"\x89}tRu.",
    ];
    torch(&pickle.concat())
}

/// Returns malicious files, each with a part of the expected error.
fn hostile(marker: &Path) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let command = format!("touch {}", marker.display());
    let text = [&b"\x8c"[..], &[command.len() as u8], command.as_bytes()].concat();
    let call = |name: &[u8]| [b"\x80\x02c", name, &text, b"\x85R."].concat();
    let stacked = |module: &[u8], name: &[u8]| {
        let short = |text: &[u8]| [&b"\x8c"[..], &[text.len() as u8], text].concat();
        [b"\x80\x04", &short(module)[..], &short(name), b"\x93", &text, b"\x85R."].concat()
    };
    let zeros = vec![0; 16 << 20];
    let most = 1 << 19;
    let ok = &b"K\x04\x85K\x01\x85"[..];
    let mut lying = npz(CompressionMethod::Deflated, "<f4", "(4194304,)", &zeros);
    // Set both fields of the record's inflated length to 100.
    let size = (zeros.len() + npy("<f4", "(4194304,)", &[]).len()) as u32;
    while let Some(at) = lying.windows(4).position(|four| four == size.to_le_bytes()) {
        lying[at..at + 4].copy_from_slice(&100u32.to_le_bytes());
    }
    let stored = CompressionMethod::Stored;
    let mut twice = archive(&[("w.npy", b"1"), ("x.npy", b"2")], stored);
    while let Some(at) = twice.windows(5).position(|five| five == b"x.npy") {
        twice[at] = b'w';
    }
    let safetensors = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let inner = npz(CompressionMethod::Deflated, "<f4", "(4194304,)", &zeros);
    let nan = f32::NAN.to_le_bytes().repeat(4);
    vec![
        ("os.system", torch(&call(b"os\nsystem\n")), "asks for \"os.system\""),
        ("posix.system", torch(&call(b"posix\nsystem\n")), "asks for \"os.system\""),
        ("eval", torch(&call(b"builtins\neval\n")), "asks for \"builtins.eval\""),
        ("exec of Python 2", torch(&call(b"__builtin__\nexec\n")), "asks for"),
        (
            "subprocess",
            torch(&stacked(b"subprocess", b"getoutput")),
            "asks for \"subprocess.getoutput\"",
        ),
        ("getattr", torch(&stacked(b"builtins", b"getattr")), "asks for"),
        ("runpy", torch(&call(b"runpy\n_run_code\n")), "asks for"),
        ("torch.load", torch(&call(b"torch\nload\n")), "asks for \"torch.load\""),
        ("inst", torch(&[b"\x80\x02(", &text[..], b"ios\nsystem\n."].concat()), "opcode 0x69"),
        (
            "hidden in an optimizer",
            torch(&[b"\x80\x02}(\x8c\x05model}\x8c\x03opt", &call(b"os\nsystem\n")[2..]].concat()),
            "asks for \"os.system\"",
        ),
        ("a bare pickle", call(b"os\nsystem\n"), "bare pickle"),
        (
            "deep",
            torch(&[b"\x80\x02N", &b"\x85".repeat(most - 1)[..], b"."].concat()),
            "state_dict",
        ),
        ("deeper", torch(&[b"\x80\x02N", &b"\x85".repeat(most)[..], b"."].concat()), "at most"),
        ("deep lists", torch(&b"]".repeat(4 << 20)), "at most"),
        ("marks", torch(&[b"\x80\x02", &b"(".repeat(4 << 20)[..]].concat()), "at most"),
        ("dup bomb", torch(&[b"\x80\x02N", &b"2".repeat(4 << 20)[..], b"."].concat()), "at most"),
        (
            "memo bomb",
            torch(&[b"\x80\x02N", &b"\x94".repeat(4 << 20)[..], b"."].concat()),
            "at most",
        ),
        // Ten lists, each with ten references to the previous one: 10^10 values when expanded.
        (
            "laughs",
            torch(
                &[
                    &b"\x80\x02}\x8c\x01a]q\x00"[..],
                    &(0..10u8)
                        .flat_map(|i| [&b"]("[..], &[b'h', i].repeat(10), b"eq", &[i + 1]].concat())
                        .collect::<Vec<u8>>(),
                    b"s.",
                ]
                .concat(),
            ),
            "dictionary",
        ),
        ("endless text", torch(b"\x80\x02X\xff\xff\xff\xffa."), "cut"),
        ("endless bytes", torch(b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa."), "cut"),
        ("a right tensor", tensor("0", b"K\x00", ok, b"K\x01\x85"), "w F32 [4]"),
        ("offset", tensor("0", b"K\x01", b"K\x04\x85", b"K\x01\x85"), "does not lie in"),
        (
            "negative offset",
            tensor("0", b"J\xff\xff\xff\xff", b"K\x04\x85", b"K\x01\x85"),
            "a tensor is",
        ),
        ("strides", tensor("0", b"K\x00", b"K\x02K\x02\x86", b"K\x03K\x01\x86"), "does not lie in"),
        (
            "one number for all",
            tensor("0", b"K\x00", b"J\x00\x00\x00\x40\x85", b"K\x00\x85"),
            "asks for more than",
        ),
        (
            "product",
            tensor(
                "0",
                b"K\x00",
                &b"J\xff\xff\xff\x7f".repeat(3).into_iter().chain(*b"\x87").collect::<Vec<_>>(),
                b"K\x00K\x00K\x00\x87",
            ),
            "does not lie in",
        ),
        ("no storage", tensor("../../etc/passwd", b"K\x00", b"K\x04\x85", b"K\x01\x85"), "passwd"),
        ("short storage", tensor("0", b"K\x00", b"K\x05\x85", b"K\x01\x85"), "does not lie in"),
        (
            "shape without end",
            npz(stored, "<f4", "(9223372036854775807, 9223372036854775807)", &[0; 16]),
            "bytes",
        ),
        (
            "shape beyond its numbers",
            npz(stored, "<f4", "(1000000000000,)", &[0; 16]),
            "are needed",
        ),
        ("negative shape", npz(stored, "<f4", "(-4,)", &[0; 16]), "whole numbers"),
        ("objects", npz(stored, "|O", "(4, 4)", &call(b"os\nsystem\n")), "must be of F32"),
        ("integers", npz(stored, "<i8", "(2, 2)", &[0; 32]), "must be of F32"),
        (
            "code for a header",
            npz(stored, "<f4", "(__import__(\"os\").system(\"id\"),)", &[0; 16]),
            "",
        ),
        ("NaN", npz(stored, "<f4", "(2, 2)", &nan), "found NaN at position 0"),
        (
            "overflow of f64",
            npz(stored, "<f8", "(1, 2)", &1e300f64.to_le_bytes().repeat(2)),
            "found inf",
        ),
        (
            "zip bomb",
            npz(CompressionMethod::Deflated, "<f4", "(4194304,)", &zeros),
            "asks for more than",
        ),
        ("zip bomb that lies", lying, "larger than its declared"),
        ("zip in a zip", archive(&[("w.npy", &inner)], stored), "does not begin as an array"),
        ("two of a name", twice, "duplicate file names"),
        ("no records", archive(&[], stored), "not a file of weights"),
        (
            "Keras bomb",
            archive(
                &[("config.json", b"{}"), ("model.weights.h5", &zeros)],
                CompressionMethod::Deflated,
            ),
            "asks for more than",
        ),
        (
            "nested config",
            archive(&[("config.json", &b"[".repeat(1 << 20)), ("model.weights.h5", b"")], stored),
            "config.json",
        ),
        (
            "overlapping tensors",
            safetensors(
                r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#,
                16,
            ),
            "safetensors",
        ),
        (
            "offsets beyond the end",
            safetensors(
                r#"{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#,
                16,
            ),
            "safetensors",
        ),
        ("a header that never ends", safetensors(&"{".repeat(1 << 20), 0), "safetensors"),
        // 300,000 empty initializers of two bytes.
        (
            "empty messages",
            [&b"\x08\x08\x3a\xc0\xcf\x24"[..], &b"\x2a\x00".repeat(300_000)].concat(),
            "asks for more than",
        ),
        ("nothing", Vec::new(), "is empty"),
        ("a page", b"<!DOCTYPE html><html></html>".to_vec(), "not a file of weights"),
    ]
}

/// Returns the peak memory of this process in MiB.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[test]
fn damaged_and_hostile_files_are_errors_in_bounded_memory() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import");
    let whole = FORMATS.map(|name| fs::read(fixtures.join(name)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("marker");
    let hostile = hostile(&marker);
    // The files are already in memory, and a first import has allocated what libraries need for themselves.
    import(&whole[0]);
    let before = peak();

    for (name, bytes) in FORMATS.iter().zip(&whole) {
        let right = import(bytes);
        assert!(!matches!(right, End::Error(_)), "{name}: {right:?}");
        let checked = !["plain.safetensors", "keras.weights.h5", "tensors.onnx"].contains(name);
        let mut random = Pcg64::seed_from_u64(6);
        let mut errors = 0;
        for i in 0..EACH {
            let bytes = damaged(bytes, i, &mut random);
            match import(&bytes) {
                End::Error(_) => errors += 1,
                // Archives have checksums, so accepted data equals the original data.
                found if checked => assert_eq!(found, right, "{name}, {i}"),
                End::Network(values) => assert_eq!(values.len(), 103, "{name}, {i}"),
                End::Tensors => {}
            }
        }
        println!("{name}: {errors} of {EACH} are errors");
        assert!(errors >= EACH / 4, "{name}: only {errors} of {EACH} are errors");
    }
    let mut wrong = Vec::new();
    for (what, bytes, message) in &hostile {
        match import(bytes) {
            End::Error(error) if error.contains(message) && error.len() < 2000 => {}
            other => wrong.push(format!("{what}: {message:?} in {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!marker.exists(), "code in a file was run");
    // A file may allocate 8 times its length (64 times if compressed) plus 1 MiB; half a million values of a
    // pickle take 32 MiB. The largest file here has 16 MiB.
    let grown = peak() - before;
    println!("memory grew by {grown} MiB");
    assert!(grown < 64, "memory grew by {grown} MiB");
}
