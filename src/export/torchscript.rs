//! TorchScript: the `.pt` file that `torch.jit.load` reads in Python and C++.
//!
//! The module has a real `forward` and real parameters under the names that the matching
//! `torch.nn.Sequential` gives them, so its `state_dict()` loads there and it can be trained
//! further. Tracing gives neither (see `csrc/module.cpp`).

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use tch::Kind;

use super::ExportError;
use crate::data::batches::SCALE;
use crate::files;
use crate::model::{Activation, Sequential, TorchModule};
use crate::native::LibtorchError;
use crate::native::module::Module;

/// The extra file inside the archive: Python reads it through `_extra_files`.
pub const CARD: &str = "seqfit.json";

/// What travels beside the weights.
#[derive(Debug, Serialize)]
struct Card<'a> {
    format: u32,
    seqfit: &'a str,
    network: &'a crate::model::Spec,
    classes: &'a [String],
    /// Divide raw pixels (0 to 255) by this before they go in.
    scale: f64,
    /// "probabilities" or "logits".
    output: &'a str,
}

/// Writes `model` to `path`: see [`encode`].
///
/// # Errors
/// As [`encode`], or a file that cannot be written; nothing is left behind.
pub fn save(model: &Sequential, classes: &[String], path: &Path) -> Result<(), ExportError> {
    Ok(files::write(path, &encode(model, classes)?)?)
}

/// The bytes of `model`'s file: f32 [batch, …input shape] or [batch, values] in [0, 1] in; logits out,
/// or probabilities if the last layer is a softmax.
///
/// Attributes: `class_names: List[str]`, `input_shape: List[int]`, `scale: float` (what raw pixels
/// are divided by). The parameters are on the CPU.
///
/// # Errors
/// A number of names other than the classes, or weights that are not finite.
pub fn encode(model: &Sequential, classes: &[String]) -> Result<Vec<u8>, ExportError> {
    if classes.len() != model.outputs() {
        return Err(ExportError::ClassNames { outputs: model.outputs(), names: classes.len() });
    }
    for (name, tensor) in model.parameters() {
        let finite = tensor.f_isfinite().and_then(|t| t.f_all()?.f_to_kind(Kind::Int64));
        if finite.and_then(|t| t.f_int64_value(&[])).map_err(LibtorchError::from)? == 0 {
            return Err(ExportError::NotFinite(name.to_owned()));
        }
    }
    let spec = model.spec();
    let mut module = Module::new("Sequential")?;
    let input_shape: Vec<i64> = spec.input_shape.iter().map(|&size| size as i64).collect();
    module.ints("input_shape", &input_shape)?;
    module.strings("class_names", classes)?;
    module.float("scale", SCALE)?;

    let mut parameters = model.parameters();
    let modules = spec.torch_modules()?;
    for (position, _) in linear_positions(&modules) {
        let mut linear = Module::new("Linear")?;
        for name in ["weight", "bias"] {
            if let Some((_, tensor)) = parameters.next() {
                linear.parameter(name, tensor)?;
            }
        }
        linear.define(
            "def forward(self, x: Tensor) -> Tensor:\n    \
             return torch.linear(x, self.weight, self.bias)\n",
        )?;
        module.child(&position.to_string(), &linear)?;
    }
    module.define(&forward_source(&spec.input_shape, &modules))?;

    let card = serde_json::to_string(&Card {
        format: 1,
        seqfit: env!("CARGO_PKG_VERSION"),
        network: spec,
        classes,
        scale: SCALE,
        output: if spec.ends_in_softmax() { "probabilities" } else { "logits" },
    })?;
    Ok(module.archive((CARD, &card))?)
}

impl Sequential {
    /// Writes the network as TorchScript, for `torch.jit.load`: see [`save`].
    ///
    /// # Errors
    /// As [`save`].
    pub fn export(
        &self,
        path: impl AsRef<Path>,
        classes: &[impl AsRef<str>],
    ) -> Result<(), ExportError> {
        let classes: Vec<String> = classes.iter().map(|name| name.as_ref().to_owned()).collect();
        save(self, &classes, path.as_ref())
    }
}

fn linear_positions(modules: &[TorchModule]) -> impl Iterator<Item = (usize, &TorchModule)> {
    modules.iter().enumerate().filter(|(_, m)| matches!(m, TorchModule::Linear { .. }))
}

/// The Python that `forward` is compiled from, a line a module.
fn forward_source(input_shape: &[usize], modules: &[TorchModule]) -> String {
    let sizes: Vec<String> = input_shape.iter().map(usize::to_string).collect();
    let mut source = String::from("def forward(self, x: Tensor) -> Tensor:\n");
    let mut line = |text: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(source, "    x = {text}");
    };
    // Samples may come in the network's shape or flat.
    line(&format!("x.reshape(x.size(0), {})", sizes.join(", ")));
    for (position, module) in modules.iter().enumerate() {
        match module {
            TorchModule::Flatten => line("torch.flatten(x, 1)"),
            TorchModule::Linear { .. } => {
                line(&format!("getattr(self, \"{position}\").forward(x)"))
            }
            TorchModule::Dropout { rate } => {
                line(&format!("torch.dropout(x, {rate:?}, self.training)"));
            }
            TorchModule::Activation(activation) => match activation {
                Activation::Linear => {}
                Activation::Relu => line("torch.relu(x)"),
                Activation::Gelu => line("torch.gelu(x)"),
                Activation::Silu => line("torch.silu(x)"),
                Activation::Tanh => line("torch.tanh(x)"),
                Activation::Sigmoid => line("torch.sigmoid(x)"),
                Activation::Softmax => line("torch.softmax(x, -1)"),
            },
        }
    }
    source.push_str("    return x\n");
    source
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Dropout, Flatten};
    use crate::{Device, Sequential};
    use tch::{CModule, Tensor};

    /// Every layer and activation, read back by libtorch itself. Python's side is in
    /// tests/export_python.rs.
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
            save(&model, &["a", "b", "c"].map(String::from), &path)?;
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
    fn a_failing_export_leaves_nothing() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let model = Sequential::new([2]).add(Dense::new(2)).build(Device::Cpu, 0)?;
        let names = ["a", "b"].map(String::from);
        let error = save(&model, &names[..1], &folder.path().join("m.pt"));
        assert!(error.is_err_and(|e| e.to_string().contains("2 classes, found 1")));
        let error = save(&model, &names, &folder.path().join("none/m.pt"));
        assert!(error.is_err_and(|e| e.to_string().contains("none")));
        let mut weight = model.tensors()[0].shallow_clone();
        let _ = tch::no_grad(|| weight.fill_(f64::NAN));
        let error = save(&model, &names, &folder.path().join("m.pt"));
        assert!(error.is_err_and(|e| e.to_string().contains("NaN")));
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }
}
