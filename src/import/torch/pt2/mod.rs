//! PyTorch's exported programs, `torch.export.save`: a zip archive of JSON and of weights as they lie in memory. The
//! graph is read as data: nothing is run, and nothing is unpickled.

mod arguments;
mod chain;
mod operators;
mod program;
mod variables;
mod windows;

use serde::de::DeserializeOwned;

use super::super::detect_format::{Format, exported_program};
use super::super::dtype::Dtype;
use super::super::error::Problem;
use super::super::model_card::{CARD, Card};
use super::super::{Imported, ImportedTensor};
use super::tensor_view::{Storages, View};
use crate::export::pt2::{
    ARCHIVE_FORMAT, CONSTANTS, CONSTANTS_CONFIG, MODELS, WEIGHTS, WEIGHTS_CONFIG,
};
use crate::formats::{Archive, MemoryBudget, Order};
use program::{Entry, Program, WeightsConfig};

/// The bytes of memory that a byte of JSON may take: `[],` as an empty list of four in a list.
const PARSED: usize = 32;

/// Reads an archive.
pub(in crate::import) fn read(bytes: &[u8]) -> Result<Imported, Problem> {
    let mut archive = Archive::open(bytes)?;
    // Most of a small network's file is JSON.
    let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::PACKED);
    let folder = exported_program(archive.names()).unwrap_or_default().to_owned();
    let (name, kind) = ARCHIVE_FORMAT;
    if archive.read(&format!("{folder}{name}"), &mut budget)? != kind {
        return Err(unsupported("an archive of another kind than \"pt2\"".to_owned()));
    }
    let order = match archive.has(&format!("{folder}byteorder")) {
        true => match &archive.read(&format!("{folder}byteorder"), &mut budget)?[..] {
            b"little" => Order::Little,
            b"big" => Order::Big,
            _ => return Err(damaged("its byte order is neither little nor big".to_owned())),
        },
        false => Order::Little,
    };
    let model = model(&archive, &folder)?;
    let place = format!("{folder}{WEIGHTS}{model}{WEIGHTS_CONFIG}");
    let config: WeightsConfig = json(&mut archive, &place, &mut budget)?;
    let mut tensors = Vec::new();
    let mut storages = Storages::new(&mut archive, format!("{folder}{WEIGHTS}"));
    for (name, entry) in &config.config.0 {
        tensors.push(tensor(name, entry, &mut storages, order, &mut budget)?);
    }
    let place = format!("{folder}{MODELS}{model}.json");
    let program: Program = json(&mut archive, &place, &mut budget)?;
    let place = format!("{folder}extra/{CARD}");
    let card = match archive.has(&place) {
        true => Card::read(&archive.read(&place, &mut budget)?),
        false => None,
    };
    let mut imported = Imported { card, ..Imported::new(Format::Pt2, tensors) };
    if imported.card.as_ref().is_none_or(|card| card.network.is_none()) {
        let constants = constants(&mut archive, &folder, &model, order, &mut budget)?;
        let described = chain::network(&program, &imported.tensors, &constants);
        if let Ok(described) = &described {
            described.count_memory(&mut budget)?;
            imported.card.get_or_insert_default().network = Some(described.spec.clone());
        }
        imported.described = Some(described);
    }
    Ok(imported)
}

/// Reads the tensors of a program that are no parameters or buffers of its module.
fn constants(
    archive: &mut Archive<'_>,
    folder: &str,
    model: &str,
    order: Order,
    budget: &mut MemoryBudget,
) -> Result<Vec<ImportedTensor>, Problem> {
    let place = format!("{folder}{CONSTANTS}{model}{CONSTANTS_CONFIG}");
    if !archive.has(&place) {
        return Ok(Vec::new());
    }
    let config: WeightsConfig = json(archive, &place, budget)?;
    let mut storages = Storages::new(archive, format!("{folder}{CONSTANTS}"));
    // Others are objects of any kind.
    let is_tensor = |entry: &Entry| entry.tensor_meta.is_some() && !entry.use_pickle;
    let entries = config.config.0.iter().filter(|(_, entry)| is_tensor(entry));
    entries.map(|(name, entry)| tensor(name, entry, &mut storages, order, budget)).collect()
}

/// Returns the name of the only model.
fn model(archive: &Archive<'_>, folder: &str) -> Result<String, Problem> {
    let models = archive
        .names()
        .filter_map(|name| name.strip_prefix(folder)?.strip_prefix(MODELS)?.strip_suffix(".json"));
    let models: Vec<&str> = models.collect();
    match models[..] {
        [model] => Ok(model.to_owned()),
        [] => Err(unsupported(
            "a program without a graph, such as one that AOTInductor compiled: give the file of \
             torch.export.save"
                .to_owned(),
        )),
        _ => {
            Err(unsupported(format!("{} programs in one file: save each in its own", models.len())))
        }
    }
}

/// Reads a tensor.
fn tensor(
    name: &str,
    entry: &Entry,
    storages: &mut Storages<'_, '_>,
    order: Order,
    budget: &mut MemoryBudget,
) -> Result<ImportedTensor, Problem> {
    let shown = || format!("{:?}", name.chars().take(80).collect::<String>());
    if entry.use_pickle {
        let message = format!("tensor {}, which is pickled: save it as a plain tensor", shown());
        return Err(unsupported(message));
    }
    let incomplete = || damaged(format!("tensor {} lacks its sizes", shown()));
    let meta = entry.tensor_meta.as_ref().ok_or_else(incomplete)?;
    let dtype = match meta.dtype {
        6 => Dtype::F16,
        7 => Dtype::F32,
        8 => Dtype::F64,
        13 => Dtype::BF16,
        other => Dtype::Other(program::dtype_name(other)),
    };
    let [shape, strides] = [&meta.sizes, &meta.strides]
        .map(|sizes| sizes.iter().map(|size| size.fixed()).collect::<Option<Vec<_>>>());
    let offset = meta.storage_offset.fixed();
    let (Some(shape), Some(strides), Some(offset)) = (shape, strides, offset) else {
        return Err(incomplete());
    };
    let path = &entry.path_name;
    let view = View::in_record(path, dtype, offset, [shape, strides], storages, budget)?;
    let values = view.load(storages, order, budget)?;
    Ok(ImportedTensor { name: name.to_owned(), dtype: view.dtype, shape: view.shape, values })
}

/// Reads a record of JSON.
fn json<T: DeserializeOwned>(
    archive: &mut Archive<'_>,
    place: &str,
    budget: &mut MemoryBudget,
) -> Result<T, Problem> {
    let text = archive.read(place, budget)?;
    budget.take::<[u8; PARSED]>(text.len())?;
    serde_json::from_slice(&text).map_err(|error| damaged(format!("record {place:?}: {error}")))
}

fn damaged(message: String) -> Problem {
    Problem::Damaged { format: "pt2", message }
}

fn unsupported(message: String) -> Problem {
    Problem::Unsupported { format: "pt2", message }
}
