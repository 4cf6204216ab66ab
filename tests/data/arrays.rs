//! Tests of data sets in arrays, from the file to the run, in the library and on the command line.

use std::fs;
use std::path::Path;

use crate::common::numpy::{npy, npz, write_digits};
use crate::common::{run, seqfit, succeed};
use seqfit::data::{self, Dataset, Features, Sample, Targets};
use seqfit::layers::Dense;
use seqfit::{Activation, Device, Engine, FitConfig, Loss, Sequential, tch};

#[test]
fn numbers_after_a_last_layer_that_is_not_linear_are_compared_as_they_are() {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    let layers =
        "layers = [{ type = \"flatten\" }, { type = \"dense\", units = 1, activation = \"relu\" }]";
    fs::write(home.path().join("relu.toml"), layers).unwrap();
    let mut command = seqfit(home.path());
    command.args(["train", "--data", "digits.npz", "--task", "numbers", "--network", "relu.toml"]);
    command.args(["--keys", "y_train=numbers_train,y_test=numbers_test", "--epochs", "1"]);
    let done = succeed(command.args(["--out", "run"]));
    assert!(done.stderr.contains("as they are, without scaling"), "{}", done.stderr);
    assert!(home.path().join("run/model.pt").exists());
    let export = ["export", "run", "--format", "onnx", "--out", "x.onnx"];
    succeed(seqfit(home.path()).args(export));
}

#[test]
fn numbers_are_predicted_in_their_own_units_and_a_run_resumes() {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    let train = |out: &str, epochs: &str| {
        let mut command = seqfit(home.path());
        command.args(["train", "--data", "digits.npz", "--loss", "mean_squared_error"]);
        command.args(["--keys", "y_train=numbers_train,y_test=numbers_test", "--hidden", "32"]);
        command.args(["--validation-split", "0.1", "--epochs", epochs, "--out", out]);
        succeed(&mut command)
    };
    let whole = train("whole", "6");
    assert!(
        whole.stderr.contains("digits: 1437 training and 360 test samples"),
        "{}",
        whole.stderr
    );
    assert!(whole.stderr.contains("not used: labels_train, labels_test"), "{}", whole.stderr);
    train("cut", "3");
    succeed(seqfit(home.path()).args(["train", "--resume", "cut", "--epochs", "6"]));
    let weights = |run: &str| fs::read(home.path().join(run).join("model.safetensors")).unwrap();
    assert!(weights("whole") == weights("cut"));
    let config = fs::read_to_string(home.path().join("whole/config.toml")).unwrap();
    for line in ["targets = \"numbers\"", "y_train = \"numbers_train\"", "name = \"digits.npz\""] {
        assert!(config.contains(line), "{line} in {config}");
    }
    // The record finds the file and its arrays again. The mean of all numbers has a loss of 1.
    let evaluated = succeed(seqfit(home.path()).args(["evaluate", "whole", "--json"]));
    let figures: serde_json::Value = serde_json::from_str(&evaluated.stdout).unwrap();
    assert!(figures["loss"].as_f64().unwrap() < 0.5, "{figures}");
    // Another file, with the same names by default: y_test is missing in it.
    let mut other = seqfit(home.path());
    let other = run(other.args(["evaluate", "whole", "--data", "digits.npz"]));
    assert!(
        other.code == 1 && other.stderr.contains("the array \"y_train\" is needed"),
        "{other:?}"
    );
    // Nothing is written for a training that cannot begin.
    let mut augmented = seqfit(home.path());
    augmented.args([
        "train",
        "--data",
        "digits.npz",
        "--loss",
        "mean_squared_error",
        "--out",
        "none",
    ]);
    augmented.args(["--keys", "y_train=numbers_train,y_test=numbers_test"]);
    let augmented = run(augmented.args(["--augment", "rotation=5"]));
    assert!(augmented.stderr.contains("augmentation needs pictures"), "{augmented:?}");
    assert!(!home.path().join("none").exists());
    // The file is changed.
    digits_with_another_byte(&home.path().join("digits.npz"));
    let changed = run(seqfit(home.path()).args(["evaluate", "whole"]));
    assert!(
        changed.code == 1 && changed.stderr.contains("digits.npz is not the file"),
        "{changed:?}"
    );
}

fn digits_with_another_byte(path: &Path) {
    let (x, y) = (npy(&[2, 64], &[0.5; 128]), npy(&[2], &[1.0, 2.0]));
    npz(path, &[("x_train", x), ("numbers_train", y)]);
}

