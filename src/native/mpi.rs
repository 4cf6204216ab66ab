//! The few MPI functions that a group of ranks needs, each in its nonblocking form: the code above decides
//! who waits and for how long.
//!
//! The memory that MPI reads and writes meanwhile belongs to a [`Pending`], which never returns or frees it
//! before MPI is done with it.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use mpi_sys as ffi;
use tch::{Kind, Tensor};

/// The tag of the messages that carry parts of lists.
const TRADE: c_int = 1;

/// The tags of control messages between ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Asks whether the receiver is waiting, too.
    Call = 2,
    /// Confirms that the sender is waiting.
    Answer = 3,
    /// Waiting is over: the receiver reports the error to the user.
    Close = 4,
}

/// The return code of a successful MPI call.
const SUCCESS: c_int = ffi::MPI_SUCCESS as c_int;

/// All ranks, as seen from this one. MPI is finalized when it is dropped.
#[derive(Debug)]
pub struct World {
    /// The communicator for collective operations.
    all: ffi::MPI_Comm,
    /// The communicator for messages between two ranks.
    pairs: ffi::MPI_Comm,
    rank: usize,
    size: usize,
    /// Whether some rank will not reach `MPI_Finalize`, so that waiting for it there would never end.
    given_up: Cell<bool>,
    /// MPI was initialized for calls from a single thread.
    one_thread: PhantomData<*const ()>,
}

/// An operation in progress, which may take as long as the slowest rank.
#[derive(Debug)]
pub struct Pending<M> {
    /// The requests that are not complete yet.
    requests: Vec<ffi::MPI_Request>,
    /// The memory that MPI reads and writes; `None` after it was taken.
    memory: Option<M>,
    /// Lengths and offsets of parts, which MPI reads.
    parts: [Vec<c_int>; 2],
}

/// A part of a list, to send to or receive from a rank.
pub type Parcel = (usize, Range<usize>);

fn check(code: c_int) -> Result<(), String> {
    if code == SUCCESS {
        return Ok(());
    }
    let mut text = [0 as c_char; ffi::MPI_MAX_ERROR_STRING as usize + 1];
    let mut length = 0;
    // SAFETY: the text has room for the longest message and a terminating NUL.
    unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr(), &raw mut length) };
    let text = text.iter().take(usize::try_from(length).unwrap_or(0));
    let text: Vec<u8> = text.map(|&c| c.cast_unsigned()).collect();
    Err(String::from_utf8_lossy(&text).into_owned())
}

fn count(length: usize) -> Result<c_int, String> {
    c_int::try_from(length).map_err(|_| format!("{length} elements are too many for one call"))
}

