//! MixUp (Zhang, Cisse, Dauphin and Lopez-Paz, *mixup: Beyond Empirical Risk Minimization*, 2018) and CutMix (Yun and
//! others, *CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features*, 2019): a part of
//! another training image in each image, and the same part of its target in the loss.
//!
//! Each image has its own other one, drawn from the whole training data by (seed, epoch, sample), and its own part, drawn
//! from Beta(alpha, alpha). So what is mixed depends neither on batches nor on ranks. The area of CutMix is that of
//! torchvision's `transforms.v2.CutMix`.

use rand::{Rng, RngExt};

use super::settings::Augment;

/// What another sample contributes to an image and to the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mix {
    /// The other sample's index in the training data.
    pub partner: u32,
    /// The other image's fraction of each pixel in the area.
    pub(super) amount: f32,
    /// The rows and columns that are mixed: first and end of each.
    pub(super) area: [[usize; 2]; 2],
}

impl Mix {
    /// Draws what is mixed into the image of `sample`, of `samples` and of \[height, width\]. None with the probability
    /// 1 - `strength`, which rises as augmentation fades out, and where no other sample or no part of it is drawn.
    pub fn draw(
        augment: &Augment,
        strength: f64,
        (sample, samples): (u32, usize),
        size: [usize; 2],
        rng: &mut impl Rng,
    ) -> Option<Self> {
        if samples < 2 || rng.random::<f64>() >= strength {
            return None;
        }
        let further = rng.random_range(1..samples);
        let partner = ((sample as usize + further) % samples) as u32;
        let cuts = match (augment.mixup > 0.0, augment.cutmix > 0.0) {
            (true, true) => rng.random::<bool>(),
            (_, cuts) => cuts,
        };
        let other = 1.0 - beta(if cuts { augment.cutmix } else { augment.mixup }, rng);
        let mix = match cuts {
            true => Self { partner, amount: 1.0, area: area(other, size, rng) },
            false => Self { partner, amount: other as f32, area: size.map(|size| [0, size]) },
        };
        (mix.fraction(size) > 0.0).then_some(mix)
    }

    /// Returns the other sample's fraction of the loss.
    pub fn fraction(&self, [height, width]: [usize; 2]) -> f32 {
        let pixels: usize = self.area.iter().map(|[first, end]| end - first).product();
        self.amount * (pixels as f64 / (height * width).max(1) as f64) as f32
    }

    /// Mixes the other image, of the same size, into `out`; both row by row, in color plane by plane.
    pub fn apply(&self, out: &mut [f32], other: &[f32], [height, width]: [usize; 2]) {
        let ([[top, bottom], [left, right]], width) = (self.area, width.max(1));
        let plane = (height * width).max(1);
        for (out, other) in out.chunks_exact_mut(plane).zip(other.chunks_exact(plane)) {
            let rows = out.chunks_exact_mut(width).zip(other.chunks_exact(width));
            for (out, other) in rows.take(bottom).skip(top) {
                let values = out[left..right].iter_mut().zip(&other[left..right]);
                values.for_each(|(out, other)| *out = mixed(*out, *other, self.amount));
            }
        }
    }
}

/// Returns (1 - amount) · own + amount · other: exactly the other where it is all.
fn mixed(own: f32, other: f32, amount: f32) -> f32 {
    own * (1.0 - amount) + other * amount
}

/// Draws a rectangle of about this fraction of an image, around any pixel; what lies outside is cut off.
fn area(fraction: f64, size: [usize; 2], rng: &mut impl Rng) -> [[usize; 2]; 2] {
    size.map(|size| {
        let middle = rng.random_range(0..size.max(1));
        let half = (0.5 * fraction.sqrt() * size as f64) as usize;
        [middle.saturating_sub(half), (middle + half).min(size)]
    })
}

/// Draws from Beta(alpha, alpha).
fn beta(alpha: f64, rng: &mut impl Rng) -> f64 {
    let (own, other) = (ln_gamma(alpha, rng), ln_gamma(alpha, rng));
    let drawn = 1.0 / (1.0 + (other - own).exp());
    // Both are minus infinity for an alpha near 0, at which one of the two is all.
    if drawn.is_nan() { 1.0 } else { drawn }
}

/// Draws the logarithm of a number from Gamma(alpha, 1): Marsaglia and Tsang, *A Simple Method for Generating Gamma
/// Variables*, 2000, for alpha + 1, from which that of alpha follows.
fn ln_gamma(alpha: f64, rng: &mut impl Rng) -> f64 {
    let d = alpha + 2.0 / 3.0;
    let c = (9.0 * d).sqrt().recip();
    let larger = loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - rng.random::<f64>();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            break (d * v).ln();
        }
    };
    larger + (1.0 - rng.random::<f64>()).ln() / alpha
}

/// Draws from the normal distribution, by Box and Muller.
fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests;
