//! The attributes of convolutions and pooling.

use super::super::tensor_roles::shown;
use super::arguments::Arguments;
use super::graph::Attribute;
use super::windows::{Pads, Windows};
use crate::layers::Size2D;

/// Reads the attributes of a node, which has no others but `further` ones.
pub(super) fn windows(arguments: &Arguments<'_>, further: &[&str]) -> Result<Windows, String> {
    let own = ["auto_pad", "dilations", "kernel_shape", "pads", "strides"];
    arguments.only(&[&own, further].concat())?;
    let two = |name: &str| match arguments.ints(name)? {
        None => Ok(None),
        Some(&[down, right]) => match (usize::try_from(down), usize::try_from(right)) {
            (Ok(down @ 1..), Ok(right @ 1..)) => Ok(Some(Size2D([down, right]))),
            _ => Err(format!("whose {name} are not above 0")),
        },
        Some(_) => Err(format!("whose {name} are not two, for height and width")),
    };
    let pads = match arguments.attribute("auto_pad") {
        None | Some(Attribute::Text(b"NOTSET")) => match arguments.ints("pads")? {
            None => Pads::Sides([[0, 0]; 2]),
            Some(&[top, left, bottom, right]) => {
                let side = |size: i64| {
                    usize::try_from(size).map_err(|_| "whose pads are below 0".to_owned())
                };
                Pads::Sides([[side(top)?, side(bottom)?], [side(left)?, side(right)?]])
            }
            Some(_) => return Err("whose pads are not four".to_owned()),
        },
        Some(Attribute::Text(b"VALID")) => Pads::Sides([[0, 0]; 2]),
        Some(Attribute::Text(b"SAME_UPPER")) => Pads::Same,
        Some(Attribute::Text(other)) => {
            return Err(format!("whose auto_pad is {}", shown(&String::from_utf8_lossy(other))));
        }
        Some(_) => return Err("whose auto_pad is not a text".to_owned()),
    };
    let one = Size2D([1, 1]);
    Ok(Windows {
        size: two("kernel_shape")?,
        strides: two("strides")?.unwrap_or(one),
        dilations: two("dilations")?.unwrap_or(one),
        pads,
    })
}
