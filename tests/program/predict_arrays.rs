//! Tests that `predict` reads samples from NumPy files, for classes, several labels and numbers.

use std::path::Path;

use crate::common::numpy::{digits_options, npy, npy_of, npz, write_digits};
use crate::common::{CommandOutput, run, seqfit, succeed};
use serde_json::{Value, json};

fn trained(kind: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    let mut train = seqfit(home.path());
    train.args(["train", "-q", "--epochs", "10", "--out", "run"]).args(digits_options(kind));
    succeed(&mut train);
    home
}

fn ask(home: &Path, arguments: &[&str]) -> CommandOutput {
    run(seqfit(home).args(["predict", "run"]).args(arguments))
}

/// Returns the JSON lines of `predict`, and the predictions of `evaluate` for all test samples.
fn predicted_and_evaluated(home: &Path) -> (Vec<Value>, Vec<Vec<f64>>) {
    let output = ask(home, &["digits.npz", "--json"]);
    assert_eq!(output.code, 0, "{output:#?}");
    assert_eq!(output.stderr, "note: the samples are the array \"x_test\" of digits.npz\n");
    succeed(seqfit(home).args(["evaluate", "run", "--predictions", "all.npy"]));
    // Data is not replaced by arrays, and neither array by the other.
    for wrong in
        [&["--predictions", "digits.npz"][..], &["--predictions", "a.npy", "--logits", "a.npy"]]
    {
        let refused = run(seqfit(home).args(["evaluate", "run"]).args(wrong));
        assert!(refused.code == 2 && refused.stderr.contains("--predictions"), "{refused:?}");
    }
    let bytes = std::fs::read(home.join("all.npy")).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let values: Vec<f64> = bytes[10 + header..]
        .chunks_exact(4)
        .map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap())))
        .collect();
    let lines: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 360);
    let width = values.len() / lines.len();
    (lines, values.chunks(width).map(<[f64]>::to_vec).collect())
}

fn close(a: &Value, b: f64) -> bool {
    // f32, in batches of other sizes.
    (a.as_f64().unwrap() - b).abs() < 1e-5 * b.abs().max(1.0)
}

#[test]
fn predict_prints_numbers_in_their_own_units() {
    let home = trained("numbers");
    let (lines, expected) = predicted_and_evaluated(home.path());
    for (i, (line, expected)) in lines.iter().zip(&expected).enumerate() {
        assert_eq!((&line["file"], &line["index"]), (&json!("digits.npz"), &json!(i)));
        assert!(close(&line["values"]["target"], expected[0]), "{line} {expected:?}");
        assert_eq!(line.as_object().unwrap().len(), 3);
    }
    let text = ask(home.path(), &["digits.npz"]).stdout;
    let first = text.lines().next().unwrap().strip_prefix("digits.npz[0]: target ").unwrap();
    assert!((first.parse::<f64>().unwrap() - expected[0][0]).abs() < 0.01, "{first}");
    // Options that mean nothing for numbers are refused.
    for (options, words) in [
        (["--top", "2"], "--top is for classes and labels"),
        (["--image", "always"], "--image always is for networks that take images"),
        (["--prepare", "raw"], "--prepare and --raw are for networks that take pictures"),
    ] {
        let output = ask(home.path(), &[&["digits.npz"], &options[..]].concat());
        assert_eq!(output.code, 2, "{output:#?}");
        assert!(output.stderr.contains(words), "{output:#?}");
    }
}

#[test]
fn predict_prints_labels_with_their_probabilities() {
    let home = trained("labels");
    let (lines, expected) = predicted_and_evaluated(home.path());
    for (line, expected) in lines.iter().zip(&expected) {
        let names = ["label_0", "label_1", "label_2"];
        let above: Vec<_> = names.iter().zip(expected).filter(|(_, p)| **p > 0.5).collect();
        let above: Vec<_> = above.into_iter().map(|(name, _)| *name).collect();
        assert_eq!((&line["labels"], &line["threshold"]), (&json!(above), &json!(0.5)));
        for (name, expected) in names.iter().zip(expected) {
            assert!(close(&line["probabilities"][name], *expected), "{line}");
        }
    }
    let text = |options: &[&str]| ask(home.path(), &[&["digits.npz"], options].concat()).stdout;
    let (all, one) = (text(&[]), text(&["--top", "1"]));
    for ((line, all), one) in lines.iter().zip(all.lines()).zip(one.lines()) {
        let above = line["labels"].as_array().unwrap().len();
        let shown = all.split_once(": ").unwrap().1;
        assert_eq!(shown.matches(" %)").count(), 3, "{all}");
        assert_eq!(shown.contains("; not above 50 %: label"), above < 3, "{all}");
        assert_eq!(shown.starts_with("no label; "), above == 0, "{all}");
        // All labels that are predicted are printed, whatever --top says.
        assert_eq!(one.matches(" %)").count(), above.max(1), "{one}");
    }
}

