//! Keras 3 weights: the `.weights.h5` file that `model.load_weights` reads.
//!
//! Keras finds a layer's variables by the layer's class and its index among the layers of that class
//! (`layers/dense_1/vars/0`), regardless of the layer's name. A Dense kernel is [inputs, units], the
//! transpose of the weight here, and the channels of pictures are last. The format is defined by
//! `keras/src/saving/saving_lib.py`.

mod permute_layers;

use hdf5_pure::{Datatype, DatatypeByteOrder, FileBuilder, FloatingPointLayout, GroupBuilder};
use tch::Tensor;

use super::convert_weights::Weight;
use super::keras_layout::KerasLayout;
use super::keras_paths::groups;
use super::network_modules::modules;
use super::{CARD, Card, ExportError, Format, Options, python_snippet};
use crate::layers::Module;
use crate::model::Sequential;
use crate::native::{LibtorchError, reserved};
use permute_layers::permuted;

pub(super) fn encode(
    model: &Sequential,
    card: &Card,
    options: Options,
) -> Result<Vec<u8>, ExportError> {
    // The allocations of hdf5_pure (its copy of the weights, and the file) would abort the process if
    // memory is short, so this checks first.
    let bytes = 2 * model.summary().parameters() * if options.half { 2 } else { 4 };
    reserved::<u8>(bytes).map_err(LibtorchError::memory)?;
    let mut file = FileBuilder::new();
    let mut layers = file.create_group("layers");
    let mut all = model.variables();
    let modules = permuted(modules(model.spec(), Format::Keras)?);
    add_layers(&mut layers, &modules, &mut all, options)?;
    file.add_group(layers.finish());
    let variables = file.create_group("vars");
    file.add_group(variables.finish());
    // A dataset rather than an attribute: attributes hold at most 64 KiB.
    file.create_dataset(CARD).with_strings(&[&card.to_json()?]).map_err(failed)?;
    file.finish().map_err(failed)
}

/// Adds the groups of these layers, with the next of all variables.
fn add_layers<'a>(
    layers: &mut GroupBuilder,
    modules: &[Module],
    all: &mut dyn Iterator<Item = (&'a str, &'a Tensor)>,
    options: Options,
) -> Result<(), ExportError> {
    for (name, module) in groups(modules) {
        let mut group = layers.create_group(&name);
        if module.residual {
            let mut block = group.create_group("layers");
            add_layers(&mut block, &module.block, all, options)?;
            group.add_group(block.finish());
        }
        let mut variables = group.create_group("vars");
        let own = if module.residual { 0 } else { module.variables.len() };
        for i in 0..own {
            let Some((name, tensor)) = all.next() else { break };
            let shape: Vec<usize> = tensor.size().iter().map(|&size| size as usize).collect();
            let filters = if i == 0 { module.depth_multiplier } else { 0 };
            let [sizes, order] = KerasLayout::of(&shape, filters).axes();
            let stored = tensor.f_view(&sizes[..]).and_then(|view| view.f_permute(&order[..]));
            let weight = Weight::new(name, &stored.map_err(LibtorchError::from)?, options)?;
            let count = weight.count() as u64;
            let shape: Vec<u64> = weight.shape.iter().map(|&size| size as u64).collect();
            variables
                .create_dataset(&i.to_string())
                .with_raw_data(datatype(weight.half), weight.bytes, count)
                .with_shape(&shape);
        }
        group.add_group(variables.finish());
        layers.add_group(group.finish());
    }
    Ok(())
}

/// Returns the HDF5 type of a weight: f16 or f32, little-endian.
pub(crate) fn datatype(half: bool) -> Datatype {
    let (size, exponent_size, mantissa_size, exponent_bias) =
        if half { (2, 5, 10, 15) } else { (4, 8, 23, 127) };
    Datatype::FloatingPoint {
        size,
        byte_order: DatatypeByteOrder::LittleEndian,
        layout: FloatingPointLayout {
            bit_offset: 0,
            bit_precision: 8 * size as u16,
            exponent_location: mantissa_size,
            exponent_size,
            mantissa_location: 0,
            mantissa_size,
            exponent_bias,
        },
    }
}

fn failed(error: impl std::fmt::Display) -> ExportError {
    ExportError::Encode { format: Format::Keras, message: error.to_string() }
}

pub(super) fn python(card: &Card, path: &str) -> Result<String, ExportError> {
    let (definitions, network) = sequential(card)?;
    Ok(format!(
        "{input}
import keras
from keras import layers
{definitions}
model = {network}
model.load_weights({path})
{output} = model.predict({name}, verbose=0)
",
        input = python_snippet::input(card),
        name = card.input_name(),
        path = python_snippet::string(path),
        output = card.output,
    ))
}

/// Returns the definitions of classes, and the network as `keras.Sequential([…])` in Keras, on several lines.
///
/// # Errors
/// A layer that does not say how it is written.
fn sequential(card: &Card) -> Result<(String, String), ExportError> {
    let sizes: Vec<String> = card.network.input_shape.iter().map(usize::to_string).collect();
    // A Python tuple with one element needs a comma.
    let comma = if sizes.len() == 1 { "," } else { "" };
    let shape = sizes.join(", ");
    let modules = permuted(modules(&card.network, Format::Keras)?);
    let layers = lines(&modules, 1);
    let network = format!("keras.Sequential([\n    keras.Input(({shape}{comma})),\n{layers}])");
    Ok((python_snippet::definitions(&modules, |module| module.keras_definition), network))
}

/// Returns the layers of a `keras.Sequential([…])`, one a line.
fn lines(modules: &[Module], depth: usize) -> String {
    let indent = "    ".repeat(depth);
    let line = |module: &Module| {
        let layer = module.keras.as_ref().filter(|layer| !layer.is_empty())?;
        Some(match module.residual {
            false => format!("{indent}{layer},\n"),
            true => {
                let block = lines(&module.block, depth + 1);
                format!("{indent}{layer}([\n{block}{indent}]),\n")
            }
        })
    };
    modules.iter().filter_map(line).collect()
}
