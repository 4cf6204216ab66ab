//! Tests the way from a folder of photographs in color to a network in use.

use std::fs;
use std::path::Path;

use crate::common::color_pictures::{COLORS, disc, write_discs};
use crate::common::{run, seqfit, succeed};
use serde_json::Value;

fn json(home: &Path, arguments: &[&str]) -> Value {
    let output = succeed(seqfit(home).args(arguments));
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn a_folder_of_photographs_becomes_a_network_that_knows_colors() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    write_discs(&home.join("discs"), 20);
    let train = ["train", "--data-dir", "discs", "--epochs", "12", "--out", "run"];
    let output = succeed(seqfit(home).args(train));
    assert!(output.stderr.contains("note: pictures become images of 32x32 in color"), "{output:?}");
    assert!(output.stderr.contains("discs: 48 training and 12 test images"), "{output:?}");
    assert!(output.stderr.contains("note: the recipe photos trains a network"), "{output:?}");
    assert!(output.stdout.contains("accuracy 100.00 % of 12 images"), "{output:?}");
    let config = fs::read_to_string(home.join("run/config.toml")).unwrap();
    for line in [
        "type = \"conv2d\"",
        "type = \"normalization\"",
        "channels = true",
        "preparation = \"resize\"",
    ] {
        assert!(config.contains(line), "{line}: {config}");
    }
    let again = succeed(seqfit(home).args(["train", "--resume", "run"]));
    assert!(again.stderr.contains("a higher --epochs is another training"), "{again:?}");
    // The same data again, and the report with its pages.
    let evaluated = json(home, &["evaluate", "run", "--json"]);
    assert_eq!(evaluated["accuracy"], 1.0, "{evaluated}");
    succeed(seqfit(home).args(["report", "run"]));
    // The same for the mean over mirrored and shifted pictures, which is another number for each.
    let views = json(home, &["evaluate", "run", "--json", "--tta", "flip,shift"]);
    assert_eq!(views["accuracy"], 1.0, "{views}");
    assert_ne!(views["loss"], evaluated["loss"]);
    // New pictures of other sizes, of which one is mislabeled: a mistake that the report shows in color.
    for (name, color) in COLORS {
        fs::create_dir_all(home.join("new/test").join(name)).unwrap();
        fs::create_dir_all(home.join("new/train").join(name)).unwrap();
        for part in ["test", "train"] {
            disc(color, 333).save(home.join("new").join(part).join(name).join("a.png")).unwrap();
        }
    }
    disc(COLORS[0].1, 350).save(home.join("new/test/red/wrong.jpg")).unwrap();
    let evaluated = json(home, &["evaluate", "run", "--data-dir", "new", "--json"]);
    assert_eq!(evaluated["accuracy"], 0.75, "{evaluated}");
    // Pictures to test on are enough.
    fs::remove_dir_all(home.join("new/train")).unwrap();
    let alone = json(home, &["evaluate", "run", "--data-dir", "new", "--json"]);
    assert_eq!(alone, evaluated);
    succeed(seqfit(home).args(["report", "run", "--data-dir", "new"]));
    let page = fs::read_to_string(home.join("run/report.html")).unwrap();
    assert!(page.contains("1: red predicted as blue") || page.contains("red predicted as blue"));
    let sheet = image::open(home.join("run/plots/mistakes.png")).unwrap().to_rgb8();
    assert!(sheet.pixels().any(|pixel| pixel.0[2] > 150 && pixel.0[0] < 80), "no blue pixel");

    let of = |arguments: &[&str]| {
        let output = succeed(seqfit(home).args(["predict", "run", "--json"]).args(arguments));
        output
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect::<Vec<Value>>()
    };
    let predicted = of(&["new/test/red/a.png", "new/test/green/a.png", "new/test/red/wrong.jpg"]);
    let classes: Vec<&str> = predicted.iter().map(|p| p["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["red", "green", "blue"]);
    let shown = ["predict", "run", "new/test/red/a.png", "--image", "always", "--prepare", "crop"];
    let output = succeed(seqfit(home).args(shown));
    assert!(output.stdout.lines().count() == 17, "{output:?}");
    // Where the network looks, beside the picture.
    let picture = "new/test/red/a.png";
    let looks = ["predict", "run", picture, "--looks", "looks.png"];
    let output = succeed(seqfit(home).args(looks));
    assert!(output.stderr.contains("wrote looks.png") && output.stdout.contains("red"));
    let sheet = image::open(home.join("looks.png")).unwrap().to_rgb8();
    assert_eq!(sheet.dimensions(), (2 * 256 + 8, 256));
    let pixels = |from: u32| {
        let places = (0..256 * 256).map(|i| (from + i % 256, i / 256));
        places.map(|(x, y)| sheet.get_pixel(x, y).0).collect::<Vec<_>>()
    };
    assert!(pixels(0).iter().any(|[red, green, _]| *red > 150 && *green < 100));
    // Gray, and orange where it matters.
    assert!(pixels(264).iter().all(|[red, green, blue]| red >= green && green >= blue));
    for (wrong, message) in [
        (&["--looks", picture][..], "would replace the picture new/test/red/a.png"),
        (&["--looks", "b.png", "new/test/red/wrong.jpg"], "is for one picture, found 2 files"),
    ] {
        let output = run(seqfit(home).args(["predict", "run", picture]).args(wrong));
        assert!(output.code == 2 && output.stderr.contains(message), "{output:?}");
    }
    let digit = run(seqfit(home).args(["predict", "run", "a.png", "--prepare", "digit"]));
    assert!(digit.code == 2 && digit.stderr.contains("these are in color"), "{digit:?}");
    let preview = ["data", "preview", "--data-dir", "discs", "--out", "sheet.png", "--augment"];
    succeed(
        seqfit(home).args(preview).args(["flip=0.5,crop=4,cutout=8,saturation=0.4,randaugment=9"]),
    );
    let sheet = image::open(home.join("sheet.png")).unwrap().to_rgb8();
    assert!(sheet.pixels().any(|pixel| pixel.0[0] > pixel.0[2].saturating_add(80)));
}

#[test]
fn every_model_trains_on_gray_and_color_pictures_and_is_kept_in_its_run() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    write_discs(&home.join("discs"), 4);
    for (model, kind) in [
        ("cnn width=4", "conv2d"),
        ("resnet width=4", "residual"),
        ("mobile width=4", "depthwise_conv2d"),
    ] {
        for data in [["--data-dir", "discs"], ["--dataset", "digits"]] {
            let train =
                ["train", "-q", "--force", "--out", "run", "--epochs", "1", "--model", model];
            let few = ["--batch-size", "512"];
            succeed(seqfit(home).args(train).args(data).args(few));
            let config = fs::read_to_string(home.join("run/config.toml")).unwrap();
            assert!(config.contains(&format!("type = \"{kind}\"")), "{model}: {config}");
            let summary = json(home, &["summary", "run", "--json"]);
            assert!(summary["multiply_adds"].as_u64().unwrap() > 1_000, "{summary}");
        }
    }
    // The card and the run are listed with the same number.
    let summary = json(home, &["summary", "run", "--json"]);
    let card = json(home, &["inspect", "run", "--json"]);
    assert_eq!(card["card"]["multiply_adds"], summary["multiply_adds"]);
    // The library's default, and --hidden under its name.
    let mlp = json(home, &["summary", "--json", "--model", "mlp", "--hidden", "128,64"]);
    assert_eq!(mlp, json(home, &["summary", "--json"]));
    let recipe = json(home, &["summary", "--json", "--recipe", "cnn"]);
    assert_eq!(recipe["parameters"], 83_626);
    let replaced = ["summary", "--json", "--recipe", "cnn", "--hidden", "128,64"];
    assert_eq!(json(home, &replaced), mlp);
    let color = json(
        home,
        &["summary", "--json", "--color", "--image-size", "32x32", "--model", "resnet depth=1"],
    );
    assert_eq!(color["layers"][0]["output_shape"], serde_json::json!([16, 32, 32]));
    for (options, message) in [
        (&["--model", "resnt"][..], "did you mean resnet?"),
        (
            &["--model", "cnn depth=9"],
            "--model: cnn with depth=9 needs pictures of at least 512 x 512 pixels, found 28 x 28",
        ),
        (
            &["--model", "cnn", "--hidden", "9"],
            "--hidden is the widths of --model mlp without sizes, found --model cnn",
        ),
        (&["--model", "cnn", "--layers", "flatten, dense"], "cannot be used with"),
    ] {
        let output = run(seqfit(home).arg("summary").args(options));
        assert!(output.code == 2 && output.stderr.contains(message), "{output:?}");
    }
}

#[test]
fn augmented_and_resumed_trainings_in_color_end_in_the_same_weights() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    write_discs(&home.join("discs"), 8);
    let augment = "flip=0.5,crop=3,cutout=5,brightness=0.2,contrast=0.2,saturation=0.2,rotation=8,\
                   randaugment=9,mixup=0.4,cutmix=1,fade=0";
    let train = |out: &str, epochs: &str, threads: &str| {
        let arguments = ["train", "-q", "--data-dir", "discs", "--image-size", "16", "--out", out];
        let more = ["--augment", augment, "--epochs", epochs, "--threads", threads];
        // More epochs do not change it.
        let schedule = ["--schedule", "constant"];
        succeed(seqfit(home).args(arguments).args(more).args(schedule));
    };
    train("whole", "3", "2");
    train("alone", "3", "1");
    train("parts", "2", "1");
    succeed(seqfit(home).args(["train", "-q", "--resume", "parts", "--epochs", "3"]));
    let weights = |run: &str| fs::read(home.join(run).join("model.safetensors")).unwrap();
    assert_eq!(weights("whole"), weights("alone"));
    assert_eq!(weights("whole"), weights("parts"));
    // An option that describes the network, or a recipe, is followed.
    for option in [["--hidden", "9"], ["--recipe", "tutorial"]] {
        let train = ["train", "-q", "--data-dir", "discs", "--epochs", "1", "--force", "--out"];
        succeed(seqfit(home).args(train).arg("dense").args(option));
        let config = fs::read_to_string(home.join("dense/config.toml")).unwrap();
        assert!(!config.contains("conv2d") && config.contains("name = \"constant\""), "{config}");
    }
    let gray = ["train", "-q", "--data-dir", "discs", "--gray", "--epochs", "1", "--out", "gray"];
    succeed(seqfit(home).args(gray));
    let config = fs::read_to_string(home.join("gray/config.toml")).unwrap();
    assert!(config.contains("gray = true") && !config.contains("channels = true"), "{config}");
    let output = run(seqfit(home).args(["train", "--dataset", "digits", "--gray"]));
    assert!(output.code == 2 && output.stderr.contains("--data-dir"), "{output:?}");
    let output = run(seqfit(home).args(["train", "--data-dir", "discs", "--stream"]));
    let cure = "seqfit data shard --data discs --out SHARDS, and train with --data-dir SHARDS";
    assert!(output.code == 2 && output.stderr.contains(cure), "{output:?}");
}

