//! A PyTorch `state_dict` as written by `torch.save(model.state_dict(), path)`, which `torch.load` reads with
//! its default `weights_only=True`.
//!
//! The file is a zip of stored records: `data.pkl` describes the tensors, `data/0`, `data/1`, … contain
//! their values (`torch/serialization.py`, `caffe2/serialize/inline_container.h`). The card is an additional
//! record, in the folder where TorchScript stores its extra files; `torch.load` ignores it.

use super::convert_weights::Weight;
use super::network_modules::modules;
use super::{CARD, Card, ExportError, Format, Options, python_snippet};
use super::{torch_archive, torch_pickle};
use crate::model::Sequential;

/// The version of the container that `torch.save` writes.
const VERSION: &[u8] = b"3\n";

pub(super) fn encode(
    model: &Sequential,
    card: &Card,
    options: Options,
) -> Result<Vec<u8>, ExportError> {
    modules(model.spec(), Format::StateDict)?;
    let weights = Weight::all(model, options)?;
    let (pickle, card) = (torch_pickle::state_dict(&weights), card.to_json()?);
    let numbers =
        weights.iter().enumerate().map(|(i, weight)| (format!("data/{i}"), &weight.bytes[..]));
    let records = [
        ("data.pkl".to_owned(), &pickle[..]),
        ("byteorder".to_owned(), b"little"),
        (format!("extra/{CARD}"), card.as_bytes()),
    ];
    let version = ("version".to_owned(), VERSION);
    let records: Vec<_> = records.into_iter().chain(numbers).chain([version]).collect();
    torch_archive::encode(Format::StateDict, &records)
}

pub(super) fn python(card: &Card, path: &str) -> Result<String, ExportError> {
    python_snippet::torch(
        card,
        Format::StateDict,
        "",
        &format!("torch.load({})", python_snippet::string(path)),
    )
}
