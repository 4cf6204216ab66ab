//! PyTorch's archives: `torch.save` of a state_dict, or of a checkpoint that holds one, and TorchScript,
//! of which only the parameters are read, and no code is run.

mod find_state_dict;
mod pickle;
mod pickle_globals;
pub(super) mod pt2;
mod script_layers;
mod script_statements;
mod state_dict_names;
mod tensor_view;
#[cfg(test)]
mod tests;
mod training_state;

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
        let steps = script_layers::steps(&pickle, &mut archive, &folder, &mut budget);
        match steps.and_then(|steps| placed(&mut imported, &steps)) {
            Ok(network) => imported.card.get_or_insert_default().network = Some(network),
            Err(layer) => imported.unsupported_layer = Some(layer),
        }
    }
    Ok(imported)
}

/// Converts a TorchScript's layers to a network, with the indices of their tensors in the file. Its input has
/// no shape yet: the first layer determines the number of values.
fn placed(imported: &mut Imported, steps: &[script_layers::Step]) -> Result<Spec, String> {
    let tensors = &imported.tensors;
    let place = |name: &str| {
        let found = tensors.iter().position(|tensor| tensor.name == name);
        found.ok_or_else(|| format!("a layer whose tensor {name:?} is missing"))
    };
    let mut placed = Vec::new();
    for step in steps {
        if let script_layers::Step::Dense { weight, bias } = step {
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
