//! Options that several commands share, and the types they are parsed into.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use seqfit::{Activation, Device, device};

/// Which data set.
#[derive(Clone, Debug, Args)]
pub struct DataOptions {
    /// A known data set: mnist, fashion-mnist, kmnist or digits (built in)
    #[arg(long, value_name = "NAME", conflicts_with = "data_dir")]
    pub dataset: Option<seqfit::data::DatasetName>,
    /// A folder of IDX files: {train,t10k}-{images-idx3,labels-idx1}-ubyte, .gz or not, and
    /// optionally classes.txt with a class name a line
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl DataOptions {
    /// What was asked for, `Auto` if nothing.
    pub fn request(&self) -> seqfit::data::Request {
        use seqfit::data::Request;
        match (&self.dataset, &self.data_dir) {
            (_, Some(dir)) => Request::Dir(dir.clone()),
            (Some(name), None) => Request::Named(*name),
            (None, None) => Request::Auto,
        }
    }
}

/// Where to compute.
#[derive(Clone, Debug, Args)]
pub struct DeviceOptions {
    /// Compute on the first GPU, the same as --device cuda
    #[arg(long, conflicts_with = "device")]
    cuda: bool,
    /// cpu, cuda or cuda:N [default: cpu]
    #[arg(long, value_name = "DEVICE", value_parser = device::parse)]
    device: Option<Device>,
}

impl DeviceOptions {
    /// The device, which is there.
    pub fn require(&self) -> Result<Device, device::DeviceError> {
        let chosen = if self.cuda { Device::Cuda(0) } else { self.device.unwrap_or(Device::Cpu) };
        device::require(chosen)?;
        Ok(chosen)
    }

    /// Whether a GPU was asked for.
    pub fn is_cuda(&self) -> bool {
        self.cuda || self.device.is_some_and(|device| device.is_cuda())
    }
}

/// The network.
#[derive(Clone, Debug, Args)]
pub struct NetworkOptions {
    /// Widths of the hidden Dense layers, comma-separated; "" for none
    #[arg(long, value_name = "WIDTHS", default_value = "128,64", value_parser = widths)]
    pub hidden: Widths,
    /// Activation of the hidden layers
    #[arg(long, value_enum, value_name = "NAME", default_value = "relu")]
    pub activation: HiddenActivation,
    /// Share of each hidden layer's outputs that is dropped while training
    #[arg(long, value_name = "RATE", default_value_t = 0.0, value_parser = share)]
    pub dropout: f64,
}

/// A list in one argument; clap would take a bare Vec as repeated arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widths(pub Vec<usize>);

fn widths(text: &str) -> Result<Widths, String> {
    if text.is_empty() {
        return Ok(Widths(Vec::new()));
    }
    let width = |part: &str| match part.trim().parse() {
        Ok(width) if width > 0 => Ok(width),
        _ => Err(format!("a width is a whole number of at least 1, found {part:?}")),
    };
    text.split(',').map(width).collect::<Result<_, _>>().map(Widths)
}

/// An activation that may stand inside a network: all but softmax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HiddenActivation(pub Activation);

impl ValueEnum for HiddenActivation {
    fn value_variants<'a>() -> &'a [Self] {
        const HIDDEN: [HiddenActivation; 6] = [
            HiddenActivation(Activation::Relu),
            HiddenActivation(Activation::Gelu),
            HiddenActivation(Activation::Silu),
            HiddenActivation(Activation::Tanh),
            HiddenActivation(Activation::Sigmoid),
            HiddenActivation(Activation::Linear),
        ];
        &HIDDEN
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

/// A whole number of at least 1.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    let most = u32::MAX;
    match text.parse::<NonZeroU32>() {
        Ok(n) => Ok(n.try_into().unwrap_or(NonZeroUsize::MIN)),
        Err(_) => Err(format!("this must be a whole number from 1 to {most}, found {text:?}")),
    }
}

/// A seed: what TOML, and so a run's config, holds of whole numbers that are not negative.
pub fn seed(text: &str) -> Result<u64, String> {
    let most = i64::MAX as u64;
    match text.parse() {
        Ok(n) if n <= most => Ok(n),
        _ => Err(format!("a seed is a whole number from 0 to {most}, found {text:?}")),
    }
}

/// A share that leaves something: 0 ≤ x < 1.
pub fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if (0.0..1.0).contains(&x) => Ok(x),
        _ => Err(format!("a share is a number of at least 0 and below 1, found {text:?}")),
    }
}

/// A number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x.is_finite() => Ok(x),
        _ => Err(format!("this must be a number above 0, found {text:?}")),
    }
}

/// A number of at least 0.
pub fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x >= 0.0 && x.is_finite() => Ok(x),
        _ => Err(format!("this must be a number of at least 0, found {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_whole_numbers_above_zero() {
        assert_eq!(widths("128, 64"), Ok(Widths(vec![128, 64])));
        assert_eq!(widths(""), Ok(Widths(vec![])));
        for text in ["0", "128,", "12.5", "-1", "a"] {
            assert!(widths(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        assert!(count("0").is_err() && count("-1").is_err() && count("3").is_ok());
        assert_eq!((share("0.5"), positive("1e-3")), (Ok(0.5), Ok(1e-3)));
        for text in ["1", "-0.1", "nan", "x"] {
            assert!(share(text).is_err(), "{text}");
        }
        for text in ["0", "-1", "inf", "nan", ""] {
            assert!(positive(text).is_err(), "{text}");
        }
    }
}
