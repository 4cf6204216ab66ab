//! How exactly matrices are multiplied in training.

use serde::{Deserialize, Serialize};

/// The numbers that a training step multiplies. Weights, gradients, what the optimiser remembers and the
/// loss are f32 with each of them; so is everything outside of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32: 24 bits.
    #[default]
    F32,
    /// f32 whose factors are rounded to the 11 bits of TF32 on the way into a product: for a GPU from
    /// Ampere on (`torch.set_float32_matmul_precision("high")`).
    Tf32,
    /// bfloat16, 8 bits: the layers compute in it, from copies of the f32 weights (`torch.autocast`).
    Bf16,
}

impl Precision {
    /// Its name: "f32".
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    /// Whether it is the usual one.
    pub fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}
