//! Which files are pictures, by their extensions.

use std::path::Path;

/// The kind of a file by its extension.
#[cfg(feature = "images")]
pub(super) enum Kind {
    Picture,
    /// A picture that is not read.
    Unread(String),
    Other,
}

#[cfg(feature = "images")]
impl Kind {
    pub fn of(path: &Path) -> Self {
        let end = extension(path);
        match end.as_str() {
            "bmp" | "gif" | "webp" | "tif" | "tiff" | "heic" | "heif" | "avif" | "svg" | "ppm"
            | "pgm" | "pbm" | "pnm" | "ico" | "jp2" | "psd" | "dng" | "cr2" | "cr3" | "nef"
            | "arw" | "raw" => Kind::Unread(end),
            _ if is_picture(path) => Kind::Picture,
            _ => Kind::Other,
        }
    }
}

/// Returns whether a file is a picture that is read, by its extension.
pub(in crate::data) fn is_picture(path: &Path) -> bool {
    matches!(extension(path).as_str(), "png" | "jpg" | "jpeg" | "jfif" | "jpe")
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}
