//! How pictures are converted to a network's images: part of a data set, of a run, and of an exported file.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::{DataError, DatasetProblem, FolderProblem};
use super::open_file::ordinary;

/// The file in a data set's folder that records it.
pub(super) const FILE: &str = "dataset.toml";
/// The longest such file that is read, in bytes: it has one line.
const MAX_BYTES: u64 = 4096;

/// How PNG and JPEG pictures are converted to images of the network's size; the images of IDX files are always
/// taken unchanged. A network predicts well only for pictures prepared like its training images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preparation {
    /// `raw`: pictures have the network's size, and their pixels are taken unchanged.
    #[default]
    Raw,
    /// `digit`: a single sign is found, cropped, centered and made bright on black, by
    /// [`images::prepare`](super::images::prepare); for handwritten digits and the like.
    Digit,
    /// `resize`: the whole picture, scaled to the network's height and width like torchvision's
    /// `Resize((h, w))` and Keras's `image_dataset_from_directory`: nothing is cropped or
    /// padded, brightness is kept, and proportions are not.
    Resize,
    /// `crop`: like `resize` for the largest part in the middle that has the network's proportions, as Keras's
    /// `image_dataset_from_directory` with `crop_to_aspect_ratio`.
    Crop,
    /// `letterbox`: the whole picture in its own proportions, scaled to fit, in the middle of black, as with Keras's
    /// `pad_to_aspect_ratio`.
    Letterbox,
}

impl Preparation {
    /// All variants, in the order in which they are listed.
    pub const ALL: [Preparation; 5] = [
        Preparation::Raw,
        Preparation::Digit,
        Preparation::Resize,
        Preparation::Crop,
        Preparation::Letterbox,
    ];

    /// Returns the name as it is typed and saved.
    pub fn as_str(self) -> &'static str {
        match self {
            Preparation::Raw => "raw",
            Preparation::Digit => "digit",
            Preparation::Resize => "resize",
            Preparation::Crop => "crop",
            Preparation::Letterbox => "letterbox",
        }
    }

    /// Says what is done to pictures: "scaled as a whole".
    pub fn in_words(self) -> &'static str {
        match self {
            Preparation::Raw => "taken unchanged",
            Preparation::Digit => "prepared as digits",
            Preparation::Resize => "scaled as a whole",
            Preparation::Crop => "scaled and cropped",
            Preparation::Letterbox => "scaled with their proportions",
        }
    }

    /// Reads the contents of a `dataset.toml`.
    ///
    /// # Errors
    /// Anything but one line `preparation = "…"` with a known name.
    pub fn from_toml(bytes: &[u8]) -> Result<Self, DatasetProblem> {
        parse(bytes).map_err(DatasetProblem::Description)
    }

    /// Returns the contents of a `dataset.toml`.
    pub(super) fn to_toml(self) -> String {
        format!("# How pictures became these images.\npreparation = \"{self}\"\n")
    }
}

impl fmt::Display for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Preparation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == name);
        known.ok_or_else(|| {
            format!("a preparation is raw, digit, resize, crop or letterbox, found {name:?}")
        })
    }
}

/// The contents of a `dataset.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    preparation: Preparation,
}

/// Reads the `dataset.toml` in `folder`; `None` if it has no such file.
///
/// # Errors
/// A file that cannot be read, or that contains anything else.
pub(super) fn read(folder: &Path) -> Result<Option<Preparation>, DataError> {
    let path = folder.join(FILE);
    let file = match ordinary(&path) {
        Ok((file, _)) => file,
        Err(DataError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::read(&path, source))?;
    let wrong = |found| DataError::folder(&path, FolderProblem::Description(found));
    parse(&bytes).map(Some).map_err(wrong)
}

fn parse(bytes: &[u8]) -> Result<Preparation, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("a file of more than {MAX_BYTES} bytes"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("a byte that is not UTF-8 at position {}", error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let described: Result<Description, _> = toml::from_str(text);
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let other = |error: toml::de::Error| format!("something else ({})", one_line(error.message()));
    described.map(|found| found.preparation).map_err(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for preparation in Preparation::ALL {
            assert_eq!(preparation.to_string().parse(), Ok(preparation));
            assert_eq!(Preparation::from_toml(preparation.to_toml().as_bytes()), Ok(preparation));
        }
        let error = "stretch".parse::<Preparation>().unwrap_err();
        assert_eq!(
            error,
            "a preparation is raw, digit, resize, crop or letterbox, found \"stretch\""
        );
    }

    #[test]
    fn a_description_with_anything_else_is_refused() {
        let message = |bytes: &[u8]| Preparation::from_toml(bytes).unwrap_err().to_string();
        for (text, found) in [
            ("", "missing field `preparation`"),
            ("preparation = \"stretch\"", "unknown variant `stretch`"),
            ("preparation = 3", "something else (wanted string or table)"),
            ("preparation = \"raw\"\nlicense = \"MIT\"", "unknown field `license`"),
            ("preparation = \"raw\"\npreparation = \"raw\"", "duplicate key"),
            ("[[[", "found "),
        ] {
            let error = message(text.as_bytes());
            assert!(
                error.starts_with("dataset.toml holds one line") && error.contains(found),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        assert!(message(b"preparation = \"\xff\"").contains("not UTF-8 at position 15"));
        assert!(message(&[b'#'; 5000]).contains("more than 4096 bytes"));
        assert_eq!(
            Preparation::from_toml(b"\xef\xbb\xbfpreparation = 'resize'\r\n"),
            Ok(Preparation::Resize)
        );
    }
}
