//! Tests of what `torch.save` writes beside plain tensors, one kind per test.

use std::io::{Cursor, Write};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::import::{ImportOptions, Imported};

type Bytes = Vec<u8>;

fn text(text: &str) -> Bytes {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn tuple(items: &[Bytes]) -> Bytes {
    [&b"("[..], &items.concat(), b"t"].concat()
}

fn list(items: &[Bytes]) -> Bytes {
    [&b"]("[..], &items.concat(), b"e"].concat()
}

fn dict(pairs: &[(&str, Bytes)]) -> Bytes {
    let pairs: Bytes =
        pairs.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [&b"}("[..], &pairs, b"u"].concat()
}

fn numbers(numbers: &[u8]) -> Bytes {
    tuple(&numbers.iter().map(|&number| vec![b'K', number]).collect::<Vec<_>>())
}

/// Returns the pickle of a tensor in the storage "0", the numbers from 0 to 199, with its further arguments.
fn rebuilt(class: &str, shape: &[u8], further: &[Bytes]) -> Bytes {
    let class = format!("ctorch\n{class}Storage\n").into_bytes();
    let storage = tuple(&[text("storage"), class, text("0"), text("cpu"), vec![b'K', 200]]);
    let strides: Vec<u8> = (1..=shape.len()).map(|i| shape[i..].iter().product()).collect();
    let hooks = b"ccollections\nOrderedDict\n)R".to_vec();
    let view =
        [[storage, b"Q".to_vec()].concat(), b"K\x00".to_vec(), numbers(shape), numbers(&strides)];
    let arguments = [&view[..], &[b"\x89".to_vec(), hooks], further].concat();
    [b"ctorch._utils\n_rebuild_tensor_v2\n", &tuple(&arguments)[..], b"R"].concat()
}

fn tensor(shape: &[u8]) -> Bytes {
    rebuilt("Float", shape, &[])
}

/// Returns the state_dict of a Dense layer of these sizes.
fn linear(outputs: u8, inputs: u8) -> Bytes {
    dict(&layer(outputs, inputs))
}

fn layer(outputs: u8, inputs: u8) -> [(&'static str, Bytes); 2] {
    [("0.weight", tensor(&[outputs, inputs])), ("0.bias", tensor(&[outputs]))]
}

fn file(pickle: &[u8]) -> Bytes {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let storage: Bytes = (0..200u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    for (name, content) in
        [("a/data.pkl", [b"\x80\x02", pickle, b"."].concat()), ("a/data/0", storage)]
    {
        writer.start_file(name, options).unwrap();
        writer.write_all(&content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Returns the first numbers of the network's first matrix, or the reason for refusing it.
fn import(pickle: &[u8]) -> Result<Vec<f32>, String> {
    let imported = Imported::from_bytes(file(pickle)).map_err(|error| error.to_string())?;
    let network = imported.network(&ImportOptions::default()).map_err(|error| error.to_string())?;
    let matrix = network.weights.iter().find(|(name, _)| name.ends_with("weight"));
    Ok(matrix.unwrap().1.values[..4].to_vec())
}

const PLAIN: [f32; 4] = [0.0, 1.0, 2.0, 3.0];

#[test]
fn numbers_with_the_negative_bit_are_negated() {
    let with = |metadata: Bytes| {
        import(&dict(&[
            ("0.weight", rebuilt("Float", &[2, 4], &[metadata])),
            ("0.bias", tensor(&[2])),
        ]))
    };
    let negative = Ok(PLAIN.map(|number| -number).to_vec());
    let neg = dict(&[("neg", b"\x88".to_vec())]);
    assert_eq!(with(neg.clone()), negative);
    // TorchScript writes the dictionary with its type.
    let typed = tuple(&[neg, text("Dict[str, bool]")]);
    assert_eq!(
        with([b"ctorch.jit._pickle\nrestore_type_tag\n", &typed[..], b"R"].concat()),
        negative
    );
    for plain in [dict(&[]), b"N".to_vec(), dict(&[("neg", b"\x89".to_vec())])] {
        assert_eq!(with(plain), Ok(PLAIN.to_vec()));
    }
}

#[test]
fn other_metadata_is_refused_by_name() {
    let with = |class: &str, key: &str| {
        let metadata = dict(&[(key, b"\x88".to_vec())]);
        import(&dict(&[("0.weight", rebuilt(class, &[2, 4], &[metadata]))])).unwrap_err()
    };
    for key in ["conj", "odd"] {
        let error = with("Float", key);
        assert!(error.contains(&format!("the metadata {key:?}: save")), "{error}");
    }
    // Complex numbers are no weights, conjugated or not.
    let error = with("ComplexFloat", "conj");
    assert!(error.contains("must be of F32") && error.contains("0.weight"), "{error}");
}

#[test]
fn tensors_in_dictionaries_and_lists_beside_others_are_refused() {
    for (key, extra, name) in [
        ("norm", dict(&[("weight", tensor(&[2]))]), "norm[weight] F32 [2]"),
        ("scales", list(&[tensor(&[2])]), "scales[0] F32 [2]"),
        ("fc", dict(&[("a", list(&[linear(2, 2)]))]), "fc[a][0][0.weight] F32 [2, 2]"),
        // Even under a usual key.
        ("module", dict(&[("weight", tensor(&[2]))]), "module[weight] F32 [2]"),
    ] {
        let all = [&layer(2, 4)[..], &[(key, extra)]].concat();
        for pickle in [dict(&all), dict(&[("model", dict(&all))])] {
            let error = import(&pickle).unwrap_err();
            assert!(error.contains(&format!("belong to others:\n  {name}")), "{error}");
            assert!(error.contains("describe it with --network FILE"), "{error}");
        }
    }
    // What training keeps is not of the network.
    let all = [&layer(2, 4)[..], &[("optimizer", dict(&[("0", tensor(&[2]))]))]].concat();
    assert_eq!(import(&dict(&all)), Ok(PLAIN.to_vec()));
}

#[test]
fn several_networks_in_a_checkpoint_are_an_error() {
    for (first, second) in [("model", "head"), ("model", "net"), ("generator", "critic")] {
        let error = import(&dict(&[(first, linear(2, 4)), (second, linear(4, 2))])).unwrap_err();
        assert!(error.contains(&format!("holds several under [{first:?}, {second:?}]")), "{error}");
    }
}

#[test]
fn what_training_keeps_beside_the_network_is_left_out() {
    let moments = || dict(&[("state", dict(&[("0", linear(2, 4))])), ("param_groups", list(&[]))]);
    for (key, value) in [
        ("optimizer", moments()),
        ("adam", moments()),
        ("model_ema", linear(4, 2)),
        ("lr_schedulers", dict(&[("last", tensor(&[3]))])),
        ("history", dict(&[("loss", tensor(&[3]))])),
        ("best", dict(&[("accuracy", tensor(&[]))])),
        ("mask", tensor(&[3])),
        ("epoch", b"K\x03".to_vec()),
    ] {
        let checkpoint = dict(&[(key, value), ("model", linear(2, 4))]);
        assert_eq!(import(&checkpoint), Ok(PLAIN.to_vec()), "{key}");
    }
    // An averaged network alone is the network.
    assert_eq!(import(&dict(&[("model_ema", linear(2, 4))])), Ok(PLAIN.to_vec()));
    let error = import(&dict(&[("optimizer", b"N".to_vec())])).unwrap_err();
    assert!(error.contains("no tensors under [\"optimizer\"]"), "{error}");
}

#[test]
fn only_dictionary_of_tensors_is_the_network_beside_single_numbers() {
    let checkpoint = |key, extra| dict(&[(key, linear(2, 4)), ("loss", tensor(&[])), extra]);
    assert_eq!(import(&checkpoint("mine", ("epoch", b"K\x03".to_vec()))), Ok(PLAIN.to_vec()));
    let nested = dict(&[("checkpoint", checkpoint("model", ("epoch", b"K\x03".to_vec())))]);
    assert_eq!(import(&nested), Ok(PLAIN.to_vec()));
    // A vector beside it may be a part of the network.
    let error = import(&checkpoint("mine", ("slopes", tensor(&[2])))).unwrap_err();
    assert!(error.contains("slopes F32 [2]") && error.contains("mine[0.weight]"), "{error}");
}

#[test]
fn dictionaries_that_contain_themselves_end() {
    // d = {"model": d, "x": a tensor}
    let own = [&b"}q\x00("[..], &text("model"), b"h\x00", &text("x"), &tensor(&[2]), b"u"].concat();
    assert!(import(&own).unwrap_err().contains("nested too deep"));
    let deep = [&b"]".repeat(40)[..], &tensor(&[2]), &b"a".repeat(40)].concat();
    let all = [&layer(2, 4)[..], &[("deep", deep)]].concat();
    assert!(import(&dict(&all)).unwrap_err().contains("nested too deep"));
}
