//! Predictions: for every sample of a data set, and for images.

use tch::Tensor;

use super::batched_forward::BATCH;
use super::check_fit::{check_fit, check_shape};
use super::error::EvaluateError;
use crate::data::batches::{self, DataLoader};
use crate::data::{Dataset, TargetKind};
use crate::losses;
use crate::model::Sequential;
use crate::native::LibtorchError;

impl Sequential {
    /// Returns the logits of every sample in order: f32 [samples, classes] on the CPU.
    ///
    /// # Errors
    /// Like [`evaluate`](Self::evaluate).
    pub fn logits_of(&self, dataset: &Dataset) -> Result<Tensor, EvaluateError> {
        self.for_all(dataset, |logits| Ok(logits.shallow_clone()))
    }

    /// Returns the prediction for every sample in order, as [`predict`](Self::predict) returns it: f32 [samples,
    /// outputs] on the CPU.
    ///
    /// # Errors
    /// Like [`evaluate`](Self::evaluate).
    pub fn predictions_of(&self, dataset: &Dataset) -> Result<Tensor, EvaluateError> {
        self.for_all(dataset, |logits| self.prediction_of(logits))
    }

    /// Returns what `of` makes of the logits of all samples.
    fn for_all(
        &self,
        dataset: &Dataset,
        of: impl Fn(&Tensor) -> Result<Tensor, LibtorchError>,
    ) -> Result<Tensor, EvaluateError> {
        let _no_grad = tch::no_grad_guard();
        check_fit(self, dataset)?;
        let feed = DataLoader::new(dataset, self.device())?;
        let mut parts = Vec::new();
        self.for_each_batch(&feed, |logits, _| {
            parts.push(of(logits)?.f_to_device(tch::Device::Cpu)?);
            Ok(())
        })?;
        Ok(Tensor::f_cat(&parts, 0).map_err(LibtorchError::from)?)
    }

    /// Checks that the outputs are probabilities of `classes` classes that exclude each other, for `user`, the
    /// subject of the error.
    ///
    /// # Errors
    /// [`EvaluateError::NoClasses`].
    pub fn require_classes(&self, user: &'static str, classes: usize) -> Result<(), EvaluateError> {
        match losses::target_kind(self.spec(), classes) {
            TargetKind::Class => Ok(()),
            _ => Err(EvaluateError::NoClasses { user, found: self.spec().output }),
        }
    }

    /// Returns the size of the images that the network takes: [height, width].
    ///
    /// # Errors
    /// A network that does not take images.
    pub fn image_shape(&self) -> Result<[usize; 2], EvaluateError> {
        match self.spec().input_shape[..] {
            [height, width] => Ok([height, width]),
            ref other => Err(EvaluateError::NoImages(other.to_vec())),
        }
    }

    /// Returns the probabilities of each class for u8 images of `shape` ([height, width]), which are stored
    /// consecutively in `pixels`.
    ///
    /// # Errors
    /// Images of another shape than the network takes, pixels that do not form whole images, or libtorch's
    /// own errors.
    pub fn predict_images(
        &self,
        pixels: &[u8],
        shape: [usize; 2],
    ) -> Result<Vec<Vec<f32>>, EvaluateError> {
        check_shape(self, &shape)?;
        let outputs = self.outputs();
        let image = shape[0] * shape[1];
        if !pixels.len().is_multiple_of(image) {
            return Err(EvaluateError::Pixels { found: pixels.len(), shape });
        }
        let mut all = Vec::with_capacity(pixels.len() / image);
        for part in pixels.chunks(BATCH * image) {
            let images = batches::scaled(part.chunks_exact(image), shape)?;
            let images = images.f_to_device(self.device()).map_err(LibtorchError::from)?;
            let shares = self.predict(&images)?;
            let mut flat = vec![0f32; shares.numel()];
            shares
                .f_to_device(tch::Device::Cpu)
                .and_then(|shares| shares.f_copy_data(&mut flat, shares.numel()))
                .map_err(LibtorchError::from)?;
            all.extend(flat.chunks_exact(outputs).map(<[f32]>::to_vec));
        }
        Ok(all)
    }
}
