//! Batches: samples and targets in, tensors on the training device out.
//!
//! Pixels stay u8 until a batch is taken, on the device that trains, and are scaled to [0, 1] only
//! here. Numbers are taken as they are.

mod streamed;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use multiversion::multiversion;
use tch::{Device, Tensor};

pub(crate) use super::active_columns::ActiveColumns;
use super::active_columns::Run;
pub(crate) use super::augment::Scratch;
use super::augment::device::DeviceMap;
use super::augment::{Augment, Augmenter, Draw};
use super::dataset::Dataset;
use super::error::DataError;
use super::features::Sample;
pub use super::pixel_scale::SCALE;
use super::prefetch::Prefetch;
pub(crate) use super::stream::Epoch;
use super::stream::SampleBlock;
use super::targets::Target;
use crate::native::{LibtorchError, tensor_buffer};
pub(crate) use streamed::PrefetchedBatch;

/// A batch of samples, ready for the network.
#[derive(Debug)]
pub struct Batch {
    /// f32 [batch, …sample shape]; pixels in [0, 1].
    pub inputs: Tensor,
    /// Of classes i64 [batch]; of several labels or numbers f32 [batch, targets].
    pub targets: Tensor,
    /// The weight of each sample in the loss, f32 [batch]; none: all the same.
    pub weights: Option<Tensor>,
}

impl Batch {
    /// Returns the batch with each of its tensors replaced by what `map` makes of it.
    pub fn map<E>(&self, map: impl Fn(&Tensor) -> Result<Tensor, E>) -> Result<Self, E> {
        Ok(Self {
            inputs: map(&self.inputs)?,
            targets: map(&self.targets)?,
            weights: self.weights.as_ref().map(map).transpose()?,
        })
    }

    /// Copies the values of a batch of the same shape into this one's tensors.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), LibtorchError> {
        self.inputs.f_copy_(&other.inputs)?;
        self.targets.f_copy_(&other.targets)?;
        if let (Some(own), Some(weights)) = (&mut self.weights, &other.weights) {
            own.f_copy_(weights)?;
        }
        Ok(())
    }

    /// Returns the number of samples.
    pub fn samples(&self) -> usize {
        self.targets.size().first().map_or(0, |&samples| samples as usize)
    }
}

/// The reason there is no next batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataLoaderError {
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// libtorch reported an error.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

/// Serves a data set's batches to a device: on the CPU from the data set's own bytes, on a GPU from one copy
/// of them in its memory; of a streamed data set it holds only what is being read.
pub(crate) struct DataLoader {
    dataset: Dataset,
    device: Device,
    resident: Option<Resident>,
    augmenter: Option<Arc<Augmenter>>,
    /// The augmenter's part on a GPU.
    map: Option<DeviceMap>,
}

/// Samples in the host's memory, one by one, as an epoch of training sees them.
#[derive(Clone, Copy)]
pub(crate) struct HostBatches<'a> {
    samples: Samples<'a>,
    augmenter: Option<&'a Augmenter>,
    epoch: usize,
}

/// Where samples are, each by its position there.
#[derive(Clone, Copy)]
enum Samples<'a> {
    Set(&'a Dataset),
    SampleBlock(&'a SampleBlock),
}

impl<'a> Samples<'a> {
    fn values(self, place: u32) -> Sample<'a> {
        match self {
            Self::Set(dataset) => dataset.sample(place as usize),
            Self::SampleBlock(block) => Sample::Pixels(block.image(place as usize)),
        }
    }

    fn target(self, place: u32) -> Target<'a> {
        match self {
            Self::Set(dataset) => dataset.target(place as usize),
            Self::SampleBlock(block) => Target::Class(block.label(place as usize)),
        }
    }

    /// Returns the sample's weight in the loss; none if all have the same.
    fn weight(self, place: u32) -> Option<f32> {
        match self {
            Self::Set(dataset) => dataset.sample_weight(place as usize),
            Self::SampleBlock(_) => None,
        }
    }

    /// Returns the sample's number in the data set, which determines how it is deformed.
    fn sample(self, place: u32) -> u32 {
        match self {
            Self::Set(_) => place,
            Self::SampleBlock(block) => block.sample(place as usize),
        }
    }

    /// Returns the shape of the samples.
    fn shape(self) -> &'a [usize] {
        match self {
            Self::Set(dataset) => dataset.sample_shape(),
            Self::SampleBlock(block) => block.shape(),
        }
    }
}

