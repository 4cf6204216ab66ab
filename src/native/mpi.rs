//! The few MPI functions that a group of ranks needs, each started without waiting for the others: who waits,
//! and for how long, is decided above.
//!
//! What MPI reads and writes meanwhile belongs to a [`Pending`], which never gives it back, or frees it, before
//! MPI is done with it.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use mpi_sys as ffi;
use tch::{Kind, Tensor};

/// The name of the messages by which parts of lists are traded.
const TRADE: c_int = 1;

/// What ranks tell each other beside their work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Who waits as well?
    Call = 2,
    /// I do.
    Answer = 3,
    /// Waiting is over: tell the user.
    Close = 4,
}

/// What MPI's functions return where they have done what was asked.
const SUCCESS: c_int = ffi::MPI_SUCCESS as c_int;

/// All ranks, seen from this one. MPI ends when it is dropped.
#[derive(Debug)]
pub struct World {
    /// For what all ranks do together.
    all: ffi::MPI_Comm,
    /// For messages between two of them.
    pairs: ffi::MPI_Comm,
    rank: usize,
    size: usize,
    /// Whether some rank will not come to MPI's end, so that waiting for it there would be for ever.
    given_up: Cell<bool>,
    /// MPI was told that one thread alone calls it.
    one_thread: PhantomData<*const ()>,
}

/// Something that has begun, and may take as long as the slowest rank.
#[derive(Debug)]
pub struct Pending<M> {
    /// What is not done yet.
    requests: Vec<ffi::MPI_Request>,
    /// The memory that MPI reads and writes; none when it was taken.
    memory: Option<M>,
    /// Lengths and places of parts, which MPI reads.
    parts: [Vec<c_int>; 2],
}

/// A part of a list, for or from a rank.
pub type Parcel = (usize, Range<usize>);

fn check(code: c_int) -> Result<(), String> {
    if code == SUCCESS {
        return Ok(());
    }
    let mut text = [0 as c_char; ffi::MPI_MAX_ERROR_STRING as usize + 1];
    let mut length = 0;
    // SAFETY: the text has room for the longest message, and a NUL behind it.
    unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr(), &raw mut length) };
    let text = text.iter().take(usize::try_from(length).unwrap_or(0));
    let text: Vec<u8> = text.map(|&c| c.cast_unsigned()).collect();
    Err(String::from_utf8_lossy(&text).into_owned())
}

fn count(length: usize) -> Result<c_int, String> {
    c_int::try_from(length).map_err(|_| format!("{length} elements are more than it takes at once"))
}

