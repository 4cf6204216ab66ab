//! The contribution of some samples to loss and confusion matrix, which ranks exchange.

/// The contribution of some samples to the metrics of a data set.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The sum of the losses.
    pub loss: f64,
    /// The confusion matrix, row by row.
    pub counts: Vec<u64>,
}

impl Tally {
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = std::iter::once(self.loss.to_bits()).chain(self.counts.iter().copied());
        numbers.flat_map(u64::to_le_bytes).collect()
    }

    pub fn of(bytes: &[u8]) -> Self {
        let numbers = bytes.chunks_exact(size_of::<u64>()).filter_map(|part| part.first_chunk());
        let mut numbers = numbers.map(|&number| u64::from_le_bytes(number));
        let loss = numbers.next().map_or(0.0, f64::from_bits);
        Self { loss, counts: numbers.collect() }
    }

    pub fn with(mut self, other: &Self) -> Self {
        self.loss += other.loss;
        self.counts.resize(other.counts.len().max(self.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self
    }
}