impl World {
    /// Starts MPI, once per process, and exchanges each rank's own data among all ranks.
    pub fn start(own: [u64; 4]) -> Result<(Self, Vec<[u64; 4]>), String> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        if STARTED.swap(true, Ordering::Relaxed) {
            return Err("it can be started only once per process".to_owned());
        }
        let mut given = 0;
        let (mut pairs, mut rank, mut size) = (unsafe { ffi::RSMPI_COMM_NULL }, 0, 0);
        let mut said = Vec::new();
        // SAFETY: all pointers are to locals of this function; no arguments are passed. The constants are set
        // once the library is loaded.
        let all = unsafe {
            let (no_arguments, no_list) = (std::ptr::null_mut(), std::ptr::null_mut());
            let wanted = ffi::RSMPI_THREAD_FUNNELED;
            check(ffi::MPI_Init_thread(no_arguments, no_list, wanted, &raw mut given))?;
            let all = ffi::RSMPI_COMM_WORLD;
            // Makes errors return as codes.
            check(ffi::MPI_Comm_set_errhandler(all, ffi::RSMPI_ERRORS_RETURN))?;
            check(ffi::MPI_Comm_dup(all, &raw mut pairs))?;
            check(ffi::MPI_Comm_rank(all, &raw mut rank))?;
            check(ffi::MPI_Comm_size(all, &raw mut size))?;
            said.resize(usize::try_from(size).unwrap_or(1).max(1), own);
            let (from, to) = (own.as_ptr().cast(), said.as_mut_ptr().cast());
            let (each, kind) = (count(own.len())?, ffi::RSMPI_UINT64_T);
            check(ffi::MPI_Allgather(from, each, kind, to, each, kind, all))?;
            all
        };
        let whole = |number: c_int| usize::try_from(number).unwrap_or(0);
        let world = Self {
            all,
            pairs,
            rank: whole(rank),
            size: whole(size),
            given_up: Cell::new(false),
            one_thread: PhantomData,
        };
        Ok((world, said))
    }

    pub fn rank(&self) -> usize {
        self.rank
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns whether MPI accepts pointers to GPU memory. This is an extension of OpenMPI and MPICH, looked
    /// up by name because other libraries lack it.
    pub fn reaches_gpus() -> bool {
        type Query = unsafe extern "C" fn() -> c_int;
        let process = libloading::os::unix::Library::this();
        // SAFETY: the function takes no arguments and returns a number.
        unsafe {
            let query = process.get::<Query>(c"MPIX_Query_cuda_support".to_bytes());
            query.is_ok_and(|query| query() == 1)
        }
    }

    /// Starts to send parts of one f32 list to other ranks and to receive parts of another list from them, in
    /// host or device memory.
    pub fn trade(
        &self,
        [own, inbox]: [&Tensor; 2],
        sends: &[Parcel],
        receives: &[Parcel],
    ) -> Result<Pending<[Tensor; 2]>, String> {
        let place = |list: &Tensor, part: &Range<usize>| -> Result<(*mut c_void, c_int), String> {
            let fits = list.kind() == Kind::Float
                && list.is_contiguous()
                && part.start <= part.end
                && part.end <= list.numel();
            if !fits {
                return Err("a part to be sent or received is not in its list".to_owned());
            }
            let start = list.data_ptr().cast::<f32>().wrapping_add(part.start);
            Ok((start.cast::<c_void>(), count(part.len())?))
        };
        let memory = [own, inbox].map(Tensor::shallow_clone);
        let mut pending = Pending::new(Vec::new(), memory);
        let kind = unsafe { ffi::RSMPI_FLOAT };
        for (rank, part) in receives {
            let ((place, length), from) = (place(inbox, part)?, count(*rank)?);
            // SAFETY: the list has that length, and `pending` keeps it until MPI is done.
            unsafe {
                let mut request = ffi::RSMPI_REQUEST_NULL;
                let to = &raw mut request;
                check(ffi::MPI_Irecv(place, length, kind, from, TRADE, self.all, to))?;
                pending.requests.push(request);
            }
        }
        for (rank, part) in sends {
            let ((place, length), to) = (place(own, part)?, count(*rank)?);
            // SAFETY: as above.
            unsafe {
                let mut request = ffi::RSMPI_REQUEST_NULL;
                let here = &raw mut request;
                check(ffi::MPI_Isend(place, length, kind, to, TRADE, self.all, here))?;
                pending.requests.push(request);
            }
        }
        Ok(pending)
    }

    /// Starts to sum `own` over all ranks; `all` is a list of the same length for the result.
    pub fn sum(&self, own: Vec<f32>, mut all: Vec<f32>) -> Result<Pending<[Vec<f32>; 2]>, String> {
        all.resize(own.len(), 0.0);
        let (from, to) = (own.as_ptr().cast::<c_void>(), all.as_mut_ptr().cast::<c_void>());
        let length = count(own.len())?;
        // SAFETY: both lists have the length that MPI is given, and `Pending` keeps them until it is done.
        let request = unsafe {
            let mut request = ffi::RSMPI_REQUEST_NULL;
            let (kind, sum) = (ffi::RSMPI_FLOAT, ffi::RSMPI_SUM);
            check(ffi::MPI_Iallreduce(from, to, length, kind, sum, self.all, &raw mut request))?;
            request
        };
        Ok(Pending::new(vec![request], [own, all]))
    }

    /// Starts to broadcast rank 0's bytes to all ranks, which pass a list of the same length.
    pub fn broadcast(&self, mut bytes: Vec<u8>) -> Result<Pending<Vec<u8>>, String> {
        let (place, length) = (bytes.as_mut_ptr().cast::<c_void>(), count(bytes.len())?);
        // SAFETY: as in `sum`.
        let request = unsafe {
            let mut request = ffi::RSMPI_REQUEST_NULL;
            check(ffi::MPI_Ibcast(
                place,
                length,
                ffi::RSMPI_UINT8_T,
                0,
                self.all,
                &raw mut request,
            ))?;
            request
        };
        Ok(Pending::new(vec![request], bytes))
    }

    /// Starts to gather the bytes of all ranks, of these lengths, on all of them.
    pub fn gather(
        &self,
        mut own: Vec<u8>,
        lengths: &[usize],
    ) -> Result<Pending<[Vec<u8>; 2]>, String> {
        let total = lengths.iter().sum();
        count(total)?;
        let mut place = 0;
        let mut parts = [Vec::new(), Vec::new()];
        for &length in lengths {
            parts[0].push(count(length)?);
            parts[1].push(count(place)?);
            place += length;
        }
        if lengths.get(self.rank) != Some(&own.len()) || lengths.len() != self.size {
            return Err("the lengths of the gathered lists are wrong".to_owned());
        }
        let mut all = vec![0u8; total];
        // An empty list of bytes is at address 1, which is `MPI_IN_PLACE`.
        own.reserve(1);
        all.reserve(1);
        let (from, to) = (own.as_ptr().cast::<c_void>(), all.as_mut_ptr().cast::<c_void>());
        let length = count(own.len())?;
        let (lengths, places) = (parts[0].as_ptr(), parts[1].as_ptr());
        // SAFETY: as in `sum`; the lists of lengths and offsets have one element per rank, and moving the
        // vectors into `Pending` does not move their contents.
        let request = unsafe {
            let (kind, mut request) = (ffi::RSMPI_UINT8_T, ffi::RSMPI_REQUEST_NULL);
            let (all, request_place) = (self.all, &raw mut request);
            check(ffi::MPI_Iallgatherv(
                from,
                length,
                kind,
                to,
                lengths,
                places,
                kind,
                all,
                request_place,
            ))?;
            request
        };
        let mut pending = Pending::new(vec![request], [own, all]);
        pending.parts = parts;
        Ok(pending)
    }

    /// Sends a tagged number to one rank, which may receive it at any time.
    pub fn tell(&self, rank: usize, tag: Tag, number: u64) -> Result<(), String> {
        // Leaked for the lifetime of the process, because nothing waits until such a message is received.
        let number: &'static mut u64 = Box::leak(Box::new(number));
        let place = std::ptr::from_mut(number).cast::<c_void>();
        // SAFETY: the number stays where it is.
        unsafe {
            let mut request = ffi::RSMPI_REQUEST_NULL;
            let to = count(rank)?;
            let (kind, request) = (ffi::RSMPI_UINT64_T, &raw mut request);
            check(ffi::MPI_Isend(place, 1, kind, to, tag as c_int, self.pairs, request))
        }
    }

    /// Returns the number of a received message with that tag, and its sender, if there is one.
    pub fn heard(&self, tag: Tag) -> Result<Option<(usize, u64)>, String> {
        let tag = tag as c_int;
        let (mut is_there, mut number) = (0, 0u64);
        // SAFETY: a status consists of plain numbers, which MPI writes; all pointers are to locals of this
        // function.
        let sender = unsafe {
            let mut status: ffi::MPI_Status = std::mem::zeroed();
            let (any, place) = (ffi::RSMPI_ANY_SOURCE, &raw mut status);
            check(ffi::MPI_Iprobe(any, tag, self.pairs, &raw mut is_there, place))?;
            if is_there == 0 {
                return Ok(None);
            }
            let (to, from) = ((&raw mut number).cast::<c_void>(), status.MPI_SOURCE);
            let (kind, pairs) = (ffi::RSMPI_UINT64_T, self.pairs);
            check(ffi::MPI_Recv(to, 1, kind, from, tag, pairs, ffi::RSMPI_STATUS_IGNORE))?;
            from
        };
        Ok(Some((usize::try_from(sender).unwrap_or(0), number)))
    }

    /// Stops waiting for the other ranks when MPI is finalized.
    pub fn give_up(&self) {
        self.given_up.set(true);
    }

    /// Returns whether this rank no longer waits for the others.
    pub fn has_given_up(&self) -> bool {
        self.given_up.get()
    }

    /// Ends the processes of all ranks or, if that takes too long, at least this one.
    pub fn abort(&self) -> ! {
        let patience = std::time::Duration::from_secs(1);
        std::thread::spawn(move || {
            std::thread::sleep(patience);
            // Exits without anything that might wait for the network again.
            signal_hook::low_level::exit(1)
        });
        // SAFETY: no other thread calls MPI.
        unsafe { ffi::MPI_Abort(self.all, 1) };
        std::process::exit(1)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // If a rank ends without finalizing, the launcher ends the others.
        if self.given_up.get() || std::thread::panicking() {
            return;
        }
        // SAFETY: all pending operations have been waited for, or are abandoned together with the process.
        unsafe {
            ffi::MPI_Comm_free(&raw mut self.pairs);
            ffi::MPI_Finalize();
        }
    }
}

impl<M> Pending<M> {
    fn new(requests: Vec<ffi::MPI_Request>, memory: M) -> Self {
        Self { requests, memory: Some(memory), parts: [Vec::new(), Vec::new()] }
    }

    /// Returns whether the operation is done. MPI makes progress only when it is polled.
    pub fn is_done(&mut self) -> Result<bool, String> {
        while let Some(request) = self.requests.last_mut() {
            let mut done = 0;
            // SAFETY: the request was returned by MPI and is not complete yet.
            check(unsafe { ffi::MPI_Test(request, &raw mut done, ffi::RSMPI_STATUS_IGNORE) })?;
            if done == 0 {
                return Ok(false);
            }
            self.requests.pop();
        }
        Ok(true)
    }

    /// Returns the memory, with the data sent and received, when the operation is done.
    pub fn take(mut self) -> Option<M> {
        self.memory.take_if(|_| self.requests.is_empty())
    }
}

impl<M> Drop for Pending<M> {
    fn drop(&mut self) {
        if !self.requests.is_empty() {
            // MPI may still write to it.
            std::mem::forget(self.memory.take());
            std::mem::forget(std::mem::take(&mut self.parts));
        }
    }
}
