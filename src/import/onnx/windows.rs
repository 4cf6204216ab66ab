//! Windows that move over pictures: the attributes of convolutions and pooling.

use super::super::tensor_roles::shown;
use super::arguments::Arguments;
use super::graph::Attribute;
use crate::layers::{Padding, Size2D};

/// The attributes of a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Windows {
    /// The size, if the node has it.
    pub size: Option<Size2D>,
    pub strides: Size2D,
    pub dilations: Size2D,
    pads: Pads,
}

#[derive(Clone, Debug, PartialEq)]
enum Pads {
    Same,
    /// [[top, bottom], [left, right]]
    Sides([[usize; 2]; 2]),
}

impl Windows {
    /// Reads the attributes of a node, which has no others but `further` ones.
    pub fn of(arguments: &Arguments<'_>, further: &[&str]) -> Result<Self, String> {
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
                return Err(format!(
                    "whose auto_pad is {}",
                    shown(&String::from_utf8_lossy(other))
                ));
            }
            Some(_) => return Err("whose auto_pad is not a text".to_owned()),
        };
        let one = Size2D([1, 1]);
        Ok(Self {
            size: two("kernel_shape")?,
            strides: two("strides")?.unwrap_or(one),
            dilations: two("dilations")?.unwrap_or(one),
            pads,
        })
    }

    /// Returns the padding by Keras's name for a window of this size on a picture of this height and width; an error
    /// with the sides that are padded if it has none.
    pub fn padding(&self, size: Size2D, picture: [usize; 2]) -> Result<Padding, [[usize; 2]; 2]> {
        match self.pads {
            Pads::Same => Ok(Padding::Same),
            Pads::Sides(sides) => {
                let found = Padding::of(size, self.strides, self.dilations, picture, sides);
                found.ok_or(sides)
            }
        }
    }
}
