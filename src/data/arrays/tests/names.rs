//! Tests of the names of targets in arrays.

use super::{floats, ints, load, npy, npz};
use crate::data::{
    ArrayKeys, Locations, PathRequest, Request, Target, TargetKind, load_npz, resolve, resolve_test,
};

/// Returns a `.npy` file of text, as NumPy writes an array of `str`.
fn text(shape: &str, strings: &[&str]) -> Vec<u8> {
    let width = strings.iter().map(|text| text.chars().count()).max().unwrap().max(1);
    let mut data = Vec::new();
    for string in strings {
        let padding = std::iter::repeat('\0');
        let padded = string.chars().chain(padding).take(width);
        padded.for_each(|c| data.extend(u32::from(c).to_le_bytes()));
    }
    npy(&format!("<U{width}"), shape, &data)
}

fn x(samples: usize) -> Vec<u8> {
    let values: Vec<f32> = (0..2 * samples).map(|i| i as f32).collect();
    floats(&format!("({samples}, 2)"), &values)
}

const NOWHERE: Locations = Locations { data: None, cache: None, mirrors: None };

/// `numpy.unique(["owl", "cat", "émeu", "cat"], return_inverse=True)` gives `["cat", "owl", "émeu"]` and `[1, 0, 2, 0]`,
/// as `LabelEncoder` does.
#[test]
fn text_is_the_names_of_classes_sorted() {
    let y = text("(4,)", &["owl", "cat", "émeu", "cat"]);
    let bytes = npy("|S4", "(4, 1)", b"owl\0cat\0emu\0cat\0");
    for (y, last) in [(y, "émeu"), (bytes, "emu")] {
        let mut expected = ["cat", "owl", last];
        expected.sort_unstable();
        let path = npz(&[("x_train", x(4)), ("y_train", y)]);
        let train = load(&path, None).unwrap().train;
        assert_eq!(train.classes(), expected);
        let names = (0..4).map(|i| expected[usize::from(train.label(i))]);
        assert_eq!(names.collect::<Vec<_>>(), ["owl", "cat", last, "cat"]);
    }
    // Both parts have the same classes, and one that is not trained is noted.
    let path = npz(&[
        ("x_train", x(2)),
        ("y_train", text("(2,)", &["b", "c"])),
        ("x_test", x(2)),
        ("y_test", text("(2,)", &["c", "apple"])),
    ]);
    let both = load(&path, None).unwrap();
    let test = both.test.unwrap();
    assert_eq!((both.train.classes(), test.classes()), (test.classes(), both.train.classes()));
    assert_eq!((test.classes(), test.label(0), test.label(1)), (both.train.classes(), 2, 0));
    assert!(both.notes[0].starts_with("no training sample has class apple:"), "{:?}", both.notes);
}

#[test]
fn targets_of_every_kind_have_the_names_in_the_file() {
    let names = || ("target_names", text("(2,)", &["first", "second"]));
    let of = |y: Vec<u8>| load(&npz(&[("x_train", x(2)), ("y_train", y), names()]), None);
    for y in [
        ints("(2,)", &[0, 1]),
        ints("(2,)", &[1, 2]),
        ints("(2, 2)", &[0, 1, 1, 1]),
        floats("(2, 2)", &[0.5, 1.0, 2.0, 3.0]),
        text("(2,)", &["second", "first"]),
    ] {
        let loaded = of(y).unwrap();
        assert_eq!(loaded.train.target_names(), ["first", "second"]);
    }
    let from_1 = of(ints("(2,)", &[1, 2])).unwrap();
    assert_eq!((from_1.train.label(0), from_1.train.label(1)), (0, 1));
    assert_eq!(from_1.notes, ["classes are counted from 1, so 1 is first"]);
    // By another key, and not by the usual one.
    let path = npz(&[
        ("x_train", x(2)),
        ("y_train", floats("(2,)", &[0.5, 1.5])),
        ("unit", text("(1,)", &["price"])),
    ]);
    let keys = ArrayKeys { target_names: Some("unit".to_owned()), ..ArrayKeys::default() };
    assert_eq!(load_npz(&path, &keys, None).unwrap().train.target_names(), ["price"]);
    assert_eq!(load(&path, None).unwrap().train.target_names(), ["target"]);
}

#[test]
fn requested_names_are_recorded_and_come_first() {
    let names = ("target_names", text("(2,)", &["first", "second"]));
    let path = npz(&[
        ("x_train", x(10)),
        ("y_train", ints("(10,)", &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1])),
        names,
    ]);
    let request = PathRequest {
        target_names: Some(["no", "yes"].map(String::from).to_vec()),
        ..PathRequest::new(path.to_path_buf())
    };
    let loaded = resolve(&Request::Path(request.clone()), &NOWHERE, &mut |_| {}).unwrap();
    assert_eq!(loaded.train.classes(), ["no", "yes"]);
    assert_eq!(loaded.source.request(&NOWHERE).unwrap(), Request::Path(request));
}