impl HostBatches<'_> {
    /// Returns the target of the sample at a position.
    pub fn target(&self, place: u32) -> Target<'_> {
        self.samples.target(place)
    }

    /// Returns the weight in the loss of the sample at a position; none if all have the same.
    pub fn weight(&self, place: u32) -> Option<f32> {
        self.samples.weight(place)
    }

    /// Writes a sample's values as f32: numbers as they are, pixels scaled to [0, 1], deformed if augmentation is
    /// on.
    pub fn write(&self, place: u32, out: &mut [f32], scratch: &mut Scratch) {
        match (self.samples.values(place), self.augmenter) {
            (Sample::Floats(values), _) => out.copy_from_slice(values),
            (Sample::Pixels(image), None) => scale(out, image),
            (Sample::Pixels(image), Some(augmenter)) => {
                let draw = augmenter.draw(self.epoch, self.samples.sample(place));
                augmenter.apply(&draw, image, out, scratch);
            }
        }
    }

    /// Returns the sample's own pixels, if it has any and augmentation is off.
    pub fn plain(&self, place: u32) -> Option<&[u8]> {
        match self.samples.values(place) {
            Sample::Pixels(pixels) if self.augmenter.is_none() => Some(pixels),
            _ => None,
        }
    }

    /// Returns the samples at some positions as a batch on the CPU.
    fn batch(&self, chosen: &[u32]) -> Result<Batch, LibtorchError> {
        let sample = self.samples.shape();
        let shape = with_batch(chosen.len(), sample);
        let mut scratch = Scratch::default();
        let inputs = tensor_buffer::filled_f32(&shape, |out| {
            let each = sample.iter().product::<usize>().max(1);
            for (out, &place) in out.chunks_exact_mut(each).zip(chosen) {
                self.write(place, out, &mut scratch);
            }
        })?;
        let targets = targets(chosen.iter().map(|&place| self.target(place)))?;
        let weights = weights(chosen.iter().filter_map(|&place| self.weight(place)))?;
        Ok(Batch { inputs, targets, weights })
    }
}

/// Returns the weights of some samples as a tensor on the CPU, f32 \[samples\]; none for no weights.
fn weights(weights: impl Iterator<Item = f32>) -> Result<Option<Tensor>, LibtorchError> {
    let weights: Vec<f32> = weights.collect();
    Ok(if weights.is_empty() { None } else { Some(Tensor::f_from_slice(&weights)?) })
}

/// Returns the shape of `count` samples.
fn with_batch(count: usize, sample: &[usize]) -> Vec<i64> {
    std::iter::once(&count).chain(sample).map(|&size| size as i64).collect()
}

/// Returns the targets of some samples, all of the same kind, as a tensor on the CPU: of classes i64 \[samples\],
/// else f32 \[samples, targets\].
fn targets<'a>(
    targets: impl ExactSizeIterator<Item = Target<'a>>,
) -> Result<Tensor, LibtorchError> {
    let samples = targets.len() as i64;
    let (mut classes, mut values) = (Vec::new(), Vec::new());
    classes.reserve_exact(targets.len());
    for target in targets {
        match target {
            Target::Class(class) => classes.push(i64::from(class)),
            Target::Labels(labels) => values.extend(labels.iter().map(|&label| f32::from(label))),
            Target::Numbers(numbers) => values.extend_from_slice(numbers),
        }
    }
    match values.is_empty() {
        true => Ok(Tensor::f_from_slice(&classes)?),
        false => Ok(Tensor::f_from_slice(&values)?.f_reshape([samples, -1])?),
    }
}

/// Converts u8 pixels to f32 in [0, 1].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn scale(values: &mut [f32], pixels: &[u8]) {
    values.iter_mut().zip(pixels).for_each(|(value, &pixel)| *value = normalize(pixel));
}

