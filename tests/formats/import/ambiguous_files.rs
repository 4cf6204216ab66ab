//! Tests files whose tensors alone do not determine a chain of Dense layers, one kind per test: they
//! are imported correctly, or refused with the name of the unsupported part.

use std::fs;
use std::io::{Cursor, Write};

use hdf5_pure::{AttrValue, FileBuilder};
use seqfit::import::{ImportOptions, Imported, Network};
use seqfit::{Activation, layers::Layer};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::fixture;
use crate::common::{run, seqfit};

/// Returns a `.npz` of arrays by name and shape, filled with ones.
fn npz(arrays: &[(&str, &[usize])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, shape) in arrays {
        let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}\n");
        let header = header.replace(", )", ",)");
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(b"\x93NUMPY\x01\x00").unwrap();
        writer.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        writer.write_all(header.as_bytes()).unwrap();
        let count = shape.iter().product();
        writer.write_all(&1f32.to_le_bytes().repeat(count)).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Returns a Keras `.h5` file with Dense layers in this order, whose biases are 1, 2, …; with a config if
/// there are activations.
fn h5(names: &[&str], sizes: &[u64], config: Option<&str>, chunks: bool) -> Vec<u8> {
    let mut file = FileBuilder::new();
    let mut groups = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let mut group = file.create_group(name);
        let weights = [format!("{name}/kernel:0"), format!("{name}/bias:0")];
        group.set_attr("weight_names", AttrValue::AsciiStringArray(weights.to_vec()));
        let mut inner = group.create_group(name);
        let (inputs, outputs) = (sizes[i], sizes[i + 1]);
        let value = (i + 1) as f32;
        let kernel = vec![value; (inputs * outputs) as usize];
        let bias = vec![value; outputs as usize];
        inner.create_dataset("kernel:0").with_f32_data(&kernel).with_shape(&[inputs, outputs]);
        inner.create_dataset("bias:0").with_f32_data(&bias).with_shape(&[outputs]);
        group.add_group(inner.finish());
        groups.push(group.finish());
    }
    let list = |names: &[&str]| {
        AttrValue::AsciiStringArray(names.iter().map(|&name| name.to_owned()).collect())
    };
    if let Some(config) = config {
        file.set_attr("model_config", AttrValue::VarLenString(config.to_owned()));
        let mut root = file.create_group("model_weights");
        root.set_attr("layer_names", list(names));
        groups.into_iter().for_each(|group| root.add_group(group));
        file.add_group(root.finish());
    } else {
        let (first, rest) = names.split_at(names.len() / 2);
        if chunks {
            file.set_attr("layer_names0", list(first));
            file.set_attr("layer_names1", list(rest));
        } else {
            file.set_attr("layer_names", list(names));
        }
        groups.into_iter().for_each(|group| file.add_group(group));
    }
    file.finish().unwrap()
}

/// Returns a config of Dense layers as written by `model.save`.
fn config(names: &[&str], sizes: &[u64], activations: &[&str]) -> String {
    let layer = |(i, name): (usize, &&str)| {
        format!(
            r#"{{"class_name": "Dense", "config": {{"name": "{name}", "units": {},
                "activation": "{}", "use_bias": true}}}}"#,
            sizes[i + 1],
            activations[i]
        )
    };
    let layers: Vec<_> = names.iter().enumerate().map(layer).collect();
    format!(
        r#"{{"class_name": "Sequential", "config": {{"name": "s", "layers": [
            {{"class_name": "InputLayer", "config": {{"batch_shape": [null, {}], "name": "i"}}}},
            {}]}}}}"#,
        sizes[0],
        layers.join(", ")
    )
}

fn network(bytes: Vec<u8>, wanted: &ImportOptions) -> Result<Network, String> {
    let imported = Imported::from_bytes(bytes).map_err(|error| error.to_string())?;
    imported.network(wanted).map_err(|error| error.to_string())
}

fn refusal(bytes: Vec<u8>) -> String {
    network(bytes, &ImportOptions::default()).unwrap_err()
}

/// Returns the first bias of each Dense layer.
fn biases(network: &Network) -> Vec<f32> {
    let mut found: Vec<_> =
        network.weights.iter().filter(|(name, _)| name.ends_with("bias")).collect();
    found.sort_by_key(|(name, _)| name.split_once('.').unwrap().0.parse::<usize>().unwrap());
    found.iter().map(|(_, tensor)| tensor.values[0]).collect()
}

fn activations(network: &Network) -> Vec<Activation> {
    let dense = network.spec.layers.iter().filter_map(|layer| match layer {
        Layer::Dense(dense) => Some(dense.activation),
        _ => None,
    });
    dense.collect()
}

#[test]
fn scale_of_a_norm_layer_is_not_imported_as_a_bias() {
    let home = tempfile::tempdir().unwrap();
    let arrays: [(&str, &[usize]); 4] =
        [("1.weight", &[16, 64]), ("2.weight", &[16]), ("4.weight", &[4, 16]), ("4.bias", &[4])];
    fs::write(home.path().join("norm.npz"), npz(&arrays)).unwrap();
    for more in [&[][..], &["--activation", "relu"]] {
        let import = ["import", "norm.npz", "--out", "r"];
        let output = run(seqfit(home.path()).args(import).args(more));
        assert_eq!(output.code, 1, "{output:#?}");
        assert!(output.stderr.contains("2.weight F32 [16]: a norm layer's scale"), "{output:#?}");
        assert!(!home.path().join("r").exists());
    }
}

