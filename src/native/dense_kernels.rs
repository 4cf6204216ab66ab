//! The launch of the kernels in `dense_kernels.cu`, which take a training step of a stack of Dense layers.

use std::ptr::{null, null_mut};

use tch::Tensor;

use super::LibtorchError;
use super::nvrtc::{Kernel, Program};

/// The largest number of Dense layers.
pub const LAYERS: usize = 8;

/// A kernel's blocks, the threads of each, and the bytes of shared memory of each.
pub type Grid = (usize, usize, usize);

/// The two kernels of a step, compiled for one GPU.
#[derive(Debug)]
pub struct DenseKernels {
    program: Program,
    rows: Kernel,
    apply_gradients: Kernel,
}

/// A parameter and the optimizer's tensors of the same shape, where there are any.
#[derive(Clone, Copy, Debug)]
pub struct ParameterTensors<'a> {
    pub value: Option<&'a Tensor>,
    pub first: Option<&'a Tensor>,
    pub second: Option<&'a Tensor>,
    pub average: Option<&'a Tensor>,
}

/// A Dense layer in a step.
#[derive(Clone, Copy, Debug)]
pub struct DenseLayer<'a> {
    pub weight: ParameterTensors<'a>,
    pub bias: ParameterTensors<'a>,
    /// Room for f32 [batch, inputs] and [batch, units].
    pub input: &'a Tensor,
    pub gradient: &'a Tensor,
    /// The mask of the Dropout before it.
    pub mask: Option<&'a Tensor>,
    /// The factor of the values that the Dropout keeps.
    pub kept: f32,
    pub inputs: usize,
    pub units: usize,
    /// The code of its activation in the kernels.
    pub activation: i32,
}

/// The tensors and settings of a step.
#[derive(Clone, Copy, Debug)]
pub struct DenseStep<'a> {
    /// At most [`LAYERS`].
    pub layers: &'a [DenseLayer<'a>],
    pub images: &'a Tensor,
    pub labels: &'a Tensor,
    pub logits: &'a Tensor,
    pub losses: &'a Tensor,
    pub rates: &'a Tensor,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
    pub smoothing: f64,
    pub follow: f64,
    pub samples: usize,
    /// The code of the optimizer in the kernels.
    pub optimizer: i32,
}

/// The structs of dense_kernels.cu.
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

impl Parameters {
    fn of(tensors: &ParameterTensors<'_>) -> Self {
        Self {
            value: pointer(tensors.value),
            first: pointer(tensors.first),
            second: pointer(tensors.second),
            average: pointer(tensors.average),
        }
    }
}

impl LayerOf {
    fn of(layer: &DenseLayer<'_>) -> Self {
        Self {
            weight: Parameters::of(&layer.weight),
            bias: Parameters::of(&layer.bias),
            input: pointer(Some(layer.input)),
            gradient: pointer(Some(layer.gradient)),
            mask: pointer(layer.mask),
            kept: layer.kept,
            inputs: layer.inputs as i32,
            units: layer.units as i32,
            activation: layer.activation,
        }
    }
}

impl StepOf {
    fn of(step: &DenseStep<'_>) -> Self {
        let mut layers = [NO_LAYER; LAYERS];
        for (place, layer) in layers.iter_mut().zip(step.layers) {
            *place = LayerOf::of(layer);
        }
        Self {
            layers,
            images: pointer(Some(step.images)),
            labels: step.labels.data_ptr().cast::<i64>(),
            logits: pointer(Some(step.logits)),
            losses: pointer(Some(step.losses)),
            rates: pointer(Some(step.rates)),
            beta1: step.beta1 as f32,
            beta2: step.beta2 as f32,
            epsilon: step.epsilon as f32,
            weight_decay: step.weight_decay as f32,
            smoothing: step.smoothing as f32,
            follow: step.follow as f32,
            count: step.layers.len() as i32,
            batch: step.samples as i32,
            optimizer: step.optimizer,
        }
    }
}

impl DenseKernels {
    /// Compiles the kernels for the GPU with this index; a block of `rows` has this number of samples.
    ///
    /// # Errors
    /// Those of [`Program::compile`].
    pub fn compile(device: usize, samples: usize) -> Result<Self, LibtorchError> {
        let macros = [("ROWS", samples), ("LAYERS", LAYERS)];
        let program = Program::compile(device, include_str!("dense_kernels.cu"), &macros)?;
        Ok(Self {
            rows: program.kernel("rows")?,
            apply_gradients: program.kernel("apply_gradients")?,
            program,
        })
    }

    /// Launches both kernels on this thread's stream. All tensors are contiguous, on the GPU and of the shapes
    /// and types that the kernels take, and live until the stream has executed the step.
    ///
    /// # Errors
    /// The driver's error code.
    pub fn step(
        &self,
        step: &DenseStep<'_>,
        rows: Grid,
        apply_gradients: Grid,
    ) -> Result<(), LibtorchError> {
        let step = StepOf::of(step);
        // SAFETY: the struct of dense_kernels.cu; the caller keeps what it points to.
        unsafe {
            self.program.launch(self.rows, rows, &step)?;
            self.program.launch(self.apply_gradients, apply_gradients, &step)
        }
    }
}

fn pointer(tensor: Option<&Tensor>) -> *mut f32 {
    tensor.map_or(null_mut(), |tensor| tensor.data_ptr().cast())
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
