//! Tests that `predict` recognizes pictures in every supported form.

use std::path::Path;

use crate::common::preparation_pictures::{
    evaluated, fashion_mnist, predicted, save_images, write_marks,
};
use crate::common::{self, CommandOutput, idx, run, seqfit, succeed, write_stripes};
use image::{GrayImage, Luma, imageops};
use seqfit::data::{self, Dataset};
use serde_json::Value;

/// Returns a test image as a picture: enlarged `k` times on a sheet, with brightness by `paint`.
fn picture(dataset: &Dataset, i: usize, k: u32, paint: impl Fn(u32, u32, u8) -> u8) -> GrayImage {
    let [height, width] = dataset.image_shape().unwrap().map(|side| side as u32);
    let pixels = dataset.image(i).to_vec();
    let image = GrayImage::from_raw(width, height, pixels).unwrap();
    let large = imageops::resize(&image, k * width, k * height, imageops::FilterType::CatmullRom);
    // Off center, so that the preparation must find it.
    GrayImage::from_fn(k * width * 3 / 2, k * height * 2, |x, y| {
        let (dx, dy) = (x.wrapping_sub(k * width / 3), y.wrapping_sub(k * height / 5));
        let ink = large.get_pixel_checked(dx, dy).map_or(0, |pixel| pixel.0[0]);
        Luma([paint(x, y, ink)])
    })
}

fn predict(home: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = succeed(seqfit(home).args(["predict", "run", "--json"]).args(arguments));
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn pictures_of_the_networks_size_and_idx_files_give_the_same_predictions() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "20", "--out", "run"];
    succeed(seqfit(home.path()).args(train));
    let (_, test) = data::load("digits").unwrap();
    let n = 20;
    let pixels: Vec<u8> = (0..n).flat_map(|i| test.image(i).to_vec()).collect();
    std::fs::write(home.path().join("images.idx"), idx(&[n as u32, 8, 8], &pixels)).unwrap();
    let names: Vec<String> = (0..n).map(|i| format!("{i}.png")).collect();
    for (i, name) in names.iter().enumerate() {
        let image = GrayImage::from_raw(8, 8, test.image(i).to_vec()).unwrap();
        image.save(home.path().join(name)).unwrap();
    }
    let from_idx = predict(home.path(), &["images.idx"]);
    let mut arguments = vec!["--raw"];
    arguments.extend(names.iter().map(String::as_str));
    let from_png = predict(home.path(), &arguments);
    assert_eq!((from_idx.len(), from_png.len()), (n, n));
    let mut right = 0;
    for (i, (a, b)) in from_idx.iter().zip(&from_png).enumerate() {
        assert_eq!((&a["class"], &a["top"][0]["class"]), (&b["class"], &b["class"]));
        // In float32 a batch of 20 and a single image differ in the last digits.
        let probability = |p: &Value| p["probability"].as_f64().unwrap();
        assert!((probability(a) - probability(b)).abs() < 1e-5, "{a} {b}");
        assert_eq!((a["index"].as_u64(), b.get("index")), (Some(i as u64), None));
        assert_eq!(a["top"].as_array().unwrap().len(), 3);
        let shares: Vec<f64> = a["top"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["probability"].as_f64().unwrap())
            .collect();
        assert!(shares[0] >= shares[1] && shares.iter().sum::<f64>() <= 1.0 + 1e-6);
        right += usize::from(a["class"] == test.classes()[usize::from(test.label(i))]);
    }
    assert!(right >= 16, "{right} of {n}");
    // The human-readable output has one line per image.
    let output = succeed(seqfit(home.path()).args(["predict", "run", "--top", "1", "images.idx"]));
    assert!(output.stdout.starts_with("images.idx[0]: "), "{}", output.stdout);
    assert_eq!(output.stdout.lines().count(), n);
}

