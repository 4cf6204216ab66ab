//! Predictions: for every sample of a data set, and for samples without targets.

use tch::Tensor;

use super::batched_forward::BATCH;
use super::check_fit::{check_fit, check_shape};
use super::error::EvaluateError;
use crate::data::batches::{self, DataLoader};
use crate::data::{DataError, Dataset, Features, PictureShape};
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

    /// Returns the shape of the pictures that the network takes, gray or in color.
    ///
    /// # Errors
    /// A network that takes other samples.
    pub fn picture_shape(&self) -> Result<PictureShape, EvaluateError> {
        let shape = &self.spec().input_shape;
        PictureShape::of(shape).ok_or_else(|| EvaluateError::NoImages(shape.clone()))
    }

    /// Returns the prediction for each sample, as [`predict`](Self::predict) returns it: the probability of each class
    /// or label, or numbers in their own units.
    ///
    /// ```
    /// use seqfit::data::Features;
    /// use seqfit::{Device, Sequential, layers::Dense};
    ///
    /// let model = Sequential::new([2]).add(Dense::new(3)).build(Device::Cpu, 0)?;
    /// let houses = Features::floats([6.9, 41.0, 6.2, 21.0], [2]); // two samples of two numbers
    /// let predictions = model.predict_features(&houses)?;
    /// assert_eq!((predictions.len(), predictions[0].len()), (2, 3));
    /// # Ok::<(), seqfit::Error>(())
    /// ```
    ///
    /// # Errors
    /// No samples, samples of another shape than the network takes, a number that is NaN or infinite, or libtorch's own
    /// errors.
    pub fn predict_features(&self, features: &Features) -> Result<Vec<Vec<f32>>, EvaluateError> {
        check_shape(self, features.shape())?;
        features.check().map_err(DataError::from)?;
        let (samples, outputs) = (features.len(), self.outputs());
        let mut all = Vec::with_capacity(samples);
        for start in (0..samples).step_by(BATCH) {
            let inputs = batches::inputs_of(features, start..samples.min(start + BATCH))?;
            let inputs = inputs.f_to_device(self.device()).map_err(LibtorchError::from)?;
            let predictions = self.predict(&inputs)?;
            let mut flat = vec![0f32; predictions.numel()];
            predictions
                .f_to_device(tch::Device::Cpu)
                .and_then(|predictions| predictions.f_copy_data(&mut flat, predictions.numel()))
                .map_err(LibtorchError::from)?;
            all.extend(flat.chunks_exact(outputs).map(<[f32]>::to_vec));
        }
        Ok(all)
    }

    /// Returns the predictions, as [`predict_features`](Self::predict_features) does, for u8 images of `shape` ([height,
    /// width]), which are stored consecutively in `pixels`: the probabilities of each class, for example.
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
        if !pixels.len().is_multiple_of(shape[0] * shape[1]) {
            return Err(EvaluateError::Pixels { found: pixels.len(), shape });
        }
        match pixels {
            [] => Ok(Vec::new()),
            _ => self.predict_features(&Features::pixels(pixels, shape)),
        }
    }
}
