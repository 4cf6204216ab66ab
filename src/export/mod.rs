//! Export to files for other programs, one module per format. Each file is written atomically, contains only
//! finite numbers, and includes a [`Card`] that describes the network.
//!
//! ```
//! # use seqfit::{Device, Sequential, layers::Dense};
//! use seqfit::export::{self, Card, Format, Options};
//!
//! # let model = Sequential::new([2]).add(Dense::new(2)).build(Device::Cpu, 0)?;
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("model.onnx");
//! let card = Card::new(model.spec(), &["cat", "dog"]);
//! let options = Options { preprocessing: true, ..Options::default() };
//! export::save(&model, Format::Onnx, &card, options, &path)?;
//! # assert!(path.is_file());
//! # Ok::<(), seqfit::Error>(())
//! ```

mod convert_weights;
mod error;
mod fold_target_scaling;
mod format;
#[cfg(feature = "keras")]
pub(crate) mod keras;
mod keras_layout;
mod keras_paths;
mod model_card;
mod network_modules;
pub mod npy;
#[cfg(feature = "onnx")]
pub(crate) mod onnx;
pub(crate) mod pt2;
mod python_snippet;
mod safetensors;
mod state_dict;
mod torch_archive;
mod torch_pickle;
mod torchscript;

pub use error::ExportError;
pub use format::{Format, Options};
pub(crate) use keras_layout::KerasLayout;
pub(crate) use keras_paths::keras_paths;
pub use model_card::{CARD, Card, Data, Input, Training};

use std::path::Path;

use crate::atomic_files;
use crate::model::Sequential;

