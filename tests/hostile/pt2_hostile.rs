//! Tests that a damaged or hostile `.pt2` file is an error: each of more than a hundred variants of a whole one.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use seqfit::import::{ImportOptions, Imported};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

type Records = Vec<(String, Vec<u8>)>;

const WEIGHTS: &str = "program/data/weights/model_weights_config.json";
const MODEL: &str = "program/models/model.json";
const VALUES: &str = "program/data/weights/weight_0";

/// Returns the records of the file that `tests/fixtures/make_import.py` writes.
fn whole() -> (Vec<u8>, Records) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import/program.pt2");
    let bytes = fs::read(path).unwrap();
    let mut zip = ZipArchive::new(Cursor::new(bytes.as_slice())).unwrap();
    let records = (0..zip.len()).map(|i| {
        let mut record = zip.by_index(i).unwrap();
        let mut content = Vec::new();
        record.read_to_end(&mut content).unwrap();
        (record.name().unwrap().into_owned(), content)
    });
    let records = records.collect();
    (bytes, records)
}

fn archive(records: &Records, compression: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(compression);
    for (name, content) in records {
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn import(bytes: Vec<u8>) -> Result<(), String> {
    let imported = Imported::from_bytes(bytes).map_err(|error| error.to_string())?;
    let network = imported.network(&ImportOptions::default()).map_err(|error| error.to_string())?;
    assert!(!network.weights.is_empty());
    Ok(())
}

/// Replacements of a text in a record, the first or all, each with a part of the error.
#[rustfmt::skip]
const TEXTS: &[(&str, &str, &str, &str)] = &[
    // Where and what the values are.
    (WEIGHTS, "\"weight_0\"", "\"weight_9\"", "missing"),
    (WEIGHTS, "\"weight_0\"", "\"\"", "missing"),
    (WEIGHTS, "\"weight_0\"", "\"../../../etc/passwd\"", "missing"),
    (WEIGHTS, "\"weight_0\"", "\"/etc/passwd\"", "missing"),
    (WEIGHTS, "\"weight_0\"", "\"weight_1\"", "does not lie in"),
    (WEIGHTS, "\"weight_0\"", "\"model_weights_config.json\\u0000\"", "missing"),
    (WEIGHTS, "\"weight_0\"", "0", "invalid type"),
    (WEIGHTS, "\"use_pickle\": false", "\"use_pickle\": true", "which is pickled"),
    (WEIGHTS, "\"use_pickle\": false", "\"use_pickle\": 0", "invalid type"),
    (WEIGHTS, "\"use_pickle\": false, ", "", "missing field"),
    (WEIGHTS, "\"dtype\": 7", "\"dtype\": 8", "does not lie in"),
    (WEIGHTS, "\"dtype\": 7", "\"dtype\": 1", "must be of"),
    (WEIGHTS, "\"dtype\": 7", "\"dtype\": 5", "must be of"),
    (WEIGHTS, "\"dtype\": 7", "\"dtype\": 11", "must be of"),
    (WEIGHTS, "\"dtype\": 7", "\"dtype\": 4000000000", "must be of"),
    (WEIGHTS, "\"dtype\": 7", "\"dtype\": -1", "invalid"),
    (WEIGHTS, "\"dtype\": 7", "\"dtype\": 1e99", "invalid"),
    (WEIGHTS, "\"dtype\": 7", "\"dtype\": \"FLOAT\"", "invalid type"),
    (WEIGHTS, "\"dtype\": 7, ", "", "missing field"),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 17}]", "does not lie in"),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": [{\"as_int\": 6}, {\"as_int\": 16}]", "does not lie in"),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": [{\"as_int\": 5}]", "as many"),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": []", "as many"),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": [{\"as_int\": 0}, {\"as_int\": 16}]", ""),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": [{\"as_int\": 9223372036854775807}, {\"as_int\": 9223372036854775807}]", "does not lie in"),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": [{\"as_int\": 18446744073709551615}, {\"as_int\": 16}]", "invalid"),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": [{\"as_int\": -5}, {\"as_int\": 16}]", "lacks its sizes"),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": [{\"as_expr\": {\"expr_str\": \"__import__('os')\"}}, {\"as_int\": 16}]", "lacks its sizes"),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": [5, 16]", "invalid type"),
    (WEIGHTS, "\"sizes\": [{\"as_int\": 5}, {\"as_int\": 16}]", "\"sizes\": null", "invalid type"),
    (WEIGHTS, "\"strides\": [{\"as_int\": 16}, {\"as_int\": 1}]", "\"strides\": [{\"as_int\": 1000000000000}, {\"as_int\": 1}]", "does not lie in"),
    (WEIGHTS, "\"strides\": [{\"as_int\": 16}, {\"as_int\": 1}]", "\"strides\": [{\"as_int\": 9223372036854775807}, {\"as_int\": 1}]", "does not lie in"),
    (WEIGHTS, "\"strides\": [{\"as_int\": 16}, {\"as_int\": 1}]", "\"strides\": [{\"as_int\": -16}, {\"as_int\": 1}]", "lacks its sizes"),
    (WEIGHTS, "\"strides\": [{\"as_int\": 16}, {\"as_int\": 1}]", "\"strides\": [{\"as_int\": 1}]", "as many"),
    (WEIGHTS, "\"storage_offset\": {\"as_int\": 0}", "\"storage_offset\": {\"as_int\": 1}", "does not lie in"),
    (WEIGHTS, "\"storage_offset\": {\"as_int\": 0}", "\"storage_offset\": {\"as_int\": -1}", "lacks its sizes"),
    (WEIGHTS, "\"storage_offset\": {\"as_int\": 0}", "\"storage_offset\": {\"as_int\": 9223372036854775807}", "does not lie in"),
    (WEIGHTS, "\"storage_offset\": {\"as_int\": 0}", "\"storage_offset\": {}", "lacks its sizes"),
    (WEIGHTS, "\"tensor_meta\"", "\"meta\"", "lacks its sizes"),
    (WEIGHTS, "\"1.bias\"", "\"1.weight\"", "two tensors of one name"),
    (WEIGHTS, "\"1.weight\"", "\"7.weight\"", "is missing"),
    (WEIGHTS, "\"config\"", "\"other\"", "missing field"),
    (WEIGHTS, "{\"config\": {", "{\"config\": [{", "expected"),
    (WEIGHTS, "}}}}", "}}}", "EOF"),
    // The graph's computation.
    (MODEL, "aten.linear.default", "aten.bilinear.default", "bilinear.default"),
    (MODEL, "torch.ops.aten.linear.default", "os.system", "os.system"),
    (MODEL, "torch.ops.aten.relu.default", "builtins.eval", "builtins.eval"),
    (MODEL, "aten.relu.default", "aten.softsign.default", "softsign.default"),
    (MODEL, "aten.relu.default", "aten.sin.default", "sin.default"),
    (MODEL, "aten.relu.default", "aten.softmax.int", "softmax"),
    (MODEL, "aten.relu.default", "aten.leaky_relu.default", "leaky_relu"),
    (MODEL, "aten.relu.default", "aten.batch_norm.default", "batch_norm"),
    (MODEL, "aten.relu.default", "aten.prelu.default", "prelu"),
    (MODEL, "aten.flatten.using_ints", "aten.view.default", "view.default"),
    (MODEL, "aten.flatten.using_ints", "aten.squeeze.dim", "squeeze.dim"),
    (MODEL, "{\"name\": \"start_dim\", \"arg\": {\"as_int\": 1}", "{\"name\": \"start_dim\", \"arg\": {\"as_int\": 0}", "flatten"),
    (MODEL, "{\"name\": \"start_dim\", \"arg\": {\"as_int\": 1}", "{\"name\": \"start_dim\", \"arg\": {\"as_none\": true}", "flatten"),
    (MODEL, "\"parameter_name\": \"1.weight\"", "\"parameter_name\": \"9.weight\"", "is missing"),
    (MODEL, "\"parameter_name\": \"1.weight\"", "\"parameter_name\": \"1.bias\"", ""),
    (MODEL, "\"parameter_name\": \"1.weight\"", "\"parameter_name\": 1", "invalid type"),
    (MODEL, "\"weight\", \"arg\": {\"as_tensor\": {\"name\": \"p_1_weight\"}}", "\"weight\", \"arg\": {\"as_tensor\": {\"name\": \"input\"}}", "linear.default"),
    (MODEL, "\"weight\", \"arg\": {\"as_tensor\": {\"name\": \"p_1_weight\"}}", "\"weight\", \"arg\": {\"as_float\": 1.0}", "linear.default"),
    (MODEL, "\"weight\", \"arg\": {\"as_tensor\": {\"name\": \"p_1_weight\"}}", "\"weight\", \"arg\": {\"as_graph\": {}}", "linear.default"),
    (MODEL, "\"self\", \"arg\": {\"as_tensor\": {\"name\": \"linear\"}}", "\"self\", \"arg\": {\"as_tensor\": {\"name\": \"flatten\"}}", "relu.default"),
    (MODEL, "\"self\", \"arg\": {\"as_tensor\": {\"name\": \"linear\"}}", "\"self\", \"arg\": {\"as_tensor\": {\"name\": \"relu\"}}", "relu.default"),
    (MODEL, "\"self\", \"arg\": {\"as_tensor\": {\"name\": \"linear\"}}", "\"self\", \"arg\": {\"as_tensor\": {\"name\": \"p_1_bias\"}}", "relu.default"),
    (MODEL, "\"outputs\": [{\"as_tensor\": {\"name\": \"relu\"}}]", "\"outputs\": []", "0 outputs"),
    (MODEL, "\"outputs\": [{\"as_tensor\": {\"name\": \"relu\"}}]", "\"outputs\": [{\"as_tensors\": []}]", "outputs"),
    (MODEL, "{\"user_output\": {\"arg\": {\"as_tensor\": {\"name\": \"linear_1\"}}}}", "{\"user_output\": {\"arg\": {\"as_tensor\": {\"name\": \"relu\"}}}}", "last layer"),
    (MODEL, "{\"user_output\": {\"arg\": {\"as_tensor\": {\"name\": \"linear_1\"}}}}", "{\"user_output\": {\"arg\": {\"as_tensor\": {\"name\": \"nothing\"}}}}", "last layer"),
    (MODEL, "{\"user_output\": {\"arg\": {\"as_tensor\": {\"name\": \"linear_1\"}}}}", "{\"loss_output\": {}}", "last layer"),
    (MODEL, "{\"user_input\": {\"arg\": {\"as_tensor\": {\"name\": \"input\"}}}}", "{\"token\": {}}", "0 inputs"),
    (MODEL, "{\"user_input\": {\"arg\": {\"as_tensor\": {\"name\": \"input\"}}}}", "{\"user_input\": {\"arg\": {\"as_tensor\": {\"name\": \"relu2\"}}}}", "of no known shape"),
    (MODEL, "{\"user_input\": {\"arg\": {\"as_tensor\": {\"name\": \"input\"}}}}", "{\"user_input\": {\"arg\": {\"as_tensor\": {\"name\": \"input\"}}}}, {\"user_input\": {\"arg\": {\"as_tensor\": {\"name\": \"p_1_bias\"}}}}", "2 inputs"),
    (MODEL, "\"nodes\": [", "\"nodes\": [], \"others\": [", "last layer"),
    (MODEL, "\"nodes\": [", "\"nodes\": [[[[[[", "invalid type"),
    (MODEL, "\"tensor_values\"", "\"values\"", "missing field"),
    (MODEL, "\"graph_module\"", "\"graph\"", "missing field"),
    (MODEL, "\"signature\": {\"input_specs\"", "\"signature\": {\"specs\"", "missing field"),
    (MODEL, "{\"graph_module\"", "[\"graph_module\"", "invalid type"),
    ("program/byteorder", "little", "middle", "byte order"),
    ("program/archive_format", "pt2", "pt3", "another kind"),
];

