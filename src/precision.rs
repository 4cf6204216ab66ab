//! The precision of matrix products in training.

use serde::{Deserialize, Serialize};

/// The number format of a training step's products. Weights, gradients, optimizer state and the loss are f32
/// in each case, and so is everything outside of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32: 24 bits.
    #[default]
    F32,
    /// f32 whose inputs are rounded to the 11 bits of TF32 for products: for GPUs from Ampere on
    /// (`torch.set_float32_matmul_precision("high")`).
    Tf32,
    /// bfloat16, 8 bits: the layers compute in it, from copies of the f32 weights (`torch.autocast`).
    Bf16,
}

impl Precision {
    /// Returns its name: "f32".
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    /// Returns whether it is f32, the default.
    pub fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}
