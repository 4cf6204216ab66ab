//! PyTorch's archives: `torch.save` of a state_dict, or of a checkpoint that holds one, and TorchScript,
//! of which only the parameters are read, and no code is run.

mod find_state_dict;
mod pickle;
mod pickle_globals;
pub(super) mod pt2;
mod script_item;
mod script_layers;
mod script_pictures;
mod script_statements;
mod state_dict_names;
mod tensor_view;
#[cfg(test)]
mod tests;
mod training_state;

use std::collections::HashSet;

use super::described::{Described, Layout, Source};
use super::detect_format::Format;
use super::error::Problem;
use super::file_contents::Placed;
use super::model_card::{CARD, Card};
use super::output_activation;
use super::{Imported, ImportedTensor};
use crate::formats::Archive;
use crate::formats::MemoryBudget;
use crate::formats::Order;
use crate::model::Spec;
use pickle::{Pickle, damaged};
use script_layers::Step;
use tensor_view::{Storages, View};

/// Reads an archive of either kind.
pub(super) fn read(bytes: &[u8], format: Format) -> Result<Imported, Problem> {
    let mut archive = Archive::open(bytes)?;
    let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::TIMES);
    let place = archive.names().find(|name| name.ends_with("/data.pkl"));
    let folder =
        place.and_then(|name| name.strip_suffix("data.pkl")).unwrap_or_default().to_owned();
    let order = match archive.has(&format!("{folder}byteorder")) {
        true => match &archive.read(&format!("{folder}byteorder"), &mut budget)?[..] {
            b"little" => Order::Little,
            b"big" => Order::Big,
            _ => return Err(damaged("its byte order is neither little nor big")),
        },
        false => Order::Little,
    };
    let text = archive.read(&format!("{folder}data.pkl"), &mut budget)?;
    let pickle = Pickle::read(&text)?;
    let named = match format {
        Format::TorchScript => state_dict_names::parameters(&pickle)?,
        _ => find_state_dict::state_dict(&pickle)?,
    };
    let storages = Storages::new(&mut archive, format!("{folder}data/"));
    let mut tensors = load(&named, storages, order, &mut budget)?;
    // A network that was traced after it was frozen has its weights among the constants.
    if tensors.is_empty() && format == Format::TorchScript {
        let text = archive.read(&format!("{folder}constants.pkl"), &mut budget)?;
        let pickle = Pickle::read(&text)?;
        let named = state_dict_names::constants(&pickle)?;
        let storages = Storages::new(&mut archive, format!("{folder}constants/"));
        tensors = load(&named, storages, order, &mut budget)?;
    }
    let mut card = None;
    for place in [format!("{folder}extra/{CARD}"), format!("{folder}{CARD}")] {
        if card.is_none() && archive.has(&place) {
            card = Card::read(&archive.read(&place, &mut budget)?);
        }
    }
    let mut imported = Imported { card, ..Imported::new(format, tensors) };
    let described = imported.card.as_ref().is_some_and(|card| card.network.is_some());
    if format == Format::TorchScript && !described {
        let source = (&mut archive, &folder[..]);
        let steps = script_layers::steps(&pickle, &imported.tensors, source, &mut budget);
        let is_own = |step: &Step| matches!(step, Step::Own(_));
        match steps {
            Ok(steps) if steps.iter().any(is_own) => match pictures(&imported.tensors, steps) {
                Ok(described) => imported.described = Some(Ok(described)),
                Err(layer) => imported.unsupported_layer = Some(layer),
            },
            Ok(steps) => match placed(&mut imported, &steps) {
                Ok(network) => imported.card.get_or_insert_default().network = Some(network),
                Err(layer) => imported.unsupported_layer = Some(layer),
            },
            Err(layer) => imported.unsupported_layer = Some(layer),
        }
    }
    Ok(imported)
}

/// Converts a TorchScript's layers for pictures to a network, whose input has no shape yet.
fn pictures(tensors: &[ImportedTensor], steps: Vec<Step>) -> Result<Described, String> {
    let place = |name: &str| tensors.iter().position(|tensor| tensor.name == name);
    let units = |name: &str| place(name).and_then(|i| tensors[i].shape.first()).map_or(0, |n| *n);
    let (layers, variables) = script_layers::pictures(steps, units);
    let mut used = HashSet::new();
    let source = |variable: Result<String, f32>| match variable {
        Err(number) => Ok(Source::Filled(number)),
        Ok(name) if !used.insert(name.clone()) => {
            Err(format!("two layers with the same tensor {name:?}"))
        }
        Ok(name) => match place(&name) {
            Some(tensor) => Ok(Source::Tensor { tensor, layout: Layout::AsStored }),
            None => Err(format!("a layer whose tensor {name:?} is missing")),
        },
    };
    let sources = variables.into_iter().map(source).collect::<Result<_, _>>()?;
    let spec = output_activation::by_last_layer(Spec::new([], layers));
    Ok(Described { spec, sources, features: None })
}

/// Converts a TorchScript's layers to a network, with the indices of their tensors in the file. Its input has
/// no shape yet: the first layer determines the number of values.
fn placed(imported: &mut Imported, steps: &[Step]) -> Result<Spec, String> {
    let tensors = &imported.tensors;
    let place = |name: &str| {
        let found = tensors.iter().position(|tensor| tensor.name == name);
        found.ok_or_else(|| format!("a layer whose tensor {name:?} is missing"))
    };
    let mut placed = Vec::new();
    for step in steps {
        if let Step::Dense { weight, bias } = step {
            let bias = bias.as_deref().map(place).transpose()?;
            placed.push(Placed { weight: place(weight)?, bias });
        }
    }
    let units =
        |name: &str| place(name).ok().and_then(|i| tensors[i].shape.first()).map_or(0, |n| *n);
    let layers = script_layers::layers(steps, units)?;
    imported.placed = Some(placed);
    Ok(output_activation::by_last_layer(Spec::new([], layers)))
}

fn load(
    named: &[(String, View<'_>)],
    mut storages: Storages<'_, '_>,
    order: Order,
    budget: &mut MemoryBudget,
) -> Result<Vec<ImportedTensor>, Problem> {
    let mut tensors = Vec::new();
    for (name, view) in named {
        let values = view.load(&mut storages, order, budget)?;
        let (dtype, shape) = (view.dtype.clone(), view.shape.clone());
        tensors.push(ImportedTensor { name: name.clone(), dtype, shape, values });
    }
    Ok(tensors)
}