#[test]
fn several_labels_are_learned_from_the_command_line() {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    let keys = ["--keys", "y_train=labels_train,y_test=labels_test"];
    let mut command = seqfit(home.path());
    command.args(["train", "--data", "digits.npz", "--out", "run", "--epochs", "5"]).args(keys);
    let mut unclear = seqfit(home.path());
    let unclear = run(unclear.args(["train", "--data", "digits.npz"]).args(keys));
    assert!(unclear.code == 1 && unclear.stderr.contains("--task labels"), "{unclear:?}");
    succeed(command.args(["--task", "labels", "--loss", "binary_crossentropy"]));
    let evaluated = succeed(seqfit(home.path()).args(["evaluate", "run", "--json"]));
    let figures: serde_json::Value = serde_json::from_str(&evaluated.stdout).unwrap();
    // Predicting each label's frequency has a loss of 0.69.
    assert!(figures["loss"].as_f64().unwrap() < 0.4, "{figures}");
}

/// y = 200 + 100 x₀ - 50 x₁ x₁ on a grid.
fn surface() -> Dataset {
    let grid = (0..400).map(|i| [(i % 20) as f32 / 10.0 - 1.0, (i / 20) as f32 / 10.0 - 1.0]);
    let y: Vec<f32> = grid.clone().map(|[a, b]| 200.0 + 100.0 * a - 50.0 * b * b).collect();
    let x: Vec<f32> = grid.flatten().collect();
    Dataset::from_arrays(Features::floats(x, [2]), Targets::numbers(y, ["height"])).unwrap()
}

#[test]
fn target_scaling_is_undone_in_predictions_with_either_engine() {
    let (train, test) = surface().split(0.2, 1).unwrap();
    let fit = |engine| {
        let mut model = Sequential::new(train.sample_shape())
            .add(Dense::new(32).activation(Activation::Tanh))
            .add(Dense::new(1))
            .target_scaling(train.target_scaling().unwrap())
            .build(Device::Cpu, 0)
            .unwrap();
        let loss = Loss::MeanSquaredError;
        let config = FitConfig { epochs: 40, loss, engine, ..FitConfig::default() };
        let history = model.fit(&train, &config, &mut []).unwrap();
        (model, history.epochs.last().unwrap().loss)
    };
    let (fused, loss) = fit(Engine::Fused);
    let (autograd, other_loss) = fit(Engine::Autograd);
    assert!((loss - other_loss).abs() < 1e-3 * loss, "{loss} {other_loss}");
    let mut squares = 0.0;
    for i in 0..test.len() {
        let (Sample::Floats(x), data::Target::Numbers(&[y])) = (test.sample(i), test.target(i))
        else {
            panic!("numbers")
        };
        let x = tch::Tensor::from_slice(x).reshape([1, 2]);
        let of = |model: &Sequential| model.predict(&x).unwrap().double_value(&[0, 0]);
        // 40 epochs of f32 apart.
        assert!((of(&fused) - of(&autograd)).abs() < 0.5, "{} {}", of(&fused), of(&autograd));
        squares += (of(&fused) - f64::from(y)).powi(2);
    }
    let scale = f64::from(train.target_scaling().unwrap().scale[0]);
    let scaled = squares / test.len() as f64 / scale.powi(2);
    // The loss is that of scaled targets, and the network has learned: 1 is the loss of the mean.
    let evaluated = fused.evaluate(&test).unwrap().loss;
    assert!((scaled - evaluated).abs() < 1e-4 * scaled, "{scaled} {evaluated}");
    assert!(evaluated < 0.1, "{evaluated}");
}