#[test]
fn photos_of_mnist_digits_are_recognized() {
    let Some(folder) = common::mnist() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let mut train = seqfit(home.path());
    train.args(["train", "-q", "--epochs", "3", "--out", "run", "--data-dir"]);
    succeed(train.arg(&folder));
    let (_, test) = data::load_dir(&folder).unwrap();
    // A hash of the position gives reproducible noise.
    let noise = |x: u32, y: u32| {
        let hash = x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519);
        f64::from((hash ^ (hash >> 15)) % 13)
    };
    let n = 100;
    let mut names = Vec::new();
    for i in 0..n {
        // Pen on shaded, noisy paper as JPEG; chalk on a board as PNG.
        let paper = |x: u32, y: u32, ink: u8| {
            (190.0 + f64::from(x) / 8.0 - 0.55 * f64::from(ink) + noise(x, y)) as u8
        };
        let board = |x: u32, y: u32, ink: u8| (30.0 + 0.8 * f64::from(ink) + noise(x, y)) as u8;
        let (name, picture) = match i % 2 {
            0 => (format!("{i}.jpg"), picture(&test, i, 8, paper)),
            _ => (format!("{i}.png"), picture(&test, i, 5, board)),
        };
        picture.save(home.path().join(&name)).unwrap();
        names.push(name);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let predictions = predict(home.path(), &names);
    let right = (0..n)
        .filter(|&i| predictions[i]["class"] == test.classes()[usize::from(test.label(i))])
        .count();
    assert!(right >= 93, "{right} of {n}");
}

/// Returns the class names that a run's `evaluate` predicts for its test images.
fn evaluated_names(home: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(home.join("run/config.toml")).unwrap();
    let config = seqfit::run::RunConfig::from_toml(text.as_bytes()).unwrap();
    evaluated(home).into_iter().map(|class| config.data.classes[class].clone()).collect()
}

fn train_on(home: &Path, folder: &str) {
    let train = ["train", "-q", "--epochs", "15", "--out", "run", "--force", "--data-dir", folder];
    succeed(seqfit(home).args(train));
}

/// Returns the number of predictions equal to the name of the picture's folder.
fn right(answers: &[String], pictures: &[String]) -> usize {
    let class = |path: &String| Path::new(path).parent().unwrap().file_name().unwrap().to_owned();
    answers.iter().zip(pictures).filter(|(answer, path)| class(path) == answer.as_str()).count()
}

#[test]
fn predictions_for_packed_pictures_match_evaluate() {
    for (kind, size) in [("raw", [28, 28]), ("resize", [70, 42])] {
        let home = tempfile::tempdir().unwrap();
        let tests = write_marks(&home.path().join("marks"), size);
        let pack = ["data", "pack", "marks", "--out", "packed", "--prepare", kind];
        succeed(seqfit(home.path()).args(pack));
        train_on(home.path(), "packed");
        let answers = predicted(home.path(), &tests, &[]);
        assert_eq!(answers, evaluated_names(home.path()), "{kind}");
        assert!(right(&answers, &tests) >= 98, "{kind}: {} of 100", right(&answers, &tests));
        // The digit preparation makes these pictures identical.
        let options = ["--prepare", "digit", "--skip-bad"];
        let mut command = seqfit(home.path());
        let output = run(command.args(["predict", "run", "--top", "1"]).args(options).args(&tests));
        let right = output.stdout.lines().filter(|line| {
            let (path, answer) = line.split_once(": ").unwrap();
            path.contains(&format!("/{}/", answer.split(' ').next().unwrap()))
        });
        let right = right.count();
        assert!(right < 80, "{kind}: {right}");
    }
}

#[test]
fn pictures_for_unknown_idx_data_are_unchanged() {
    let home = tempfile::tempdir().unwrap();
    let tests = write_marks(&home.path().join("marks"), [28, 28]);
    succeed(seqfit(home.path()).args(["data", "pack", "marks", "--out", "packed", "--raw"]));
    std::fs::remove_file(home.path().join("packed/dataset.toml")).unwrap();
    train_on(home.path(), "packed");
    let answers = predicted(home.path(), &tests, &[]);
    assert_eq!(answers, evaluated_names(home.path()));
    assert!(right(&answers, &tests) >= 98);
}

#[test]
fn sharded_data_keeps_its_preparation() {
    let home = tempfile::tempdir().unwrap();
    let tests = write_marks(&home.path().join("marks"), [56, 56]);
    let pack = ["data", "pack", "marks", "--out", "packed", "--prepare", "resize"];
    succeed(seqfit(home.path()).args(pack));
    let shard = ["data", "shard", "--data-dir", "packed", "--out", "shards", "--shards", "3"];
    succeed(seqfit(home.path()).args(shard));
    let train =
        ["train", "-q", "--stream", "--epochs", "15", "--out", "run", "--data-dir", "shards"];
    succeed(seqfit(home.path()).args(train));
    let answers = predicted(home.path(), &tests, &[]);
    assert_eq!(answers, evaluated_names(home.path()));
    assert!(right(&answers, &tests) >= 98);
}

