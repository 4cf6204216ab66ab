//! Steps of stacks of Dense layers on the CPU, in an order written by hand: forward, loss, backward and
//! optimiser over plain lists of numbers that are allocated once.
//!
//! What autograd does in some fifty calls into libtorch, each with its own tensors, is here a few moments
//! that a team of threads shares. In those of the first half each thread takes rows of the batch from the
//! pixels to the gradients of the layers' outputs; in the last it takes parts of the weights from their
//! gradient to their new values. A layer with many weights is cut into blocks of units, and its products
//! are a moment of their own: the same thread tends to read a block and to renew it, so that it stays in
//! that processor's cache. How the work is cut depends on the sizes alone, so the number of threads
//! changes no bit of the result.
//!
//! The weights of a block lie as [inputs, units] here, the biases behind them as one more row, which is
//! the order in which both products of a step read them; `torch.nn.Linear`'s [units, inputs] is made
//! where somebody looks.

mod cut;
mod kernels;
mod stack;

use std::cell::RefCell;
use std::hint::black_box;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

use super::{Engine, Input, Turn};
use crate::data::batches::{HostFeed, Scratch};
use crate::device;
use crate::model::{Mode, ModelError, Sequential, Spec, WeightsError};
use crate::native::products::{Matrix, ROOM, multiply, take_room};
use crate::native::team::Team;
use crate::native::{LibtorchError, random, reserved};
use crate::rng::{self, Purpose};
use crate::tensors::{HostTensor, Tensors};
use crate::train::config::FitConfig;
use crate::train::snapshot::{Snapshot, Sums};
use cut::{Cut, Part, useful_threads};
use kernels::{Target, Update};
use stack::Stack;

/// Whether this engine can train such a network.
pub(in crate::train) fn supports(spec: &Spec) -> bool {
    Stack::of(spec).is_some()
}

/// Trains a stack of Dense layers on the CPU.
pub(super) struct Fused<'m> {
    model: &'m mut Sequential,
    /// Whether the model's tensors are older than the parameters.
    stale: bool,
    stack: Stack,
    parameters: Vec<f32>,
    /// Only where their norm is limited.
    gradients: Vec<f32>,
    moments: [Vec<f32>; 2],
    /// The decay of the weights' moving average, and the average: none before the first step.
    ema: Option<(f64, Vec<f32>)>,
    label_smoothing: f32,
    clip_norm: Option<f64>,
    rows: Rows,
    cut: Cut,
    team: Team,
    totals: Sums,
}

/// What a batch leaves on its way, row by row for each sample.
struct Rows {
    /// [batch, inputs], behind the first Dropout.
    input: Vec<f32>,
    layers: Vec<LayerRows>,
    labels: Vec<u32>,
    /// What augmentation needs, for each task.
    scratch: Vec<Scratch>,
}

struct LayerRows {
    /// The products of a wide layer, [batch, units] for each block; empty for others.
    products: Vec<f32>,
    /// Outputs behind activation and Dropout, [batch, units].
    outputs: Vec<f32>,
    /// Their derivatives by what the activation was given.
    slopes: Vec<f32>,
    /// The loss's gradient by what the activation was given.
    gradients: Vec<f32>,
    /// The masks of the Dropout before the layer, 0 or 1; empty without one.
    mask: Vec<f32>,
}

