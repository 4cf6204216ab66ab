//! The optimizers: Adam, AdamW, SGD and RMSprop, as PyTorch computes them, with Keras's defaults.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::config_error::ConfigError;
use crate::native::LibtorchError;
use crate::native::fused_optimizers::{AdamStep, Rate, SgdStep, adam, sgd};

/// An optimizer and its hyperparameters. w: weights, g: their gradient, t: the step from 1, lr: the
/// learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Optimizer {
    /// See [`Adam`].
    Adam(Adam),
    /// See [`AdamW`].
    AdamW(AdamW),
    /// See [`Sgd`].
    Sgd(Sgd),
    /// See [`RmsProp`].
    RmsProp(RmsProp),
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²,
/// w ← w − lr · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + ε)
/// (Kingma and Ba, 2015; `torch.optim.Adam`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adam {
    /// lr, by default 1e-3.
    pub learning_rate: f64,
    /// β₁, by default 0.9.
    pub beta1: f64,
    /// β₂, by default 0.999.
    pub beta2: f64,
    /// ε, by default Keras's 1e-7 (PyTorch has 1e-8).
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }
    }
}

/// w ← w − lr · λw, then [`Adam`] (Loshchilov and Hutter, 2019; `torch.optim.AdamW`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// lr, by default 1e-3.
    pub learning_rate: f64,
    /// β₁, by default 0.9.
    pub beta1: f64,
    /// β₂, by default 0.999.
    pub beta2: f64,
    /// ε, by default 1e-7.
    pub epsilon: f64,
    /// λ, by default Keras's 0.004.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        let Adam { learning_rate, beta1, beta2, epsilon } = Adam::default();
        Self { learning_rate, beta1, beta2, epsilon, weight_decay: 0.004 }
    }
}

/// g ← g + λw, b ← μb + g, w ← w − lr · b; with Nesterov's method w ← w − lr · (g + μb); without momentum
/// w ← w − lr · g (`torch.optim.SGD`: the first b is g).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// lr, by default Keras's 1e-2.
    pub learning_rate: f64,
    /// μ, by default 0.
    pub momentum: f64,
    /// Nesterov's method, by default off.
    pub nesterov: bool,
    /// λ, by default 0. It is added to the gradient, unlike that of [`AdamW`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight_decay: f64,
}

/// Zero is left out of records, which older ones do not have.
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Default for Sgd {
    fn default() -> Self {
        Self { learning_rate: 1e-2, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

/// v ← ρv + (1−ρ)g², w ← w − lr · g / (√v + ε); with a momentum μ,
/// b ← μb + g / (√v + ε), w ← w − lr · b
/// (Hinton's lecture 6e; `torch.optim.RMSprop`, which calls ρ alpha).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RmsProp {
    /// lr, by default 1e-3.
    pub learning_rate: f64,
    /// ρ, by default Keras's 0.9 (PyTorch has 0.99).
    pub rho: f64,
    /// μ, by default 0.
    pub momentum: f64,
    /// ε, by default 1e-7.
    pub epsilon: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { learning_rate: 1e-3, rho: 0.9, momentum: 0.0, epsilon: 1e-7 }
    }
}

impl Optimizer {
    /// Returns the learning rate lr.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Adam(o) => o.learning_rate,
            Self::AdamW(o) => o.learning_rate,
            Self::Sgd(o) => o.learning_rate,
            Self::RmsProp(o) => o.learning_rate,
        }
    }

    /// Returns the same optimizer with another learning rate.
    pub fn with_learning_rate(mut self, learning_rate: f64) -> Self {
        match &mut self {
            Self::Adam(o) => o.learning_rate = learning_rate,
            Self::AdamW(o) => o.learning_rate = learning_rate,
            Self::Sgd(o) => o.learning_rate = learning_rate,
            Self::RmsProp(o) => o.learning_rate = learning_rate,
        }
        self
    }

    /// Returns which of the two lists of moments it keeps.
    pub(super) fn state_slots(&self) -> [bool; 2] {
        match *self {
            Self::Adam(_) | Self::AdamW(_) => [true, true],
            Self::Sgd(Sgd { momentum, .. }) => [momentum > 0.0, false],
            Self::RmsProp(RmsProp { momentum, .. }) => [true, momentum > 0.0],
        }
    }

    /// Checks every hyperparameter.
    ///
    /// # Errors
    /// The first that breaks its rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        let positive = ConfigError::above_0;
        let fraction = |name, x: f64| {
            ConfigError::unless((0.0..1.0).contains(&x), name, "at least 0 and below 1", x)
        };
        positive("learning rate", self.learning_rate())?;
        match *self {
            Self::Adam(Adam { beta1, beta2, epsilon, .. })
            | Self::AdamW(AdamW { beta1, beta2, epsilon, .. }) => {
                fraction("beta1", beta1)?;
                fraction("beta2", beta2)?;
                positive("epsilon", epsilon)?;
            }
            Self::Sgd(Sgd { momentum, nesterov, .. }) => {
                fraction("momentum", momentum)?;
                let rule = "above 0 for Nesterov's method";
                ConfigError::unless(!nesterov || momentum > 0.0, "momentum", rule, momentum)?;
            }
            Self::RmsProp(RmsProp { rho, momentum, epsilon, .. }) => {
                fraction("rho", rho)?;
                fraction("momentum", momentum)?;
                positive("epsilon", epsilon)?;
            }
        }
        if let Self::AdamW(AdamW { weight_decay, .. }) | Self::Sgd(Sgd { weight_decay, .. }) = *self
        {
            ConfigError::at_least_0("weight decay", weight_decay)?;
        }
        Ok(())
    }
}

