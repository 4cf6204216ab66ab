//! The variables of a network that its card or the user describes, by the names that we gave them or in their order.

use super::check_finite::finite;
use super::detect_format::Format;
use super::error::Problem;
use super::file_contents::{Imported, ImportedTensor};
use super::tensor_roles;
use super::variables_in_order::{self, counts_batches};
use crate::export::{KerasLayout, keras_paths};
use crate::layers::{Dense, Layer};
use crate::model::{NamedVariable, Spec};
use crate::native::reserved;
use crate::tensors::{HostTensor, Tensors};

/// Returns whether layers other than Dense have variables.
pub(super) fn has_others(spec: &Spec) -> bool {
    let variables = spec.variables().unwrap_or_default();
    let is_dense = |layer: &usize| spec.layers.get(*layer).is_some_and(Layer::is::<Dense>);
    variables.iter().any(|variable| !is_dense(&variable.layer))
}

/// Returns the tensors under the network's names.
///
/// # Errors
/// Tensors that are not exactly those of the network: each is listed.
pub(super) fn weights(imported: &Imported, spec: &Spec) -> Result<Tensors, Problem> {
    let variables = spec.variables()?;
    let keras = matches!(imported.format, Format::Keras | Format::KerasWeights);
    let places: Vec<(String, usize)> = match keras {
        true => {
            let layers = spec.layers_with_inputs()?;
            let own = layers.filter_map(|(layer, input)| layer.kind().describe(&input));
            keras_paths(&own.flatten().collect::<Vec<_>>())
        }
        false => {
            let is_there =
                |own: &NamedVariable| imported.tensors.iter().any(|t| t.name == own.name);
            let own = || variables.iter().map(|own| own.name.clone()).collect();
            let named = match variables.iter().all(is_there) {
                true => own(),
                false => variables_in_order::names(imported, &variables).unwrap_or_else(own),
            };
            named.into_iter().map(|name| (name, 0)).collect()
        }
    };
    let mut rest: Vec<&ImportedTensor> = imported.tensors.iter().collect();
    let (mut lines, mut weights) = (Vec::new(), Tensors::new());
    for (variable, (place, filters)) in variables.into_iter().zip(places) {
        let (name, shape) = (variable.name, variable.variable.shape);
        let found = rest.iter().position(|tensor| tensor.name == place);
        let Some(tensor) = found.map(|at| rest.swap_remove(at)) else {
            lines.push(format!("expected {place} {shape:?}, found nothing"));
            continue;
        };
        let layout = keras.then(|| KerasLayout::of(&shape, filters));
        let expected = layout.as_ref().map_or(shape.clone(), KerasLayout::shape);
        if tensor.shape != expected {
            let found = &tensor.shape;
            lines.push(format!("expected {place} {expected:?}, found {place} {found:?}"));
            continue;
        }
        let stored = finite(tensor)?;
        let mut values = reserved(stored.len()).map_err(|bytes| Problem::Memory { bytes })?;
        match layout {
            Some(layout) => values.extend(layout.places().map(|place| stored[place])),
            None => values.extend_from_slice(stored),
        }
        weights.insert(name, HostTensor::new(shape, values));
    }
    rest.retain(|tensor| !counts_batches(tensor));
    for tensor in rest {
        lines.push(format!("expected nothing, found {}", tensor_roles::shown(&tensor.name)));
    }
    match lines.is_empty() {
        true => Ok(weights),
        false => Err(Problem::Mismatch(lines)),
    }
}