#[test]
fn layers_of_a_legacy_h5_are_ordered_by_layer_names() {
    let (names, sizes) =
        (["hidden_one", "hidden_two", "hidden_three", "output"], [64, 16, 16, 16, 4]);
    for chunks in [false, true] {
        let found = network(h5(&names, &sizes, None, chunks), &ImportOptions::default()).unwrap();
        assert_eq!(biases(&found), [1.0, 2.0, 3.0, 4.0]);
        assert!(found.guessed);
    }
}

#[test]
fn model_config_of_an_h5_is_respected() {
    let (names, sizes) = (["zeta", "alpha"], [64, 16, 4]);
    let file = |activations: &[&str]| {
        h5(&names, &sizes, Some(&config(&names, &sizes, activations)), false)
    };
    let found = network(file(&["tanh", "linear"]), &ImportOptions::default()).unwrap();
    assert_eq!(activations(&found), [Activation::Tanh, Activation::Linear]);
    assert_eq!((biases(&found), found.guessed), (vec![1.0, 2.0], false));
    assert_eq!(found.spec.input_shape, [64]);
    // An unknown layer is named, with or without a given activation; a nested network is not an activation.
    let strange = file(&["softsign", "linear"]);
    let wanted = ImportOptions { activation: Some(Activation::Relu), ..ImportOptions::default() };
    let error = network(strange.clone(), &wanted).unwrap_err();
    assert!(error.contains("activation \"softsign\" (\"zeta\")"), "{error}");
    let wanted = ImportOptions { network: Some(found.spec.clone()), ..ImportOptions::default() };
    assert_eq!(network(strange, &wanted).unwrap().spec, found.spec);
}

#[test]
fn layers_that_the_config_has_and_the_weights_lack_are_named() {
    let (names, sizes) = (["a", "b"], [8, 8, 4]);
    let text = config(&["a", "c"], &sizes, &["relu", "linear"]);
    let file = h5(&names, &sizes, Some(&text), false);
    let error = refusal(file.clone());
    assert!(error.contains("the kernel of Dense layer \"c\""), "{error}");
    // The tensors of the file can still be listed.
    let imported = Imported::from_bytes(file).unwrap();
    assert_eq!((imported.tensors.len(), imported.missing_tensors.len()), (4, 1));
    assert!(error.ends_with(&imported.missing_tensors[0]), "{error}");
}

#[test]
fn neighbors_in_a_sequential_have_no_activation_between_them() {
    let arrays: [(&str, &[usize]); 3] =
        [("0.weight", &[6, 9]), ("2.weight", &[6, 6]), ("3.weight", &[4, 6])];
    let error = refusal(npz(&arrays));
    assert!(error.contains("\"2\" and \"3\"") && error.contains("--network"), "{error}");
    let list: [(&str, &[usize]); 4] = [
        ("layers.0.weight", &[6, 9]),
        ("layers.0.bias", &[6]),
        ("layers.1.weight", &[4, 6]),
        ("layers.1.bias", &[4]),
    ];
    assert!(refusal(npz(&list)).contains("--activation"));
    let wanted = ImportOptions { activation: Some(Activation::Relu), ..ImportOptions::default() };
    assert!(network(npz(&list), &wanted).is_ok());
}

#[test]
fn table_of_an_embedding_is_not_imported_as_a_layer() {
    // Sequential(Embedding(64, 16), Flatten(), Linear(64, 10, bias=False)) has tensors of these shapes.
    let table: [(&str, &[usize]); 2] = [("0.weight", &[64, 16]), ("2.weight", &[10, 64])];
    let error = refusal(npz(&table));
    assert!(error.contains("0.weight F32 [64, 16]") && error.contains("--network"), "{error}");
    let (names, sizes) = (["0", "2"], [16, 64, 10]);
    let described = h5(&names, &sizes, Some(&config(&names, &sizes, &["relu", "linear"])), false);
    let spec = network(described, &ImportOptions::default()).unwrap().spec;
    let wanted = ImportOptions { network: Some(spec.clone()), ..ImportOptions::default() };
    assert_eq!(network(npz(&table), &wanted).unwrap().spec, spec);
}

#[test]
fn only_a_truncated_file_is_reported_as_incomplete() {
    let whole = |name: &str| fs::read(fixture(name)).unwrap();
    for name in ["state_dict.pt", "plain.safetensors", "named.npz", "legacy.h5", "network.keras"] {
        let mut bytes = whole(name);
        bytes.truncate(bytes.len() - 40);
        let error = Imported::from_bytes(bytes).unwrap_err().to_string();
        assert!(
            error.contains("is not a whole") && error.contains("fetch it again"),
            "{name}: {error}"
        );
    }
    let packed = {
        // Two fields state a record's compression method: 12 is bzip2.
        let mut bytes = npz(&[("0.weight", &[2, 2])]);
        let central = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
        (bytes[8], bytes[central + 10]) = (12, 12);
        bytes
    };
    let chunked = {
        let mut file = FileBuilder::new();
        let data = file.create_dataset("kernel");
        data.with_f32_data(&[1.0; 64]).with_shape(&[8, 8]).with_chunks(&[4, 4]);
        file.finish().unwrap()
    };
    let mut trailing = whole("plain.safetensors");
    trailing.extend([0; 8]);
    for (what, bytes, message) in [
        ("an old torch.save", whole("legacy.pt"), "bare pickle"),
        ("a packed record", packed, "packed by"),
        ("a gzip", b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), "packed by gzip"),
        ("chunks", chunked, "lies in chunks"),
        ("bytes after the end", trailing, "damaged"),
        ("a web page", b"<!DOCTYPE html>".to_vec(), "not a file of weights"),
    ] {
        let error = Imported::from_bytes(bytes).unwrap_err().to_string();
        assert!(error.contains(message) && !error.contains("not a whole"), "{what}: {error}");
    }
}