impl<'m> Fused<'m> {
    /// For a network that [`supports`] says yes to, on the CPU, and steps of at most `batch` samples.
    pub fn new(
        model: &'m mut Sequential,
        config: &FitConfig,
        batch: usize,
    ) -> Result<Self, LibtorchError> {
        let Some(stack) = Stack::of(model.spec()) else {
            unreachable!("this engine is chosen for networks that it supports");
        };
        let cut = Cut::new(&stack, batch);
        let threads = config.threads.unwrap_or_else(device::all_threads);
        let threads = threads.min(useful_threads(&stack, &cut, batch));
        // Before the large lists, so that they are what there is no memory for. Asked for, and not written
        // to.
        drop(black_box(reserved::<u8>(threads * ROOM).map_err(LibtorchError::memory)?));
        let team = Team::new(threads, take_room).map_err(|error| LibtorchError::thread(&error))?;
        let length = stack.len();
        let [first, second] = config.optimizer.remembers();
        let list = |needed: bool| zeros(if needed { length } else { 0 });
        let mut layers = Vec::new();
        for (unit, dropout) in stack.units.iter().zip(stack.dropouts()) {
            let outputs = batch.saturating_mul(unit.units);
            layers.push(LayerRows {
                products: zeros(if unit.is_wide() { outputs } else { 0 })?,
                outputs: zeros(outputs)?,
                slopes: zeros(outputs)?,
                gradients: zeros(outputs)?,
                mask: zeros(if dropout.is_some() { batch * unit.inputs } else { 0 })?,
            });
        }
        let mut scratch = Vec::new();
        scratch.resize_with(batch.div_ceil(cut.samples), Scratch::default);
        let mut own = Self {
            stale: false,
            parameters: zeros(length)?,
            gradients: list(config.clip_norm.is_some())?,
            moments: [list(first)?, list(second)?],
            ema: match config.ema {
                None => None,
                Some(decay) => Some((decay, reserved(length).map_err(LibtorchError::memory)?)),
            },
            label_smoothing: config.label_smoothing as f32,
            clip_norm: config.clip_norm,
            rows: Rows {
                input: zeros(batch.saturating_mul(stack.inputs))?,
                layers,
                labels: vec![0; batch],
                scratch,
            },
            cut,
            team,
            totals: Sums::default(),
            stack,
            model,
        };
        own.take_over()?;
        Ok(own)
    }

    /// Takes the parameters from the model's tensors.
    fn take_over(&mut self) -> Result<(), LibtorchError> {
        let weights = self.model.weights()?;
        let mut parameters = std::mem::take(&mut self.parameters);
        self.pack(&weights, &mut parameters);
        self.parameters = parameters;
        self.stale = false;
        Ok(())
    }

    /// Writes the parameters into the model's tensors, if they have changed since.
    fn hand_back(&mut self) -> Result<(), LibtorchError> {
        if !self.stale {
            return Ok(());
        }
        let weights = self.unpack(&self.parameters)?;
        for (name, tensor) in self.model.named_tensors_mut() {
            if let Some(own) = weights.get(name) {
                own.copy_into(tensor)?;
            }
        }
        self.stale = false;
        Ok(())
    }

    /// Named tensors in `torch.nn.Linear`'s order, brought into a list of this engine's.
    fn pack(&self, tensors: &Tensors, list: &mut [f32]) {
        let names: Vec<&str> = self.model.parameters().map(|(name, _)| name).collect();
        for (unit, names) in self.stack.units.iter().zip(names.chunks_exact(2)) {
            let (Some(weight), Some(bias)) = (tensors.get(names[0]), tensors.get(names[1])) else {
                continue;
            };
            for (first, units) in unit.blocks() {
                let all = &mut list[unit.block_start(first)..][..(unit.inputs + 1) * units];
                let (own, own_bias) = all.split_at_mut(unit.inputs * units);
                let rows = weight.values[first * unit.inputs..].chunks_exact(unit.inputs);
                for (u, row) in rows.take(units).enumerate() {
                    own[u..].iter_mut().step_by(units).zip(row).for_each(|(own, &w)| *own = w);
                }
                own_bias.copy_from_slice(&bias.values[first..][..units]);
            }
        }
    }

    /// The other way.
    fn unpack(&self, list: &[f32]) -> Result<Tensors, LibtorchError> {
        let mut named = self.model.parameters().map(|(name, _)| name.to_owned());
        let mut tensors = Tensors::new();
        if list.is_empty() {
            return Ok(tensors);
        }
        for unit in &self.stack.units {
            let mut weight = zeros(unit.inputs * unit.units)?;
            let mut bias = zeros(unit.units)?;
            for (first, units) in unit.blocks() {
                let all = &list[unit.block_start(first)..][..(unit.inputs + 1) * units];
                let (own, own_bias) = all.split_at(unit.inputs * units);
                let rows = weight[first * unit.inputs..].chunks_exact_mut(unit.inputs);
                for (u, row) in rows.take(units).enumerate() {
                    row.iter_mut()
                        .zip(own[u..].iter().step_by(units))
                        .for_each(|(w, &own)| *w = own);
                }
                bias[first..][..units].copy_from_slice(own_bias);
            }
            let shape = vec![unit.units, unit.inputs];
            tensors.extend(named.next().map(|name| (name, HostTensor::new(shape, weight))));
            let shape = vec![unit.units];
            tensors.extend(named.next().map(|name| (name, HostTensor::new(shape, bias))));
        }
        Ok(tensors)
    }

