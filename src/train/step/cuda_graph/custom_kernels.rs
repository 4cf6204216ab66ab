//! Steps of small stacks of Dense layers by two custom kernels (`kernels.cu`), where libtorch takes some
//! thirty operations. A small network's step takes as long as its operations wait for each other, and
//! these wait twice.

use std::ptr::{null, null_mut};

use tch::{Device, Kind, Tensor};

use crate::data::batches::Batch;
use crate::model::{Activation, Layer, Sequential};
use crate::native::LibtorchError;
use crate::native::kernels::{Kernel, Program, capability};
use crate::precision::Precision;
use crate::train::config::FitConfig;
use crate::train::optimizer::{Adam, AdamW, Optimizer, RmsProp, Sgd};
use crate::train::step::autograd_step::{ParamRefs, StepOutput};
use crate::train::step::cpu_dense::Mlp;

/// The largest number of Dense layers.
const LAYERS: usize = 8;
/// The largest number of weights: each block of samples reads them all, which must not take longer than
/// libtorch's products.
const MOST_WEIGHTS: usize = 512 << 10;
/// The largest number of samples in a step: with more, libtorch's products keep the GPU busy.
const MOST_SAMPLES: usize = 512;
/// Threads of a block in kernels.cu: of `rows` and of `apply_gradients`.
const THREADS: [usize; 2] = [1024, 256];
/// Weights that a thread of `apply_gradients` updates.
const UNITS: usize = 4;
/// Bytes of shared memory that a block has without requesting more.
const SHARED: usize = 48 << 10;

/// The kernels for a network, and the tensors that they pass values in.
pub struct CustomKernels {
    program: Program,
    rows: Kernel,
    apply_gradients: Kernel,
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
    activation: Activation,
    /// The index of the Dropout before it among the network's, and its rate.
    dropout: Option<(usize, f64)>,
    /// f32 [batch, inputs] and [batch, units].
    input: Tensor,
    gradient: Tensor,
}

