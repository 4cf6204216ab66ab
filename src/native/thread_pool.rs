//! A thread pool for short parallel regions: its threads take tasks as soon as there are any; without tasks
//! they first poll and then sleep.
//!
//! A training step has a handful of tasks of about ten microseconds each, several thousand times a second.
//! Handing over a task through a channel or a general-purpose pool takes as long as the task itself, and
//! OpenMP's threads wait for each other without end when another process has taken a processor. Here the
//! calling thread works, too: it takes tasks from the front and the others take them from the back, and a
//! thread that is not running leaves its tasks to the rest. A thread that is preempted within a task cannot leave it:
//! where that happens again and again, since other processes are running, the owner works alone; see [`Backoff`].

use std::any::Any;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::io;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// The number of polls for work, or for its completion, before a thread sleeps: about 40 microseconds, which is longer
/// than the time between two parallel regions of a training step and than a task, whose end the others wait for. Waking a
/// thread takes as long as several tasks.
const LOOKS: usize = 2000;
/// The maximum number of tasks in one region; more tasks are split into several regions.
const MOST: usize = u16::MAX as usize;
/// The wait for helpers after which the owner works alone for a while: longer than any that balancing causes, and much
/// shorter than the milliseconds that the scheduler gives to another process.
const STALL: Duration = Duration::from_micros(200);
/// The time for which the owner computes alone after a stall, at first, if the stall was not longer, and at most. Counted
/// in time and not in regions, whose lengths differ a thousandfold: a convolution's of milliseconds, left alone for 1,024
/// regions after a few stalls, trained on one of two free processors.
const ALONE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(200);
/// The time in regions without a stall after which the processors count as free again: several slices of the scheduler.
const FREE: Duration = Duration::from_millis(16);

/// A pool of helper threads for the thread that owns it.
pub struct Team {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    backoff: Backoff,
    /// The thread that created it is the one that is woken.
    _not_send: PhantomData<*const ()>,
}

/// The decision whether helpers take part: not for some time after they kept the owner waiting, a time that doubles with
/// each stall. The tasks of a region do not depend on who computes them, so neither do the results.
/// A stall costs a time slice of the scheduler, some 3 milliseconds, where a step may take 0.3; with one process beside
/// the training, on half of the processors there is one at almost any time.
#[derive(Debug)]
struct Backoff {
    /// The time until which the owner computes alone.
    alone_until: Option<Instant>,
    /// The least time to compute alone after the next stall.
    next: Duration,
    /// The time in regions with helpers since the last stall.
    good: Duration,
}

impl Backoff {
    const fn new() -> Self {
        Self { alone_until: None, next: *ALONE.start(), good: Duration::ZERO }
    }

    /// Returns whether the owner computes a region that begins now alone.
    fn is_alone(&mut self, now: impl FnOnce() -> Instant) -> bool {
        let is_alone = self.alone_until.is_some_and(|until| now() < until);
        if !is_alone {
            self.alone_until = None;
        }
        is_alone
    }

    /// Records a region that ends now, in which the owner computed for `worked`, and then waited for the helpers for
    /// `waited`.
    fn record(&mut self, worked: Duration, waited: Duration, now: Instant) {
        if waited > STALL + 2 * worked {
            self.alone_until = Some(now + self.next.max(waited).min(*ALONE.end()));
            self.next = (2 * self.next).min(*ALONE.end());
            self.good = Duration::ZERO;
            return;
        }
        self.good += worked + waited;
        if self.good >= FREE {
            *self = Self::new();
        }
    }
}

struct Shared {
    /// The open tasks: number of the region (32 bits), first task (16), end of the range (16).
    open: AtomicU64,
    /// The number of tasks of the region that are done.
    done: AtomicUsize,
    job: UnsafeCell<Job>,
    quit: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    owner: Sleeper,
    helpers: Mutex<Vec<Arc<Sleeper>>>,
}

/// The code of the tasks: a function and its context, which it takes together with the task's number.
#[derive(Clone, Copy)]
struct Job {
    context: *const (),
    call: unsafe fn(*const (), usize),
}

/// A thread that can be woken.
struct Sleeper {
    thread: Thread,
    asleep: AtomicBool,
}

