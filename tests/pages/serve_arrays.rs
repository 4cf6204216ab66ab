//! Tests of `seqfit serve` for networks that take arrays, and that predict several labels or numbers: its API, its
//! description of itself, and its page in a browser (tests/browser/check_rows.mjs).

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::common::numpy::{digits_options, npy_of, npz, write_digits};
use crate::common::seqfit_serve::{Answer, Server};
use crate::common::{self, run, seqfit, succeed};
use seqfit::data;
use serde_json::{Value, json};
use tempfile::TempDir;

const JSON: &str = "application/json";

/// Returns a folder with a run on the digits as numbers.
fn trained(kind: &str) -> TempDir {
    static TRAINED: [OnceLock<TempDir>; 3] = [const { OnceLock::new() }; 3];
    let place = ["numbers", "labels", "class"].iter().position(|name| *name == kind).unwrap();
    common::copy_of(&TRAINED[place], |home| {
        write_digits(&home.join("digits.npz"));
        let train = ["train", "-q", "--epochs", "10", "--out", "run"];
        succeed(seqfit(home).args(train).args(digits_options(kind)));
    })
}

/// Trains a network on the pixels of the digits, in the shape \[channels, height, width\].
fn trained_on_two_channels() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let (train, test) = data::load("digits").unwrap();
    let mut arrays = Vec::new();
    for (part, set) in [("train", &train), ("test", &test)] {
        let n = set.len();
        let pixels: Vec<u8> = (0..n).flat_map(|i| set.image(i).repeat(2)).collect();
        let labels: Vec<u8> = (0..n).map(|i| set.label(i)).collect();
        arrays.push((format!("x_{part}"), npy_of("|u1", &[n, 2, 8, 8], &pixels)));
        arrays.push((format!("y_{part}"), npy_of("|u1", &[n], &labels)));
    }
    let arrays: Vec<_> = arrays.iter().map(|(name, bytes)| (&name[..], bytes.clone())).collect();
    npz(&home.path().join("channels.npz"), &arrays);
    let train = ["train", "-q", "--epochs", "3", "--out", "run", "--data", "channels.npz"];
    succeed(seqfit(home.path()).args(train));
    home
}

/// Returns the first test samples as [`write_digits`] writes them.
fn inputs(count: usize) -> Vec<Vec<f32>> {
    let (_, test) = data::load("digits").unwrap();
    let row = |i| test.image(i).iter().map(|&pixel| f32::from(pixel) / 128.0 - 1.0).collect();
    (0..count).map(row).collect()
}

fn ask(server: &Server, body: &Value) -> Answer {
    server.ask("POST", "/predict", JSON, body.to_string().as_bytes())
}

/// Checks that two JSON values are equal up to the precision of f32, with other batches.
fn assert_close(a: &Value, b: &Value) {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            let (x, y) = (x.as_f64().unwrap(), y.as_f64().unwrap());
            assert!((x - y).abs() < 1e-5 * x.abs().max(1.0), "{x} {y}");
        }
        (Value::Object(x), Value::Object(y)) => {
            assert_eq!(x.keys().collect::<Vec<_>>(), y.keys().collect::<Vec<_>>());
            x.iter().for_each(|(key, value)| assert_close(value, &y[key]));
        }
        (Value::Array(x), Value::Array(y)) => {
            assert_eq!(x.len(), y.len());
            x.iter().zip(y).for_each(|(x, y)| assert_close(x, y));
        }
        _ => assert_eq!(a, b),
    }
}

