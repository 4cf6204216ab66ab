//! CUDA graphs: work on a stream is captured once and then replayed any number of times at the cost of
//! launching a single operation.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use super::{LibtorchError, check, ffi};

/// Makes a CUDA stream other than the default one, which cannot be captured, the current stream of this
/// thread for as long as the value lives. Entering and leaving both wait for the work queued on the previous
/// stream.
#[derive(Debug)]
pub struct SideStream {
    before: ffi::Stream,
    /// A stream is current in one thread only.
    _thread: PhantomData<*const ()>,
}

impl SideStream {
    /// Enters a side stream on the GPU with this index; CUDA is already in use.
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
        // An error here occurs again at the next operation, where it can be reported.
        let _ = check(unsafe { ffi::seqfit_stream_exchange(&mut self.before) });
    }
}

/// libtorch keeps a list of all graphs in which random numbers may be drawn, which must not be changed by
/// several threads at once. In addition, an operation that synchronizes the whole device fails while another
/// thread captures.
static RECORDING: Mutex<()> = Mutex::new(());

/// Captured work. Its memory, including that of its results, is freed with it.
#[derive(Debug)]
pub struct Graph(*mut ffi::Graph);

impl Graph {
    /// Captures what `work` queues on this thread's stream, without executing it. The current stream must be
    /// a [`SideStream`], and the operations must have run on it before, so that libtorch has loaded what they
    /// need.
    ///
    /// # Errors
    /// The errors of `work`, or libtorch's: an operation that waits for the device cannot be captured.
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
        // Also after an error in `work`, because the stream must not stay in capture mode.
        let ended = check(unsafe { ffi::seqfit_graph_end(graph.0) });
        // Dropping a graph locks it, too.
        drop(recording);
        let done = done?;
        ended?;
        Ok((graph, done))
    }

    /// Replays the captured work on this thread's stream; the device may still be working when this returns.
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

/// Returns this thread's stream as a handle of the CUDA driver.
pub(super) fn current_stream(device: usize) -> Result<*mut c_void, LibtorchError> {
    let mut handle = null_mut();
    check(unsafe { ffi::seqfit_stream_handle(index(device)?, &mut handle) })?;
    Ok(handle)
}

fn index(device: usize) -> Result<i32, LibtorchError> {
    let error = |_| LibtorchError::new(&format!("there is no GPU number {device}"));
    i32::try_from(device).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_cuda_it_is_an_error() {
        // Another test in this process may have opened CUDA; the others run without it.
        if tch::Cuda::device_count() == 0 {
            let work =
                || -> Result<(), LibtorchError> { unreachable!("there is nothing to record") };
            assert!(Graph::record(0, work).is_err());
            assert!(SideStream::enter(0).is_err());
        }
    }

    /// Run it alone on a machine with a GPU: `cargo test --lib capture_of_a_synchronizing_operation`.
    #[test]
    fn capture_of_a_synchronizing_operation_fails_cleanly() -> Result<(), LibtorchError> {
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
