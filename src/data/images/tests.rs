use std::fs;
use std::path::PathBuf;

use ::image::codecs::jpeg::JpegEncoder;
use ::image::{GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};

use super::*;
use crate::data::{DataError, Preparation, idx};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn holding(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

/// A dark stroke on white paper.
fn stroke() -> GrayImage {
    GrayImage::from_fn(60, 80, |x, y| {
        let drawn = (25..35).contains(&x) && (20..60).contains(&y);
        Luma([if drawn { 10 } else { 250 }])
    })
}

#[test]
fn colors_depths_and_transparency_become_gray() {
    let folder = Folder::new();
    let path = folder.path("picture.png");
    let pixels = || load(&path).unwrap().pixels;
    RgbImage::from_fn(2, 1, |x, _| [Rgb([255, 255, 255]), Rgb([0, 0, 0])][x as usize])
        .save(&path)
        .unwrap();
    assert_eq!(pixels(), [255, 0]);
    // Black ink on a transparent background, and half of it.
    RgbaImage::from_fn(3, 1, |x, _| Rgba([0, 0, 0, [0, 128, 255][x as usize]]))
        .save(&path)
        .unwrap();
    assert_eq!(pixels(), [255, 127, 0]);
    // White ink, the same way.
    RgbaImage::from_fn(3, 1, |x, _| Rgba([255, 255, 255, [0, 128, 255][x as usize]]))
        .save(&path)
        .unwrap();
    assert_eq!(pixels(), [0, 128, 255]);
    let deep: ImageBuffer<LumaA<u16>, Vec<u16>> =
        ImageBuffer::from_fn(2, 1, |x, _| LumaA([[0, 65_535][x as usize], 65_535]));
    deep.save(&path).unwrap();
    assert_eq!(pixels(), [0, 255]);
}

/// The digit is the transparency, in one color: drawing programs export this.
#[test]
fn ink_of_any_color_shows_on_a_transparent_background() {
    let folder = Folder::new();
    let path = folder.path("ink.png");
    let prepared = [[0, 0, 0], [255, 255, 255], [255, 230, 0], [0, 0, 160]].map(|[r, g, b]| {
        let drawn = |x: u32, y: u32| (25..35).contains(&x) && (20..60).contains(&y);
        RgbaImage::from_fn(60, 80, |x, y| Rgba([r, g, b, if drawn(x, y) { 255 } else { 0 }]))
            .save(&path)
            .unwrap();
        read(&path, [28, 28], Preparation::Digit).unwrap().pixels
    });
    assert!(prepared.iter().all(|pixels| *pixels == prepared[0]));
    // Almost nothing but ink: it still stands out.
    RgbaImage::from_fn(60, 80, |x, _| Rgba([255, 255, 255, if x > 5 { 255 } else { 0 }]))
        .save(&path)
        .unwrap();
    assert_eq!(load(&path).unwrap().pixels[..2], [0, 0]);
}

#[test]
fn paper_with_transparent_corners_extends_to_the_edge() {
    let folder = Folder::new();
    let path = folder.path("sticker.png");
    for (paper, ink) in [(250, 10), (10, 250)] {
        RgbaImage::from_fn(60, 80, |x, y| {
            let drawn = (25..35).contains(&x) && (20..60).contains(&y);
            let level = if drawn { ink } else { paper };
            Rgba([level, level, level, if x + y < 12 { 0 } else { 255 }])
        })
        .save(&path)
        .unwrap();
        assert!(load(&path).unwrap().pixels[0].abs_diff(paper) <= 10);
        let bright = read(&path, [28, 28], Preparation::Digit).unwrap().pixels;
        assert_eq!(bright.iter().filter(|&&pixel| pixel > 128).count(), 100);
    }
}

#[test]
fn a_cut_jpeg_is_damaged_and_bytes_after_its_end_are_ignored() {
    let folder = Folder::new();
    let mut jpeg = Vec::new();
    let noisy = GrayImage::from_fn(200, 150, |x, y| Luma([(x * x * 31 + y * y * 17) as u8]));
    JpegEncoder::new(&mut jpeg).encode_image(&noisy).unwrap();
    let whole = load(&folder.holding("whole.jpg", &jpeg)).unwrap();
    // A thumbnail in the EXIF segment has its own end marker.
    let mut thumbnail = jpeg[..2].to_vec();
    thumbnail.extend(b"\xff\xe1\0\x0cExif\0\0\xff\xd8\xff\xd9");
    thumbnail.extend(&jpeg[2..]);
    assert_eq!(load(&folder.holding("thumbnail.jpg", &thumbnail)).unwrap(), whole);
    for jpeg in [&jpeg, &thumbnail] {
        for length in (4..jpeg.len()).step_by(97).chain([jpeg.len() - 2, jpeg.len() - 1]) {
            let error = load(&folder.holding("cut.jpg", &jpeg[..length])).unwrap_err().to_string();
            assert!(
                error.ends_with(
                    "cut.jpg: a picture must be a whole JPEG file, found a damaged one (it ends \
                     too early): save or copy it again"
                ),
                "{length}: {error}"
            );
        }
    }
    for more in [&b"\0\0\0"[..], b"\n", b"ftypmp42 a phone's moving picture"] {
        let longer = [&jpeg[..], more].concat();
        assert_eq!(load(&folder.holding("longer.jpg", &longer)).unwrap(), whole);
    }
}

#[test]
fn invalid_pictures_are_reported_on_one_line_in_our_words() {
    let folder = Folder::new();
    let mut jpeg = Vec::new();
    JpegEncoder::new(&mut jpeg).encode_image(&stroke()).unwrap();
    let png = folder.path("a.png");
    stroke().save(&png).unwrap();
    let png = fs::read(png).unwrap();
    let mut random = 1u32;
    let mut next = |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % below
    };
    let mut refused = 0;
    for i in 0..400 {
        let mut bytes = if i % 2 == 0 { jpeg.clone() } else { png.clone() };
        for _ in 0..3 {
            // After the bytes that identify the format.
            let at = 8 + next(bytes.len() - 8);
            bytes[at] = next(256) as u8;
        }
        if let Err(error) = load(&folder.holding("changed", &bytes)) {
            refused += 1;
            let text = error.to_string();
            let ours = [
                "save or copy it again",
                "make it smaller",
                "convert it",
                "give the picture itself",
            ];
            assert!(!text.contains('\n') && ours.iter().any(|end| text.ends_with(end)), "{text}");
            assert!(!text.contains("rror") && !text.contains("decoder"), "{text}");
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_photograph_is_rotated_by_its_exif_orientation() {
    let folder = Folder::new();
    let mut jpeg = Vec::new();
    let wide = GrayImage::from_fn(32, 16, |x, _| Luma([if x < 16 { 0 } else { 255 }]));
    JpegEncoder::new(&mut jpeg).encode_image(&wide).unwrap();
    // EXIF with one entry: orientation (0x0112) 6, to be rotated a quarter turn clockwise.
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let mut turned = jpeg[..2].to_vec();
    turned.extend([0xff, 0xe1, 0, exif.len() as u8 + 2]);
    turned.extend(exif);
    turned.extend(&jpeg[2..]);
    let gray = load(&folder.holding("turned.jpg", &turned)).unwrap();
    assert_eq!((gray.height, gray.width), (32, 16));
    // The left side is now at the top.
    assert!(gray.pixels[8] < 50 && gray.pixels[31 * 16 + 8] > 200);
    let gray = load(&folder.holding("plain.jpg", &jpeg)).unwrap();
    assert_eq!((gray.height, gray.width), (16, 32));
}

#[test]
fn the_format_depends_on_the_contents_not_the_name() {
    let folder = Folder::new();
    let png = folder.path("a.png");
    stroke().save(&png).unwrap();
    let misnamed = folder.path("a.jpg");
    fs::copy(&png, &misnamed).unwrap();
    assert_eq!(load(&misnamed).unwrap(), load(&png).unwrap());
    let images = idx::encode_images(2, [2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]);
    let list = folder.holding("list.png", &images);
    let read_list = read(&list, [2, 2], Preparation::Digit).unwrap();
    assert_eq!((read_list.pixels, read_list.single), ((1..=8).collect(), false));
    let error = read(&list, [28, 28], Preparation::Digit).unwrap_err().to_string();
    assert!(error.contains("takes images of 28x28 (height x width), found 2x2"), "{error}");
}

#[test]
fn a_picture_is_prepared_or_left_as_it_is() {
    let folder = Folder::new();
    let path = folder.path("stroke.png");
    stroke().save(&path).unwrap();
    let prepared = read(&path, [28, 28], Preparation::Digit).unwrap();
    assert!(prepared.single);
    let bright: Vec<usize> = (0..28 * 28).filter(|&i| prepared.pixels[i] > 128).collect();
    // 40x10 in a box of 20: rows 4 to 23, 5 columns.
    assert_eq!((bright.len(), bright[0] / 28, bright[99] / 28), (100, 4, 23));
    let error = read(&path, [28, 28], Preparation::Raw).unwrap_err().to_string();
    assert!(
        error.contains("28x28 (height x width), found 80x60: give one of this size"),
        "{error}"
    );
    assert_eq!(read(&path, [80, 60], Preparation::Raw).unwrap().pixels, stroke().into_raw());
}

#[test]
fn other_kinds_of_file_are_refused_by_name() {
    let folder = Folder::new();
    let text = |name: &str, bytes: &[u8]| {
        let error = load(&folder.holding(name, bytes)).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        error
    };
    assert!(
        text("empty.png", b"")
            .contains("PNG or JPEG file, or an IDX file of images, found an empty")
    );
    assert!(text("a.gif", b"GIF89a\x01\0\x01\0").contains("found a GIF picture: convert it"));
    assert!(text("a.bmp", b"BM\x46\0\0\0\0\0").contains("found a BMP picture: "));
    assert!(text("a.tif", b"II*\0\x08\0\0\0").contains("found a TIFF picture: "));
    assert!(text("a.webp", b"RIFF\x24\0\0\0WEBPVP8 ").contains("found a WebP picture: "));
    assert!(text("a.svg", b"<svg/>").contains("a web page or an SVG"));
    assert!(text("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0").contains("HEIC"));
    assert!(text("a.pdf", b"%PDF-1.7").contains("a PDF: convert it"));
    // Only pictures can be converted.
    let cure = "give the picture itself";
    assert!(text("a.txt", b"12 34").ends_with(&format!("found a text file: {cure}")));
    assert!(text("a.zip", b"PK\x03\x04").ends_with(&format!("found another kind of file: {cure}")));
    assert!(text("lfs.png", b"version https://git-lfs").ends_with("git lfs pull"));
    let png = folder.path("a.png");
    stroke().save(&png).unwrap();
    let png = fs::read(png).unwrap();
    assert!(text("cut.png", &png[..png.len() / 2]).contains("damaged"));
    assert!(text("head.png", &png[..20]).contains("damaged"));
    assert!(text("head.jpg", b"\xff\xd8\xff\xe0").contains("damaged"));
    assert!(matches!(load(folder.0.path()), Err(DataError::NotAFile { .. })));
    assert!(matches!(load(&folder.path("none")), Err(DataError::Read { .. })));
}

#[test]
fn a_picture_that_claims_to_be_huge_takes_no_memory() {
    let folder = Folder::new();
    let path = folder.path("a.png");
    stroke().save(&path).unwrap();
    let png = fs::read(&path).unwrap();
    for (width, height) in
        [(60_000u32, 60_000u32), (16_000, 60_000), (16_384, 16_385), (2_147_483_647, 70_000)]
    {
        let mut huge = png.clone();
        huge[16..20].copy_from_slice(&width.to_be_bytes());
        huge[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = crc32(&huge[12..29]);
        huge[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = load(&folder.holding("huge.png", &huge)).unwrap_err().to_string();
        assert!(error.contains("16384 rows and columns and take 256 MiB"), "{error}");
        let found = format!("found {height}x{width} (height x width)");
        assert!(error.contains(&found), "{error}");
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new(&mut jpeg).encode_image(&stroke()).unwrap();
    // The frame's header: marker, length (2), bits, height, width.
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x21]);
    let error = load(&folder.holding("huge.jpg", &jpeg)).unwrap_err().to_string();
    assert!(error.contains("found 20000x20001 (height x width), 382 MiB: make it"), "{error}");
    // Within the limits, but more than so few bytes can hold.
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x13, 0x88, 0x13, 0x88]);
    let error = load(&folder.holding("large.jpg", &jpeg)).unwrap_err().to_string();
    assert!(error.contains("damaged one (it is too short for the size that it claims)"), "{error}");
    // A file that is too long is not read: this one takes no room on disk.
    fs::write(folder.path("long.png"), &png).unwrap();
    let long = fs::File::options().write(true).open(folder.path("long.png")).unwrap();
    long.set_len((300 << 20) + 1).unwrap();
    let error = load(&folder.path("long.png")).unwrap_err().to_string();
    assert!(error.contains("found a file of 301 MiB: make it smaller"), "{error}");
}

#[test]
fn blank_paper_is_an_error() {
    let folder = Folder::new();
    let path = folder.path("blank.png");
    GrayImage::from_pixel(50, 50, Luma([240])).save(&path).unwrap();
    let error = read(&path, [28, 28], Preparation::Digit).unwrap_err().to_string();
    assert!(error.contains("blank.png: a picture must show something"), "{error}");
}

/// Computes the CRC-32 of PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    })
}