/// Converts the pixels of some columns, side by side.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn scale_columns(values: &mut [f32], pixels: &[u8], columns: &ActiveColumns) {
    /// The number of values that the widest registers hold.
    const WIDE: usize = 16;
    for Run { columns, place } in columns.runs() {
        let (mut from, mut to) = (columns.start, *place);
        while from < columns.end {
            let places = values.get_mut(to..).and_then(|v| v.first_chunk_mut::<WIDE>());
            let wide = pixels.get(from..).and_then(|p| p.first_chunk::<WIDE>());
            let (Some(values), Some(pixels)) = (places, wide) else { break };
            // Beyond the run's end, too: the next run overwrites it.
            values.iter_mut().zip(pixels).for_each(|(value, &pixel)| *value = normalize(pixel));
            (from, to) = (from + WIDE, to + WIDE);
        }
        if from < columns.end {
            let rest = values[to..].iter_mut().zip(&pixels[from..columns.end]);
            rest.for_each(|(value, &pixel)| *value = normalize(pixel));
        }
    }
}

/// Scales a pixel to [0, 1]: exactly what a division by [`SCALE`] gives (`every_pixel_is_divided_exactly`),
/// in a third of the time.
#[inline(always)]
fn normalize(pixel: u8) -> f32 {
    // Of few enough bits that its product with a pixel is exact; only the sum is rounded.
    const MOST: f32 = 257.0 / 65536.0;
    const REST: f32 = (1.0 / SCALE - MOST as f64) as f32;
    let pixel = f32::from(pixel);
    pixel * MOST + pixel * REST
}

/// A data set in a GPU's memory.
struct Resident {
    /// [n, …sample shape], u8 or f32
    samples: Tensor,
    /// i64 [n], or f32 [n, targets]
    targets: Tensor,
    /// f32 [n]; none if samples have no weights
    weights: Option<Tensor>,
    /// For pixels [`SCALE`] as an f32 on the device: CUDA would multiply by the reciprocal of a number from
    /// the host, and pixels would differ from the CPU's in their last bit.
    scale: Option<Tensor>,
}

impl DataLoader {
    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Returns the data set.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Loads `dataset` for `device`.
    pub fn new(dataset: &Dataset, device: Device) -> Result<Self, LibtorchError> {
        // A streamed one may be too large for a GPU, too, and is copied batch by batch.
        match device == Device::Cpu || dataset.is_streamed() {
            true => Ok(Self::of(dataset, device, None)),
            false => Self::resident(dataset, device),
        }
    }

    /// Keeps a copy of the data set as tensors on `device`.
    pub fn resident(dataset: &Dataset, device: Device) -> Result<Self, LibtorchError> {
        let (mut pixels, mut floats) = (Vec::new(), Vec::new());
        for i in 0..dataset.len() {
            match dataset.sample(i) {
                Sample::Pixels(own) => pixels.extend_from_slice(own),
                Sample::Floats(own) => floats.extend_from_slice(own),
            }
        }
        let (samples, scale) = match floats.is_empty() {
            true => (
                Tensor::f_from_slice(&pixels)?,
                Some(tensor_buffer::on_device(&[SCALE as f32], device)?),
            ),
            false => (Tensor::f_from_slice(&floats)?, None),
        };
        let shape = with_batch(dataset.len(), dataset.sample_shape());
        let targets = targets((0..dataset.len()).map(|i| dataset.target(i)))?;
        let resident = Resident {
            samples: samples.f_reshape(shape)?.f_to_device(device)?,
            targets: targets.f_to_device(device)?,
            weights: match weights((0..dataset.len()).filter_map(|i| dataset.sample_weight(i)))? {
                Some(weights) => Some(weights.f_to_device(device)?),
                None => None,
            },
            scale,
        };
        Ok(Self::of(dataset, device, Some(resident)))
    }

    fn of(dataset: &Dataset, device: Device, resident: Option<Resident>) -> Self {
        Self { dataset: dataset.clone(), device, resident, augmenter: None, map: None }
    }

    /// Returns the same samples, deformed again in every epoch by [`training_batches`](Self::training_batches).
    ///
    /// # Errors
    /// Samples that are not gray pictures, if augmentation is on.
    pub fn augmented(
        self,
        augment: Augment,
        seed: u64,
        epochs: usize,
    ) -> Result<Self, DataLoaderError> {
        if augment.is_off() {
            return Ok(self);
        }
        let shape = self.dataset.pictures_for("augmentation")?;
        let augmenter = Augmenter::new(augment, seed, epochs, shape);
        let map = match self.resident {
            None => None,
            Some(_) => Some(DeviceMap::new(&augmenter, self.device)?),
        };
        Ok(Self { augmenter: Some(Arc::new(augmenter)), map, ..self })
    }

