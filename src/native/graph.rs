//! CUDA graphs: what a stream does is recorded once, and then done as often as wanted for the price of
//! starting one operation.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use super::{LibtorchError, check, ffi};

/// Makes another CUDA stream than the default one, which cannot be recorded, this thread's own for as
/// long as it lives. Both ends wait for what the stream before has to do.
#[derive(Debug)]
pub struct SideStream {
    before: ffi::Stream,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl SideStream {
    /// On the GPU of this number, which is in use already.
    pub fn enter(device: usize) -> Result<Self, LibtorchError> {
        let mut stream = ffi::Stream { id: 0, device: 0 };
        // SAFETY (here and below): live pointers of the declared types.
        check(unsafe { ffi::seqfit_stream_new(index(device)?, &mut stream) })?;
        check(unsafe { ffi::seqfit_stream_exchange(&mut stream) })?;
        Ok(Self { before: stream, _thread: PhantomData })
    }
}

impl Drop for SideStream {
    fn drop(&mut self) {
        // What fails here fails again at the next operation, where it can be told.
        let _ = check(unsafe { ffi::seqfit_stream_exchange(&mut self.before) });
    }
}

/// libtorch keeps a list of all graphs that random numbers may be drawn in, which threads must not change
/// at once; and what waits for the whole device fails while another thread records.
static RECORDING: Mutex<()> = Mutex::new(());

/// Recorded work. Its memory, that of its results included, lives as long as it does.
#[derive(Debug)]
pub struct Graph(*mut ffi::Graph);

impl Graph {
    /// Records what `work` has this thread's stream do; none of it is done. The stream must be an
    /// [`SideStream`], and the operations must have run on it before, so that libtorch has loaded what
    /// they need.
    ///
    /// # Errors
    /// The work's own, or libtorch's: work that waits for the device cannot be recorded.
    pub fn record<T, E: From<LibtorchError>>(
        device: usize,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let recording = RECORDING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut graph = null_mut();
        check(unsafe { ffi::seqfit_graph_new(index(device)?, &mut graph) })?;
        if let Err(error) = check(unsafe { ffi::seqfit_graph_begin(graph) }) {
            let _ = check(unsafe { ffi::seqfit_graph_free(graph) });
            return Err(error.into());
        }
        let graph = Self(graph);
        let done = work();
        // Whatever came of the work: the stream must not stay in recording.
        let ended = check(unsafe { ffi::seqfit_graph_end(graph.0) });
        // A graph that is dropped takes it, too.
        drop(recording);
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
        let _recording = RECORDING.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = check(unsafe { ffi::seqfit_graph_free(self.0) });
    }
}

/// This thread's stream, as CUDA's driver knows it.
pub(super) fn current_stream(device: usize) -> Result<*mut c_void, LibtorchError> {
    let mut handle = null_mut();
    check(unsafe { ffi::seqfit_stream_handle(index(device)?, &mut handle) })?;
    Ok(handle)
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
            let work =
                || -> Result<(), LibtorchError> { unreachable!("there is nothing to record") };
            assert!(Graph::record(0, work).is_err());
            assert!(SideStream::enter(0).is_err());
        }
    }

    /// By itself, on a machine with a GPU: `cargo test --lib what_cannot_be_recorded`.
    #[test]
    fn what_cannot_be_recorded_is_an_error_and_the_gpu_goes_on() -> Result<(), LibtorchError> {
        use tch::{Device, Kind, Tensor};
        if crate::device::require(Device::Cuda(0)).is_err() {
            return Ok(());
        }
        let _stream = SideStream::enter(0)?;
        let ones = Tensor::f_ones([3], (Kind::Float, Device::Cuda(0)))?;
        let mut sum = Tensor::f_zeros([], (Kind::Float, Device::Cuda(0)))?;
        for _ in 0..3 {
            let reads = || -> Result<f64, LibtorchError> {
                Ok(ones.f_sum(Kind::Float)?.f_double_value(&[])?)
            };
            assert!(Graph::record(0, reads).is_err());
            let adds = || -> Result<(), LibtorchError> {
                let _ = sum.f_add_(&ones.f_sum(Kind::Float)?)?;
                Ok(())
            };
            let (mut graph, ()) = Graph::record(0, adds)?;
            let before = sum.f_double_value(&[])?;
            graph.replay()?;
            graph.replay()?;
            assert_eq!(sum.f_double_value(&[])?, before + 6.0);
        }
        Ok(())
    }
}