#[test]
fn predictions_for_fashion_mnist_pictures_match_evaluate() {
    let Some(folder) = fashion_mnist() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let train =
        ["train", "-q", "--recipe", "tutorial", "--epochs", "2", "--out", "run", "--data-dir"];
    succeed(seqfit(home.path()).args(train).arg(&folder));
    let (_, test) = data::load_dir(&folder).unwrap();
    let pictures = save_images(&test, 1500, &home.path().join("pictures"));
    let answers = predicted(home.path(), &pictures, &[]);
    assert_eq!(answers[..], evaluated_names(home.path())[..1500]);
    let right = answers.iter().enumerate();
    let right = right.filter(|(i, name)| **name == test.classes()[usize::from(test.label(*i))]);
    let right = right.count();
    assert!(right >= 1200, "{right} of 1500");
}

/// Trains a run on 4x4 stripes, and writes a picture that it accepts.
fn striped() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    write_stripes(&home.path().join("stripes"), 4, 4, 3);
    train_on(home.path(), "stripes");
    let picture =
        |side| GrayImage::from_fn(side, side, |_, y| Luma([if y % 3 == 0 { 200 } else { 20 }]));
    picture(4).save(home.path().join("good.png")).unwrap();
    picture(9).save(home.path().join("large.png")).unwrap();
    let bar = |along: u32, across: u32| (8..32).contains(&along) && (18..22).contains(&across);
    let cross = |x, y| Luma([if bar(x, y) || bar(y, x) { 20 } else { 230 }]);
    GrayImage::from_fn(40, 40, cross).save(home.path().join("cross.png")).unwrap();
    home
}

fn ask(home: &Path, arguments: &[&str]) -> CommandOutput {
    run(seqfit(home).args(["predict", "run"]).args(arguments))
}

#[test]
fn predict_notes_the_preparation_unless_it_was_given() {
    let home = striped();
    let config = home.path().join("run/config.toml");
    let with = std::fs::read_to_string(&config).unwrap();
    let output = ask(home.path(), &["good.png", "good.png"]);
    let note = "note: pictures are taken unchanged, as the run's data were (--prepare digit|resize changes \
                that)\n";
    assert_eq!((output.code, output.stderr.as_str()), (0, note));
    for options in [&["--prepare", "raw"][..], &["--raw"], &["--prepare", "resize"]] {
        let output = ask(home.path(), &[options, &["good.png"]].concat());
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{options:?}");
    }
    assert_eq!(ask(home.path(), &["good.png", "--json"]).stderr, note);
    // Images in IDX files are never changed.
    std::fs::write(home.path().join("images.idx"), idx(&[1, 4, 4], &[9; 16])).unwrap();
    assert_eq!(ask(home.path(), &["images.idx"]).stderr, "");
    let output = ask(home.path(), &["--raw", "--prepare", "digit", "good.png"]);
    assert_eq!(output.code, 2);
    // For a picture of another size the error names the cure.
    let output = ask(home.path(), &["large.png"]);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("found 9x9: give one of this size, or choose --prepare resize"));
    assert_eq!(ask(home.path(), &["large.png", "--prepare", "resize"]).code, 0);
    // Older runs do not store the preparation: it follows from the name of their data.
    let line = "preparation = \"raw\"\n";
    assert_eq!(with.matches(line).count(), 1);
    let without = with.replace(line, "");
    std::fs::write(&config, &without).unwrap();
    let output = ask(home.path(), &["good.png"]);
    let note = "note: pictures are taken unchanged, because the run does not record how its data were prepared";
    assert!(output.code == 0 && output.stderr.starts_with(note), "{output:#?}");
    std::fs::write(&config, without.replace("name = \"stripes\"", "name = \"mnist\"")).unwrap();
    let output = ask(home.path(), &["cross.png"]);
    assert!(
        output.stderr.starts_with("note: pictures are prepared as digits, as the run's"),
        "{output:#?}"
    );
}