    /// Draws the masks of all Dropout layers for so many samples: libtorch's own numbers, so that both
    /// engines drop the same.
    fn draw_masks(&mut self, mode: Mode, samples: usize) -> Result<(), LibtorchError> {
        let Mode::Training { seed, step } = mode else { return Ok(()) };
        let layers = self.stack.units.iter().zip(self.stack.dropouts()).zip(&mut self.rows.layers);
        for ((unit, dropout), rows) in layers {
            let Some((layer, rate)) = dropout else { continue };
            let seed = rng::derive(seed, Purpose::Dropout, &[step, layer as u64]);
            let count = samples * unit.inputs;
            let mut mask = Tensor::f_empty([count as i64], (Kind::Float, Device::Cpu))?;
            random::bernoulli(&mut mask, 1.0 - rate, seed)?;
            mask.f_copy_data(&mut rows.mask[..count], count)?;
        }
        Ok(())
    }

    /// The samples' pixels and labels.
    fn gather(&mut self, feed: HostFeed, chosen: &[u32]) {
        struct Task<'a> {
            chosen: &'a [u32],
            input: &'a mut [f32],
            labels: &'a mut [u32],
            scratch: &'a mut Scratch,
        }
        let Rows { input, labels, scratch, .. } = &mut self.rows;
        let (inputs, at_once) = (self.stack.inputs, self.cut.samples);
        let parts =
            (input.chunks_mut(at_once * inputs)).zip(labels.chunks_mut(at_once)).zip(scratch);
        let mut tasks: Vec<Task> = chosen
            .chunks(at_once)
            .zip(parts)
            .map(|(chosen, ((input, labels), scratch))| Task { chosen, input, labels, scratch })
            .collect();
        self.team.each(&mut tasks, |task| {
            let places = task.input.chunks_exact_mut(inputs).zip(&mut *task.labels);
            for (&sample, (row, label)) in task.chosen.iter().zip(places) {
                *label = feed.sample(sample, row, task.scratch);
            }
        });
        if let (Some((_, rate)), Some(layer)) = (self.stack.dropout, self.rows.layers.first()) {
            let count = chosen.len() * inputs;
            kernels::drop_out(&mut self.rows.input[..count], &layer.mask, rate);
        }
    }

    /// The products of a wide layer, block by block.
    fn products(&mut self, layer: usize, samples: usize) {
        struct Task<'a> {
            block: (usize, usize),
            first: usize,
            out: &'a mut [f32],
        }
        let (before, rest) = self.rows.layers.split_at_mut(layer);
        let input = before.last().map_or(&self.rows.input, |layer| &layer.outputs);
        let Some(rows) = rest.first_mut() else { return };
        let unit = self.stack.units[layer];
        // Rows of a block that are worth a task.
        let at_once = self.cut.samples.max(32);
        let mut products = &mut rows.products[..];
        let mut tasks: Vec<Task> = Vec::new();
        for block in unit.blocks() {
            // The batch may be the last, partial one; the places are those of whole ones.
            let own = split_off(&mut products, samples * block.1);
            let parts = own.chunks_mut(at_once * block.1).enumerate();
            tasks.extend(parts.map(|(i, out)| Task { block, first: i * at_once, out }));
        }
        // The owner's blocks first, and of those the ones that read the same rows behind each other.
        tasks.sort_by_key(|task| (task.block.0 >= unit.units / 2, task.first));
        let parameters = &self.parameters[..];
        self.team.each(&mut tasks, |task| {
            let (weights, _) = unit.block(parameters, task.block);
            let samples = task.out.len() / task.block.1;
            let input = &input[task.first * unit.inputs..];
            let input = Matrix::new(input, samples, unit.inputs, unit.inputs);
            multiply(task.out, input, weights, false);
        });
    }

    /// Rows of the batch through a group of layers; behind the last group to the loss and back to the
    /// gradients of all layers' outputs.
    fn rows(&mut self, group: &Range<usize>, samples: usize) {
        struct Task<'a> {
            first: usize,
            labels: &'a [u32],
            layers: Vec<LayerTask<'a>>,
        }
        let Rows { input, layers, labels, .. } = &mut self.rows;
        let (stack, at_once) = (&self.stack, self.cut.samples);
        let mut tasks: Vec<Task> = labels[..samples]
            .chunks(at_once)
            .enumerate()
            .map(|(i, labels)| {
                let layers = Vec::with_capacity(stack.units.len());
                Task { first: i * at_once, labels, layers }
            })
            .collect();
        for (unit, rows) in stack.units.iter().zip(layers) {
            let (size, all) = (at_once * unit.units, samples * unit.units);
            let parts = (rows.outputs[..all].chunks_mut(size))
                .zip(rows.slopes[..all].chunks_mut(size))
                .zip(rows.gradients[..all].chunks_mut(size));
            let mut masks = rows.mask.chunks(at_once * unit.inputs);
            for (task, ((outputs, slopes), gradients)) in tasks.iter_mut().zip(parts) {
                let mask = masks.next().unwrap_or(&[]);
                let products = &rows.products[..];
                task.layers.push(LayerTask { products, outputs, slopes, gradients, mask });
            }
        }
        let target = Target { smoothing: self.label_smoothing, samples };
        let parameters = &self.parameters[..];
        let is_last = group.end == stack.units.len();
        let seen = Mutex::new(Vec::with_capacity(tasks.len()));
        self.team.each(&mut tasks, |task| {
            let input = &input[task.first * stack.inputs..][..task.labels.len() * stack.inputs];
            forward(stack, group, parameters, input, &mut task.layers, (task.first, samples));
            if is_last {
                let sums = backward(stack, parameters, &mut task.layers, task.labels, target);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push((task.first, sums));
            }
        });
        drop(tasks);
        let mut seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        // In their order: a sum of floats depends on it.
        seen.sort_unstable_by_key(|(first, _)| *first);
        for (_, (loss, correct)) in seen {
            self.totals.loss += loss;
            self.totals.correct += correct;
        }
    }

    /// From these to the weights' own gradients, and to the new weights.
    fn weights(&mut self, samples: usize, turn: Turn) {
        struct Task<'a> {
            part: Part,
            parameters: &'a mut [f32],
            /// Empty where nobody asks for it later.
            gradients: &'a mut [f32],
            moments: [&'a mut [f32]; 2],
            average: &'a mut [f32],
            squares: f64,
        }
        let stack = &self.stack;
        let decay = self.ema.as_ref().map_or(0.0, |(decay, _)| *decay);
        let mut average = self.ema.as_mut().map_or(&mut [][..], |(_, average)| &mut average[..]);
        let mut parameters = &mut self.parameters[..];
        let mut gradients = &mut self.gradients[..];
        let [mut first, mut second] = self.moments.each_mut().map(|list| &mut list[..]);
        let mut tasks: Vec<Task> = Vec::with_capacity(self.cut.parts.len());
        for &part in &self.cut.parts {
            let size = part.rows.1 * part.block.1;
            tasks.push(Task {
                part,
                parameters: split_off(&mut parameters, size),
                gradients: split_off(&mut gradients, size),
                moments: [split_off(&mut first, size), split_off(&mut second, size)],
                average: split_off(&mut average, size),
                squares: 0.0,
            });
        }
        tasks.sort_unstable_by_key(|task| task.part.turn);
        let rows = &self.rows;
        let gradient = |part: &Part, out: &mut [f32]| {
            let (unit, (first, units)) = (stack.units[part.layer], part.block);
            let input = match part.layer {
                0 => &rows.input,
                layer => &rows.layers[layer - 1].outputs,
            };
            let outer = &rows.layers[part.layer].gradients[first..samples * unit.units];
            let outer = Matrix::new(outer, samples, units, unit.units);
            let (row, count) = part.rows;
            let weights = count.min(unit.inputs - row.min(unit.inputs));
            let (own, bias) = out.split_at_mut(weights * units);
            if weights > 0 {
                let input = Matrix::new(&input[row..], samples, weights, unit.inputs);
                multiply(own, input.transposed(), outer, false);
            }
            if !bias.is_empty() {
                outer.sum_rows(bias);
            }
        };
        let update = Update::new(turn.optimizer, turn.number);
        let renew = |task: &mut Task, gradients: &[f32], scale: f32| {
            let [first, second] = &mut task.moments;
            update.apply(task.parameters, gradients, first, second, scale);
            if !task.average.is_empty() {
                kernels::follow(task.average, task.parameters, (1.0 - decay) as f32);
            }
        };
        match self.clip_norm {
            // The gradient is read while it is in the cache, and written nowhere else.
            None => self.team.each(&mut tasks, |task| {
                GRADIENT.with_borrow_mut(|own| {
                    own.resize(task.parameters.len(), 0.0);
                    gradient(&task.part, own);
                    renew(task, own, 1.0);
                });
            }),
            Some(most) => {
                self.team.each(&mut tasks, |task| {
                    gradient(&task.part, task.gradients);
                    task.squares = kernels::squares(task.gradients);
                });
                let norm = tasks.iter().map(|task| task.squares).sum::<f64>().sqrt();
                // PyTorch's guard against a norm of zero.
                let scale = (most / (norm + 1e-6)).min(1.0);
                // NaN passes, and is found.
                let scale = if norm.is_nan() { f32::NAN } else { scale as f32 };
                self.team.each(&mut tasks, |task| {
                    let gradients = std::mem::take(&mut task.gradients);
                    renew(task, gradients, scale);
                });
            }
        }
        if let Some((_, average)) = self.ema.as_mut().filter(|(_, average)| average.is_empty()) {
            average.extend_from_slice(&self.parameters);
        }
    }
}

