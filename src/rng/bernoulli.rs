//! Random zeros and ones, as libtorch draws them on the CPU, several times as fast.
//!
//! libtorch draws each by its own call of the Mersenne Twister (Matsumoto and Nishimura, 1998), which takes as long as
//! a convolution does for the values that are dropped, and on Intel's processors it draws others. Here all words of
//! the generator's state are computed at once, and the numbers are the same on every processor.

use multiversion::multiversion;

/// Words of the generator's state, and the distance of those that are combined.
const WORDS: usize = 624;
const DISTANCE: usize = 397;

/// The generator MT19937, and its next words.
struct MersenneTwister {
    state: [u32; WORDS],
    words: [u32; WORDS],
}

/// Writes 1 with this probability or 0 to each of `out`, which are those after the first `skipped` of the seed's.
///
/// The same numbers as `at::bernoulli_` with a generator of libtorch on the CPU, which takes the lower half of the
/// seed.
pub fn bernoulli(out: &mut [f32], skipped: usize, probability: f64, seed: u64) {
    // libtorch compares a number of 53 bits, divided by 2⁵³, with the probability.
    let limit = (probability * (1u64 << 53) as f64).ceil() as u64;
    let mut generator = MersenneTwister::new(seed as u32);
    let at_once = WORDS / 2;
    let mut rest = out;
    let mut skipped = skipped;
    while !rest.is_empty() {
        generator.advance();
        if skipped >= at_once {
            skipped -= at_once;
            continue;
        }
        let count = rest.len().min(at_once - skipped);
        let (own, others) = std::mem::take(&mut rest).split_at_mut(count);
        compare(own, &generator.words[2 * skipped..], limit);
        (rest, skipped) = (others, 0);
    }
}

impl MersenneTwister {
    fn new(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        for i in 1..WORDS {
            let last = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(last ^ last >> 30).wrapping_add(i as u32);
        }
        Self { state, words: [0; WORDS] }
    }

    /// Computes the next words.
    fn advance(&mut self) {
        twist(&mut self.state);
        temper(&self.state, &mut self.words);
    }
}

#[inline(always)]
fn combined(far: u32, upper: u32, lower: u32) -> u32 {
    let word = upper & 0x8000_0000 | lower & 0x7fff_ffff;
    far ^ word >> 1 ^ (word & 1).wrapping_neg() & 0x9908_b0df
}

#[multiversion(targets("x86_64+avx2"))]
fn twist(state: &mut [u32; WORDS]) {
    // In ranges in which no word depends on another of the range that is within a vector of it.
    let (first, last) = state.split_at_mut(DISTANCE);
    for i in 0..WORDS - DISTANCE {
        first[i] = combined(last[i], first[i], first[i + 1]);
    }
    for i in WORDS - DISTANCE..DISTANCE - 1 {
        first[i] = combined(first[i + DISTANCE - WORDS], first[i], first[i + 1]);
    }
    let middle = DISTANCE - 1;
    first[middle] = combined(first[middle + DISTANCE - WORDS], first[middle], last[0]);
    for i in 0..WORDS - DISTANCE - 1 {
        last[i] = combined(first[i + 2 * DISTANCE - WORDS], last[i], last[i + 1]);
    }
    state[WORDS - 1] = combined(state[DISTANCE - 1], state[WORDS - 1], state[0]);
}

#[multiversion(targets("x86_64+avx2"))]
fn temper(state: &[u32; WORDS], words: &mut [u32; WORDS]) {
    for (word, &state) in words.iter_mut().zip(state) {
        let x = state ^ state >> 11;
        let x = x ^ x << 7 & 0x9d2c_5680;
        let x = x ^ x << 15 & 0xefc6_0000;
        *word = x ^ x >> 18;
    }
}

/// Compares pairs of words, of which the first has the upper bits, with a limit.
#[multiversion(targets("x86_64+avx2"))]
fn compare(out: &mut [f32], words: &[u32], limit: u64) {
    for (out, pair) in out.iter_mut().zip(words.as_chunks::<2>().0) {
        let number = u64::from(pair[0] & 0x1f_ffff) << 32 | u64::from(pair[1]);
        *out = f32::from(u8::from(number < limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.random.RandomState(5489)` and the reference implementation: its 10,000th word.
    #[test]
    fn the_generator_is_mt19937() {
        let mut generator = MersenneTwister::new(5489);
        (0..17).for_each(|_| generator.advance());
        assert_eq!(generator.words[9_999 - 16 * WORDS], 4_123_659_995);
    }

    #[test]
    fn numbers_do_not_depend_on_how_they_are_divided() {
        let mut all = vec![f32::NAN; 5000];
        bernoulli(&mut all, 0, 0.3, 17 << 32 | 5);
        assert!((all.iter().sum::<f32>() / 5000.0 - 0.3).abs() < 0.03);
        for (first, count) in [(0, 5000), (1, 700), (311, 2), (312, 312), (2000, 3000)] {
            let mut part = vec![f32::NAN; count];
            // Only the lower half of the seed counts.
            bernoulli(&mut part, first, 0.3, 5);
            assert_eq!(part, all[first..first + count]);
        }
    }
}