#[test]
fn skip_bad_skips_and_names_bad_files() {
    let home = striped();
    let at = |name: &str| home.path().join(name);
    std::fs::write(at("text.png"), "no picture").unwrap();
    let png = std::fs::read(at("good.png")).unwrap();
    std::fs::write(at("cut.png"), &png[..png.len() / 2]).unwrap();
    std::fs::write(at("empty.png"), "").unwrap();
    std::fs::write(at("cut.idx"), &idx(&[2, 4, 4], &[9; 32])[..30]).unwrap();
    std::fs::write(at("other.idx"), idx(&[1, 9, 9], &[0; 81])).unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    let bad = [
        "missing.png",
        "text.png",
        "cut.png",
        "empty.png",
        "cut.idx",
        "other.idx",
        "folder",
        "large.png",
    ];
    for name in bad {
        let alone = ask(home.path(), &[name]);
        assert_eq!((alone.code, alone.stdout.as_str()), (1, ""), "{name}");
        assert!(!alone.stderr.contains("--skip-bad"), "{}", alone.stderr);
        let stopped = ask(home.path(), &["good.png", name, "good.png"]);
        assert_eq!((stopped.code, stopped.stdout.lines().count()), (1, 1), "{name}");
        assert!(stopped.stderr.contains("; --skip-bad leaves out"), "{}", stopped.stderr);
        let output = ask(home.path(), &["good.png", name, "good.png", "--skip-bad"]);
        assert_eq!((output.code, output.stdout.lines().count()), (0, 2), "{name}: {output:#?}");
        assert_eq!(output.stderr.lines().filter(|line| line.starts_with("left out: ")).count(), 1);
        assert!(output.stderr.contains(name) && output.stderr.ends_with("left out 1 of 3 files\n"));
        let none = ask(home.path(), &[name, "--skip-bad"]);
        assert_eq!((none.code, none.stdout.as_str()), (1, ""), "{name}");
        assert!(none.stderr.ends_with("error: no picture could be used: left out 1 of 1 file\n"));
    }
    let output = ask(home.path(), &[&["good.png", "--skip-bad", "--json"], &bad[..]].concat());
    assert_eq!(output.code, 0);
    let lines: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1 + bad.len());
    assert!(lines[0]["error"].is_null() && lines[0]["class"].is_string());
    for (line, name) in lines[1..].iter().zip(bad) {
        assert_eq!((line["image"].as_str(), line.get("class")), (Some(name), None));
        assert!(line["error"].as_str().unwrap().contains(name), "{line}");
    }
    assert!(output.stderr.ends_with("left out 8 of 9 files\n"), "{}", output.stderr);
}

#[test]
fn uniform_picture_has_no_digit_and_is_skipped() {
    let home = striped();
    GrayImage::from_pixel(40, 40, Luma([200])).save(home.path().join("blank.png")).unwrap();
    let arguments = ["cross.png", "blank.png", "--prepare", "digit", "--skip-bad"];
    let output = ask(home.path(), &arguments);
    assert_eq!((output.code, output.stdout.lines().count()), (0, 1), "{output:#?}");
    assert!(
        output.stderr.contains("left out: blank.png: a picture must show something"),
        "{output:#?}"
    );
}

/// Returns a picture of a digit's sheet. `paint` gives a pixel's brightness from its position on the
/// sheet (both coordinates are from 0 to 1 within it) and its ink (from 0 to 1).
fn painted(
    dataset: &Dataset,
    i: usize,
    sheet: Sheet,
    paint: impl Fn(f64, f64, f64) -> f64,
) -> GrayImage {
    let digit = picture(dataset, i, 8, |_, _, ink| ink);
    let [width, height] = [digit.width(), digit.height()].map(f64::from);
    let (sin, cos) = sheet.degrees.to_radians().sin_cos();
    let side = |side: f64| (side * sheet.around) as u32;
    GrayImage::from_fn(side(width), side(height), |x, y| {
        let (x, y) =
            (f64::from(x) - width * sheet.around / 2.0, f64::from(y) - height * sheet.around / 2.0);
        let (x, y) = (x * cos + y * sin + width / 2.0, y * cos - x * sin + height / 2.0);
        let ink = digit.get_pixel_checked(x as u32, y as u32).map_or(0, |pixel| pixel.0[0]);
        let noise = (x * 12.9898 + y * 78.233).sin() * 3.0;
        Luma([(paint(x / width, y / height, f64::from(ink) / 255.0) + noise) as u8])
    })
}

