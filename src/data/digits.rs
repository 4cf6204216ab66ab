//! The built-in data set: 1,797 real handwritten digits of 8x8 pixels, for machines without a
//! network and for tests.
//!
//! E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, 1998, UCI Machine Learning
//! Repository, CC BY 4.0; `digits/README.md` says what was changed.

use std::path::Path;

use super::dataset::Dataset;
use super::error::DataError;
use super::idx;
use super::source::SourceFile;
use super::{DatasetName, catalog::Entry};

const IMAGES: (&str, &[u8]) =
    ("images-idx3-ubyte.gz", include_bytes!("digits/images-idx3-ubyte.gz"));
const LABELS: (&str, &[u8]) =
    ("labels-idx1-ubyte.gz", include_bytes!("digits/labels-idx1-ubyte.gz"));

/// Returns the training and the test part, the first 1,437 images and the last 360, and the files they were
/// read from.
pub(super) fn load() -> Result<(Dataset, Dataset, Vec<SourceFile>), DataError> {
    let Entry { classes, preparation, samples: [train, test], .. } = DatasetName::Digits.entry();
    let name = |file: &str| Path::new("built-in digits").join(file);
    let images = idx::images_from(IMAGES.1, IMAGES.1.len() as u64, &name(IMAGES.0))?;
    let labels = idx::labels_from(LABELS.1, LABELS.1.len() as u64, &name(LABELS.0))?;
    let files = vec![
        SourceFile { name: IMAGES.0.to_owned(), sha256: images.digests.contents },
        SourceFile { name: LABELS.0.to_owned(), sha256: labels.digests.contents },
    ];
    let classes = classes.iter().map(ToString::to_string).collect();
    let all = Dataset::new(images.pixels, images.shape, labels.values, classes)?;
    let all = all.with_preparation(*preparation);
    let last: Vec<u32> = (*train as u32..(train + test) as u32).collect();
    Ok((all.take(*train), all.select(&last)?, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_those_of_scikit_learn() {
        let (train, test, _) = load().unwrap();
        assert_eq!((train.len(), test.len(), train.image_shape().unwrap()), (1437, 360, [8, 8]));
        // sklearn.datasets.load_digits(): images[0][0] is [0, 0, 5, 13, 9, 1, 0, 0] of 16, target
        // begins 0, 1, 2 and ends 9, 0, 8, 9, 8.
        assert_eq!(train.image(0)[..8], [0, 0, 80, 207, 143, 16, 0, 0]);
        assert_eq!([0, 1, 2].map(|i| train.label(i)), [0, 1, 2]);
        assert_eq!([355, 356, 357, 358, 359].map(|i| test.label(i)), [9, 0, 8, 9, 8]);
        let counts: Vec<usize> =
            train.class_counts().iter().zip(test.class_counts()).map(|(a, b)| a + b).collect();
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    }
}
