//! The data sets that a training run uses.

use crate::data::Dataset;

/// The data to train on: `&train`, or `(&train, &validation)`.
#[derive(Clone, Copy, Debug)]
pub struct FitData<'a> {
    pub(super) train: &'a Dataset,
    pub(super) validation: Option<&'a Dataset>,
}

impl<'a> From<&'a Dataset> for FitData<'a> {
    fn from(train: &'a Dataset) -> Self {
        Self { train, validation: None }
    }
}

impl<'a> From<(&'a Dataset, &'a Dataset)> for FitData<'a> {
    fn from((train, validation): (&'a Dataset, &'a Dataset)) -> Self {
        Self { train, validation: Some(validation) }
    }
}
