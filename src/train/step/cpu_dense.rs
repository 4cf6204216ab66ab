//! Handwritten training steps for stacks of Dense layers on the CPU: forward, loss, backward and
//! optimizer over plain lists of numbers that are allocated once.
//!
//! Autograd takes some fifty calls into libtorch for a step, each with its own tensors. Here a step is a
//! few parallel regions that a team of threads shares. In those of the first half each thread takes rows
//! of the batch from the pixels to the gradients of the layers' outputs; in the last each takes tiles of
//! the weights from their gradient to their new values. A layer with many weights is split into blocks of
//! units, and its products are a separate parallel region: the same thread tends to read a block and to
//! update it, so that it stays in that processor's cache. The work plan depends on the sizes alone, so
//! the number of threads changes no bit of the result.
//!
//! Before a wide first layer the columns of the input that are zero in the whole batch are left out,
//! since most images have margins: see [`ActiveColumns`].
//!
//! The weights of a block are stored as [inputs, units], with the biases after them as one more row. This
//! is the order in which both products of a step read them. `torch.nn.Linear`'s [units, inputs] is built
//! only when the weights are read.

mod dense_stack;
mod first_layer_input;
mod forward_backward;
mod lists;
mod network;
mod optimizers;
mod pack_weights;
mod pictures;
mod targets;
mod vector_loops;
mod weight_update;
mod work_plan;

use super::engine::{BatchPart, Engine, Gradients, Input, InputKind, StepContext};
use super::weighted_loss::Objective;
use crate::config_error::{ConfigError, Unsupported};
use crate::data::batches::{ActiveColumns, HostBatches, Scratch};
use crate::device::{self, Device};
use crate::f32_range::first_not_finite;
use crate::model::{ModelError, Sequential, Spec, WeightsError};
use crate::native::aligned_memory::AlignedFloats;
use crate::native::thread_pool::Team;
use crate::native::{LibtorchError, reserved};
use crate::tensors::Tensors;
use crate::train::config::FitConfig;
use crate::train::snapshot::{Snapshot, Sums};
pub(super) use dense_stack::{Curve, Mlp};
use lists::zeros;
use network::Network;
use pictures::Pictures;
use targets::BatchTargets;
use work_plan::{WorkPlan, useful_threads};

/// The engine's name in settings.
const NAME: &str = "fused";

/// Checks that this engine can train such a network with these settings.
pub(super) fn accepts(
    network: &Spec,
    config: &FitConfig,
    device: Device,
) -> Result<(), Unsupported> {
    let rule = "auto or autograd here (fused takes Dense layers, and convolutions before them, on the CPU)";
    if device != Device::Cpu {
        return Err(Unsupported::engine(NAME, rule));
    }
    if let Err(layer) = Network::of(network) {
        return ConfigError::unless(false, "engine", rule, format!("{NAME} with {layer}"));
    }
    if config.loss.kind().rows().is_none() {
        let loss = config.loss.name();
        let rule = format!("auto or autograd with the loss {loss}, which has no values by rows");
        return Err(Unsupported::engine(NAME, rule));
    }
    let rule = "f32 with the fused engine: use autograd";
    ConfigError::unless(config.precision.is_f32(), "precision", rule, config.precision.name())
}

/// Trains a stack of Dense layers, with or without layers on pictures before them, on the CPU.
pub(super) struct CpuDense<'m> {
    model: &'m mut Sequential,
    /// Whether the model's tensors are older than the parameters.
    stale: bool,
    stack: Mlp,
    /// The layers before the Dense layers, if there are any.
    pictures: Option<Pictures>,
    parameters: AlignedFloats,
    /// Empty unless their norm is clipped.
    gradients: AlignedFloats,
    moments: [AlignedFloats; 2],
    /// The decay of the weights' moving average, and the average, which is empty before the first step.
    ema: Option<(f64, AlignedFloats)>,
    objective: Objective,
    clip_norm: Option<f64>,
    rows: Activations,
    /// One zero for each weight of a task: the gradient of weights whose columns are not active.
    blank: AlignedFloats,
    cut: WorkPlan,
    team: Team,
    totals: Sums,
}