#[test]
fn packed_and_sharded_pictures_in_color_train_like_their_folder() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    write_discs(&home.join("discs"), 8);
    let done = |arguments: &[&str]| succeed(seqfit(home).args(arguments));
    let packed = done(&["data", "pack", "discs", "--out", "packed"]);
    assert!(packed.stdout.contains("packed: 24 images of 32x32 in color"), "{packed:?}");
    let next = "next: seqfit train --data-dir packed --recipe photos";
    assert!(packed.stderr.contains("images of 32x32 in color, scaled as a whole (--image-size"));
    assert!(packed.stderr.contains(next), "{packed:?}");
    let verified = done(&["data", "verify", "packed"]).stdout;
    assert!(
        verified.contains("train-images-idx4-ubyte: 18 images of 32x32 in color"),
        "{verified}"
    );
    let shard = ["data", "shard", "--data-dir", "discs", "--shards", "2", "--out", "shards"];
    let sharded = done(&shard);
    let next = "next: seqfit train --stream --data-dir shards --recipe photos";
    assert!(sharded.stderr.contains(next), "{sharded:?}");
    let again = ["data", "shard", "--data-dir", "packed", "--shards", "2", "--out", "again"];
    done(&again);
    for (data, out) in [
        (&["discs"][..], "run"),
        (&["packed", "--recipe", "photos"], "packed-run"),
        (&["shards", "--recipe", "photos", "--stream"], "streamed"),
    ] {
        let train = ["train", "-q", "--epochs", "1", "--out", out, "--data-dir"];
        done(&[&train, data].concat());
        let config = fs::read_to_string(home.join(out).join("config.toml")).unwrap();
        assert!(config.contains("channels = true") && config.contains("preparation = \"resize\""));
        done(&["report", out]);
        let predicted = done(&["predict", out, "discs/red/0.png"]).stdout;
        assert!(predicted.contains("red"), "{predicted}");
        // The test pictures are the same in each form.
        let own = json(home, &["evaluate", out, "--json"]);
        let evaluate = ["evaluate", out, "--json", "--data-dir"];
        for other in [&["discs"][..], &["packed"], &["shards", "--stream"], &["again", "--stream"]]
        {
            let other = json(home, &[&evaluate, other].concat());
            assert_eq!(other["loss"], own["loss"], "{out}");
        }
    }
    let weights = |run: &str| {
        let bytes = fs::read(home.join(run).join("model.safetensors")).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    };
    assert_eq!(weights("run"), weights("packed-run"));
    let list = done(&["predict", "packed-run", "packed/t10k-images-idx4-ubyte"]).stdout;
    assert_eq!(list.lines().count(), 6, "{list}");
    done(&["data", "preview", "--data-dir", "packed", "--out", "sheet.png"]);
    let gray = done(&["data", "pack", "discs", "--gray", "--out", "gray"]);
    assert!(gray.stdout.contains("gray: 24 images of 28x28\n"), "{gray:?}");
    assert!(home.join("gray/train-images-idx3-ubyte").exists());
    let list = run(seqfit(home).args(["predict", "packed-run", "gray/t10k-images-idx3-ubyte"]));
    assert!(list.stderr.contains("takes images in color, found an IDX file of gray ones"));
}
