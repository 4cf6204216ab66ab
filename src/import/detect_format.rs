//! Detecting the kind of a file: by its contents, because names are unreliable.

use std::fmt;

use super::error::Problem;
use crate::export::pt2::ARCHIVE_FORMAT;
use crate::formats::Archive;
use crate::message_text::TextFile;

/// The record of the weights in a `.keras` file.
pub(super) const KERAS_WEIGHTS: &str = "model.weights.h5";

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Hugging Face's format.
    Safetensors,
    /// `torch.save` of a dictionary of tensors.
    TorchStateDict,
    /// `torch.jit.save`.
    TorchScript,
    /// `torch.export.save`.
    Pt2,
    /// `numpy.savez` and `numpy.savez_compressed`.
    Npz,
    /// `model.save_weights("….weights.h5")`, and the `.h5` of before Keras 3. Needs the cargo feature `keras`.
    KerasWeights,
    /// `model.save("….keras")`. Needs the cargo feature `keras`.
    Keras,
    /// ONNX, by any exporter. Needs the cargo feature `onnx`.
    Onnx,
}

impl Format {
    /// Returns the kind of file that these bytes are from.
    ///
    /// # Errors
    /// An unknown kind, or one that has to be saved again.
    pub fn of(bytes: &[u8]) -> Result<Self, Problem> {
        match bytes {
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Self::of_archive(bytes),
            [0x89, b'H', b'D', b'F', 13, 10, 26, 10, ..] => Ok(Self::KerasWeights),
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Err(Problem::SingleArray),
            // The length of a header, and its first character. Before the pickles: a length may begin like one.
            [_, _, _, _, _, 0, 0, 0, b'{', ..] => Ok(Self::Safetensors),
            // The opcode of a protocol, from 2 on, the first with such an opcode.
            [0x80, 2..=5, ..] => Err(Problem::BarePickle),
            [0x1f, 0x8b, ..] => Err(Problem::Packed("gzip")),
            [b'B', b'Z', b'h', ..] => Err(Problem::Packed("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(Problem::Packed("xz")),
            [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Err(Problem::Packed("7z")),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(Problem::Packed("zstd")),
            bytes if bytes.get(257..262) == Some(b"ustar") => Err(Problem::Packed("tar")),
            // Field 1 of a model, a number: the version of ONNX's format.
            [0x08, 1..=127, ..] => Ok(Self::Onnx),
            [] => Err(Problem::Empty),
            _ => Err(unknown(bytes)),
        }
    }

    fn of_archive(bytes: &[u8]) -> Result<Self, Problem> {
        let archive = Archive::open(bytes)?;
        let names = || archive.names();
        if exported_program(names()).is_some() {
            return Ok(Self::Pt2);
        }
        if let Some(pickle) = names().find(|name| name.ends_with("/data.pkl")) {
            let folder = pickle.trim_end_matches("data.pkl");
            let code = names().any(|name| name.strip_prefix(folder) == Some("constants.pkl"));
            return Ok(if code { Self::TorchScript } else { Self::TorchStateDict });
        }
        if names().any(|name| name == KERAS_WEIGHTS) {
            return Ok(Self::Keras);
        }
        match names().any(|name| name.ends_with(".npy")) {
            true => Ok(Self::Npz),
            false => Err(Problem::Unknown),
        }
    }

    /// Returns the cargo feature that reading it needs.
    pub fn feature(self) -> Option<&'static str> {
        match self {
            Self::Onnx => Some("onnx"),
            Self::Keras | Self::KerasWeights => Some("keras"),
            Self::Safetensors
            | Self::TorchStateDict
            | Self::TorchScript
            | Self::Pt2
            | Self::Npz => None,
        }
    }

    /// Returns its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::TorchStateDict => "torch.save",
            Self::TorchScript => "TorchScript",
            Self::Pt2 => "torch.export",
            Self::Npz => ".npz",
            Self::KerasWeights => "HDF5",
            Self::Keras => ".keras",
            Self::Onnx => "ONNX",
        }
    }
}

/// Returns the folder of all records, with the slash, if they are those of one of PyTorch's exported programs.
pub(super) fn exported_program<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (format, _) = ARCHIVE_FORMAT;
    let mut folders = names.filter_map(|name| name.strip_suffix(format));
    folders.find(|folder| folder.ends_with('/') && folder.matches('/').count() == 1)
}

fn unknown(bytes: &[u8]) -> Problem {
    // The beginning shows what it is.
    match TextFile::of(&bytes[..bytes.len().min(512)]) {
        Some(TextFile::Markup) => Problem::WebPage,
        Some(TextFile::LfsPointer) => Problem::LfsPointer,
        Some(TextFile::Other) => Problem::Text,
        None => Problem::Unknown,
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of 640 bytes begins with the bytes of a pickle, one of 35,615 bytes with those of gzip.
    #[test]
    fn headers_of_any_length_are_those_of_safetensors() {
        for length in [640u64, 896, 1408, 35_615] {
            let bytes = [&length.to_le_bytes()[..], b"{"].concat();
            assert!(matches!(Format::of(&bytes), Ok(Format::Safetensors)), "{length}");
        }
        assert!(matches!(Format::of(b"\x80\x02}q\x00."), Err(Problem::BarePickle)));
    }

    #[test]
    fn empty_files_and_files_of_text_are_named() {
        assert!(matches!(Format::of(b""), Err(Problem::Empty)));
        assert!(matches!(Format::of(b"\n"), Err(Problem::Unknown)));
        assert!(matches!(Format::of(b"[fit]\nepochs = 3\n"), Err(Problem::Text)));
        assert!(matches!(Format::of(b"<html>404</html>"), Err(Problem::WebPage)));
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0";
        assert!(matches!(Format::of(pointer), Err(Problem::LfsPointer)));
    }
}
