//! Tests folders of pictures that are loaded directly, in color and gray.

use std::fs;
use std::path::Path;

use crate::common::color_pictures::{COLORS, disc, write_discs};
use crate::common::write_shapes;
use seqfit::data::{
    self, Augment, Dataset, Loaded, Locations, PathRequest, PictureOptions, PictureShape,
    Preparation, Request, StreamMemory,
};
use seqfit::recipe::Recipe;

fn cache(folder: &Path) -> Locations {
    Locations { data: None, cache: Some(folder.to_owned()), mirrors: None }
}

fn load(folder: &Path, pictures: PictureOptions, cache: &Locations) -> Result<Loaded, String> {
    let request = Request::Path(PathRequest { pictures, ..PathRequest::new(folder) });
    data::resolve(&request, cache, &mut |_| {}).map_err(|error| error.to_string())
}

#[test]
fn pictures_in_color_are_kept_and_loaded_again_as_recorded() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("discs");
    write_discs(&folder, 10);
    let locations = cache(&home.path().join("cache"));
    let loaded = data::resolve(&Request::Dir(folder.clone()), &locations, &mut |_| {}).unwrap();
    let Loaded { train, test, source, notes } = &loaded;
    let color = PictureShape { color: true, height: 32, width: 32 };
    assert_eq!((train.picture_shape(), train.preparation()), (Some(color), Preparation::Resize));
    assert_eq!((train.class_counts(), test.class_counts()), (vec![8; 3], vec![2; 3]));
    assert!(notes[0].contains("32x32 in color, scaled as a whole (--image-size,"), "{notes:?}");
    assert!(notes[1].contains("no test folder: 6 images"), "{notes:?}");
    // The class is the color of the middle.
    for i in 0..train.len() {
        let middle = |plane: usize| train.image(i)[1024 * plane + 16 * 32 + 16];
        let channels = [2, 1, 0].map(middle);
        let brightest = (0..3).max_by_key(|&channel| channels[channel]).unwrap();
        assert_eq!(brightest, usize::from(train.label(i)), "{channels:?}");
    }
    let options = PictureOptions {
        size: Some([32, 32]),
        preparation: Some(Preparation::Resize),
        gray: Some(false),
        skip_bad: false,
    };
    assert_eq!(source.pictures, Some(options));
    let usual = |source| Recipe::usual_for(source).unwrap().map(|recipe| recipe.name);
    assert_eq!(usual(source).as_deref(), Some("photos"));
    let again = data::resolve(&source.request(&locations).unwrap(), &locations, &mut |_| {});
    let again = again.unwrap();
    assert!(source.check_same(&again.source).is_ok());
    // Nothing was chosen this time.
    assert_eq!(again.notes.len(), 1, "{:?}", again.notes);
    // Another picture is other data.
    disc([0, 0, 0], 1).save(folder.join("red/0.png")).unwrap();
    let changed = load(&folder, options, &locations).unwrap();
    let error = source.check_same(&changed.source).unwrap_err().to_string();
    let rule = format!(
        "the train pictures in {} are not those that were there at training",
        folder.display()
    );
    assert!(error.starts_with(&rule), "{error}");
    // Nothing is left of pictures of this size.
    for (setting, augment) in [
        ("crop", Augment { crop: 33.0, ..Augment::OFF }),
        ("cutout", Augment { cutout: 1000.0, ..Augment::OFF }),
    ] {
        let error = augment.check_for(train).unwrap_err().to_string();
        let rule = format!(
            "augment {setting} must be at most the shorter side of the pictures, 32 pixels"
        );
        assert!(error.starts_with(&rule), "{error}");
    }
    assert!(Augment { crop: 4.0, cutout: 8.0, ..Augment::OFF }.check_for(train).is_ok());
}

#[test]
fn decoded_images_are_cached_by_the_contents_of_the_pictures() {
    let home = tempfile::tempdir().unwrap();
    let (folder, kept) = (home.path().join("discs"), home.path().join("cache/pictures"));
    write_discs(&folder, 4);
    let locations = cache(&home.path().join("cache"));
    let read = |locations: &Locations| {
        let loaded = load(&folder, PictureOptions::default(), locations).unwrap();
        (0..loaded.train.len()).map(|i| loaded.train.image(i).to_vec()).collect::<Vec<_>>()
    };
    let first = read(&locations);
    let files =
        || fs::read_dir(&kept).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    let [file] = &files()[..] else { panic!("one file") };
    assert_eq!(fs::metadata(file).unwrap().len(), 12 * 3072 + 32);
    // Both names are the same contents.
    fs::rename(folder.join("red/0.png"), folder.join("red/0.jpeg")).unwrap();
    assert_eq!(read(&locations), first);
    assert_eq!(files().len(), 1);
    // Cached images are used, unless they are damaged.
    let whole = fs::read(file).unwrap();
    let mut damaged = whole.clone();
    damaged[0] ^= 1;
    fs::write(file, &damaged).unwrap();
    assert_eq!(read(&locations), first);
    assert_eq!(fs::read(file).unwrap(), whole);
    // Without a cache folder, and with one that cannot be written, pictures are decoded.
    let nowhere = Locations { data: None, cache: None, mirrors: None };
    assert_eq!(read(&nowhere), first);
    fs::write(home.path().join("file"), "").unwrap();
    assert_eq!(read(&cache(&home.path().join("file"))), first);
    let gray = PictureOptions { gray: Some(true), ..PictureOptions::default() };
    let loaded = load(&folder, gray, &locations).unwrap();
    assert_eq!(loaded.train.sample_shape(), [32, 32]);
    assert!(Recipe::usual_for(&loaded.source).unwrap().is_some());
    assert!(loaded.notes[0].contains("32x32 turned gray"), "{:?}", loaded.notes);
    assert_eq!(files().len(), 2);
}

