//! Windows that move over pictures: the arguments of convolutions and pooling.

use super::program::{Argument, NamedArgument, Size};
use crate::layers::{Conv2D, Padding, Size2D};

/// The arguments of a node, by name.
#[derive(Clone, Copy)]
struct Arguments<'a>(&'a [NamedArgument]);

impl<'a> Arguments<'a> {
    fn get(self, name: &str) -> Option<&'a Argument> {
        self.0.iter().find(|input| input.name == name).map(|input| &input.arg)
    }

    /// Returns whether there are no arguments other than these.
    fn only(self, names: &[&str]) -> bool {
        self.0.iter().all(|input| names.contains(&input.name.as_str()))
    }

    /// Returns two sizes, of which one may stand for both; `default` if there are none.
    fn two(self, name: &str, default: [usize; 2]) -> Option<[usize; 2]> {
        let Some(argument) = self.get(name) else { return Some(default) };
        match argument.as_ints.as_deref()? {
            [] => Some(default),
            &[both] => Some([both.try_into().ok()?; 2]),
            &[down, right] => Some([down.try_into().ok()?, right.try_into().ok()?]),
            _ => None,
        }
    }
}

/// Returns the height and width of the pictures in a batch of these sizes.
fn picture(sizes: &[Size]) -> Option<[usize; 2]> {
    match sizes {
        [_, _, height, width] => Some([height.fixed()?, width.fixed()?]),
        _ => None,
    }
}

/// Returns the convolution with these arguments, of pictures and with weights of these sizes; none if seqfit has no such
/// layer.
pub(super) fn convolution(
    inputs: &[NamedArgument],
    sizes: &[Size],
    weight: &[Size],
) -> Option<Conv2D> {
    let arguments = Arguments(inputs);
    let names = ["input", "weight", "bias", "stride", "padding", "dilation", "groups"];
    arguments.only(&names).then_some(())?;
    let [filters, _, height, width] = weight else { return None };
    let size = Size2D([height.fixed()?, width.fixed()?]);
    let strides = Size2D(arguments.two("stride", [1, 1])?);
    let dilation = Size2D(arguments.two("dilation", [1, 1])?);
    let padding = match arguments.get("padding").and_then(|padding| padding.as_string.as_deref()) {
        Some("valid") => Padding::Valid,
        // PyTorch has it for strides of 1 only, where it is Keras's.
        Some("same") if strides == Size2D([1, 1]) => Padding::Same,
        Some(_) => return None,
        None => {
            let [vertical, horizontal] = arguments.two("padding", [0, 0])?;
            let sides = [[vertical; 2], [horizontal; 2]];
            Padding::of(size, strides, dilation, picture(sizes)?, sides)?
        }
    };
    let groups = arguments.get("groups").map_or(Some(1), |groups| groups.as_int)?;
    let bias = arguments.get("bias").and_then(Argument::tensor);
    let layer = Conv2D::new(filters.fixed()?, size).strides(strides).dilation_rate(dilation);
    let layer = layer.padding(padding).groups(groups.try_into().ok()?);
    Some(layer.use_bias(bias.is_some()))
}
