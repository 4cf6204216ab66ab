//! The layers for pictures that TorchScript's functions compute: convolutions, pooling and batch normalization.
//!
//! The code does not say the height and width of pictures: a padding is read where it is the same for all of them.

use super::script_item::Item;
use crate::layers::{
    AveragePooling2D, BatchNormalization, Conv2D, GlobalAveragePooling2D, Layer, MaxPooling2D,
    Padding, Size2D, SpatialDropout2D, ZeroPadding2D,
};

/// A layer with the names of its variables in the file; those that it lacks are this number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Own {
    /// The layer that pads before it, if its padding has no name.
    pub before: Option<Layer>,
    pub layer: Layer,
    pub variables: Vec<Result<String, f32>>,
}

impl Own {
    fn plain(layer: impl Into<Layer>) -> Self {
        Self { before: None, layer: layer.into(), variables: Vec::new() }
    }
}

/// Returns the layer of a function without its first argument; none if seqfit has no such layer. `sizes` are those of
/// the tensor of a name.
pub(super) fn layer<'a>(
    name: &str,
    rest: &[Item],
    sizes: impl Fn(&str) -> Option<&'a [usize]>,
) -> Option<Own> {
    match (name, rest) {
        ("conv2d", [weight, bias, rest @ ..]) => {
            let strides = two_or(rest.first(), 1)?;
            let dilation = two_or(rest.get(2), 1)?;
            convolution([weight, bias], [strides, dilation], rest.get(1), rest.get(3), sizes)
        }
        ("_convolution_mode", [weight, bias, strides, padding, dilation, groups]) => {
            let windows = [two_or(Some(strides), 1)?, two_or(Some(dilation), 1)?];
            convolution([weight, bias], windows, Some(padding), Some(groups), sizes)
        }
        ("_convolution", [weight, bias, strides, padding, dilation, transposed, _, groups, ..])
            if *transposed == Item::Bool(false) =>
        {
            let windows = [two_or(Some(strides), 1)?, two_or(Some(dilation), 1)?];
            convolution([weight, bias], windows, Some(padding), Some(groups), sizes)
        }
        ("batch_norm", [weight, bias, mean, variance, training, rest @ ..]) => {
            batch_normalization([weight, bias, mean, variance], training, rest)
        }
        ("max_pool2d" | "_max_pool2d", [size, rest @ ..]) => max_pooling(size, rest),
        ("avg_pool2d", [size, rest @ ..]) => average_pooling(size, rest),
        ("adaptive_avg_pool2d", [size]) if two(size)? == Size2D([1, 1]) => {
            Some(Own::plain(GlobalAveragePooling2D))
        }
        ("feature_dropout" | "feature_dropout_" | "dropout2d", [Item::Number(rate), ..]) => {
            Some(Own::plain(SpatialDropout2D::new(*rate)))
        }
        _ => None,
    }
}

fn convolution<'a>(
    [weight, bias]: [&Item; 2],
    [strides, dilation]: [Size2D; 2],
    padding: Option<&Item>,
    groups: Option<&Item>,
    sizes: impl Fn(&str) -> Option<&'a [usize]>,
) -> Option<Own> {
    let Item::Tensor(weight) = weight else { return None };
    let &[filters, _, height, width] = sizes(weight)? else { return None };
    let size = Size2D([height, width]);
    let groups = groups.map_or(Some(1), whole)?;
    let (before, padding) = match padding {
        None => (None, Padding::Valid),
        Some(Item::Text(name)) if name == "valid" => (None, Padding::Valid),
        // PyTorch has it for strides of 1 only, where it is Keras's.
        Some(Item::Text(name)) if name == "same" && strides == Size2D([1, 1]) => {
            (None, Padding::Same)
        }
        Some(sides) => padded(size, strides, dilation, two(sides)?),
    };
    let mut variables = vec![Ok(weight.clone())];
    match bias {
        Item::Tensor(bias) => variables.push(Ok(bias.clone())),
        Item::None => {}
        _ => return None,
    }
    let layer = Conv2D::new(filters, size).strides(strides).dilation_rate(dilation);
    let layer = layer.padding(padding).groups(groups).use_bias(variables.len() == 2);
    Some(Own { before, layer: layer.into(), variables })
}

