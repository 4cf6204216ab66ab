//! A function that is called after each epoch.

use super::{Callback, CallbackError, Flow, Training};
use crate::train::history::EpochRecord;

/// Returns a callback that passes the record of each epoch to `function`, like Keras's
/// `LambdaCallback(on_epoch_end=…)`.
///
/// ```
/// # use seqfit::{Device, FitConfig, Sequential, data, layers::{Dense, Flatten}};
/// use seqfit::callback::each_epoch;
///
/// # let (train, _) = data::load("digits")?;
/// # let mut model = Sequential::new([8, 8]).add(Flatten).add(Dense::new(10)).build(Device::Cpu, 0)?;
/// # let config = FitConfig { epochs: 2, ..FitConfig::default() };
/// model.fit(&train, &config, &mut [&mut each_epoch(|record| println!("{record}"))])?;
/// # Ok::<(), seqfit::Error>(())
/// ```
pub fn each_epoch<F: FnMut(&EpochRecord)>(function: F) -> EachEpoch<F> {
    EachEpoch { function }
}

/// The callback of [`each_epoch`].
#[derive(Clone, Copy, Debug)]
pub struct EachEpoch<F> {
    function: F,
}

impl<F: FnMut(&EpochRecord)> Callback for EachEpoch<F> {
    fn on_epoch_end(
        &mut self,
        _: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        (self.function)(record);
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{record, with_training};
    use super::*;

    #[test]
    fn the_function_gets_every_record() {
        let mut lines = Vec::new();
        let mut callback = each_epoch(|record| lines.push(record.to_string()));
        with_training(|training| {
            for (epoch, loss) in [(1, 0.5), (2, 0.25)] {
                callback.on_epoch_end(training, &record(epoch, loss)).unwrap();
            }
        });
        assert!(lines[0].starts_with("epoch 1  loss 0.5000"), "{lines:?}");
        assert!(lines[1].starts_with("epoch 2  loss 0.2500"), "{lines:?}");
    }
}