impl World {
    /// Starts MPI, once in a process, and brings what each rank says of itself to all.
    pub fn start(own: [u64; 4]) -> Result<(Self, Vec<[u64; 4]>), String> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        if STARTED.swap(true, Ordering::Relaxed) {
            return Err("it can be started once in a process".to_owned());
        }
        let mut given = 0;
        let (mut pairs, mut rank, mut size) = (unsafe { ffi::RSMPI_COMM_NULL }, 0, 0);
        let mut said = Vec::new();
        // SAFETY: all pointers are to places of this function; no arguments are handed on. The constants
        // are set once the library is loaded.
        let all = unsafe {
            let (no_arguments, no_list) = (std::ptr::null_mut(), std::ptr::null_mut());
            let wanted = ffi::RSMPI_THREAD_FUNNELED;
            check(ffi::MPI_Init_thread(no_arguments, no_list, wanted, &raw mut given))?;
            let all = ffi::RSMPI_COMM_WORLD;
            // So that errors come back as codes.
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

    /// Whether MPI takes what lies in a GPU's memory: an extension that OpenMPI and MPICH have, looked up by
    /// name, as others have not.
    pub fn reaches_gpus() -> bool {
        type Query = unsafe extern "C" fn() -> c_int;
        let process = libloading::os::unix::Library::this();
        // SAFETY: the function takes nothing and returns a number.
        unsafe {
            let query = process.get::<Query>(c"MPIX_Query_cuda_support".to_bytes());
            query.is_ok_and(|query| query() == 1)
        }
    }

    /// Starts to send parts of one list of f32 to other ranks, and to receive parts of another from them, on
    /// the host or on a device.
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
                return Err("a part that is traded is not in its list".to_owned());
            }
            let start = list.data_ptr().cast::<f32>().wrapping_add(part.start);
            Ok((start.cast::<c_void>(), count(part.len())?))
        };
        let memory = [own, inbox].map(Tensor::shallow_clone);
        let mut pending = Pending::new(Vec::new(), memory);
        let kind = unsafe { ffi::RSMPI_FLOAT };
        for (rank, part) in receives {
            let ((place, length), from) = (place(inbox, part)?, count(*rank)?);
            // SAFETY: the list is as long as that, and `pending` keeps it until MPI is done.
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
        // SAFETY: both lists are as long as MPI is told, and `Pending` keeps them until it is done.
        let request = unsafe {
            let mut request = ffi::RSMPI_REQUEST_NULL;
            let (kind, sum) = (ffi::RSMPI_FLOAT, ffi::RSMPI_SUM);
            check(ffi::MPI_Iallreduce(from, to, length, kind, sum, self.all, &raw mut request))?;
            request
        };
        Ok(Pending::new(vec![request], [own, all]))
    }

    /// Starts to bring rank 0's bytes to all ranks, who have a list of that length.
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

    /// Starts to bring the bytes of all ranks, of these lengths, to all of them.
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
            return Err("the lengths of what is gathered are wrong".to_owned());
        }
        let mut all = vec![0u8; total];
        // An empty list of bytes lies at address 1, which is `MPI_IN_PLACE`.
        own.reserve(1);
        all.reserve(1);
        let (from, to) = (own.as_ptr().cast::<c_void>(), all.as_mut_ptr().cast::<c_void>());
        let length = count(own.len())?;
        let (lengths, places) = (parts[0].as_ptr(), parts[1].as_ptr());
        // SAFETY: as in `sum`; the lists of lengths and places have an element for each rank, and moving the
        // vectors into `Pending` does not move what they hold.
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

    /// Sends a word and a number to one rank, whenever that may take it.
    pub fn tell(&self, rank: usize, tag: Tag, number: u64) -> Result<(), String> {
        // For as long as the process lives: nobody waits for such a message to be taken.
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

    /// A number that some rank has sent here with that word, and its sender, if one has come.
    pub fn heard(&self, tag: Tag) -> Result<Option<(usize, u64)>, String> {
        let tag = tag as c_int;
        let (mut is_there, mut number) = (0, 0u64);
        // SAFETY: a status is plain numbers, which MPI writes; all places are of this function.
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

    /// Does not wait for the others at MPI's end.
    pub fn give_up(&self) {
        self.given_up.set(true);
    }

    /// Whether this rank does not wait for the others any more.
    pub fn has_given_up(&self) -> bool {
        self.given_up.get()
    }

    /// Ends all ranks' processes; where that takes too long, at least this one.
    pub fn abort(&self) -> ! {
        let patience = std::time::Duration::from_secs(1);
        std::thread::spawn(move || {
            std::thread::sleep(patience);
            // Without anything that might wait for the network once more.
            signal_hook::low_level::exit(1)
        });
        // SAFETY: no other thread calls MPI.
        unsafe { ffi::MPI_Abort(self.all, 1) };
        std::process::exit(1)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A launcher ends the others where one ends without this.
        if self.given_up.get() || std::thread::panicking() {
            return;
        }
        // SAFETY: whatever is pending has been waited for, or is given up together with the process.
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

    /// Whether it is done; asking is what brings it on.
    pub fn is_done(&mut self) -> Result<bool, String> {
        while let Some(request) = self.requests.last_mut() {
            let mut done = 0;
            // SAFETY: the request is one that MPI has given, and not done yet.
            check(unsafe { ffi::MPI_Test(request, &raw mut done, ffi::RSMPI_STATUS_IGNORE) })?;
            if done == 0 {
                return Ok(false);
            }
            self.requests.pop();
        }
        Ok(true)
    }

    /// What was given, and what has come, when it is done.
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
