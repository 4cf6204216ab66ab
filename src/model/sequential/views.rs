//! Test-time augmentation: the mean of the outputs for several views of each picture.

use tch::Tensor;

use crate::native::LibtorchError;

/// The views of a picture whose outputs are averaged: with both, all combinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Views {
    /// The picture, and the picture with left and right swapped.
    pub flip: bool,
    /// The picture, and the picture shifted by one pixel up and left, and down and right, with the border reflected.
    pub shift: bool,
}

impl Views {
    /// Returns whether there is no view besides the picture itself.
    pub fn is_plain(self) -> bool {
        self == Self::default()
    }

    /// Returns whether samples of this shape are pictures that have these views.
    pub(super) fn fit(self, shape: &[usize]) -> bool {
        let sides = match shape {
            [height, width] | [_, height, width] => height.min(width),
            _ => &0,
        };
        *sides > 1 || self.is_plain()
    }

    /// Returns the views of pictures [batch, height, width] or [batch, channels, height, width], first the pictures.
    pub(super) fn of(self, x: &Tensor) -> Result<Vec<Tensor>, LibtorchError> {
        let mut views = vec![x.shallow_clone()];
        if self.shift {
            views.extend([shifted(x, 2)?, shifted(x, 0)?]);
        }
        if self.flip {
            let flipped = views.iter().map(|view| Ok(view.f_flip([-1i64])?));
            let flipped = flipped.collect::<Result<Vec<_>, LibtorchError>>()?;
            views.extend(flipped);
        }
        Ok(views)
    }
}

/// Returns the pictures from this row and column on of the padded ones, which begin at -1.
fn shifted(x: &Tensor, first: i64) -> Result<Tensor, LibtorchError> {
    let [.., height, width] = x.size()[..] else {
        return Err(LibtorchError::other("views need pictures"));
    };
    let padded = x.f_reflection_pad2d([1, 1, 1, 1])?;
    Ok(padded.f_narrow(-2, first, height)?.f_narrow(-1, first, width)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_flipped_and_shifted_with_reflected_borders() -> Result<(), LibtorchError> {
        let x = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape([1, 2, 3]);
        let all = Views { flip: true, shift: true }.of(&x)?;
        let all: Vec<Vec<f32>> =
            all.iter().map(|view| Vec::try_from(view.flatten(0, -1))).collect::<Result<_, _>>()?;
        // numpy.pad(x, 1, "reflect"): [[5, 4, 5, 6, 5], [2, 1, 2, 3, 2], [5, 4, 5, 6, 5], [2, 1, 2, 3, 2]].
        let expected: [[f32; 6]; 6] = [
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            [5.0, 6.0, 5.0, 2.0, 3.0, 2.0],
            [5.0, 4.0, 5.0, 2.0, 1.0, 2.0],
            [3.0, 2.0, 1.0, 6.0, 5.0, 4.0],
            [5.0, 6.0, 5.0, 2.0, 3.0, 2.0],
            [5.0, 4.0, 5.0, 2.0, 1.0, 2.0],
        ];
        assert_eq!(all, expected);
        assert_eq!(Views::default().of(&x)?.len(), 1);
        for (shape, fits) in
            [(&[8, 8][..], true), (&[3, 8, 8], true), (&[64], false), (&[1, 8], false)]
        {
            assert_eq!(Views { flip: true, shift: false }.fit(shape), fits, "{shape:?}");
        }
        Ok(())
    }
}
