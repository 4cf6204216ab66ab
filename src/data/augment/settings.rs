//! The settings of augmentation.

use serde::{Deserialize, Serialize};

use super::randaugment;
use crate::data::dataset::Dataset;
use crate::data::dataset_problem::DatasetProblem;
use crate::data::error::DataError;
use crate::data::picture_shape::PictureShape;

/// How far images are deformed. Each number is the largest change of its kind, drawn uniformly from ±
/// that number; zero disables it. Lengths are for images of 28 by 28 pixels, and scale with the longer
/// side of other sizes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Rotation in degrees.
    pub rotation: f64,
    /// Change of size, as a fraction: 0.1 for 90 to 110 %.
    pub scale: f64,
    /// Shift along each axis, in pixels of an image of 28 by 28.
    pub shift: f64,
    /// Shear: the shift of a row per row of distance from the center.
    pub shear: f64,
    /// Standard deviation of the elastic displacement along each axis, in pixels of an image of 28 by 28.
    pub elastic: f64,
    /// The last fraction of the epochs, over which all of it fades out: training ends on unmodified images.
    #[serde(default)]
    pub fade: f64,
    /// The probability that left and right are swapped.
    #[serde(skip_serializing_if = "is_zero")]
    pub flip: f64,
    /// Shift along each axis in whole pixels, of images of any size, with the border reflected: a random crop after
    /// such a padding.
    #[serde(skip_serializing_if = "is_zero")]
    pub crop: f64,
    /// Side of a square that is left out, in pixels of images of any size; it gets the mean of each color.
    #[serde(skip_serializing_if = "is_zero")]
    pub cutout: f64,
    /// Change of the brightness, as a fraction: 0.2 for 80 to 120 %.
    #[serde(skip_serializing_if = "is_zero")]
    pub brightness: f64,
    /// Change of the contrast, as a fraction.
    #[serde(skip_serializing_if = "is_zero")]
    pub contrast: f64,
    /// Change of the saturation of pictures in color, as a fraction.
    #[serde(skip_serializing_if = "is_zero")]
    pub saturation: f64,
    /// Magnitude, up to 30, of the two operations that are drawn for each image from torchvision's list: RandAugment
    /// (Cubuk and others, 2020). They move pixels or change colors.
    #[serde(skip_serializing_if = "is_zero")]
    pub randaugment: f64,
    /// Alpha of MixUp: each image and its target are mixed with those of another training sample, in parts drawn from
    /// Beta(alpha, alpha) (Zhang and others, 2018).
    #[serde(skip_serializing_if = "is_zero")]
    pub mixup: f64,
    /// Alpha of CutMix: a rectangle of each image is replaced by that of another training sample, and as large a part
    /// of its target; drawn from Beta(alpha, alpha) (Yun and others, 2019). With MixUp, one of the two by a fair draw.
    #[serde(skip_serializing_if = "is_zero")]
    pub cutmix: f64,
}

/// The largest alpha, at which nearly all parts are halves.
const LARGEST_ALPHA: f64 = 100.0;

/// Settings that are off are left out of records, which older ones do not have.
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Default for Augment {
    fn default() -> Self {
        Self::OFF
    }
}

impl Augment {
    /// Changes nothing.
    pub const OFF: Self = Self {
        rotation: 0.0,
        scale: 0.0,
        shift: 0.0,
        shear: 0.0,
        elastic: 0.0,
        fade: 0.0,
        flip: 0.0,
        crop: 0.0,
        cutout: 0.0,
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.0,
        randaugment: 0.0,
        mixup: 0.0,
        cutmix: 0.0,
    };

    /// Returns whether this changes anything.
    pub fn is_on(&self) -> bool {
        *self != Self { fade: self.fade, ..Self::default() }
    }

    /// Returns whether this changes nothing.
    pub fn is_off(&self) -> bool {
        !self.is_on()
    }

    /// Returns the name and value of each setting, with its largest allowed value.
    pub(crate) fn limits(&self) -> [(&'static str, f64, f64); 15] {
        [
            ("augment rotation", self.rotation, 180.0),
            // Images of no size at all cannot be sampled.
            ("augment scale", self.scale, 0.9),
            ("augment shift", self.shift, 28.0),
            ("augment shear", self.shear, 10.0),
            ("augment elastic", self.elastic, 28.0),
            ("augment fade", self.fade, 1.0),
            ("augment flip", self.flip, 1.0),
            ("augment crop", self.crop, 1000.0),
            ("augment cutout", self.cutout, 10_000.0),
            ("augment brightness", self.brightness, 1.0),
            ("augment contrast", self.contrast, 1.0),
            ("augment saturation", self.saturation, 1.0),
            ("augment randaugment", self.randaugment, randaugment::LARGEST),
            ("augment mixup", self.mixup, LARGEST_ALPHA),
            ("augment cutmix", self.cutmix, LARGEST_ALPHA),
        ]
    }

    /// Returns the shape of the pictures in a data set, if they can be augmented so.
    ///
    /// # Errors
    /// Samples that are not pictures, pictures smaller than what is to be left out or cropped, or streamed pictures that
    /// are to be mixed.
    pub fn check_for(&self, dataset: &Dataset) -> Result<PictureShape, DataError> {
        let shape = dataset.any_pictures_for("augmentation")?;
        let side = shape.height.min(shape.width);
        for (setting, found) in [("crop", self.crop), ("cutout", self.cutout)] {
            if found > side as f64 {
                return Err(DatasetProblem::Augmentation { setting, found, side }.into());
            }
        }
        for (setting, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            if alpha > 0.0 && dataset.is_streamed() {
                return Err(DatasetProblem::StreamedMixing { setting, found: alpha }.into());
            }
        }
        Ok(shape)
    }

    /// Returns whether samples are mixed with others.
    pub(crate) fn mixes(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }

    /// Returns whether images are flipped, cropped or changed in their colors.
    pub(super) fn changes_pictures(&self) -> bool {
        let Self { flip, crop, cutout, brightness, contrast, saturation, .. } = self;
        [flip, crop, cutout, brightness, contrast, saturation].iter().any(|&&x| x != 0.0)
    }

    /// Returns whether images are sampled between pixels.
    pub(super) fn deforms(&self) -> bool {
        [self.rotation, self.scale, self.shift, self.shear, self.elastic].iter().any(|&x| x != 0.0)
    }
}
