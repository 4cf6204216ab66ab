//! The weights between the network's tensors and this engine's lists.

use super::CpuDense;
use super::lists::split_off;
use crate::native::{LibtorchError, reserved};
use crate::tensors::{HostTensor, Tensors};

impl CpuDense<'_> {
    /// Copies the parameters from the model's tensors.
    pub(super) fn sync_from_model(&mut self) -> Result<(), LibtorchError> {
        let weights = self.model.weights()?;
        let mut parameters = std::mem::take(&mut self.parameters);
        self.pack(&weights, &mut parameters);
        self.parameters = parameters;
        let names = self.model.buffers().filter_map(|(name, _)| weights.get(name));
        let mut buffers = self.pictures.iter_mut().flat_map(|pictures| &mut pictures.buffers);
        for tensor in names {
            tensor.values.iter().zip(&mut buffers).for_each(|(&value, own)| *own = value);
        }
        self.stale = false;
        Ok(())
    }

    /// Copies the parameters to the model's tensors, if they have changed since.
    pub(super) fn sync_to_model(&mut self) -> Result<(), LibtorchError> {
        if !self.stale {
            return Ok(());
        }
        let mut weights = self.unpack(&self.parameters)?;
        weights.extend(self.buffers());
        for (name, tensor) in self.model.variables_mut() {
            if let Some(own) = weights.get(name) {
                own.copy_into(tensor)?;
            }
        }
        self.stale = false;
        Ok(())
    }

    /// Returns copies of the buffers by their names.
    pub(super) fn buffers(&self) -> Tensors {
        let mut rest = self.pictures.as_ref().map_or(&[][..], |pictures| &pictures.buffers[..]);
        let named = self.model.buffers().map(|(name, tensor)| {
            let (own, others) = rest.split_at(tensor.numel().min(rest.len()));
            rest = others;
            (name.to_owned(), HostTensor::new(crate::tensors::shape(tensor), own.to_vec()))
        });
        named.collect()
    }

    /// Packs named tensors in PyTorch's order into a list in this engine's order. That of layers on pictures is the
    /// same.
    pub(super) fn pack(&self, tensors: &Tensors, list: &mut [f32]) {
        let names: Vec<&str> = self.model.parameters().map(|(name, _)| name).collect();
        let (before, names) = names.split_at(names.len() - 2 * self.stack.units.len());
        let mut place = &mut *list;
        for tensor in before.iter().filter_map(|&name| tensors.get(name)) {
            split_off(&mut place, tensor.values.len()).copy_from_slice(&tensor.values);
        }
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
        let mut parameters = self.model.parameters();
        let mut tensors = Tensors::new();
        if list.is_empty() {
            return Ok(tensors);
        }
        let before = parameters.len() - 2 * self.stack.units.len();
        let mut rest = list;
        for (name, tensor) in parameters.by_ref().take(before) {
            let (own, others) = rest.split_at(tensor.numel());
            rest = others;
            let tensor = HostTensor::new(crate::tensors::shape(tensor), own.to_vec());
            tensors.insert(name.to_owned(), tensor);
        }
        let mut named = parameters.map(|(name, _)| name.to_owned());
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
