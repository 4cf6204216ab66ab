//! The buffers that ranks exchange: gradients, and after them the sums and rank 0's message.

use tch::{Kind, Tensor};

use super::engine::{Gradients, InputKind};
use crate::group::Group;
use crate::model::Sequential;
use crate::native::{LibtorchError, reserved};

/// Numbers after the gradients: the loss, the correct predictions, rank 0's message and its learning
/// rate.
pub(super) const TRAILER: usize = 3 + RATE_PARTS;

/// Numbers of a learning rate: each holds 16 of its 64 bits, since an f32 has no room for more.
pub(super) const RATE_PARTS: usize = 4;

/// The buffers that ranks exchange. They are allocated before the first step, one for each microbatch
/// that is added to another.
#[derive(Default)]
pub(super) struct ExchangeBuffers {
    /// The gradients, unless they are `there`, and the trailer.
    pub list: Vec<f32>,
    /// The gradients in a GPU's memory, if the ranks exchange them from there.
    pub there: Option<Tensor>,
    /// Lists like `list`, for microbatches.
    pub spare: Vec<Vec<f32>>,
}

impl ExchangeBuffers {
    pub fn new(
        group: &dyn Group,
        model: &Sequential,
        kind: InputKind,
    ) -> Result<Self, LibtorchError> {
        // Buffers travel after the gradients.
        let parameters: usize = model.variables().map(|(_, tensor)| tensor.numel()).sum();
        let device = model.device();
        // An engine that builds its batches itself computes on the host.
        let there = match kind != InputKind::Chosen && group.is_device_aware(device) {
            true => Some(Tensor::f_zeros([parameters as i64], (Kind::Float, device))?),
            false => None,
        };
        let gradients = if there.is_some() { 0 } else { parameters };
        Ok(Self { list: list(gradients + TRAILER)?, there, spare: Vec::new() })
    }

    pub fn gradients(&mut self) -> Gradients<'_> {
        let length = self.list.len() - TRAILER;
        match &self.there {
            Some(there) => Gradients::Device(there),
            None => Gradients::Host(&mut self.list[..length]),
        }
    }
}

/// Returns a list of zeros.
pub(super) fn list(length: usize) -> Result<Vec<f32>, LibtorchError> {
    let mut list = reserved(length).map_err(LibtorchError::memory)?;
    list.resize(length, 0.0);
    Ok(list)
}
