//! Threads that share the tasks of one moment: as soon as there is work they take it, and when there is
//! none they first look for some and then sleep.
//!
//! A training step has a handful of tasks of some ten microseconds each, several thousand times a
//! second. A channel or a general pool takes as long for handing one over as the task itself, and
//! OpenMP's threads wait for each other without end when another process has taken a processor. Here
//! the caller works itself: it takes tasks from the front, the others from the back, and whoever is not
//! there leaves them to the rest.

use std::any::Any;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, JoinHandle, Thread};

/// How often a thread looks for work, or for the end of it, before it sleeps: some 20 microseconds,
/// which is more than is between two moments of a training step.
const LOOKS: usize = 1000;
/// The most tasks of one moment; more are several moments.
const MOST: usize = u16::MAX as usize;

/// Some threads beside the one that owns this.
pub struct Team {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    /// The thread that made it is the one that is woken.
    _not_send: PhantomData<*const ()>,
}

struct Shared {
    /// What is open: number of the moment (32 bits), first task (16), one behind the last (16).
    open: AtomicU64,
    /// Tasks of the moment that are done.
    done: AtomicUsize,
    job: UnsafeCell<Job>,
    quit: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    owner: Sleeper,
    helpers: Mutex<Vec<Arc<Sleeper>>>,
}

/// What the tasks are: a function and what it takes beside the task's number.
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