thread_local! {
    /// The gradient of the part that a thread is about to renew.
    static GRADIENT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The rows of one task in one layer.
struct LayerTask<'a> {
    /// Of all rows, by blocks.
    products: &'a [f32],
    outputs: &'a mut [f32],
    slopes: &'a mut [f32],
    gradients: &'a mut [f32],
    mask: &'a [f32],
}

/// Takes rows through a group of layers; `first` is their place in the batch of `samples`.
fn forward(
    stack: &Stack,
    group: &Range<usize>,
    parameters: &[f32],
    input: &[f32],
    layers: &mut [LayerTask],
    (first, samples): (usize, usize),
) {
    for i in group.clone() {
        let unit = &stack.units[i];
        let (before, rest) = layers.split_at_mut(i);
        let x = before.last().map_or(input, |layer| &*layer.outputs);
        let Some((own, after)) = rest.split_first_mut() else { return };
        let rows = own.outputs.len() / unit.units;
        if unit.is_wide() {
            for (start, units) in unit.blocks() {
                let block = &own.products[start * samples..][first * units..][..rows * units];
                let places = own.outputs.chunks_exact_mut(unit.units);
                for (out, row) in places.zip(block.chunks_exact(units)) {
                    out[start..][..units].copy_from_slice(row);
                }
            }
        } else {
            let x = Matrix::new(x, rows, unit.inputs, unit.inputs);
            multiply(own.outputs, x, unit.block(parameters, (0, unit.units)).0, false);
        }
        for block @ (start, units) in unit.blocks() {
            let (_, bias) = unit.block(parameters, block);
            let (outputs, slopes) = (&mut *own.outputs, &mut *own.slopes);
            kernels::add_to_columns(outputs, unit.units, start, &bias[..units]);
            if i + 1 < stack.units.len() && start + units == unit.units {
                kernels::activate(unit.activation, outputs, slopes);
            }
        }
        if let (Some((_, rate)), Some(next)) = (unit.dropout, after.first()) {
            kernels::drop_out(own.outputs, next.mask, rate);
            kernels::drop_out(own.slopes, next.mask, rate);
        }
    }
}

