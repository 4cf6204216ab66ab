//! The layers that PyTorch's operators compute, by the settings that seqfit has.

use super::arguments::Arguments;
use super::program::Size;
use super::windows;
use crate::layers::{
    Activation, Dropout, Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D, Layer, Reshape,
    SpatialDropout2D,
};

/// The numbers from which on softplus(x) = x in f32, up to where exp(x) is still a number: PyTorch's threshold is 20.
const THRESHOLDS: std::ops::RangeInclusive<f64> = 20.0..=80.0;

/// Returns the layer of an operator without variables, with the sizes of a batch of its input; none if it changes nothing
/// after the layer `before`.
///
/// # Errors
/// The reason why it is no layer of seqfit, in words.
pub(super) fn layer(
    name: &str,
    arguments: &Arguments<'_>,
    sizes: &[Size],
    before: Option<&Layer>,
) -> Result<Option<Layer>, String> {
    let inputs = &arguments.0.inputs;
    let rate = || arguments.number("p", 0.5);
    Ok(Some(match name {
        "dropout" => Dropout::new(rate()?).into(),
        "feature_dropout" => SpatialDropout2D::new(rate()?).into(),
        "max_pool2d" => windows::max_pooling(inputs, sizes).ok_or(windows::REFUSED)?.into(),
        "avg_pool2d" => windows::average_pooling(inputs, sizes).ok_or(windows::REFUSED)?.into(),
        "adaptive_avg_pool2d" => {
            arguments.only(&["self", "output_size"])?;
            match arguments.ints("output_size")? {
                [1] | [1, 1] => GlobalAveragePooling2D.into(),
                sizes => return Err(format!("whose output_size is {sizes:?}, only 1 is read")),
            }
        }
        "mean" | "amax" => {
            arguments.only(&["self", "dim", "keepdim"])?;
            let axes = arguments.ints("dim")?;
            if !(sizes.len() == 4 && matches!(axes, [2, 3] | [-2, -1] | [-1, -2])) {
                return Err(format!("whose dim is {axes:?}, only height and width are read"));
            }
            match name {
                "mean" => GlobalAveragePooling2D.into(),
                _ => GlobalMaxPooling2D.into(),
            }
        }
        "constant_pad_nd" | "pad" => windows::zero_padding(inputs).ok_or(windows::REFUSED)?.into(),
        "flatten" => {
            arguments.only(&["self", "start_dim", "end_dim"])?;
            arguments.number_is("start_dim", 0.0, 1.0)?;
            arguments.number_is("end_dim", -1.0, -1.0)?;
            if before.is_some_and(windows::is_global) {
                return Ok(None);
            }
            Flatten.into()
        }
        "view" | "reshape" => flattened(arguments, sizes)?,
        "unflatten" => {
            arguments.number_is("dim", 1.0, 1.0)?;
            let first = arguments.ints("sizes")?;
            let rest = sizes.iter().skip(2).map(Size::fixed);
            let all = first.iter().map(|&size| size.try_into().ok()).chain(rest);
            let refused =
                || format!("whose sizes are {first:?}, only sizes of at least 0 are read");
            Reshape::new(all.collect::<Option<Vec<usize>>>().ok_or_else(refused)?).into()
        }
        other => activation(other, arguments, sizes)?.into(),
    }))
}

/// Returns the layer of a `view` or a `reshape` to [batch, -1] or [-1, values].
fn flattened(arguments: &Arguments<'_>, sizes: &[Size]) -> Result<Layer, String> {
    arguments.only(&["self", "size", "shape"])?;
    let refused = || "which gives a sample another shape than that of a vector".to_owned();
    let shape = arguments.get("size").or(arguments.get("shape")).ok_or_else(refused)?;
    let shape: Vec<Option<i64>> = match (&shape.as_ints, &shape.as_sym_ints) {
        (Some(sizes), _) => sizes.iter().map(|&size| Some(size)).collect(),
        (_, Some(sizes)) => sizes.iter().map(|size| size.as_int).collect(),
        _ => return Err(refused()),
    };
    let mut values = sizes.iter().skip(1);
    let values = values.try_fold(1, |values: usize, size: &Size| values.checked_mul(size.fixed()?));
    let values = values.and_then(|values| i64::try_from(values).ok()).ok_or_else(refused)?;
    match shape[..] {
        [Some(-1), Some(own)] if own == values => Ok(Flatten.into()),
        [None, Some(own)] if own == -1 || own == values => Ok(Flatten.into()),
        _ => Err(refused()),
    }
}

fn activation(name: &str, arguments: &Arguments<'_>, sizes: &[Size]) -> Result<Activation, String> {
    let is = |name, default: f64| arguments.number_is(name, default, default);
    Ok(match name {
        "relu" => Activation::Relu,
        "gelu" => {
            let how =
                arguments.get("approximate").filter(|how| how.as_string.as_deref() != Some("none"));
            match how {
                None => Activation::Gelu,
                Some(how) => {
                    return Err(format!(
                        "whose approximate is {}, only \"none\" is read",
                        how.shown()
                    ));
                }
            }
        }
        "silu" => Activation::Silu,
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        "leaky_relu" => {
            arguments.number_is("negative_slope", 0.01, 0.2)?;
            Activation::LeakyRelu
        }
        "elu" => {
            is("alpha", 1.0).and(is("scale", 1.0)).and(is("input_scale", 1.0))?;
            Activation::Elu
        }
        "selu" => Activation::Selu,
        "softplus" => {
            let threshold = arguments.number("threshold", 20.0)?;
            if !THRESHOLDS.contains(&threshold) {
                return Err(format!(
                    "whose threshold is {threshold}, one from {} to {} is read",
                    THRESHOLDS.start(),
                    THRESHOLDS.end()
                ));
            }
            Activation::Softplus
        }
        "hardsigmoid" => Activation::HardSigmoid,
        "mish" => Activation::Mish,
        "softmax" => {
            arguments.only(&["self", "dim"])?;
            let last = sizes.len() as f64 - 1.0;
            match arguments.number("dim", f64::NAN)? {
                dim if dim == -1.0 || dim == last => Activation::Softmax,
                dim => return Err(format!("whose dim is {dim}, only the last is read")),
            }
        }
        _ => return Err("which is no layer of seqfit".to_owned()),
    })
}
