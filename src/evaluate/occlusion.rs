//! Occlusion maps: the places of a picture that a prediction rests on.
//!
//! A patch of the picture's mean color is moved over the picture, and at each place the fall of the probability of a
//! class is kept: M. D. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks" (2014). This takes
//! nothing but predictions, so it is the same for all layers and devices, and costs one for each place.

use super::check_fit::check_shape;
use super::error::EvaluateError;
use crate::data::{Features, PictureShape};
use crate::model::Sequential;

/// The patch's sides, as a fraction of those of the picture.
const PATCH: f64 = 0.25;
/// Covered pictures that are predicted together: of large pictures all of them would take much memory.
const BATCH: usize = 48;

/// The fall of the probability of a class for each place of a patch that covers a part of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct OcclusionMap {
    /// Places along each side, \[rows, columns\]: the patch's center is in the middle of as many equal parts of the
    /// picture.
    pub places: [usize; 2],
    /// The probability of the class for the whole picture.
    pub probability: f64,
    /// That probability minus the one for the covered picture, row by row: negative where covering raises it.
    pub falls: Vec<f64>,
}

impl OcclusionMap {
    /// Returns the largest fall, at least 0.
    pub fn largest_fall(&self) -> f64 {
        self.falls.iter().copied().fold(0.0, f64::max)
    }

    /// Returns the fall at a point, both coordinates from 0 to 1: between the centers of patches their weighted mean.
    pub fn fall_at(&self, [y, x]: [f64; 2]) -> f64 {
        let [rows, columns] = self.places;
        let (top, below, down) = between(y, rows);
        let (left, right, along) = between(x, columns);
        let at = |row: usize, column: usize| {
            self.falls.get(row * columns + column).copied().unwrap_or_default()
        };
        let row = |row| at(row, left) * (1.0 - along) + at(row, right) * along;
        row(top) * (1.0 - down) + row(below) * down
    }
}

/// Returns the two places around a point, and how far it is from the first to the second.
fn between(point: f64, places: usize) -> (usize, usize, f64) {
    let last = places.saturating_sub(1);
    let position = (point * places as f64 - 0.5).clamp(0.0, last as f64);
    let first = position as usize;
    (first, (first + 1).min(last), position - first as f64)
}

impl Sequential {
    /// Computes how far the probability of `class` falls when a patch of the mean color covers a part of a picture,
    /// for each place of the patch: up to `places` along each side, of which 8 show all that a patch of a quarter of the
    /// side can. `picture` has one sample of pixels, gray or in color.
    ///
    /// # Errors
    /// A sample that is no picture, or not exactly one; a picture of another shape than the network takes, a class that
    /// the network does not have, or libtorch's own errors.
    pub fn occlusion_map(
        &self,
        picture: &Features,
        class: usize,
        places: usize,
    ) -> Result<OcclusionMap, EvaluateError> {
        check_shape(self, picture.shape())?;
        let (Some(pixels), Some(shape)) = (picture.as_pixels(), PictureShape::of(picture.shape()))
        else {
            return Err(EvaluateError::NoImages(picture.shape().to_vec()));
        };
        if pixels.len() != shape.values() {
            return Err(EvaluateError::Pixels { found: pixels.len(), shape: shape.size() });
        }
        // Two classes may have one output.
        let classes = self.outputs().max(2);
        if class >= classes {
            return Err(EvaluateError::NoClass { found: class, classes });
        }
        let probability = *self.probabilities(picture, class)?.first().unwrap_or(&0.0);
        let places = shape.size().map(|side| side.min(places.max(1)));
        let all: Vec<[usize; 2]> =
            (0..places[0] * places[1]).map(|i| [i / places[1], i % places[1]]).collect();
        let mean = mean_color(pixels, shape);
        let mut falls = Vec::with_capacity(all.len());
        for part in all.chunks(BATCH) {
            let covered =
                part.iter().flat_map(|&place| covered(pixels, shape, &mean, place, places));
            let covered = Features::pixels(covered.collect::<Vec<_>>(), picture.shape());
            let probabilities = self.probabilities(&covered, class)?;
            falls.extend(probabilities.into_iter().map(|covered| probability - covered));
        }
        Ok(OcclusionMap { places, probability, falls })
    }

    /// Returns the probability of a class for each of some pictures.
    fn probabilities(&self, pictures: &Features, class: usize) -> Result<Vec<f64>, EvaluateError> {
        let predictions = self.predict_features(pictures)?;
        let of_class = |prediction: Vec<f32>| match (&prediction[..], class) {
            (&[second], 0) => 1.0 - f64::from(second),
            (&[second], _) => f64::from(second),
            (all, class) => all.get(class).copied().map_or(0.0, f64::from),
        };
        Ok(predictions.into_iter().map(of_class).collect())
    }
}

/// Returns the mean of each channel.
fn mean_color(pixels: &[u8], shape: PictureShape) -> Vec<u8> {
    let plane = shape.height * shape.width;
    let mean = |plane: &[u8]| {
        let sum: u64 = plane.iter().map(|&value| u64::from(value)).sum();
        (sum as f64 / plane.len() as f64).round() as u8
    };
    pixels.chunks_exact(plane.max(1)).map(mean).collect()
}

