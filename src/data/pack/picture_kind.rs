//! Which files are pictures, by their extensions.

use std::path::Path;

/// The kind of a file by its extension.
pub(super) enum Kind {
    Picture,
    /// A picture that is not read.
    Unread(String),
    Other,
}

impl Kind {
    pub fn of(path: &Path) -> Self {
        let end = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match end.as_str() {
            "png" | "jpg" | "jpeg" | "jfif" | "jpe" => Kind::Picture,
            "bmp" | "gif" | "webp" | "tif" | "tiff" | "heic" | "heif" | "avif" | "svg" | "ppm"
            | "pgm" | "pbm" | "pnm" | "ico" | "jp2" | "psd" | "dng" | "cr2" | "cr3" | "nef"
            | "arw" | "raw" => Kind::Unread(end),
            _ => Kind::Other,
        }
    }
}

/// Returns whether a file is a picture that is read, by its extension.
pub(in crate::data) fn is_picture(path: &Path) -> bool {
    matches!(Kind::of(path), Kind::Picture)
}