/// Returns the padding by its name, or the layer that pads by these numbers of rows and columns.
fn padded(
    size: Size2D,
    strides: Size2D,
    dilation: Size2D,
    sides: Size2D,
) -> (Option<Layer>, Padding) {
    let half = |axis: usize| (size.0[axis].saturating_sub(1)).saturating_mul(dilation.0[axis]);
    let is_same = |axis: usize| strides.0[axis] == 1 && half(axis) == 2 * sides.0[axis];
    match sides.0 {
        [0, 0] => (None, Padding::Valid),
        _ if is_same(0) && is_same(1) => (None, Padding::Same),
        [rows, columns] => {
            (Some(ZeroPadding2D::new([[rows; 2], [columns; 2]]).into()), Padding::Valid)
        }
    }
}

/// A network in training mode computes the statistics of each batch.
fn batch_normalization(variables: [&Item; 4], training: &Item, rest: &[Item]) -> Option<Own> {
    let [Item::Number(momentum), Item::Number(epsilon), ..] = rest else { return None };
    if *training == Item::Bool(true) {
        return None;
    }
    let names = variables.into_iter().zip([1.0, 0.0]);
    let names = names.map(|(item, otherwise)| match item {
        Item::Tensor(name) => Some(Ok(name.clone())),
        Item::None => Some(Err(otherwise)),
        _ => None,
    });
    let statistics = variables[2..].iter().map(|item| match item {
        Item::Tensor(name) => Some(Ok(name.clone())),
        _ => None,
    });
    let layer = BatchNormalization { momentum: 1.0 - momentum, epsilon: *epsilon };
    let variables = names.chain(statistics).collect::<Option<_>>()?;
    Some(Own { before: None, layer: layer.into(), variables })
}

/// Pads with the smallest number, which seqfit's padding does only where it depends on the size.
fn max_pooling(size: &Item, rest: &[Item]) -> Option<Own> {
    let size = two(size)?;
    let strides = strides(rest.first(), size)?;
    let is_plain = two_or(rest.get(1), 0)? == Size2D([0, 0])
        && two_or(rest.get(2), 1)? == Size2D([1, 1])
        && rest[3.min(rest.len())..].iter().all(|item| *item == Item::Bool(false));
    is_plain.then(|| Own::plain(MaxPooling2D::new(size).strides(strides)))
}

fn average_pooling(size: &Item, rest: &[Item]) -> Option<Own> {
    let size = two(size)?;
    let strides = strides(rest.first(), size)?;
    let [rows, columns] = two_or(rest.get(1), 0)?.0;
    let is_ceil = rest.get(2).is_some_and(|item| *item != Item::Bool(false));
    let counts = rest.get(3).is_none_or(|item| *item == Item::Bool(true));
    let is_divided = rest.get(4).is_some_and(|item| *item != Item::None);
    if is_ceil || is_divided || !counts && [rows, columns] != [0, 0] {
        return None;
    }
    let layer = AveragePooling2D::new(size).strides(strides);
    let before = ZeroPadding2D::new([[rows; 2], [columns; 2]]);
    let before = ([rows, columns] != [0, 0]).then(|| before.into());
    Some(Own { before, ..Own::plain(layer) })
}

/// The strides of pooling, which are its size if there are none.
fn strides(item: Option<&Item>, size: Size2D) -> Option<Size2D> {
    match item {
        None | Some(Item::None) => Some(size),
        Some(Item::List(list)) if list.is_empty() => Some(size),
        Some(item) => two(item),
    }
}

fn two_or(item: Option<&Item>, otherwise: usize) -> Option<Size2D> {
    item.map_or(Some(otherwise.into()), two)
}

fn two(item: &Item) -> Option<Size2D> {
    match item {
        Item::List(list) => match &list[..] {
            [height, width] => Some(Size2D([whole(height)?, whole(width)?])),
            [both] => Some(whole(both)?.into()),
            _ => None,
        },
        item => Some(whole(item)?.into()),
    }
}

fn whole(item: &Item) -> Option<usize> {
    match item {
        Item::Number(number) if number.fract() == 0.0 && (0.0..1e6).contains(number) => {
            Some(*number as usize)
        }
        _ => None,
    }
}