// SAFETY: `job` is written by the owner alone, while no task is open or running; `context` points to
// what the tasks of all threads may share (see `each`).
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Sleeper {
    fn here() -> Self {
        Self { thread: thread::current(), asleep: AtomicBool::new(false) }
    }

    /// Looks whether `ready` some times, and then sleeps until it is.
    fn wait(&self, ready: impl Fn() -> bool) {
        for _ in 0..LOOKS {
            if ready() {
                return;
            }
            spin_loop();
        }
        loop {
            // Said before the last look: who makes it ready after that sees it, and wakes.
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
    fn pack(moment: u64, first: usize, end: usize) -> u64 {
        moment << 32 | (first as u64) << 16 | end as u64
    }

    fn unpack(open: u64) -> (u64, usize, usize) {
        (open >> 32, (open >> 16) as usize & MOST, open as usize & MOST)
    }

    fn is_open(&self) -> bool {
        let (_, first, end) = Self::unpack(self.open.load(SeqCst));
        first < end
    }

    /// Takes a task off the front or the back.
    fn take(&self, front: bool) -> Option<usize> {
        let mut open = self.open.load(SeqCst);
        loop {
            let (moment, first, end) = Self::unpack(open);
            if first >= end {
                return None;
            }
            let (task, rest) = match front {
                true => (first, Self::pack(moment, first + 1, end)),
                false => (end - 1, Self::pack(moment, first, end - 1)),
            };
            match self.open.compare_exchange_weak(open, rest, SeqCst, SeqCst) {
                Ok(_) => return Some(task),
                Err(found) => open = found,
            }
        }
    }

    /// Does a task that was taken.
    fn run(&self, task: usize) {
        // SAFETY: the owner waits for this task's end before it changes the job or returns, and it has
        // written the job before it opened the task.
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
    /// The calling thread and as many beside it as make `threads`; each of them calls `prepare` first.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn new(threads: usize, prepare: fn()) -> io::Result<Self> {
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
        let mut team = Self { shared, helpers: Vec::new(), _not_send: PhantomData };
        prepare();
        let (started, wait_for) = channel();
        for _ in 1..threads {
            let started = started.clone();
            let shared = Arc::clone(&team.shared);
            let work = move || {
                prepare();
                // Whoever waits may have given up.
                let _ = started.send(());
                let own = Arc::new(Sleeper::here());
                let mut helpers = shared.helpers.lock().unwrap_or_else(PoisonError::into_inner);
                helpers.push(Arc::clone(&own));
                drop(helpers);
                shared.help(&own);
            };
            team.helpers.push(Builder::new().name("step".to_owned()).spawn(work)?);
        }
        // Without ours the wait ends when every helper has said something, or has ended.
        drop(started);
        wait_for.iter().take(team.helpers.len()).for_each(drop);
        Ok(team)
    }

    /// Calls `work` with each of `tasks` once, on whatever thread is free, and returns when all are
    /// done. Neighbouring tasks tend to come to the same threads as the time before.
    ///
    /// # Panics
    /// As `work` does; with several threads and tasks once all are done.
    pub fn each<T: Send>(&mut self, tasks: &mut [T], work: impl Fn(&mut T) + Sync) {
        if self.helpers.is_empty() || tasks.len() < 2 {
            return tasks.iter_mut().for_each(work);
        }
        for tasks in tasks.chunks_mut(MOST) {
            self.moment(tasks, &work);
        }
    }

    fn moment<T: Send, W: Fn(&mut T) + Sync>(&mut self, tasks: &mut [T], work: &W) {
        struct Context<'a, T, W> {
            tasks: *mut T,
            work: &'a W,
        }
        /// # Safety
        /// `context` is a live `Context<T, W>`, `task` the number of a task that nobody else has.
        unsafe fn call<T, W: Fn(&mut T)>(context: *const (), task: usize) {
            // SAFETY: as the caller says.
            unsafe {
                let context = &*context.cast::<Context<T, W>>();
                (context.work)(&mut *context.tasks.add(task));
            }
        }
        let shared = &*self.shared;
        // From here on the tasks are reached by this pointer alone.
        let count = tasks.len();
        let context = Context { tasks: tasks.as_mut_ptr(), work };
        let job = Job { context: (&raw const context).cast(), call: call::<T, W> };
        // SAFETY: all tasks of the moment before are done, and none is open: nobody reads the job. Each
        // task is taken once, so each `&mut T` is the only one; T may go to other threads, and W be
        // shared among them.
        unsafe { *shared.job.get() = job };
        let (moment, _, _) = Shared::unpack(shared.open.load(SeqCst));
        shared.done.store(0, SeqCst);
        // With the moment's number no two moments look the same: a thread that was held up between its look
        // and its claim fails, and looks again.
        let next = (moment + 1) & u64::from(u32::MAX);
        shared.open.store(Shared::pack(next, 0, count), SeqCst);
        let helpers = shared.helpers.lock().unwrap_or_else(PoisonError::into_inner);
        helpers.iter().for_each(|helper| helper.wake());
        drop(helpers);
        while let Some(task) = shared.take(true) {
            shared.run(task);
        }
        shared.owner.wait(|| shared.done.load(SeqCst) == count);
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
            // It may be about to sleep, or not have said yet who it is.
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
            let mut team = Team::new(threads, || {}).unwrap();
            let mut tasks: Vec<u64> = (0..100).collect();
            for moment in 0..3000u64 {
                // More than fit into one moment, once.
                if moment == 7 {
                    let mut many = vec![1u8; MOST + 5];
                    team.each(&mut many, |task| *task += 1);
                    assert!(many.iter().all(|&task| task == 2));
                }
                let count = (moment % 100) as usize;
                team.each(&mut tasks[..count], |task| *task += 1);
            }
            for (i, &task) in (0..100).zip(&tasks) {
                // Moments with more tasks than i: 30 for each number of tasks above it.
                assert_eq!(task, i + 30 * (99 - i), "{threads} threads");
            }
        }
    }

    #[test]
    fn sleeping_threads_are_woken() {
        let mut team = Team::new(2, || {}).unwrap();
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(2));
            let mut tasks = [thread::current().id(); 2];
            // Both tasks at once, or they would never end.
            let both = std::sync::Barrier::new(2);
            team.each(&mut tasks, |task| {
                both.wait();
                *task = thread::current().id();
            });
            assert!(tasks[0] != tasks[1]);
        }
    }

    #[test]
    fn a_panic_comes_back_when_all_is_done() {
        let mut team = Team::new(3, || {}).unwrap();
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