/// From the logits back to the gradients of all layers' outputs; the sum of the losses, and how many
/// rows are right.
fn backward(
    stack: &Stack,
    parameters: &[f32],
    layers: &mut [LayerTask],
    labels: &[u32],
    target: Target,
) -> (f64, i64) {
    let Some(last) = layers.last_mut() else { return (0.0, 0) };
    let sums = kernels::loss(last.outputs, labels, last.gradients, stack.outputs(), target);
    for (i, unit) in stack.units.iter().enumerate().skip(1).rev() {
        let (before, rest) = layers.split_at_mut(i);
        let (Some(inner), Some(own)) = (before.last_mut(), rest.first()) else { break };
        for block @ (start, units) in unit.blocks() {
            let outer = Matrix::new(&own.gradients[start..], labels.len(), units, unit.units);
            let (weights, _) = unit.block(parameters, block);
            multiply(inner.gradients, outer, weights.transposed(), start > 0);
        }
        kernels::scale_by(inner.gradients, inner.slopes);
    }
    sums
}

/// Takes the first elements off a list; all there are if it is shorter.
fn split_off<'a>(list: &mut &'a mut [f32], size: usize) -> &'a mut [f32] {
    let all = std::mem::take(list);
    let (taken, rest) = all.split_at_mut(size.min(all.len()));
    *list = rest;
    taken
}

