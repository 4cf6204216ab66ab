//! What ranks compare of a data set: its size, names and digest.

use sha2::{Digest, Sha256};

use super::Dataset;
use crate::data::error::DataError;
use crate::data::features::Sample;
use crate::data::sha256;
#[cfg(feature = "images")]
use crate::data::sha256::Sha256Hex;
use crate::data::targets::Target;
use crate::group::RankSetting;

impl Dataset {
    /// Returns the settings that
    /// [`verify_consistent_across_ranks`](crate::group::verify_consistent_across_ranks) compares between ranks:
    /// `what` describes the data set. Of a streamed one all labels are checked, and some images.
    ///
    /// # Errors
    /// A streamed data set that cannot be read.
    pub fn facts(&self, what: &str) -> Result<Vec<RankSetting>, DataError> {
        const SOME: usize = 256;
        let mut sha256 = Sha256::new();
        self.digest_targets(&mut sha256);
        if self.is_streamed() {
            for i in (0..self.len()).step_by(self.len().div_ceil(SOME).max(1)) {
                sha256.update(self.read_image(i)?);
            }
        } else {
            self.digest_samples(&mut sha256);
        }
        (0..self.len())
            .filter_map(|i| self.sample_weight(i))
            .for_each(|weight| sha256.update(weight.to_ne_bytes()));
        let size = format!("{} {}", self.len(), self.samples_in_words());
        let (kind, names) = (self.target_kind(), self.target_names().join(", "));
        Ok(vec![
            (format!("{what} (number and size)"), size),
            (format!("{what} (kind of the targets)"), kind.to_string()),
            (format!("{what} (names of the {kind})"), names),
            (format!("{what} (SHA-256)"), sha256::hex(&sha256.finalize())),
        ])
    }

    /// Returns the SHA-256 of the targets and samples, which are in memory, and of their shape.
    #[cfg(feature = "images")]
    pub(in crate::data) fn digest(&self) -> Sha256Hex {
        let mut sha256 = Sha256::new();
        self.sample_shape().iter().for_each(|&size| sha256.update((size as u64).to_le_bytes()));
        self.digest_targets(&mut sha256);
        self.digest_samples(&mut sha256);
        sha256::hex(&sha256.finalize())
    }

    fn digest_targets(&self, sha256: &mut Sha256) {
        (0..self.len()).for_each(|i| match self.target(i) {
            Target::Class(label) => sha256.update([label]),
            Target::Labels(values) => sha256.update(values),
            Target::Numbers(values) => sha256.update(bytemuck::cast_slice(values)),
        });
    }

    fn digest_samples(&self, sha256: &mut Sha256) {
        (0..self.len()).for_each(|i| match self.sample(i) {
            Sample::Pixels(pixels) => sha256.update(pixels),
            Sample::Floats(values) => sha256.update(bytemuck::cast_slice(values)),
        });
    }
}