/// The optimizer state, on the parameters' device.
#[derive(Debug)]
pub(super) struct State {
    /// m, b or v, depending on the optimizer, one tensor for each parameter; empty where none is needed.
    first: Vec<Tensor>,
    /// v of Adam, b of RMSprop.
    second: Vec<Tensor>,
    /// Steps taken, as Adam's kernels read and count them.
    counter: Tensor,
}

impl State {
    pub fn new(
        optimizer: Optimizer,
        parameters: &[Tensor],
        device: Device,
    ) -> Result<Self, LibtorchError> {
        let _no_grad = tch::no_grad_guard();
        let zeros = |needed: bool| -> Result<Vec<Tensor>, LibtorchError> {
            let needed = if needed { parameters } else { &[] };
            needed.iter().map(|p| Ok(p.f_zeros_like()?)).collect()
        };
        let [first, second] = optimizer.state_slots();
        let counter = Tensor::f_zeros([0i64; 0], (Kind::Float, device))?;
        Ok(Self { first: zeros(first)?, second: zeros(second)?, counter })
    }

    /// Returns both lists of moments; a list that the optimizer does not need is empty.
    pub fn moments(&self) -> [&[Tensor]; 2] {
        [&self.first, &self.second]
    }

    /// Sets the count of steps and returns both lists of [`moments`](Self::moments) to be overwritten.
    pub fn restore(&mut self, steps: u64) -> Result<[&mut [Tensor]; 2], LibtorchError> {
        // An f32 that counts one by one stops at 2^24.
        let counted = steps.min(1 << 24);
        let _ = self.counter.f_fill_(counted as f64)?;
        Ok([&mut self.first, &mut self.second])
    }

    /// Takes a step in place, after `before` others; `rate` replaces the optimizer's learning rate.
    pub fn step(
        &mut self,
        parameters: &mut [Tensor],
        gradients: &[Tensor],
        optimizer: Optimizer,
        rate: Rate<'_>,
        before: u64,
    ) -> Result<(), LibtorchError> {
        let learning_rate = rate;
        match optimizer {
            Optimizer::Adam(Adam { beta1, beta2, epsilon, .. }) => {
                let config = AdamStep { learning_rate, beta1, beta2, epsilon, weight_decay: 0.0 };
                self.adam(parameters, gradients, config)
            }
            Optimizer::AdamW(AdamW { beta1, beta2, epsilon, weight_decay, .. }) => {
                let config = AdamStep { learning_rate, beta1, beta2, epsilon, weight_decay };
                self.adam(parameters, gradients, config)
            }
            Optimizer::Sgd(Sgd { momentum, nesterov, weight_decay, .. }) => {
                let first = before == 0;
                let config = SgdStep { learning_rate, momentum, nesterov, weight_decay, first };
                sgd(parameters, gradients, &mut self.first, config)
            }
            Optimizer::RmsProp(config) => self.rmsprop(parameters, gradients, config, rate),
        }
    }

    fn adam(
        &mut self,
        parameters: &mut [Tensor],
        gradients: &[Tensor],
        config: AdamStep<'_>,
    ) -> Result<(), LibtorchError> {
        adam(parameters, gradients, &mut self.first, &mut self.second, &mut self.counter, config)
    }

    fn rmsprop(
        &mut self,
        parameters: &mut [Tensor],
        gradients: &[Tensor],
        RmsProp { rho, momentum, epsilon, .. }: RmsProp,
        rate: Rate<'_>,
    ) -> Result<(), LibtorchError> {
        let _no_grad = tch::no_grad_guard();
        for (i, (w, g)) in parameters.iter_mut().zip(gradients).enumerate() {
            let v = &mut self.first[i];
            let _ = v.f_mul_scalar_(rho)?;
            let _ = v.f_add_(&g.f_square()?.f_mul_scalar_(1.0 - rho)?)?;
            let scaled = g.f_div(&v.f_sqrt()?.f_add_scalar_(epsilon)?)?;
            let update = if momentum > 0.0 {
                let b = &mut self.second[i];
                b.f_mul_scalar_(momentum)?.f_add_(&scaled)?
            } else {
                scaled
            };
            let _ = w.f_sub_(&match rate {
                Rate::Number(rate) => update.f_mul_scalar(rate)?,
                Rate::Tensor(rate) => update.f_mul(rate)?,
            })?;
        }
        Ok(())
    }
}
