//! The targets of a batch and the weights of its samples, as lists.

use crate::data::Target;
use crate::losses::RowTarget;

/// The targets of a batch, one or two for each sample, and their weights if they have any.
pub struct BatchTargets {
    /// The number of targets of a sample: two where samples are mixed.
    each: usize,
    /// The number of labels or numbers of a sample; 0 for classes.
    width: usize,
    /// [batch · each]
    classes: Vec<u32>,
    /// [batch · each, width]
    values: Vec<f32>,
    /// [batch · each], or empty.
    weights: Vec<f32>,
}

/// The targets of a task's samples, to be written.
pub struct TargetsMut<'a> {
    width: usize,
    classes: &'a mut [u32],
    values: &'a mut [f32],
    weights: &'a mut [f32],
}

/// The targets of a task's samples.
#[derive(Clone, Copy)]
pub struct TargetRows<'a> {
    each: usize,
    width: usize,
    classes: &'a [u32],
    values: &'a [f32],
    weights: &'a [f32],
}

impl BatchTargets {
    /// Returns room for `batch` samples of `each` targets: `width` labels or numbers, or a class if that is 0.
    pub fn new(batch: usize, each: usize, width: usize, is_weighted: bool) -> Self {
        let targets = batch * each;
        Self {
            each,
            width,
            classes: vec![0; targets],
            values: vec![0.0; targets * width],
            weights: vec![1.0; if is_weighted { targets } else { 0 }],
        }
    }

    /// Returns the places of `samples` samples at a time.
    pub fn chunks_mut(&mut self, samples: usize) -> impl Iterator<Item = TargetsMut<'_>> {
        let (width, targets) = (self.width, samples * self.each);
        let mut values = self.values.chunks_mut((targets * width).max(1));
        let mut weights = self.weights.chunks_mut(targets);
        self.classes.chunks_mut(targets).map(move |classes| TargetsMut {
            width,
            classes,
            values: values.next().unwrap_or_default(),
            weights: weights.next().unwrap_or_default(),
        })
    }

    /// Returns the targets of the first `count` samples, `samples` of them at a time.
    pub fn chunks(&self, count: usize, samples: usize) -> impl Iterator<Item = TargetRows<'_>> {
        let (each, width, targets) = (self.each, self.width, samples * self.each);
        let mut values = self.values.chunks((targets * width).max(1));
        let mut weights = self.weights.chunks(targets);
        self.classes[..count * each].chunks(targets).map(move |classes| TargetRows {
            each,
            width,
            classes,
            values: values.next().unwrap_or_default(),
            weights: weights.next().unwrap_or_default(),
        })
    }
}

impl TargetsMut<'_> {
    /// Writes target `i`: those of a sample are next to each other.
    pub fn set(&mut self, i: usize, target: Target) {
        let values = &mut self.values[i * self.width..(i + 1) * self.width];
        match target {
            Target::Class(class) => self.classes[i] = class.into(),
            Target::Numbers(numbers) => values.copy_from_slice(numbers),
            Target::Labels(labels) => {
                values.iter_mut().zip(labels).for_each(|(value, &label)| *value = label.into());
            }
        }
    }

    /// Writes the weight of target `i`, where targets have weights.
    pub fn set_weight(&mut self, i: usize, weight: f32) {
        self.weights[i] = weight;
    }
}

impl<'a> TargetRows<'a> {
    /// Returns the number of samples.
    pub fn len(self) -> usize {
        self.classes.len() / self.each
    }

    /// Returns the number of targets of each sample.
    pub fn each(self) -> usize {
        self.each
    }

    /// Returns the targets of all samples, each with its weight if it has one.
    pub fn rows(self) -> impl Iterator<Item = (RowTarget<'a>, Option<f32>)> {
        let Self { width, classes, values, weights, .. } = self;
        classes.iter().enumerate().map(move |(i, &class)| {
            let target = match width {
                0 => RowTarget::Class(class as usize),
                width => RowTarget::Values(&values[i * width..(i + 1) * width]),
            };
            (target, weights.get(i).copied())
        })
    }
}