#[test]
fn classes_txt_beside_the_arrays_names_classes_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("x_train.npy"), x(5)).unwrap();
    std::fs::write(at("y_train.npy"), text("(5,)", &["a", "b", "a", "b", "a"])).unwrap();
    std::fs::write(at("classes.txt"), "b\na\n").unwrap();
    let request = Request::Path(PathRequest::new(folder.path()));
    let load = |request: &Request| resolve(request, &NOWHERE, &mut |_| {}).unwrap();
    let first = load(&request);
    assert_eq!(first.train.classes(), ["b", "a"]);
    // The run's own record has the names, so that another order changes nothing.
    std::fs::write(at("classes.txt"), "a\nb\n").unwrap();
    let again = load(&first.source.request(&NOWHERE).unwrap());
    assert_eq!(again.train.classes(), ["b", "a"]);
    assert_eq!(again.train.label(0), first.train.label(0));
    assert_eq!(load(&request).train.classes(), ["a", "b"]);
    // Of numbers it says nothing.
    std::fs::write(at("y_train.npy"), floats("(5,)", &[0.5; 5])).unwrap();
    let numbers = load(&request);
    assert_eq!(numbers.train.target_names(), ["target"]);
    assert_eq!(numbers.notes[0], "classes.txt is not used: the targets are numbers");
    assert_eq!(numbers.source.arrays.unwrap().target_names, None);
}

#[test]
fn wrong_names_are_refused_with_the_cure() {
    let y = |name: &'static str, y| npz(&[("x_train", x(2)), (name, y)]);
    let named = |y: Vec<u8>, names: Vec<u8>| {
        npz(&[("x_train", x(2)), ("y_train", y), ("target_names", names)])
    };
    let two = || text("(2,)", &["a", "b"]);
    let many: Vec<String> = (0..300).map(|i| i.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let many = npz(&[("x_train", x(300)), ("y_train", text("(300,)", &many))]);
    let parts = npz(&[
        ("x_train", x(2)),
        ("y_train", two()),
        ("x_test", x(2)),
        ("y_test", ints("(2,)", &[0, 1])),
    ]);
    let as_samples = npz(&[("x_train", text("(2, 1)", &["a", "b"])), ("y_train", two())]);
    for (path, kind, words) in [
        (
            named(ints("(2, 3)", &[0; 6]), two()),
            None,
            "one name is needed for each of 3 labels, found 2 (a, b)",
        ),
        (named(floats("(2,)", &[0.5, 1.5]), two()), None, "for each of 1 number, found 2 (a, b)"),
        (
            named(two(), text("(2,)", &["a", "c"])),
            None,
            "the names of classes are a, c, found \"b\" at [1]",
        ),
        (named(ints("(2,)", &[0, 2]), two()), None, "found 2 at sample 1"),
        (named(two(), text("(2,)", &["a", "a"])), None, "found \"a\" again in name 2"),
        (named(two(), ints("(2,)", &[0, 1])), None, "array \"target_names\" must hold names"),
        (named(two(), text("(1, 2)", &["a", "b"])), None, "found shape [1, 2]"),
        (y("y_train", text("(2,)", &["a", "a"])), None, "found 1 name"),
        (y("y_train", text("(2,)", &["a", ""])), None, "an empty name 1"),
        (y("y_train", text("(1, 2)", &["a", "b"])), None, "each sample needs a target"),
        (y("y_train", text("(2, 2)", &["a", "b", "c", "d"])), None, "if it holds classes"),
        (y("y_train", two()), Some(TargetKind::Numbers), "holds text, the names of classes"),
        (y("y_train", two()), Some(TargetKind::Labels), "holds text, the names of classes"),
        (y("y_train", npy("|O", "(2,)", b"pickle")), None, "array.astype(str)"),
        (y("y_train", npy("<U0", "(2,)", b"")), None, "found the type \"<U0\""),
        (
            y("y_train", npy("<U1", "(2,)", &[0xff; 8])),
            None,
            "must be Unicode, found no Unicode at [0]",
        ),
        (y("y_train", npy("<U2", "(2,)", &[0; 8])), None, "2 numbers of 8 bytes are needed"),
        (many, None, "found 257 names"),
        (parts, None, "training and test targets must be alike, found text and numbers"),
        (as_samples, None, "array \"x_train\" must hold integers, floats or bool"),
    ] {
        let error = load(&path, kind).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
    let keys = ArrayKeys { target_names: Some("none".to_owned()), ..ArrayKeys::default() };
    let path = npz(&[("x_train", x(2)), ("y_train", two())]);
    let error = load_npz(&path, &keys, None).unwrap_err().to_string();
    assert!(error.contains("--keys target_names=NAME"), "{error}");
}

/// Columns of another order would be compared with the wrong outputs.
#[test]
fn labels_of_other_data_must_have_the_network_s_order() {
    use crate::data::ClassNames;
    let of = |names: Option<[&str; 2]>| {
        let mut arrays = vec![("x_test", x(2)), ("y_test", ints("(2, 2)", &[0, 1, 1, 1]))];
        arrays.extend(names.map(|names| ("target_names", text("(2,)", &names))));
        let path = npz(&arrays);
        let request = Request::Path(PathRequest::new(path.to_path_buf()));
        resolve_test(&request, &NOWHERE, &mut |_| {}).unwrap()
    };
    let network = ["cat", "dog"].map(String::from);
    let matched = |names| of(names).for_network(ClassNames::new(&network, None));
    assert_eq!(matched(Some(["cat", "dog"])).unwrap().notes, [""; 0]);
    let note = "this data does not name its 2 labels: they are matched by their place, cat, dog";
    assert_eq!(matched(None).unwrap().notes, [note]);
    let error = matched(Some(["dog", "cat"])).unwrap_err().to_string();
    assert!(error.contains("found dog, cat: the network's are cat, dog"), "{error}");
    assert_eq!(of(None).test.target(0), Target::Labels(&[0, 1]));
    let unnamed = ["label_0", "label_1"].map(String::from);
    assert!(of(Some(["dog", "cat"])).for_network(ClassNames::new(&unnamed, None)).is_ok());
}