/// The same arrays in a file and in a folder of files give the same run, which is resumed and evaluated from its record.
#[test]
fn a_folder_of_npy_files_is_a_data_set() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("waits");
    fs::create_dir(&folder).unwrap();
    let values = |n: usize, shift: f32| (0..n).map(|i| i as f32 / 8.0 + shift).collect::<Vec<_>>();
    let arrays = [
        ("x_train", npy(&[40, 2], &values(80, 0.0))),
        ("minutes", npy(&[40], &values(40, 0.5))),
        ("x_test", npy(&[10, 2], &values(20, 0.25))),
        ("y_test", npy(&[10], &values(10, 0.75))),
        ("other", npy(&[1], &[1.0])),
    ];
    npz(&home.path().join("waits.npz"), &arrays);
    for (name, bytes) in &arrays {
        fs::write(folder.join(format!("{name}.npy")), bytes).unwrap();
    }
    let train = |data: &str, out: &str| {
        let mut command = seqfit(home.path());
        command.args(["train", "--data", data, "--out", out, "--epochs", "2"]);
        succeed(command.args(["--keys", "y_train=minutes"]))
    };
    let of_folder = train("waits", "a");
    assert!(of_folder.stderr.contains("waits: 40 training and 10 test samples"), "{of_folder:?}");
    assert!(of_folder.stderr.contains("not used: other"), "{of_folder:?}");
    train("waits.npz", "b");
    let weights = |run: &str| fs::read(home.path().join(run).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"));
    let config = fs::read_to_string(home.path().join("a/config.toml")).unwrap();
    for line in ["y_train = \"minutes\"", "name = \"minutes.npy\"", "name = \"y_test.npy\""] {
        assert!(config.contains(line), "{line} in {config}");
    }
    assert!(!config.contains("other.npy"), "{config}");
    succeed(seqfit(home.path()).args(["train", "--resume", "a", "--epochs", "3"]));
    succeed(seqfit(home.path()).args(["evaluate", "a"]));
    // Without --keys the folder is known by its kind all the same.
    let verified = run(seqfit(home.path()).args(["data", "verify", "./waits"]));
    assert!(verified.stdout.contains("WRONG: the array \"y_train\" is needed"), "{verified:?}");
    fs::write(folder.join("y_test.npy"), npy(&[10], &values(10, 0.5))).unwrap();
    let changed = run(seqfit(home.path()).args(["evaluate", "a"]));
    assert!(changed.stderr.contains("y_test.npy is not the file"), "{changed:?}");
}

/// Writes f32 arrays in the format of <https://github.com/huggingface/safetensors>.
/// Writes arrays with names, shapes and values. Two bytes of each value are those of bfloat16.
fn safetensors(path: &Path, arrays: &[(&str, &[usize], Vec<f32>)], dtype: &str) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, values) in arrays {
        let start = data.len();
        let first = if dtype == "BF16" { 2 } else { 0 };
        data.extend(values.iter().flat_map(|value| value.to_le_bytes().into_iter().skip(first)));
        let entry = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]});
        header.insert((*name).to_owned(), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length[..], header.as_bytes(), &data].concat()).unwrap();
}

#[test]
fn a_safetensors_file_is_a_data_set() {
    let home = tempfile::tempdir().unwrap();
    let values = |n: usize| (0..n).map(|i| i as f32 / 8.0 + 0.5).collect::<Vec<_>>();
    let arrays: [(&str, &[usize], _); 2] =
        [("x_train", &[40, 2], values(80)), ("y_train", &[40], values(40))];
    let path = home.path().join("waits.safetensors");
    safetensors(&path, &arrays, "F32");
    let as_npy = arrays.each_ref().map(|(name, shape, values)| (*name, npy(shape, values)));
    npz(&home.path().join("waits.npz"), &as_npy);
    let weights = |data: &str, out: &str| {
        let mut command = seqfit(home.path());
        succeed(command.args(["train", "--data", data, "--out", out, "--epochs", "2"]));
        fs::read(home.path().join(out).join("model.safetensors")).unwrap()
    };
    assert!(weights("waits.safetensors", "a") == weights("waits.npz", "b"));
    succeed(seqfit(home.path()).args(["evaluate", "a"]));
    // Samples to predict for are read from all kinds of arrays.
    fs::create_dir(home.path().join("waits")).unwrap();
    fs::write(home.path().join("waits/x_train.npy"), &as_npy[0].1).unwrap();
    let predicted = ["waits.npz", "waits.safetensors", "waits"].map(|data| {
        let output = succeed(seqfit(home.path()).args(["predict", "a", data, "--json"]));
        assert_eq!(output.stdout.lines().count(), 40);
        output.stdout.replace(data, "")
    });
    assert!(predicted.iter().all(|lines| *lines == predicted[0]), "{predicted:#?}");
    safetensors(&home.path().join("half.safetensors"), &arrays, "BF16");
    for command in ["train --data half.safetensors", "predict a half.safetensors"] {
        let refused = run(seqfit(home.path()).args(command.split(' ')));
        let rule = "\"x_train\" must hold integers, floats or bool, found the type \"BF16\": convert it to float32, as \
                    tensor.float() does in PyTorch\n";
        assert!(refused.code == 1 && refused.stderr.ends_with(rule), "{refused:#?}");
    }
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let cut = run(seqfit(home.path()).args(["train", "--data", "waits.safetensors"]));
    assert!(cut.code == 1 && cut.stderr.contains("this safetensors file is damaged"), "{cut:?}");
    fs::write(home.path().join("waits.csv"), "a,b\n1,2\n").unwrap();
    let unknown = run(seqfit(home.path()).args(["train", "--data", "waits.csv"]));
    let known = "waits.csv: a data set is a file of NumPy arrays (.npz), or a safetensors file";
    assert!(unknown.code == 1 && unknown.stderr.contains(known), "{unknown:?}");
}

