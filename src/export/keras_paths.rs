//! Where Keras has the variables of a network in a file of weights: `layers/dense_1/vars/0`.

use std::collections::BTreeMap;

use crate::layers::Module;
use crate::model::snake_case;

/// Returns the paths of a network's variables, in their order.
pub(crate) fn keras_paths(modules: &[Module]) -> Vec<String> {
    let paths = groups(modules).into_iter().flat_map(|(name, module)| {
        let own = match module.block.is_empty() {
            true => (0..module.variables.len()).map(|i| format!("vars/{i}")).collect(),
            false => keras_paths(&module.block),
        };
        own.into_iter().map(move |path| format!("layers/{name}/{path}"))
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
