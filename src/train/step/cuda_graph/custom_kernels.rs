//! Steps of small stacks of Dense layers by two custom kernels (`dense_kernels.cu`), where libtorch takes some
//! thirty operations. A small network's step takes as long as its operations wait for each other, and
//! these wait twice.

use tch::{Device, Kind, Tensor};

use crate::data::batches::Batch;
use crate::model::Sequential;
use crate::native::LibtorchError;
use crate::native::dense_kernels::{DenseKernels, DenseLayer, DenseStep, LAYERS, ParameterTensors};
use crate::native::nvrtc::capability;
use crate::precision::Precision;
use crate::train::config::FitConfig;
use crate::train::optimizer::{Adam, AdamW, Optimizer, RmsProp, Sgd};
use crate::train::step::autograd_step::{ParamRefs, StepOutput};
use crate::train::step::cpu_dense::{Curve, Mlp};
use crate::train::step::weighted_loss::Objective;

/// The largest number of weights: each block of samples reads them all, which must not take longer than
/// libtorch's products.
const MOST_WEIGHTS: usize = 512 << 10;
/// The largest number of samples in a step: with more, libtorch's products keep the GPU busy.
const MOST_SAMPLES: usize = 512;
/// Threads of a block in dense_kernels.cu: of `rows` and of `apply_gradients`.
const THREADS: [usize; 2] = [1024, 256];
/// Weights that a thread of `apply_gradients` updates.
const UNITS: usize = 4;
/// Bytes of shared memory that a block has without requesting more.
const SHARED: usize = 48 << 10;

/// The kernels for a network, and the tensors that they pass values in.
pub struct CustomKernels {
    kernels: DenseKernels,
    /// Samples of a block of `rows`.
    samples: usize,
    shared: usize,
    layers: Vec<KernelLayer>,
    smoothing: f64,
    /// The weight of the new parameters in their moving average, 1 - its decay.
    follow: f64,
}

struct KernelLayer {
    inputs: usize,
    units: usize,
    activation: Curve,
    /// The index of the Dropout before it among the network's, and its rate.
    dropout: Option<(usize, f64)>,
    /// f32 [batch, inputs] and [batch, units].
    input: Tensor,
    gradient: Tensor,
}

impl CustomKernels {
    /// Returns the kernels for steps of at most `batch` samples on the GPU of this number; none for
    /// networks and settings that libtorch's operations are faster for, or needed for.
    pub fn new(
        model: &Sequential,
        config: &FitConfig,
        objective: &Objective,
        batch: usize,
        device: usize,
    ) -> Result<Option<Self>, LibtorchError> {
        let small = |mlp: &Mlp| {
            mlp.units.len() <= LAYERS && mlp.len() <= MOST_WEIGHTS && batch <= MOST_SAMPLES
        };
        // The kernels compute the cross-entropy themselves, without weights.
        let asked = config.loss.is_crossentropy()
            && !objective.is_weighted
            && config.precision == Precision::F32
            && config.clip_norm.is_none()
            && !matches!(config.optimizer, Optimizer::Sgd(Sgd { weight_decay, .. }) if weight_decay > 0.0);
        let mlp = Mlp::of(model.spec()).ok().filter(|mlp| asked && small(mlp));
        let Some(mlp) = mlp else { return Ok(None) };
        let samples = batch.div_ceil(capability(device)?.processors).next_power_of_two().min(4);
        let Some(shared) = shared_bytes(&mlp, samples) else { return Ok(None) };
        let kernels = DenseKernels::compile(device, samples)?;
        // Only Dropout layers have masks, and a rate of 0 needs none.
        let dropouts: Vec<usize> = mlp.dropouts().flatten().map(|(layer, _)| layer).collect();
        let options = (Kind::Float, Device::Cuda(device));
        let room = |values: usize| Tensor::f_empty([batch as i64, values as i64], options);
        let mut layers = Vec::new();
        for (dense, dropout) in mlp.units.iter().zip(mlp.dropouts()) {
            let number = |layer| dropouts.iter().position(|&own| own == layer).unwrap_or(0);
            layers.push(KernelLayer {
                inputs: dense.inputs,
                units: dense.units,
                activation: dense.activation,
                dropout: dropout.map(|(layer, rate)| (number(layer), rate)),
                input: room(dense.inputs)?,
                gradient: room(dense.units)?,
            });
        }
        Ok(Some(Self {
            kernels,
            samples,
            shared,
            layers,
            smoothing: config.label_smoothing,
            follow: 1.0 - config.ema.unwrap_or(0.0),
        }))
    }

