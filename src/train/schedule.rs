//! Learning rate schedules.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::config_error::ConfigError;

/// The schedule of the learning rate over a training, as a fraction of the optimizer's learning rate,
/// which is its peak. Steps are counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the optimizer's learning rate.
    #[default]
    Constant,
    /// Multiplied by `factor` after every `every` epochs (`torch.optim.lr_scheduler.StepLR`).
    Step {
        /// Epochs with the same rate, at least 1.
        every: usize,
        /// 0 < factor ≤ 1.
        factor: f64,
    },
    /// Linear from 1/(w+1) to 1 in the first w steps, a fraction of all, then half a cosine down to `end`
    /// (`LinearLR` and `CosineAnnealingLR`; Loshchilov and Hutter, 2017).
    Cosine {
        /// The fraction of the steps that rise: 0 ≤ warm_up < 1.
        warm_up: f64,
        /// The fraction of the rate that is left at the end.
        end: f64,
    },
    /// Half a cosine up from `start` to 1 in the first fraction of the steps, and one down to `end`
    /// (`OneCycleLR` with its cosine; Smith and Topin, 2018).
    OneCycle {
        /// The fraction of the steps that rise: 0 ≤ warm_up < 1; PyTorch's pct_start.
        warm_up: f64,
        /// The fraction of the rate at the first step; PyTorch's 1/div_factor.
        start: f64,
        /// The fraction of the rate at the last step; PyTorch's 1/(div_factor · final_div_factor).
        end: f64,
    },
}

/// The length of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrainingLength {
    /// Steps of the whole training.
    pub steps: u64,
    /// Steps per epoch.
    pub epoch_steps: u64,
}

impl Schedule {
    /// Returns whether the number of epochs changes the rate of each step.
    pub fn depends_on_length(&self) -> bool {
        matches!(self, Self::Cosine { .. } | Self::OneCycle { .. })
    }

    /// Checks every parameter.
    ///
    /// # Errors
    /// The first that breaks its rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fraction = |name, x: f64| {
            ConfigError::unless((0.0..1.0).contains(&x), name, "at least 0 and below 1", x)
        };
        let part = |name, x: f64| {
            ConfigError::unless(x > 0.0 && x <= 1.0, name, "above 0 and at most 1", x)
        };
        match *self {
            Self::Constant => Ok(()),
            Self::Step { every, factor } => {
                ConfigError::unless(every >= 1, "epochs of a rate", "at least 1", every)?;
                part("factor of the schedule", factor)
            }
            Self::Cosine { warm_up, end } => {
                fraction("warm-up", warm_up)?;
                ConfigError::unless(
                    (0.0..=1.0).contains(&end),
                    "end of the schedule",
                    "0 to 1",
                    end,
                )
            }
            Self::OneCycle { warm_up, start, end } => {
                fraction("warm-up", warm_up)?;
                part("start of the schedule", start)?;
                ConfigError::unless(
                    (0.0..=1.0).contains(&end),
                    "end of the schedule",
                    "0 to 1",
                    end,
                )
            }
        }
    }

    /// Returns the fraction of the optimizer's learning rate at step `step`.
    pub(super) fn share(&self, step: u64, length: TrainingLength) -> f64 {
        let (step_at, steps) = (step as f64, length.steps as f64);
        // From `from` at progress 0 to `to` at progress 1.
        let half_cosine = |from: f64, to: f64, progress: f64| {
            to + (from - to) / 2.0 * (1.0 + (PI * progress).cos())
        };
        match *self {
            Self::Constant => 1.0,
            Self::Step { every, factor } => {
                let epoch = step / length.epoch_steps.max(1);
                factor.powf((epoch / every as u64) as f64)
            }
            Self::Cosine { warm_up, end } => {
                let rise = (warm_up * steps).floor();
                if step_at < rise {
                    return (step_at + 1.0) / (rise + 1.0);
                }
                half_cosine(1.0, end, (step_at - rise) / (steps - rise).max(1.0))
            }
            Self::OneCycle { warm_up, start, end } => {
                // PyTorch's positions of the peak and of the end, which are not whole steps.
                let (peak, last) = (warm_up * steps - 1.0, (steps - 1.0).max(1.0));
                if step_at <= peak {
                    // With a peak at the first step, nothing rises.
                    return half_cosine(start, 1.0, if peak > 0.0 { step_at / peak } else { 1.0 });
                }
                let peak = peak.max(0.0);
                half_cosine(1.0, end, ((step_at - peak) / (last - peak).max(1.0)).min(1.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(schedule: Schedule, steps: u64, epoch_steps: u64) -> Vec<f64> {
        (0..steps).map(|step| schedule.share(step, TrainingLength { steps, epoch_steps })).collect()
    }

    #[test]
    fn one_cycle_rises_to_the_whole_rate_and_falls_to_its_end() {
        let schedule = Schedule::OneCycle { warm_up: 0.25, start: 0.04, end: 4e-6 };
        let shares = shares(schedule, 100, 10);
        assert!((shares[0] - 0.04).abs() < 1e-12 && (shares[99] - 4e-6).abs() < 1e-12);
        assert!((shares[24] - 1.0).abs() < 1e-12);
        assert!(shares[..25].is_sorted() && shares[24..].iter().rev().is_sorted());
    }

    #[test]
    fn every_schedule_is_defined_for_every_length() {
        for schedule in [
            Schedule::Step { every: 2, factor: 0.5 },
            Schedule::Cosine { warm_up: 0.9, end: 0.0 },
            Schedule::Cosine { warm_up: 0.0, end: 0.0 },
            Schedule::OneCycle { warm_up: 0.0, start: 0.04, end: 0.0 },
            Schedule::OneCycle { warm_up: 0.99, start: 1.0, end: 1.0 },
        ] {
            schedule.check().unwrap();
            for steps in [1, 2, 3, 10] {
                let shares = shares(schedule, steps, 1);
                assert!(shares.iter().all(|s| (0.0..=1.0).contains(s)), "{schedule:?} {shares:?}");
                // Something is learned even in one step.
                assert!(shares.iter().any(|&s| s > 0.0), "{schedule:?} {shares:?}");
            }
        }
    }

    #[test]
    fn wrong_numbers_are_named() {
        for (schedule, message) in [
            (Schedule::Step { every: 0, factor: 0.5 }, "epochs of a rate must be at least 1"),
            (Schedule::Step { every: 1, factor: 0.0 }, "factor of the schedule must be above 0"),
            (Schedule::Cosine { warm_up: 1.0, end: 0.0 }, "warm-up must be at least 0 and below 1"),
            (
                Schedule::OneCycle { warm_up: 0.3, start: 0.0, end: 0.0 },
                "start of the schedule must be above 0",
            ),
        ] {
            let error = schedule.check().unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
