//! A sheet of images next to their augmented versions, for inspection.

use super::augment::Augment;
use super::dataset::Dataset;
use super::error::DataError;
use super::images::{Gray, Rgb};

/// How much larger a pixel is drawn, and the gray between images.
const ENLARGED: usize = 3;
const GAP: usize = 4;
const BETWEEN: u8 = 96;

/// Returns a picture with a row for each of `samples` images, taken evenly from the whole of `dataset`: the image
/// itself, then its augmented versions in `variants` epochs of a training run with this seed.
///
/// # Errors
/// Samples that are not pictures, or are not in memory.
pub fn preview(
    dataset: &Dataset,
    augment: Augment,
    seed: u64,
    samples: usize,
    variants: usize,
) -> Result<Rgb, DataError> {
    let shape = dataset.any_pictures_for("a preview")?;
    let [rows, columns] = shape.size();
    let samples = samples.min(dataset.len());
    let (cell_height, cell_width) = (ENLARGED * rows + GAP, ENLARGED * columns + GAP);
    let (height, width) = (samples * cell_height + GAP, (variants + 1) * cell_width + GAP);
    let mut sheet = Rgb { height, width, pixels: vec![BETWEEN; 3 * height * width] };
    for row in 0..samples {
        let sample = row * dataset.len() / samples;
        let image = dataset.read_image(sample)?;
        for column in 0..=variants {
            let shown: Vec<u8> = match column {
                0 => image.clone(),
                epoch => {
                    let deformed = augment.images(dataset, &[sample as u32], seed, epoch)?;
                    deformed.iter().map(|value| (255.0 * value).round() as u8).collect()
                }
            };
            let shown = match shape.color {
                true => Rgb::of_planes(&shown, [rows, columns]),
                false => Rgb::from(&Gray { height: rows, width: columns, pixels: shown }),
            };
            let corner = (GAP + row * cell_height) * width + GAP + column * cell_width;
            for y in 0..ENLARGED * rows {
                for x in 0..ENLARGED * columns {
                    let from = 3 * (y / ENLARGED * columns + x / ENLARGED);
                    let to = 3 * (corner + y * width + x);
                    sheet.pixels[to..to + 3].copy_from_slice(&shown.pixels[from..from + 3]);
                }
            }
        }
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_column_is_unchanged_and_the_others_are_augmented() {
        let (train, _) = crate::data::load("digits").unwrap();
        let augment = Augment { rotation: 30.0, shift: 2.0, ..Augment::default() };
        let sheet = preview(&train, augment, 1, 5, 3).unwrap();
        assert_eq!((sheet.height, sheet.width), (5 * 28 + 4, 4 * 28 + 4));
        let cell = |row: usize, column: usize| -> Vec<u8> {
            let at = |y: usize, x: usize| {
                let place = (GAP + row * 28 + 3 * y) * sheet.width + GAP + column * 28 + 3 * x;
                sheet.pixels[3 * place + 1]
            };
            (0..64).map(|i| at(i / 8, i % 8)).collect()
        };
        for row in 0..5 {
            let image = train.image(row * train.len() / 5);
            assert_eq!(cell(row, 0), image);
            assert!((1..4).all(|column| cell(row, column) != image));
            assert_ne!(cell(row, 1), cell(row, 2));
        }
    }
}
