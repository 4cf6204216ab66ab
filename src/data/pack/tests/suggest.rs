//! Tests the preparation that is chosen automatically.

use super::*;
use crate::data::PictureOptions;

/// Draws stripes over the whole picture, like a texture.
fn draw_texture(path: &Path, stripe: usize) {
    let pixels = (0..400).map(|i| if (i / 20 + i % 20) % stripe == 0 { 230 } else { 5 }).collect();
    Gray { height: 20, width: 20, pixels }.save_png(path).unwrap();
}

#[test]
fn signs_suggest_the_preparation_of_digits_and_textures_do_not() {
    let suggested = |folder: &Path| suggest(folder, [28, 28]).unwrap();
    let made = folder(&[("a", A), ("b/2023", B)], 8);
    // Files that cannot be read change nothing.
    fs::write(made.path().join("b/bad.png"), "no picture").unwrap();
    assert_eq!(suggested(made.path()), Preparation::Digit);
    // Of other things many show a single sign, too.
    draw_texture(&made.path().join("a/0.PNG"), 3);
    assert_eq!(suggested(made.path()), Preparation::Resize);
    assert!(suggest(&made.path().join("b"), [28, 28]).is_err());
}

/// Draws 52 pictures of two classes, of which every other one is inspected, and not a/1.PNG.
fn many(side: usize) -> tempfile::TempDir {
    let made = folder(&[("a", A), ("b", B)], 0);
    for (name, shape) in [("a", A), ("b", B)] {
        (0..26).for_each(|i| draw(&made.path().join(format!("{name}/{i}.PNG")), side, shape));
    }
    made
}

fn pack_suggested(folder: &Path, skip: bool) -> Packed {
    try_to_pack(folder, skip).unwrap()
}

fn try_to_pack(folder: &Path, skip_bad: bool) -> Result<Packed, DataError> {
    let asked = PictureOptions { skip_bad, ..PictureOptions::default() };
    from_pictures_suggested(folder, asked, (0.2, 0), &mut |_, _| {})
}

#[test]
fn pictures_of_the_size_asked_for_are_kept_as_they_are() {
    let made = many(28);
    let packed = pack_suggested(made.path(), false);
    assert_eq!(packed.train.preparation(), Preparation::Raw);
    assert_eq!((packed.images(), packed.notes.len()), (52, 0));
    // One of another size that the sample does not have.
    draw(&made.path().join("a/1.PNG"), 40, A);
    assert_eq!(suggest(made.path(), [28, 28]).unwrap(), Preparation::Raw);
    let packed = pack_suggested(made.path(), false);
    assert_eq!((packed.train.preparation(), packed.images()), (Preparation::Resize, 52));
    assert!(packed.notes[0].contains("does not suit --prepare raw ("), "{:?}", packed.notes);
}

#[test]
fn a_picture_without_a_sign_ends_the_automatic_choice_of_digits() {
    let made = many(40);
    assert_eq!(pack_suggested(made.path(), false).train.preparation(), Preparation::Digit);
    draw_texture(&made.path().join("a/1.PNG"), 3);
    assert_eq!(suggest(made.path(), [28, 28]).unwrap(), Preparation::Digit);
    for skip in [false, true] {
        let packed = pack_suggested(made.path(), skip);
        assert_eq!(packed.train.preparation(), Preparation::Resize);
        assert_eq!((packed.images(), packed.skipped.len(), packed.notes.len()), (52, 0, 1));
        let note = &packed.notes[0];
        assert!(note.contains("a/1.PNG") && note.contains("--prepare digit --skip-bad"), "{note}");
    }
    // What is chosen by hand stays.
    let skip = PackConfig { skip: true, ..PackConfig::default() };
    let packed = from_pictures(made.path(), &skip, &mut |_, _| {}).unwrap();
    assert_eq!((packed.train.preparation(), packed.skipped.len()), (Preparation::Digit, 1));
    // A damaged picture is one for every preparation.
    fs::write(made.path().join("a/1.PNG"), "no picture").unwrap();
    let packed = pack_suggested(made.path(), true);
    assert_eq!((packed.train.preparation(), packed.skipped.len()), (Preparation::Digit, 1));
    let failed = try_to_pack(made.path(), false);
    assert!(failed.unwrap_err().to_string().contains("a/1.PNG: a picture must be a PNG"));
}
