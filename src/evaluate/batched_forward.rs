//! The forward pass of all samples of a data set, batch by batch, in smaller batches where memory is short.

use std::ops::Range;

use tch::Tensor;

use super::error::EvaluateError;
use crate::data::batches::{DataLoader, DataLoaderError};
use crate::model::{ModelError, Sequential};
use crate::native::LibtorchError;

/// Samples per forward pass: large enough to be fast, small enough to need little memory (MNIST: 6 MB).
pub(super) const BATCH: usize = 2048;

impl Sequential {
    /// Runs all samples through the network in order, [`BATCH`] at a time, or fewer if there is not enough
    /// memory: `what` must not have had any effect when it fails.
    pub(crate) fn for_each_batch(
        &self,
        feed: &DataLoader,
        what: impl FnMut(&Tensor, &Tensor) -> Result<(), LibtorchError>,
    ) -> Result<(), EvaluateError> {
        self.for_each_batch_of(feed, 0..feed.len(), what)
    }

    /// Like [`for_each_batch`](Self::for_each_batch), restricted to some of the samples.
    pub(super) fn for_each_batch_of(
        &self,
        feed: &DataLoader,
        part: Range<usize>,
        mut what: impl FnMut(&Tensor, &Tensor) -> Result<(), LibtorchError>,
    ) -> Result<(), EvaluateError> {
        let (mut done, mut size) = (part.start, BATCH.min(part.len()));
        while done < part.end {
            for batch in feed.in_order(done..part.end, size)? {
                let batch = match batch {
                    Err(DataLoaderError::Data(error)) => return Err(error.into()),
                    Err(DataLoaderError::Libtorch(error)) => Err(ModelError::from(error)),
                    Ok(batch) => Ok(batch),
                };
                let taken = batch.and_then(|batch| {
                    what(&self.logits(&batch.inputs)?, &batch.targets)?;
                    Ok(())
                });
                match taken {
                    Ok(()) => done = feed.len().min(done + size),
                    Err(ModelError::Libtorch(error)) if error.is_out_of_memory() && size > 1 => {
                        size /= 2;
                        break;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_little_memory_batches_are_smaller() -> Result<(), Box<dyn std::error::Error>> {
        let (_, test) = crate::data::load("digits")?;
        let builder = Sequential::new(test.sample_shape()).add(crate::layers::Flatten);
        let model = builder.add(crate::layers::Dense::new(10)).build(crate::Device::Cpu, 0)?;
        let feed = DataLoader::new(&test, crate::Device::Cpu)?;
        let (mut sizes, mut seen) = (Vec::new(), Vec::new());
        model.for_each_batch(&feed, |_, labels| {
            let samples = labels.numel();
            // The memory shrinks once more on the way.
            if samples > if seen.is_empty() { 200 } else { 100 } {
                return Err(LibtorchError::memory(1));
            }
            sizes.push(samples);
            seen.extend(Vec::<i64>::try_from(labels)?);
            Ok(())
        })?;
        assert_eq!(sizes, [180, 90, 90]);
        let all: Vec<i64> = (0..test.len()).map(|i| i64::from(test.label(i))).collect();
        assert_eq!(seen, all);
        let error = model.for_each_batch(&feed, |_, _| Err(LibtorchError::memory(1)));
        assert!(error.is_err());
        Ok(())
    }
}
