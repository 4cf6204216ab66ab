//! The promise: `predict` names what a picture shows, whatever way the picture comes.

mod common;

use std::path::Path;

use common::{idx, seqfit, succeed};
use image::{GrayImage, Luma, imageops};
use seqfit::data::{self, Dataset};
use serde_json::Value;

/// A test image as a picture: its pixels, `k` times enlarged on a sheet, brightness by `paint`.
fn picture(dataset: &Dataset, i: usize, k: u32, paint: impl Fn(u32, u32, u8) -> u8) -> GrayImage {
    let [height, width] = dataset.image_shape().map(|side| side as u32);
    let pixels = dataset.image(i).to_vec();
    let image = GrayImage::from_raw(width, height, pixels).unwrap();
    let large = imageops::resize(&image, k * width, k * height, imageops::FilterType::CatmullRom);
    // Not in the middle: preparing must find it.
    GrayImage::from_fn(k * width * 3 / 2, k * height * 2, |x, y| {
        let (dx, dy) = (x.wrapping_sub(k * width / 3), y.wrapping_sub(k * height / 5));
        let ink = large.get_pixel_checked(dx, dy).map_or(0, |pixel| pixel.0[0]);
        Luma([paint(x, y, ink)])
    })
}

fn predict(home: &Path, arguments: &[&str]) -> Vec<Value> {
    let said = succeed(seqfit(home).args(["predict", "run", "--json"]).args(arguments));
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn pictures_of_the_networks_size_and_idx_files_give_the_same_answers() {
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
        // In float32 a batch of 20 and one image alone differ in the last digits.
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
    // For people: a line an image.
    let said = succeed(seqfit(home.path()).args(["predict", "run", "--top", "1", "images.idx"]));
    assert!(said.stdout.starts_with("images.idx[0]: "), "{}", said.stdout);
    assert_eq!(said.stdout.lines().count(), n);
}

#[test]
fn photos_of_mnist_digits_are_read() {
    let Some(folder) = common::mnist() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let mut train = seqfit(home.path());
    train.args(["train", "-q", "--epochs", "3", "--out", "run", "--data-dir"]);
    succeed(train.arg(&folder));
    let (_, test) = data::load_dir(&folder).unwrap();
    // A hash of the place: noise that repeats.
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
