//! The weights between the network's tensors and this engine's lists.

use super::CpuDense;
use crate::native::{LibtorchError, reserved};
use crate::tensors::{HostTensor, Tensors};

impl CpuDense<'_> {
    /// Copies the parameters from the model's tensors.
    pub(super) fn sync_from_model(&mut self) -> Result<(), LibtorchError> {
        let weights = self.model.weights()?;
        let mut parameters = std::mem::take(&mut self.parameters);
        self.pack(&weights, &mut parameters);
        self.parameters = parameters;
        self.stale = false;
        Ok(())
    }

    /// Copies the parameters to the model's tensors, if they have changed since.
    pub(super) fn sync_to_model(&mut self) -> Result<(), LibtorchError> {
        if !self.stale {
            return Ok(());
        }
        let weights = self.unpack(&self.parameters)?;
        for (name, tensor) in self.model.variables_mut() {
            if let Some(own) = weights.get(name) {
                own.copy_into(tensor)?;
            }
        }
        self.stale = false;
        Ok(())
    }

    /// Packs named tensors in `torch.nn.Linear`'s order into a list in this engine's order.
    pub(super) fn pack(&self, tensors: &Tensors, list: &mut [f32]) {
        let names: Vec<&str> = self.model.parameters().map(|(name, _)| name).collect();
        for (dense, names) in self.stack.units.iter().zip(names.chunks_exact(2)) {
            let (Some(weight), Some(bias)) = (tensors.get(names[0]), tensors.get(names[1])) else {
                continue;
            };
            for (first, units) in dense.blocks() {
                let all = &mut list[dense.block_start(first)..][..(dense.inputs + 1) * units];
                let (own, own_bias) = all.split_at_mut(dense.inputs * units);
                let rows = weight.values[first * dense.inputs..].chunks_exact(dense.inputs);
                for (u, row) in rows.take(units).enumerate() {
                    own[u..].iter_mut().step_by(units).zip(row).for_each(|(own, &w)| *own = w);
                }
                own_bias.copy_from_slice(&bias.values[first..][..units]);
            }
        }
    }

    /// Unpacks such a list into named tensors.
    pub(super) fn unpack(&self, list: &[f32]) -> Result<Tensors, LibtorchError> {
        let mut named = self.model.parameters().map(|(name, _)| name.to_owned());
        let mut tensors = Tensors::new();
        if list.is_empty() {
            return Ok(tensors);
        }
        for dense in &self.stack.units {
            let zeros = |count: usize| {
                let mut list = reserved(count).map_err(LibtorchError::memory)?;
                list.resize(count, 0.0);
                Ok::<Vec<f32>, LibtorchError>(list)
            };
            let mut weight = zeros(dense.inputs * dense.units)?;
            let mut bias = zeros(dense.units)?;
            for (first, units) in dense.blocks() {
                let all = &list[dense.block_start(first)..][..(dense.inputs + 1) * units];
                let (own, own_bias) = all.split_at(dense.inputs * units);
                let rows = weight[first * dense.inputs..].chunks_exact_mut(dense.inputs);
                for (u, row) in rows.take(units).enumerate() {
                    row.iter_mut()
                        .zip(own[u..].iter().step_by(units))
                        .for_each(|(w, &own)| *w = own);
                }
                bias[first..][..units].copy_from_slice(own_bias);
            }
            let shape = vec![dense.units, dense.inputs];
            tensors.extend(named.next().map(|name| (name, HostTensor::new(shape, weight))));
            let shape = vec![dense.units];
            tensors.extend(named.next().map(|name| (name, HostTensor::new(shape, bias))));
        }
        Ok(tensors)
    }
}