/// The intermediate values of a batch, one row for each sample.
struct Activations {
    /// [batch, inputs], after the first Dropout; before a wide layer only its active `columns`, packed at
    /// the front.
    input: AlignedFloats,
    /// Its gradient, if there are layers before it.
    input_gradient: AlignedFloats,
    /// The active columns of the input.
    columns: ActiveColumns,
    /// The columns that each task has found active.
    marks: Vec<u8>,
    /// A wide first layer's weights of the active columns, block by block.
    weights: AlignedFloats,
    layers: Vec<LayerActivations>,
    targets: BatchTargets,
    /// The scratch space of augmentation, for each task.
    scratch: Vec<Scratch>,
}

struct LayerActivations {
    /// The products of a wide layer, [batch, units] for each block; empty for narrow layers.
    products: AlignedFloats,
    /// Outputs after activation and Dropout, [batch, units].
    outputs: AlignedFloats,
    /// Their derivatives with respect to the activation's input.
    slopes: AlignedFloats,
    /// The gradient of the loss with respect to the activation's input.
    gradients: AlignedFloats,
    /// The masks of the Dropout before the layer, 0 or 1; empty without one.
    mask: AlignedFloats,
    /// The weights of a wide layer as [units, inputs], for the gradients of its input; empty where these are not needed.
    transposed: AlignedFloats,
}

impl<'m> CpuDense<'m> {
    /// Returns an engine for what [`accepts`] accepts, and steps of at most `batch` samples.
    pub fn new(
        model: &'m mut Sequential,
        config: &FitConfig,
        objective: Objective,
        batch: usize,
    ) -> Result<Self, LibtorchError> {
        let Ok(Network { pictures, dense: mlp }) = Network::of(model.spec()) else {
            unreachable!("this engine is chosen for networks that it accepts");
        };
        let plan = WorkPlan::new(pictures.as_ref(), &mlp, batch);
        let pictures = pictures.map(|stack| Pictures::new(stack, batch)).transpose()?;
        let threads = config.threads.unwrap_or_else(device::all_threads);
        let useful = useful_threads(&mlp, &plan, batch);
        // A sample of pictures is work enough for a thread.
        let useful = if pictures.is_some() { batch.max(useful) } else { useful };
        let threads = threads.min(useful);
        let team = Team::new(threads).map_err(|error| LibtorchError::thread(&error))?;
        let length = mlp.len();
        let [first, second] = config.optimizer.state_slots();
        let list = |needed: bool| zeros(if needed { length } else { 0 });
        let mut layers = Vec::new();
        for (i, (dense, dropout)) in mlp.units.iter().zip(mlp.dropouts()).enumerate() {
            let is_transposed = dense.is_wide() && (i > 0 || pictures.is_some());
            let outputs = batch.saturating_mul(dense.units);
            layers.push(LayerActivations {
                products: zeros(if dense.is_wide() { outputs } else { 0 })?,
                outputs: zeros(outputs)?,
                slopes: zeros(outputs)?,
                gradients: zeros(outputs)?,
                mask: zeros(if dropout.is_some() { batch * dense.inputs } else { 0 })?,
                transposed: zeros(if is_transposed { dense.inputs * dense.units } else { 0 })?,
            });
        }
        let tasks = batch.div_ceil(plan.samples);
        let mut scratch = Vec::new();
        scratch.resize_with(tasks, Scratch::default);
        // Columns that are zero in all samples are those of the samples themselves.
        let wide = mlp.units.first().filter(|dense| dense.is_wide() && pictures.is_none());
        let mut marks = reserved(tasks.saturating_mul(wide.map_or(0, |dense| dense.inputs)))
            .map_err(LibtorchError::memory)?;
        marks.resize(marks.capacity(), 0);
        let each = objective.targets_per_sample();
        let is_weighted = objective.is_weighted || objective.is_mixed;
        let targets = BatchTargets::new(batch, each, objective.values, is_weighted);
        let mut engine = Self {
            stale: false,
            parameters: zeros(length)?,
            gradients: list(config.clip_norm.is_some())?,
            moments: [list(first)?, list(second)?],
            ema: match config.ema {
                None => None,
                Some(decay) => Some((
                    decay,
                    AlignedFloats::with_capacity(length).map_err(LibtorchError::memory)?,
                )),
            },
            objective,
            clip_norm: config.clip_norm,
            rows: Activations {
                input: zeros(batch.saturating_mul(mlp.inputs))?,
                input_gradient: zeros(match &pictures {
                    Some(_) => batch.saturating_mul(mlp.inputs),
                    None => 0,
                })?,
                columns: ActiveColumns::all(mlp.inputs),
                marks,
                weights: zeros(wide.map_or(0, |dense| dense.inputs * dense.units))?,
                layers,
                targets,
                scratch,
            },
            blank: zeros(
                plan.parts.iter().map(|part| part.rows.1 * part.block.1).max().unwrap_or(0),
            )?,
            pictures,
            cut: plan,
            team,
            totals: Sums::default(),
            stack: mlp,
            model,
        };
        engine.sync_from_model()?;
        Ok(engine)
    }

