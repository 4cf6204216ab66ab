//! Benchmarks of the parts of training:
//!
//! ```text
//! cargo bench --bench speed
//! SEQFIT_DATA=DIR cargo bench --bench speed
//! ```
//!
//! With `SEQFIT_DATA` (a folder that contains `mnist/`), they use MNIST and its files; otherwise synthetic
//! images of the same size, and the benchmark of reading files is skipped.

use std::path::PathBuf;
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use seqfit::data::{self, Augment, Dataset};
use seqfit::layers::{Dense, Flatten};
use seqfit::{Activation, Device, Engine, FitConfig, Sequential};

fn main() {
    divan::main();
}

static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    std::env::var_os("SEQFIT_DATA").map(|folder| PathBuf::from(folder).join("mnist"))
});

/// 10,000 images of 28 by 28 pixels.
static IMAGES: LazyLock<Dataset> = LazyLock::new(|| match &*FOLDER {
    Some(folder) => data::load_dir(folder).expect("SEQFIT_DATA holds mnist").0.take(10_000),
    None => {
        let pixels = (0..10_000 * 784u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
        let labels = (0..10_000).map(|i| (i % 10) as u8).collect();
        let names = (0..10).map(|class| class.to_string()).collect();
        Dataset::new(pixels.collect(), [28, 28], labels, names).expect("whole images")
    }
});

fn network() -> Sequential {
    Sequential::new([28, 28])
        .add(Flatten)
        .add(Dense::new(128).activation(Activation::Relu))
        .add(Dense::new(64).activation(Activation::Relu))
        .add(Dense::new(10))
        .build(Device::Cpu, 0)
        .expect("a network of the tutorial's shape")
}

/// An epoch of 10,000 images with the fused engine, on one thread and on all (0).
#[divan::bench(args = [32, 256], consts = [1, 0], max_time = 3)]
fn fused<const THREADS: usize>(bencher: Bencher, batch_size: usize) {
    epoch(bencher, batch_size, Engine::Fused, THREADS);
}

#[divan::bench(args = [32, 256], consts = [1, 0], max_time = 3)]
fn autograd<const THREADS: usize>(bencher: Bencher, batch_size: usize) {
    epoch(bencher, batch_size, Engine::Autograd, THREADS);
}

fn epoch(bencher: Bencher, batch_size: usize, engine: Engine, threads: usize) {
    let all = seqfit::device::all_threads();
    let threads = Some(if threads == 0 { all } else { threads });
    let config = FitConfig { epochs: 1, batch_size, engine, threads, ..FitConfig::default() };
    let mut model = network();
    bencher.counter(ItemsCount::new(IMAGES.len())).bench_local(|| {
        model.fit(&*IMAGES, &config, &mut []).expect("a training");
    });
}

/// The augmentation of the recipe `best`, on one thread.
#[divan::bench(max_time = 3)]
fn augmentation(bencher: Bencher) {
    let augment = Augment {
        rotation: 12.0,
        scale: 0.12,
        shift: 1.5,
        shear: 0.15,
        elastic: 0.5,
        ..Augment::default()
    };
    let order: Vec<u32> = (0..IMAGES.len() as u32).collect();
    bencher
        .counter(ItemsCount::new(IMAGES.len()))
        .bench_local(|| augment.images(&IMAGES, &order, 0, 1));
}

#[divan::bench(max_time = 3)]
fn evaluation(bencher: Bencher) {
    let model = network();
    bencher
        .counter(ItemsCount::new(IMAGES.len()))
        .bench_local(|| model.evaluate(&IMAGES).expect("an evaluation"));
}

#[divan::bench(max_time = 3)]
fn export(bencher: Bencher) {
    let model = network();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.pt");
    bencher.bench_local(|| model.export(&path, IMAGES.classes()).expect("an export"));
}

/// Reading all four MNIST files: decompressed, validated and compared with their digests.
#[divan::bench(max_time = 3)]
fn idx(bencher: Bencher) {
    let Some(folder) = &*FOLDER else {
        return;
    };
    let bytes = 70_000 * (784 + 1u64);
    bencher
        .counter(BytesCount::u8(bytes as usize))
        .bench_local(|| data::load_dir(folder).expect("SEQFIT_DATA holds mnist"));
}