#[test]
fn damaged_and_hostile_programs_are_errors() {
    let (bytes, records) = whole();
    import(bytes.clone()).unwrap();
    import(archive(&records, CompressionMethod::Stored)).unwrap();
    let mut cases: Vec<(String, Vec<u8>, &str)> = Vec::new();
    let with = |name: &str, content: &[u8]| {
        let mut records = records.clone();
        records.iter_mut().find(|(own, _)| own == name).unwrap().1 = content.to_vec();
        records
    };
    let stored = |records: &Records| archive(records, CompressionMethod::Stored);

    for (name, from, to, message) in TEXTS {
        let text = &records.iter().find(|(own, _)| own == name).unwrap().1;
        let text = String::from_utf8(text.clone()).unwrap();
        assert!(text.contains(from), "{name} does not have {from}");
        let changed = text.replacen(from, to, 1);
        cases.push((format!("{to} in {name}"), stored(&with(name, changed.as_bytes())), message));
    }
    // Files that end too early, at every twentieth part.
    for part in 0..20 {
        let end = bytes.len() * part / 20;
        cases.push((format!("{end} bytes"), bytes[..end].to_vec(), ""));
    }
    // A flipped bit in the content of each record that is read.
    for name in [VALUES, WEIGHTS, MODEL, "program/byteorder", "program/archive_format"] {
        let content = &records.iter().find(|(own, _)| own == name).unwrap().1;
        let place = bytes.windows(content.len()).rposition(|window| window == content).unwrap();
        for bit in [0, 8 * content.len() / 2, 8 * content.len() - 1] {
            let mut bytes = bytes.clone();
            bytes[place + bit / 8] ^= 1 << (bit % 8);
            cases.push((format!("bit {bit} of {name}"), bytes, "checksum"));
        }
    }
    // Missing parts, and parts that are too short.
    let missing = [VALUES, WEIGHTS, MODEL, "program/archive_format"];
    for name in missing {
        let mut records = records.clone();
        records.retain(|(own, _)| own != name);
        cases.push((format!("no {name}"), stored(&records), ""));
        cases.push((format!("an empty {name}"), stored(&with(name, b"")), ""));
    }
    let values = &records.iter().find(|(own, _)| own == VALUES).unwrap().1;
    cases.push(("short".to_owned(), stored(&with(VALUES, &values[4..])), "does not lie in"));
    let nan = [&f32::NAN.to_le_bytes(), &values[4..]].concat();
    cases.push(("NaN".to_owned(), stored(&with(VALUES, &nan)), "found NaN at position 0"));
    // More memory than the file has a right to.
    let zeros = vec![0; 32 << 20];
    for name in [VALUES, MODEL, WEIGHTS, "program/byteorder"] {
        let bomb = archive(&with(name, &zeros), CompressionMethod::Deflated);
        cases.push((format!("a bomb in {name}"), bomb, "asks for more than"));
    }
    for (what, text) in [("deep lists", "["), ("deep objects", "{\"a\":")] {
        let deep = text.repeat(1 << 18);
        cases.push((what.to_owned(), stored(&with(MODEL, deep.as_bytes())), "record"));
        cases.push((what.to_owned(), stored(&with(WEIGHTS, deep.as_bytes())), "record"));
    }
    // Two programs, and one without a graph.
    let mut two = records.clone();
    two.push(("program/models/other.json".to_owned(), b"{}".to_vec()));
    cases.push(("two models".to_owned(), stored(&two), "2 programs"));
    let mut twice = stored(&two);
    let (from, to) = (b"program/models/other.json", b"program/models/model.json");
    while let Some(at) = twice.windows(from.len()).position(|window| window == from) {
        twice[at..at + to.len()].copy_from_slice(to);
    }
    cases.push(("two records of one name".to_owned(), twice, "duplicate"));

    assert!(cases.len() >= 100, "{}", cases.len());
    let mut wrong = Vec::new();
    for (what, bytes, message) in cases {
        match import(bytes) {
            Err(error) if error.to_lowercase().contains(message) || error.contains(message) => {
                assert!(error.len() < 2000, "{what}: {error}");
            }
            other => wrong.push(format!("{what}: {message:?} in {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
