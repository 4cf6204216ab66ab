//! A PyTorch `state_dict` as written by `torch.save(model.state_dict(), path)`, which `torch.load` reads with
//! its default `weights_only=True`.
//!
//! The file is a zip of stored records: `data.pkl` describes the tensors, `data/0`, `data/1`, … contain
//! their values (`torch/serialization.py`, `caffe2/serialize/inline_container.h`). The card is an additional
//! record, in the folder where TorchScript stores its extra files; `torch.load` ignores it.

mod pickle;

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::convert_weights::Weight;
use super::network_modules::modules;
use super::{CARD, Card, ExportError, Format, Options, python_snippet};
use crate::model::Sequential;
use crate::native::{LibtorchError, reserved};

/// The folder of all records; `torch.load` accepts any name.
const FOLDER: &str = "archive";
/// The alignment of the values in bytes, as in `torch.save`, so that they can be memory-mapped.
const ALIGNMENT: u16 = 64;
/// The version of the container that `torch.save` writes.
const VERSION: &[u8] = b"3\n";

pub(super) fn encode(
    model: &Sequential,
    card: &Card,
    options: Options,
) -> Result<Vec<u8>, ExportError> {
    modules(model.spec(), Format::StateDict)?;
    let weights = Weight::all(model, options)?;
    let (pickle, card) = (pickle::state_dict(&weights), card.to_json()?);
    let bytes: usize = weights.iter().map(|weight| weight.bytes.len() + 512).sum();
    let room = 4096 + bytes + pickle.len() + card.len();
    let mut zip = ZipWriter::new(Cursor::new(reserved(room).map_err(LibtorchError::memory)?));
    let numbers =
        weights.iter().enumerate().map(|(i, weight)| (format!("data/{i}"), &weight.bytes[..]));
    let records = [
        ("data.pkl".to_owned(), &pickle[..]),
        ("byteorder".to_owned(), b"little"),
        (format!("extra/{CARD}"), card.as_bytes()),
    ];
    let version = ("version".to_owned(), VERSION);
    for (name, content) in records.into_iter().chain(numbers).chain([version]) {
        record(&mut zip, &name, content).map_err(failed)?;
    }
    Ok(zip.finish().map_err(failed)?.into_inner())
}

fn record(
    zip: &mut ZipWriter<Cursor<Vec<u8>>>,
    name: &str,
    content: &[u8],
) -> Result<(), zip::result::ZipError> {
    // The timestamp is 1980, so that the same network gives the same bytes.
    let options = SimpleFileOptions::DEFAULT
        .compression_method(CompressionMethod::Stored)
        .large_file(content.len() >= u32::MAX as usize)
        .with_alignment(ALIGNMENT);
    zip.start_file(format!("{FOLDER}/{name}"), options)?;
    Ok(zip.write_all(content)?)
}

fn failed(error: zip::result::ZipError) -> ExportError {
    ExportError::Encode { format: Format::StateDict, message: error.to_string() }
}

pub(super) fn python(card: &Card, path: &str) -> Result<String, ExportError> {
    python_snippet::torch(
        card,
        Format::StateDict,
        "",
        &format!("torch.load({})", python_snippet::string(path)),
    )
}