    /// Returns the samples one by one as training sees them in `epoch`; none if they are on a GPU. Those of a
    /// streamed set are read by [`portions`](Self::portions).
    pub fn on_host(&self, epoch: usize) -> Option<HostBatches<'_>> {
        let augmenter = self.augmenter.as_deref();
        let samples = Samples::Set(&self.dataset);
        self.resident.is_none().then_some(HostBatches { samples, augmenter, epoch })
    }

    /// Returns the samples of these parts of `order`, one batch per part, as training sees them in `epoch`:
    /// augmented, and made ahead by `workers` threads on the CPU; those on a GPU are in a [`ResidentEpoch`].
    /// Neither threads nor the batch size change a sample.
    pub fn training_batches<'a>(
        &'a self,
        order: &'a [u32],
        parts: impl Iterator<Item = Range<usize>>,
        epoch: usize,
        workers: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Batch, LibtorchError>> + 'a>, LibtorchError> {
        let (dataset, order): (_, Arc<[u32]>) = (self.dataset.clone(), order.into());
        let parts: Vec<Range<usize>> = parts.collect();
        let (augmenter, count) = (self.augmenter.clone(), parts.len());
        let make = move |i: usize| {
            let chosen = &order[parts[i].clone()];
            let augmenter = augmenter.as_deref();
            HostBatches { samples: Samples::Set(&dataset), augmenter, epoch }.batch(chosen)
        };
        if workers == 0 {
            return Ok(Box::new((0..count).map(make)));
        }
        let prefetch = Prefetch::new(workers, count, make);
        Ok(Box::new(prefetch.map_err(|error| LibtorchError::thread(&error))?))
    }
}

/// Converts u8 images, row by row, to f32 [images, height, width] in [0, 1] on the CPU.
pub(crate) fn scaled<'a>(
    images: impl ExactSizeIterator<Item = &'a [u8]>,
    [height, width]: [usize; 2],
) -> Result<Tensor, LibtorchError> {
    let shape = [images.len() as i64, height as i64, width as i64];
    tensor_buffer::filled_f32(&shape, |out| {
        for (row, image) in out.chunks_exact_mut(height * width).zip(images) {
            scale(row, image);
        }
    })
}

impl Resident {
    /// Returns consecutive samples.
    fn contiguous(&self, samples: Range<usize>) -> Result<Batch, LibtorchError> {
        let (start, count) = (samples.start as i64, samples.len() as i64);
        let targets = self.targets.f_narrow(0, start, count)?;
        Ok(Batch {
            inputs: self.scaled(self.samples.f_narrow(0, start, count)?)?,
            targets,
            weights: match &self.weights {
                Some(weights) => Some(weights.f_narrow(0, start, count)?),
                None => None,
            },
        })
    }

    fn gather(&self, chosen: &Tensor) -> Result<Batch, LibtorchError> {
        let samples = self.samples.f_index_select(0, chosen)?;
        let targets = self.targets.f_index_select(0, chosen)?;
        let weights = match &self.weights {
            Some(weights) => Some(weights.f_index_select(0, chosen)?),
            None => None,
        };
        Ok(Batch { inputs: self.scaled(samples)?, targets, weights })
    }

    /// Scales pixels to [0, 1].
    fn scaled(&self, samples: Tensor) -> Result<Tensor, LibtorchError> {
        match &self.scale {
            // One operation: the quotient of u8 and f32 is f32.
            Some(scale) => Ok(samples.f_div(scale)?),
            None => Ok(samples),
        }
    }
}

/// An epoch of training over samples in a GPU's memory.
pub(crate) struct ResidentEpoch {
    loader: Rc<DataLoader>,
    chosen: Vec<u32>,
    /// The same, i64 on the device: one transfer per epoch, not one per batch.
    order: Tensor,
    epoch: usize,
}

impl ResidentEpoch {
    /// Returns the samples of `order` as training sees them in `epoch`; none if they are in the host's memory.
    pub fn new(
        loader: &Rc<DataLoader>,
        order: &[u32],
        epoch: usize,
    ) -> Result<Option<Rc<Self>>, LibtorchError> {
        if loader.resident.is_none() {
            return Ok(None);
        }
        let indices: Vec<i64> = order.iter().map(|&i| i64::from(i)).collect();
        let on_device = tensor_buffer::on_device(&indices, loader.device)?;
        let (loader, chosen) = (Rc::clone(loader), order.to_vec());
        Ok(Some(Rc::new(Self { loader, chosen, order: on_device, epoch })))
    }