/// A sheet's placement in the picture: the picture's size in sheets, and the angle.
#[derive(Clone, Copy)]
struct Sheet {
    around: f64,
    degrees: f64,
}

/// A sheet of paper with its digit, surrounded by a dark table.
fn on_a_table(x: f64, y: f64, ink: f64) -> f64 {
    let inside = x.min(1.0 - x).min(y).min(1.0 - y);
    if inside < 0.0 { 60.0 } else { 230.0 - 190.0 * ink }
}

#[test]
fn digits_in_frames_and_on_tables_are_recognized() {
    let Some(folder) = common::mnist() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let mut train = seqfit(home.path());
    train.args(["train", "-q", "--epochs", "3", "--out", "run", "--data-dir"]);
    succeed(train.arg(&folder));
    let (_, test) = data::load_dir(&folder).unwrap();
    let edge = |x: f64, y: f64| x.min(1.0 - x).min(y).min(1.0 - y);
    let paper = |ink: f64| 235.0 - 200.0 * ink;
    let plain = Sheet { around: 1.0, degrees: 0.0 };
    let framed = Sheet { around: 1.06, degrees: 0.0 };
    type Paint<'a> = &'a dyn Fn(f64, f64, f64) -> f64;
    let kinds: [(&str, Sheet, Paint); 8] = [
        ("none", plain, &|_, _, ink| paper(ink)),
        ("black frame", framed, &|x, y, ink| if edge(x, y) < 0.0 { 5.0 } else { paper(ink) }),
        ("gray frame", Sheet { around: 1.3, degrees: 0.0 }, &|x, y, ink| {
            if edge(x, y) < 0.0 { 128.0 } else { paper(ink) }
        }),
        ("table", Sheet { around: 2.0, degrees: 0.0 }, &on_a_table),
        ("turned sheet", Sheet { around: 1.8, degrees: 12.0 }, &on_a_table),
        ("ruled paper", plain, &|_, y, ink| {
            let line = if (y * 15.0).fract() < 0.06 { 150.0 } else { 255.0 };
            paper(ink).min(line)
        }),
        ("rim on one side", plain, &|x, _, ink| if x < 0.1 { 50.0 } else { paper(ink) }),
        ("blackboard", Sheet { around: 1.2, degrees: 0.0 }, &|x, y, ink| {
            let wood = 150.0 + 20.0 * (40.0 * x + 6.0 * (9.0 * y).sin()).sin();
            if edge(x, y) < 0.0 { wood } else { 45.0 + 180.0 * ink }
        }),
    ];
    let n = 100;
    for (kind, sheet, paint) in kinds {
        let names: Vec<String> = (0..n).map(|i| format!("{kind}-{i}.png")).collect();
        for (i, name) in names.iter().enumerate() {
            painted(&test, i, sheet, paint).save(home.path().join(name)).unwrap();
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let predictions = predict(home.path(), &names);
        let right =
            |i: &usize| predictions[*i]["class"] == test.classes()[usize::from(test.label(*i))];
        let right = (0..n).filter(right).count();
        assert!(100 * right >= 95 * n, "{kind}: {right} of {n}");
    }
}

#[test]
fn pictures_without_a_digit_are_errors() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "1", "--out", "run"];
    succeed(seqfit(home.path()).args(train));
    let (_, digits) = data::load("digits").unwrap();
    let [flat, turned] = [0.0, 12.0].map(|degrees| Sheet { around: 1.5, degrees });
    let table = |x: f64, y: f64, _: f64| on_a_table(x, y, 0.0);
    let pictures = [
        ("table", painted(&digits, 0, turned, table)),
        (
            "frame",
            painted(&digits, 0, flat, |x, y, _| {
                let edge = x.min(1.0 - x).min(y).min(1.0 - y);
                if (-0.05..0.0).contains(&edge) { 30.0 } else { 220.0 }
            }),
        ),
        ("gradient", painted(&digits, 0, flat, |x, y, _| 120.0 + 40.0 * x - 30.0 * y)),
    ];
    for (kind, picture) in pictures {
        let name = format!("{kind}.png");
        picture.save(home.path().join(&name)).unwrap();
        let output = common::run(seqfit(home.path()).args(["predict", "run", &name]));
        assert_eq!(output.code, 1, "{kind}: {output:#?}");
        assert!(output.stderr.contains("a picture must show"), "{kind}: {}", output.stderr);
    }
}
