//! CUDA graphs: what a stream does is recorded once, and then done as often as wanted for the price of
//! starting one operation.

use std::marker::PhantomData;
use std::ptr::null_mut;

use super::{LibtorchError, check, ffi};

/// Makes another CUDA stream than the default one, which cannot be recorded, this thread's own for as
/// long as it lives. Both ends wait for the device.
#[derive(Debug)]
pub struct OwnStream {
    before: ffi::Stream,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl OwnStream {
    /// On the GPU of this number, which is in use already.
    pub fn enter(device: usize) -> Result<Self, LibtorchError> {
        let mut stream = ffi::Stream { id: 0, device: 0 };
        // SAFETY (here and below): live pointers of the declared types.
        check(unsafe { ffi::seqfit_stream_new(index(device)?, &mut stream) })?;
        check(unsafe { ffi::seqfit_stream_exchange(&mut stream) })?;
        Ok(Self { before: stream, _thread: PhantomData })
    }
}

impl Drop for OwnStream {
    fn drop(&mut self) {
        // What fails here fails again at the next operation, where it can be told.
        let _ = check(unsafe { ffi::seqfit_stream_exchange(&mut self.before) });
    }
}

/// Recorded work. Its memory, that of its results included, lives as long as it does.
#[derive(Debug)]
pub struct Graph(*mut ffi::Graph);

impl Graph {
    /// Records what `work` has this thread's stream do; none of it is done. The stream must be an
    /// [`OwnStream`], and the operations must have run on it before, so that libtorch has loaded what
    /// they need.
    ///
    /// # Errors
    /// The work's own, or libtorch's: work that waits for the device cannot be recorded.
    pub fn record<T, E: From<LibtorchError>>(
        device: usize,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let mut graph = null_mut();
        check(unsafe { ffi::seqfit_graph_new(index(device)?, &mut graph) })?;
        let graph = Self(graph);
        check(unsafe { ffi::seqfit_graph_begin(graph.0) })?;
        let done = work();
        // Whatever came of the work: the stream must not stay in recording.
        let ended = check(unsafe { ffi::seqfit_graph_end(graph.0) });
        let done = done?;
        ended?;
        Ok((graph, done))
    }

    /// Does the recorded work once more, on this thread's stream; the device may still be at it when this
    /// returns.
    pub fn replay(&mut self) -> Result<(), LibtorchError> {
        check(unsafe { ffi::seqfit_graph_replay(self.0) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let _ = check(unsafe { ffi::seqfit_graph_free(self.0) });
    }
}

fn index(device: usize) -> Result<i32, LibtorchError> {
    let error = |_| LibtorchError::new(&format!("there is no GPU of the number {device}"));
    i32::try_from(device).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_cuda_it_is_an_error() {
        // Another test of this process may have opened CUDA; the others run without.
        if tch::Cuda::device_count() == 0 {
            let work = || -> Result<(), LibtorchError> { unreachable!("there is nothing to record") };
            assert!(Graph::record(0, work).is_err());
            assert!(OwnStream::enter(0).is_err());
        }
    }
}
