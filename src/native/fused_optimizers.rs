//! libtorch's fused optimizer kernels: all parameters in one call, on the CPU and on CUDA.

use tch::Tensor;
use torch_sys::C_tensor;

use super::{LibtorchError, check, ffi};

/// The learning rate of a step.
#[derive(Clone, Copy, Debug)]
pub enum Rate<'a> {
    /// A number.
    Number(f64),
    /// An f32 scalar on the parameters' device, for steps that are captured once and replayed with different
    /// learning rates.
    Tensor(&'a Tensor),
}

impl Rate<'_> {
    /// Returns the number and the tensor as the C++ side takes them; only one of them is used.
    fn parts(self) -> (f64, *const C_tensor) {
        match self {
            Self::Number(number) => (number, std::ptr::null()),
            Self::Tensor(tensor) => (0.0, tensor.as_ptr()),
        }
    }
}

/// The settings of one AdamW step, named as in `torch.optim.AdamW`; without weight decay it is one of Adam.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep<'a> {
    pub learning_rate: Rate<'a>,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

/// Performs one AdamW step in place. `step` is a scalar f32 tensor on the parameters' device that
/// counts the steps. All lists are as long as `parameters`, with matching shapes.
pub fn adam(
    parameters: &mut [Tensor],
    gradients: &[Tensor],
    first_moments: &mut [Tensor],
    second_moments: &mut [Tensor],
    step: &mut Tensor,
    config: AdamStep<'_>,
) -> Result<(), LibtorchError> {
    let n = parameters.len();
    same_length(n, [gradients.len(), first_moments.len(), second_moments.len()])?;
    let (learning_rate, rate) = config.learning_rate.parts();
    // SAFETY: n live tensors in each list; those that are written are borrowed mutably.
    check(unsafe {
        ffi::seqfit_adam(
            pointers(parameters).as_ptr(),
            pointers(gradients).as_ptr(),
            pointers(first_moments).as_ptr(),
            pointers(second_moments).as_ptr(),
            n,
            step.as_mut_ptr(),
            rate,
            learning_rate,
            config.beta1,
            config.beta2,
            config.epsilon,
            config.weight_decay,
        )
    })
}

/// The settings of one SGD step, named as in `torch.optim.SGD`.
#[derive(Clone, Copy, Debug)]
pub struct SgdStep<'a> {
    pub learning_rate: Rate<'a>,
    pub momentum: f64,
    pub nesterov: bool,
    pub weight_decay: f64,
    /// Whether this is the first step, which sets the momenta to the gradients instead of averaging them in.
    pub first: bool,
}

/// Performs one SGD step in place. `momenta` is read and written only if the momentum is above 0.
pub fn sgd(
    parameters: &mut [Tensor],
    gradients: &[Tensor],
    momenta: &mut [Tensor],
    config: SgdStep<'_>,
) -> Result<(), LibtorchError> {
    let n = parameters.len();
    let momenta_needed = if config.momentum == 0.0 { momenta.len() } else { n };
    same_length(n, [gradients.len()])?;
    same_length(momenta_needed, [momenta.len()])?;
    let (learning_rate, rate) = config.learning_rate.parts();
    // SAFETY: as in `adam`.
    check(unsafe {
        ffi::seqfit_sgd(
            pointers(parameters).as_ptr(),
            pointers(gradients).as_ptr(),
            pointers(momenta).as_ptr(),
            n,
            rate,
            learning_rate,
            config.momentum,
            config.nesterov,
            config.weight_decay,
            config.first,
        )
    })
}

fn pointers(tensors: &[Tensor]) -> Vec<*mut C_tensor> {
    tensors.iter().map(|tensor| tensor.as_ptr().cast_mut()).collect()
}

fn same_length<const N: usize>(n: usize, others: [usize; N]) -> Result<(), LibtorchError> {
    match others.into_iter().find(|&other| other != n) {
        None => Ok(()),
        Some(other) => Err(LibtorchError::new(&format!("{n} parameters and {other} tensors"))),
    }
}
