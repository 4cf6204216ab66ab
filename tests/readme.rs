//! The promise: the Python in the README runs as it stands there.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{seqfit, succeed};

const SECTION: &str = "\n## Use it from Python and elsewhere\n";

/// Executes each block on the same pixels, and compares what they make of them.
const PROGRAM: &str = r#"
import json, os, sys
os.environ["KERAS_BACKEND"] = "torch"
import numpy as np, torch
pixels = np.random.default_rng(0).integers(0, 256, (7, 28, 28), "uint8")
images = pixels.astype("float32") / 255
answers = []
for block in json.load(sys.stdin):
    names = {"pixels": pixels, "images": images}
    exec(block, names)
    if "logits" in names:
        names["probabilities"] = torch.softmax(torch.as_tensor(names["logits"]), -1)
    answers.append(torch.as_tensor(names["probabilities"]).detach().numpy())
assert all(answer.shape == (7, 10) for answer in answers)
assert np.ptp(answers[0], axis=0).max() > 1e-3, "all images give the same"
print(max(np.abs(answer - answers[0]).max() for answer in answers))
"#;

#[test]
fn the_python_in_the_readme_runs() {
    let Some(python) = common::exports::python() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    common::write_stripes(&home.path().join("stripes"), 28, 28, 10);
    let train = ["train", "-q", "--epochs", "3", "--out", "runs/tutorial", "--data-dir", "stripes"];
    succeed(seqfit(home.path()).args(train));
    let formats = "torchscript,state-dict,safetensors,onnx,keras";
    succeed(seqfit(home.path()).args(["export", "runs/tutorial", "--format", formats]));
    succeed(seqfit(home.path()).args(["export", "runs/tutorial", "--with", "preprocessing"]));

    let readme = include_str!("../README.md");
    let section = readme.split_once(SECTION).unwrap().1.split("\n## ").next().unwrap();
    let blocks: Vec<&str> = section
        .split("\n```python\n")
        .skip(1)
        .map(|rest| rest.split_once("\n```\n").unwrap().0)
        .collect();
    assert_eq!(blocks.len(), 6, "{section}");
    let mut child = Command::new(python)
        .args(["-W", "ignore", "-c", PROGRAM])
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(&blocks).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let difference: f64 = said.lines().last().unwrap().parse().unwrap();
    // Probabilities of four programs.
    assert!(difference <= 2e-6, "{said}");
}