#[test]
fn serve_predicts_like_predict_for_arrays_of_every_kind_of_target() {
    for kind in ["numbers", "labels", "class"] {
        let home = trained(kind);
        let output = succeed(seqfit(home.path()).args(["predict", "run", "digits.npz", "--json"]));
        let expected: Vec<Value> =
            output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let server = Server::start(home.path(), &[]);
        let stderr = fs::read_to_string(home.path().join("serve.err")).unwrap();
        assert!(!stderr.contains("pictures"), "{stderr}");
        let answers = ask(&server, &json!({ "inputs": inputs(256) })).json();
        let answers = answers["predictions"].as_array().unwrap();
        assert_eq!(answers.len(), 256);
        for (answer, expected) in answers.iter().zip(&expected) {
            match kind {
                "numbers" => assert_close(&answer["values"], &expected["values"]),
                "labels" => {
                    assert_eq!(answer["labels"], expected["labels"]);
                    assert_close(&answer["probabilities"], &expected["probabilities"]);
                    assert_eq!(answer["threshold"], json!(0.5));
                }
                _ => {
                    assert_eq!(answer["label"], expected["class"]);
                    let class = answer["class"].as_u64().unwrap() as usize;
                    assert_close(&answer["probabilities"][class], &expected["probability"]);
                }
            }
        }
        // One sample gets one prediction.
        let one = ask(&server, &json!({ "inputs": inputs(1)[0] })).json();
        assert_close(&one, &answers[0]);
        let health = server.ask("GET", "/health", "", b"").json();
        let model = &health["model"];
        assert_eq!((&model["features"], &model["input"]), (&json!("floats"), &json!([64])));
        assert_eq!((model.get("preparation"), &model["dataset"]), (None, &json!("digits")));
        match kind {
            "numbers" => {
                assert_eq!(model["numbers"], json!(["target"]));
                assert!(model["test_metrics"]["r2"].as_f64().unwrap() > 0.5, "{model}");
                assert!(model.get("test_accuracy").is_none());
            }
            "labels" => {
                assert_eq!(model["labels"], json!(["label_0", "label_1", "label_2"]));
                assert_eq!(model["threshold"], json!(0.5));
            }
            _ => assert_eq!(model["classes"].as_array().map(Vec::len), Some(10)),
        }
        let page = String::from_utf8(server.ask("GET", "/", "", b"").body).unwrap();
        assert!(page.contains("<textarea") && !page.contains("<canvas"));
        let metrics = String::from_utf8(server.ask("GET", "/metrics", "", b"").body).unwrap();
        let key = if kind == "class" { "classes" } else { kind };
        assert!(metrics.contains("input=\"64\"") && metrics.contains(&format!("{key}=\"")));
        assert!(metrics.contains("seqfit_batch_samples_count 2"), "{metrics}");
    }
}

#[test]
fn serve_takes_pixels_of_any_shape() {
    let home = trained_on_two_channels();
    let server = Server::start(home.path(), &[]);
    let (_, test) = data::load("digits").unwrap();
    let plane: Vec<&[u8]> = test.image(0).chunks(8).collect();
    let one = ask(&server, &json!({ "pixels": [plane, plane] })).json();
    let list = ask(&server, &json!({ "pixels": [[plane, plane]] })).json();
    assert_eq!(one["probabilities"].as_array().map(Vec::len), Some(10));
    assert_close(&one, &list["predictions"][0]);
    let page = String::from_utf8(server.ask("GET", "/", "", b"").body).unwrap();
    assert!(page.contains("<textarea") && page.contains("\"features\":\"pixels\""));
    let refused = server.ask("POST", "/predict", "image/png", b"\x89PNG");
    assert_eq!((refused.status, refused.rule().as_str()), (415, "content-type"));
}

#[test]
fn serve_predicts_labels_of_pictures() {
    let home = tempfile::tempdir().unwrap();
    let (train, _) = data::load("digits").unwrap();
    let n = 500;
    let pixels: Vec<u8> = (0..n).flat_map(|i| train.image(i).to_vec()).collect();
    let even: Vec<u8> = (0..n)
        .flat_map(|i| [u8::from(train.label(i) % 2 == 0), u8::from(train.label(i) > 4)])
        .collect();
    let x = npy_of("|u1", &[n, 8, 8], &pixels);
    npz(&home.path().join("d.npz"), &[("x_train", x), ("y_train", npy_of("|u1", &[n, 2], &even))]);
    let train = ["train", "-q", "--epochs", "5", "--out", "run", "--data", "d.npz"];
    succeed(seqfit(home.path()).args(train));
    let server = Server::start(home.path(), &[]);
    let picture = image::GrayImage::from_raw(8, 8, pixels[..64].to_vec()).unwrap();
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let answer = server.ask("POST", "/predict?prepared=1", "image/png", png.get_ref()).json();
    assert_eq!(answer["probabilities"].as_object().map(|all| all.len()), Some(2));
    assert_eq!(answer["prepared"][0], json!(pixels[..8]));
    let page = String::from_utf8(server.ask("GET", "/", "", b"").body).unwrap();
    assert!(page.contains("<canvas") && page.contains("\"labels\":[\"label_0\",\"label_1\"]"));
}

