//! The layers `Permute` that Keras needs, which keeps the channels of pictures last.

use crate::layers::{KerasAxes, Module};

/// Returns the modules with a `Permute` where the order of the axes of pictures changes.
pub(super) fn permuted(modules: Vec<Module>) -> Vec<Module> {
    with_permutes(modules, false)
}

/// The same for a block whose input has the channels last, or not; its output is like its input.
fn with_permutes(modules: Vec<Module>, input: bool) -> Vec<Module> {
    let (mut all, mut last) = (Vec::new(), input);
    for mut module in modules {
        if module.residual {
            module.block = with_permutes(module.block, last);
        } else if module.keras_class().is_some() {
            let (before, after) = match module.keras_axes {
                KerasAxes::Any => (last, last),
                KerasAxes::Same => (false, false),
                KerasAxes::Last => (true, true),
                KerasAxes::LastToVector => (true, false),
            };
            all.extend(permute(last, before));
            last = after;
        }
        all.push(module);
    }
    all.extend(permute(last, input));
    all
}

/// Returns the layer that moves the channels, if they have to move.
fn permute(from_last: bool, to_last: bool) -> Option<Module> {
    let axes = match (from_last, to_last) {
        (false, true) => "(2, 3, 1)",
        (true, false) => "(3, 1, 2)",
        _ => return None,
    };
    Some(Module { keras: Some(format!("layers.Permute({axes})")), ..Module::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_permuted_only_where_their_axes_change() {
        let module = |name: &str, keras_axes| Module {
            keras: Some(name.to_owned()),
            keras_axes,
            ..Module::default()
        };
        let calls = |modules: &[Module]| {
            modules.iter().filter_map(|module| module.keras.clone()).collect::<Vec<_>>().join(" ")
        };
        let modules = vec![
            module("a", KerasAxes::Any),
            module("b", KerasAxes::Last),
            module("", KerasAxes::Same),
            module("c", KerasAxes::Any),
            module("d", KerasAxes::Last),
            module("e", KerasAxes::Same),
            module("f", KerasAxes::LastToVector),
            module("g", KerasAxes::Same),
        ];
        let expected = "a layers.Permute((2, 3, 1)) b  c d layers.Permute((3, 1, 2)) e \
                        layers.Permute((2, 3, 1)) f g";
        assert_eq!(calls(&permuted(modules)), expected);
    }
}