    /// Runs forward to the loss and back to the gradients of all layers' outputs, and adds up the metric
    /// sums.
    fn pass(
        &mut self,
        host_batches: HostBatches,
        chosen: &[u32],
        part: BatchPart,
        context: StepContext,
    ) {
        let samples = chosen.len();
        self.draw_masks(context, part, samples);
        self.gather(host_batches, chosen);
        self.pictures_forward(samples);
        for group in self.cut.groups.clone() {
            if self.stack.units[group.start].is_wide() {
                self.products(group.start, samples);
            }
            self.rows(&group, samples, part.batch);
        }
        self.pictures_backward(samples);
        self.totals.samples += samples;
    }
}

/// Returns the list in host memory, since this engine runs on the CPU.
fn on_host(gradients: Gradients<'_>) -> &mut [f32] {
    match gradients {
        Gradients::Host(list) => list,
        Gradients::Device(_) => unreachable!("a list on a device is for engines that take batches"),
    }
}

impl Engine for CpuDense<'_> {
    fn input_kind(&self) -> InputKind {
        InputKind::Chosen
    }

    fn run(&mut self, input: &Input, context: StepContext) -> Result<(), ModelError> {
        let Some((host_batches, chosen)) = input.chosen() else {
            unreachable!("an engine gets the kind of input that it takes");
        };
        self.stale = true;
        let samples = chosen.len();
        self.pass(host_batches, chosen, BatchPart { first: 0, batch: samples }, context);
        self.apply_gradients(samples, context);
        Ok(())
    }

    fn gradients(
        &mut self,
        input: &Input,
        part: BatchPart,
        context: StepContext,
        gradients: Gradients,
    ) -> Result<Sums, ModelError> {
        let gradients = on_host(gradients);
        let Some((host_batches, chosen)) = input.chosen() else {
            unreachable!("an engine gets the kind of input that it takes");
        };
        if chosen.is_empty() {
            gradients.fill(0.0);
            return Ok(Sums::default());
        }
        let earlier = std::mem::take(&mut self.totals);
        let buffers = self.pictures.as_ref().map(|pictures| pictures.buffers.clone());
        self.pass(host_batches, chosen, part, context);
        let sums = std::mem::replace(&mut self.totals, earlier);
        let (gradients, own_buffers) = gradients.split_at_mut(self.stack.len());
        self.write_gradients(chosen.len(), gradients);
        // Every part begins with the buffers before the step; those after it are the mean over the parts.
        if let (Some(pictures), Some(buffers)) = (&mut self.pictures, buffers) {
            let fraction = chosen.len() as f32 / part.batch as f32;
            let own = own_buffers.iter_mut().zip(&pictures.buffers);
            own.for_each(|(own, buffer)| *own = fraction * buffer);
            pictures.buffers = buffers;
        }
        Ok(sums)
    }

    fn update(
        &mut self,
        gradients: Gradients,
        context: StepContext,
        sums: Sums,
    ) -> Result<(), ModelError> {
        self.stale = true;
        let (gradients, buffers) = on_host(gradients).split_at_mut(self.stack.len());
        self.apply_reduced_gradients(gradients, context);
        if let Some(pictures) = &mut self.pictures {
            pictures.buffers.copy_from_slice(buffers);
        }
        self.totals.loss += sums.loss;
        self.totals.correct += sums.correct;
        self.totals.samples += sums.samples;
        Ok(())
    }

    fn model(&mut self) -> Result<&Sequential, LibtorchError> {
        self.sync_to_model()?;
        Ok(self.model)
    }

    fn weights(&mut self) -> Result<Tensors, LibtorchError> {
        let mut weights = self.unpack(&self.parameters)?;
        weights.extend(self.buffers());
        Ok(weights)
    }

    fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        self.model.set_weights(weights)?;
        Ok(self.sync_from_model()?)
    }

    fn swap_ema_weights(&mut self) -> Result<(), LibtorchError> {
        if let Some((_, average)) = self.ema.as_mut().filter(|(_, average)| !average.is_empty()) {
            std::mem::swap(&mut self.parameters, average);
            self.stale = true;
        }
        Ok(())
    }

    fn average(&mut self) -> Result<Tensors, LibtorchError> {
        self.unpack(self.ema.as_ref().map_or(&[], |(_, average)| &average[..]))
    }

    fn moments(&mut self) -> Result<[Tensors; 2], LibtorchError> {
        let [first, second] = &self.moments;
        Ok([self.unpack(first)?, self.unpack(second)?])
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        let Snapshot { weights, average, moments, .. } = snapshot;
        self.set_weights(weights)?;
        if let Some((decay, mut own)) = self.ema.take() {
            // Its allocation is kept.
            own.resize(0);
            if !average.is_empty() {
                own.resize(self.stack.len());
                self.pack(average, &mut own);
            }
            self.ema = Some((decay, own));
        }
        let mut own = std::mem::take(&mut self.moments);
        own.iter_mut().zip(moments).for_each(|(own, saved)| self.pack(saved, own));
        self.moments = own;
        Ok(())
    }

    fn not_finite(&mut self) -> Result<Option<(&'static str, f64)>, LibtorchError> {
        let average = self.ema.as_ref().map_or(&[][..], |(_, average)| &average[..]);
        let [first, second] = &self.moments;
        let buffers = self.pictures.as_ref().map_or(&[][..], |pictures| &pictures.buffers);
        let lists = [
            ("weights", &self.parameters[..]),
            ("weights", buffers),
            ("weights' average", average),
            ("optimizer state", &first[..]),
            ("optimizer state", &second[..]),
        ];
        Ok(lists.into_iter().find_map(|(what, list)| {
            let position = first_not_finite(list)?;
            Some((what, f64::from(list[position])))
        }))
    }

    fn sums(&mut self) -> Result<Sums, LibtorchError> {
        Ok(self.totals)
    }

    fn set_sums(&mut self, sums: Sums) -> Result<(), LibtorchError> {
        self.totals = sums;
        Ok(())
    }

    fn finite_steps(&mut self) -> Result<Option<usize>, LibtorchError> {
        Ok(None)
    }
}

impl Drop for CpuDense<'_> {
    fn drop(&mut self) {
        // However training ends, the network gets the weights of the last step.
        let _ = self.sync_to_model();
    }
}
