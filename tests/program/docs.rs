//! Tests that the documentation is correct. Every command in the guide and its pages runs and prints the output
//! shown below it; the Python in them and in the README runs, and their Rust is part of examples/.
//! tests/common/parse_doc_page.rs documents the format, tests/common/compare_doc_output.rs the tolerances.
//!
//! `SEQFIT_DOCS=update SEQFIT_DATA=… cargo test --release --test program docs::` updates the outputs: review the diff
//! before committing it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::parse_doc_page;
use crate::common::run_doc_page::Reader;
use crate::common::{self, seqfit, succeed};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// Tests a page that trains on MNIST; without the data set or Python the whole page is left out.
fn follow_with_mnist(name: &str) {
    let (Some(mnist), Some(python)) = (common::mnist(), common::run_exports::python()) else {
        return;
    };
    Reader::new(Some(mnist), python).follow(&page(name));
}

/// Tests a page that needs no external data; without Python the whole page is left out.
fn follow(name: &str) {
    let Some(python) = common::run_exports::python() else { return };
    Reader::new(None, python).follow(&page(name));
}

#[test]
fn guide_commands_print_the_documented_output() {
    follow_with_mnist("guide.md");
}

#[test]
fn custom_data_page_is_correct() {
    let Some(python) = common::run_exports::python() else { return };
    let mut reader = Reader::new(None, python);
    common::write_shapes(&reader.home().join("shapes"));
    reader.follow(&page("custom-data.md"));
}

#[test]
fn python_page_is_correct() {
    follow_with_mnist("python.md");
}

#[test]
fn callbacks_page_is_correct() {
    follow("callbacks.md");
}

#[test]
fn library_page_is_correct() {
    follow("library.md");
}

#[test]
fn networks_page_is_correct() {
    Reader::new(None, PathBuf::new()).follow(&page("networks.md"));
}

#[test]
fn tables_page_is_correct() {
    follow("tables.md");
}

#[test]
fn cuda_page_is_correct() {
    follow("cuda.md");
}

#[test]
fn command_line_page_is_correct() {
    Reader::new(None, PathBuf::new()).follow(&page("cli.md"));
}

#[test]
fn command_line_page_has_the_help_of_every_command() {
    let text = fs::read_to_string(page("cli.md")).unwrap();
    let blocks =
        parse_doc_page::blocks(&text).into_iter().filter(|block| block.language == "console");
    let steps: Vec<parse_doc_page::Step> =
        blocks.flat_map(|block| parse_doc_page::steps(&block)).collect();
    let home = tempfile::tempdir().unwrap();
    let (mut commands, mut count) = (vec!["seqfit".to_owned()], 0);
    while let Some(command) = commands.pop() {
        let mut arguments = command.split(' ').skip(1).collect::<Vec<_>>();
        arguments.push("--help");
        let help = succeed(seqfit(home.path()).args(arguments)).stdout;
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let typed = format!("{command} --help");
        let shown = steps.iter().find(|step| step.command.trim() == typed);
        let shown = shown.unwrap_or_else(|| panic!("docs/cli.md lacks $ {typed}"));
        let expected = shown.expected.iter().map(|line| line.trim_end());
        assert!(expected.eq(lines.iter().copied()), "docs/cli.md, $ {typed}:\n{help}");
        count += 1;
        let listed = lines.iter().skip_while(|line| **line != "Commands:").skip(1);
        let listed = listed.take_while(|line| !line.is_empty());
        let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let names = names.filter(|name| !["", "help"].contains(name));
        commands.extend(names.map(|name| format!("{command} {name}")));
    }
    let on_page = steps.iter().filter(|step| step.command.trim().ends_with(" --help")).count();
    assert_eq!(count, on_page, "docs/cli.md has the help of unknown commands");
}