#[test]
fn gray_folders_are_the_images_that_data_pack_makes() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("shapes");
    write_shapes(&folder);
    let nowhere = Locations { data: None, cache: None, mirrors: None };
    let loaded = load(&folder, PictureOptions::default(), &nowhere).unwrap();
    let asked = PictureOptions::default();
    let packed =
        data::pack::from_pictures_suggested(&folder, asked, (0.2, 0), &mut |_, _| {}).unwrap();
    assert_eq!(loaded.train.preparation(), Preparation::Digit);
    assert_eq!(Recipe::usual_for(&loaded.source), Ok(None));
    for (direct, packed) in [(&loaded.train, &packed.train), (&loaded.test, &packed.test)] {
        assert_eq!(direct.len(), packed.len());
        for i in 0..direct.len() {
            assert_eq!((direct.image(i), direct.label(i)), (packed.image(i), packed.label(i)));
        }
    }
}

#[test]
fn pictures_are_written_as_shards_without_their_images_in_memory() {
    let home = tempfile::tempdir().unwrap();
    let [discs, out] = ["discs", "out"].map(|name| home.path().join(name));
    write_discs(&discs, 10);
    let nowhere = Locations { data: None, cache: None, mirrors: None };
    let in_files = |folder: &Path, pictures| {
        let request = Request::Path(PathRequest { pictures, ..PathRequest::new(folder) });
        data::resolve_to_shard(&request, &nowhere, &mut |_| {}).map_err(|error| error.to_string())
    };
    let usual = PictureOptions::default();
    let read = |set: &Dataset| {
        let sample = |i| (set.label(i), set.read_image(i).unwrap());
        (0..set.len()).map(sample).collect::<Vec<_>>()
    };
    let gray = PictureOptions { gray: Some(true), ..usual };
    for options in [usual, gray] {
        let held = load(&discs, options, &nowhere).unwrap();
        let files = in_files(&discs, options).unwrap();
        assert!(files.train.is_streamed() && files.test.is_streamed());
        assert_eq!(
            (&files.notes, files.train.preparation()),
            (&held.notes, held.train.preparation())
        );
        assert_eq!(read(&files.test), read(&held.test));
        let [mut mixed, mut sorted] = [read(&files.train), read(&held.train)];
        // Held images are in the order of the classes, and those for shards are not.
        assert!(sorted.is_sorted_by_key(|sample| sample.0));
        assert!(!mixed.is_sorted_by_key(|sample| sample.0));
        data::save_shards(&files.train, &files.test, 2, &out, &mut |_, _| {}).unwrap();
        let (train, _) = data::stream_dir(&out, StreamMemory::default()).unwrap();
        assert_eq!(read(&train), mixed);
        mixed.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(mixed, sorted);
        fs::remove_dir_all(&out).unwrap();
    }
    // More than any machine holds: nothing is decoded yet.
    let size = Some([1_000_000; 2]);
    let huge = PictureOptions { size, preparation: Some(Preparation::Resize), ..usual };
    assert!(load(&discs, huge, &nowhere).is_err());
    assert_eq!(in_files(&discs, huge).unwrap().train.len(), 24);
    // A broken picture is an error that leaves no shards, or is left out.
    fs::write(discs.join("green/3.jpg"), b"\xff\xd8\xff\xe0 broken").unwrap();
    let files = in_files(&discs, usual).unwrap();
    let saved = data::save_shards(&files.train, &files.test, 2, &out, &mut |_, _| {});
    assert!(saved.unwrap_err().to_string().contains("green/3.jpg: a picture must be"));
    assert!(!out.exists());
    let rest = in_files(&discs, PictureOptions { skip_bad: true, ..usual }).unwrap();
    assert_eq!(rest.train.len() + rest.test.len(), 29);
    assert!(rest.notes.iter().any(|note| note.starts_with("left out: ")), "{:?}", rest.notes);
}

