//! Seeded random streams: one per purpose, never shared.
//!
//! Every random choice uses a generator derived from (seed, purpose, position). The result of a run therefore
//! depends neither on the number of threads nor on earlier draws, and a run can be resumed at any point
//! without storing a generator's state.

mod bernoulli;

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

pub use bernoulli::bernoulli;

/// The purpose of a random stream. The discriminants are part of what makes a seed reproducible: never
/// renumber them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights; position: the layer.
    Init = 1,
    /// Order of the samples; position: the epoch.
    Shuffle = 2,
    /// Choice of validation samples; position: the class.
    Split = 3,
    /// Dropout masks; position: the training step and the layer.
    Dropout = 4,
    /// Deformations of training images; position: the epoch and the sample.
    Augment = 5,
    /// Normal noise of layers; position: the training step and the layer.
    Noise = 6,
}

/// Returns the generator for `purpose` at `position`, the same for the same arguments on every machine.
pub fn stream(seed: u64, purpose: Purpose, position: &[u64]) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(derive(seed, purpose, position))
}

/// Returns the 64-bit seed that [`stream`] starts from, for generators other than ours (libtorch's).
pub fn derive(seed: u64, purpose: Purpose, position: &[u64]) -> u64 {
    position.iter().fold(mix(mix(seed) ^ purpose as u64), |state, &p| mix(state ^ p))
}

/// One step of SplitMix64 (Steele, Lea and Flood, 2014): a bijection that spreads every input bit.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn adjacent_positions_and_purposes_give_different_streams() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..8 {
            for purpose in [Purpose::Init, Purpose::Shuffle, Purpose::Split, Purpose::Dropout] {
                for position in 0..8 {
                    assert!(seen.insert(stream(seed, purpose, &[position]).next_u64()));
                }
            }
        }
    }

    #[test]
    fn a_stream_repeats_itself() {
        let draw = || stream(7, Purpose::Shuffle, &[3]).next_u64();
        assert_eq!(draw(), draw());
    }

    #[test]
    fn mix_is_splitmix64() {
        // The first outputs of SplitMix64 seeded with 0, as published with the reference implementation
        // (https://prng.di.unimi.it/splitmix64.c).
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }
}