#[test]
fn predict_classifies_arrays() {
    let home = trained("class");
    let (lines, expected) = predicted_and_evaluated(home.path());
    for (line, expected) in lines.iter().zip(&expected) {
        let best = (0..10).max_by(|&a, &b| expected[a].total_cmp(&expected[b])).unwrap();
        assert_eq!(line["class"], best.to_string());
        assert!(close(&line["probability"], expected[best]), "{line}");
        assert_eq!(line["top"].as_array().unwrap().len(), 3);
    }
    let text = ask(home.path(), &["digits.npz", "--top", "1"]).stdout;
    assert!(text.starts_with("digits.npz[0]: ") && text.lines().count() == 360, "{text}");
}

#[test]
fn predict_takes_pixels_from_arrays_and_pictures_from_files() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "5", "--out", "run"];
    succeed(seqfit(home.path()).args(train));
    let (_, test) = seqfit::data::load("digits").unwrap();
    let pixels: Vec<u8> = (0..5).flat_map(|i| test.image(i).to_vec()).collect();
    std::fs::write(home.path().join("x.npy"), npy_of("|u1", &[5, 8, 8], &pixels)).unwrap();
    std::fs::write(home.path().join("x.idx"), crate::common::idx(&[5, 8, 8], &pixels)).unwrap();
    let [arrays, idx] = ["x.npy", "x.idx"].map(|name| {
        let output = ask(home.path(), &[name, "--image", "always"]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:#?}");
        output.stdout.replace(name, "x")
    });
    assert_eq!(arrays, idx);
    let line: Value =
        serde_json::from_str(ask(home.path(), &["x.npy", "--json"]).stdout.lines().next().unwrap())
            .unwrap();
    assert_eq!(line["image"], "x.npy");
    // Numbers are no pixels: they would not be scaled.
    let floats: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
    std::fs::write(home.path().join("f.npy"), npy(&[5, 8, 8], &floats)).unwrap();
    let output = ask(home.path(), &["f.npy"]);
    assert_eq!(output.code, 1);
    let words = "f.npy: the network takes pixels, found data of numbers";
    assert!(output.stderr.contains(words), "{output:#?}");
}

#[test]
fn predict_names_what_is_wrong_with_a_file_of_samples() {
    let home = trained("numbers");
    let at = |name: &str| home.path().join(name);
    let mut values = vec![0.5f32; 128];
    std::fs::write(at("good.npy"), npy(&[2, 64], &values)).unwrap();
    std::fs::write(at("narrow.npy"), npy(&[4, 32], &values)).unwrap();
    std::fs::write(at("one.npy"), npy(&[64], &values[..64])).unwrap();
    std::fs::write(at("none.npy"), npy(&[0, 64], &[])).unwrap();
    std::fs::write(at("scalar.npy"), npy(&[], &[1.0])).unwrap();
    let huge = npy(&[1, 64], &[3e38; 64]);
    std::fs::write(at("huge.npy"), huge).unwrap();
    values[70] = f32::NAN;
    std::fs::write(at("nan.npy"), npy(&[2, 64], &values)).unwrap();
    std::fs::write(at("text.npy"), npy_of("<U1", &[2, 64], &[0; 512])).unwrap();
    std::fs::write(at("rows.csv"), "0.1,0.2\n0.3,0.4\n").unwrap();
    std::fs::write(at("picture.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    std::fs::write(at("empty.npy"), "").unwrap();
    npz(&at("others.npz"), &[("a", npy(&[2, 64], &[0.5; 128])), ("b", npy(&[2, 1], &[0.0; 2]))]);
    npz(&at("only.npz"), &[("a", npy(&[2, 64], &[0.5; 128]))]);
    let pixels = npy_of("|u1", &[2, 8, 8], &[0; 128]);
    std::fs::write(at("pixels.npy"), pixels).unwrap();
    let bad = [
        ("narrow.npy", "takes samples of shape [64]"),
        ("one.npy", "needs an axis of samples in front: x[None]"),
        ("none.npy", "found 0"),
        ("scalar.npy", "must be [samples, …], found shape []"),
        ("huge.npy", "a prediction must be finite, found"),
        ("nan.npy", "found NaN"),
        ("text.npy", "must hold integers, floats or bool, found the type \"<U1\""),
        (
            "rows.csv",
            "samples are in a file of arrays (.npy, .npz or .safetensors), found text: save them",
        ),
        ("picture.png", "found a picture"),
        ("empty.npy", "found an empty file"),
        ("others.npz", "the file holds a, b: name yours with --keys x=NAME"),
        ("pixels.npy", "the network takes numbers, found data of pixels"),
        ("missing.npy", "missing.npy"),
    ];
    for (name, words) in bad {
        let output = ask(home.path(), &[name]);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{name}: {output:#?}");
        assert!(output.stderr.contains(words), "{name}: {}", output.stderr);
        assert!(output.stderr.contains(name), "{name}: {}", output.stderr);
    }
    assert_eq!(ask(home.path(), &["only.npz"]).code, 0);
    let named = ask(home.path(), &["others.npz", "--keys", "x=a"]);
    assert_eq!((named.code, named.stderr.as_str()), (0, ""), "{named:#?}");
    assert_eq!(named.stdout.lines().count(), 2);
    for keys in ["x", "x=", "y=a", "a"] {
        assert_eq!(ask(home.path(), &["others.npz", "--keys", keys]).code, 2, "{keys}");
    }
    let output = ask(home.path(), &["rows.csv", "good.npy", "--skip-bad", "--json"]);
    assert_eq!((output.code, output.stdout.lines().count()), (0, 3), "{output:#?}");
    let left_out: Value = serde_json::from_str(output.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(left_out["file"], "rows.csv");
    let none = ask(home.path(), &["rows.csv", "--skip-bad"]);
    assert!(none.stderr.ends_with("no sample could be used: left out 1 of 1 file\n"), "{none:#?}");
}

/// Reads a table without quoted fields.
fn table(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(',').map(ToOwned::to_owned).collect()).collect()
}

#[test]
fn predict_writes_all_predictions_to_a_file() {
    for (kind, head) in [
        ("class", "file,index,class,probability_0,probability_1"),
        ("labels", "file,index,probability_label_0,probability_label_1,probability_label_2"),
        ("numbers", "file,index,target"),
    ] {
        let home = trained(kind);
        let (lines, expected) = predicted_and_evaluated(home.path());
        let written = ask(home.path(), &["digits.npz", "--out", "all.csv"]);
        assert_eq!((written.code, written.stdout.as_str()), (0, ""), "{written:#?}");
        assert!(written.stderr.ends_with("wrote all.csv: 360 predictions\n"), "{written:#?}");
        let table = table(&home.path().join("all.csv"));
        assert!(table[0].join(",").starts_with(head), "{:?}", table[0]);
        let first = if kind == "class" { 3 } else { 2 };
        for (i, ((row, line), expected)) in table[1..].iter().zip(&lines).zip(&expected).enumerate()
        {
            assert_eq!(row[..2], ["digits.npz".to_owned(), i.to_string()]);
            assert_eq!(row.len() - first, expected.len());
            for (value, expected) in row[first..].iter().zip(expected) {
                assert!(close(&json!(value.parse::<f64>().unwrap()), *expected), "{row:?}");
            }
            if kind == "class" {
                assert_eq!(line["class"], row[2].as_str());
            }
        }
        // The same samples twice, as evaluate writes them once.
        let twice = ["digits.npz", "digits.npz", "--out", "twice.npy"];
        assert_eq!(ask(home.path(), &twice).code, 0);
        let floats = |name: &str| {
            let bytes = std::fs::read(home.path().join(name)).unwrap();
            let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            let shape = String::from_utf8_lossy(&bytes[..header]).into_owned();
            let values = bytes[header..].chunks_exact(4);
            let values = values.map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap())));
            (shape, values.collect::<Vec<_>>())
        };
        let (shape, twice) = floats("twice.npy");
        assert!(shape.contains(&format!("(720,{},)", expected[0].len())), "{shape}");
        let flat = || expected.iter().flatten();
        assert!(twice.iter().zip(flat().chain(flat())).all(|(a, b)| close(&json!(a), *b)));
        assert_eq!(twice.len(), 2 * flat().count());
    }
}

