//! Tests of files of arrays, most of them written here.

mod names;

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::data::{
    ArrayKeys, Arrays, DataError, PathRequest, Request, Sample, Source, Target, TargetKind,
    load_npy, load_npz, resolve, resolve_test, verify,
};

/// Returns a `.npy` file.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
}

fn floats(shape: &str, values: &[f32]) -> Vec<u8> {
    npy("<f4", shape, bytemuck::cast_slice(values))
}

fn ints(shape: &str, values: &[i64]) -> Vec<u8> {
    npy("<i8", shape, bytemuck::cast_slice(values))
}

/// Writes a `.npz` file.
fn npz(arrays: &[(&str, Vec<u8>)]) -> tempfile::TempPath {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    file(&writer.finish().unwrap().into_inner())
}

fn file(bytes: &[u8]) -> tempfile::TempPath {
    let mut file = tempfile::Builder::new().suffix(".npz").tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.into_temp_path()
}

fn load(path: &Path, kind: Option<TargetKind>) -> Result<Arrays, String> {
    load_npz(path, &ArrayKeys::default(), kind).map_err(|error| {
        let text = error.to_string();
        let path = format!("{}: ", path.display());
        text.strip_prefix(&path).expect("the path first").to_owned()
    })
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arrays.npz")
}

fn keys(x: &str, y: &str) -> ArrayKeys {
    ArrayKeys { x_train: x.into(), y_train: y.into(), ..ArrayKeys::default() }
}

/// `tests/fixtures/make_arrays.py` wrote the file.
#[test]
fn what_numpy_writes_is_read() {
    let Arrays { train, test, notes } = load_npz(fixture(), &ArrayKeys::default(), None).unwrap();
    assert_eq!((train.len(), train.sample_shape()), (4, &[2, 3][..]));
    // Fortran order and f64.
    let expected: Vec<f32> = (18..24).map(|i| i as f32 / 8.0).collect();
    assert_eq!(train.sample(3), Sample::Floats(&expected));
    // Classes that are counted from 1, in a column of big-endian integers.
    assert_eq!(train.classes(), ["1", "2", "3"]);
    assert_eq!([0, 1, 2, 3].map(|i| train.label(i)), [0, 1, 0, 2]);
    let test = test.unwrap();
    assert_eq!((test.classes(), test.label(0)), (train.classes(), 1));
    let expected: Vec<f32> = (0..6).map(|i| 100.0 + i as f32 / 8.0).collect();
    assert_eq!(test.sample(0), Sample::Floats(&expected));
    assert_eq!(notes, ["arrays that are not used: keras, flags, half, objects, words"]);
}

