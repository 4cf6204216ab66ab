//! The loss that a file names and this program does not define.

use std::collections::BTreeMap;

use serde::de::{Error, MapAccess};
use tch::Tensor;

use super::loss_kind::{LossKind, RowLoss, RowTarget};
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// The key of the settings of a user's own loss, beside its name.
pub(super) const SETTINGS: &str = "settings";

/// The name and settings of a loss that only the program that wrote the file defines, so that its runs can be read.
/// `Loss::check` refuses it before it would be computed.
#[derive(Clone, Debug)]
pub(super) struct UndefinedLoss {
    name: String,
    settings: BTreeMap<String, f64>,
}

impl UndefinedLoss {
    /// Reads the name, whose key was read already, and the settings that may follow.
    pub(super) fn read<'de, M: MapAccess<'de>>(map: &mut M) -> Result<Self, M::Error> {
        let name = map.next_value()?;
        let settings = match map.next_key::<String>()?.as_deref() {
            None => BTreeMap::new(),
            Some(SETTINGS) => map.next_value()?,
            Some(other) => {
                let rule = "a custom loss has a name and settings, found the key";
                return Err(M::Error::custom(format!("{rule} {other:?}")));
            }
        };
        Ok(Self { name, settings })
    }
}

impl LossKind for UndefinedLoss {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self) -> BTreeMap<String, f64> {
        self.settings.clone()
    }

    fn outputs_for(&self, _: TargetKind, _: usize) -> Option<usize> {
        None
    }

    fn output_activation(&self) -> OutputActivation {
        OutputActivation::default()
    }

    fn values(&self, _: &Tensor, _: &Tensor) -> Result<Tensor, LibtorchError> {
        Err(LibtorchError::other(&format!("the loss {} is not defined here", self.name)))
    }

    // Whether its targets can be smoothed, and whether it has values by rows, is not known here: a config that was
    // accepted once must be accepted again.
    fn smoothed(&self, _: f64) -> Option<Box<dyn LossKind>> {
        Some(Box::new(self.clone()))
    }

    fn rows(&self) -> Option<&dyn RowLoss> {
        Some(self)
    }
}

impl RowLoss for UndefinedLoss {
    fn row(&self, _: &[f32], _: RowTarget, _: &mut [f32]) -> f64 {
        f64::NAN
    }
}