// SAFETY: only the owner writes `job`, while no task is open or running; `context` points to data that the
// tasks of all threads may share (see `each`).
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Sleeper {
    fn here() -> Self {
        Self { thread: thread::current(), asleep: AtomicBool::new(false) }
    }

    /// Polls `ready` a number of times, then sleeps until it returns true.
    fn wait(&self, ready: impl Fn() -> bool) {
        for _ in 0..LOOKS {
            if ready() {
                return;
            }
            spin_loop();
        }
        loop {
            // Set before the last poll: a thread that makes it ready after that sees the flag and wakes this
            // one.
            self.asleep.store(true, SeqCst);
            if ready() {
                self.asleep.store(false, SeqCst);
                return;
            }
            thread::park();
        }
    }

    fn wake(&self) {
        if self.asleep.swap(false, SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Shared {
    fn pack(region: u64, first: usize, end: usize) -> u64 {
        region << 32 | (first as u64) << 16 | end as u64
    }

    fn unpack(open: u64) -> (u64, usize, usize) {
        (open >> 32, (open >> 16) as usize & MOST, open as usize & MOST)
    }

    fn is_open(&self) -> bool {
        let (_, first, end) = Self::unpack(self.open.load(SeqCst));
        first < end
    }

    /// Takes a task from the front or the back.
    fn take(&self, front: bool) -> Option<usize> {
        let mut open = self.open.load(SeqCst);
        loop {
            let (region, first, end) = Self::unpack(open);
            if first >= end {
                return None;
            }
            let (task, rest) = match front {
                true => (first, Self::pack(region, first + 1, end)),
                false => (end - 1, Self::pack(region, first, end - 1)),
            };
            match self.open.compare_exchange_weak(open, rest, SeqCst, SeqCst) {
                Ok(_) => return Some(task),
                Err(found) => open = found,
            }
        }
    }

    /// Runs a task that was taken.
    fn run(&self, task: usize) {
        // SAFETY: the owner waits until this task is done before it changes the job or returns, and it wrote
        // the job before it opened the task.
        let result = catch_unwind(AssertUnwindSafe(|| unsafe {
            let job = *self.job.get();
            (job.call)(job.context, task);
        }));
        if let Err(payload) = result {
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
        }
        self.done.fetch_add(1, SeqCst);
    }

    fn help(&self, own: &Sleeper) {
        while !self.quit.load(SeqCst) {
            match self.take(false) {
                Some(task) => {
                    self.run(task);
                    self.owner.wake();
                }
                None => own.wait(|| self.is_open() || self.quit.load(SeqCst)),
            }
        }
    }
}

impl Team {
    /// Starts `threads` − 1 helper threads beside the calling one.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn new(threads: usize) -> io::Result<Self> {
        unsafe fn nothing(_: *const (), _: usize) {}
        let shared = Arc::new(Shared {
            open: AtomicU64::new(0),
            done: AtomicUsize::new(0),
            job: UnsafeCell::new(Job { context: std::ptr::null(), call: nothing }),
            quit: AtomicBool::new(false),
            panic: Mutex::new(None),
            owner: Sleeper::here(),
            helpers: Mutex::default(),
        });
        let mut team =
            Self { shared, helpers: Vec::new(), backoff: Backoff::new(), _not_send: PhantomData };
        let (started, wait_for) = channel();
        for _ in 1..threads {
            let started = started.clone();
            let shared = Arc::clone(&team.shared);
            let work = move || {
                // The receiver may have given up.
                let _ = started.send(());
                let own = Arc::new(Sleeper::here());
                let mut helpers = shared.helpers.lock().unwrap_or_else(PoisonError::into_inner);
                helpers.push(Arc::clone(&own));
                drop(helpers);
                shared.help(&own);
            };
            team.helpers.push(Builder::new().name("step".to_owned()).spawn(work)?);
        }
        // With our own sender dropped, the wait ends when every helper has reported or has ended.
        drop(started);
        wait_for.iter().take(team.helpers.len()).for_each(drop);
        Ok(team)
    }

    /// Calls `work` once with each of `tasks`, on any free thread, and returns when all are done. The same
    /// range of tasks tends to run on the same thread as in the previous call.
    ///
    /// # Panics
    /// When `work` does; with several threads and tasks, only after all tasks are done.
    pub fn each<T: Send>(&mut self, tasks: &mut [T], work: impl Fn(&mut T) + Sync) {
        if self.helpers.is_empty() || tasks.len() < 2 || self.backoff.is_alone(Instant::now) {
            return tasks.iter_mut().for_each(work);
        }
        for tasks in tasks.chunks_mut(MOST) {
            self.run_region(tasks, &work);
        }
    }

    fn run_region<T: Send, W: Fn(&mut T) + Sync>(&mut self, tasks: &mut [T], work: &W) {
        struct Context<'a, T, W> {
            tasks: *mut T,
            work: &'a W,
        }
        /// # Safety
        /// `context` is a live `Context<T, W>`, and no other thread has the task with the number `task`.
        unsafe fn call<T, W: Fn(&mut T)>(context: *const (), task: usize) {
            // SAFETY: guaranteed by the caller.
            unsafe {
                let context = &*context.cast::<Context<T, W>>();
                (context.work)(&mut *context.tasks.add(task));
            }
        }
        let shared = &*self.shared;
        // From here on the tasks are accessed only through this pointer.
        let count = tasks.len();
        let context = Context { tasks: tasks.as_mut_ptr(), work };
        let job = Job { context: (&raw const context).cast(), call: call::<T, W> };
        // SAFETY: all tasks of the previous region are done and none is open, so that no thread reads the
        // job. Each task is taken once, so that each `&mut T` is unique; T may be sent to other threads, and
        // W may be shared among them.
        unsafe { *shared.job.get() = job };
        let (region, _, _) = Shared::unpack(shared.open.load(SeqCst));
        shared.done.store(0, SeqCst);
        let start = Instant::now();
        // The region's number makes every region distinct: a thread that was delayed between its load and its
        // claim fails and loads again.
        let next = (region + 1) & u64::from(u32::MAX);
        shared.open.store(Shared::pack(next, 0, count), SeqCst);
        let helpers = shared.helpers.lock().unwrap_or_else(PoisonError::into_inner);
        helpers.iter().for_each(|helper| helper.wake());
        drop(helpers);
        while let Some(task) = shared.take(true) {
            shared.run(task);
        }
        let worked = start.elapsed();
        shared.owner.wait(|| shared.done.load(SeqCst) == count);
        let end = Instant::now();
        self.backoff.record(worked, end - start - worked, end);
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.quit.store(true, SeqCst);
        for helper in self.helpers.drain(..) {
            // The thread may be about to sleep, or may not have registered yet.
            helper.thread().unpark();
            let _ = helper.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_task_is_done_once_by_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let mut team = Team::new(threads).unwrap();
            let mut tasks: Vec<u64> = (0..100).collect();
            for region in 0..3000u64 {
                // Once, more tasks than fit into one region.
                if region == 7 {
                    let mut many = vec![1u8; MOST + 5];
                    team.each(&mut many, |task| *task += 1);
                    assert!(many.iter().all(|&task| task == 2));
                }
                let count = (region % 100) as usize;
                team.each(&mut tasks[..count], |task| *task += 1);
            }
            for (i, &task) in (0..100).zip(&tasks) {
                // Regions with more tasks than i: 30 for each number of tasks above it.
                assert_eq!(task, i + 30 * (99 - i), "{threads} threads");
            }
        }
    }

    #[test]
    fn sleeping_threads_are_woken() {
        let mut team = Team::new(2).unwrap();
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(2));
            // On a busy machine the last round may have been a stall.
            team.backoff = Backoff::new();
            let mut tasks = [thread::current().id(); 2];
            // Both tasks must run at the same time, or they would never end.
            let both = std::sync::Barrier::new(2);
            team.each(&mut tasks, |task| {
                both.wait();
                *task = thread::current().id();
            });
            assert!(tasks[0] != tasks[1]);
        }
    }

    #[test]
    fn the_owner_works_alone_after_a_stall() {
        let mut team = Team::new(2).unwrap();
        let owner = thread::current().id();
        let helped = |team: &mut Team, stall: Duration| {
            let both = std::sync::Barrier::new(2);
            let mut by = [owner; 2];
            let is_alone = team.backoff.alone_until.is_some();
            team.each(&mut by, |by| {
                *by = thread::current().id();
                if !is_alone {
                    both.wait();
                }
                if *by != owner {
                    thread::sleep(stall);
                }
            });
            by != [owner; 2]
        };
        let stall = Duration::from_millis(30);
        assert!(helped(&mut team, stall));
        let until = team.backoff.alone_until.unwrap();
        while Instant::now() < until {
            assert!(!helped(&mut team, Duration::ZERO) || Instant::now() >= until);
        }
        team.backoff = Backoff::new();
        assert!(helped(&mut team, Duration::ZERO));
    }

    #[test]
    fn free_processors_are_used_again() {
        let mut backoff = Backoff::new();
        let (begin, ms) = (Instant::now(), Duration::from_millis);
        let short = Duration::from_micros(50);
        // As long as the stall, then longer and longer.
        let mut pause = |stall| {
            backoff.record(short, stall, begin);
            backoff.alone_until.unwrap() - begin
        };
        assert_eq!([3, 3, 3, 3, 3].map(|stall| pause(ms(stall))), [3, 3, 4, 8, 16].map(ms));
        assert_eq!([3, 3, 3, 900].map(|stall| pause(ms(stall))), [32, 64, 128, 200].map(ms));
        assert!(backoff.is_alone(|| begin + ms(199)) && !backoff.is_alone(|| begin + ms(200)));
        // A long task of the helpers is no stall if the owner's own are long.
        backoff.record(ms(5), ms(5), begin);
        assert_eq!((backoff.alone_until, backoff.next), (None, ms(200)));
        backoff.record(ms(5), ms(5), begin);
        assert_eq!((backoff.alone_until, backoff.next), (None, ms(1)));
    }

    #[test]
    fn a_panic_is_rethrown_after_all_tasks() {
        let mut team = Team::new(3).unwrap();
        let mut tasks = vec![0; 50];
        let result = catch_unwind(AssertUnwindSafe(|| {
            team.each(&mut tasks, |task| {
                *task += 1;
                assert!(*task > 1, "on purpose");
            });
        }));
        assert!(result.is_err());
        assert!(tasks.iter().all(|&task| task == 1));
        team.each(&mut tasks, |task| *task += 1);
        assert!(tasks.iter().all(|&task| task == 2));
    }
}
