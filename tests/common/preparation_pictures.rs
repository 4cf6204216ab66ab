//! Pictures that are distinguishable under only one way of preparing them, and a run's predictions for each.

use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, Luma};
use seqfit::data::Dataset;
use serde_json::Value;

use super::{left_out, seqfit, succeed};

/// Returns the folder of the real Fashion-MNIST, or `None` after reporting the test as left out.
pub fn fashion_mnist() -> Option<PathBuf> {
    let own = std::env::var_os("SEQFIT_DATA").map(|data| PathBuf::from(data).join("fashion-mnist"));
    let debian = PathBuf::from("/usr/share/datasets/fashion-mnist");
    let found = own.into_iter().chain([debian]).find(|folder| folder.is_dir());
    if found.is_none() {
        left_out("a test with Fashion-MNIST (apt-get install dataset-fashion-mnist)");
    }
    found
}

/// Writes train and test folders of classes that the digit preparation would make identical: a mark on the left
/// or on the right, and a uniform gray that is dark or bright. Returns the test pictures in the order in
/// which `data pack` reads them.
pub fn write_marks(folder: &Path, [height, width]: [u32; 2]) -> Vec<String> {
    let classes: [(&str, u32, u8, u8); 4] = [
        ("bright", 0, 170, 170),
        ("dark", 0, 60, 60),
        ("left", width / 8, 20, 220),
        ("right", width * 5 / 8, 20, 220),
    ];
    let mut tests = Vec::new();
    for (part, count) in [("train", 60), ("test", 25)] {
        for (class, (name, left, sheet, mark)) in classes.into_iter().enumerate() {
            let place = format!("{part}/{name}");
            fs::create_dir_all(folder.join(&place)).unwrap();
            for i in 0..count {
                let seed =
                    (i as u32 * 7 + class as u32) * 2_654_435_761 + u32::from(part == "test");
                let top = height / 4 + seed % (height / 4);
                let picture = GrayImage::from_fn(width, height, |x, y| {
                    let inside =
                        x.wrapping_sub(left) < width / 4 && y.wrapping_sub(top) < height / 4;
                    let hash = (x * 73_856_093) ^ (y * 19_349_663) ^ seed;
                    let noise = (hash.wrapping_mul(2_246_822_519) >> 24) / 16;
                    Luma([if inside { mark } else { sheet } + noise as u8])
                });
                let file = format!("{place}/{i:02}.png");
                picture.save(folder.join(&file)).unwrap();
                if part == "test" {
                    tests.push(folder.join(&file).display().to_string());
                }
            }
        }
    }
    tests
}

/// Writes the first images of a data set as PNG files, and returns their paths.
pub fn save_images(dataset: &Dataset, count: usize, folder: &Path) -> Vec<String> {
    fs::create_dir_all(folder).unwrap();
    let [height, width] = dataset.image_shape().unwrap().map(|side| side as u32);
    let save = |i: usize| {
        let path = folder.join(format!("{i:05}.png"));
        let image = GrayImage::from_raw(width, height, dataset.image(i).to_vec()).unwrap();
        image.save(&path).unwrap();
        path.display().to_string()
    };
    (0..count.min(dataset.len())).map(save).collect()
}

/// Returns the class that `home`/run predicts for each test image of its data, from `seqfit evaluate`.
pub fn evaluated(home: &Path) -> Vec<usize> {
    let logits = home.join("logits.npy");
    succeed(seqfit(home).args(["evaluate", "run", "--json", "--logits"]).arg(&logits));
    let bytes = fs::read(&logits).unwrap();
    let head = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let values: Vec<f32> = bytes[head..]
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let classes = text.split("'shape': (").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
    let classes: usize = classes.split(',').nth(1).unwrap().trim().parse().unwrap();
    let highest = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    values.chunks_exact(classes).map(highest).collect()
}

/// Returns the class names that `seqfit predict` predicts, one per picture.
pub fn predicted(home: &Path, pictures: &[String], options: &[&str]) -> Vec<String> {
    let mut command = seqfit(home);
    let output = succeed(command.args(["predict", "run", "--json"]).args(options).args(pictures));
    let class = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        value["class"].as_str().unwrap().to_owned()
    };
    output.stdout.lines().map(class).collect()
}
