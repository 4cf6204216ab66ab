//! Tests the names of classes: which are the same, and which are refused.

use super::*;

#[test]
fn names_that_look_the_same_are_refused_and_shown() {
    for (first, second) in [
        ("cat", "cat "),
        (" cat", "cat"),
        ("ice cream", "ice  cream"),
        ("ice cream", "ice\u{a0}cream"),
        ("caf\u{e9}", "cafe\u{301}"),
    ] {
        let made = folder(&[(first, A), (second, B)], 2);
        let error = refusal(made.path());
        for name in [first, second] {
            let shown = format!("\"{}\"", name.escape_default());
            assert!(error.contains(&shown), "{shown} is not in {error}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_name_that_is_no_utf_8_is_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let made = folder(&[("a", A), ("b", B)], 2);
    fs::rename(made.path().join("b"), made.path().join(OsStr::from_bytes(b"caf\xe9"))).unwrap();
    let error = refusal(made.path());
    assert!(error.contains("must be UTF-8"), "{error}");
}

/// All that is saved without an error is loaded again with the same names.
#[test]
fn packed_data_loads_with_any_names() {
    use proptest::prelude::*;
    let name = "[ \u{a0}\u{200b}\u{2028}\u{feff}a-cA0-9\u{e9}\u{301}\u{3042}\\t\\n._-]{1,5}";
    let names = proptest::collection::btree_set(name, 2..4);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut written, mut refused) = (0, 0);
    let cases = |names: std::collections::BTreeSet<String>| {
        let made = tempfile::tempdir().unwrap();
        let (from, to) = (made.path().join("from"), made.path().join("to"));
        let pixels = (0..4).map(|i| 60 * i as u8).collect();
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            fs::create_dir_all(from.join(name)).unwrap();
            for i in 0..2 {
                let picture = Gray { height: 2, width: 2, pixels: Vec::clone(&pixels) };
                picture.save_png(&from.join(name).join(format!("{i}.png"))).unwrap();
            }
        }
        let config =
            PackConfig { preparation: Preparation::Raw, shape: [2, 2], ..PackConfig::default() };
        let saved = from_pictures(&from, &config, &mut |_, _| {}).and_then(|packed| {
            crate::data::save_dir(&packed.train, &packed.test, &to)?;
            Ok(packed)
        });
        match saved {
            Err(_) => {
                refused += 1;
                prop_assert!(!to.exists());
            }
            Ok(packed) => {
                written += 1;
                let (train, _) = crate::data::load_dir(&to).unwrap();
                prop_assert_eq!(train.classes(), packed.train.classes());
            }
        }
        Ok(())
    };
    let cases = std::cell::RefCell::new(cases);
    runner.run(&names, |names| (cases.borrow_mut())(names)).unwrap();
    assert!(written > 50 && refused > 50, "{written} written, {refused} refused");
}

/// Draws a picture of one color: the label of an image shows in its pixels.
fn uniform(path: &Path, value: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    Gray { height: 4, width: 4, pixels: vec![value; 16] }.save_png(path).unwrap();
}

/// Packs training and test folders with these names, whose pictures have the values 0, 10, 20, …, and returns the
/// classes and the values of training and test images by label.
fn packed_parts(train: &[&str], test: &[&str]) -> (Vec<String>, [Vec<u8>; 2]) {
    let made = tempfile::tempdir().unwrap();
    for (part, names) in [("train", train), ("test", test)] {
        for (name, value) in names.iter().zip((0..).step_by(10)) {
            uniform(&made.path().join(part).join(name).join("0.png"), value);
        }
    }
    let config = PackConfig { preparation: Preparation::Resize, ..PackConfig::default() };
    let packed = from_pictures(made.path(), &config, &mut |_, _| {}).unwrap();
    let values = [&packed.train, &packed.test].map(|part| {
        let mut by_label: Vec<(u8, u8)> =
            (0..part.len()).map(|i| (part.label(i), part.image(i)[0])).collect();
        by_label.sort_unstable();
        by_label.into_iter().map(|(_, value)| value).collect()
    });
    (packed.train.classes().to_vec(), values)
}

#[test]
fn classes_of_the_parts_are_matched_by_name() {
    for (train, test, names, values) in [
        (&["a", "b"][..], &["a", " b"][..], &["a", "b"][..], [0, 10, 0]),
        (&["a", "b"], &["a\u{3000}", "b"], &["a", "b"], [0, 10, 0]),
        (&[" b", "a"], &["b", "a"], &["a", "b"], [10, 0, 0]),
        (&["1", "2", "10"], &["1 ", "2", "10"], &["1", "2", "10"], [0, 10, 20]),
        (&["10 ", "2", "1"], &["10", " 2", "1"], &["1", "2", "10"], [20, 10, 0]),
        (&["\u{e9}", "b"], &["e\u{301}", "b"], &["b", "\u{e9}"], [10, 0, 0]),
        (&["e\u{301}", "f"], &["\u{e9}", "f"], &["f", "\u{e9}"], [10, 0, 0]),
    ] {
        let (found, [trained, tested]) = packed_parts(train, test);
        assert_eq!(found, names, "{train:?} {test:?}");
        assert_eq!(trained, values[..names.len()], "{train:?} {test:?}");
        assert_eq!(tested, trained, "{train:?} {test:?}");
    }
}

#[test]
fn names_that_cannot_be_saved_are_refused_once() {
    let made = folder(&[("a", A), ("b\nc", B)], 2);
    let error = refusal(made.path());
    assert!(error.contains("found the control character '\\n' in name 2: rename"), "{error}");
    assert_eq!(error.matches("found").count(), 1, "{error}");
    let many: Vec<String> = (0..257).map(|i| format!("c{i}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), A)).collect();
    let error = refusal(folder(&many, 0).path());
    assert!(error.contains("found 257 names: rename"), "{error}");
}