/// Features in their own units, such as a population, and numbers to predict.
fn unscaled(path: &Path) {
    let x = (0..200).flat_map(|i| [i as f32 / 100.0 - 1.0, 1400.0 + 1100.0 * (i as f32).sin()]);
    let y: Vec<f32> = (0..200).map(|i| (i as f32 / 40.0).cos() + 0.5).collect();
    npz(path, &[("x_train", npy(&[200, 2], &x.collect::<Vec<_>>())), ("y_train", npy(&[200], &y))]);
}

#[test]
fn features_that_are_not_scaled_are_named_where_training_fails() {
    let home = tempfile::tempdir().unwrap();
    unscaled(&home.path().join("raw.npz"));
    let words = "1 of 2 columns of the features is not scaled: column 1 (mean 1";
    let cure = "(x - x_train.mean(0)) / x_train.std(0)";
    let has_both = |text: &str| text.contains(words) && text.contains(cure);
    let ask = |command: &str| run(seqfit(home.path()).args(command.split(' ')));
    let trained = ask("train --data raw.npz --epochs 1 --out raw");
    assert!(trained.code == 0 && has_both(&trained.stderr), "{trained:#?}");
    assert!(trained.stderr.contains("raw: 160 training and 40 test samples\ntask: 1 number\n"));
    let verified = ask("data verify raw.npz");
    assert!(verified.code == 0 && has_both(&verified.stderr), "{verified:#?}");
    // One value that no column has can make all of them NaN.
    let diverged = ask("train -q --data raw.npz --optimizer sgd --learning-rate 1 --out nan");
    let rate = "or use a lower learning rate than 1.0";
    assert!(diverged.code == 1 && has_both(&diverged.stderr), "{diverged:#?}");
    assert!(diverged.stderr.contains(rate), "{diverged:#?}");
    let mut x = vec![0.5f32; 80];
    x[33] = 1e30;
    let arrays = [("x_train", npy(&[40, 2], &x)), ("y_train", npy(&[40], &x[..40]))];
    npz(&home.path().join("huge.npz"), &arrays);
    let verified = ask("data verify huge.npz");
    assert!(verified.stderr.contains("largest 1e30)"), "{verified:#?}");
}

#[test]
fn metrics_that_targets_do_not_have_are_refused_before_anything_is_made() {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    let ask = |options: &str| {
        let data = "train --data digits.npz --out r --validation-split 0.2 --keys y_train=numbers_train,y_test=numbers_test";
        run(seqfit(home.path()).args(data.split(' ')).args(options.split(' ')))
    };
    for options in [
        "--monitor accuracy",
        "--monitor val_accuracy --early-stopping 2",
        "--monitor val_accuracy --reduce-lr 2",
        "--metrics f1_macro",
        "--metrics f1_macro --monitor val_f1_macro --early-stopping 2",
        "--monitor val_accuracy --seeds 2",
    ] {
        let refused = ask(options);
        assert_eq!(refused.code, 2, "{options}: {refused:#?}");
        assert!(!refused.stderr.contains("callback"), "{options}: {}", refused.stderr);
        assert!(refused.stderr.contains("numbers"), "{options}: {}", refused.stderr);
        assert!(!home.path().join("r").exists(), "{options}");
    }
    // A run that is resumed keeps its monitor, and is checked as a new one.
    assert_eq!(ask("--epochs 1").code, 0);
    let mut resume = seqfit(home.path());
    resume.args(["train", "--resume", "r", "--epochs", "2", "--monitor", "val_accuracy"]);
    let resumed = run(&mut resume);
    assert_eq!(resumed.code, 2, "{resumed:#?}");
}