/// So many zeros, or an error where there is no memory for them.
fn zeros(count: usize) -> Result<Vec<f32>, LibtorchError> {
    let mut list = reserved(count).map_err(LibtorchError::memory)?;
    list.resize(count, 0.0);
    Ok(list)
}

impl Engine for Fused<'_> {
    fn gathers(&self) -> bool {
        true
    }

    fn run(&mut self, input: &Input, turn: Turn) -> Result<(), ModelError> {
        let &Input::Chosen(feed, chosen) = input else {
            unreachable!("an engine that gathers gets choices");
        };
        self.stale = true;
        let samples = chosen.len();
        self.draw_masks(turn.mode, samples)?;
        self.gather(feed, chosen);
        for group in self.cut.groups.clone() {
            if self.stack.units[group.start].is_wide() {
                self.products(group.start, samples);
            }
            self.rows(&group, samples);
        }
        self.totals.samples += samples;
        self.weights(samples, turn);
        Ok(())
    }

    fn model(&mut self) -> Result<&Sequential, LibtorchError> {
        self.hand_back()?;
        Ok(self.model)
    }

    fn weights(&mut self) -> Result<Tensors, LibtorchError> {
        self.unpack(&self.parameters)
    }

    fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        self.model.set_weights(weights)?;
        Ok(self.take_over()?)
    }

    fn exchange_average(&mut self) {
        if let Some((_, average)) = self.ema.as_mut().filter(|(_, average)| !average.is_empty()) {
            std::mem::swap(&mut self.parameters, average);
            self.stale = true;
        }
    }

    fn average(&self) -> Result<Tensors, LibtorchError> {
        self.unpack(self.ema.as_ref().map_or(&[], |(_, average)| average))
    }

    fn moments(&self) -> Result<[Tensors; 2], LibtorchError> {
        let [first, second] = &self.moments;
        Ok([self.unpack(first)?, self.unpack(second)?])
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        let Snapshot { weights, average, moments, .. } = snapshot;
        self.set_weights(weights)?;
        if let Some((decay, mut own)) = self.ema.take() {
            // Its room is kept.
            own.clear();
            if !average.is_empty() {
                own.resize(self.stack.len(), 0.0);
                self.pack(average, &mut own);
            }
            self.ema = Some((decay, own));
        }
        let mut own = std::mem::take(&mut self.moments);
        own.iter_mut().zip(moments).for_each(|(own, saved)| self.pack(saved, own));
        self.moments = own;
        Ok(())
    }

    fn not_finite(&self) -> Result<Option<(&'static str, f64)>, LibtorchError> {
        let average = self.ema.as_ref().map_or(&[][..], |(_, average)| average);
        let [first, second] = &self.moments;
        let lists = [
            ("weights", &self.parameters[..]),
            ("weights' average", average),
            ("optimiser's memory", first),
            ("optimiser's memory", second),
        ];
        Ok(lists.into_iter().find_map(|(what, list)| {
            let found = list.iter().find(|value| !value.is_finite())?;
            Some((what, f64::from(*found)))
        }))
    }

    fn sums(&self) -> Result<Sums, LibtorchError> {
        Ok(self.totals)
    }

    fn set_sums(&mut self, sums: Sums) -> Result<(), LibtorchError> {
        self.totals = sums;
        Ok(())
    }

    fn finite_steps(&self) -> Result<Option<usize>, LibtorchError> {
        Ok(None)
    }
}

impl Drop for Fused<'_> {
    fn drop(&mut self) {
        // However training ends, the network has the weights of the last step.
        let _ = self.hand_back();
    }
}