    /// Takes a step: forward, backward, optimizer, and the moving average of the weights if it has
    /// started. All tensors are contiguous and on the GPU, and must live until the step is done. `rates`
    /// are those of [`rates`]. The losses returned are those of each sample.
    pub fn step(
        &self,
        refs: ParamRefs,
        batch: &Batch,
        masks: &[Tensor],
        (optimizer, rates): (Optimizer, &Tensor),
    ) -> Result<StepOutput, LibtorchError> {
        let samples = batch.samples();
        let options = (Kind::Float, batch.inputs.device());
        let classes = self.layers.last().map_or(0, |layer| layer.units) as i64;
        let output = StepOutput {
            logits: Tensor::f_empty([samples as i64, classes], options)?,
            loss: Tensor::f_empty([samples as i64], options)?,
        };
        let parameters = |at: usize| ParameterTensors {
            value: refs.parameters.get(at),
            first: refs.moments[0].get(at),
            second: refs.moments[1].get(at),
            average: refs.average.get(at),
        };
        let layers = self.layers.iter().enumerate().map(|(i, own)| DenseLayer {
            weight: parameters(2 * i),
            bias: parameters(2 * i + 1),
            input: &own.input,
            gradient: &own.gradient,
            mask: own.dropout.and_then(|(number, _)| masks.get(number)),
            kept: own.dropout.map_or(1.0, |(_, rate)| 1.0 / (1.0 - rate)) as f32,
            inputs: own.inputs,
            units: own.units,
            activation: code_of_activation(own.activation),
        });
        let layers: Vec<DenseLayer<'_>> = layers.collect();
        let (code, beta1, beta2, epsilon, weight_decay) = match optimizer {
            Optimizer::Adam(Adam { beta1, beta2, epsilon, .. }) => (0, beta1, beta2, epsilon, 0.0),
            Optimizer::AdamW(AdamW { beta1, beta2, epsilon, weight_decay, .. }) => {
                (1, beta1, beta2, epsilon, weight_decay)
            }
            Optimizer::Sgd(Sgd { momentum, nesterov, .. }) => {
                (2 + i32::from(nesterov), momentum, 0.0, 0.0, 0.0)
            }
            Optimizer::RmsProp(RmsProp { rho, momentum, epsilon, .. }) => {
                (4, momentum, rho, epsilon, 0.0)
            }
        };
        let step = DenseStep {
            layers: &layers,
            images: &batch.inputs,
            labels: &batch.targets,
            logits: &output.logits,
            losses: &output.loss,
            rates,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            smoothing: self.smoothing,
            follow: self.follow,
            samples,
            optimizer: code,
        };
        let items = |layer: &KernelLayer| layer.units.div_ceil(UNITS) * (layer.inputs + 1);
        let items: usize = self.layers.iter().map(items).sum();
        let [first, second] = THREADS;
        let blocks = samples.div_ceil(self.samples);
        let rows = (blocks, first, self.shared);
        self.kernels.step(&step, rows, (items.div_ceil(second), second, 0))?;
        Ok(output)
    }
}

/// Returns a step's rates for the kernels: the learning rate, and for Adam that divided by 1 - beta1ᵗ,
/// and √(1 - beta2ᵗ), in step t from 1.
pub fn rates(optimizer: Optimizer, t: u64) -> [f32; 3] {
    let rate = optimizer.learning_rate();
    let (beta1, beta2) = match optimizer {
        Optimizer::Adam(Adam { beta1, beta2, .. })
        | Optimizer::AdamW(AdamW { beta1, beta2, .. }) => (beta1, beta2),
        _ => return [rate as f32, 0.0, 0.0],
    };
    let correction = |beta: f64| 1.0 - beta.powf(t as f64);
    [rate as f32, (rate / correction(beta1)) as f32, correction(beta2).sqrt() as f32]
}

fn code_of_activation(activation: Curve) -> i32 {
    match activation {
        Curve::Linear => 0,
        Curve::Relu => 1,
        Curve::Gelu => 2,
        Curve::Silu => 3,
        Curve::Tanh => 4,
        Curve::Sigmoid => 5,
    }
}

/// Returns the bytes of shared memory of a block of `rows`; none if a block does not have that much.
fn shared_bytes(mlp: &Mlp, samples: usize) -> Option<usize> {
    let padded = |values: usize| (samples * values).next_multiple_of(4);
    let each = mlp.units.iter().map(|dense| padded(dense.inputs) + padded(dense.units));
    // The partial sums that warps share: those of a warp's lanes, or one for each input.
    let widest = mlp.units[1..].iter().map(|dense| dense.inputs.max(THREADS[0])).max();
    let bytes = 4 * (each.sum::<usize>() + samples * widest.unwrap_or(0));
    (bytes <= SHARED).then_some(bytes)
}
