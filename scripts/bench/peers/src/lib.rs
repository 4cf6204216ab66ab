//! Common parts of the peers: MNIST as f32 in memory, and the command line.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// The training set: pixels in [0, 1], 784 per sample, and labels.
pub struct Mnist {
    pub pixels: Vec<f32>,
    pub labels: Vec<i64>,
}

/// The arguments of `PROGRAM DIR BATCH EPOCHS`.
pub struct Args {
    pub mnist: Mnist,
    pub batch: usize,
    pub epochs: usize,
}

pub fn args() -> anyhow::Result<Args> {
    let args: Vec<String> = std::env::args().collect();
    let [_, folder, batch, epochs] = &args[..] else {
        anyhow::bail!("usage: {} DIR BATCH EPOCHS", args[0]);
    };
    let folder = Path::new(folder);
    let pixels = idx(folder, "train-images-idx3-ubyte", 16)?;
    let labels = idx(folder, "train-labels-idx1-ubyte", 8)?;
    Ok(Args {
        mnist: Mnist {
            pixels: pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect(),
            labels: labels.iter().map(|&label| i64::from(label)).collect(),
        },
        batch: batch.parse()?,
        epochs: epochs.parse()?,
    })
}

fn idx(folder: &Path, name: &str, header: usize) -> anyhow::Result<Vec<u8>> {
    let plain = folder.join(name);
    let mut bytes = Vec::new();
    match plain.exists() {
        true => bytes = std::fs::read(plain)?,
        false => {
            let packed = std::fs::File::open(folder.join(format!("{name}.gz")))?;
            MultiGzDecoder::new(packed).read_to_end(&mut bytes)?;
        }
    }
    Ok(bytes.split_off(header))
}
