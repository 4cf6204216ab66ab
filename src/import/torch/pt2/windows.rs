//! Windows that move over pictures: the arguments of convolutions and pooling.

use super::program::{Argument, NamedArgument, Size};
use crate::layers::{
    AveragePooling2D, Conv2D, GlobalAveragePooling2D, GlobalMaxPooling2D, Layer, MaxPooling2D,
    Padding, Size2D, ZeroPadding2D,
};

/// The reason for which a node is no layer.
pub(super) const REFUSED: &str = "whose arguments no layer of seqfit has";

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

/// Returns the convolution with these arguments, of pictures and with weights of these sizes, and the layer that pads
/// before it, if its padding has no name; none if seqfit has no such layer.
pub(super) fn convolution(
    inputs: &[NamedArgument],
    sizes: &[Size],
    weight: &[usize],
) -> Option<(Option<ZeroPadding2D>, Conv2D)> {
    let arguments = Arguments(inputs);
    let names = ["input", "weight", "bias", "stride", "padding", "dilation", "groups"];
    arguments.only(&names).then_some(())?;
    let &[filters, _, height, width] = weight else { return None };
    let size = Size2D([height, width]);
    let strides = Size2D(arguments.two("stride", [1, 1])?);
    let dilation = Size2D(arguments.two("dilation", [1, 1])?);
    let mut before = None;
    let padding = match arguments.get("padding").and_then(|padding| padding.as_string.as_deref()) {
        Some("valid") => Padding::Valid,
        // PyTorch has it for strides of 1 only, where it is Keras's.
        Some("same") if strides == Size2D([1, 1]) => Padding::Same,
        Some(_) => return None,
        None => {
            let [vertical, horizontal] = arguments.two("padding", [0, 0])?;
            let sides = [[vertical; 2], [horizontal; 2]];
            Padding::of(size, strides, dilation, picture(sizes)?, sides).unwrap_or_else(|| {
                before = Some(ZeroPadding2D::new(sides));
                Padding::Valid
            })
        }
    };
    let groups = arguments.get("groups").map_or(Some(1), |groups| groups.as_int)?;
    let bias = arguments.get("bias").and_then(Argument::tensor);
    let layer = Conv2D::new(filters, size).strides(strides).dilation_rate(dilation);
    let layer = layer.padding(padding).groups(groups.try_into().ok()?);
    Some((before, layer.use_bias(bias.is_some())))
}

/// The size, strides and sides of a pooling layer, and its padding if that has a name.
struct Pooling {
    size: Size2D,
    strides: Size2D,
    padding: Padding,
}

impl Pooling {
    fn of(arguments: Arguments<'_>, sizes: &[Size]) -> Option<Self> {
        let size = arguments.two("kernel_size", [0, 0])?;
        let strides = Size2D(arguments.two("stride", size)?);
        let [vertical, horizontal] = arguments.two("padding", [0, 0])?;
        let one = Size2D([1, 1]);
        (arguments.two("dilation", [1, 1])? == one.0).then_some(())?;
        let ceil = arguments.get("ceil_mode").map_or(Some(false), |ceil| ceil.as_bool)?;
        let (size, picture) = (Size2D(size), picture(sizes)?);
        // A last window that reaches beyond the picture by one is that of TensorFlow.
        let odd = |axis: usize| usize::from(ceil && strides.0[axis] > 1);
        let all = [[0, 0], [odd(0), 0], [0, odd(1)], [odd(0), odd(1)]];
        let padding = all.into_iter().find_map(|[down, right]| {
            let sides = [[vertical, vertical + down], [horizontal, horizontal + right]];
            let found = Padding::of(size, strides, one, picture, sides)?;
            // Without a last window that is cut off.
            (!ceil || found == Padding::Same).then_some(found)
        })?;
        Some(Self { size, strides, padding })
    }
}

/// Returns the layer with these arguments for a batch of these sizes.
pub(super) fn max_pooling(inputs: &[NamedArgument], sizes: &[Size]) -> Option<MaxPooling2D> {
    let arguments = Arguments(inputs);
    let names = ["self", "kernel_size", "stride", "padding", "dilation", "ceil_mode"];
    arguments.only(&names).then_some(())?;
    let Pooling { size, strides, padding } = Pooling::of(arguments, sizes)?;
    Some(MaxPooling2D::new(size).strides(strides).padding(padding))
}

/// Returns the layer with these arguments for a batch of these sizes.
pub(super) fn average_pooling(
    inputs: &[NamedArgument],
    sizes: &[Size],
) -> Option<AveragePooling2D> {
    let arguments = Arguments(inputs);
    let names = ["self", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"];
    arguments.only(&names).then_some(())?;
    let Pooling { size, strides, padding } = Pooling::of(arguments, sizes)?;
    let counts = arguments.get("count_include_pad").map_or(Some(true), |counts| counts.as_bool)?;
    (!counts || padding == Padding::Valid).then_some(())?;
    Some(AveragePooling2D::new(size).strides(strides).padding(padding))
}

/// Returns the layer that pads height and width with zeros.
pub(super) fn zero_padding(inputs: &[NamedArgument]) -> Option<ZeroPadding2D> {
    let arguments = Arguments(inputs);
    arguments.only(&["self", "pad", "mode", "value"]).then_some(())?;
    let mode = arguments.get("mode").map_or(Some("constant"), |mode| mode.as_string.as_deref());
    let value = arguments.get("value").and_then(Argument::number).unwrap_or(0.0);
    (mode == Some("constant") && value == 0.0).then_some(())?;
    let &[left, right, top, bottom] = arguments.get("pad")?.as_ints.as_deref()? else {
        return None;
    };
    let size = |size: i64| usize::try_from(size).ok();
    Some(ZeroPadding2D::new([[size(top)?, size(bottom)?], [size(left)?, size(right)?]]))
}

/// Returns whether the layer makes vectors of pictures.
pub(super) fn is_global(layer: &Layer) -> bool {
    layer.is::<GlobalAveragePooling2D>() || layer.is::<GlobalMaxPooling2D>()
}