#[test]
fn each_unusual_picture_has_a_clear_outcome() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("discs");
    write_discs(&folder, 6);
    let nowhere = Locations { data: None, cache: None, mirrors: None };
    let read = |options| load(&folder, options, &nowhere);
    // Of the same color in each form: 16 bits, transparent corners, all of it gray.
    let (_, red) = COLORS[2];
    let wide = image::DynamicImage::ImageRgb8(disc(red, 1));
    wide.to_rgb16().save(folder.join("red/deep.png")).unwrap();
    wide.to_rgba8().save(folder.join("red/alpha.png")).unwrap();
    wide.to_luma8().save(folder.join("red/gray.png")).unwrap();
    let whole = read(PictureOptions::default()).unwrap();
    assert_eq!(whole.train.len() + whole.test.len(), 21);
    // A broken one in the middle.
    let broken = folder.join("green/3.jpg");
    let bytes = fs::read(&broken).unwrap();
    fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let error = read(PictureOptions::default()).unwrap_err();
    let begins = format!("{}: a picture must be a whole JPEG file", broken.display());
    assert!(error.starts_with(&begins), "{error}");
    let skips = PictureOptions { skip_bad: true, ..PictureOptions::default() };
    let rest = read(skips).unwrap();
    assert_eq!(rest.train.len() + rest.test.len(), 20);
    assert!(rest.notes.iter().any(|note| note.starts_with("left out: ")), "{:?}", rest.notes);
    // Options that exclude each other, and sizes that do not fit.
    let raw = PictureOptions { preparation: Some(Preparation::Raw), ..skips };
    let error = load(&folder, PictureOptions { skip_bad: false, ..raw }, &nowhere).unwrap_err();
    assert!(error.contains("give one of this size, or choose --prepare resize"), "{error}");
    let digit = PictureOptions {
        preparation: Some(Preparation::Digit),
        gray: Some(false),
        size: Some([28, 28]),
        skip_bad: false,
    };
    assert!(read(digit).unwrap_err().contains("the preparation digit makes gray images"));
    // A class of one picture.
    fs::create_dir(folder.join("white")).unwrap();
    disc([250; 3], 1).save(folder.join("white/1.png")).unwrap();
    let error = read(skips).unwrap_err();
    assert!(error.contains("white: each class needs at least 2 usable"), "{error}");
    assert!(error.ends_with("found 1: add some, or move the folder away"), "{error}");
    fs::remove_file(folder.join("white/1.png")).unwrap();
    let error = read(skips).unwrap_err();
    assert!(error.ends_with("found 0: add some, or move the folder away"), "{error}");
    fs::remove_dir(folder.join("white")).unwrap();
    // More than any machine has: 20 pictures of a side of a million pixels, of which nothing is decoded.
    let huge = PictureOptions { size: Some([1_000_000; 2]), ..digit };
    let huge = PictureOptions { preparation: Some(Preparation::Resize), ..huge };
    let error = read(huge).unwrap_err();
    let rule = "the images of 21 pictures take 63000 GB of memory, and ";
    assert!(error.contains(rule) && error.contains("choose a smaller --image-size"), "{error}");
    fs::remove_file(&broken).unwrap();
    // A link that leads nowhere, and links in a circle: to the folder of another class, up, and to itself.
    std::os::unix::fs::symlink("nowhere", folder.join("red/lost.png")).unwrap();
    let error = read(PictureOptions { skip_bad: false, ..skips }).unwrap_err();
    assert!(error.contains("lost.png cannot be read: it is a link, and what"), "{error}");
    std::os::unix::fs::symlink("..", folder.join("red/up")).unwrap();
    std::os::unix::fs::symlink("../green", folder.join("red/other")).unwrap();
    std::os::unix::fs::symlink("round", folder.join("red/round")).unwrap();
    let rest = read(skips).unwrap();
    assert_eq!(rest.train.len() + rest.test.len(), 20);
    assert!(rest.notes.iter().any(|note| note.starts_with("2 folders were left out: ")));
}

#[test]
fn parts_are_matched_and_other_data_refuses_the_options_of_pictures() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("parts");
    write_discs(&folder.join("train"), 3);
    write_discs(&folder.join("Valid"), 2);
    write_discs(&folder.join("test"), 1);
    let nowhere = Locations { data: None, cache: None, mirrors: None };
    let loaded = load(&folder, PictureOptions::default(), &nowhere).unwrap();
    assert_eq!((loaded.train.len(), loaded.test.len()), (15, 3));
    assert!(loaded.notes.iter().any(|note| note.contains("\"Valid\" is trained on")));
    let mine = home.path().join("mine");
    crate::common::write_stripes(&mine, 8, 8, 3);
    let gray = PictureOptions { gray: Some(true), ..PictureOptions::default() };
    let error = load(&mine, gray, &nowhere).unwrap_err();
    assert!(error.contains("--gray and --skip-bad are for folders of pictures"), "{error}");
}