impl Format {
    /// Checks everything that is independent of the network: whether the format supports the options, and
    /// whether its reader accepts the file name.
    ///
    /// # Errors
    /// [`ExportError::Disabled`], [`ExportError::NoPreprocessing`], [`ExportError::FileName`].
    pub fn check(self, options: Options, path: &Path) -> Result<(), ExportError> {
        self.check_options(options)?;
        // Keras determines the format only by the file name.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match self {
            Self::Keras if !name.ends_with(self.ending()) => Err(ExportError::FileName {
                format: self,
                ending: self.ending(),
                found: name.into_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn check_options(self, options: Options) -> Result<(), ExportError> {
        match self {
            _ if !Self::ALL.contains(&self) => Err(ExportError::Disabled(self)),
            Self::TorchScript | Self::Pt2 | Self::Onnx => Ok(()),
            _ if options.preprocessing => Err(ExportError::NoPreprocessing(self)),
            _ => Ok(()),
        }
    }
}

/// Returns the bytes of an exported file. Its card is `card`, adapted to `options`. The same network, card
/// and options give the same bytes.
///
/// # Errors
/// A format whose cargo feature is not enabled; a card of another network; weights that are not finite, or with `half` exceed the range of f16; a network
/// that the format cannot hold.
pub fn encode(
    model: &Sequential,
    format: Format,
    card: &Card,
    options: Options,
) -> Result<Vec<u8>, ExportError> {
    format.check_options(options)?;
    let mut card = prepared(model, card, options)?;
    let folded = fold_target_scaling::folded(model)?;
    let model = folded.as_ref().unwrap_or(model);
    card.network.target_scaling = None;
    let card = &card;
    match format {
        Format::TorchScript => torchscript::encode(model, card, options),
        Format::Pt2 => pt2::encode(model, card, options),
        #[cfg(feature = "onnx")]
        Format::Onnx => onnx::encode(model, card, options),
        Format::StateDict => state_dict::encode(model, card, options),
        Format::Safetensors => safetensors::encode(model, card, options),
        #[cfg(feature = "keras")]
        Format::Keras => keras::encode(model, card, options),
        #[cfg(not(all(feature = "keras", feature = "onnx")))]
        _ => Err(ExportError::Disabled(format)),
    }
}

/// Writes `model` to `path`, replacing an existing file.
///
/// # Errors
/// Those of [`encode`] and [`Format::check`], or a file that cannot be written. No partial file remains.
pub fn save(
    model: &Sequential,
    format: Format,
    card: &Card,
    options: Options,
    path: &Path,
) -> Result<(), ExportError> {
    format.check(options, path)?;
    Ok(atomic_files::write(path, &encode(model, format, card, options)?)?)
}

/// Returns the lines of Python that load the file at `path`, exported with `card` and `options`, and run the
/// network on `images`, a NumPy array.
///
/// # Errors
/// A format whose cargo feature is not enabled, or a network whose description is invalid.
pub fn python(
    format: Format,
    card: &Card,
    options: Options,
    path: &str,
) -> Result<String, ExportError> {
    let card = card.clone().with_options(options);
    Ok(match format {
        Format::TorchScript => torchscript::python(&card, path),
        Format::Pt2 => pt2::python(&card, path),
        Format::StateDict => state_dict::python(&card, path)?,
        Format::Safetensors => safetensors::python(&card, path)?,
        #[cfg(feature = "onnx")]
        Format::Onnx => onnx::python(&card, path),
        #[cfg(feature = "keras")]
        Format::Keras => keras::python(&card, path)?,
        #[cfg(not(all(feature = "keras", feature = "onnx")))]
        _ => return Err(ExportError::Disabled(format)),
    })
}

fn prepared(model: &Sequential, card: &Card, options: Options) -> Result<Card, ExportError> {
    let (outputs, names) = (model.outputs(), card.classes.len());
    if !model.spec().is_named_by(names) {
        return Err(ExportError::ClassNames { outputs, names });
    }
    if card.network != *model.spec() {
        return Err(ExportError::OtherCard);
    }
    Ok(card.clone().with_options(options))
}

impl Sequential {
    /// Writes the network as TorchScript, for `torch.jit.load`; [`save`] writes the other formats.
    ///
    /// # Errors
    /// Those of [`save`].
    pub fn export(
        &self,
        path: impl AsRef<Path>,
        classes: &[impl AsRef<str>],
    ) -> Result<(), ExportError> {
        let card = Card::new(self.spec(), classes);
        save(self, Format::TorchScript, &card, Options::default(), path.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::layers::{Dense, Dropout, Flatten};

    fn model() -> Result<Sequential, crate::ModelError> {
        let builder =
            Sequential::new([2, 3]).add(Flatten).add(Dense::new(4)).add(Dropout::new(0.5));
        builder.add(Dense::new(2)).build(Device::Cpu, 0)
    }

    fn able(format: Format, options: Options) -> bool {
        !options.preprocessing || matches!(format, Format::TorchScript | Format::Pt2 | Format::Onnx)
    }

    fn all_options() -> impl Iterator<Item = Options> {
        [(false, false), (true, false), (false, true), (true, true)]
            .into_iter()
            .map(|(preprocessing, half)| Options { preprocessing, half })
    }

    #[test]
    fn the_same_network_gives_the_same_bytes() -> Result<(), Box<dyn std::error::Error>> {
        let card = Card::new(model()?.spec(), &["a", "b"]);
        for format in Format::ALL.iter().copied() {
            for options in all_options().filter(|&options| able(format, options)) {
                let bytes = encode(&model()?, format, &card, options)?;
                assert!(bytes == encode(&model()?, format, &card, options)?, "{format:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn formats_that_are_not_compiled_name_their_cargo_feature()
    -> Result<(), Box<dyn std::error::Error>> {
        let card = Card::new(model()?.spec(), &["a", "b"]);
        for (format, feature) in [(Format::Onnx, "onnx"), (Format::Keras, "keras")] {
            let bytes = encode(&model()?, format, &card, Options::default());
            let python = python(format, &card, Options::default(), "m").map(String::into_bytes);
            for result in [bytes, python] {
                let error = result.err().map(|error| error.to_string());
                let named = error.as_ref().is_some_and(|error| {
                    error.contains(&format!(
                        "cargo feature {feature:?}, which writes {feature} files"
                    ))
                });
                assert_eq!(named, !Format::ALL.contains(&format), "{error:?}");
                assert_eq!(named, error.is_some(), "{error:?}");
            }
        }
        assert_eq!(Format::ALL.contains(&Format::Onnx), cfg!(feature = "onnx"));
        assert_eq!(Format::ALL.contains(&Format::Keras), cfg!(feature = "keras"));
        Ok(())
    }

    #[test]
    fn failed_export_leaves_no_file() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let card = Card::new(model()?.spec(), &["a", "b"]);
        let few = Card { classes: vec!["a".to_owned()], ..card.clone() };
        let other = Card::new(
            Sequential::new([6]).add(Dense::new(2)).build(Device::Cpu, 0)?.spec(),
            &["a", "b"],
        );
        let filled = |number: f64| -> Result<Sequential, crate::ModelError> {
            let model = model()?;
            let mut weight = model.tensors()[2].shallow_clone();
            let _ = tch::no_grad(|| weight.fill_(number));
            Ok(model)
        };
        for format in Format::ALL.iter().copied() {
            let path = folder.path().join(format!("m{}", format.ending()));
            let missing = folder.path().join(format!("none/m{}", format.ending()));
            for options in all_options() {
                let half = if options.half { "as f16, found 70000" } else { "" };
                let cases = [
                    (model()?, &few, &path, "2 classes, found 1"),
                    (model()?, &other, &path, "another network"),
                    (filled(f64::NAN)?, &card, &path, "\"3.weight\" holds NaN"),
                    (filled(f64::INFINITY)?, &card, &path, "\"3.weight\" holds NaN"),
                    (filled(7e4)?, &card, if options.half { &path } else { &missing }, half),
                    (model()?, &card, &missing, "its folder does not exist"),
                ];
                for (model, card, path, expected) in cases {
                    let error =
                        save(&model, format, card, options, path).map_err(|e| e.to_string());
                    let expected =
                        if able(format, options) { expected } else { "no preprocessing" };
                    let message = error.err().unwrap_or_default();
                    assert!(
                        !message.is_empty() && message.contains(expected),
                        "{format:?}: {message:?}"
                    );
                }
            }
        }
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
        let path = folder.path().join("weights.hdf5");
        let error = save(&model()?, Format::Keras, &card, Options::default(), &path);
        let found = if cfg!(feature = "keras") { "must end in \".weights.h5\"" } else { "keras" };
        assert!(error.is_err_and(|e| e.to_string().contains(found)));
        Ok(())
    }
}