    /// Returns whether augmentation is off.
    pub fn is_plain(&self) -> bool {
        self.loader.augmenter.is_none()
    }

    /// Returns whether both epochs are over the same tensors.
    pub fn is_of(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.loader, &other.loader)
    }

    /// Returns the numbers of `samples` samples from position `start` of the order: i64 on the device.
    pub fn chosen(&self, start: usize, samples: usize) -> Result<Tensor, LibtorchError> {
        Ok(self.order.f_narrow(0, start as i64, samples as i64)?)
    }

    /// Returns the samples of these numbers, without augmentation.
    pub fn gather(&self, chosen: &Tensor) -> Result<Batch, LibtorchError> {
        let Some(resident) = &self.loader.resident else {
            unreachable!("new() looked");
        };
        resident.gather(chosen)
    }

    /// Returns `samples` samples from position `start` of the order: augmented, if augmentation is on.
    pub fn batch(&self, start: usize, samples: usize) -> Result<Batch, LibtorchError> {
        let batch = self.gather(&self.chosen(start, samples)?)?;
        let (Some(augmenter), Some(map)) = (&self.loader.augmenter, &self.loader.map) else {
            return Ok(batch);
        };
        let chosen = &self.chosen[start..start + samples];
        let draws: Vec<Draw> = chosen.iter().map(|&i| augmenter.draw(self.epoch, i)).collect();
        Ok(Batch { inputs: map.apply(&draws, &batch.inputs)?.f_contiguous()?, ..batch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Features, Targets};
    use crate::group::rank_shard::RankShard;

    #[test]
    fn every_pixel_is_divided_exactly() {
        let pixels: Vec<u8> = (0..=255).collect();
        let mut values = [0.0; 256];
        scale(&mut values, &pixels);
        let divided: Vec<f32> = pixels.iter().map(|&p| f32::from(p) / 255.0).collect();
        assert_eq!(values[..], divided[..]);
    }

    #[test]
    fn selected_columns_match_all_columns() {
        let pixels: Vec<u8> = (0..200).map(|i| (i * 37 % 256) as u8).collect();
        for seed in 0..50usize {
            let marks: Vec<u8> = (0..200).map(|i| (i * (seed + 3) / 40 % 3) as u8).collect();
            let columns = ActiveColumns::marked(&marks);
            let mut all = [0.0; 200];
            scale(&mut all, &pixels);
            columns.compact(&mut all);
            let mut some = [f32::NAN; 200];
            scale_columns(&mut some, &pixels, &columns);
            assert_eq!(some[..columns.count()], all[..columns.count()]);
        }
    }

    #[test]
    fn host_and_device_gathering_agree_and_keep_the_partial_batch()
    -> Result<(), Box<dyn std::error::Error>> {
        let pixels: Vec<u8> = (0..=255).chain(0..=103).collect();
        let labels = (0..40).map(|i| i % 4).collect();
        let classes = (0..4).map(|c| c.to_string()).collect();
        let dataset = Dataset::new(pixels, [3, 3], labels, classes)?;
        let host = DataLoader::new(&dataset, Device::Cpu)?;
        let device = Rc::new(DataLoader::resident(&dataset, Device::Cpu)?);
        let order: Vec<u32> = (0..40).rev().collect();
        let epoch = ResidentEpoch::new(&device, &order, 1)?.ok_or("it is resident")?;
        let mut sizes = Vec::new();
        for (i, a) in
            host.training_batches(&order, RankShard::WHOLE.of_batches(40, 16), 1, 0)?.enumerate()
        {
            let a = a?;
            let b = epoch.batch(16 * i, a.samples())?;
            assert!(a.inputs.equal(&b.inputs) && a.targets.equal(&b.targets));
            let (low, high) = (a.inputs.min().double_value(&[]), a.inputs.max().double_value(&[]));
            assert!(low >= 0.0 && high <= 1.0);
            sizes.push(a.samples());
        }
        assert_eq!(sizes, [16, 16, 8]);
        sizes.clear();
        for (a, b) in host.in_order(3..40, 16)?.zip(device.in_order(3..40, 16)?) {
            let (a, b) = (a?, b?);
            assert!(a.inputs.equal(&b.inputs) && a.targets.equal(&b.targets));
            sizes.push(a.samples());
        }
        assert_eq!(sizes, [16, 16, 5]);
        Ok(())
    }

    #[test]
    fn numbers_are_taken_as_they_are_and_targets_by_kind() -> Result<(), Box<dyn std::error::Error>>
    {
        let values = [0.5, -1.5, 1e-3, 4e5, 7.0, 8.0, 9.0, 1.0];
        let features = || Features::floats(values, [2, 1]);
        let numbers = Targets::numbers([1.0, 2.5, -3.0, 4.0], ["y"]);
        let labels = Targets::labels([0, 1, 1, 1, 0, 0, 1, 0], ["a", "b"]);
        let order = [3, 0];
        for (targets, expected) in [(numbers, vec![4.0, 1.0]), (labels, vec![1.0, 0.0, 0.0, 1.0])] {
            let dataset = Dataset::from_arrays(features(), targets)?;
            let host = DataLoader::new(&dataset, Device::Cpu)?;
            let device = Rc::new(DataLoader::resident(&dataset, Device::Cpu)?);
            let resident = ResidentEpoch::new(&device, &order, 1)?.ok_or("it is resident")?;
            let made = host.training_batches(&order, std::iter::once(0..2), 1, 0)?.next();
            for batch in [made.ok_or("one batch")??, resident.batch(0, 2)?] {
                assert_eq!(batch.inputs.size(), [2, 2, 1]);
                assert_eq!(
                    Vec::<f32>::try_from(batch.inputs.flatten(0, -1))?,
                    [9.0, 1.0, 0.5, -1.5]
                );
                assert_eq!(batch.targets.size(), [2, expected.len() as i64 / 2]);
                assert_eq!(Vec::<f32>::try_from(batch.targets.flatten(0, -1))?, expected);
            }
            let in_order = host.in_order(1..3, 5)?.next().ok_or("one batch")??;
            assert_eq!(Vec::<f32>::try_from(in_order.inputs.flatten(0, -1))?, values[2..6]);
            let augment = Augment { rotation: 5.0, ..Augment::default() };
            let error = host.augmented(augment, 0, 1).err().ok_or("augmented")?.to_string();
            assert!(error.starts_with("augmentation needs gray pictures"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn pixels_in_color_keep_their_shape() -> Result<(), Box<dyn std::error::Error>> {
        let pixels: Vec<u8> = (0..24).map(|i| 10 * i).collect();
        let features = Features::pixels(pixels, [3, 2, 2]);
        let dataset = Dataset::from_arrays(features, Targets::classes([0, 1], ["a", "b"]))?;
        for loader in
            [DataLoader::new(&dataset, Device::Cpu)?, DataLoader::resident(&dataset, Device::Cpu)?]
        {
            let batch = loader.in_order(0..2, 2)?.next().ok_or("one batch")??;
            assert_eq!(batch.inputs.size(), [2, 3, 2, 2]);
            let expected: Vec<f32> = (0..24).map(|i| (10 * i) as f32 / 255.0).collect();
            assert_eq!(Vec::<f32>::try_from(batch.inputs.flatten(0, -1))?, expected);
        }
        Ok(())
    }

    #[test]
    fn workers_and_batch_sizes_change_no_sample() -> Result<(), Box<dyn std::error::Error>> {
        let (train, _) = crate::data::load("digits")?;
        let train = train.take(100);
        let augment = Augment { rotation: 20.0, elastic: 0.5, ..Augment::default() };
        let loader = DataLoader::new(&train, Device::Cpu)?.augmented(augment, 5, 9)?;
        let order: Vec<u32> = (0..100).rev().collect();
        let all = |size, workers, epoch| -> Result<Tensor, LibtorchError> {
            let parts = RankShard::WHOLE.of_batches(order.len(), size);
            let batches = loader.training_batches(&order, parts, epoch, workers)?;
            let images = batches.map(|batch| Ok(batch?.inputs));
            Ok(Tensor::f_cat(&images.collect::<Result<Vec<_>, LibtorchError>>()?, 0)?)
        };
        let expected = all(100, 0, 3)?;
        assert_eq!(expected.size(), [100, 8, 8]);
        for (size, workers) in [(100, 1), (7, 0), (7, 1), (7, 3), (1, 2)] {
            assert!(all(size, workers, 3)?.equal(&expected), "{size} {workers}");
        }
        assert!(!all(100, 0, 4)?.equal(&expected));
        Ok(())
    }
}
