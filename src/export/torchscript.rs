//! TorchScript: the `.pt` file that `torch.jit.load` reads in Python and C++.
//!
//! The module has a real `forward` and real parameters with the names of the matching
//! `torch.nn.Sequential`, so its `state_dict()` loads there and it can be trained further. Tracing provides
//! neither (see `csrc/script_module.cpp`).

use std::fmt::Write as _;

use tch::{Kind, Tensor};

use super::network_modules::modules;
use super::{CARD, Card, ExportError, Format, Options, convert_weights, python_snippet};
use crate::data::batches::SCALE;
use crate::layers::{self, Activation};
use crate::model::{Sequential, Spec};
use crate::native::LibtorchError;
use crate::native::script_module::Module;

/// Returns the bytes of `model`'s file. Its input is f32 [batch, …input shape] or [batch, values] in
/// [0, 1], or with preprocessing u8 pixels; numbers are f32 in both cases. Its output is logits, or predictions if the
/// last layer is a softmax or with preprocessing.
///
/// Attributes: `class_names: List[str]`, `input_shape: List[int]`, `scale: float` (the divisor for raw
/// pixels before they enter the model). The parameters are on the CPU.
pub(super) fn encode(
    model: &Sequential,
    card: &Card,
    options: Options,
) -> Result<Vec<u8>, ExportError> {
    let spec = model.spec();
    let mut module = Module::new("Sequential")?;
    let input_shape: Vec<i64> = spec.input_shape.iter().map(|&size| size as i64).collect();
    module.ints("input_shape", &input_shape)?;
    module.strings("class_names", &card.classes)?;
    module.float("scale", card.scale)?;

    let modules = modules(spec, Format::TorchScript)?;
    let lines = add_children(&mut module, &modules, &mut model.variables(), options)?;
    module.define(&forward_source(spec, &lines, card, options))?;
    Ok(module.archive((CARD, &card.to_json()?))?)
}

pub(super) fn python(card: &Card, path: &str) -> String {
    format!(
        "{input}
import torch

model = torch.jit.load({path}, map_location=\"cpu\")
with torch.no_grad():
    {output} = model(torch.from_numpy({name}))
",
        input = python_snippet::input(card),
        name = card.input_name(),
        path = python_snippet::string(path),
        output = card.output,
    )
}

/// Adds the modules that have variables, with the next of all variables, and returns the lines that apply all of them
/// to `x`.
fn add_children<'a>(
    parent: &mut Module,
    modules: &[layers::Module],
    all: &mut dyn Iterator<Item = (&'a str, &'a Tensor)>,
    options: Options,
) -> Result<Vec<String>, ExportError> {
    let mut lines = Vec::new();
    for (position, described) in modules.iter().enumerate() {
        if described.variables.is_empty() && described.block.is_empty() {
            lines.push(format!("    x = {}\n", described.script));
            continue;
        }
        let mut child = Module::new(described.torch_class())?;
        let source = match described.block.is_empty() {
            true => {
                for (name, (full_name, tensor)) in described.variables.iter().zip(&mut *all) {
                    convert_weights::check(full_name, tensor, options)?;
                    let kind = if options.half { Kind::Half } else { Kind::Float };
                    let value = tensor.f_to_kind(kind).map_err(LibtorchError::from)?;
                    match tensor.requires_grad() {
                        true => child.parameter(name, &value)?,
                        false => child.buffer(name, &value)?,
                    }
                }
                format!("    return {}\n", script(described, options))
            }
            false => {
                let lines = add_children(&mut child, &described.block, all, options)?.concat();
                match described.residual {
                    true => format!("    input = x\n{lines}    return input + x\n"),
                    false => format!("{lines}    return x\n"),
                }
            }
        };
        child.define(&format!("def forward(self, x: Tensor) -> Tensor:\n{source}"))?;
        parent.child(&position.to_string(), &child)?;
        lines.push(format!("    x = getattr(self, \"{position}\").forward(x)\n"));
    }
    Ok(lines)
}

