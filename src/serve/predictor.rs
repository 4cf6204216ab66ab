//! The network on a separate thread, which predicts all waiting requests as one batch.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Limits;
use super::error_response::Problem;
use super::prometheus::Metrics;
use crate::data::Features;
use crate::device;
use crate::model::Sequential;

/// Sends samples to the network's thread and returns its predictions.
#[derive(Debug)]
pub struct Predictor {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    thread: thread::JoinHandle<()>,
}

/// The prediction for each sample, or an error message.
type Answer = Result<Vec<Vec<f32>>, String>;

/// The samples of one request.
struct Job {
    features: Features,
    answer: oneshot::Sender<Answer>,
    /// Its place in the queue, released when the job is dropped.
    _place: OwnedSemaphorePermit,
}

impl Predictor {
    /// Starts the thread of `model`, which predicts with `threads` libtorch threads.
    ///
    /// # Errors
    /// An error of the system when it cannot start the thread.
    pub fn start(
        model: Sequential,
        threads: usize,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let most = limits.batch_of(&model.spec().input_shape);
        let thread = thread::Builder::new().name("network".to_owned()).spawn(move || {
            // libtorch keeps this number per calling thread.
            device::set_threads(threads);
            while let Some(batch) = next(&waiting, most) {
                answer(&model, batch, &metrics);
            }
        })?;
        Ok(Self { jobs, room: Arc::new(Semaphore::new(limits.queue.max(most))), thread })
    }

    /// Returns the predictions for samples of the network's input shape.
    ///
    /// # Errors
    /// A full queue, or an error of the network.
    pub async fn predict(&self, features: Features) -> Result<Vec<Vec<f32>>, Problem> {
        let samples = features.len();
        let places = u32::try_from(samples).unwrap_or(u32::MAX);
        let place = Arc::clone(&self.room).try_acquire_many_owned(places);
        let place = place.map_err(|_| {
            let free = self.room.available_permits();
            Problem::busy(format!(
                "the queue of samples is limited, found room for {free} and a request of {samples}: try again in a \
                 moment"
            ))
        })?;
        let (answer, answered) = oneshot::channel();
        let gone = || Problem::own("the network has stopped answering: restart the server");
        self.jobs.send(Job { features, answer, _place: place }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.map_err(Problem::own)
    }

    /// Returns the number of free places for samples in the queue.
    pub fn free(&self) -> usize {
        self.room.available_permits()
    }

    /// Returns whether the network's thread is running.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }
}

/// Returns all waiting requests, at least one, until they have `most` samples or more. Does not wait to fill
/// the batch. Returns `None` when the sender is gone.
fn next(waiting: &mpsc::Receiver<Job>, most: usize) -> Option<Vec<Job>> {
    let mut batch = vec![waiting.recv().ok()?];
    let mut samples = batch[0].features.len();
    while samples < most
        && let Ok(job) = waiting.try_recv()
    {
        samples += job.features.len();
        batch.push(job);
    }
    // Clients that are gone need no prediction.
    batch.retain(|job| !job.answer.is_closed());
    Some(batch)
}

fn answer(model: &Sequential, batch: Vec<Job>, metrics: &Metrics) {
    let mut jobs = batch.into_iter();
    let Some(Job { mut features, answer, _place }) = jobs.next() else { return };
    let mut waiting = vec![(features.len(), answer, _place)];
    for job in jobs {
        features.append(&job.features);
        waiting.push((job.features.len(), job.answer, job._place));
    }
    metrics.batch(features.len());
    let mut answers = model.predict_features(&features).map(Vec::into_iter);
    for (samples, answer, _place) in waiting {
        let own = match &mut answers {
            Ok(answers) => Ok(answers.by_ref().take(samples).collect()),
            Err(error) => Err(error.to_string()),
        };
        // The client may be gone in the meantime.
        let _ = answer.send(own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Flatten};

    fn job(room: &Arc<Semaphore>, images: usize) -> (Job, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let place = Arc::clone(room).try_acquire_many_owned(images as u32).unwrap();
        let pixels: Vec<u8> = (0..4 * images).map(|i| (i * 50) as u8).collect();
        (Job { features: Features::pixels(pixels, [2, 2]), answer, _place: place }, answered)
    }

    #[test]
    fn waiting_requests_are_predicted_as_one_batch() {
        let room = Arc::new(Semaphore::new(8));
        let (jobs, waiting) = mpsc::channel();
        let mut answers = Vec::new();
        for images in [1, 2, 1, 1] {
            let (job, answered) = job(&room, images);
            jobs.send(job).unwrap();
            answers.push(answered);
        }
        answers[1].close();
        let batch = next(&waiting, 3).unwrap();
        // Three images were taken, two of them for a client that is gone.
        assert_eq!(batch.iter().map(|job| job.features.len()).collect::<Vec<_>>(), [1]);
        drop(batch);
        let batch = next(&waiting, 3).unwrap();
        let model = Sequential::new([2, 2]).add(Flatten).add(Dense::new(3));
        let model = model.build(crate::Device::Cpu, 0).unwrap();
        answer(&model, batch, &Metrics::new());
        assert_eq!(room.available_permits(), 8);
        let expected = model.predict_images(&[0, 50, 100, 150], [2, 2]).unwrap();
        for answered in answers.drain(2..) {
            let got = answered.blocking_recv().unwrap().unwrap();
            assert_eq!(got.len(), 1);
            for (got, expected) in got[0].iter().zip(&expected[0]) {
                // In float32 a batch of 2 and one image alone may differ in the last digits.
                assert!((got - expected).abs() < 1e-6);
            }
        }
        drop(jobs);
        assert!(next(&waiting, 3).is_none());
    }

    #[test]
    fn full_queue_is_an_error_until_it_has_room() {
        let model = Sequential::new([2, 2]).add(Flatten).add(Dense::new(3));
        let model = model.build(crate::Device::Cpu, 0).unwrap();
        let limits = Limits { batch: (2, 100), queue: 4, ..Limits::default() };
        let metrics = Arc::new(Metrics::new());
        let predictor = Predictor::start(model, 1, &limits, metrics).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let two = || Features::pixels([0; 8], [2, 2]);
        let taken = Arc::clone(&predictor.room).try_acquire_many_owned(3).unwrap();
        let full = runtime.block_on(predictor.predict(two())).unwrap_err();
        assert!(full.message().contains("room for 1 and a request of 2"), "{}", full.message());
        drop(taken);
        assert_eq!(runtime.block_on(predictor.predict(two())).unwrap().len(), 2);
        // The place is released after the response is sent.
        while predictor.free() < 4 {
            thread::yield_now();
        }
    }
}