#[test]
fn a_training_that_cannot_begin_makes_nothing() {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    fs::write(
        home.path().join("none.toml"),
        (0..10).map(|i| format!("{i} = 0\n")).collect::<String>(),
    )
    .unwrap();
    let ask = |options: &str| {
        let data = "train --data digits.npz --keys y_train=classes_train,y_test=classes_test --task class --epochs 1 --out r";
        run(seqfit(home.path()).args(data.split(' ')).args(options.split('|')))
    };
    fs::write(home.path().join("negative.toml"), "0 = -1").unwrap();
    fs::write(home.path().join("no.toml"), "[network]\nlayers = [{ type = \"dense\" }]").unwrap();
    for (options, code, rule) in [
        // What a file holds is no mistake on the command line.
        (
            "--class-weights|none.toml",
            1,
            "must be above 0 for one sample at least, found 0 for all",
        ),
        ("--class-weights|negative.toml", 1, "negative.toml: class weights must be at least 0"),
        ("--network|no.toml", 1, "no.toml does not describe a network"),
        (
            "--engine|fused|--layers|batchnorm, dense",
            2,
            "engine must be auto or autograd here (fused takes Dense layers",
        ),
        ("--augment|flip=0.5", 2, "augmentation needs pictures"),
        ("--stream", 2, "only folders of IDX files and shards are streamed"),
    ] {
        let refused = ask(options);
        assert!(refused.code == code && refused.stderr.contains(rule), "{options}: {refused:#?}");
        assert!(!home.path().join("r").exists(), "{options}");
    }
    assert_eq!(ask("-q").code, 0);
    let metrics = run(seqfit(home.path()).args(["evaluate", "r", "--metrics", "rmse"]));
    assert!(metrics.code == 2 && metrics.stderr.contains("rmse is for numbers"), "{metrics:#?}");
    let of_numbers =
        "evaluate r --data digits.npz --keys y_train=numbers_train,y_test=numbers_test";
    for (more, code, rule) in [
        ("", 1, "the network predicts classes, found data whose targets are numbers"),
        (" --task numbers", 2, "the network predicts classes, found --task for numbers"),
    ] {
        let command = format!("{of_numbers}{more}");
        let refused = run(seqfit(home.path()).args(command.split(' ')));
        assert!(refused.code == code && refused.stderr.contains(rule), "{refused:#?}");
    }
    // The network is that of the run.
    for option in [["--layers", "dense"], ["--network", "r"]] {
        let arguments = ["train", "--data", "digits.npz", "--init-from", "r", "--out", "s"];
        let refused = run(seqfit(home.path()).args(arguments).args(option));
        assert!(
            refused.code == 2 && refused.stderr.contains("cannot be used with"),
            "{refused:#?}"
        );
    }
}

#[test]
fn a_few_samples_of_any_data_are_memorized() {
    let home = tempfile::tempdir().unwrap();
    let one = [("x_train", npy(&[1, 2], &[0.5, -1.0])), ("y_train", npy(&[1], &[3.5]))];
    let test = [("x_test", one[0].1.clone()), ("y_test", one[1].1.clone())];
    npz(&home.path().join("one.npz"), &[one, test].concat());
    let ask = |options: &str| run(seqfit(home.path()).args(options.split(' ')));
    let done = ask("train --data one.npz --overfit 4");
    assert!(done.code == 0 && done.stdout.contains("1 sample is memorized"), "{done:#?}");
    // One sample of each of three classes.
    let x = npy(&[3, 2], &[0.5, -1.0, 1.0, 0.5, -0.5, 0.25]);
    let y = npy(&[3], &[0.0, 1.0, 2.0]);
    let arrays = ["x_train", "y_train", "x_test", "y_test"].into_iter();
    let arrays: Vec<_> = arrays.zip([&x, &y, &x, &y].map(Clone::clone)).collect();
    npz(&home.path().join("three.npz"), &arrays);
    let done = ask("train --data three.npz --task class --overfit 2");
    assert!(done.code == 0 && done.stdout.contains("all 2 samples are memorized"), "{done:#?}");
    assert!(done.stderr.contains("task: 3 classes\n"), "{done:#?}");
}

#[test]
fn a_file_or_folder_of_another_option_is_named() {
    let home = tempfile::tempdir().unwrap();
    write_digits(&home.path().join("digits.npz"));
    fs::write(home.path().join("x_train.npy"), npy(&[1], &[1.0])).unwrap();
    for (options, words) in [
        ("--data-dir digits.npz", "the option takes a folder, found a file: use --data digits.npz"),
        ("--dataset digits.npz", "found a file: use --data digits.npz"),
        (
            "--data x_train.npy",
            "found a single array: use --data ., if it holds x_train.npy and y_train.npy",
        ),
        ("--data mnist", "use --dataset mnist for the known data set"),
    ] {
        let refused = run(seqfit(home.path()).arg("train").args(options.split(' ')));
        assert!(refused.code == 2 && refused.stderr.contains(words), "{options}: {refused:#?}");
    }
    let verified = run(seqfit(home.path()).args(["data", "verify", "./x_train.npy"]));
    assert!(verified.stderr.contains("found a single array: give the folder"), "{verified:#?}");
}
