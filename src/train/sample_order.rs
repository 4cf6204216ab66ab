//! The order of the samples in an epoch.

use rand::seq::SliceRandom;

use crate::rng::{self, Purpose};

/// Returns the order of the samples in `epoch`, drawn from the stream of (seed, epoch).
pub(super) fn order(samples: usize, seed: u64, epoch: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..samples as u32).collect();
    order.shuffle(&mut rng::stream(seed, Purpose::Shuffle, &[epoch as u64]));
    order
}

#[cfg(test)]
mod tests {
    use super::order;
    use crate::data::batches::{DataLoader, Epoch};
    use crate::data::{self, Dataset, Features, StreamMemory, Targets};
    use crate::group::rank_shard::RankShard;
    use crate::layers::{Conv2D, Dense, Flatten};
    use crate::{Device, FitConfig, Sequential};

    /// Returns random images, each of which begins with its number.
    fn numbered(shape: &[usize]) -> Dataset {
        let each = shape.iter().product::<usize>();
        let value = |i: usize| match i % each {
            0 => (i / each / 256) as u8,
            1 => (i / each % 256) as u8,
            _ => (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[1],
        };
        let pixels: Vec<u8> = (0..600 * each).map(value).collect();
        let labels: Vec<u8> = (0..600).map(|i| (i * 7 % 3) as u8).collect();
        let targets = Targets::classes(labels, ["a", "b", "c"]);
        Dataset::from_arrays(Features::pixels(pixels, shape), targets).unwrap()
    }

    #[test]
    fn streamed_images_give_the_weights_of_images_in_memory_in_the_same_order() {
        for shape in [&[8, 8][..], &[3, 8, 8]] {
            let (held, folder) = (numbered(shape), tempfile::tempdir().unwrap());
            let path = folder.path().join("shards");
            data::save_shards(&held, &held.take(3), 4, &path, &mut |_, _| {}).unwrap();
            let files = data::stream_dir(path, StreamMemory::default()).unwrap().0;
            // The images in the order in which an epoch reads them.
            let epoch = Epoch { seed: 5, number: 1, batch: 50, done: 0, share: RankShard::WHOLE };
            let loader = DataLoader::new(&files, Device::Cpu).unwrap();
            let mut read = Vec::new();
            for batch in loader.portions(epoch).unwrap() {
                let batch = batch.unwrap();
                let number = |&place: &u32| match batch.feed().plain(place) {
                    Some([high, low, ..]) => u32::from_be_bytes([0, 0, *high, *low]),
                    _ => panic!("no pixels"),
                };
                read.extend(batch.places().iter().map(number));
            }
            // A view that gives images in memory the same order.
            let mut view = vec![0; read.len()];
            let places = order(read.len(), 5, 1);
            places.iter().zip(&read).for_each(|(&place, &image)| view[place as usize] = image);
            let trained = |train: &Dataset| {
                let builder = match shape {
                    [_, _, _] => Sequential::new(shape).add(Conv2D::new(4, 3)).add(Flatten),
                    _ => Sequential::new(shape).add(Flatten),
                };
                let mut model = builder.add(Dense::new(3)).build(Device::Cpu, 3).unwrap();
                let config =
                    FitConfig { epochs: 1, batch_size: 50, seed: 5, ..FitConfig::default() };
                model.fit(train, &config, &mut []).unwrap();
                model.to_safetensors(Default::default()).unwrap()
            };
            let in_memory = trained(&held.select(&view).unwrap());
            assert!(trained(&files) == in_memory, "{shape:?}");
            assert!(trained(&held) != in_memory, "{shape:?}");
        }
    }

    #[test]
    fn the_order_is_a_permutation_of_the_seed_and_the_epoch() {
        let order = |seed, epoch| order(100, seed, epoch);
        let mut sorted = order(1, 1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
        assert!(order(1, 1) != sorted);
        assert_eq!(order(1, 1), order(1, 1));
        assert!(order(1, 1) != order(1, 2) && order(1, 1) != order(2, 1));
    }
}