/// Returns the picture with a patch at a place.
fn covered(
    pixels: &[u8],
    shape: PictureShape,
    mean: &[u8],
    [row, column]: [usize; 2],
    [rows, columns]: [usize; 2],
) -> Vec<u8> {
    let mut pixels = pixels.to_vec();
    let [top, bottom] = ends(row, rows, shape.height);
    let [left, right] = ends(column, columns, shape.width);
    for (plane, &mean) in pixels.chunks_exact_mut((shape.height * shape.width).max(1)).zip(mean) {
        for row in plane.chunks_exact_mut(shape.width).take(bottom).skip(top) {
            row[left..right].fill(mean);
        }
    }
    pixels
}

/// Returns the first pixel of the patch along a side, and the one after its last; it is cut at the edges.
fn ends(place: usize, places: usize, side: usize) -> [usize; 2] {
    let center = (place as f64 + 0.5) * side as f64 / places as f64;
    let half = (PATCH * side as f64 / 2.0).max(0.5);
    [(center - half).round().max(0.0) as usize, ((center + half).round() as usize).min(side)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::layers::{Activation, Conv2D, Dense, Flatten, GlobalAveragePooling2D};

    /// Returns a network of two classes that looks at nothing but the brightness of the upper left corner.
    fn of_corner(shape: &[usize], corner: usize) -> Sequential {
        let model = Sequential::new(shape).add(Flatten).add(Dense::new(2));
        let model = model.build(Device::Cpu, 0).unwrap();
        let _no_grad = tch::no_grad_guard();
        let (_, weight) = model.parameters().next().unwrap();
        let _ = weight.shallow_clone().zero_();
        let planes = shape.len() - 1;
        let [height, width] = [shape[planes - 1], shape[planes]];
        let planes: usize = shape[..planes - 1].iter().product();
        for i in 0..planes * height * width {
            let (y, x) = (i / width % height, i % width);
            if y < corner && x < corner {
                let _ = weight.get(1).get(i as i64).fill_(4.0 / (corner * corner * planes) as f64);
            }
        }
        model
    }

    #[test]
    fn only_the_corner_that_matters_has_falls() {
        for shape in [&[28, 28][..], &[3, 32, 20], &[1, 12, 12]] {
            let model = of_corner(shape, 3);
            let size: usize = shape.iter().product();
            // Noise everywhere, and light in the corner.
            let [height, width] = model.picture_shape().unwrap().size();
            let is_corner = |i: usize| i / width % height < 3 && i % width < 3;
            let pixel = |i: usize| if is_corner(i) { 250 } else { (i * 37 % 101) as u8 };
            let pixels: Vec<u8> = (0..size).map(pixel).collect();
            let picture = Features::pixels(pixels, shape);
            let map = model.occlusion_map(&picture, 1, 8).unwrap();
            assert!(map.probability > 0.9, "{}", map.probability);
            assert_eq!(map.falls.len(), map.places[0] * map.places[1]);
            for (i, &fall) in map.falls.iter().enumerate() {
                let [y, x] = [i / map.places[1], i % map.places[1]];
                // Patches whose center is in the upper left third reach the corner.
                if y == 0 && x == 0 {
                    assert!(fall > 0.03, "{fall} at {y}, {x}");
                } else if y > 3 || x > 3 {
                    assert!(fall.abs() < 1e-6, "{fall} at {y}, {x}");
                }
            }
            assert_eq!(map.fall_at([0.0, 0.0]), map.falls[0]);
            assert!(map.fall_at([0.9, 0.2]).abs() < 1e-6);
            // Of the other class the probability rises by as much.
            let other = model.occlusion_map(&picture, 0, 8).unwrap();
            assert!((other.falls[0] + map.falls[0]).abs() < 1e-5);
        }
    }

    #[test]
    fn networks_of_convolutions_and_of_one_output_have_maps_and_others_say_why_not() {
        let model = Sequential::new([3, 4, 9]).add(Conv2D::new(4, 3)).add(GlobalAveragePooling2D);
        let one = model.add(Dense::new(1).activation(Activation::Sigmoid));
        let one = one.build(Device::Cpu, 0).unwrap();
        let pixels: Vec<u8> = (0..108).map(|i| (i * 41 % 251) as u8).collect();
        let picture = Features::pixels(&pixels[..], [3, 4, 9]);
        let [first, second] = [0, 1].map(|class| one.occlusion_map(&picture, class, 8).unwrap());
        assert_eq!((first.places, first.falls.len()), ([4, 8], 32));
        assert!((first.probability + second.probability - 1.0).abs() < 1e-6);
        let error = one.occlusion_map(&picture, 2, 8).unwrap_err().to_string();
        assert!(error.contains("found class 2"), "{error}");
        let two = Features::pixels([&pixels[..], &pixels].concat(), [3, 4, 9]);
        let error = one.occlusion_map(&two, 0, 8).unwrap_err().to_string();
        assert!(error.contains("found 216"), "{error}");
        let flat = Sequential::new([6]).add(Dense::new(2)).build(Device::Cpu, 0).unwrap();
        let map = flat.occlusion_map(&Features::pixels(&pixels[..6], [2, 3]), 0, 8).unwrap();
        assert_eq!(map.places, [2, 3]);
        for sample in [Features::pixels(&pixels[..6], [6]), Features::floats([0.0; 6], [2, 3])] {
            assert!(matches!(flat.occlusion_map(&sample, 0, 8), Err(EvaluateError::NoImages(_))));
        }
    }
}