/// Returns the expression of a module with its variables.
fn script(module: &layers::Module, options: Options) -> String {
    // Weights in f16 are used in the precision of the input: only their size in the file changes.
    let cast = if options.half { ".to(x.dtype)" } else { "" };
    module.variables.iter().fold(module.script.clone(), |source, name| {
        source.replace(&format!("{{{name}}}"), &format!("self.{name}{cast}"))
    })
}

/// Returns the Python source of `forward`, one line per module.
fn forward_source(spec: &Spec, lines: &[String], card: &Card, options: Options) -> String {
    let sizes: Vec<String> = spec.input_shape.iter().map(usize::to_string).collect();
    let mut source = String::from("def forward(self, x: Tensor) -> Tensor:\n");
    if card.takes_bytes() {
        // 0 and 6 are TorchScript's names for torch.uint8 and torch.float32.
        source
            .push_str("    assert x.dtype == 0, \"this model takes uint8 pixels from 0 to 255\"\n");
        let _ = writeln!(source, "    x = x.to(6) / {SCALE:?}");
    }
    // Samples may have the network's shape or be flat. Writing to a String cannot fail.
    let _ = writeln!(source, "    x = x.reshape(x.size(0), {})", sizes.join(", "));
    source.push_str(&lines.concat());
    let activation = spec.missing_activation();
    if options.preprocessing && activation != Activation::Linear {
        let _ = writeln!(source, "    x = {}", activation.module().script);
    }
    source.push_str("    return x\n");
    source
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Dropout, Flatten};
    use crate::{Device, OutputActivation, Sequential};
    use tch::{CModule, Tensor};

    /// Every layer and activation, loaded by libtorch. The tests in Python are in tests/formats/export_formats.rs.
    #[test]
    fn libtorch_loads_every_activation_with_equal_outputs() -> Result<(), Box<dyn std::error::Error>>
    {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("model.pt");
        for activation in Activation::ALL {
            let mut builder = Sequential::new([2, 3]).add(Flatten);
            if activation != Activation::Softmax {
                builder = builder.add(Dense::new(5).activation(activation)).add(Dropout::new(0.5));
            }
            let last = Dense::new(3).activation(match activation {
                Activation::Softmax => Activation::Softmax,
                _ => Activation::Linear,
            });
            let model = builder.add(last).build(Device::Cpu, 1)?;
            model.export(&path, &["a", "b", "c"])?;
            let loaded = CModule::load(&path)?;
            let x = Tensor::randn([4, 2, 3], (Kind::Float, Device::Cpu));
            let expected = match activation {
                Activation::Softmax => model.predict(&x)?,
                _ => model.logits(&x)?,
            };
            for x in [x.shallow_clone(), x.reshape([4, 6])] {
                assert!(loaded.forward_ts(&[x])?.equal(&expected), "{activation:?}");
            }
        }
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn preprocessing_ends_in_the_output_activation_and_accepts_only_pixels()
    -> Result<(), Box<dyn std::error::Error>> {
        let mut model =
            Sequential::new([2, 2]).add(Flatten).add(Dense::new(3)).build(Device::Cpu, 1)?;
        let options = Options { preprocessing: true, ..Options::default() };
        let pixels = Tensor::from_slice(&[0u8, 1, 128, 255]).reshape([1, 2, 2]);
        let scaled = pixels.to_kind(Kind::Float) / SCALE;
        for output in
            [OutputActivation::Sigmoid, OutputActivation::Linear, OutputActivation::Softmax]
        {
            model.set_output(output);
            let card = Card::new(model.spec(), &["a", "b", "c"]);
            let bytes = encode(&model, &card.with_options(options), options)?;
            let loaded = CModule::load_data(&mut bytes.as_slice())?;
            let found = loaded.forward_ts(&[pixels.shallow_clone()])?;
            assert!(found.allclose(&model.predict(&scaled)?, 1e-6, 0.0, false), "{output:?}");
        }
        let card = Card::new(model.spec(), &["a", "b", "c"]);
        let bytes = encode(&model, &card.with_options(options), options)?;
        let loaded = CModule::load_data(&mut bytes.as_slice())?;
        let error = loaded.forward_ts(&[scaled]).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("takes uint8 pixels")));
        Ok(())
    }
}
