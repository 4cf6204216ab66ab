//! Tests that the real TensorBoard reads the event files that training writes.

use std::process::Command;

use crate::common::{self, run, seqfit, succeed};

/// Prints the contents of a folder of event files, read by TensorBoard's own reader.
const READER: &str = r#"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = {}
for part in ("train", "validation"):
    events = EventAccumulator(f"{sys.argv[1]}/{part}", size_guidance={"histograms": 0, "images": 0}).Reload()
    tags = events.Tags()
    found[part] = {
        "scalars": {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags["scalars"]},
        "histograms": {
            tag: [[e.step, e.histogram_value.num, sum(e.histogram_value.bucket)] for e in events.Histograms(tag)]
            for tag in tags["histograms"]
        },
        "images": {tag: [[e.step, e.width, e.height] for e in events.Images(tag)] for tag in tags["images"]},
    }
print(json.dumps(found))
"#;

#[test]
fn tensorboard_reads_curves_histograms_and_pictures() {
    let Some(python) = common::python_with(&["tensorboard"]) else { return };
    let home = tempfile::tempdir().unwrap();
    let train =
        ["train", "-q", "--dataset", "digits", "--epochs", "3", "--validation-split", "0.2"];
    succeed(seqfit(home.path()).args(train).args(["--out", "r", "--tensorboard"]));
    // A resumed run adds a file.
    let on = ["train", "-q", "--resume", "r", "--epochs", "4", "--tensorboard"];
    succeed(seqfit(home.path()).args(on));
    let folder = home.path().join("r/tensorboard");
    let output = run(Command::new(python).args(["-c", READER]).arg(&folder));
    assert_eq!(output.code, 0, "{output:#?}");
    let found: serde_json::Value =
        serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    let history = std::fs::read_to_string(home.path().join("r/history.csv")).unwrap();
    let columns: Vec<&str> = history.lines().next().unwrap().split(',').collect();
    for (part, tag, column) in [
        ("train", "epoch_loss", "loss"),
        ("train", "epoch_accuracy", "accuracy"),
        ("train", "epoch_learning_rate", "learning_rate"),
        ("validation", "epoch_loss", "val_loss"),
        ("validation", "epoch_accuracy", "val_accuracy"),
    ] {
        let place = columns.iter().position(|name| *name == column).unwrap();
        let points = found[part]["scalars"][tag].as_array().unwrap();
        assert_eq!(points.len(), 4, "{part} {tag}");
        for ((epoch, line), point) in (1..).zip(history.lines().skip(1)).zip(points) {
            let expected: f64 = line.split(',').nth(place).unwrap().parse().unwrap();
            assert_eq!(point[0], epoch);
            // The files hold f32.
            assert!((point[1].as_f64().unwrap() - expected).abs() <= 1e-6 * expected.abs());
        }
    }
    let histogram = &found["train"]["histograms"]["weights/1.weight"];
    assert_eq!(histogram.as_array().unwrap().len(), 4);
    for point in histogram.as_array().unwrap() {
        assert_eq!((point[1].as_f64(), point[2].as_f64()), (Some(8192.0), Some(8192.0)));
    }
    assert_eq!(found["train"]["images"]["first layer's weights"].as_array().unwrap().len(), 4);
    // They are part of the run, and are removed with it.
    succeed(seqfit(home.path()).args(train).args(["--out", "r", "--force"]));
    assert!(!folder.exists());
}

#[test]
fn tensorboard_folder_that_cannot_be_written_is_reported_at_the_end() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("file"), "").unwrap();
    let train = "train -q --dataset digits --epochs 1 --out r --tensorboard file/events";
    let output = run(seqfit(home.path()).args(train.split(' ')));
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("not everything could be kept")
            && output.stderr.contains("file/events")
    );
    assert!(home.path().join("r/model.pt").is_file());
}
