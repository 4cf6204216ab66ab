//! Tests that damaged and hostile graphs in ONNX files are errors that name the node, in bounded memory.

use seqfit::import::{ImportOptions, Imported};

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn message(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn number(field: u64, number: u64) -> Vec<u8> {
    [varint(field << 3), varint(number)].concat()
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|name| message(1, name)).collect();
    message(1, [inputs, message(2, output), message(4, operator)].concat())
}

/// Returns a tensor of f32.
fn tensor(name: &str, shape: &[u64], values: &[f32]) -> Vec<u8> {
    let dims = shape.iter().flat_map(|&size| number(1, size)).collect();
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let raw = if values.is_empty() { Vec::new() } else { message(9, raw) };
    message(5, [dims, number(2, 1), message(8, name), raw].concat())
}

/// Returns an input or an output of f32 with these sizes after the batch.
fn value(field: u64, name: &str, shape: &[u64]) -> Vec<u8> {
    let dims = shape.iter().flat_map(|&size| message(1, number(1, size)));
    let dims = message(1, message(2, "batch")).into_iter().chain(dims).collect::<Vec<u8>>();
    let kind = message(1, [number(1, 1), message(2, dims)].concat());
    message(field, [message(1, name), message(2, kind)].concat())
}

/// Returns a file whose input is "x" of this shape and whose output is "y".
fn file(shape: &[u64], parts: &[Vec<u8>]) -> Vec<u8> {
    let graph = [parts.concat(), value(11, "x", shape), value(12, "y", &[2])].concat();
    [number(1, 8), message(7, graph), message(8, number(2, 17))].concat()
}

fn import(bytes: Vec<u8>) -> Result<usize, String> {
    let imported = Imported::from_bytes(bytes).map_err(|error| error.to_string())?;
    let network = imported.network(&ImportOptions::default()).map_err(|error| error.to_string())?;
    Ok(network.weights.len())
}

fn chain(operator: &str, count: usize) -> Vec<Vec<u8>> {
    let name = |i: usize| if i == 0 { "x".to_owned() } else { format!("v{i}") };
    let nodes = (0..count).map(|i| node(operator, &[&name(i)], &name(i + 1)));
    nodes.chain([node("Identity", &[&name(count)], "y")]).collect()
}

#[test]
fn hostile_graphs_are_errors_that_name_the_node() {
    let weight = || tensor("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let dense = node("MatMul", &["x", "w"], "y");
    assert_eq!(import(file(&[2], &[dense.clone(), weight()])), Ok(2));
    // x + relu(x), then x + (x + relu(x)), and so on.
    let nested = (0..40).flat_map(|i| {
        let before = if i == 0 { "r".to_owned() } else { format!("n{}", i - 1) };
        node("Add", &["x", &before], &format!("n{i}"))
    });
    let nested: Vec<u8> = node("Relu", &["x"], "r").into_iter().chain(nested).collect();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "a cycle",
            file(
                &[2],
                &[node("Relu", &["b"], "a"), node("Relu", &["a"], "b"), node("Relu", &["b"], "y")],
            ),
            "node Relu, which takes b, and no node before it makes that",
        ),
        ("no tensor", file(&[2], std::slice::from_ref(&dense)), "node MatMul, which takes w"),
        (
            "an unknown operator",
            file(&[2], &[node("Warp", &["x"], "y")]),
            "node Warp, which is no layer",
        ),
        (
            "an operator of another set",
            file(
                &[2],
                &[message(
                    1,
                    [message(1, "x"), message(2, "y"), message(4, "Relu"), message(7, "evil")]
                        .concat(),
                )],
            ),
            "which is an operator of evil",
        ),
        (
            "a value made twice",
            file(&[2], &[node("Relu", &["x"], "x")]),
            "which makes no output of its own",
        ),
        ("no input", file(&[2], &[node("Relu", &[], "y")]), "which lacks input 1"),
        ("an output from nowhere", file(&[2], &[]), "its output y does not depend on its input"),
        (
            "an output that is a constant",
            file(&[2], &[weight(), node("Identity", &["w"], "y")]),
            "does not depend on its input",
        ),
        (
            "a sum with itself",
            file(&[2], &[node("Add", &["x", "x"], "y")]),
            "a network needs a Dense layer",
        ),
        (
            "two values",
            file(&[2], &[node("MatMul", &["x", "x"], "y")]),
            "input 2 is not a constant",
        ),
        ("another size", file(&[3], &[dense.clone(), weight()]), "takes 2 values, found [3]"),
        (
            "sizes without numbers",
            file(&[1 << 31], &[tensor("w", &[1 << 31, 2], &[]), dense.clone()]),
            "whose tensor w has no numbers",
        ),
        (
            "numbers that are not there",
            file(&[1 << 20], &[tensor("w", &[1 << 20, 2], &[]), dense.clone()]),
            "whose tensor w has no numbers",
        ),
        (
            "one slope for a huge input",
            file(&[1 << 30], &[tensor("w", &[1], &[0.5]), node("PRelu", &["x", "w"], "y")]),
            "asks for more than",
        ),
        (
            "nested blocks",
            file(&[2], &[nested, node("Identity", &["n39"], "y")]),
            "nested deeper than 32",
        ),
        ("many steps", file(&[2], &chain("Relu", 5000)), "more than 4096 steps"),
        ("empty nodes", file(&[2], &[b"\x0a\x00".repeat(300_000)]), "asks for more than"),
        (
            "empty attributes",
            file(&[2], &[message(1, b"\x2a\x00".repeat(300_000))]),
            "asks for more than",
        ),
        (
            "a name that is no text",
            file(&[2], &[message(1, message(4, [0xff, 0xfe]))]),
            "a name is not UTF-8",
        ),
        (
            "an axis of no values",
            file(&[0], &[node("Relu", &["x"], "y")]),
            "its graph is not a network",
        ),
        (
            "a scale of 0",
            file(&[2], &[tensor("c", &[2], &[0.0, 1.0]), node("Mul", &["x", "c"], "y")]),
            "scaled by 0",
        ),
        (
            "a divisor of 0",
            file(
                &[2],
                &[
                    tensor("c", &[], &[0.0]),
                    node("Div", &["x", "c"], "v"),
                    node("MatMul", &["v", "w"], "y"),
                    weight(),
                ],
            ),
            "must fit into f32",
        ),
    ];
    for (what, bytes, expected) in cases {
        let error = import(bytes).expect_err(what);
        assert!(error.contains(expected) && error.len() < 400, "{what}: {error}");
    }
}

#[test]
fn truncated_and_changed_graphs_never_crash() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx");
    for name in ["torchscript_13.onnx", "dynamo_residual.onnx", "dynamo_reshape.onnx"] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        let mut errors = 0;
        for i in 0..whole.len() {
            errors += u32::from(import(whole[..i].to_vec()).is_err());
            for bit in [1, 0x40, 0x80] {
                let mut changed = whole.clone();
                changed[i] ^= bit;
                errors += u32::from(import(changed).is_err());
            }
        }
        assert!(errors as usize > whole.len(), "{name}: {errors} of {}", 4 * whole.len());
    }
}