#[test]
fn output_that_differs_from_the_page_is_detected() {
    use crate::common::compare_doc_output::{Closeness, Metrics, agree};
    let lines = |text: &str| text.split('|').map(ToOwned::to_owned).collect::<Vec<_>>();
    let epoch = "epoch  1/10  loss 0.2450  accuracy 0.9274  246839 samples/s  2s left";
    let slower = "epoch  1/10  loss 0.2450  accuracy 0.9274  9 samples/s  1m left";
    let elsewhere = "epoch  1/10  loss 0.2461  accuracy 0.9270  246839 samples/s  2s left";
    let broken = "epoch  1/10  loss 2.3026  accuracy 0.1135  246839 samples/s  2s left";
    // The page's text, the output, and whether they are identical, near, and equal in words.
    let cases = [
        (epoch, epoch, [true, true, true]),
        (epoch, slower, [true, true, true]),
        (epoch, elsewhere, [false, true, true]),
        (epoch, broken, [false, false, true]),
        (epoch, "test: loss 0.2450", [false, false, false]),
        ("", epoch, [false, false, false]),
        (epoch, "", [false, false, false]),
        ("a|…|z", "a|b|c|z", [true, true, true]),
        ("a|…|z", "a|b|c", [false, false, false]),
        ("wrote r/model.onnx", "wrote r/model.pt", [false, false, false]),
        ("mnist: 60000 training images", "mnist: 1437 training images", [false, false, true]),
        ("   2     ·    · 1016    3", "   2     1    ·  998    ·", [false, true, true]),
        ("   2     ·    · 1016    3", "   2     ·  812    4    3", [false, false, true]),
        ("97.94 % of it", "97.10 % of it", [false, true, true]),
        ("97.94 % of it", "9.79 % of it", [false, false, true]),
        ("--learning-rate 1.1e-3, in", "--learning-rate 2.0e-3, in", [false, true, true]),
        ("--learning-rate 1.1e-3, in", "--learning-rate 1.1e-1, in", [false, false, true]),
        ("ended at epoch 53; so", "ended at epoch 40; so", [false, true, true]),
        ("ended at epoch 53; so", "ended at epoch 3; so", [false, false, true]),
        ("1,0.2450,0.9274", "1,0.2461,0.9270", [false, true, true]),
        ("1,0.2450,0.9274", "2,0.2450,0.9274", [false, false, true]),
        ("│ 100,480 │", "│ 100,481 │", [false, false, true]),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/", [true, true, true]),
        (" ██|7", "  ▀|7", [false, true, true]),
        (" ██|7", "  ▀|1", [false, false, true]),
    ];
    for (expected, found, wanted) in cases {
        let (expected, found) = (lines(expected), lines(found));
        let closenesses = [Closeness::Same, Closeness::Near, Closeness::Words];
        let agreed = closenesses.map(|closeness| agree(&expected, &found, closeness));
        assert_eq!(agreed, wanted, "{expected:?} {found:?}");
    }
    // Training and evaluation of a run report the same accuracy.
    let mut metrics = Metrics::default();
    let mut add = |expected: &str, found: &str| {
        metrics.add(&lines(expected), &lines(found), Closeness::Words).is_ok()
    };
    assert!(add("test: loss 0.0831, accuracy 97.94 %", "test: loss 0.3102, accuracy 91.11 %"));
    assert!(add("mnist: loss 0.0831, accuracy 97.94 %", "mnist: loss 0.3102, accuracy 91.11 %"));
    assert!(!add("PyTorch: accuracy 97.94%", "PyTorch: accuracy 91.39%"));
}

/// Checks that each page is linked from the README or the guide, and that each link has a target.
#[test]
fn documentation_links_have_targets() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    let docs = common::listing(&root.join("docs"));
    pages.extend(docs.iter().filter(|name| name.ends_with(".md")).map(|name| page(name)));
    let mut reached = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            assert!(path.exists(), "{}: {target}", page.display());
            if !place.is_empty() && path.extension().is_some_and(|ending| ending == "md") {
                let text = fs::read_to_string(&path).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                let mut places = headings.map(|line| anchor(line.trim_start_matches('#')));
                assert!(places.any(|found| found == place), "{}: {target}", page.display());
            }
            reached.push(path.canonicalize().unwrap());
        }
    }
    for page in &pages[2..] {
        let page = page.canonicalize().unwrap();
        assert!(reached.contains(&page), "no link leads to {}", page.display());
    }
}

/// Returns GitHub's anchor for a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().chars().collect::<Vec<_>>();
    let kept = kept.into_iter().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Executes each block on the same pixels, and compares their outputs.
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
fn readme_python_runs() {
    let Some(python) = common::run_exports::python() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    common::write_stripes(&home.path().join("stripes"), 28, 28, 10);
    let train = ["train", "-q", "--epochs", "3", "--out", "runs/tutorial", "--data-dir", "stripes"];
    succeed(seqfit(home.path()).args(train));
    let formats = "torchscript,pt2,state-dict,safetensors,onnx,keras";
    succeed(seqfit(home.path()).args(["export", "runs/tutorial", "--format", formats]));
    succeed(seqfit(home.path()).args(["export", "runs/tutorial", "--with", "preprocessing"]));

    let texts = [include_str!("../../README.md"), include_str!("../../docs/interop.md")];
    let blocks = texts.map(parse_doc_page::blocks).concat().into_iter();
    let blocks = blocks.filter(|block| block.language == "python");
    let blocks: Vec<String> = blocks.map(|block| block.lines.join("\n")).collect();
    assert_eq!(blocks.len(), 8);
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
    let stdout = String::from_utf8(output.stdout).unwrap();
    let difference: f64 = stdout.lines().last().unwrap().parse().unwrap();
    // Probabilities from four programs.
    assert!(difference <= 2e-6, "{stdout}");
}