#[test]
fn serve_reports_errors_in_arrays() {
    let home = trained("numbers");
    let server = Server::start(home.path(), &[]);
    let row = inputs(1).remove(0);
    let mut text = json!(row);
    text[7] = json!("seven");
    for (body, rule, words) in [
        (json!({ "inputs": &row[1..] }), "inputs", "samples of 64 numbers, found 63"),
        (json!({ "inputs": [row, &row[1..]] }), "json", "found 63 after 64"),
        (json!({ "inputs": text }), "json", "string \"seven\""),
        (json!({ "inputs": vec![&row; 257] }), "batch", "1 to 256 samples, found 257"),
        (json!({ "pixels": row }), "json", "expected `inputs`"),
        (json!({ "inputs": vec![3e38; 64] }), "prediction", "must be finite"),
        (json!([row]), "json", "{\"inputs\": [[0.5, …], …]}"),
    ] {
        let answer = ask(&server, &body);
        assert_eq!((answer.status, answer.rule().as_str()), (400, rule), "{answer:?}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(words), "{message}");
    }
    let second = ask(&server, &json!({ "inputs": [row, vec![3e38; 64]] }));
    assert_eq!(second.json()["error"]["index"], 1);
    let picture = server.ask("POST", "/predict", "image/png", b"\x89PNG");
    assert_eq!((picture.status, picture.rule().as_str()), (415, "content-type"));
    let body = json!({ "inputs": row }).to_string();
    for query in ["prepared=1", "raw=1", "prepare=digit"] {
        let answer = server.ask("POST", &format!("/predict?{query}"), JSON, body.as_bytes());
        assert_eq!((answer.status, answer.rule().as_str()), (400, "query"), "{query}");
    }
    let refused = run(seqfit(home.path()).args(["serve", "run", "--prepare", "digit"]));
    assert_eq!(refused.code, 2, "{refused:#?}");
    let words =
        "--prepare and --raw are for networks that take pictures, and that of run takes numbers";
    assert!(refused.stderr.contains(words), "{refused:#?}");
}

#[test]
fn serve_openapi_describes_networks_of_every_kind() {
    let needed = ["openapi_spec_validator", "prometheus_client"];
    let Some(python) = common::python_with(&needed) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/check_openapi.py");
    for kind in ["numbers", "labels", "class"] {
        let home = trained(kind);
        let server = Server::start(home.path(), &[]);
        let folder = home.path().join("answers");
        fs::create_dir(&folder).unwrap();
        let write = |name: &str, answer: Answer| fs::write(folder.join(name), answer.body).unwrap();
        let (one, list) = (json!({ "inputs": inputs(1)[0] }), json!({ "inputs": inputs(3) }));
        fs::write(folder.join("Request-1.json"), one.to_string()).unwrap();
        fs::write(folder.join("Request-2.json"), list.to_string()).unwrap();
        write("Prediction-1.json", ask(&server, &one));
        write("Predictions-1.json", ask(&server, &list));
        write("Problem-1.json", ask(&server, &json!({})));
        write("Health-1.json", server.ask("GET", "/health", "", b""));
        write("openapi.json", server.ask("GET", "/openapi.json", "", b""));
        write("metrics.txt", server.ask("GET", "/metrics", "", b""));
        let output = succeed(Command::new(&python).arg(&script).arg(&folder));
        let found: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(found["answers"], 6, "{found}");
        let text = fs::read_to_string(folder.join("openapi.json")).unwrap();
        assert!(!text.contains("image") && !text.contains("icture"), "{text}");
    }
}

#[test]
fn serve_page_for_rows_works_in_a_browser() {
    let Some(chromium) = common::browser() else { return };
    let Some(node) = common::program(&["node"]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/check_rows.mjs");
    for kind in ["numbers", "labels", "class"] {
        let home = trained(kind);
        let output = succeed(seqfit(home.path()).args(["predict", "run", "digits.npz", "--json"]));
        let predicted: Vec<&str> = output.stdout.lines().take(300).collect();
        fs::write(home.path().join("expected.json"), format!("[{}]", predicted.join(","))).unwrap();
        fs::write(home.path().join("rows.json"), json!(inputs(300)).to_string()).unwrap();
        let server = Server::start(home.path(), &[]);
        let mut check = Command::new(&node);
        check.current_dir(home.path()).arg(&script).arg(server.url()).arg(&chromium);
        check.args(["rows.json", "expected.json", kind]);
        check.args(std::env::var_os("SEQFIT_SCREENSHOTS"));
        let output = succeed(&mut check);
        let found: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(found["layouts"], 12, "{found}");
        assert_eq!(found["violations"].as_object().map(|pages| pages.len()), Some(4), "{found}");
    }
}
