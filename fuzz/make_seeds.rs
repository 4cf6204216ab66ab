//! Writes the seeds in `corpus/`: small valid files.
//!
//! ```text
//! cargo run --release --manifest-path fuzz/Cargo.toml --bin make_seeds
//! ```

use std::error::Error;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use image::{GrayAlphaImage, GrayImage, ImageFormat, RgbImage};
use seqfit::callback::{EarlyStopping, EarlyStoppingConfig};
use seqfit::data::{self, Dataset, idx};
use seqfit::layers::{Dense, Flatten};
use seqfit::run::{CallbackConfig, CheckpointConfig, DataConfig, ModelCheckpoint, Run, RunConfig};
use seqfit::{Device, FitConfig, Monitor, OnNan, Sequential};

fn seed(target: &str, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (train, _) = data::load("digits")?;
    let some = train.take(12);
    let pixels: Vec<u8> = (0..some.len()).flat_map(|i| some.image(i).to_vec()).collect();
    let labels: Vec<u8> = (0..some.len()).map(|i| some.label(i)).collect();
    let images =
        idx::encode_images(some.len() as u32, some.image_shape().unwrap().map(|s| s as u32), &pixels);
    let labels = idx::encode_labels(&labels);
    let color = idx::encode_images(2, [3, 2, 2], &(0..24).collect::<Vec<u8>>());
    for (name, bytes) in [("images", &images), ("labels", &labels), ("color", &color)] {
        seed("idx", name, bytes)?;
        seed("idx", &format!("{name}.gz"), &gzip(bytes)?)?;
        // After the level and the length, which the target reads first.
        seed("idx_gzip", name, &[&[6, 0, 0], &bytes[..]].concat())?;
    }
    pictures(&some)?;
    imports()?;
    requests(&some)?;
    seed("classes", "numbers", b"0\n1\n2\n")?;
    seed("classes", "clothes", "\u{feff}T-shirt/top\r\nTrouser \r\no (お)\r\n\r\n".as_bytes())?;
    run(&some)
}

/// Writes files of other programs from the test fixtures; pickles and arrays without their archives.
fn imports() -> Result<(), Box<dyn Error>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let entries = fs::read_dir(fixtures.join("import"))?.chain(fs::read_dir(fixtures.join("onnx"))?);
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path)?;
        seed("import", &name, &bytes)?;
        if let Some(rest) = bytes.strip_prefix(b"\x89HDF\r\n\x1a\n") {
            seed("hdf5", &name, rest)?;
        }
        let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(&bytes)) else { continue };
        for i in 0..archive.len() {
            let mut record = archive.by_index(i)?;
            let target = match &*record.name()? {
                own if own.ends_with("/data.pkl") => "pickle",
                own if own.ends_with("weight.npy") && name != "packed.npz" => "npy",
                _ => continue,
            };
            let mut content = Vec::new();
            record.read_to_end(&mut content)?;
            seed(target, &format!("{name}-{i}"), &content)?;
        }
    }
    Ok(())
}

/// Writes requests for a network with an input of 4 rows of 3 pixels.
fn requests(digits: &Dataset) -> Result<(), Box<dyn Error>> {
    seed("serve_json", "pixels", br#"{"pixels": [[0,1,2],[3,4,5],[6,7,8],[9,10,255]]}"#)?;
    seed("serve_json", "list", br#"{"pixels": [[[0,1,2],[3,4,5],[6,7,8],[9,10,255.0]]]}"#)?;
    let [height, width] = digits.image_shape().unwrap().map(|side| side as u32);
    let gray = GrayImage::from_raw(width, height, digits.image(3).to_vec()).ok_or("one image")?;
    let mut png = Cursor::new(Vec::new());
    gray.write_to(&mut png, ImageFormat::Png)?;
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, png.into_inner());
    seed("serve_json", "image", format!(r#"{{"image": "{text}"}}"#).as_bytes())?;
    let two = format!(r#"{{"images": ["{text}", "data:image/png;base64,{text}"]}}"#);
    seed("serve_json", "images", two.as_bytes())
}

fn pictures(digits: &Dataset) -> Result<(), Box<dyn Error>> {
    let [height, width] = digits.image_shape().unwrap().map(|side| side as u32);
    let gray = GrayImage::from_raw(width, height, digits.image(3).to_vec()).ok_or("one image")?;
    let inked =
        GrayAlphaImage::from_fn(width, height, |x, y| image::LumaA([0, gray.get_pixel(x, y).0[0]]));
    let photo = RgbImage::from_fn(3 * width, 3 * height, |x, y| {
        let ink = gray.get_pixel(x / 3, y / 3).0[0];
        image::Rgb([220 - ink / 2, 210 - ink / 2, 200 - ink / 2])
    });
    let encoded = |image: image::DynamicImage, format| -> Result<Vec<u8>, Box<dyn Error>> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format)?;
        Ok(bytes.into_inner())
    };
    seed("images", "gray.png", &encoded(gray.into(), ImageFormat::Png)?)?;
    seed("images", "ink.png", &encoded(inked.into(), ImageFormat::Png)?)?;
    seed("images", "photo.png", &encoded(photo.clone().into(), ImageFormat::Png)?)?;
    seed("images", "photo.jpg", &encoded(photo.into(), ImageFormat::Jpeg)?)
}

/// Writes the files of a small run whose checkpoints have all optional parts.
fn run(digits: &Dataset) -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = tempfile::tempdir()?.path().join("run");
    let mut model =
        Sequential::new([8, 8]).add(Flatten).add(Dense::new(10)).build(Device::Cpu, 0)?;
    let fit = FitConfig {
        epochs: 2,
        batch_size: 5,
        validation_split: 0.5,
        on_nan: OnNan::Rollback,
        threads: Some(1),
        ..FitConfig::default()
    };
    let monitor = Monitor::ValLoss;
    let early_stopping =
        EarlyStoppingConfig { monitor, patience: 3, min_delta: 0.0, restore_best: true };
    let locations = data::Locations::from_env()?;
    let request = data::Request::Named(data::DatasetName::Digits);
    let source = data::resolve(&request, &locations, &mut |_| {})?.source;
    let config = RunConfig {
        callbacks: CallbackConfig { early_stopping: Some(early_stopping), reduce_lr: None },
        checkpoints: CheckpointConfig { seconds: 1e-6, monitor: Some(monitor), keep: 9 },
        ..RunConfig::now(
            Device::Cpu,
            DataConfig {
                classes: digits.classes().to_vec(),
                train_samples: digits.len(),
                test_samples: 0,
                stream: None,
                preparation: None,
                source: Some(source),
            },
            fit.clone(),
            model.spec().clone(),
        )
    };
    let checkpoints = config.checkpoints;
    let run = Run::create(&folder, false, config)?;
    let mut early_stopping = EarlyStopping::new(early_stopping)?;
    let mut writer =
        ModelCheckpoint::new(&run.checkpoints_path(), run.identity()?, checkpoints, |_| {})?;
    model.fit(digits, &fit, &mut [&mut early_stopping, &mut writer])?;
    writer.finish();
    for (i, (_, path)) in
        seqfit::run::checkpoints::list(&run.checkpoints_path())?.iter().enumerate()
    {
        seed("checkpoint", &format!("{i}.safetensors"), &fs::read(path)?)?;
    }
    seed("safetensors", "weights", &model.to_safetensors(Default::default())?)?;
    seed("config", "config.toml", &fs::read(folder.join("config.toml"))?)
}
