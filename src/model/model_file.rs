//! A network in its own file: safetensors with the description next to the weights.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::Device;

use super::weights::WeightsError;
use super::{ModelError, Sequential, Spec, Summary};
use crate::atomic_files::{self, WriteError};
use crate::tensors;

/// The name of a network's description inside a file: an extra file, a metadata key, a data set.
pub const CARD: &str = "seqfit.json";

/// A network that cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelFileError {
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file has weights, but no description of their network.
    #[error(
        "{path} does not say which network its weights belong to: load what Sequential::save has written, or \
         import it"
    )]
    NoNetwork {
        /// The file.
        path: PathBuf,
    },
    /// The description has a layer that this program does not know, or is damaged.
    #[error("{path}: {source}")]
    Description {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
    /// The network cannot be built.
    #[error("{path}: {source}")]
    Model {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: ModelError,
    },
    /// The weights are incomplete, or do not match the network.
    #[error("{path}: {source}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: WeightsError,
    },
}

/// The metadata next to the weights.
#[derive(Serialize, Deserialize)]
struct Card {
    #[serde(default)]
    format: u32,
    #[serde(default)]
    seqfit: String,
    network: Spec,
}

impl Sequential {
    /// Writes the network to a safetensors file, whole or not at all: its weights under the names of
    /// [`variables`](Self::variables), and its description as JSON in the metadata.
    ///
    /// ```
    /// # use seqfit::{Device, Sequential, layers::Dense};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("model.safetensors");
    /// let model = Sequential::new([4]).add(Dense::new(2)).build(Device::Cpu, 0)?;
    /// model.save(&path)?;
    /// assert_eq!(Sequential::load(&path, Device::Cpu)?.spec(), model.spec());
    /// # Ok::<(), seqfit::Error>(())
    /// ```
    ///
    /// # Errors
    /// Weights that are not finite, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ModelFileError> {
        let path = path.as_ref();
        let card = Card {
            format: 1,
            seqfit: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.spec().clone(),
        };
        let card = serde_json::to_string(&card)
            .map_err(|error| WriteError::new(path, 0, io::Error::other(error)))?;
        let bytes = self.to_safetensors(HashMap::from([(CARD.to_owned(), card)]));
        let bytes =
            bytes.map_err(|source| ModelFileError::Weights { path: path.to_owned(), source })?;
        Ok(atomic_files::write(path, &bytes)?)
    }

    /// Loads the network in a file that [`save`](Self::save) wrote, on `device`.
    ///
    /// # Errors
    /// A file that is incomplete, or has no description or other weights; a device that is not available.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<Self, ModelFileError> {
        let path = path.as_ref();
        let at = |source| ModelFileError::Weights { path: path.to_owned(), source };
        let unbuilt = |source| ModelFileError::Model { path: path.to_owned(), source };
        let bytes = fs::read(path)
            .map_err(|source| ModelFileError::Read { path: path.to_owned(), source })?;
        let (weights, metadata) = tensors::decode(&bytes).map_err(|error| at(error.into()))?;
        let Some(card) = metadata.get(CARD) else {
            return Err(ModelFileError::NoNetwork { path: path.to_owned() });
        };
        let Card { network, .. } = serde_json::from_str(card)
            .map_err(|source| ModelFileError::Description { path: path.to_owned(), source })?;
        let summary = Summary::new(&network).map_err(|error| unbuilt(error.into()))?;
        // Checked before memory is allocated for a network of that size.
        let held: usize = weights.values().map(|tensor| tensor.values.len()).sum();
        if summary.parameters() > held {
            let (expected, found) = (summary.parameters(), held);
            return Err(at(WeightsError::Parameters { expected, found }));
        }
        let mut model = Self::from_spec(network, device, 0).map_err(unbuilt)?;
        model.set_weights(&weights).map_err(at)?;
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Flatten};

    #[test]
    fn a_network_round_trips_bit_for_bit() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("m.safetensors");
        let model =
            Sequential::new([2, 2]).add(Flatten).add(Dense::new(3)).build(Device::Cpu, 1)?;
        model.save(&path)?;
        let again = Sequential::load(&path, Device::Cpu)?;
        assert_eq!((again.spec(), again.weights()?), (model.spec(), model.weights()?));
        Ok(())
    }

    #[test]
    fn invalid_files_are_refused() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("m.safetensors");
        let load = || Sequential::load(&path, Device::Cpu).unwrap_err().to_string();
        assert!(load().contains("cannot be read"));
        let model = Sequential::new([2]).add(Dense::new(3)).build(Device::Cpu, 1)?;
        fs::write(&path, model.to_safetensors(HashMap::new())?)?;
        assert!(load().contains("does not say which network"));
        let large = r#"{"network":{"input_shape":[65536],"layers":[{"type":"dense","units":60000,"activation":"linear"}]}}"#;
        let metadata = HashMap::from([(CARD.to_owned(), large.to_owned())]);
        fs::write(&path, model.to_safetensors(metadata)?)?;
        assert!(load().contains("3932220000 parameters, found 9"), "{}", load());
        Ok(())
    }
}
