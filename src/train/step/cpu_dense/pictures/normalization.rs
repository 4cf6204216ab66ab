//! BatchNormalization of pictures, with relu after it.

use super::picture_layer::{Backward, Forward, Parameter, PictureLayer, PictureShape, Shared};
use super::picture_loops;
use crate::layers::{Activation, ActivationLayer, BatchNormalization, Layer};

/// BatchNormalization, and relu if it follows.
#[derive(Debug)]
pub struct PictureNormalization {
    pub shape: PictureShape,
    pub settings: BatchNormalization,
    pub relu: bool,
}

impl PictureNormalization {
    /// Divides statistics into lists of one number for each channel.
    fn lists<const N: usize>(statistics: &[f32]) -> [&[f32]; N] {
        let channels = statistics.len() / N;
        std::array::from_fn(|i| &statistics[i * channels..(i + 1) * channels])
    }

    /// Returns 1 / √(variance + ε) of the batch, scaled by the weights.
    fn scales<'a>(&self, shared: Shared<'a>) -> impl Iterator<Item = f32> + use<'a> {
        let [_, inverse] = Self::lists(shared.statistics);
        let [weights, _] = Self::lists(shared.packed);
        inverse.iter().zip(weights).map(|(inverse, weight)| inverse * weight)
    }
}

/// Some channels' numbers.
type Channels = Vec<f32>;

impl PictureLayer for PictureNormalization {
    fn output(&self) -> PictureShape {
        self.shape
    }

    fn absorb(&mut self, next: &Layer) -> bool {
        let relu = matches!(next.get(), Some(ActivationLayer { activation: Activation::Relu }));
        self.relu |= relu;
        relu
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::by_channel(self.shape.channels); 2]
    }

    fn buffers(&self) -> usize {
        2 * self.shape.channels
    }

    fn packed(&self) -> usize {
        2 * self.shape.padded()
    }

    fn pack(&self, parameters: &[f32], packed: &mut [f32]) {
        let own = packed.chunks_exact_mut(self.shape.padded());
        for (own, values) in own.zip(parameters.chunks_exact(self.shape.channels)) {
            own[..values.len()].copy_from_slice(values);
        }
    }

    fn forward(&self, sample: Forward) {
        let Forward { x, y, shared, .. } = sample;
        let [means, _] = Self::lists(shared.statistics);
        let [_, bias] = Self::lists(shared.packed);
        let scales: Channels = self.scales(shared).collect();
        let shifts = bias.iter().zip(means).zip(&scales);
        let shifts: Channels = shifts.map(|((bias, mean), scale)| bias - mean * scale).collect();
        picture_loops::scale_and_shift(y, x, &scales, &shifts, self.relu);
    }

    fn backward(&self, sample: Backward) {
        let Backward { x, shared, dy, dx, .. } = sample;
        let Some(dx) = dx else { return };
        let [means, inverse] = Self::lists(shared.statistics);
        let [sums, products] = Self::lists(shared.gradient_statistics);
        let scales: Channels = self.scales(shared).collect();
        let slopes = products.iter().zip(inverse);
        let slopes: Channels =
            slopes.map(|(product, inverse)| product * inverse * inverse).collect();
        picture_loops::normalized_gradient(dx, x, dy, [&scales, means, sums, &slopes]);
    }

    fn statistics(&self) -> usize {
        2 * self.shape.padded()
    }

    fn measure(&self, x: &[f32], statistics: &mut [f32]) {
        let (means, squares) = statistics.split_at_mut(self.shape.padded());
        picture_loops::moments(x, means, squares);
    }

    /// Combines means and sums of squares (Chan et al., 1979) to means and 1 / √(variance + ε).
    fn combine(&self, samples: &[f32], combined: &mut [f32], buffers: &mut [f32]) {
        let (channels, padded) = (self.shape.channels, self.shape.padded());
        let pixels = self.shape.pixels() as f64;
        let (running_means, running_variances) = buffers.split_at_mut(channels.min(buffers.len()));
        for channel in 0..padded {
            let (mut mean, mut squares, mut count) = (0f64, 0f64, 0f64);
            for sample in samples.chunks_exact(2 * padded) {
                let distance = f64::from(sample[channel]) - mean;
                let all = count + pixels;
                mean += distance * pixels / all;
                squares += f64::from(sample[padded + channel])
                    + distance * distance * count * pixels / all;
                count = all;
            }
            let variance = squares / count;
            combined[channel] = mean as f32;
            let inverse = 1.0 / (variance + self.settings.epsilon).sqrt();
            combined[padded + channel] = if channel < channels { inverse as f32 } else { 0.0 };
            let is_updated = count > 1.0;
            if let (Some(own_mean), Some(own_variance), true) =
                (running_means.get_mut(channel), running_variances.get_mut(channel), is_updated)
            {
                let follow = (1.0 - self.settings.momentum) as f32;
                let unbiased = (squares / (count - 1.0)) as f32;
                *own_mean = follow * mean as f32 + (1.0 - follow) * *own_mean;
                *own_variance = follow * unbiased + (1.0 - follow) * *own_variance;
            }
        }
    }

    fn measure_gradient(&self, sample: Backward, statistics: &mut [f32]) {
        let Backward { x, y, shared, dy, gradients, .. } = sample;
        if self.relu {
            picture_loops::relu_gradient(dy, y);
        }
        let [means, inverse] = Self::lists(shared.statistics);
        let (sums, products) = statistics.split_at_mut(self.shape.padded());
        picture_loops::gradient_moments(x, dy, means, sums, products);
        let (weights, bias) = gradients.split_at_mut(self.shape.padded());
        picture_loops::add(bias, sums);
        let own = weights.iter_mut().zip(&*products).zip(inverse);
        own.for_each(|((weight, product), inverse)| *weight += product * inverse);
    }

    /// Combines the sums to means over the batch.
    fn combine_gradient(&self, samples: &[f32], combined: &mut [f32]) {
        let width = 2 * self.shape.padded();
        let count = (samples.len() / width * self.shape.pixels()) as f64;
        for (i, combined) in combined.iter_mut().enumerate() {
            let values = samples[i..].iter().step_by(width);
            *combined = (values.map(|&value| f64::from(value)).sum::<f64>() / count) as f32;
        }
    }
}
