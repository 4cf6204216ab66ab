//! Where Keras has the variables of a network in a file of weights: `layers/dense_1/vars/0`.

use std::collections::BTreeMap;

use crate::layers::Module;
use crate::model::snake_case;

/// Returns the paths of a network's variables in their order, each with the number of filters of each channel if it has
/// such weights ([`Module::depth_multiplier`]).
pub(crate) fn keras_paths(modules: &[Module]) -> Vec<(String, usize)> {
    let paths = groups(modules).into_iter().flat_map(|(name, module)| {
        let filters = |i| if i == 0 { module.depth_multiplier } else { 0 };
        let variables = 0..module.variables.len();
        let own = match module.residual {
            false => variables.map(|i| (format!("vars/{i}"), filters(i))).collect(),
            true => keras_paths(&module.block),
        };
        own.into_iter().map(move |(path, filters)| (format!("layers/{name}/{path}"), filters))
    });
    paths.collect()
}

/// Returns the group of each Keras layer: its class in snake case, with a number from the second on.
pub(super) fn groups(modules: &[Module]) -> Vec<(String, &Module)> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let layers = modules.iter().filter_map(|module| {
        let class = snake_case(module.keras_class()?);
        let before = seen.entry(class.clone()).or_default();
        *before += 1;
        Some((if *before == 1 { class } else { format!("{class}_{}", *before - 1) }, module))
    });
    layers.collect()
}