#[test]
fn predict_refuses_files_that_it_should_not_write() {
    let home = trained("class");
    let x = npy(&[2, 64], &[0.5; 128]);
    std::fs::write(home.path().join("x.npy"), &x).unwrap();
    for (options, words) in [
        (&["x.npy", "--out", "all.txt"][..], "ends in .npy or .csv, found all.txt"),
        (&["x.npy", "--out", "./x.npy"], "--out would replace the samples in ./x.npy"),
        (&["x.npy", "--out", "a.npy", "--skip-bad"], "write a .csv"),
        (&["x.npy", "--out", "a.csv", "--json"], "cannot be used with"),
        (&["x.npy", "--out", "a.csv", "--top", "1"], "cannot be used with"),
        (&["x.npy", "missing.npy", "--out", "a.csv"], "missing.npy"),
        (&["x.npy", "--out", "none/a.csv"], "none/a.csv"),
        (&["missing.npy", "--skip-bad", "--out", "a.csv"], "left out 1 of 1 file"),
    ] {
        let output = ask(home.path(), options);
        assert!(output.code != 0 && output.stderr.contains(words), "{words}: {output:#?}");
        assert_eq!(output.stdout, "", "{output:#?}");
    }
    assert!(!home.path().join("a.csv").exists() && !home.path().join("a.npy").exists());
    assert_eq!(std::fs::read(home.path().join("x.npy")).unwrap(), x);
    // A file without the array of new samples or a test part has training samples.
    let train = [("x_train", x), ("y_train", npy(&[2], &[0.0, 1.0]))];
    npz(&home.path().join("train.npz"), &train);
    let output = ask(home.path(), &["train.npz"]);
    assert_eq!((output.code, output.stdout.lines().count()), (0, 2), "{output:#?}");
    assert!(output.stderr.contains("the samples are the array \"x_train\" of train.npz"));
    let table = ask(home.path(), &["x.npy", "missing.npy", "--skip-bad", "--out", "a.csv"]);
    assert!(
        table.code == 0 && table.stderr.ends_with("wrote a.csv: 2 predictions\n"),
        "{table:#?}"
    );
}