#[test]
fn weights_of_samples_are_read_if_they_are_named() {
    let parts = |weights: Vec<u8>| {
        let x = floats("(2, 1)", &[1.0, 2.0]);
        npz(&[("x_train", x), ("y_train", ints("(2,)", &[0, 1])), ("cost", weights)])
    };
    let keys = |name: &str| ArrayKeys { w_train: Some(name.into()), ..ArrayKeys::default() };
    let path = parts(floats("(2,)", &[0.5, 3.0]));
    let Arrays { train, notes, .. } = load_npz(&path, &keys("cost"), None).unwrap();
    assert_eq!([0, 1].map(|i| train.sample_weight(i)), [Some(0.5), Some(3.0)]);
    assert_eq!(notes, [""; 0]);
    let Arrays { train, notes, .. } = load_npz(&path, &ArrayKeys::default(), None).unwrap();
    assert!(!train.has_sample_weights());
    assert_eq!(notes, ["arrays that are not used: cost"]);
    for (weights, name, message) in [
        (floats("(2,)", &[0.5, 3.0]), "price", "name yours with --keys w_train=NAME"),
        (floats("(2, 1)", &[0.5, 3.0]), "cost", "[samples] if it holds weights of samples"),
        (floats("(1,)", &[0.5]), "cost", "2 samples need 2 weights, found 1"),
        (floats("(2,)", &[0.5, -1.0]), "cost", "found -1"),
        (floats("(2,)", &[0.5, f32::NAN]), "cost", "found NaN"),
        (floats("(2,)", &[0.5, f32::INFINITY]), "cost", "found inf"),
        (floats("(2,)", &[0.0, 0.0]), "cost", "must be above 0, found 2 weights of 0"),
    ] {
        let error = load_npz(parts(weights), &keys(name), None).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn pictures_in_color_get_their_channels_first() {
    let keys = ArrayKeys { x_test: "-".into(), y_test: "-".into(), ..keys("keras", "flags") };
    let Arrays { train, test, .. } = load_npz(fixture(), &keys, None).unwrap();
    assert!(test.is_none());
    assert_eq!(train.sample_shape(), [3, 2, 4]);
    // numpy.arange(48).reshape(2, 2, 4, 3)[1].transpose(2, 0, 1).ravel()
    let expected: Vec<u8> = (0..3).flat_map(|c| (0..8).map(move |i| 24 + 3 * i + c)).collect();
    assert_eq!(train.image(1), expected);
    assert_eq!(train.target(0), Target::Labels(&[1, 0]));
    assert_eq!(train.target_names(), ["label_0", "label_1"]);
}

#[test]
fn shapes_of_pictures_are_read_as_documented() {
    let of = |shape: &str, bytes: usize| {
        let x = npy("|u1", shape, &(0..bytes).map(|i| i as u8).collect::<Vec<_>>());
        let path = npz(&[("x_train", x), ("y_train", ints("(2,)", &[0, 1]))]);
        let train = load(&path, None).unwrap().train;
        let second: Vec<u8> = (bytes as u8 / 2..bytes as u8).collect();
        let is_plain = train.sample(1) == Sample::Pixels(&second);
        (train.sample_shape().to_vec(), train.image_shape().is_ok(), is_plain)
    };
    assert_eq!(of("(2, 4, 5)", 40), (vec![4, 5], true, true));
    assert_eq!(of("(2, 1, 4, 5)", 40), (vec![4, 5], true, true));
    assert_eq!(of("(2, 4, 5, 1)", 40), (vec![4, 5], true, true));
    assert_eq!(of("(2, 3, 4, 5)", 120), (vec![3, 4, 5], false, true));
    assert_eq!(of("(2, 3, 2, 3)", 36), (vec![3, 2, 3], false, true));
    assert_eq!(of("(2, 4, 5, 2)", 80), (vec![4, 5, 2], false, true));
    // u8 of two axes are numbers.
    assert_eq!(of("(2, 5)", 10), (vec![5], false, false));
}

#[test]
fn the_type_of_the_targets_says_their_kind_unless_it_is_asked_for() {
    let x = || floats("(3, 1)", &[0.5, 1.5, 2.5]);
    let of = |y: Vec<u8>, kind| {
        let found = load(&npz(&[("x_train", x()), ("y_train", y)]), kind)?;
        Ok::<_, String>((found.train.target_kind(), found.train))
    };
    let kind = |y, asked| of(y, asked).unwrap().0;
    use TargetKind::{Class, Labels, Numbers};
    let classes = || ints("(3,)", &[0, 2, 1]);
    assert_eq!(kind(classes(), None), Class);
    assert_eq!(kind(ints("(3, 1)", &[0, 2, 1]), None), Class);
    assert_eq!(kind(npy("|b1", "(3,)", &[0, 1, 1]), None), Class);
    assert_eq!(kind(npy("|b1", "(3, 1)", &[0, 1, 1]), None), Labels);
    assert_eq!(kind(ints("(3, 2)", &[0, 1, 1, 0, 0, 0]), None), Labels);
    assert_eq!(kind(floats("(3,)", &[0.5, 1.0, 2.0]), None), Numbers);
    assert_eq!(kind(floats("(3, 2)", &[0.5, 1.0, 2.0, 0.0, 0.0, 1.0]), None), Numbers);
    let regression = of(classes(), Some(Numbers)).unwrap().1;
    assert_eq!(regression.target(1), Target::Numbers(&[2.0]));
    assert_eq!(regression.target_names(), ["target"]);
    let one = of(floats("(3,)", &[0.0, 1.0, 1.0]), Some(Labels)).unwrap().1;
    assert_eq!((one.target(1), one.target_names()), (Target::Labels(&[1]), &["label".into()][..]));
    assert_eq!(kind(floats("(3,)", &[0.0, 1.0, 1.0]), Some(Class)), Class);

    let refused = |y, asked| of(y, asked).unwrap_err();
    let error = refused(floats("(3,)", &[0.0, 1.0, 1.0]), None);
    assert!(error.contains("\"y_train\" holds floats that are all 0 or 1"), "{error}");
    let error = refused(ints("(3,)", &[0, 256, 1]), None);
    assert!(error.contains("from 0 to 255") && error.contains("found 256 at [1]"), "{error}");
    assert!(error.contains("--task numbers"), "{error}");
    assert!(refused(ints("(3,)", &[0, -1, 1]), None).contains("found -1 at [1]"));
    let error = refused(ints("(3, 2)", &[0, 1, 1, 0, 7, 0]), None);
    assert!(error.contains("0 or 1 each") && error.contains("found 7 at [2, 0]"), "{error}");
    let error = refused(floats("(3,)", &[0.0, 1.5, f32::NAN]), Some(Class));
    assert!(error.contains("found 1.5 at [1]: correct it, or choose data"), "{error}");
    assert!(refused(ints("(3,)", &[0, 0, 0]), None).contains("2 to 256 classes, found 1"));
    assert!(refused(ints("(3, 1, 1)", &[0, 0, 0]), None).contains("found shape [3, 1, 1]"));
    let error = refused(floats("(3,)", &[0.5, f32::NAN, 1.0]), None);
    assert!(error.contains("targets must be finite numbers, found NaN at sample 1"), "{error}");
}

#[test]
fn one_hot_rows_are_classes_if_asked_for_and_never_labels_in_silence() {
    use TargetKind::{Class, Labels};
    let x = || floats("(3, 1)", &[0.5, 1.5, 2.5]);
    let of = |y: Vec<u8>, kind| load(&npz(&[("x_train", x()), ("y_train", y)]), kind);
    let one_hot = [0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    let rows = || ints("(3, 4)", &one_hot);
    let as_floats = || floats("(3, 4)", &one_hot.map(|digit| digit as f32));
    let as_bool = || npy("|b1", "(3, 4)", &one_hot.map(|digit| digit as u8));
    let third = |y: [i64; 4]| [&[0, 1, 0, 0, 1, 0, 0, 0][..], &y].concat();
    for y in [
        ints("(3, 4)", &third([0, 0, 1, 0])),
        floats("(3, 4)", &third([0, 0, 1, 0]).iter().map(|&v| v as f32).collect::<Vec<_>>()),
    ] {
        let error = of(y.clone(), None).unwrap_err();
        assert_eq!(
            error,
            "array \"y_train\" holds one-hot rows, a single 1 in each of 4 columns, which may be one of 4 classes or 4 \
             labels: say which with --task class or --task labels"
        );
        let Arrays { train, notes, .. } = of(y.clone(), Some(Class)).unwrap();
        assert_eq!(train.classes(), ["0", "1", "2", "3"]);
        assert_eq!([0, 1, 2].map(|i| train.label(i)), [1, 0, 2]);
        let note = "no training sample has class 3: a network cannot learn what it is not shown";
        assert_eq!(notes, [note]);
        let labels = of(y, Some(Labels)).unwrap().train;
        assert_eq!(labels.target(0), Target::Labels(&[0, 1, 0, 0]));
    }
    // A row without a 1, or with two, is several labels.
    for y in [rows(), as_bool()] {
        assert_eq!(of(y.clone(), None).unwrap().train.target_kind(), Labels);
        let error = of(y, Some(Class)).unwrap_err();
        assert!(error.contains("one-hot rows with a single 1"), "{error}");
        let cure = ": correct it, or choose data with targets of this kind";
        let places = ["found [0, 0, 0, 0] at [2]", "at [1]"].map(|place| place.to_owned() + cure);
        assert!(places.iter().any(|place| error.ends_with(place)), "{error}");
    }
    assert!(of(as_floats(), None).unwrap_err().contains("floats that are all 0 or 1"));
    let error = of(floats("(3, 257)", &[0.0; 771]), Some(Class)).unwrap_err();
    assert!(error.contains("one-hot rows of at most 256 classes"), "{error}");
}

#[test]
fn one_hot_parts_have_the_same_classes() {
    let parts = |test: Vec<u8>| {
        let train = ints("(2, 3)", &[0, 1, 0, 0, 0, 1]);
        let x = floats("(2, 1)", &[0.5, 1.5]);
        let arrays = [("x_train", x.clone()), ("y_train", train), ("x_test", x), ("y_test", test)];
        load(&npz(&arrays), Some(TargetKind::Class))
    };
    let test = parts(ints("(2, 3)", &[1, 0, 0, 0, 1, 0])).unwrap().test.unwrap();
    assert_eq!((test.classes().len(), [0, 1].map(|i| test.label(i))), (3, [0, 1]));
    let test = parts(ints("(2,)", &[2, 0])).unwrap().test.unwrap();
    assert_eq!((test.classes().len(), [0, 1].map(|i| test.label(i))), (3, [2, 0]));
    let error = parts(ints("(2, 2)", &[1, 0, 0, 1])).unwrap_err();
    assert!(error.contains("targets must be alike, found 3 classes and 2 classes"), "{error}");
    assert!(parts(ints("(2,)", &[3, 0])).unwrap_err().contains("found 3 at sample 0"));
}

#[test]
fn whole_floats_are_numbers_with_a_note() {
    let notes = |y: Vec<u8>, kind| {
        let x = floats("(3, 1)", &[0.5, 1.5, 2.5]);
        load(&npz(&[("x_train", x), ("y_train", y)]), kind).unwrap().notes
    };
    let whole = || floats("(3,)", &[0.0, 2.0, 1.0]);
    let found = notes(whole(), None);
    assert!(found.len() == 1 && found[0].contains("all are whole, from 0 to 2"), "{found:?}");
    assert!(found[0].contains("--task class"), "{found:?}");
    let none: [&str; 0] = [];
    assert_eq!(notes(whole(), Some(TargetKind::Numbers)), none);
    assert_eq!(notes(whole(), Some(TargetKind::Class)), none);
    assert_eq!(notes(floats("(3,)", &[0.0, 2.5, 1.0]), None), none);
    assert_eq!(notes(floats("(3,)", &[0.0, 2000.0, 1.0]), None), none);
    assert_eq!(notes(floats("(3, 2)", &[0.0, 2.0, 1.0, 3.0, 4.0, 5.0]), None), none);
}

#[test]
fn classes_without_samples_are_noted() {
    let x = floats("(3, 1)", &[0.5, 1.5, 2.5]);
    let found = load(&npz(&[("x_train", x), ("y_train", ints("(3,)", &[0, 4, 2]))]), None).unwrap();
    assert_eq!(found.train.classes().len(), 5);
    let note = "no training sample has class 1, 3: a network cannot learn what it is not shown";
    assert_eq!(found.notes, [note]);
    let x = floats("(2, 1)", &[0.5, 1.5]);
    let many = npz(&[("x_train", x.clone()), ("y_train", ints("(2,)", &[0, 40]))]);
    let notes = load(&many, None).unwrap().notes;
    assert!(notes[0].contains("class 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 29 more: "), "{notes:?}");
    // A single value is no class: --task class would refuse it.
    let constant = npz(&[("x_train", x), ("y_train", floats("(2,)", &[3.0, 3.0]))]);
    assert!(load(&constant, None).unwrap().notes.iter().all(|note| !note.contains("--task")));
}

#[test]
fn hostile_files_are_refused_by_name() {
    let y = || ints("(2,)", &[0, 1]);
    let x = |array: Vec<u8>| npz(&[("x_train", array), ("y_train", y())]);
    let refused = |path: &Path| load(path, None).unwrap_err();
    for (array, expected) in [
        (
            npy("|O", "(2,)", &[0; 16]),
            "found the type \"|O\": save array.astype(\"float32\") (seqfit reads no pickled objects)",
        ),
        (npy("<U1", "(2,)", &[0; 8]), "found the type \"<U1\""),
        (npy("<c8", "(2,)", &[0; 16]), "found the type \"<c8\""),
        (npy("<f4", "(2, 3)", &[0; 20]), "6 numbers of 4 bytes are needed, found 20 bytes"),
        (npy("<f4", "(2, 99999999999)", &[0; 8]), "found 8 bytes"),
        (npy("<f4", "(18446744073709551615, 2)", &[0; 8]), "found 8 bytes"),
        (npy("<f4", "(2, -1)", &[]), "shape is a tuple of whole numbers"),
        (b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), "it is cut"),
        (b"pickle".to_vec(), "it does not begin as an array does"),
        (
            floats("()", &[1.0]),
            "must be [samples, …], found shape []: save an array with a row for each sample",
        ),
        (
            floats("(2, 0)", &[]),
            "x_train and y_train: at least one sample of at least one value is needed, found 2 of shape [0]",
        ),
        (
            floats("(3,)", &[1.0; 3]),
            "found 3 samples in \"x_train\" and 2 targets in \"y_train\": save both from the same rows",
        ),
        (
            floats("(2, 2)", &[1.0, 2.0, 3.0, f32::NAN]),
            "features must be finite numbers, found NaN at sample 1, column 1",
        ),
        (
            npy("<f8", "(2,)", bytemuck::cast_slice(&[1.0, 1e300])),
            "numbers must fit into f32, found 1e300 at [1]: correct it, or save the array divided",
        ),
        (
            npy("<u8", "(2,)", bytemuck::cast_slice(&[1, u64::MAX])),
            "below 2^63, found 18446744073709551615 at [1]: correct it, or save array.astype(\"float32\")",
        ),
        (npy("|b1", "(2,)", &[1, 2]), "bool is 0 or 1, found 2 at [1]: save array.astype(bool)"),
    ] {
        let error = refused(&x(array));
        assert!(error.contains(expected), "{error}");
    }
    let none = || floats("(0, 2)", &[]);
    for (x, shape, cure) in [
        (
            none(),
            "(0,)",
            "found shape [0]: give samples and their targets (a test part may be left out)",
        ),
        (none(), "(0, 2)", "found shape [0, 2]: give samples and their targets"),
        (y(), "(2, 0)", "found shape [2, 0]: save at least one target for each sample"),
    ] {
        let error = refused(&npz(&[("x_train", x), ("y_train", ints(shape, &[]))]));
        let rule = "\"y_train\" must be [samples] or [samples, targets], neither of them 0";
        assert!(error.contains(rule) && error.contains(cure), "{error}");
    }
    for (targets, cure) in [
        (ints("()", &[1]), "found shape []: save an array with a target for each sample"),
        (ints("(2, 1, 1)", &[0, 1]), "save array.reshape(len(array), -1)"),
    ] {
        let error = refused(&npz(&[("x_train", y()), ("y_train", targets)]));
        assert!(error.contains(cure), "{error}");
    }
    let weighted = |weights: Vec<u8>| {
        let keys = ArrayKeys { w_train: Some("w_train".to_owned()), ..ArrayKeys::default() };
        let path = npz(&[("x_train", y()), ("y_train", y()), ("w_train", weights)]);
        load_npz(&path, &keys, None).unwrap_err().to_string()
    };
    // Names of classes are no cure for weights.
    for array in [npy("|O", "(2,)", &[0; 16]), npy("<U1", "(2,)", &[0; 8])] {
        let error = weighted(array);
        assert!(error.contains("\"w_train\"") && !error.contains("names of classes"), "{error}");
    }
    let objects = npz(&[("x_train", y()), ("y_train", npy("|O", "(2,)", &[0; 16]))]);
    assert!(refused(&objects).ends_with("or as names of classes array.astype(str)"));
    let text = npz(&[("x_train", y()), ("y_train", npy("<U1", "(2,)", &[0; 8]))]);
    let error = load(&text, Some(TargetKind::Numbers)).unwrap_err();
    assert!(
        error.contains(
            "holds text, the names of classes, and targets that are numbers were asked for"
        ),
        "{error}"
    );
    let nowhere = crate::data::Locations { data: None, cache: None, mirrors: None };
    for (x, y) in [
        (floats("(1,)", &[3.0]), floats("(1,)", &[0.5])),
        (floats("(2,)", &[3.0, 4.0]), ints("(2,)", &[0, 1])),
    ] {
        let few = npz(&[("x_train", x), ("y_train", y)]);
        let request = Request::Path(PathRequest::new(few.to_path_buf()));
        let problem = resolve(&request, &nowhere, &mut |_| {}).unwrap_err().to_string();
        let rule = "a fifth of the samples becomes the test part where there is none";
        assert!(problem.contains(rule), "{problem}");
    }
    assert_eq!(
        refused(&npz(&[("X", y()), ("y_train", y())])),
        "the array \"x_train\" is needed, and the file holds X, y_train: name yours with --keys x_train=NAME"
    );
    assert_eq!(
        refused(&npz(&[])),
        "the arrays \"x_train\" and \"y_train\" are needed, and the file holds no arrays: name yours with --keys \
         x_train=NAME,y_train=NAME"
    );
    let test_keys = ArrayKeys { x_test: String::new(), ..keys("x_test", "y_test") };
    let others = npz(&[("X", y()), ("y_test", y())]);
    let error = load_npz(&others, &test_keys, None).unwrap_err().to_string();
    assert!(error.ends_with("name yours with --keys x_test=NAME"), "{error}");
    let alone = npz(&[("x_train", y()), ("y_train", y()), ("x_test", y())]);
    assert!(refused(&alone).contains("\"x_test\" needs \"y_test\" beside it"));
    assert!(refused(&file(&floats("(2,)", &[1.0; 2]))).contains("found a single array (.npy)"));
    assert!(refused(&file(b"")).contains("found something else"));
    // Of a whole file every beginning is refused.
    let whole = std::fs::read(fixture()).unwrap();
    for length in (0..whole.len()).step_by(7) {
        refused(&file(&whole[..length]));
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let x = npy("|u1", "(2, 16777216)", &vec![0; 2 << 24]);
    let path = npz(&[("x_train", x), ("y_train", ints("(2,)", &[0, 1]))]);
    assert!(std::fs::metadata(&path).unwrap().len() < 100_000);
    let error = load(&path, None).unwrap_err();
    assert!(error.contains("asks for more than"), "{error}");
}

#[test]
fn training_and_test_parts_must_be_alike() {
    let x = floats("(2, 2)", &[1.0, 2.0, 3.0, 4.0]);
    let y = floats("(2, 2)", &[0.5; 4]);
    let with = |test_x: Vec<u8>, test_y: Vec<u8>| {
        let arrays = [
            ("x_train", x.clone()),
            ("y_train", y.clone()),
            ("x_test", test_x),
            ("y_test", test_y),
        ];
        load(&npz(&arrays), None).unwrap_err()
    };
    let error = with(floats("(2, 3)", &[0.0; 6]), y.clone());
    assert!(
        error.contains("found float features of shape [2] and float features of shape [3]"),
        "{error}"
    );
    let error = with(x.clone(), floats("(2,)", &[0.5; 2]));
    assert!(error.contains("found 2 numbers for each sample and 1 number for each"), "{error}");
    let error = with(npy("|u1", "(2, 1, 2)", &[0; 4]), y.clone());
    assert!(error.contains("images of 1x2"), "{error}");
}

#[test]
fn a_file_without_a_test_part_is_split_and_its_source_loads_it_again() {
    let values: Vec<f32> = (0..50).map(|i| i as f32 + 0.5).collect();
    let path = npz(&[("a", floats("(50, 1)", &values)), ("b", floats("(50,)", &values))]);
    let request =
        Request::Path(PathRequest { keys: keys("a", "b"), ..PathRequest::new(path.to_path_buf()) });
    let nowhere = crate::data::Locations { data: None, cache: None, mirrors: None };
    let loaded = resolve(&request, &nowhere, &mut |_| {}).unwrap();
    assert_eq!((loaded.train.len(), loaded.test.len()), (40, 10));
    assert!(loaded.notes[0].contains("10 samples, drawn once and for all"), "{:?}", loaded.notes);
    // The record goes through TOML, as in a run's config.
    let toml = toml::to_string(&loaded.source).unwrap();
    let source: Source = toml::from_str(&toml).unwrap();
    assert_eq!(source, loaded.source);
    assert_eq!(source.request(&nowhere).unwrap(), request);
    let again = resolve(&source.request(&nowhere).unwrap(), &nowhere, &mut |_| {}).unwrap();
    source.check_same(&again.source).unwrap();
    assert_eq!(again.test.sample(3), loaded.test.sample(3));
    drop(path);
    assert!(matches!(source.request(&nowhere), Err(DataError::FileGone(_))));
}

#[test]
fn a_test_part_alone_is_enough_for_evaluation() {
    let x = floats("(2, 2)", &[1.0, 2.0, 3.0, 4.0]);
    let path = npz(&[("x_test", x), ("y_test", ints("(2,)", &[0, 1]))]);
    let request = Request::Path(PathRequest::new(path.to_path_buf()));
    let nowhere = crate::data::Locations { data: None, cache: None, mirrors: None };
    let test = resolve_test(&request, &nowhere, &mut |_| {}).unwrap().test;
    assert_eq!((test.len(), test.label(1)), (2, 1));
    assert!(resolve(&request, &nowhere, &mut |_| {}).is_err());
    // Arrays of a training part that are asked for must be there.
    let asked = [
        ArrayKeys { x_train: "a".into(), ..ArrayKeys::default() },
        ArrayKeys { y_train: "b".into(), ..ArrayKeys::default() },
        ArrayKeys { w_train: Some("w".into()), ..ArrayKeys::default() },
    ];
    for keys in asked {
        let request = PathRequest { keys, ..PathRequest::new(path.to_path_buf()) };
        let request = Request::Path(request);
        let error = resolve_test(&request, &nowhere, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("needed, and the file holds x_test, y_test"), "{error}");
        let [report] = &verify(&request, &nowhere).unwrap()[..] else { panic!("one file") };
        assert!(!report.is_right(), "{report:?}");
    }
}

#[test]
fn weights_that_are_not_used_are_noted_and_a_part_without_any_is_refused() {
    let nowhere = crate::data::Locations { data: None, cache: None, mirrors: None };
    let values: Vec<f32> = (0..50).map(|i| i as f32 / 40.0 + 0.5).collect();
    let weighted = |weights: &[f32]| {
        npz(&[
            ("x_train", floats("(50, 1)", &values)),
            ("y_train", floats("(50,)", &values)),
            ("w_train", floats("(50,)", weights)),
        ])
    };
    let path = weighted(&[1.0; 50]);
    let request = Request::Path(PathRequest::new(path.to_path_buf()));
    let [report] = &verify(&request, &nowhere).unwrap()[..] else { panic!("one file") };
    let note =
        "arrays that are not used: w_train (--keys w_train=w_train weighs the training samples)";
    assert!(report.is_right() && report.notes.contains(&note.to_owned()), "{report:?}");
    // All weights are those of the samples that become the test part.
    let train = resolve(&request, &nowhere, &mut |_| {}).unwrap().train;
    let kept = |value: &f32| (0..train.len()).any(|i| train.sample(i) == Sample::Floats(&[*value]));
    let weights: Vec<f32> = values.iter().map(|value| f32::from(u8::from(!kept(value)))).collect();
    let path = weighted(&weights);
    let keys = ArrayKeys { w_train: Some("w_train".into()), ..ArrayKeys::default() };
    let request = PathRequest { keys, ..PathRequest::new(path.to_path_buf()) };
    let error = resolve(&Request::Path(request), &nowhere, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("found 40 weights of 0"), "{error}");
}

#[test]
fn a_pair_of_files_is_a_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = (folder.path().join("x.npy"), folder.path().join("y.npy"));
    std::fs::write(&x, floats("(2, 3)", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])).unwrap();
    std::fs::write(&y, floats("(2,)", &[0.25, -4.0])).unwrap();
    let data = load_npy(&x, &y, None).unwrap();
    assert_eq!(data.sample(1), Sample::Floats(&[3.0, 4.0, 5.0]));
    assert_eq!(data.target(1), Target::Numbers(&[-4.0]));
    std::fs::write(&y, floats("(3,)", &[0.25, -4.0, 1.0])).unwrap();
    let error = load_npy(&x, &y, None).unwrap_err().to_string();
    assert!(error.contains("found 2 samples in \"x.npy\" and 3 targets in \"y.npy\""), "{error}");
}