/// The structs of kernels.cu.
#[repr(C)]
#[derive(Clone, Copy)]
struct Parameters {
    value: *mut f32,
    first: *mut f32,
    second: *mut f32,
    average: *mut f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct LayerOf {
    weight: Parameters,
    bias: Parameters,
    input: *mut f32,
    gradient: *mut f32,
    mask: *const f32,
    kept: f32,
    inputs: i32,
    units: i32,
    activation: i32,
}

#[repr(C)]
struct StepOf {
    layers: [LayerOf; LAYERS],
    images: *const f32,
    labels: *const i64,
    logits: *mut f32,
    losses: *mut f32,
    rates: *const f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    weight_decay: f32,
    smoothing: f32,
    follow: f32,
    count: i32,
    batch: i32,
    optimizer: i32,
}

const NOTHING: Parameters =
    Parameters { value: null_mut(), first: null_mut(), second: null_mut(), average: null_mut() };
const NO_LAYER: LayerOf = LayerOf {
    weight: NOTHING,
    bias: NOTHING,
    input: null_mut(),
    gradient: null_mut(),
    mask: null(),
    kept: 1.0,
    inputs: 0,
    units: 0,
    activation: 0,
};

impl CustomKernels {
    /// Returns the kernels for steps of at most `batch` samples on the GPU of this number; none for
    /// networks and settings that libtorch's operations are faster for, or needed for.
    pub fn new(
        model: &Sequential,
        config: &FitConfig,
        batch: usize,
        device: usize,
    ) -> Result<Option<Self>, LibtorchError> {
        let small = |mlp: &Mlp| {
            mlp.units.len() <= LAYERS && mlp.len() <= MOST_WEIGHTS && batch <= MOST_SAMPLES
        };
        let asked = config.precision == Precision::F32 && config.clip_norm.is_none();
        let Some(mlp) = Mlp::of(model.spec()).filter(|mlp| asked && small(mlp)) else {
            return Ok(None);
        };
        let samples = batch.div_ceil(capability(device)?.processors).next_power_of_two().min(4);
        let Some(shared) = shared_bytes(&mlp, samples) else { return Ok(None) };
        let macros = [("ROWS", samples), ("LAYERS", LAYERS)];
        let program = Program::compile(device, include_str!("kernels.cu"), &macros)?;
        let dropouts: Vec<usize> = (model.spec().layers.iter().enumerate())
            .filter_map(|(i, layer)| matches!(layer, Layer::Dropout(_)).then_some(i))
            .collect();
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
            rows: program.kernel("rows")?,
            apply_gradients: program.kernel("apply_gradients")?,
            program,
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
        let samples = batch.labels.numel();
        let options = (Kind::Float, batch.images.device());
        let classes = self.layers.last().map_or(0, |layer| layer.units) as i64;
        let output = StepOutput {
            logits: Tensor::f_empty([samples as i64, classes], options)?,
            loss: Tensor::f_empty([samples as i64], options)?,
        };
        let mut layers = [NO_LAYER; LAYERS];
        for (i, (own, layer)) in self.layers.iter().zip(&mut layers).enumerate() {
            let parameters = |at: usize| Parameters {
                value: pointer(refs.parameters.get(at)),
                first: pointer(refs.moments[0].get(at)),
                second: pointer(refs.moments[1].get(at)),
                average: pointer(refs.average.get(at)),
            };
            *layer = LayerOf {
                weight: parameters(2 * i),
                bias: parameters(2 * i + 1),
                input: pointer(Some(&own.input)),
                gradient: pointer(Some(&own.gradient)),
                mask: own.dropout.map_or(null(), |(number, _)| pointer(masks.get(number))),
                kept: own.dropout.map_or(1.0, |(_, rate)| 1.0 / (1.0 - rate)) as f32,
                inputs: own.inputs as i32,
                units: own.units as i32,
                activation: code_of_activation(own.activation),
            };
        }
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
        let step = StepOf {
            layers,
            images: pointer(Some(&batch.images)),
            labels: batch.labels.data_ptr().cast::<i64>(),
            logits: pointer(Some(&output.logits)),
            losses: pointer(Some(&output.loss)),
            rates: pointer(Some(rates)),
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            epsilon: epsilon as f32,
            weight_decay: weight_decay as f32,
            smoothing: self.smoothing as f32,
            follow: self.follow as f32,
            count: self.layers.len() as i32,
            batch: samples as i32,
            optimizer: code,
        };
        let items = |layer: &KernelLayer| layer.units.div_ceil(UNITS) * (layer.inputs + 1);
        let items: usize = self.layers.iter().map(items).sum();
        let [first, second] = THREADS;
        let blocks = samples.div_ceil(self.samples);
        // SAFETY: the struct of kernels.cu; the caller and `self` keep what it points to.
        unsafe {
            self.program.launch(self.rows, (blocks, first, self.shared), &step)?;
            self.program.launch(
                self.apply_gradients,
                (items.div_ceil(second), second, 0),
                &step,
            )?;
        }
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

fn pointer(tensor: Option<&Tensor>) -> *mut f32 {
    tensor.map_or(null_mut(), |tensor| tensor.data_ptr().cast())
}

fn code_of_activation(activation: Activation) -> i32 {
    match activation {
        Activation::Linear | Activation::Softmax => 0,
        Activation::Relu => 1,
        Activation::Gelu => 2,
        Activation::Silu => 3,
        Activation::Tanh => 4,
        Activation::Sigmoid => 5,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structs_have_the_sizes_of_the_kernels() {
        // nvcc's layout: 8 pointers, 3 pointers, 4 numbers; and 8 of these, 5 pointers, 9 numbers and
        // padding up to 8 bytes.
        assert_eq!(size_of::<LayerOf>(), 104);
        assert_eq!(size_of::<StepOf>(), 8 * 104 + 40 + 40);
        // The size limit of kernel parameters.
        assert!(size_of::<StepOf>() <= 4096);
    }
}
