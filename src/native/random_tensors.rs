//! Random tensors from an explicit seed: no process-wide generator is read or changed.

use tch::Tensor;

use super::{LibtorchError, check, ffi};

/// Overwrites every element of `tensor` with 1 (with the given probability) or 0.
pub fn bernoulli(tensor: &mut Tensor, probability: f64, seed: u64) -> Result<(), LibtorchError> {
    // SAFETY: a live tensor of tch's, borrowed mutably.
    check(unsafe { ffi::seqfit_bernoulli(tensor.as_mut_ptr(), probability, seed) })
}

/// Overwrites every element of `tensor` with a draw from the normal distribution of mean 0 and variance 1.
pub fn normal(tensor: &mut Tensor, seed: u64) -> Result<(), LibtorchError> {
    // SAFETY: a live tensor of tch's, borrowed mutably.
    check(unsafe { ffi::seqfit_normal(tensor.as_mut_ptr(), seed) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_seed_decides_and_the_mean_is_the_probability() -> Result<(), LibtorchError> {
        let draw = |seed| -> Result<Tensor, LibtorchError> {
            let mut tensor = Tensor::zeros([10_000], (Kind::Float, Device::Cpu));
            bernoulli(&mut tensor, 0.8, seed)?;
            Ok(tensor)
        };
        let (a, b, c) = (draw(1)?, draw(1)?, draw(2)?);
        assert!(a.equal(&b) && !a.equal(&c));
        // Standard error of the mean: 0.004.
        let mean = a.mean(Kind::Double).double_value(&[]);
        assert!((mean - 0.8).abs() < 0.02, "{mean}");
        Ok(())
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() -> Result<(), LibtorchError> {
        let mut tensor = Tensor::zeros([10_000], (Kind::Float, Device::Cpu));
        normal(&mut tensor, 1)?;
        let (mean, deviation) = (tensor.mean(Kind::Double), tensor.std(true));
        // Standard errors: 0.01 and 0.007.
        assert!(mean.double_value(&[]).abs() < 0.05, "{mean}");
        assert!((deviation.double_value(&[]) - 1.0).abs() < 0.04, "{deviation}");
        Ok(())
    }
}
